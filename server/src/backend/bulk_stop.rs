//! Stopping many applications at once, in an emergency. Like the stop of one, it waits for nothing: no proof, no approval,
//! and no database that cannot be written.

use super::{Backend, BackendError, authorise, blocked_keys, flush::report};
use crate::store::{self, StoreError, applications, stops};
use domain::{
    access::{Operation, allows},
    actor::Actor,
    application::By,
    bulk_stop::{BulkStop, Fate, Stoppable, stop_all, stop_signing_key},
    cut_over::Traffic,
    id::{ApplicationId, OrganizationId},
    text::Why,
    time::Timestamp,
};
use sqlx::AnyConnection;
use std::collections::{HashMap, HashSet};

/// Which applications are stopped.
#[derive(Clone, Copy, Debug)]
pub enum StopScope<'a> {
    /// All of an organization.
    Organization(OrganizationId),
    /// All that verify requests with the public key of this fingerprint, whichever organization's.
    SigningKey(&'a str),
}

/// What a stop came to.
#[derive(Debug)]
pub struct Stopped {
    /// The applications, by organization and name, and what became of each.
    pub applications: Vec<(Stoppable, Fate)>,
    /// Whether the audit history could not be written: then the record is owed.
    pub is_unrecorded: bool,
}

impl Backend {
    /// What would be stopped: by organization and name, those included that are disabled already.
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn stop_preview(&self, actor: &Actor, scope: StopScope<'_>) -> Result<Vec<Stoppable>, BackendError> {
        may_stop(actor, scope)?;
        report(self.flush_usage().await);
        let now = self.clock.now();
        Ok(in_scope(&mut *self.store.read().await?, scope, now).await?)
    }

    /// Stops all of them, whatever the person saw of them before. `seen`: those that they saw running; the answer tells the
    /// others apart. Where the database cannot be written the gateway obeys all the same, and the record is owed.
    ///
    /// # Errors
    /// Not allowed; not found; no reason; the database cannot even be read.
    pub async fn stop_all(
        &self,
        actor: &Actor,
        scope: StopScope<'_>,
        seen: &HashSet<ApplicationId>,
        reason: Option<Why>,
    ) -> Result<Stopped, BackendError> {
        may_stop(actor, scope)?;
        let (found, fates, is_unrecorded) = match self.stop_recorded(actor, scope, seen, reason.as_ref()).await {
            Err(BackendError::Store(error)) => {
                tracing::error!(?scope, %error, "an emergency stop of many applications could not be recorded; it is obeyed, and will be recorded when the database can be written");
                let (found, fates) = self.stop_unrecorded(actor, scope, seen, reason).await?;
                (found, fates, true)
            }
            stopped => stopped.map(|(found, fates)| (found, fates, false))?,
        };
        let fates: HashMap<_, _> = fates.into_iter().collect();
        let with_fate = |stopped: Stoppable| Some((fates.get(&stopped.application.id).copied()?, stopped));
        let applications = found.into_iter().filter_map(with_fate).map(|(fate, stopped)| (stopped, fate)).collect();
        Ok(Stopped { applications, is_unrecorded })
    }

    async fn stop_recorded(
        &self,
        actor: &Actor,
        scope: StopScope<'_>,
        seen: &HashSet<ApplicationId>,
        reason: Option<&Why>,
    ) -> Result<(Vec<Stoppable>, Vec<(ApplicationId, Fate)>), BackendError> {
        let (mut pending, mut transaction) = self.turn_if(actor, |actor| may_stop(actor, scope)).await?;
        let now = self.clock.now();
        let by = By { actor, at: now, reason };
        if let StopScope::SigningKey(_) = scope {
            // Before the applications are read: what registers the key at the same moment is found, or refused.
            store::blocked_keys::lock(&mut transaction).await?;
        }
        let found = in_scope(&mut transaction, scope, now).await?;
        let applications = found.iter().map(|found| found.application.clone()).collect();
        let BulkStop { changes, fates } = match scope {
            StopScope::Organization(_) => stop_all(applications, seen, by)?,
            StopScope::SigningKey(fingerprint) => stop_signing_key(applications, fingerprint, seen, by)?,
        };
        if let StopScope::SigningKey(fingerprint) = scope {
            let stopped = fates.iter().filter(|(_, fate)| *fate != Fate::WasDisabled).count();
            blocked_keys::block(&mut transaction, fingerprint, stopped, by).await?;
        }
        for change in &changes {
            applications::save(&mut transaction, change).await?;
        }
        let stopped: Vec<_> = changes.into_iter().map(|change| change.application).collect();
        if let StopScope::SigningKey(fingerprint) = scope {
            // Before the commit, so that nothing is accepted in between. Where the commit fails, the blocks are read again.
            self.gateway.snapshot().block_key(fingerprint);
            pending.doubt_blocks();
        }
        self.commit_all(transaction, &mut pending, &stopped).await?;
        pending.trust_blocks();
        Ok((found, fates))
    }
}

fn may_stop(actor: &Actor, scope: StopScope<'_>) -> Result<(), BackendError> {
    match scope {
        StopScope::Organization(organization) => authorise(actor, organization, Operation::DisableApplication),
        StopScope::SigningKey(_) if allows(actor.role, Operation::StopSigningKey) => Ok(()),
        StopScope::SigningKey(_) => Err(BackendError::Forbidden),
    }
}

/// The applications that a stop is about at `now`, by organization and name.
pub(super) async fn in_scope(
    conn: &mut AnyConnection,
    scope: StopScope<'_>,
    now: Timestamp,
) -> Result<Vec<Stoppable>, StoreError> {
    let since = Traffic::minute(now) + 1 - 60;
    let (applications, mut uses) = match scope {
        StopScope::Organization(organization) => (
            applications::of_organization(conn, organization).await?,
            stops::of_organization(conn, organization, since).await?,
        ),
        StopScope::SigningKey(fingerprint) => {
            let mut found = applications::of_fingerprint(conn, fingerprint).await?;
            found.retain(|application| {
                let mut keys = application.signing_keys.iter().filter(|key| key.verifies(now));
                keys.any(|key| key.public_key.fingerprint() == fingerprint)
            });
            (found, stops::of_fingerprint(conn, fingerprint, since).await?)
        }
    };
    let mut found: Vec<_> = applications
        .into_iter()
        .filter_map(|application| {
            let stops::Use { organization_name, requests, last_used_at } = uses.remove(&application.id)?;
            Some(Stoppable { application, organization_name, requests, last_used_at })
        })
        .collect();
    // By name within an organization they are already.
    found.sort_by(|one, other| one.organization_name.cmp(&other.organization_name));
    Ok(found)
}
