//! Runs of the gateway and the requests that each may have accepted: see [`crate::fence`].

use super::{Result, convert, parse};
use sqlx::{AnyConnection, Row, any::AnyRow};
use uuid::Uuid;

/// A run of the gateway. Times are in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayRun {
    /// Identifies the run.
    pub id: Uuid,
    /// How far ahead of the gateway's clock an accepted `iat` may have been.
    pub leeway_seconds: i64,
    /// When the latest counted request was accepted, by the gateway's clock; 0 if there was none.
    pub mark: i64,
    /// How the run ended.
    pub end: RunEnd,
}

/// How a run of the gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The run has not recorded a clean stop: it is running or has crashed.
    Unknown,
    /// The run stopped with no request in flight.
    Stopped {
        /// The latest `iat` that it accepted.
        latest_issued_at: i64,
    },
    /// The run ended without a clean stop, as a later start has found.
    Crashed {
        /// The latest `iat` that the run may have accepted, as far as the clock at that start could tell.
        accepted_until: i64,
    },
}

impl RunEnd {
    fn columns(self) -> (&'static str, Option<i64>) {
        match self {
            Self::Unknown => ("running", None),
            Self::Stopped { latest_issued_at } => ("stopped", Some(latest_issued_at)),
            Self::Crashed { accepted_until } => ("crashed", Some(accepted_until)),
        }
    }

    fn from_columns(state: &str, until: Option<i64>) -> Option<Self> {
        Some(match (state, until) {
            ("running", None) => Self::Unknown,
            ("stopped", Some(latest_issued_at)) => Self::Stopped { latest_issued_at },
            ("crashed", Some(accepted_until)) => Self::Crashed { accepted_until },
            _ => return None,
        })
    }
}

/// Returns every run that is still needed for the replay fence.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn all(conn: &mut AnyConnection) -> Result<Vec<ReplayRun>> {
    let rows = sqlx::query("SELECT id, state, leeway_seconds, mark, accepted_until FROM replay_runs ORDER BY id")
        .fetch_all(conn)
        .await?;
    rows.iter().map(run).collect()
}

/// Saves a run, replacing its earlier record.
///
/// # Errors
/// The database fails.
pub async fn save(conn: &mut AnyConnection, run: &ReplayRun) -> Result<()> {
    let (state, accepted_until) = run.end.columns();
    sqlx::query(
        "INSERT INTO replay_runs (id, state, leeway_seconds, mark, accepted_until) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, leeway_seconds = excluded.leeway_seconds,
             mark = excluded.mark, accepted_until = excluded.accepted_until",
    )
    .bind(run.id.to_string())
    .bind(state)
    .bind(run.leeway_seconds)
    .bind(run.mark)
    .bind(accepted_until)
    .execute(conn)
    .await?;
    Ok(())
}

/// Records that run `id` is running and accepted a request at `mark`. Reverts the record of another process that
/// considered the run crashed, or its deletion.
///
/// # Errors
/// The database fails.
pub async fn mark(conn: &mut AnyConnection, id: Uuid, leeway_seconds: i64, mark: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO replay_runs (id, state, leeway_seconds, mark) VALUES ($1, 'running', $2, $3)
         ON CONFLICT (id) DO UPDATE SET state = 'running', accepted_until = NULL,
             mark = CASE WHEN excluded.mark > replay_runs.mark THEN excluded.mark ELSE replay_runs.mark END",
    )
    .bind(id.to_string())
    .bind(leeway_seconds)
    .bind(mark)
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes a run that no longer requires any request to be rejected.
///
/// # Errors
/// The database fails.
pub async fn delete(conn: &mut AnyConnection, id: Uuid) -> Result<()> {
    sqlx::query("DELETE FROM replay_runs WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

fn run(row: &AnyRow) -> Result<ReplayRun> {
    let until = row.try_get("accepted_until")?;
    Ok(ReplayRun {
        id: parse(row, "replay_runs", "id")?,
        leeway_seconds: row.try_get("leeway_seconds")?,
        mark: row.try_get("mark")?,
        end: convert(row, "replay_runs", "state", |state| RunEnd::from_columns(state, until))?,
    })
}
