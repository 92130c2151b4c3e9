//! The request log of an application, as users read it.

use crate::support::{Browser, Console, LIST, PEM_A};
use axum::http::StatusCode;
use domain::{
    access::Operation,
    request::{KEPT_FOR, RequestFilter, SeenRequest},
    text::ApplicationName,
};
use futures::{FutureExt, future::LocalBoxFuture};
use server::{
    backend::Asked,
    gateway::{KeyUse, UsageBatch},
};
use std::time::Duration;

/// The owner's view of the request log.
async fn requests(console: &Console, id: &str) -> Vec<SeenRequest> {
    let owner = console.owner_actor().await;
    let asked = Asked { actor: &owner, organization: console.alpine, application: id.parse().unwrap() };
    console.backend.requests(asked, RequestFilter::default(), None, 2_000).await.unwrap()
}

async fn with_a_refused_request(console: &Console) -> (Browser, String, SeenRequest) {
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    assert_eq!(console.gateway_says(&key).await, "malformed_token");
    let request = requests(console, &id).await.remove(0);
    (owner, id, request)
}

#[tokio::test]
async fn a_refused_request_is_there_at_once_and_says_why() {
    let console = Console::start().await;
    let (mut owner, id, request) = with_a_refused_request(&console).await;
    let application = owner.get(&format!("{LIST}/{id}")).await;
    application.says("Recent requests").says("Refused, 401").says("malformed_token");
    let list = owner.get(&format!("{LIST}/{id}/requests")).await;
    list.says("GET /api/v1/signature-test").says("malformed_token").says("127.0.0.1");
    let detail = owner.get(&format!("{LIST}/{id}/requests/{}", request.id)).await;
    detail.says("Refused: malformed_token").says("The request token cannot be read").says(&request.id.to_string());
    let prefix = console.application(&id).await.api_keys[0].prefix.to_string();
    detail.says(&prefix);
    assert!(detail.keys().is_empty() && list.keys().is_empty());
}

#[tokio::test]
async fn whoever_looks_while_somebody_else_is_writing_what_was_seen_waits_for_it() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    assert_eq!(console.gateway_says(&key).await, "malformed_token");
    let application = console.application(&id).await;
    let used = KeyUse {
        id: application.api_keys[0].id,
        first_at: console.clock.now(),
        last_at: console.clock.now(),
        address: [192, 0, 2, 7].into(),
        user_agent: "curl/8".into(),
        count: 3,
    };
    console.gateway.usage().restore(UsageBatch { api_keys: vec![used], signing_keys: Vec::new() });

    let backend = &console.backend;
    let flushes: [[LocalBoxFuture<_>; 2]; 2] = [
        [backend.flush_usage().boxed_local(), backend.flush_usage().boxed_local()],
        [backend.flush_requests().boxed_local(), backend.flush_requests().boxed_local()],
    ];
    for [mut first, mut second] in flushes {
        // The first flush takes entries out of the gateway but cannot write them yet: another writer holds the
        // database.
        let other = console.store.write().await.unwrap();
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none(), "what is not written yet is waited for");
        drop(other);
        let (first, second) = tokio::join!(first, second);
        first.and(second).unwrap();
    }
    assert_eq!(requests(&console, &id).await.len(), 1);
    let asked =
        Asked { actor: &console.owner_actor().await, organization: console.alpine, application: application.id };
    let usage = backend.application_usage(asked, Operation::ViewApplications).await.unwrap();
    assert_eq!(usage.api_keys[&application.api_keys[0].id].requests, 3);
}

#[tokio::test]
async fn requests_are_found_by_outcome_by_key_and_by_id() {
    let console = Console::start().await;
    let (mut owner, id, request) = with_a_refused_request(&console).await;
    let path = format!("{LIST}/{id}/requests");
    let key = console.application(&id).await.api_keys[0].id;
    for (query, is_found) in [
        ("outcome=refused".to_owned(), true),
        ("outcome=malformed_token".to_owned(), true),
        ("outcome=ok".to_owned(), false),
        ("outcome=replay_detected".to_owned(), false),
        (format!("key={key}"), true),
        ("key=01900000-0000-7000-8000-000000000000".to_owned(), false),
        (format!("before={}", request.id), false),
    ] {
        let page = owner.get(&format!("{path}?{query}")).await;
        assert_eq!(page.text().contains("GET /api/v1/signature-test"), is_found, "{query}");
        assert_eq!(page.text().contains("No request fits"), !is_found, "{query}");
    }
    let found = owner.get(&format!("{path}?id={}", request.id)).await;
    assert_eq!((found.status, found.location()), (StatusCode::SEE_OTHER, &*format!("{path}/{}", request.id)));
    let unknown = owner.get(&format!("{path}?id=01900000-0000-7000-8000-000000000000")).await;
    unknown.says("There is no such request among the latest of this application");
    let nonsense = owner.get(&format!("{path}?id=%3Cnonsense%3E")).await;
    assert_eq!(nonsense.status, StatusCode::UNPROCESSABLE_ENTITY);
    nonsense.says("This is no request id").says("GET /api/v1/signature-test");
    assert!(nonsense.body.contains("value=\"&lt;nonsense&gt;\""), "what was typed is kept: {}", nonsense.body);
}

