//! Usage of each key as recorded by the gateway. Usage is added in batches and only ever advances, so that a late batch
//! does not overwrite later usage.

use super::{Result, parse, timestamp};
use domain::{
    id::{ApiKeyId, ApplicationId, OrganizationId, SigningKeyId},
    time::Timestamp,
};
use sqlx::{AnyConnection, Row};
use std::{collections::HashMap, hash::Hash, str::FromStr};

/// Usage of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    /// When its first accepted request arrived.
    pub first_used_at: Timestamp,
    /// When its last accepted request arrived.
    pub last_used_at: Timestamp,
    /// The client's address in the last accepted request.
    pub address: String,
    /// The client's `User-Agent` in the last accepted request.
    pub user_agent: String,
    /// Number of accepted requests.
    pub requests: i64,
}

macro_rules! add_usage {
    ($table:literal, $key:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (",
            $key,
            ", first_used_at, last_used_at, address, user_agent, requests)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (",
            $key,
            ") DO UPDATE SET
                 requests = ",
            $table,
            ".requests + excluded.requests,
                 address = CASE WHEN excluded.last_used_at >= ",
            $table,
            ".last_used_at
                     THEN excluded.address ELSE ",
            $table,
            ".address END,
                 user_agent = CASE WHEN excluded.last_used_at >= ",
            $table,
            ".last_used_at
                     THEN excluded.user_agent ELSE ",
            $table,
            ".user_agent END,
                 last_used_at = CASE WHEN excluded.last_used_at >= ",
            $table,
            ".last_used_at
                     THEN excluded.last_used_at ELSE ",
            $table,
            ".last_used_at END"
        )
    };
}

/// Adds to the usage of an API key.
///
/// # Errors
/// The database fails.
pub async fn add_api_key(conn: &mut AnyConnection, id: ApiKeyId, usage: &KeyUsage) -> Result<()> {
    add(conn, add_usage!("api_key_usage", "api_key_id"), id.to_string(), usage).await
}

/// Adds to the usage of a signing key.
///
/// # Errors
/// The database fails.
pub async fn add_signing_key(conn: &mut AnyConnection, id: SigningKeyId, usage: &KeyUsage) -> Result<()> {
    add(conn, add_usage!("signing_key_usage", "signing_key_id"), id.to_string(), usage).await
}

async fn add(conn: &mut AnyConnection, sql: &'static str, id: String, usage: &KeyUsage) -> Result<()> {
    sqlx::query(sql)
        .bind(id)
        .bind(usage.first_used_at.as_millis())
        .bind(usage.last_used_at.as_millis())
        .bind(&usage.address)
        .bind(&usage.user_agent)
        .bind(usage.requests)
        .execute(conn)
        .await?;
    Ok(())
}

/// Usage by key; keys that were never used are absent.
pub type Usage<Id> = HashMap<Id, KeyUsage>;

/// The usage of an application's API keys.
///
/// # Errors
/// The database fails.
pub async fn of_api_keys(conn: &mut AnyConnection, application: ApplicationId) -> Result<Usage<ApiKeyId>> {
    let sql = "SELECT u.api_key_id AS id, u.first_used_at, u.last_used_at, u.address, u.user_agent, u.requests
         FROM api_key_usage u JOIN api_keys k ON k.id = u.api_key_id
         WHERE k.application_id = $1";
    by_id(conn, sql, application.to_string(), "api_key_usage").await
}

/// The usage of an application's signing keys.
///
/// # Errors
/// The database fails.
pub async fn of_signing_keys(conn: &mut AnyConnection, application: ApplicationId) -> Result<Usage<SigningKeyId>> {
    let sql = "SELECT u.signing_key_id AS id, u.first_used_at, u.last_used_at, u.address, u.user_agent, u.requests
         FROM signing_key_usage u JOIN signing_keys k ON k.id = u.signing_key_id
         WHERE k.application_id = $1";
    by_id(conn, sql, application.to_string(), "signing_key_usage").await
}

/// The usage of the API keys and the signing keys of all applications of an organization.
///
/// # Errors
/// The database fails.
pub async fn of_organization(
    conn: &mut AnyConnection,
    organization: OrganizationId,
) -> Result<(Usage<ApiKeyId>, Usage<SigningKeyId>)> {
    let api_keys = "SELECT u.api_key_id AS id, u.first_used_at, u.last_used_at, u.address, u.user_agent, u.requests
         FROM api_key_usage u
         JOIN api_keys k ON k.id = u.api_key_id
         JOIN applications a ON a.id = k.application_id
         WHERE a.organization_id = $1";
    let signing_keys =
        "SELECT u.signing_key_id AS id, u.first_used_at, u.last_used_at, u.address, u.user_agent, u.requests
         FROM signing_key_usage u
         JOIN signing_keys k ON k.id = u.signing_key_id
         JOIN applications a ON a.id = k.application_id
         WHERE a.organization_id = $1";
    Ok((
        by_id(&mut *conn, api_keys, organization.to_string(), "api_key_usage").await?,
        by_id(conn, signing_keys, organization.to_string(), "signing_key_usage").await?,
    ))
}

async fn by_id<Id: FromStr + Eq + Hash>(
    conn: &mut AnyConnection,
    sql: &'static str,
    whose: String,
    table: &'static str,
) -> Result<Usage<Id>> {
    let rows = sqlx::query(sql).bind(whose).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            let usage = KeyUsage {
                first_used_at: timestamp(row, "first_used_at")?,
                last_used_at: timestamp(row, "last_used_at")?,
                address: row.try_get("address")?,
                user_agent: row.try_get("user_agent")?,
                requests: row.try_get("requests")?,
            };
            Ok((parse(row, table, "id")?, usage))
        })
        .collect()
}
