//! Proving once more that it is you, before something that a session alone must not be enough for.

use super::{
    second_factor,
    sign_in::{After, own_path, unsent},
    single_sign_on,
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
    let ways = single_sign_on::ways_to_confirm(&visit.web, &visit.actor).await;
    visit
        .answer(ways.map(|ways| Page::Confirm {
            next: own_path(next.as_deref(), visit.place.area()),
            unsent: None,
            ways,
        }))
        .await
}

/// Checks it, and goes on to where it was needed.
pub async fn confirm(session: Session, visit: Visit, sent: Submitted) -> Response {
    let next = own_path(Some(sent.text("next")), visit.place.area());
    let form = Some(sent.text("unsent").to_owned()).filter(|text| !text.is_empty());
    let proven = async {
        check(&visit, &sent).await?;
        let session_failed = |error: tower_sessions::session::Error| BackendError::Session(error.to_string());
        visit.proven_again(&session).await?;
        if let Some(form) = &form {
            let unsent = unsent(&next, form, Interruption::ProofNeeded);
            visit::keep_unsent(&session, unsent).await.map_err(session_failed)?;
        }
        Ok(())
    };
    match proven.await {
        Ok(()) => Redirect::to(&next).into_response(),
        Err(refused) => {
            let page = async || {
                let ways = single_sign_on::ways_to_confirm(&visit.web, &visit.actor).await?;
                Ok(Page::Confirm { next, unsent: form, ways })
            };
            visit.show_again(refused, sent, page).await
        }
    }
}

/// Whoever has a second factor proves it with that one. A password, which can be stolen without anybody's notice, is
/// enough for those who have nothing else.
async fn check(visit: &Visit, sent: &Submitted) -> Result<(), Refused> {
    let backend = &visit.web.backend;
    if visit.actor.factors.any() {
        if sent.text("code").trim().is_empty() {
            return Err(Refused::field("code", "Enter a code."));
        }
        let is_right = backend.check_second_factor(visit.actor.user_id, visit.actor.address, sent.text("code")).await?;
        return if is_right { Ok(()) } else { Err(Refused::field("code", second_factor::WRONG)) };
    }
    if sent.text("password").is_empty() {
        return Err(Refused::field("password", "Enter your password."));
    }
    match backend.check_password(&visit.actor, sent.text("password").to_owned()).await? {
        true => Ok(()),
        false => Err(Refused::field("password", "This is not your password. Check it.")),
    }
}
