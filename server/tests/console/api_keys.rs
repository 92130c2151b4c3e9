//! Rotation, confirmation and revocation of API keys, as seen in the console and at the gateway.

use crate::support::{Answer, Browser, Console, LIST, PEM_A, START};
use axum::http::StatusCode;
use domain::{api_key::ApiKeyStatus, time::Timestamp};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

async fn rotate(owner: &mut Browser, id: &str, grace: &str) -> Answer {
    owner.submit(&format!("{LIST}/{id}/replace-api-key"), &[("grace", grace)]).await
}

async fn statuses(console: &Console, id: &str) -> Vec<ApiKeyStatus> {
    let now = console.clock.now();
    console.application(id).await.api_keys.iter().map(|key| key.status(now)).collect()
}

#[tokio::test]
async fn a_form_that_was_sent_before_says_that_the_key_was_created() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}/replace-api-key");
    let version = owner.get(&path).await.hidden("version");
    let fields = [("grace", "86400"), ("version", &*version)];
    let first = owner.post(&path, &fields).await;
    let [key] = &*first.keys() else { panic!("{}", first.text()) };
    console.advance(Duration::from_secs(60));
    // Reloaded without scripts, or from the browser's history.
    let again = owner.post(&path, &fields).await;
    assert_eq!((again.status, again.keys().len()), (StatusCode::CONFLICT, 0));
    again.says("You already created this key").says(&format!("{}…{} of Ledger", &key[..12], &key[key.len() - 4..]));
    again.says("was created at 23 Nov 2026, 03:25:10 UTC").says("If you did not store it, replace it");
    assert_eq!(console.application(&id).await.api_keys.len(), 2, "no second key");
    let replace = format!("{LIST}/{id}/api-keys/{}/replace-unseen", console.application(&id).await.api_keys[0].id);
    assert!(again.body.contains(&replace), "{}", again.body);

    // Once it is confirmed as stored, no replacement is offered.
    let key_id = console.application(&id).await.api_keys[0].id;
    owner.post(&format!("{LIST}/{id}/api-keys/{key_id}/stored"), &[]).await;
    let stored = owner.post(&path, &fields).await;
    stored.says("You already created this key").says("It is confirmed as stored. Nothing is left to do.");
    assert!(!stored.body.contains("replace-unseen"));

    // A user who changed something else is told about that change; a colleague's change is reported as the colleague's.
    console.advance(Duration::from_secs(60));
    let version = owner.get(&path).await.hidden("version");
    let fields = [("grace", "86400"), ("version", &*version)];
    owner.submit(&format!("{LIST}/{id}/rename"), &[("name", "Books")]).await;
    let renamed = owner.post(&path, &fields).await;
    assert_eq!(renamed.status, StatusCode::CONFLICT);
    renamed.says("You already submitted this form, or changed this application in another tab: Application renamed");
    let mut colleague = console.signed_in("developer@alpine.example").await;
    colleague.submit(&path, &[("grace", "86400")]).await;
    let other = owner.post(&path, &fields).await;
    other.says("Somebody changed this application").says("by Deniz Demir");
}

#[tokio::test]
async fn a_replacement_with_grace_shows_the_new_key_once_and_lets_the_old_one_end() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, old) = owner.create("Ledger", PEM_A).await;
    let answer = rotate(&mut owner, &id, "3600").await;
    assert_eq!((answer.status, answer.keys().len()), (StatusCode::OK, 1));
    assert_ne!(answer.keys()[0], old);
    assert_eq!(answer.header("cache-control"), "no-store");
    let at = START.plus(HOUR);
    answer.says(&at.to_string());
    assert_eq!(statuses(&console, &id).await, [ApiKeyStatus::Active, ApiKeyStatus::Expiring { at }]);
    let new = &answer.keys()[0];
    assert_eq!(console.gateway_says(new).await, "malformed_token", "the new key works");
    assert_eq!(console.gateway_says(&old).await, "malformed_token", "the old key works still");
    console.advance(HOUR);
    assert_eq!(console.gateway_says(new).await, "malformed_token");
    assert_eq!(console.gateway_says(&old).await, "expired_api_key");
    assert_eq!(statuses(&console, &id).await, [ApiKeyStatus::Active, ApiKeyStatus::Expired { at }]);
    assert_eq!(console.events(&id).await[..2], ["api_key.expiring", "api_key.created"]);
}

