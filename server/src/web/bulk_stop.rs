//! Pages for disabling many applications at once: all of an organization, or all that use a signing key.

use super::{
    submitted::{Refused, Submitted},
    visit::Visit,
};
use crate::backend::{BackendError, bulk_stop};
use app::{
    page::{Notice, Page, StopScope},
    paths::{self, Place},
};
use axum::response::Response;
use domain::id::ApplicationId;
use std::collections::HashSet;

/// Shows the preview of disabling all of an organization's applications.
pub async fn everything_form(visit: Visit) -> Response {
    let scope = everything(&visit);
    show(&visit, preview(&visit, scope).await).await
}

/// Disables all of an organization's applications.
pub async fn stop_everything(visit: Visit, sent: Submitted) -> Response {
    let scope = everything(&visit);
    stop(visit, scope, sent).await
}

/// Shows the preview of disabling every application that uses a signing key.
pub async fn signing_key_form(visit: Visit) -> Response {
    let page = async { preview(&visit, signing_key(&visit)?).await };
    show(&visit, page.await).await
}

/// Disables every application that uses a signing key.
pub async fn stop_signing_key(visit: Visit, sent: Submitted) -> Response {
    match signing_key(&visit) {
        Ok(scope) => stop(visit, scope, sent).await,
        Err(error) => visit.answer(Err(error)).await,
    }
}

fn everything(visit: &Visit) -> StopScope {
    let name = match &visit.place {
        Place::Settings | Place::Nuvera => &visit.actor.organization_name,
        Place::Hub { name, .. } => name,
    };
    StopScope::Organization { name: name.clone() }
}

fn signing_key(visit: &Visit) -> Result<StopScope, BackendError> {
    let part: String = visit.param("fingerprint")?;
    let fingerprint = paths::fingerprint_in_path(&part).ok_or(BackendError::NotFound)?;
    Ok(StopScope::SigningKey { fingerprint })
}

fn asked<'a>(visit: &Visit, scope: &'a StopScope) -> bulk_stop::StopScope<'a> {
    match scope {
        StopScope::Organization { .. } => bulk_stop::StopScope::Organization(visit.organization()),
        StopScope::SigningKey { fingerprint } => bulk_stop::StopScope::SigningKey(fingerprint),
    }
}

/// Builds the preview. The second value is whether the database did not answer.
async fn preview(visit: &Visit, scope: StopScope) -> Result<(Page, bool), BackendError> {
    let (backend, asked) = (&visit.web.backend, asked(visit, &scope));
    let (applications, is_from_memory) = match visit.is_from_memory {
        true => (backend.known_in_scope(&visit.actor, &asked.into())?, true),
        false => backend.stop_preview(&visit.actor, asked).await?,
    };
    let blocked = match &scope {
        StopScope::SigningKey { fingerprint } if !is_from_memory => {
            backend.blocked_key(&visit.actor, fingerprint).await?
        }
        StopScope::SigningKey { .. } | StopScope::Organization { .. } => None,
    };
    Ok((Page::BulkStop { scope, applications, blocked }, is_from_memory))
}

async fn show(visit: &Visit, preview: Result<(Page, bool), BackendError>) -> Response {
    match preview {
        Ok((page, true)) => visit.show_with_notice(page, Some(Notice::DatabaseUnavailable)).await,
        page => visit.answer(page.map(|(page, _)| page)).await,
    }
}

/// Disables the applications and shows the result in this response, because submitting the form again would find
/// nothing left to disable.
async fn stop(visit: Visit, scope: StopScope, sent: Submitted) -> Response {
    let stopped = async {
        let reason = Some(sent.why_in_emergency()?);
        let seen: HashSet<ApplicationId> = sent.all("seen").filter_map(|id| id.parse().ok()).collect();
        Ok::<_, Refused>(visit.web.backend.stop_all(&visit.actor, asked(&visit, &scope), &seen, reason).await?)
    };
    match stopped.await {
        Ok(bulk_stop::Stopped { applications, is_unrecorded }) => {
            visit.show(Page::BulkStopped { scope, applications, is_unrecorded }).await
        }
        Err(refused) => visit.show_again(refused, sent, async || Ok(preview(&visit, scope).await?.0)).await,
    }
}
