//! Writes down, twice a second, what the gateway saw of each key.

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

/// How often counters are written. A crash loses what was counted since, and what was being written: together less than
/// a second. Nothing else loses any.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long a page waits for what is written for its sake. It then shows what was written before.
const BEFORE_PAGE: Duration = Duration::from_millis(400);

/// For how long no page waits after one has waited in vain, unless the database is written sooner.
const NO_WAIT: Duration = Duration::from_secs(2);

/// Writes what the gateway saw.
#[derive(Clone)]
pub(super) struct Flusher {
    store: Store,
    gateway: Arc<Gateway>,
    clock: Clock,
    /// Held while what the gateway saw is taken out of it and written: a second flush waits, so that it does not find
    /// nothing to write while the first one is still writing.
    flushing: Arc<Mutex<()>>,
    /// Until when pages do not wait for the database to be written.
    no_wait: Arc<StdMutex<Option<Instant>>>,
}

impl Flusher {
    pub(super) fn new(store: Store, gateway: Arc<Gateway>, clock: Clock) -> Self {
        Self { store, gateway, clock, flushing: Arc::default(), no_wait: Arc::default() }
    }

    /// Carries out `write` in the background, and waits a moment for it: what a page does besides being shown must not hold
    /// it up.
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

/// Bounds work on the database: see [`bounded`].
pub(super) async fn within<T>(work: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
    bounded(work).await?
}

impl Backend {
    /// Writes what the gateway has counted since the last time; puts it back where the database fails.
    ///
    /// # Errors
    /// The database fails. Nothing is lost.
    pub async fn flush_usage(&self) -> Result<(), BackendError> {
        self.flusher.flush_usage().await
    }

    /// Writes down what the gateway saw of requests since the last time. Where that fails they are lost: they are no
    /// record, and would fill the memory.
    ///
    /// # Errors
    /// The database fails.
    pub async fn flush_requests(&self) -> Result<(), BackendError> {
        self.flusher.flush_requests().await
    }

    /// As [`Backend::flush_usage`], for a page: without waiting for long.
    pub(super) async fn bring_usage_up_to_date(&self) {
        let flusher = self.flusher.clone();
        self.flusher.shortly(async move { flusher.flush_usage().await }).await;
    }

    /// As [`Backend::flush_requests`], for a page: without waiting for long.
    pub(super) async fn bring_requests_up_to_date(&self) {
        let flusher = self.flusher.clone();
        self.flusher.shortly(async move { flusher.flush_requests().await }).await;
    }

    /// Writes something that a page brings along, such as a session's last use, without waiting for long.
    pub(super) async fn write_shortly(&self, write: impl Future<Output = Result<(), BackendError>> + Send + 'static) {
        self.flusher.shortly(write).await;
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
