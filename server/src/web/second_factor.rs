//! The second step of signing in: a code of an authenticator app, a recovery code or a passkey. Until it is accepted
//! the user is not signed in: what the session holds about them is read in this module only.

use super::{
    Web,
    letters::{self, News},
    passkeys, render,
    security::{ClientAddress, RequestId},
    sign_in::{begin_anew, go_on, other_door},
    submitted::Submitted,
    visit,
};
use crate::backend::{BackendError, accounts::Entrant, second_factor::CodeCheck};
use app::{
    page::{FieldError, Notice, Page, PageContext},
    paths::Area,
};
use axum::{
    extract::{FromRequest, Request, State},
    http::{Extensions, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    id::UserId,
    sign_in::{Method, Outcome},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tower_sessions::Session;

/// Time limit for the second factor after the password was accepted.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The session key of the [`HalfWay`] state.
const HALF_WAY: &str = "half_way";

/// A user whose password was accepted and who must prove a second factor before they are signed in.
#[derive(Serialize, Deserialize)]
pub struct HalfWay {
    entrant: Entrant,
    since: Timestamp,
    /// The path to continue to.
    next: Option<String>,
    /// The deferred form for that path.
    waiting: Option<String>,
}

/// Redirects a user whose password was accepted to the second step. The session gets a new id and holds nothing but
/// this state.
pub async fn ask(
    web: &Web,
    session: &Session,
    entrant: Entrant,
    next: Option<&str>,
    waiting: Option<&str>,
    extensions: &Extensions,
) -> Response {
    let (next, waiting) = (next.map(ToOwned::to_owned), waiting.map(ToOwned::to_owned));
    let half_way = HalfWay { entrant, since: web.backend.clock().now(), next, waiting };
    let area = visit::area(extensions);
    let address = extensions.get::<ClientAddress>().and_then(|address| address.0);
    let actor = match web.backend.actor(entrant.user_id, address).await {
        Ok(Some(actor)) => actor,
        Ok(None) => return Redirect::to(area.sign_in()).into_response(),
        Err(error) => return visit::failure_without_session(web, error, extensions).await,
    };
    // A user of the other area is rejected before they are asked for a second factor.
    match other_door(web, &actor, Method::Password, extensions).await {
        Ok(None) => {}
        Ok(Some(page)) => {
            return render::page(StatusCode::FORBIDDEN, page, visit::context_without_session(web, area)).await;
        }
        Err(error) => return visit::failure_without_session(web, error, extensions).await,
    }
    let begun = async {
        session.clear().await;
        session.cycle_id().await?;
        session.insert(HALF_WAY, half_way).await
    };
    match begun.await {
        Ok(()) => Redirect::to(area.second_factor()).into_response(),
        Err(error) => visit::failure_without_session(web, error, extensions).await,
    }
}

/// Returns the state of the user who is in the second step.
///
/// # Errors
/// The response, if no user is in the second step or the time limit has passed.
async fn half_way(web: &Web, session: &Session, extensions: &Extensions) -> Result<HalfWay, Response> {
    let half_way = match session.get::<HalfWay>(HALF_WAY).await {
        Ok(Some(half_way)) => half_way,
        Ok(None) => return Err(Redirect::to(visit::area(extensions).sign_in()).into_response()),
        Err(error) => return Err(visit::failure_without_session(web, error, extensions).await),
    };
    if web.backend.clock().now().since(half_way.since) < LIFETIME {
        return Ok(half_way);
    }
    // The deferred form is kept on the sign-in page, where the user starts over.
    let HalfWay { next, waiting, .. } = half_way;
    Err(match session.flush().await {
        Ok(()) => {
            let context = PageContext {
                notice: Some(Notice::SignInTooLate),
                ..visit::context_without_session(web, visit::area(extensions))
            };
            render::page(StatusCode::OK, Page::SignIn { next, unsent: waiting }, context).await
        }
        Err(error) => visit::failure_without_session(web, error, extensions).await,
    })
}

/// Builds the page that asks for one of the user's second factors.
async fn page(web: &Web, user: UserId, area: Area) -> Result<Page, BackendError> {
    let actor = web.backend.actor(user, None).await?;
    let has_app = actor.is_some_and(|actor| actor.factors.authenticator);
    Ok(Page::SecondFactor { has_app, prompt: web.backend.ask_for_passkey_of(user, area.side()).await? })
}

/// Shows the page that asks for a second factor.
pub async fn form(State(web): State<Arc<Web>>, session: Session, request: Request) -> Response {
    let extensions = request.extensions();
    match half_way(&web, &session, extensions).await {
        Ok(half_way) => {
            let area = visit::area(extensions);
            let context = visit::context_without_session(&web, area);
            match page(&web, half_way.entrant.user_id, area).await {
                Ok(page) => render::page(StatusCode::OK, page, context).await,
                Err(error) => visit::failure(error, context, extensions).await,
            }
        }
        Err(response) => response,
    }
}

/// Verifies the code or the passkey, and signs the user in.
pub async fn send(State(web): State<Arc<Web>>, session: Session, request: Request) -> Response {
    let extensions = request.extensions().clone();
    let area = visit::area(&extensions);
    let half_way = match half_way(&web, &session, &extensions).await {
        Ok(half_way) => half_way,
        Err(response) => return response,
    };
    let sent = match Submitted::from_request(request, &()).await {
        Ok(sent) => sent,
        Err(never) => match never {},
    };
    let again = async |status, errors, form_error| {
        let context = PageContext {
            submission: sent.clone().submission(errors, form_error),
            ..visit::context_without_session(&web, area)
        };
        match page(&web, half_way.entrant.user_id, area).await {
            Ok(page) => render::page(status, page, context).await,
            Err(error) => visit::failure(error, context, &extensions).await,
        }
    };
    let wrong = |message: &str| vec![FieldError { field: "code", message: message.to_owned() }];
    let answer = passkeys::answer(&sent, area);
    if answer.is_none() && sent.text("code").trim().is_empty() {
        return again(StatusCode::UNPROCESSABLE_ENTITY, wrong("Enter a code."), None).await;
    }
    let HalfWay { entrant, next, waiting, .. } = &half_way;
    let user_id = entrant.user_id;
    let address = extensions.get::<ClientAddress>().and_then(|address| address.0);
    let request_id = extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let method = if answer.is_some() { Method::Passkey } else { Method::PasswordAndCode };
    let client = visit::client(&web, &extensions);
    let checked = match answer {
        Some(answer) => web.backend.check_passkey(Some(user_id), answer, address).await.map(|_| CodeCheck::Right),
        None => web.backend.check_second_factor(user_id, &client, None, sent.text("code")).await,
    };
    if let Ok(CodeCheck::WrongAndNotify(actor)) = &checked {
        letters::tell(&web, (&**actor).into(), News::WrongCodes, &client);
    }
    let refused = match checked {
        Ok(CodeCheck::Wrong | CodeCheck::WrongAndNotify(_)) => Some(Outcome::WrongCode),
        Err(BackendError::Passkey(_)) => Some(Outcome::Refused),
        _ => None,
    };
    if let Some(outcome) = refused
        && let Err(error) = web.backend.record_attempt(user_id, outcome, method, client).await
    {
        tracing::error!(request_id, %error, "a refused sign-in could not be recorded");
    }
    match checked {
        Ok(CodeCheck::Right) => {
            tracing::info!(request_id, user = %user_id, "signed in with a second factor");
            go_on(&web, &session, *entrant, method, next.as_deref(), waiting.as_deref(), &extensions).await
        }
        Ok(CodeCheck::Wrong | CodeCheck::WrongAndNotify(_)) => {
            tracing::warn!(request_id, user = %user_id, "a second factor was refused");
            again(StatusCode::UNPROCESSABLE_ENTITY, wrong(WRONG), None).await
        }
        Err(error @ BackendError::Throttled(wait)) => {
            tracing::warn!(request_id, user = %user_id, "a second factor was throttled");
            let response = again(StatusCode::TOO_MANY_REQUESTS, Vec::new(), Some(error.to_string())).await;
            visit::retry_after(response, wait)
        }
        Err(error @ (BackendError::Passkey(_) | BackendError::SecondFactor(_))) => {
            tracing::warn!(request_id, user = %user_id, %error, "a second factor was refused");
            again(StatusCode::UNPROCESSABLE_ENTITY, Vec::new(), Some(error.to_string())).await
        }
        // The user was removed, or their second factor was reset: they start over.
        Err(BackendError::NotFound) => begin_anew(&web, &session, &extensions).await,
        Err(error) => visit::failure_without_session(&web, error, &extensions).await,
    }
}

/// Error message for a code that is not accepted.
pub const WRONG: &str =
    "This code is not right, or was used already. Wait for your app’s next one, or use one of your recovery codes.";
