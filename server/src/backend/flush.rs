//! Persists the gateway's usage counters twice a second.

use super::{Backend, BackendError};
use crate::{
    clock::{Clock, Every},
    fence,
    gateway::{Gateway, KeyUse, UsageBatch},
    store::{Store, StoreError, bounded, requests, traffic, usage},
};
use domain::cut_over::Traffic;
use std::{
    future::Future,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// Interval at which counters are written. A crash loses the counts of this interval and of a write in progress,
/// together less than a second. Nothing else loses counts.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long a page waits for a write that it triggers. After that it shows the older data.
const BEFORE_PAGE: Duration = Duration::from_millis(400);

/// How long pages do not wait at all after one has waited in vain, unless a write succeeds sooner.
const NO_WAIT: Duration = Duration::from_secs(2);

/// Writes the gateway's counters and its request log to the database.
#[derive(Clone)]
pub(super) struct Flusher {
    store: Store,
    gateway: Arc<Gateway>,
    clock: Clock,
    /// Held while counters are drained from the gateway and written, so that a concurrent flush waits for the write
    /// instead of finding nothing to do.
    flushing: Arc<Mutex<()>>,
    /// Until when pages do not wait for writes.
    no_wait: Arc<StdMutex<Option<Instant>>>,
}

impl Flusher {
    pub(super) fn new(store: Store, gateway: Arc<Gateway>, clock: Clock) -> Self {
        Self { store, gateway, clock, flushing: Arc::default(), no_wait: Arc::default() }
    }

    /// Runs `write` in the background and waits for it only briefly: what a page writes must not delay it.
    async fn shortly(&self, write: impl Future<Output = Result<(), BackendError>> + Send + 'static) {
        let no_wait = || self.no_wait.lock().unwrap_or_else(PoisonError::into_inner);
        if no_wait().is_some_and(|until| Instant::now() < until) {
            return;
        }
        let this = self.clone();
        let writing = tokio::spawn(async move {
            let written = within(write).await;
            if written.is_ok() {
                *this.no_wait.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            report(written);
        });
        if timeout(BEFORE_PAGE, writing).await.is_err() {
            *no_wait() = Some(Instant::now() + NO_WAIT);
        }
    }

    async fn flush_usage(&self) -> Result<(), BackendError> {
        let _flushing = self.flushing.lock().await;
        let usage = self.gateway.usage();
        let now = self.clock.now();
        let batch = usage.drain();
        let written = if batch.is_empty() { Ok(()) } else { within(self.write_usage(&batch)).await };
        match written {
            Ok(()) => usage.flushed(now),
            Err(_) => usage.restore(batch),
        }
        written
    }

    async fn flush_requests(&self) -> Result<(), BackendError> {
        let _flushing = self.flushing.lock().await;
        let seen = self.gateway.snapshot().take_recent_requests();
        if seen.is_empty() {
            return Ok(());
        }
        within(async {
            let mut transaction = self.store.write().await?;
            for (application, seen) in &seen {
                requests::add(&mut transaction, *application, seen).await?;
            }
            Ok(transaction.commit().await.map_err(StoreError::from)?)
        })
        .await
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

/// Limits the time that `work` may hold a database connection: see [`bounded`].
pub(super) async fn within<T>(work: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
    bounded(work).await?
}

impl Backend {
    /// Writes what the gateway has counted since the last flush. If the database fails, the counts are kept for the
    /// next flush.
    ///
    /// # Errors
    /// The database fails. No counts are lost.
    pub async fn flush_usage(&self) -> Result<(), BackendError> {
        self.flusher.flush_usage().await
    }

    /// Writes the gateway's request log since the last flush. If that fails, the entries are dropped: they are not an
    /// audit record, and would fill the memory.
    ///
    /// # Errors
    /// The database fails.
    pub async fn flush_requests(&self) -> Result<(), BackendError> {
        self.flusher.flush_requests().await
    }

    /// As [`Backend::flush_usage`], for a page: waits only briefly.
    pub(super) async fn bring_usage_up_to_date(&self) {
        let flusher = self.flusher.clone();
        self.flusher.shortly(async move { flusher.flush_usage().await }).await;
    }

    /// As [`Backend::flush_requests`], for a page: waits only briefly.
    pub(super) async fn bring_requests_up_to_date(&self) {
        let flusher = self.flusher.clone();
        self.flusher.shortly(async move { flusher.flush_requests().await }).await;
    }

    /// Runs a write that a page triggers, such as of a session's last use, and waits for it only briefly.
    pub(super) async fn write_shortly(&self, write: impl Future<Output = Result<(), BackendError>> + Send + 'static) {
        self.flusher.shortly(write).await;
    }

    /// Records that the gateway stopped with no request in flight, so that after a restart the replay fence rejects
    /// only tokens that may really have been accepted.
    ///
    /// # Errors
    /// The database fails. After a restart the replay fence then lasts a few seconds longer, and is as safe.
    pub async fn record_clean_stop(&self) -> Result<(), BackendError> {
        let mut transaction = self.store.write().await?;
        fence::close(&mut transaction, &self.gateway).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }
}

/// Number of intervals between writes of the request log. A page that shows the log triggers a write of its own.
const REQUESTS_EVERY: u64 = 10;

/// Interval of the jobs that purge old rows, revoke old keys automatically and expire proposed changes.
const MINUTE: Duration = Duration::from_secs(60);

/// Flushes until `stop`, and a last time then. The first use of a key is written immediately.
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
            report(within(backend.purge_sign_in_failures()).await);
            report(within(backend.purge_sign_ins()).await);
            report(within(backend.purge_requests()).await);
            report(within(backend.finish_rotations()).await);
            report(within(backend.expire_proposals()).await);
        }
    }
    report(backend.flush_usage().await);
    report(backend.flush_requests().await);
}

/// Logs a failed flush. Nothing waits for it: the next flush retries, and pages show the older data.
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
