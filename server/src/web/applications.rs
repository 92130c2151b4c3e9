//! Pages: the list of applications, the form for a new one, and one application's own pages.

use super::{
    api_keys, approval,
    signing_keys::read_proof,
    submitted::{Refused, Submitted},
    visit::Visit,
};
use crate::{
    backend::{Asked, BackendError, CreateApplication, authorise},
    gateway::DenyScope,
    random,
    store::{StoreError, usage::KeyUsage},
};
use app::{
    page::{ApplicationSummary, ApplicationView, FieldError, Notice, Page, StopScope, SupportView, Usage},
    paths::Place,
};
use axum::response::Response;
use domain::{
    access::Operation,
    application::RequestedChange,
    audit::{AuditFilter, AuditScope},
    bulk_stop::{Fate, Stoppable},
    health::Health,
    id::ApplicationId,
    permission::{Permission, PermissionError, PermissionSet},
    request::RequestFilter,
    text::ApplicationName,
};
use std::time::Duration;
use tokio::time::timeout;

/// Number of events shown on an application's page.
const RECENT_EVENTS: i64 = 5;

/// Number of latest requests from which warnings are derived.
const JUDGED_REQUESTS: i64 = 50;

/// How long the page of an emergency stop waits for the database. After that it shows the gateway's data.
const PAGE_WITHIN: Duration = Duration::from_secs(1);

/// Builds the list of the organization's applications.
pub async fn list_page(visit: &Visit) -> Result<Page, BackendError> {
    let backend = &visit.web.backend;
    let organization = visit.organization();
    let found = backend.applications(&visit.actor, organization).await?;
    let rules = backend.rotation_policy(&visit.actor, organization).await?.rules;
    let found = backend.hygiene(found, rules).await?;
    let health = match visit.place {
        Place::Hub { organization, .. } => backend.health(&visit.actor, organization, &found).await?,
        Place::Settings | Place::Nuvera => Health::default(),
    };
    let items = found.into_iter().map(|(used, hygiene)| {
        let last_used_at = used.last_used_at();
        ApplicationSummary { application: used.application, last_used_at, hygiene }
    });
    let items = items.collect();
    Ok(match &visit.place {
        Place::Settings | Place::Nuvera => {
            let leavers = backend.leavers(&visit.actor, organization).await?;
            Page::Applications {
                items,
                leavers: leavers.into_iter().map(|leaver| leaver.person.name).collect(),
                unseen_support: backend.unseen_support(&visit.actor, AuditScope::Organization(organization)).await?,
            }
        }
        Place::Hub { name, .. } => Page::Organization { name: name.clone(), items, health },
    })
}

/// Shows the organization's applications.
pub async fn list(visit: Visit) -> Response {
    visit.answer(list_page(&visit).await).await
}

/// Shows the form for a new application.
pub async fn create_form(visit: Visit) -> Response {
    // Users who may not create one are told here, before they fill in the form.
    let allowed = authorise(&visit.actor, visit.organization(), Operation::CreateApplication);
    visit.answer(allowed.map(|()| new_application(&visit, None))).await
}

/// Creates an application. The response shows its first API key, this once.
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
        Err(Refused::Backend(BackendError::AlreadyCreated(application))) => {
            show_already_created(&visit, application).await
        }
        Err(refused) => {
            let page = new_application(&visit, Some(&sent));
            visit.show_again(refused, sent, async || Ok(page)).await
        }
    }
}

/// Answers a form that is submitted again after it created this application.
async fn show_already_created(visit: &Visit, application: ApplicationId) -> Response {
    let asked = Asked { actor: &visit.actor, organization: visit.organization(), application };
    match visit.web.backend.application_usage(asked, Operation::ViewApplications).await {
        // The oldest key is the one created with the application.
        Ok(used) => match used.application.api_keys.last().cloned() {
            Some(key) => api_keys::already_created(visit, used, key).await,
            None => visit.answer(Err(BackendError::NotFound)).await,
        },
        Err(error) => visit.answer(Err(error)).await,
    }
}

