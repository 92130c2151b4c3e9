//! An API application and every transition of its state.
//!
//! A transition consumes the application and returns a [`Change`]: the new state of the application together with the
//! audit events to record with it. There is no other way to change an application, so no change goes unrecorded.

mod blocked_key;
mod proposal;

pub use blocked_key::{BlockedKey, KeyRelease, TrustedKey, newly_trusted};
pub use proposal::{PROPOSAL_WINDOW, ProposedChange, RequestedChange};

use crate::{
    actor::{Actor, ActorKind},
    api_key::{ApiKey, ApiKeyError, ApiKeyStatus, Exposure, MAX_GRACE, MAX_LIVE_KEYS, NewApiKey},
    audit::{AuditAction, AuditEvent},
    id::{ApiKeyId, ApplicationId, OrganizationId, SigningKeyId, UserId},
    permission::PermissionSet,
    public_key::{PublicKey, PublicKeyError},
    signing_key::{MAX_VERIFYING_KEYS, SigningKey, SigningKeyState},
    text::{ApplicationName, Reason, Why},
    time::{Timestamp, in_words},
};
use std::{fmt, time::Duration};

/// A set of credentials of a partner: API keys, signing keys and permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiApplication {
    /// The application's id.
    pub id: ApplicationId,
    /// The organization that owns it.
    pub organization_id: OrganizationId,
    /// The name, unique in the organization.
    pub name: ApplicationName,
    /// When it was created.
    pub created_at: Timestamp,
    /// Name of the user who created it.
    pub created_by: String,
    /// Set while it is disabled.
    pub disabled: Option<Disabled>,
    /// The permissions of its requests.
    pub permissions: PermissionSet,
    /// Its API keys, the newest first, including expired and revoked ones.
    pub api_keys: Vec<ApiKey>,
    /// Its signing keys, the newest first, including retired ones.
    pub signing_keys: Vec<SigningKey>,
    /// A replacement key that was prepared and not claimed. It may have expired: see
    /// [`ApiApplication::claimable_replacement`].
    pub prepared_replacement: Option<PreparedReplacement>,
    /// A change that Nuvera proposed: see [`ApiApplication::open_proposal`].
    pub proposed_change: Option<ProposedChange>,
    /// Set if the old keys of the current rotation will be revoked automatically.
    pub auto_finish: Option<AutoFinish>,
    /// Incremented by every change. A change is rejected if the version that the actor saw is outdated.
    pub version: i64,
}

/// The actor, time and reason of an application's disabling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disabled {
    /// When it was disabled.
    pub at: Timestamp,
    /// Name of the actor who disabled it.
    pub by: String,
    /// The side on which that actor acted.
    pub by_kind: ActorKind,
    /// The reason and the ticket.
    pub reason: Why,
}

/// The actor, time and justification of a change.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// The actor who makes the change.
    pub actor: &'a Actor,
    /// The time of the change.
    pub at: Timestamp,
    /// The justification, if one was given. It is mandatory for Nuvera's admins, with the ticket.
    pub reason: Option<&'a Why>,
}

impl By<'_> {
    /// Returns a report by this actor that a key was exposed.
    fn exposure(self) -> Exposure {
        Exposure { at: self.at, by: self.actor.name.clone(), why: self.reason.cloned() }
    }

    /// Returns the justification of an emergency operation, for which it is optional.
    fn emergency_reason(self) -> Why {
        self.reason.cloned().unwrap_or_else(|| Why::in_emergency("", ""))
    }

    fn required_reason(self) -> Result<Why, ChangeError> {
        self.reason.cloned().ok_or(ChangeError::ReasonNeeded)
    }
}

/// A replacement key that Nuvera prepared and no one has claimed yet. The key itself does not exist before the claim:
/// it is generated then and shown to the user who claims it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedReplacement {
    /// When it was prepared.
    pub at: Timestamp,
    /// Name of the admin who prepared it.
    pub by: String,
    /// The admin's account; `None` for an entry from before the account was recorded.
    pub user_id: Option<UserId>,
    /// The reason and the ticket.
    pub reason: Why,
    /// What happens to the live keys when it is claimed.
    pub replacement: Replacement,
    /// The first instant at which it can no longer be claimed.
    pub expires_at: Timestamp,
}

/// An instruction to revoke the old keys of a rotation once they are no longer used: see [`crate::cut_over::safe_for`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoFinish {
    /// When it was set.
    pub at: Timestamp,
    /// Name of the user who set it.
    pub by: String,
    /// The user on whose behalf the keys are revoked.
    pub user_id: UserId,
    /// How long the old keys must have been safe to revoke.
    pub hold: Duration,
}

/// Time within which a prepared replacement can be claimed.
pub const CLAIM_WINDOW: Duration = Duration::from_secs(72 * 60 * 60);

/// An application after a change, with the audit events to record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a change counts once it is saved"]
pub struct Change {
    /// The application after the change.
    pub application: ApiApplication,
    /// The audit events, in order; never empty.
    pub events: Vec<AuditEvent>,
}

