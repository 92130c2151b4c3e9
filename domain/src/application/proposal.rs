//! Two-sided approval of changes by Nuvera. Changes of permissions and signing keys need the partner's confirmation if
//! the partner's policy says so. Enabling what the partner disabled, and restoring a signing key that no longer
//! verifies, always need it.
//!
//! A proposal does not change the application's settings. On confirmation the change is made only if the application
//! still has the version for which it was proposed, so that the user confirms what they have seen.

use super::{
    ApiApplication, By, Change, ChangeError, NewSigningKey, Noted, SigningKeyReplacement, permissions_in_words,
};
use crate::{
    access::Operation,
    actor::ActorKind,
    audit::{AuditAction, AuditActor, AuditEvent},
    id::{SigningKeyId, UserId},
    permission::PermissionSet,
    text::Why,
    time::{Timestamp, in_words},
};
use std::{fmt, time::Duration};

/// Time within which a proposed change can be confirmed.
pub const PROPOSAL_WINDOW: Duration = Duration::from_secs(72 * 60 * 60);

/// A change that may need the partner's confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestedChange {
    /// [`ApiApplication::enable`]
    Enable,
    /// [`ApiApplication::change_permissions`]
    Permissions(PermissionSet),
    /// [`ApiApplication::replace_signing_key`]
    ReplaceSigningKey {
        /// The key that becomes the current one.
        key: NewSigningKey,
        /// What happens to the present one.
        replacement: SigningKeyReplacement,
    },
    /// [`ApiApplication::restore_signing_key`]
    RestoreSigningKey {
        /// The key that becomes the current one again.
        id: SigningKeyId,
        /// What happens to the present one.
        replacement: SigningKeyReplacement,
    },
    /// [`ApiApplication::retire_signing_key`]
    RetireSigningKey {
        /// The key to retire.
        id: SigningKeyId,
    },
}

/// A change that Nuvera proposed and that has not been confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedChange {
    /// When it was proposed.
    pub at: Timestamp,
    /// Name of the admin who proposed it.
    pub by: String,
    /// The admin's id. They cannot confirm their own proposal.
    pub user_id: UserId,
    /// The reason and the ticket.
    pub why: Why,
    /// The change itself.
    pub change: RequestedChange,
    /// The application's version including the proposal. With any other version the proposal is outdated.
    pub version: i64,
    /// The first instant at which it can no longer be confirmed.
    pub expires_at: Timestamp,
}

impl RequestedChange {
    /// Returns the operation that an actor must be permitted to perform to make the change.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Enable => Operation::EnableApplication,
            Self::Permissions(_) => Operation::ChangePermissions,
            Self::ReplaceSigningKey { .. } | Self::RestoreSigningKey { .. } | Self::RetireSigningKey { .. } => {
                Operation::ReplaceSigningKeys
            }
        }
    }

    /// Makes the change.
    ///
    /// # Errors
    /// As the transition that each variant names.
    pub fn carry_out(self, application: ApiApplication, by: By<'_>) -> Result<Change, ChangeError> {
        match self {
            Self::Enable => application.enable(by),
            Self::Permissions(permissions) => application.change_permissions(permissions, by),
            Self::ReplaceSigningKey { key, replacement } => application.replace_signing_key(key, replacement, by),
            Self::RestoreSigningKey { id, replacement } => application.restore_signing_key(id, replacement, by),
            Self::RetireSigningKey { id } => application.retire_signing_key(id, by),
        }
    }

    /// Returns the display name of the change.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Enable => "Enable application",
            Self::Permissions(_) => "Change permissions",
            Self::ReplaceSigningKey { .. } => "Replace signing key",
            Self::RestoreSigningKey { .. } => "Restore signing key",
            Self::RetireSigningKey { .. } => "Retire signing key",
        }
    }

    /// Describes the present state in `application` of what the change affects.
    pub fn before(&self, application: &ApiApplication) -> String {
        match self {
            Self::Enable => match &application.disabled {
                Some(disabled) => format!("disabled by {}", disabled.by),
                None => "enabled".to_owned(),
            },
            Self::Permissions(_) => permissions_in_words(application.permissions),
            Self::ReplaceSigningKey { .. } | Self::RestoreSigningKey { .. } => {
                format!("{} current", application.current_signing_key().public_key.fingerprint())
            }
            Self::RetireSigningKey { id } => {
                let state = application.signing_key(*id).map(|key| key.state.to_string());
                format!("{} {}", fingerprint(application, *id), state.unwrap_or_default())
            }
        }
    }

    /// Describes the state after the change.
    pub fn after(&self, application: &ApiApplication) -> String {
        match self {
            Self::Enable => "enabled".to_owned(),
            Self::Permissions(permissions) => permissions_in_words(*permissions),
            Self::ReplaceSigningKey { key, replacement } => {
                let proof = if key.is_proven { "possession proven" } else { "possession not proven" };
                format!("{} current ({proof}); {replacement}", key.public_key.fingerprint())
            }
            Self::RestoreSigningKey { id, replacement } => {
                format!("{} current; {replacement}", fingerprint(application, *id))
            }
            Self::RetireSigningKey { id } => format!("{} retired", fingerprint(application, *id)),
        }
    }
}

fn fingerprint(application: &ApiApplication, id: SigningKeyId) -> String {
    application.signing_key(id).map_or_else(|_| id.to_string(), |key| key.public_key.fingerprint())
}

impl fmt::Display for SigningKeyReplacement {
    /// Writes the text for the audit history and the console.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WithOverlap(overlap) => write!(f, "the key before it verifies for {} more", in_words(*overlap)),
            Self::StopNow => f.write_str("the key before it stops at once"),
        }
    }
}

