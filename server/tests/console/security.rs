//! Headers that every response has, and requests that are rejected.

use crate::support::{Answer, Browser, Console, LIST, ORIGIN, PEM_A};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use std::time::Duration;

#[tokio::test]
async fn a_change_from_elsewhere_is_refused_whatever_the_cookie() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}/disable");
    let version = owner.get(&path).await.hidden("version");
    let send = async |browser: &mut Browser, headers: &[(&str, &str)]| -> Answer {
        let mut request = Request::post(&path).header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        browser.send(request.body(Body::from(format!("reason=x&version={version}"))).unwrap()).await
    };
    for headers in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:3001"), ("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", ORIGIN), ("sec-fetch-site", "cross-site")],
    ] {
        let answer = send(&mut owner, headers).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?}");
        assert!(console.application(&id).await.is_enabled(), "{headers:?}");
    }
    let answer = send(&mut owner, &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "the control: {}", answer.text());
    assert!(!console.application(&id).await.is_enabled());
}

#[tokio::test]
async fn no_address_changes_anything_when_it_is_merely_opened() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let before = console.application(&id).await;
    let key = before.api_keys[0].id;
    for path in ["stored", "keep", "revoke", "deadline"] {
        let answer = owner.get(&format!("{LIST}/{id}/api-keys/{key}/{path}")).await;
        assert!([200, 303].contains(&answer.status.as_u16()), "{path}: {}", answer.status);
    }
    assert_eq!(owner.get("/sign-out").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(console.application(&id).await, before);
}

#[tokio::test]
async fn every_page_carries_the_headers_that_protect_it() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    for path in ["/sign-in", LIST, "/nowhere"] {
        let browser = if path == "/sign-in" { &mut console.browser() } else { &mut owner };
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy");
        for rule in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe-inline") && !policy.contains(" 'unsafe-eval'"), "{policy}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert!(!answer.header("x-request-id").is_empty());
    }
}

#[tokio::test]
async fn wasm_may_run_only_where_a_page_needs_it() {
    let console = Console::start().await;
    let sign_in = console.browser().get("/sign-in").await;
    assert!(!sign_in.header("content-security-policy").contains("script-src"));
    assert!(!sign_in.body.contains("<script"));
    let mut owner = console.owner().await;
    let create = owner.get(&format!("{LIST}/new")).await;
    let policy = create.header("content-security-policy");
    assert!(policy.contains("'wasm-unsafe-eval'") && policy.contains("worker-src 'self'"), "{policy}");
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(create.body.contains(&format!("nonce=\"{nonce}\"")));
    let again = owner.get(&format!("{LIST}/new")).await;
    assert!(!again.header("content-security-policy").contains(nonce), "a nonce is used once");
}

#[tokio::test]
async fn the_session_cookie_is_out_of_reach_of_scripts_and_other_sites() {
    let console = Console::start().await;
    let answer = console.browser().sign_in("owner@alpine.example", crate::support::PASSWORD).await;
    let cookie = answer.header("set-cookie");
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
}

