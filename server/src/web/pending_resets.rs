//! Delayed resets of Nuvera members' passwords and second factors: their notifications, pages and forms, and the job
//! that carries out those that are due. See [`domain::pending_reset`].

use super::{
    Web, letters,
    letters::{News, Owner},
    passwords::mail_reset_link,
    submitted::Submitted,
    visit::{Visit, redirect},
};
use crate::{
    backend::{BackendError, PasswordReset, people::LinkToken, sessions::Client},
    mail::{Mail, quoted},
};
use app::{
    page::{Notice, Page},
    paths::{Area, Place},
};
use axum::response::{Redirect, Response};
use domain::{
    id::PendingResetId,
    pending_reset::{PendingReset, ResetKind},
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Interval of the check for due resets.
const INTERVAL: Duration = Duration::from_secs(30);

/// Notifies every admin and the member concerned of a requested reset.
pub async fn notify(web: &Web, reset: &PendingReset) {
    let people = match web.backend.notified_of(reset).await {
        Ok(people) => people,
        Err(error) => {
            tracing::error!(reset = %reset.id, %error, "the admins could not be notified of a requested reset");
            return;
        }
    };
    let area = Area::Hub;
    let what = reset.kind.label();
    let (by, at) = (quoted(&reset.requested_by_name), reset.requested_at);
    for person in people {
        let is_concerned = person.id == reset.user_id;
        let (of, path) = match is_concerned {
            true => ("your".to_owned(), area.account().to_owned()),
            false => (format!("{}’s", quoted(&reset.name)), Place::Nuvera.people()),
        };
        let advice = match is_concerned {
            true => "If you did not ask for this, sign in as usual and cancel it before then:",
            false => {
                "If this is not expected, cancel it before then. If it is, a second admin can confirm it, so that it takes \
                 effect at once:"
            }
        };
        let body = format!(
            "Hello,\n\n{by} requested a reset of {of} {what} ({}). It takes effect at {}, unless it is cancelled.\n\n\
             {advice}\n\n  {}{path}\n",
            reset.email,
            reset.effective_at,
            web.origin(area),
        );
        let (mailer, to) = (web.mailer.clone(), person.email);
        let subject = match is_concerned {
            true => format!("A reset of your {what} was requested"),
            false => format!("A {what} reset was requested for a Nuvera member"),
        };
        let user = person.id;
        tokio::spawn(async move {
            if let Err(error) = mailer.send(Mail { to: &to, subject, body, at }).await {
                tracing::warn!(%user, %error, "a notice of a requested reset could not be mailed");
            }
        });
    }
}

async fn confirm_page(visit: &Visit) -> Result<Page, BackendError> {
    let id: PendingResetId = visit.param("reset")?;
    let reset = visit.web.backend.confirmable_reset(&visit.actor, visit.organization(), id).await?;
    Ok(Page::ConfirmReset { reset })
}

/// Shows the confirmation form for confirming a reset.
pub async fn confirm_form(visit: Visit) -> Response {
    match confirm_page(&visit).await {
        // Another admin has just confirmed or cancelled it, or this one may not confirm it: shows the current list.
        Err(BackendError::NotFound | BackendError::People(_)) => {
            visit.answer(super::people::people_page(&visit).await).await
        }
        page => visit.answer(page).await,
    }
}

/// Confirms a reset as a second admin, and carries it out.
pub async fn confirm(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let id: PendingResetId = visit.param("reset")?;
        Ok(visit.web.backend.confirm_reset(&visit.actor, visit.organization(), id).await?)
    };
    match result.await {
        Ok(reset) => {
            let notice = match carry_out(&visit.web, &reset).await {
                Ok(()) => Notice::ResetCompleted,
                Err(error) => {
                    tracing::warn!(reset = %reset.id, %error, "a confirmed reset could not be carried out yet");
                    Notice::ResetConfirmed
                }
            };
            redirect(&visit.place.people(), notice)
        }
        Err(refused) => visit.show_again(refused, sent, async || super::people::people_page(&visit).await).await,
    }
}

/// Cancels a member's reset as an admin.
pub async fn cancel(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let id: PendingResetId = visit.param("reset")?;
        visit.web.backend.cancel_reset(&visit.actor, visit.organization(), id).await?;
        Ok(())
    };
    match result.await {
        Ok(()) => redirect(&visit.place.people(), Notice::ResetCancelled),
        Err(refused) => visit.show_again(refused, sent, async || super::people::people_page(&visit).await).await,
    }
}

/// Cancels a reset of the user's own password or second factor.
pub async fn cancel_own(visit: Visit) -> Response {
    let result = async { visit.web.backend.cancel_own_reset(&visit.actor, visit.param("reset")?).await };
    match result.await {
        Ok(()) => redirect(visit.place.area().account(), Notice::ResetCancelled),
        Err(error) => visit.answer(Err(error)).await,
    }
}

/// Redirects a GET on a POST-only route to the members page.
pub async fn back(visit: Visit) -> Redirect {
    Redirect::to(&visit.place.people())
}

/// Carries out due resets until `stop`.
pub async fn run(web: Arc<Web>, stop: CancellationToken) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // A reset that is interrupted by a stop is carried out by the next run.
    while stop.run_until_cancelled(interval.tick()).await.is_some() {
        stop.run_until_cancelled(carry_out_due(&web)).await;
    }
}

/// Carries out the resets that are due. One that fails is retried next time.
pub async fn carry_out_due(web: &Web) {
    let due = match web.backend.due_resets().await {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(%error, "the due resets could not be read");
            return;
        }
    };
    for reset in due {
        if let Err(error) = carry_out(web, &reset).await {
            tracing::warn!(reset = %reset.id, %error, "a due reset could not be carried out");
        }
    }
}

/// Carries out one reset. A link is mailed before it works: if the mail server does not accept it, the reset stays due.
async fn carry_out(web: &Web, reset: &PendingReset) -> Result<(), BackendError> {
    let backend = &web.backend;
    let (id, organization) = (reset.id, reset.organization_id);
    let done = match reset.kind {
        ResetKind::Password => {
            let people = backend.notified_of(reset).await?;
            let person = people.into_iter().find(|person| person.id == reset.user_id);
            let Some(person) = person.filter(|person| person.has_password) else {
                return backend.drop_reset(reset).await;
            };
            let (token, expires_at) = (LinkToken::generate(), backend.reset_link_expires_at());
            let link = PasswordReset { person, token, expires_at };
            if !mail_reset_link(web, Area::Hub, &reset.requested_by_name, &link).await {
                return Err(BackendError::MailFailed);
            }
            backend.complete_password_reset(id, organization, &link.token, expires_at).await.map(drop)
        }
        ResetKind::SecondFactor => match backend.complete_factor_reset(id, organization).await {
            Ok(done) => {
                let server = Client { address: None, browser: "Nuvera console".to_owned(), token: None };
                let owner = Owner::of(&done.person, Area::Hub);
                letters::tell(web, owner, News::FactorReset(&done.requested_by), &server);
                Ok(())
            }
            Err(error) => Err(error),
        },
    };
    match done {
        // The member no longer has a password or a second factor to reset.
        Err(BackendError::People(_)) => backend.drop_reset(reset).await,
        done => done,
    }
}
