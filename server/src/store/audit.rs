//! The audit history: appended to within the transaction of the change, read by keyset.

use super::{Result, convert, parse, timestamp};
use domain::{
    actor::ActorKind,
    audit::{AuditAction, AuditActor, AuditEvent, AuditFilter, AuditScope, RecordedEvent},
    id::UserId,
    text::{ApplicationName, Reason},
};
use sqlx::{AnyConnection, AssertSqlSafe, Row, any::AnyRow};

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
        .bind(event.application_id.map(|id| id.to_string()))
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

/// A statement in the making: its conditions, and what they are bound to.
#[derive(Default)]
struct Conditions {
    sql: Vec<String>,
    bound: Vec<Bound>,
}

enum Bound {
    Text(String),
    Number(i64),
}

impl Conditions {
    /// Adds a condition; `?` stands for the value.
    fn and(&mut self, condition: &str, value: Bound) {
        self.bound.push(value);
        self.sql.push(condition.replace('?', &format!("${}", self.bound.len())));
    }

    fn and_text(&mut self, condition: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.and(condition, Bound::Text(value.to_string()));
        }
    }

    fn of(scope: AuditScope) -> Self {
        let mut conditions = Self::default();
        let (organization, application) = match scope {
            AuditScope::Application(organization, application) => (Some(organization), Some(application)),
            AuditScope::Organization(organization) => (Some(organization), None),
            AuditScope::Everyone => (None, None),
        };
        conditions.and_text("e.organization_id = ?", organization);
        conditions.and_text("e.application_id = ?", application);
        conditions
    }

    /// Only the conditions that are wanted are there: an engine picks its index by them.
    fn filtered(mut self, filter: AuditFilter) -> Self {
        self.and_text("e.action = ?", filter.action.map(AuditAction::code));
        self.and_text("e.actor_user_id = ?", filter.actor);
        self.and_text("e.actor_kind = ?", filter.kind.map(ActorKind::code));
        // The second half of each says nothing new, but where in the order of sequence numbers to begin and to end. The
        // plus sign keeps SQLite from walking all rows for it: it then reads the index by time alone.
        for (condition, at) in [
            ("e.at >= ? AND e.sequence >= (SELECT MIN(+sequence) FROM audit_events WHERE at >= ?)", filter.from),
            ("e.at < ? AND e.sequence <= (SELECT MAX(+sequence) FROM audit_events WHERE at < ?)", filter.until),
        ] {
            if let Some(at) = at {
                self.and(condition, Bound::Number(at.as_millis()));
            }
        }
        self
    }

    async fn fetch(self, conn: &mut AnyConnection, before: &str, after: &str) -> sqlx::Result<Vec<AnyRow>> {
        let condition = if self.sql.is_empty() { "1 = 1".to_owned() } else { self.sql.join(" AND ") };
        // Made of this module's own constants: no value stands in the text.
        let sql = AssertSqlSafe(format!("{before} {condition} {after}"));
        let query = self.bound.into_iter().fold(sqlx::query(sql), |query, bound| match bound {
            Bound::Text(text) => query.bind(text),
            Bound::Number(number) => query.bind(number),
        });
        query.fetch_all(conn).await
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
    let mut conditions = Conditions::of(scope).filtered(filter);
    conditions.and("e.sequence < ?", Bound::Number(before));
    let select = "SELECT e.sequence, CAST(e.sequence AS TEXT) AS id, e.at, e.organization_id, e.application_id,
             e.actor_user_id, e.actor_name, e.actor_kind, e.address, e.action, e.target, e.before_words, e.after_words,
             e.reason, a.name AS application_name, o.name AS organization_name
         FROM audit_events e
         LEFT JOIN applications a ON a.id = e.application_id
         JOIN organizations o ON o.id = e.organization_id
         WHERE";
    let rows = conditions.fetch(conn, select, &format!("ORDER BY e.sequence DESC LIMIT {limit}")).await?;
    rows.iter().map(event).collect()
}

/// Who acts in a history, by name.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn actors(conn: &mut AnyConnection, scope: AuditScope) -> Result<Vec<(UserId, String)>> {
    // One look into an index a person: a long history has few of them.
    let select = "SELECT u.id, u.name FROM users u WHERE EXISTS (
             SELECT 1 FROM audit_events e WHERE e.actor_user_id = u.id AND";
    let rows = Conditions::of(scope).fetch(conn, select, ") ORDER BY u.name, u.id").await?;
    rows.iter().map(|row| Ok((parse(row, "users", "id")?, row.try_get("name")?))).collect()
}

const TABLE: &str = "audit_events";

fn event(row: &AnyRow) -> Result<RecordedEvent> {
    Ok(RecordedEvent {
        sequence: row.try_get("sequence")?,
        organization_name: row.try_get("organization_name")?,
        application_name: match row.try_get::<Option<String>, _>("application_name")? {
            Some(_) => Some(convert(row, TABLE, "application_name", |text| ApplicationName::new(text).ok())?),
            None => None,
        },
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
            application_id: match row.try_get::<Option<String>, _>("application_id")? {
                Some(_) => Some(parse(row, TABLE, "application_id")?),
                None => None,
            },
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
