//! What the server cannot do at the moment, for `/readyz`.

use super::{Backend, BackendError};
use crate::store::{StoreError, settings};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// For how long an answer is given again: the database is not asked more often.
const KEPT: Duration = Duration::from_secs(1);
/// How long each question to the database may take.
const WITHIN: Duration = Duration::from_millis(1500);
/// How long an answer to an emergency stop waits to learn whether a page can be shown after it.
const READ_WITHIN: Duration = Duration::from_millis(300);

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Whether the console can do its work.
    pub can_work: bool,
    /// What cannot be done, in one line each.
    pub problems: Vec<String>,
}

/// What was found, and when.
pub(super) struct Checked {
    at: Instant,
    database: Vec<String>,
}

impl Backend {
    /// Reads from the database and writes to it, at most once a second, and says what cannot be done.
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

    /// Whether the database can be read, just now and soon.
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
    // Anyone may ask: where the database is, is for the log.
    let words = match &error {
        BackendError::Store(StoreError::Database(sqlx::Error::Database(error))) => error.message().to_owned(),
        _ => "the database does not answer".to_owned(),
    };
    let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(format!("cannot {what}: {words}"))
}

/// Keeps what the gateway's `/readyz` says up to date while it is asked, until `stop`.
pub async fn watch(backend: Arc<Backend>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => break,
            () = backend.gateway.readiness().asked() => {}
        }
        backend.readiness().await;
    }
}
