//! Rotation policies: how old an organization lets its keys become.

use super::{Result, StoreError, audit, one_row};
use domain::{
    hygiene::{Days, PolicyChange, RotationPolicy, RotationRules, Rule},
    id::OrganizationId,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// The rotation policy of `organization`; the default one where nobody has changed it.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find(conn: &mut AnyConnection, organization: OrganizationId) -> Result<RotationPolicy> {
    let row = sqlx::query(
        "SELECT organization_id AS id, api_key_age, signing_key_age, idle, version FROM rotation_policies
         WHERE organization_id = $1",
    )
    .bind(organization.to_string())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(RotationPolicy::default()) };
    let rules = RotationRules {
        api_key_age: days(&row, "api_key_age", Rule::ApiKeyAge)?,
        signing_key_age: days(&row, "signing_key_age", Rule::SigningKeyAge)?,
        idle: days(&row, "idle", Rule::Idle)?,
    };
    Ok(RotationPolicy { rules, version: row.try_get("version")? })
}

/// Writes a change and its audit event, in the caller's transaction.
///
/// # Errors
/// [`StoreError::Conflict`] where the policy was changed since it was read; the database fails.
pub async fn save(conn: &mut AnyConnection, change: &PolicyChange) -> Result<()> {
    let RotationPolicy { rules, version } = change.policy;
    let count = |days: Option<Days>| days.map(|days| i64::from(days.count()));
    let saved = sqlx::query(
        "INSERT INTO rotation_policies (organization_id, api_key_age, signing_key_age, idle, version)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (organization_id) DO UPDATE SET api_key_age = excluded.api_key_age,
             signing_key_age = excluded.signing_key_age, idle = excluded.idle, version = excluded.version
         WHERE rotation_policies.version = $6",
    )
    .bind(change.event.organization_id.to_string())
    .bind(count(rules.api_key_age))
    .bind(count(rules.signing_key_age))
    .bind(count(rules.idle))
    .bind(version)
    .bind(version - 1)
    .execute(&mut *conn)
    .await?;
    one_row(&saved)?;
    audit::append(conn, std::slice::from_ref(&change.event)).await
}

fn days(row: &AnyRow, column: &'static str, rule: Rule) -> Result<Option<Days>> {
    let Some(found) = row.try_get::<Option<i64>, _>(column)? else { return Ok(None) };
    let days = u16::try_from(found).ok().and_then(|count| rule.days(count).ok());
    days.map(Some).ok_or_else(|| StoreError::Corrupt {
        table: "rotation_policies",
        column,
        id: row.try_get("id").unwrap_or_default(),
        found: found.to_string(),
    })
}
