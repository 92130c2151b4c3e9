//! Writes down, twice a second, what the gateway saw of each key.

use super::{Backend, BackendError};
use crate::{
    clock::Every,
    fence,
    gateway::{KeyUse, UsageBatch},
    store::{StoreError, traffic, usage},
};
use domain::cut_over::Traffic;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often counters are written. A crash loses what was counted since, and what was being written: together less than
/// a second. Nothing else loses any.
const INTERVAL: Duration = Duration::from_millis(500);

impl Backend {
    /// Writes what the gateway has counted since the last time; puts it back where the database fails.
    ///
    /// # Errors
    /// The database fails. Nothing is lost.
    pub async fn flush_usage(&self) -> Result<(), BackendError> {
        let _flushing = self.flushing.lock().await;
        let usage = self.gateway.usage();
        let now = self.clock.now();
        let batch = usage.drain();
        let written = if batch.is_empty() { Ok(()) } else { self.write_usage(&batch).await };
        match written {
            Ok(()) => usage.flushed(now),
            Err(_) => usage.restore(batch),
        }
        written
    }

    /// Remembers that the gateway was stopped with nothing in flight: a restart then refuses only what may really have
    /// been accepted.
    ///
    /// # Errors
    /// The database fails; the restart then waits a few seconds longer, and is as safe.
    pub async fn record_clean_stop(&self) -> Result<(), BackendError> {
        let mut transaction = self.store.write().await?;
        fence::close(&mut transaction, &self.gateway).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    async fn write_usage(&self, batch: &UsageBatch) -> Result<(), BackendError> {
        let mut transaction = self.store.write().await?;
        for key in &batch.api_keys {
            let usage = stored(key);
            usage::add_api_key(&mut transaction, key.id, &usage).await?;
            traffic::add_api_key(&mut transaction, key.id, Traffic::minute(key.last_at), usage.requests).await?;
        }
        for key in &batch.signing_keys {
            let usage = stored(key);
            usage::add_signing_key(&mut transaction, key.id, &usage).await?;
            traffic::add_signing_key(&mut transaction, key.id, Traffic::minute(key.last_at), usage.requests).await?;
        }
        if let Some(latest) = batch.api_keys.iter().map(|key| key.last_at).max() {
            fence::mark(&mut transaction, &self.gateway, latest).await?;
        }
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }
}

/// After how many intervals what became of requests is written: whoever looks at them sooner has it written then.
const REQUESTS_EVERY: u64 = 10;

/// How often what is too old is deleted, and rotations finish by themselves, and what nobody confirmed in
/// time is recorded.
const MINUTE: Duration = Duration::from_secs(60);

/// Flushes until `stop`, and once more then. A key's first use is written without waiting for the interval to pass.
pub async fn run(backend: Arc<Backend>, stop: CancellationToken) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ticks = 0_u64;
    let mut minute = Every::new(backend.clock.clone(), MINUTE);
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => break,
            () = backend.gateway.usage().first_use() => {}
            _ = interval.tick() => ticks += 1,
        }
        backend.gateway.watch_clock();
        report(backend.flush_usage().await);
        if ticks.is_multiple_of(REQUESTS_EVERY) {
            report(backend.flush_requests().await);
        }
        if minute.is_due() {
            report(backend.purge_sign_in_failures().await);
            report(backend.purge_sign_ins().await);
            report(backend.purge_requests().await);
            report(backend.finish_rotations().await);
            report(backend.expire_proposals().await);
        }
        report(backend.settle().await);
    }
    report(backend.flush_usage().await);
    report(backend.flush_requests().await);
}

/// A flush that fails is tried again with the next one: the log says so, and nobody waits for it. A page shows what was
/// written before.
pub(super) fn report(result: Result<(), BackendError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "a flush failed and will be tried again");
    }
}

fn stored<Id>(key: &KeyUse<Id>) -> usage::KeyUsage {
    usage::KeyUsage {
        first_used_at: key.first_at,
        last_used_at: key.last_at,
        address: key.address.to_string(),
        user_agent: key.user_agent.clone(),
        requests: key.count.try_into().unwrap_or(i64::MAX),
    }
}