/// The data of an application that is created.
#[derive(Clone, Debug)]
pub struct NewApplication {
    /// The id of the new application.
    pub id: ApplicationId,
    /// The name, unique in the organization.
    pub name: ApplicationName,
    /// The permissions of its requests.
    pub permissions: PermissionSet,
    /// The first signing key.
    pub signing_key: NewSigningKey,
    /// The first API key.
    pub api_key: NewApiKey,
}

/// A public key to register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSigningKey {
    /// The id of the new signing key.
    pub id: SigningKeyId,
    /// The public key.
    pub public_key: PublicKey,
    /// Whether possession of the private key was proven.
    pub is_proven: bool,
}

/// What happens to the live keys when a replacement is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// Active keys keep working for this long. A key that is already expiring keeps its own deadline.
    WithGrace(Duration),
    /// Every live key is revoked at once, because of a suspected exposure.
    StopNow,
}

impl Replacement {
    /// Returns a grace window that starts at `now` and ends exactly at `at`.
    ///
    /// # Errors
    /// [`ApiKeyError::DeadlinePassed`], [`ApiKeyError::DeadlineTooLate`]
    pub fn until(at: Timestamp, now: Timestamp) -> Result<Self, ApiKeyError> {
        let latest = now.plus(MAX_GRACE);
        match at {
            at if at <= now => Err(ApiKeyError::DeadlinePassed { now }),
            at if at > latest => Err(ApiKeyError::DeadlineTooLate { latest }),
            at => Ok(Self::WithGrace(at.since(now))),
        }
    }
}

impl fmt::Display for Replacement {
    /// Writes the text for the audit history and the console.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WithGrace(grace) => write!(f, "the keys before it work for {} more", in_words(*grace)),
            Self::StopNow => f.write_str("the keys before it stop at once"),
        }
    }
}

impl fmt::Display for PreparedReplacement {
    /// Writes the text for the audit history.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "to be claimed before {}; then {}", self.expires_at, self.replacement)
    }
}

impl fmt::Display for AutoFinish {
    /// Writes the text for the audit history.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "old keys are revoked once they have been safe to revoke for {}", in_words(self.hold))
    }
}

/// What happens to the current signing key when it is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKeyReplacement {
    /// It keeps verifying requests for this long.
    WithOverlap(Duration),
    /// It is retired at once.
    StopNow,
}

/// Reason why a change is rejected. The messages are shown to the user who requested it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // Each variant's message describes it.
pub enum ChangeError {
    #[error("Enter a reason: it is kept in the audit history.")]
    ReasonNeeded,
    #[error("Enter the ticket’s reference, such as SUP-4711: the partner finds it beside your reason.")]
    TicketNeeded,
    #[error("This application is already disabled.")]
    AlreadyDisabled,
    #[error("This application is already enabled.")]
    AlreadyEnabled,
    #[error("The partner disabled this application. Nuvera can propose to enable it; the partner confirms that.")]
    DisabledByPartner,
    #[error("The name is unchanged.")]
    NameUnchanged,
    #[error("The permissions are unchanged.")]
    PermissionsUnchanged,
    #[error("This application has no such key.")]
    KeyNotFound,
    #[error(transparent)]
    ApiKey(#[from] ApiKeyError),
    #[error("This key is already confirmed as stored.")]
    AlreadyStored,
    #[error(
        "This application has {MAX_LIVE_KEYS} live keys, the most there can be. Revoke one that is no longer used, then create the replacement."
    )]
    TooManyLiveKeys,
    #[error("Choose a grace window of at most 30 days.")]
    GraceTooLong,
    #[error(
        "A live key of this application was reported as exposed, so it gets no grace window. Choose “Replace exposed key”, which stops it at once, or revoke it first."
    )]
    ExposedKeyGrace,
    #[error("A replacement key is prepared already. Withdraw it before you prepare another.")]
    AlreadyPrepared,
    #[error(
        "There is no prepared replacement key any more: it was claimed or withdrawn, or its 72 hours are over. Create a replacement key, or ask Nuvera for another."
    )]
    NothingPrepared,
    #[error("A proposed change waits for the partner already. Withdraw it before you propose another.")]
    AlreadyProposed,
    #[error(
        "There is no proposed change any more: it was confirmed, declined or withdrawn, or its 72 hours are over. If it is still wanted, Nuvera proposes it again."
    )]
    NothingProposed,
    #[error(
        "This application was changed after Nuvera proposed this, so it cannot be confirmed any more. If it is still wanted, Nuvera proposes it again."
    )]
    ProposalOutdated,
    /// The admin who proposed the change was removed, or may no longer make such changes.
    #[error(
        "Whoever proposed this change at Nuvera may not make such changes any more. Decline it, and ask Nuvera support to propose it again if you want it."
    )]
    ProposerGone,
    /// The admin who prepared the replacement was removed, or may no longer do so.
    #[error(
        "Whoever prepared this replacement key at Nuvera may not do that any more. Decline it, and create a replacement key or ask Nuvera support for another."
    )]
    PreparerGone,
    #[error("What Nuvera proposes, somebody of the partner’s confirms.")]
    ProposalIsNuveras,
    #[error("No old key is left that could be revoked: the rotation is finished.")]
    NothingToFinish,
    #[error("This rotation does not finish by itself: nothing is left to cancel.")]
    NoAutoFinish,
    #[error("Choose one of the times, 30 days at the most.")]
    HoldTooLong,
    #[error("This public key is already this application's current signing key.")]
    SigningKeyIsCurrent,
    #[error("This application used this public key before. Restore it from the signing-key history instead.")]
    SigningKeyInHistory,
    #[error(transparent)]
    PublicKey(#[from] PublicKeyError),
    #[error(
        "{MAX_VERIFYING_KEYS} signing keys verify already, the most there can be. Retire one first, or replace the current key at once."
    )]
    TooManyVerifyingKeys,
    #[error("This signing key is already retired.")]
    SigningKeyRetired,
    #[error("The current signing key cannot be retired on its own: replace it, or disable the application.")]
    SigningKeyNeeded,
    #[error(
        "Nuvera blocked this signing key because its private key may have leaked. No application can use it. Generate a new key pair."
    )]
    SigningKeyBlocked,
    #[error("The current signing key is blocked, so it cannot keep verifying requests. Choose no overlap.")]
    BlockedKeyOverlap,
    #[error(
        "Nuvera blocked this application’s signing key {0} because its private key may have leaked. Replace the signing key first, then enable the application."
    )]
    ReplaceBlockedKeyFirst(String),
    #[error("This signing key is not blocked.")]
    SigningKeyNotBlocked,
}

