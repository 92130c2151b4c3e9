//! Pages for the blocked signing keys and their release.

use super::{
    submitted::Submitted,
    visit::{Visit, redirect},
};
use crate::backend::BackendError;
use app::{
    page::{BlockedKeyView, Notice, Page},
    paths,
};
use axum::response::Response;
use domain::{
    access::{Operation, allows},
    time::Timestamp,
};

/// Shows the blocked keys.
pub async fn list(visit: Visit) -> Response {
    visit.answer(list_page(&visit).await).await
}

async fn list_page(visit: &Visit) -> Result<Page, BackendError> {
    let backend = &visit.web.backend;
    let mut keys = Vec::new();
    for blocked in backend.blocked_keys(&visit.actor).await? {
        let waiting = match blocked.is_in_force() {
            true => backend.applications_with(&visit.actor, &blocked.fingerprint).await?,
            false => 0,
        };
        keys.push(BlockedKeyView { blocked, waiting });
    }
    Ok(Page::BlockedKeys { keys })
}

/// Shows the form that releases a key.
pub async fn release_form(visit: Visit) -> Response {
    visit.answer(release_page(&visit).await).await
}

async fn release_page(visit: &Visit) -> Result<Page, BackendError> {
    if !allows(visit.actor.role, Operation::ReleaseSigningKey) {
        return Err(BackendError::Forbidden);
    }
    let blocked = visit.web.backend.blocked_key(&visit.actor, &fingerprint(visit)?).await?;
    Ok(Page::ReleaseSigningKey { blocked: blocked.ok_or(BackendError::NotFound)? })
}

/// Releases a key.
pub async fn release(visit: Visit, sent: Submitted) -> Response {
    let released = async {
        // The version of a block is its time.
        let blocked_at = Timestamp::from_millis(sent.seen_version()?);
        let (fingerprint, why) = (fingerprint(&visit)?, sent.why()?);
        Ok(visit.web.backend.release_key(&visit.actor, &fingerprint, blocked_at, why.as_ref()).await?)
    };
    match released.await {
        Ok(()) => redirect(paths::HUB_SIGNING_KEYS, Notice::SigningKeyReleased),
        Err(refused) => visit.show_again(refused, sent, async || release_page(&visit).await).await,
    }
}

fn fingerprint(visit: &Visit) -> Result<String, BackendError> {
    let part: String = visit.param("fingerprint")?;
    paths::fingerprint_in_path(&part).ok_or(BackendError::NotFound)
}
