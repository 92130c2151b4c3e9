//! Users and their password hashes.

use super::{Result, convert, one_row, parse, timestamp};
use domain::{
    access::Role,
    actor::Actor,
    id::{OrganizationId, UserId},
    people::Person,
    second_factor::{self, Factors},
    text::EmailAddress,
    time::Timestamp,
};
use sqlx::{AnyConnection, Row, any::AnyRow};
use std::net::IpAddr;

/// A user to insert.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// The user's id.
    pub id: UserId,
    /// The organization of which the user is a member.
    pub organization_id: OrganizationId,
    /// The e-mail address with which the user signs in.
    pub email: &'a str,
    /// The name shown to other users.
    pub name: &'a str,
    /// The user's role.
    pub role: Role,
    /// The Argon2id hash in PHC form; empty if the user signs in through an identity provider only.
    pub password_hash: &'a str,
}

/// The account of an e-mail address, with what a sign-in needs to verify.
pub struct Account {
    /// The account's user.
    pub user_id: UserId,
    /// The user's role.
    pub role: Role,
    /// The user's organization.
    pub organization_id: OrganizationId,
    /// The Argon2id hash in PHC form; `None` if the user has no password.
    pub password_hash: Option<String>,
    /// Number of times that all of the user's sign-ins were ended. A sign-in in progress is invalid if the number has
    /// grown since it began.
    pub sign_ins_ended: i64,
}

/// An owner of a partner organization, as a recipient of e-mail.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The owner's user id.
    pub id: UserId,
    /// The e-mail address, which is also the one they sign in with.
    pub email: String,
}

/// Adds a user.
///
/// # Errors
/// [`super::StoreError::Taken`] if the e-mail address already has an account; the database fails.
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

/// The account with the address `email`, regardless of case.
///
/// # Errors
/// The database fails.
pub async fn find_account(conn: &mut AnyConnection, email: &str) -> Result<Option<Account>> {
    let row = sqlx::query(
        "SELECT id, role, organization_id, password_hash, sign_ins_ended
         FROM users WHERE email = $1 AND removed_at IS NULL",
    )
    .bind(EmailAddress::comparable(email))
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Account {
            user_id: parse(&row, "users", "id")?,
            role: role(&row)?,
            organization_id: parse(&row, "users", "organization_id")?,
            password_hash: Some(row.try_get("password_hash")?).filter(|hash: &String| !hash.is_empty()),
            sign_ins_ended: row.try_get("sign_ins_ended")?,
        })
    })
    .transpose()
}

/// The user `id` in their current state as an actor from `address`, without a fresh proof of identity. Removed users
/// are not found.
///
/// # Errors
/// The database fails.
pub async fn find_actor(conn: &mut AnyConnection, id: UserId, address: Option<IpAddr>) -> Result<Option<Actor>> {
    let row = sqlx::query(
        "SELECT u.id, u.name, u.email, u.organization_id, u.role, o.name AS organization_name,
             (SELECT COUNT(*) FROM second_factors f WHERE f.user_id = u.id) AS authenticators,
             (SELECT COUNT(*) FROM passkeys k WHERE k.user_id = u.id) AS passkeys,
             CASE WHEN u.password_hash = '' THEN 0 ELSE 1 END AS has_password,
             COALESCE(p.second_factor_required, 0) AS is_factor_asked
         FROM users u JOIN organizations o ON o.id = u.organization_id
             LEFT JOIN security_policies p ON p.organization_id = u.organization_id
         WHERE u.id = $1 AND u.removed_at IS NULL",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let role = role(&row)?;
        Ok(Actor {
            user_id: id,
            name: row.try_get("name")?,
            email: row.try_get("email")?,
            organization_id: parse(&row, "users", "organization_id")?,
            organization_name: row.try_get("organization_name")?,
            role,
            address,
            session: None,
            is_proven: false,
            factors: factors(&row)?,
            // A user without a password signs in through an identity provider, which is responsible for second factors.
            must_have_factor: row.try_get::<i64, _>("has_password")? > 0
                && second_factor::is_required(role, row.try_get::<i64, _>("is_factor_asked")? > 0),
        })
    })
    .transpose()
}

