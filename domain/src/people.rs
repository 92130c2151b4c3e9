//! The people of an organization: who is invited, what they are, and what is to be done when they leave.
//!
//! Nobody changes their own role or removes themselves, and an identity provider does not demote the last one who decides
//! on people. So no organization is ever without somebody who does.

mod owner_change;

pub use owner_change::{OWNER_CHANGE_DELAY, OwnerChange, PendingOwnerChange};

use crate::{
    access::Role,
    actor::ActorKind,
    application::{ApiApplication, By},
    audit::{AuditAction, AuditEvent},
    hygiene::KeyId,
    id::{ApplicationId, InvitationId, OrganizationId, UserId},
    second_factor::{self, Factors},
    text::{EmailAddress, PersonName},
    time::Timestamp,
};
use std::time::Duration;

/// How long an invitation can be accepted.
pub const INVITATION_LIFETIME: Duration = Duration::from_secs(72 * 60 * 60);

/// How long a link to choose a new password is good.
pub const RESET_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Somebody who belongs to an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who it is.
    pub id: UserId,
    /// What people know them by.
    pub name: String,
    /// What they sign in with.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// When they last signed in.
    pub signed_in_at: Option<Timestamp>,
    /// Whether they sign in with a password: those who do not sign in by an identity provider.
    pub has_password: bool,
    /// What they have, besides a password, to prove that it is they.
    pub factors: Factors,
}

/// Somebody who may join an organization. What their link holds besides is kept as a hash only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Names it.
    pub id: InvitationId,
    /// To where they join.
    pub organization_id: OrganizationId,
    /// What they will sign in with.
    pub email: EmailAddress,
    /// What people know them by.
    pub name: PersonName,
    /// What they will be.
    pub role: Role,
    /// Who invited them, by name.
    pub invited_by: String,
    /// The first instant at which it can no longer be accepted.
    pub expires_at: Timestamp,
}

/// Why people stay as they are; the words are for whoever wanted something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeopleError {
    /// It would be oneself.
    #[error("You cannot change your own role or remove yourself. Ask somebody else who decides on people.")]
    Yourself,
    /// It would be one's own second factor.
    #[error("This is you. Replace your second factor on your own page, “Sign-in and security”.")]
    OwnFactor,
    /// They have no second factor.
    #[error("{0} has no second factor.")]
    NoFactor(String),
    /// It would be one's own password.
    #[error("This is your own account: change your password on its page.")]
    OwnPassword,
    /// They have no password.
    #[error(
        "{0} signs in by single sign-on: there is no password to reset here. Your identity provider lets them in, or not."
    )]
    NoPassword(String),
    /// A reset of the same kind has been requested and has not taken effect.
    #[error("A reset of {0} is waiting already. Confirm or cancel that one.")]
    ResetPending(String),
    /// The actor requested the reset, or it concerns them.
    #[error("Another admin has to confirm this reset: neither the one who requested it nor the one it concerns.")]
    SecondAdminNeeded,
    /// The actor joined too recently to confirm a reset: the requester could have invited them for it.
    #[error("Your account is less than 24 hours old. Another admin has to confirm this reset.")]
    TooNewToConfirm,
    /// They have the role already.
    #[error("{0} has this role already.")]
    RoleUnchanged(String),
    /// The organization would be left without a user who manages its people.
    #[error("This would leave your organization without an owner. Give another person that role first.")]
    LastOwner,
    /// A removal or demotion of theirs is pending.
    #[error("A change of {0} is pending already: {1}. Confirm or cancel it first, on the page of all members.")]
    ChangePending(String, String),
    /// The requester or the target cannot confirm it.
    #[error("Someone else confirms this: not who requested it, and not whom it is about.")]
    OwnConfirmation,
    /// The actor has managed members for too short a time to confirm it.
    #[error(
        "You have managed members for less than 72 hours. You can confirm this from {0} on, or it takes effect by itself."
    )]
    ManagesTooShort(Timestamp),
    /// The organization has an owner, who can change roles.
    #[error("{0} has an owner already, who can change roles. Ask them, or recover their account.")]
    HasOwner(String),
    /// Customer platforms have no owners here.
    #[error("{0} belongs to a customer platform, which has no owner here.")]
    CustomerUser(String),
    /// The role is none of this organization's.
    #[error("Choose one of the roles.")]
    RoleNotGiven,
    /// The address is that of somebody here.
    #[error("{0} belongs to your organization already, with this e-mail address.")]
    AlreadyHere(String),
    /// The address has an account elsewhere; nobody is told where.
    #[error("This e-mail address cannot be invited. Use another one of theirs.")]
    EmailTaken,
    /// The invitation can no longer be accepted.
    #[error("This invitation has expired. Invite the person again.")]
    InvitationExpired,
    /// The organization has a member: its owners invite the others.
    #[error(
        "{0} has members already: its owners invite others. If no owner can sign in, the operator of this server recovers one (server recover)."
    )]
    NotFirstOwner(String),
    /// The organization has invited very many lately.
    #[error(
        "Your organization has invited a hundred people within a day. Invite more tomorrow, or ask Nuvera support."
    )]
    TooManyInvitations,
}

