//! Signing keys that Nuvera blocked because their private half leaked.
//!
//! A blocked key cannot be current, retiring, restored or registered, in any organization, until Nuvera releases it.
//! Blocking disables every application that verifies requests with the key. Such an application keeps the key as its
//! current one until the key is replaced, and cannot be enabled before that.

use super::{ApiApplication, By, Change, ChangeError, Disabled, Noted};
use crate::{
    audit::{AuditAction, AuditEvent},
    id::UserId,
    signing_key::SigningKeyState,
    text::Why,
    time::Timestamp,
};
use std::collections::HashSet;

/// A public key that is blocked in every organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedKey {
    /// The public key's fingerprint.
    pub fingerprint: String,
    /// When it was blocked.
    pub at: Timestamp,
    /// The name of the admin who blocked it.
    pub by: String,
    /// The admin's id.
    pub user_id: UserId,
    /// `None` only where an emergency stop was recorded without a reason.
    pub why: Option<Why>,
    /// Set once Nuvera released the key.
    pub release: Option<KeyRelease>,
}

/// The end of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRelease {
    /// When the key was released.
    pub at: Timestamp,
    /// The name of the admin who released it.
    pub by: String,
    /// The reason and the ticket.
    pub why: Why,
}

impl BlockedKey {
    /// Blocks the public key with `fingerprint`.
    pub fn new(fingerprint: &str, by: By<'_>) -> Self {
        Self {
            fingerprint: fingerprint.to_owned(),
            at: by.at,
            by: by.actor.name.clone(),
            user_id: by.actor.user_id,
            why: by.reason.cloned(),
            release: None,
        }
    }

    /// Whether the block still applies.
    pub fn is_in_force(&self) -> bool {
        self.release.is_none()
    }

    /// Releases the key: it can be registered again, and applications that still have it can be enabled.
    ///
    /// # Errors
    /// [`ChangeError::ReasonNeeded`], [`ChangeError::TicketNeeded`], [`ChangeError::SigningKeyNotBlocked`]
    pub fn release(self, by: By<'_>) -> Result<Self, ChangeError> {
        let why = by.required_reason()?;
        if why.ticket.is_none() {
            return Err(ChangeError::TicketNeeded);
        }
        if !self.is_in_force() {
            return Err(ChangeError::SigningKeyNotBlocked);
        }
        Ok(Self { release: Some(KeyRelease { at: by.at, by: by.actor.name.clone(), why }), ..self })
    }

    /// The event in Nuvera's own history: of the block, or of the release.
    pub fn event(&self, stopped: usize, by: By<'_>) -> AuditEvent {
        let (action, before, after) = match &self.release {
            None => {
                let s = if stopped == 1 { "" } else { "s" };
                (AuditAction::SigningKeyBlocked, None, format!("blocked; {stopped} application{s} stopped"))
            }
            Some(_) => (AuditAction::SigningKeyReleased, Some(format!("blocked {}", self.at)), "released".to_owned()),
        };
        AuditEvent {
            at: by.at,
            actor: by.actor.into(),
            organization_id: by.actor.organization_id,
            application_id: None,
            action,
            target: self.fingerprint.clone(),
            before,
            after: Some(after),
            reason: by.reason.cloned(),
        }
    }
}

/// The fingerprint of a key that a change makes trusted, with the error to return if that key is blocked.
pub type TrustedKey = (String, ChangeError);

/// Returns the signing keys that `after` trusts and `before` did not: those that are newly current or retiring, and, if
/// the application is enabled again, every key that verifies. The caller must look each up among the blocked keys, in
/// the transaction that saves `after`. A change that trusts no additional key, such as disabling, yields none.
pub fn newly_trusted(before: Option<&ApiApplication>, after: &ApiApplication, now: Timestamp) -> Vec<TrustedKey> {
    let is_enabled_again = before.is_some_and(|before| !before.is_enabled()) && after.is_enabled();
    let before: HashSet<_> = before
        .into_iter()
        .flat_map(|before| &before.signing_keys)
        .map(|key| (key.id, matches!(key.status(now), SigningKeyState::Current), key.verifies(now)))
        .collect();
    let mut trusted = Vec::new();
    for key in &after.signing_keys {
        let error = match key.status(now) {
            SigningKeyState::Current if !before.contains(&(key.id, true, true)) => ChangeError::SigningKeyBlocked,
            SigningKeyState::Retiring { .. } if !before.contains(&(key.id, false, true)) => {
                ChangeError::BlockedKeyOverlap
            }
            SigningKeyState::Current | SigningKeyState::Retiring { .. } if is_enabled_again => {
                ChangeError::ReplaceBlockedKeyFirst(key.public_key.fingerprint())
            }
            SigningKeyState::Current | SigningKeyState::Retiring { .. } | SigningKeyState::Retired { .. } => continue,
        };
        trusted.push((key.public_key.fingerprint(), error));
    }
    trusted
}

