//! The user's own account: credentials, second factors and sessions.

use super::{
    letters::News,
    sign_in::{After, own_path},
    submitted::{Refused, Submitted},
    visit::{Visit, redirect},
};
use crate::backend::{BackendError, accounts, second_factor::Enrolment};
use app::{
    page::{AccountView, FactorEnrolment, Notice, Page, QrCode},
    paths::Area,
};
use axum::{
    extract::Query,
    response::{Redirect, Response},
};
use qrcode::Color;
use tower_sessions::Session;

async fn page(visit: &Visit) -> Result<Page, BackendError> {
    let backend = &visit.web.backend;
    let second_factor = backend.second_factor(&visit.actor).await?;
    let recovery_codes = backend.recovery_codes_left(&visit.actor).await?;
    let passkeys = backend.passkeys(&visit.actor).await?;
    let has_password = backend.proofs(&visit.actor).await?.password;
    let offers_passkeys = has_password || !passkeys.is_empty();
    let (sessions, attempts) = backend.sign_in_activity(&visit.actor, visit.session.id).await?;
    Ok(Page::Account {
        account: AccountView {
            second_factor,
            passkeys,
            has_password,
            offers_passkeys,
            recovery_codes,
            must_have_factor: visit.actor.must_have_factor,
            sessions,
            here: visit.session.id,
            pending_resets: backend.own_pending_resets(&visit.actor).await?,
            attempts,
        },
    })
}

/// Shows the user's credentials and sessions.
pub async fn show(visit: Visit) -> Response {
    visit.answer(page(&visit).await).await
}

/// Ends one of the user's own sessions. Requires no fresh proof, because someone else may be using that session.
pub async fn end(visit: Visit) -> Response {
    let ended = async { visit.web.backend.end_session(&visit.actor, visit.param("session")?).await };
    match ended.await {
        Ok(()) => redirect(visit.place.area().account(), Notice::SessionEnded),
        Err(error) => visit.answer(Err(error)).await,
    }
}

/// Ends all of the user's own sessions except the current one.
pub async fn end_others(visit: Visit) -> Response {
    match visit.web.backend.end_other_sessions(&visit.actor, visit.session.id).await {
        Ok(()) => redirect(visit.place.area().account(), Notice::SessionsEnded),
        Err(error) => visit.answer(Err(error)).await,
    }
}

/// Builds the enrolment form with a secret for an app: a new one, or the one shown before.
fn factor_page(visit: &Visit, next: Option<&str>, sent: Option<&Submitted>) -> Result<Page, BackendError> {
    let before = visit.typed_before("enrolment", sent);
    let Enrolment { secret, sealed } = visit.web.backend.enrolment(&visit.actor, before)?;
    let qr = draw(&secret.uri(&visit.actor.email))?;
    Ok(Page::SetUpFactor {
        enrolment: FactorEnrolment { secret, sealed, qr },
        is_replacement: visit.actor.factors.authenticator,
        is_demanded: visit.actor.lacks_factor(),
        next: next.map(|next| own_path(Some(next), visit.place.area())),
    })
}

/// Draws a QR code (ISO/IEC 18004) as an SVG path with one square per dark module.
fn draw(text: &str) -> Result<QrCode, BackendError> {
    // The text is far shorter than the capacity of a QR code.
    let code = qrcode::QrCode::new(text).map_err(|_| BackendError::NotFound)?;
    let side = code.width();
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
    let path = dark.map(|(at, _)| format!("M{} {}h1v1h-1z", at % side, at / side)).collect();
    Ok(QrCode { side, path })
}

/// Shows the form that sets up or replaces the authenticator app.
pub async fn factor_form(visit: Visit, Query(After { next }): Query<After>) -> Response {
    visit.answer(factor_page(&visit, next.as_deref(), None)).await
}

