//! Disabling many applications at once: the result matches the preview, and no missing input blocks it.

use crate::support::{Answer, Browser, Console, Database, LIST, PEM_A, PEM_B, PEM_C};
use app::paths::{self, Area};
use axum::http::StatusCode;
use domain::{id::ApplicationId, public_key::PublicKey};
use std::{sync::Arc, time::Duration};

const WHY: &str = "Ticket 4711: a laptop was stolen.";

fn everything(console: &Console) -> String {
    format!("/organizations/{}/stop-everything", console.alpine)
}

fn of_key(pem: &str) -> String {
    paths::stop_signing_key(&PublicKey::from_pem(pem).unwrap().fingerprint())
}

/// The application ids in the hidden fields of a preview's form.
fn seen(page: &Answer) -> Vec<String> {
    page.body.split("name=\"seen\" value=\"").skip(1).map(|rest| rest[..36].to_owned()).collect()
}

/// Opens the preview at `path` and confirms it.
async fn stop(browser: &mut Browser, path: &str, reason: &str) -> Answer {
    let page = browser.get(path).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    confirm(browser, path, &seen(&page), reason).await
}

async fn confirm(browser: &mut Browser, path: &str, seen: &[String], reason: &str) -> Answer {
    let fields = seen.iter().map(|id| ("seen", &**id)).chain([("reason", reason)]);
    browser.post(path, &fields.collect::<Vec<_>>()).await
}

/// Number of recorded `application.disabled` events of an application with the reason [`WHY`], in any organization.
async fn stops_of(console: &Console, id: &str) -> i64 {
    let mut conn = console.store.read().await.unwrap();
    let sql = "SELECT COUNT(*) FROM audit_events WHERE application_id = $1 AND action = 'application.disabled' AND reason = $2";
    sqlx::query_scalar(sql).bind(id).bind(WHY).fetch_one(&mut *conn).await.unwrap()
}

#[tokio::test]
async fn an_owner_stops_everything_of_theirs_in_two_activations_and_each_stop_is_recorded() {
    for database in Database::all().await {
        let engine = database.engine;
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let (ledger, ledger_key) = owner.create("Ledger", PEM_A).await;
        let (payouts, payouts_key) = owner.create("Payouts", PEM_B).await;
        let (old, _) = owner.create("Old", PEM_A).await;
        owner.submit(&format!("{LIST}/{old}/disable"), &[("reason", "long ago")]).await;
        let (other, other_key) = console.signed_in("owner@borealis.example").await.create("Payouts", PEM_C).await;
        console.uses(console.application(&ledger).await.api_keys[0].id).await;

        let path = format!("{LIST}/stop-everything");
        let list = owner.get(LIST).await;
        assert!(list.body.contains(&format!("href=\"{path}\"")), "the first activation: {}", list.body);
        let preview = owner.get(&path).await;
        preview.says("This will disable 2 applications of Alpine Pay").says("Ledger").says("Payouts");
        preview.says("1 application is already disabled and will stay so.");
        let mut shown = seen(&preview);
        shown.sort();
        let mut expected = vec![ledger.clone(), payouts.clone()];
        expected.sort();
        assert_eq!(shown, expected, "{engine}");

        // Nothing is disabled before the button is pressed.
        assert_eq!(console.gateway_says(&ledger_key).await, "malformed_token");

        // Neither a reason nor a ticket is required, and a suggested reason is one click.
        preview.says("Reason (optional)").says("Suspected exposure");
        let done = stop(&mut owner, &path, WHY).await;
        assert_eq!(done.status, StatusCode::OK, "{engine}: {}", done.text());
        done.says("2 applications are stopped").says("OldResultAlready disabled");
        done.says("LedgerResultStopped").says("PayoutsResultStopped");
        assert!(!done.text().contains("after you opened the page"), "{}", done.text());
        for (id, key) in [(&ledger, &ledger_key), (&payouts, &payouts_key)] {
            assert_eq!(console.gateway_says(key).await, "application_disabled", "{engine}");
            assert_eq!(stops_of(&console, id).await, 1, "{engine}");
        }
        assert_eq!((stops_of(&console, &old).await, stops_of(&console, &other).await), (0, 0));
        assert_eq!(console.gateway_says(&other_key).await, "malformed_token", "another organization's goes on");
        let disabled = console.application(&old).await.disabled.unwrap();
        assert_eq!(disabled.reason.as_str(), "long ago", "what was stopped stays as it was");

        // Submitting the form again has no effect, and each application is enabled on its own.
        confirm(&mut owner, &path, &shown, WHY).await.says("Nothing was left to stop");
        owner.get(&path).await.says("Nothing to stop").says("3 applications are already disabled");
        assert!(!owner.get(LIST).await.body.contains("stop-everything"), "there is nothing to stop");
        owner.submit(&format!("{LIST}/{ledger}/enable"), &[("reason", "found")]).await;
        assert_eq!(console.gateway_says(&ledger_key).await, "malformed_token");
        assert_eq!(console.gateway_says(&payouts_key).await, "application_disabled");
    }
}

