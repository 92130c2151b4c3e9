//! Identifiers. Each kind of entity has its own type, so that ids cannot be mixed up.

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
    /// Identifies an organization (UUID v7, RFC 9562).
    OrganizationId
);
id!(
    /// Identifies a user (UUID v7, RFC 9562).
    UserId
);
id!(
    /// Identifies an API application (UUID v7, RFC 9562).
    ApplicationId
);
id!(
    /// Identifies an API key (UUID v7, RFC 9562). It is not a secret and not part of the key's text.
    ApiKeyId
);
id!(
    /// Identifies a signing key (UUID v7, RFC 9562).
    SigningKeyId
);
id!(
    /// Identifies an invitation (UUID v7, RFC 9562). It is not a secret and not part of its link.
    InvitationId
);
id!(
    /// Identifies a passkey (UUID v7, RFC 9562). It is not the credential id of Web Authentication.
    PasskeyId
);
id!(
    /// Identifies a pending reset of a password or second factor (UUID v7, RFC 9562).
    PendingResetId
);
id!(
    /// Identifies a session (UUID v7, RFC 9562). It is not a secret and not the value of the session cookie.
    SessionId
);
id!(
    /// Identifies a request to the gateway (UUID v7, RFC 9562). The response carries it in `x-request-id` and in the
    /// body of an error.
    RequestId
);
