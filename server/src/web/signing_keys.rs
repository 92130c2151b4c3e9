//! An application's signing keys: replace, restore, retire.

use super::{
    applications::usage,
    submitted::{Refused, Submitted},
    visit::Visit,
};
use crate::backend::BackendError;
use app::page::{Notice, Page};
use axum::response::Response;
use domain::{
    access::Operation,
    application::{ApiApplication, By, SigningKeyReplacement},
    public_key::PublicKey,
};

/// Shows the key doctor, and what a key is compared with. It works in the browser: nothing comes back from it.
pub async fn check(visit: Visit) -> Response {
    let found = visit.web.backend.applications(&visit.actor, visit.organization()).await;
    let applications = found.map(|found| found.into_iter().map(|(application, _)| application).collect());
    visit.answer(applications.map(|applications| Page::CheckKey { applications })).await
}

async fn replace_page(visit: &Visit) -> Result<Page, BackendError> {
    visit.form(Operation::ReplaceSigningKeys, |application| Page::ReplaceSigningKey { application }).await
}

/// Shows the form for another signing key.
pub async fn replace_form(visit: Visit) -> Response {
    visit.answer(replace_page(&visit).await).await
}

/// Registers another public key.
pub async fn replace(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let said = sent.said()?;
        let public_key =
            PublicKey::from_pem(sent.text("public_key")).map_err(|error| Refused::field("public_key", error))?;
        let replacement = read_overlap(&sent)?;
        let twin = visit.web.backend.replace_signing_key(visit.asked()?, said, public_key, replacement).await?;
        Ok(if twin { Notice::SigningKeyReplacedTwin } else { Notice::SigningKeyReplaced })
    };
    visit.changed(result.await, sent, async || replace_page(&visit).await).await
}

async fn restore_page(visit: &Visit) -> Result<Page, BackendError> {
    let application = visit.application(Operation::ReplaceSigningKeys).await?;
    let key = application.signing_key(visit.param("key")?).map_err(|_| BackendError::NotFound)?.clone();
    Ok(Page::RestoreSigningKey { application, key })
}

/// Shows the form that makes an earlier key current again.
pub async fn restore_form(visit: Visit) -> Response {
    visit.answer(restore_page(&visit).await).await
}

/// Makes an earlier key current again.
pub async fn restore(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let (key, replacement) = (visit.param("key")?, read_overlap(&sent)?);
        let change = |application: ApiApplication, by: By<'_>| application.restore_signing_key(key, replacement, by);
        visit.change(&sent, Operation::ReplaceSigningKeys, change).await?;
        Ok(Notice::SigningKeyRestored)
    };
    visit.changed(result.await, sent, async || restore_page(&visit).await).await
}

async fn retire_page(visit: &Visit) -> Result<Page, BackendError> {
    let mut used = visit.web.backend.application_usage(visit.asked()?, Operation::ReplaceSigningKeys).await?;
    let key = used.application.signing_key(visit.param("key")?).map_err(|_| BackendError::NotFound)?.clone();
    let usage = used.signing_keys.remove(&key.id).map(usage);
    Ok(Page::RetireSigningKey { usage, application: used.application, key })
}

/// Shows the form that ends a key's overlap.
pub async fn retire_form(visit: Visit) -> Response {
    visit.answer(retire_page(&visit).await).await
}

/// Ends a key's overlap.
pub async fn retire(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let key = visit.param("key")?;
        let change = |application: ApiApplication, by: By<'_>| application.retire_signing_key(key, by);
        visit.change(&sent, Operation::ReplaceSigningKeys, change).await?;
        Ok(Notice::SigningKeyRetired)
    };
    visit.changed(result.await, sent, async || retire_page(&visit).await).await
}

/// What becomes of the current key: `none`, or a number of seconds.
fn read_overlap(sent: &Submitted) -> Result<SigningKeyReplacement, Refused> {
    if sent.text("overlap") == "none" {
        return Ok(SigningKeyReplacement::StopNow);
    }
    sent.seconds("overlap").map(SigningKeyReplacement::WithOverlap)
}
