//! The members of an organization: invitations, roles, and what has to be done when a member leaves.
//!
//! Users cannot change their own role or remove themselves, and an identity provider cannot demote the last member who
//! manages members. So every organization always has a member who does.

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

/// Time within which an invitation can be accepted.
pub const INVITATION_LIFETIME: Duration = Duration::from_secs(72 * 60 * 60);

/// Time for which a password reset link is valid.
pub const RESET_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A member of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The member's id.
    pub id: UserId,
    /// The display name.
    pub name: String,
    /// The e-mail address used to sign in.
    pub email: String,
    /// The role, which determines the permitted operations.
    pub role: Role,
    /// When they last signed in.
    pub signed_in_at: Option<Timestamp>,
    /// Whether the member signs in with a password. Otherwise they use an identity provider.
    pub has_password: bool,
    /// The factors that are set up in addition to the password.
    pub factors: Factors,
}

/// An invitation to join an organization. The token in its link is stored only as a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The invitation's id.
    pub id: InvitationId,
    /// The organization to join.
    pub organization_id: OrganizationId,
    /// The e-mail address used to sign in.
    pub email: EmailAddress,
    /// The display name.
    pub name: PersonName,
    /// The role that the member will have.
    pub role: Role,
    /// Name of the user who sent the invitation.
    pub invited_by: String,
    /// The first instant at which it can no longer be accepted.
    pub expires_at: Timestamp,
}

/// Reason why a change of members is rejected. The messages are shown to the user who requested it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeopleError {
    /// The target is the actor.
    #[error("You cannot change your own role or remove yourself. Ask somebody else who decides on people.")]
    Yourself,
    /// The target is the actor's own second factor.
    #[error("This is you. Replace your second factor on your own page, “Sign-in and security”.")]
    OwnFactor,
    /// The member has no second factor.
    #[error("{0} has no second factor.")]
    NoFactor(String),
    /// The target is the actor's own password.
    #[error("This is your own account: change your password on its page.")]
    OwnPassword,
    /// The member has no password.
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
    /// The member already has the role.
    #[error("{0} has this role already.")]
    RoleUnchanged(String),
    /// The organization would be left without a user who manages its members.
    #[error("This would leave your organization without an owner. Give another person that role first.")]
    LastOwner,
    /// A removal or demotion of the member is already pending.
    #[error("A change of {0} is pending already: {1}. Confirm or cancel it first, on the page of all members.")]
    ChangePending(String, String),
    /// The actor requested the change, or it concerns them.
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
    /// The member is a customer's user. Customer platforms have no owners in this console.
    #[error("{0} belongs to a customer platform, which has no owner here.")]
    CustomerUser(String),
    /// Members of this organization cannot have the role.
    #[error("Choose one of the roles.")]
    RoleNotGiven,
    /// A member has this e-mail address.
    #[error("{0} belongs to your organization already, with this e-mail address.")]
    AlreadyHere(String),
    /// The address has an account in another organization, which must not be revealed.
    #[error("This e-mail address cannot be invited. Use another one of theirs.")]
    EmailTaken,
    /// The invitation can no longer be accepted.
    #[error("This invitation has expired. Invite the person again.")]
    InvitationExpired,
    /// The organization has members, so its owners send invitations.
    #[error(
        "{0} has members already: its owners invite others. If no owner can sign in, the operator of this server recovers one (server recover)."
    )]
    NotFirstOwner(String),
    /// The organization has reached the limit of invitations per day.
    #[error(
        "Your organization has invited a hundred people within a day. Invite more tomorrow, or ask Nuvera support."
    )]
    TooManyInvitations,
}

/// The effect of a role asserted by an identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The member already has the role.
    Unchanged,
    /// The role was changed. Contains the member with the event to record.
    Changed(Box<(Person, AuditEvent)>),
    /// The role was kept: without this member no one would manage members.
    Kept,
}

impl Person {
    /// Changes the role. Returns the member with the event to record.
    ///
    /// # Errors
    /// [`PeopleError::Yourself`], [`PeopleError::RoleNotGiven`], [`PeopleError::RoleUnchanged`]
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

    /// Promotes the member to owner (at Nuvera: admin) of an organization that has none. The operator orders it, and
    /// `by` is the member. Returns the member with the event to record. `others_decide`: whether another member manages
    /// members.
    ///
    /// # Errors
    /// [`PeopleError::CustomerUser`]; [`PeopleError::HasOwner`] if another member is an owner, or this one already is.
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

    /// Removes the member. Returns the event to record.
    ///
    /// # Errors
    /// [`PeopleError::Yourself`]
    pub fn remove(&self, by: By<'_>) -> Result<AuditEvent, PeopleError> {
        self.is_somebody_else(by)?;
        Ok(event(by, AuditAction::PersonRemoved, &self.email, Some(self.role.label()), None))
    }

