//! Passkeys (Web Authentication).

use crate::{
    application::By,
    audit::{AuditAction, AuditEvent},
    id::PasskeyId,
    second_factor::SecondFactorError,
    text::PasskeyName,
    time::Timestamp,
};
use std::time::Duration;

/// Time within which a browser must answer a prompt.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5 * 60);

/// Maximum number of passkeys per user.
pub const MAX_PASSKEYS: usize = 20;

/// A request to the browser to create or use a passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The challenge, which identifies the prompt when the answer arrives.
    pub challenge: String,
    /// The options for the browser's API (Web Authentication, 5.1.9 and 5.1.10), in JSON.
    pub options: String,
}

/// The data of a passkey, without its public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// The passkey's id in this system.
    pub id: PasskeyId,
    /// The name that its owner gave it.
    pub name: PasskeyName,
    /// When it was added.
    pub added_at: Timestamp,
    /// When it was last used to authenticate.
    pub used_at: Option<Timestamp>,
    /// Since when it may have been copied: its signature counter went backwards. It is no longer accepted.
    pub suspected_at: Option<Timestamp>,
}

/// Reason why a passkey is rejected. The messages are shown to its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// The prompt has expired, was already answered, or belongs to another user.
    #[error("This page was open for too long, or was sent before. Nothing was changed: try again.")]
    TooLate,
    /// The answer is missing or unreadable.
    #[error("Your browser sent nothing that could be read. Try again, or use another way.")]
    NoAnswer,
    /// The answer does not match the prompt, this origin or the passkey.
    #[error("This answer of your passkey could not be verified. Try again, or use another way.")]
    NotVerified,
    /// The device did not verify the user by fingerprint, face or PIN.
    #[error(
        "Your device did not check that it is you. Set up its screen lock or a PIN, then try again, or use another way."
    )]
    NobodyVerified,
    /// It was added as a synced passkey and is reported as one that is not, or the report contradicts itself (Web
    /// Authentication Level 3, 6.1.3).
    #[error(
        "Your device or password manager reports this passkey differently than when it was added, so it is not accepted. Use another way, then remove the passkey on your page “Sign-in and security” and add it again."
    )]
    BackupStateChanged,
    /// It is not registered, or belongs to another user.
    #[error(
        "This passkey is not known here; it may have been removed. Use another one, or another way, and delete it from your device."
    )]
    Unknown,
    /// It may have been copied.
    #[error(
        "A copy of this passkey may be in use, so it is no longer accepted. Use another way, then remove it on your page “Sign-in and security”."
    )]
    Suspected,
    /// It is already registered.
    #[error("This passkey is registered already. Choose another device, or another place to keep it.")]
    Known,
    /// The user has reached the limit.
    #[error("You have {MAX_PASSKEYS} passkeys, and cannot have more. Remove one that you no longer use.")]
    TooMany,
    /// The user has another passkey of that name.
    #[error("You have another passkey of this name. Choose a different one.")]
    NameTaken,
}

/// Returns the event to record when a user adds a passkey; `present` are those that they have.
///
/// # Errors
/// [`PasskeyError::TooMany`], [`PasskeyError::NameTaken`]
pub fn added(name: &PasskeyName, present: &[Passkey], by: By<'_>) -> Result<AuditEvent, PasskeyError> {
    if present.len() >= MAX_PASSKEYS {
        return Err(PasskeyError::TooMany);
    }
    if present.iter().any(|passkey| passkey.name == *name) {
        return Err(PasskeyError::NameTaken);
    }
    Ok(event(by, AuditAction::PasskeyAdded, None, Some(described(name))))
}

impl Passkey {
    /// Returns the event to record when its owner removes it; `is_last` if they have no other passkey.
    ///
    /// # Errors
    /// [`SecondFactorError::Required`]: the user must have a second factor, and this is their only one.
    pub fn removed(&self, is_last: bool, by: By<'_>) -> Result<AuditEvent, SecondFactorError> {
        if is_last && by.actor.must_have_factor && !by.actor.factors.authenticator {
            return Err(SecondFactorError::Required);
        }
        Ok(self.removed_with_password(by))
    }

    /// Returns the event to record when its owner removes it together with the old password: see
    /// [`crate::second_factor::removed_with_password`].
    pub fn removed_with_password(&self, by: By<'_>) -> AuditEvent {
        event(by, AuditAction::PasskeyRemoved, Some(described(&self.name)), None)
    }

    /// Marks it as suspected because its signature counter went backwards: either the device used now or the one used
    /// before may be a copy. The event names the owner as the actor.
    pub fn suspected(self, by: By<'_>) -> (Self, AuditEvent) {
        let name = described(&self.name);
        let event = event(by, AuditAction::PasskeySuspected, Some(name), Some("No longer accepted".to_owned()));
        (Self { suspected_at: Some(by.at), ..self }, event)
    }
}

fn described(name: &PasskeyName) -> String {
    format!("Passkey “{name}”")
}

fn event(by: By<'_>, action: AuditAction, before: Option<String>, after: Option<String>) -> AuditEvent {
    AuditEvent {
        at: by.at,
        actor: by.actor.into(),
        organization_id: by.actor.organization_id,
        application_id: None,
        action,
        target: by.actor.email.clone(),
        before,
        after,
        reason: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        actor::Actor,
        fixtures::{START, actor},
        second_factor::Factors,
    };
    use uuid::Uuid;

    fn passkey(number: usize) -> Passkey {
        Passkey {
            id: PasskeyId(Uuid::from_u128(number as u128)),
            name: PasskeyName::new(&format!("Key {number}")).unwrap(),
            added_at: START,
            used_at: None,
            suspected_at: None,
        }
    }

    #[test]
    fn passkeys_have_names_of_their_own_and_there_are_not_too_many() {
        let actor = actor();
        let by = By { actor: &actor, at: START, reason: None };
        let name = PasskeyName::new("Key 1").unwrap();
        let event = added(&name, &[passkey(2)], by).unwrap();
        assert_eq!((event.action, event.target), (AuditAction::PasskeyAdded, actor.email.clone()));
        assert_eq!(event.after.as_deref(), Some("Passkey “Key 1”"));
        assert_eq!(added(&name, &[passkey(1)], by), Err(PasskeyError::NameTaken));
        let many: Vec<_> = (2..MAX_PASSKEYS + 2).map(passkey).collect();
        assert!(added(&name, &many[1..], by).is_ok());
        assert_eq!(added(&name, &many, by), Err(PasskeyError::TooMany));
    }

    #[test]
    fn who_must_have_a_second_factor_keeps_the_last_one() {
        let held = Actor { must_have_factor: true, ..actor() };
        let with_app = Actor { factors: Factors { authenticator: true, passkeys: true }, ..held.clone() };
        let by = |actor| By { actor, at: START, reason: None };
        assert_eq!(passkey(1).removed(true, by(&held)), Err(SecondFactorError::Required));
        assert!(passkey(1).removed(false, by(&held)).is_ok());
        assert!(passkey(1).removed(true, by(&with_app)).is_ok());
        assert!(passkey(1).removed(true, by(&actor())).is_ok());
    }

    #[test]
    fn one_that_counts_backwards_is_marked_and_on_record() {
        let actor = actor();
        let (passkey, event) = passkey(1).suspected(By { actor: &actor, at: START, reason: None });
        assert_eq!(passkey.suspected_at, Some(START));
        assert_eq!(event.action, AuditAction::PasskeySuspected);
    }
}
