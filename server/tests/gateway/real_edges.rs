//! The configurations in `docs/edge` in a real nginx, Envoy, Caddy and HAProxy, in front of a service that notes what it gets.

use crate::{
    certificates::Authority,
    support::{Call, Connection, Reply, Setup, World, one_proxy, sha256_hex, upstream},
};
use domain::request::{MISLEADING_HEADERS, MISLEADING_PREFIXES};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

const NGINX: &str = include_str!("../../../docs/edge/nginx.conf");
const NGINX_HEADERS: &str = include_str!("../../../docs/edge/nginx-headers.conf");
const ENVOY: &str = include_str!("../../../docs/edge/envoy.yaml");

const CADDY: &str = include_str!("../../../docs/edge/Caddyfile");
const HAPROXY: &str = include_str!("../../../docs/edge/haproxy.cfg");
const HAPROXY_ACTION: &str = include_str!("../../../docs/edge/nuvera.lua");

/// The value of every header that must not arrive.
const EVIL: &str = "evil.test";

/// An edge in front of a service, and the gateway that the edge asks.
struct Edge {
    world: World,
    /// Where the edge is the proxy, and asks the gateway.
    address: SocketAddr,
    /// Where the gateway is the proxy, behind the edge.
    in_front: SocketAddr,
    /// How its certificate is verified.
    tls: TlsConnector,
    arrived: UnboundedReceiver<Vec<String>>,
    process: Child,
    folder: TempDir,
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Edge {
    async fn nginx(keeps: impl Fn(&str) -> bool) -> Self {
        Self::start(NGINX, keeps, |folder, configuration| {
            fs::write(folder.join("nginx-headers.conf"), NGINX_HEADERS).unwrap();
            let folder = folder.to_str().unwrap();
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {folder}/{kind};"))
                .concat();
            // One process: nothing is left behind when it is killed.
            let main = format!(
                "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n\
                 events {{}} http {{ access_log off; {temporary}\n{configuration}\n}}"
            );
            let file = format!("{folder}/nginx.conf");
            fs::write(&file, main).unwrap();
            let mut command = Command::new("nginx");
            command.args(["-p", folder, "-e", &format!("{folder}/error.log"), "-c", &file]);
            command
        })
        .await
    }

    async fn envoy(keeps: impl Fn(&str) -> bool) -> Self {
        Self::start(ENVOY, keeps, |folder, configuration| {
            let file = folder.join("envoy.yaml");
            fs::write(&file, configuration).unwrap();
            let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../end2end/.venv/bin/envoy"));
            command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "--config-path"]);
            command.arg(file);
            command
        })
        .await
    }

    async fn caddy() -> Self {
        Self::start(
            CADDY,
            |_| true,
            |folder, configuration| {
                let file = folder.join("Caddyfile");
                fs::write(&file, configuration).unwrap();
                let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../end2end/.venv/bin/caddy"));
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
                command.env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
                command
            },
        )
        .await
    }

    async fn haproxy() -> Self {
        Self::start(
            HAPROXY,
            |_| true,
            |folder, configuration| {
                let file = folder.join("haproxy.cfg");
                fs::write(&file, configuration).unwrap();
                let mut command = Command::new("haproxy");
                command.current_dir(folder).args(["-db", "-f"]).arg(file);
                command
            },
        )
        .await
    }

    /// Starts an edge with those lines of its configuration that `keeps` says, and with a certificate.
    async fn start(
        configuration: &str,
        keeps: impl Fn(&str) -> bool,
        command: impl Fn(&Path, &str) -> Command,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let both = authority.issue_in_one("api", "DNS:localhost");
        let (certificate, key) = (both.with_extension("crt"), both.with_extension("key"));
        let files = [("api.crt", certificate), ("api.key", key), ("api.pem", both)];
        let judge = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let judge_address = judge.local_addr().unwrap().to_string();
        let service_address = service.local_addr().unwrap().to_string();
        let world = Setup::with(|setup| {
            setup.settings.upstream = Some(upstream(&format!("http://{service_address}")));
            setup.settings.proxies = one_proxy();
            setup.settings.max_body_bytes = 8 * 1024 * 1024;
        });
        let world = world.start().await;
        tokio::spawn(world.gateway.clone().serve_forward_auth(judge, CancellationToken::new()));
        let (sender, arrived) = unbounded_channel();
        tokio::spawn(serve(service, sender));

        let (address, in_front) = (free_address().await, free_address().await);
        let kept: String = configuration.lines().filter(|line| keeps(line)).map(|line| format!("{line}\n")).collect();
        let kept = files.iter().fold(kept, |text, (name, file)| {
            let of = |text: String, edge| text.replace(&format!("/etc/{edge}/{name}"), file.to_str().unwrap());
            ["caddy", "envoy", "haproxy", "nginx"].into_iter().fold(text, of)
        });
        let configuration = with_address(&kept, 8443, &address.to_string());
        let configuration = with_address(&configuration, 8444, &in_front.to_string());
        let configuration = with_address(&configuration, 24500, &world.address.to_string());
        let configuration = with_address(&configuration, 24501, &judge_address);
        fs::write(folder.path().join("nuvera.lua"), with_address(HAPROXY_ACTION, 24501, &judge_address)).unwrap();
        let configuration = with_address(&configuration, 8080, &service_address);
        let mut command = command(folder.path(), &configuration);
        let log = fs::File::create(folder.path().join("output")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/setup test"));
        let tls = TlsConnector::from(Arc::new(authority.trusted().for_client(None).unwrap()));
        let mut edge = Self { world, address, in_front, tls, arrived, process, folder };
        edge.wait().await;
        edge
    }

    async fn wait(&mut self) {
        let begun = Instant::now();
        for address in [self.address, self.in_front] {
            while TcpStream::connect(address).await.is_err() {
                let ended = self.process.try_wait().unwrap();
                let output = || fs::read_to_string(self.folder.path().join("output")).unwrap();
                assert!(ended.is_none() && begun.elapsed() < Duration::from_secs(30), "{ended:?}\n{}", output());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Sends a request, and returns the answer and the head of the request that the service got, in lower case.
    async fn send(&mut self, call: Call) -> (Reply, Option<Vec<String>>) {
        self.send_bytes(self.address, &call.bytes()).await
    }

    async fn send_bytes(&mut self, address: SocketAddr, bytes: &[u8]) -> (Reply, Option<Vec<String>>) {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = "localhost".try_into().unwrap();
        let mut connection = Connection::over(self.tls.connect(name, stream).await.unwrap());
        connection.write(bytes).await;
        let reply = connection.read().await.expect("an answer");
        (reply, self.arrived.try_recv().ok())
    }

    async fn send_with(&mut self, name: &str) -> (Reply, Option<Vec<String>>) {
        let call = self.world.get().add(name, EVIL);
        self.send(call).await
    }
}

/// Answers every request, after it has passed its head on.
async fn serve(listener: TcpListener, arrived: UnboundedSender<Vec<String>>) {
    loop {
        let mut stream = BufReader::new(listener.accept().await.unwrap().0);
        let arrived = arrived.clone();
        tokio::spawn(async move {
            let mut head = Vec::new();
            let mut line = String::new();
            while stream.read_line(&mut line).await.is_ok_and(|read| read > 2) {
                head.push(line.trim_end().to_ascii_lowercase());
                line.clear();
            }
            if head.is_empty() {
                return;
            }
            let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            head.push(format!("body-sha256: {}", sha256_hex(&body)));
            let _ = arrived.send(head);
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
        });
    }
}

/// An address that is free. It is this process's own, so that no other connection takes the port meanwhile.
async fn free_address() -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    TcpListener::bind((std::net::Ipv4Addr::new(127, 1, high, low.max(1)), 0)).await.unwrap().local_addr().unwrap()
}

/// Replaces an address of a configuration, as nginx and HAProxy, Envoy, or Caddy write it.
fn with_address(configuration: &str, port: u16, address: &str) -> String {
    let (host, other_port) = address.split_once(':').unwrap();
    configuration
        .replace(&format!("127.0.0.1:{port}"), address)
        .replace(
            &format!("address: 127.0.0.1, port_value: {port}"),
            &format!("address: {host}, port_value: {other_port}"),
        )
        .replace(&format!("\n:{port} {{\n\tbind 127.0.0.1\n"), &format!("\n:{other_port} {{\n\tbind {host}\n"))
}

fn code(reply: &Reply) -> String {
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply:?}");
    reply.json()["code"].as_str().unwrap().to_owned()
}

fn assert_clean(name: &str, reply: &Reply, head: Option<&Vec<String>>, world: &World) {
    assert_eq!(reply.status, 200, "{name}: {reply:?}");
    let head = head.unwrap_or_else(|| panic!("{name}: the service got nothing"));
    // nginx speaks HTTP/1.0 to the service.
    assert!(head[0].starts_with("get /api/v1/customers?limit=20 http/1."), "{head:?}");
    assert!(!head.iter().any(|line| line.contains(EVIL)), "{name}: {head:?}");
    assert!(head.contains(&format!("x-nuvera-application-id: {}", world.application.id)), "{head:?}");
    let addresses: Vec<_> = head.iter().filter(|line| line.starts_with("x-forwarded-for: ")).collect();
    assert_eq!(addresses, ["x-forwarded-for: 127.0.0.1"], "{head:?}");
    for credential in ["x-api-key", "authorization", "nvk_", "eyj"] {
        assert!(!head.iter().any(|line| line.starts_with(credential)), "{credential} in {head:?}");
    }
}

/// All misleading headers in one request, and one that is not misleading.
fn with_all(world: &World) -> Call {
    MISLEADING_HEADERS.iter().fold(world.get().add("X-Custom", "kept"), |call, name| call.add(name, EVIL))
}

#[tokio::test]
async fn no_misleading_header_reaches_the_service_through_nginx() {
    let mut edge = Edge::nginx(|_| true).await;
    let (reply, head) = edge.send(with_all(&edge.world)).await;
    assert_clean("all", &reply, head.as_ref(), &edge.world);
    assert!(head.unwrap().contains(&"x-custom: kept".to_owned()));
    // What nginx writes itself into the question, what it ignores by default, and members of families.
    for name in [
        "X-Original-URI",
        "X-Original-Method",
        "X-Original-Address",
        "X-Original-Body-SHA256",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X_Http_Method",
        "x.http.method",
        "X_Api_Key",
        "X_Nuvera_Key_Id",
    ] {
        let (reply, head) = edge.send_with(name).await;
        assert_clean(name, &reply, head.as_ref(), &edge.world);
    }
    for prefix in MISLEADING_PREFIXES {
        let (reply, head) = edge.send_with(&format!("{prefix}anything")).await;
        assert_eq!((code(&reply), reply.status, head), ("misleading_header".to_owned(), 401, None), "{prefix}");
        assert!(reply.json()["detail"].as_str().unwrap().contains(&format!("`{prefix}…`")), "{prefix}");
    }
    let (reply, head) = edge.send_with("X-Nuvera-Key-Id").await;
    assert_eq!((code(&reply), head), ("reserved_header".to_owned(), None));
}

#[tokio::test]
async fn no_misleading_header_reaches_the_service_through_envoy() {
    let mut edge = Edge::envoy(|_| true).await;
    let (reply, head) = edge.send(with_all(&edge.world)).await;
    assert_clean("all", &reply, head.as_ref(), &edge.world);
    assert!(head.unwrap().contains(&"x-custom: kept".to_owned()));
    let families = MISLEADING_PREFIXES.iter().map(|prefix| format!("{prefix}anything"));
    for name in families.chain(["X-Forwarded-For".to_owned(), "x.http.method".to_owned(), "x.nuvera.key.id".to_owned()])
    {
        let (reply, head) = edge.send_with(&name).await;
        assert_clean(&name, &reply, head.as_ref(), &edge.world);
    }
    for name in ["X_Http_Method", "X_Api_Key", "X_Nuvera_Key_Id"] {
        let (reply, head) = edge.send_with(name).await;
        assert_eq!((reply.status, head), (400, None), "{name}");
    }
    let (reply, head) = edge.send_with("X-Nuvera-Key-Id").await;
    assert_eq!((code(&reply), head), ("reserved_header".to_owned(), None));
    // Envoy shows the body: it is verified.
    let (reply, head) = edge.send(edge.world.post()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(head.unwrap().contains(&"x-nuvera-body-verified: true".to_owned()));
    let mut changed = edge.world.post();
    changed.body = b"{}".to_vec();
    let (reply, head) = edge.send(changed).await;
    assert_eq!((code(&reply), head), ("body_hash_mismatch".to_owned(), None));
}

#[tokio::test]
async fn no_misleading_header_reaches_the_service_through_caddy() {
    let mut edge = Edge::caddy().await;
    let (reply, head) = edge.send(with_all(&edge.world)).await;
    assert_clean("all", &reply, head.as_ref(), &edge.world);
    assert!(head.unwrap().contains(&"x-custom: kept".to_owned()));
    let families = MISLEADING_PREFIXES.iter().map(|prefix| format!("{prefix}anything"));
    for name in families.chain(["X-Forwarded-For".to_owned(), "X-Forwarded-Method".to_owned()]) {
        let (reply, head) = edge.send_with(&name).await;
        assert_clean(&name, &reply, head.as_ref(), &edge.world);
    }
    // Caddy itself drops names with other characters than letters, digits and hyphens.
    for name in ["X_Http_Method", "x.http.method", "X_Api_Key", "X_Nuvera_Key_Id"] {
        let (reply, head) = edge.send_with(name).await;
        assert_clean(name, &reply, head.as_ref(), &edge.world);
    }
    let (reply, head) = edge.send_with("X-Nuvera-Key-Id").await;
    assert_eq!((code(&reply), head), ("reserved_header".to_owned(), None));
}

#[tokio::test]
async fn no_misleading_header_reaches_the_service_through_haproxy() {
    let mut edge = Edge::haproxy().await;
    let (reply, head) = edge.send(with_all(&edge.world)).await;
    assert_clean("all", &reply, head.as_ref(), &edge.world);
    assert!(head.unwrap().contains(&"x-custom: kept".to_owned()));
    let families = MISLEADING_PREFIXES.iter().map(|prefix| format!("{prefix}anything"));
    let own = [
        "X-Original-URI",
        "X-Original-Method",
        "X-Original-Body-SHA256",
        "X_Http_Method",
        "x.http.method",
        "X_Api_Key",
    ];
    for name in families.chain(own.map(str::to_owned)).chain(["X_Nuvera_Key_Id".to_owned()]) {
        let (reply, head) = edge.send_with(&name).await;
        assert_clean(&name, &reply, head.as_ref(), &edge.world);
    }
    let (reply, head) = edge.send_with("X-Nuvera-Key-Id").await;
    assert_eq!((code(&reply), head), ("reserved_header".to_owned(), None));
}

/// Which bodies an edge has verified.
#[derive(Clone, Copy, PartialEq)]
enum Verified {
    All,
    Small,
    None,
}

/// Sends what partners send by way of `address`, and what they should not.
async fn exercise(address: SocketAddr, verified: Verified, edge: &mut Edge) {
    let large = vec![b'x'; 3 * 1024 * 1024];
    let is_verified = |body: &[u8]| match verified {
        Verified::All => true,
        Verified::Small => body.len() < 60_000,
        Verified::None => false,
    };
    let odd = "/api/v1/customers/M%C3%BCller%2C%20~a+b%7e?x=%2f%2F&y=a+b%20c&z=";
    for (method, uri, body) in [
        ("GET", "/api/v1/customers?limit=20", &b""[..]),
        ("GET", "/api/v1/customers?", b""),
        ("POST", "/api/v1/customers", b"{\"name\":\"Ada\"}"),
        ("POST", "/api/v1/customers", &large),
        ("PATCH", odd, b"{}"),
    ] {
        let bytes = edge.world.call(method, uri, body).bytes();
        let (reply, head) = edge.send_bytes(address, &bytes).await;
        assert_eq!((reply.status, reply.text()), (200, "{}"), "{method} {uri}: {reply:?}");
        let head = head.unwrap_or_else(|| panic!("{method} {uri}: the service got nothing"));
        let line = format!("{method} {uri} http/1.").to_ascii_lowercase();
        assert!(head[0].starts_with(&line), "{head:?}");
        assert!(head.contains(&format!("body-sha256: {}", sha256_hex(body))), "{head:?}");
        assert!(head.contains(&format!("x-nuvera-application-id: {}", edge.world.application.id)), "{head:?}");
        assert!(head.contains(&"x-forwarded-for: 127.0.0.1".to_owned()), "{head:?}");
        assert!(!head.iter().any(|line| line.contains("nvk_") || line.starts_with("authorization")), "{head:?}");
        if address == edge.address {
            assert!(
                head.contains(&format!("x-nuvera-body-verified: {}", is_verified(body))),
                "{method} {uri}: {head:?}"
            );
            assert!(head.contains(&format!("x-nuvera-body-hash: {}", sha256_hex(body))), "{head:?}");
        } else {
            assert!(head.contains(&"x-forwarded-proto: https".to_owned()), "{head:?}");
            assert!(head.contains(&"x-forwarded-host: api.test".to_owned()), "{head:?}");
        }
        // A second time it is a replay.
        let (reply, head) = edge.send_bytes(address, &bytes).await;
        assert_eq!((code(&reply), reply.status, head), ("replay_detected".to_owned(), 401, None), "{method} {uri}");
    }
    for body in [&b"{\"name\":\"Ada\"}"[..], &large] {
        let mut call = edge.world.call("POST", "/api/v1/customers", body);
        let last = call.body.len() - 1;
        call.body[last] ^= 1;
        let (reply, head) = edge.send_bytes(address, &call.bytes()).await;
        if is_verified(body) {
            assert_eq!((code(&reply), reply.status, head), ("body_hash_mismatch".to_owned(), 401, None));
        } else {
            // The service is told, and can tell.
            let head = head.unwrap();
            assert!(head.contains(&"x-nuvera-body-verified: false".to_owned()), "{head:?}");
            assert!(head.contains(&format!("x-nuvera-body-hash: {}", sha256_hex(body))), "{head:?}");
            assert!(!head.contains(&format!("body-sha256: {}", sha256_hex(body))), "{head:?}");
        }
    }
    for (method, uri, refusal, status) in [
        ("GET", "/api/v1/customers/a%2Fb", "malformed_request", 400),
        ("GET", "/api/v1/nothing", "unknown_route", 404),
        ("DELETE", "/api/v1/customers", "method_not_allowed", 405),
        ("GET", "/api/v1/payment/quote/1", "permission_missing", 403),
    ] {
        let bytes = edge.world.call(method, uri, b"").bytes();
        let (reply, head) = edge.send_bytes(address, &bytes).await;
        // nginx knows of two.
        let statuses = [status, if status == 403 { 403 } else { 401 }];
        assert!(statuses.contains(&reply.status) && code(&reply) == refusal && head.is_none(), "{uri}: {reply:?}");
    }
}

#[tokio::test]
async fn partners_reach_the_service_through_nginx() {
    let mut edge = Edge::nginx(|_| true).await;
    exercise(edge.address, Verified::None, &mut edge).await;
    exercise(edge.in_front, Verified::All, &mut edge).await;
}

#[tokio::test]
async fn partners_reach_the_service_through_envoy() {
    let mut edge = Edge::envoy(|_| true).await;
    exercise(edge.address, Verified::All, &mut edge).await;
    exercise(edge.in_front, Verified::All, &mut edge).await;
}

#[tokio::test]
async fn partners_reach_the_service_through_caddy() {
    let mut edge = Edge::caddy().await;
    exercise(edge.address, Verified::None, &mut edge).await;
    exercise(edge.in_front, Verified::All, &mut edge).await;
}

#[tokio::test]
async fn partners_reach_the_service_through_haproxy() {
    let mut edge = Edge::haproxy().await;
    exercise(edge.address, Verified::Small, &mut edge).await;
    exercise(edge.in_front, Verified::All, &mut edge).await;
}

/// The control: without its lines, nginx passes on what it writes into the question itself. All else the gateway refuses.
#[tokio::test]
async fn without_its_lines_nginx_passes_on_what_only_they_take_away() {
    let mut edge = Edge::nginx(|line| !line.contains("nginx-headers.conf") && !line.contains("-URI \"\"")).await;
    for name in MISLEADING_HEADERS {
        let (reply, head) = edge.send_with(name).await;
        assert_eq!((code(&reply), reply.status, head), ("misleading_header".to_owned(), 401, None), "{name}");
        assert!(reply.json()["detail"].as_str().unwrap().contains(&format!("`{name}`")), "{name}");
    }
    let (reply, head) = edge.send_with("X-Original-URI").await;
    assert_eq!(reply.status, 200);
    assert!(head.unwrap().contains(&format!("x-original-uri: {EVIL}")));
}

/// The control: without its lines, Envoy passes on what the gateway's answer does not name.
#[tokio::test]
async fn without_its_lines_envoy_passes_on_what_only_they_take_away() {
    let mut edge = Edge::envoy(|line| !line.contains("- remove")).await;
    let (reply, head) = edge.send(with_all(&edge.world)).await;
    assert_clean("all, by the gateway's answer", &reply, head.as_ref(), &edge.world);
    for name in ["x-original-anything", "x.http.method"] {
        let (reply, head) = edge.send_with(name).await;
        assert_eq!(reply.status, 200);
        assert!(head.unwrap().contains(&format!("{name}: {EVIL}")), "{name}");
    }
}

#[test]
fn each_configuration_takes_away_every_misleading_header() {
    const TRAEFIK: &str = include_str!("../../../docs/edge/traefik.yaml");
    for name in MISLEADING_HEADERS {
        let has = |text: &str, line: String| text.lines().any(|found| found.trim() == line);
        assert!(has(NGINX_HEADERS, format!("proxy_set_header {name} \"\";")), "{name} in nginx-headers.conf");
        assert!(has(ENVOY, format!("- remove: {name}")), "{name} in envoy.yaml");
        assert!(has(CADDY, format!("request_header -{name}")), "{name} in Caddyfile");
        assert!(has(HAPROXY, format!("http-request del-header {name}")), "{name} in haproxy.cfg");
        // Traefik replaces this one.
        assert!(*name == "x-real-ip" || has(TRAEFIK, format!("{name}: \"\"")), "{name} in traefik.yaml");
    }
    for prefix in MISLEADING_PREFIXES {
        assert!(ENVOY.contains(&format!("{{ prefix: {prefix} }}")), "{prefix} in envoy.yaml");
        assert!(CADDY.contains(&format!("request_header -{prefix}*\n")), "{prefix} in Caddyfile");
        assert!(HAPROXY.contains(&format!("del-header {prefix} -m beg\n")), "{prefix} in haproxy.cfg");
    }
}
