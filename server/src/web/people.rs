//! Pages for the members of an organization.

use super::{
    letters::{News, Owner},
    pending_resets,
    submitted::{Refused, Submitted},
    visit::{Visit, redirect},
};
use crate::{
    backend::{
        BackendError, authorise, may_after_proof,
        people::{Invite, LinkToken, MemberChange},
        team_events::TeamChange,
    },
    mail::{Mail, quoted},
};
use app::{
    page::{FieldError, Notice, Page},
    paths::Area,
};
use axum::response::{Redirect, Response};
use domain::{
    access::{Operation, Role},
    id::{InvitationId, UserId},
    people::{Invitation, OWNER_CHANGE_DELAY, OwnerChange, Person},
    text::{EmailAddress, PersonName},
    time::Timestamp,
};

pub(super) async fn people_page(visit: &Visit) -> Result<Page, BackendError> {
    let found = visit.web.backend.people(&visit.actor, visit.organization()).await?;
    Ok(Page::People {
        people: found.people,
        invitations: found.invitations,
        pending_resets: visit.web.backend.pending_resets(&visit.actor, visit.organization()).await?,
        leavers: found.leavers,
        pending: found.pending,
        you: visit.actor.user_id,
        is_managed: may_after_proof(&visit.actor, visit.organization(), Operation::ManagePeople),
    })
}

async fn person_page(visit: &Visit, page: impl FnOnce(Person) -> Page) -> Result<Page, BackendError> {
    let person = visit.web.backend.person(&visit.actor, visit.organization(), visit.param("person")?).await?;
    Ok(page(person))
}

fn invite_page(visit: &Visit) -> Result<Page, BackendError> {
    authorise(&visit.actor, visit.organization(), Operation::ManagePeople)?;
    Ok(Page::Invite { side: visit.actor.kind() })
}

/// Shows the members, the open invitations, and the keys of which former members may have a copy.
pub async fn list(visit: Visit) -> Response {
    visit.answer(people_page(&visit).await).await
}

/// Shows the form that invites a person.
pub async fn invite_form(visit: Visit) -> Response {
    visit.answer(invite_page(&visit)).await
}

/// Invites a person, to whom the link is mailed.
pub async fn invite(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        authorise(&visit.actor, visit.organization(), Operation::ManagePeople)?;
        let (invitation, token) = visit.web.backend.invite(&visit.actor, read_invite(&sent)?).await?;
        visit.notify_team(&invitation, TeamChange::Invited(invitation.role));
        Ok(sent_page(&visit, invitation, &token).await)
    };
    match result.await {
        Ok(page) => visit.show(page).await,
        Err(refused) => visit.show_again(refused, sent, async || invite_page(&visit)).await,
    }
}

/// Reads the whole form before rejecting it, so that all mistakes are reported at once.
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

async fn sent_page(visit: &Visit, invitation: Invitation, token: &LinkToken) -> Page {
    // An invitee always belongs to the actor's own area.
    let (area, organization) = (visit.place.area(), &visit.actor.organization_name);
    let is_mailed = mail_invitation(visit, area, organization, &invitation, token.reveal()).await;
    Page::InvitationSent { invitation, is_mailed }
}

/// Mails the link to the invitee, and returns whether the mail server accepted it. No page shows the link: only a
/// reader of the mailbox can join, so an account proves that its address is theirs.
pub(super) async fn mail_invitation(
    visit: &Visit,
    area: Area,
    organization: &str,
    invitation: &Invitation,
    token: &str,
) -> bool {
    let link = format!("{}{}?token={token}", visit.web.origin(area), area.invitation());
    let organization = quoted(organization);
    let mail = Mail {
        to: invitation.email.as_str(),
        subject: "You are invited to API applications at Nuvera".to_owned(),
        body: format!(
            "Hello,\n\n{} invites you to the API applications of {organization} at Nuvera.\n\n  \
             Your name there: {}\n  Your role:       {}\n\n\
             To join, open this link until {}, and choose a password:\n\n  {link}\n\n\
             It works once. If you did not expect it, ignore it: nothing happens without it.\n",
            quoted(&invitation.invited_by),
            quoted(invitation.name.as_str()),
            invitation.role.label(),
            invitation.expires_at,
        ),
        at: visit.web.backend.clock().now(),
    };
    match visit.web.mailer.send(mail).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(invitation = %invitation.id, %error, "an invitation could not be mailed");
            false
        }
    }
}

/// Mails an open invitation again, with a new link.
pub async fn send_again(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let id: InvitationId = visit.param("invitation")?;
        let again = visit.web.backend.send_invitation_again(&visit.actor, visit.organization(), id).await;
        let (invitation, token) = again?;
        visit.notify_team(&invitation, TeamChange::Invited(invitation.role));
        Ok(sent_page(&visit, invitation, &token).await)
    };
    match result.await {
        Ok(page) => visit.show(page).await,
        Err(refused) => visit.show_again(refused, sent, async || people_page(&visit).await).await,
    }
}

/// Shows the form that changes a member's role.
pub async fn role_form(visit: Visit) -> Response {
    visit.answer(role_page(&visit).await).await
}

async fn role_page(visit: &Visit) -> Result<Page, BackendError> {
    person_page(visit, |person| Page::ChangeRole { waits_until: waits_until(visit, &person), person }).await
}

