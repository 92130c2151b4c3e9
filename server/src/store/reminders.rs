//! Reminders that have been sent to users.

use super::Result;
use domain::{
    hygiene::{KeyId, Reminder},
    id::UserId,
    time::Timestamp,
};
use sqlx::AnyConnection;

/// Whether `reminder` about `key` was sent to `user`.
///
/// # Errors
/// The database fails.
pub async fn is_sent(conn: &mut AnyConnection, user: UserId, key: KeyId, reminder: Reminder) -> Result<bool> {
    let row = sqlx::query(
        "SELECT user_id FROM sent_reminders
         WHERE user_id = $1 AND key_id = $2 AND kind = $3 AND due_at = $4 AND days = $5",
    )
    .bind(user.to_string())
    .bind(key.to_string())
    .bind(reminder.kind.code())
    .bind(reminder.due.as_millis())
    .bind(i64::from(reminder.days))
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Records that `reminder` about `key` was sent to `user`. Does nothing if another node has recorded the same.
///
/// # Errors
/// The database fails.
pub async fn record(
    conn: &mut AnyConnection,
    user: UserId,
    key: KeyId,
    reminder: Reminder,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO sent_reminders (user_id, key_id, kind, due_at, days, sent_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (user_id, key_id, kind, due_at, days) DO NOTHING",
    )
    .bind(user.to_string())
    .bind(key.to_string())
    .bind(reminder.kind.code())
    .bind(reminder.due.as_millis())
    .bind(i64::from(reminder.days))
    .bind(now.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}
