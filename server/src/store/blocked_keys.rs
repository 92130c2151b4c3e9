//! Blocked signing keys. Every transaction that makes a signing key usable and every transaction that blocks one calls
//! [`lock`] first, so that neither misses the other's change.

use super::{Result, one_row, optional_timestamp, parse, required_why, settings, ticket, timestamp, why};
use domain::{
    application::{BlockedKey, KeyRelease},
    text::Why,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

const TABLE: &str = "blocked_fingerprints";

/// The setting that [`lock`] writes.
const LOCK: &str = "signing_key_lock";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT fingerprint AS id, blocked_at, blocked_by, blocked_by_user_id, reason, ticket, released_at,
                 released_by, release_reason, release_ticket FROM blocked_fingerprints ",
            $rest
        )
    };
}

/// Acquires the lock on signing keys until the transaction ends: transactions that block a signing key or make one
/// usable run one after the other. Must be called before any other write, to prevent deadlocks.
///
/// # Errors
/// The database fails.
pub async fn lock(conn: &mut AnyConnection) -> Result<()> {
    settings::set(conn, LOCK, "").await
}

/// Blocks a key, in the caller's transaction, and returns whether the block is new. A key that is already blocked keeps
/// its earlier block unchanged.
///
/// # Errors
/// The database fails.
pub async fn block(conn: &mut AnyConnection, blocked: &BlockedKey) -> Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO blocked_fingerprints (fingerprint, blocked_at, blocked_by, blocked_by_user_id, reason, ticket)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (fingerprint) WHERE released_at IS NULL DO NOTHING",
    )
    .bind(&blocked.fingerprint)
    .bind(blocked.at.as_millis())
    .bind(&blocked.by)
    .bind(blocked.user_id.to_string())
    .bind(blocked.why.as_ref().map(Why::as_str))
    .bind(blocked.why.as_ref().and_then(ticket))
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The active block of the key with `fingerprint`.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find(conn: &mut AnyConnection, fingerprint: &str) -> Result<Option<BlockedKey>> {
    let query = sqlx::query(select!("WHERE fingerprint = $1 AND released_at IS NULL")).bind(fingerprint);
    query.fetch_optional(conn).await?.as_ref().map(blocked_key).transpose()
}

/// The newest `limit` blocks, active blocks first.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn list(conn: &mut AnyConnection, limit: i64) -> Result<Vec<BlockedKey>> {
    let sql =
        select!("ORDER BY CASE WHEN released_at IS NULL THEN 0 ELSE 1 END, blocked_at DESC, fingerprint LIMIT $1");
    sqlx::query(sql).bind(limit).fetch_all(conn).await?.iter().map(blocked_key).collect()
}

/// The fingerprints of all active blocks.
///
/// # Errors
/// The database fails.
pub async fn in_force(conn: &mut AnyConnection) -> Result<Vec<String>> {
    let sql = "SELECT fingerprint FROM blocked_fingerprints WHERE released_at IS NULL";
    let rows = sqlx::query(sql).fetch_all(conn).await?;
    rows.iter().map(|row| Ok(row.try_get("fingerprint")?)).collect()
}

/// Releases a block, in the caller's transaction.
///
/// # Errors
/// [`super::StoreError::Conflict`] if it was released since it was read; the database fails.
pub async fn release(conn: &mut AnyConnection, blocked: &BlockedKey, release: &KeyRelease) -> Result<()> {
    let released = sqlx::query(
        "UPDATE blocked_fingerprints SET released_at = $1, released_by = $2, release_reason = $3, release_ticket = $4
         WHERE fingerprint = $5 AND blocked_at = $6 AND released_at IS NULL",
    )
    .bind(release.at.as_millis())
    .bind(&release.by)
    .bind(release.why.as_str())
    .bind(ticket(&release.why))
    .bind(&blocked.fingerprint)
    .bind(blocked.at.as_millis())
    .execute(conn)
    .await?;
    one_row(&released)
}

fn blocked_key(row: &AnyRow) -> Result<BlockedKey> {
    let release = match optional_timestamp(row, "released_at")? {
        Some(at) => Some(KeyRelease {
            at,
            by: row.try_get("released_by")?,
            why: required_why(row, TABLE, "release_reason", "release_ticket")?,
        }),
        None => None,
    };
    Ok(BlockedKey {
        fingerprint: row.try_get("id")?,
        at: timestamp(row, "blocked_at")?,
        by: row.try_get("blocked_by")?,
        user_id: parse(row, TABLE, "blocked_by_user_id")?,
        why: why(row, TABLE, "reason", "ticket")?,
        release,
    })
}