impl ApiApplication {
    /// Creates an enabled application with its first keys.
    pub fn create(new: NewApplication, by: By<'_>) -> Change {
        let NewApplication { id, name, permissions, signing_key, api_key } = new;
        let application = Self {
            id,
            organization_id: by.actor.organization_id,
            name,
            created_at: by.at,
            created_by: by.actor.name.clone(),
            disabled: None,
            permissions,
            api_keys: vec![ApiKey::new(api_key, &by.actor.name, by.at)],
            signing_keys: vec![signing_key.registered(by)],
            prepared_replacement: None,
            proposed_change: None,
            auto_finish: None,
            version: 1,
        };
        let described = format!(
            "permissions {}; signing key {}",
            permissions_in_words(permissions),
            described(application.current_signing_key())
        );
        let key = &application.api_keys[0];
        let created = Noted::new(AuditAction::ApplicationCreated, application.name.as_str()).after(described);
        let events = vec![
            created.event(&application, by),
            Noted::new(AuditAction::ApiKeyCreated, key.prefix.as_str()).after("active").event(&application, by),
        ];
        Change { application, events }
    }

    /// Whether the partner disabled it, so that enabling it by `kind` needs the partner's confirmation.
    pub fn waits_for_partner(&self, kind: ActorKind) -> bool {
        let is_disabled_by_partner =
            self.disabled.as_ref().is_some_and(|disabled| disabled.by_kind == ActorKind::Partner);
        is_disabled_by_partner && kind == ActorKind::Nuvera
    }

    /// Whether restoring the signing key `id` by `kind` needs the partner's confirmation. A key that no longer verifies
    /// may have been retired by the partner because it leaked. A key that still verifies, in its overlap, can be
    /// restored at once.
    pub fn restoring_waits_for_partner(&self, id: SigningKeyId, kind: ActorKind, now: Timestamp) -> bool {
        kind == ActorKind::Nuvera && self.signing_key(id).is_ok_and(|key| !key.verifies(now))
    }

    /// Whether it is enabled. A disabled application accepts no requests.
    pub fn is_enabled(&self) -> bool {
        self.disabled.is_none()
    }

    /// Returns the API keys that are valid at `now`, without regard to whether the application is enabled.
    pub fn live_keys(&self, now: Timestamp) -> impl Iterator<Item = &ApiKey> {
        self.api_keys.iter().filter(move |key| key.status(now).is_live())
    }

    /// Returns the API key with this id.
    ///
    /// # Errors
    /// [`ChangeError::KeyNotFound`]
    pub fn api_key(&self, id: ApiKeyId) -> Result<&ApiKey, ChangeError> {
        self.api_keys.iter().find(|key| key.id == id).ok_or(ChangeError::KeyNotFound)
    }

    /// Returns the signing key with this id.
    ///
    /// # Errors
    /// [`ChangeError::KeyNotFound`]
    pub fn signing_key(&self, id: SigningKeyId) -> Result<&SigningKey, ChangeError> {
        self.signing_keys.iter().find(|key| key.id == id).ok_or(ChangeError::KeyNotFound)
    }

