//! Writes an emergency stop and its audit events to the database, with the stop's original actor and time.

use super::{
    super::{
        BackendError, blocked_keys,
        bulk_stop::{StopScope, in_scope},
        pending::{Pending, as_they_are, commit_all},
    },
    Emergency, Stop, may_stop,
};
use crate::{
    gateway::DenyScope,
    store::{self, StoreError, applications, audit, organizations},
};
use domain::{
    actor::Actor,
    application::{By, Change, ChangeError},
    audit::AuditAction,
    bulk_stop::{BulkStop, Fate, Stoppable, stop_all, stop_signing_key},
    id::{ApplicationId, OrganizationId},
};
use sqlx::AnyConnection;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What was recorded of a stop.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// The applications, ordered by organization and name, each with its outcome.
    pub(super) applications: Vec<(Stoppable, Fate)>,
}

impl Emergency {
    /// Records a stop and applies it to the gateway's snapshot.
    ///
    /// # Errors
    /// The database fails; `authority` is no longer allowed to stop this; the application does not exist or is already
    /// disabled.
    pub(super) async fn record(
        &self,
        stop: &Stop,
        seen: &HashSet<ApplicationId>,
        authority: Option<&Actor>,
        may_be_recorded: bool,
        pending: &mut Pending,
    ) -> Result<Recorded, BackendError> {
        let mut transaction = self.store.write().await?;
        if let DenyScope::Fingerprint(_) = &stop.scope {
            // Acquired before the applications are read, so that a concurrent registration of the key is either found
            // or rejected.
            store::blocked_keys::lock(&mut transaction).await?;
        }
        if let Some(actor) = authority {
            may_stop(&as_they_are(&mut transaction, actor).await?, &stop.scope)?;
        }
        // After a commit of unknown outcome or a restart: applications that were enabled since then must not be stopped
        // again.
        if may_be_recorded && is_recorded(&mut transaction, stop).await? {
            return Ok(Recorded::default());
        }
        let mut actor = stop.by.actor();
        if actor.organization_id == OrganizationId(Uuid::nil()) {
            // The operator acts for Nuvera, whose id is not known without the database.
            actor.organization_id =
                organizations::find_nuvera(&mut transaction).await?.unwrap_or(actor.organization_id);
        }
        let by = By { actor: &actor, at: stop.at, reason: Some(&stop.reason) };
        let (changes, recorded) = self.changes(&mut transaction, stop, seen, by).await?;
        for change in &changes {
            applications::save(&mut transaction, change).await?;
        }
        let stopped: Vec<_> = changes.into_iter().map(|change| change.application).collect();
        match &stop.scope {
            DenyScope::Fingerprint(fingerprint) => {
                let count = recorded.applications.iter().filter(|(_, fate)| *fate != Fate::WasDisabled).count();
                blocked_keys::block(&mut transaction, fingerprint, count, by).await?;
                // Before the commit, so that no request is accepted in between. If the commit fails, the blocks are
                // read again.
                self.gateway.snapshot().block_key(fingerprint);
                let doubted = pending.doubt_blocks(true);
                commit_all(&self.gateway, transaction, pending, &stopped).await?;
                pending.doubt_blocks(doubted);
            }
            _ => commit_all(&self.gateway, transaction, pending, &stopped).await?,
        }
        Ok(recorded)
    }

    /// The changes that a stop amounts to, and the outcome for each application.
    async fn changes(
        &self,
        conn: &mut AnyConnection,
        stop: &Stop,
        seen: &HashSet<ApplicationId>,
        by: By<'_>,
    ) -> Result<(Vec<Change>, Recorded), BackendError> {
        let found = match &stop.scope {
            DenyScope::Application { organization, application } => {
                let found = applications::find(conn, *organization, *application).await?;
                let application = found.ok_or(BackendError::NotFound)?;
                return match application.clone().disable(by) {
                    Ok(change) => Ok((vec![change], Recorded::default())),
                    Err(error) => {
                        // The snapshot may not yet reflect that it is already disabled.
                        self.gateway.snapshot().apply(&application);
                        Err(error.into())
                    }
                };
            }
            DenyScope::ApiKey(prefix) => {
                let application = applications::of_api_key(conn, prefix).await?.ok_or(BackendError::NotFound)?;
                let key = application.api_keys.iter().find(|key| key.prefix.as_str() == prefix);
                let key = key.map(|key| key.id).ok_or(ChangeError::KeyNotFound)?;
                return Ok((vec![application.stop_api_key(key, by)?], Recorded::default()));
            }
            DenyScope::Organization(organization) => {
                in_scope(conn, StopScope::Organization(*organization), by.at).await?
            }
            DenyScope::Fingerprint(fingerprint) => in_scope(conn, StopScope::SigningKey(fingerprint), by.at).await?,
            DenyScope::Everything => {
                let everyone = applications::of_everyone(conn).await?.into_iter();
                let named = |organization: OrganizationId| self.organization_name(organization).unwrap_or_default();
                everyone
                    .map(|application| Stoppable {
                        organization_name: named(application.organization_id),
                        application,
                        requests: 0,
                        last_used_at: None,
                    })
                    .collect()
            }
        };
        let applications = found.iter().map(|found| found.application.clone()).collect();
        let BulkStop { changes, fates } = match &stop.scope {
            DenyScope::Fingerprint(fingerprint) => stop_signing_key(applications, fingerprint, seen, by)?,
            _ => stop_all(applications, seen, by)?,
        };
        let fates: HashMap<_, _> = fates.into_iter().collect();
        let with_fate = |found: Stoppable| Some((fates.get(&found.application.id).copied()?, found));
        let applications = found.into_iter().filter_map(with_fate).map(|(fate, found)| (found, fate)).collect();
        Ok((changes, Recorded { applications }))
    }
}

/// Whether the audit log contains this stop.
async fn is_recorded(conn: &mut AnyConnection, stop: &Stop) -> Result<bool, StoreError> {
    let actions: &[_] = match stop.scope {
        DenyScope::ApiKey(_) => &[AuditAction::ApiKeyRevoked],
        // Either of them: the key may have been blocked before, or no application may have used it.
        DenyScope::Fingerprint(_) => &[AuditAction::SigningKeyBlocked, AuditAction::ApplicationDisabled],
        _ => &[AuditAction::ApplicationDisabled],
    };
    let (organization, application) = match stop.scope {
        DenyScope::Application { organization, application } => (Some(organization), Some(application)),
        DenyScope::Organization(organization) => (Some(organization), None),
        DenyScope::ApiKey(_) | DenyScope::Fingerprint(_) | DenyScope::Everything => (None, None),
    };
    for &action in actions {
        if audit::has(conn, action, stop.by.user_id, stop.at, organization, application).await? {
            return Ok(true);
        }
    }
    Ok(false)
}
