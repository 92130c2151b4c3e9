//! Policies: the maximum age of an organization's keys, and its security requirements for members and for Nuvera's
//! changes.

use super::{Result, StoreError, audit, one_row, parse};
use domain::{
    hygiene::{Days, RotationRules, Rule},
    id::OrganizationId,
    policy::{Policy, PolicyChange, Rules},
    security_policy::SecurityRules,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::collections::HashMap;

/// Policy rules that are stored in a table of their own.
pub trait StoredRules: Rules + Send + Sync {
    /// The query for the row of organization `$1`.
    const FIND: &'static str;
    /// The statement that writes the row of organization `$1` with version `$2` if its version is still `$3`, followed
    /// by [`StoredRules::columns`].
    const SAVE: &'static str;

    /// Reads the rules from a row returned by [`StoredRules::FIND`].
    ///
    /// # Errors
    /// The row is corrupt.
    fn read(row: &AnyRow) -> Result<Self>;

    /// The values bound to [`StoredRules::SAVE`] from `$4` on.
    fn columns(self) -> Vec<Option<i64>>;
}

/// The policy of `organization`; the default if it was never changed.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find<R: StoredRules>(conn: &mut AnyConnection, organization: OrganizationId) -> Result<Policy<R>> {
    let row = sqlx::query(R::FIND).bind(organization.to_string()).fetch_optional(conn).await?;
    let Some(row) = row else { return Ok(Policy::default()) };
    Ok(Policy { rules: R::read(&row)?, version: row.try_get("version")? })
}

/// The rotation rules of every organization that has changed them.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn rotation_of_everyone(conn: &mut AnyConnection) -> Result<HashMap<OrganizationId, RotationRules>> {
    let rows = sqlx::query("SELECT organization_id AS id, api_key_age, signing_key_age, idle FROM rotation_policies")
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| Ok((parse(row, "rotation_policies", "id")?, RotationRules::read(row)?))).collect()
}

/// Saves a change and its audit event, in the caller's transaction.
///
/// # Errors
/// [`StoreError::Conflict`] if the policy was changed since it was read; the database fails.
pub async fn save<R: StoredRules>(conn: &mut AnyConnection, change: &PolicyChange<R>) -> Result<()> {
    let Policy { rules, version } = change.policy;
    let query = sqlx::query(R::SAVE).bind(change.event.organization_id.to_string()).bind(version).bind(version - 1);
    let query = rules.columns().into_iter().fold(query, |query, column| query.bind(column));
    one_row(&query.execute(&mut *conn).await?)?;
    audit::append(conn, std::slice::from_ref(&change.event)).await
}

impl StoredRules for RotationRules {
    const FIND: &'static str = "SELECT organization_id AS id, api_key_age, signing_key_age, idle, version
         FROM rotation_policies WHERE organization_id = $1";
    const SAVE: &'static str =
        "INSERT INTO rotation_policies (organization_id, version, api_key_age, signing_key_age, idle)
         VALUES ($1, $2, $4, $5, $6)
         ON CONFLICT (organization_id) DO UPDATE SET api_key_age = excluded.api_key_age,
             signing_key_age = excluded.signing_key_age, idle = excluded.idle, version = excluded.version
         WHERE rotation_policies.version = $3";

    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            api_key_age: days(row, "api_key_age", Rule::ApiKeyAge)?,
            signing_key_age: days(row, "signing_key_age", Rule::SigningKeyAge)?,
            idle: days(row, "idle", Rule::Idle)?,
        })
    }

    fn columns(self) -> Vec<Option<i64>> {
        let ages = [self.api_key_age, self.signing_key_age, self.idle];
        ages.map(|days| days.map(|days| i64::from(days.count()))).into()
    }
}

impl StoredRules for SecurityRules {
    const FIND: &'static str = "SELECT second_factor_required, nuvera_changes_need_confirmation, version
         FROM security_policies WHERE organization_id = $1";
    const SAVE: &'static str = "INSERT INTO security_policies (organization_id, version, second_factor_required,
             nuvera_changes_need_confirmation)
         VALUES ($1, $2, $4, $5)
         ON CONFLICT (organization_id) DO UPDATE SET second_factor_required = excluded.second_factor_required,
             nuvera_changes_need_confirmation = excluded.nuvera_changes_need_confirmation, version = excluded.version
         WHERE security_policies.version = $3";

    fn read(row: &AnyRow) -> Result<Self> {
        let is_set = |column: &str| Ok::<_, StoreError>(row.try_get::<i64, _>(column)? != 0);
        Ok(Self {
            second_factor_required: is_set("second_factor_required")?,
            nuvera_changes_need_confirmation: is_set("nuvera_changes_need_confirmation")?,
        })
    }

    fn columns(self) -> Vec<Option<i64>> {
        [self.second_factor_required, self.nuvera_changes_need_confirmation].map(|set| Some(i64::from(set))).into()
    }
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
