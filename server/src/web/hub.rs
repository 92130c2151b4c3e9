//! The organization hub of Nuvera's admins.

use super::visit::Visit;
use app::page::{OrganizationSummary, Page};
use axum::response::Response;

/// Shows the partner organizations.
pub async fn organizations(visit: Visit) -> Response {
    let found = visit.web.backend.partner_organizations(&visit.actor).await;
    let page = found.map(|partners| {
        let organizations = partners
            .into_iter()
            .map(|partner| OrganizationSummary {
                id: partner.id,
                name: partner.name,
                applications: partner.applications,
                disabled: partner.disabled,
            })
            .collect();
        Page::OrganizationHub { organizations }
    });
    visit.answer(page).await
}
