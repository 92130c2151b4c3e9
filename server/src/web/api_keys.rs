//! Pages for an application's API keys: replace, confirm, move a deadline, keep, revoke.

use super::{
    applications::usage,
    submitted::{NOT_A_TIME, Refused, Submitted},
    visit::Visit,
};
use crate::backend::{ApplicationUsage, BackendError, IssuedApiKey, Said};
use app::page::{Notice, Page};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    access::Operation,
    api_key::ApiKey,
    application::{ApiApplication, By, Replacement},
    audit::{AuditAction, AuditFilter, AuditScope, RecordedEvent},
    id::ApiKeyId,
    text::ApplicationName,
    time::Timestamp,
};

/// Number of latest events searched for a key that the same form has already created.
const RECENT_EVENTS: i64 = 20;

async fn replace_page(visit: &Visit) -> Result<Page, BackendError> {
    visit.form(Operation::RotateApiKeys, |application| Page::ReplaceApiKey { application }).await
}

/// Shows the form for a replacement with a grace window.
pub async fn replace_form(visit: Visit) -> Response {
    visit.answer(replace_page(&visit).await).await
}

/// Creates a replacement key; the earlier keys keep working during the grace window.
pub async fn replace(visit: Visit, sent: Submitted) -> Response {
    let issued = async {
        let (backend, asked, said) = (&visit.web.backend, visit.asked()?, sent.said()?);
        Ok(match sent.text("grace") {
            "until" => backend.replace_api_key_until(asked, said, deadline(&sent)?).await?,
            _ => {
                let replacement = Replacement::WithGrace(sent.seconds("grace")?);
                backend.replace_api_key(asked, said, replacement).await?
            }
        })
    };
    show_issued(&visit, issued.await, sent, async || replace_page(&visit).await).await
}

async fn replace_exposed_page(visit: &Visit) -> Result<Page, BackendError> {
    visit.form(Operation::RotateApiKeys, |application| Page::ReplaceExposedApiKey { application }).await
}

/// Shows the form for a replacement after suspected exposure.
pub async fn replace_exposed_form(visit: Visit) -> Response {
    visit.answer(replace_exposed_page(&visit).await).await
}

/// Creates a replacement key and ends every other key immediately.
pub async fn replace_exposed(visit: Visit, sent: Submitted) -> Response {
    let issued =
        async { Ok(visit.web.backend.replace_api_key(visit.asked()?, sent.said()?, Replacement::StopNow).await?) };
    show_issued(&visit, issued.await, sent, async || replace_exposed_page(&visit).await).await
}

async fn prepare_page(visit: &Visit) -> Result<Page, BackendError> {
    visit.form(Operation::PrepareReplacement, |application| Page::PrepareReplacement { application }).await
}

/// Shows the form that prepares a replacement key.
pub async fn prepare_form(visit: Visit) -> Response {
    visit.answer(prepare_page(&visit).await).await
}

/// Prepares a replacement key for the partner to claim.
pub async fn prepare(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let replacement = match sent.text("grace") {
            "none" => Replacement::StopNow,
            _ => Replacement::WithGrace(sent.seconds("grace")?),
        };
        let prepare = |application: ApiApplication, by: By<'_>| application.prepare_replacement(replacement, by);
        visit.change(&sent, Operation::PrepareReplacement, prepare).await?;
        Ok(Notice::ReplacementPrepared)
    };
    visit.changed(result.await, sent, async || prepare_page(&visit).await).await
}

async fn withdraw_page(visit: &Visit) -> Result<Page, BackendError> {
    visit.form(Operation::WithdrawReplacement, |application| Page::WithdrawReplacement { application }).await
}

/// Shows the form that withdraws or declines a prepared replacement key.
pub async fn withdraw_form(visit: Visit) -> Response {
    visit.answer(withdraw_page(&visit).await).await
}

/// Withdraws or declines a prepared replacement key.
pub async fn withdraw(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        visit.change(&sent, Operation::WithdrawReplacement, ApiApplication::withdraw_replacement).await?;
        Ok(Notice::ReplacementWithdrawn)
    };
    visit.changed(result.await, sent, async || withdraw_page(&visit).await).await
}

async fn claim_page(visit: &Visit) -> Result<Page, BackendError> {
    visit.form(Operation::RotateApiKeys, |application| Page::ClaimReplacement { application }).await
}

