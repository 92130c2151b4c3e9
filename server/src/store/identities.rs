//! Links between accounts at an identity provider and users.

use super::{Result, parse};
use domain::{
    id::{OrganizationId, UserId},
    time::Timestamp,
};
use sqlx::{AnyConnection, Row};

/// The user linked to an account at an identity provider. The user may have been removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The linked user.
    pub user_id: UserId,
    /// The user's organization.
    pub organization_id: OrganizationId,
}

/// Links the account `subject` at `issuer` to `user`.
///
/// # Errors
/// [`super::StoreError::Taken`] if that account is already linked; the database fails.
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

/// The user linked to the account `subject` at `issuer`.
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

/// The issuers of the accounts linked to `user`, oldest link first.
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
