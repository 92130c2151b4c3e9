//! The lock of the process that serves a PostgreSQL database: an advisory lock, held by a session that is kept open.
//!
//! The lock is specific to the database and schema, and is released when the session ends. TCP keepalives, which are
//! configured here, detect a session whose client has vanished within about half a minute.

use super::{Result, opening::optional, settings};
use sqlx::{AnyConnection, Row};

/// The setting that describes the process that serves the database.
const SERVING: &str = "serving_process";

/// A database session that holds the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockSession {
    /// Its process id on the database server.
    pub pid: i64,
    /// The address of its client; `None` for a Unix socket, or if this user may not see it.
    pub client: Option<String>,
}

/// Configures `conn` to hold the lock: limits every statement's time, and enables the detection of a vanished client.
///
/// # Errors
/// The database fails.
pub async fn prepare(conn: &mut AnyConnection) -> Result<()> {
    sqlx::query(
        "SELECT set_config(name, CASE name
             WHEN 'tcp_keepalives_idle' THEN '10' WHEN 'tcp_keepalives_interval' THEN '5'
             WHEN 'tcp_keepalives_count' THEN '3' WHEN 'tcp_user_timeout' THEN '20s'
             WHEN 'idle_session_timeout' THEN '0' ELSE '5s' END, false)
         FROM pg_settings
         WHERE name IN ('tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count', 'tcp_user_timeout',
             'idle_session_timeout', 'statement_timeout')",
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// Acquires the lock for the session of `conn` without waiting. Returns whether it was acquired.
///
/// # Errors
/// The database fails.
pub async fn try_lock(conn: &mut AnyConnection) -> Result<bool> {
    let row = sqlx::query(
        "SELECT CASE WHEN pg_try_advisory_lock(1853191777, hashtext(COALESCE(current_schema(), ''))) THEN 1 ELSE 0 END
             AS is_locked",
    )
    .fetch_one(conn)
    .await?;
    Ok(row.try_get::<i32, _>("is_locked")? == 1)
}

/// Checks that the session of `conn` is alive.
///
/// # Errors
/// The session has ended or does not answer.
pub async fn ping(conn: &mut AnyConnection) -> Result<()> {
    sqlx::query("SELECT 1 AS alive").fetch_one(conn).await?;
    Ok(())
}

/// Returns the session that holds the lock.
///
/// # Errors
/// The database fails.
pub async fn lock_session(conn: &mut AnyConnection) -> Result<Option<LockSession>> {
    let row = sqlx::query(
        "SELECT CAST(l.pid AS BIGINT) AS pid, host(a.client_addr) AS client
         FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND CAST(l.classid AS BIGINT) = 1853191777
             AND CAST(l.objid AS BIGINT) = CAST(hashtext(COALESCE(current_schema(), '')) AS BIGINT) & 4294967295
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok(LockSession { pid: row.try_get("pid")?, client: row.try_get("client")? })).transpose()
}

/// Records the process that holds the lock.
///
/// # Errors
/// The database fails.
pub async fn set_holder(conn: &mut AnyConnection, holder: &str) -> Result<()> {
    settings::set(conn, SERVING, holder).await
}

/// Returns the process that was last recorded as holding the lock.
///
/// # Errors
/// The database fails.
pub async fn holder(conn: &mut AnyConnection) -> Result<Option<String>> {
    let row = sqlx::query("SELECT value FROM settings WHERE name = $1").bind(SERVING).fetch_optional(conn).await;
    let row = optional(row)?.flatten();
    Ok(row.map(|row| row.try_get("value")).transpose()?)
}
