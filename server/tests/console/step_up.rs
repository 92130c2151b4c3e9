//! An unattended or stolen session is not enough: operations that could give access to a key need a fresh proof of
//! identity.

use crate::support::{Console, LIST, PASSWORD, PEM_A, PEOPLE};
use axum::http::StatusCode;
use std::time::Duration;

const TEN_MINUTES: Duration = Duration::from_secs(600);

#[tokio::test]
async fn ten_minutes_after_a_proof_the_next_one_is_asked_for_and_leads_back() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let form = format!("{LIST}/{id}/replace-api-key");
    console.advance(TEN_MINUTES - Duration::from_millis(1));
    assert_eq!(owner.get(&form).await.status, StatusCode::OK, "the last millisecond");
    console.advance(Duration::from_millis(1));
    let asked = owner.get(&form).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER);
    let confirm = asked.location().to_owned();
    assert!(confirm.starts_with("/confirm?next="), "{confirm}");
    let page = owner.get(&confirm).await;
    page.says("Confirm that it is you");
    let next = page.hidden("next");
    assert_eq!(next, form);
    assert_eq!(owner.get(&form).await.status, StatusCode::SEE_OTHER, "asking is no proof");

    let before = owner.cookies.clone();
    let confirmed = owner.post("/confirm", &[("password", PASSWORD), ("next", &next)]).await;
    assert_eq!(confirmed.location(), form);
    assert_ne!(owner.cookies, before, "the session has a new id");
    let mut old = console.browser();
    old.cookies = before;
    assert!(old.get(LIST).await.location().starts_with("/sign-in"), "and the old one is over");
    assert_eq!(owner.get(&form).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_was_typed_waits_for_the_proof_and_is_not_carried_out_before_it() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let form = format!("{LIST}/{id}/permissions");
    let version = owner.get(&form).await.hidden("version");
    console.advance(TEN_MINUTES);
    let fields = [("version", &*version), ("permissions", "CUSTOMERS_READ")];
    let sent = owner.post(&form, &fields).await;
    assert_eq!(sent.status, StatusCode::FORBIDDEN);
    sent.says("Confirm that it is you").says("Your form is kept");
    let events = console.events(&id).await;
    assert!(!events.contains(&"permissions_changed".to_owned()), "{events:?}");

    let unsent = sent.hidden("unsent").replace("&amp;", "&");
    let again = owner.post("/confirm", &[("password", "wrong"), ("next", &form), ("unsent", &unsent)]).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    again.says("This is not your password");
    assert_eq!(again.hidden("unsent").replace("&amp;", "&"), unsent);
    owner.post("/confirm", &[("password", PASSWORD), ("next", &form), ("unsent", &unsent)]).await;
    let page = owner.get(&form).await;
    page.says("here is the form as you left it");
    assert_eq!(owner.post(&form, &fields).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_emergency_stop_waits_for_nothing() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    let (other, _) = owner.create("Other", PEM_A).await;
    // Long enough for a proof to expire, but not a session.
    console.advance(TEN_MINUTES + Duration::from_secs(240));
    let stopped = owner.submit(&format!("{LIST}/{id}/disable"), &[("reason", "A leak")]).await;
    assert_eq!(stopped.status, StatusCode::SEE_OTHER);
    assert_eq!(stopped.notice(), Some("disabled"), "{}", stopped.text());
    let stopped = admin.submit(&format!("{}/disable", console.in_hub(&other)), &[("reason", "A leak")]).await;
    assert_eq!(stopped.notice(), Some("disabled"), "{}", stopped.text());
    // Enabling is not an emergency.
    let enable = owner.get(&format!("{LIST}/{id}/enable")).await;
    assert!(enable.location().starts_with("/confirm"), "{}", enable.location());
}

#[tokio::test]
async fn a_proof_is_one_sessions_and_guessing_is_slowed_down() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let mut elsewhere = console.owner().await;
    console.advance(TEN_MINUTES);
    owner.post("/confirm", &[("password", PASSWORD), ("next", PEOPLE)]).await;
    assert_eq!(owner.get(&format!("{LIST}/new")).await.status, StatusCode::OK);
    assert_eq!(elsewhere.get(&format!("{LIST}/new")).await.status, StatusCode::SEE_OTHER, "another session's");
    for _ in 0..5 {
        elsewhere.post("/confirm", &[("password", "wrong"), ("next", "/")]).await;
    }
    let throttled = elsewhere.post("/confirm", &[("password", PASSWORD), ("next", "/")]).await;
    assert_eq!(throttled.status, StatusCode::TOO_MANY_REQUESTS);
    throttled.says("Too many attempts failed");
    assert_eq!(throttled.header("retry-after"), "900");
    let other = owner.post("/confirm", &[("password", PASSWORD), ("next", PEOPLE)]).await;
    assert_eq!(other.location(), PEOPLE, "each browser that is known has a count of its own");
}

#[tokio::test]
async fn the_way_on_from_a_proof_never_leaves_the_console() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    for elsewhere in ["https://evil.example", "//evil.example", "/\\evil.example"] {
        let answer = owner.post("/confirm", &[("password", PASSWORD), ("next", elsewhere)]).await;
        assert_eq!(answer.location(), LIST, "{elsewhere}");
    }
    // A form whose session expired while the proof was requested is still kept for its own page.
    console.advance(Duration::from_secs(31 * 60));
    let form = format!("{LIST}/new");
    let fields = [("password", PASSWORD), ("next", &*form), ("unsent", "name=Ledger")];
    let page = owner.post("/confirm", &fields).await;
    assert_eq!((page.hidden("next"), page.hidden("unsent")), (form, "name=Ledger".to_owned()));
}
