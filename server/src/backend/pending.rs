//! The change lock, and what a failing database has left unresolved: changes whose commit has an unknown outcome, and
//! unrecorded emergency stops.

use super::{Backend, BackendError, authorise, emergency::TURN_WITHIN};
use crate::{
    gateway::Gateway,
    store::{self, StoreError, Transaction, applications, signed_in, users},
};
use domain::{
    access::Operation,
    actor::Actor,
    application::ApiApplication,
    id::{ApplicationId, OrganizationId},
};
use sqlx::AnyConnection;
use std::{mem, slice};
use tokio::{sync::MutexGuard, time::timeout};

/// What must be resolved before the next change. Guarded by the change lock.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Whether the blocked signing keys must be read again.
    are_blocks_doubtful: bool,
    /// Whether the suspended organizations must be read again.
    are_suspensions_doubtful: bool,
    doubtful: Vec<(OrganizationId, ApplicationId)>,
}

impl Pending {
    /// Sets whether the blocked signing keys must be read again before the next change. Returns the earlier value.
    pub(super) fn doubt_blocks(&mut self, doubtful: bool) -> bool {
        mem::replace(&mut self.are_blocks_doubtful, doubtful)
    }

    /// Sets whether the suspended organizations must be read again before the next change.
    pub(super) fn doubt_suspensions(&mut self, doubtful: bool) {
        self.are_suspensions_doubtful = doubtful;
    }
}

impl Backend {
    /// Acquires the change lock and resolves everything that is pending.
    pub(super) async fn settled(&self) -> Result<MutexGuard<'_, Pending>, BackendError> {
        let mut pending = timeout(TURN_WITHIN, self.changes.lock()).await.map_err(|_| StoreError::Stalled)?;
        self.emergency.record_waiting(&mut pending).await?;
        if pending.are_blocks_doubtful {
            let blocked = store::blocked_keys::in_force(&mut *self.store.read().await?).await?;
            self.gateway.snapshot().set_blocked_keys(blocked);
            pending.are_blocks_doubtful = false;
        }
        if pending.are_suspensions_doubtful {
            let suspended = store::organizations::suspended(&mut *self.store.read().await?).await?;
            self.gateway.snapshot().set_suspended(suspended);
            pending.are_suspensions_doubtful = false;
        }
        while let Some(&(organization, id)) = pending.doubtful.last() {
            let mut conn = self.store.read().await?;
            if let Some(application) = applications::find(&mut conn, organization, id).await? {
                self.gateway.snapshot().apply(&application);
            }
            pending.doubtful.pop();
        }
        Ok(pending)
    }

    /// Acquires the change lock and opens a transaction. Checks the actor's authority before, and again inside the
    /// transaction, because they may have been removed or given another role meanwhile.
    ///
    /// # Errors
    /// As [`authorise`]; [`BackendError::Forbidden`] if the actor was removed or their session has ended; the database
    /// fails.
    pub(super) async fn turn(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        operation: Operation,
    ) -> Result<(MutexGuard<'_, Pending>, Transaction), BackendError> {
        self.turn_if(actor, |actor| authorise(actor, organization, operation)).await
    }

    /// As [`Backend::turn`], for changes that do not concern a single organization.
    ///
    /// # Errors
    /// As `may`; [`BackendError::Forbidden`] if the actor was removed or their session has ended; the database fails.
    pub(super) async fn turn_if(
        &self,
        actor: &Actor,
        may: impl Fn(&Actor) -> Result<(), BackendError>,
    ) -> Result<(MutexGuard<'_, Pending>, Transaction), BackendError> {
        may(actor)?;
        let pending = self.settled().await?;
        let mut transaction = self.store.write().await?;
        may(&as_they_are(&mut transaction, actor).await?)?;
        Ok((pending, transaction))
    }

    /// Acquires the change lock and opens a transaction for a change to the actor's own account. Returns the actor as
    /// reloaded inside the transaction.
    ///
    /// # Errors
    /// [`BackendError::Forbidden`] if the actor was removed or their session has ended; the database fails.
    pub(super) async fn own_turn(
        &self,
        actor: &Actor,
    ) -> Result<(MutexGuard<'_, Pending>, Actor, Transaction), BackendError> {
        let settled = self.settled().await?;
        let mut transaction = self.store.write().await?;
        let found = as_they_are(&mut transaction, actor).await?;
        Ok((settled, found, transaction))
    }

    /// Commits a change and applies it to the gateway. If the commit fails, its outcome is unknown: the application is
    /// read again before the next change, and about every half second until that succeeds.
    pub(super) async fn commit(
        &self,
        transaction: Transaction,
        pending: &mut Pending,
        application: &ApiApplication,
    ) -> Result<(), BackendError> {
        self.commit_all(transaction, pending, slice::from_ref(application)).await
    }

    /// As [`Backend::commit`], for several applications that were changed in one transaction.
    pub(super) async fn commit_all(
        &self,
        transaction: Transaction,
        pending: &mut Pending,
        applications: &[ApiApplication],
    ) -> Result<(), BackendError> {
        commit_all(&self.gateway, transaction, pending, applications).await
    }

    /// Resolves everything that is pending.
    ///
    /// # Errors
    /// The database still fails.
    pub async fn settle(&self) -> Result<(), BackendError> {
        self.settled().await.map(drop)
    }
}

/// Commits a change of `applications` and applies it to the gateway. If the commit fails or the future is dropped, they
/// are read again before the next change.
pub(super) async fn commit_all(
    gateway: &Gateway,
    transaction: Transaction,
    pending: &mut Pending,
    applications: &[ApiApplication],
) -> Result<(), BackendError> {
    let known = pending.doubtful.len();
    pending.doubtful.extend(applications.iter().map(|changed| (changed.organization_id, changed.id)));
    transaction.commit().await.map_err(StoreError::from)?;
    pending.doubtful.truncate(known);
    gateway.snapshot().apply_all(applications);
    Ok(())
}

/// Reloads the actor inside the transaction. Fails if their session has ended or they were removed, so that this also
/// applies to a change that was waiting for the lock.
pub(super) async fn as_they_are(conn: &mut AnyConnection, actor: &Actor) -> Result<Actor, BackendError> {
    if let Some(session) = actor.session
        && signed_in::find(&mut *conn, session).await?.is_none()
    {
        return Err(BackendError::Forbidden);
    }
    let found = users::find_actor(conn, actor.user_id, actor.address).await?.ok_or(BackendError::Forbidden)?;
    Ok(Actor { is_proven: actor.is_proven, session: actor.session, ..found })
}
