//! Two-sided approval. If an organization's security policy says so, Nuvera's changes of permissions and signing keys
//! wait until a member confirms them. Enabling what the partner disabled and restoring a retired signing key always
//! wait: Nuvera must not undo what may have been the partner's own emergency stop.
//!
//! Whether a change waits is decided inside the change transaction, by the policy at that time. Disabling an
//! application and ending a key's life never wait.

use super::{Asked, Backend, BackendError, Said, blocked_keys, has_twin, may_after_proof};
use crate::store::{applications, policies, users};
use domain::{
    access::Operation,
    actor::{Actor, ActorKind},
    application::{ApiApplication, By, ChangeError, ProposedChange, RequestedChange},
    id::OrganizationId,
    security_policy::SecurityRules,
    time::Timestamp,
};
use sqlx::AnyConnection;

/// What became of a requested change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made.
    Made,
    /// It was proposed and waits for the partner's confirmation.
    Proposed,
}

impl Backend {
    /// Makes a change, or proposes it if it is Nuvera's and must wait for the partner. The second value of the result
    /// is whether another application of the organization has the signing key that this one would get.
    ///
    /// # Errors
    /// As [`Backend::change`]; the signing key belongs to another organization.
    pub async fn request_change(
        &self,
        asked: Asked<'_>,
        said: Said,
        change: RequestedChange,
    ) -> Result<(Outcome, bool), BackendError> {
        let (mut pending, mut transaction) = self.turn(asked.actor, asked.organization, change.operation()).await?;
        let found = Self::as_seen(&mut transaction, asked, said.seen_version).await?;
        let twin = has_twin_of(&mut transaction, asked, &change).await?;
        let by = By { actor: asked.actor, at: self.clock.now(), reason: said.reason.as_ref() };
        // A change that could not be made now is not proposed, unless only the partner's confirmation is missing.
        let made = match change.clone().carry_out(found.clone(), by) {
            Err(ChangeError::DisabledByPartner) => None,
            made => Some(made?),
        };
        let after = match &made {
            Some(made) => made.application.clone(),
            None => ApiApplication { disabled: None, ..found.clone() },
        };
        blocked_keys::check(&mut transaction, Some(&found), &after, by.at).await?;
        let made = match made {
            Some(made) if !waits(&mut transaction, asked, &found, &change, by.at).await? => Some(made),
            _ => None,
        };
        let Some(made) = made else {
            self.save(transaction, &mut pending, &found.propose(change, by)?).await?;
            return Ok((Outcome::Proposed, twin));
        };
        self.save(transaction, &mut pending, &made).await?;
        Ok((Outcome::Made, twin))
    }

    /// Whether the actor's changes of permissions or signing keys would wait for the partner now.
    ///
    /// # Errors
    /// The database fails.
    pub async fn waits_for_confirmation(&self, asked: Asked<'_>) -> Result<bool, BackendError> {
        waits_by_policy(&mut *self.store.read().await?, asked).await
    }

    /// Confirms and makes the change that Nuvera proposed for an application, if the application still has the version
    /// it was proposed for.
    ///
    /// # Errors
    /// As [`Backend::change`]; another organization has registered the key meanwhile.
    pub async fn confirm_proposal(&self, asked: Asked<'_>, said: Said) -> Result<ApiApplication, BackendError> {
        let operation = Operation::ConfirmProposedChange;
        let (mut pending, mut transaction) = self.turn(asked.actor, asked.organization, operation).await?;
        let found = Self::as_seen(&mut transaction, asked, said.seen_version).await?;
        if let Some(proposed) = &found.proposed_change {
            may_still(&mut transaction, asked.organization, proposed).await?;
            has_twin_of(&mut transaction, asked, &proposed.change).await?;
        }
        let by = By { actor: asked.actor, at: self.clock.now(), reason: None };
        let change = found.clone().confirm_proposal(by)?;
        blocked_keys::check(&mut transaction, Some(&found), &change.application, by.at).await?;
        self.save(transaction, &mut pending, &change).await?;
        Ok(change.application)
    }

    /// Expires proposed changes that were not confirmed in time. Continues with the others if one cannot be recorded.
    ///
    /// # Errors
    /// The database fails.
    pub async fn expire_proposals(&self) -> Result<(), BackendError> {
        let now = self.clock.now();
        let mut conn = self.store.read().await?;
        let proposed = applications::with_proposed_change(&mut conn).await?;
        drop(conn);
        let mut outcome = Ok(());
        for application in proposed.into_iter().filter(|application| application.open_proposal(now).is_none()) {
            if let Err(error) = self.expire_proposal(&application).await {
                outcome = Err(error);
            }
        }
        outcome
    }

    async fn expire_proposal(&self, application: &ApiApplication) -> Result<(), BackendError> {
        let mut pending = self.settled().await?;
        let mut transaction = self.store.write().await?;
        let found = applications::find(&mut transaction, application.organization_id, application.id).await?;
        match found.map(|found| found.expire_proposal(self.clock.now())) {
            Some(Ok(change)) => self.save(transaction, &mut pending, &change).await,
            // The proposal is gone, or a new one is open.
            Some(Err(ChangeError::NothingProposed)) | None => Ok(()),
            Some(Err(error)) => Err(error.into()),
        }
    }
}

/// Checks that the proposer would still be allowed to propose the change.
///
/// # Errors
/// [`ChangeError::ProposerGone`]; the database fails.
async fn may_still(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    proposed: &ProposedChange,
) -> Result<(), BackendError> {
    let proposer = users::find_actor(conn, proposed.user_id, None).await?;
    let may = |proposer: &Actor| may_after_proof(proposer, organization, proposed.change.operation());
    if proposer.as_ref().is_some_and(may) { Ok(()) } else { Err(ChangeError::ProposerGone.into()) }
}

async fn has_twin_of(
    conn: &mut AnyConnection,
    asked: Asked<'_>,
    change: &RequestedChange,
) -> Result<bool, BackendError> {
    match change {
        RequestedChange::ReplaceSigningKey { key, .. } => {
            has_twin(conn, asked.organization, Some(asked.application), &key.public_key).await
        }
        RequestedChange::Enable
        | RequestedChange::Permissions(_)
        | RequestedChange::RestoreSigningKey { .. }
        | RequestedChange::RetireSigningKey { .. } => Ok(false),
    }
}

/// Whether a change that the actor is allowed to make must still wait for the partner. The policy covers permissions
/// and signing keys; what Nuvera itself disabled it may enable.
async fn waits(
    conn: &mut AnyConnection,
    asked: Asked<'_>,
    found: &ApiApplication,
    change: &RequestedChange,
    now: Timestamp,
) -> Result<bool, BackendError> {
    match change {
        RequestedChange::Enable => Ok(false),
        RequestedChange::RestoreSigningKey { id, .. }
            if found.restoring_waits_for_partner(*id, asked.actor.kind(), now) =>
        {
            Ok(true)
        }
        RequestedChange::Permissions(_)
        | RequestedChange::ReplaceSigningKey { .. }
        | RequestedChange::RestoreSigningKey { .. }
        | RequestedChange::RetireSigningKey { .. } => waits_by_policy(conn, asked).await,
    }
}

async fn waits_by_policy(conn: &mut AnyConnection, asked: Asked<'_>) -> Result<bool, BackendError> {
    if asked.actor.kind() != ActorKind::Nuvera {
        return Ok(false);
    }
    let policy = policies::find::<SecurityRules>(conn, asked.organization).await?;
    Ok(policy.rules.nuvera_changes_need_confirmation)
}
