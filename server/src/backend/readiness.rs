//! Readiness of the server for `/readyz`: what it cannot do at the moment.

use super::{Backend, BackendError};
use crate::store::{StoreError, settings};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// How long a result is cached. The database is not checked more often.
const KEPT: Duration = Duration::from_secs(1);
/// Time limit for each check of the database.
const WITHIN: Duration = Duration::from_millis(1500);
/// How long the response to an emergency stop waits to find out whether a page can be shown after it.
const READ_WITHIN: Duration = Duration::from_millis(300);

/// Result of the readiness check.
#[derive(Clone, Debug)]
pub struct Found {
    /// Whether the console can work.
    pub can_work: bool,
    /// What does not work, in one line each.
    pub problems: Vec<String>,
}

/// A cached result of the database checks.
pub(super) struct Checked {
    at: Instant,
    database: Vec<String>,
}

impl Backend {
    /// Checks that the database can be read and written, at most once a second, and returns what does not work.
    pub async fn readiness(&self) -> Found {
        let mut checked = self.readiness.lock().await;
        let database = match &*checked {
            Some(known) if known.at.elapsed() < KEPT => known.database.clone(),
            _ => {
                let database = self.check_database().await;
                *checked = Some(Checked { at: Instant::now(), database: database.clone() });
                database
            }
        };
        drop(checked);
        let superseded = self.gateway.is_superseded().then(|| "another process serves this database".to_owned());
        let can_work = database.is_empty() && superseded.is_none();
        let unrecorded = self.unrecorded_stops();
        let stops = (unrecorded > 0).then(|| format!("emergency stop not recorded: {unrecorded}"));
        let problems: Vec<_> = database.into_iter().chain(superseded).chain(stops).collect();
        self.gateway.readiness().report(problems.clone());
        Found { can_work, problems }
    }

    /// Whether the database can be read, and quickly enough to show a page after an emergency stop.
    pub async fn can_read(&self) -> bool {
        matches!(timeout(READ_WITHIN, self.check_read()).await, Ok(Ok(())))
    }

    async fn check_database(&self) -> Vec<String> {
        let checks = [problem("read", self.check_read()).await, problem("write", self.check_write()).await];
        checks.into_iter().flatten().collect()
    }

    async fn check_read(&self) -> Result<(), BackendError> {
        let mut conn = self.store.read().await?;
        settings::get(&mut conn, settings::PEPPER_CHECK).await?;
        Ok(())
    }

    async fn check_write(&self) -> Result<(), BackendError> {
        let now = self.clock.now().as_millis().to_string();
        let mut transaction = self.store.write().await?;
        settings::set(&mut transaction, settings::WRITE_CHECK, &now).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }
}

async fn problem(what: &str, check: impl Future<Output = Result<(), BackendError>>) -> Option<String> {
    let error = match timeout(WITHIN, check).await {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => error,
        Err(_) => StoreError::Stalled.into(),
    };
    tracing::warn!(%error, "/readyz: the database cannot be used to {what}");
    // The endpoint is public: connection details are for the log only.
    let words = match &error {
        BackendError::Store(StoreError::Database(sqlx::Error::Database(error))) => error.message().to_owned(),
        _ => "the database does not answer".to_owned(),
    };
    let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(format!("cannot {what}: {words}"))
}

/// Keeps the result that the gateway's `/readyz` serves up to date while it is requested, until `stop`.
pub async fn watch(backend: Arc<Backend>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => break,
            () = backend.gateway.readiness().asked() => {}
        }
        backend.readiness().await;
    }
}
