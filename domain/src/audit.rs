//! The audit history: what is recorded of every change.

use crate::{
    actor::{Actor, ActorKind},
    id::{ApplicationId, OrganizationId, UserId},
    text::{ApplicationName, Why},
    time::Timestamp,
};
use std::{fmt, net::IpAddr};

macro_rules! actions {
    ($($variant:ident $code:literal $label:literal,)*) => {
        /// What was done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)] // Each action's label says what it is.
        pub enum AuditAction {
            $($variant,)*
        }

        impl AuditAction {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code it is stored and filtered under.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// What people read.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)*
                }
            }
        }
    };
}

actions! {
    ApplicationCreated "application.created" "Application created",
    ApplicationRenamed "application.renamed" "Application renamed",
    ApplicationDisabled "application.disabled" "Application disabled",
    ApplicationEnabled "application.enabled" "Application enabled",
    PermissionsChanged "permissions.changed" "Permissions changed",
    SigningKeyReplaced "signing_key.replaced" "Signing key replaced",
    SigningKeyRestored "signing_key.restored" "Signing key restored",
    SigningKeyRetired "signing_key.retired" "Signing key retired",
    SigningKeyBlocked "signing_key.blocked" "Signing key blocked",
    SigningKeyReleased "signing_key.released" "Signing key released",
    ApiKeyCreated "api_key.created" "API key created",
    ApiKeyStored "api_key.stored" "API key confirmed as stored",
    ApiKeyExpiring "api_key.expiring" "API key set to expire",
    ApiKeyDeadlineMoved "api_key.deadline_moved" "API key deadline moved",
    ApiKeyKept "api_key.kept" "API key kept",
    ApiKeyExposed "api_key.exposed" "API key reported as exposed",
    ApiKeyRevoked "api_key.revoked" "API key revoked",
    AutoFinishSet "auto_finish.set" "Rotation set to finish by itself",
    AutoFinishCancelled "auto_finish.cancelled" "Automatic finish cancelled",
    ReplacementPrepared "replacement.prepared" "Replacement key prepared",
    ReplacementWithdrawn "replacement.withdrawn" "Prepared replacement key withdrawn",
    ReplacementClaimed "replacement.claimed" "Prepared replacement key claimed",
    ChangeProposed "change.proposed" "Change proposed",
    ChangeConfirmed "change.confirmed" "Proposed change confirmed",
    ChangeDeclined "change.declined" "Proposed change declined",
    ChangeWithdrawn "change.withdrawn" "Proposed change withdrawn",
    ChangeExpired "change.expired" "Proposed change expired",
    SupportSeen "support.seen" "Nuvera’s changes seen",
    PolicyChanged "policy.changed" "Rotation policy changed",
    SecurityPolicyChanged "security_policy.changed" "Security policy changed",
    OrganizationCreated "organization.created" "Organization created",
    OrganizationRenamed "organization.renamed" "Organization renamed",
    OrganizationDetailsChanged "organization.details_changed" "Contact or support note changed",
    OrganizationSuspended "organization.suspended" "Organization suspended",
    OrganizationReinstated "organization.reinstated" "Organization reinstated",
    PersonInvited "person.invited" "Person invited",
    InvitationSentAgain "invitation.sent_again" "Invitation sent again",
    InvitationWithdrawn "invitation.withdrawn" "Invitation withdrawn",
    PersonJoined "person.joined" "Person joined",
    PersonRoleChanged "person.role_changed" "Role changed",
    PersonRemoved "person.removed" "Person removed",
    OwnerChangeRequested "owner_change.requested" "Removal or demotion of an owner requested",
    OwnerChangeCancelled "owner_change.cancelled" "Removal or demotion of an owner cancelled",
    OwnerChangeConfirmed "owner_change.confirmed" "Removal or demotion of an owner confirmed",
    PasswordChanged "password.changed" "Password changed",
    PasswordResetBegun "password.reset_begun" "Password reset begun",
    PasswordReset "password.reset" "Password reset",
    ResetRequested "reset.requested" "Reset of a Nuvera member requested",
    ResetConfirmed "reset.confirmed" "Reset of a Nuvera member confirmed",
    ResetCancelled "reset.cancelled" "Reset of a Nuvera member cancelled",
    SignInRefused "sign_in.refused" "Sign-in refused",
    OlderDatabaseAccepted "database.older_accepted" "Older database accepted",
    SecondFactorSet "second_factor.set" "Second factor set up",
    SecondFactorReplaced "second_factor.replaced" "Second factor replaced",
    SecondFactorRemoved "second_factor.removed" "Second factor removed",
    SecondFactorReset "second_factor.reset" "Second factor reset by somebody else",
    RecoveryCodeUsed "recovery_code.used" "Recovery code used",
    RecoveryCodesMade "recovery_codes.made" "Recovery codes made anew",
    PasskeyAdded "passkey.added" "Passkey added",
    PasskeyRemoved "passkey.removed" "Passkey removed",
    PasskeySuspected "passkey.suspected" "Passkey refused: it may have been copied",
}

impl AuditAction {
    /// Reads [`AuditAction::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.code() == code)
    }
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Who did it, as they were at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditActor {
    /// Which user.
    pub user_id: UserId,
    /// Their name then.
    pub name: String,
    /// On whose side.
    pub kind: ActorKind,
    /// From which network address.
    pub address: Option<IpAddr>,
}

impl From<&Actor> for AuditActor {
    fn from(actor: &Actor) -> Self {
        Self { user_id: actor.user_id, name: actor.name.clone(), kind: actor.kind(), address: actor.address }
    }
}

/// One change, as it is recorded with it. The store gives it its sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: AuditActor,
    /// In which organization.
    pub organization_id: OrganizationId,
    /// To which application; `None` where it is about the organization as a whole.
    pub application_id: Option<ApplicationId>,
    /// What.
    pub action: AuditAction,
    /// To what in it: a key's prefix, a fingerprint, the application's or the organization's name, or a person's e-mail
    /// address.
    pub target: String,
    /// How it was, in words; `None` where there was nothing.
    pub before: Option<String>,
    /// How it is now, in words; `None` where nothing is left.
    pub after: Option<String>,
    /// Why, where somebody said so; and the ticket, where they acted for Nuvera.
    pub reason: Option<Why>,
}

/// An event as the history shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its place in the history: later events have greater numbers.
    pub sequence: i64,
    /// What the organization is called now.
    pub organization_name: String,
    /// What the application is called now; `None` where the event is about none.
    pub application_name: Option<ApplicationName>,
    /// The event.
    pub event: AuditEvent,
}

/// Whose history is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditScope {
    /// One application's.
    Application(OrganizationId, ApplicationId),
    /// One organization's: its own, and that of all of its applications.
    Organization(OrganizationId),
    /// Everybody's: for Nuvera only.
    Everyone,
}

/// Which events of a history are read; the default leaves nothing out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this action only.
    pub action: Option<AuditAction>,
    /// By this user only.
    pub actor: Option<UserId>,
    /// By people on this side only.
    pub kind: Option<ActorKind>,
    /// At this instant or later.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_read_back_from_its_code() {
        assert!(AuditAction::ALL.iter().all(|&action| AuditAction::from_code(action.code()) == Some(action)));
        assert_eq!(AuditAction::from_code("application.exploded"), None);
    }
}
