//! Opens the database: the checks at start-up, and their order.
//!
//! `serve` and `migrate` create what is missing and migrate; every other command expects a database that a server has
//! used before, and refuses everything else. So a mistyped folder or a different pepper is an error, and does not
//! create a new, empty database.
//!
//! 1. The data folder, the database and the pepper are private to the server's user ([`crate::private_files`]).
//! 2. `serve` and `migrate` lock the data folder and the database for this process ([`crate::process_lock`]).
//! 3. The database is inspected ([`opening::inspect`]): it can be reached, it is intact, and no newer version has
//!    migrated it.
//! 4. Its history has not gone back ([`crate::audit_mark`]), and the pepper is the one that its hashes were made with.
//! 5. Only then is it written to.

use crate::{
    audit_mark::{self, AuditMark},
    clock::Clock,
    config::{ServeSettings, StateSettings},
    pepper::{Pepper, PepperError},
    private_files,
    process_lock::{Holder, LockError, ProcessLock},
    store::{
        Store,
        opening::{self, Inspection, Schema},
        settings,
    },
};
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The opened database and what belongs to it.
pub struct Opened {
    /// The database, migrated to this version.
    pub store: Store,
    /// The pepper that its hashes were made with.
    pub pepper: Pepper,
    /// Keeps other processes from serving it.
    pub lock: ProcessLock,
    /// The latest audit event known to be committed.
    pub mark: AuditMark,
}

/// Opens the database for `serve`.
///
/// # Errors
/// Another process serves it; it cannot be reached, read or written; it is damaged, newer than this program, or older
/// than at the last run; the pepper is a different one.
pub async fn open_to_serve(serve: &ServeSettings, clock: &Clock) -> Outcome<Opened> {
    let holder = Holder::serving(serve.console_address, serve.gateway_address, clock);
    open(&serve.state, holder, serve.accept_older_database, clock).await
}

/// Creates what is missing and migrates the database.
///
/// # Errors
/// As [`open_to_serve`].
pub async fn migrate(state: &StateSettings, clock: &Clock) -> Outcome<()> {
    let opened = open(state, Holder::command("migrate", clock), None, clock).await?;
    let mut transaction = opened.store.write().await?;
    if settings::get(&mut transaction, settings::PEPPER_CHECK).await?.is_none() {
        settings::set(&mut transaction, settings::PEPPER_CHECK, &opened.pepper.check_value()).await?;
    }
    transaction.commit().await?;
    opened.store.close().await;
    Ok(())
}

async fn open(state: &StateSettings, holder: Holder, accepted: Option<i64>, clock: &Clock) -> Outcome<Opened> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&state.data)
        .map_err(|error| format!("--data: {} cannot be created: {error}", state.data.display()))?;
    private_files::check(&state.data).map_err(|error| format!("--data: {error}"))?;
    let (setting, url) = (state.database_setting(), state.database_url());
    check_database_mode(setting, &url)?;
    opening::check_path(&url).map_err(|error| format!("{setting}: {error}"))?;
    let mut lock = ProcessLock::acquire(state, holder).await.map_err(|error| match error {
        LockError::Database(error) => format!("{setting}: {error}"),
        error => error.to_string(),
    })?;
    let inspection = opening::inspect(&url).await.map_err(|error| format!("{setting}: {error}"))?;
    check_not_newer(setting, &inspection)?;
    let mark =
        AuditMark::load(&state.data).map_err(|error| format!("--data: the audit mark cannot be read: {error}"))?;
    let is_older = inspection.audit_sequence < mark.sequence();
    if is_older && accepted != Some(inspection.audit_sequence) {
        return Err(older(setting, &inspection, &mark).into());
    }
    let pepper = match &inspection.pepper_check {
        None => Pepper::load_or_create(&state.pepper_file()).map_err(|error| format!("--pepper-file: {error}"))?,
        Some(check) => load_pepper(&state.pepper_file(), check)?,
    };
    opening::check_writable(&url).await.map_err(|error| format!("{setting}: {error}"))?;
    let store = Store::open(&url).await.map_err(|error| format!("{setting}: {}", opening::explain(&url, &error)))?;
    lock.announce().await?;
    if is_older {
        audit_mark::accept(&store, clock, inspection.audit_sequence, mark.sequence()).await?;
        tracing::warn!(
            found = inspection.audit_sequence,
            expected = mark.sequence(),
            "an older database was accepted; remove --accept-older-database from the command line"
        );
    }
    Ok(Opened { store, pepper, lock, mark })
}