#[tokio::test]
async fn another_organizations_ids_answer_404_everywhere() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let before = console.application(&id).await;
    let (key, signing_key) = (before.api_keys[0].id, before.signing_keys[0].id);
    let mut stranger = console.signed_in("owner@borealis.example").await;
    let pages = ["", "/rename", "/permissions", "/disable", "/enable", "/replace-api-key", "/replace-exposed-api-key"];
    let pages = pages.map(str::to_owned).into_iter().chain([
        "/replace-signing-key".to_owned(),
        "/claim-replacement".to_owned(),
        "/withdraw-replacement".to_owned(),
        "/requests".to_owned(),
        "/finish-by-itself".to_owned(),
        "/cancel-finish".to_owned(),
        "/audit".to_owned(),
        "/audit.csv".to_owned(),
        "/audit.jsonl".to_owned(),
        "/confirm-change".to_owned(),
        "/withdraw-change".to_owned(),
        "/seen-support".to_owned(),
        format!("/api-keys/{key}/deadline"),
        format!("/api-keys/{key}/revoke"),
        format!("/api-keys/{key}/keep"),
        format!("/api-keys/{key}/stored"),
        format!("/api-keys/{key}/replace-unseen"),
        format!("/signing-keys/{signing_key}/restore"),
        format!("/signing-keys/{signing_key}/retire"),
    ]);
    let fields = [
        ("version", "1"),
        ("name", "Stolen"),
        ("reason", "none of my business"),
        ("grace", "3600"),
        ("hold", "3600"),
        ("overlap", "none"),
        ("public_key", crate::support::PEM_B),
        ("permissions", "CUSTOMERS_READ"),
        ("deadline", "2026-11-30T00:00:00"),
        ("confirm_name", "Ledger"),
    ];
    for page in pages {
        let path = format!("{LIST}/{id}{page}");
        let mine = path.replace(&id, "01900000-0000-7000-8000-000000000000");
        for method in [Method::GET, Method::POST] {
            let mut ask = async |path: &str| match method {
                Method::GET => stranger.get(path).await,
                _ => stranger.post(path, &fields).await,
            };
            let (theirs, nobodys) = (ask(&path).await, ask(&mine).await);
            assert!([404, 405].contains(&theirs.status.as_u16()), "{method} {page}: {}", theirs.status);
            assert_eq!(theirs.status, nobodys.status, "{method} {page}");
            assert_eq!(theirs.text(), nobodys.text(), "{method} {page}: as if it did not exist");
        }
        // The control: the owner gets a response there.
        assert_ne!(owner.get(&path).await.status, StatusCode::NOT_FOUND, "{page}");
        // In the organization hub a partner's session is not valid, even for the partner's own applications.
        for browser in [&mut stranger, &mut owner] {
            let hub = format!("{}{page}", console.in_hub(&id));
            let asked = browser.get(&hub).await;
            assert!(asked.location().starts_with("/organizations/sign-in?next="), "{hub}: {}", asked.status);
            let sent = browser.post(&hub, &fields).await;
            assert!([403, 405].contains(&sent.status.as_u16()), "{hub}: {}", sent.status);
        }
    }
    for page in ["", "/check-key", "/rotation-policy", "/security-policy", "/audit", "/audit.csv", "/audit.jsonl"] {
        let hub = format!("/organizations/{}{page}", console.alpine);
        for browser in [&mut stranger, &mut owner] {
            assert!(browser.get(&hub).await.location().starts_with("/organizations/sign-in?next="), "{hub}");
        }
    }
    assert_eq!(console.application(&id).await, before);
}

#[tokio::test]
async fn a_file_pasted_by_mistake_is_refused_and_the_rest_of_the_form_kept() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let huge = "A".repeat(4 * 1024 * 1024);
    let answer = owner.create_answer("Ledger", &huge, &["PAYMENTS_READ"]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.hidden("name"), "Ledger", "what was typed is kept");
    assert!(answer.body.len() < 200_000, "and what was pasted is not sent back");
    let answer = owner.create_answer("Ledger", &"A".repeat(9 * 1024 * 1024), &[]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer.says("larger than any form here");
    assert!(console.backend.applications(&console.owner_actor().await, console.alpine).await.unwrap().is_empty());
}

#[tokio::test]
async fn health_says_whether_it_runs_and_readiness_whether_it_can_work() {
    let console = Console::start().await;
    let mut browser = console.browser();
    assert_eq!(browser.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(browser.get("/readyz").await.status, StatusCode::OK);
    console.store.close().await;
    // The database is checked at most once a second.
    let unready = async {
        loop {
            let answer = browser.get("/readyz").await;
            if answer.status != StatusCode::OK {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), unready).await.expect("it says so soon");
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    for line in ["not ready\n", "cannot read: ", "cannot write: "] {
        assert!(answer.body.contains(line), "{}", answer.body);
    }
    assert_eq!(browser.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_database_that_is_gone_is_told_with_a_request_id_and_nothing_else() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    console.store.close().await;
    let answer = owner.get(LIST).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    answer.says(answer.header("x-request-id"));
    assert!(!answer.text().to_lowercase().contains("pool"), "{}", answer.text());
}