    /// Removes the member's second factors, which they have lost. Returns the event to record.
    ///
    /// # Errors
    /// [`PeopleError::OwnFactor`], [`PeopleError::NoFactor`]
    pub fn reset_factor(&self, by: By<'_>) -> Result<AuditEvent, PeopleError> {
        if self.id == by.actor.user_id {
            return Err(PeopleError::OwnFactor);
        }
        if !self.factors.any() {
            return Err(PeopleError::NoFactor(self.name.clone()));
        }
        Ok(second_factor::reset(by, &self.email, self.factors))
    }

    /// Starts a password reset by link. Returns the event to record.
    ///
    /// # Errors
    /// [`PeopleError::OwnPassword`]; [`PeopleError::NoPassword`]: a member who uses single sign-on gets no password,
    /// with which they could still sign in after their identity provider has removed them.
    pub fn reset_password(&self, by: By<'_>) -> Result<AuditEvent, PeopleError> {
        self.is_somebody_else(by).map_err(|_| PeopleError::OwnPassword)?;
        if !self.has_password {
            return Err(PeopleError::NoPassword(self.name.clone()));
        }
        Ok(event(by, AuditAction::PasswordResetBegun, &self.email, None, None))
    }

    /// Updates the role to the one asserted by the identity provider at sign-in; `by` is the member. `others_decide`:
    /// whether another member manages members. The last member who does keeps their role, because no one could reverse
    /// the change.
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
    /// Creates an invitation to the actor's organization. Returns it with the event to record.
    ///
    /// # Errors
    /// [`PeopleError::RoleNotGiven`]
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

    /// Creates an invitation for the first owner of a partner organization, sent by Nuvera.
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

    /// Renews the invitation with a new link, which is valid for [`INVITATION_LIFETIME`] from now, in the name of the
    /// actor. Returns it with the event to record.
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

    /// Returns the event to record when it is withdrawn.
    pub fn withdrawn(&self, by: By<'_>) -> AuditEvent {
        let event = event(by, AuditAction::InvitationWithdrawn, self.email.as_str(), Some(self.role.label()), None);
        // Nuvera invites a partner's first owner, so the actor's organization may be another one.
        AuditEvent { organization_id: self.organization_id, ..event }
    }

    /// Returns the event to record when the invited user joins; `by` is that user.
    pub fn accepted(&self, by: By<'_>) -> AuditEvent {
        let mut event = event(by, AuditAction::PersonJoined, self.email.as_str(), None, Some(self.role.label()));
        event.reason = None;
        event
    }
}

/// Returns the event to record when a user changes their own password; `by` is that user.
pub fn password_changed(by: By<'_>) -> AuditEvent {
    event(by, AuditAction::PasswordChanged, &by.actor.email, None, None)
}

/// Returns the events to record when a user has chosen a new password by a reset link, which removes their second
/// factors; `by` is that user. `started_by` is the name of the member who sent the link; `None` for the server's
/// command line.
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

/// Returns the events to record when the operator recovers the account of a user who has lost all of their credentials;
/// `by` is that user, with a justification that says so.
pub fn recovered(by: By<'_>) -> Vec<AuditEvent> {
    let factors = by.actor.factors;
    let reset = factors.any().then(|| second_factor::reset(by, &by.actor.email, factors));
    let begun = event(by, AuditAction::PasswordResetBegun, &by.actor.email, None, None);
    reset.into_iter().chain([begun]).collect()
}

/// Returns the event to record when a user who has no access to the console is rejected; `by` is that user.
pub fn sign_in_refused(by: By<'_>) -> AuditEvent {
    event(by, AuditAction::SignInRefused, &by.actor.email, None, Some(by.actor.role.label()))
}

/// Returns the event to record when an identity provider signs in a user for the first time; `by` is that user.
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

/// An action of a user on a key, according to the audit history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// The application of the key.
    pub application: ApplicationId,
    /// The action that was performed.
    pub action: AuditAction,
    /// The event's target: a key's prefix, a fingerprint, or the application's name.
    pub target: String,
}

impl Handled {
    /// The actions by which a user may have obtained a copy of a key.
    pub const ACTIONS: [AuditAction; 5] = [
        AuditAction::ApplicationCreated,
        AuditAction::ApiKeyCreated,
        AuditAction::ApiKeyStored,
        AuditAction::SigningKeyReplaced,
        AuditAction::SigningKeyRestored,
    ];
}

/// A removed member, with the live keys of which they may have a copy.
#[derive(Clone, Debug)]
pub struct Leaver {
    /// The removed member.
    pub person: Person,
    /// The keys, grouped by application.
    pub keys: Vec<(ApiApplication, Vec<KeyId>)>,
}

/// Returns the keys of `application` that are live at `now` and that a user may have copied, given the actions in
/// `handled`: API keys that were shown to them or that they confirmed as stored, and signing keys that they registered.
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
