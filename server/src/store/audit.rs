//! The audit history: appended to within the transaction of the change, read by keyset.

use super::{Result, convert, parse, timestamp};
use domain::{
    actor::ActorKind,
    audit::{AuditAction, AuditActor, AuditEvent, AuditFilter, AuditScope, RecordedEvent},
    id::UserId,
    text::{ApplicationName, Reason},
    time::Timestamp,
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

/// The statement with the given condition, which may use `$1` and `$2`.
macro_rules! scoped {
    ($condition:literal) => {
        [
            concat!(
                "SELECT e.sequence, CAST(e.sequence AS TEXT) AS id, e.at, e.organization_id, e.application_id,
                     e.actor_user_id, e.actor_name, e.actor_kind, e.address, e.action, e.target, e.before_words,
                     e.after_words, e.reason, a.name AS application_name, o.name AS organization_name
                 FROM audit_events e
                 JOIN applications a ON a.id = e.application_id
                 JOIN organizations o ON o.id = e.organization_id
                 WHERE ",
                $condition,
                " AND e.sequence < $3
                 AND (CAST($4 AS TEXT) IS NULL OR e.action = $4)
                 AND (CAST($5 AS TEXT) IS NULL OR e.actor_user_id = $5)
                 AND (CAST($6 AS TEXT) IS NULL OR e.actor_kind = $6)
                 AND e.at >= $7 AND e.at < $8
                 ORDER BY e.sequence DESC
                 LIMIT $9"
            ),
            concat!(
                "SELECT e.actor_user_id, MAX(e.actor_user_id) AS id, MAX(e.actor_name) AS actor_name
                 FROM audit_events e
                 WHERE ",
                $condition,
                " GROUP BY e.actor_user_id
                 ORDER BY 3"
            ),
        ]
    };
}

/// The two statements of a scope, events and people, and what its condition is bound to. Where the scope needs less,
/// the condition is told something that is always true: both engines count the placeholders.
fn statements(scope: AuditScope) -> ([&'static str; 2], [String; 2]) {
    match scope {
        AuditScope::Application(organization, application) => (
            scoped!("e.organization_id = $1 AND e.application_id = $2"),
            [organization.to_string(), application.to_string()],
        ),
        AuditScope::Organization(organization) => {
            (scoped!("e.organization_id = $1 AND $2 = 'any'"), [organization.to_string(), "any".to_owned()])
        }
        AuditScope::Everyone => (scoped!("$1 = $2"), ["any".to_owned(), "any".to_owned()]),
    }
}

/// The newest `limit` events of a history that come before the sequence number `before`.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn events(
    conn: &mut AnyConnection,
    scope: AuditScope,
    filter: AuditFilter,
    before: i64,
    limit: i64,
) -> Result<Vec<RecordedEvent>> {
    let ([events, _], [first, second]) = statements(scope);
    let rows = sqlx::query(events)
        .bind(first)
        .bind(second)
        .bind(before)
        .bind(filter.action.map(AuditAction::code))
        .bind(filter.actor.map(|actor| actor.to_string()))
        .bind(filter.kind.map(ActorKind::code))
        .bind(filter.from.map_or(i64::MIN, Timestamp::as_millis))
        .bind(filter.until.map_or(i64::MAX, Timestamp::as_millis))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(event).collect()
}

/// Who acts in a history, by name.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn actors(conn: &mut AnyConnection, scope: AuditScope) -> Result<Vec<(UserId, String)>> {
    let ([_, actors], [first, second]) = statements(scope);
    let rows = sqlx::query(actors).bind(first).bind(second).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((parse(row, TABLE, "actor_user_id")?, row.try_get("actor_name")?))).collect()
}

const TABLE: &str = "audit_events";

fn event(row: &AnyRow) -> Result<RecordedEvent> {
    Ok(RecordedEvent {
        sequence: row.try_get("sequence")?,
        organization_name: row.try_get("organization_name")?,
        application_name: convert(row, TABLE, "application_name", |text| ApplicationName::new(text).ok())?,
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
