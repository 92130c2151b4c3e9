//! Removal or demotion of a user who manages members. One hijacked account must not be enough to lock the others out,
//! so it takes effect only after a delay, during which everyone who manages members can cancel it, or once a second
//! user who manages members confirms it.

use super::{PeopleError, Person, event};
use crate::{
    access::Role,
    application::By,
    audit::{AuditAction, AuditEvent},
    id::{OrganizationId, UserId},
    time::Timestamp,
};
use std::{fmt, time::Duration};

/// Time between the request to remove or demote a user who manages members and its effect.
pub const OWNER_CHANGE_DELAY: Duration = Duration::from_secs(72 * 60 * 60);

/// A change that ends a user's authority to manage members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerChange {
    /// They are removed.
    Remove,
    /// They are given a role that does not manage members.
    Demote(Role),
}

impl fmt::Display for OwnerChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove => f.write_str("Removal"),
            Self::Demote(role) => write!(f, "Change of role to {}", role.label()),
        }
    }
}

/// A removal or demotion that was requested and has not taken effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingOwnerChange {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The user to remove or demote.
    pub target: UserId,
    /// The target's name.
    pub target_name: String,
    /// The target's address.
    pub target_email: String,
    /// The requested change.
    pub change: OwnerChange,
    /// The user who requested it.
    pub requested_by: UserId,
    /// The requester's name.
    pub requester_name: String,
    /// When it was requested.
    pub requested_at: Timestamp,
    /// The instant from which it takes effect.
    pub applies_at: Timestamp,
}

impl Person {
    /// Whether `change` ends the member's authority to manage members. Such a change must be requested with
    /// [`Person::request_owner_change`].
    pub fn is_delayed(&self, change: OwnerChange) -> bool {
        let keeps = match change {
            OwnerChange::Remove => false,
            OwnerChange::Demote(role) => role.decides_on_people(),
        };
        self.role.decides_on_people() && !keeps
    }

    /// Requests the member's removal or demotion. `pending` is a change of this member that is already pending.
    ///
    /// # Errors
    /// [`PeopleError::ChangePending`]; as [`Person::remove`] and [`Person::change_role`].
    pub fn request_owner_change(
        &self,
        change: OwnerChange,
        pending: Option<&PendingOwnerChange>,
        by: By<'_>,
    ) -> Result<(PendingOwnerChange, AuditEvent), PeopleError> {
        match change {
            OwnerChange::Remove => drop(self.remove(by)?),
            OwnerChange::Demote(role) => drop(self.clone().change_role(role, by)?),
        }
        if let Some(pending) = pending {
            return Err(PeopleError::ChangePending(self.name.clone(), pending.change.to_string()));
        }
        let requested = PendingOwnerChange {
            organization_id: by.actor.organization_id,
            target: self.id,
            target_name: self.name.clone(),
            target_email: self.email.clone(),
            change,
            requested_by: by.actor.user_id,
            requester_name: by.actor.name.clone(),
            requested_at: by.at,
            applies_at: by.at.plus(OWNER_CHANGE_DELAY),
        };
        let event = requested.event(by, AuditAction::OwnerChangeRequested);
        Ok((requested, event))
    }
}

impl PendingOwnerChange {
    /// Whether it takes effect at `now`.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.applies_at
    }

    /// Returns the event to record when it is cancelled or can no longer be applied.
    pub fn cancelled(&self, by: By<'_>) -> AuditEvent {
        self.event(by, AuditAction::OwnerChangeCancelled)
    }

    /// Whether `user` may confirm it, being neither the requester nor the target.
    pub fn is_confirmable_by(&self, user: UserId) -> bool {
        user != self.requested_by && user != self.target
    }

    /// Confirms it, so that it takes effect at once. `manages_since`: since when the actor manages members. A new owner
    /// cannot confirm it: an attacker with one account could otherwise promote a second account and confirm with that.
    ///
    /// # Errors
    /// [`PeopleError::OwnConfirmation`], [`PeopleError::ManagesTooShort`]
    pub fn confirm(&self, manages_since: Timestamp, by: By<'_>) -> Result<AuditEvent, PeopleError> {
        if !self.is_confirmable_by(by.actor.user_id) {
            return Err(PeopleError::OwnConfirmation);
        }
        let from = manages_since.plus(OWNER_CHANGE_DELAY);
        if by.at < from {
            return Err(PeopleError::ManagesTooShort(from));
        }
        Ok(self.event(by, AuditAction::OwnerChangeConfirmed))
    }

    fn event(&self, by: By<'_>, action: AuditAction) -> AuditEvent {
        let after = format!("{} on {}, requested by {}", self.change, self.applies_at, self.requester_name);
        AuditEvent { after: Some(after), ..event(by, action, &self.target_email, None, None) }
    }
}