impl ApiApplication {
    /// Stops it because the key with `fingerprint` was blocked: disables it, and retires the key where it is retiring.
    /// `None` where there is nothing to change.
    ///
    /// # Errors
    /// [`ChangeError::ReasonNeeded`]
    pub fn stop_for_blocked_key(mut self, fingerprint: &str, by: By<'_>) -> Result<Option<Change>, ChangeError> {
        let reason = by.emergency_reason();
        let mut noted = Vec::new();
        if self.disabled.is_none() {
            let disabled = Noted::new(AuditAction::ApplicationDisabled, self.name.as_str());
            noted.push(disabled.before("enabled").after("disabled"));
            self.disabled = Some(Disabled { at: by.at, by: by.actor.name.clone(), by_kind: by.actor.kind(), reason });
        }
        for key in &mut self.signing_keys {
            let status = key.status(by.at);
            if matches!(status, SigningKeyState::Retiring { .. }) && key.public_key.fingerprint() == fingerprint {
                key.state = SigningKeyState::Retired { at: by.at };
                let retired = Noted::new(AuditAction::SigningKeyRetired, fingerprint);
                noted.push(retired.before(status.to_string()).after(key.state.to_string()));
            }
        }
        if noted.is_empty() {
            return Ok(None);
        }
        // An emergency must not be delayed by a missing ticket.
        self.changed_without_ticket(by, noted).map(Some)
    }

