//! Bulk disable of applications in an emergency. Like the stop of a single application it depends on nothing else: no
//! proof of identity, no approval, and no writable database.

use super::{Backend, BackendError, authorise};
use crate::{
    gateway::DenyScope,
    store::{StoreError, applications, stops},
};
use domain::{
    access::{Operation, allows},
    actor::Actor,
    bulk_stop::{Fate, Stoppable},
    cut_over::Traffic,
    id::{ApplicationId, OrganizationId},
    text::Why,
    time::Timestamp,
};
use sqlx::AnyConnection;
use std::{collections::HashSet, time::Duration};
use tokio::time::timeout;

/// How long a preview waits for the database. After that it shows the gateway's data.
const PREVIEW: Duration = Duration::from_secs(1);

/// The applications to stop.
#[derive(Clone, Copy, Debug)]
pub enum StopScope<'a> {
    /// All applications of an organization.
    Organization(OrganizationId),
    /// All applications, of any organization, that verify requests with the public key of this fingerprint.
    SigningKey(&'a str),
}

/// Result of a bulk stop.
#[derive(Debug)]
pub struct Stopped {
    /// The applications, ordered by organization and name, each with its outcome.
    pub applications: Vec<(Stoppable, Fate)>,
    /// Whether the stop is in force but could not be recorded in the database yet.
    pub is_unrecorded: bool,
}

impl Backend {
    /// Returns the applications that would be stopped, ordered by organization and name, including those already
    /// disabled. The second value is whether the database did not answer: the result is then the gateway's data,
    /// without usage figures.
    ///
    /// # Errors
    /// Not allowed, not found, or a row is corrupt.
    pub async fn stop_preview(
        &self,
        actor: &Actor,
        scope: StopScope<'_>,
    ) -> Result<(Vec<Stoppable>, bool), BackendError> {
        may_stop(actor, scope)?;
        let now = self.clock.now();
        let found = async {
            self.bring_usage_up_to_date().await;
            in_scope(&mut *self.store.read().await?, scope, now).await
        };
        // The database does not know unrecorded stops.
        let is_known = self.unrecorded_stops() == 0;
        match timeout(PREVIEW, found).await {
            Ok(Ok(found)) if is_known => Ok((found, false)),
            Ok(Err(error @ StoreError::Corrupt { .. })) => Err(error.into()),
            _ => Ok((self.known_in_scope(actor, &scope.into())?, true)),
        }
    }

    /// Stops all applications in `scope`, whether or not the actor saw them. `seen` are those that the actor saw
    /// enabled; the result marks the others. Takes effect immediately, regardless of the database.
    ///
    /// # Errors
    /// Not allowed; not found.
    pub async fn stop_all(
        &self,
        actor: &Actor,
        scope: StopScope<'_>,
        seen: &HashSet<ApplicationId>,
        reason: Option<Why>,
    ) -> Result<Stopped, BackendError> {
        let (applications, is_unrecorded) = self.stop_many(actor, scope.into(), seen, reason).await?;
        Ok(Stopped { applications, is_unrecorded })
    }
}

impl From<StopScope<'_>> for DenyScope {
    fn from(scope: StopScope<'_>) -> Self {
        match scope {
            StopScope::Organization(organization) => Self::Organization(organization),
            StopScope::SigningKey(fingerprint) => Self::Fingerprint(fingerprint.to_owned()),
        }
    }
}

fn may_stop(actor: &Actor, scope: StopScope<'_>) -> Result<(), BackendError> {
    match scope {
        StopScope::Organization(organization) => authorise(actor, organization, Operation::DisableApplication),
        StopScope::SigningKey(_) if allows(actor.role, Operation::StopSigningKey) => Ok(()),
        StopScope::SigningKey(_) => Err(BackendError::Forbidden),
    }
}

/// The applications in `scope` at `now`, ordered by organization and name.
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
    // Within an organization they are already ordered by name.
    found.sort_by(|one, other| one.organization_name.cmp(&other.organization_name));
    Ok(found)
}
