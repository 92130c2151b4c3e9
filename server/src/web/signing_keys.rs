//! An application's signing keys: replace, restore, retire.

use super::{
    applications::{form, usage},
    submitted::{Refused, Submitted},
    visit::Visit,
};
use crate::backend::BackendError;
use app::page::{Notice, Page};
use axum::{extract::Path, response::Response};
use domain::{
    application::{ApiApplication, SigningKeyReplacement},
    id::SigningKeyId,
    public_key::PublicKey,
    signing_key::SigningKey,
};

/// Shows the form for another signing key.
pub async fn replace_form(visit: Visit, Path(id): Path<String>) -> Response {
    visit.answer(form(&visit, &id, |application| Page::ReplaceSigningKey { application }).await).await
}

/// Registers another public key.
pub async fn replace(visit: Visit, Path(id): Path<String>, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let public_key =
            PublicKey::from_pem(sent.text("public_key")).map_err(|error| Refused::field("public_key", error))?;
        let replacement = read_overlap(&sent)?;
        let reason = sent.reason()?;
        let application = id.parse().map_err(|_| BackendError::NotFound)?;
        let backend = &visit.web.backend;
        let twin = backend
            .replace_signing_key(&visit.actor, application, sent.version(), public_key, replacement, reason)
            .await?;
        Ok(if twin { Notice::SigningKeyReplacedTwin } else { Notice::SigningKeyReplaced })
    };
    let page = async || form(&visit, &id, |application| Page::ReplaceSigningKey { application }).await;
    visit.changed(result.await, &id, sent, page).await
}

/// Shows the form that makes an earlier key current again.
pub async fn restore_form(visit: Visit, Path((id, key)): Path<(String, SigningKeyId)>) -> Response {
    let page = find(&visit, &id, key).await.map(|(application, key)| Page::RestoreSigningKey { application, key });
    visit.answer(page).await
}

/// Makes an earlier key current again.
pub async fn restore(visit: Visit, Path((id, key)): Path<(String, SigningKeyId)>, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let (replacement, reason) = (read_overlap(&sent)?, sent.reason()?);
        visit
            .change(&id, sent.version(), |application, by| {
                application.restore_signing_key(key, replacement, reason, by)
            })
            .await?;
        Ok(Notice::SigningKeyRestored)
    };
    let page =
        async || find(&visit, &id, key).await.map(|(application, key)| Page::RestoreSigningKey { application, key });
    visit.changed(result.await, &id, sent, page).await
}

/// Shows the form that ends a key's overlap.
pub async fn retire_form(visit: Visit, Path((id, key)): Path<(String, SigningKeyId)>) -> Response {
    visit.answer(retirement(&visit, &id, key).await).await
}

/// Ends a key's overlap.
pub async fn retire(visit: Visit, Path((id, key)): Path<(String, SigningKeyId)>, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        visit.change(&id, sent.version(), |application, by| application.retire_signing_key(key, by)).await?;
        Ok(Notice::SigningKeyRetired)
    };
    visit.changed(result.await, &id, sent, async || retirement(&visit, &id, key).await).await
}

async fn retirement(visit: &Visit, id: &str, key: SigningKeyId) -> Result<Page, BackendError> {
    let (application, key) = find(visit, id, key).await?;
    let mut used = visit.web.backend.application_usage(&visit.actor, application.id).await?;
    Ok(Page::RetireSigningKey { usage: used.signing_keys.remove(&key.id).map(usage), application, key })
}

async fn find(visit: &Visit, id: &str, key: SigningKeyId) -> Result<(ApiApplication, SigningKey), BackendError> {
    let application = visit.application(id).await?;
    let key = application.signing_key(key).map_err(|_| BackendError::NotFound)?.clone();
    Ok((application, key))
}

/// What becomes of the current key: `none`, or a number of seconds.
fn read_overlap(sent: &Submitted) -> Result<SigningKeyReplacement, Refused> {
    if sent.text("overlap") == "none" {
        return Ok(SigningKeyReplacement::StopNow);
    }
    sent.seconds("overlap").map(SigningKeyReplacement::WithOverlap)
}
