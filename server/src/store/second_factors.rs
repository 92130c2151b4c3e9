//! Second factors: encrypted authenticator secrets and hashes of recovery codes.

use super::{Result, one_row, optional_timestamp, passkeys, timestamp};
use domain::{id::UserId, second_factor::SecondFactor, time::Timestamp};
use sqlx::{AnyConnection, Row};

/// A user's authenticator app as stored.
pub struct StoredFactor {
    /// The secret, encrypted by `Pepper::encrypt`.
    pub sealed_secret: String,
    /// The latest TOTP time step whose code was accepted.
    pub last_step: i64,
    /// Number of wrong codes since the last accepted one, from browsers that are not known.
    pub wrong_codes: i64,
    /// Set-up time and number of recovery codes left.
    pub factor: SecondFactor,
}

/// The authenticator app of `user`.
///
/// # Errors
/// The database fails.
pub async fn find(conn: &mut AnyConnection, user: UserId) -> Result<Option<StoredFactor>> {
    let row = sqlx::query(
        "SELECT sealed_secret, set_up_at, last_step, wrong_codes,
             (SELECT COUNT(*) FROM recovery_codes c WHERE c.user_id = f.user_id) AS recovery_codes
         FROM second_factors f WHERE user_id = $1",
    )
    .bind(user.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(StoredFactor {
            sealed_secret: row.try_get("sealed_secret")?,
            last_step: row.try_get("last_step")?,
            wrong_codes: row.try_get("wrong_codes")?,
            factor: SecondFactor {
                set_up_at: timestamp(&row, "set_up_at")?,
                recovery_codes: row.try_get::<i64, _>("recovery_codes")?.try_into().unwrap_or(0),
            },
        })
    })
    .transpose()
}

/// Saves an authenticator app of `user` in place of the earlier one. Recovery codes are kept.
///
/// # Errors
/// The database fails.
pub async fn save(
    conn: &mut AnyConnection,
    user: UserId,
    sealed_secret: &str,
    last_step: i64,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO second_factors (user_id, sealed_secret, set_up_at, last_step) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id) DO UPDATE SET sealed_secret = excluded.sealed_secret, set_up_at = excluded.set_up_at,
             last_step = excluded.last_step, wrong_codes = 0",
    )
    .bind(user.to_string())
    .bind(sealed_secret)
    .bind(now.as_millis())
    .bind(last_step)
    .execute(conn)
    .await?;
    Ok(())
}

/// Consumes the code of `step`. Returns `false` if the code of this or a later step was already used.
///
/// # Errors
/// The database fails.
pub async fn use_step(conn: &mut AnyConnection, user: UserId, step: i64) -> Result<bool> {
    let used = sqlx::query("UPDATE second_factors SET last_step = $1 WHERE user_id = $2 AND last_step < $3")
        .bind(step)
        .bind(user.to_string())
        .bind(step)
        .execute(conn)
        .await?;
    Ok(one_row(&used).is_ok())
}

/// Counts a wrong code for `user` from a browser that is not known.
///
/// # Errors
/// The database fails.
pub async fn wrong_code(conn: &mut AnyConnection, user: UserId) -> Result<()> {
    let count = sqlx::query("UPDATE second_factors SET wrong_codes = wrong_codes + 1 WHERE user_id = $1");
    count.bind(user.to_string()).execute(conn).await?;
    Ok(())
}

/// Resets the number of wrong codes for `user` from browsers that are not known.
///
/// # Errors
/// The database fails.
pub async fn forget_wrong_codes(conn: &mut AnyConnection, user: UserId) -> Result<()> {
    let forget = sqlx::query("UPDATE second_factors SET wrong_codes = 0 WHERE user_id = $1");
    forget.bind(user.to_string()).execute(conn).await?;
    Ok(())
}

/// Returns the number of consecutive wrong codes from `place`: a session, or a known browser.
///
/// # Errors
/// The database fails.
pub async fn wrong_codes_at(conn: &mut AnyConnection, place: &str) -> Result<i64> {
    let row = sqlx::query("SELECT wrong_codes FROM wrong_codes_by_place WHERE place = $1")
        .bind(place)
        .fetch_optional(conn)
        .await?;
    Ok(row.map_or(Ok(0), |row| row.try_get("wrong_codes"))?)
}