/// What becomes of somebody's role when an identity provider names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// They have it already.
    Unchanged,
    /// They are given it. The event is recorded with it.
    Changed(Box<(Person, AuditEvent)>),
    /// They keep theirs: without them nobody would decide on people.
    Kept,
}

impl Person {
    /// Gives them another role. The event is recorded with it.
    ///
    /// # Errors
    /// It is oneself, the role is not given here, or they have it.
    pub fn change_role(self, role: Role, by: By<'_>) -> Result<(Self, AuditEvent), PeopleError> {
        self.is_somebody_else(by)?;
        if !role.is_given_on(by.actor.kind()) {
            return Err(PeopleError::RoleNotGiven);
        }
        if role == self.role {
            return Err(PeopleError::RoleUnchanged(self.name));
        }
        let (before, after) = (Some(self.role.label()), Some(role.label()));
        let event = event(by, AuditAction::PersonRoleChanged, &self.email, before, after);
        Ok((Self { role, ..self }, event))
    }

    /// Makes them an owner (at Nuvera: an admin) of their organization, which has none: `by` themselves, on the order of the
    /// operator. The event is recorded with it.
    ///
    /// # Errors
    /// Somebody else is one (`others_decide`), they are one themselves, or they are a customer's user.
    pub fn make_owner(self, others_decide: bool, by: By<'_>) -> Result<(Self, AuditEvent), PeopleError> {
        if self.role == Role::CustomerUser {
            return Err(PeopleError::CustomerUser(self.name));
        }
        if others_decide || self.role.decides_on_people() {
            return Err(PeopleError::HasOwner(by.actor.organization_name.clone()));
        }
        let role = match self.role.side() {
            ActorKind::Partner => Role::PartnerOwner,
            ActorKind::Nuvera => Role::NuveraAdmin,
        };
        let (before, after) = (Some(self.role.label()), Some(role.label()));
        let event = event(by, AuditAction::PersonRoleChanged, &self.email, before, after);
        Ok((Self { role, ..self }, event))
    }

    /// Removes them: what is left is the event.
    ///
    /// # Errors
    /// It is oneself.
    pub fn remove(&self, by: By<'_>) -> Result<AuditEvent, PeopleError> {
        self.is_somebody_else(by)?;
        Ok(event(by, AuditAction::PersonRemoved, &self.email, Some(self.role.label()), None))
    }

    /// Removes their second factor, which they have lost: what is left is the event.
    ///
    /// # Errors
    /// It is oneself, or they have none.
    pub fn reset_factor(&self, by: By<'_>) -> Result<AuditEvent, PeopleError> {
        if self.id == by.actor.user_id {
            return Err(PeopleError::OwnFactor);
        }
        if !self.factors.any() {
            return Err(PeopleError::NoFactor(self.name.clone()));
        }
        Ok(second_factor::reset(by, &self.email, self.factors))
    }

    /// Gives them a link with which they choose a new password: what is recorded of it.
    ///
    /// # Errors
    /// It is oneself, or they have none: with one, they could sign in when their identity provider no longer lets them.
    pub fn reset_password(&self, by: By<'_>) -> Result<AuditEvent, PeopleError> {
        self.is_somebody_else(by).map_err(|_| PeopleError::OwnPassword)?;
        if !self.has_password {
            return Err(PeopleError::NoPassword(self.name.clone()));
        }
        Ok(event(by, AuditAction::PasswordResetBegun, &self.email, None, None))
    }