    /// Returns the event that informs its organization that a key of the application was released.
    pub fn key_released(&self, fingerprint: &str, by: By<'_>) -> AuditEvent {
        let noted = Noted::new(AuditAction::SigningKeyReleased, fingerprint).before("blocked").after("released");
        noted.event(self, by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::Role,
        actor::Actor,
        application::{NewSigningKey, SigningKeyReplacement},
        fixtures::{START, actor, application, new_signing_key},
        id::{OrganizationId, UserId},
        text::{Reason, TicketReference},
    };
    use std::time::Duration;
    use uuid::Uuid;

    const HOUR: Duration = Duration::from_secs(3600);

    fn why() -> Why {
        Why { reason: Reason::new("leaked").unwrap(), ticket: TicketReference::new("SUP-4711").ok() }
    }

    fn admin() -> Actor {
        let organization_id = OrganizationId(Uuid::from_u128(9));
        Actor { user_id: UserId(Uuid::from_u128(8)), organization_id, role: Role::NuveraAdmin, ..actor() }
    }

    fn of(key: &NewSigningKey) -> String {
        key.public_key.fingerprint()
    }

    /// Does what a backend does with the result of [`newly_trusted`].
    fn check(before: Option<&ApiApplication>, after: &ApiApplication, blocked: &str) -> Result<(), ChangeError> {
        let found = newly_trusted(before, after, START).into_iter().find(|(fingerprint, _)| fingerprint == blocked);
        found.map_or(Ok(()), |(_, error)| Err(error))
    }

    #[test]
    fn a_blocked_key_cannot_be_registered_overlap_or_be_restored() {
        let actor = actor();
        let why = why();
        let by = By { actor: &actor, at: START, reason: Some(&why) };
        let (first, second) = (new_signing_key(0), new_signing_key(1));
        let created = application();
        assert_eq!(check(None, &created, &of(&first)), Err(ChangeError::SigningKeyBlocked));
        assert_eq!(check(None, &created, &of(&second)), Ok(()), "the control");

        let overlap = SigningKeyReplacement::WithOverlap(HOUR);
        let overlapping = created.clone().replace_signing_key(second.clone(), overlap, by).unwrap().application;
        assert_eq!(check(Some(&created), &overlapping, &of(&second)), Err(ChangeError::SigningKeyBlocked));
        assert_eq!(check(Some(&created), &overlapping, &of(&first)), Err(ChangeError::BlockedKeyOverlap));

        let stopped = SigningKeyReplacement::StopNow;
        let replaced = created.clone().replace_signing_key(second.clone(), stopped, by).unwrap().application;
        assert_eq!(check(Some(&created), &replaced, &of(&first)), Ok(()), "the way out");
        let id = replaced.signing_keys[1].id;
        let restored = replaced.clone().restore_signing_key(id, stopped, by).unwrap().application;
        assert_eq!(check(Some(&replaced), &restored, &of(&first)), Err(ChangeError::SigningKeyBlocked));
        let restored = overlapping.clone().restore_signing_key(id, stopped, by).unwrap().application;
        assert_eq!(check(Some(&overlapping), &restored, &of(&first)), Err(ChangeError::SigningKeyBlocked));
    }

    #[test]
    fn an_application_is_enabled_once_its_blocked_key_is_replaced() {
        let actor = actor();
        let why = why();
        let by = By { actor: &actor, at: START, reason: Some(&why) };
        let blocked = of(&new_signing_key(0));
        let disabled = application().disable(by).unwrap().application;
        let enabled = disabled.clone().enable(by).unwrap().application;
        let refused = check(Some(&disabled), &enabled, &blocked).unwrap_err();
        assert_eq!(refused, ChangeError::ReplaceBlockedKeyFirst(blocked.clone()));
        let new = new_signing_key(1);
        let replaced = disabled.clone().replace_signing_key(new, SigningKeyReplacement::StopNow, by).unwrap();
        assert_eq!(check(Some(&disabled), &replaced.application, &blocked), Ok(()));
        let enabled = replaced.application.clone().enable(by).unwrap().application;
        assert_eq!(check(Some(&replaced.application), &enabled, &blocked), Ok(()));
    }

    #[test]
    fn a_change_that_trusts_no_other_key_is_not_held_up() {
        let actor = actor();
        let why = why();
        let by = By { actor: &actor, at: START, reason: Some(&why) };
        let before = application();
        let stopped = before.clone().disable(by).unwrap().application;
        assert_eq!(newly_trusted(Some(&before), &stopped, START), []);
        let name = crate::text::ApplicationName::new("Other").unwrap();
        let renamed = stopped.clone().rename(name, by).unwrap().application;
        assert_eq!(newly_trusted(Some(&stopped), &renamed, START), []);
    }

    #[test]
    fn a_stop_for_a_blocked_key_disables_and_retires_in_one_change() {
        let admin = admin();
        let reason = Why::from(Reason::new("leaked").unwrap());
        let by = By { actor: &admin, at: START, reason: Some(&reason) };
        let owner = actor();
        let by_owner = By { actor: &owner, ..by };
        let (first, second) = (of(&new_signing_key(0)), new_signing_key(1));
        let overlap = SigningKeyReplacement::WithOverlap(HOUR);
        let overlapping = application().replace_signing_key(second, overlap, by_owner).unwrap().application;

        let stop = overlapping.clone().stop_for_blocked_key(&first, by).unwrap().unwrap();
        let actions: Vec<_> = stop.events.iter().map(|event| event.action).collect();
        assert_eq!(actions, [AuditAction::ApplicationDisabled, AuditAction::SigningKeyRetired]);
        assert_eq!(stop.application.version, overlapping.version + 1);
        assert!(!stop.application.is_enabled());
        assert!(
            stop.application
                .signing_keys
                .iter()
                .all(|key| !key.verifies(START) || key.public_key.fingerprint() != first)
        );
        assert_eq!(stop.application.clone().stop_for_blocked_key(&first, by), Ok(None), "nothing is left to stop");
        let silent = application().stop_for_blocked_key(&first, By { reason: None, ..by }).unwrap().unwrap();
        assert!(!silent.application.is_enabled(), "an emergency stop needs no reason");
    }

    #[test]
    fn a_release_needs_a_reason_and_a_ticket_and_happens_once() {
        let admin = admin();
        let (reason, why) = (Why::from(Reason::new("leaked").unwrap()), why());
        let by = By { actor: &admin, at: START, reason: Some(&reason) };
        let blocked = BlockedKey::new("SHA256:x", by);
        assert!(blocked.is_in_force());
        assert_eq!(blocked.event(2, by).after.as_deref(), Some("blocked; 2 applications stopped"));
        let silent = blocked.clone().release(By { reason: None, ..by });
        assert_eq!(silent, Err(ChangeError::ReasonNeeded));
        assert_eq!(blocked.clone().release(by), Err(ChangeError::TicketNeeded));
        let by = By { reason: Some(&why), ..by };
        let released = blocked.release(by).unwrap();
        assert!(!released.is_in_force());
        assert_eq!(released.event(0, by).action, AuditAction::SigningKeyReleased);
        assert_eq!(released.release(by), Err(ChangeError::SigningKeyNotBlocked));
    }
}
