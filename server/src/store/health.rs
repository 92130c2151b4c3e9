//! The health of organizations' applications, in a number of statements that does not depend on the number of
//! organizations.

use super::{Result, optional_timestamp, parse, policies, timestamp};
use domain::{
    health::{Health, Outcomes, since},
    hygiene::{KeyTimes, Rule},
    id::{ApplicationId, OrganizationId},
    time::Timestamp,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::collections::HashMap;

/// The health at `now` of every organization that has applications.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_everyone(conn: &mut AnyConnection, now: Timestamp) -> Result<HashMap<OrganizationId, Health>> {
    let mut health = HashMap::<OrganizationId, Health>::new();
    let applications = sqlx::query(
        "SELECT a.organization_id, a.created_at, a.disabled_at,
             (SELECT MAX(u.last_used_at) FROM api_keys k JOIN api_key_usage u ON u.api_key_id = k.id
              WHERE k.application_id = a.id) AS last_used_at
         FROM applications a",
    );
    for row in applications.fetch_all(&mut *conn).await? {
        let is_enabled = optional_timestamp(&row, "disabled_at")?.is_none();
        let is_used = optional_timestamp(&row, "last_used_at")?.is_some();
        let known = health.entry(organization(&row)?).or_default();
        known.count_application(is_enabled, timestamp(&row, "created_at")?, is_used, now);
    }
    let rules = policies::rotation_of_everyone(&mut *conn).await?;
    for (organization, key) in keys(&mut *conn, now).await? {
        let rules = rules.get(&organization).copied().unwrap_or_default();
        health.entry(organization).or_default().count_key(key.rotation(rules, now));
    }
    let [day, hour] = since(now);
    let outcomes = sqlx::query(
        "SELECT a.organization_id, r.code, COUNT(*) AS last_day,
             COUNT(CASE WHEN r.at >= $2 THEN 1 END) AS last_hour
         FROM requests r JOIN applications a ON a.id = r.application_id
         WHERE r.at >= $1 GROUP BY a.organization_id, r.code",
    );
    for row in outcomes.bind(day.as_millis()).bind(hour.as_millis()).fetch_all(conn).await? {
        let known = health.entry(organization(&row)?).or_default();
        count(&row, &mut known.last_hour, &mut known.last_day)?;
    }
    Ok(health)
}

/// The outcomes of an organization's requests in the last hour and in the last day, in this order.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn outcomes(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    now: Timestamp,
) -> Result<(Outcomes, Outcomes)> {
    let [day, hour] = since(now);
    let rows = sqlx::query(
        "SELECT r.code, COUNT(*) AS last_day, COUNT(CASE WHEN r.at >= $2 THEN 1 END) AS last_hour
         FROM requests r JOIN applications a ON a.id = r.application_id
         WHERE r.at >= $1 AND a.organization_id = $3 GROUP BY r.code",
    )
    .bind(day.as_millis())
    .bind(hour.as_millis())
    .bind(organization.to_string())
    .fetch_all(conn)
    .await?;
    let (mut last_hour, mut last_day) = (Outcomes::default(), Outcomes::default());
    for row in &rows {
        count(row, &mut last_hour, &mut last_day)?;
    }
    Ok((last_hour, last_day))
}

fn count(row: &AnyRow, last_hour: &mut Outcomes, last_day: &mut Outcomes) -> Result<()> {
    let code: String = row.try_get("code")?;
    last_day.count(&code, row.try_get::<i64, _>("last_day")?.unsigned_abs());
    last_hour.count(&code, row.try_get::<i64, _>("last_hour")?.unsigned_abs());
    Ok(())
}

/// Every usable key with its organization.
async fn keys(conn: &mut AnyConnection, now: Timestamp) -> Result<Vec<(OrganizationId, KeyTimes)>> {
    let mut keys = Vec::new();
    let api_keys = sqlx::query(
        "SELECT a.organization_id, k.created_at, k.replaced_at, k.expires_at, u.last_used_at
         FROM api_keys k JOIN applications a ON a.id = k.application_id
             LEFT JOIN api_key_usage u ON u.api_key_id = k.id
         WHERE k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $1)",
    );
    for row in api_keys.bind(now.as_millis()).fetch_all(&mut *conn).await? {
        let ending = optional_timestamp(&row, "expires_at")?.zip(optional_timestamp(&row, "replaced_at")?);
        keys.push((organization(&row)?, times(&row, Rule::ApiKeyAge, ending)?));
    }
    let signing_keys = sqlx::query(
        "SELECT a.organization_id, k.application_id, k.created_at, k.retires_at, u.last_used_at
         FROM signing_keys k JOIN applications a ON a.id = k.application_id
             LEFT JOIN signing_key_usage u ON u.signing_key_id = k.id
         WHERE k.retired_at IS NULL AND (k.retires_at IS NULL OR k.retires_at > $1)",
    );
    let rows = signing_keys.bind(now.as_millis()).fetch_all(conn).await?;
    // An overlap begins when the current key is registered, as in `hygiene::of_application`.
    let mut replaced_at = HashMap::<ApplicationId, Timestamp>::new();
    for row in &rows {
        if optional_timestamp(row, "retires_at")?.is_none() {
            replaced_at.insert(parse(row, "signing_keys", "application_id")?, timestamp(row, "created_at")?);
        }
    }
    for row in &rows {
        let decided_at = replaced_at.get(&parse(row, "signing_keys", "application_id")?).copied();
        let ending = optional_timestamp(row, "retires_at")?.zip(decided_at);
        keys.push((organization(row)?, times(row, Rule::SigningKeyAge, ending)?));
    }
    Ok(keys)
}

fn times(row: &AnyRow, age: Rule, ending: Option<(Timestamp, Timestamp)>) -> Result<KeyTimes> {
    let (created_at, last_used_at) = (timestamp(row, "created_at")?, optional_timestamp(row, "last_used_at")?);
    Ok(KeyTimes { age, created_at, ending, last_used_at })
}

fn organization(row: &AnyRow) -> Result<OrganizationId> {
    parse(row, "applications", "organization_id")
}
