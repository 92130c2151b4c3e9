//! What a failing database leaves to be done: emergency stops that are obeyed and not recorded yet, and changes of which
//! nobody knows whether their commit took place.

use super::{
    Asked, Backend, BackendError, authorise, blocked_keys,
    bulk_stop::{StopScope, in_scope},
};
use crate::store::{self, Store, StoreError, applications, signed_in, users};
use domain::{
    access::Operation,
    actor::Actor,
    application::{ApiApplication, By, Change, ChangeError},
    bulk_stop::{Fate, Stoppable, stop_all, stop_signing_key},
    id::{ApplicationId, OrganizationId},
    text::Why,
    time::Timestamp,
};
use sqlx::{Any, AnyConnection, Transaction};
use std::{collections::HashSet, slice};
use tokio::sync::MutexGuard;

/// What must be done before the next change.
#[derive(Debug, Default)]
pub(super) struct Pending {
    stops: Vec<UnrecordedStop>,
    /// Signing keys that the gateway refuses and the database does not know as blocked.
    blocks: Vec<UnrecordedBlock>,
    /// Whether the blocked signing keys must be read again.
    are_blocks_doubtful: bool,
    doubtful: Vec<(OrganizationId, ApplicationId)>,
}

/// A stop that the gateway obeys and the database does not know yet.
#[derive(Clone, Debug)]
struct UnrecordedStop {
    actor: Actor,
    organization: OrganizationId,
    application: ApplicationId,
    reason: Option<Why>,
    at: Timestamp,
    /// The signing key that was blocked with it.
    blocked_key: Option<String>,
}

/// A block of a signing key that the gateway obeys and the database does not know yet.
#[derive(Clone, Debug)]
struct UnrecordedBlock {
    actor: Actor,
    fingerprint: String,
    /// How many applications it stopped.
    stopped: usize,
    reason: Option<Why>,
    at: Timestamp,
}

impl Pending {
    /// The blocked signing keys are read again before the next change.
    pub(super) fn doubt_blocks(&mut self) {
        self.are_blocks_doubtful = true;
    }

    /// The gateway knows the blocked signing keys.
    pub(super) fn trust_blocks(&mut self) {
        self.are_blocks_doubtful = false;
    }
}

