//! Passkeys: registration, use, rejection and removal.

use crate::{
    authenticator::{Device, options},
    support::{Answer, Browser, Console, LIST, ORIGIN, PASSWORD, PEOPLE, SECOND_FACTOR},
};
use axum::http::StatusCode;
use domain::audit::{AuditFilter, AuditScope};
use std::{mem, time::Duration};

const NEW: &str = "/settings/account/passkeys/new";
const ACCOUNT: &str = "/settings/account";
const SIGN_IN: &str = "/sign-in/passkey";
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const TEN_MINUTES: Duration = Duration::from_secs(600);

/// Adds a passkey through its page.
pub async fn add(browser: &mut Browser, name: &str) -> Device {
    let page = browser.get(NEW).await;
    let (device, answer) = Device::make(&page);
    let added = send_new(browser, &page, name, &answer).await;
    assert_added(&added);
    device
}

/// Asserts that a passkey was added: a user's first second factor comes with recovery codes.
fn assert_added(added: &Answer) {
    let has_codes = added.status == StatusCode::OK && added.text().contains("Store your recovery codes now");
    assert!(has_codes || added.notice() == Some("passkey-added"), "{}", added.text());
}

async fn send_new(browser: &mut Browser, page: &Answer, name: &str, answer: &str) -> Answer {
    let challenge = page.hidden("passkey_challenge");
    browser.post(NEW, &[("name", name), ("passkey_challenge", &challenge), ("passkey", answer)]).await
}

/// Signs in with a passkey alone.
pub async fn sign_in(browser: &mut Browser, device: &mut Device) -> Answer {
    let page = browser.get(SIGN_IN).await;
    let answer = device.prove(&page);
    send(browser, SIGN_IN, &page, &answer).await
}

async fn send(browser: &mut Browser, path: &str, page: &Answer, answer: &str) -> Answer {
    browser.post(path, &[("passkey_challenge", &page.hidden("passkey_challenge")), ("passkey", answer)]).await
}

/// Asserts that the sign-in was rejected, and that the page gives the reason.
async fn refused(browser: &mut Browser, answer: &Answer, words: &str) {
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text());
    answer.says(words);
    assert_eq!(browser.get(LIST).await.status, StatusCode::SEE_OTHER, "nobody is signed in");
}

/// Alpine Pay's audit history, the newest first: codes, and the values before and after.
async fn history(console: &Console) -> Vec<(String, Option<String>, Option<String>)> {
    let mut conn = console.store.read().await.unwrap();
    let scope = AuditScope::Organization(console.alpine);
    let events = server::store::audit::events(&mut conn, scope, AuditFilter::default(), i64::MAX, 1000).await.unwrap();
    let told = |event: domain::audit::AuditEvent| (event.action.code().to_owned(), event.before, event.after);
    events.into_iter().map(|recorded| told(recorded.event)).collect()
}