/// Shows the form that claims a prepared replacement key.
pub async fn claim_form(visit: Visit) -> Response {
    visit.answer(claim_page(&visit).await).await
}

/// Issues the prepared replacement key.
pub async fn claim(visit: Visit, sent: Submitted) -> Response {
    let issued = async { Ok(visit.web.backend.claim_replacement(visit.asked()?, sent.said()?).await?) };
    show_issued(&visit, issued.await, sent, async || claim_page(&visit).await).await
}

/// Shows a new key in this response, the only one that contains it.
async fn show_issued(
    visit: &Visit,
    issued: Result<IssuedApiKey, Refused>,
    sent: Submitted,
    page: impl AsyncFnOnce() -> Result<Page, BackendError>,
) -> Response {
    match issued {
        Ok(issued) => {
            let page = Page::OneTimeKey { application: issued.application, api_key_id: issued.id, key: issued.key };
            visit.show(page).await
        }
        Err(Refused::Backend(error @ BackendError::StaleByYou(_))) => match created_before(visit, &sent).await {
            Ok(Some((used, key))) => already_created(visit, used, key).await,
            Ok(None) => visit.show_again(error.into(), sent, page).await,
            Err(error) => visit.answer(Err(error)).await,
        },
        Err(refused) => visit.show_again(refused, sent, page).await,
    }
}

/// Returns the key that this user created since they opened the submitted form; `None` if they changed something else.
async fn created_before(visit: &Visit, sent: &Submitted) -> Result<Option<(ApplicationUsage, ApiKey)>, BackendError> {
    let backend = &visit.web.backend;
    let asked = visit.asked()?;
    let used = backend.application_usage(asked, Operation::RotateApiKeys).await?;
    let seen_version: i64 = sent.text("version").parse().unwrap_or(used.application.version);
    let changes = used.application.version.saturating_sub(seen_version);
    let scope = AuditScope::Application(asked.organization, asked.application);
    let events = backend.audit_events(asked.actor, scope, AuditFilter::default(), None, RECENT_EVENTS).await?;
    // The events of one change have the same time.
    let (mut passed, mut at) = (0, None);
    for RecordedEvent { event, .. } in events {
        passed += i64::from(at.replace(event.at) != Some(event.at));
        if passed > changes || event.actor.user_id != visit.actor.user_id {
            break;
        }
        if event.action == AuditAction::ApiKeyCreated {
            let key = used.application.api_keys.iter().find(|key| key.prefix.as_str() == event.target).cloned();
            return Ok(key.map(|key| (used, key)));
        }
    }
    Ok(None)
}

/// Answers a form that the same user submits again: the key was shown in the first response.
pub async fn already_created(visit: &Visit, used: ApplicationUsage, key: ApiKey) -> Response {
    let is_used = used.api_keys.contains_key(&key.id);
    let page = Page::KeyAlreadyCreated { application: used.application, key, is_used };
    visit.show_with(StatusCode::CONFLICT, page).await
}

/// Redirects a GET on a POST-only route to the application page, for example after a sign-in.
pub async fn back_to_application(visit: Visit) -> Response {
    match visit.application(Operation::ViewApplications).await {
        Ok(application) => Redirect::to(&visit.place.application(application.id)).into_response(),
        Err(error) => visit.answer(Err(error)).await,
    }
}

/// Records that the user has stored the key that was shown.
pub async fn confirm_stored(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let key = visit.param("key")?;
        // No version is required: the key was stored, whatever has changed meanwhile.
        let confirm = |application: ApiApplication, by: By<'_>| application.confirm_stored(key, by);
        visit.web.backend.change(visit.asked()?, Operation::ConfirmApiKeys, Said::default(), confirm).await?;
        Ok(Notice::KeyStored)
    };
    visit.changed(result.await, sent, async || deadline_page(&visit).await).await
}

async fn finish_page(visit: &Visit) -> Result<Page, BackendError> {
    visit.form(Operation::RotateApiKeys, |application| Page::FinishByItself { application }).await
}

/// Shows the form that enables automatic revocation of the old keys.
pub async fn finish_form(visit: Visit) -> Response {
    visit.answer(finish_page(&visit).await).await
}

