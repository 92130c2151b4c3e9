//! E-mail about changes to an organization's members and their roles. Everyone who manages its members receives it, so
//! that a change made in a hijacked session does not go unnoticed.

use super::{Backend, BackendError};
use crate::{
    mail::{Mail, Mailer, quoted, shown_address},
    store::users,
};
use app::paths::{Area, Place};
use domain::{
    access::Role,
    actor::Actor,
    id::{OrganizationId, UserId},
    people::{Invitation, OwnerChange, PendingOwnerChange, Person},
    time::Timestamp,
};
use std::fmt::Write;

/// A change to an organization's members, and the actor who made it.
#[derive(Clone, Debug)]
pub struct TeamEvent {
    /// The user who made the change, in their own organization.
    pub actor: Actor,
    /// The browser in which it was made; `None` if the server made it on their behalf.
    pub browser: Option<String>,
    /// When the change was made.
    pub at: Timestamp,
    /// The member or invitee that the change concerns.
    pub member: TeamMember,
    /// The change.
    pub change: TeamChange,
}

/// The member or invitee that a change concerns.
#[derive(Clone, Debug)]
pub struct TeamMember {
    /// The account, if there is one.
    pub user: Option<UserId>,
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
}

impl From<&Person> for TeamMember {
    fn from(person: &Person) -> Self {
        Self { user: Some(person.id), name: person.name.clone(), email: person.email.clone() }
    }
}

impl From<&Actor> for TeamMember {
    fn from(actor: &Actor) -> Self {
        Self { user: Some(actor.user_id), name: actor.name.clone(), email: actor.email.clone() }
    }
}

impl From<&PendingOwnerChange> for TeamMember {
    fn from(pending: &PendingOwnerChange) -> Self {
        Self { user: Some(pending.target), name: pending.target_name.clone(), email: pending.target_email.clone() }
    }
}

impl From<&Invitation> for TeamMember {
    fn from(invitation: &Invitation) -> Self {
        Self { user: None, name: invitation.name.to_string(), email: invitation.email.to_string() }
    }
}

/// The kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeamChange {
    /// An invitation to join in this role was sent.
    Invited(Role),
    /// An invitation to join in this role was withdrawn.
    InvitationWithdrawn(Role),
    /// The invitee joined, or signed in for the first time by the organization's identity provider, in this role.
    Joined(Role),
    /// The role changed.
    RoleChanged {
        /// The role before.
        from: Role,
        /// The role now.
        to: Role,
    },
    /// The member, who had this role, was removed.
    Removed(Role),
    /// The member's second factor was removed by another user.
    FactorReset,
    /// A link to choose a new password was sent to the member.
    PasswordResetStarted,
    /// The removal or demotion of the member, who manages members, was requested and takes effect at this instant.
    OwnerChangeRequested(OwnerChange, Timestamp),
    /// The removal or demotion was cancelled.
    OwnerChangeCancelled(OwnerChange),
}

impl TeamChange {
    /// Returns the change that results from applying `change` to a member with the role `from`.
    pub fn applied(change: OwnerChange, from: Role) -> Self {
        match change {
            OwnerChange::Remove => Self::Removed(from),
            OwnerChange::Demote(to) => Self::RoleChanged { from, to },
        }
    }

    fn subject(self) -> &'static str {
        match self {
            Self::Invited(_) => "A member was invited to your organization",
            Self::InvitationWithdrawn(_) => "An invitation to your organization was withdrawn",
            Self::Joined(_) => "A member joined your organization",
            Self::RoleChanged { .. } => "The role of a member of your organization was changed",
            Self::Removed(_) => "A member was removed from your organization",
            Self::FactorReset => "The second factor of a member of your organization was reset",
            Self::OwnerChangeRequested(..) => "Removing or demoting an owner of your organization was requested",
            Self::OwnerChangeCancelled(_) => "Removing or demoting an owner of your organization was cancelled",
            Self::PasswordResetStarted => "A password reset was started for a member of your organization",
        }
    }

    fn happened(self) -> String {
        match self {
            Self::Invited(role) => format!("Invitation sent, role {}", role.label()),
            Self::InvitationWithdrawn(role) => format!("Invitation withdrawn, role {}", role.label()),
            Self::Joined(role) => format!("Joined, role {}", role.label()),
            Self::RoleChanged { from, to } => format!("Role changed from {} to {}", from.label(), to.label()),
            Self::Removed(role) => format!("Removed, role before: {}", role.label()),
            Self::FactorReset => "Second factor removed, signed out everywhere".to_owned(),
            Self::PasswordResetStarted => "Link to choose a new password sent".to_owned(),
            Self::OwnerChangeRequested(change, at) => {
                format!("{change} requested, takes effect on {at} or once another owner confirms it")
            }
            Self::OwnerChangeCancelled(change) => format!("{change} cancelled"),
        }
    }

    /// What a user who manages members can do about it on the members page. Completes a sentence.
    fn remedy(self) -> &'static str {
        match self {
            Self::Invited(_) => "withdraw the invitation",
            Self::InvitationWithdrawn(_) | Self::Removed(_) => "invite them again",
            Self::Joined(_) => "remove them",
            Self::RoleChanged { .. } => "change the role back",
            Self::FactorReset => "speak to the member in person, who sets up a second factor again",
            Self::OwnerChangeRequested(..) => "cancel it",
            Self::OwnerChangeCancelled(_) => "request it again",
            Self::PasswordResetStarted => "speak to the member in person, who must not use the link",
        }
    }

    /// Whether the member is notified even if they do not manage members. They learn of the other changes in another
    /// way.
    fn concerns_member(self) -> bool {
        match self {
            Self::RoleChanged { .. }
            | Self::Removed(_)
            | Self::OwnerChangeRequested(..)
            | Self::OwnerChangeCancelled(_) => true,
            Self::Invited(_)
            | Self::InvitationWithdrawn(_)
            | Self::Joined(_)
            | Self::FactorReset
            | Self::PasswordResetStarted => false,
        }
    }
}

