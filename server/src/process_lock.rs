//! Only one process may serve a database and a data folder. A second one would not learn of revocations in time and
//! would accept used tokens again, so it refuses to start, and names the process that holds the lock.
//!
//! Every lock ends with the process that holds it, however that process ends, so there is nothing to clean up or
//! override.
//! - The data folder and a SQLite database each have a lock file (`flock`). The files remain; the lock does not.
//! - A PostgreSQL database has an advisory lock in a dedicated session ([`serving`]). The session is watched: if it is
//!   lost, the lock is acquired again. If another process has acquired it by then, `/readyz` fails and the log says so.

use crate::{
    clock::Clock,
    config::StateSettings,
    gateway::Gateway,
    store::{
        StoreError,
        opening::{OpenError, explain, sqlite_file},
        serving,
    },
};
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Connection};
use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long to wait for a process that is shutting down.
const PATIENCE: Duration = Duration::from_secs(3);
/// Interval between attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Interval at which the session with the lock is pinged, and the timeout of a ping.
const PING: Duration = Duration::from_secs(5);

/// The process that holds a lock, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    host: String,
    pid: u32,
    /// The addresses that it listens on, or the command that it runs.
    doing: String,
    since: String,
}

impl Holder {
    /// This process, as a server.
    pub fn serving(console: SocketAddr, gateway: SocketAddr, clock: &Clock) -> Self {
        Self::doing(format!("console {console}, gateway {gateway}"), clock)
    }

    /// This process, as a command.
    pub fn command(name: &str, clock: &Clock) -> Self {
        Self::doing(format!("server {name}"), clock)
    }

    fn doing(doing: String, clock: &Clock) -> Self {
        // Linux provides the host name there; elsewhere the process id has to do.
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown".to_owned());
        Self { host: host.trim().to_owned(), pid: std::process::id(), doing, since: clock.now().to_string() }
    }

    fn text(&self) -> String {
        serde_json::to_string(self).expect("texts and a number are JSON")
    }

    fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, pid, doing, since } = self;
        write!(f, "process {pid} on host {host} ({doing}; since {since})")
    }
}

/// Error returned when the lock was not acquired.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds the lock.
    #[error(
        "{place} is in use by {}. Only one process can serve it: stop that one first{remedy}",
        holder.as_ref().map_or_else(|| "another process".to_owned(), ToString::to_string)
    )]
    Held {
        /// What is locked, for the error message.
        place: String,
        /// The process that holds it, if known.
        holder: Option<Box<Holder>>,
        /// Further advice, appended to the error message; may be empty.
        remedy: String,
    },
    /// A lock file cannot be used.
    #[error("the lock file {} cannot be used: {source}. Make it writable for the server's user", path.display())]
    File {
        /// Path of the lock file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The database cannot be reached.
    #[error(transparent)]
    Database(#[from] OpenError),
}

/// The locks held by this process. They are released when this is dropped.
#[derive(Debug)]
pub struct ProcessLock {
    _files: Vec<File>,
    session: Option<Session>,
    is_complete: bool,
}

/// The database session that holds PostgreSQL's advisory lock.
#[derive(Debug)]
struct Session {
    url: String,
    holder: Holder,
    conn: AnyConnection,
}

impl ProcessLock {
    /// Locks the data folder, which must exist, and the database. Waits for up to three seconds for a process that is
    /// just ending.
    ///
    /// # Errors
    /// Another process holds one of the locks; a lock file cannot be used; PostgreSQL cannot be reached.
    pub async fn acquire(state: &StateSettings, holder: Holder) -> Result<Self, LockError> {
        sqlx::any::install_default_drivers();
        let url = state.database_url();
        let mut paths = vec![(state.data.join("lock"), format!("the data folder {}", state.data.display()))];
        let file = sqlite_file(&url);
        if let Some(file) = &file {
            // With another path to the same file, the lock file would be a different one.
            let canonical = file.canonicalize().unwrap_or_else(|_| file.clone());
            let mut lock = canonical.into_os_string();
            lock.push(".lock");
            paths.push((lock.into(), format!("the database {}", file.display())));
        }
        let mut files = Vec::new();
        let mut is_complete = true;
        for (path, place) in paths {
            match lock_file(&path, &place, &holder).await? {
                Some(file) => files.push(file),
                None => is_complete = false,
            }
        }
        let session = match url.starts_with("postgres") {
            true => Some(Session::acquire(url, holder).await?),
            false => None,
        };
        Ok(Self { _files: files, session, is_complete })
    }

    /// Whether every lock is held. Some file systems do not support locks.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Records in the database which process serves it. The tables must exist.
    ///
    /// # Errors
    /// The database fails.
    pub async fn announce(&mut self) -> Result<(), StoreError> {
        match &mut self.session {
            Some(session) => serving::set_holder(&mut session.conn, &session.holder.text()).await,
            None => Ok(()),
        }
    }

    /// Holds the locks until `release`. `gateway` is not ready while another process holds PostgreSQL's lock.
    pub async fn hold(mut self, gateway: Arc<Gateway>, release: CancellationToken) {
        if let Some(session) = self.session.take() {
            release.run_until_cancelled(session.watch(&gateway)).await;
        } else {
            release.cancelled().await;
        }
    }
}

impl Session {
    async fn acquire(url: String, holder: Holder) -> Result<Self, LockError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let failed = |error: StoreError| LockError::Database(explain(&url, &error));
            let (mut conn, is_locked) = connect(&url).await.map_err(failed)?;
            if is_locked {
                return Ok(Self { url, holder, conn });
            }
            if Instant::now() >= deadline {
                let other = serving::holder(&mut conn).await.map_err(failed)?;
                let session = serving::lock_session(&mut conn).await.map_err(failed)?;
                return Err(LockError::Held {
                    place: "the PostgreSQL database".to_owned(),
                    holder: other.as_deref().and_then(Holder::parse).map(Box::new),
                    remedy: session.map_or_else(String::new, remedy),
                });
            }
            drop(conn);
            sleep(PAUSE).await;
        }
    }

    /// Watches the session, and acquires the lock again whenever the session is lost.
    async fn watch(mut self, gateway: &Gateway) {
        loop {
            sleep(PING).await;
            if let Ok(Ok(())) = timeout(PING, serving::ping(&mut self.conn)).await {
                continue;
            }
            tracing::warn!("the session that holds the database's lock is lost; acquiring the lock again");
            self.conn = acquire_again(&self.url, &self.holder, gateway).await;
        }
    }
}

