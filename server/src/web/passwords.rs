//! Pages for changing the user's own password, and for resetting a member's.

use super::{
    Web,
    letters::{self, News},
    pending_resets, render,
    security::ClientAddress,
    submitted::Submitted,
    visit::{self, Visit, redirect},
};
use crate::{
    backend::{
        BackendError, BegunReset, ChangedPassword, PasswordReset, authorise, sessions::Kept, team_events::TeamChange,
    },
    mail::{Mail, quoted},
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
use domain::{access::Operation, id::UserId, second_factor::FactorRemoval};
use serde::Deserialize;
use std::{net::IpAddr, sync::Arc};

async fn change_page(visit: &Visit) -> Result<Page, BackendError> {
    let factors = visit.web.backend.factors_at_password_change(&visit.actor).await?;
    let withdraws_invitations = visit.web.backend.has_open_invitations(&visit.actor).await?;
    Ok(Page::ChangePassword { factors, withdraws_invitations })
}

/// Shows the form that changes the user's own password. The fresh proof is required before it, because a typed password
/// must not be stored in a deferred form.
pub async fn change_form(visit: Visit) -> Response {
    visit.answer(change_page(&visit).await).await
}

/// Changes the password, removes the selected second factors, and ends all other sessions.
pub async fn change(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        sent.check()?;
        let here = Kept { session: visit.session.id, browser: visit.client().token };
        let chosen: Vec<_> = sent.all("remove").collect();
        let removal = FactorRemoval {
            app: chosen.contains(&"app"),
            passkeys: chosen.iter().filter_map(|id| id.parse().ok()).collect(),
            recovery_codes: chosen.contains(&"codes"),
        };
        let (password, seen) = (sent.text("password"), sent.text("seen"));
        Ok(visit.web.backend.change_password(&visit.actor, here, password, &removal, seen).await?)
    };
    let account = visit.place.area().account();
    match result.await {
        Ok(ChangedPassword { codes, withdrawn_invitations }) => {
            let notice = match withdrawn_invitations {
                0 => Notice::PasswordChanged,
                _ => Notice::PasswordChangedInvitationsWithdrawn,
            };
            visit.tell_themselves(News::PasswordChanged);
            match codes {
                Some(codes) => {
                    let page = Page::RecoveryCodes { codes, next: account.to_owned() };
                    visit.show_with_notice(page, Some(notice)).await
                }
                None => redirect(account, notice),
            }
        }
        Err(refused) => visit.show_again(refused, sent, async || change_page(&visit).await).await,
    }
}

async fn begin_page(visit: &Visit) -> Result<Page, BackendError> {
    let person = visit.web.backend.person(&visit.actor, visit.organization(), visit.param("person")?).await?;
    Ok(Page::ResetPassword { person })
}

/// Shows the confirmation form for resetting a member's password.
pub async fn begin_form(visit: Visit) -> Response {
    visit.answer(begin_page(&visit).await).await
}

/// Starts a reset of a member's password. The link is mailed to the member and shown on no page: otherwise the actor
/// could sign in as the member.
pub async fn begin(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let person: UserId = visit.param("person")?;
        authorise(&visit.actor, visit.organization(), Operation::ManagePeople)?;
        Ok(visit.web.backend.begin_password_reset(&visit.actor, visit.organization(), person).await?)
    };
    match result.await {
        Ok(BegunReset::Link(reset)) => {
            let is_mailed = mail_reset_link(&visit.web, visit.place.area(), &visit.actor.name, &reset).await;
            let PasswordReset { person, expires_at, .. } = reset;
            visit.notify_team(&person, TeamChange::PasswordResetStarted);
            visit.show(Page::ResetSent { person, expires_at, is_mailed }).await
        }
        Ok(BegunReset::Pending(pending)) => {
            pending_resets::notify(&visit.web, &pending).await;
            redirect(&visit.place.people(), Notice::ResetRequested)
        }
        Err(refused) => visit.show_again(refused, sent, async || begin_page(&visit).await).await,
    }
}

/// Mails a password reset link. Returns whether the mail server accepted it.
pub async fn mail_reset_link(web: &Web, area: Area, started_by: &str, reset: &PasswordReset) -> bool {
    let PasswordReset { person, token, expires_at } = reset;
    let link = format!("{}{}?token={}", web.origin(area), area.reset(), token.reveal());
    let started_by = quoted(started_by);
    let mail = Mail {
        to: &person.email,
        subject: "Choose a new password for your Nuvera account".to_owned(),
        body: format!(
            "Hello,\n\n{started_by} started a reset of your password. Open this link before {expires_at} and choose a new \
             one:\n\n{link}\n\n\
             It works once. Until then your old password works. Do not pass the link on: whoever opens it can choose your \
             password.\n\n\
             If you did not ask for this, do not open the link, and ask {started_by} why it was sent. Signing in and changing \
             your password makes the link useless.\n",
        ),
        at: web.backend.clock().now(),
    };
    match web.mailer.send(mail).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(user = %person.id, %error, "a link to choose a password could not be mailed");
            false
        }
    }
}

/// The query parameters of a password reset link.
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

/// Shows the form that chooses a new password. Does not consume the link, since mail programs open links too.
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

/// Sets the chosen password and redirects to the sign-in page, where the user signs in with it.
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
