//! Signing in, staying signed in, and signing out.

use crate::support::{Console, LIST, PASSWORD};
use axum::http::StatusCode;
use std::time::Duration;

#[tokio::test]
async fn a_partner_signs_in_and_gets_to_the_page_they_asked_for() {
    let console = Console::start().await;
    let mut browser = console.browser();
    let asked = browser.get(&format!("{LIST}/new")).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER);
    let page = browser.get(asked.location()).await;
    let next = page.hidden("next");
    assert_eq!(next, format!("{LIST}/new"));
    let answer =
        browser.post("/sign-in", &[("email", "Owner@Alpine.example"), ("password", PASSWORD), ("next", &next)]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, &*next));
    let home = browser.get("/").await;
    assert_eq!(home.location(), LIST);
    browser.get(LIST).await.says("Olivia Okafor").says("Alpine Pay");
}

#[tokio::test]
async fn an_unknown_account_and_a_wrong_password_are_told_the_same() {
    let console = Console::start().await;
    let unknown = console.browser().sign_in("nobody@alpine.example", "wrong").await;
    let wrong = console.browser().sign_in("owner@alpine.example", "wrong").await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.status, unknown.status);
    assert_eq!(wrong.text().replace("owner@", "nobody@"), unknown.text());
    wrong.says("do not belong together");
    assert!(!wrong.body.contains("\"wrong\""), "a password is not sent back");
    assert_eq!(wrong.body.matches("owner@alpine.example").count(), 1, "the address is kept");
}

#[tokio::test]
async fn a_customer_platform_user_is_refused_without_a_session() {
    let console = Console::start().await;
    let mut browser = console.browser();
    let answer = browser.sign_in("user@customer.example", PASSWORD).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    answer.says("customer");
    assert!(browser.cookies.is_empty());
    assert_eq!(browser.get(LIST).await.status, StatusCode::SEE_OTHER);
    // With the wrong password they learn nothing of the kind.
    let answer = browser.sign_in("user@customer.example", "wrong").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_owner_elsewhere_is_not() {
    let console = Console::start().await;
    let mut guesser = console.browser();
    for _ in 0..5 {
        assert_eq!(guesser.sign_in("owner@alpine.example", "wrong").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let throttled = guesser.sign_in("owner@alpine.example", PASSWORD).await;
    assert_eq!(throttled.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(throttled.header("retry-after"), "900");
    throttled.says("Try again in 15 minutes");
    // An account that does not exist is throttled in the same way.
    for _ in 0..5 {
        guesser.sign_in("nobody@alpine.example", "wrong").await;
    }
    let unknown = guesser.sign_in("nobody@alpine.example", "wrong").await;
    assert_eq!(unknown.status, StatusCode::TOO_MANY_REQUESTS);

    let mut owner = console.browser();
    owner.address = "198.51.100.9".into();
    assert_eq!(owner.sign_in("owner@alpine.example", PASSWORD).await.status, StatusCode::SEE_OTHER);

    console.advance(Duration::from_secs(900));
    assert_eq!(guesser.sign_in("owner@alpine.example", PASSWORD).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn signing_in_renews_the_session_id() {
    let console = Console::start().await;
    let mut browser = console.owner().await;
    let first = browser.cookies["nuvera"].clone();
    browser.sign_in("owner@alpine.example", PASSWORD).await;
    assert_ne!(browser.cookies["nuvera"], first);
    let mut fixed = console.browser();
    fixed.cookies.insert("nuvera".into(), first);
    assert_eq!(fixed.get(LIST).await.status, StatusCode::SEE_OTHER, "the id before is worth nothing");
}

#[tokio::test]
async fn a_session_ends_when_idle_and_at_the_latest_after_twelve_hours() {
    let console = Console::start().await;
    let mut idle = console.owner().await;
    let mut busy = console.owner().await;
    console.advance(Duration::from_secs(30 * 60 - 1));
    assert_eq!(idle.get(LIST).await.status, StatusCode::OK);
    console.advance(Duration::from_secs(30 * 60));
    assert_eq!(idle.get(LIST).await.status, StatusCode::SEE_OTHER, "idle for 30 minutes");
    busy.sign_in("owner@alpine.example", PASSWORD).await;
    for _ in 0..35 {
        console.advance(Duration::from_secs(20 * 60));
        assert_eq!(busy.get(LIST).await.status, StatusCode::OK);
    }
    console.advance(Duration::from_secs(20 * 60));
    assert_eq!(busy.get(LIST).await.status, StatusCode::SEE_OTHER, "12 hours after the sign-in");
}

#[tokio::test]
async fn signing_out_ends_the_session_everywhere_its_cookie_is() {
    let console = Console::start().await;
    let mut browser = console.owner().await;
    let mut copy = browser.clone();
    let answer = browser.post("/sign-out", &[]).await;
    assert_eq!(answer.location(), "/sign-in?done=signed-out");
    browser.get(answer.location()).await.says("You are signed out.");
    assert_eq!(copy.get(LIST).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_admin_gets_to_the_organization_hub_and_not_to_partner_pages() {
    let console = Console::start().await;
    let mut admin = console.signed_in("admin@nuvera.example").await;
    assert_eq!(admin.get("/").await.location(), "/organizations");
    admin.get("/organizations").await.says("Alpine Pay").says("Borealis Finance");
    assert_eq!(admin.get(LIST).await.status, StatusCode::FORBIDDEN);
    assert_eq!(admin.get(&format!("{LIST}/new")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(console.owner().await.get("/organizations").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_empty_field_is_named_and_the_rest_is_kept() {
    let console = Console::start().await;
    let answer = console.browser().sign_in("owner@alpine.example", "").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer.says("Enter your password.");
    assert!(answer.body.contains("owner@alpine.example"));
}
