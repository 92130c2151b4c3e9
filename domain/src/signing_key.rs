//! Signing keys of an application: the public keys and their lifecycle.

use crate::{id::SigningKeyId, public_key::PublicKey, time::Timestamp};
use std::fmt;

/// Maximum number of signing keys of an application that verify at the same time. A request with an invalid signature
/// costs one verification with each.
pub const MAX_VERIFYING_KEYS: usize = 3;

/// A registered public key, which verifies the application's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// The signing key's id.
    pub id: SigningKeyId,
    /// The public key itself.
    pub public_key: PublicKey,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Name of the user who registered it.
    pub created_by: String,
    /// When possession of the private key was proven by signing a challenge of this server; `None` if it was not. A
    /// request signed with the key proves the same.
    pub proven_at: Option<Timestamp>,
    /// The stored state. See [`SigningKey::status`] for the state at an instant.
    pub state: SigningKeyState,
}

/// The state of a signing key. The end of an overlap is not stored but determined at use: see [`SigningKey::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKeyState {
    /// The key that new deployments sign with.
    Current,
    /// Replaced with an overlap, and valid until its deadline.
    Retiring {
        /// The first instant at which it no longer verifies.
        at: Timestamp,
    },
    /// Replaced. It is kept in the history, so that a wrong replacement can be rolled back.
    Retired {
        /// When it was retired.
        at: Timestamp,
    },
}

impl SigningKey {
    /// Returns the state at `now`. At the end of its overlap the key is retired.
    pub fn status(&self, now: Timestamp) -> SigningKeyState {
        match self.state {
            SigningKeyState::Retiring { at } if now >= at => SigningKeyState::Retired { at },
            state => state,
        }
    }

    /// Whether it verifies requests at `now`.
    pub fn verifies(&self, now: Timestamp) -> bool {
        !matches!(self.status(now), SigningKeyState::Retired { .. })
    }

    /// Marks the key as replaced at `now`: it verifies until `until`, or no longer at all. A key that is already
    /// retiring keeps an earlier deadline.
    pub(crate) fn replaced(self, until: Option<Timestamp>, now: Timestamp) -> Self {
        let state = match (self.status(now), until) {
            (SigningKeyState::Retired { at }, _) => SigningKeyState::Retired { at },
            (_, None) => SigningKeyState::Retired { at: now },
            (SigningKeyState::Retiring { at }, Some(until)) => SigningKeyState::Retiring { at: at.min(until) },
            (SigningKeyState::Current, Some(until)) => SigningKeyState::Retiring { at: until },
        };
        Self { state, ..self }
    }
}

impl fmt::Display for SigningKeyState {
    /// Writes the text for the audit history.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("current"),
            Self::Retiring { at } => write!(f, "retires {at}"),
            Self::Retired { at } => write!(f, "retired {at}"),
        }
    }
}
