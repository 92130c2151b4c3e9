//! API applications with their keys. An application is read as a whole and written as a domain [`Change`].

use super::{
    Result, StoreError, audit, convert, one_row, optional_timestamp, parse, parse_optional, proposals, required_why,
    ticket, timestamp, why,
};
use domain::{
    actor::ActorKind,
    api_key::{ApiKey, ApiKeyHash, ApiKeyState, Exposure, KeyPrefix},
    application::{ApiApplication, AutoFinish, Change, Disabled, PreparedReplacement, Replacement},
    hex,
    id::{ApplicationId, OrganizationId, UserId},
    public_key::PublicKey,
    signing_key::{SigningKey, SigningKeyState},
    text::{ApplicationName, Why},
};
use sqlx::{Any, AnyConnection, Row, any::AnyRow, query::Query};
use std::{collections::HashMap, time::Duration};

/// The three queries that load applications matching the given condition: the applications by name, and their API keys
/// and signing keys, each newest first.
macro_rules! queries {
    ($condition:literal) => {
        [
            concat!(
                "SELECT a.id, a.organization_id, a.name, a.permissions, a.created_at, a.created_by, a.disabled_at,
                     a.disabled_by, a.disabled_by_kind, a.disabled_reason, a.disabled_ticket, a.version, p.prepared_at,
                     p.prepared_by, p.prepared_by_user_id, p.reason AS prepared_reason, p.ticket AS prepared_ticket, p.grace, p.expires_at AS claimable_until, f.set_at, f.set_by,
                     f.set_by_user_id, f.hold, ",
                proposals::columns!(),
                " FROM applications a LEFT JOIN prepared_replacements p ON p.application_id = a.id
                     LEFT JOIN auto_finishes f ON f.application_id = a.id
                     LEFT JOIN proposed_changes c ON c.application_id = a.id ",
                $condition,
                " ORDER BY a.name_key"
            ),
            concat!(
                "SELECT k.id, k.application_id, k.prefix, k.last_four, k.hash, k.pepper_id, k.created_at, k.created_by,
                     k.stored_at, k.replaced_at, k.expires_at, k.revoked_at, k.exposed_at, k.exposed_by, k.exposed_reason,
                     k.exposed_ticket
                 FROM api_keys k JOIN applications a ON a.id = k.application_id ",
                $condition,
                " ORDER BY k.ordinal DESC"
            ),
            concat!(
                "SELECT k.id, k.application_id, k.pem, k.created_at, k.created_by, k.proven_at, k.retires_at,
                     k.retired_at
                 FROM signing_keys k JOIN applications a ON a.id = k.application_id ",
                $condition,
                " ORDER BY k.ordinal DESC"
            ),
        ]
    };
}

/// The application `id` of `organization`. Applications of other organizations are not found.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn find(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    id: ApplicationId,
) -> Result<Option<ApiApplication>> {
    let binds = [organization.to_string(), id.to_string()];
    let found = load(conn, queries!("WHERE a.organization_id = $1 AND a.id = $2"), &binds).await?;
    Ok(found.into_iter().next())
}

/// The applications of `organization`, ordered by name.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_organization(conn: &mut AnyConnection, organization: OrganizationId) -> Result<Vec<ApiApplication>> {
    load(conn, queries!("WHERE a.organization_id = $1"), &[organization.to_string()]).await
}

/// The applications of any organization that have ever registered the public key with `fingerprint`, including those
/// that have retired it. Used by emergency stops.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_fingerprint(conn: &mut AnyConnection, fingerprint: &str) -> Result<Vec<ApiApplication>> {
    let queries = queries!("WHERE a.id IN (SELECT s.application_id FROM signing_keys s WHERE s.fingerprint = $1)");
    load(conn, queries, &[fingerprint.to_owned()]).await
}

/// The application of any organization that has the API key with `prefix`. Used by the operator's emergency stop.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_api_key(conn: &mut AnyConnection, prefix: &str) -> Result<Option<ApiApplication>> {
    let queries = queries!("WHERE a.id IN (SELECT o.application_id FROM api_keys o WHERE o.prefix = $1)");
    Ok(load(conn, queries, &[prefix.to_owned()]).await?.into_iter().next())
}