    /// Brings their role up to what their organization's identity provider says of them, as they sign in: `by` themselves.
    /// `others_decide` says whether somebody else of theirs decides on people: the last one who does stays what they are,
    /// whatever the provider says, because nobody could undo it.
    pub fn follow_provider(self, role: Role, others_decide: bool, by: By<'_>) -> Followed {
        if role == self.role {
            return Followed::Unchanged;
        }
        if self.role.decides_on_people() && !role.decides_on_people() && !others_decide {
            return Followed::Kept;
        }
        let (before, after) = (Some(self.role.label()), Some(role.label()));
        let event = event(by, AuditAction::PersonRoleChanged, &self.email, before, after);
        Followed::Changed(Box::new((Self { role, ..self }, event)))
    }

    fn is_somebody_else(&self, by: By<'_>) -> Result<(), PeopleError> {
        if self.id == by.actor.user_id { Err(PeopleError::Yourself) } else { Ok(()) }
    }
}

impl Invitation {
    /// Invites somebody to the actor's organization.
    ///
    /// # Errors
    /// The role is not given there.
    pub fn new(
        id: InvitationId,
        email: EmailAddress,
        name: PersonName,
        role: Role,
        by: By<'_>,
    ) -> Result<(Self, AuditEvent), PeopleError> {
        if !role.is_given_on(by.actor.kind()) {
            return Err(PeopleError::RoleNotGiven);
        }
        Ok(Self::to_organization(by.actor.organization_id, id, email, name, role, by))
    }

    /// Invites the first owner of a partner organization, on behalf of Nuvera.
    pub fn of_first_owner(
        organization: OrganizationId,
        id: InvitationId,
        email: EmailAddress,
        name: PersonName,
        by: By<'_>,
    ) -> (Self, AuditEvent) {
        Self::to_organization(organization, id, email, name, Role::PartnerOwner, by)
    }

    fn to_organization(
        organization_id: OrganizationId,
        id: InvitationId,
        email: EmailAddress,
        name: PersonName,
        role: Role,
        by: By<'_>,
    ) -> (Self, AuditEvent) {
        let event = event(by, AuditAction::PersonInvited, email.as_str(), None, Some(role.label()));
        let invitation = Self {
            id,
            organization_id,
            email,
            name,
            role,
            invited_by: by.actor.name.clone(),
            expires_at: by.at.plus(INVITATION_LIFETIME),
        };
        (invitation, AuditEvent { organization_id, ..event })
    }

    /// Sends it again: with a new link, for [`INVITATION_LIFETIME`] from now, in the name of whoever sends it. The event is
    /// recorded with it.
    ///
    /// # Errors
    /// [`PeopleError::InvitationExpired`]
    pub fn send_again(self, by: By<'_>) -> Result<(Self, AuditEvent), PeopleError> {
        if !self.is_open(by.at) {
            return Err(PeopleError::InvitationExpired);
        }
        let role = Some(self.role.label());
        let event = event(by, AuditAction::InvitationSentAgain, self.email.as_str(), role, role);
        Ok((Self { invited_by: by.actor.name.clone(), expires_at: by.at.plus(INVITATION_LIFETIME), ..self }, event))
    }

    /// Whether it can still be accepted at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// What is recorded when it is taken back.
    pub fn withdrawn(&self, by: By<'_>) -> AuditEvent {
        let event = event(by, AuditAction::InvitationWithdrawn, self.email.as_str(), Some(self.role.label()), None);
        // Nuvera invites a partner's first owner.
        AuditEvent { organization_id: self.organization_id, ..event }
    }

    /// What is recorded when somebody joins: `by` themselves.
    pub fn accepted(&self, by: By<'_>) -> AuditEvent {
        let mut event = event(by, AuditAction::PersonJoined, self.email.as_str(), None, Some(self.role.label()));
        event.reason = None;
        event
    }
}

/// What is recorded when somebody changes their own password: `by` themselves.
pub fn password_changed(by: By<'_>) -> AuditEvent {
    event(by, AuditAction::PasswordChanged, &by.actor.email, None, None)
}

