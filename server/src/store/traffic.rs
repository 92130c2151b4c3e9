//! Number of requests per key and minute.

use super::{Result, parse};
use domain::{
    cut_over::Traffic,
    id::{ApiKeyId, ApplicationId, SigningKeyId},
};
use sqlx::{AnyConnection, Row};
use std::{collections::HashMap, hash::Hash, str::FromStr, time::Duration};

/// The SQL statements for one kind of key. The two kinds differ only in their names.
struct Table {
    name: &'static str,
    add: &'static str,
    purge: &'static str,
    minutes: &'static str,
    gaps: &'static str,
}

macro_rules! table {
    ($name:literal, $key:literal, $keys:literal) => {
        Table {
            name: $name,
            add: concat!(
                "INSERT INTO ",
                $name,
                " (",
                $key,
                ", minute, requests) VALUES ($1, $2, $3)
                 ON CONFLICT (",
                $key,
                ", minute) DO UPDATE SET requests = ",
                $name,
                ".requests + excluded.requests"
            ),
            purge: concat!("DELETE FROM ", $name, " WHERE minute < $1"),
            minutes: concat!(
                "SELECT t.",
                $key,
                " AS id, t.minute, t.requests
                 FROM ",
                $name,
                " t JOIN ",
                $keys,
                " k ON k.id = t.",
                $key,
                "
                 WHERE k.application_id = $1 AND t.minute >= $2 ORDER BY t.minute"
            ),
            gaps: concat!(
                "SELECT g.id, MAX(g.gap) AS gap FROM (
                     SELECT t.",
                $key,
                " AS id,
                         t.minute - LAG(t.minute) OVER (PARTITION BY t.",
                $key,
                " ORDER BY t.minute) AS gap
                     FROM ",
                $name,
                " t JOIN ",
                $keys,
                " k ON k.id = t.",
                $key,
                "
                     WHERE k.application_id = $1) g
                 WHERE g.gap IS NOT NULL GROUP BY g.id"
            ),
        }
    };
}

const API_KEYS: Table = table!("api_key_traffic", "api_key_id", "api_keys");
const SIGNING_KEYS: Table = table!("signing_key_traffic", "signing_key_id", "signing_keys");

/// Adds to an API key's number of requests in a minute (since 1970).
///
/// # Errors
/// The database fails.
pub async fn add_api_key(conn: &mut AnyConnection, id: ApiKeyId, minute: i64, requests: i64) -> Result<()> {
    add(conn, &API_KEYS, id.to_string(), minute, requests).await
}

/// Adds to the number of requests that a signing key verified in a minute (since 1970).
///
/// # Errors
/// The database fails.
pub async fn add_signing_key(conn: &mut AnyConnection, id: SigningKeyId, minute: i64, requests: i64) -> Result<()> {
    add(conn, &SIGNING_KEYS, id.to_string(), minute, requests).await
}

async fn add(conn: &mut AnyConnection, table: &Table, id: String, minute: i64, requests: i64) -> Result<()> {
    sqlx::query(table.add).bind(id).bind(minute).bind(requests).execute(conn).await?;
    Ok(())
}

/// Deletes the traffic before a minute (since 1970).
///
/// # Errors
/// The database fails.
pub async fn purge(conn: &mut AnyConnection, before: i64) -> Result<()> {
    for table in [API_KEYS, SIGNING_KEYS] {
        sqlx::query(table.purge).bind(before).execute(&mut *conn).await?;
    }
    Ok(())
}

/// The traffic of an application's API keys from the minute `since` (since 1970) on. Keys without traffic are absent.
///
/// # Errors
/// The database fails.
pub async fn of_api_keys(
    conn: &mut AnyConnection,
    application: ApplicationId,
    since: i64,
) -> Result<HashMap<ApiKeyId, Traffic>> {
    of(conn, &API_KEYS, application, since).await
}

/// The traffic of an application's signing keys from the minute `since` (since 1970) on. Keys without traffic are
/// absent.
///
/// # Errors
/// The database fails.
pub async fn of_signing_keys(
    conn: &mut AnyConnection,
    application: ApplicationId,
    since: i64,
) -> Result<HashMap<SigningKeyId, Traffic>> {
    of(conn, &SIGNING_KEYS, application, since).await
}

async fn of<Id: FromStr + Eq + Hash>(
    conn: &mut AnyConnection,
    table: &Table,
    application: ApplicationId,
    since: i64,
) -> Result<HashMap<Id, Traffic>> {
    let mut traffic = HashMap::<Id, Traffic>::new();
    for row in sqlx::query(table.minutes).bind(application.to_string()).bind(since).fetch_all(&mut *conn).await? {
        let known = traffic.entry(parse(&row, table.name, "id")?).or_default();
        known.minutes.push((row.try_get("minute")?, row.try_get("requests")?));
    }
    for row in sqlx::query(table.gaps).bind(application.to_string()).fetch_all(conn).await? {
        let minutes = row.try_get::<i64, _>("gap")?.unsigned_abs();
        traffic.entry(parse(&row, table.name, "id")?).or_default().longest_gap =
            Some(Duration::from_secs(60 * minutes));
    }
    Ok(traffic)
}