/// Every application, which the gateway loads on start. This function, [`with_auto_finish`], [`with_support_of`] and
/// [`with_proposed_change`] serve the program itself. Together with [`of_fingerprint`], [`of_api_key`] and the searches
/// of Nuvera's admins they are the only finders of applications not restricted to one organization.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_everyone(conn: &mut AnyConnection) -> Result<Vec<ApiApplication>> {
    load(conn, queries!(""), &[]).await
}

/// The applications of every organization whose old API key will be revoked automatically.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn with_auto_finish(conn: &mut AnyConnection) -> Result<Vec<ApiApplication>> {
    load(conn, queries!("JOIN auto_finishes o ON o.application_id = a.id"), &[]).await
}

/// The applications for which Nuvera has proposed a change, of every organization.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn with_proposed_change(conn: &mut AnyConnection) -> Result<Vec<ApiApplication>> {
    load(conn, queries!("JOIN proposed_changes o ON o.application_id = a.id"), &[]).await
}

/// The applications of every organization that have a replacement key prepared by `user` or a change proposed by
/// `user`.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn with_support_of(conn: &mut AnyConnection, user: UserId) -> Result<Vec<ApiApplication>> {
    let user = user.to_string();
    let sql = queries!(
        "WHERE a.id IN (SELECT application_id FROM prepared_replacements WHERE prepared_by_user_id = $1
             UNION SELECT application_id FROM proposed_changes WHERE proposed_by_user_id = $1)"
    );
    load(conn, sql, &[user]).await
}

/// The application created by the form that carried `creation_token`. Makes a form that is sent twice idempotent.
///
/// # Errors
/// The database fails.
pub async fn created_with(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    creation_token: &str,
) -> Result<Option<ApplicationId>> {
    let row = sqlx::query("SELECT id FROM applications WHERE organization_id = $1 AND creation_token = $2")
        .bind(organization.to_string())
        .bind(creation_token)
        .fetch_optional(conn)
        .await?;
    row.map(|row| parse(&row, "applications", "id")).transpose()
}

/// Whether and where a public key is already registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// Not registered.
    Nowhere,
    /// Another application of the same organization.
    BySameOrganization,
    /// Another organization.
    ByAnotherOrganization,
}

/// Finds where the public key with `fingerprint` is already registered, ignoring `application` itself.
///
/// # Errors
/// The database fails.
pub async fn registered(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    application: Option<ApplicationId>,
    fingerprint: &str,
) -> Result<Registered> {
    let rows = sqlx::query(
        "SELECT a.id, a.organization_id
         FROM signing_keys k JOIN applications a ON a.id = k.application_id
         WHERE k.fingerprint = $1",
    )
    .bind(fingerprint)
    .fetch_all(conn)
    .await?;
    let mut registered = Registered::Nowhere;
    for row in &rows {
        if parse::<OrganizationId>(row, "applications", "organization_id")? != organization {
            return Ok(Registered::ByAnotherOrganization);
        }
        if Some(parse(row, "applications", "id")?) != application {
            registered = Registered::BySameOrganization;
        }
    }
    Ok(registered)
}

