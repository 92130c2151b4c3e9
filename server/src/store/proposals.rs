//! Proposed changes, at most one per application, in a table of their own.

use super::{Result, StoreError, convert, optional_timestamp, parse, required_why, ticket, timestamp};
use domain::{
    application::{ApiApplication, NewSigningKey, ProposedChange, RequestedChange, SigningKeyReplacement},
    public_key::PublicKey,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::time::Duration;

const TABLE: &str = "proposed_changes";

/// The columns that [`read`] expects; `c` is the alias of the table.
macro_rules! columns {
    () => {
        "c.proposed_at, c.proposed_by, c.proposed_by_user_id, c.reason AS proposed_reason, c.ticket AS proposed_ticket,
                     c.kind AS proposed_kind, c.permissions AS proposed_permissions,
                     c.signing_key_id AS proposed_key_id, c.pem AS proposed_pem, c.proven_at AS proposed_proven_at,
                     c.overlap AS proposed_overlap, c.version AS proposed_version, c.expires_at AS confirmable_until"
    };
}
pub(super) use columns;

/// Saves an application's proposed change, or deletes its row if it has none.
pub(super) async fn save(conn: &mut AnyConnection, application: &ApiApplication) -> Result<()> {
    let id = application.id.to_string();
    let Some(proposed) = &application.proposed_change else {
        sqlx::query("DELETE FROM proposed_changes WHERE application_id = $1").bind(id).execute(conn).await?;
        return Ok(());
    };
    let (kind, permissions, key_id, key, replacement) = match &proposed.change {
        RequestedChange::Enable => ("enable", None, None, None, None),
        RequestedChange::Permissions(permissions) => ("permissions", Some(permissions.to_string()), None, None, None),
        RequestedChange::ReplaceSigningKey { key, replacement } => {
            ("replace_signing_key", None, Some(key.id), Some(key), Some(replacement))
        }
        RequestedChange::RestoreSigningKey { id, replacement } => {
            ("restore_signing_key", None, Some(*id), None, Some(replacement))
        }
        RequestedChange::RetireSigningKey { id } => ("retire_signing_key", None, Some(*id), None, None),
    };
    let overlap = match replacement {
        Some(SigningKeyReplacement::WithOverlap(overlap)) => {
            Some(i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX))
        }
        Some(SigningKeyReplacement::StopNow) | None => None,
    };
    sqlx::query(
        "INSERT INTO proposed_changes (application_id, proposed_at, proposed_by, proposed_by_user_id, reason, ticket,
             kind, permissions, signing_key_id, pem, proven_at, overlap, version, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (application_id) DO UPDATE SET proposed_at = excluded.proposed_at,
             proposed_by = excluded.proposed_by, proposed_by_user_id = excluded.proposed_by_user_id,
             reason = excluded.reason, ticket = excluded.ticket, kind = excluded.kind,
             permissions = excluded.permissions, signing_key_id = excluded.signing_key_id, pem = excluded.pem,
             proven_at = excluded.proven_at, overlap = excluded.overlap, version = excluded.version,
             expires_at = excluded.expires_at",
    )
    .bind(id)
    .bind(proposed.at.as_millis())
    .bind(&proposed.by)
    .bind(proposed.user_id.to_string())
    .bind(proposed.why.as_str())
    .bind(ticket(&proposed.why))
    .bind(kind)
    .bind(permissions)
    .bind(key_id.map(|id| id.to_string()))
    .bind(key.map(|key| key.public_key.pem()))
    .bind(key.filter(|key| key.is_proven).map(|_| proposed.at.as_millis()))
    .bind(overlap)
    .bind(proposed.version)
    .bind(proposed.expires_at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads the proposed change from a row of the application query; `None` if there is none.
pub(super) fn read(row: &AnyRow) -> Result<Option<ProposedChange>> {
    let Some(at) = optional_timestamp(row, "proposed_at")? else { return Ok(None) };
    let replacement = match row.try_get::<Option<i64>, _>("proposed_overlap")? {
        Some(milliseconds) => SigningKeyReplacement::WithOverlap(Duration::from_millis(milliseconds.unsigned_abs())),
        None => SigningKeyReplacement::StopNow,
    };
    let key_id = || parse(row, TABLE, "proposed_key_id");
    let kind: String = row.try_get("proposed_kind")?;
    let change = match &*kind {
        "enable" => RequestedChange::Enable,
        "permissions" => RequestedChange::Permissions(parse(row, TABLE, "proposed_permissions")?),
        "replace_signing_key" => {
            let public_key = convert(row, TABLE, "proposed_pem", |pem| PublicKey::from_registered_pem(pem).ok())?;
            let is_proven = optional_timestamp(row, "proposed_proven_at")?.is_some();
            RequestedChange::ReplaceSigningKey {
                key: NewSigningKey { id: key_id()?, public_key, is_proven },
                replacement,
            }
        }
        "restore_signing_key" => RequestedChange::RestoreSigningKey { id: key_id()?, replacement },
        "retire_signing_key" => RequestedChange::RetireSigningKey { id: key_id()? },
        _ => {
            let id = row.try_get("id").unwrap_or_default();
            return Err(StoreError::Corrupt { table: TABLE, column: "kind", id, found: kind });
        }
    };
    Ok(Some(ProposedChange {
        at,
        by: row.try_get("proposed_by")?,
        user_id: parse(row, TABLE, "proposed_by_user_id")?,
        why: required_why(row, TABLE, "proposed_reason", "proposed_ticket")?,
        change,
        version: row.try_get("proposed_version")?,
        expires_at: timestamp(row, "confirmable_until")?,
    }))
}
