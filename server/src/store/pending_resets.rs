//! Requested password and second-factor resets of Nuvera members that have not taken effect.

use super::{Result, convert, one_row, parse, timestamp};
use domain::{
    id::{OrganizationId, PendingResetId, UserId},
    pending_reset::{PendingReset, ResetKind},
    time::Timestamp,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// The query for the pending resets that meet the condition.
macro_rules! resets {
    ($condition:literal) => {
        concat!(
            "SELECT r.id, r.organization_id, r.user_id, r.kind, r.requested_by, r.requested_at, r.effective_at,
                 u.name, u.email, b.name AS requested_by_name
             FROM pending_resets r JOIN users u ON u.id = r.user_id JOIN users b ON b.id = r.requested_by WHERE ",
            $condition
        )
    };
}

/// Adds a reset.
///
/// # Errors
/// [`super::StoreError::Taken`] if one of the same kind is pending for the member; the database fails.
pub async fn insert(conn: &mut AnyConnection, reset: &PendingReset) -> Result<()> {
    sqlx::query(
        "INSERT INTO pending_resets (id, organization_id, user_id, kind, requested_by, requested_at, effective_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(reset.id.to_string())
    .bind(reset.organization_id.to_string())
    .bind(reset.user_id.to_string())
    .bind(reset.kind.code())
    .bind(reset.requested_by.to_string())
    .bind(reset.requested_at.as_millis())
    .bind(reset.effective_at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the pending reset `id` of `organization`.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    id: PendingResetId,
) -> Result<Option<PendingReset>> {
    let row = sqlx::query(resets!("r.organization_id = $1 AND r.id = $2"))
        .bind(organization.to_string())
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Returns the pending resets of `organization`, earliest first.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_organization(conn: &mut AnyConnection, organization: OrganizationId) -> Result<Vec<PendingReset>> {
    let rows = sqlx::query(resets!("r.organization_id = $1 ORDER BY r.effective_at, r.id"))
        .bind(organization.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(read).collect()
}

/// Returns the pending resets of `user`, and those that `user` requested.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn involving(conn: &mut AnyConnection, user: UserId) -> Result<Vec<PendingReset>> {
    let rows = sqlx::query(resets!("r.user_id = $1 OR r.requested_by = $1 ORDER BY r.effective_at, r.id"))
        .bind(user.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(read).collect()
}

/// Returns the resets of all organizations that are due at `now`, for the job that carries them out.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn due(conn: &mut AnyConnection, now: Timestamp) -> Result<Vec<PendingReset>> {
    let rows = sqlx::query(resets!("r.effective_at <= $1 ORDER BY r.effective_at, r.id"))
        .bind(now.as_millis())
        .fetch_all(conn)
        .await?;
    rows.iter().map(read).collect()
}

/// Sets the time at which a reset takes effect.
///
/// # Errors
/// [`super::StoreError::Conflict`] if it is no longer pending; the database fails.
pub async fn set_effective_at(conn: &mut AnyConnection, id: PendingResetId, at: Timestamp) -> Result<()> {
    let set = sqlx::query("UPDATE pending_resets SET effective_at = $1 WHERE id = $2")
        .bind(at.as_millis())
        .bind(id.to_string())
        .execute(conn)
        .await?;
    one_row(&set)
}

/// Deletes a reset that was carried out or cancelled. Succeeds only once.
///
/// # Errors
/// [`super::StoreError::Conflict`] if it is no longer pending; the database fails.
pub async fn delete(conn: &mut AnyConnection, id: PendingResetId) -> Result<()> {
    let deleted = sqlx::query("DELETE FROM pending_resets WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    one_row(&deleted)
}

fn read(row: &AnyRow) -> Result<PendingReset> {
    Ok(PendingReset {
        id: parse(row, "pending_resets", "id")?,
        organization_id: parse(row, "pending_resets", "organization_id")?,
        user_id: parse(row, "pending_resets", "user_id")?,
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        kind: convert(row, "pending_resets", "kind", ResetKind::from_code)?,
        requested_by: parse(row, "pending_resets", "requested_by")?,
        requested_by_name: row.try_get("requested_by_name")?,
        requested_at: timestamp(row, "requested_at")?,
        effective_at: timestamp(row, "effective_at")?,
    })
}
