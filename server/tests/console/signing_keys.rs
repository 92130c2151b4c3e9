//! Replacing, restoring and retiring signing keys.

use crate::support::{Console, LIST, PEM_A, PEM_B, PEM_C, START};
use axum::http::StatusCode;
use domain::{public_key::PublicKey, signing_key::SigningKeyState};
use server::backend::{Asked, Said};
use std::time::Duration;

const LARGE: &str = include_str!("../../../domain/src/testdata/rsa-8192.pem");
const SLOW: &str = include_str!("../../../domain/src/testdata/rsa-2048-e4294967291.pem");

/// Replaces a PEM in the database, as if it had been stored when more keys were accepted.
async fn stored_before(console: &Console, table: &str, column: &str, pem: &str) {
    let mut transaction = console.store.write().await.unwrap();
    // Both names are constants of this file.
    let sql = sqlx::AssertSqlSafe(format!("UPDATE {table} SET {column} = $1 WHERE {column} IS NOT NULL"));
    sqlx::query(sql).bind(pem).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_key_that_was_registered_before_the_bounds_keeps_working_and_is_not_accepted_again() {
    for (pem, bits) in [(LARGE, 8192), (SLOW, 2048)] {
        let console = Console::start().await;
        let mut owner = console.owner().await;
        let (id, api_key) = owner.create("Ledger", PEM_A).await;
        stored_before(&console, "signing_keys", "pem", pem).await;
        console.backend.start().await.unwrap();
        assert_eq!(console.application(&id).await.current_signing_key().public_key.bits(), bits);
        owner.get(&format!("{LIST}/{id}")).await.says(&format!("{bits}"));
        assert_eq!(console.gateway_says(&api_key).await, "malformed_token", "the application works");
        // Once replaced it can be restored, because it is registered.
        let old = console.application(&id).await.current_signing_key().id;
        let path = format!("{LIST}/{id}/replace-signing-key");
        owner.submit(&path, &[("public_key", PEM_B), ("overlap", "none")]).await;
        let again = owner.submit(&path, &[("public_key", pem), ("overlap", "none")]).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
        let back = owner.submit(&format!("{LIST}/{id}/signing-keys/{old}/restore"), &[("overlap", "none")]).await;
        back.leads_to(&format!("{LIST}/{id}"), "signing-key-restored");
    }
}

#[tokio::test]
async fn a_proposed_key_outside_the_bounds_cannot_be_confirmed() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let policy = format!("{LIST}/security-policy");
    owner.submit(&policy, &[("second_factor", "optional"), ("nuvera_changes", "confirmed")]).await;
    let path = format!("{}/replace-signing-key", console.in_hub(&id));
    let fields = [("public_key", PEM_B), ("overlap", "none"), ("reason", "as they asked"), ("ticket", "SUP-4711")];
    let proposed = console.admin().await.submit(&path, &fields).await;
    assert_eq!(proposed.notice(), Some("change-proposed"), "{}", proposed.text());
    let actor = console.owner_actor().await;
    for (pem, problem) in [(LARGE, "TooLarge(8192)"), (SLOW, "Exponent")] {
        stored_before(&console, "proposed_changes", "pem", pem).await;
        let found = console.application(&id).await;
        let asked = Asked { actor: &actor, organization: actor.organization_id, application: found.id };
        let said = Said { seen_version: Some(found.version), reason: None };
        let refused = console.backend.confirm_proposal(asked, said).await.unwrap_err();
        assert!(format!("{refused:?}").contains(problem), "{refused:?}");
        assert_eq!(console.application(&id).await.signing_keys.len(), 1);
    }
}

async fn states(console: &Console, id: &str) -> Vec<SigningKeyState> {
    let now = console.clock.now();
    console.application(id).await.signing_keys.iter().map(|key| key.status(now)).collect()
}

#[tokio::test]
async fn a_replacement_may_overlap_or_not() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}/replace-signing-key");
    let answer = owner.submit(&path, &[("public_key", PEM_B), ("overlap", "3600")]).await;
    answer.leads_to(&format!("{LIST}/{id}"), "signing-key-replaced");
    let at = START.plus(Duration::from_secs(3600));
    assert_eq!(states(&console, &id).await, [SigningKeyState::Current, SigningKeyState::Retiring { at }]);
    owner.submit(&path, &[("public_key", PEM_C), ("overlap", "none"), ("reason", "exposed")]).await;
    let retired = SigningKeyState::Retired { at: START };
    assert_eq!(states(&console, &id).await, [SigningKeyState::Current, retired, retired]);
    owner.get(&format!("{LIST}/{id}/audit")).await.says("Signing key replaced").says("exposed");
}

