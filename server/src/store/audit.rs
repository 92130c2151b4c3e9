//! The audit log: events are appended in the transaction of the change and read by keyset pagination.

use super::{Result, conditions::Conditions, convert, parse, parse_optional, timestamp, why};
use domain::{
    actor::ActorKind,
    audit::{AuditAction, AuditActor, AuditEvent, AuditFilter, AuditScope, RecordedEvent},
    id::{ApplicationId, OrganizationId, UserId},
    people::Handled,
    support,
    text::{ApplicationName, TicketReference, Why},
    time::Timestamp,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// Appends `events`, in order, in the caller's transaction, so that the change and its events are committed together.
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
                 actor_kind, address, action, target, before_words, after_words, reason, ticket)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        )
        .bind(sequence)
        .bind(event.at.as_millis())
        .bind(event.organization_id.to_string())
        .bind(event.application_id.map(|id| id.to_string()))
        .bind(event.actor.user_id.to_string())
        .bind(&event.actor.name)
        .bind(event.actor.kind.code())
        .bind(event.actor.address.map(|address| address.to_string()))
        .bind(event.action.code())
        .bind(&event.target)
        .bind(event.before.as_deref())
        .bind(event.after.as_deref())
        .bind(event.reason.as_ref().map(Why::as_str))
        .bind(event.reason.as_ref().and_then(|why| why.ticket.as_ref()).map(TicketReference::as_str))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// The actions on keys of `organization` through which `user` may have obtained a copy of a key.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn handled_by(conn: &mut AnyConnection, organization: OrganizationId, user: UserId) -> Result<Vec<Handled>> {
    let [a, b, c, d, e] = Handled::ACTIONS.map(AuditAction::code);
    let rows = sqlx::query(
        "SELECT DISTINCT application_id, action, target FROM audit_events
         WHERE organization_id = $1 AND actor_user_id = $2 AND application_id IS NOT NULL
             AND action IN ($3, $4, $5, $6, $7)",
    )
    .bind(organization.to_string())
    .bind(user.to_string())
    .bind(a)
    .bind(b)
    .bind(c)
    .bind(d)
    .bind(e)
    .fetch_all(conn)
    .await?;
    let read = |row: &AnyRow| {
        Ok(Handled {
            application: parse(row, "audit_events", "application_id")?,
            action: convert(row, "audit_events", "action", AuditAction::from_code)?,
            target: row.try_get("target")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Whether `user` performed `action` at exactly this instant, restricted to the organization and the application if
/// given.
///
/// # Errors
/// The database fails.
pub async fn has(
    conn: &mut AnyConnection,
    action: AuditAction,
    user: UserId,
    at: Timestamp,
    organization: Option<OrganizationId>,
    application: Option<ApplicationId>,
) -> Result<bool> {
    let mut conditions = Conditions::default();
    conditions.and_number("e.at = ?", at.as_millis());
    conditions.and_text("e.action = ?", Some(action.code()));
    conditions.and_text("e.actor_user_id = ?", Some(user));
    conditions.and_text("e.organization_id = ?", organization);
    conditions.and_text("e.application_id = ?", application);
    Ok(!conditions.fetch(conn, "SELECT e.sequence FROM audit_events e WHERE", "LIMIT 1").await?.is_empty())
}

fn of(scope: AuditScope) -> Conditions {
    let mut conditions = Conditions::default();
    let (organization, application) = match scope {
        AuditScope::Application(organization, application) => (Some(organization), Some(application)),
        AuditScope::Organization(organization) => (Some(organization), None),
        AuditScope::Everyone => (None, None),
    };
    conditions.and_text("e.organization_id = ?", organization);
    conditions.and_text("e.application_id = ?", application);
    conditions
}

/// Adds a condition only for each filter that is set, because the database chooses its index by the conditions.
fn filtered(mut conditions: Conditions, filter: AuditFilter) -> Conditions {
    conditions.and_text("e.action = ?", filter.action.map(AuditAction::code));
    conditions.and_text("e.actor_user_id = ?", filter.actor);
    conditions.and_text("e.actor_kind = ?", filter.kind.map(ActorKind::code));
    // The condition on `sequence` is redundant: it only bounds the range of sequence numbers to scan. The plus sign
    // keeps SQLite from scanning all rows for the minimum or maximum, so that it uses the index on `at` alone.
    for (condition, at) in [
        ("e.at >= ? AND e.sequence >= (SELECT MIN(+sequence) FROM audit_events WHERE at >= ?)", filter.from),
        ("e.at < ? AND e.sequence <= (SELECT MAX(+sequence) FROM audit_events WHERE at < ?)", filter.until),
    ] {
        if let Some(at) = at {
            conditions.and_number(condition, at.as_millis());
        }
    }
    conditions
}

/// The newest `limit` events in the scope whose sequence number is less than `before`.
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
    let mut conditions = filtered(of(scope), filter);
    conditions.and_number("e.sequence < ?", before);
    let rows = conditions.fetch(conn, SELECT, &format!("ORDER BY e.sequence DESC LIMIT {limit}")).await?;
    rows.iter().map(event).collect()
}

/// Nuvera's actions in the scope that no member of the partner has acknowledged, newest first. Leaves out
/// [`support::ONLY_ASKED`].
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn unseen_support(conn: &mut AnyConnection, scope: AuditScope, limit: i64) -> Result<Vec<RecordedEvent>> {
    let mut conditions = of(scope);
    conditions.and_text("e.actor_kind = ?", Some(ActorKind::Nuvera.code()));
    for action in support::ONLY_ASKED {
        conditions.and_text("e.action <> ?", Some(action.code()));
    }
    let rest = format!(
        "AND e.application_id IS NOT NULL AND e.sequence > COALESCE(
             (SELECT s.sequence FROM seen_support s WHERE s.application_id = e.application_id), 0)
         ORDER BY e.sequence DESC LIMIT {limit}"
    );
    let rows = conditions.fetch(conn, SELECT, &rest).await?;
    rows.iter().map(event).collect()
}

/// Nuvera's actions on applications after the event with sequence number `after`, oldest first.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn support_since(conn: &mut AnyConnection, after: i64) -> Result<Vec<RecordedEvent>> {
    let mut conditions =
        filtered(of(AuditScope::Everyone), AuditFilter { kind: Some(ActorKind::Nuvera), ..AuditFilter::default() });
    conditions.and_number("e.sequence > ?", after);
    let rows = conditions.fetch(conn, SELECT, "AND e.application_id IS NOT NULL ORDER BY e.sequence").await?;
    rows.iter().map(event).collect()
}

