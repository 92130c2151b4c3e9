//! The database: all SQL is in this module, written to run on both SQLite and PostgreSQL.
//!
//! One module per aggregate. Row structs stay in their modules. The error for a row that cannot be converted names its
//! table, column and id. Finders take the organization as an argument and do not find rows of other organizations.

pub mod applications;
pub mod audit;
pub mod blocked_keys;
mod conditions;
mod connection;
pub mod health;
pub mod identities;
pub mod invitations;
pub mod migrations;
pub mod opening;
pub mod organizations;
pub mod owner_changes;
pub mod passkeys;
pub mod password_resets;
pub mod pending_resets;
pub mod policies;
mod proposals;
pub mod questions;
pub mod reminders;
pub mod replay_runs;
pub mod requests;
pub mod search;
pub mod second_factors;
pub mod serving;
pub mod sessions;
pub mod settings;
pub mod sign_in_failures;
pub mod sign_ins;
pub mod signed_in;
pub mod stops;
pub mod support;
pub mod traffic;
pub mod usage;
pub mod users;

pub use connection::{Reader, Transaction, bounded};

use domain::{
    text::{Reason, TicketReference, Why},
    time::Timestamp,
};
use sqlx::{
    AnyConnection, AnyPool, Executor, Row,
    any::{AnyPoolOptions, AnyRow},
    migrate::MigrateError,
};
use std::str::FromStr;

/// The database, with separate pools for reads and writes.
#[derive(Clone, Debug)]
pub struct Store {
    readers: AnyPool,
    /// A single connection on SQLite: writers queue for it here, and not inside SQLite for the write lock.
    writers: AnyPool,
    /// The statement that begins a write transaction. On SQLite it acquires the write lock immediately. With a deferred
    /// lock, a write by another process such as `create-admin` between this transaction's first read and its first
    /// write would make SQLite reject that write.
    begin: &'static str,
}

/// How many connections a pool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUse {
    /// Those that are open.
    pub open: u32,
    /// Those of them that nothing uses.
    pub idle: u32,
}

/// Error returned by a store operation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row was changed by another transaction since it was read.
    #[error("the row was changed since it was read")]
    Conflict,
    /// A unique constraint was violated.
    #[error("there is one already")]
    Taken,
    /// A column holds a value that this program never writes.
    #[error("{table}.{column} of row {id} cannot be read: {found:?}")]
    Corrupt {
        /// The table's name.
        table: &'static str,
        /// The column's name.
        column: &'static str,
        /// The row's id.
        id: String,
        /// The value in the column; never a secret.
        found: String,
    },
    /// The database failed or could not be reached.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
    /// The database did not answer in time.
    #[error("the database did not answer in time")]
    Stalled,
    /// The migrations do not match the database.
    #[error("the database could not be migrated: {0}")]
    Migration(#[from] MigrateError),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error() {
            Some(database) if database.is_unique_violation() => Self::Taken,
            _ => Self::Database(error),
        }
    }
}

/// Result of a store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