/// Opens sessions until one of them holds the lock.
async fn acquire_again(url: &str, holder: &Holder, gateway: &Gateway) -> AnyConnection {
    loop {
        match connect(url).await {
            Ok((mut conn, true)) => {
                // Only used in another process's error message, so a failure can be ignored.
                let _ = timeout(PING, serving::set_holder(&mut conn, &holder.text())).await;
                gateway.set_superseded(false);
                tracing::info!("this process has the database's lock again");
                return conn;
            }
            Ok((mut conn, false)) => {
                let other = timeout(PING, serving::holder(&mut conn)).await.ok().and_then(Result::ok).flatten();
                let other = other.as_deref().and_then(Holder::parse).filter(|other| other != holder);
                // Our own lost session may still hold it until PostgreSQL notices.
                if let Some(other) = other
                    && !gateway.set_superseded(true)
                {
                    tracing::error!(
                        holder = %other,
                        "another process serves this database: its changes do not reach this one. Stop one of them"
                    );
                }
            }
            // The database is down, which the store's own errors report.
            Err(_) => {}
        }
        sleep(PING).await;
    }
}

/// Opens a session and tries to acquire the lock in it. Returns whether it did.
async fn connect(url: &str) -> Result<(AnyConnection, bool), StoreError> {
    let connected = timeout(2 * PING, async {
        let mut conn = AnyConnection::connect(url).await?;
        serving::prepare(&mut conn).await?;
        let is_locked = serving::try_lock(&mut conn).await?;
        Ok((conn, is_locked))
    });
    connected.await.unwrap_or_else(|_| Err(StoreError::Database(io::Error::from(io::ErrorKind::TimedOut).into())))
}

fn remedy(session: serving::LockSession) -> String {
    let client = session.client.map_or_else(String::new, |client| format!(" from {client}"));
    format!(
        ". If its host is gone, PostgreSQL ends its session{client} within half a minute; to end it now: \
         SELECT pg_terminate_backend({})",
        session.pid
    )
}

/// Locks a file, and creates it if it is missing. Returns `None` if the file system does not support locks.
async fn lock_file(path: &Path, place: &str, holder: &Holder) -> Result<Option<File>, LockError> {
    let failed = |source| LockError::File { path: path.to_owned(), source };
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let mut file = open().map_err(failed)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(PAUSE).await,
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(failed)?;
                let holder = Holder::parse(&text).map(Box::new);
                return Err(LockError::Held { place: place.to_owned(), holder, remedy: String::new() });
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(
                    file = %path.display(),
                    "this file system has no locks: make sure that only one process serves this data folder"
                );
                return Ok(None);
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    // Removes the previous holder's text.
    file.set_len(0).map_err(failed)?;
    file.rewind().map_err(failed)?;
    file.write_all(holder.text().as_bytes()).map_err(failed)?;
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(data: &Path, database: &Path) -> StateSettings {
        let url = format!("sqlite://{}?mode=rwc", database.display());
        StateSettings { data: data.to_owned(), database_url: Some(url), pepper_file: None, ca_file: None }
    }

    async fn acquire(state: &StateSettings) -> Result<ProcessLock, LockError> {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        ProcessLock::acquire(state, Holder::serving(address(3000), address(24500), &Clock::system())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_and_a_database_are_locked_each_and_by_whatever_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("a")).unwrap();
        fs::create_dir(path("b")).unwrap();
        fs::write(path("a/nuvera.db"), "").unwrap();
        std::os::unix::fs::symlink(path("a/nuvera.db"), path("b/link.db")).unwrap();

        let first = acquire(&state(&path("a"), &path("a/nuvera.db"))).await.unwrap();
        assert!(first.is_complete());
        for (other, place) in [
            (state(&path("a"), &path("a/nuvera.db")), "the data folder "),
            (state(&path("a"), &path("b/other.db")), "the data folder "),
            (state(&path("b"), &path("a/nuvera.db")), "the database "),
            (state(&path("b"), &path("b/link.db")), "the database "),
        ] {
            let refused = acquire(&other).await.unwrap_err().to_string();
            let pid = std::process::id();
            assert!(refused.starts_with(place), "{refused}");
            assert!(refused.contains(&format!("in use by process {pid} on host ")), "{refused}");
            assert!(refused.contains("console 127.0.0.1:3000, gateway 127.0.0.1:24500; since "), "{refused}");
        }
        // The control: another folder and another database can be locked, and so can these after the lock is released.
        acquire(&state(&path("b"), &path("b/other.db"))).await.unwrap();
        drop(first);
        acquire(&state(&path("b"), &path("b/link.db"))).await.unwrap();
    }
}