impl Backend {
    /// Takes the lock under which changes are made, once nothing is pending any more.
    pub(super) async fn settled(&self) -> Result<MutexGuard<'_, Pending>, BackendError> {
        let mut pending = self.changes.lock().await;
        while let Some(block) = pending.blocks.last() {
            record_block(&self.store, block).await?;
            pending.blocks.pop();
        }
        if pending.are_blocks_doubtful {
            let blocked = store::blocked_keys::in_force(&mut *self.store.read().await?).await?;
            self.gateway.snapshot().set_blocked_keys(blocked);
            pending.are_blocks_doubtful = false;
        }
        while let Some(stop) = pending.stops.last() {
            record(&self.store, stop).await?;
            pending.stops.pop();
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

    /// Waits for the turn of somebody's change: nothing is pending, nobody else changes anything, and they still may.
    /// Meanwhile they may have been removed, or given another role.
    ///
    /// # Errors
    /// As [`authorise`]; [`BackendError::Forbidden`] where they are gone, or their session is; the database fails.
    pub(super) async fn turn(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        operation: Operation,
    ) -> Result<(MutexGuard<'_, Pending>, Transaction<'static, Any>), BackendError> {
        self.turn_if(actor, |actor| authorise(actor, organization, operation)).await
    }

    /// As [`Backend::turn`], for what is no single organization's.
    ///
    /// # Errors
    /// As `may`; [`BackendError::Forbidden`] where they are gone, or their session is; the database fails.
    pub(super) async fn turn_if(
        &self,
        actor: &Actor,
        may: impl Fn(&Actor) -> Result<(), BackendError>,
    ) -> Result<(MutexGuard<'_, Pending>, Transaction<'static, Any>), BackendError> {
        may(actor)?;
        let pending = self.settled().await?;
        let mut transaction = self.store.write().await?;
        may(&as_they_are(&mut transaction, actor).await?)?;
        Ok((pending, transaction))
    }

    /// Waits for the turn of a change to one's own account, and reads who one is by then.
    ///
    /// # Errors
    /// [`BackendError::Forbidden`] where they are gone, or their session is; the database fails.
    pub(super) async fn own_turn(
        &self,
        actor: &Actor,
    ) -> Result<(MutexGuard<'_, Pending>, Actor, Transaction<'static, Any>), BackendError> {
        let settled = self.settled().await?;
        let mut transaction = self.store.write().await?;
        let found = as_they_are(&mut transaction, actor).await?;
        Ok((settled, found, transaction))
    }

    /// Commits a change and shows it to the gateway. Where the commit fails nobody knows whether it took place: the
    /// application is read again before the next change, and about once a second until that works.
    pub(super) async fn commit(
        &self,
        transaction: Transaction<'static, Any>,
        pending: &mut Pending,
        application: &ApiApplication,
    ) -> Result<(), BackendError> {
        self.commit_all(transaction, pending, slice::from_ref(application)).await
    }

    /// As [`Backend::commit`], for several applications that were changed together.
    pub(super) async fn commit_all(
        &self,
        transaction: Transaction<'static, Any>,
        pending: &mut Pending,
        applications: &[ApiApplication],
    ) -> Result<(), BackendError> {
        if let Err(error) = transaction.commit().await {
            pending.doubtful.extend(applications.iter().map(|changed| (changed.organization_id, changed.id)));
            return Err(StoreError::from(error).into());
        }
        self.gateway.snapshot().apply_all(applications);
        Ok(())
    }

    /// Whether a stop of `application` is obeyed and not recorded yet.
    pub async fn is_stop_unrecorded(&self, application: ApplicationId) -> bool {
        self.changes.lock().await.stops.iter().any(|stop| stop.application == application)
    }

    /// Does what is pending, where the database lets it.
    ///
    /// # Errors
    /// It still does not.
    pub async fn settle(&self) -> Result<(), BackendError> {
        self.settled().await.map(drop)
    }

    pub(super) async fn disable_unrecorded(&self, asked: Asked<'_>, reason: Option<Why>) -> Result<(), BackendError> {
        let Asked { actor, organization, application: id } = asked;
        authorise(actor, organization, Operation::DisableApplication)?;
        let mut pending = self.changes.lock().await;
        let mut conn = self.store.read().await?;
        let application = applications::find(&mut conn, organization, id).await?;
        let stop = UnrecordedStop {
            actor: actor.clone(),
            organization,
            application: id,
            reason,
            at: self.clock.now(),
            blocked_key: None,
        };
        let change = stop.apply_to(application.ok_or(BackendError::NotFound)?)?;
        self.gateway.snapshot().apply(&change.application);
        pending.stops.push(stop);
        Ok(())
    }

    /// Stops many applications where the database cannot be written.
    pub(super) async fn stop_unrecorded(
        &self,
        actor: &Actor,
        scope: StopScope<'_>,
        seen: &HashSet<ApplicationId>,
        reason: Option<Why>,
    ) -> Result<(Vec<Stoppable>, Vec<(ApplicationId, Fate)>), BackendError> {
        let mut pending = self.changes.lock().await;
        let at = self.clock.now();
        let mut conn = self.store.read().await?;
        let found = in_scope(&mut conn, scope, at).await?;
        // The database does not know of those that were stopped like this before.
        let is_stopped =
            |application: &ApiApplication| pending.stops.iter().any(|stop| stop.application == application.id);
        let applications = found.iter().map(|found| found.application.clone());
        let (stopped, running): (Vec<_>, Vec<_>) = applications.partition(is_stopped);
        let by = By { actor, at, reason: reason.as_ref() };
        let blocked_key = match scope {
            StopScope::Organization(_) => None,
            StopScope::SigningKey(fingerprint) => Some(fingerprint.to_owned()),
        };
        let stop = match &blocked_key {
            None => stop_all(running, seen, by)?,
            Some(fingerprint) => stop_signing_key(running, fingerprint, seen, by)?,
        };
        if let Some(fingerprint) = &blocked_key {
            self.gateway.snapshot().block_key(fingerprint);
            let stopped = stop.fates.iter().filter(|(_, fate)| *fate != Fate::WasDisabled).count();
            let (actor, fingerprint) = (actor.clone(), fingerprint.clone());
            pending.blocks.push(UnrecordedBlock { actor, fingerprint, stopped, reason: reason.clone(), at });
        }
        let applications: Vec<_> = stop.changes.into_iter().map(|change| change.application).collect();
        self.gateway.snapshot().apply_all(&applications);
        pending.stops.extend(applications.into_iter().map(|application| UnrecordedStop {
            actor: actor.clone(),
            organization: application.organization_id,
            application: application.id,
            reason: reason.clone(),
            at,
            blocked_key: blocked_key.clone(),
        }));
        let before = stopped.into_iter().map(|application| (application.id, Fate::WasDisabled));
        Ok((found, stop.fates.into_iter().chain(before).collect()))
    }
}

/// Who somebody is by now, and still may be: whoever ended their session, or removed them, meant what waits as well.
async fn as_they_are(conn: &mut AnyConnection, actor: &Actor) -> Result<Actor, BackendError> {
    if let Some(session) = actor.session
        && signed_in::find(&mut *conn, session).await?.is_none()
    {
        return Err(BackendError::Forbidden);
    }
    let found = users::find_actor(conn, actor.user_id, actor.address).await?.ok_or(BackendError::Forbidden)?;
    Ok(Actor { is_proven: actor.is_proven, session: actor.session, ..found })
}

impl UnrecordedStop {
    fn apply_to(&self, application: ApiApplication) -> Result<Change, ChangeError> {
        let by = By { actor: &self.actor, at: self.at, reason: self.reason.as_ref() };
        match &self.blocked_key {
            None => application.disable(by),
            Some(key) => application.stop_for_blocked_key(key, by)?.ok_or(ChangeError::AlreadyDisabled),
        }
    }
}

async fn record_block(store: &Store, block: &UnrecordedBlock) -> Result<(), BackendError> {
    let mut transaction = store.write().await?;
    store::blocked_keys::lock(&mut transaction).await?;
    let by = By { actor: &block.actor, at: block.at, reason: block.reason.as_ref() };
    blocked_keys::block(&mut transaction, &block.fingerprint, block.stopped, by).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

async fn record(store: &Store, stop: &UnrecordedStop) -> Result<(), BackendError> {
    let mut transaction = store.write().await?;
    let found = applications::find(&mut transaction, stop.organization, stop.application).await?;
    // Disabled by somebody else on another node meanwhile: then there is nothing left to record.
    let Some(Ok(change)) = found.map(|application| stop.apply_to(application)) else { return Ok(()) };
    applications::save(&mut transaction, &change).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}