    /// Returns the signing key that new deployments sign with.
    ///
    /// # Panics
    /// If there is none, which cannot happen for an application created by this module: it always has exactly one.
    pub fn current_signing_key(&self) -> &SigningKey {
        let current = self.signing_keys.iter().find(|key| key.state == SigningKeyState::Current);
        current.expect("an application has a current signing key from its creation on")
    }

    /// Renames it.
    ///
    /// # Errors
    /// [`ChangeError::NameUnchanged`]
    pub fn rename(mut self, name: ApplicationName, by: By<'_>) -> Result<Change, ChangeError> {
        if name == self.name {
            return Err(ChangeError::NameUnchanged);
        }
        let before = std::mem::replace(&mut self.name, name);
        let after = self.name.to_string();
        let noted = Noted::new(AuditAction::ApplicationRenamed, before.as_str()).before(before.as_str()).after(after);
        self.changed(by, [noted])
    }

    /// Replaces its permissions.
    ///
    /// # Errors
    /// [`ChangeError::PermissionsUnchanged`]
    pub fn change_permissions(mut self, permissions: PermissionSet, by: By<'_>) -> Result<Change, ChangeError> {
        if permissions == self.permissions {
            return Err(ChangeError::PermissionsUnchanged);
        }
        let before = std::mem::replace(&mut self.permissions, permissions);
        let noted = Noted::new(AuditAction::PermissionsChanged, self.name.as_str())
            .before(permissions_in_words(before))
            .after(permissions_in_words(permissions));
        self.changed(by, [noted])
    }

    /// Disables it: all requests are rejected, even with a valid key and signature. An emergency needs no reason: see
    /// [`Why::NOT_GIVEN`]. The partner can also disable an application that Nuvera has disabled; enabling it is then up
    /// to the partner, see [`ApiApplication::waits_for_partner`].
    ///
    /// # Errors
    /// [`ChangeError::AlreadyDisabled`]
    pub fn disable(mut self, by: By<'_>) -> Result<Change, ChangeError> {
        let reason = by.emergency_reason();
        let by = By { reason: Some(&reason), ..by };
        let before = match &self.disabled {
            None => "enabled",
            Some(disabled) if disabled.by_kind == ActorKind::Nuvera && by.actor.kind() == ActorKind::Partner => {
                "disabled by Nuvera"
            }
            Some(_) => return Err(ChangeError::AlreadyDisabled),
        };
        let noted = Noted::new(AuditAction::ApplicationDisabled, self.name.as_str()).before(before).after("disabled");
        self.disabled =
            Some(Disabled { at: by.at, by: by.actor.name.clone(), by_kind: by.actor.kind(), reason: reason.clone() });
        // An emergency must not wait until a ticket is opened.
        self.changed_without_ticket(by, [noted])
    }

    /// Enables it again. Expired and revoked keys stay invalid.
    ///
    /// # Errors
    /// [`ChangeError::AlreadyEnabled`], [`ChangeError::ReasonNeeded`]; [`ChangeError::DisabledByPartner`] if Nuvera can
    /// only propose it.
    pub fn enable(mut self, by: By<'_>) -> Result<Change, ChangeError> {
        by.required_reason()?;
        if self.disabled.is_none() {
            return Err(ChangeError::AlreadyEnabled);
        }
        if self.waits_for_partner(by.actor.kind()) {
            return Err(ChangeError::DisabledByPartner);
        }
        self.disabled = None;
        let noted = Noted::new(AuditAction::ApplicationEnabled, self.name.as_str()).before("disabled").after("enabled");
        self.changed(by, [noted])
    }

    /// Adds an API key, and ends the existing ones at once or after a grace window.
    ///
    /// # Errors
    /// [`ChangeError::GraceTooLong`], [`ChangeError::TooManyLiveKeys`]
    pub fn replace_api_key(
        mut self,
        new: NewApiKey,
        replacement: Replacement,
        by: By<'_>,
    ) -> Result<Change, ChangeError> {
        let noted = self.add_api_key(new, replacement, by)?;
        self.changed(by, noted)
    }

    /// Prepares a replacement key, which a user of the partner can claim within [`CLAIM_WINDOW`].
    ///
    /// # Errors
    /// [`ChangeError::AlreadyPrepared`], [`ChangeError::ReasonNeeded`], or as [`Self::replace_api_key`].
    pub fn prepare_replacement(mut self, replacement: Replacement, by: By<'_>) -> Result<Change, ChangeError> {
        if self.claimable_replacement(by.at).is_some() {
            return Err(ChangeError::AlreadyPrepared);
        }
        self.check_replacement(replacement, by.at)?;
        let prepared = PreparedReplacement {
            at: by.at,
            by: by.actor.name.clone(),
            user_id: Some(by.actor.user_id),
            reason: by.required_reason()?,
            replacement,
            expires_at: by.at.plus(CLAIM_WINDOW),
        };
        let mut noted =
            vec![Noted::new(AuditAction::ReplacementPrepared, self.name.as_str()).after(prepared.to_string())];
        self.prepared_replacement = Some(prepared);
        // Live keys work until the replacement is claimed. Until then an exposed key must not be given more time.
        if replacement == Replacement::StopNow {
            for key in self.api_keys.iter_mut().filter(|key| key.status(by.at).is_live() && key.exposed.is_none()) {
                *key = key.clone().exposed(by.exposure());
                let reported = Noted::new(AuditAction::ApiKeyExposed, key.prefix.as_str());
                noted.push(reported.after(key.status(by.at).to_string()));
            }
        }
        self.changed(by, noted)
    }

