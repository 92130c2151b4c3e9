//! The organization hub of Nuvera's admins.

use super::visit::Visit;
use app::page::{OrganizationSummary, Page};
use axum::{extract::Query, response::Response};
use serde::Deserialize;

/// The most organizations that are listed at once.
const MOST: usize = 100;

/// What organizations are searched for with.
#[derive(Deserialize)]
pub struct Search {
    #[serde(default)]
    q: String,
}

/// Shows the partner organizations whose names hold what was searched for.
pub async fn organizations(visit: Visit, Query(Search { q }): Query<Search>) -> Response {
    let found = visit.web.backend.partner_organizations(&visit.actor).await;
    let page = found.map(|partners| {
        let query = q.trim().to_owned();
        let wanted = query.to_lowercase();
        let mut organizations: Vec<_> = partners
            .into_iter()
            .filter(|partner| partner.name.to_lowercase().contains(&wanted))
            .map(|partner| OrganizationSummary {
                id: partner.id,
                name: partner.name,
                applications: partner.applications,
                disabled: partner.disabled,
            })
            .collect();
        let more = organizations.len().saturating_sub(MOST);
        organizations.truncate(MOST);
        Page::OrganizationHub { query, organizations, more }
    });
    visit.answer(page).await
}
