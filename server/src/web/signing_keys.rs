//! Pages for an application's signing keys: replace, restore, retire.

use super::{
    applications::usage,
    approval,
    submitted::{Refused, Submitted},
    visit::Visit,
};
use crate::backend::{BackendError, Outcome, Proof};
use app::page::{Notice, Page};
use axum::response::Response;
use domain::{
    access::Operation,
    application::{ApiApplication, RequestedChange, SigningKeyReplacement},
};

/// Shows the key doctor, and the keys with which a key is compared. It runs in the browser and sends nothing to the
/// server.
pub async fn check(visit: Visit) -> Response {
    let found = visit.web.backend.applications(&visit.actor, visit.organization()).await;
    let applications = found.map(|found| found.into_iter().map(|used| used.application).collect());
    visit.answer(applications.map(|applications| Page::CheckKey { applications })).await
}

async fn replace_page(visit: &Visit, challenge: String) -> Result<Page, BackendError> {
    let application = visit.application(Operation::ReplaceSigningKeys).await?;
    let waits = visit.web.backend.waits_for_confirmation(visit.asked()?).await?;
    let is_blocked = is_blocked(visit, &application).await?;
    Ok(Page::ReplaceSigningKey { application, challenge, waits, is_blocked })
}

/// Shows the form that replaces the signing key.
pub async fn replace_form(visit: Visit) -> Response {
    visit.answer(replace_page(&visit, visit.challenge(None)).await).await
}

/// Registers another public key, or proposes it.
pub async fn replace(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let said = sent.said()?;
        let public_key = sent.public_key().map_err(|error| Refused::Fields(vec![error]))?;
        let replacement = read_overlap(&sent)?;
        let (asked, proof) = (visit.asked()?, read_proof(&sent));
        let backend = &visit.web.backend;
        let (outcome, twin) = backend.replace_signing_key(asked, said, public_key, proof.as_ref(), replacement).await?;
        Ok(match outcome {
            Outcome::Proposed => Notice::ChangeProposed,
            Outcome::Made if twin => Notice::SigningKeyReplacedTwin,
            Outcome::Made => Notice::SigningKeyReplaced,
        })
    };
    let (result, challenge) = (result.await, visit.challenge(Some(&sent)));
    visit.changed(result, sent, async || replace_page(&visit, challenge).await).await
}

async fn restore_page(visit: &Visit) -> Result<Page, BackendError> {
    let application = visit.application(Operation::ReplaceSigningKeys).await?;
    let key = application.signing_key(visit.param("key")?).map_err(|_| BackendError::NotFound)?.clone();
    let now = visit.web.backend.clock().now();
    let waits = application.restoring_waits_for_partner(key.id, visit.actor.kind(), now)
        || visit.web.backend.waits_for_confirmation(visit.asked()?).await?;
    let is_blocked = is_blocked(visit, &application).await?;
    Ok(Page::RestoreSigningKey { application, key, waits, is_blocked })
}

/// Shows the form that makes an earlier key current again.
pub async fn restore_form(visit: Visit) -> Response {
    visit.answer(restore_page(&visit).await).await
}

/// Makes an earlier key current again, or proposes that.
pub async fn restore(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let change = RequestedChange::RestoreSigningKey { id: visit.param("key")?, replacement: read_overlap(&sent)? };
        approval::request(&visit, &sent, change, Notice::SigningKeyRestored).await
    };
    visit.changed(result.await, sent, async || restore_page(&visit).await).await
}

async fn retire_page(visit: &Visit) -> Result<Page, BackendError> {
    let backend = &visit.web.backend;
    let used = backend.application_usage(visit.asked()?, Operation::ReplaceSigningKeys).await?;
    let key = used.application.signing_key(visit.param("key")?).map_err(|_| BackendError::NotFound)?.clone();
    let traffic = backend.traffic(visit.asked()?).await?.signing_keys;
    let usage = used.signing_keys.into_iter().map(|(id, used)| (id, usage(used))).collect();
    let waits = backend.waits_for_confirmation(visit.asked()?).await?;
    Ok(Page::RetireSigningKey { application: used.application, key, usage, traffic, waits })
}

/// Shows the form that ends a key's overlap.
pub async fn retire_form(visit: Visit) -> Response {
    visit.answer(retire_page(&visit).await).await
}

/// Ends a key's overlap, or proposes that.
pub async fn retire(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let change = RequestedChange::RetireSigningKey { id: visit.param("key")? };
        approval::request(&visit, &sent, change, Notice::SigningKeyRetired).await
    };
    visit.changed(result.await, sent, async || retire_page(&visit).await).await
}

/// Whether the current signing key is blocked.
async fn is_blocked(visit: &Visit, application: &ApiApplication) -> Result<bool, BackendError> {
    let current = application.current_signing_key().public_key.fingerprint();
    let blocked = visit.web.backend.blocked_keys_of(&visit.actor, application).await?;
    Ok(blocked.iter().any(|blocked| blocked.fingerprint == current))
}

/// Reads the proof of possession of a new key's private half, if there is one.
pub fn read_proof(sent: &Submitted) -> Option<Proof> {
    let [challenge, signature] = ["challenge", "proof"].map(|field| sent.text(field).trim().to_owned());
    (!signature.is_empty()).then_some(Proof { challenge, signature })
}

/// Reads what happens to the current key: `none`, or the overlap in seconds.
fn read_overlap(sent: &Submitted) -> Result<SigningKeyReplacement, Refused> {
    if sent.text("overlap") == "none" {
        return Ok(SigningKeyReplacement::StopNow);
    }
    sent.seconds("overlap").map(SigningKeyReplacement::WithOverlap)
}
