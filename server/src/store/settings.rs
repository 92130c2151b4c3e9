//! Values that the server persists about itself.

use super::Result;
use sqlx::{AnyConnection, Row};

/// Identifies the pepper of the stored hashes: [`crate::pepper::Pepper::check_value`].
pub const PEPPER_CHECK: &str = "pepper_check";
/// The replay fence as stored by older versions of this program: see [`crate::fence`].
pub const REPLAY_FENCE: &str = "replay_fence";
/// Written to check that the database is writable. The value is the time, in Unix milliseconds.
pub const WRITE_CHECK: &str = "write_check";
/// When the sending of reminders last began, in Unix milliseconds.
pub const REMINDED_AT: &str = "reminded_at";

/// The sequence number of the last audit event that was processed for e-mail to owners about Nuvera's actions.
pub const SUPPORT_TOLD: &str = "support_told";

/// Reads a setting.
///
/// # Errors
/// The database fails.
pub async fn get(conn: &mut AnyConnection, name: &str) -> Result<Option<String>> {
    let row = sqlx::query("SELECT value FROM settings WHERE name = $1").bind(name).fetch_optional(conn).await?;
    Ok(row.map(|row| row.try_get("value")).transpose()?)
}

/// Writes a setting.
///
/// # Errors
/// The database fails.
pub async fn set(conn: &mut AnyConnection, name: &str, value: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO settings (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes a setting.
///
/// # Errors
/// The database fails.
pub async fn delete(conn: &mut AnyConnection, name: &str) -> Result<()> {
    sqlx::query("DELETE FROM settings WHERE name = $1").bind(name).execute(conn).await?;
    Ok(())
}

/// Updates a setting if its value is still `before`, so that one of two concurrent updates succeeds. Returns whether it
/// was updated.
///
/// # Errors
/// The database fails.
pub async fn replace(conn: &mut AnyConnection, name: &str, before: &str, after: &str) -> Result<bool> {
    let replaced = sqlx::query("UPDATE settings SET value = $1 WHERE name = $2 AND value = $3")
        .bind(after)
        .bind(name)
        .bind(before)
        .execute(conn)
        .await?;
    Ok(replaced.rows_affected() == 1)
}
