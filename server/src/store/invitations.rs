//! Invitations to join an organization. Only the hash of a link's token is stored.

use super::{Result, StoreError, convert, one_row, parse, timestamp};
use domain::{
    access::Role,
    id::{InvitationId, OrganizationId, UserId},
    people::Invitation,
    text::{EmailAddress, PersonName},
    time::Timestamp,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// The query for the invitations that meet the condition.
macro_rules! invitations {
    ($condition:literal) => {
        concat!(
            "SELECT id, organization_id, email, name, role, invited_by, expires_at FROM invitations WHERE ",
            $condition
        )
    };
}

/// Adds an invitation and replaces any earlier one for the same address. `made_by` is `None` for the server's command
/// line.
///
/// # Errors
/// The database fails.
pub async fn insert(
    conn: &mut AnyConnection,
    invitation: &Invitation,
    made_by: Option<UserId>,
    token_hash: &str,
) -> Result<()> {
    sqlx::query("DELETE FROM invitations WHERE organization_id = $1 AND email = $2")
        .bind(invitation.organization_id.to_string())
        .bind(invitation.email.as_str())
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        "INSERT INTO invitations (id, organization_id, email, name, role, invited_by, token_hash, expires_at, made_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(invitation.id.to_string())
    .bind(invitation.organization_id.to_string())
    .bind(invitation.email.as_str())
    .bind(invitation.name.as_str())
    .bind(invitation.role.code())
    .bind(&invitation.invited_by)
    .bind(token_hash)
    .bind(invitation.expires_at.as_millis())
    .bind(made_by.map(|user| user.to_string()))
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives an invitation a new link and expiry, and records `made_by` as the inviter.
///
/// # Errors
/// [`StoreError::Conflict`] if the invitation no longer exists; the database fails.
pub async fn renew(conn: &mut AnyConnection, invitation: &Invitation, made_by: UserId, token_hash: &str) -> Result<()> {
    let renewed = sqlx::query(
        "UPDATE invitations SET token_hash = $1, expires_at = $2, invited_by = $3, made_by = $4 WHERE id = $5",
    )
    .bind(token_hash)
    .bind(invitation.expires_at.as_millis())
    .bind(&invitation.invited_by)
    .bind(made_by.to_string())
    .bind(invitation.id.to_string())
    .execute(conn)
    .await?;
    one_row(&renewed)
}

/// The invitations of an organization that can be accepted at `now`, ordered by name.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn open(conn: &mut AnyConnection, organization: OrganizationId, now: Timestamp) -> Result<Vec<Invitation>> {
    let rows = sqlx::query(invitations!("organization_id = $1 AND expires_at > $2 ORDER BY name, id"))
        .bind(organization.to_string())
        .bind(now.as_millis())
        .fetch_all(conn)
        .await?;
    rows.iter().map(read).collect()
}

/// The invitations made by `user`, ordered by name.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn made_by(conn: &mut AnyConnection, user: UserId) -> Result<Vec<Invitation>> {
    let rows =
        sqlx::query(invitations!("made_by = $1 ORDER BY name, id")).bind(user.to_string()).fetch_all(conn).await?;
    rows.iter().map(read).collect()
}

/// The invitation `id` of `organization`.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    id: InvitationId,
) -> Result<Option<Invitation>> {
    let row = sqlx::query(invitations!("organization_id = $1 AND id = $2"))
        .bind(organization.to_string())
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(read).transpose()
}

/// The invitation whose link carries the token, with the name of its organization. Possession of the link is the
/// authority, so there is no organization to restrict the search to.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find_by_token(conn: &mut AnyConnection, token_hash: &str) -> Result<Option<(Invitation, String)>> {
    let row = sqlx::query(
        "SELECT i.id, i.organization_id, i.email, i.name, i.role, i.invited_by, i.expires_at,
             o.name AS organization_name
         FROM invitations i JOIN organizations o ON o.id = i.organization_id WHERE i.token_hash = $1",
    )
    .bind(token_hash)
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((read(&row)?, row.try_get("organization_name")?))).transpose()
}

/// Deletes an invitation that was accepted or withdrawn. Succeeds only once.
///
/// # Errors
/// [`StoreError::Conflict`] if the invitation no longer exists; the database fails.
pub async fn delete(conn: &mut AnyConnection, id: InvitationId) -> Result<()> {
    let deleted = sqlx::query("DELETE FROM invitations WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    one_row(&deleted)
}

/// Deletes expired invitations.
///
/// # Errors
/// The database fails.
pub async fn purge(conn: &mut AnyConnection, now: Timestamp) -> Result<()> {
    sqlx::query("DELETE FROM invitations WHERE expires_at <= $1").bind(now.as_millis()).execute(conn).await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Invitation> {
    let text = |column: &'static str| row.try_get::<String, _>(column).map_err(StoreError::from);
    Ok(Invitation {
        id: parse(row, "invitations", "id")?,
        organization_id: parse(row, "invitations", "organization_id")?,
        email: convert(row, "invitations", "email", |email| EmailAddress::new(email).ok())?,
        name: convert(row, "invitations", "name", |name| PersonName::from_stored(name).ok())?,
        role: convert(row, "invitations", "role", Role::from_code)?,
        invited_by: text("invited_by")?,
        expires_at: timestamp(row, "expires_at")?,
    })
}