impl Store {
    /// Opens the database at `url` (`sqlite://data/nuvera.db?mode=rwc` or `postgres://…`) and applies the migrations
    /// that are missing.
    ///
    /// # Errors
    /// The database cannot be reached, or it was migrated by another program or version.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, true).await
    }

    /// Opens the database at `url` without migrating it. Its schema must be current: see [`opening::inspect`].
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn open_migrated(url: &str) -> Result<Self> {
        Self::open_with(url, false).await
    }

    async fn open_with(url: &str, migrate: bool) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let sqlite = url.starts_with("sqlite:");
        opening::create_file(url).map_err(sqlx::Error::Io)?;
        if migrate {
            // A migration may take longer than the time limit of a request's statement.
            let migrating =
                AnyPoolOptions::new().max_connections(1).after_connect(|connection, _| Box::pin(prepare(connection)));
            let migrating = migrating.acquire_timeout(connection::ACQUIRE * 2).connect(url).await?;
            migrations::MIGRATOR.run(&migrating).await?;
            migrating.close().await;
        }
        let pool = |connections| {
            AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(connection::ACQUIRE)
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        prepare(connection).await?;
                        limit(connection).await
                    })
                })
                .connect(url)
        };
        let writers = pool(if sqlite { 1 } else { 4 }).await?;
        let begin = if sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        Ok(Self { readers: pool(4).await?, writers, begin })
    }

    /// Acquires a read connection.
    ///
    /// # Errors
    /// No connection is free in time, or the database cannot be reached.
    pub async fn read(&self) -> Result<Reader> {
        Reader::acquire(&self.readers).await
    }

    /// Begins a write transaction, which is rolled back if it is dropped without a commit.
    ///
    /// # Errors
    /// The transaction cannot be begun in time, or the database cannot be reached.
    pub async fn write(&self) -> Result<Transaction> {
        Transaction::begin(&self.writers, self.begin).await
    }

    /// Returns how many connections each pool has, by its name.
    pub fn pools(&self) -> [(&'static str, PoolUse); 2] {
        let pool_use = |pool: &AnyPool| PoolUse { open: pool.size(), idle: pool.num_idle().try_into().unwrap_or(0) };
        [("reading", pool_use(&self.readers)), ("writing", pool_use(&self.writers))]
    }

    /// Closes every connection, so that SQLite merges its write-ahead log into the database file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

/// Configures a SQLite connection. With WAL, reads are not blocked by a write; FULL makes a committed change survive a
/// power failure.
async fn prepare(connection: &mut AnyConnection) -> sqlx::Result<()> {
    if connection.backend_name() == "SQLite" {
        connection
            .execute(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 1000",
            )
            .await?;
    }
    Ok(())
}

/// Sets the limits that PostgreSQL enforces itself: on lock waits, statements and idle transactions, and on unreachable
/// clients, whose sessions would otherwise keep their locks. The TCP settings have no effect on a Unix socket.
async fn limit(connection: &mut AnyConnection) -> sqlx::Result<()> {
    if connection.backend_name() == "PostgreSQL" {
        connection
            .execute(
                "SET lock_timeout = '1s'; SET statement_timeout = '8s'; SET idle_in_transaction_session_timeout = '5s';
                 SET tcp_user_timeout = '5s'; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2;
                 SET tcp_keepalives_count = 3",
            )
            .await?;
    }
    Ok(())
}

/// Reads a text column as a domain type.
fn parse<T: FromStr>(row: &AnyRow, table: &'static str, column: &'static str) -> Result<T> {
    convert(row, table, column, |text| text.parse().ok())
}

/// Reads a text column with `read`; the error names the row.
fn convert<T>(
    row: &AnyRow,
    table: &'static str,
    column: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T> {
    let found: String = row.try_get(column)?;
    read(&found).ok_or_else(|| {
        let id = row.try_get("id").unwrap_or_default();
        StoreError::Corrupt { table, column, id, found }
    })
}

fn timestamp(row: &AnyRow, column: &str) -> Result<Timestamp> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

fn optional_timestamp(row: &AnyRow, column: &str) -> Result<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
}

/// Reads a nullable text column as a domain type.
fn parse_optional<T: FromStr>(row: &AnyRow, table: &'static str, column: &'static str) -> Result<Option<T>> {
    match row.try_get::<Option<String>, _>(column)? {
        Some(_) => parse(row, table, column).map(Some),
        None => Ok(None),
    }
}

/// Reads a justification: the reason, if there is one, and its ticket.
fn why(row: &AnyRow, table: &'static str, reason: &'static str, ticket: &'static str) -> Result<Option<Why>> {
    let optional = |column| row.try_get::<Option<String>, _>(column);
    if optional(reason)?.is_none() {
        return Ok(None);
    }
    let ticket = match optional(ticket)? {
        Some(_) => Some(convert(row, table, ticket, |text| TicketReference::new(text).ok())?),
        None => None,
    };
    Ok(Some(Why { reason: convert(row, table, reason, |text| Reason::new(text).ok())?, ticket }))
}

/// Reads a justification that the row must have.
fn required_why(row: &AnyRow, table: &'static str, reason: &'static str, ticket: &'static str) -> Result<Why> {
    why(row, table, reason, ticket)?.ok_or_else(|| StoreError::Corrupt {
        table,
        column: reason,
        id: row.try_get("id").unwrap_or_default(),
        found: "no reason".to_owned(),
    })
}

/// The ticket of a justification, as stored.
fn ticket(why: &Why) -> Option<&str> {
    why.ticket.as_ref().map(TicketReference::as_str)
}

/// Checks that a statement affected exactly one row, and returns [`StoreError::Conflict`] otherwise.
fn one_row(result: &sqlx::any::AnyQueryResult) -> Result<()> {
    if result.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}