/// What is recorded when a user has chosen a new password by a link, which removes their second factors: `by` themselves.
/// `started_by` is the name of the member who sent the link; `None` for the server's command line.
pub fn password_reset(by: By<'_>, started_by: Option<&str>) -> Vec<AuditEvent> {
    let started_by = started_by.map_or_else(
        || "Reset started on the server’s command line".to_owned(),
        |name| format!("Reset started by {name}"),
    );
    let factors = by.actor.factors;
    let removed = factors.any().then(|| second_factor::reset(by, &by.actor.email, factors));
    let chosen =
        AuditEvent { after: Some(started_by), ..event(by, AuditAction::PasswordReset, &by.actor.email, None, None) };
    removed.into_iter().chain([chosen]).collect()
}

/// What is recorded when whoever runs the server gives somebody a way back in who has lost all that they signed in with:
/// `by` themselves, with the reason that says so.
pub fn recovered(by: By<'_>) -> Vec<AuditEvent> {
    let factors = by.actor.factors;
    let reset = factors.any().then(|| second_factor::reset(by, &by.actor.email, factors));
    let begun = event(by, AuditAction::PasswordResetBegun, &by.actor.email, None, None);
    reset.into_iter().chain([begun]).collect()
}

/// What is recorded when somebody is refused who may not use the console at all: `by` themselves.
pub fn sign_in_refused(by: By<'_>) -> AuditEvent {
    event(by, AuditAction::SignInRefused, &by.actor.email, None, Some(by.actor.role.label()))
}

/// What is recorded when an identity provider brings somebody who was not there before: `by` themselves.
pub fn joined_by_provider(by: By<'_>) -> AuditEvent {
    event(by, AuditAction::PersonJoined, &by.actor.email, None, Some(by.actor.role.label()))
}

fn event(
    by: By<'_>,
    action: AuditAction,
    email: &str,
    before: Option<&'static str>,
    after: Option<&'static str>,
) -> AuditEvent {
    AuditEvent {
        at: by.at,
        actor: by.actor.into(),
        organization_id: by.actor.organization_id,
        application_id: None,
        action,
        target: email.to_owned(),
        before: before.map(ToOwned::to_owned),
        after: after.map(ToOwned::to_owned),
        reason: by.reason.cloned(),
    }
}

/// Something that somebody once did to a key, by the audit history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// To a key of which application.
    pub application: ApplicationId,
    /// What they did.
    pub action: AuditAction,
    /// The event's target: a key's prefix, a fingerprint, or the application's name.
    pub target: String,
}

impl Handled {
    /// The actions after which somebody may have a copy of a key.
    pub const ACTIONS: [AuditAction; 5] = [
        AuditAction::ApplicationCreated,
        AuditAction::ApiKeyCreated,
        AuditAction::ApiKeyStored,
        AuditAction::SigningKeyReplaced,
        AuditAction::SigningKeyRestored,
    ];
}

/// Somebody who has left, and the keys that still work and that they may have a copy of.
#[derive(Clone, Debug)]
pub struct Leaver {
    /// Who it was.
    pub person: Person,
    /// The keys, by application.
    pub keys: Vec<(ApiApplication, Vec<KeyId>)>,
}

/// The keys of `application` that work at `now` and that somebody may have a copy of who did all this: the API keys that
/// they were shown or confirmed as stored, and the signing keys whose public half they registered.
pub fn keys_in_hand(application: &ApiApplication, handled: &[Handled], now: Timestamp) -> Vec<KeyId> {
    let did = |actions: &[AuditAction], target: &str| {
        handled
            .iter()
            .any(|did| did.application == application.id && actions.contains(&did.action) && did.target == target)
    };
    let created =
        handled.iter().any(|did| did.application == application.id && did.action == AuditAction::ApplicationCreated);
    let api_keys = application
        .live_keys(now)
        .filter(|key| did(&[AuditAction::ApiKeyCreated, AuditAction::ApiKeyStored], key.prefix.as_str()))
        .map(|key| KeyId::Api(key.id));
    let signing_keys = application
        .signing_keys
        .iter()
        .filter(|key| key.verifies(now))
        .filter(|key| {
            let actions = [AuditAction::SigningKeyReplaced, AuditAction::SigningKeyRestored];
            did(&actions, &key.public_key.fingerprint()) || created && key.created_at == application.created_at
        })
        .map(|key| KeyId::Signing(key.id));
    api_keys.chain(signing_keys).collect()
}

#[cfg(test)]
mod tests;
