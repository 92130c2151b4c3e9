//! Passwords: one's own is changed, somebody else's chosen anew by them.

use super::{
    Web,
    letters::{self, News},
    render,
    security::ClientAddress,
    submitted::Submitted,
    visit::{self, Visit, redirect},
};
use crate::{
    backend::{BackendError, PasswordReset, authorise, team_events::TeamChange},
    mail::Mail,
};
use app::{
    page::{FieldError, Notice, Page, PageContext},
    paths::Area,
};
use axum::{
    extract::{FromRequest, Query, Request, State},
    http::{Extensions, StatusCode},
    response::Response,
};
use domain::{access::Operation, id::UserId};
use serde::Deserialize;
use std::{net::IpAddr, sync::Arc};

async fn change_page(visit: &Visit) -> Result<Page, BackendError> {
    visit.web.backend.may_change_password(&visit.actor)?;
    let withdraws_invitations = visit.web.backend.has_open_invitations(&visit.actor).await?;
    Ok(Page::ChangePassword { withdraws_invitations })
}

/// The form that changes one's own password. The proof comes first: a password that was typed waits nowhere.
pub async fn change_form(visit: Visit) -> Response {
    visit.answer(change_page(&visit).await).await
}

/// Changes it, and ends all other sessions.
pub async fn change(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let (backend, here) = (&visit.web.backend, visit.session.id);
        Ok(match backend.change_password(&visit.actor, here, sent.text("password")).await? {
            0 => Notice::PasswordChanged,
            _ => Notice::PasswordChangedInvitationsWithdrawn,
        })
    };
    match result.await {
        Ok(notice) => {
            visit.tell_themselves(News::PasswordChanged);
            redirect(visit.place.area().account(), notice)
        }
        Err(refused) => visit.show_again(refused, sent, async || change_page(&visit).await).await,
    }
}

async fn begin_page(visit: &Visit) -> Result<Page, BackendError> {
    let person = visit.web.backend.person(&visit.actor, visit.organization(), visit.param("person")?).await?;
    Ok(Page::ResetPassword { person })
}

/// What follows from resetting somebody's password.
pub async fn begin_form(visit: Visit) -> Response {
    visit.answer(begin_page(&visit).await).await
}

/// Makes the link with which they choose another: the answer shows it, once.
pub async fn begin(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let person: UserId = visit.param("person")?;
        authorise(&visit.actor, visit.organization(), Operation::ManagePeople)?;
        let reset = visit.web.backend.begin_password_reset(&visit.actor, visit.organization(), person).await?;
        visit.notify_team(&reset.person, TeamChange::PasswordResetStarted);
        Ok(link_page(&visit, reset).await)
    };
    match result.await {
        Ok(page) => visit.show(page).await,
        Err(refused) => visit.show_again(refused, sent, async || begin_page(&visit).await).await,
    }
}

/// Mails the link, and shows it to whoever made it: mail may not arrive.
async fn link_page(visit: &Visit, reset: PasswordReset) -> Page {
    let PasswordReset { person, token, expires_at } = reset;
    let area = visit.place.area();
    let link = format!("{}{}?token={}", visit.web.origin(area), area.reset(), token.reveal());
    let mail = Mail {
        to: &person.email,
        subject: "Choose a new password for your Nuvera account".to_owned(),
        body: format!(
            "Hello {},\n\n{} lets you choose a new password. Open this link until {expires_at}:\n\n{link}\n\n\
             It works once. Your old password works until then. If you did not ask for it, ask {} why it was sent.\n",
            person.name, visit.actor.name, visit.actor.name,
        ),
        at: visit.web.backend.clock().now(),
    };
    let is_mailed = match visit.web.mailer.send(mail).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(user = %person.id, %error, "a link to choose a password could not be mailed");
            false
        }
    };
    Page::ResetLink { person, link, expires_at, is_mailed }
}

/// What a link holds.
#[derive(Deserialize)]
pub struct Link {
    #[serde(default)]
    token: String,
}

async fn choose_page(web: &Web, token: &str, area: Area, address: Option<IpAddr>) -> Result<Page, BackendError> {
    let found = web.backend.password_reset(token, address).await?;
    let actor = found.filter(|actor| actor.kind() == area.side()).ok_or(BackendError::NotFound)?;
    Ok(Page::ChoosePassword { name: actor.name, email: actor.email, token: token.to_owned() })
}

async fn refuse(web: &Web, error: BackendError, extensions: &Extensions) -> Response {
    let context = visit::context_without_session(web, visit::area(extensions));
    match error {
        BackendError::NotFound => render::page(StatusCode::GONE, Page::ResetGone, context).await,
        error => visit::failure(error, context, extensions).await,
    }
}

/// Shows whose password is chosen. Looking does not use the link up: mail programs look as well.
pub async fn choose_form(
    State(web): State<Arc<Web>>,
    Query(Link { token }): Query<Link>,
    request: Request,
) -> Response {
    let area = visit::area(request.extensions());
    match choose_page(&web, &token, area, None).await {
        Ok(page) => render::page(StatusCode::OK, page, visit::context_without_session(&web, area)).await,
        Err(error) => refuse(&web, error, request.extensions()).await,
    }
}

/// Gives them the password that they chose, and leads them to the door: whoever has a second factor proves it there.
pub async fn choose(State(web): State<Arc<Web>>, request: Request) -> Response {
    let extensions = request.extensions().clone();
    let area = visit::area(&extensions);
    let address = extensions.get::<ClientAddress>().and_then(|address| address.0);
    let sent = match Submitted::from_request(request, &()).await {
        Ok(sent) => sent,
        Err(never) => match never {},
    };
    let token = sent.text("token").to_owned();
    let chosen = async {
        let page = choose_page(&web, &token, area, address).await?;
        let finished = web.backend.finish_password_reset(&token, sent.text("password"), address).await;
        Ok::<_, BackendError>((page, finished))
    };
    match chosen.await {
        Ok((_, Ok(actor))) => {
            letters::tell(&web, (&actor).into(), News::PasswordChanged, &visit::client(&web, &extensions));
            redirect(area.sign_in(), Notice::PasswordChosen)
        }
        Ok((page, Err(BackendError::Password(error)))) => {
            let errors = vec![FieldError { field: "password", message: error.to_string() }];
            let submission = sent.submission(errors, None);
            let context = PageContext { submission, ..visit::context_without_session(&web, area) };
            render::page(StatusCode::UNPROCESSABLE_ENTITY, page, context).await
        }
        Ok((_, Err(error))) | Err(error) => refuse(&web, error, &extensions).await,
    }
}
