//! Proving once more that it is you, before something that a session alone must not be enough for.

use super::{
    sign_in::{After, own_path, unsent},
    submitted::{Refused, Submitted},
    visit::{self, Interruption, Visit},
};
use crate::backend::BackendError;
use app::page::Page;
use axum::{
    extract::Query,
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

/// Asks for it.
pub async fn form(visit: Visit, Query(After { next }): Query<After>) -> Response {
    visit.show(Page::Confirm { next: own_path(next.as_deref(), visit.place.area()), unsent: None }).await
}

/// Checks it, and goes on to where it was needed.
pub async fn confirm(session: Session, visit: Visit, sent: Submitted) -> Response {
    let next = own_path(Some(sent.text("next")), visit.place.area());
    let form = Some(sent.text("unsent").to_owned()).filter(|text| !text.is_empty());
    let proven = async {
        if sent.text("password").is_empty() {
            return Err(Refused::field("password", "Enter your password."));
        }
        if !visit.web.backend.check_password(&visit.actor, sent.text("password").to_owned()).await? {
            return Err(Refused::field("password", "This is not your password. Check it."));
        }
        let session_failed = |error: tower_sessions::session::Error| BackendError::Session(error.to_string());
        session.cycle_id().await.map_err(session_failed)?;
        visit.web.backend.prove_session(visit.session.id).await?;
        if let Some(form) = &form {
            let unsent = unsent(&next, form, Interruption::ProofNeeded);
            visit::keep_unsent(&session, unsent).await.map_err(session_failed)?;
        }
        Ok(())
    };
    match proven.await {
        Ok(()) => Redirect::to(&next).into_response(),
        Err(refused) => visit.show_again(refused, sent, async || Ok(Page::Confirm { next, unsent: form })).await,
    }
}
