//! Organizations: partners, customers, and Nuvera itself.

use super::{Result, convert, one_row, parse};
use domain::{id::OrganizationId, time::Timestamp};
use sqlx::{AnyConnection, Row};

/// What an organization is.
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

/// A partner organization.
#[derive(Clone, Debug)]
pub struct Partner {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
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

/// Nuvera's own organization, once it is there.
///
/// # Errors
/// The database fails.
pub async fn find_nuvera(conn: &mut AnyConnection) -> Result<Option<OrganizationId>> {
    let row = sqlx::query("SELECT id FROM organizations WHERE kind = 'nuvera'").fetch_optional(conn).await?;
    row.map(|row| parse(&row, "organizations", "id")).transpose()
}

/// Locks an organization until the transaction ends: of two changes that must not cross, the second waits for the first and
/// then reads what that wrote. (On SQLite a transaction that writes is alone anyway; `SELECT … FOR UPDATE` it has none.)
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

/// The organizations of this id or name: a name may be several organizations'.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn named(conn: &mut AnyConnection, id_or_name: &str) -> Result<Vec<(OrganizationId, OrganizationKind)>> {
    let rows = sqlx::query("SELECT id, kind FROM organizations WHERE id = $1 OR name = $1 ORDER BY id")
        .bind(id_or_name)
        .fetch_all(conn)
        .await?;
    let kind = |code: &str| OrganizationKind::ALL.into_iter().find(|kind| kind.code() == code);
    rows.iter()
        .map(|row| Ok((parse(row, "organizations", "id")?, convert(row, "organizations", "kind", kind)?)))
        .collect()
}

/// The partner organizations by name, for Nuvera's admins.
///
/// # Errors
/// The database fails.
pub async fn partners(conn: &mut AnyConnection) -> Result<Vec<Partner>> {
    let rows =
        sqlx::query("SELECT id, name FROM organizations WHERE kind = 'partner' ORDER BY name").fetch_all(conn).await?;
    rows.iter().map(|row| Ok(Partner { id: parse(row, "organizations", "id")?, name: row.try_get("name")? })).collect()
}