#[tokio::test]
async fn a_grace_window_may_end_at_an_exact_time() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}/replace-api-key");
    let latest = START.plus(Duration::from_secs(30 * 24 * 3600));
    for (deadline, words) in [
        ("".to_owned(), "Enter a date and a time (UTC)".to_owned()),
        (START.input_value(), format!("Choose a time after now ({START})")),
        (latest.plus(Duration::from_secs(1)).input_value(), format!("Choose {latest} or earlier")),
    ] {
        let answer = owner.submit(&path, &[("grace", "until"), ("deadline", &deadline)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{deadline}");
        answer.says(&words);
        assert!(answer.body.contains(&format!("value=\"{deadline}\"")), "what was typed is kept");
    }
    let at = START.plus(Duration::from_secs(4_711));
    let answer = owner.submit(&path, &[("grace", "until"), ("deadline", &at.input_value())]).await;
    assert_eq!(answer.keys().len(), 1, "{}", answer.text());
    assert_eq!(statuses(&console, &id).await, [ApiKeyStatus::Active, ApiKeyStatus::Expiring { at }]);
}

#[tokio::test]
async fn sending_the_same_rotation_again_makes_no_second_key() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}/replace-api-key");
    let version = owner.get(&path).await.hidden("version");
    let fields = [("grace", "3600"), ("version", &*version)];
    assert_eq!(owner.post(&path, &fields).await.keys().len(), 1);
    let again = owner.post(&path, &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.keys().is_empty());
    assert_eq!(console.application(&id).await.api_keys.len(), 2);
}

#[tokio::test]
async fn an_exposed_key_stops_at_once() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, old) = owner.create("Ledger", PEM_A).await;
    rotate(&mut owner, &id, "86400").await;
    let path = format!("{LIST}/{id}/replace-exposed-api-key");
    let answer = owner.submit(&path, &[("reason", "key in a public repository")]).await;
    assert_eq!(answer.keys().len(), 1);
    assert_eq!(console.gateway_says(&old).await, "revoked_api_key");
    assert_eq!(console.gateway_says(&answer.keys()[0]).await, "malformed_token");
    let revoked = ApiKeyStatus::Revoked { at: START };
    assert_eq!(statuses(&console, &id).await, [ApiKeyStatus::Active, revoked, revoked]);
    owner.get(&format!("{LIST}/{id}/audit")).await.says("key in a public repository");
}

#[tokio::test]
async fn a_grace_window_is_chosen_and_bounded() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    for (grace, words) in [("", "Choose one of the times."), ("-1", "Choose one"), ("2592001", "at most 30 days")] {
        let answer = rotate(&mut owner, &id, grace).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        answer.says(words);
    }
    assert_eq!(console.application(&id).await.version, 1);
}

