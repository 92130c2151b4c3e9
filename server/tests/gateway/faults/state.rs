//! What two processes, a crash or a damaged database must not break.

use crate::{
    process::{Console, LIST, Server, free_address, hidden, signed_request, write_assets},
    support::Connection,
};
use domain::audit::{AuditFilter, AuditScope};
use server::store::{Store, audit, opening, replay_runs, serving};
use sqlx::{AnyConnection, Connection as _, Executor};
use std::{
    env, fs,
    io::{Seek, SeekFrom, Write},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::Mutex, time::sleep};

/// The leeway of the servers that are started here.
const LEEWAY: Duration = Duration::from_secs(1);

/// A folder with what a server needs, and its data folder.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_assets(folder.path());
        Self { folder }
    }

    fn site(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn database(&self) -> PathBuf {
        self.data().join("nuvera.db")
    }

    fn url(&self) -> String {
        format!("sqlite://{}?mode=rwc", self.database().display())
    }

    async fn start(&self) -> Server {
        Server::start(self.site(), &self.data()).await
    }

    async fn refused(&self, more: &[&str]) -> String {
        Server::refused(self.site(), &self.data(), more).await
    }

    /// The event that the mark in the data folder names.
    fn mark(&self) -> i64 {
        fs::read_to_string(self.data().join("audit-mark")).map_or(0, |text| text.trim().parse().unwrap())
    }

    /// The event at which the history of a running server's database ends, once the mark has followed.
    async fn marked(&self) -> i64 {
        let latest = opening::inspect(&self.url()).await.unwrap().audit_sequence;
        until("the mark follows", async || (self.mark() == latest).then_some(latest)).await
    }
}

/// Waits until `found` finds something.
async fn until<T>(what: &str, found: impl AsyncFn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: it does not happen");
        sleep(Duration::from_millis(50)).await;
    }
}

/// A PostgreSQL database of a test's own, where a server runs.
async fn postgres() -> Option<String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let Ok(server) = env::var("NUVERA_TEST_POSTGRES_URL") else {
        assert!(env::var("CI").is_err(), "run the tests with `make test`: it starts PostgreSQL");
        return None;
    };
    let name = format!("state_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    execute(&server, &format!("CREATE DATABASE {name}")).await;
    Some(server.replace("/postgres?", &format!("/{name}?")))
}

async fn execute(url: &str, sql: &str) {
    sqlx::any::install_default_drivers();
    let mut conn = AnyConnection::connect(url).await.unwrap();
    conn.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.unwrap();
    conn.close().await.unwrap();
}

/// The status and, if it is refused, the code that a request is answered with.
async fn send(gateway: SocketAddr, request: &[u8]) -> (u16, String) {
    let mut connection = Connection::open(gateway).await;
    connection.write(request).await;
    let reply = connection.read().await.unwrap();
    let code = if reply.status == 200 { String::new() } else { reply.refusal().0 };
    (reply.status, code)
}

