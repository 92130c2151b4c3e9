//! Resets of a Nuvera member's password or second factor. Nuvera members can access every partner's applications, so
//! such a reset takes effect only after a delay, with a notice to all admins, or once a second admin has confirmed it.
//! A single admin, or an attacker with a single admin's session, cannot take over another Nuvera account unnoticed.

use crate::{
    actor::{Actor, ActorKind},
    application::By,
    audit::{AuditAction, AuditEvent},
    id::{OrganizationId, PendingResetId, UserId},
    people::{PeopleError, Person},
    time::Timestamp,
};
use std::time::Duration;

/// Time between the request for a reset and its effect.
pub const RESET_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The kind of credential that is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetKind {
    /// The password: a link to choose a new one is mailed.
    Password,
    /// All second factors and recovery codes.
    SecondFactor,
}

impl ResetKind {
    const ALL: [Self; 2] = [Self::Password, Self::SecondFactor];

    /// Returns the code under which the kind is stored.
    pub fn code(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::SecondFactor => "second_factor",
        }
    }

    /// Parses [`ResetKind::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Returns the name for use within a sentence.
    pub fn label(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::SecondFactor => "second factor",
        }
    }
}

/// A reset that has been requested and has not taken effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingReset {
    /// The id of the reset.
    pub id: PendingResetId,
    /// The organization of both members.
    pub organization_id: OrganizationId,
    /// The member whose password or second factor is reset.
    pub user_id: UserId,
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
    /// The kind of credential that is reset.
    pub kind: ResetKind,
    /// The admin who requested it.
    pub requested_by: UserId,
    /// Their name.
    pub requested_by_name: String,
    /// The time of the request.
    pub requested_at: Timestamp,
    /// The first instant at which it is carried out.
    pub effective_at: Timestamp,
}

/// Whether a reset of this member's password or second factor is delayed. This applies to all Nuvera members: otherwise
/// an admin could first give another admin a lesser role.
pub fn is_delayed(person: &Person) -> bool {
    person.role.side() == ActorKind::Nuvera
}

impl PendingReset {
    /// Requests a reset of `person`, which takes effect after [`RESET_DELAY`]. Returns it with the event to record.
    pub fn request(id: PendingResetId, person: &Person, kind: ResetKind, by: By<'_>) -> (Self, AuditEvent) {
        let reset = Self {
            id,
            organization_id: by.actor.organization_id,
            user_id: person.id,
            name: person.name.clone(),
            email: person.email.clone(),
            kind,
            requested_by: by.actor.user_id,
            requested_by_name: by.actor.name.clone(),
            requested_at: by.at,
            effective_at: by.at.plus(RESET_DELAY),
        };
        let after = format!("{}: takes effect {}", reset.what(), reset.effective_at);
        let event = reset.event(by, AuditAction::ResetRequested, Some(after));
        (reset, event)
    }

    /// Confirms it, so that it takes effect at once. Returns it with the event to record. `joined_at` is when the
    /// actor's account was created.
    ///
    /// # Errors
    /// [`PeopleError::SecondAdminNeeded`]: the actor requested it, or it concerns their own account.
    /// [`PeopleError::TooNewToConfirm`]: they joined within [`RESET_DELAY`].
    pub fn confirm(self, joined_at: Timestamp, by: By<'_>) -> Result<(Self, AuditEvent), PeopleError> {
        if !self.is_confirmable_by(by.actor) {
            return Err(PeopleError::SecondAdminNeeded);
        }
        if by.at.since(joined_at) < RESET_DELAY {
            return Err(PeopleError::TooNewToConfirm);
        }
        let after = format!("{}: requested by {}, takes effect now", self.what(), self.requested_by_name);
        let event = self.event(by, AuditAction::ResetConfirmed, Some(after));
        Ok((Self { effective_at: by.at, ..self }, event))
    }

    /// Whether `actor` is neither the admin who requested it nor the member whom it concerns.
    pub fn is_confirmable_by(&self, actor: &Actor) -> bool {
        ![self.requested_by, self.user_id].contains(&actor.user_id)
    }

    /// Returns the event to record when it is cancelled.
    pub fn cancelled(&self, by: By<'_>) -> AuditEvent {
        let mut event = self.event(by, AuditAction::ResetCancelled, None);
        event.before = Some(format!("{}: requested by {}", self.what(), self.requested_by_name));
        event
    }

    fn what(&self) -> &'static str {
        match self.kind {
            ResetKind::Password => "Password reset",
            ResetKind::SecondFactor => "Second factor reset",
        }
    }

    fn event(&self, by: By<'_>, action: AuditAction, after: Option<String>) -> AuditEvent {
        AuditEvent {
            at: by.at,
            actor: by.actor.into(),
            organization_id: self.organization_id,
            application_id: None,
            action,
            target: self.email.clone(),
            before: None,
            after,
            reason: by.reason.cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::Role,
        fixtures::{START, actor},
        second_factor::Factors,
    };
    use uuid::Uuid;

    fn person(role: Role) -> Person {
        Person {
            id: UserId(Uuid::from_u128(9)),
            name: "Bea".into(),
            email: "bea@nuvera.example".into(),
            role,
            signed_in_at: None,
            has_password: true,
            factors: Factors::default(),
        }
    }

    #[test]
    fn resets_of_nuvera_members_wait_and_those_of_partner_users_do_not() {
        for role in Role::ALL {
            assert_eq!(is_delayed(&person(role)), role.side() == ActorKind::Nuvera, "{role:?}");
        }
    }

    #[test]
    fn a_reset_is_confirmed_neither_by_the_requester_nor_by_the_member_concerned() {
        let requester = actor();
        let by = |actor| By { actor, at: START, reason: None };
        let person = person(Role::NuveraAdmin);
        let id = PendingResetId(Uuid::nil());
        let (reset, event) = PendingReset::request(id, &person, ResetKind::Password, by(&requester));
        assert_eq!((event.action, event.target.as_str()), (AuditAction::ResetRequested, "bea@nuvera.example"));
        assert_eq!(reset.effective_at, START.plus(RESET_DELAY));
        let long_ago = START.minus(RESET_DELAY);
        let concerned = Actor { user_id: person.id, ..actor() };
        for refused in [&requester, &concerned] {
            assert_eq!(reset.clone().confirm(long_ago, by(refused)), Err(PeopleError::SecondAdminNeeded));
        }
        let second = Actor { user_id: UserId(Uuid::from_u128(7)), ..actor() };
        let too_new = reset.clone().confirm(START.minus(RESET_DELAY - Duration::from_millis(1)), by(&second));
        assert_eq!(too_new, Err(PeopleError::TooNewToConfirm), "the requester could have invited them");
        let (confirmed, event) = reset.confirm(long_ago, by(&second)).unwrap();
        assert_eq!((confirmed.effective_at, event.action), (START, AuditAction::ResetConfirmed));
    }

    #[test]
    fn a_kind_is_read_back_from_its_code() {
        assert!(ResetKind::ALL.into_iter().all(|kind| ResetKind::from_code(kind.code()) == Some(kind)));
    }
}
