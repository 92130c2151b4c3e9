//! Replacing, restoring and retiring signing keys.

use crate::support::{Console, LIST, PEM_A, PEM_B, PEM_C, START};
use axum::http::StatusCode;
use domain::{public_key::PublicKey, signing_key::SigningKeyState};
use std::time::Duration;

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