/// The owners of `organization`, without removed ones.
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

/// Whether `organization` has a user other than `except` who manages its members.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn has_other_manager(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    except: Option<UserId>,
) -> Result<bool> {
    let rows = sqlx::query("SELECT id, role FROM users WHERE organization_id = $1 AND removed_at IS NULL")
        .bind(organization.to_string())
        .fetch_all(conn)
        .await?;
    for row in &rows {
        if role(row)?.decides_on_people() && Some(parse(row, "users", "id")?) != except {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The query for the members of an organization (`$1`) that meet the condition.
macro_rules! people {
    ($condition:literal) => {
        concat!(
            "SELECT id, name, email, role, signed_in_at,
                 CASE WHEN password_hash = '' THEN 0 ELSE 1 END AS has_password,
                 (SELECT COUNT(*) FROM second_factors f WHERE f.user_id = users.id) AS authenticators,
                 (SELECT COUNT(*) FROM passkeys p WHERE p.user_id = users.id) AS passkeys
             FROM users WHERE organization_id = $1 AND ",
            $condition
        )
    };
}

/// The members of `organization`, ordered by name.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_organization(conn: &mut AnyConnection, organization: OrganizationId) -> Result<Vec<Person>> {
    let rows = sqlx::query(people!("removed_at IS NULL ORDER BY name, id"))
        .bind(organization.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(person).collect()
}

/// The former members of `organization`, latest removal first.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn removed_from(conn: &mut AnyConnection, organization: OrganizationId) -> Result<Vec<Person>> {
    let rows = sqlx::query(people!("removed_at IS NOT NULL ORDER BY removed_at DESC, id"))
        .bind(organization.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(person).collect()
}

/// The member `id` of `organization`.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find(conn: &mut AnyConnection, organization: OrganizationId, id: UserId) -> Result<Option<Person>> {
    let row = sqlx::query(people!("id = $2 AND removed_at IS NULL"))
        .bind(organization.to_string())
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(person).transpose()
}

/// Sets the role of a user from `now` on, in the caller's transaction.
///
/// # Errors
/// [`super::StoreError::Conflict`] if the user was removed; the database fails.
pub async fn set_role(conn: &mut AnyConnection, id: UserId, role: Role, now: Timestamp) -> Result<()> {
    let written = sqlx::query("UPDATE users SET role = $1, role_since = $2 WHERE id = $3 AND removed_at IS NULL")
        .bind(role.code())
        .bind(now.as_millis())
        .bind(id.to_string())
        .execute(conn)
        .await?;
    one_row(&written)
}

/// The instant since which a user has had their role.
///
/// # Errors
/// [`super::StoreError::Conflict`] if the user was removed; the database fails.
pub async fn role_since(conn: &mut AnyConnection, id: UserId) -> Result<Timestamp> {
    let row =
        sqlx::query("SELECT COALESCE(role_since, created_at) AS since FROM users WHERE id = $1 AND removed_at IS NULL")
            .bind(id.to_string())
            .fetch_optional(conn)
            .await?;
    timestamp(&row.ok_or(super::StoreError::Conflict)?, "since")
}

/// Removes a user, in the caller's transaction. The name is kept for the audit log; the e-mail address can be used for
/// another account.
///
/// # Errors
/// [`super::StoreError::Conflict`] if the user was already removed; the database fails.
pub async fn remove(conn: &mut AnyConnection, id: UserId, now: Timestamp) -> Result<()> {
    let removed = sqlx::query(
        "UPDATE users SET removed_at = $1, email = 'removed ' || id, password_hash = '' WHERE id = $2 AND removed_at IS NULL",
    )
    .bind(now.as_millis())
    .bind(id.to_string())
    .execute(conn)
    .await?;
    one_row(&removed)
}

/// Replaces a user's password, in the caller's transaction. A user without a password signs in through an identity
/// provider and must not get one: it would let them sign in after the provider has revoked their access.
///
/// # Errors
/// [`super::StoreError::Conflict`] if the user was removed or has no password; the database fails.
pub async fn set_password(conn: &mut AnyConnection, id: UserId, password_hash: &str) -> Result<()> {
    let written =
        sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2 AND removed_at IS NULL AND password_hash <> ''")
            .bind(password_hash)
            .bind(id.to_string())
            .execute(conn)
            .await?;
    one_row(&written)
}

/// Records that a user has signed in, if their sign-ins have been ended exactly `ended` times.
///
/// # Errors
/// [`super::StoreError::Conflict`] if their sign-ins were ended meanwhile or the user was removed; the database fails.
pub async fn signed_in(conn: &mut AnyConnection, id: UserId, ended: i64, now: Timestamp) -> Result<()> {
    let written =
        sqlx::query("UPDATE users SET signed_in_at = $1 WHERE id = $2 AND sign_ins_ended = $3 AND removed_at IS NULL")
            .bind(now.as_millis())
            .bind(id.to_string())
            .bind(ended)
            .execute(conn)
            .await?;
    one_row(&written)
}

/// Returns when a user's account was created.
///
/// # Errors
/// No user has this id; the database fails.
pub async fn joined_at(conn: &mut AnyConnection, id: UserId) -> Result<Timestamp> {
    let row = sqlx::query("SELECT created_at FROM users WHERE id = $1").bind(id.to_string()).fetch_one(conn).await?;
    Ok(Timestamp::from_millis(row.try_get("created_at")?))
}

/// Records that a user is notified at `now` of wrong codes after their password. Returns `false` if they were already
/// notified after `since`.
///
/// # Errors
/// The database fails.
pub async fn notify_of_wrong_codes(
    conn: &mut AnyConnection,
    id: UserId,
    since: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    let written = sqlx::query(
        "UPDATE users SET wrong_codes_mailed_at = $1
         WHERE id = $2 AND (wrong_codes_mailed_at IS NULL OR wrong_codes_mailed_at <= $3)",
    )
    .bind(now.as_millis())
    .bind(id.to_string())
    .bind(since.as_millis())
    .execute(conn)
    .await?;
    Ok(one_row(&written).is_ok())
}

/// Number of times that all sign-ins of a user were ended.
///
/// # Errors
/// No user has this id; the database fails.
pub async fn sign_ins_ended(conn: &mut AnyConnection, id: UserId) -> Result<i64> {
    let row =
        sqlx::query("SELECT sign_ins_ended FROM users WHERE id = $1").bind(id.to_string()).fetch_one(conn).await?;
    Ok(row.try_get("sign_ins_ended")?)
}

/// Whether the database has any user.
///
/// # Errors
/// The database fails.
pub async fn any(conn: &mut AnyConnection) -> Result<bool> {
    Ok(sqlx::query("SELECT id FROM users LIMIT 1").fetch_optional(conn).await?.is_some())
}

fn person(row: &AnyRow) -> Result<Person> {
    Ok(Person {
        id: parse(row, "users", "id")?,
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        role: role(row)?,
        signed_in_at: row.try_get::<Option<i64>, _>("signed_in_at")?.map(Timestamp::from_millis),
        has_password: row.try_get::<i64, _>("has_password")? > 0,
        factors: factors(row)?,
    })
}

fn factors(row: &AnyRow) -> Result<Factors> {
    let any = |column| Ok::<_, sqlx::Error>(row.try_get::<i64, _>(column)? > 0);
    Ok(Factors { authenticator: any("authenticators")?, passkeys: any("passkeys")? })
}

fn role(row: &AnyRow) -> Result<Role> {
    convert(row, "users", "role", Role::from_code)
}
