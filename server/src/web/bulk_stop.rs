//! Stopping many applications at once: all of an organization, or all that use a signing key.

use super::{
    submitted::{Refused, Submitted},
    visit::Visit,
};
use crate::backend::{BackendError, bulk_stop};
use app::{
    page::{Page, StopScope},
    paths::{self, Place},
};
use axum::response::Response;
use domain::id::ApplicationId;
use std::collections::HashSet;

/// Shows what a stop of all of an organization's applications would stop.
pub async fn everything_form(visit: Visit) -> Response {
    let scope = everything(&visit);
    visit.answer(preview(&visit, scope).await).await
}

/// Stops all of an organization's applications.
pub async fn stop_everything(visit: Visit, sent: Submitted) -> Response {
    let scope = everything(&visit);
    stop(visit, scope, sent).await
}

/// Shows what a stop of every application that uses a signing key would stop.
pub async fn signing_key_form(visit: Visit) -> Response {
    let page = async { preview(&visit, signing_key(&visit)?).await };
    visit.answer(page.await).await
}

/// Stops every application that uses a signing key.
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

async fn preview(visit: &Visit, scope: StopScope) -> Result<Page, BackendError> {
    let applications = visit.web.backend.stop_preview(&visit.actor, asked(visit, &scope)).await?;
    let blocked = match &scope {
        StopScope::Organization { .. } => None,
        StopScope::SigningKey { fingerprint } => visit.web.backend.blocked_key(&visit.actor, fingerprint).await?,
    };
    Ok(Page::BulkStop { scope, applications, blocked })
}

/// What was stopped stands in this answer: sent again, the form finds nothing left to stop.
async fn stop(visit: Visit, scope: StopScope, sent: Submitted) -> Response {
    let stopped = async {
        let reason = sent.why_in_emergency()?;
        let seen: HashSet<ApplicationId> = sent.all("seen").filter_map(|id| id.parse().ok()).collect();
        Ok::<_, Refused>(visit.web.backend.stop_all(&visit.actor, asked(&visit, &scope), &seen, reason).await?)
    };
    match stopped.await {
        Ok(bulk_stop::Stopped { applications, is_unrecorded }) => {
            visit.show(Page::BulkStopped { scope, applications, is_unrecorded }).await
        }
        Err(refused) => visit.show_again(refused, sent, async || preview(&visit, scope).await).await,
    }
}
