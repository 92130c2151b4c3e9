//! Signing keys as an application holds them: the public half, and the states it goes through.

use crate::{id::SigningKeyId, public_key::PublicKey, time::Timestamp};
use std::fmt;

/// The most signing keys of one application that verify at the same time: each costs a refused request one attempt.
pub const MAX_VERIFYING_KEYS: usize = 3;

/// A registered public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// Its id.
    pub id: SigningKeyId,
    /// The key itself.
    pub public_key: PublicKey,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Who registered it.
    pub created_by: String,
    /// When it was shown that somebody holds its private half, by a signature that this server had asked for; `None`
    /// where that was not shown. A request signed with it shows the same.
    pub proven_at: Option<Timestamp>,
    /// Where it stands.
    pub state: SigningKeyState,
}

/// Where a signing key stands, as it is stored. An overlap's end is judged at use: see [`SigningKey::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKeyState {
    /// The one that new deployments sign with.
    Current,
    /// Replaced with an overlap; verifies until its deadline.
    Retiring {
        /// The first instant at which it no longer verifies.
        at: Timestamp,
    },
    /// Replaced; kept in the history, so that a wrong replacement can be rolled back.
    Retired {
        /// Since when.
        at: Timestamp,
    },
}

impl SigningKey {
    /// Where it stands at `now`; at the end of its overlap it is retired.
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

    /// Replaced at `now`: verifies until `until`, or not at all any more. A key that is already retiring keeps a
    /// deadline that is earlier.
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
    /// In words, for the audit history.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("current"),
            Self::Retiring { at } => write!(f, "retires {at}"),
            Self::Retired { at } => write!(f, "retired {at}"),
        }
    }
}
