//! What was asked of an identity provider and waits for its answer. It stands beside the sessions, in their table, so that
//! neither a new session nor the end of one loses it.

use super::Result;
use domain::time::Timestamp;
use sqlx::{AnyConnection, Row};

/// Keeps a question under an id that nobody can guess, until `expires_at`.
///
/// # Errors
/// The database fails.
pub async fn insert(conn: &mut AnyConnection, id: &str, data: &str, expires_at: Timestamp) -> Result<()> {
    sqlx::query("INSERT INTO sessions (id_hash, data, expires_at) VALUES ($1, $2, $3)")
        .bind(key(id))
        .bind(data)
        .bind(expires_at.as_millis())
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns the question of this id.
///
/// # Errors
/// The database fails.
pub async fn find(conn: &mut AnyConnection, id: &str, now: Timestamp) -> Result<Option<String>> {
    let row = sqlx::query("SELECT data FROM sessions WHERE id_hash = $1 AND expires_at > $2")
        .bind(key(id))
        .bind(now.as_millis())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| row.try_get("data")).transpose()?)
}

/// Replaces a question that is still as it was read. Returns whether it was: of two that do so at once, one does.
///
/// # Errors
/// The database fails.
pub async fn replace(conn: &mut AnyConnection, id: &str, before: &str, after: &str) -> Result<bool> {
    let replaced = sqlx::query("UPDATE sessions SET data = $3 WHERE id_hash = $1 AND data = $2")
        .bind(key(id))
        .bind(before)
        .bind(after)
        .execute(conn)
        .await?;
    Ok(replaced.rows_affected() == 1)
}

fn key(id: &str) -> String {
    format!("question {id}")
}