    /// Withdraws a prepared replacement key (Nuvera) or declines it (the partner).
    ///
    /// # Errors
    /// [`ChangeError::NothingPrepared`]
    pub fn withdraw_replacement(mut self, by: By<'_>) -> Result<Change, ChangeError> {
        let prepared = self.claimable_replacement(by.at).ok_or(ChangeError::NothingPrepared)?.to_string();
        self.prepared_replacement = None;
        let noted = Noted::new(AuditAction::ReplacementWithdrawn, self.name.as_str()).before(prepared);
        self.changed(by, [noted])
    }

    /// Withdraws the replacement key that `user` prepared and the change that they proposed, because their account lost
    /// the required role or may have been compromised. Returns `None` if there is nothing to withdraw.
    pub fn withdraw_support_of(mut self, user: UserId, by: By<'_>) -> Option<Change> {
        let mut noted = Vec::new();
        if let Some(prepared) = self.claimable_replacement(by.at).filter(|prepared| prepared.user_id == Some(user)) {
            let withdrawn = Noted::new(AuditAction::ReplacementWithdrawn, self.name.as_str());
            noted.push(withdrawn.before(prepared.to_string()));
            self.prepared_replacement = None;
        }
        if let Some(proposed) = self.open_proposal(by.at).filter(|proposed| proposed.user_id == user).cloned() {
            noted.push(proposed.noted(AuditAction::ChangeWithdrawn, &self));
            self.proposed_change = None;
        }
        if noted.is_empty() {
            return None;
        }
        let why = "The Nuvera admin who began this was removed, has another role, or had their credentials reset.";
        let why = Reason::new(why).ok().map(Why::from);
        // There is no support case: the change follows from a change to the admin's account.
        self.changed_without_ticket(By { reason: why.as_ref(), ..by }, noted).ok()
    }

    /// Claims a prepared replacement key: `new` is created for the user who claims it, and the existing keys end as
    /// prepared. A grace window starts now.
    ///
    /// # Errors
    /// [`ChangeError::NothingPrepared`], or as [`Self::replace_api_key`].
    pub fn claim_replacement(mut self, new: NewApiKey, by: By<'_>) -> Result<Change, ChangeError> {
        let prepared = self.claimable_replacement(by.at).ok_or(ChangeError::NothingPrepared)?.clone();
        self.prepared_replacement = None;
        let claimed = Noted::new(AuditAction::ReplacementClaimed, self.name.as_str())
            .before(format!("prepared by {}: {}", prepared.by, prepared.reason))
            .after(format!("{} created", new.prefix));
        let added = self.add_api_key(new, prepared.replacement, by)?;
        self.changed(by, std::iter::once(claimed).chain(added))
    }

    /// Returns the prepared replacement while it can be claimed.
    pub fn claimable_replacement(&self, now: Timestamp) -> Option<&PreparedReplacement> {
        self.prepared_replacement.as_ref().filter(|prepared| now < prepared.expires_at)
    }

    fn check_replacement(&self, replacement: Replacement, now: Timestamp) -> Result<(), ChangeError> {
        match replacement {
            Replacement::WithGrace(_) if self.live_keys(now).any(|key| key.exposed.is_some()) => {
                Err(ChangeError::ExposedKeyGrace)
            }
            Replacement::WithGrace(grace) if grace > MAX_GRACE => Err(ChangeError::GraceTooLong),
            Replacement::WithGrace(_) if self.live_keys(now).count() >= MAX_LIVE_KEYS => {
                Err(ChangeError::TooManyLiveKeys)
            }
            Replacement::WithGrace(_) | Replacement::StopNow => Ok(()),
        }
    }

    fn add_api_key(&mut self, new: NewApiKey, replacement: Replacement, by: By<'_>) -> Result<Vec<Noted>, ChangeError> {
        self.check_replacement(replacement, by.at)?;
        let key = ApiKey::new(new, &by.actor.name, by.at);
        let mut noted = vec![Noted::new(AuditAction::ApiKeyCreated, key.prefix.as_str()).after("active")];
        for key in &mut self.api_keys {
            let before = key.status(by.at);
            let (action, replaced) = match (replacement, before) {
                (Replacement::WithGrace(grace), ApiKeyStatus::Active) => {
                    (AuditAction::ApiKeyExpiring, key.clone().replaced(by.at.plus(grace), by.at))
                }
                (Replacement::StopNow, status) if status.is_live() => {
                    (AuditAction::ApiKeyRevoked, key.clone().exposed(by.exposure()).revoke(by.at)?)
                }
                _ => continue,
            };
            *key = replaced;
            noted.push(Noted::of_api_key(action, before, key, by.at));
        }
        self.api_keys.insert(0, key);
        // The instruction was given for the previous rotation.
        self.auto_finish = None;
        Ok(noted)
    }

