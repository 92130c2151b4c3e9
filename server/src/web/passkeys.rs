//! Pages for the user's own passkeys, and for signing in with a passkey.

use super::{
    Web,
    letters::News,
    render,
    sign_in::{After, go_on, own_path},
    submitted::{Refused, Submitted},
    visit::{self, Visit, redirect},
};
use crate::{
    backend::{BackendError, accounts::SignIn, passkeys::Answer},
    web::security::{ClientAddress, RequestId},
};
use app::{
    page::{Notice, Page, PageContext},
    paths::Area,
};
use axum::{
    extract::{FromRequest, Query, Request, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use domain::{id::PasskeyId, sign_in::Method, text::PasskeyName};
use std::sync::Arc;
use tower_sessions::Session;

/// Returns the authenticator's response in a form; `None` if there is none.
pub fn answer(sent: &Submitted, area: Area) -> Option<Answer<'_>> {
    let (challenge, text) = (sent.text("passkey_challenge"), sent.text("passkey"));
    (!text.is_empty()).then_some(Answer { side: area.side(), challenge, text })
}

async fn new_page(visit: &Visit) -> Result<Page, BackendError> {
    Ok(Page::NewPasskey { prompt: visit.web.backend.ask_for_new_passkey(&visit.actor).await? })
}

/// Shows the form that registers a passkey.
pub async fn new_form(visit: Visit) -> Response {
    visit.answer(new_page(&visit).await).await
}

/// Registers the passkey.
pub async fn add(visit: Visit, sent: Submitted) -> Response {
    let area = visit.place.area();
    let added = async {
        let name = PasskeyName::new(sent.text("name")).map_err(|error| Refused::field("name", error))?;
        let answer = answer(&sent, area).unwrap_or(Answer { side: area.side(), challenge: "", text: "" });
        Ok(visit.web.backend.add_passkey(&visit.actor, name, answer).await?)
    };
    match added.await {
        Ok(codes) => {
            visit.tell_themselves(News::PasskeyAdded);
            match codes {
                Some(codes) => visit.show(Page::RecoveryCodes { codes, next: area.account().to_owned() }).await,
                None => redirect(area.account(), Notice::PasskeyAdded),
            }
        }
        Err(refused) => visit.show_again(refused, sent, async || new_page(&visit).await).await,
    }
}

async fn remove_page(visit: &Visit) -> Result<Page, BackendError> {
    let id: PasskeyId = visit.param("passkey")?;
    Ok(Page::RemovePasskey { passkey: visit.web.backend.passkey(&visit.actor, id).await? })
}

/// Shows the confirmation form for removing a passkey.
pub async fn remove_form(visit: Visit) -> Response {
    visit.answer(remove_page(&visit).await).await
}

/// Removes the passkey.
pub async fn remove(visit: Visit, sent: Submitted) -> Response {
    let removed = async {
        visit.web.backend.remove_passkey(&visit.actor, visit.param("passkey")?).await?;
        Ok(())
    };
    match removed.await {
        Ok(()) => {
            visit.tell_themselves(News::PasskeyRemoved);
            redirect(visit.place.area().account(), Notice::PasskeyRemoved)
        }
        Err(refused) => visit.show_again(refused, sent, async || remove_page(&visit).await).await,
    }
}

/// Shows the page that asks for a passkey. Redirects a user who is already signed in.
pub async fn sign_in_form(
    State(web): State<Arc<Web>>,
    Query(After { next }): Query<After>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let area = visit::area(&parts.extensions);
    let context = visit::context_without_session(&web, area);
    match visit::actor(&mut parts, &web).await {
        Ok(Some(_)) => Redirect::to(&own_path(next.as_deref(), area)).into_response(),
        Ok(None) => match web.backend.ask_for_any_passkey(area.side()).await {
            Ok(prompt) => {
                render::page(StatusCode::OK, Page::PasskeySignIn { next, unsent: None, prompt }, context).await
            }
            Err(error) => visit::failure(error, context, &parts.extensions).await,
        },
        Err(error) => visit::failure(error, context, &parts.extensions).await,
    }
}

/// Begins a session for the user of the passkey. A form without a response comes from the sign-in page and may carry a
/// deferred form.
pub async fn sign_in(State(web): State<Arc<Web>>, session: Session, request: Request) -> Response {
    let extensions = request.extensions().clone();
    let area = visit::area(&extensions);
    let address = extensions.get::<ClientAddress>().and_then(|address| address.0);
    let request_id = extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let sent = match Submitted::from_request(request, &()).await {
        Ok(sent) => sent,
        Err(never) => match never {},
    };
    let field = |name: &str| Some(sent.text(name).to_owned()).filter(|text| !text.is_empty());
    let (next, waiting) = (field("next"), field("unsent").as_deref().map(Submitted::still_waiting));
    let outcome = match answer(&sent, area) {
        Some(answer) => web.backend.sign_in_with_passkey(answer, address).await.map(Some),
        None => Ok(None),
    };
    let context = visit::context_without_session(&web, area);
    let problem = match outcome {
        Ok(Some(SignIn::Accepted(entrant))) => {
            tracing::info!(request_id, user = %entrant.user_id, "signed in with a passkey");
            return go_on(&web, &session, entrant, Method::Passkey, next.as_deref(), waiting.as_deref(), &extensions)
                .await;
        }
        Ok(Some(SignIn::CustomerRefused)) => {
            tracing::warn!(request_id, "a customer-platform user was refused");
            return render::page(StatusCode::FORBIDDEN, Page::CustomerRefused, context).await;
        }
        // A passkey needs no second factor, and a rejected one is reported as an error.
        Ok(Some(SignIn::FactorNeeded(_) | SignIn::Refused) | None) => None,
        Err(error @ BackendError::Passkey(_)) => {
            tracing::warn!(request_id, "a sign-in with a passkey was refused");
            Some(error.to_string())
        }
        Err(error) => return visit::failure(error, context, &extensions).await,
    };
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    match web.backend.ask_for_any_passkey(area.side()).await {
        Ok(prompt) => {
            let submission = sent.clone().submission(Vec::new(), problem);
            let page = Page::PasskeySignIn { next, unsent: waiting, prompt };
            render::page(status, page, PageContext { submission, ..context }).await
        }
        Err(error) => visit::failure(error, context, &extensions).await,
    }
}
