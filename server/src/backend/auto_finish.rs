//! Rotations that finish by themselves: the old keys are revoked once the evidence has spoken for it for long enough.

use super::{Asked, Backend, BackendError, Said};
use crate::store::{applications, traffic, usage, users};
use domain::{
    access::Operation,
    actor::Actor,
    api_key::ApiKeyStatus,
    application::{ApiApplication, AutoFinish, By},
    cut_over::{OldKeyUse, safe_for},
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
                Err(BackendError::Stale(_) | BackendError::Forbidden | BackendError::NotFound) => break,
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
        let mut conn = self.store.read().await?;
        let used = usage::of_api_keys(&mut conn, application.id).await?;
        let mut traffic = traffic::of_api_keys(&mut conn, application.id, i64::MAX).await?;
        let new = application.api_keys.iter().find(|key| key.status(now) == ApiKeyStatus::Active);
        let first_used_at = new.and_then(|new| used.get(&new.id)).map(|used| used.first_used_at);
        let mut due = Vec::new();
        for key in application.expiring_keys(now) {
            let last_used_at = used.get(&key.id).map(|used| used.last_used_at);
            let longest_gap = traffic.remove(&key.id).and_then(|traffic| traffic.longest_gap);
            let old = last_used_at.map(|last_used_at| OldKeyUse { last_used_at, longest_gap });
            if safe_for(now, old, first_used_at).is_some_and(|safe_for| safe_for >= order.hold) {
                due.push((key.id, why(now, last_used_at, order)));
            }
        }
        Ok(due)
    }
}

/// What the history says.
fn why(now: Timestamp, last_used_at: Option<Timestamp>, order: &AutoFinish) -> String {
    let silence = match last_used_at {
        Some(at) => format!("not used for {}", in_words(now.since(at))),
        None => "never used".to_owned(),
    };
    format!("Finished by itself, as ordered {}: {silence}.", order.at)
}
