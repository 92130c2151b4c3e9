//! The people of an organization.

use super::{
    letters::{News, Owner},
    pending_resets,
    submitted::{Refused, Submitted},
    visit::{Visit, redirect},
};
use crate::{
    backend::{
        BackendError, authorise, may_after_proof,
        people::{Invite, LinkToken},
    },
    mail::Mail,
};
use app::page::{FieldError, Notice, Page};
use axum::response::{Redirect, Response};
use domain::{
    access::{Operation, Role},
    id::{InvitationId, UserId},
    people::Invitation,
    text::{EmailAddress, PersonName},
};

pub(super) async fn people_page(visit: &Visit) -> Result<Page, BackendError> {
    let found = visit.web.backend.people(&visit.actor, visit.organization()).await?;
    Ok(Page::People {
        people: found.people,
        invitations: found.invitations,
        pending_resets: visit.web.backend.pending_resets(&visit.actor, visit.organization()).await?,
        leavers: found.leavers,
        you: visit.actor.user_id,
        is_managed: may_after_proof(&visit.actor, visit.organization(), Operation::ManagePeople),
    })
}

async fn person_page(visit: &Visit, page: impl FnOnce(domain::people::Person) -> Page) -> Result<Page, BackendError> {
    let person = visit.web.backend.person(&visit.actor, visit.organization(), visit.param("person")?).await?;
    Ok(page(person))
}

fn invite_page(visit: &Visit) -> Result<Page, BackendError> {
    authorise(&visit.actor, visit.organization(), Operation::ManagePeople)?;
    Ok(Page::Invite { side: visit.actor.kind() })
}

/// Shows who belongs to the organization, who is invited, and which keys somebody took along.
pub async fn list(visit: Visit) -> Response {
    visit.answer(people_page(&visit).await).await
}

/// The form to invite somebody.
pub async fn invite_form(visit: Visit) -> Response {
    visit.answer(invite_page(&visit)).await
}

/// Invites somebody: the answer shows the link, once.
pub async fn invite(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        authorise(&visit.actor, visit.organization(), Operation::ManagePeople)?;
        let (invitation, token) = visit.web.backend.invite(&visit.actor, read_invite(&sent)?).await?;
        Ok(invitation_link(&visit, invitation, &token).await)
    };
    match result.await {
        Ok(page) => visit.show(page).await,
        Err(refused) => visit.show_again(refused, sent, async || invite_page(&visit)).await,
    }
}

/// Reads the whole form before it is refused, so that every mistake is told at once.
fn read_invite(sent: &Submitted) -> Result<Invite, Refused> {
    sent.check()?;
    let mut errors = Vec::new();
    let mut wrong = |field, message: String| errors.push(FieldError { field, message });
    let name = PersonName::new(sent.text("name")).map_err(|error| wrong("name", error.to_string())).ok();
    let email = EmailAddress::new(sent.text("email")).map_err(|error| wrong("email", error.to_string())).ok();
    let role = Role::from_code(sent.text("role"));
    if role.is_none() {
        wrong("role", "Choose one of the roles.".to_owned());
    }
    match (name, email, role) {
        (Some(name), Some(email), Some(role)) => Ok(Invite { email, name, role }),
        _ => Err(Refused::Fields(errors)),
    }
}

/// Mails the link, and shows it to whoever invited: mail may not arrive.
async fn invitation_link(visit: &Visit, invitation: Invitation, token: &LinkToken) -> Page {
    // Whom they invite belongs to their own area.
    let area = visit.place.area();
    let link = format!("{}{}?token={}", visit.web.origin(area), area.invitation(), token.reveal());
    let organization = &visit.actor.organization_name;
    let mail = Mail {
        to: invitation.email.as_str(),
        subject: format!("{} invites you to {organization} at Nuvera", invitation.invited_by),
        body: format!(
            "Hello {},\n\n{} invites you to {organization}’s API applications at Nuvera. Your role: {}.\n\n\
             Open this link until {}, and choose a password:\n\n{link}\n\n\
             It works once. If you did not expect it, leave it: nobody joins without it.\n",
            invitation.name,
            invitation.invited_by,
            invitation.role.label(),
            invitation.expires_at,
        ),
        at: visit.web.backend.clock().now(),
    };
    let is_mailed = match visit.web.mailer.send(mail).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(invitation = %invitation.id, %error, "an invitation could not be mailed");
            false
        }
    };
    Page::InvitationLink { invitation, link, is_mailed }
}

/// The form that gives somebody another role.
pub async fn role_form(visit: Visit) -> Response {
    visit.answer(person_page(&visit, |person| Page::ChangeRole { person }).await).await
}

/// Gives somebody another role.
pub async fn change_role(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let person: UserId = visit.param("person")?;
        authorise(&visit.actor, visit.organization(), Operation::ManagePeople)?;
        let role = Role::from_code(sent.text("role")).ok_or(Refused::field("role", "Choose one of the roles."))?;
        visit.web.backend.change_role(&visit.actor, visit.organization(), person, role).await?;
        Ok(())
    };
    match result.await {
        Ok(()) => redirect(&visit.place.people(), Notice::RoleChanged),
        Err(refused) => {
            let page = async || person_page(&visit, |person| Page::ChangeRole { person }).await;
            visit.show_again(refused, sent, page).await
        }
    }
}

/// What follows from resetting somebody's second factor.
pub async fn reset_form(visit: Visit) -> Response {
    visit.answer(person_page(&visit, |person| Page::ResetFactor { person }).await).await
}

/// Removes the second factor that somebody has lost.
pub async fn reset_factor(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let person: UserId = visit.param("person")?;
        Ok(visit.web.backend.reset_factor(&visit.actor, visit.organization(), person).await?)
    };
    match result.await {
        Ok((_, Some(pending))) => {
            pending_resets::notify(&visit.web, &pending).await;
            redirect(&visit.place.people(), Notice::ResetRequested)
        }
        Ok((person, None)) => {
            visit.tell(Owner::of(&person, visit.place.area()), News::FactorReset(&visit.actor.name));
            redirect(&visit.place.people(), Notice::FactorReset)
        }
        Err(refused) => {
            let page = async || person_page(&visit, |person| Page::ResetFactor { person }).await;
            visit.show_again(refused, sent, page).await
        }
    }
}

/// What follows from removing somebody.
pub async fn remove_form(visit: Visit) -> Response {
    visit.answer(person_page(&visit, |person| Page::RemovePerson { person }).await).await
}

/// Removes somebody. The page after it offers to replace the keys that they may have a copy of.
pub async fn remove(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let person: UserId = visit.param("person")?;
        visit.web.backend.remove_person(&visit.actor, visit.organization(), person).await?;
        Ok(())
    };
    match result.await {
        Ok(()) => redirect(&visit.place.people(), Notice::PersonRemoved),
        Err(refused) => {
            let page = async || person_page(&visit, |person| Page::RemovePerson { person }).await;
            visit.show_again(refused, sent, page).await
        }
    }
}

/// Takes an invitation back.
pub async fn withdraw(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let invitation: InvitationId = visit.param("invitation")?;
        visit.web.backend.withdraw_invitation(&visit.actor, visit.organization(), invitation).await?;
        Ok(())
    };
    match result.await {
        Ok(()) => redirect(&visit.place.people(), Notice::InvitationWithdrawn),
        Err(refused) => visit.show_again(refused, sent, async || people_page(&visit).await).await,
    }
}

/// Where a page that was left open leads back to.
pub async fn back_to_people(visit: Visit) -> Redirect {
    Redirect::to(&visit.place.people())
}
