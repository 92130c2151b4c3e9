//! Inspection of a database before it is opened: whether it can be reached, read and written, whether it is intact, and
//! which migrations it has. Every error states what was found and what to do about it.
//!
//! A SQLite database is inspected through a read-only connection, which neither creates nor checkpoints anything: if
//! the server refuses to start, the file and its write-ahead log are unchanged.

use super::{Result, Store, StoreError, migrations::MIGRATOR};
use crate::tls;
use sqlx::{
    AnyConnection, Connection, Row, SqliteConnection, migrate::MigrateError, postgres::PgConnectOptions,
    sqlite::SqliteConnectOptions,
};
use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Time limit for a database to accept a connection and answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time limit for the integrity check of a SQLite file. About half a gigabyte is read per second.
const CHECK: Duration = Duration::from_secs(10);

/// The reason why a database cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(String);

/// State of a database's schema compared with this program's migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// There are no tables.
    Missing,
    /// Some migrations have not been applied.
    Older,
    /// Exactly this program's migrations have been applied.
    Current,
    /// A migration has been applied that this program does not know.
    Newer,
}

/// The result of inspecting a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The state of its schema.
    pub schema: Schema,
    /// The sequence number of its latest audit event; 0 if there is none.
    pub audit_sequence: i64,
    /// Identifies the pepper of the stored hashes; `None` if no server has used the database yet.
    pub pepper_check: Option<String>,
}

impl Inspection {
    const EMPTY: Self = Self { schema: Schema::Missing, audit_sequence: 0, pepper_check: None };
}

/// The file of a SQLite database; `None` for PostgreSQL and for an in-memory database.
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    if !url.starts_with("sqlite:") || url.contains(":memory:") || url.contains("mode=memory") {
        return None;
    }
    SqliteConnectOptions::from_str(url).ok().map(|options| options.get_filename().to_owned())
}

/// Returns `url` changed so that a missing SQLite file is not created.
pub fn without_creating(url: &str) -> String {
    if sqlite_file(url).is_none() { url.to_owned() } else { url.replace("mode=rwc", "mode=rw") }
}

/// Creates the file of a SQLite database with mode 0600, if `url` allows that and it is missing. SQLite gives its
/// `-wal` and `-shm` files the same mode.
///
/// # Errors
/// The file cannot be created.
pub(super) fn create_file(url: &str) -> io::Result<()> {
    let Some(file) = sqlite_file(url).filter(|_| url.contains("mode=rwc")) else { return Ok(()) };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Checks that the file of a SQLite database exists, or can be created if `url` allows that.
///
/// # Errors
/// The file or its folder is missing.
pub fn check_path(url: &str) -> std::result::Result<(), OpenError> {
    let Some(file) = sqlite_file(url) else { return Ok(()) };
    let (name, folder) = (file.display(), parent(&file));
    if !folder.is_dir() {
        let folder = folder.display();
        return Err(OpenError(format!("there is no folder {folder}. Create it, or correct the path")));
    }
    if !file.exists() && !url.contains("mode=rwc") {
        let problem = "Correct the path; to create it, add ?mode=rwc";
        return Err(OpenError(format!("there is no database file {name}. {problem}")));
    }
    Ok(())
}

/// Inspects the database at `url` without changing it. A missing SQLite file that `url` allows to create is reported as
/// an empty database.
///
/// # Errors
/// The database cannot be reached or read, or is damaged.
pub async fn inspect(url: &str) -> std::result::Result<Inspection, OpenError> {
    sqlx::any::install_default_drivers();
    let mut read_only = url.to_owned();
    if let Some(file) = sqlite_file(url) {
        check_path(url)?;
        if !file.exists() {
            return Ok(Inspection::EMPTY);
        }
        check_file(url, &file).await?;
        read_only = url.replace("mode=rwc", "mode=ro").replace("mode=rw", "mode=ro");
        if !read_only.contains("mode=ro") {
            read_only.push_str(if read_only.contains('?') { "&mode=ro" } else { "?mode=ro" });
        }
    }
    let mut conn = connect(url, &read_only).await?;
    let inspected = within(url, read(&mut conn)).await;
    // An error on closing does not matter: nothing was written through this connection.
    let _ = conn.close().await;
    inspected
}

/// Checks that the database is writable, by a change that is rolled back.
///
/// # Errors
/// The database is read-only or locked.
pub async fn check_writable(url: &str) -> std::result::Result<(), OpenError> {
    sqlx::any::install_default_drivers();
    let mut conn = connect(url, url).await?;
    let writable = within(url, try_write(&mut conn)).await;
    let _ = conn.close().await;
    match writable? {
        true => Ok(()),
        false => Err(OpenError(format!(
            "{} is read-only: a standby, or default_transaction_read_only is on. Give the address of the primary server",
            place(url)
        ))),
    }
}

/// Writes a consistent snapshot of a SQLite database to `file`, which must be missing or empty.
///
/// # Errors
/// The database fails, or the file cannot be written.
pub async fn copy_into(store: &Store, file: &Path) -> Result<()> {
    let path = file.to_str().ok_or_else(|| sqlx::Error::Configuration("the path must be UTF-8".into()))?;
    sqlx::query("VACUUM INTO $1").bind(path).execute(&mut *store.read().await?).await?;
    Ok(())
}

/// Describes why a database could not be opened and what to do about it.
pub fn explain(url: &str, error: &StoreError) -> OpenError {
    match error {
        StoreError::Database(error) => explain_error(url, error),
        StoreError::Migration(MigrateError::VersionMissing(version)) => OpenError(newer(url, *version)),
        StoreError::Migration(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            explain_error(url, error)
        }
        error => OpenError(format!("{}: {error}", place(url))),
    }
}

fn newer(url: &str, version: i64) -> String {
    format!(
        "{} was migrated by a newer version of this program (migration {version} is not known here). Start that version, or \
         restore the backup from before the upgrade",
        place(url)
    )
}

/// Connects without a pool, because a pool keeps retrying and reports a timeout instead of the cause.
async fn connect(url: &str, connection: &str) -> std::result::Result<AnyConnection, OpenError> {
    within(url, async { Ok(AnyConnection::connect(connection).await?) }).await
}

async fn within<T>(url: &str, work: impl Future<Output = Result<T>>) -> std::result::Result<T, OpenError> {
    match timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(|error| explain(url, &error)),
        Err(_) => Err(OpenError(format!(
            "{} did not answer within {} s. Check the address, the firewall between here and there, and that it is not paused",
            place(url),
            PATIENCE.as_secs()
        ))),
    }
}

