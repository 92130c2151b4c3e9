//! Failed sign-ins, counted per subject (an account, an address, or both) within a window.

use super::{Result, timestamp};
use domain::time::Timestamp;
use sqlx::{AnyConnection, Row};

/// Counts a failure of `subject` at `now`. A window that began at or before `since` is over, and a new one begins.
/// Returns the number of failures including this one and the start of their window. Blocks other transactions that
/// count the same subject until this one ends.
///
/// # Errors
/// The database fails.
pub async fn add(
    conn: &mut AnyConnection,
    subject: &str,
    since: Timestamp,
    now: Timestamp,
) -> Result<(i64, Timestamp)> {
    let row = sqlx::query(
        "INSERT INTO sign_in_failures (subject, failures, window_started_at) VALUES ($1, 1, $2)
         ON CONFLICT (subject) DO UPDATE SET
             failures = CASE WHEN sign_in_failures.window_started_at > $3 THEN sign_in_failures.failures + 1 ELSE 1 END,
             window_started_at = CASE WHEN sign_in_failures.window_started_at > $3
                 THEN sign_in_failures.window_started_at ELSE excluded.window_started_at END
         RETURNING failures, window_started_at",
    )
    .bind(subject)
    .bind(now.as_millis())
    .bind(since.as_millis())
    .fetch_one(conn)
    .await?;
    Ok((row.try_get("failures")?, timestamp(&row, "window_started_at")?))
}

/// Uncounts one failure of `subject`, because the attempt succeeded.
///
/// # Errors
/// The database fails.
pub async fn take_back(conn: &mut AnyConnection, subject: &str) -> Result<()> {
    sqlx::query("UPDATE sign_in_failures SET failures = failures - 1 WHERE subject = $1 AND failures > 0")
        .bind(subject)
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes the failures of `subject`, which has signed in.
///
/// # Errors
/// The database fails.
pub async fn clear(conn: &mut AnyConnection, subject: &str) -> Result<()> {
    sqlx::query("DELETE FROM sign_in_failures WHERE subject = $1").bind(subject).execute(conn).await?;
    Ok(())
}

/// Deletes windows that began at or before `since`.
///
/// # Errors
/// The database fails.
pub async fn purge(conn: &mut AnyConnection, since: Timestamp) -> Result<()> {
    sqlx::query("DELETE FROM sign_in_failures WHERE window_started_at <= $1")
        .bind(since.as_millis())
        .execute(conn)
        .await?;
    Ok(())
}