#[tokio::test]
async fn a_deadline_is_cut_short_extended_and_lifted() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    rotate(&mut owner, &id, "3600").await;
    let key = console.application(&id).await.api_keys[1].id;
    let path = format!("{LIST}/{id}/api-keys/{key}/deadline");
    let to = |at: Timestamp| at.input_value();
    for (deadline, words) in [
        ("soon".to_owned(), "Enter a date and a time"),
        (to(START), "Choose a time after now"),
        (to(START.plus(HOUR * 24 * 30 + Duration::from_secs(1))), "at most 30 days after its rotation"),
    ] {
        let answer = owner.submit(&path, &[("deadline", &deadline)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        answer.says(words);
        assert!(answer.body.contains(&deadline), "what was typed is kept");
    }
    for at in [START.plus(Duration::from_secs(60)), START.plus(HOUR * 24 * 30)] {
        let moved = owner.submit(&path, &[("deadline", &to(at))]).await;
        assert_eq!(moved.status, StatusCode::SEE_OTHER, "{}", moved.text());
        assert_eq!(statuses(&console, &id).await[1], ApiKeyStatus::Expiring { at });
    }
    let version = owner.get(&path).await.hidden("version");
    let kept = owner.post(&format!("{LIST}/{id}/api-keys/{key}/keep"), &[("version", &version)]).await;
    kept.leads_to(&format!("{LIST}/{id}"), "key-kept");
    assert_eq!(statuses(&console, &id).await[1], ApiKeyStatus::Active);
    let expected = ["api_key.kept", "api_key.deadline_moved", "api_key.deadline_moved"];
    assert_eq!(console.events(&id).await[..3], expected);
}

#[tokio::test]
async fn the_last_live_key_is_revoked_only_with_the_name_typed() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let key = console.application(&id).await.api_keys[0].id;
    let path = format!("{LIST}/{id}/api-keys/{key}/revoke");
    owner.submit(&path, &[("confirm_name", "ledger")]).await.says("Type the application's name, Ledger");
    let revoked = owner.submit(&path, &[("confirm_name", "Ledger"), ("reason", "retired")]).await;
    assert_eq!(revoked.status, StatusCode::SEE_OTHER, "{}", revoked.text());
    assert_eq!(statuses(&console, &id).await, [ApiKeyStatus::Revoked { at: START }]);
    let again = owner.post(&path, &[("confirm_name", "Ledger"), ("version", "2")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    again.says("no longer works");
}

#[tokio::test]
async fn a_key_among_others_is_revoked_in_one_step() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    rotate(&mut owner, &id, "3600").await;
    let key = console.application(&id).await.api_keys[1].id;
    let revoked = owner.submit(&format!("{LIST}/{id}/api-keys/{key}/revoke"), &[]).await;
    revoked.leads_to(&format!("{LIST}/{id}"), "key-revoked");
    owner.get(revoked.location()).await.says("The key is revoked.");
}

#[tokio::test]
async fn a_key_is_confirmed_as_stored_once() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    owner.get(&format!("{LIST}/{id}")).await.says("ot confirmed as stored");
    let key = console.application(&id).await.api_keys[0].id;
    let path = format!("{LIST}/{id}/api-keys/{key}/stored");
    owner.post(&path, &[]).await.leads_to(&format!("{LIST}/{id}"), "key-stored");
    assert_eq!(console.application(&id).await.api_keys[0].stored_at, Some(START));
    assert!(!owner.get(&format!("{LIST}/{id}")).await.text().contains("ot confirmed as stored"));
    assert_eq!(owner.post(&path, &[]).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn the_sixth_live_key_is_refused_with_what_to_do() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    for _ in 0..4 {
        assert_eq!(rotate(&mut owner, &id, "3600").await.status, StatusCode::OK);
    }
    let path = format!("{LIST}/{id}/replace-api-key");
    assert!(!owner.get(&path).await.body.contains("name=\"grace\""), "the form is not even offered");
    let refused = owner.post(&path, &[("grace", "3600"), ("version", "5")]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.says("Revoke one that is no longer used");
}

#[tokio::test]
async fn a_key_that_nobody_saw_is_replaced_from_the_applications_page() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, old) = owner.create("Ledger", PEM_A).await;
    // The response is lost, so no user sees the key in it.
    let lost = rotate(&mut owner, &id, "3600").await.keys().remove(0);
    let page = owner.get(&format!("{LIST}/{id}")).await;
    page.says("2 keys are not confirmed as stored").says("I never saw it: replace it");
    let application = console.application(&id).await;
    let unseen = application.api_keys[0].id;
    let version = application.version.to_string();
    let path = format!("{LIST}/{id}/api-keys/{unseen}/replace-unseen");
    let answer = owner.post(&path, &[("version", &version)]).await;
    let [new] = &answer.keys()[..] else { panic!("one key: {}", answer.text()) };
    assert_eq!(console.gateway_says(&lost).await, "revoked_api_key");
    assert_eq!(console.gateway_says(&old).await, "malformed_token", "the old key keeps its grace window");
    assert_eq!(console.gateway_says(new).await, "malformed_token");
    let at = START.plus(HOUR);
    let expected = [ApiKeyStatus::Active, ApiKeyStatus::Revoked { at: START }, ApiKeyStatus::Expiring { at }];
    assert_eq!(statuses(&console, &id).await, expected);

    // A key that was used must have been received by a client.
    let application = console.application(&id).await;
    let used = server::store::usage::KeyUsage {
        first_used_at: START,
        last_used_at: START,
        address: "192.0.2.7".into(),
        user_agent: "settlement/1.2".into(),
        requests: 1,
    };
    let mut transaction = console.store.write().await.unwrap();
    server::store::usage::add_api_key(&mut transaction, application.api_keys[0].id, &used).await.unwrap();
    transaction.commit().await.unwrap();
    let path = format!("{LIST}/{id}/api-keys/{}/replace-unseen", application.api_keys[0].id);
    let answer = owner.post(&path, &[("version", &application.version.to_string())]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    answer.says("A request came with this key meanwhile, so somebody has it.");
    assert_eq!(console.gateway_says(new).await, "malformed_token");
}