/// Enables automatic revocation of the old keys.
pub async fn finish(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let hold = sent.seconds("hold")?;
        let order = |application: ApiApplication, by: By<'_>| application.finish_by_itself(hold, by);
        visit.change(&sent, Operation::RotateApiKeys, order).await?;
        Ok(Notice::AutoFinishSet)
    };
    visit.changed(result.await, sent, async || finish_page(&visit).await).await
}

/// Cancels automatic revocation of the old keys.
pub async fn cancel_finish(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        visit.change(&sent, Operation::RotateApiKeys, ApiApplication::cancel_auto_finish).await?;
        Ok(Notice::AutoFinishCancelled)
    };
    visit.changed(result.await, sent, async || finish_page(&visit).await).await
}

/// Issues and shows another key in place of one that was never seen.
pub async fn replace_unseen(visit: Visit, sent: Submitted) -> Response {
    let issued = async {
        let (asked, said, unseen) = (visit.asked()?, sent.said()?, visit.param("key")?);
        Ok(visit.web.backend.replace_unseen_api_key(asked, said, unseen).await?)
    };
    show_issued(&visit, issued.await, sent, async || revoke_page(&visit).await).await
}

/// Reads the time at which a key expires.
fn deadline(sent: &Submitted) -> Result<Timestamp, Refused> {
    Timestamp::from_input_value(sent.text("deadline")).ok_or_else(|| Refused::field("deadline", NOT_A_TIME))
}

async fn deadline_page(visit: &Visit) -> Result<Page, BackendError> {
    let application = visit.application(Operation::RotateApiKeys).await?;
    let key = application.api_key(visit.param("key")?).map_err(|_| BackendError::NotFound)?.clone();
    Ok(Page::ApiKeyDeadline { application, key })
}

/// Shows the form for an expiring key's deadline.
pub async fn deadline_form(visit: Visit) -> Response {
    visit.answer(deadline_page(&visit).await).await
}

/// Moves an expiring key's deadline.
pub async fn move_deadline(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let key = visit.param("key")?;
        let at = deadline(&sent)?;
        let change = |application: ApiApplication, by: By<'_>| application.move_deadline(key, at, by);
        visit.change(&sent, Operation::RotateApiKeys, change).await?;
        Ok(Notice::DeadlineMoved)
    };
    visit.changed(result.await, sent, async || deadline_page(&visit).await).await
}

/// Makes an expiring key active again.
pub async fn keep(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let key = visit.param("key")?;
        visit.change(&sent, Operation::RotateApiKeys, |application, by| application.keep_api_key(key, by)).await?;
        Ok(Notice::KeyKept)
    };
    visit.changed(result.await, sent, async || deadline_page(&visit).await).await
}

async fn revoke_page(visit: &Visit) -> Result<Page, BackendError> {
    let backend = &visit.web.backend;
    let used = backend.application_usage(visit.asked()?, Operation::RevokeApiKeys).await?;
    let key = used.application.api_key(visit.param("key")?).map_err(|_| BackendError::NotFound)?.clone();
    let traffic = backend.traffic(visit.asked()?).await?.api_keys;
    let usage = used.api_keys.into_iter().map(|(id, used)| (id, usage(used))).collect();
    Ok(Page::RevokeApiKey { application: used.application, key, usage, traffic })
}

/// Shows the form that revokes a key.
pub async fn revoke_form(visit: Visit) -> Response {
    visit.answer(revoke_page(&visit).await).await
}

/// Revokes a key. To revoke the last live key, the application's name must be typed.
pub async fn revoke(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let key: ApiKeyId = visit.param("key")?;
        let application = visit.application(Operation::RevokeApiKeys).await?;
        let now = visit.web.backend.clock().now();
        let is_last = application.live_keys(now).all(|live| live.id == key);
        let typed = ApplicationName::from_stored(sent.text("confirm_name"));
        if is_last && typed.as_ref() != Ok(&application.name) {
            let words = format!("Type the application's name, {}, to revoke its last live key.", application.name);
            return Err(Refused::field("confirm_name", words));
        }
        let is_exposed = sent.text("exposed") == "yes";
        let revoke = |application: ApiApplication, by: By<'_>| match is_exposed {
            true => application.revoke_exposed_api_key(key, by),
            false => application.revoke_api_key(key, by),
        };
        visit.change(&sent, Operation::RevokeApiKeys, revoke).await?;
        Ok(Notice::KeyRevoked)
    };
    visit.changed(result.await, sent, async || revoke_page(&visit).await).await
}
