//! Organizations: partners, customers, and Nuvera itself.

use super::{Result, convert, one_row, optional_timestamp, parse, required_why, ticket};
use domain::{
    id::OrganizationId,
    organization::{Organization, OrganizationDetails, Suspension},
    text::{Contact, OrganizationName, SupportNote},
    time::Timestamp,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

const TABLE: &str = "organizations";

/// Kind of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrganizationKind {
    /// Owns API applications.
    Partner,
    /// Uses Nuvera's customer platform; has no API applications.
    Customer,
    /// Nuvera: its users are the admins.
    Nuvera,
}

impl OrganizationKind {
    /// Every kind.
    const ALL: [Self; 3] = [Self::Partner, Self::Customer, Self::Nuvera];

    fn code(self) -> &'static str {
        match self {
            Self::Partner => "partner",
            Self::Customer => "customer",
            Self::Nuvera => "nuvera",
        }
    }
}

/// A partner organization in a list.
#[derive(Clone, Debug)]
pub struct Partner {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// Whether it is suspended.
    pub is_suspended: bool,
    /// Whether it has a member.
    pub has_members: bool,
}

/// Adds an organization.
///
/// # Errors
/// The database fails.
pub async fn insert(
    conn: &mut AnyConnection,
    id: OrganizationId,
    kind: OrganizationKind,
    name: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query("INSERT INTO organizations (id, kind, name, created_at) VALUES ($1, $2, $3, $4)")
        .bind(id.to_string())
        .bind(kind.code())
        .bind(name)
        .bind(now.as_millis())
        .execute(conn)
        .await?;
    Ok(())
}

/// Nuvera's own organization, if it has been created.
///
/// # Errors
/// The database fails.
pub async fn find_nuvera(conn: &mut AnyConnection) -> Result<Option<OrganizationId>> {
    let row = sqlx::query("SELECT id FROM organizations WHERE kind = 'nuvera'").fetch_optional(conn).await?;
    row.map(|row| parse(&row, TABLE, "id")).transpose()
}

/// Locks an organization's row until the transaction ends, so that a conflicting change waits and then reads what this
/// one wrote. Uses an update because SQLite has no `SELECT … FOR UPDATE`; there, write transactions are serialized
/// anyway.
///
/// # Errors
/// [`super::StoreError::Conflict`] if there is no such organization; the database fails.
pub async fn lock(conn: &mut AnyConnection, id: OrganizationId) -> Result<()> {
    let locked =
        sqlx::query("UPDATE organizations SET kind = kind WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    one_row(&locked)
}

/// The name of the partner organization `id`.
///
/// # Errors
/// The database fails.
pub async fn find_partner(conn: &mut AnyConnection, id: OrganizationId) -> Result<Option<String>> {
    let row = sqlx::query("SELECT name FROM organizations WHERE kind = 'partner' AND id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| row.try_get("name")).transpose()?)
}

/// The partner organization `id`.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find(conn: &mut AnyConnection, id: OrganizationId) -> Result<Option<Organization>> {
    let row = sqlx::query(
        "SELECT id, name, contact, support_note, version, suspended_at, suspended_by, suspension_reason,
             suspension_ticket
         FROM organizations WHERE kind = 'partner' AND id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(organization).transpose()
}

/// Saves an organization if its stored version is still `before`.
///
/// # Errors
/// [`super::StoreError::Conflict`] if it was changed since it was read; the database fails.
pub async fn save(conn: &mut AnyConnection, organization: &Organization, before: i64) -> Result<()> {
    let Organization { id, details, suspension, version } = organization;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let saved = sqlx::query(
        "UPDATE organizations SET name = $1, contact = $2, support_note = $3, version = $4, suspended_at = $5,
             suspended_by = $6, suspension_reason = $7, suspension_ticket = $8
         WHERE id = $9 AND version = $10",
    )
    .bind(details.name.as_str())
    .bind(text(details.contact.as_ref().map(Contact::as_str)))
    .bind(text(details.note.as_ref().map(SupportNote::as_str)))
    .bind(*version)
    .bind(suspension.as_ref().map(|suspension| suspension.at.as_millis()))
    .bind(suspension.as_ref().map(|suspension| suspension.by.clone()))
    .bind(suspension.as_ref().map(|suspension| suspension.why.as_str().to_owned()))
    .bind(suspension.as_ref().and_then(|suspension| ticket(&suspension.why)).map(ToOwned::to_owned))
    .bind(id.to_string())
    .bind(before)
    .execute(conn)
    .await?;
    one_row(&saved)
}

/// The suspended organizations.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn suspended(conn: &mut AnyConnection) -> Result<Vec<OrganizationId>> {
    let rows = sqlx::query("SELECT id FROM organizations WHERE suspended_at IS NOT NULL").fetch_all(conn).await?;
    rows.iter().map(|row| parse(row, TABLE, "id")).collect()
}

fn organization(row: &AnyRow) -> Result<Organization> {
    fn optional<T>(row: &AnyRow, column: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        convert(row, TABLE, column, |text| if text.is_empty() { Some(None) } else { read(text).map(Some) })
    }
    let suspension = match optional_timestamp(row, "suspended_at")? {
        Some(at) => Some(Suspension {
            at,
            by: row.try_get("suspended_by")?,
            why: required_why(row, TABLE, "suspension_reason", "suspension_ticket")?,
        }),
        None => None,
    };
    Ok(Organization {
        id: parse(row, TABLE, "id")?,
        details: OrganizationDetails {
            name: convert(row, TABLE, "name", |name| OrganizationName::from_stored(name).ok())?,
            contact: optional(row, "contact", |text| Contact::from_stored(text).ok())?,
            note: optional(row, "support_note", |text| SupportNote::from_stored(text).ok())?,
        },
        suspension,
        version: row.try_get("version")?,
    })
}

/// The organizations with this id or name. A name need not be unique.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn named(conn: &mut AnyConnection, id_or_name: &str) -> Result<Vec<(OrganizationId, OrganizationKind)>> {
    let rows = sqlx::query("SELECT id, kind FROM organizations WHERE id = $1 OR name = $1 ORDER BY id")
        .bind(id_or_name)
        .fetch_all(conn)
        .await?;
    let kind = |code: &str| OrganizationKind::ALL.into_iter().find(|kind| kind.code() == code);
    rows.iter().map(|row| Ok((parse(row, TABLE, "id")?, convert(row, TABLE, "kind", kind)?))).collect()
}

/// The partner organizations, ordered by name, for Nuvera's admins.
///
/// # Errors
/// The database fails.
pub async fn partners(conn: &mut AnyConnection) -> Result<Vec<Partner>> {
    let rows = sqlx::query(
        "SELECT id, name, suspended_at,
             (SELECT COUNT(*) FROM users WHERE organization_id = organizations.id AND removed_at IS NULL) AS members
         FROM organizations WHERE kind = 'partner' ORDER BY name",
    )
    .fetch_all(conn)
    .await?;
    let partner = |row: &AnyRow| {
        Ok(Partner {
            id: parse(row, TABLE, "id")?,
            name: row.try_get("name")?,
            is_suspended: optional_timestamp(row, "suspended_at")?.is_some(),
            has_members: row.try_get::<i64, _>("members")? > 0,
        })
    };
    rows.iter().map(partner).collect()
}