async fn read(conn: &mut AnyConnection) -> Result<Inspection> {
    let applied = sqlx::query("SELECT version FROM _sqlx_migrations").fetch_all(&mut *conn).await;
    let Some(applied) = optional(applied)? else { return Ok(Inspection::EMPTY) };
    let applied = applied.iter().map(|row| row.try_get("version")).collect::<sqlx::Result<BTreeSet<i64>>>()?;
    let known: BTreeSet<i64> = MIGRATOR.iter().map(|migration| migration.version).collect();
    let schema = match () {
        () if applied.is_empty() => Schema::Missing,
        () if !applied.is_subset(&known) => Schema::Newer,
        () if applied != known => Schema::Older,
        () => Schema::Current,
    };
    let last = sqlx::query("SELECT last FROM audit_sequence").fetch_optional(&mut *conn).await;
    let audit_sequence = match optional(last)?.flatten() {
        Some(row) => row.try_get("last")?,
        None => 0,
    };
    let pepper = sqlx::query("SELECT value FROM settings WHERE name = $1").bind(super::settings::PEPPER_CHECK);
    let pepper_check = match optional(pepper.fetch_optional(conn).await)?.flatten() {
        Some(row) => Some(row.try_get("value")?),
        None => None,
    };
    Ok(Inspection { schema, audit_sequence, pepper_check })
}

async fn try_write(conn: &mut AnyConnection) -> Result<bool> {
    if conn.backend_name() == "SQLite" {
        sqlx::query("PRAGMA busy_timeout = 5000").execute(&mut *conn).await?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *conn).await?;
        // SQLite begins this transaction even on a read-only database; only a write fails.
        sqlx::query("CREATE TABLE write_check (only_column BIGINT)").execute(&mut *conn).await?;
        sqlx::query("ROLLBACK").execute(conn).await?;
        return Ok(true);
    }
    let row = sqlx::query("SELECT current_setting('transaction_read_only') AS read_only").fetch_one(conn).await?;
    Ok(row.try_get::<String, _>("read_only")? == "off")
}