    /// Records that the user has stored the key that was shown to them.
    ///
    /// # Errors
    /// [`ChangeError::KeyNotFound`], [`ChangeError::AlreadyStored`]
    pub fn confirm_stored(self, id: ApiKeyId, by: By<'_>) -> Result<Change, ChangeError> {
        self.change_api_key(id, AuditAction::ApiKeyStored, by, |key| {
            if key.stored_at.is_some() {
                return Err(ChangeError::AlreadyStored);
            }
            Ok(ApiKey { stored_at: Some(by.at), ..key })
        })
    }

    /// Replaces a key that was never stored because the page that showed it was lost. The lost key is revoked at once;
    /// all other keys are unchanged.
    ///
    /// # Errors
    /// [`ChangeError::KeyNotFound`], [`ChangeError::AlreadyStored`], [`ChangeError::ApiKey`] if the key is no longer
    /// live
    pub fn replace_unseen_api_key(mut self, id: ApiKeyId, new: NewApiKey, by: By<'_>) -> Result<Change, ChangeError> {
        let unseen = self.api_keys.iter_mut().find(|key| key.id == id).ok_or(ChangeError::KeyNotFound)?;
        if unseen.stored_at.is_some() {
            return Err(ChangeError::AlreadyStored);
        }
        let before = unseen.status(by.at);
        *unseen = unseen.clone().revoke(by.at)?;
        let revoked = Noted::of_api_key(AuditAction::ApiKeyRevoked, before, unseen, by.at);
        let key = ApiKey::new(new, &by.actor.name, by.at);
        let created = Noted::new(AuditAction::ApiKeyCreated, key.prefix.as_str()).after("active");
        self.api_keys.insert(0, key);
        self.changed(by, [created, revoked])
    }

    /// Returns the old keys of a rotation: live keys with a deadline.
    pub fn expiring_keys(&self, now: Timestamp) -> impl Iterator<Item = &ApiKey> {
        self.live_keys(now).filter(move |key| matches!(key.status(now), ApiKeyStatus::Expiring { .. }))
    }

    /// Sets the old keys of the rotation to be revoked automatically, once they have been safe to revoke for `hold`.
    ///
    /// # Errors
    /// [`ChangeError::NothingToFinish`], [`ChangeError::HoldTooLong`]
    pub fn finish_by_itself(mut self, hold: Duration, by: By<'_>) -> Result<Change, ChangeError> {
        if self.expiring_keys(by.at).next().is_none() {
            return Err(ChangeError::NothingToFinish);
        }
        if hold > MAX_GRACE {
            return Err(ChangeError::HoldTooLong);
        }
        let finish = AutoFinish { at: by.at, by: by.actor.name.clone(), user_id: by.actor.user_id, hold };
        let noted = Noted::new(AuditAction::AutoFinishSet, self.name.as_str()).after(finish.to_string());
        self.auto_finish = Some(finish);
        self.changed(by, [noted])
    }

    /// Cancels the automatic revocation of the old keys.
    ///
    /// # Errors
    /// [`ChangeError::NoAutoFinish`]
    pub fn cancel_auto_finish(mut self, by: By<'_>) -> Result<Change, ChangeError> {
        let finish = self.auto_finish.take().ok_or(ChangeError::NoAutoFinish)?;
        let noted = Noted::new(AuditAction::AutoFinishCancelled, self.name.as_str()).before(finish.to_string());
        self.changed(by, [noted])
    }

    /// Moves the deadline of an expiring key, to an earlier time or up to 30 days after its rotation.
    ///
    /// # Errors
    /// [`ChangeError::KeyNotFound`], [`ChangeError::ApiKey`]
    pub fn move_deadline(self, id: ApiKeyId, at: Timestamp, by: By<'_>) -> Result<Change, ChangeError> {
        self.change_api_key(id, AuditAction::ApiKeyDeadlineMoved, by, |key| Ok(key.expire(at, by.at)?))
    }

    /// Makes an expiring key active again, to roll back a rotation.
    ///
    /// # Errors
    /// [`ChangeError::KeyNotFound`], [`ChangeError::ApiKey`]
    pub fn keep_api_key(self, id: ApiKeyId, by: By<'_>) -> Result<Change, ChangeError> {
        self.change_api_key(id, AuditAction::ApiKeyKept, by, |key| Ok(key.keep(by.at)?))
    }

