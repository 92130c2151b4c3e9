//! Session store of tower-sessions: the data to which a cookie refers. The sessions of signed-in users are in
//! [`super::signed_in`]. Only the hash of a session's id is stored.

use super::{Result, Store};
use crate::clock::Clock;
use async_trait::async_trait;
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use domain::time::Timestamp;
use sqlx::Row;
use std::time::Duration;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store,
};

/// The key under which the session data refers to the signed-in session.
pub const SIGNED_IN: &str = "signed_in";

/// Lifetime of the session of a client that is not signed in. It only has to last through the sign-in, and is short
/// because anyone can create any number of such sessions.
const KEPT_FOR_STRANGERS: Duration = Duration::from_secs(15 * 60);

/// Stores sessions in the database.
#[derive(Clone, Debug)]
pub struct DatabaseSessions {
    store: Store,
    clock: Clock,
    kept_for: Duration,
}

impl DatabaseSessions {
    /// Creates a store whose sessions expire `kept_for` after their last write, by `clock`: tower-sessions has its own
    /// clock, which tests could not set.
    pub fn new(store: Store, clock: Clock, kept_for: Duration) -> Self {
        Self { store, clock, kept_for }
    }

    /// Deletes expired sessions.
    ///
    /// # Errors
    /// The database fails.
    pub async fn purge(&self) -> Result<()> {
        let mut transaction = self.store.write().await?;
        sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
            .bind(self.clock.now().as_millis())
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Executes `sql` with the hash of the session's id, its data and its expiry.
    async fn write(&self, sql: &'static str, record: &Record) -> session_store::Result<()> {
        let data = serde_json::to_string(&record.data).map_err(|e| session_store::Error::Encode(e.to_string()))?;
        let is_strangers = !record.data.contains_key(SIGNED_IN);
        let kept_for = if is_strangers { self.kept_for.min(KEPT_FOR_STRANGERS) } else { self.kept_for };
        let expires_at = self.clock.now().plus(kept_for).as_millis();
        let written = async {
            let mut transaction = self.store.write().await?;
            sqlx::query(sql).bind(hash(&record.id)).bind(data).bind(expires_at).execute(&mut *transaction).await?;
            Result::Ok(transaction.commit().await?)
        };
        written.await.map_err(failed)
    }
}

#[async_trait]
impl SessionStore for DatabaseSessions {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        // Ids have 128 random bits, so a collision is not expected. If one occurred, the insert would fail and the
        // existing session would not be overwritten.
        self.write("INSERT INTO sessions (id_hash, data, expires_at) VALUES ($1, $2, $3)", record).await
    }

    /// Updates only: a request that still carries a session which has ended, or whose id has changed meanwhile, cannot
    /// restore it.
    async fn save(&self, record: &Record) -> session_store::Result<()> {
        self.write("UPDATE sessions SET data = $2, expires_at = $3 WHERE id_hash = $1", record).await
    }
    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let found = async {
            let mut conn = self.store.read().await?;
            let row = sqlx::query("SELECT data, expires_at FROM sessions WHERE id_hash = $1 AND expires_at > $2")
                .bind(hash(id))
                .bind(self.clock.now().as_millis())
                .fetch_optional(&mut *conn)
                .await?;
            Result::Ok(match row {
                Some(row) => Some((row.try_get::<String, _>("data")?, super::timestamp(&row, "expires_at")?)),
                None => None,
            })
        };
        let Some((data, expires_at)) = found.await.map_err(failed)? else { return Ok(None) };
        let data = serde_json::from_str(&data).map_err(|e| session_store::Error::Decode(e.to_string()))?;
        Ok(Some(Record { id: *id, data, expiry_date: date(expires_at)? }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        let deleted = async {
            let mut transaction = self.store.write().await?;
            sqlx::query("DELETE FROM sessions WHERE id_hash = $1").bind(hash(id)).execute(&mut *transaction).await?;
            Result::Ok(transaction.commit().await?)
        };
        deleted.await.map_err(failed)
    }
}

fn hash(id: &Id) -> String {
    STANDARD_NO_PAD.encode(digest::digest(&digest::SHA256, &id.0.to_be_bytes()))
}

fn date(at: Timestamp) -> session_store::Result<time::OffsetDateTime> {
    time::OffsetDateTime::from_unix_timestamp(at.as_seconds())
        .map_err(|error| session_store::Error::Decode(error.to_string()))
}

fn failed(error: super::StoreError) -> session_store::Error {
    session_store::Error::Backend(error.to_string())
}