/// Shows one application.
pub async fn show(visit: Visit) -> Response {
    let page = async {
        let asked = visit.asked()?;
        let backend = &visit.web.backend;
        let found = backend.application_usage(asked, Operation::ViewApplications).await?;
        let scope = AuditScope::Application(asked.organization, asked.application);
        let latest_requests = backend.requests(asked, RequestFilter::default(), None, JUDGED_REQUESTS).await?;
        let recent = backend.audit_events(asked.actor, scope, AuditFilter::default(), None, RECENT_EVENTS).await?;
        let traffic = backend.traffic(asked).await?;
        let rules = backend.rotation_policy(asked.actor, asked.organization).await?.rules;
        let now = backend.clock().now();
        let mut hygiene = found.hygiene(rules, now);
        found.judge_by_traffic(&mut hygiene, &traffic, now);
        let view = ApplicationView {
            blocked_keys: backend.blocked_keys_of(asked.actor, &found.application).await?,
            hygiene,
            application: found.application,
            api_key_usage: found.api_keys.into_iter().map(|(id, used)| (id, usage(used))).collect(),
            signing_key_usage: found.signing_keys.into_iter().map(|(id, used)| (id, usage(used))).collect(),
            api_key_traffic: traffic.api_keys,
            signing_key_traffic: traffic.signing_keys,
            latest_requests,
        };
        let support = SupportView {
            unseen: backend.unseen_support(asked.actor, scope).await?,
            seen: backend.seen_support(asked.actor, asked.organization, asked.application).await?,
        };
        Ok(Page::Application { view, recent, support })
    };
    let page = page.await;
    match visit.param("application") {
        // The database still has the application as enabled.
        Ok(id) if page.is_ok() && visit.web.backend.is_stop_unrecorded(visit.organization(), id) => {
            visit.answer_with_notice(page, Notice::DisabledUnrecorded).await
        }
        _ => visit.answer(page).await,
    }
}

async fn rename_page(visit: &Visit) -> Result<Page, BackendError> {
    visit.form(Operation::RenameApplication, |application| Page::Rename { application }).await
}

/// Shows the form that renames an application.
pub async fn rename_form(visit: Visit) -> Response {
    visit.answer(rename_page(&visit).await).await
}

/// Renames an application.
pub async fn rename(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let name = ApplicationName::new(sent.text("name")).map_err(|error| Refused::field("name", error))?;
        visit.change(&sent, Operation::RenameApplication, |application, by| application.rename(name, by)).await?;
        Ok(Notice::Renamed)
    };
    visit.changed(result.await, sent, async || rename_page(&visit).await).await
}

async fn permissions_page(visit: &Visit) -> Result<Page, BackendError> {
    let application = visit.application(Operation::ChangePermissions).await?;
    let waits = visit.web.backend.waits_for_confirmation(visit.asked()?).await?;
    Ok(Page::Permissions { application, waits })
}

/// Shows the form that changes permissions.
pub async fn permissions_form(visit: Visit) -> Response {
    visit.answer(permissions_page(&visit).await).await
}

/// Changes an application's permissions, or proposes the change.
pub async fn change_permissions(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let permissions = read_permissions(&sent).map_err(|error| Refused::field("permissions", error))?;
        approval::request(&visit, &sent, RequestedChange::Permissions(permissions), Notice::PermissionsChanged).await
    };
    visit.changed(result.await, sent, async || permissions_page(&visit).await).await
}

/// Builds the form that disables an application. The second value is whether the database did not answer.
async fn disable_page(visit: &Visit) -> Result<(Page, bool), BackendError> {
    let asked = visit.asked()?;
    let found = async {
        let found = visit.form(Operation::DisableApplication, |application| Page::Disable { application });
        timeout(PAGE_WITHIN, found).await.unwrap_or_else(|_| Err(StoreError::Stalled.into()))
    };
    match if visit.is_from_memory { Err(StoreError::Stalled.into()) } else { found.await } {
        Err(BackendError::Store(_)) => {
            let known = known_application(visit, asked)?;
            Ok((Page::Disable { application: known.application }, true))
        }
        found => Ok((found?, false)),
    }
}

