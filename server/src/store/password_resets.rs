//! Password reset links. Only the hash of a link's token is stored.

use super::{Result, one_row, parse, timestamp};
use domain::{id::UserId, time::Timestamp};
use sqlx::{AnyConnection, Row};

/// Adds a link and replaces the user's earlier one. `made_by` is `None` for the server's command line.
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

/// A password reset link.
#[derive(Debug)]
pub struct ResetLink {
    /// The user whose password it resets.
    pub user_id: UserId,
    /// The first instant at which the link no longer works.
    pub expires_at: Timestamp,
    /// The name of the member who sent it; `None` for the server's command line.
    pub started_by: Option<String>,
}

/// Returns the link with this token. Its holder is not signed in, so there is no organization to restrict the search
/// to.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find_by_token(conn: &mut AnyConnection, token_hash: &str) -> Result<Option<ResetLink>> {
    let row = sqlx::query(
        "SELECT r.user_id, r.expires_at, b.name AS started_by
         FROM password_resets r LEFT JOIN users b ON b.id = r.made_by WHERE r.token_hash = $1",
    )
    .bind(token_hash)
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(ResetLink {
            user_id: parse(&row, "password_resets", "user_id")?,
            expires_at: timestamp(&row, "expires_at")?,
            started_by: row.try_get("started_by")?,
        })
    })
    .transpose()
}

/// Deletes a link that was used. Succeeds only once.
///
/// # Errors
/// [`super::StoreError::Conflict`] if it no longer exists; the database fails.
pub async fn delete(conn: &mut AnyConnection, token_hash: &str) -> Result<()> {
    let deleted =
        sqlx::query("DELETE FROM password_resets WHERE token_hash = $1").bind(token_hash).execute(conn).await?;
    one_row(&deleted)
}

/// Deletes the link of `user`, if any, because they have chosen a password meanwhile or were removed.
///
/// # Errors
/// The database fails.
pub async fn delete_of_user(conn: &mut AnyConnection, user: UserId) -> Result<()> {
    sqlx::query("DELETE FROM password_resets WHERE user_id = $1").bind(user.to_string()).execute(conn).await?;
    Ok(())
}

/// Deletes every link made by `user`.
///
/// # Errors
/// The database fails.
pub async fn delete_made_by(conn: &mut AnyConnection, user: UserId) -> Result<()> {
    sqlx::query("DELETE FROM password_resets WHERE made_by = $1").bind(user.to_string()).execute(conn).await?;
    Ok(())
}

/// Deletes expired links.
///
/// # Errors
/// The database fails.
pub async fn purge(conn: &mut AnyConnection, now: Timestamp) -> Result<()> {
    sqlx::query("DELETE FROM password_resets WHERE expires_at <= $1").bind(now.as_millis()).execute(conn).await?;
    Ok(())
}