#[tokio::test]
async fn a_passkey_is_added_signs_in_by_itself_and_is_on_record() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    owner.get(ACCOUNT).await.says("You have none yet.");
    let mut device = add(&mut owner, "Laptop <b>").await;
    owner.get(ACCOUNT).await.says("Laptop <b>").says("Not yet");
    let history = history(&console).await;
    assert_eq!(history[0], ("passkey.added".to_owned(), None, Some("Passkey “Laptop <b>”".to_owned())));
    console.letters_about("A passkey was added to your Nuvera account", 1).await;

    console.advance(Duration::from_secs(60));
    let mut other = console.browser();
    let page = other.get("/sign-in").await;
    page.says("Sign in with a passkey");
    assert!(!page.body.contains("<script"), "the sign-in page itself stays without scripts");
    let before = other.cookies.clone();
    let answer = sign_in(&mut other, &mut device).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, LIST));
    assert_ne!(other.cookies, before);
    other.get(LIST).await.says("Olivia Okafor");
    assert!(!other.get(ACCOUNT).await.text().contains("Not yet"), "its use is on the page");
    // Signing in counts as a fresh proof of identity.
    assert_eq!(other.get(&format!("{LIST}/new")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_a_browser_is_asked_for_is_what_is_needed() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let device = add(&mut owner, "Laptop").await;
    let page = owner.get(NEW).await;
    let asked = options(&page);
    assert_eq!(asked["rp"]["id"], "localhost");
    assert_eq!(asked["user"]["name"], "owner@alpine.example");
    assert_eq!(asked["authenticatorSelection"]["userVerification"], "required");
    assert_eq!(asked["authenticatorSelection"]["residentKey"], "preferred");
    assert_eq!(asked["excludeCredentials"].as_array().unwrap().len(), 1, "the ones that they have");
    let policy = page.header("permissions-policy");
    assert!(policy.contains("publickey-credentials-get=(self)"), "{policy}");
    assert!(policy.contains("publickey-credentials-create=(self)"), "{policy}");
    assert!(page.header("content-security-policy").contains("'wasm-unsafe-eval'"));

    let asked = options(&console.browser().get(SIGN_IN).await);
    assert_eq!((&asked["rpId"], &asked["userVerification"]), (&"localhost".into(), &"required".into()));
    assert_eq!(asked["allowCredentials"].as_array().unwrap().len(), 0, "nobody is named before they have signed in");
    drop(device);
}

#[tokio::test]
async fn a_passkey_is_added_after_a_fresh_proof_only() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let page = owner.get(NEW).await;
    let (_, answer) = Device::make(&page);
    console.advance(TEN_MINUTES);
    assert!(owner.get(NEW).await.location().starts_with("/confirm?next="));
    let sent = send_new(&mut owner, &page, "Laptop", &answer).await;
    assert_eq!(sent.status, StatusCode::FORBIDDEN);
    sent.says("Confirm that it is you");
    owner.get(ACCOUNT).await.says("You have none yet.");
}

#[tokio::test]
async fn a_passkey_has_a_name_of_its_own_and_is_added_once() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let page = owner.get(NEW).await;
    let (device, answer) = Device::make(&page);
    send_new(&mut owner, &page, " ", &answer).await.says("Enter a name for the passkey.");
    let added = send_new(&mut owner, &page, "Laptop", &answer).await;
    assert_added(&added);
    let again = send_new(&mut owner, &page, "Twice", &answer).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    again.says("was sent before");

    let page = owner.get(NEW).await;
    let (_, other) = Device::make(&page);
    send_new(&mut owner, &page, "Laptop", &other).await.says("You have another passkey of this name.");
    // The same passkey again, for the same user and for another one.
    let page = owner.get(NEW).await;
    let same = device.attest(&options(&page));
    send_new(&mut owner, &page, "Phone", &same).await.says("This passkey is registered already.");
    let mut developer = console.signed_in("developer@alpine.example").await;
    let page = developer.get(NEW).await;
    let same = device.attest(&options(&page));
    send_new(&mut developer, &page, "Phone", &same).await.says("This passkey is registered already.");
    developer.get(ACCOUNT).await.says("You have none yet.");
}

#[tokio::test]
async fn a_passkey_that_does_not_check_its_owner_or_was_made_elsewhere_is_not_added() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    for (spoil, words) in [
        ((|device: &mut Device| device.verifies = false) as fn(&mut Device), "did not check that it is you"),
        (|device| device.origin = "https://evil.example".into(), "could not be verified"),
        (|device| device.relying_party = "evil.example".into(), "could not be verified"),
    ] {
        let page = owner.get(NEW).await;
        let (mut device, _) = Device::make(&page);
        spoil(&mut device);
        let answer = device.attest(&options(&page));
        let sent = send_new(&mut owner, &page, "Laptop", &answer).await;
        assert_eq!(sent.status, StatusCode::UNPROCESSABLE_ENTITY);
        sent.says(words);
    }
    for nonsense in ["{}", "null", "x", ""] {
        let page = owner.get(NEW).await;
        let sent = send_new(&mut owner, &page, "Laptop", nonsense).await;
        assert_eq!(sent.status, StatusCode::UNPROCESSABLE_ENTITY, "{nonsense}");
    }
    owner.get(ACCOUNT).await.says("You have none yet.");
}

