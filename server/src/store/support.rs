//! Acknowledgements by partners of Nuvera's actions on their applications.

use super::{Result, timestamp};
use domain::{id::ApplicationId, support::Seen};
use sqlx::{AnyConnection, Row};

/// The latest acknowledgement of Nuvera's actions on an application; `None` if there is none.
///
/// # Errors
/// The database fails.
pub async fn seen(conn: &mut AnyConnection, application: ApplicationId) -> Result<Option<Seen>> {
    let row = sqlx::query("SELECT sequence, seen_at, seen_by FROM seen_support WHERE application_id = $1")
        .bind(application.to_string())
        .fetch_optional(conn)
        .await?;
    let read = |row: sqlx::any::AnyRow| {
        Ok(Seen { sequence: row.try_get("sequence")?, by: row.try_get("seen_by")?, at: timestamp(&row, "seen_at")? })
    };
    row.map(read).transpose()
}

/// Records an acknowledgement, in the caller's transaction. An acknowledgement of earlier events than the recorded one
/// is ignored.
///
/// # Errors
/// The database fails.
pub async fn see(conn: &mut AnyConnection, application: ApplicationId, seen: &Seen) -> Result<()> {
    sqlx::query(
        "INSERT INTO seen_support (application_id, sequence, seen_at, seen_by) VALUES ($1, $2, $3, $4)
         ON CONFLICT (application_id) DO UPDATE SET sequence = excluded.sequence, seen_at = excluded.seen_at,
             seen_by = excluded.seen_by
         WHERE seen_support.sequence < excluded.sequence",
    )
    .bind(application.to_string())
    .bind(seen.sequence)
    .bind(seen.at.as_millis())
    .bind(&seen.by)
    .execute(conn)
    .await?;
    Ok(())
}
