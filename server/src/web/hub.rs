//! The organization hub of Nuvera's admins.

use super::{
    submitted::{Refused, Submitted},
    visit::{Visit, redirect},
};
use crate::backend::{BackendError, hub::Partner};
use app::{
    page::{Notice, OrganizationSummary, Page},
    paths::{self, Place},
};
use axum::{
    extract::RawQuery,
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    access::{Operation, allows},
    search::{Findings, Found, Search, SearchError},
};

/// Maximum number of organizations listed at once.
const MOST: usize = 100;

/// Shows the partner organizations, or the results of a search.
pub async fn organizations(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let asked = Submitted::parse(query.unwrap_or_default().as_bytes());
    let is_filtered = asked.text("show") == "attention";
    match Search::read(asked.text("q")) {
        Ok(None) => visit.answer(list(&visit, is_filtered).await).await,
        // The URL contains a secret. Redirecting without it at least keeps it from spreading.
        Ok(Some(search)) if search.is_cut => redirect(&address(&search), Notice::WholeKey),
        Err(SearchError::Secret) => redirect(paths::ORGANIZATION_HUB, Notice::SecretDropped),
        Ok(Some(search)) => match visit.web.backend.search(&visit.actor, &search).await {
            Ok(findings) => match only(&findings) {
                Some(address) => match visit.notice() {
                    Some(notice) => redirect(&address, notice),
                    None => Redirect::to(&address).into_response(),
                },
                None => visit.answer(found(&visit, search, findings).await).await,
            },
            Err(error) => visit.answer(Err(error)).await,
        },
        Err(error @ SearchError::Text(_)) => show_again(&visit, error, asked).await,
    }
}

async fn found(visit: &Visit, search: Search, findings: Findings) -> Result<Page, BackendError> {
    let blocked = match &search.fingerprint {
        Some(fingerprint) => visit.web.backend.blocked_key(&visit.actor, fingerprint).await?,
        None => None,
    };
    Ok(Page::HubSearch { search, findings, blocked })
}

/// Redirects to the results of a search. The search is submitted as a form, and continues in a URL that contains no
/// secret.
pub async fn search(visit: Visit, sent: Submitted) -> Response {
    if !allows(visit.actor.role, Operation::ViewOrganizationHub) {
        return visit.answer(Err(BackendError::Forbidden)).await;
    }
    let read = sent.check().map(|()| Search::read(sent.text("q")));
    match read {
        Ok(Ok(None)) => Redirect::to(paths::ORGANIZATION_HUB).into_response(),
        Ok(Ok(Some(search))) if search.is_cut => redirect(&address(&search), Notice::WholeKey),
        Ok(Ok(Some(search))) => Redirect::to(&address(&search)).into_response(),
        Ok(Err(SearchError::Secret)) => redirect(paths::ORGANIZATION_HUB, Notice::SecretDropped),
        Ok(Err(error @ SearchError::Text(_))) => show_again(&visit, error, sent).await,
        Err(refused) => visit.show_again(refused, Submitted::default(), async || list(&visit, false).await).await,
    }
}

async fn show_again(visit: &Visit, error: SearchError, sent: Submitted) -> Response {
    visit.show_again(Refused::field("q", error), sent, async || list(visit, false).await).await
}

async fn list(visit: &Visit, is_filtered: bool) -> Result<Page, BackendError> {
    let mut partners = visit.web.backend.partners(&visit.actor).await?;
    let needs_attention = |partner: &Partner| partner.health.concern().is_some();
    let counts = (partners.len(), partners.iter().filter(|partner| needs_attention(partner)).count());
    if is_filtered {
        partners.retain(needs_attention);
    }
    let more = partners.len().saturating_sub(MOST);
    partners.truncate(MOST);
    let summary = |Partner { id, name, is_suspended, has_members, health }| OrganizationSummary {
        id,
        name,
        is_suspended,
        has_members,
        health,
    };
    let organizations = partners.into_iter().map(summary).collect();
    Ok(Page::OrganizationHub { organizations, more, counts, is_filtered })
}

/// Returns the URL of the search results.
fn address(search: &Search) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("q", search.text.as_str());
    format!("{}?{}", paths::ORGANIZATION_HUB, query.finish())
}

/// Returns the page of the only result, if it matches exactly. Not for a signing key: it may have leaked and other
/// applications may use it later, and the results page offers what can be done about that.
fn only(findings: &Findings) -> Option<String> {
    if !findings.is_exact {
        return None;
    }
    match (&*findings.organizations, &*findings.hits) {
        ([(id, name)], []) => Some(Place::Hub { organization: *id, name: name.clone() }.applications()),
        ([], [hit]) => {
            let place = Place::Hub { organization: hit.organization, name: hit.organization_name.clone() };
            match &hit.what {
                Found::Application | Found::ApiKey(_) => Some(place.application(hit.application)),
                Found::Request { id, .. } => Some(place.request(hit.application, *id)),
                Found::SigningKey(_) => None,
            }
        }
        _ => None,
    }
}