#[tokio::test]
async fn an_admin_stops_an_organization_and_an_auditor_looks_on() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    let mut auditor = console.signed_in("auditor@nuvera.example").await;
    let mut viewer = console.signed_in("viewer@alpine.example").await;
    let mut stranger = console.signed_in("owner@borealis.example").await;
    let (hub, own) = (everything(&console), format!("{LIST}/stop-everything"));
    for (browser, path) in [
        (&auditor, hub.clone()),
        (&auditor, of_key(PEM_A)),
        (&viewer, own.clone()),
        (&owner, hub.clone()),
        (&owner, of_key(PEM_A)),
        (&stranger, hub.clone()),
        (&stranger, of_key(PEM_A)),
    ] {
        let mut browser = browser.clone();
        let looked = browser.get(&path).await;
        // A session of one area is not valid in the other.
        let is_led_to_the_door =
            looked.status == StatusCode::SEE_OTHER && looked.location().starts_with(Area::Hub.sign_in());
        assert!(is_led_to_the_door || looked.status == StatusCode::FORBIDDEN, "{path}: {}", looked.status);
        let answer = confirm(&mut browser, &path, std::slice::from_ref(&id), WHY).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(!answer.text().contains("Ledger"), "{}", answer.text());
    }
    // The partner's own page only disables applications of the partner's organization, whichever ids the form has.
    confirm(&mut stranger, &own, std::slice::from_ref(&id), WHY).await.says("Nothing was left to stop");
    assert_eq!(console.gateway_says(&key).await, "malformed_token");
    let organization = format!("/organizations/{}", console.alpine);
    assert!(!auditor.get(&organization).await.body.contains("stop-everything"), "it is not offered");
    assert!(!viewer.get(LIST).await.body.contains("stop-everything"));

    let mut admin = console.admin().await;
    assert!(admin.get(&organization).await.body.contains("stop-everything"), "the control");
    // A ticket is optional.
    admin.get(&hub).await.says("Ticket reference (optional)").says("Leave it empty if there is none yet.");
    admin.post(&hub, &[("reason", WHY), ("ticket", "SUP-4711")]).await.says("1 application is stopped");
    assert_eq!(console.gateway_says(&key).await, "application_disabled");
    owner.get(&format!("{LIST}/{id}/audit")).await.says("SUP-4711");
    owner.get(&format!("{LIST}/{id}")).await.says("By Ada Admin Nuvera on").says(&format!("“{WHY}”"));
}

#[tokio::test]
async fn a_leaked_key_is_stopped_in_every_application_that_it_verifies_requests_of() {
    for database in Database::all().await {
        let engine = database.engine;
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let (current, current_key) = owner.create("Current", PEM_A).await;
        let (retiring, retiring_key) = owner.create("Retiring", PEM_A).await;
        let (retired, retired_key) = owner.create("Retired", PEM_A).await;
        let (_, safe_key) = owner.create("Safe", PEM_B).await;
        let replace = [("public_key", PEM_B), ("overlap", "3600")];
        owner.submit(&format!("{LIST}/{retiring}/replace-signing-key"), &replace).await;
        owner.submit(&format!("{LIST}/{retired}/replace-signing-key"), &[replace[0], ("overlap", "none")]).await;
        // Two organizations that register the same key at the same moment may both succeed.
        let (foreign, foreign_key) = console.signed_in("owner@borealis.example").await.create("Foreign", PEM_C).await;
        let key = PublicKey::from_pem(PEM_A).unwrap();
        let mut transaction = console.store.write().await.unwrap();
        sqlx::query("UPDATE signing_keys SET pem = $1, fingerprint = $2 WHERE application_id = $3")
            .bind(key.pem())
            .bind(key.fingerprint())
            .bind(&foreign)
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();

        let mut admin = console.admin().await;
        for from in [console.in_hub(&current), console.in_hub(&retiring)] {
            assert!(admin.get(&from).await.body.contains(&of_key(PEM_A)), "the first activation, from {from}");
        }
        let preview = admin.get(&of_key(PEM_A)).await;
        preview
            .says("This will stop 3 applications of 2 organizations")
            .says("of Alpine Pay")
            .says("of Borealis Finance");
        assert!(!preview.text().contains("Retired") && !preview.text().contains("Safe"), "{}", preview.text());
        let done = stop(&mut admin, &of_key(PEM_A), WHY).await;
        done.says("3 applications are stopped");
        for (id, key, code) in [
            (&current, &current_key, "signing_key_blocked"),
            (&retiring, &retiring_key, "application_disabled"),
            (&foreign, &foreign_key, "signing_key_blocked"),
        ] {
            assert_eq!(console.gateway_says(key).await, code, "{engine}");
            assert_eq!(stops_of(&console, id).await, 1, "{engine}");
        }
        for key in [&retired_key, &safe_key] {
            assert_eq!(console.gateway_says(key).await, "malformed_token", "{engine}: the control");
        }
        console.signed_in("owner@borealis.example").await.get(&format!("{LIST}/{foreign}")).await.says(WHY);

        // After its overlap the old key is retired.
        console.advance(Duration::from_secs(3600));
        let mut admin = console.admin().await;
        admin.get(&of_key(PEM_A)).await.says("2 applications are already disabled");
        let unknown = paths::stop_signing_key(&format!("SHA256:{}", "A".repeat(43)));
        admin.get(&unknown).await.says("This key will be blocked").says("registered nowhere, or retired everywhere");
        for nonsense in ["x", "%2e%2e", &"A".repeat(44)] {
            let path = format!("{}/{nonsense}/stop", paths::HUB_SIGNING_KEYS);
            assert_eq!(admin.get(&path).await.status, StatusCode::NOT_FOUND, "{nonsense}");
        }
    }
}