#[tokio::test]
async fn a_key_is_compared_with_every_one_that_the_organization_has_registered() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}/replace-signing-key");
    owner.submit(&path, &[("public_key", PEM_B), ("overlap", "none")]).await;
    owner.submit(&path, &[("public_key", PEM_C), ("overlap", "3600")]).await;
    let in_hub = format!("/organizations/{}/check-key", console.alpine);
    for page in [owner.get(&format!("{LIST}/check-key")).await, console.admin().await.get(&in_hub).await] {
        for (pem, standing) in [(PEM_A, "a retired"), (PEM_B, "a retiring"), (PEM_C, "the current")] {
            let fingerprint = PublicKey::from_pem(pem).unwrap().fingerprint();
            let row = page.body.split("<tr").find(|row| row.contains(&format!("data-registered=\"{fingerprint}\"")));
            let row = row.expect("a row for each key");
            assert!(row.contains(&format!("It is {standing} signing key of “Ledger”")), "{row}");
        }
    }
    let mut stranger = console.signed_in("owner@borealis.example").await;
    let theirs = stranger.get(&format!("{LIST}/check-key")).await;
    theirs.says("No key is registered");
    assert!(!theirs.body.contains("data-registered"), "another organization's keys are not there");
}

#[tokio::test]
async fn a_wrong_key_is_rolled_back_in_one_step() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let right = console.application(&id).await.current_signing_key().id;
    owner.submit(&format!("{LIST}/{id}/replace-signing-key"), &[("public_key", PEM_B), ("overlap", "none")]).await;
    let back = owner.submit(&format!("{LIST}/{id}/signing-keys/{right}/restore"), &[("overlap", "none")]).await;
    back.leads_to(&format!("{LIST}/{id}"), "signing-key-restored");
    assert_eq!(console.application(&id).await.current_signing_key().id, right);
    assert_eq!(console.events(&id).await[0], "signing_key.restored");
}

#[tokio::test]
async fn an_overlap_is_ended_early() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let old = console.application(&id).await.current_signing_key().id;
    owner.submit(&format!("{LIST}/{id}/replace-signing-key"), &[("public_key", PEM_B), ("overlap", "3600")]).await;
    let retired = owner.submit(&format!("{LIST}/{id}/signing-keys/{old}/retire"), &[]).await;
    retired.leads_to(&format!("{LIST}/{id}"), "signing-key-retired");
    assert_eq!(states(&console, &id).await[1], SigningKeyState::Retired { at: START });
    let current = console.application(&id).await.current_signing_key().id;
    let refused = owner.submit(&format!("{LIST}/{id}/signing-keys/{current}/retire"), &[]).await;
    refused.says("cannot be retired on its own");
}

#[tokio::test]
async fn the_wrong_text_or_key_is_told_at_its_field() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}/replace-signing-key");
    let certificate = include_str!("../../../domain/src/testdata/certificate.pem");
    for (pem, words) in [
        (certificate, "This is a certificate."),
        (PEM_A, "already this application's current signing key"),
        (LARGE, "This key has 8192 bits. Use at most 4096"),
        (SLOW, "This key's public exponent is not 65537."),
        ("", "Paste the public key"),
    ] {
        let answer = owner.submit(&path, &[("public_key", pem), ("overlap", "none")]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        answer.says(words);
    }
    let answer = owner.submit(&path, &[("public_key", PEM_B), ("overlap", "later")]).await;
    answer.says("Choose one of the times.");
    assert_eq!(console.application(&id).await.version, 1);
}

#[tokio::test]
async fn a_key_that_a_sister_application_uses_is_accepted_with_a_warning() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    owner.create("Ledger", PEM_A).await;
    let (id, _) = owner.create("Books", PEM_B).await;
    let path = format!("{LIST}/{id}/replace-signing-key");
    let answer = owner.submit(&path, &[("public_key", PEM_A), ("overlap", "none")]).await;
    owner.get(answer.location()).await.says("Another application of your organization uses the same public key");
}
