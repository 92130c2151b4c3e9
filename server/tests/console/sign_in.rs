//! Signing in, session lifetime, and signing out.

use crate::support::{Browser, Console, Database, LIST, PASSWORD, PEM_A, PEOPLE};
use axum::http::StatusCode;
use std::time::Duration;

#[tokio::test]
async fn a_partner_signs_in_and_gets_to_the_page_they_asked_for() {
    let console = Console::start().await;
    let mut browser = console.browser();
    let wanted = format!("{LIST}/01900000-0000-7000-8000-000000000000/rename");
    let asked = browser.get(&wanted).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER);
    let page = browser.get(asked.location()).await;
    let next = page.hidden("next");
    assert_eq!(next, wanted);
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
    // With the wrong password the response does not reveal it.
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

/// Number of guesses that were checked; the others must have been throttled.
async fn judged(guesses: impl IntoIterator<Item = Browser>, email: &str) -> usize {
    let guesses = guesses.into_iter().map(async |mut browser| browser.sign_in(email, "wrong").await);
    let answers = futures::future::join_all(guesses).await;
    let (judged, others): (Vec<_>, Vec<_>) =
        answers.iter().map(|answer| answer.status).partition(|status| *status == StatusCode::UNPROCESSABLE_ENTITY);
    assert!(others.iter().all(|status| *status == StatusCode::TOO_MANY_REQUESTS), "{others:?}");
    judged.len()
}

fn from(console: &Console, address: impl ToString) -> Browser {
    let mut browser = console.browser();
    browser.address = address.to_string();
    browser
}

#[tokio::test]
async fn of_many_guesses_at_once_no_more_are_judged_than_of_many_after_another() {
    for database in Database::all().await {
        println!("on {}", database.engine);
        let console = Console::start_on(database).await;
        let one_account = (0..30).map(|_| console.browser());
        assert_eq!(judged(one_account, "owner@alpine.example").await, 5);
        // Addresses in one subscriber's network count as one (RFC 4291, section 2.5.1: its prefix has 64 bits).
        let one_network = (0..30).map(|host| from(&console, format!("2001:db8::{host:x}")));
        assert_eq!(judged(one_network, "owner@alpine.example").await, 5);
        let other_network = from(&console, "2001:db8:0:1::1");
        assert_eq!(judged([other_network], "owner@alpine.example").await, 1);
        // Successful sign-ins do not count as failures, even many at once from one address.
        let signed_in =
            (0..5).map(|_| async { from(&console, "192.0.2.9").sign_in("owner@alpine.example", PASSWORD).await });
        for answer in futures::future::join_all(signed_in).await {
            assert_eq!(answer.status, StatusCode::SEE_OTHER);
        }
        for _ in 0..5 {
            assert_eq!(judged([from(&console, "192.0.2.9")], "owner@alpine.example").await, 1);
        }
        assert_eq!(judged([from(&console, "192.0.2.9")], "owner@alpine.example").await, 0);
    }
}