    /// Revokes a live key. Revocation is final.
    ///
    /// # Errors
    /// [`ChangeError::KeyNotFound`], [`ChangeError::ApiKey`]
    pub fn revoke_api_key(self, id: ApiKeyId, by: By<'_>) -> Result<Change, ChangeError> {
        self.change_api_key(id, AuditAction::ApiKeyRevoked, by, |key| Ok(key.revoke(by.at)?))
    }

    /// Revokes a live key in an emergency, which needs no ticket.
    ///
    /// # Errors
    /// [`ChangeError::KeyNotFound`], [`ChangeError::ApiKey`]
    pub fn stop_api_key(mut self, id: ApiKeyId, by: By<'_>) -> Result<Change, ChangeError> {
        let key = self.api_keys.iter_mut().find(|key| key.id == id).ok_or(ChangeError::KeyNotFound)?;
        let before = key.status(by.at);
        *key = key.clone().revoke(by.at)?;
        let noted = Noted::of_api_key(AuditAction::ApiKeyRevoked, before, key, by.at);
        self.changed_without_ticket(by, [noted])
    }

    /// Revokes a live key because it was exposed.
    ///
    /// # Errors
    /// [`ChangeError::KeyNotFound`], [`ChangeError::ApiKey`]
    pub fn revoke_exposed_api_key(self, id: ApiKeyId, by: By<'_>) -> Result<Change, ChangeError> {
        let exposure = by.exposure();
        self.change_api_key(id, AuditAction::ApiKeyRevoked, by, |key| Ok(key.exposed(exposure).revoke(by.at)?))
    }

    /// Registers a public key as the current signing key.
    ///
    /// # Errors
    /// The application already has the key, it cannot be registered, the overlap is too long, or too many keys verify.
    pub fn replace_signing_key(
        mut self,
        new: NewSigningKey,
        replacement: SigningKeyReplacement,
        by: By<'_>,
    ) -> Result<Change, ChangeError> {
        match self.signing_keys.iter().find(|key| key.public_key == new.public_key).map(|key| key.state) {
            Some(SigningKeyState::Current) => return Err(ChangeError::SigningKeyIsCurrent),
            Some(_) => return Err(ChangeError::SigningKeyInHistory),
            // A proposed change may be older than the current, stricter rules.
            None => new.public_key.check_registrable()?,
        }
        let before = self.current_signing_key().public_key.fingerprint();
        let old = self.replace_current(replacement, by.at)?;
        let key = new.registered(by);
        let noted = Noted::new(AuditAction::SigningKeyReplaced, &key.public_key.fingerprint())
            .before(format!("{before} current"))
            .after(format!("{} current; {old}", described(&key)));
        self.signing_keys.insert(0, key);
        self.changed(by, [noted])
    }

    /// Makes an earlier signing key current again, to roll back a replacement. The present key is retired at once or
    /// after an overlap.
    ///
    /// # Errors
    /// [`ChangeError::KeyNotFound`], [`ChangeError::SigningKeyIsCurrent`], or as [`Self::replace_signing_key`].
    pub fn restore_signing_key(
        mut self,
        id: SigningKeyId,
        replacement: SigningKeyReplacement,
        by: By<'_>,
    ) -> Result<Change, ChangeError> {
        let index = self.signing_key_index(id)?;
        if self.signing_keys[index].state == SigningKeyState::Current {
            return Err(ChangeError::SigningKeyIsCurrent);
        }
        let restored = self.signing_keys[index].public_key.fingerprint();
        let before = self.current_signing_key().public_key.fingerprint();
        // Retired here so that it is not counted among the verifying keys that are limited below.
        self.signing_keys[index].state = SigningKeyState::Retired { at: by.at };
        let old = self.replace_current(replacement, by.at)?;
        self.signing_keys[index].state = SigningKeyState::Current;
        let noted = Noted::new(AuditAction::SigningKeyRestored, &restored)
            .before(format!("{before} current"))
            .after(format!("{restored} current; {old}"));
        self.changed(by, [noted])
    }

    /// Retires a signing key whose overlap has not ended.
    ///
    /// # Errors
    /// [`ChangeError::KeyNotFound`], [`ChangeError::SigningKeyRetired`], [`ChangeError::SigningKeyNeeded`]
    pub fn retire_signing_key(mut self, id: SigningKeyId, by: By<'_>) -> Result<Change, ChangeError> {
        let index = self.signing_key_index(id)?;
        let before = self.signing_keys[index].status(by.at);
        match before {
            SigningKeyState::Current => return Err(ChangeError::SigningKeyNeeded),
            SigningKeyState::Retired { .. } => return Err(ChangeError::SigningKeyRetired),
            SigningKeyState::Retiring { .. } => {}
        }
        let after = SigningKeyState::Retired { at: by.at };
        self.signing_keys[index].state = after;
        let fingerprint = self.signing_keys[index].public_key.fingerprint();
        let noted = Noted::new(AuditAction::SigningKeyRetired, &fingerprint)
            .before(before.to_string())
            .after(after.to_string());
        self.changed(by, [noted])
    }

