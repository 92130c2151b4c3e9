//! An application's API keys: replace, confirm, move a deadline, keep, revoke.

use super::{
    applications::{form, usage},
    submitted::{Refused, Submitted},
    visit::Visit,
};
use crate::backend::BackendError;
use app::page::{Notice, Page};
use axum::{extract::Path, response::Response};
use domain::{
    api_key::ApiKey,
    application::{ApiApplication, Replacement},
    id::ApiKeyId,
    text::Reason,
    time::Timestamp,
};

/// Shows the form for a replacement with a grace window.
pub async fn replace_form(visit: Visit, Path(id): Path<String>) -> Response {
    visit.answer(form(&visit, &id, |application| Page::ReplaceApiKey { application }).await).await
}

/// Creates a replacement key; the keys before it work on for the grace window.
pub async fn replace(visit: Visit, Path(id): Path<String>, sent: Submitted) -> Response {
    let asked = async {
        sent.check()?;
        Ok((Replacement::WithGrace(sent.seconds("grace")?), None))
    };
    let page = async || form(&visit, &id, |application| Page::ReplaceApiKey { application }).await;
    issue(&visit, &id, asked.await, sent, page).await
}

/// Shows the form for a replacement on suspected exposure.
pub async fn replace_exposed_form(visit: Visit, Path(id): Path<String>) -> Response {
    visit.answer(form(&visit, &id, |application| Page::ReplaceExposedApiKey { application }).await).await
}

/// Creates a replacement key and stops every other at once.
pub async fn replace_exposed(visit: Visit, Path(id): Path<String>, sent: Submitted) -> Response {
    let asked = async {
        sent.check()?;
        Ok((Replacement::StopNow, sent.reason()?))
    };
    let page = async || form(&visit, &id, |application| Page::ReplaceExposedApiKey { application }).await;
    issue(&visit, &id, asked.await, sent, page).await
}

/// Makes the replacement, and shows the new key: here, in this answer, once.
async fn issue(
    visit: &Visit,
    id: &str,
    asked: Result<(Replacement, Option<Reason>), Refused>,
    sent: Submitted,
    page: impl AsyncFnOnce() -> Result<Page, BackendError>,
) -> Response {
    let issued = async {
        let (replacement, reason) = asked?;
        let application = id.parse().map_err(|_| BackendError::NotFound)?;
        let backend = &visit.web.backend;
        Ok(backend.replace_api_key(&visit.actor, application, sent.version(), replacement, reason).await?)
    };
    match issued.await {
        Ok(issued) => {
            let page = Page::OneTimeKey { application: issued.application, api_key_id: issued.id, key: issued.key };
            visit.show(page).await
        }
        Err(refused) => visit.show_again(refused, sent, page).await,
    }
}

/// Records that the person has stored the key they were shown.
pub async fn confirm_stored(visit: Visit, Path((id, key)): Path<(String, ApiKeyId)>, sent: Submitted) -> Response {
    // Without a version: whatever happened meanwhile, the key was stored.
    let result = async {
        visit.change(&id, None, |application, by| application.confirm_stored(key, by)).await?;
        Ok(Notice::KeyStored)
    };
    visit.changed(result.await, &id, sent, async || back(&visit, &id, key).await).await
}

/// Shows the form for an expiring key's deadline.
pub async fn deadline_form(visit: Visit, Path((id, key)): Path<(String, ApiKeyId)>) -> Response {
    visit.answer(back(&visit, &id, key).await).await
}

/// Moves an expiring key's deadline.
pub async fn move_deadline(visit: Visit, Path((id, key)): Path<(String, ApiKeyId)>, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let at = Timestamp::from_input_value(sent.text("deadline"))
            .ok_or_else(|| Refused::field("deadline", "Enter a date and a time (UTC), such as 2026-11-23T18:30."))?;
        visit.change(&id, sent.version(), |application, by| application.move_deadline(key, at, by)).await?;
        Ok(Notice::DeadlineMoved)
    };
    visit.changed(result.await, &id, sent, async || back(&visit, &id, key).await).await
}

/// Makes an expiring key active again.
pub async fn keep(visit: Visit, Path((id, key)): Path<(String, ApiKeyId)>, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        visit.change(&id, sent.version(), |application, by| application.keep_api_key(key, by)).await?;
        Ok(Notice::KeyKept)
    };
    visit.changed(result.await, &id, sent, async || back(&visit, &id, key).await).await
}

/// Shows the form that revokes a key.
pub async fn revoke_form(visit: Visit, Path((id, key)): Path<(String, ApiKeyId)>) -> Response {
    visit.answer(revocation(&visit, &id, key).await).await
}

/// Revokes a key. For the last live one the application's name must be typed.
pub async fn revoke(visit: Visit, Path((id, key)): Path<(String, ApiKeyId)>, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let reason = sent.reason()?;
        let application = visit.application(&id).await?;
        let now = visit.web.backend.clock().now();
        let is_last = application.live_keys(now).all(|live| live.id == key);
        if is_last && sent.text("confirm_name").trim() != application.name.as_str() {
            let words = format!("Type the application's name, {}, to revoke its last live key.", application.name);
            return Err(Refused::field("confirm_name", words));
        }
        visit.change(&id, sent.version(), |application, by| application.revoke_api_key(key, reason, by)).await?;
        Ok(Notice::KeyRevoked)
    };
    visit.changed(result.await, &id, sent, async || revocation(&visit, &id, key).await).await
}

async fn back(visit: &Visit, id: &str, key: ApiKeyId) -> Result<Page, BackendError> {
    let (application, key) = find(visit, id, key).await?;
    Ok(Page::ApiKeyDeadline { application, key })
}

async fn revocation(visit: &Visit, id: &str, key: ApiKeyId) -> Result<Page, BackendError> {
    let (application, key) = find(visit, id, key).await?;
    let mut used = visit.web.backend.application_usage(&visit.actor, application.id).await?;
    Ok(Page::RevokeApiKey { usage: used.api_keys.remove(&key.id).map(usage), application, key })
}

async fn find(visit: &Visit, id: &str, key: ApiKeyId) -> Result<(ApiApplication, ApiKey), BackendError> {
    let application = visit.application(id).await?;
    let key = application.api_key(key).map_err(|_| BackendError::NotFound)?.clone();
    Ok((application, key))
}