#[tokio::test]
async fn strangers_who_guess_from_everywhere_do_not_keep_the_owner_out() {
    let console = Console::start().await;
    let mut known = console.owner().await;
    known.post("/sign-out", &[]).await;
    for network in 0..20 {
        let guesses = (0..5).map(|_| from(&console, format!("198.51.100.{network}")));
        assert_eq!(judged(guesses, "owner@alpine.example").await, 5);
    }
    let mut unknown = from(&console, "192.0.2.1");
    assert_eq!(unknown.sign_in("owner@alpine.example", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    let mut developer = from(&console, "192.0.2.1");
    assert_eq!(developer.sign_in("developer@alpine.example", PASSWORD).await.status, StatusCode::SEE_OTHER);
    // The browser that the owner has signed in with before, whatever its address.
    known.address = "192.0.2.1".into();
    assert_eq!(known.sign_in("owner@alpine.example", PASSWORD).await.status, StatusCode::SEE_OTHER);
    known.post("/sign-out", &[]).await;
    // A known browser allows neither unlimited guesses nor sign-ins to another account.
    let mut guesses = 0;
    // One after another, because at most four attempts per account are checked at a time.
    for _ in 0..8 {
        guesses += judged([known.clone()], "owner@alpine.example").await;
    }
    assert_eq!(guesses, 5);
    developer.post("/sign-out", &[]).await;
    assert_eq!(developer.sign_in("owner@alpine.example", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn what_a_stranger_sends_takes_little_room() {
    let console = Console::start().await;
    let long = format!("{}@alpine.example", "a".repeat(100_000));
    let refused = console.browser().sign_in(&long, "wrong").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.says("do not belong together");
    let mut conn = console.store.read().await.unwrap();
    let longest = sqlx::query("SELECT MAX(LENGTH(subject)) AS longest, COUNT(*) AS subjects FROM sign_in_failures");
    let row = longest.fetch_one(&mut *conn).await.unwrap();
    let (longest, subjects): (i64, i64) = (sqlx::Row::get(&row, "longest"), sqlx::Row::get(&row, "subjects"));
    assert!(longest < 400 && subjects > 0, "{longest} characters, {subjects} subjects");
    drop(conn);
    let longer = format!("{}@alpine.example", "a".repeat(300_000));
    for (path, words) in [("/sign-in", "do not belong together"), ("/invitation", ""), ("/reset-password", "")] {
        let answer = console.browser().post(path, &[("email", &longer), ("password", "x"), ("token", &longer)]).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
        answer.says(words);
        assert!(!answer.body.contains("aaaaaaaa"), "{path}: it is not sent back");
    }
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
    answer.leads_to("/sign-in", "signed-out");
    browser.get(answer.location()).await.says("You are signed out.");
    assert_eq!(copy.get(LIST).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_admin_gets_to_the_organization_hub_and_not_to_partner_pages() {
    let console = Console::start().await;
    let mut admin = console.browser();
    let signed_in = console.signs_in(&mut admin, "admin@nuvera.example").await;
    assert_eq!(signed_in.location(), "/organizations");
    admin.get("/organizations").await.says("Alpine Pay").says("Borealis Finance").says("Nuvera’s people");
    for path in ["/".to_owned(), LIST.to_owned(), format!("{LIST}/new"), PEOPLE.to_owned()] {
        let asked = admin.get(&path).await.location().to_owned();
        assert!(asked.starts_with("/sign-in?next="), "{path}: {asked}");
    }
    let mut owner = console.owner().await;
    for path in ["/organizations", "/organizations/people", "/organizations/audit", "/organizations/nowhere"] {
        let asked = owner.get(path).await;
        let to_door =
            asked.status == StatusCode::SEE_OTHER && asked.location().starts_with("/organizations/sign-in?next=");
        assert!(to_door || asked.status == StatusCode::NOT_FOUND, "{path}: {}", asked.status);
    }
    assert_eq!(owner.get(LIST).await.status, StatusCode::OK, "the control");
}

#[tokio::test]
async fn an_empty_field_is_named_and_the_rest_is_kept() {
    let console = Console::start().await;
    let answer = console.browser().sign_in("owner@alpine.example", "").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer.says("Enter your password.");
    assert!(answer.body.contains("owner@alpine.example"));
}

#[tokio::test]
async fn a_form_that_was_filled_in_while_the_session_ended_is_found_again() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}/rename");
    let version = owner.get(&path).await.hidden("version");
    console.advance(Duration::from_secs(31 * 60));
    let sent = owner.post(&path, &[("version", &version), ("name", "Ledger & <sons>")]).await;
    assert_eq!(sent.status, StatusCode::FORBIDDEN);
    sent.says("You were signed out before this was sent");
    assert_eq!(console.application(&id).await.name.as_str(), "Ledger");

    let (next, unsent) = (sent.hidden("next"), sent.hidden("unsent").replace("&amp;", "&"));
    assert_eq!(next, path);
    let fields = [("email", "owner@alpine.example"), ("next", &*next), ("unsent", &*unsent)];
    let wrong = owner.post("/sign-in", &[&fields[..], &[("password", "wrong")]].concat()).await;
    assert_eq!(wrong.hidden("unsent").replace("&amp;", "&"), unsent, "it waits through a typing error");
    let right = owner.post("/sign-in", &[&fields[..], &[("password", PASSWORD)]].concat()).await;
    assert_eq!(right.location(), path);
    let form = owner.get(&path).await;
    assert_eq!(form.hidden("name"), "Ledger &amp; &lt;sons&gt;");
    form.says("You were signed out before this form was sent");
    // The form is shown once, and can be submitted.
    assert_eq!(owner.get(&path).await.hidden("name"), "Ledger");
    let renamed = owner.post(&path, &[("version", &form.hidden("version")), ("name", "Ledger & <sons>")]).await;
    assert_eq!(renamed.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_form_that_waits_for_a_sign_in_holds_no_secret_and_serves_its_own_page_only() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let private = "-----BEGIN PRIVATE KEY-----\nMIIEcanary\n-----END PRIVATE KEY-----";
    let fields = [("name", "Ledger"), ("public_key", private)];
    let path = format!("{LIST}/new");
    let sent = console.browser().post(&path, &fields).await;
    sent.says("You were signed out before this was sent");
    assert!(!sent.body.contains("canary"), "{}", sent.body);
    let unsent = sent.hidden("unsent").replace("&amp;", "&");
    owner.post("/sign-out", &[]).await;
    let fields = [("email", "owner@alpine.example"), ("password", PASSWORD), ("next", &path), ("unsent", &unsent)];
    assert_eq!(owner.post("/sign-in", &fields).await.location(), path);
    assert!(!owner.get(LIST).await.text().contains("You were signed out"), "another page");
    assert!(!owner.get(&path).await.body.contains("value=\"Ledger\""), "and then it is forgotten");
    // A GET on a POST-only route redirects to the application.
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let key = console.application(&id).await.api_keys[0].id;
    let answer = owner.get(&format!("{LIST}/{id}/api-keys/{key}/stored")).await;
    assert_eq!(answer.location(), format!("{LIST}/{id}"));
}
