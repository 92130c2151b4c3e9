//! Sign-in attempts, and the browsers from which users have signed in before.

use super::{Result, convert, parse_optional, timestamp};
use domain::{
    id::{SessionId, UserId},
    sign_in::{Attempt, Method, Outcome},
    time::Timestamp,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use uuid::Uuid;

/// Number of attempts kept per user: this many accepted and this many rejected ones, counted apart so that a flood of
/// rejected attempts does not displace the accepted ones.
const KEPT: i64 = 200;
/// Number of known browsers kept per user.
const KEPT_BROWSERS: i64 = 50;

/// Adds an attempt and deletes the user's oldest ones beyond the limit.
///
/// # Errors
/// The database fails.
pub async fn add(conn: &mut AnyConnection, id: Uuid, user: UserId, attempt: &Attempt) -> Result<()> {
    sqlx::query(
        "INSERT INTO sign_ins (id, user_id, at, outcome, method, address, browser, session_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id.to_string())
    .bind(user.to_string())
    .bind(attempt.at.as_millis())
    .bind(attempt.outcome.code())
    .bind(attempt.method.code())
    .bind(attempt.address.map(|address| address.to_string()))
    .bind(&attempt.browser)
    .bind(attempt.session.map(|session| session.to_string()))
    .execute(&mut *conn)
    .await?;
    // Accepted attempts have a session, rejected ones have none.
    let too_many = if attempt.session.is_some() {
        "DELETE FROM sign_ins WHERE user_id = $1 AND session_id IS NOT NULL AND id NOT IN
             (SELECT id FROM sign_ins WHERE user_id = $1 AND session_id IS NOT NULL ORDER BY id DESC LIMIT $2)"
    } else {
        "DELETE FROM sign_ins WHERE user_id = $1 AND session_id IS NULL AND id NOT IN
             (SELECT id FROM sign_ins WHERE user_id = $1 AND session_id IS NULL ORDER BY id DESC LIMIT $2)"
    };
    sqlx::query(too_many).bind(user.to_string()).bind(KEPT).execute(conn).await?;
    Ok(())
}

/// The latest `limit` attempts to sign in as `user`, newest first.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_user(conn: &mut AnyConnection, user: UserId, limit: i64) -> Result<Vec<Attempt>> {
    let rows = sqlx::query(
        "SELECT at, outcome, method, address, browser, session_id FROM sign_ins WHERE user_id = $1
         ORDER BY id DESC LIMIT $2",
    )
    .bind(user.to_string())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(read).collect()
}

/// The latest sign-in of `user` from a new browser, at `since` or later, in another session than `session`.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn new_browser(
    conn: &mut AnyConnection,
    user: UserId,
    since: Timestamp,
    session: SessionId,
) -> Result<Option<Attempt>> {
    let row = sqlx::query(
        "SELECT at, outcome, method, address, browser, session_id FROM sign_ins
         WHERE user_id = $1 AND outcome = $2 AND at >= $3 AND session_id <> $4 ORDER BY id DESC LIMIT 1",
    )
    .bind(user.to_string())
    .bind(Outcome::NewBrowser.code())
    .bind(since.as_millis())
    .bind(session.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Deletes attempts made at or before `until`.
///
/// # Errors
/// The database fails.
pub async fn purge(conn: &mut AnyConnection, until: Timestamp) -> Result<()> {
    sqlx::query("DELETE FROM sign_ins WHERE at <= $1").bind(until.as_millis()).execute(conn).await?;
    Ok(())
}

/// Returns when the browser with this token was last seen, and whether the user has ever signed in, from this or any
/// other browser.
///
/// # Errors
/// The database fails.
pub async fn browser_seen(
    conn: &mut AnyConnection,
    user: UserId,
    token_hash: &str,
) -> Result<(Option<Timestamp>, bool)> {
    let row = sqlx::query("SELECT last_seen_at FROM known_browsers WHERE token_hash = $1 AND user_id = $2")
        .bind(token_hash)
        .bind(user.to_string())
        .fetch_optional(&mut *conn)
        .await?;
    if let Some(row) = row {
        return Ok((Some(timestamp(&row, "last_seen_at")?), true));
    }
    let any = sqlx::query(
        "SELECT user_id FROM known_browsers WHERE user_id = $1
         UNION ALL SELECT user_id FROM sign_ins WHERE user_id = $1 AND session_id IS NOT NULL LIMIT 1",
    )
    .bind(user.to_string())
    .fetch_optional(conn)
    .await?;
    Ok((None, any.is_some()))
}

/// Records a browser as known, and deletes the user's browsers beyond the limit that were seen longest ago.
///
/// # Errors
/// The database fails.
pub async fn see_browser(conn: &mut AnyConnection, user: UserId, token_hash: &str, now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO known_browsers (token_hash, user_id, last_seen_at) VALUES ($1, $2, $3)
         ON CONFLICT (token_hash) DO UPDATE SET last_seen_at = excluded.last_seen_at",
    )
    .bind(token_hash)
    .bind(user.to_string())
    .bind(now.as_millis())
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "DELETE FROM known_browsers WHERE user_id = $1 AND token_hash NOT IN
             (SELECT token_hash FROM known_browsers WHERE user_id = $1 ORDER BY last_seen_at DESC LIMIT $2)",
    )
    .bind(user.to_string())
    .bind(KEPT_BROWSERS)
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes the known browsers of a user, except one: an attacker may have signed in from the others.
///
/// # Errors
/// The database fails.
pub async fn forget_browsers(conn: &mut AnyConnection, user: UserId, except: Option<&str>) -> Result<()> {
    sqlx::query("DELETE FROM known_browsers WHERE user_id = $1 AND token_hash <> $2")
        .bind(user.to_string())
        .bind(except.unwrap_or_default())
        .execute(conn)
        .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Attempt> {
    Ok(Attempt {
        at: timestamp(row, "at")?,
        outcome: convert(row, "sign_ins", "outcome", Outcome::from_code)?,
        method: convert(row, "sign_ins", "method", Method::from_code)?,
        address: parse_optional(row, "sign_ins", "address")?,
        browser: row.try_get("browser")?,
        session: parse_optional(row, "sign_ins", "session_id")?,
    })
}
