//! A fresh proof of identity, for actions that a session alone must not authorize.

use super::{
    passkeys, second_factor,
    sign_in::{After, own_path, unsent},
    submitted::{Refused, Submitted},
    visit::{self, Interruption, Visit},
};
use crate::backend::second_factor::CodeCheck;
use axum::{
    extract::Query,
    response::{IntoResponse, Redirect, Response},
};
use tower_sessions::Session;

/// Shows the form that asks for a fresh proof of identity.
pub async fn form(visit: Visit, Query(After { next }): Query<After>) -> Response {
    let page = visit.confirm_page(own_path(next.as_deref(), visit.place.area()), None).await;
    visit.answer(page).await
}

/// Verifies the proof and continues to the page that needed it.
pub async fn confirm(session: Session, visit: Visit, sent: Submitted) -> Response {
    let next = own_path(Some(sent.text("next")), visit.place.area());
    let form = Some(sent.text("unsent")).filter(|text| !text.is_empty()).map(Submitted::still_waiting);
    let proven = async {
        check(&visit, &sent).await?;
        visit.proven_again(&session).await?;
        if let Some(form) = &form {
            let unsent = unsent(&next, form, Interruption::ProofNeeded);
            visit::keep_unsent(&session, unsent).await?;
        }
        Ok(())
    };
    match proven.await {
        Ok(()) => Redirect::to(&next).into_response(),
        Err(refused) => visit.show_again(refused, sent, async || visit.confirm_page(next, form).await).await,
    }
}

/// Users with a second factor must use it. A password, which can be stolen unnoticed, is sufficient only for those who
/// have nothing else.
async fn check(visit: &Visit, sent: &Submitted) -> Result<(), Refused> {
    let backend = &visit.web.backend;
    if visit.actor.factors.any() {
        if let Some(answer) = passkeys::answer(sent, visit.place.area()) {
            backend.check_passkey(Some(visit.actor.user_id), answer, visit.actor.address).await?;
            return Ok(());
        }
        if sent.text("code").trim().is_empty() {
            return Err(Refused::field("code", "Enter a code."));
        }
        let (user, here) = (visit.actor.user_id, Some(visit.session.id));
        return match backend.check_second_factor(user, &visit.client(), here, sent.text("code")).await? {
            CodeCheck::Right => Ok(()),
            CodeCheck::Wrong | CodeCheck::WrongAndNotify(_) => Err(Refused::field("code", second_factor::WRONG)),
        };
    }
    if sent.text("password").is_empty() {
        return Err(Refused::field("password", "Enter your password."));
    }
    match backend.check_password(&visit.actor, sent.text("password").to_owned(), &visit.client()).await? {
        true => Ok(()),
        false => Err(Refused::field("password", "This is not your password. Check it.")),
    }
}