    fn signing_key_index(&self, id: SigningKeyId) -> Result<usize, ChangeError> {
        self.signing_keys.iter().position(|key| key.id == id).ok_or(ChangeError::KeyNotFound)
    }

    /// Retires the current signing key and those in an overlap, as `replacement` says. Returns a description of their
    /// states.
    fn replace_current(&mut self, replacement: SigningKeyReplacement, now: Timestamp) -> Result<String, ChangeError> {
        let until = match replacement {
            SigningKeyReplacement::StopNow => None,
            SigningKeyReplacement::WithOverlap(overlap) if overlap > MAX_GRACE => {
                return Err(ChangeError::GraceTooLong);
            }
            SigningKeyReplacement::WithOverlap(overlap) => {
                if self.signing_keys.iter().filter(|key| key.verifies(now)).count() >= MAX_VERIFYING_KEYS {
                    return Err(ChangeError::TooManyVerifyingKeys);
                }
                Some(now.plus(overlap))
            }
        };
        let mut words = Vec::new();
        for key in self.signing_keys.iter_mut().filter(|key| key.verifies(now)) {
            *key = key.clone().replaced(until, now);
            words.push(format!("{} {}", key.public_key.fingerprint(), key.state));
        }
        Ok(words.join("; "))
    }

    fn change_api_key(
        mut self,
        id: ApiKeyId,
        action: AuditAction,
        by: By<'_>,
        transition: impl FnOnce(ApiKey) -> Result<ApiKey, ChangeError>,
    ) -> Result<Change, ChangeError> {
        let index = self.api_keys.iter().position(|key| key.id == id).ok_or(ChangeError::KeyNotFound)?;
        let before = self.api_keys[index].status(by.at);
        let changed = transition(self.api_keys[index].clone())?;
        let noted = Noted::of_api_key(action, before, &changed, by.at);
        self.api_keys[index] = changed;
        self.changed(by, [noted])
    }

    /// Completes a change. An actor of Nuvera must give a reason and a ticket.
    fn changed(self, by: By<'_>, noted: impl IntoIterator<Item = Noted>) -> Result<Change, ChangeError> {
        if by.actor.kind() == ActorKind::Nuvera && by.required_reason()?.ticket.is_none() {
            return Err(ChangeError::TicketNeeded);
        }
        self.changed_without_ticket(by, noted)
    }

    fn changed_without_ticket(
        mut self,
        by: By<'_>,
        noted: impl IntoIterator<Item = Noted>,
    ) -> Result<Change, ChangeError> {
        // The automatic revocation ends together with the rotation.
        if self.expiring_keys(by.at).next().is_none() {
            self.auto_finish = None;
        }
        self.version += 1;
        let events = noted.into_iter().map(|noted| noted.event(&self, by)).collect();
        Ok(Change { application: self, events })
    }
}

impl NewSigningKey {
    fn registered(self, by: By<'_>) -> SigningKey {
        SigningKey {
            id: self.id,
            public_key: self.public_key,
            created_at: by.at,
            created_by: by.actor.name.clone(),
            proven_at: self.is_proven.then_some(by.at),
            state: SigningKeyState::Current,
        }
    }
}

/// Describes a new signing key for the audit history.
fn described(key: &SigningKey) -> String {
    let proof = if key.proven_at.is_some() { "possession proven" } else { "possession not proven" };
    format!("{} ({proof})", key.public_key.fingerprint())
}

/// Describes permissions for the audit history.
fn permissions_in_words(permissions: PermissionSet) -> String {
    if permissions.is_empty() {
        return "none".to_owned();
    }
    permissions.iter().map(|permission| permission.code()).collect::<Vec<_>>().join(", ")
}

/// An audit event that is not yet bound to an application.
struct Noted {
    action: AuditAction,
    target: String,
    before: Option<String>,
    after: Option<String>,
}

impl Noted {
    fn new(action: AuditAction, target: &str) -> Self {
        Self { action, target: target.to_owned(), before: None, after: None }
    }

    fn of_api_key(action: AuditAction, before: ApiKeyStatus, key: &ApiKey, now: Timestamp) -> Self {
        let exposed = if key.exposed.is_some() { "; reported as exposed" } else { "" };
        let after = format!("{}{exposed}", key.status(now));
        Self::new(action, key.prefix.as_str()).before(before.to_string()).after(after)
    }

    fn before(self, before: impl Into<String>) -> Self {
        Self { before: Some(before.into()), ..self }
    }

    fn after(self, after: impl Into<String>) -> Self {
        Self { after: Some(after.into()), ..self }
    }

    fn event(self, application: &ApiApplication, by: By<'_>) -> AuditEvent {
        let Self { action, target, before, after } = self;
        AuditEvent {
            at: by.at,
            actor: by.actor.into(),
            organization_id: application.organization_id,
            application_id: Some(application.id),
            action,
            target,
            before,
            after,
            reason: by.reason.cloned(),
        }
    }
}

#[cfg(test)]
mod tests;
