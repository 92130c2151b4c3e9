//! Sessions of signed-in users. A cookie refers to an entry of [`super::sessions`], whose data refers to a session
//! here.

use super::{Result, convert, one_row, parse, parse_optional, timestamp};
use domain::{
    actor::ActorKind,
    id::{SessionId, UserId},
    sign_in::{Method, SignedIn},
    time::Timestamp,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::net::IpAddr;

/// Adds a session.
///
/// # Errors
/// The database fails.
pub async fn insert(conn: &mut AnyConnection, session: &SignedIn) -> Result<()> {
    sqlx::query(
        "INSERT INTO signed_in (id, user_id, side, signed_in_at, used_at, proven_at, method, address, browser, told_until)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(session.id.to_string())
    .bind(session.user_id.to_string())
    .bind(session.side.code())
    .bind(session.signed_in_at.as_millis())
    .bind(session.used_at.as_millis())
    .bind(session.proven_at.as_millis())
    .bind(session.method.code())
    .bind(session.address.map(|address| address.to_string()))
    .bind(&session.browser)
    .bind(session.told_until.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// The session with this id. The id comes from a cookie, whose possession is the authority, so there is no organization
/// to restrict the search to.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find(conn: &mut AnyConnection, id: SessionId) -> Result<Option<SignedIn>> {
    let row = sqlx::query(
        "SELECT id, user_id, side, signed_in_at, used_at, proven_at, method, address, browser, told_until
         FROM signed_in WHERE id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(read).transpose()
}

/// The sessions of `user`, last used first, including expired ones.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_user(conn: &mut AnyConnection, user: UserId) -> Result<Vec<SignedIn>> {
    let rows = sqlx::query(
        "SELECT id, user_id, side, signed_in_at, used_at, proven_at, method, address, browser, told_until
         FROM signed_in WHERE user_id = $1 ORDER BY used_at DESC, id DESC",
    )
    .bind(user.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(read).collect()
}

/// Records that a session was used. Does nothing if it has ended meanwhile.
///
/// # Errors
/// The database fails.
pub async fn touch(conn: &mut AnyConnection, id: SessionId, address: Option<IpAddr>, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE signed_in SET used_at = $1, address = $2 WHERE id = $3")
        .bind(now.as_millis())
        .bind(address.map(|address| address.to_string()))
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that the user of a session has just proven their identity. Does nothing if the session has ended meanwhile.
///
/// # Errors
/// The database fails.
pub async fn prove(conn: &mut AnyConnection, id: SessionId, now: Timestamp) -> Result<()> {
    sqlx::query("UPDATE signed_in SET used_at = $1, proven_at = $1 WHERE id = $2")
        .bind(now.as_millis())
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Records that a session has shown its user the sign-ins from new browsers before `until`.
///
/// # Errors
/// The database fails.
pub async fn told(conn: &mut AnyConnection, id: SessionId, until: Timestamp) -> Result<()> {
    sqlx::query("UPDATE signed_in SET told_until = $1 WHERE id = $2")
        .bind(until.as_millis())
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends a session of `user`.
///
/// # Errors
/// [`super::StoreError::Conflict`] if `user` has no such session; the database fails.
pub async fn end(conn: &mut AnyConnection, user: UserId, id: SessionId) -> Result<()> {
    let ended = sqlx::query("DELETE FROM signed_in WHERE id = $1 AND user_id = $2")
        .bind(id.to_string())
        .bind(user.to_string())
        .execute(conn)
        .await?;
    one_row(&ended)
}

/// Ends a session of the given side, if it exists.
///
/// # Errors
/// The database fails.
pub async fn close(conn: &mut AnyConnection, id: SessionId, side: ActorKind) -> Result<()> {
    sqlx::query("DELETE FROM signed_in WHERE id = $1 AND side = $2")
        .bind(id.to_string())
        .bind(side.code())
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends all sessions of `user` but one, and invalidates their sign-ins in progress.
///
/// # Errors
/// The database fails.
pub async fn end_all(conn: &mut AnyConnection, user: UserId, except: Option<SessionId>) -> Result<()> {
    sqlx::query("UPDATE users SET sign_ins_ended = sign_ins_ended + 1 WHERE id = $1")
        .bind(user.to_string())
        .execute(&mut *conn)
        .await?;
    sqlx::query("DELETE FROM signed_in WHERE user_id = $1 AND id <> $2")
        .bind(user.to_string())
        .bind(except.map(|id| id.to_string()).unwrap_or_default())
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes sessions that began at or before `until`.
///
/// # Errors
/// The database fails.
pub async fn purge(conn: &mut AnyConnection, until: Timestamp) -> Result<()> {
    sqlx::query("DELETE FROM signed_in WHERE signed_in_at <= $1").bind(until.as_millis()).execute(conn).await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<SignedIn> {
    Ok(SignedIn {
        id: parse(row, "signed_in", "id")?,
        user_id: parse(row, "signed_in", "user_id")?,
        side: convert(row, "signed_in", "side", ActorKind::from_code)?,
        signed_in_at: timestamp(row, "signed_in_at")?,
        used_at: timestamp(row, "used_at")?,
        proven_at: timestamp(row, "proven_at")?,
        method: convert(row, "signed_in", "method", Method::from_code)?,
        address: parse_optional(row, "signed_in", "address")?,
        browser: row.try_get("browser")?,
        told_until: timestamp(row, "told_until")?,
    })
}
