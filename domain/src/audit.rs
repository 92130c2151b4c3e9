//! The audit history: the record of every change.

use crate::{
    actor::{Actor, ActorKind},
    id::{ApplicationId, OrganizationId, UserId},
    text::{ApplicationName, Why},
    time::Timestamp,
};
use std::{fmt, net::IpAddr};

macro_rules! actions {
    ($($variant:ident $code:literal $label:literal,)*) => {
        /// An action that is recorded in the audit history.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)] // Each action's label describes it.
        pub enum AuditAction {
            $($variant,)*
        }

        impl AuditAction {
            /// Every action, in the order in which filters list them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the code under which the action is stored and filtered.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// Returns the display text.
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
    /// Parses [`AuditAction::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.code() == code)
    }
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// The actor of an event, as they were at that time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditActor {
    /// The user's id.
    pub user_id: UserId,
    /// The name at that time.
    pub name: String,
    /// The side on which they acted.
    pub kind: ActorKind,
    /// The network address, if the action was requested over the network.
    pub address: Option<IpAddr>,
}

impl From<&Actor> for AuditActor {
    fn from(actor: &Actor) -> Self {
        Self { user_id: actor.user_id, name: actor.name.clone(), kind: actor.kind(), address: actor.address }
    }
}

/// An audit event, recorded together with its change. The store assigns the sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// The time of the change.
    pub at: Timestamp,
    /// The actor who made the change.
    pub actor: AuditActor,
    /// The organization that was affected.
    pub organization_id: OrganizationId,
    /// The application that was affected; `None` if the event concerns the organization as a whole.
    pub application_id: Option<ApplicationId>,
    /// The action that was performed.
    pub action: AuditAction,
    /// The object of the action: a key's prefix, a fingerprint, the application's or the organization's name, or a
    /// member's e-mail address.
    pub target: String,
    /// Description of the state before; `None` if there was nothing.
    pub before: Option<String>,
    /// Description of the state after; `None` if nothing is left.
    pub after: Option<String>,
    /// The reason, if one was given, and the ticket, if the actor acted for Nuvera.
    pub reason: Option<Why>,
}

/// A recorded event, as shown in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// The sequence number: later events have greater numbers.
    pub sequence: i64,
    /// The current name of the organization.
    pub organization_name: String,
    /// The current name of the application; `None` if the event concerns none.
    pub application_name: Option<ApplicationName>,
    /// The event as it was recorded.
    pub event: AuditEvent,
}

/// The scope of a query of the audit history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditScope {
    /// A single application.
    Application(OrganizationId, ApplicationId),
    /// An organization with all of its applications.
    Organization(OrganizationId),
    /// All organizations; for Nuvera only.
    Everyone,
}

/// A filter of audit events. The default matches every event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only events with this action.
    pub action: Option<AuditAction>,
    /// Only events by this user.
    pub actor: Option<UserId>,
    /// Only events by actors on this side.
    pub kind: Option<ActorKind>,
    /// Only events at this instant or later.
    pub from: Option<Timestamp>,
    /// Only events before this instant.
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
