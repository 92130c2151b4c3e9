//! The list of applications, a new one, and one application's own pages.

use super::{
    submitted::{Refused, Submitted},
    visit::Visit,
};
use crate::{
    backend::{AUDIT_PAGE, BackendError, CreateApplication},
    random,
    store::usage::KeyUsage,
};
use app::page::{ApplicationSummary, ApplicationView, FieldError, Notice, Page, Usage};
use axum::{
    extract::{Path, Query},
    response::Response,
};
use domain::{
    application::ApiApplication,
    id::ApplicationId,
    permission::{Permission, PermissionError, PermissionSet},
    public_key::PublicKey,
    text::{ApplicationName, Reason},
};
use serde::Deserialize;

/// How many events an application's own page shows.
const RECENT_EVENTS: i64 = 5;

/// Shows the organization's applications.
pub async fn list(visit: Visit) -> Response {
    let found = visit.web.backend.applications(&visit.actor).await;
    let page = found.map(|found| {
        let summary = |(application, last_used_at)| ApplicationSummary { application, last_used_at };
        Page::Applications { items: found.into_iter().map(summary).collect() }
    });
    visit.answer(page).await
}

/// Shows the form for a new application.
pub async fn create_form(visit: Visit) -> Response {
    // Who may not see applications is told so here, and not after filling in the form.
    let page = visit.web.backend.applications(&visit.actor).await.map(|_| new_application(&visit));
    visit.answer(page).await
}

/// Creates an application, and shows its first API key: here, in this answer, once.
pub async fn create(visit: Visit, sent: Submitted) -> Response {
    let created = async {
        let asked = read_new_application(&sent)?;
        Ok(visit.web.backend.create_application(&visit.actor, asked).await?)
    };
    match created.await {
        Ok((issued, twin)) => {
            let page = Page::OneTimeKey { application: issued.application, api_key_id: issued.id, key: issued.key };
            visit.show_with_notice(page, twin.then_some(Notice::CreatedTwin)).await
        }
        Err(refused) => {
            let token = sent.text("creation_token").to_owned();
            let page = async || match token.is_empty() {
                true => Ok(new_application(&visit)),
                false => Ok(Page::NewApplication { creation_token: token }),
            };
            visit.show_again(refused, sent, page).await
        }
    }
}

/// Shows one application.
pub async fn show(visit: Visit, Path(id): Path<String>) -> Response {
    let page = async {
        let id: ApplicationId = id.parse().map_err(|_| BackendError::NotFound)?;
        let found = visit.web.backend.application_usage(&visit.actor, id).await?;
        let recent = visit.web.backend.audit_events(&visit.actor, id, None, RECENT_EVENTS).await?;
        let view = ApplicationView {
            application: found.application,
            api_key_usage: found.api_keys.into_iter().map(|(id, used)| (id, usage(used))).collect(),
            signing_key_usage: found.signing_keys.into_iter().map(|(id, used)| (id, usage(used))).collect(),
        };
        Ok(Page::Application { view, recent })
    };
    visit.answer(page.await).await
}

/// Shows the form for another name.
pub async fn rename_form(visit: Visit, Path(id): Path<String>) -> Response {
    visit.answer(form(&visit, &id, |application| Page::Rename { application }).await).await
}

/// Renames an application.
pub async fn rename(visit: Visit, Path(id): Path<String>, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let name = ApplicationName::new(sent.text("name")).map_err(|error| Refused::field("name", error))?;
        visit.change(&id, sent.version(), |application, by| application.rename(name, by)).await?;
        Ok(Notice::Renamed)
    };
    let page = async || form(&visit, &id, |application| Page::Rename { application }).await;
    visit.changed(result.await, &id, sent, page).await
}

/// Shows the form for other permissions.
pub async fn permissions_form(visit: Visit, Path(id): Path<String>) -> Response {
    visit.answer(form(&visit, &id, |application| Page::Permissions { application }).await).await
}

/// Changes what an application may do.
pub async fn change_permissions(visit: Visit, Path(id): Path<String>, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let permissions = read_permissions(&sent).map_err(|error| Refused::field("permissions", error))?;
        visit.change(&id, sent.version(), |application, by| application.change_permissions(permissions, by)).await?;
        Ok(Notice::PermissionsChanged)
    };
    let page = async || form(&visit, &id, |application| Page::Permissions { application }).await;
    visit.changed(result.await, &id, sent, page).await
}

