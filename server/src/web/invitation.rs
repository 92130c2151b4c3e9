//! Joining an organization through an invitation link.

use super::{
    Web, letters, render,
    security::ClientAddress,
    submitted::Submitted,
    visit::{self, redirect},
};
use crate::backend::{BackendError, team_events::TeamChange};
use app::{
    page::{FieldError, Notice, Page, PageContext},
    paths::Area,
};
use axum::{
    extract::{FromRequest, Query, Request, State},
    http::{Extensions, StatusCode},
    response::Response,
};
use domain::sign_in::Method;
use serde::Deserialize;
use std::sync::Arc;
use tower_sessions::Session;

/// The query parameters of an invitation link.
#[derive(Deserialize)]
pub struct Link {
    #[serde(default)]
    token: String,
}

async fn page(web: &Web, token: &str, area: Area) -> Result<Page, BackendError> {
    let (invitation, organization) = web.backend.invitation(token).await?.ok_or(BackendError::NotFound)?;
    if invitation.role.side() != area.side() {
        return Err(BackendError::NotFound);
    }
    Ok(Page::Invitation { invitation, organization, token: token.to_owned() })
}

async fn refuse(web: &Web, error: BackendError, extensions: &Extensions) -> Response {
    let context = visit::context_without_session(web, visit::area(extensions));
    match error {
        BackendError::NotFound => render::page(StatusCode::GONE, Page::InvitationGone, context).await,
        error => visit::failure(error, context, extensions).await,
    }
}

/// Shows the invitation. Does not consume the link, since mail programs open links too.
pub async fn form(State(web): State<Arc<Web>>, Query(Link { token }): Query<Link>, request: Request) -> Response {
    let area = visit::area(request.extensions());
    match page(&web, &token, area).await {
        Ok(page) => render::page(StatusCode::OK, page, visit::context_without_session(&web, area)).await,
        Err(error) => refuse(&web, error, request.extensions()).await,
    }
}

/// Creates the account and signs the user in.
pub async fn accept(State(web): State<Arc<Web>>, session: Session, request: Request) -> Response {
    let extensions = request.extensions().clone();
    let area = visit::area(&extensions);
    let address = extensions.get::<ClientAddress>().and_then(|address| address.0);
    let sent = match Submitted::from_request(request, &()).await {
        Ok(sent) => sent,
        Err(never) => match never {},
    };
    let token = sent.text("token").to_owned();
    let joined = async {
        page(&web, &token, area).await?;
        let entrant = web.backend.accept_invitation(&token, sent.text("password"), address).await?;
        let actor = web.backend.actor(entrant.user_id, address).await?.ok_or(BackendError::NotFound)?;
        letters::notify_team(&web, &actor, &actor, TeamChange::Joined(actor.role), &visit::client(&web, &extensions));
        visit::begin(&web, &session, &actor, entrant, Method::Invitation, &extensions).await?;
        Ok(())
    };
    let (field, message) = match joined.await {
        Ok(()) => return redirect(area.home(), Notice::Joined),
        Err(BackendError::Password(error)) => (Some("password"), error.to_string()),
        Err(BackendError::People(error)) => (None, error.to_string()),
        Err(error) => return refuse(&web, error, &extensions).await,
    };
    match page(&web, &token, area).await {
        Ok(page) => {
            let (errors, form_error) = match field {
                Some(field) => (vec![FieldError { field, message }], None),
                None => (Vec::new(), Some(message)),
            };
            let submission = sent.submission(errors, form_error);
            let context = PageContext { submission, ..visit::context_without_session(&web, area) };
            render::page(StatusCode::UNPROCESSABLE_ENTITY, page, context).await
        }
        Err(error) => refuse(&web, error, &extensions).await,
    }
}