#[tokio::test]
async fn what_appears_between_the_preview_and_the_stop_is_stopped_and_told_of() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    owner.create("Ledger", PEM_A).await;
    let (asleep, _) = owner.create("Asleep", PEM_A).await;
    owner.submit(&format!("{LIST}/{asleep}/disable"), &[("reason", "a test")]).await;
    let mut admin = console.admin().await;
    let path = everything(&console);
    let preview = admin.get(&path).await;
    let (_, new_key) = owner.create("New", PEM_A).await;
    owner.submit(&format!("{LIST}/{asleep}/enable"), &[("reason", "a test")]).await;
    let done = confirm(&mut admin, &path, &seen(&preview), WHY).await;
    let unseen = "StoppedIt was created or enabled after you opened the page.";
    done.says("3 applications are stopped");
    for (name, fate) in [("Ledger", "Stopped"), ("New", unseen), ("Asleep", unseen)] {
        let text = done.text().replace("Stopped It", "StoppedIt");
        assert!(text.contains(&format!("{name}Result{fate}")), "{name}: {text}");
    }
    assert_eq!(done.text().matches("after you opened").count(), 2, "{}", done.text());
    assert_eq!(console.gateway_says(&new_key).await, "application_disabled");
}

#[tokio::test]
async fn a_stop_needs_no_reason() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (ledger, ledger_key) = owner.create("Ledger", PEM_A).await;
    let (payouts, payouts_key) = owner.create("Payouts", PEM_B).await;
    let mut admin = console.admin().await;
    let disabled = admin.submit(&format!("{}/disable", console.in_hub(&ledger)), &[("reason", " ")]).await;
    assert_eq!(disabled.status, StatusCode::SEE_OTHER, "{}", disabled.text());
    stop(&mut owner, &format!("{LIST}/stop-everything"), "").await.says("1 application is stopped");
    for (id, key) in [(&ledger, &ledger_key), (&payouts, &payouts_key)] {
        assert_eq!(console.gateway_says(key).await, "application_disabled");
        let given = "Emergency stop, no reason given";
        assert_eq!(console.application(id).await.disabled.unwrap().reason.as_str(), given);
        let events = console.events_of(id.parse().unwrap()).await;
        assert_eq!(events[0].event.reason.as_ref().unwrap().as_str(), given);
    }
}

#[tokio::test]
async fn a_stop_asks_for_no_fresh_proof() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    console.advance(Duration::from_secs(11 * 60));
    let enable = format!("{}/permissions", console.in_hub(&id));
    let refused = admin.post(&enable, &[("version", "1"), ("reason", WHY)]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "the control");
    refused.says("Confirm that it is you");
    stop(&mut admin, &of_key(PEM_A), WHY).await.says("1 application is stopped");
    assert_eq!(console.gateway_says(&key).await, "signing_key_blocked");
    let (_, key) = {
        let mut owner = console.owner().await;
        owner.create("Payouts", PEM_B).await
    };
    console.advance(Duration::from_secs(11 * 60));
    // Nor is a reason required.
    stop(&mut owner, &format!("{LIST}/stop-everything"), "").await.says("1 application is stopped");
    assert_eq!(console.gateway_says(&key).await, "application_disabled");
    owner.get(&format!("{LIST}/audit")).await.says("Emergency stop, no reason given");
}

