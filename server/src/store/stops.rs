//! How applications are used, for the preview of a bulk disable.

use super::{Result, optional_timestamp, parse};
use domain::{
    id::{ApplicationId, OrganizationId},
    time::Timestamp,
};
use sqlx::{Any, AnyConnection, Row, any::AnyArguments, query::Query};
use std::collections::HashMap;

/// Current use of an application.
#[derive(Clone, Debug)]
pub struct Use {
    /// The name of its organization.
    pub organization_name: String,
    /// Number of its accepted requests since the requested minute.
    pub requests: i64,
    /// When one of its API keys was last used.
    pub last_used_at: Option<Timestamp>,
}

macro_rules! uses {
    ($condition:literal) => {
        concat!(
            "SELECT a.id, o.name AS organization_name,
                 (SELECT MAX(u.last_used_at) FROM api_keys k JOIN api_key_usage u ON u.api_key_id = k.id
                  WHERE k.application_id = a.id) AS last_used_at,
                 (SELECT CAST(COALESCE(SUM(t.requests), 0) AS BIGINT)
                  FROM api_keys k JOIN api_key_traffic t ON t.api_key_id = k.id
                  WHERE k.application_id = a.id AND t.minute >= $2) AS requests
             FROM applications a JOIN organizations o ON o.id = a.organization_id
             WHERE ",
            $condition
        )
    };
}

/// The use of the applications of `organization`. Counts requests from the minute `since` (since 1970) on.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_organization(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    since: i64,
) -> Result<HashMap<ApplicationId, Use>> {
    read(conn, sqlx::query(uses!("a.organization_id = $1")).bind(organization.to_string()).bind(since)).await
}

/// The use of the applications of any organization that have registered the public key with `fingerprint`.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_fingerprint(
    conn: &mut AnyConnection,
    fingerprint: &str,
    since: i64,
) -> Result<HashMap<ApplicationId, Use>> {
    let sql = uses!("a.id IN (SELECT s.application_id FROM signing_keys s WHERE s.fingerprint = $1)");
    read(conn, sqlx::query(sql).bind(fingerprint.to_owned()).bind(since)).await
}

async fn read(conn: &mut AnyConnection, query: Query<'_, Any, AnyArguments>) -> Result<HashMap<ApplicationId, Use>> {
    let rows = query.fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            let used = Use {
                organization_name: row.try_get("organization_name")?,
                requests: row.try_get("requests")?,
                last_used_at: optional_timestamp(row, "last_used_at")?,
            };
            Ok((parse(row, "applications", "id")?, used))
        })
        .collect()
}
