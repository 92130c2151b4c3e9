//! Why a use case did not come about.

use super::{PasswordError, ProofError};
use crate::store::StoreError;
use domain::{
    application::ChangeError, audit::RecordedEvent, id::ApplicationId, organization::OrganizationError,
    passkey::PasskeyError, people::PeopleError, policy::PolicyUnchanged, second_factor::SecondFactorError,
    time::in_words,
};
use std::time::Duration;

/// Why a use case did not come about. Its words are for people, those of [`BackendError::Store`] for the log only.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// It does not exist, or is another organization's: nobody is told which.
    #[error("not found")]
    NotFound,
    /// The actor's role does not allow it.
    #[error("not allowed")]
    Forbidden,
    /// The actor may, once they have proven that it is they.
    #[error("a fresh proof is needed")]
    ProofNeeded,
    /// Too many attempts to prove who one is failed; the next one counts after this long.
    #[error("Too many attempts failed. Try again in {}.", in_words(*.0))]
    Throttled(Duration),
    /// Another person changed the application after the form was opened; this is the latest change.
    #[error(
        "Somebody changed this application after you opened this page{}. What you see now is its present state: check it, then send the form again.", latest(.0.as_deref())
    )]
    Stale(Option<Box<RecordedEvent>>),
    /// The same person changed the application after the form was opened: most likely by sending this form before.
    #[error(
        "You already submitted this form, or changed this application in another tab{}. Nothing was changed a second time. Check the current state, and send the form again only if it is still needed.", latest(Some(.0))
    )]
    StaleByYou(Box<RecordedEvent>),
    /// Somebody changed the policy of this name since the person looked at it; this is the latest of its changes.
    #[error(
        "Somebody changed the {} after you opened this page{}. Check what you typed against their change, then send the form again.", .0, latest(.1.as_deref())
    )]
    StalePolicy(&'static str, Option<Box<RecordedEvent>>),
    /// Another admin changed the organization after the form was opened.
    #[error(
        "Another admin changed this organization after you opened this page. Check what you typed against its present state, then send the form again."
    )]
    StaleOrganization,
    /// The rules for organizations stand against it.
    #[error(transparent)]
    Organization(#[from] OrganizationError),
    /// The policy is as the person wants it already.
    #[error(transparent)]
    PolicyUnchanged(#[from] PolicyUnchanged),
    /// The domain's rules stand against it.
    #[error(transparent)]
    Refused(#[from] ChangeError),
    /// The rules for people stand against it.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// The passkey proves nothing.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// The password is not taken.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The rules for second factors stand against it.
    #[error(transparent)]
    SecondFactor(#[from] SecondFactorError),
    /// The organization has an application of that name.
    #[error("Another application of your organization has this name. Choose a different one.")]
    NameTaken,
    /// Another organization has registered the public key; nobody is told which.
    #[error("This public key cannot be used: it is registered elsewhere. Generate a new key pair.")]
    KeyOfAnotherOrganization,
    /// A key that nobody should have seen was used.
    #[error(
        "A request came with this key meanwhile, so somebody has it. Find out who before you revoke it; to replace it in peace, create a replacement key."
    )]
    KeyInUse,
    /// What should prove that somebody holds a private key does not.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The form was sent before, and created this application.
    #[error("the form was sent before")]
    AlreadyCreated(ApplicationId),
    /// The database's hashes were made with another pepper.
    #[error(
        "the pepper file does not belong to this database: its API keys were hashed with another pepper. Restore the right pepper file (--pepper-file); with this one every key would be refused"
    )]
    WrongPepper,
    /// The mail server did not take a letter without which the use case has no effect.
    #[error("a letter could not be mailed")]
    MailFailed,
    /// The library for passkeys did not do its work.
    #[error("the library for passkeys failed: {0}")]
    Webauthn(String),
    /// The session could not be read or written.
    #[error("the session store failed: {0}")]
    Session(#[from] tower_sessions::session::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackendError {
    /// What had to be there for a change to be written is there no longer.
    pub(super) fn gone(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::NotFound,
            error => error.into(),
        }
    }
}

fn latest(recorded: Option<&RecordedEvent>) -> String {
    recorded.map_or_else(String::new, |RecordedEvent { event, .. }| {
        format!(": {} ({}) by {}, {}", event.action, event.target, event.actor.name, event.at)
    })
}