/// Sets up the authenticator app if the first code is correct. The response shows the recovery codes, this once.
pub async fn set_up_factor(session: Session, visit: Visit, sent: Submitted) -> Response {
    let next = Some(sent.text("next").to_owned()).filter(|next| !next.is_empty());
    let result = async {
        accounts::freshly_proven(&visit.actor)?;
        if sent.text("code").trim().is_empty() {
            return Err(Refused::field("code", "Enter the code that your app shows."));
        }
        let codes = visit.web.backend.set_up_factor(&visit.actor, sent.text("enrolment"), sent.text("code")).await?;
        visit.proven_again(&session).await?;
        Ok(codes)
    };
    let area = visit.place.area();
    match result.await {
        Ok(codes) => {
            visit.tell_themselves(News::AppSetUp);
            let next = next.as_deref().map_or_else(|| area.account().to_owned(), |next| own_path(Some(next), area));
            visit.show(Page::RecoveryCodes { codes, next }).await
        }
        Err(refused) => {
            let before = sent.clone();
            visit.show_again(refused, sent, async || factor_page(&visit, next.as_deref(), Some(&before))).await
        }
    }
}

/// Shows the confirmation form for generating new recovery codes.
pub async fn codes_form(visit: Visit) -> Response {
    visit.answer(codes_page(&visit).await).await
}

async fn codes_page(visit: &Visit) -> Result<Page, BackendError> {
    accounts::freshly_proven(&visit.actor)?;
    match visit.actor.factors.any() {
        true => Ok(Page::MakeRecoveryCodes { left: visit.web.backend.recovery_codes_left(&visit.actor).await? }),
        false => Err(BackendError::NotFound),
    }
}

/// Generates new recovery codes. The response shows them, this once.
pub async fn make_codes(visit: Visit, sent: Submitted) -> Response {
    match visit.web.backend.make_recovery_codes(&visit.actor).await {
        Ok(codes) => {
            visit.tell_themselves(News::RecoveryCodesMade);
            visit.show(Page::RecoveryCodes { codes, next: visit.place.area().account().to_owned() }).await
        }
        Err(error) => visit.show_again(error.into(), sent, async || page(&visit).await).await,
    }
}

/// Continues to the requested page after the user has confirmed that the recovery codes are stored.
pub async fn codes_stored(visit: Visit, sent: Submitted) -> Redirect {
    Redirect::to(&own_path(Some(sent.text("next")), visit.place.area()))
}

/// Shows the confirmation form for removing the authenticator app.
pub async fn remove_form(visit: Visit) -> Response {
    visit.answer(remove_page(&visit)).await
}

fn remove_page(visit: &Visit) -> Result<Page, BackendError> {
    accounts::freshly_proven(&visit.actor)?;
    let has_passkeys = visit.actor.factors.passkeys;
    match visit.actor.factors.authenticator && (has_passkeys || !visit.actor.must_have_factor) {
        true => Ok(Page::RemoveFactor { has_passkeys }),
        false => Err(BackendError::NotFound),
    }
}

/// Removes the authenticator app.
pub async fn remove(visit: Visit, sent: Submitted) -> Response {
    match visit.web.backend.remove_factor(&visit.actor).await {
        Ok(()) => {
            visit.tell_themselves(News::AppRemoved);
            let notice = if visit.actor.factors.passkeys { Notice::AppRemoved } else { Notice::FactorRemoved };
            redirect(visit.place.area().account(), notice)
        }
        Err(error) => visit.show_again(error.into(), sent, async || page(&visit).await).await,
    }
}

/// Redirects a GET on a POST-only route to the account page.
pub async fn back(visit: Visit) -> Redirect {
    Redirect::to(visit.place.area().account())
}

/// Whether `path` is accessible to a user who must set up a second factor first: the pages on which they do so, and
/// those for the fresh proof that these require.
pub fn is_open_without_factor(path: &str) -> bool {
    let area = Area::of(path);
    let set_up = ["second-factor", "passkeys/new"];
    set_up.iter().any(|action| path == area.account_action(action)) || path.starts_with(area.confirm())
}