/// Counts a wrong code for `user` from `place`.
///
/// # Errors
/// The database fails.
pub async fn wrong_code_at(conn: &mut AnyConnection, user: UserId, place: &str, now: Timestamp) -> Result<()> {
    sqlx::query(
        "INSERT INTO wrong_codes_by_place (place, user_id, wrong_codes, last_at) VALUES ($1, $2, 1, $3)
         ON CONFLICT (place) DO UPDATE SET wrong_codes = wrong_codes_by_place.wrong_codes + 1, last_at = excluded.last_at",
    )
    .bind(place)
    .bind(user.to_string())
    .bind(now.as_millis())
    .execute(conn)
    .await?;
    Ok(())
}

/// Resets the number of wrong codes from `place`.
///
/// # Errors
/// The database fails.
pub async fn forget_wrong_codes_at(conn: &mut AnyConnection, place: &str) -> Result<()> {
    sqlx::query("DELETE FROM wrong_codes_by_place WHERE place = $1").bind(place).execute(conn).await?;
    Ok(())
}

/// Deletes the counters of places whose last wrong code was at or before `until`.
///
/// # Errors
/// The database fails.
pub async fn purge_wrong_codes(conn: &mut AnyConnection, until: Timestamp) -> Result<()> {
    sqlx::query("DELETE FROM wrong_codes_by_place WHERE last_at <= $1").bind(until.as_millis()).execute(conn).await?;
    Ok(())
}

/// Consumes a recovery code. Returns `false` if `user` has no such code.
///
/// # Errors
/// The database fails.
pub async fn use_recovery_code(conn: &mut AnyConnection, user: UserId, hash: &str) -> Result<bool> {
    let used = sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2")
        .bind(user.to_string())
        .bind(hash)
        .execute(conn)
        .await?;
    Ok(one_row(&used).is_ok())
}

/// Replaces all recovery codes of `user`.
///
/// # Errors
/// The database fails.
pub async fn replace_recovery_codes(
    conn: &mut AnyConnection,
    user: UserId,
    hashes: &[String],
    now: Timestamp,
) -> Result<()> {
    delete_recovery_codes(&mut *conn, user).await?;
    for hash in hashes {
        sqlx::query("INSERT INTO recovery_codes (user_id, hash, made_at) VALUES ($1, $2, $3)")
            .bind(user.to_string())
            .bind(hash)
            .bind(now.as_millis())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Number of unused recovery codes of `user`.
///
/// # Errors
/// The database fails.
pub async fn recovery_codes(conn: &mut AnyConnection, user: UserId) -> Result<usize> {
    let row = sqlx::query("SELECT COUNT(*) AS codes FROM recovery_codes WHERE user_id = $1")
        .bind(user.to_string())
        .fetch_one(conn)
        .await?;
    Ok(row.try_get::<i64, _>("codes")?.try_into().unwrap_or(0))
}

/// Returns when the recovery codes of `user` were generated; `None` if there are none or the time is not recorded.
///
/// # Errors
/// The database fails.
pub async fn recovery_codes_made_at(conn: &mut AnyConnection, user: UserId) -> Result<Option<Timestamp>> {
    let row = sqlx::query("SELECT MAX(made_at) AS made_at FROM recovery_codes WHERE user_id = $1")
        .bind(user.to_string())
        .fetch_one(conn)
        .await?;
    optional_timestamp(&row, "made_at")
}

/// Deletes the authenticator app of `user`.
///
/// # Errors
/// The database fails.
pub async fn delete(conn: &mut AnyConnection, user: UserId) -> Result<()> {
    sqlx::query("DELETE FROM second_factors WHERE user_id = $1").bind(user.to_string()).execute(conn).await?;
    Ok(())
}

/// Deletes all second factors of `user`, and the recovery codes.
///
/// # Errors
/// The database fails.
pub async fn delete_all(conn: &mut AnyConnection, user: UserId) -> Result<()> {
    delete_recovery_codes(&mut *conn, user).await?;
    passkeys::delete_all(&mut *conn, user).await?;
    delete(conn, user).await
}

/// Deletes the recovery codes of `user`, for whom no second factor is left that they could replace.
///
/// # Errors
/// The database fails.
pub async fn delete_recovery_codes(conn: &mut AnyConnection, user: UserId) -> Result<()> {
    sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1").bind(user.to_string()).execute(conn).await?;
    Ok(())
}
