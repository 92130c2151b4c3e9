//! Emergency stops while the database is down, frozen, locked or out of space.
//!
//! The promise is half a second from the click to the gateway's refusal. A test machine under full load may need longer, so
//! the tests allow [`IN_FORCE`] and print what they measured.

use crate::{
    process::{Console, LIST, Server, hidden, signed_request, write_assets},
    support::Connection,
};
use domain::audit::{AuditFilter, AuditScope, RecordedEvent};
use server::store::{Store, audit};
use sqlx::{AnyConnection, Connection as _};
use std::{
    env,
    fs::{self, File},
    io::Write,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

const IN_FORCE: Duration = Duration::from_secs(2);
/// Until when anything else must have happened.
pub(super) const SOON: Duration = Duration::from_secs(20);
const REASON: &str = "A private key leaked";

/// What the gateway says to a signed request.
pub(super) async fn gateway_says(gateway: SocketAddr, key: &str) -> String {
    let mut connection = Connection::open(gateway).await;
    connection.write(&signed_request(key)).await;
    let reply = connection.read().await.expect("the gateway answers");
    if reply.status == 200 { "ok".to_owned() } else { reply.refusal().0 }
}

/// Polls until the gateway says `code`, and returns how long that took.
pub(super) async fn until_gateway_says(gateway: SocketAddr, key: &str, code: &str) -> Duration {
    let begun = Instant::now();
    loop {
        let said = gateway_says(gateway, key).await;
        if said == code {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < SOON, "the gateway says {said} and not {code}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Asks a probe until its answer is one that is waited for, and returns it.
async fn until_probe(address: SocketAddr, is_awaited: impl Fn(u16, &str) -> bool) -> (u16, String) {
    let begun = Instant::now();
    loop {
        let mut connection = Connection::open(address).await;
        connection.write(format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await;
        let reply = connection.read().await.expect("the probe answers");
        if is_awaited(reply.status, reply.text()) {
            return (reply.status, reply.text().to_owned());
        }
        assert!(begun.elapsed() < SOON, "/readyz says {}", reply.text());
        sleep(Duration::from_millis(50)).await;
    }
}

async fn until_probe_says(address: SocketAddr, text: &str) -> (u16, String) {
    until_probe(address, |_, said| said.contains(text)).await
}

pub(super) async fn until_ready(address: SocketAddr) {
    until_probe(address, |status, said| status == 200 && said == "ready\n").await;
}

/// Sends an emergency stop and measures how long the gateway goes on accepting. Returns the answer as well.
pub(super) async fn stop(console: &mut Console, server: &Server, path: &str, key: &str) -> (Duration, u16, String) {
    let fields = [("reason", REASON.to_owned())];
    let posted = async {
        let begun = Instant::now();
        let answer = timeout(SOON, console.post(path, &fields)).await.expect("the console answers in time").unwrap();
        (begun.elapsed(), answer)
    };
    let ((answered, (status, page)), in_force) =
        tokio::join!(posted, until_gateway_says(server.gateway, key, "application_disabled"));
    println!("{path}: in force after {in_force:?}, answered {status} after {answered:?}");
    assert!(in_force < IN_FORCE, "{in_force:?}");
    (in_force, status, page)
}

pub(super) fn disable(id: &str) -> String {
    format!("{LIST}/{id}/disable")
}

pub(super) fn signal(server: &Server, name: &str) {
    let sent = Command::new("kill").args([name, &server.child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// The audit events of an application, the newest first.
pub(super) async fn events(url: &str, id: &str) -> Vec<RecordedEvent> {
    let store = Store::open(url).await.unwrap();
    let mut conn = store.read().await.unwrap();
    let all = audit::events(&mut conn, AuditScope::Everyone, AuditFilter::default(), i64::MAX, 1000).await.unwrap();
    drop(conn);
    store.close().await;
    all.into_iter().filter(|e| e.event.application_id.is_some_and(|known| known.to_string() == id)).collect()
}

/// Waits until the stop of an application by `actor` is recorded, once, and checks why and when.
pub(super) async fn until_recorded(url: &str, id: &str, actor: &str, before: domain::time::Timestamp) {
    let begun = Instant::now();
    loop {
        let events = events(url, id).await;
        // A partner's stop is recorded beside one by Nuvera or its operator.
        let is_theirs = |e: &&RecordedEvent| e.event.actor.name.starts_with(actor);
        let stops = events.iter().filter(|e| e.event.action.code() == "application.disabled").filter(is_theirs);
        let stops: Vec<_> = stops.collect();
        if let [stop] = stops[..] {
            assert_eq!(stop.event.reason.as_ref().unwrap().as_str(), REASON);
            assert!(stop.event.at <= before, "the record has the time of the stop, not of the record");
            return;
        }
        assert!(begun.elapsed() < SOON && stops.is_empty(), "{} stops are recorded", stops.len());
        sleep(Duration::from_millis(100)).await;
    }
}

pub(super) fn now() -> domain::time::Timestamp {
    server::clock::Clock::system().now()
}

/// Enables an application, which must be possible after the stop is recorded.
pub(super) async fn enable(console: &mut Console, server: &Server, id: &str, key: &str) {
    let path = format!("{LIST}/{id}/enable");
    let version = hidden(&console.get(&path).await.unwrap(), "version");
    let (status, page) = console.post(&path, &[("version", version), ("reason", "a test".to_owned())]).await.unwrap();
    assert_eq!(status, 303, "{page}");
    until_gateway_says(server.gateway, key, "ok").await;
}

pub(super) struct Place {
    pub(super) site: TempDir,
    pub(super) data: PathBuf,
}

impl Place {
    pub(super) fn new() -> Self {
        let site = tempfile::tempdir().unwrap();
        write_assets(site.path());
        let data = site.path().join("data");
        Self { site, data }
    }

    pub(super) async fn start(&self, more: &[&str]) -> Server {
        Server::start_with(self.site.path(), &self.data, more).await
    }

    pub(super) fn sqlite(&self) -> String {
        format!("sqlite://{}", self.data.join("nuvera.db").display())
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.data.join("emergency-stops.jsonl")).unwrap().trim().to_owned()
    }

    /// `server stop` with these arguments.
    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command.arg("stop").arg("--data").arg(&self.data).args(arguments).output().unwrap()
    }
}

/// A small file system in memory at the data folder.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m,mode=0700", "tmpfs"]).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at.to_owned())),
            other => {
                assert!(env::var("CI").is_err(), "a small file system cannot be mounted: {other:?}");
                println!("SKIPPED: mounting a file system needs root: {other:?}");
                None
            }
        }
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_on_a_full_disk_is_in_force_at_once_survives_a_crash_and_is_recorded() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(&place.data) else { return };
    let mut server = place.start(&[]).await;
    let mut console = Console::sign_in(server.console).await;
    let (first, first_key) = console.create("First").await;
    let (second, second_key) = console.create("Second").await;
    for key in [&first_key, &second_key] {
        assert_eq!(gateway_says(server.gateway, key).await, "ok", "the control");
    }

    // Without a restart: the service recovers when there is space again.
    disk.fill();
    assert_eq!(until_probe_says(server.console, "cannot write").await.0, 503);
    let (_, status, _) = stop(&mut console, &server, &disable(&first), &first_key).await;
    let at = now();
    assert_eq!(status, 303);
    assert!(place.journal().contains(&first), "it is on disk");
    let page = console.get(&format!("{LIST}/{first}")).await.unwrap();
    assert!(page.contains("will be added to the audit history as soon as it can be"), "{page}");
    let (status, text) = until_probe_says(server.gateway, "emergency stop not recorded: 1").await;
    assert!(status == 200 && text.contains("cannot write"), "the gateway goes on: {text}");
    assert_eq!(gateway_says(server.gateway, &second_key).await, "ok", "the control");
    disk.free();
    until_recorded(&place.sqlite(), &first, "Olivia", at).await;
    until_ready(server.console).await;
    assert_eq!(place.journal(), "", "what is recorded is removed");
    enable(&mut console, &server, &first, &first_key).await;

    // With a crash right after the answer.
    disk.fill();
    until_probe_says(server.console, "cannot write").await;
    stop(&mut console, &server, &disable(&second), &second_key).await;
    let at = now();
    server.kill();
    disk.free();
    server = place.start(&[]).await;
    // Before anything else a restart after a crash refuses every token for a leeway: the key is judged before that.
    assert_eq!(gateway_says(server.gateway, &second_key).await, "application_disabled");
    until_recorded(&place.sqlite(), &second, "Olivia", at).await;
    assert_eq!(gateway_says(server.gateway, &second_key).await, "application_disabled");
    let mut console = Console::sign_in(server.console).await;
    enable(&mut console, &server, &second, &second_key).await;
    // What is recorded is not stopped again by a later start.
    server.kill();
    server = place.start(&[]).await;
    until_gateway_says(server.gateway, &second_key, "ok").await;
    until_gateway_says(server.gateway, &first_key, "ok").await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_and_a_page_do_not_wait_for_a_writer_of_the_same_file() {
    let place = Place::new();
    let server = place.start(&[]).await;
    let mut console = Console::sign_in(server.console).await;
    let (id, key) = console.create("Ledger").await;
    assert_eq!(gateway_says(server.gateway, &key).await, "ok", "the control");
    sqlx::any::install_default_drivers();
    let mut other = AnyConnection::connect(&place.sqlite()).await.unwrap();
    let mut hold = async |sql| sqlx::raw_sql(sql).execute(&mut other).await.map(drop);
    while hold("BEGIN IMMEDIATE").await.is_err() {
        sleep(Duration::from_millis(10)).await;
    }
    let begun = Instant::now();
    let (status, _) = console.get_with_status(&format!("{LIST}/{id}")).await.unwrap();
    println!("a page took {:?}", begun.elapsed());
    assert!(status == 200 && begun.elapsed() < IN_FORCE, "{status} after {:?}", begun.elapsed());
    let (_, status, _) = stop(&mut console, &server, &disable(&id), &key).await;
    let at = now();
    assert_eq!(status, 303);
    until_probe_says(server.console, "cannot write").await;
    assert!(events(&place.sqlite(), &id).await.iter().all(|e| e.event.action.code() != "application.disabled"));
    hold("ROLLBACK").await.unwrap();
    until_recorded(&place.sqlite(), &id, "Olivia", at).await;
    enable(&mut console, &server, &id, &key).await;
}

/// Carries bytes between the server and its PostgreSQL, or swallows them.
struct Relay {
    address: SocketAddr,
    forwarding: watch::Sender<bool>,
    tasks: JoinSet<()>,
    behind: String,
}

impl Relay {
    async fn start(behind: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (forwarding, _) = watch::channel(true);
        let mut relay = Self { address, forwarding, tasks: JoinSet::new(), behind: behind.to_owned() };
        relay.serve(listener);
        relay
    }

    fn serve(&mut self, listener: TcpListener) {
        let (forwarding, behind) = (self.forwarding.subscribe(), self.behind.clone());
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&behind).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                connections.spawn(carry(from_client, to_server, forwarding.clone()));
                connections.spawn(carry(from_server, to_client, forwarding.clone()));
            }
        });
    }

    /// Nothing comes through, and no one is told.
    fn swallow(&self, swallowing: bool) {
        self.forwarding.send_replace(!swallowing);
    }

    /// Connections are cut and refused.
    async fn go_down(&mut self) {
        self.tasks.shutdown().await;
    }

    async fn come_back(&mut self) {
        self.serve(TcpListener::bind(self.address).await.unwrap());
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut forwarding: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if forwarding.wait_for(|forwarding| *forwarding).await.is_err() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// A database of a test's own, its URL, and the URL by way of `relay`.
async fn postgres() -> Option<(String, Relay, String)> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let Ok(server) = env::var("NUVERA_TEST_POSTGRES_URL") else {
        assert!(env::var("CI").is_err(), "run the tests with `make test`: it starts PostgreSQL");
        println!("SKIPPED: there is no PostgreSQL");
        return None;
    };
    sqlx::any::install_default_drivers();
    let name = format!("stops_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut conn = AnyConnection::connect(&server).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut conn).await.unwrap();
    let (address, options) = server.split_once('?').map_or((&*server, ""), |(address, options)| (address, options));
    let direct = format!("{}{name}?{options}", &address[..=address.rfind('/').unwrap()]);
    let host = &direct[direct.find('@').unwrap() + 1..];
    let host = &host[..host.find('/').unwrap()];
    let relay = Relay::start(host).await;
    let by_relay = direct.replace(host, &relay.address.to_string());
    Some((direct, relay, by_relay))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_locked_row() {
    let Some((url, _relay, _)) = postgres().await else { return };
    let place = Place::new();
    let server = place.start(&["--database-url", &url]).await;
    let mut console = Console::sign_in(server.console).await;
    let (id, key) = console.create("Ledger").await;
    let (other, other_key) = console.create("Other").await;
    for key in [&key, &other_key] {
        assert_eq!(gateway_says(server.gateway, key).await, "ok", "the control");
    }
    let mut holder = AnyConnection::connect(&url).await.unwrap();
    let mut hold = async |sql: String| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut holder).await.map(drop).unwrap();
    };
    hold(format!("BEGIN; SELECT * FROM applications WHERE id = '{id}' FOR UPDATE")).await;

    // A change of the locked application is under way.
    let mut browser = console.again().await;
    let rename = format!("{LIST}/{id}/rename");
    let version = hidden(&browser.get(&rename).await.unwrap(), "version");
    let renaming = tokio::spawn(async move {
        let begun = Instant::now();
        let fields = [("version", version), ("name", "Books".to_owned())];
        (browser.post(&rename, &fields).await.unwrap().0, begun.elapsed())
    });
    stop(&mut console, &server, &disable(&other), &other_key).await;
    let (_, status, _) = stop(&mut console, &server, &disable(&id), &key).await;
    let at = now();
    assert_eq!(status, 303);
    let (status, took) = renaming.await.unwrap();
    println!("the change of the locked application: {status} after {took:?}");
    assert!(status == 503 && took < SOON, "{status} after {took:?}");
    until_recorded(&url, &other, "Olivia", at).await;
    hold("ROLLBACK".to_owned()).await;
    until_recorded(&url, &id, "Olivia", at).await;
    enable(&mut console, &server, &id, &key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_and_its_page_work_while_nothing_comes_through_to_the_database() {
    let Some((url, relay, by_relay)) = postgres().await else { return };
    let place = Place::new();
    let mut server = place.start(&["--database-url", &by_relay]).await;
    let mut console = Console::sign_in(server.console).await;
    let (id, key) = console.create("Ledger").await;
    let mut gone = console.again().await;
    let mut viewer = Console::sign_in_as(server.console, "viewer@alpine.example").await;
    let mut signed_out = Console::sign_in_as(server.console, "developer@alpine.example").await;
    viewer.get(LIST).await.unwrap();
    signed_out.get(LIST).await.unwrap();
    let cookie = signed_out.cookie.clone();
    assert_eq!(signed_out.post("/sign-out", &[]).await.unwrap().0, 303);
    assert_eq!(gateway_says(server.gateway, &key).await, "ok", "the control");

    relay.swallow(true);
    // Who was signed out, and who may not, stops nothing.
    signed_out.cookie = cookie;
    for browser in [&mut signed_out, &mut viewer] {
        let (status, _) = browser.post(&disable(&id), &[("reason", REASON.to_owned())]).await.unwrap();
        assert!([403, 503].contains(&status), "{status}");
    }
    assert_eq!(gateway_says(server.gateway, &key).await, "ok");

    let begun = Instant::now();
    let (status, page) = console.get_with_status(&disable(&id)).await.unwrap();
    println!("the page of the stop took {:?}", begun.elapsed());
    assert!(status == 200 && page.contains("The database is not available"), "{status}: {page}");
    let (_, status, page) = stop(&mut console, &server, &disable(&id), &key).await;
    let at = now();
    assert!(status == 200 && page.contains("1 application is stopped"), "{status}: {page}");
    assert!(place.journal().contains(&id), "it is on disk");
    // No other page is shown by what is remembered, and none hangs.
    let begun = Instant::now();
    let (status, _) = gone.get_with_status(&format!("{LIST}/{id}/rename")).await.unwrap();
    println!("another page took {:?}", begun.elapsed());
    assert!(status == 503 && begun.elapsed() < SOON, "{status} after {:?}", begun.elapsed());

    relay.swallow(false);
    until_recorded(&url, &id, "Olivia", at).await;
    until_ready(server.console).await;
    enable(&mut console, &server, &id, &key).await;

    // A stop of the process does not wait for the database either.
    relay.swallow(true);
    let begun = Instant::now();
    signal(&server, "-TERM");
    while server.child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < SOON, "it does not end");
        sleep(Duration::from_millis(10)).await;
    }
    println!("SIGTERM took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stops_without_a_database_outlive_a_crash() {
    let Some((url, mut relay, by_relay)) = postgres().await else { return };
    let place = Place::new();
    let server = place.start(&["--database-url", &by_relay]).await;
    let mut console = Console::sign_in(server.console).await;
    let (first, first_key) = console.create("First").await;
    let (second, second_key) = console.create("Second").await;
    for key in [&first_key, &second_key] {
        assert_eq!(gateway_says(server.gateway, key).await, "ok", "the control");
    }
    relay.go_down().await;
    // The operator stops one, without a session; a partner's page stops all.
    let begun = Instant::now();
    let output = place.command(&["--application", &first, "--reason", REASON]);
    println!("`server stop` took {:?}", begun.elapsed());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("First (Alpine Pay)") && text.contains("NOT recorded"), "{text}");
    assert_eq!(gateway_says(server.gateway, &first_key).await, "application_disabled");
    assert_eq!(gateway_says(server.gateway, &second_key).await, "ok", "the control");
    let everything = format!("{LIST}/stop-everything");
    let (status, page) = console.get_with_status(&everything).await.unwrap();
    assert!(status == 200 && page.contains("1 application of Alpine Pay"), "{status}: {page}");
    let (_, status, page) = stop(&mut console, &server, &everything, &second_key).await;
    let at = now();
    assert!(status == 200 && page.contains("1 application is stopped"), "{status}: {page}");

    server.kill();
    relay.come_back().await;
    let server = place.start(&["--database-url", &by_relay]).await;
    for key in [&first_key, &second_key] {
        assert_eq!(gateway_says(server.gateway, key).await, "application_disabled");
    }
    until_recorded(&url, &first, "Server operator", at).await;
    until_recorded(&url, &second, "Olivia", at).await;
    for key in [&first_key, &second_key] {
        assert_eq!(gateway_says(server.gateway, key).await, "application_disabled");
    }
    let mut console = Console::sign_in(server.console).await;
    enable(&mut console, &server, &second, &second_key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_stops_anything_by_the_control_socket() {
    let place = Place::new();
    let server = place.start(&[]).await;
    let mut console = Console::sign_in(server.console).await;
    let (id, key) = console.create("Ledger").await;
    let mode = |name: &str| fs::metadata(place.data.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("control.sock"), mode(".")), (0o600, 0o700));
    let event = async || events(&place.sqlite(), &id).await.into_iter().next().unwrap().event;
    let organization = event().await.organization_id.to_string();
    let fingerprint = crate::support::public_key(crate::support::pair(0)).fingerprint();

    for wrong in [&[][..], &["--all", "--application", &id], &["--api-key", "x"], &["--fingerprint", "SHA256:x"]] {
        assert!(!place.command(wrong).status.success(), "{wrong:?}");
    }
    let unknown = place.command(&["--application", &uuid::Uuid::nil().to_string()]);
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("there is no application"));
    assert_eq!(gateway_says(server.gateway, &key).await, "ok", "the control");

    for (arguments, refusal) in [
        (&["--application", &id][..], "application_disabled"),
        (&["--organization", &organization], "application_disabled"),
        (&["--all"], "application_disabled"),
        // Last, because the key stays blocked.
        (&["--fingerprint", &fingerprint], "signing_key_blocked"),
    ] {
        let output = place.command(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("Stopped: 1 application. In force"), "{arguments:?}: {text}");
        assert!(text.contains("Ledger (Alpine Pay)") && text.contains("\nRecorded in"), "{arguments:?}: {text}");
        assert_eq!(gateway_says(server.gateway, &key).await, refusal, "{arguments:?}");
        let event = event().await;
        assert_eq!(event.action.code(), "application.disabled");
        assert!(event.actor.name.starts_with("Server operator (uid "), "{}", event.actor.name);
        assert_eq!(event.reason.unwrap().as_str(), "Emergency stop, no reason given");
        if refusal == "application_disabled" {
            enable(&mut console, &server, &id, &key).await;
        }
    }
    // Of a whole key, only the prefix is used.
    let output = place.command(&["--api-key", &key, "--reason", REASON]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&key[..12]) && !text.contains(&key), "{text}");
    assert_eq!(gateway_says(server.gateway, &key).await, "revoked_api_key");
    let event = event().await;
    assert_eq!((event.action.code(), &*event.target), ("api_key.revoked", &key[..12]));
    assert_eq!(event.reason.unwrap().as_str(), REASON);

    // A second server is not given the socket of a running one, and one that was left behind is replaced.
    server.kill();
    assert!(place.data.join("control.sock").exists());
    let output = place.command(&["--all"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("no server answers at"));
    let server = place.start(&[]).await;
    assert!(place.command(&["--all"]).status.success());

    // A terminal that closes does not end the server.
    signal(&server, "-HUP");
    signal(&server, "-HUP");
    until_ready(server.gateway).await;
    until_ready(server.console).await;
}