/// When removing or demoting a member would take effect; `None` if immediately.
fn waits_until(visit: &Visit, person: &Person) -> Option<Timestamp> {
    person.is_delayed(OwnerChange::Remove).then(|| visit.web.backend.clock().now().plus(OWNER_CHANGE_DELAY))
}

/// Notifies the team of a change of a member, and returns the notice to show.
fn made_or_requested(visit: &Visit, changed: &MemberChange, asked: OwnerChange) -> Notice {
    match changed {
        MemberChange::Made(before) => {
            visit.notify_team(before, TeamChange::applied(asked, before.role));
            match asked {
                OwnerChange::Remove => Notice::PersonRemoved,
                OwnerChange::Demote(_) => Notice::RoleChanged,
            }
        }
        MemberChange::Requested(pending) => {
            visit.notify_team(pending, TeamChange::OwnerChangeRequested(pending.change, pending.applies_at));
            Notice::OwnerChangeRequested
        }
    }
}

/// Changes a member's role.
pub async fn change_role(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let person: UserId = visit.param("person")?;
        authorise(&visit.actor, visit.organization(), Operation::ManagePeople)?;
        let role = Role::from_code(sent.text("role")).ok_or(Refused::field("role", "Choose one of the roles."))?;
        let changed = visit.web.backend.change_role(&visit.actor, visit.organization(), person, role).await?;
        Ok(made_or_requested(&visit, &changed, OwnerChange::Demote(role)))
    };
    match result.await {
        Ok(notice) => redirect(&visit.place.people(), notice),
        Err(refused) => {
            let page = async || role_page(&visit).await;
            visit.show_again(refused, sent, page).await
        }
    }
}

/// Shows the confirmation form for resetting a member's second factors.
pub async fn reset_form(visit: Visit) -> Response {
    visit.answer(person_page(&visit, |person| Page::ResetFactor { person }).await).await
}

/// Removes the second factors that a member has lost.
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
            visit.notify_team(&person, TeamChange::FactorReset);
            redirect(&visit.place.people(), Notice::FactorReset)
        }
        Err(refused) => {
            let page = async || person_page(&visit, |person| Page::ResetFactor { person }).await;
            visit.show_again(refused, sent, page).await
        }
    }
}

/// Shows the confirmation form for removing a member.
pub async fn remove_form(visit: Visit) -> Response {
    visit.answer(remove_page(&visit).await).await
}

async fn remove_page(visit: &Visit) -> Result<Page, BackendError> {
    person_page(visit, |person| Page::RemovePerson { waits_until: waits_until(visit, &person), person }).await
}

/// Removes a member. The next page offers to replace the keys of which they may have a copy.
pub async fn remove(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let person: UserId = visit.param("person")?;
        let removed = visit.web.backend.remove_person(&visit.actor, visit.organization(), person).await?;
        Ok(made_or_requested(&visit, &removed, OwnerChange::Remove))
    };
    match result.await {
        Ok(notice) => redirect(&visit.place.people(), notice),
        Err(refused) => {
            let page = async || remove_page(&visit).await;
            visit.show_again(refused, sent, page).await
        }
    }
}

async fn confirm_page(visit: &Visit) -> Result<Page, BackendError> {
    let pending = visit.web.backend.owner_change(&visit.actor, visit.organization(), visit.param("person")?).await?;
    Ok(Page::ConfirmOwnerChange { pending })
}

/// Shows the confirmation form for confirming a pending removal or demotion.
pub async fn confirm_form(visit: Visit) -> Response {
    visit.answer(confirm_page(&visit).await).await
}

/// Confirms and applies a pending removal or demotion.
pub async fn confirm(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let person: UserId = visit.param("person")?;
        let backend = &visit.web.backend;
        let (pending, before) = backend.confirm_owner_change(&visit.actor, visit.organization(), person).await?;
        visit.notify_team(&before, TeamChange::applied(pending.change, before.role));
        Ok(match pending.change {
            OwnerChange::Remove => Notice::PersonRemoved,
            OwnerChange::Demote(_) => Notice::RoleChanged,
        })
    };
    match result.await {
        Ok(notice) => redirect(&visit.place.people(), notice),
        Err(refused) => visit.show_again(refused, sent, async || confirm_page(&visit).await).await,
    }
}

/// Cancels a pending removal or demotion.
pub async fn cancel(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let person: UserId = visit.param("person")?;
        let cancelled = visit.web.backend.cancel_owner_change(&visit.actor, visit.organization(), person).await?;
        visit.notify_team(&cancelled, TeamChange::OwnerChangeCancelled(cancelled.change));
        Ok(())
    };
    match result.await {
        Ok(()) => redirect(&visit.place.people(), Notice::OwnerChangeCancelled),
        Err(refused) => visit.show_again(refused, sent, async || people_page(&visit).await).await,
    }
}

/// Withdraws an invitation.
pub async fn withdraw(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let invitation: InvitationId = visit.param("invitation")?;
        let withdrawn = visit.web.backend.withdraw_invitation(&visit.actor, visit.organization(), invitation).await?;
        visit.notify_team(&withdrawn, TeamChange::InvitationWithdrawn(withdrawn.role));
        Ok(())
    };
    match result.await {
        Ok(()) => redirect(&visit.place.people(), Notice::InvitationWithdrawn),
        Err(refused) => visit.show_again(refused, sent, async || people_page(&visit).await).await,
    }
}

/// Redirects a GET on a POST-only route to the members page.
pub async fn back_to_people(visit: Visit) -> Redirect {
    Redirect::to(&visit.place.people())
}
