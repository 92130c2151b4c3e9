//! Rotations that finish by themselves: the old keys are revoked once the evidence has spoken for it for long enough.

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
    /// Revokes the old keys whose time has come, each on behalf of whoever ordered it. One that fails does not hold up the
    /// others.
    ///
    /// # Errors
    /// The database fails, or the last one that could not be revoked.
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
        // Whoever has left orders nothing any more: the old keys keep their deadlines.
        // And whoever ordered it proved then that it was they.
        let Some(actor) = actor.map(|actor| Actor { is_proven: true, ..actor }) else { return Ok(()) };
        let asked = Asked { actor: &actor, organization: application.organization_id, application: application.id };
        let mut version = application.version;
        for (key, words) in due {
            // Judged as it was read: a colleague may have kept the key, or cancelled the order, since.
            let said = Said { seen_version: Some(version), reason: Reason::new(&words).ok().map(Why::from) };
            let revoke = |application: ApiApplication, by: By<'_>| application.revoke_api_key(key, by);
            match self.change(asked, Operation::RevokeApiKeys, said, revoke).await {
                Ok(changed) => version = changed.version,
                // It is judged anew in a minute; and what somebody may no longer do is not done for them.
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

    /// The old keys to revoke, and why each.
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
        // The minutes for which the verdict must have held, and those that it looks back on.
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

/// What the history says.
fn why(now: Timestamp, last_used_at: Option<Timestamp>, order: &AutoFinish) -> String {
    let silence = match last_used_at {
        Some(at) => format!("not used for {}", in_words(now.since(at))),
        None => "never used".to_owned(),
    };
    format!("Revoked automatically, as set on {}: {silence}, and the new key is in use.", order.at)
}