/// Opens a database that a server has used before, for a command that may run next to that server.
///
/// # Errors
/// The folder, the pepper file or the database is missing; the tables are not up to date; the pepper is a different
/// one; the database cannot be reached, read or written.
pub async fn open_existing(state: &StateSettings) -> Outcome<(Store, Pepper)> {
    if !state.data.is_dir() {
        let folder = state.data.display();
        return Err(format!(
            "--data: there is no folder {folder}. Check its name; on a new installation run `server migrate --data {folder}` \
             first"
        )
        .into());
    }
    private_files::check(&state.data).map_err(|error| format!("--data: {error}"))?;
    let setting = state.database_setting();
    let url = opening::without_creating(&state.database_url());
    check_database_mode(setting, &url)?;
    if let Some(file) = opening::sqlite_file(&url)
        && !file.exists()
    {
        return Err(format!(
            "{setting}: there is no database {}. Check its name; on a new installation run `server migrate` first, with the \
             same settings",
            file.display()
        )
        .into());
    }
    let inspection = opening::inspect(&url).await.map_err(|error| format!("{setting}: {error}"))?;
    check_not_newer(setting, &inspection)?;
    match inspection.schema {
        Schema::Missing => {
            return Err(format!(
                "{setting}: the database has no tables of this program. Check its name; on a new installation run `server \
                 migrate` first, with the same settings"
            )
            .into());
        }
        Schema::Older => {
            return Err(format!(
                "{setting}: the database is from an older version of this program. Start the server, or run `server migrate` \
                 while none is running"
            )
            .into());
        }
        Schema::Current | Schema::Newer => {}
    }
    let pepper = match &inspection.pepper_check {
        Some(check) => load_pepper(&state.pepper_file(), check)?,
        None => Pepper::load(&state.pepper_file()).map_err(|error| format!("--pepper-file: {error}"))?,
    };
    opening::check_writable(&url).await.map_err(|error| format!("{setting}: {error}"))?;
    let store = Store::open_migrated(&url).await;
    let store = store.map_err(|error| format!("{setting}: {}", opening::explain(&url, &error)))?;
    Ok((store, pepper))
}

/// Writes a consistent copy of a SQLite database to `file`, which only its owner can read.
///
/// # Errors
/// As [`open_existing`]; the database is a PostgreSQL database; the file exists or cannot be written.
pub async fn backup(state: &StateSettings, file: &Path) -> Outcome<()> {
    state.check()?;
    if opening::sqlite_file(&state.database_url()).is_none() {
        return Err("--database-url: this command copies SQLite databases. Use pg_dump for PostgreSQL".into());
    }
    let (store, _) = open_existing(state).await?;
    let failed = |error: &dyn std::fmt::Display| format!("{} cannot be written: {error}", file.display());
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(file).map_err(|error| failed(&error))?;
    let copied = match opening::copy_into(&store, file).await {
        Ok(()) => fs::File::open(file).and_then(|copy| copy.sync_all()).map_err(|error| failed(&error)),
        Err(error) => Err(failed(&error)),
    };
    store.close().await;
    if copied.is_err() {
        // A partial copy is useless. The error that is returned is the one of the copy.
        let _ = fs::remove_file(file);
    }
    Ok(copied?)
}

fn check_database_mode(setting: &str, url: &str) -> Outcome<()> {
    let Some(file) = opening::sqlite_file(url) else { return Ok(()) };
    Ok(private_files::check_database(&file).map_err(|error| format!("{setting}: {error}"))?)
}

fn check_not_newer(setting: &str, inspection: &Inspection) -> Outcome<()> {
    if inspection.schema != Schema::Newer {
        return Ok(());
    }
    Err(format!(
        "{setting}: a newer version of this program has migrated the database. Use that version, or restore the backup from \
         before the upgrade"
    )
    .into())
}

/// Loads the pepper that the database's hashes were made with.
fn load_pepper(path: &Path, check: &str) -> Outcome<Pepper> {
    match Pepper::load(path) {
        Ok(pepper) if pepper.check_value() == check => Ok(pepper),
        Ok(_) => Err(format!(
            "--pepper-file: {} is not the pepper of this database: its API keys were hashed with another one. Give the right \
             file, or restore it from a backup",
            path.display()
        )
        .into()),
        Err(PepperError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Err(format!(
            "--pepper-file: there is no pepper file {}, and the database needs the one that its API keys were hashed with. \
             Give the right file, or restore it from a backup",
            path.display()
        )
        .into()),
        Err(error) => Err(format!("--pepper-file: {error}").into()),
    }
}

fn older(setting: &str, inspection: &Inspection, mark: &AuditMark) -> String {
    let (found, expected) = (inspection.audit_sequence, mark.sequence());
    format!(
        "{setting}: the database has lost changes. Its audit history ends at event {found}, but event {expected} was recorded \
         before ({}). A damaged or missing -wal file, a restored backup or another database is the cause. What was disabled, \
         revoked or changed after event {found} would be as it was before. Restore the latest database together with its \
         -wal file. To continue with this one, disable and revoke again what has to be, and start once with \
         --accept-older-database {found}: the history will say so",
        mark.path().display()
    )
}