/// The sequence number of the latest event in any organization.
///
/// # Errors
/// The database fails.
pub async fn latest(conn: &mut AnyConnection) -> Result<i64> {
    Ok(sqlx::query("SELECT last FROM audit_sequence").fetch_one(conn).await?.try_get("last")?)
}

/// Makes the next event follow `sequence`, if that is later than the latest event. Numbers that were issued and then
/// lost, as after restoring a backup, are not issued again.
///
/// # Errors
/// The database fails.
pub async fn continue_after(conn: &mut AnyConnection, sequence: i64) -> Result<()> {
    sqlx::query("UPDATE audit_sequence SET last = $1 WHERE last < $1").bind(sequence).execute(conn).await?;
    Ok(())
}

/// The columns that [`event`] reads.
const SELECT: &str = "SELECT e.sequence, CAST(e.sequence AS TEXT) AS id, e.at, e.organization_id, e.application_id,
         e.actor_user_id, e.actor_name, e.actor_kind, e.address, e.action, e.target, e.before_words, e.after_words,
         e.reason, e.ticket, a.name AS application_name, o.name AS organization_name
     FROM audit_events e
     LEFT JOIN applications a ON a.id = e.application_id
     JOIN organizations o ON o.id = e.organization_id
     WHERE";

/// The actors in the scope, ordered by name.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn actors(conn: &mut AnyConnection, scope: AuditScope) -> Result<Vec<(UserId, String)>> {
    // One index lookup per user: a long log has few distinct actors.
    let select = "SELECT u.id, u.name FROM users u WHERE EXISTS (
             SELECT 1 FROM audit_events e WHERE e.actor_user_id = u.id AND";
    let rows = of(scope).fetch(conn, select, ") ORDER BY u.name, u.id").await?;
    rows.iter().map(|row| Ok((parse(row, "users", "id")?, row.try_get("name")?))).collect()
}

const TABLE: &str = "audit_events";

fn event(row: &AnyRow) -> Result<RecordedEvent> {
    Ok(RecordedEvent {
        sequence: row.try_get("sequence")?,
        organization_name: row.try_get("organization_name")?,
        application_name: match row.try_get::<Option<String>, _>("application_name")? {
            Some(_) => Some(convert(row, TABLE, "application_name", |text| ApplicationName::from_stored(text).ok())?),
            None => None,
        },
        event: AuditEvent {
            at: timestamp(row, "at")?,
            actor: AuditActor {
                user_id: parse(row, TABLE, "actor_user_id")?,
                name: row.try_get("actor_name")?,
                kind: convert(row, TABLE, "actor_kind", ActorKind::from_code)?,
                address: parse_optional(row, TABLE, "address")?,
            },
            organization_id: parse(row, TABLE, "organization_id")?,
            application_id: match row.try_get::<Option<String>, _>("application_id")? {
                Some(_) => Some(parse(row, TABLE, "application_id")?),
                None => None,
            },
            action: convert(row, TABLE, "action", AuditAction::from_code)?,
            target: row.try_get("target")?,
            before: row.try_get("before_words")?,
            after: row.try_get("after_words")?,
            reason: why(row, TABLE, "reason", "ticket")?,
        },
    })
}
