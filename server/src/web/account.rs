//! One's own account: how somebody proves that it is they, and where they are signed in.

use super::visit::{Visit, redirect};
use crate::backend::BackendError;
use app::page::{AccountView, Notice, Page};
use axum::response::{Redirect, Response};

async fn page(visit: &Visit) -> Result<Page, BackendError> {
    let backend = &visit.web.backend;
    let second_factor = backend.second_factor(&visit.actor).await?;
    let (sessions, attempts) = backend.sign_in_activity(&visit.actor, visit.session.id).await?;
    let must_have_factor = visit.actor.must_have_factor;
    Ok(Page::Account {
        account: AccountView { second_factor, must_have_factor, sessions, here: visit.session.id, attempts },
    })
}

/// Shows what somebody signs in with, and where they are signed in.
pub async fn show(visit: Visit) -> Response {
    visit.answer(page(&visit).await).await
}

/// Ends one of one's own sessions: it may be somebody else who is in it, so it waits for no proof.
pub async fn end(visit: Visit) -> Response {
    let ended = async { visit.web.backend.end_session(&visit.actor, visit.param("session")?).await };
    match ended.await {
        Ok(()) => redirect(visit.place.area().account(), Notice::SessionEnded),
        Err(error) => visit.answer(Err(error)).await,
    }
}

/// Ends all of one's own sessions but this one.
pub async fn end_others(visit: Visit) -> Response {
    match visit.web.backend.end_other_sessions(&visit.actor, visit.session.id).await {
        Ok(()) => redirect(visit.place.area().account(), Notice::SessionsEnded),
        Err(error) => visit.answer(Err(error)).await,
    }
}

/// Where a page that was left open leads back to.
pub async fn back(visit: Visit) -> Redirect {
    Redirect::to(visit.place.area().account())
}