#[tokio::test]
async fn a_stop_is_obeyed_where_the_database_cannot_be_written_and_recorded_later() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (ledger, ledger_key) = owner.create("Ledger", PEM_A).await;
    let (payouts, payouts_key) = owner.create("Payouts", PEM_B).await;
    let mut admin = console.admin().await;
    let last: i64 = {
        let mut transaction = console.store.write().await.unwrap();
        let last = sqlx::query_scalar("SELECT last FROM audit_sequence").fetch_one(&mut *transaction).await.unwrap();
        sqlx::query("DROP TABLE audit_sequence").execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        last
    };
    let done = stop(&mut admin, &everything(&console), WHY).await;
    done.says("2 applications are stopped").says("each stop will be added to the audit history as soon as it can be");
    for (id, key) in [(&ledger, &ledger_key), (&payouts, &payouts_key)] {
        assert_eq!(console.gateway_says(key).await, "application_disabled", "the gateway obeys at once");
        assert!(console.application(id).await.is_enabled(), "the database does not know");
    }
    // An application that is disabled but not yet recorded is not disabled twice.
    stop(&mut admin, &everything(&console), WHY).await.says("Nothing was left to stop");

    let mut transaction = console.store.write().await.unwrap();
    let create = "CREATE TABLE audit_sequence (only_row BIGINT PRIMARY KEY, last BIGINT NOT NULL)";
    sqlx::query(create).execute(&mut *transaction).await.unwrap();
    let insert = sqlx::query("INSERT INTO audit_sequence VALUES (1, $1)").bind(last);
    insert.execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    console.backend.settle().await.unwrap();
    for (id, key) in [(&ledger, &ledger_key), (&payouts, &payouts_key)] {
        assert_eq!(console.application(id).await.disabled.unwrap().reason.as_str(), WHY);
        assert_eq!(stops_of(&console, id).await, 1);
        assert_eq!(console.gateway_says(key).await, "application_disabled");
    }
}

#[tokio::test]
async fn no_request_that_starts_after_the_answer_is_accepted() {
    let console = Arc::new(Console::start().await);
    let mut owner = console.owner().await;
    let mut keys = Vec::new();
    for number in 0..8 {
        keys.push(owner.create(&format!("Application {number}"), PEM_A).await.1);
    }
    // Requests are sent without a pause before and during the stop.
    let (ended, mut is_ended) = tokio::sync::watch::channel(false);
    let load: Vec<_> = keys
        .iter()
        .map(|key| {
            let (console, key, is_ended) = (console.clone(), key.clone(), ended.subscribe());
            tokio::spawn(async move {
                let mut outcomes = Vec::new();
                while !*is_ended.borrow() {
                    outcomes.push(console.gateway_says(&key).await);
                }
                outcomes
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut admin = console.admin().await;
    stop(&mut admin, &of_key(PEM_A), WHY).await.says("8 applications are stopped");
    for key in &keys {
        assert_eq!(console.gateway_says(key).await, "signing_key_blocked");
    }
    ended.send(true).unwrap();
    is_ended.mark_unchanged();
    for task in load {
        let outcomes = task.await.unwrap();
        assert!(
            outcomes.is_sorted_by(|before, after| before == after || after == "signing_key_blocked"),
            "{outcomes:?}"
        );
        assert_eq!(outcomes.first().map(String::as_str), Some("malformed_token"), "the control");
    }
}

#[tokio::test]
async fn a_preview_says_how_much_would_stop() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    owner.create("Unused", PEM_A).await;
    let used = console.application(&id).await.api_keys[0].id;
    let minute = console.clock.now().as_millis() / 60_000;
    let mut transaction = console.store.write().await.unwrap();
    for (minute, requests) in [(minute - 60, 1000), (minute - 59, 40), (minute, 2)] {
        server::store::traffic::add_api_key(&mut transaction, used, minute, requests).await.unwrap();
    }
    transaction.commit().await.unwrap();
    console.uses(used).await;
    let mut admin = console.admin().await;
    for path in [everything(&console), of_key(PEM_A)] {
        let preview = admin.get(&path).await;
        preview.says("In the last hour, 42 requests of theirs were accepted.").says("2 applications of");
        preview
            .says("Last hour42 requestsLast used23 Nov 2026, 03:25:10 UTC")
            .says("Last hour0 requestsLast usedNever");
    }
    let id: ApplicationId = id.parse().unwrap();
    assert_eq!(console.events_of(id).await.len(), 2, "looking changes nothing");
}
