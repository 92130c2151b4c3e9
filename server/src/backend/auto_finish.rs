//! Automatic revocation of old API keys, once the evidence that they are no longer needed has held for long enough.

use super::{Asked, Backend, BackendError, Said};
use crate::store::{
    applications, traffic,
    usage::{self, KeyUsage},
    users,
};
use domain::{
    access::Operation,
    actor::Actor,
    api_key::ApiKey,
    application::{ApiApplication, AutoFinish, By},
    cut_over::{KeyUse, MOST_SILENCE, Traffic, api_key_rotation, safe_for},
    id::ApiKeyId,
    text::{Reason, Why},
    time::{Timestamp, in_words},
};

impl Backend {
    /// Revokes the old keys that are due, each on behalf of the user who set the automatic revocation. Continues with
    /// the others if one fails.
    ///
    /// # Errors
    /// The database fails. Of several revocations that fail, the last error is returned.
    pub async fn finish_rotations(&self) -> Result<(), BackendError> {
        let mut conn = self.store.read().await?;
        let ordered = applications::with_auto_finish(&mut conn).await?;
        drop(conn);
        let mut outcome = Ok(());
        for application in &ordered {
            if let Err(error) = self.finish_rotation(application).await {
                outcome = Err(error);
            }
        }
        outcome
    }

    async fn finish_rotation(&self, application: &ApiApplication) -> Result<(), BackendError> {
        let Some(order) = &application.auto_finish else { return Ok(()) };
        let due = self.due(application, order).await?;
        if due.is_empty() {
            return Ok(());
        }
        let mut conn = self.store.read().await?;
        let actor = users::find_actor(&mut conn, order.user_id, None).await?;
        drop(conn);
        // If that user was removed, nothing is revoked automatically and the old keys keep their deadlines. Their proof
        // of identity was required when they set the automatic revocation.
        let Some(actor) = actor.map(|actor| Actor { is_proven: true, ..actor }) else { return Ok(()) };
        let asked = Asked { actor: &actor, organization: application.organization_id, application: application.id };
        let mut version = application.version;
        for (key, words) in due {
            // Revoked only in the version on which the decision is based: another user may since have kept the key or
            // cancelled the automatic revocation.
            let said = Said { seen_version: Some(version), reason: Reason::new(&words).ok().map(Why::from) };
            let revoke = |application: ApiApplication, by: By<'_>| application.revoke_api_key(key, by);
            match self.change(asked, Operation::RevokeApiKeys, said, revoke).await {
                Ok(changed) => version = changed.version,
                // The decision is made again in a minute. If the user is no longer authorized, nothing is done on their
                // behalf.
                Err(
                    BackendError::Stale(_)
                    | BackendError::StaleByYou(_)
                    | BackendError::Forbidden
                    | BackendError::NotFound,
                ) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The old keys to revoke, each with the reason to record.
    async fn due(
        &self,
        application: &ApiApplication,
        order: &AutoFinish,
    ) -> Result<Vec<(ApiKeyId, String)>, BackendError> {
        self.flush_usage().await?;
        let now = self.clock.now();
        let Some((new, old)) = api_key_rotation(application, now) else { return Ok(Vec::new()) };
        let mut conn = self.store.read().await?;
        let used = usage::of_api_keys(&mut conn, application.id).await?;
        // Covers the period during which the verdict must have held and the traffic on which that verdict is based.
        let since = Traffic::minute(now.minus(order.hold + 2 * MOST_SILENCE));
        let traffic = traffic::of_api_keys(&mut conn, application.id, since).await?;
        let used = |key: &ApiKey| {
            let &KeyUsage { first_used_at, last_used_at, .. } = used.get(&key.id)?;
            Some(KeyUse { first_used_at, last_used_at, traffic: traffic.get(&key.id) })
        };
        let is_due = |key: &ApiKey| safe_for(now, used(key), used(new)).is_some_and(|safe_for| safe_for >= order.hold);
        let due = old.into_iter().filter(|key| is_due(key));
        Ok(due.map(|key| (key.id, why(now, used(key).map(|used| used.last_used_at), order))).collect())
    }
}

/// The reason recorded in the audit log.
fn why(now: Timestamp, last_used_at: Option<Timestamp>, order: &AutoFinish) -> String {
    let silence = match last_used_at {
        Some(at) => format!("not used for {}", in_words(now.since(at))),
        None => "never used".to_owned(),
    };
    format!("Revoked automatically, as set on {}: {silence}, and the new key is in use.", order.at)
}