/// Converts the error for a missing table into `None`.
pub(super) fn optional<T>(result: sqlx::Result<T>) -> sqlx::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error.as_database_error() {
            Some(database)
                if database.code().as_deref() == Some("42P01") || database.message().contains("no such table") =>
            {
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

/// Runs SQLite's integrity check on a database file. A check that does not finish within [`CHECK`] is skipped.
async fn check_file(url: &str, file: &Path) -> std::result::Result<(), OpenError> {
    let options = SqliteConnectOptions::from_str(url).map_err(|error| explain_error(url, &error))?;
    let options = options.read_only(true).create_if_missing(false).busy_timeout(Duration::from_secs(5));
    let failed = |error| explain_error(url, &error);
    let mut conn = SqliteConnection::connect_with(&options).await.map_err(failed)?;
    let deadline = Instant::now() + CHECK;
    conn.lock_handle().await.map_err(failed)?.set_progress_handler(10_000, move || Instant::now() < deadline);
    let found = sqlx::query("PRAGMA quick_check(3)").fetch_all(&mut conn).await;
    if let Ok(mut handle) = conn.lock_handle().await {
        handle.remove_progress_handler();
    }
    let _ = conn.close().await;
    let found = match found {
        Err(error) if sqlite_code(&error) == Some(9) => {
            tracing::warn!(file = %file.display(), "the check of the database file was not finished in time and is skipped");
            return Ok(());
        }
        found => found.map_err(failed)?,
    };
    let lines = found.iter().map(|row| row.try_get::<String, _>(0)).collect::<sqlx::Result<Vec<_>>>();
    let lines = lines.map_err(|error| explain_error(url, &error))?;
    if lines == ["ok"] {
        return Ok(());
    }
    Err(damaged(file, &lines.join("; ").replace('\n', "; ")))
}

fn damaged(file: &Path, found: &str) -> OpenError {
    OpenError(format!(
        "{} is damaged: {found}. Keep the file and its -wal for analysis, and restore the latest backup",
        file.display()
    ))
}

fn explain_error(url: &str, error: &sqlx::Error) -> OpenError {
    match sqlite_file(url) {
        Some(file) => explain_sqlite(&file, error),
        None => explain_postgres(url, error),
    }
}

/// The primary result code of a SQLite error (<https://www.sqlite.org/rescode.html>).
fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    Some(error.as_database_error()?.code()?.parse::<i32>().ok()? & 0xff)
}

fn explain_sqlite(file: &Path, error: &sqlx::Error) -> OpenError {
    let name = file.display();
    let said = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    OpenError(match sqlite_code(error) {
        Some(5 | 6) => {
            format!("{name} is locked by another program, such as a backup. Wait until that has finished, or stop it")
        }
        Some(8) => format!(
            "{name} is read-only ({said}). Make the file and its folder writable for the server's user, and use no mode=ro"
        ),
        Some(10) => format!("{name} cannot be read or written ({said}). Check the disk and the system's log"),
        Some(11) => return damaged(file, &said),
        Some(13) => format!("the disk with {name} is full. Make room on it"),
        Some(14) => unopened(file),
        Some(26) => format!(
            "{name} is not a SQLite database ({said}). Check the path; if the file was overwritten, restore the latest backup"
        ),
        _ => format!("{name}: {said}"),
    })
}

/// Describes why the system does not open a file that SQLite could not open.
fn unopened(file: &Path) -> String {
    let (name, folder) = (file.display(), parent(file));
    let opened = OpenOptions::new().read(true).write(true).open(file);
    if let Err(error) = opened {
        return format!("{name} cannot be opened: {error}. Make it readable and writable for the server's user");
    }
    match probe(folder) {
        Err(error) => format!(
            "the folder {} is not writable: {error}. SQLite keeps files beside the database: make it writable for the server's \
             user",
            folder.display()
        ),
        Ok(()) => format!("{name} cannot be opened. Check that it is a file, and its -wal and -shm files"),
    }
}

/// Creates a file in `folder` and deletes it, to check that the folder is writable.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".write-test-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(path)
}

