//! Two users change one application at the same time: one succeeds, the other is told what happened.

use crate::support::{Answer, Browser, Console, LIST, PEM_A, PEM_B};
use axum::http::StatusCode;
use std::{collections::HashMap, time::Duration};

/// A change by one of the two, from a form that they opened before the other user submitted theirs.
struct Move {
    browser: Browser,
    path: String,
    fields: Vec<(&'static str, String)>,
}

impl Move {
    async fn open(mut browser: Browser, path: String, fields: &[(&'static str, &str)]) -> Self {
        let version = browser.get(&path).await.hidden("version");
        let mut fields: Vec<_> = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        fields.push(("version", version));
        Self { browser, path, fields }
    }

    async fn send(mut self) -> Answer {
        let fields: Vec<_> = self.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.browser.post(&self.path, &fields).await
    }
}

fn went_through(answer: &Answer) -> bool {
    matches!(answer.status, StatusCode::OK | StatusCode::SEE_OTHER)
}

/// Asserts what must hold after any race: each change has its audit events, and the gateway judges each key as the
/// database does.
async fn assert_consistent(console: &Console, id: &str, keys: &HashMap<String, String>) {
    let application = console.application(id).await;
    let now = console.clock.now();
    for key in &application.api_keys {
        let Some(text) = keys.get(key.prefix.as_str()) else { continue };
        let expected = match (application.is_enabled(), key.status(now).is_live()) {
            (_, false) => "revoked_api_key",
            (false, true) => "application_disabled",
            // The key is valid; the text sent as a token is not.
            (true, true) => "malformed_token",
        };
        assert_eq!(console.gateway_says(text).await, expected, "{}", key.prefix);
    }
}

/// Races two forms in several rounds, both opened before either is submitted.
async fn race(
    setup: impl AsyncFn(&Console, &str),
    first: (&str, &str, &[(&'static str, &str)]),
    second: (&str, &str, &[(&'static str, &str)]),
    is_stop: bool,
) {
    for round in 0..6 {
        let console = Console::start().await;
        let mut owner = console.owner().await;
        let (id, key) = owner.create("Ledger", PEM_A).await;
        setup(&console, &id).await;
        let mut keys = HashMap::from([(key[..12].to_owned(), key)]);
        let key_id = console.application(&id).await.api_keys[0].id.to_string();
        let before = console.application(&id).await;
        let mut moves = Vec::new();
        for (who, action, fields) in [first, second] {
            let base = if who == "admin@nuvera.example" { console.in_hub(&id) } else { format!("{LIST}/{id}") };
            let path = format!("{base}{}", action.replace("{key}", &key_id));
            moves.push(Move::open(console.signed_in(who).await, path, fields).await);
        }
        if round % 2 == 1 {
            moves.reverse();
        }
        let events = console.events(&id).await.len();
        let [a, b] = <[Move; 2]>::try_from(moves).ok().unwrap();
        let (a, b) = tokio::join!(tokio::spawn(a.send()), tokio::spawn(b.send()));
        let answers = [a.unwrap(), b.unwrap()];
        let won = answers.iter().filter(|answer| went_through(answer)).count();
        // A stop always succeeds; of two other changes exactly one does.
        assert!(if is_stop { won >= 1 } else { won == 1 }, "{:?}", answers.each_ref().map(|a| (a.status, a.text())));
        for answer in &answers {
            for key in answer.keys() {
                keys.insert(key[..12].to_owned(), key);
            }
            if !went_through(answer) {
                assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text());
                assert!(answer.keys().is_empty());
                let text = answer.text();
                let told = ["Somebody changed this application", "You already", "already disabled"];
                assert!(told.iter().any(|words| text.contains(words)), "{text}");
            }
        }
        let after = console.application(&id).await;
        assert_eq!(after.version, before.version + won as i64);
        assert!(console.events(&id).await.len() > events);
        assert!(after.api_keys.len() <= before.api_keys.len() + 1);
        assert_consistent(&console, &id, &keys).await;
    }
}

const OWNER: &str = "owner@alpine.example";
const DEVELOPER: &str = "developer@alpine.example";
const ADMIN: &str = "admin@nuvera.example";

async fn nothing(_: &Console, _: &str) {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_rotations() {
    let rotate: &[(&'static str, &str)] = &[("grace", "3600")];
    race(nothing, (OWNER, "/replace-api-key", rotate), (DEVELOPER, "/replace-api-key", rotate), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_against_a_revocation() {
    let revoke: &[(&'static str, &str)] = &[("confirm_name", "Ledger"), ("reason", "exposed"), ("ticket", "SUP-1")];
    let rotate = (OWNER, "/replace-api-key", &[("grace", "3600")] as &[_]);
    race(nothing, rotate, (ADMIN, "/api-keys/{key}/revoke", revoke), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_against_a_signing_key_replacement() {
    let replace: &[(&'static str, &str)] = &[("public_key", PEM_B), ("overlap", "none")];
    let stop: &[(&'static str, &str)] = &[("reason", "incident")];
    race(nothing, (ADMIN, "/disable", stop), (OWNER, "/replace-signing-key", replace), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stops() {
    let stop: &[(&'static str, &str)] = &[("reason", "incident")];
    // A stop by the partner is recorded next to Nuvera's.
    race(nothing, (ADMIN, "/disable", stop), (OWNER, "/disable", stop), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_against_its_withdrawal() {
    let prepared = async |console: &Console, id: &str| {
        let path = format!("{}/prepare-replacement", console.in_hub(id));
        let answer =
            console.admin().await.submit(&path, &[("grace", "none"), ("reason", "lost"), ("ticket", "SUP-1")]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
    };
    let withdraw: &[(&'static str, &str)] = &[("reason", "a mistake"), ("ticket", "SUP-1")];
    race(prepared, (OWNER, "/claim-replacement", &[]), (ADMIN, "/withdraw-replacement", withdraw), false).await;
}

/// Sets up a change that Nuvera has proposed to a partner who requires confirmation.
async fn proposed(console: &Console, id: &str) {
    let policy = format!("{LIST}/security-policy");
    let fields = [("second_factor", "optional"), ("nuvera_changes", "confirmed")];
    assert_eq!(console.owner().await.submit(&policy, &fields).await.status, StatusCode::SEE_OTHER);
    let path = format!("{}/permissions", console.in_hub(id));
    let fields = [("permissions", "CUSTOMERS_READ"), ("reason", "asked for"), ("ticket", "SUP-1")];
    let answer = console.admin().await.submit(&path, &fields).await;
    assert_eq!(answer.notice(), Some("change-proposed"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmation_against_the_withdrawal_of_what_was_proposed() {
    let withdraw: &[(&'static str, &str)] = &[("reason", "a mistake"), ("ticket", "SUP-1")];
    race(proposed, (OWNER, "/confirm-change", &[]), (ADMIN, "/withdraw-change", withdraw), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_confirmations_of_one_proposal() {
    race(proposed, (OWNER, "/confirm-change", &[]), (DEVELOPER, "/confirm-change", &[]), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmation_against_a_stop() {
    let stop: &[(&'static str, &str)] = &[("reason", "incident")];
    race(proposed, (OWNER, "/confirm-change", &[]), (ADMIN, "/disable", stop), true).await;
}

/// A second click cancels the first request's connection; so does a phone that loses its network.
#[tokio::test]
async fn what_somebody_began_is_done_to_its_end_when_they_are_gone() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}/disable");
    let version = owner.get(&path).await.hidden("version");
    owner.post_and_leave(&path, &[("reason", "incident"), ("version", &version)]);
    let stopped = async {
        while console.application(&id).await.is_enabled() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), stopped).await.expect("the application is disabled");
    // The change lock is released once the gateway has been updated.
    console.backend.settle().await.unwrap();
    assert_eq!(console.gateway_says(&key).await, "application_disabled");
}

#[tokio::test]
async fn a_stale_page_says_what_happened_meanwhile_and_shows_how_things_are() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    owner.submit(&format!("{LIST}/{id}/replace-api-key"), &[("grace", "3600")]).await;
    let key = console.application(&id).await.api_keys[1].clone();
    let path = format!("{LIST}/{id}/api-keys/{}/deadline", key.id);
    let version = owner.get(&path).await.hidden("version");
    let mut colleague = console.signed_in("developer@alpine.example").await;
    colleague.submit(&format!("{LIST}/{id}/api-keys/{}/revoke", key.id), &[]).await;
    let stale = owner.post(&path, &[("deadline", "2026-11-23T18:00:00"), ("version", &version)]).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    stale.says(&format!("API key revoked ({}) by Deniz Demir", key.prefix));
    stale.says("revoked");
}