/// Shows the form that disables.
pub async fn disable_form(visit: Visit, Path(id): Path<String>) -> Response {
    visit.answer(form(&visit, &id, |application| Page::Disable { application }).await).await
}

/// Disables an application, whatever happened to it meanwhile: a stop is not held up by a version.
pub async fn disable(visit: Visit, Path(id): Path<String>, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let reason = Reason::new(sent.text("reason")).map_err(|error| Refused::field("reason", error))?;
        let application = id.parse().map_err(|_| BackendError::NotFound)?;
        let unrecorded = visit.web.backend.disable(&visit.actor, application, reason).await?;
        Ok(if unrecorded { Notice::DisabledUnrecorded } else { Notice::Disabled })
    };
    let page = async || form(&visit, &id, |application| Page::Disable { application }).await;
    visit.changed(result.await, &id, sent, page).await
}

/// Shows the form that enables.
pub async fn enable_form(visit: Visit, Path(id): Path<String>) -> Response {
    visit.answer(form(&visit, &id, |application| Page::Enable { application }).await).await
}

/// Enables an application.
pub async fn enable(visit: Visit, Path(id): Path<String>, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let reason = Reason::new(sent.text("reason")).map_err(|error| Refused::field("reason", error))?;
        visit.change(&id, sent.version(), |application, by| application.enable(reason, by)).await?;
        Ok(Notice::Enabled)
    };
    let page = async || form(&visit, &id, |application| Page::Enable { application }).await;
    visit.changed(result.await, &id, sent, page).await
}

/// Where a page of the history begins.
#[derive(Deserialize)]
pub struct Before {
    before: Option<i64>,
}

/// Shows an application's audit history.
pub async fn audit(visit: Visit, Path(id): Path<String>, Query(Before { before }): Query<Before>) -> Response {
    let page = async {
        let application = visit.application(&id).await?;
        // One more than is shown tells whether there are older ones.
        let backend = &visit.web.backend;
        let mut events = backend.audit_events(&visit.actor, application.id, before, AUDIT_PAGE + 1).await?;
        let has_older = events.len() > AUDIT_PAGE as usize;
        events.truncate(AUDIT_PAGE as usize);
        Ok(Page::Audit {
            application_id: application.id,
            application_name: application.name.to_string(),
            older: events.last().filter(|_| has_older).map(|event| event.sequence),
            is_continued: before.is_some(),
            events,
        })
    };
    visit.answer(page.await).await
}

/// A page with a form about the application that the path names.
pub async fn form(visit: &Visit, id: &str, page: impl FnOnce(ApiApplication) -> Page) -> Result<Page, BackendError> {
    visit.application(id).await.map(page)
}

/// What a page shows of a key's use.
pub fn usage(used: KeyUsage) -> Usage {
    let KeyUsage { first_used_at, last_used_at, address, user_agent, requests } = used;
    Usage { first_used_at, last_used_at, address, user_agent, count: requests }
}

fn new_application(visit: &Visit) -> Page {
    Page::NewApplication { creation_token: random::uuid(visit.web.backend.clock().now()).to_string() }
}

/// Reads the whole form before it is refused, so that every mistake is told at once.
fn read_new_application(sent: &Submitted) -> Result<CreateApplication, Refused> {
    sent.check()?;
    let mut errors = Vec::new();
    let mut wrong = |field, message: String| errors.push(FieldError { field, message });
    let name = ApplicationName::new(sent.text("name")).map_err(|error| wrong("name", error.to_string()));
    let public_key = PublicKey::from_pem(sent.text("public_key")).map_err(|e| wrong("public_key", e.to_string()));
    let permissions = read_permissions(sent).map_err(|error| wrong("permissions", error.to_string()));
    let creation_token = sent.text("creation_token").to_owned();
    match (name, public_key, permissions) {
        (Ok(name), Ok(public_key), Ok(permissions)) if (1..=64).contains(&creation_token.len()) => {
            Ok(CreateApplication { name, public_key, permissions, creation_token })
        }
        (Ok(_), Ok(_), Ok(_)) => {
            Err(Refused::Form("This form is out of date. Check what it holds, and send it again.".to_owned()))
        }
        _ => Err(Refused::Fields(errors)),
    }
}

fn read_permissions(sent: &Submitted) -> Result<PermissionSet, PermissionError> {
    let permissions = sent.all("permissions").map(str::parse::<Permission>).collect::<Result<Vec<_>, _>>()?;
    PermissionSet::new(permissions)
}