impl ProposedChange {
    /// Whether `application` has changed since the proposal, which then can no longer be confirmed.
    pub fn is_outdated(&self, application: &ApiApplication) -> bool {
        self.version != application.version
    }

    /// Creates the event that records how the proposal ended.
    pub(super) fn noted(&self, action: AuditAction, application: &ApiApplication) -> Noted {
        Noted::new(action, application.name.as_str())
            .before(format!("proposed by {}: {}", self.by, self.why))
            .after(format!("{}: {}", self.change.label(), self.change.after(application)))
    }
}

impl ApiApplication {
    /// Returns the proposed change until it expires. It may be outdated: see [`ProposedChange::is_outdated`].
    pub fn open_proposal(&self, now: Timestamp) -> Option<&ProposedChange> {
        self.proposed_change.as_ref().filter(|proposed| now < proposed.expires_at)
    }

    /// Returns the proposed change while it can be confirmed.
    pub fn confirmable_proposal(&self, now: Timestamp) -> Option<&ProposedChange> {
        self.open_proposal(now).filter(|proposed| !proposed.is_outdated(self))
    }

    /// Proposes a change, which the partner can confirm within [`PROPOSAL_WINDOW`]. It replaces a proposal that can no
    /// longer be confirmed.
    ///
    /// # Errors
    /// [`ChangeError::AlreadyProposed`], [`ChangeError::ReasonNeeded`], [`ChangeError::TicketNeeded`]; as the change
    /// itself if it could not be made now.
    pub fn propose(mut self, change: RequestedChange, by: By<'_>) -> Result<Change, ChangeError> {
        if self.confirmable_proposal(by.at).is_some() {
            return Err(ChangeError::AlreadyProposed);
        }
        // A change that would fail now is not proposed, unless the confirmation is all that it lacks.
        match change.clone().carry_out(self.clone(), by) {
            Ok(_) | Err(ChangeError::DisabledByPartner) => {}
            Err(error) => return Err(error),
        }
        let noted = Noted::new(AuditAction::ChangeProposed, self.name.as_str())
            .before(change.before(&self))
            .after(format!("{}: {}", change.label(), change.after(&self)));
        self.proposed_change = Some(ProposedChange {
            at: by.at,
            by: by.actor.name.clone(),
            user_id: by.actor.user_id,
            why: by.required_reason()?,
            change,
            version: self.version + 1,
            expires_at: by.at.plus(PROPOSAL_WINDOW),
        });
        self.changed(by, [noted])
    }

    /// Confirms the proposed change and makes it, in the name of the confirming user and for the reason of the
    /// proposal.
    ///
    /// # Errors
    /// [`ChangeError::NothingProposed`], [`ChangeError::ProposalOutdated`], [`ChangeError::ProposalIsNuveras`]; as the
    /// change itself.
    pub fn confirm_proposal(mut self, by: By<'_>) -> Result<Change, ChangeError> {
        let proposed = self.take_proposal(by.at)?;
        if by.actor.kind() == ActorKind::Nuvera || by.actor.user_id == proposed.user_id {
            return Err(ChangeError::ProposalIsNuveras);
        }
        if proposed.is_outdated(&self) {
            return Err(ChangeError::ProposalOutdated);
        }
        let by = By { reason: Some(&proposed.why), ..by };
        let confirmed = proposed.noted(AuditAction::ChangeConfirmed, &self);
        let Change { application, events } = proposed.change.clone().carry_out(self, by)?;
        let confirmed = confirmed.event(&application, by);
        Ok(Change { application, events: std::iter::once(confirmed).chain(events).collect() })
    }

    /// Withdraws the proposed change (Nuvera) or declines it (the partner).
    ///
    /// # Errors
    /// [`ChangeError::NothingProposed`], [`ChangeError::ReasonNeeded`], [`ChangeError::TicketNeeded`]
    pub fn withdraw_proposal(mut self, by: By<'_>) -> Result<Change, ChangeError> {
        let proposed = self.take_proposal(by.at)?;
        let action = match by.actor.kind() {
            ActorKind::Partner => AuditAction::ChangeDeclined,
            ActorKind::Nuvera => AuditAction::ChangeWithdrawn,
        };
        let noted = proposed.noted(action, &self);
        self.changed(by, [noted])
    }

    /// Records that the proposed change expired without a confirmation. It could not be confirmed since its expiry;
    /// this only adds the event, in the name of the admin who proposed it.
    ///
    /// # Errors
    /// [`ChangeError::NothingProposed`] if none has expired.
    pub fn expire_proposal(mut self, now: Timestamp) -> Result<Change, ChangeError> {
        let expired = self.proposed_change.take_if(|proposed| now >= proposed.expires_at);
        let proposed = expired.ok_or(ChangeError::NothingProposed)?;
        let Noted { action, target, before, after } = proposed.noted(AuditAction::ChangeExpired, &self);
        let actor = AuditActor { user_id: proposed.user_id, name: proposed.by, kind: ActorKind::Nuvera, address: None };
        let event = AuditEvent {
            at: now,
            actor,
            organization_id: self.organization_id,
            application_id: Some(self.id),
            action,
            target,
            before,
            after,
            reason: None,
        };
        self.version += 1;
        Ok(Change { application: self, events: vec![event] })
    }

    fn take_proposal(&mut self, now: Timestamp) -> Result<ProposedChange, ChangeError> {
        self.proposed_change.take_if(|proposed| now < proposed.expires_at).ok_or(ChangeError::NothingProposed)
    }
}
