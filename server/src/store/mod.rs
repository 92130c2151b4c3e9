//! The database: the only SQL there is, one text for SQLite and PostgreSQL.
//!
//! One module an aggregate. Row structs stay in their modules; a row that does not convert names its table, column and
//! id. Finders demand the tenant: what belongs to another organization is not found.

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

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    readers: AnyPool,
    /// On SQLite one connection: writers wait here for their turn, and not inside SQLite for its lock.
    writers: AnyPool,
    /// Begins a transaction that writes. On SQLite it takes the lock at once: another program, such as `create-admin`,
    /// may write too, and what it wrote after this one had read would make SQLite refuse what this one writes.
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

/// Why the database did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else changed the row since it was read.
    #[error("the row was changed since it was read")]
    Conflict,
    /// A rule of uniqueness stands against it.
    #[error("there is one already")]
    Taken,
    /// A row holds what this program never writes there.
    #[error("{table}.{column} of row {id} cannot be read: {found:?}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's id.
        id: String,
        /// What stands there; never a secret.
        found: String,
    },
    /// The database failed or could not be reached.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
    /// The database did not answer in time.
    #[error("the database did not answer in time")]
    Stalled,
    /// The migrations do not fit the database.
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

/// What the store answers.
pub type Result<T> = std::result::Result<T, StoreError>;

impl Store {
    /// Opens the database at `url` (`sqlite://data/nuvera.db?mode=rwc` or `postgres://…`) and brings its tables up to
    /// date.
    ///
    /// # Errors
    /// The database cannot be reached, or its tables are not this program's.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, true).await
    }

    /// Opens the database at `url` as it is. Its tables must be up to date: see [`opening::inspect`].
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
            // A migration may take longer than any request's statement.
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

    /// A connection to read with.
    ///
    /// # Errors
    /// None is free in time, or the database cannot be reached.
    pub async fn read(&self) -> Result<Reader> {
        Reader::acquire(&self.readers).await
    }

    /// A transaction to write in. Dropped without a commit, it leaves nothing.
    ///
    /// # Errors
    /// None can be begun in time, or the database cannot be reached.
    pub async fn write(&self) -> Result<Transaction> {
        Transaction::begin(&self.writers, self.begin).await
    }

    /// Returns how many connections each pool has, by its name.
    pub fn pools(&self) -> [(&'static str, PoolUse); 2] {
        let pool_use = |pool: &AnyPool| PoolUse { open: pool.size(), idle: pool.num_idle().try_into().unwrap_or(0) };
        [("reading", pool_use(&self.readers)), ("writing", pool_use(&self.writers))]
    }

    /// Closes every connection, so that SQLite folds its write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

/// WAL lets readers read while one writes; FULL makes a committed change survive a power cut.
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

/// What PostgreSQL itself ends: a wait for a lock, a statement, a transaction in which nothing happens, and the session of a
/// client that the network no longer reaches, with the locks that it holds. TCP settings mean nothing at a Unix socket.
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

/// Reads a column as a domain type by way of its text.
fn parse<T: FromStr>(row: &AnyRow, table: &'static str, column: &'static str) -> Result<T> {
    convert(row, table, column, |text| text.parse().ok())
}

/// Reads a text column with `read`, naming the row where it cannot be read.
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

/// Reads a column as a domain type by way of its text, where it holds one.
fn parse_optional<T: FromStr>(row: &AnyRow, table: &'static str, column: &'static str) -> Result<Option<T>> {
    match row.try_get::<Option<String>, _>(column)? {
        Some(_) => parse(row, table, column).map(Some),
        None => Ok(None),
    }
}

/// Reads why somebody did something, where they said so, and the ticket beside it.
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

/// The same where somebody must have said so.
fn required_why(row: &AnyRow, table: &'static str, reason: &'static str, ticket: &'static str) -> Result<Why> {
    why(row, table, reason, ticket)?.ok_or_else(|| StoreError::Corrupt {
        table,
        column: reason,
        id: row.try_get("id").unwrap_or_default(),
        found: "no reason".to_owned(),
    })
}

/// A ticket as it is written.
fn ticket(why: &Why) -> Option<&str> {
    why.ticket.as_ref().map(TicketReference::as_str)
}

/// Asserts that a write met exactly one row.
fn one_row(result: &sqlx::any::AnyQueryResult) -> Result<()> {
    if result.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}