fn known_application(visit: &Visit, asked: Asked<'_>) -> Result<Stoppable, BackendError> {
    let scope = DenyScope::Application { organization: asked.organization, application: asked.application };
    visit.web.backend.known_in_scope(asked.actor, &scope)?.into_iter().next().ok_or(BackendError::NotFound)
}

/// Shows the form that disables an application.
pub async fn disable_form(visit: Visit) -> Response {
    match disable_page(&visit).await {
        Ok((page, true)) => visit.show_with_notice(page, Some(Notice::DatabaseUnavailable)).await,
        page => visit.answer(page.map(|(page, _)| page)).await,
    }
}

/// Disables an application, whatever has changed meanwhile: a stop requires neither a version nor the database.
pub async fn disable(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let asked = visit.asked()?;
        let known = known_application(&visit, asked);
        let unrecorded = visit.web.backend.disable(asked, Some(sent.why_in_emergency()?)).await?;
        Ok::<_, Refused>((unrecorded, known))
    };
    match result.await {
        // The application's page could not be shown without the database.
        Ok((true, Ok(stopped))) if visit.is_from_memory || !visit.web.backend.can_read().await => {
            let scope = StopScope::Organization { name: stopped.organization_name.clone() };
            let applications = vec![(stopped, Fate::Stopped)];
            visit.show(Page::BulkStopped { scope, applications, is_unrecorded: true }).await
        }
        result => {
            let notice = |(unrecorded, _)| if unrecorded { Notice::DisabledUnrecorded } else { Notice::Disabled };
            visit.changed(result.map(notice), sent, async || Ok(disable_page(&visit).await?.0)).await
        }
    }
}

async fn enable_page(visit: &Visit) -> Result<Page, BackendError> {
    let application = visit.application(Operation::EnableApplication).await?;
    let blocked_keys = visit.web.backend.blocked_keys_of(&visit.actor, &application).await?;
    let waits = application.waits_for_partner(visit.actor.kind());
    Ok(Page::Enable { application, blocked_keys, waits })
}

/// Shows the form that enables an application.
pub async fn enable_form(visit: Visit) -> Response {
    visit.answer(enable_page(&visit).await).await
}

/// Enables an application, or proposes that to the partner who disabled it.
pub async fn enable(visit: Visit, sent: Submitted) -> Response {
    let result = approval::request(&visit, &sent, RequestedChange::Enable, Notice::Enabled);
    visit.changed(result.await, sent, async || enable_page(&visit).await).await
}

/// Converts a key's stored usage for a page.
pub fn usage(used: KeyUsage) -> Usage {
    let KeyUsage { first_used_at, last_used_at, address, user_agent, requests } = used;
    Usage { first_used_at, last_used_at, address, user_agent, count: requests }
}

fn new_application(visit: &Visit, sent: Option<&Submitted>) -> Page {
    let sent_token = sent.map(|sent| sent.text("creation_token")).filter(|token| !token.is_empty());
    let new_token = || random::uuid(visit.web.backend.clock().now()).to_string();
    Page::NewApplication {
        creation_token: sent_token.map_or_else(new_token, ToOwned::to_owned),
        challenge: visit.challenge(sent),
    }
}

/// Reads the whole form before rejecting it, so that all mistakes are reported at once.
fn read_new_application(sent: &Submitted) -> Result<CreateApplication, Refused> {
    sent.check()?;
    let mut errors = Vec::new();
    let mut wrong = |error: FieldError| errors.push(error);
    let of = |field, message: String| FieldError { field, message };
    let name = ApplicationName::new(sent.text("name")).map_err(|error| wrong(of("name", error.to_string())));
    let public_key = sent.public_key().map_err(&mut wrong);
    let permissions = read_permissions(sent).map_err(|error| wrong(of("permissions", error.to_string())));
    let creation_token = sent.text("creation_token").to_owned();
    match (name, public_key, permissions) {
        (Ok(name), Ok(public_key), Ok(permissions)) if (1..=64).contains(&creation_token.len()) => {
            Ok(CreateApplication { name, public_key, proof: read_proof(sent), permissions, creation_token })
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
