//! The error type of the use cases.

use super::{PasswordError, ProofError};
use crate::store::StoreError;
use domain::{
    application::ChangeError, audit::RecordedEvent, id::ApplicationId, organization::OrganizationError,
    passkey::PasskeyError, people::PeopleError, policy::PolicyUnchanged, second_factor::SecondFactorError,
    time::in_words,
};
use std::time::Duration;

/// Error returned by a use case. The messages are shown to users, except that of [`BackendError::Store`], which is for
/// the log only.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The object does not exist, or belongs to another organization. The caller must not disclose which.
    #[error("not found")]
    NotFound,
    /// The actor's role does not allow it.
    #[error("not allowed")]
    Forbidden,
    /// The actor is allowed to, after a fresh proof of identity.
    #[error("a fresh proof is needed")]
    ProofNeeded,
    /// Too many attempts to prove an identity failed; another attempt is accepted after this time.
    #[error("Too many attempts failed. Try again in {}.", in_words(*.0))]
    Throttled(Duration),
    /// Another user changed the application after the form was opened. Holds the latest change.
    #[error(
        "Somebody changed this application after you opened this page{}. What you see now is its present state: check it, then send the form again.", latest(.0.as_deref())
    )]
    Stale(Option<Box<RecordedEvent>>),
    /// The same user changed the application after the form was opened, most likely by submitting the form twice.
    #[error(
        "You already submitted this form, or changed this application in another tab{}. Nothing was changed a second time. Check the current state, and send the form again only if it is still needed.", latest(Some(.0))
    )]
    StaleByYou(Box<RecordedEvent>),
    /// The policy of this name was changed after the form was opened. Holds the latest of its changes.
    #[error(
        "Somebody changed the {} after you opened this page{}. Check what you typed against their change, then send the form again.", .0, latest(.1.as_deref())
    )]
    StalePolicy(&'static str, Option<Box<RecordedEvent>>),
    /// Another admin changed the organization after the form was opened.
    #[error(
        "Another admin changed this organization after you opened this page. Check what you typed against its present state, then send the form again."
    )]
    StaleOrganization,
    /// A rule about organizations rejects the change.
    #[error(transparent)]
    Organization(#[from] OrganizationError),
    /// The policy already has the requested values.
    #[error(transparent)]
    PolicyUnchanged(#[from] PolicyUnchanged),
    /// A rule about applications rejects the change.
    #[error(transparent)]
    Refused(#[from] ChangeError),
    /// A rule about members rejects the change.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// The passkey or its response was rejected.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// The new password was rejected.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// A rule about second factors rejects the change.
    #[error(transparent)]
    SecondFactor(#[from] SecondFactorError),
    /// The organization already has an application of that name.
    #[error("Another application of your organization has this name. Choose a different one.")]
    NameTaken,
    /// Another organization has registered the public key. The caller must not disclose which.
    #[error("This public key cannot be used: it is registered elsewhere. Generate a new key pair.")]
    KeyOfAnotherOrganization,
    /// An API key that was never shown to its user has been used.
    #[error(
        "A request came with this key meanwhile, so somebody has it. Find out who before you revoke it; to replace it in peace, create a replacement key."
    )]
    KeyInUse,
    /// The proof of possession of the private key was rejected.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The form was already processed and created this application.
    #[error("the form was sent before")]
    AlreadyCreated(ApplicationId),
    /// The stored hashes were made with another pepper.
    #[error(
        "the pepper file does not belong to this database: its API keys were hashed with another pepper. Restore the right pepper file (--pepper-file); with this one every key would be refused"
    )]
    WrongPepper,
    /// The mail server did not accept an e-mail without which the use case has no effect.
    #[error("a letter could not be mailed")]
    MailFailed,
    /// The WebAuthn library failed.
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
    /// Maps a conflict to "not found": the row to change no longer exists.
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