#[tokio::test]
async fn an_answer_counts_once_here_within_five_minutes_and_to_what_was_asked() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let mut device = add(&mut owner, "Laptop").await;
    let mut browser = console.browser();
    let page = browser.get(SIGN_IN).await;
    let answer = device.prove(&page);
    let mut thief = console.browser();
    assert_eq!(send(&mut browser, SIGN_IN, &page, &answer).await.status, StatusCode::SEE_OTHER);
    let replayed = send(&mut thief, SIGN_IN, &page, &answer).await;
    refused(&mut thief, &replayed, "was sent before").await;

    let later = thief.get(SIGN_IN).await;
    let answer = device.prove(&later);
    console.advance(FIVE_MINUTES - Duration::from_millis(1));
    let in_time = thief.get(SIGN_IN).await;
    let other_challenge = send(&mut thief, SIGN_IN, &in_time, &answer).await;
    refused(&mut thief, &other_challenge, "could not be verified").await;
    console.advance(Duration::from_millis(1));
    let late = send(&mut thief, SIGN_IN, &later, &answer).await;
    refused(&mut thief, &late, "was open for too long").await;

    // The control: one millisecond before the deadline it is accepted, so the rejection above was due to the time.
    let page = thief.get(SIGN_IN).await;
    let answer = device.prove(&page);
    console.advance(FIVE_MINUTES - Duration::from_millis(1));
    assert_eq!(send(&mut thief, SIGN_IN, &page, &answer).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn of_the_same_answer_sent_at_the_same_time_one_counts() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let mut device = add(&mut owner, "Laptop").await;
    let page = console.browser().get(SIGN_IN).await;
    let answer = device.prove(&page);
    let attempts = (0..8).map(|_| {
        let (mut browser, page, answer) = (console.browser(), &page, &answer);
        async move { send(&mut browser, SIGN_IN, page, answer).await.status }
    });
    let statuses = futures::future::join_all(attempts).await;
    let accepted = statuses.iter().filter(|status| **status == StatusCode::SEE_OTHER).count();
    assert_eq!(accepted, 1, "{statuses:?}");
}

#[tokio::test]
async fn an_answer_from_elsewhere_by_nobody_or_with_another_key_signs_nobody_in() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let mut device = add(&mut owner, "Laptop").await;
    let mut other = add(&mut console.signed_in("developer@alpine.example").await, "Phone").await;
    let mut browser = console.browser();
    for elsewhere in ["https://evil.example", "http://localhost:3001", "https://localhost:3000"] {
        device.origin = elsewhere.to_owned();
        let answer = sign_in(&mut browser, &mut device).await;
        refused(&mut browser, &answer, "could not be verified").await;
    }
    device.origin = ORIGIN.to_owned();
    device.relying_party = "evil.example".to_owned();
    let answer = sign_in(&mut browser, &mut device).await;
    refused(&mut browser, &answer, "could not be verified").await;
    device.relying_party = "localhost".to_owned();
    device.verifies = false;
    let answer = sign_in(&mut browser, &mut device).await;
    refused(&mut browser, &answer, "did not check that it is you").await;
    // Another user's handle with the attacker's own passkey, then also with the victim's credential id, then that id
    // alone.
    let own = mem::replace(&mut other.user, device.user.clone());
    let answer = sign_in(&mut browser, &mut other).await;
    refused(&mut browser, &answer, "could not be verified").await;
    other.credential_id = device.credential_id.clone();
    let answer = sign_in(&mut browser, &mut other).await;
    refused(&mut browser, &answer, "could not be verified").await;
    other.user = own;
    let answer = sign_in(&mut browser, &mut other).await;
    refused(&mut browser, &answer, "could not be verified").await;
    for nonsense in ["{}", "null", "x"] {
        let page = browser.get(SIGN_IN).await;
        let answer = send(&mut browser, SIGN_IN, &page, nonsense).await;
        refused(&mut browser, &answer, "nothing that could be read").await;
    }
    // The control: the unmodified device signs in, so the rejections above were due to what was modified.
    device.verifies = true;
    assert_eq!(sign_in(&mut browser, &mut device).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_passkey_that_counts_backwards_is_refused_from_then_on_and_on_record() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let mut device = add(&mut owner, "Laptop").await;
    device.counter = 41;
    assert_eq!(sign_in(&mut console.browser(), &mut device).await.status, StatusCode::SEE_OTHER);
    // The copy dates from before that.
    device.counter = 7;
    let mut thief = console.browser();
    let answer = sign_in(&mut thief, &mut device).await;
    refused(&mut thief, &answer, "A copy of this passkey may be in use").await;
    let history = history(&console).await;
    assert_eq!(history[0].0, "passkey.suspected");
    owner.get(ACCOUNT).await.says("No longer accepted");
    // A copy with a higher counter is rejected as well.
    device.counter = 1000;
    let answer = sign_in(&mut thief, &mut device).await;
    refused(&mut thief, &answer, "A copy of this passkey may be in use").await;
    let suspicions = self::history(&console).await.iter().filter(|(code, ..)| code == "passkey.suspected").count();
    assert_eq!(suspicions, 1, "once on record");
}