/// The reason why a recipient receives the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recipient {
    Actor,
    Manager,
    Member,
}

impl Backend {
    /// The users who manage an organization's members: the owners of a partner, the admins at Nuvera.
    ///
    /// # Errors
    /// The database fails.
    pub async fn managers(&self, organization: OrganizationId) -> Result<Vec<Person>, BackendError> {
        let mut people = users::of_organization(&mut *self.store.read().await?, organization).await?;
        people.retain(|person| person.role.decides_on_people());
        Ok(people)
    }

    /// Mails a change to everyone who manages the organization's members, and to the member if it concerns their role
    /// or removal. Failures are logged.
    pub async fn notify_team(&self, event: &TeamEvent, mailer: &Mailer, origin: &str) {
        let TeamEvent { actor, member, change, at, .. } = event;
        let managers = match self.managers(actor.organization_id).await {
            Ok(managers) => managers,
            Err(error) => {
                tracing::warn!(organization = %actor.organization_id, %error, subject = change.subject(), "a message to those who manage members was not sent: they could not be read");
                Vec::new()
            }
        };
        let is_member = |id| member.user == Some(id);
        let mut recipients: Vec<(Recipient, &str)> = managers
            .iter()
            .map(|person| match person.id == actor.user_id {
                true => (Recipient::Actor, &*person.email),
                false => (Recipient::Manager, &*person.email),
            })
            .collect();
        if change.concerns_member() && !managers.iter().any(|person| is_member(person.id)) {
            recipients.push((Recipient::Member, &member.email));
        }
        for (recipient, to) in recipients {
            let body = write(event, recipient, origin);
            if let Err(error) = mailer.send(Mail { to, subject: change.subject().to_owned(), body, at: *at }).await {
                tracing::warn!(organization = %actor.organization_id, %error, subject = change.subject(), "a message to those who manage members was not sent");
            }
        }
    }
}

fn write(event: &TeamEvent, recipient: Recipient, origin: &str) -> String {
    let TeamEvent { actor, browser, at, member, change } = event;
    let area = Area::of_side(actor.kind());
    let organization = quoted(&actor.organization_name);
    let by = quoted(&actor.name);
    let from = match (browser, actor.address) {
        (None, _) => "this server, on their request".to_owned(),
        (Some(browser), None) => browser.clone(),
        (Some(browser), Some(address)) => format!("{browser}, {address}"),
    };
    let mut text = format!(
        "Hello,\n\nthe members of {organization} at Nuvera changed:\n\n  \
         Change: {}\n  Member: {}, {}\n  By:     {by}, {}\n  From:   {from}\n  When:   {at}\n\n\
         If you expected this, there is nothing to do. ",
        change.happened(),
        quoted(&member.name),
        shown_address(&member.email),
        shown_address(&actor.email),
    );
    let (members, account) = (Place::of(area).people(), area.account());
    // Writing to a string does not fail.
    let _ = match recipient {
        Recipient::Actor => write!(
            text,
            "If you did not do this yourself, someone else is using your account.\nEnd all other sessions and change your \
             password now, in Sign-in and security:\n\n  {origin}{account}\n\n\
             Then {} on the members page:\n\n  {origin}{members}\n",
            change.remedy(),
        ),
        Recipient::Manager => write!(
            text,
            "If not, {} on the members page:\n\n  {origin}{members}\n\n\
             Then ask {by} in person whether they did this. If they did not, someone else is using their account:\n\
             reset its password and second factor on the same page.\n",
            change.remedy(),
        ),
        Recipient::Member => {
            writeln!(text, "If not, ask the people in your organization who manage its members why it was done.")
        }
    };
    let why = match recipient {
        Recipient::Actor | Recipient::Manager => format!("you manage members of {organization}"),
        Recipient::Member => "it is about your account".to_owned(),
    };
    let _ = write!(text, "\n-- \nNuvera sends this to you because {why}.\n");
    text
}
