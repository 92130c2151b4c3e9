//! The audit history: appended to within the transaction of the change, read by keyset.

use super::{Result, convert, parse, timestamp};
use domain::{
    actor::ActorKind,
    audit::{AuditAction, AuditActor, AuditEvent, RecordedEvent},
    id::{ApplicationId, OrganizationId},
    text::Reason,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// Appends `events`, in order, in the caller's transaction: they are recorded with the change, or neither is.
///
/// # Errors
/// The database fails.
pub async fn append(conn: &mut AnyConnection, events: &[AuditEvent]) -> Result<()> {
    for event in events {
        let sequence: i64 = sqlx::query("UPDATE audit_sequence SET last = last + 1 RETURNING last")
            .fetch_one(&mut *conn)
            .await?
            .try_get("last")?;
        sqlx::query(
            "INSERT INTO audit_events (sequence, at, organization_id, application_id, actor_user_id, actor_name,
                 actor_kind, address, action, target, before_words, after_words, reason)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(sequence)
        .bind(event.at.as_millis())
        .bind(event.organization_id.to_string())
        .bind(event.application_id.to_string())
        .bind(event.actor.user_id.to_string())
        .bind(&event.actor.name)
        .bind(event.actor.kind.code())
        .bind(event.actor.address.map(|address| address.to_string()))
        .bind(event.action.code())
        .bind(&event.target)
        .bind(event.before.as_deref())
        .bind(event.after.as_deref())
        .bind(event.reason.as_ref().map(Reason::as_str))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// The newest `limit` events of an application that come before the sequence number `before`.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_application(
    conn: &mut AnyConnection,
    organization_id: OrganizationId,
    application_id: ApplicationId,
    before: i64,
    limit: i64,
) -> Result<Vec<RecordedEvent>> {
    let rows = sqlx::query(
        "SELECT sequence, CAST(sequence AS TEXT) AS id, at, organization_id, application_id, actor_user_id, actor_name,
             actor_kind, address, action, target, before_words, after_words, reason
         FROM audit_events
         WHERE organization_id = $1 AND application_id = $2 AND sequence < $3
         ORDER BY sequence DESC
         LIMIT $4",
    )
    .bind(organization_id.to_string())
    .bind(application_id.to_string())
    .bind(before)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(event).collect()
}

const TABLE: &str = "audit_events";

fn event(row: &AnyRow) -> Result<RecordedEvent> {
    Ok(RecordedEvent {
        sequence: row.try_get("sequence")?,
        event: AuditEvent {
            at: timestamp(row, "at")?,
            actor: AuditActor {
                user_id: parse(row, TABLE, "actor_user_id")?,
                name: row.try_get("actor_name")?,
                kind: convert(row, TABLE, "actor_kind", ActorKind::from_code)?,
                address: match row.try_get::<Option<String>, _>("address")? {
                    Some(_) => Some(parse(row, TABLE, "address")?),
                    None => None,
                },
            },
            organization_id: parse(row, TABLE, "organization_id")?,
            application_id: parse(row, TABLE, "application_id")?,
            action: convert(row, TABLE, "action", AuditAction::from_code)?,
            target: row.try_get("target")?,
            before: row.try_get("before_words")?,
            after: row.try_get("after_words")?,
            reason: match row.try_get::<Option<String>, _>("reason")? {
                Some(_) => Some(convert(row, TABLE, "reason", |text| Reason::new(text).ok())?),
                None => None,
            },
        },
    })
}
