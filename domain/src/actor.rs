//! The actor of a request: a signed-in user, as recorded in the audit history.

use crate::{
    access::Role,
    id::{OrganizationId, SessionId, UserId},
    second_factor::Factors,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The side on which an actor acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A user of the partner organization that owns the application.
    Partner,
    /// A Nuvera admin, acting from the organization hub.
    Nuvera,
}

impl ActorKind {
    /// Returns the code under which the kind is stored.
    pub fn code(self) -> &'static str {
        match self {
            Self::Partner => "partner",
            Self::Nuvera => "nuvera",
        }
    }

    /// Parses [`ActorKind::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Partner, Self::Nuvera].into_iter().find(|kind| kind.code() == code)
    }
}

/// A signed-in user at the time of a request. Read from the database for every request, never from the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The user's id.
    pub user_id: UserId,
    /// The display name.
    pub name: String,
    /// The e-mail address used to sign in.
    pub email: String,
    /// The organization of which the user is a member; Nuvera's own for its admins.
    pub organization_id: OrganizationId,
    /// That organization's name.
    pub organization_name: String,
    /// The role, which determines the permitted operations.
    pub role: Role,
    /// The network address from which the request was sent.
    pub address: Option<IpAddr>,
    /// The session of the request. `None` if there is none: a scheduled action is carried out on the user's behalf, or
    /// the server's command line acts.
    pub session: Option<SessionId>,
    /// Whether the user authenticated recently: see [`crate::access::PROOF_LIFETIME`].
    pub is_proven: bool,
    /// The factors that are set up in addition to the password.
    pub factors: Factors,
    /// Whether a second factor is mandatory: see [`crate::second_factor::is_required`].
    pub must_have_factor: bool,
}

impl Actor {
    /// Whether the user must set up a second factor before anything else.
    pub fn lacks_factor(&self) -> bool {
        self.must_have_factor && !self.factors.any()
    }

    /// Returns the side on which the user acts.
    pub fn kind(&self) -> ActorKind {
        self.role.side()
    }
}
