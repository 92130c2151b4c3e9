//! Scheduled removals and demotions of members who manage members.

use super::{Result, convert, one_row, parse, timestamp};
use domain::{
    access::Role,
    id::{OrganizationId, UserId},
    people::{OwnerChange, PendingOwnerChange},
    time::Timestamp,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// The query for the pending changes that meet the condition.
macro_rules! pending {
    ($condition:literal) => {
        concat!(
            "SELECT c.user_id AS id, c.organization_id, c.role, c.requested_by, c.requested_at, c.applies_at,
                 t.name AS target_name, t.email AS target_email, r.name AS requester_name
             FROM owner_changes c JOIN users t ON t.id = c.user_id JOIN users r ON r.id = c.requested_by WHERE ",
            $condition
        )
    };
}

/// Adds a pending change.
///
/// # Errors
/// [`super::StoreError::Taken`] if the target already has a pending change; the database fails.
pub async fn insert(conn: &mut AnyConnection, pending: &PendingOwnerChange) -> Result<()> {
    let role = match pending.change {
        OwnerChange::Remove => None,
        OwnerChange::Demote(role) => Some(role.code()),
    };
    sqlx::query(
        "INSERT INTO owner_changes (user_id, organization_id, role, requested_by, requested_at, applies_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(pending.target.to_string())
    .bind(pending.organization_id.to_string())
    .bind(role)
    .bind(pending.requested_by.to_string())
    .bind(pending.requested_at.as_millis())
    .bind(pending.applies_at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// The pending change of the user `target` of `organization`.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    target: UserId,
) -> Result<Option<PendingOwnerChange>> {
    let row = sqlx::query(pending!("c.organization_id = $1 AND c.user_id = $2"))
        .bind(organization.to_string())
        .bind(target.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(read).transpose()
}

/// The pending changes of an organization, ordered by when they apply.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_organization(
    conn: &mut AnyConnection,
    organization: OrganizationId,
) -> Result<Vec<PendingOwnerChange>> {
    let rows = sqlx::query(pending!("c.organization_id = $1 ORDER BY c.applies_at, c.user_id"))
        .bind(organization.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(read).collect()
}

/// The pending changes that a user requested.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn requested_by(conn: &mut AnyConnection, user: UserId) -> Result<Vec<PendingOwnerChange>> {
    let rows = sqlx::query(pending!("c.requested_by = $1 ORDER BY c.applies_at, c.user_id"))
        .bind(user.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(read).collect()
}

/// The pending changes of all organizations that are due at `now`.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn due(conn: &mut AnyConnection, now: Timestamp) -> Result<Vec<PendingOwnerChange>> {
    let rows = sqlx::query(pending!("c.applies_at <= $1 ORDER BY c.applies_at, c.user_id"))
        .bind(now.as_millis())
        .fetch_all(conn)
        .await?;
    rows.iter().map(read).collect()
}

/// Deletes a pending change that was applied or cancelled. Succeeds only once.
///
/// # Errors
/// [`super::StoreError::Conflict`] if it no longer exists; the database fails.
pub async fn delete(conn: &mut AnyConnection, pending: &PendingOwnerChange) -> Result<()> {
    let deleted = sqlx::query("DELETE FROM owner_changes WHERE organization_id = $1 AND user_id = $2")
        .bind(pending.organization_id.to_string())
        .bind(pending.target.to_string())
        .execute(conn)
        .await?;
    one_row(&deleted)
}

fn read(row: &AnyRow) -> Result<PendingOwnerChange> {
    const TABLE: &str = "owner_changes";
    let change = match row.try_get::<Option<String>, _>("role")? {
        None => OwnerChange::Remove,
        Some(_) => OwnerChange::Demote(convert(row, TABLE, "role", Role::from_code)?),
    };
    Ok(PendingOwnerChange {
        organization_id: parse(row, TABLE, "organization_id")?,
        target: parse(row, TABLE, "id")?,
        target_name: row.try_get("target_name")?,
        target_email: row.try_get("target_email")?,
        change,
        requested_by: parse(row, TABLE, "requested_by")?,
        requester_name: row.try_get("requester_name")?,
        requested_at: timestamp(row, "requested_at")?,
        applies_at: timestamp(row, "applies_at")?,
    })
}