fn parent(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Names the database in a message, without the password that its URL may contain.
fn place(url: &str) -> String {
    match (sqlite_file(url), PgConnectOptions::from_str(url)) {
        (Some(file), _) => file.display().to_string(),
        (None, Ok(options)) if url.starts_with("postgres") => {
            let host =
                options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
            format!("PostgreSQL at {host}:{}", options.get_port())
        }
        _ => "the database".to_owned(),
    }
}

fn explain_postgres(url: &str, error: &sqlx::Error) -> OpenError {
    let place = place(url);
    let options = PgConnectOptions::from_str(url).ok();
    let user = options.as_ref().map_or("", PgConnectOptions::get_username);
    let database = options.as_ref().and_then(PgConnectOptions::get_database).unwrap_or(user);
    let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    let said = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    if tls::advice(error).is_some() {
        return OpenError(format!("{place}: TLS failed: {}", tls::in_full(error)));
    }
    OpenError(match (error, code.as_deref()) {
        (_, Some("28P01" | "28000")) => {
            format!("{place} did not let the user {user} in ({said}). Check user name, password and pg_hba.conf")
        }
        (_, Some("3D000")) => {
            format!("{place} has no database {database}. Create it (createdb {database}), or correct the name")
        }
        (_, Some("42501")) => format!("{place}: the user {user} lacks a privilege ({said}). Grant it"),
        (_, Some("53300")) => {
            format!("{place} has no connection left ({said}). Raise max_connections, or end other clients")
        }
        (_, Some(code)) if is_by_pooler(code, &said) => format!(
            "{place} is a connection pooler that lends a session for a transaction only ({said}). Set it to session mode \
             (PgBouncer: pool_mode = session), or give the address of PostgreSQL itself"
        ),
        (_, Some("57P03")) => format!("{place} is starting or stopping ({said}). Try again in a moment"),
        (_, Some("25006")) => format!("{place} is read-only ({said}). Give the address of the primary server"),
        (sqlx::Error::Io(error), _) => match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                format!(
                    "{place} refused the connection. Check host and port, and that PostgreSQL is running and listens there"
                )
            }
            io::ErrorKind::NotFound => {
                format!("{place}: there is no such socket. Check the path, and that PostgreSQL is running")
            }
            _ if error.to_string().contains("lookup address") => {
                format!("{place}: the host name is not known ({error}). Check its spelling, and the name server")
            }
            _ => format!("{place} cannot be reached: {error}. Check the address, the network and the firewall"),
        },
        (sqlx::Error::Tls(error), _) => {
            format!(
                "{place}: TLS failed: {error}. Check sslmode and sslrootcert in the URL, --ca-file, and the server's certificate"
            )
        }
        (sqlx::Error::Configuration(error), _) => {
            format!("the URL cannot be used: {error}. Give one such as postgres://user:password@host:5432/database")
        }
        (sqlx::Error::PoolTimedOut, _) => {
            format!("{place} had no connection within 5 s. Check its load and max_connections")
        }
        _ => format!("{place}: {said}"),
    })
}

/// Whether the error is typical of a connection pooler such as PgBouncer in transaction mode, which shares a session
/// between clients: a prepared statement is missing or exists already, or a session setting is rejected.
fn is_by_pooler(code: &str, said: &str) -> bool {
    matches!(code, "26000" | "42P05") || code == "08P01" && said.contains("startup parameter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pooler_is_known_by_its_errors() {
        assert!(is_by_pooler("26000", "prepared statement \"sqlx_s_1\" does not exist"));
        assert!(is_by_pooler("08P01", "unsupported startup parameter in options: statement_timeout"));
        assert!(!is_by_pooler("08P01", "invalid message format") && !is_by_pooler("28P01", "startup parameter"));
    }

    #[test]
    fn a_file_is_known_by_its_url_and_a_server_has_none() {
        for (url, file) in [
            ("sqlite://data/nuvera.db?mode=rwc", Some("data/nuvera.db")),
            ("sqlite:nuvera.db", Some("nuvera.db")),
            ("sqlite:///var/lib/nuvera%20api/nuvera.db", Some("/var/lib/nuvera api/nuvera.db")),
            ("sqlite::memory:", None),
            ("sqlite://x?mode=memory", None),
            ("postgres://nuvera@db/nuvera", None),
        ] {
            assert_eq!(sqlite_file(url), file.map(PathBuf::from), "{url}");
        }
    }

    #[test]
    fn no_error_repeats_a_password() {
        let url = "postgres://nuvera:hunter2@db.internal:5433/nuvera";
        for error in [
            sqlx::Error::Io(io::ErrorKind::ConnectionRefused.into()),
            sqlx::Error::Io(io::ErrorKind::HostUnreachable.into()),
            sqlx::Error::PoolTimedOut,
            sqlx::Error::Protocol("odd".into()),
        ] {
            let said = explain_error(url, &error).to_string();
            assert!(said.starts_with("PostgreSQL at db.internal:5433") && !said.contains("hunter2"), "{said}");
        }
    }
}