#[tokio::test]
async fn a_device_that_does_not_count_is_no_copy() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let page = owner.get(NEW).await;
    let (mut device, _) = Device::make(&page);
    device.counter = 0;
    let answer = device.attest(&options(&page));
    send_new(&mut owner, &page, "Phone", &answer).await;
    for _ in 0..3 {
        assert_eq!(sign_in(&mut console.browser(), &mut device).await.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn a_removed_passkey_signs_nobody_in() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let mut device = add(&mut owner, "Laptop").await;
    // The list is in the order of registration.
    console.advance(Duration::from_secs(1));
    let mut kept = add(&mut owner, "Phone").await;
    let remove = link(&owner.get(ACCOUNT).await, "/remove");
    console.advance(TEN_MINUTES);
    assert!(owner.get(&remove).await.location().starts_with("/confirm?next="), "a fresh proof is needed");
    assert_eq!(owner.post(&remove, &[]).await.status, StatusCode::FORBIDDEN);
    let mut owner = console.browser();
    sign_in(&mut owner, &mut kept).await;
    owner.get(&remove).await.says("Laptop");
    let removed = owner.post(&remove, &[]).await;
    assert_eq!(removed.notice(), Some("passkey-removed"), "{}", removed.text());
    assert_eq!(history(&console).await[0].0, "passkey.removed");
    console.letters_about("A passkey of your Nuvera account was removed", 1).await;
    let mut browser = console.browser();
    let answer = sign_in(&mut browser, &mut device).await;
    refused(&mut browser, &answer, "not known here").await;
    assert_eq!(sign_in(&mut browser, &mut kept).await.status, StatusCode::SEE_OTHER);
    assert_eq!(owner.post(&remove, &[]).await.status, StatusCode::NOT_FOUND);
}

/// The first link on the page that ends with `end`.
fn link(page: &Answer, end: &str) -> String {
    let links = page.body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links.filter(|link| link.ends_with(end)).map(str::to_owned).next().unwrap_or_else(|| panic!("{}", page.text()))
}

#[tokio::test]
async fn nobody_removes_somebody_elses_passkey() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let mut device = add(&mut owner, "Laptop").await;
    let remove = link(&owner.get(ACCOUNT).await, "/remove");
    for somebody in ["developer@alpine.example", "owner@borealis.example"] {
        let mut somebody = console.signed_in(somebody).await;
        assert_eq!(somebody.get(&remove).await.status, StatusCode::NOT_FOUND);
        assert_eq!(somebody.post(&remove, &[]).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(sign_in(&mut console.browser(), &mut device).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn whoever_was_removed_signs_in_with_nothing() {
    let console = Console::start().await;
    let mut developer = console.signed_in("developer@alpine.example").await;
    let mut device = add(&mut developer, "Laptop").await;
    assert_eq!(sign_in(&mut console.browser(), &mut device).await.status, StatusCode::SEE_OTHER);
    let owner = console.owner_actor().await;
    let developer = console.actor("developer@alpine.example").await;
    console.backend.remove_person(&owner, console.alpine, developer.user_id).await.unwrap();
    let mut browser = console.browser();
    let answer = sign_in(&mut browser, &mut device).await;
    refused(&mut browser, &answer, "not known here").await;
}

#[tokio::test]
async fn a_form_that_waits_for_a_sign_in_waits_for_a_passkey_too() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let mut device = add(&mut owner, "Laptop").await;
    let form = format!("{LIST}/new");
    let mut browser = console.browser();
    let waiting = browser.post(&form, &[("name", "Ledger")]).await;
    assert_eq!(waiting.status, StatusCode::FORBIDDEN);
    let unsent = waiting.hidden("unsent").replace("&amp;", "&");
    let page = browser.post(SIGN_IN, &[("next", &form), ("unsent", &unsent)]).await;
    assert_eq!(page.status, StatusCode::OK);
    let answer = device.prove(&page);
    let fields = [
        ("next", &*form),
        ("unsent", &*unsent),
        ("passkey_challenge", &*page.hidden("passkey_challenge")),
        ("passkey", &*answer),
    ];
    assert_eq!(browser.post(SIGN_IN, &fields).await.location(), form);
    browser.get(&form).await.says("You were signed out before this form was sent");
    let elsewhere = console.browser().get("/sign-in/passkey?next=https://evil.example").await;
    let mut browser = console.browser();
    let answer = device.prove(&elsewhere);
    let fields = [
        ("next", "https://evil.example"),
        ("passkey_challenge", &*elsewhere.hidden("passkey_challenge")),
        ("passkey", &*answer),
    ];
    assert_eq!(browser.post(SIGN_IN, &fields).await.location(), LIST);
}

#[tokio::test]
async fn a_passkey_is_a_second_factor_and_a_fresh_proof_where_a_password_is_none() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let mut device = add(&mut owner, "Laptop").await;
    let mut browser = console.browser();
    let asked = browser.sign_in("owner@alpine.example", PASSWORD).await;
    assert_eq!(asked.location(), SECOND_FACTOR);
    assert_eq!(browser.get(LIST).await.status, StatusCode::SEE_OTHER, "the password alone signs nobody in");
    let page = browser.get(SECOND_FACTOR).await;
    page.says("Use a passkey").says("Recovery code");
    assert_eq!(options(&page)["allowCredentials"].as_array().unwrap().len(), 1, "theirs");
    let wrong = browser.post(SECOND_FACTOR, &[("code", "123456")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "there is no app");
    let answer = device.prove(&page);
    assert_eq!(send(&mut browser, SECOND_FACTOR, &page, &answer).await.status, StatusCode::SEE_OTHER);
    browser.get(LIST).await.says("Olivia Okafor");

    console.advance(TEN_MINUTES);
    let confirm = browser.get(NEW).await.location().to_owned();
    let page = browser.get(&confirm).await;
    let password = browser.post("/confirm", &[("password", PASSWORD), ("next", NEW)]).await;
    assert_eq!(password.status, StatusCode::UNPROCESSABLE_ENTITY, "a password is no proof of whoever has more");
    let answer = device.prove(&page);
    let fields = [("passkey_challenge", &*page.hidden("passkey_challenge")), ("passkey", &*answer), ("next", NEW)];
    let before = browser.cookies.clone();
    let replay = fields;
    assert_eq!(browser.post("/confirm", &fields).await.location(), NEW);
    assert_ne!(browser.cookies, before, "the session has a new id");
    assert_eq!(browser.get(NEW).await.status, StatusCode::OK);
    console.advance(TEN_MINUTES);
    let replayed = browser.post("/confirm", &replay).await;
    assert_eq!(replayed.status, StatusCode::UNPROCESSABLE_ENTITY);
    replayed.says("was sent before");
}

#[tokio::test]
async fn somebody_elses_passkey_proves_nothing() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    add(&mut owner, "Laptop").await;
    let mut developers = add(&mut console.signed_in("developer@alpine.example").await, "Phone").await;
    let mut browser = console.browser();
    browser.sign_in("owner@alpine.example", PASSWORD).await;
    let page = browser.get(SECOND_FACTOR).await;
    let answer = developers.prove(&page);
    let answer = send(&mut browser, SECOND_FACTOR, &page, &answer).await;
    refused(&mut browser, &answer, "not known here").await;
    // Nor is a response to the challenge of the sign-in page, which is bound to no user.
    let elsewhere = console.browser().get(SIGN_IN).await;
    let answer = developers.prove(&elsewhere);
    let answer = send(&mut browser, SECOND_FACTOR, &elsewhere, &answer).await;
    refused(&mut browser, &answer, "was sent before").await;
    console.advance(TEN_MINUTES);
    let page = owner.get("/confirm?next=/").await;
    let answer = developers.prove(&page);
    let answer = send(&mut owner, "/confirm", &page, &answer).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(owner.get(NEW).await.status, StatusCode::SEE_OTHER, "nothing is proven");
}

#[tokio::test]
async fn recovery_codes_come_with_the_first_factor_and_go_with_the_last() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let page = owner.get(NEW).await;
    let (_, answer) = Device::make(&page);
    let added = send_new(&mut owner, &page, "Laptop", &answer).await;
    let shown = added.body.split("id=\"recovery-codes\"").nth(1).unwrap();
    let text = shown.split('>').nth(1).unwrap().split('<').next().unwrap();
    let codes: Vec<_> = text.split_whitespace().collect();
    assert_eq!(codes.len(), 10, "{text}");
    add(&mut owner, "Phone").await;
    owner.get(ACCOUNT).await.says("no passkey is at hand: 10");

    let mut browser = console.browser();
    browser.sign_in("owner@alpine.example", PASSWORD).await;
    assert_eq!(browser.post(SECOND_FACTOR, &[("code", codes[0])]).await.status, StatusCode::SEE_OTHER);
    browser.get(ACCOUNT).await.says("no passkey is at hand: 9");
    for _ in 0..2 {
        let remove = link(&browser.get(ACCOUNT).await, "/remove");
        assert_eq!(browser.post(&remove, &[]).await.notice(), Some("passkey-removed"));
    }
    let signed_in = console.browser().sign_in("owner@alpine.example", PASSWORD).await;
    assert_eq!(signed_in.location(), LIST, "the password is all that there is");
}

#[tokio::test]
async fn who_must_have_a_second_factor_has_it_with_a_passkey_and_keeps_the_last() {
    let console = Console::start().await;
    let mut admin = console.admin().await;
    let page = admin.get("/organizations/account/passkeys/new").await;
    let (mut device, answer) = Device::make(&page);
    let added = send_to(&mut admin, "/organizations/account/passkeys/new", &page, &answer).await;
    assert_added(&added);
    let removed = admin.post("/organizations/account/second-factor/remove", &[]).await;
    assert_eq!(removed.notice(), Some("app-removed"), "{}", removed.text());
    let remove = link(&admin.get("/organizations/account").await, "/remove");
    let kept = admin.post(&remove, &[]).await;
    assert_eq!(kept.status, StatusCode::CONFLICT);
    kept.says("You must have a second factor here.");
    let door = "/organizations/sign-in/passkey";
    let mut browser = console.browser();
    let page = browser.get(door).await;
    let answer = device.prove(&page);
    assert_eq!(send(&mut browser, door, &page, &answer).await.location(), "/organizations");
    browser.get("/organizations").await.says("Ada Admin");
    // The partners' sign-in page rejects it, as it does an admin's password.
    let mut elsewhere = console.browser();
    let answer = sign_in(&mut elsewhere, &mut device).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    answer.says("This is where partners sign in");
    assert_eq!(elsewhere.get(LIST).await.status, StatusCode::SEE_OTHER, "nobody is signed in");
}

async fn send_to(browser: &mut Browser, path: &str, page: &Answer, answer: &str) -> Answer {
    let challenge = page.hidden("passkey_challenge");
    browser.post(path, &[("name", "Laptop"), ("passkey_challenge", &challenge), ("passkey", answer)]).await
}

#[tokio::test]
async fn a_reset_takes_passkeys_along() {
    let console = Console::start().await;
    let mut developer = console.signed_in("developer@alpine.example").await;
    let mut device = add(&mut developer, "Laptop").await;
    let id = console.user_id("developer@alpine.example").await;
    let reset = console.owner().await.post(&format!("{PEOPLE}/{id}/reset-factor"), &[]).await;
    assert_eq!(reset.status, StatusCode::SEE_OTHER, "{}", reset.text());
    let mut browser = console.browser();
    let answer = sign_in(&mut browser, &mut device).await;
    refused(&mut browser, &answer, "not known here").await;
    assert_eq!(history(&console).await[0].1.as_deref(), Some("Passkeys"));
}
