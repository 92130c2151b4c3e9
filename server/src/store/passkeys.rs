//! Passkeys and open WebAuthn challenges.

use super::{Result, convert, one_row, optional_timestamp, parse, timestamp};
use domain::{
    id::{PasskeyId, UserId},
    passkey::Passkey,
    text::PasskeyName,
    time::Timestamp,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

/// A passkey as it is stored.
pub struct StoredPasskey {
    /// The user to whom it is registered.
    pub user_id: UserId,
    /// The WebAuthn credential (public key and signature counter) as JSON.
    pub credential: String,
    /// Name, timestamps and clone suspicion.
    pub passkey: Passkey,
}

/// The WebAuthn ceremony for which a challenge was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Registers a new passkey.
    Register,
    /// Proves the identity of a known user.
    Prove,
    /// Signs in with any passkey, before the user is known.
    SignIn,
}

impl Purpose {
    fn code(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Prove => "prove",
            Self::SignIn => "sign_in",
        }
    }
}

/// A WebAuthn challenge issued to a browser.
pub struct Challenge<'a> {
    /// Submitted again with the browser's response.
    pub id: &'a str,
    /// The ceremony it was issued for.
    pub purpose: Purpose,
    /// The user it was issued to, if known.
    pub user_id: Option<UserId>,
    /// State of the ceremony against which the response is verified, as JSON.
    pub state: &'a str,
    /// The first instant at which a response is rejected.
    pub expires_at: Timestamp,
}

/// The passkeys of `user`, oldest first.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn of_user(conn: &mut AnyConnection, user: UserId) -> Result<Vec<StoredPasskey>> {
    let rows = sqlx::query(
        "SELECT id, user_id, name, credential, added_at, used_at, suspected_at FROM passkeys
         WHERE user_id = $1 ORDER BY added_at, id",
    )
    .bind(user.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(read).collect()
}

/// The passkey with this `credential_id`, of any user: the user is not known before sign-in.
///
/// # Errors
/// The database fails, or the row is corrupt.
pub async fn find_by_credential(conn: &mut AnyConnection, credential_id: &str) -> Result<Option<StoredPasskey>> {
    let row = sqlx::query(
        "SELECT id, user_id, name, credential, added_at, used_at, suspected_at FROM passkeys WHERE credential_id = $1",
    )
    .bind(credential_id)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Adds a passkey.
///
/// # Errors
/// [`super::StoreError::Taken`] if the credential is already registered; the database fails.
pub async fn insert(
    conn: &mut AnyConnection,
    user: UserId,
    passkey: &Passkey,
    credential_id: &str,
    credential: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO passkeys (id, user_id, name, credential_id, credential, added_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(passkey.id.to_string())
    .bind(user.to_string())
    .bind(passkey.name.as_str())
    .bind(credential_id)
    .bind(credential)
    .bind(passkey.added_at.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Records the use of a passkey and its new signature counter, unless the credential has changed since it was read: of
/// two concurrent uses one fails.
///
/// # Errors
/// [`super::StoreError::Conflict`] if it was deleted or used meanwhile; the database fails.
pub async fn used(conn: &mut AnyConnection, read: &StoredPasskey, credential: &str, now: Timestamp) -> Result<()> {
    let written = sqlx::query("UPDATE passkeys SET credential = $1, used_at = $2 WHERE id = $3 AND credential = $4")
        .bind(credential)
        .bind(now.as_millis())
        .bind(read.passkey.id.to_string())
        .bind(&read.credential)
        .execute(conn)
        .await?;
    one_row(&written)
}

/// Records that a passkey may have been cloned.
///
/// # Errors
/// [`super::StoreError::Conflict`] if it no longer exists; the database fails.
pub async fn set_suspected(conn: &mut AnyConnection, id: PasskeyId, at: Timestamp) -> Result<()> {
    let written = sqlx::query("UPDATE passkeys SET suspected_at = $1 WHERE id = $2")
        .bind(at.as_millis())
        .bind(id.to_string())
        .execute(conn)
        .await?;
    one_row(&written)
}

/// Deletes a passkey of `user`.
///
/// # Errors
/// [`super::StoreError::Conflict`] if `user` has no such passkey; the database fails.
pub async fn delete(conn: &mut AnyConnection, user: UserId, id: PasskeyId) -> Result<()> {
    let deleted = sqlx::query("DELETE FROM passkeys WHERE user_id = $1 AND id = $2")
        .bind(user.to_string())
        .bind(id.to_string())
        .execute(conn)
        .await?;
    one_row(&deleted)
}

/// Deletes all passkeys of `user`.
///
/// # Errors
/// The database fails.
pub(super) async fn delete_all(conn: &mut AnyConnection, user: UserId) -> Result<()> {
    sqlx::query("DELETE FROM passkeys WHERE user_id = $1").bind(user.to_string()).execute(conn).await?;
    Ok(())
}

/// Stores a challenge and deletes expired ones.
///
/// # Errors
/// The database fails.
pub async fn insert_challenge(conn: &mut AnyConnection, challenge: Challenge<'_>, now: Timestamp) -> Result<()> {
    sqlx::query("DELETE FROM passkey_challenges WHERE expires_at <= $1")
        .bind(now.as_millis())
        .execute(&mut *conn)
        .await?;
    sqlx::query("INSERT INTO passkey_challenges (id, purpose, user_id, state, expires_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(challenge.id)
        .bind(challenge.purpose.code())
        .bind(challenge.user_id.map(|id| id.to_string()))
        .bind(challenge.state)
        .bind(challenge.expires_at.as_millis())
        .execute(conn)
        .await?;
    Ok(())
}

/// Consumes a challenge and returns its state; `None` if it is unknown, has expired, or was issued for another purpose
/// or user. `user` is the responding user, or `None` before sign-in.
///
/// # Errors
/// [`super::StoreError::Conflict`] if a concurrent request has just consumed it; the database fails.
pub async fn take_challenge(
    conn: &mut AnyConnection,
    id: &str,
    purpose: Purpose,
    user: Option<UserId>,
    now: Timestamp,
) -> Result<Option<String>> {
    let row = sqlx::query(
        "SELECT state FROM passkey_challenges
         WHERE id = $1 AND purpose = $2 AND COALESCE(user_id, '') = $3 AND expires_at > $4",
    )
    .bind(id)
    .bind(purpose.code())
    .bind(user.map(|id| id.to_string()).unwrap_or_default())
    .bind(now.as_millis())
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let deleted = sqlx::query("DELETE FROM passkey_challenges WHERE id = $1").bind(id).execute(conn).await?;
    one_row(&deleted)?;
    Ok(Some(row.try_get("state")?))
}

fn read(row: &AnyRow) -> Result<StoredPasskey> {
    Ok(StoredPasskey {
        user_id: parse(row, "passkeys", "user_id")?,
        credential: row.try_get("credential")?,
        passkey: Passkey {
            id: parse(row, "passkeys", "id")?,
            name: convert(row, "passkeys", "name", |name| PasskeyName::from_stored(name).ok())?,
            added_at: timestamp(row, "added_at")?,
            used_at: optional_timestamp(row, "used_at")?,
            suspected_at: optional_timestamp(row, "suspected_at")?,
        },
    })
}
