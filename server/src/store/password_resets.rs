//! Links with which somebody chooses a new password. Only the hash of a link's token is stored.

use super::{Result, one_row, parse, timestamp};
use domain::{id::UserId, time::Timestamp};
use sqlx::AnyConnection;

/// Adds a link, in the place of the one that the person had before. `made_by` is nobody where the server's command line
/// made it.
///
/// # Errors
/// The database fails.
pub async fn insert(
    conn: &mut AnyConnection,
    user: UserId,
    made_by: Option<UserId>,
    token_hash: &str,
    expires_at: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO password_resets (user_id, token_hash, expires_at, made_by) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id) DO UPDATE SET token_hash = excluded.token_hash, expires_at = excluded.expires_at,
             made_by = excluded.made_by",
    )
    .bind(user.to_string())
    .bind(token_hash)
    .bind(expires_at.as_millis())
    .bind(made_by.map(|user| user.to_string()))
    .execute(conn)
    .await?;
    Ok(())
}

/// Whose password a link is for, and until when. Whoever has the link is who it is for: there is no tenant yet.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find_by_token(conn: &mut AnyConnection, token_hash: &str) -> Result<Option<(UserId, Timestamp)>> {
    let row = sqlx::query("SELECT user_id, expires_at FROM password_resets WHERE token_hash = $1")
        .bind(token_hash)
        .fetch_optional(conn)
        .await?;
    row.map(|row| Ok((parse(&row, "password_resets", "user_id")?, timestamp(&row, "expires_at")?))).transpose()
}

/// Takes a link away: it was used, once.
///
/// # Errors
/// [`super::StoreError::Conflict`] where it is gone; the database fails.
pub async fn delete(conn: &mut AnyConnection, token_hash: &str) -> Result<()> {
    let deleted =
        sqlx::query("DELETE FROM password_resets WHERE token_hash = $1").bind(token_hash).execute(conn).await?;
    one_row(&deleted)
}

/// Takes somebody's link away, where there is one: they have a password that they chose meanwhile, or have left.
///
/// # Errors
/// The database fails.
pub async fn delete_of_user(conn: &mut AnyConnection, user: UserId) -> Result<()> {
    sqlx::query("DELETE FROM password_resets WHERE user_id = $1").bind(user.to_string()).execute(conn).await?;
    Ok(())
}

/// Takes away every link that somebody has made.
///
/// # Errors
/// The database fails.
pub async fn delete_made_by(conn: &mut AnyConnection, user: UserId) -> Result<()> {
    sqlx::query("DELETE FROM password_resets WHERE made_by = $1").bind(user.to_string()).execute(conn).await?;
    Ok(())
}

/// Forgets what can no longer be used.
///
/// # Errors
/// The database fails.
pub async fn purge(conn: &mut AnyConnection, now: Timestamp) -> Result<()> {
    sqlx::query("DELETE FROM password_resets WHERE expires_at <= $1").bind(now.as_millis()).execute(conn).await?;
    Ok(())
}
