//! Identifiers. Every aggregate has its own type, so that one cannot be passed where another is meant.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// Names an organization (UUID v7, RFC 9562).
    OrganizationId
);
id!(
    /// Names a user (UUID v7, RFC 9562).
    UserId
);
id!(
    /// Names an API application (UUID v7, RFC 9562).
    ApplicationId
);
id!(
    /// Names an API key (UUID v7, RFC 9562). It is no secret and not part of the key's text.
    ApiKeyId
);
id!(
    /// Names a signing key (UUID v7, RFC 9562).
    SigningKeyId
);
id!(
    /// Names an invitation (UUID v7, RFC 9562). It is no secret and not part of its link.
    InvitationId
);
id!(
    /// Names a passkey (UUID v7, RFC 9562). It is not the id that the passkey itself goes by.
    PasskeyId
);
id!(
    /// Names a reset of a password or second factor that has not taken effect (UUID v7, RFC 9562).
    PendingResetId
);
id!(
    /// Names the session of somebody who is signed in (UUID v7, RFC 9562). It is no secret and not what their cookie holds.
    SessionId
);
id!(
    /// Names a request to the gateway (UUID v7, RFC 9562): its answer carries it, in `x-request-id` and in an error's body.
    RequestId
);