/// What `/readyz` answers.
async fn ready(address: SocketAddr) -> (u16, String) {
    let mut connection = Connection::open(address).await;
    connection.write(format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await;
    let reply = connection.read().await.unwrap();
    (reply.status, reply.text().to_owned())
}

/// How long fresh tokens are refused from now on. Each refusal must be for the fence.
async fn refused_for(gateway: SocketAddr, key: &str) -> Duration {
    let started = Instant::now();
    loop {
        match send(gateway, &signed_request(key)).await {
            (200, _) => return started.elapsed(),
            (_, code) => assert_eq!(code, "token_predates_start"),
        }
        assert!(started.elapsed() < Duration::from_secs(60), "good requests are refused for a minute");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn disable(console: &mut Console, id: &str) {
    let form = format!("{LIST}/{id}/disable");
    let version = hidden(&console.get(&form).await.unwrap(), "version");
    let fields = [("version", version), ("reason", "incident".to_owned())];
    assert_eq!(console.post(&form, &fields).await.unwrap().0, 303);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_folder_or_file_is_refused_with_the_name_of_the_first() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let server = place.start().await;
    let holder = format!("in use by process {} on host ", server.child.id());
    let addresses = format!("(console {}, gateway {}; since ", server.console, server.gateway);
    let url = place.url();
    let same_file = ["--database-url", url.as_str()];
    let refused = tokio::join!(place.refused(&[]), elsewhere.refused(&same_file));
    for (said, locked) in [(refused.0, "the data folder "), (refused.1, "the database ")] {
        assert!(said.contains(locked) && said.contains(&holder) && said.contains(&addresses), "{said}");
    }
    // The first one serves on; the control: once it is killed, the other folder may have the file.
    Console::sign_in(server.console).await;
    server.kill();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(elsewhere.data()).unwrap();
    fs::copy(place.data().join("pepper"), elsewhere.data().join("pepper")).unwrap();
    Server::start_with(elsewhere.site(), &elsewhere.data(), &["--database-url", &url]).await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_postgresql_database_is_refused_and_a_lost_lock_is_acquired_again() {
    let Some(url) = postgres().await else { return };
    let (place, elsewhere) = (Place::new(), Place::new());
    let arguments = ["--database-url", url.as_str()];
    let server = Server::start_with(place.site(), &place.data(), &arguments).await;
    let refused = async || Server::refused(elsewhere.site(), &elsewhere.data(), &arguments).await;
    let said = refused().await;
    for part in [
        "the PostgreSQL database is in use by process ",
        &format!("process {} on host ", server.child.id()),
        &format!("(console {}, gateway {}; since ", server.console, server.gateway),
        "SELECT pg_terminate_backend(",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    // The session is lost, as if a proxy in between was restarted, and another process is faster.
    let mut other = AnyConnection::connect(&url).await.unwrap();
    let session = serving::lock_session(&mut other).await.unwrap().unwrap();
    let own = serving::holder(&mut other).await.unwrap().unwrap();
    execute(&url, &format!("SELECT CAST(pg_terminate_backend({}) AS TEXT) AS ended", session.pid)).await;
    let other = Mutex::new(other);
    let lock = async || serving::try_lock(&mut *other.lock().await).await.unwrap().then_some(());
    until("another process has the lock", lock).await;
    let mut other = other.into_inner();
    let theirs = own.replace("\"host\":\"", "\"host\":\"not-");
    serving::set_holder(&mut other, &theirs).await.unwrap();
    let superseded = (503, "not ready: another process serves this database\n".to_owned());
    until("the first one is not ready", async || (ready(server.gateway).await == superseded).then_some(())).await;
    assert_eq!(ready(server.console).await.0, 503);
    // It ends, and the first one has the lock again.
    other.close().await.unwrap();
    until("the first one is ready again", async || (ready(server.gateway).await.0 == 200).then_some(())).await;
    assert_eq!(ready(server.console).await.0, 200);
    assert!(refused().await.contains(&format!("process {} on host ", server.child.id())));
    server.stop().await;
    // The control: the lock has ended with the process.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(elsewhere.data()).unwrap();
    fs::copy(place.data().join("pepper"), elsewhere.data().join("pepper")).unwrap();
    Server::start_with(elsewhere.site(), &elsewhere.data(), &arguments).await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_accepted_before_a_crash_and_after_it_and_crashes_do_not_add_up() {
    let place = Place::new();
    let server = place.start().await;
    let (_, key) = Console::sign_in(server.console).await.create("Ledger").await;
    let requests: Vec<_> = (0..20).map(|_| signed_request(&key)).collect();
    for request in &requests {
        assert_eq!(send(server.gateway, request).await.0, 200);
    }
    // A second version is rolled out, and rolled back.
    assert!(place.refused(&[]).await.contains("in use by process "));
    server.kill();
    let mut server = place.start().await;
    for request in &requests {
        assert_eq!(send(server.gateway, request).await, (401, "token_predates_start".to_owned()));
    }
    let mut longest = refused_for(server.gateway, &key).await;
    for _ in 0..5 {
        server.stop().await;
        server = place.start().await;
        server.kill();
        server = place.start().await;
        longest = longest.max(refused_for(server.gateway, &key).await);
    }
    println!("good requests were refused for {longest:?} at the most");
    // One leeway and two seconds; twice as long on a machine that is busy.
    assert!(longest < 2 * (LEEWAY + Duration::from_secs(2)), "{longest:?}");
    server.stop().await;
    let store = Store::open_migrated(&place.url()).await.unwrap();
    let runs = replay_runs::all(&mut store.read().await.unwrap()).await.unwrap();
    assert!(runs.len() <= 3, "{runs:?}");
    store.close().await;
}

/// What is done to a database while no server runs.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// The control.
    Nothing,
    NoWal,
    DamagedWal,
    OlderCopy,
    NoDatabase,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_has_lost_changes_is_refused_and_its_acceptance_is_recorded() {
    for loss in [Loss::Nothing, Loss::NoWal, Loss::DamagedWal, Loss::OlderCopy, Loss::NoDatabase] {
        let place = Place::new();
        let (database, copy) = (place.database(), place.data().join("copy.db"));
        let server = place.start().await;
        let (id, key) = Console::sign_in(server.console).await.create("Ledger").await;
        let before = place.marked().await;
        server.stop().await;
        fs::copy(&database, &copy).unwrap();

        let server = place.start().await;
        disable(&mut Console::sign_in(server.console).await, &id).await;
        assert_eq!(send(server.gateway, &signed_request(&key)).await.1, "application_disabled");
        let after = place.marked().await;
        assert!(after > before);
        let wal = database.with_extension("db-wal");
        match loss {
            Loss::OlderCopy => server.stop().await,
            _ => drop(server.kill()),
        }
        match loss {
            Loss::Nothing => {}
            Loss::NoWal => {
                fs::remove_file(&wal).unwrap();
                fs::remove_file(database.with_extension("db-shm")).unwrap();
            }
            Loss::DamagedWal => {
                // One byte of its first page: SQLite ends there, because the checksum is wrong.
                let mut file = fs::OpenOptions::new().write(true).open(&wal).unwrap();
                file.seek(SeekFrom::Start(32 + 24 + 100)).unwrap();
                file.write_all(b"\xff\x00\xff").unwrap();
            }
            Loss::OlderCopy => drop(fs::copy(&copy, &database).unwrap()),
            Loss::NoDatabase => {
                for file in [&database, &wal, &database.with_extension("db-shm")] {
                    fs::remove_file(file).unwrap();
                }
            }
        }
        if let Loss::Nothing = loss {
            let server = place.start().await;
            assert_eq!(send(server.gateway, &signed_request(&key)).await.1, "application_disabled");
            assert_eq!(place.marked().await, after);
            continue;
        }
        let kept = fs::read(&wal).ok();
        let found = match loss {
            Loss::NoDatabase => 0,
            _ => before,
        };
        let said = place.refused(&[]).await;
        let ends = format!(
            "--data: the database has lost changes. Its audit history ends at event {found}, but event {after} "
        );
        assert!(said.contains(&ends), "{loss:?}: {said}");
        let accept = format!("--accept-older-database {found}");
        assert!(said.contains(&accept), "{loss:?}: {said}");
        // Another number accepts nothing, and the write-ahead log is left for analysis.
        assert!(place.refused(&["--accept-older-database", &after.to_string()]).await.contains(&ends));
        if let Loss::DamagedWal = loss {
            assert_eq!(fs::read(&wal).ok(), kept);
        }

        let server =
            Server::start_with(place.site(), &place.data(), &["--accept-older-database", &found.to_string()]).await;
        let store = Store::open_migrated(&place.url()).await.unwrap();
        let mut conn = store.read().await.unwrap();
        let events = audit::events(&mut conn, AuditScope::Everyone, AuditFilter::default(), i64::MAX, 1).await.unwrap();
        assert_eq!(events[0].sequence, after + 1, "no number is used twice");
        assert_eq!(events[0].event.action.code(), "database.older_accepted");
        drop(conn);
        store.close().await;
        assert_eq!(place.marked().await, after + 1);
        server.stop().await;
        // It is accepted once; and a start without the argument is an ordinary one.
        place.start().await.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_be_used_is_refused_with_the_cause_and_the_remedy() {
    let place = Place::new();
    place.start().await.stop().await;
    let whole = fs::read(place.database()).unwrap();
    let refused = async |data: &[u8]| {
        fs::write(place.database(), data).unwrap();
        place.refused(&[]).await
    };
    let said = refused(b"This is a text, and no database at all. ".repeat(100).as_slice()).await;
    assert!(said.contains("--data: ") && said.contains("nuvera.db is not a SQLite database"), "{said}");
    assert!(said.contains("restore the latest backup"), "{said}");
    let mut damaged = whole.clone();
    for page in damaged.chunks_mut(4096).skip(1).step_by(2) {
        page[..64].fill(0xee);
    }
    let said = refused(&damaged).await;
    assert!(said.contains("nuvera.db is damaged: "), "{said}");

    fs::write(place.database(), &whole).unwrap();
    let read_only = format!("sqlite://{}?mode=ro", place.database().display());
    let missing = format!("sqlite://{}?mode=rw", place.site().join("other.db").display());
    let no_folder = format!("sqlite://{}?mode=rwc", place.site().join("dtaa/nuvera.db").display());
    let closed = free_address().await;
    let closed_url = format!("postgres://nuvera:hunter2@{closed}/nuvera?sslmode=disable");
    // A listener that is no PostgreSQL, and ends every connection.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let odd = listener.local_addr().unwrap();
    let odd_url = format!("postgres://nuvera:hunter2@{odd}/nuvera?sslmode=disable");
    let ending = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    for (url, parts) in [
        (read_only.as_str(), ["nuvera.db is read-only", "writable"]),
        (&missing, ["there is no database file ", "Correct the path"]),
        (&no_folder, ["there is no folder ", "Create it"]),
        (&closed_url, [&format!("PostgreSQL at {closed} refused the connection"), "Check host and port"]),
        (&odd_url, [&format!("PostgreSQL at {odd} cannot be reached"), "Check the address"]),
    ] {
        let said = place.refused(&["--database-url", url]).await;
        assert!(said.contains("--database-url: ") && parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("pool timed out"), "{said}");
    }
    ending.abort();
    if let Some(url) = postgres().await {
        let (server, _) = url.rsplit_once('/').unwrap();
        let no_database = format!("{server}/nobody_made_this?sslmode=disable");
        let nobody = format!("{}?sslmode=disable", server.replace("nuvera@", "stranger@") + "/postgres");
        for (url, parts) in [
            (&no_database, ["has no database nobody_made_this", "createdb"]),
            (&nobody, ["did not let the user stranger in", "pg_hba.conf"]),
        ] {
            let said = place.refused(&["--database-url", url]).await;
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
        execute(&url, &format!("ALTER DATABASE {} SET default_transaction_read_only = on", name(&url))).await;
        let said = place.refused(&["--database-url", &url]).await;
        assert!(said.contains("is read-only"), "{said}");
    }
}

fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap().split('?').next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_writes_is_for_its_user_only() {
    let place = Place::new();
    let server = place.start().await;
    let (id, _) = Console::sign_in(server.console).await.create("Ledger").await;
    disable(&mut Console::sign_in(server.console).await, &id).await;
    place.marked().await;
    let mut found = Vec::new();
    let mut folders = vec![place.data()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).chain([folder.clone()]) {
            let metadata = fs::symlink_metadata(&path).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o077, 0, "{}", path.display());
            if metadata.is_dir() && path != folder {
                folders.push(path.clone());
            }
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    for name in ["nuvera.db", "nuvera.db-wal", "pepper", "lock", "audit-mark", "control.sock", "emergency-stops.jsonl"]
    {
        assert!(found.iter().any(|found| found == name), "{name} is not in {found:?}");
    }
    server.stop().await;
}