/// Inserts a new application with its keys and audit events, in the caller's transaction.
///
/// # Errors
/// [`StoreError::Taken`] if the organization has an application of that name or the form was already processed; the
/// database fails.
pub async fn create(conn: &mut AnyConnection, change: &Change, creation_token: &str) -> Result<()> {
    let application = &change.application;
    sqlx::query(
        "INSERT INTO applications (id, organization_id, name, name_key, permissions, created_at, created_by,
             creation_token, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(application.id.to_string())
    .bind(application.organization_id.to_string())
    .bind(application.name.as_str())
    .bind(name_key(application.name.as_str()))
    .bind(application.permissions.to_string())
    .bind(application.created_at.as_millis())
    .bind(&application.created_by)
    .bind(creation_token)
    .bind(application.version)
    .execute(&mut *conn)
    .await?;
    save_keys(conn, application).await?;
    audit::append(conn, &change.events).await
}

/// Saves a change and its audit events, in the caller's transaction.
///
/// # Errors
/// [`StoreError::Conflict`] if the application was changed since it was read; [`StoreError::Taken`] if the organization
/// has another application of that name; the database fails.
pub async fn save(conn: &mut AnyConnection, change: &Change) -> Result<()> {
    let application = &change.application;
    let disabled = application.disabled.as_ref();
    let updated = sqlx::query(
        "UPDATE applications SET name = $1, name_key = $2, permissions = $3, disabled_at = $4, disabled_by = $5,
             disabled_by_kind = $6, disabled_reason = $7, disabled_ticket = $8, version = $9
         WHERE organization_id = $10 AND id = $11 AND version = $12",
    )
    .bind(application.name.as_str())
    .bind(name_key(application.name.as_str()))
    .bind(application.permissions.to_string())
    .bind(disabled.map(|disabled| disabled.at.as_millis()))
    .bind(disabled.map(|disabled| disabled.by.as_str()))
    .bind(disabled.map(|disabled| disabled.by_kind.code()))
    .bind(disabled.map(|disabled| disabled.reason.as_str()))
    .bind(disabled.and_then(|disabled| ticket(&disabled.reason)))
    .bind(application.version)
    .bind(application.organization_id.to_string())
    .bind(application.id.to_string())
    .bind(application.version - 1)
    .execute(&mut *conn)
    .await?;
    one_row(&updated)?;
    save_keys(conn, application).await?;
    save_prepared_replacement(conn, application).await?;
    save_auto_finish(conn, application).await?;
    proposals::save(conn, application).await?;
    audit::append(conn, &change.events).await
}

async fn save_prepared_replacement(conn: &mut AnyConnection, application: &ApiApplication) -> Result<()> {
    let id = application.id.to_string();
    let Some(prepared) = &application.prepared_replacement else {
        sqlx::query("DELETE FROM prepared_replacements WHERE application_id = $1").bind(id).execute(conn).await?;
        return Ok(());
    };
    let grace = match prepared.replacement {
        Replacement::WithGrace(grace) => Some(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX)),
        Replacement::StopNow => None,
    };
    sqlx::query(
        "INSERT INTO prepared_replacements (application_id, prepared_at, prepared_by, prepared_by_user_id, reason, ticket,
             grace, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (application_id) DO UPDATE SET prepared_at = excluded.prepared_at,
             prepared_by = excluded.prepared_by, prepared_by_user_id = excluded.prepared_by_user_id, reason = excluded.reason, ticket = excluded.ticket,
             grace = excluded.grace, expires_at = excluded.expires_at",
    )
    .bind(id)
    .bind(prepared.at.as_millis())
    .bind(&prepared.by)
    .bind(prepared.user_id.map(|id| id.to_string()))
    .bind(prepared.reason.as_str())
    .bind(ticket(&prepared.reason))
    .bind(grace)
    .bind(prepared.expires_at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

async fn save_auto_finish(conn: &mut AnyConnection, application: &ApiApplication) -> Result<()> {
    let id = application.id.to_string();
    let Some(finish) = &application.auto_finish else {
        sqlx::query("DELETE FROM auto_finishes WHERE application_id = $1").bind(id).execute(conn).await?;
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO auto_finishes (application_id, set_at, set_by, set_by_user_id, hold) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (application_id) DO UPDATE SET set_at = excluded.set_at, set_by = excluded.set_by,
             set_by_user_id = excluded.set_by_user_id, hold = excluded.hold",
    )
    .bind(id)
    .bind(finish.at.as_millis())
    .bind(&finish.by)
    .bind(finish.user_id.to_string())
    .bind(i64::try_from(finish.hold.as_millis()).unwrap_or(i64::MAX))
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the form in which names are compared: they are unique regardless of case.
pub(super) fn name_key(name: &str) -> String {
    name.to_lowercase()
}

async fn save_keys(conn: &mut AnyConnection, application: &ApiApplication) -> Result<()> {
    for (ordinal, key) in (1_i64..).zip(application.api_keys.iter().rev()) {
        let (replaced_at, expires_at, revoked_at) = match key.state {
            ApiKeyState::Active => (None, None, None),
            ApiKeyState::Expiring { at, replaced_at } => (Some(replaced_at.as_millis()), Some(at.as_millis()), None),
            ApiKeyState::Revoked { at } => (None, None, Some(at.as_millis())),
        };
        let exposed_why = key.exposed.as_ref().and_then(|exposure| exposure.why.as_ref());
        let saved = sqlx::query(
            "INSERT INTO api_keys (id, application_id, ordinal, prefix, last_four, hash, pepper_id, created_at,
                 created_by, stored_at, replaced_at, expires_at, revoked_at, exposed_at, exposed_by, exposed_reason,
                 exposed_ticket)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
             ON CONFLICT (id) DO UPDATE SET stored_at = excluded.stored_at, replaced_at = excluded.replaced_at,
                 expires_at = excluded.expires_at, revoked_at = excluded.revoked_at, exposed_at = excluded.exposed_at,
                 exposed_by = excluded.exposed_by, exposed_reason = excluded.exposed_reason,
                 exposed_ticket = excluded.exposed_ticket",
        )
        .bind(key.id.to_string())
        .bind(application.id.to_string())
        .bind(ordinal)
        .bind(key.prefix.as_str())
        .bind(&key.last_four)
        .bind(hex::lower(&key.hash.0))
        .bind(&key.pepper_id)
        .bind(key.created_at.as_millis())
        .bind(&key.created_by)
        .bind(key.stored_at.map(|at| at.as_millis()))
        .bind(replaced_at)
        .bind(expires_at)
        .bind(revoked_at)
        .bind(key.exposed.as_ref().map(|exposure| exposure.at.as_millis()))
        .bind(key.exposed.as_ref().map(|exposure| exposure.by.as_str()))
        .bind(exposed_why.map(Why::as_str))
        .bind(exposed_why.and_then(ticket))
        .execute(&mut *conn)
        .await?;
        one_row(&saved)?;
    }
    for (ordinal, key) in (1_i64..).zip(application.signing_keys.iter().rev()) {
        let (retires_at, retired_at) = match key.state {
            SigningKeyState::Current => (None, None),
            SigningKeyState::Retiring { at } => (Some(at.as_millis()), None),
            SigningKeyState::Retired { at } => (None, Some(at.as_millis())),
        };
        let saved = sqlx::query(
            "INSERT INTO signing_keys (id, application_id, ordinal, pem, fingerprint, created_at, created_by,
                 proven_at, retires_at, retired_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (id) DO UPDATE SET retires_at = excluded.retires_at, retired_at = excluded.retired_at",
        )
        .bind(key.id.to_string())
        .bind(application.id.to_string())
        .bind(ordinal)
        .bind(key.public_key.pem())
        .bind(key.public_key.fingerprint())
        .bind(key.created_at.as_millis())
        .bind(&key.created_by)
        .bind(key.proven_at.map(|at| at.as_millis()))
        .bind(retires_at)
        .bind(retired_at)
        .execute(&mut *conn)
        .await?;
        one_row(&saved)?;
    }
    Ok(())
}

async fn load(conn: &mut AnyConnection, queries: [&'static str; 3], binds: &[String]) -> Result<Vec<ApiApplication>> {
    let [applications, api_keys, signing_keys] = queries;
    let applications = bound(applications, binds).fetch_all(&mut *conn).await?;
    let api_keys = bound(api_keys, binds).fetch_all(&mut *conn).await?;
    let signing_keys = bound(signing_keys, binds).fetch_all(&mut *conn).await?;
    let mut api_keys = grouped(&api_keys, "api_keys", api_key)?;
    let mut signing_keys = grouped(&signing_keys, "signing_keys", signing_key)?;
    applications
        .iter()
        .map(|row| {
            let id = parse(row, "applications", "id")?;
            let api_keys = api_keys.remove(&id).unwrap_or_default();
            let signing_keys = signing_keys.remove(&id).unwrap_or_default();
            application(row, id, api_keys, signing_keys)
        })
        .collect()
}

fn bound<'q>(sql: &'static str, binds: &[String]) -> Query<'q, Any, sqlx::any::AnyArguments> {
    binds.iter().fold(sqlx::query(sql), |query, bind| query.bind(bind.clone()))
}

fn grouped<T>(
    rows: &[AnyRow],
    table: &'static str,
    read: impl Fn(&AnyRow) -> Result<T>,
) -> Result<HashMap<ApplicationId, Vec<T>>> {
    let mut groups: HashMap<_, Vec<T>> = HashMap::new();
    for row in rows {
        groups.entry(parse(row, table, "application_id")?).or_default().push(read(row)?);
    }
    Ok(groups)
}

fn application(
    row: &AnyRow,
    id: ApplicationId,
    api_keys: Vec<ApiKey>,
    signing_keys: Vec<SigningKey>,
) -> Result<ApiApplication> {
    const TABLE: &str = "applications";
    if !signing_keys.iter().any(|key| key.state == SigningKeyState::Current) {
        let found = "no current signing key".to_owned();
        return Err(StoreError::Corrupt { table: "signing_keys", column: "retired_at", id: id.to_string(), found });
    }
    let disabled = match optional_timestamp(row, "disabled_at")? {
        Some(at) => Some(Disabled {
            at,
            by: row.try_get("disabled_by")?,
            by_kind: convert(row, TABLE, "disabled_by_kind", ActorKind::from_code)?,
            reason: required_why(row, TABLE, "disabled_reason", "disabled_ticket")?,
        }),
        None => None,
    };
    Ok(ApiApplication {
        id,
        organization_id: parse(row, TABLE, "organization_id")?,
        name: convert(row, TABLE, "name", |text| ApplicationName::from_stored(text).ok())?,
        created_at: timestamp(row, "created_at")?,
        created_by: row.try_get("created_by")?,
        disabled,
        permissions: parse(row, TABLE, "permissions")?,
        api_keys,
        signing_keys,
        prepared_replacement: prepared_replacement(row)?,
        proposed_change: proposals::read(row)?,
        auto_finish: auto_finish(row)?,
        version: row.try_get("version")?,
    })
}

fn prepared_replacement(row: &AnyRow) -> Result<Option<PreparedReplacement>> {
    let Some(at) = optional_timestamp(row, "prepared_at")? else { return Ok(None) };
    let grace: Option<i64> = row.try_get("grace")?;
    Ok(Some(PreparedReplacement {
        at,
        by: row.try_get("prepared_by")?,
        user_id: parse_optional(row, "prepared_replacements", "prepared_by_user_id")?,
        reason: required_why(row, "prepared_replacements", "prepared_reason", "prepared_ticket")?,
        replacement: match grace {
            Some(milliseconds) => {
                Replacement::WithGrace(Duration::from_millis(milliseconds.try_into().unwrap_or_default()))
            }
            None => Replacement::StopNow,
        },
        expires_at: timestamp(row, "claimable_until")?,
    }))
}

fn auto_finish(row: &AnyRow) -> Result<Option<AutoFinish>> {
    let Some(at) = optional_timestamp(row, "set_at")? else { return Ok(None) };
    Ok(Some(AutoFinish {
        at,
        by: row.try_get("set_by")?,
        user_id: parse(row, "auto_finishes", "set_by_user_id")?,
        hold: Duration::from_millis(row.try_get::<i64, _>("hold")?.unsigned_abs()),
    }))
}

pub(super) fn api_key(row: &AnyRow) -> Result<ApiKey> {
    let revoked_at = optional_timestamp(row, "revoked_at")?;
    let expires = optional_timestamp(row, "expires_at")?.zip(optional_timestamp(row, "replaced_at")?);
    let state = match (revoked_at, expires) {
        (Some(at), _) => ApiKeyState::Revoked { at },
        (None, Some((at, replaced_at))) => ApiKeyState::Expiring { at, replaced_at },
        (None, None) => ApiKeyState::Active,
    };
    let exposed = match optional_timestamp(row, "exposed_at")? {
        Some(at) => Some(Exposure {
            at,
            by: row.try_get("exposed_by")?,
            why: why(row, "api_keys", "exposed_reason", "exposed_ticket")?,
        }),
        None => None,
    };
    Ok(ApiKey {
        id: parse(row, "api_keys", "id")?,
        prefix: KeyPrefix::from_stored(row.try_get("prefix")?),
        last_four: row.try_get("last_four")?,
        hash: convert(row, "api_keys", "hash", |text| hex::parse(text).map(ApiKeyHash))?,
        pepper_id: row.try_get("pepper_id")?,
        created_at: timestamp(row, "created_at")?,
        created_by: row.try_get("created_by")?,
        stored_at: optional_timestamp(row, "stored_at")?,
        exposed,
        state,
    })
}

pub(super) fn signing_key(row: &AnyRow) -> Result<SigningKey> {
    let state = match (optional_timestamp(row, "retired_at")?, optional_timestamp(row, "retires_at")?) {
        (Some(at), _) => SigningKeyState::Retired { at },
        (None, Some(at)) => SigningKeyState::Retiring { at },
        (None, None) => SigningKeyState::Current,
    };
    Ok(SigningKey {
        id: parse(row, "signing_keys", "id")?,
        public_key: convert(row, "signing_keys", "pem", |pem| PublicKey::from_registered_pem(pem).ok())?,
        created_at: timestamp(row, "created_at")?,
        created_by: row.try_get("created_by")?,
        proven_at: optional_timestamp(row, "proven_at")?,
        state,
    })
}
