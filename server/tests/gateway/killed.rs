//! The whole program, ended by SIGKILL in the midst of changes and requests, again and again on the same data: what was
//! acknowledged is there, and of the counters at most what the last interval saw is lost.

use crate::support::{Connection, base64url, pair, public_key, sha256_hex, sign};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use domain::{
    api_key::check_shape,
    application::ApiApplication,
    audit::{AuditFilter, AuditScope},
    id::ApplicationId,
};
use serde_json::json;
use server::{
    clock::Clock,
    pepper::Pepper,
    random,
    store::{Store, applications, audit, usage},
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Seek},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, time::sleep};
use uuid::Uuid;

const ROUNDS: usize = 4;
const LIST: &str = "/settings/platform/api-applications";

/// What a crash may cost: the interval of the counters, which is half of it, and the time to write them.
const AT_MOST_LOST: Duration = Duration::from_secs(1);

/// What the console answered for.
#[derive(Default)]
struct Acknowledged {
    /// By application: its API key, and whether it was disabled.
    applications: BTreeMap<String, (String, bool)>,
    /// When each request with the first key was accepted.
    requests: Vec<Instant>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_killed_under_load_loses_no_change_and_at_most_an_interval_of_counters() {
    let folder = tempfile::tempdir().unwrap();
    write_assets(folder.path());
    let data = folder.path().join("data");
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    let mut counted_on = 0;
    for round in 0..ROUNDS {
        let server = Server::start(folder.path(), &data).await;
        let mut console = Console::sign_in(server.console).await;
        if round == 0 {
            let (id, key) = console.create("First").await;
            acknowledged.lock().unwrap().applications.insert(id, (key, false));
        }
        let first = acknowledged.lock().unwrap().applications.values().find(|(_, stopped)| !stopped).unwrap().0.clone();
        let running = Arc::new(AtomicBool::new(true));
        let before = acknowledged.lock().unwrap().requests.len();
        let partners: Vec<_> = (0..2)
            .map(|_| tokio::spawn(send(server.gateway, first.clone(), acknowledged.clone(), running.clone())))
            .collect();
        let changes = tokio::spawn(change(console, round, acknowledged.clone()));
        // A restart after a crash refuses tokens for a leeway; then some intervals pass, and not whole ones.
        while acknowledged.lock().unwrap().requests.len() == before {
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_millis(2300 + 370 * round as u64)).await;
        let killed_at = server.kill();
        running.store(false, SeqCst);
        for partner in partners {
            partner.await.unwrap();
        }
        let _ = changes.await.unwrap();

        let store = Store::open(&format!("sqlite://{}", data.join("nuvera.db").display())).await.unwrap();
        let pepper = Pepper::load_or_create(&data.join("pepper")).unwrap();
        let mut conn = store.read().await.unwrap();
        let known = applications::of_everyone(&mut conn).await.unwrap();
        let known: BTreeMap<String, &ApiApplication> = known.iter().map(|a| (a.id.to_string(), a)).collect();
        let (applications, requests) = {
            let acknowledged = acknowledged.lock().unwrap();
            (acknowledged.applications.clone(), acknowledged.requests.clone())
        };
        assert!(applications.len() > 2 * round, "changes went on: {}", applications.len());
        for (id, (key, disabled)) in &applications {
            let application = known.get(id).unwrap_or_else(|| panic!("{id} is lost"));
            assert_eq!(application.api_keys[0].hash, pepper.hash(key.as_bytes()));
            let scope = AuditScope::Application(application.organization_id, application.id);
            let events = audit::events(&mut conn, scope, AuditFilter::default(), i64::MAX, 100).await.unwrap();
            let codes: Vec<_> = events.iter().map(|event| event.event.action.code()).collect();
            assert!(codes.contains(&"application.created") && codes.contains(&"api_key.created"), "{codes:?}");
            assert!(!disabled || !application.is_enabled() && codes.contains(&"application.disabled"), "{codes:?}");
            // And no change is there whose event is not.
            assert_eq!(application.is_enabled(), !codes.contains(&"application.disabled"), "{codes:?}");
        }
        let (id, _) = applications.iter().find(|(_, (key, _))| *key == first).unwrap();
        let application: ApplicationId = id.parse().unwrap();
        let counted = usage::of_api_keys(&mut conn, application).await.unwrap();
        let counted: i64 = counted.values().map(|usage| usage.requests).sum();
        let this_run = &requests[before..];
        let due = this_run.iter().filter(|&&at| at + AT_MOST_LOST < killed_at).count();
        assert!(due > 0, "requests were accepted early enough to be counted");
        counted_on += due;
        assert!(counted >= counted_on as i64, "{counted} of at least {counted_on} were counted");
        // What was lost before stays lost: from here on it is this that the counters must reach.
        counted_on = counted as usize;
        assert!(this_run.len() > 20, "requests went on: {}", this_run.len());
        drop(conn);
        store.close().await;
    }
}

/// What the program wants of the folder with the browser's files.
pub fn write_assets(site: &Path) {
    fs::write(site.join("assets.json"), r#"{"app":"a","style":"s","keygenWorker":"k","keydoctorWorker":"d"}"#).unwrap();
}

/// A server of the test's own; killed where the test ends before it.
pub struct Server {
    pub child: Child,
    console: SocketAddr,
    pub gateway: SocketAddr,
}

impl Server {
    async fn start(site: &Path, data: &Path) -> Self {
        Self::start_with(site, data, &[]).await
    }

    /// Somebody else may take an address between the moment it was free and the server's start: then there is another one.
    pub async fn start_with(site: &Path, data: &Path, more: &[&str]) -> Self {
        for _ in 0..5 {
            if let Some(server) = Self::try_start(site, data, more).await {
                return server;
            }
        }
        panic!("the server does not start");
    }

    /// `None` is a server that has ended at once.
    async fn try_start(site: &Path, data: &Path, more: &[&str]) -> Option<Self> {
        let (console, gateway) = (free_address().await, free_address().await);
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command.arg("serve").arg("--demo").args(["--leeway", "1"]).arg("--data").arg(data).arg("--site").arg(site);
        command.args(["--console-address", &console.to_string(), "--gateway-address", &gateway.to_string()]);
        command.args(more);
        let log = tempfile::tempfile().unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.try_clone().unwrap());
        let child = command.spawn().unwrap();
        let mut server = Self { child, console, gateway };
        for _ in 0..600 {
            if server.child.try_wait().unwrap().is_some() {
                println!("the server has ended: {}", read_to_string(log));
                return None;
            }
            if let Ok(stream) = tokio::net::TcpStream::connect(gateway).await {
                drop(stream);
                return Some(server);
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the server does not answer: {}", read_to_string(log));
    }

    /// Ends it as a loss of power would, and says when.
    fn kill(mut self) -> Instant {
        let at = Instant::now();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        at
    }
}

fn read_to_string(mut log: File) -> String {
    log.rewind().unwrap();
    io::read_to_string(log).unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already: then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Creates applications and disables them, until the server is gone.
async fn change(mut console: Console, round: usize, acknowledged: Arc<Mutex<Acknowledged>>) -> Option<()> {
    for number in 0.. {
        let (id, key) = console.try_create(&format!("Application {round}-{number}")).await?;
        acknowledged.lock().unwrap().applications.insert(id.clone(), (key.clone(), false));
        let form = format!("{LIST}/{id}/disable");
        let page = console.get(&form).await?;
        let fields = [("version", hidden(&page, "version")), ("reason", "a test".to_owned())];
        if console.post(&form, &fields).await?.0 == 303 {
            acknowledged.lock().unwrap().applications.insert(id, (key, true));
        }
    }
    None
}

/// Sends requests one after the other, and notes when each was accepted.
async fn send(gateway: SocketAddr, key: String, acknowledged: Arc<Mutex<Acknowledged>>, running: Arc<AtomicBool>) {
    let mut connection = Connection::open(gateway).await;
    while running.load(SeqCst) {
        connection.write(&request(&key)).await;
        let Some(reply) = connection.read().await else { return };
        match reply.status {
            200 => acknowledged.lock().unwrap().requests.push(Instant::now()),
            _ => assert_eq!(reply.refusal().0, "token_predates_start"),
        }
    }
}

fn request(key: &str) -> Vec<u8> {
    let (uri, iat) = ("/api/v1/signature-test", Clock::system().now().as_seconds());
    let claims = json!({
        "iss": "nuvera-api", "aud": "nuvera-rest-api", "sub": key, "method": "GET", "uri": uri,
        "bodyHash": sha256_hex(b""), "iat": iat, "exp": iat + 55, "jti": Uuid::from_bytes(random::bytes())
    });
    let input = format!("{}.{}", base64url(r#"{"alg":"RS256"}"#), base64url(claims.to_string()));
    let token = sign(pair(0), &RSA_PKCS1_SHA256, &input);
    format!("GET {uri} HTTP/1.1\r\nHost: api.test\r\nx-api-key: {key}\r\nauthorization: Bearer {token}\r\n\r\n").into()
}

/// A browser, as far as this needs one. `None` is a server that is gone.
struct Console {
    address: SocketAddr,
    connection: Connection,
    cookie: String,
}

impl Console {
    async fn sign_in(address: SocketAddr) -> Self {
        let mut console = Self { address, connection: Connection::open(address).await, cookie: String::new() };
        let fields = [("email", "owner@alpine.example"), ("password", server::demo::PASSWORD)];
        let fields = fields.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(console.post("/sign-in", &fields).await.unwrap().0, 303);
        console
    }

    async fn create(&mut self, name: &str) -> (String, String) {
        self.try_create(name).await.unwrap()
    }

    async fn try_create(&mut self, name: &str) -> Option<(String, String)> {
        let form = format!("{LIST}/new");
        let token = hidden(&self.get(&form).await?, "creation_token");
        let fields = [
            ("creation_token", token),
            ("name", name.to_owned()),
            ("public_key", public_key(pair(0)).pem()),
            ("permissions", "CUSTOMERS_READ".to_owned()),
        ];
        let (status, page) = self.post(&form, &fields).await?;
        assert_eq!(status, 200, "{page}");
        let mut words = page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let key = words.find(|word| check_shape(word.as_bytes()).is_ok()).unwrap();
        let at = page.find(&format!("{LIST}/0")).unwrap() + LIST.len() + 1;
        Some((page[at..at + 36].to_owned(), key.to_owned()))
    }

    async fn get(&mut self, path: &str) -> Option<String> {
        Some(self.exchange("GET", path, "").await?.1)
    }

    async fn post(&mut self, path: &str, fields: &[(&str, String)]) -> Option<(u16, String)> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.exchange("POST", path, &body).await
    }

    async fn exchange(&mut self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let (address, cookie) = (self.address, &self.cookie);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nSec-Fetch-Site: same-origin\r\n\
             Cookie: {cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.connection.write(request.as_bytes()).await;
        let reply = self.connection.read().await?;
        // The session's cookie; the one by which a browser is known again is not needed here.
        let set = reply.headers.iter().find(|(name, value)| name == "set-cookie" && value.starts_with("nuvera="));
        if let Some((_, set)) = set {
            self.cookie = set.split(';').next().unwrap().to_owned();
        }
        Some((reply.status, reply.text().to_owned()))
    }
}

/// The value of a hidden field.
fn hidden(page: &str, name: &str) -> String {
    let at = page.find(&format!("name=\"{name}\"")).unwrap_or_else(|| panic!("no field {name}: {page}"));
    let tag = &page[page[..at].rfind('<').unwrap()..];
    let tag = &tag[..tag.find('>').unwrap()];
    tag.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}
