//! Who acts: a signed-in person, as the audit history remembers them.

use crate::{
    access::Role,
    id::{OrganizationId, SessionId, UserId},
    second_factor::Factors,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// On whose side somebody acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A user of the partner organization that owns the application.
    Partner,
    /// A Nuvera admin, acting from the organization hub.
    Nuvera,
}

impl ActorKind {
    /// The code it is stored under.
    pub fn code(self) -> &'static str {
        match self {
            Self::Partner => "partner",
            Self::Nuvera => "nuvera",
        }
    }

    /// Reads [`ActorKind::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Partner, Self::Nuvera].into_iter().find(|kind| kind.code() == code)
    }
}

/// A signed-in person at the moment of a request: read from the database each time, never from the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who it is.
    pub user_id: UserId,
    /// The name people know them by.
    pub name: String,
    /// The address they sign in with.
    pub email: String,
    /// The organization they belong to; Nuvera's own for its admins.
    pub organization_id: OrganizationId,
    /// That organization's name.
    pub organization_name: String,
    /// What they may do.
    pub role: Role,
    /// The network address the request came from.
    pub address: Option<IpAddr>,
    /// The session they act in. `None` where they act in none: what they ordered is carried out later, or by the server's
    /// command line.
    pub session: Option<SessionId>,
    /// Whether they proved lately that it is they: see [`crate::access::PROOF_LIFETIME`].
    pub is_proven: bool,
    /// What they have, besides a password, to prove it with.
    pub factors: Factors,
    /// Whether they must have a second factor: see [`crate::second_factor::is_required`].
    pub must_have_factor: bool,
}

impl Actor {
    /// Whether they have to set up a second factor before they do anything else.
    pub fn lacks_factor(&self) -> bool {
        self.must_have_factor && !self.factors.any()
    }

    /// On whose side they act.
    pub fn kind(&self) -> ActorKind {
        self.role.side()
    }
}
