//! Users, and what their passwords are checked against.

use super::{Result, convert, parse};
use domain::{
    access::Role,
    actor::Actor,
    id::{OrganizationId, UserId},
    time::Timestamp,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::net::IpAddr;

/// A user that is about to be added.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// Its id.
    pub id: UserId,
    /// Where they belong.
    pub organization_id: OrganizationId,
    /// What they sign in with.
    pub email: &'a str,
    /// What people know them by.
    pub name: &'a str,
    /// What they may do.
    pub role: Role,
    /// Argon2id, in PHC form.
    pub password_hash: &'a str,
}

/// Who answers to an e-mail address, and what their password must match.
pub struct Account {
    /// Who it is.
    pub user_id: UserId,
    /// What they may do.
    pub role: Role,
    /// Argon2id, in PHC form.
    pub password_hash: String,
}

/// Somebody who owns a partner organization.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Who it is.
    pub id: UserId,
    /// Where they read mail: what they sign in with.
    pub email: String,
}

/// Adds a user.
///
/// # Errors
/// [`super::StoreError::Taken`] where the address has an account; the database fails.
pub async fn insert(conn: &mut AnyConnection, user: &NewUser<'_>, now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO users (id, organization_id, email, name, role, password_hash, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(user.id.to_string())
    .bind(user.organization_id.to_string())
    .bind(user.email.to_lowercase())
    .bind(user.name)
    .bind(user.role.code())
    .bind(user.password_hash)
    .bind(now.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// The account that signs in with `email`, in whatever case.
///
/// # Errors
/// The database fails.
pub async fn find_account(conn: &mut AnyConnection, email: &str) -> Result<Option<Account>> {
    let row = sqlx::query("SELECT id, role, password_hash FROM users WHERE email = $1 AND removed_at IS NULL")
        .bind(email.to_lowercase())
        .fetch_optional(conn)
        .await?;
    row.map(|row| {
        Ok(Account {
            user_id: parse(&row, "users", "id")?,
            role: role(&row)?,
            password_hash: row.try_get("password_hash")?,
        })
    })
    .transpose()
}

/// The user `id` as they are now, acting from `address`; a removed user is not found.
///
/// # Errors
/// The database fails.
pub async fn find_actor(conn: &mut AnyConnection, id: UserId, address: Option<IpAddr>) -> Result<Option<Actor>> {
    let row = sqlx::query(
        "SELECT u.id, u.name, u.email, u.organization_id, u.role, o.name AS organization_name
         FROM users u JOIN organizations o ON o.id = u.organization_id
         WHERE u.id = $1 AND u.removed_at IS NULL",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Actor {
            user_id: id,
            name: row.try_get("name")?,
            email: row.try_get("email")?,
            organization_id: parse(&row, "users", "organization_id")?,
            organization_name: row.try_get("organization_name")?,
            role: role(&row)?,
            address,
        })
    })
    .transpose()
}

/// The owners of `organization`; removed ones are not found.
///
/// # Errors
/// The database fails.
pub async fn owners(conn: &mut AnyConnection, organization: OrganizationId) -> Result<Vec<Owner>> {
    let rows = sqlx::query(
        "SELECT id, email FROM users WHERE organization_id = $1 AND role = $2 AND removed_at IS NULL ORDER BY id",
    )
    .bind(organization.to_string())
    .bind(Role::PartnerOwner.code())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok(Owner { id: parse(row, "users", "id")?, email: row.try_get("email")? })).collect()
}

/// Whether there is any user at all.
///
/// # Errors
/// The database fails.
pub async fn any(conn: &mut AnyConnection) -> Result<bool> {
    Ok(sqlx::query("SELECT id FROM users LIMIT 1").fetch_optional(conn).await?.is_some())
}

fn role(row: &AnyRow) -> Result<Role> {
    convert(row, "users", "role", Role::from_code)
}
