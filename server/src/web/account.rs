//! One's own account: how somebody proves that it is they.

use super::visit::Visit;
use crate::backend::BackendError;
use app::page::{AccountView, Page};
use axum::response::Response;

async fn page(visit: &Visit) -> Result<Page, BackendError> {
    let second_factor = visit.web.backend.second_factor(&visit.actor).await?;
    Ok(Page::Account { account: AccountView { second_factor, must_have_factor: visit.actor.must_have_factor } })
}

/// Shows what somebody signs in with.
pub async fn show(visit: Visit) -> Response {
    visit.answer(page(&visit).await).await
}
