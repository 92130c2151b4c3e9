//! Whom an identity provider knows as whom.

use super::{Result, parse};
use domain::{
    id::{OrganizationId, UserId},
    time::Timestamp,
};
use sqlx::{AnyConnection, Row};

/// Somebody whom an identity provider knows. They may have been removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who it is here.
    pub user_id: UserId,
    /// Where they belong.
    pub organization_id: OrganizationId,
}

/// Remembers that `issuer` knows `user` as `subject`.
///
/// # Errors
/// [`super::StoreError::Taken`] where it knows somebody else as that; the database fails.
pub async fn insert(conn: &mut AnyConnection, issuer: &str, subject: &str, user: UserId, now: Timestamp) -> Result<()> {
    sqlx::query("INSERT INTO identities (issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4)")
        .bind(issuer)
        .bind(subject)
        .bind(user.to_string())
        .bind(now.as_millis())
        .execute(conn)
        .await?;
    Ok(())
}

/// Whom `issuer` knows as `subject`.
///
/// # Errors
/// The database fails.
pub async fn find(conn: &mut AnyConnection, issuer: &str, subject: &str) -> Result<Option<Identity>> {
    let row = sqlx::query(
        "SELECT u.id, u.organization_id FROM identities i JOIN users u ON u.id = i.user_id
         WHERE i.issuer = $1 AND i.subject = $2",
    )
    .bind(issuer)
    .bind(subject)
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Identity { user_id: parse(&row, "users", "id")?, organization_id: parse(&row, "users", "organization_id")? })
    })
    .transpose()
}

/// The issuers that know `user`.
///
/// # Errors
/// The database fails.
pub async fn issuers_of(conn: &mut AnyConnection, user: UserId) -> Result<Vec<String>> {
    let rows = sqlx::query("SELECT issuer FROM identities WHERE user_id = $1 ORDER BY created_at, issuer")
        .bind(user.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| Ok(row.try_get("issuer")?)).collect()
}
