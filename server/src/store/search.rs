//! Search across organizations for Nuvera's admins. Not restricted to one organization, so every result names its
//! organization.
//!
//! Exact values are looked up in an index. Parts of names are compared by scanning the name index alone, in its order,
//! until there are enough matches.

use super::{
    Result,
    applications::{api_key, name_key, signing_key},
    parse, timestamp,
};
use domain::{
    id::OrganizationId,
    search::{Found, Hit},
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use uuid::Uuid;

macro_rules! hits {
    ($columns:literal, $from:literal) => {
        concat!(
            "SELECT a.id AS application_id, a.name AS application_name, a.disabled_at, a.organization_id,
                 o.name AS organization_name",
            $columns,
            " FROM ",
            $from,
            " JOIN organizations o ON o.id = a.organization_id WHERE o.kind = 'partner' AND "
        )
    };
}

const NAMED: &str = concat!(hits!("", "applications a"), "a.name_key = $1 ORDER BY a.id LIMIT $2");

const NAMED_IN_PART: &str = concat!(
    hits!("", "applications a"),
    "a.id IN (SELECT n.id FROM applications n WHERE n.name_key LIKE $1 ESCAPE '\\' AND n.name_key <> $2
         ORDER BY n.name_key, n.id LIMIT $3)
     ORDER BY a.name_key, a.id"
);

const BY_ID: &str = concat!(hits!("", "applications a"), "a.id = $1");

const API_KEY: &str = concat!(
    hits!(
        ", k.id, k.prefix, k.last_four, k.hash, k.pepper_id, k.created_at, k.created_by, k.stored_at, k.replaced_at,
             k.expires_at, k.revoked_at, k.exposed_at, k.exposed_by, k.exposed_reason, k.exposed_ticket",
        "api_keys k JOIN applications a ON a.id = k.application_id"
    ),
    "k.prefix = $1"
);

const SIGNING_KEYS: &str = concat!(
    hits!(
        ", k.id, k.pem, k.created_at, k.created_by, k.proven_at, k.retires_at, k.retired_at",
        "signing_keys k JOIN applications a ON a.id = k.application_id"
    ),
    "k.fingerprint = $1 ORDER BY o.name, a.name_key, a.id LIMIT $2"
);

const REQUEST: &str =
    concat!(hits!(", r.id, r.at, r.code", "requests r JOIN applications a ON a.id = r.application_id"), "r.id = $1");

/// The partners' applications named `name`, regardless of case; at most `limit`.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn named(conn: &mut AnyConnection, name: &str, limit: i64) -> Result<Vec<Hit>> {
    let rows = sqlx::query(NAMED).bind(name_key(name)).bind(limit).fetch_all(conn).await?;
    rows.iter().map(|row| hit(row, Found::Application)).collect()
}

/// The partners' applications whose names contain `part`, regardless of case, without those named exactly so; at most
/// `limit`.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn named_in_part(conn: &mut AnyConnection, part: &str, limit: i64) -> Result<Vec<Hit>> {
    let part = name_key(part);
    let rows = sqlx::query(NAMED_IN_PART).bind(like(&part)).bind(part).bind(limit).fetch_all(conn).await?;
    rows.iter().map(|row| hit(row, Found::Application)).collect()
}

/// The application with this id.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn application(conn: &mut AnyConnection, id: Uuid) -> Result<Option<Hit>> {
    let row = sqlx::query(BY_ID).bind(id.to_string()).fetch_optional(conn).await?;
    row.map(|row| hit(&row, Found::Application)).transpose()
}

/// The API key with this prefix.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn with_prefix(conn: &mut AnyConnection, prefix: &str) -> Result<Option<Hit>> {
    let row = sqlx::query(API_KEY).bind(prefix).fetch_optional(conn).await?;
    row.map(|row| hit(&row, Found::ApiKey(api_key(&row)?))).transpose()
}

/// The signing keys with this fingerprint, including retired ones; at most `limit`.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn with_fingerprint(conn: &mut AnyConnection, fingerprint: &str, limit: i64) -> Result<Vec<Hit>> {
    let rows = sqlx::query(SIGNING_KEYS).bind(fingerprint).bind(limit).fetch_all(conn).await?;
    rows.iter().map(|row| hit(row, Found::SigningKey(signing_key(row)?))).collect()
}

/// The request with this id.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn request(conn: &mut AnyConnection, id: Uuid) -> Result<Option<Hit>> {
    let row = sqlx::query(REQUEST).bind(id.to_string()).fetch_optional(conn).await?;
    let Some(row) = row else { return Ok(None) };
    let (id, at) = (parse(&row, "requests", "id")?, timestamp(&row, "at")?);
    hit(&row, Found::Request { id, at, code: row.try_get("code")? }).map(Some)
}

fn hit(row: &AnyRow, what: Found) -> Result<Hit> {
    Ok(Hit {
        organization: parse::<OrganizationId>(row, "applications", "organization_id")?,
        organization_name: row.try_get("organization_name")?,
        application: parse(row, "applications", "application_id")?,
        application_name: row.try_get("application_name")?,
        is_enabled: row.try_get::<Option<i64>, _>("disabled_at")?.is_none(),
        what,
    })
}

/// Returns the `LIKE` pattern for text that contains `part`, with the wildcards and backslashes in `part` escaped.
fn like(part: &str) -> String {
    let mut pattern = String::from("%");
    for c in part.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern + "%"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::Store;

    /// SQLite's query plan, one step per line.
    async fn plan(conn: &mut AnyConnection, sql: &str) -> String {
        let explained = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let mut query = sqlx::query(explained);
        for _ in 0..sql.matches('$').count() {
            query = query.bind("x");
        }
        let rows = query.fetch_all(conn).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("\n")
    }

    #[tokio::test]
    async fn nothing_is_searched_for_by_reading_a_table() {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::open(&format!("sqlite://{}?mode=rwc", folder.path().join("test.db").display())).await.unwrap();
        let mut conn = store.read().await.unwrap();
        for (sql, index) in [
            (NAMED, "SEARCH a USING INDEX applications_by_name (name_key=?)"),
            (BY_ID, "SEARCH a USING INDEX sqlite_autoindex_applications_1 (id=?)"),
            (API_KEY, "SEARCH k USING INDEX sqlite_autoindex_api_keys_2 (prefix=?)"),
            (SIGNING_KEYS, "SEARCH k USING INDEX signing_keys_by_fingerprint (fingerprint=?)"),
            (REQUEST, "SEARCH r USING INDEX sqlite_autoindex_requests_1 (id=?)"),
        ] {
            let plan = plan(&mut conn, sql).await;
            assert!(plan.contains(index), "{sql}: {plan}");
            assert!(!plan.contains("SCAN"), "{sql}: {plan}");
        }
        // Only the search for parts of names scans, and reads an index alone, until there are enough matches.
        let in_part = plan(&mut conn, NAMED_IN_PART).await;
        assert!(in_part.contains("SCAN n USING COVERING INDEX applications_by_name"), "{in_part}");
        assert_eq!(in_part.matches("SCAN").count(), 1, "{in_part}");
        // The control: a search without an index is detected as a scan.
        let scan = plan(&mut conn, &format!("{} a.name = 'x'", hits!("", "applications a"))).await;
        assert!(scan.contains("SCAN"), "{scan}");
    }

    #[test]
    fn what_means_something_in_a_pattern_stands_for_itself() {
        assert_eq!(like("100%_\\é"), "%100\\%\\_\\\\é%");
    }
}