#[tokio::test]
async fn a_request_is_its_own_applications_and_organizations_alone() {
    let console = Console::start().await;
    let (mut owner, id, request) = with_a_refused_request(&console).await;
    let (other, _) = owner.create("Other", crate::support::PEM_B).await;
    let answer = owner.get(&format!("{LIST}/{other}/requests/{}", request.id)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(requests(&console, &other).await.is_empty());
    let mut stranger = console.signed_in("owner@borealis.example").await;
    for path in ["requests".to_owned(), format!("requests/{}", request.id), "events".to_owned()] {
        let answer = stranger.get(&format!("{LIST}/{id}/{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        let answer = owner.get(&format!("{}/{path}", console.in_hub(&id))).await;
        assert!(answer.location().starts_with("/organizations/sign-in"), "{path}");
    }
    // The control: an admin sees it in the hub.
    let mut admin = console.admin().await;
    admin.get(&format!("{}/requests/{}", console.in_hub(&id), request.id)).await.says("Refused: malformed_token");
}

#[tokio::test]
async fn requests_are_kept_for_a_week() {
    let console = Console::start().await;
    let (_, id, _) = with_a_refused_request(&console).await;
    console.advance(KEPT_FOR);
    console.backend.purge_requests().await.unwrap();
    assert_eq!(requests(&console, &id).await.len(), 1);
    console.advance(Duration::from_millis(1));
    console.backend.purge_requests().await.unwrap();
    assert!(requests(&console, &id).await.is_empty());
}

#[tokio::test]
async fn a_page_is_shown_where_nothing_can_be_written() {
    let console = Console::start().await;
    let (mut owner, id, _) = with_a_refused_request(&console).await;
    let mut conn = console.store.write().await.unwrap();
    sqlx::query("DROP TABLE requests").execute(&mut *conn).await.unwrap();
    sqlx::query(
        "CREATE VIEW requests AS SELECT '' AS id, '' AS application_id, 0 AS at, '' AS method, '' AS path, 0 AS status,
         '' AS code, 0 AS micros, '' AS address, '' AS api_key_id, '' AS signing_key_id, 0 AS token_age_seconds,
         0 AS body_bytes, '' AS detail, '' AS expected, '' AS received",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    conn.commit().await.unwrap();
    let key = owner.create("Other", crate::support::PEM_B).await.1;
    console.gateway_says(&key).await;
    owner.get(&format!("{LIST}/{id}")).await.says("Disable application");
}

#[tokio::test]
async fn word_of_something_new_comes_and_of_nothing_else_yet() {
    use axum::body::Body;
    use http_body_util::BodyExt;
    let console = Console::start().await;
    let (owner, id, _) = with_a_refused_request(&console).await;
    let answer = owner.response(&format!("{LIST}/{id}/events")).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    let mut body: Body = answer.into_body();
    let owner = console.owner_actor().await;
    let asked = Asked { actor: &owner, organization: console.alpine, application: id.parse().unwrap() };
    // The stream notifies the reader of new entries, and does not say what they are.
    console
        .backend
        .change(asked, Operation::RenameApplication, Default::default(), |application, by| {
            application.rename(ApplicationName::new("Renamed").unwrap(), by)
        })
        .await
        .unwrap();
    let event = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&event[..], b"data: new\n\n");
}

#[tokio::test]
async fn what_a_page_fetches_by_itself_keeps_no_session_alive() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}");
    for _ in 0..2 {
        console.advance(Duration::from_secs(16 * 60));
        owner.fetch(&path).await;
    }
    assert_eq!(owner.get(&path).await.status, StatusCode::SEE_OTHER, "32 minutes without a person");
    // The control: a request by a user keeps the session alive.
    let mut owner = console.owner().await;
    for _ in 0..2 {
        console.advance(Duration::from_secs(16 * 60));
        owner.get(&path).await;
    }
    assert_eq!(owner.get(&path).await.status, StatusCode::OK);
}
