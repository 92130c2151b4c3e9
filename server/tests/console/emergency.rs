//! Emergency actions that must work while the database does not.

use crate::support::{Console, LIST, PEM_A};
use axum::http::StatusCode;
use domain::actor::ActorKind;

async fn rename_audit(console: &Console, from: &'static str, to: &'static str) {
    let mut transaction = console.store.write().await.unwrap();
    let sql = sqlx::AssertSqlSafe(format!("ALTER TABLE {from} RENAME TO {to}"));
    sqlx::query(sql).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_stop_is_obeyed_at_once_and_recorded_when_the_history_can_be_written() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    assert_eq!(console.gateway_says(&key).await, "malformed_token");

    // Only the audit history fails: the page itself can still be rendered.
    let mut transaction = console.store.write().await.unwrap();
    sqlx::query("DROP TABLE audit_sequence").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let answer = owner.submit(&format!("{LIST}/{id}/disable"), &[("reason", "stolen")]).await;
    answer.leads_to(&format!("{LIST}/{id}"), "disabled-unrecorded");
    assert_eq!(console.gateway_says(&key).await, "application_disabled", "the gateway obeys at once");
    assert!(console.application(&id).await.is_enabled(), "the database does not know");
    // The page does not show it as enabled without a note, and neither a reload of the gateway nor a second stop
    // changes that.
    owner.get(&format!("{LIST}/{id}")).await.says("the stop will be added to the audit history as soon as it can be");
    console.backend.start().await.unwrap();
    assert_eq!(console.gateway_says(&key).await, "application_disabled", "a reload does not lift it");
    let again = owner.submit(&format!("{LIST}/{id}/disable"), &[("reason", "stolen")]).await;
    again.leads_to(&format!("{LIST}/{id}"), "disabled-unrecorded");
    assert_eq!(console.backend.unrecorded_stops(), 1);
    assert!(console.gateway.metrics().unwrap().contains("nuvera_gateway_unrecorded_stops 1"));

    // No other change is accepted before the stop is recorded.
    let refused = owner.submit(&format!("{LIST}/{id}/rename"), &[("name", "Books")]).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    refused.says("nothing was changed");
    assert_eq!(console.gateway_says(&key).await, "application_disabled");

    let mut transaction = console.store.write().await.unwrap();
    sqlx::query("CREATE TABLE audit_sequence (only_row BIGINT PRIMARY KEY, last BIGINT NOT NULL)")
        .execute(&mut *transaction)
        .await
        .unwrap();
    sqlx::query("INSERT INTO audit_sequence VALUES (1, 2)").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    console.backend.settle().await.unwrap();
    let application = console.application(&id).await;
    assert_eq!(application.disabled.unwrap().reason.as_str(), "stolen");
    assert_eq!(console.events(&id).await[0], "application.disabled");
    assert_eq!(console.gateway_says(&key).await, "application_disabled");
    assert!(console.gateway.metrics().unwrap().contains("nuvera_gateway_unrecorded_stops 0"));
    // A recorded stop can be lifted, and the application stays enabled.
    owner.submit(&format!("{LIST}/{id}/enable"), &[("reason", "found")]).await;
    console.backend.settle().await.unwrap();
    assert_eq!(console.gateway_says(&key).await, "malformed_token");
}

#[tokio::test]
async fn any_other_change_is_refused_while_the_history_cannot_be_written() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}/replace-api-key");
    let version = owner.get(&path).await.hidden("version");
    rename_audit(&console, "audit_events", "away").await;
    let answer = owner.post(&path, &[("grace", "3600"), ("version", &version)]).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.keys().is_empty(), "no key is shown that does not exist");
    rename_audit(&console, "away", "audit_events").await;
    assert_eq!(console.application(&id).await.api_keys.len(), 1);
}

#[tokio::test]
async fn a_stop_is_not_held_up_by_what_was_typed_in_a_hurry() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    let typed = [("reason", "stolen\u{202E} \ttonight"), ("ticket", "SUP 4711")];
    // The same input is rejected for a change that is not urgent.
    let enable = admin.submit(&format!("{}/permissions", console.in_hub(&id)), &typed).await;
    assert_eq!(enable.status, StatusCode::UNPROCESSABLE_ENTITY);
    let stopped = admin.submit(&format!("{}/disable", console.in_hub(&id)), &typed).await;
    assert_eq!(stopped.status, StatusCode::SEE_OTHER, "{}", stopped.text());
    assert_eq!(console.gateway_says(&key).await, "application_disabled");
    let reason = console.application(&id).await.disabled.unwrap().reason;
    assert_eq!(reason.as_str(), "stolen  tonight (ticket SUP 4711)");
    assert_eq!(reason.ticket, None);
}

#[tokio::test]
async fn a_partners_stop_is_kept_beside_one_of_nuveras_that_waits_for_its_record() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    let (of_nuvera, of_the_partner) = (format!("{}/disable", console.in_hub(&id)), format!("{LIST}/{id}/disable"));
    let version = owner.get(&of_the_partner).await.hidden("version");
    let stop = [("version", &*version), ("reason", "a leak")];
    rename_audit(&console, "audit_events", "away").await;
    admin.post(&of_nuvera, &stop).await;
    assert_eq!(console.backend.unrecorded_stops(), 1);
    owner.post(&of_the_partner, &stop).await;
    assert_eq!(console.backend.unrecorded_stops(), 2, "one of each side");
    rename_audit(&console, "away", "audit_events").await;
    console.backend.settle().await.unwrap();
    assert_eq!(console.application(&id).await.disabled.unwrap().by_kind, ActorKind::Partner);
    assert_eq!(console.events(&id).await[..2], ["application.disabled", "application.disabled"]);
    let enable = format!("{}/enable", console.in_hub(&id));
    let proposed = admin.submit(&enable, &[("reason", "found"), ("ticket", "SUP-4711")]).await;
    assert_eq!(proposed.notice(), Some("change-proposed"), "{}", proposed.text());
    assert_eq!(console.gateway_says(&key).await, "application_disabled");
}
