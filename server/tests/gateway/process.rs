//! The whole program as a process: start, sign-in, requests and termination.

use crate::support::{Connection, base64url, pair, public_key, sha256_hex, sign};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use domain::api_key::check_shape;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use server::{clock::Clock, random};
use std::{
    fs::{self, File},
    io::{self, Seek},
    net::SocketAddr,
    os::unix::fs::FileExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, time::sleep};
use uuid::Uuid;

/// The list of an organization's applications.
pub const LIST: &str = "/settings/platform/api-applications";

/// Writes the only file in the site folder that the program needs.
pub fn write_assets(site: &Path) {
    fs::write(site.join("assets.json"), r#"{"app":"a","style":"s","keygenWorker":"k","keydoctorWorker":"d"}"#).unwrap();
}

/// A server process; killed when it is dropped.
pub struct Server {
    pub child: Child,
    pub console: SocketAddr,
    pub gateway: SocketAddr,
    log: File,
}

impl Server {
    pub async fn start(site: &Path, data: &Path) -> Self {
        Self::start_with(site, data, &[]).await
    }

    /// Starts a server with additional arguments.
    pub async fn start_with(site: &Path, data: &Path, more: &[&str]) -> Self {
        Self::start_limited(site, data, None, more).await
    }

    /// Starts a server with this limit on open files. Another process may take a free address before the server binds
    /// it, so this is retried with other addresses.
    pub async fn start_limited(site: &Path, data: &Path, files: Option<u32>, more: &[&str]) -> Self {
        for _ in 0..5 {
            let program = match files {
                None => Command::new(env!("CARGO_BIN_EXE_server")),
                Some(files) => {
                    let mut shell = Command::new("sh");
                    shell.args(["-c", r#"ulimit -n "$1" && shift && exec "$@""#, "sh", &files.to_string()]);
                    shell.arg(env!("CARGO_BIN_EXE_server"));
                    shell
                }
            };
            if let Some(server) = Self::try_start(program, site, data, more).await {
                return server;
            }
        }
        panic!("the server does not start");
    }

    /// Returns `None` if the server exited at once.
    async fn try_start(mut command: Command, site: &Path, data: &Path, more: &[&str]) -> Option<Self> {
        let (console, gateway) = (free_address().await, free_address().await);
        command.arg("serve").arg("--demo").args(["--leeway", "1"]).arg("--data").arg(data).arg("--site").arg(site);
        command.args(["--console-address", &console.to_string(), "--gateway-address", &gateway.to_string()]);
        command.args(more);
        let log = tempfile::tempfile().unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.try_clone().unwrap());
        let child = command.spawn().unwrap();
        let mut server = Self { child, console, gateway, log: log.try_clone().unwrap() };
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

    /// Runs `serve` with these arguments until it has refused to start. Returns its error output.
    pub async fn refused(site: &Path, data: &Path, more: &[&str]) -> String {
        let (console, gateway) = (free_address().await, free_address().await);
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command.arg("serve").arg("--data").arg(data).arg("--site").arg(site).args(more);
        command.args(["--console-address", &console.to_string(), "--gateway-address", &gateway.to_string()]);
        let log = tempfile::tempfile().unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.try_clone().unwrap());
        let mut server = Self { child: command.spawn().unwrap(), console, gateway, log: log.try_clone().unwrap() };
        for _ in 0..1200 {
            if let Some(status) = server.child.try_wait().unwrap() {
                let said = read_to_string(log);
                assert_eq!(status.code(), Some(1), "{said}");
                return said;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the server starts: {}", read_to_string(log));
    }

    /// What it has logged, once `found` is among it.
    pub async fn log_with(&self, found: &str) -> String {
        for _ in 0..1200 {
            // The position is the process's as well, so it is left where it is.
            let mut text = vec![0; self.log.metadata().unwrap().len().try_into().unwrap()];
            self.log.read_exact_at(&mut text, 0).unwrap();
            let text = String::from_utf8(text).unwrap();
            if text.contains(found) {
                return text;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("{found} is not logged");
    }

    /// Stops the process cleanly (SIGTERM).
    pub async fn stop(mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        for _ in 0..1200 {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the server does not stop");
    }

    /// Kills the process (SIGKILL) and returns when.
    pub fn kill(mut self) -> Instant {
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
        // Fails if the process has exited already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A signed request to the built-in signature test, accepted once.
pub fn signed_request(key: &str) -> Vec<u8> {
    let (uri, iat) = ("/api/v1/signature-test", Clock::system().now().as_seconds());
    let claims = json!({
        "iss": "nuvera-api", "aud": "nuvera-rest-api", "sub": key, "method": "GET", "uri": uri,
        "bodyHash": sha256_hex(b""), "iat": iat, "exp": iat + 55, "jti": Uuid::from_bytes(random::bytes())
    });
    let input = format!("{}.{}", base64url(r#"{"alg":"RS256"}"#), base64url(claims.to_string()));
    let token = sign(pair(0), &RSA_PKCS1_SHA256, &input);
    format!("GET {uri} HTTP/1.1\r\nHost: api.test\r\nx-api-key: {key}\r\nauthorization: Bearer {token}\r\n\r\n").into()
}

/// A signed-in browser session. Its methods return `None` when the server is gone.
pub struct Console {
    address: SocketAddr,
    connection: Connection,
    pub cookie: String,
}

impl Console {
    pub async fn sign_in(address: SocketAddr) -> Self {
        Self::sign_in_as(address, "owner@alpine.example").await
    }

    pub async fn sign_in_as(address: SocketAddr, email: &str) -> Self {
        let mut console = Self { address, connection: Connection::open(address).await, cookie: String::new() };
        let fields = [("email", email), ("password", server::demo::PASSWORD)];
        let fields = fields.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(console.post("/sign-in", &fields).await.unwrap().0, 303);
        console
    }

    /// Another browser with the same cookie.
    pub async fn again(&self) -> Self {
        let (address, cookie) = (self.address, self.cookie.clone());
        Self { address, connection: Connection::open(address).await, cookie }
    }

    /// A browser with the same cookie at another server of the same database. Returns `None` if the server is gone.
    pub async fn at(&self, server: &Server) -> Option<Self> {
        let stream = tokio::net::TcpStream::connect(server.console).await.ok()?;
        Some(Self { address: server.console, connection: Connection::over(stream), cookie: self.cookie.clone() })
    }

    pub async fn create(&mut self, name: &str) -> (String, String) {
        self.try_create(name).await.unwrap()
    }

    pub async fn try_create(&mut self, name: &str) -> Option<(String, String)> {
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

    pub async fn get(&mut self, path: &str) -> Option<String> {
        Some(self.exchange("GET", path, "").await?.1)
    }

    pub async fn get_with_status(&mut self, path: &str) -> Option<(u16, String)> {
        self.exchange("GET", path, "").await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, String)]) -> Option<(u16, String)> {
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
        // The session cookie only; the known-browser cookie is not needed here.
        let set = reply.headers.iter().find(|(name, value)| name == "set-cookie" && value.starts_with("nuvera="));
        if let Some((_, set)) = set {
            self.cookie = set.split(';').next().unwrap().to_owned();
        }
        Some((reply.status, reply.text().to_owned()))
    }
}

/// Returns the value of a hidden field.
pub fn hidden(page: &str, name: &str) -> String {
    let at = page.find(&format!("name=\"{name}\"")).unwrap_or_else(|| panic!("no field {name}: {page}"));
    let tag = &page[page[..at].rfind('<').unwrap()..];
    let tag = &tag[..tag.find('>').unwrap()];
    tag.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}
