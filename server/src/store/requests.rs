//! The log of applications' latest requests, bounded in number and age.

use super::{Result, conditions::Conditions, parse, parse_optional, timestamp};
use domain::{
    id::{ApplicationId, OrganizationId, RequestId},
    request::{KEPT_REQUESTS, RequestFilter, RequestOutcome, SeenRefusal, SeenRequest},
    time::Timestamp,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

const TABLE: &str = "requests";

const COLUMNS: &str = "SELECT r.id, r.at, r.method, r.path, r.status, r.code, r.micros, r.address, r.api_key_id,
         r.signing_key_id, r.token_age_seconds, r.body_bytes, r.detail, r.expected, r.received
     FROM requests r JOIN applications a ON a.id = r.application_id
     WHERE";

/// Adds requests of an application and deletes its oldest ones beyond [`KEPT_REQUESTS`].
///
/// # Errors
/// The database fails.
pub async fn add(
    conn: &mut AnyConnection,
    application: ApplicationId,
    requests: impl IntoIterator<Item = &SeenRequest>,
) -> Result<()> {
    for request in requests {
        let refused = request.refused.as_ref();
        sqlx::query(
            "INSERT INTO requests (id, application_id, at, method, path, status, code, micros, address, api_key_id,
                 signing_key_id, token_age_seconds, body_bytes, detail, expected, received)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        )
        .bind(request.id.to_string())
        .bind(application.to_string())
        .bind(request.at.as_millis())
        .bind(&request.method)
        .bind(&request.path)
        .bind(i64::from(request.status))
        .bind(&*request.code)
        .bind(i64::try_from(request.micros).unwrap_or(i64::MAX))
        .bind(request.address.to_string())
        .bind(request.api_key_id.to_string())
        .bind(request.signing_key_id.map(|id| id.to_string()))
        .bind(request.token_age_seconds)
        .bind(request.body_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)))
        .bind(refused.map(|refused| &*refused.detail))
        .bind(refused.and_then(|refused| refused.expected.as_deref()))
        .bind(refused.and_then(|refused| refused.received.as_deref()))
        .execute(&mut *conn)
        .await?;
    }
    sqlx::query(
        "DELETE FROM requests WHERE application_id = $1 AND id <= (
             SELECT id FROM requests WHERE application_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
    )
    .bind(application.to_string())
    .bind(i64::try_from(KEPT_REQUESTS).unwrap_or(i64::MAX))
    .execute(conn)
    .await?;
    Ok(())
}

/// Deletes the requests that arrived before `before`.
///
/// # Errors
/// The database fails.
pub async fn purge(conn: &mut AnyConnection, before: Timestamp) -> Result<()> {
    sqlx::query("DELETE FROM requests WHERE at < $1").bind(before.as_millis()).execute(conn).await?;
    Ok(())
}

/// The newest `limit` requests of an application; with `before`, only those that precede the request with that id.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_application(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    application: ApplicationId,
    filter: RequestFilter,
    before: Option<RequestId>,
    limit: i64,
) -> Result<Vec<SeenRequest>> {
    let mut conditions = of(organization, application);
    match filter.outcome {
        None => {}
        Some(RequestOutcome::Refused) => conditions.and_text("r.code <> ?", Some(SeenRequest::ACCEPTED)),
        Some(RequestOutcome::Code(code)) => conditions.and_text("r.code = ?", Some(code)),
    }
    conditions.and_text("r.api_key_id = ?", filter.api_key);
    conditions.and_text("r.id < ?", before);
    let rows = conditions.fetch(conn, COLUMNS, &format!("ORDER BY r.id DESC LIMIT {limit}")).await?;
    rows.iter().map(request).collect()
}

/// The request `id` of an application.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    application: ApplicationId,
    id: RequestId,
) -> Result<Option<SeenRequest>> {
    let mut conditions = of(organization, application);
    conditions.and_text("r.id = ?", Some(id));
    conditions.fetch(conn, COLUMNS, "").await?.first().map(request).transpose()
}

fn of(organization: OrganizationId, application: ApplicationId) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.and_text("a.organization_id = ?", Some(organization));
    conditions.and_text("r.application_id = ?", Some(application));
    conditions
}

fn request(row: &AnyRow) -> Result<SeenRequest> {
    // The gateway counts these in unsigned numbers, so they are never negative.
    let unsigned = |column| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(i64::unsigned_abs));
    Ok(SeenRequest {
        id: parse(row, TABLE, "id")?,
        at: timestamp(row, "at")?,
        method: row.try_get("method")?,
        path: row.try_get("path")?,
        status: row.try_get::<i64, _>("status")?.try_into().unwrap_or_default(),
        code: row.try_get::<String, _>("code")?.into(),
        micros: unsigned("micros")?.unwrap_or_default(),
        address: parse(row, TABLE, "address")?,
        api_key_id: parse(row, TABLE, "api_key_id")?,
        signing_key_id: parse_optional(row, TABLE, "signing_key_id")?,
        token_age_seconds: row.try_get("token_age_seconds")?,
        body_bytes: unsigned("body_bytes")?,
        refused: match row.try_get::<Option<String>, _>("detail")? {
            Some(detail) => {
                Some(SeenRefusal { detail, expected: row.try_get("expected")?, received: row.try_get("received")? })
            }
            None => None,
        },
    })
}
