//! What an edge that asks is told: nginx, Traefik and Envoy, each in its way.

use crate::support::{Call, Connection, EMPTY_BODY_HASH, Reply, World, sha256_hex};
use domain::request::MISLEADING_HEADERS;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A gateway with a second door, for edges.
struct Edges {
    world: World,
    address: std::net::SocketAddr,
}

impl Edges {
    async fn start() -> Self {
        let world = World::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(world.gateway.clone().serve_forward_auth(listener, CancellationToken::new()));
        Self { world, address }
    }

    async fn send(&self, bytes: &[u8]) -> Reply {
        let mut connection = Connection::open(self.address).await;
        connection.write(bytes).await;
        connection.read().await.expect("an answer")
    }

    /// Asks about `call` by way of `door`, with `headers` of the edge's and `body` where it shows one.
    async fn ask(&self, call: Call, door: &str, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let token = call.token();
        let mut question = Call { method: method.to_owned(), uri: door.to_owned(), body: body.to_vec(), ..call };
        for (name, value) in headers {
            question = question.add(name, value);
        }
        self.send(&question.bytes_with(&token)).await
    }

    async fn nginx(&self, call: Call, hash: &str) -> Reply {
        let (method, uri) = (call.method.clone(), call.uri.clone());
        let headers = [
            ("X-Original-Method", &*method),
            ("X-Original-URI", &*uri),
            ("X-Original-Address", "198.51.100.4"),
            ("X-Original-Body-SHA256", hash),
        ];
        self.ask(call, "/nginx", "GET", &headers, b"").await
    }
}

fn assert_allowed(reply: &Reply, world: &World, is_body_verified: &str) {
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("x-nuvera-application-id"), Some(&*world.application.id.to_string()));
    assert_eq!(reply.header("x-nuvera-organization-id"), Some(&*world.application.organization_id.to_string()));
    assert_eq!(reply.header("x-nuvera-key-id"), Some(&*world.application.api_keys[0].id.to_string()));
    assert_eq!(reply.header("x-nuvera-body-verified"), Some(is_body_verified));
    assert!(reply.header("x-request-id").is_some() && reply.body.is_empty());
}

#[tokio::test]
async fn nginx_is_told_that_nobody_has_seen_the_body_and_which_hash_it_must_have() {
    let edges = Edges::start().await;
    let call = edges.world.post();
    let hash = sha256_hex(&call.body);
    let reply = edges.nginx(call, "").await;
    assert_allowed(&reply, &edges.world, "false");
    assert_eq!(reply.header("x-nuvera-body-hash"), Some(&*hash));
    // Where it can hash the body, that is checked.
    assert_allowed(&edges.nginx(edges.world.post(), &hash).await, &edges.world, "true");
    let other = edges.nginx(edges.world.post(), EMPTY_BODY_HASH).await;
    assert_eq!((other.status, other.header("x-nuvera-status")), (401, Some("401")));
    assert!(other.header("x-nuvera-problem").unwrap().contains("\"code\":\"body_hash_mismatch\""));
    assert_eq!(edges.world.gateway.usage().drain().api_keys[0].address.to_string(), "198.51.100.4");
}

#[tokio::test]
async fn nginx_gets_a_status_that_it_understands_and_the_problem_in_a_header() {
    let mut edges = Edges::start().await;
    let call = edges.world.post().claim("uri", "/api/v1/other");
    let reply = edges.nginx(call, "").await;
    assert_eq!(reply.status, 401);
    let problem = reply.header("x-nuvera-problem").unwrap();
    assert!(problem.is_ascii(), "{problem}");
    let problem: serde_json::Value = serde_json::from_str(problem).unwrap();
    assert_eq!((&problem["code"], &problem["received"]), (&"uri_mismatch".into(), &"/api/v1/other".into()));
    assert_eq!(problem["requestId"].as_str(), reply.header("x-request-id"));
    let missing = edges.nginx(edges.world.call("GET", "/api/v1/payment/quote/1", b""), "").await;
    assert_eq!((missing.status, missing.header("x-nuvera-status")), (403, Some("403")));
    let unknown = edges.nginx(edges.world.call("GET", "/api/v1/nothing", b""), "").await;
    assert_eq!((unknown.status, unknown.header("x-nuvera-status")), (401, Some("404")));
    let other = edges.nginx(edges.world.call("DELETE", "/api/v1/customers", b""), "").await;
    assert_eq!((other.status, other.header("x-nuvera-status")), (401, Some("405")));
    assert_eq!(other.header("allow"), Some("GET, HEAD, POST"));
    assert_allowed(&edges.nginx(edges.world.call("HEAD", "/api/v1/customers", b""), "").await, &edges.world, "false");
    edges.world.change(|application, by| application.disable(by));
    let disabled = edges.nginx(edges.world.post(), "").await;
    assert_eq!(disabled.status, 403);
    assert!(disabled.header("x-nuvera-problem").unwrap().contains("application_disabled"));
}

/// A client may send bytes that no URI has: theirs to mend, and no fault of the edge.
#[tokio::test]
async fn a_target_beyond_ascii_is_judged_as_the_requests() {
    let edges = Edges::start().await;
    let uri = "/api/v1/customers?name=J\u{fc}rgen";
    assert_allowed(&edges.nginx(edges.world.call("GET", uri, b""), "").await, &edges.world, "false");
    edges.world.send(edges.world.call("GET", uri, b"")).await.verified();
    let forwarded = [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", uri)];
    let traefik = edges.ask(edges.world.call("GET", uri, b""), "/traefik", "GET", &forwarded, b"").await;
    assert_allowed(&traefik, &edges.world, "false");
    let envoy = edges.ask(edges.world.call("GET", uri, b""), &format!("/envoy{uri}"), "GET", &[], b"").await;
    assert_allowed(&envoy, &edges.world, "false");
    let code = |reply: &Reply| {
        let problem: serde_json::Value = serde_json::from_str(reply.header("x-nuvera-problem").unwrap()).unwrap();
        problem["code"].as_str().unwrap().to_owned()
    };
    // In the path it could be read in two ways, and what is not UTF-8 is no text.
    let path = edges.nginx(edges.world.call("GET", "/api/v1/J\u{fc}rgen", b""), "").await;
    assert_eq!((path.status, code(&path)), (401, "malformed_request".to_owned()));
    for door in ["nginx", "traefik"] {
        let header = if door == "nginx" { "X-Original" } else { "X-Forwarded" };
        let call = edges.world.call("GET", "/api/v1/customers?name=J-rgen", b"");
        let token = call.token();
        let question = Call { uri: format!("/{door}"), ..call }
            .add(&format!("{header}-Method"), "GET")
            .add(&format!("{header}-URI"), "/api/v1/customers?name=J-rgen");
        let mut bytes = question.bytes_with(&token);
        let at = bytes.windows(6).position(|window| window == b"J-rgen").unwrap();
        bytes[at + 1] = 0xFC;
        let reply = edges.send(&bytes).await;
        let (status, code) = if door == "nginx" { (401, code(&reply)) } else { (400, reply.refusal().0) };
        assert_eq!((reply.status, &*code), (status, "malformed_request"), "{door}");
    }
}

#[tokio::test]
async fn an_edge_names_its_client_in_any_notation() {
    let edges = Edges::start().await;
    for (written, read) in [
        ("203.0.113.7:51234", "203.0.113.7"),
        ("[2001:db8::7]:51234", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("unknown", "127.0.0.1"),
    ] {
        let last = || edges.world.gateway.usage().drain().api_keys[0].address.to_string();
        let nginx = [
            ("X-Original-Method", "GET"),
            ("X-Original-URI", "/api/v1/customers?limit=20"),
            ("X-Original-Address", written),
        ];
        assert_eq!(edges.ask(edges.world.get(), "/nginx", "GET", &nginx, b"").await.status, 200);
        assert_eq!(last(), read, "{written}");
        let envoy = [("X-Forwarded-For", written)];
        assert_eq!(
            edges.ask(edges.world.get(), "/envoy/api/v1/customers?limit=20", "GET", &envoy, b"").await.status,
            200
        );
        assert_eq!(last(), read, "{written}");
    }
}

/// `proxy_buffer_size` in `docs/edge/nginx.conf` is made for this.
#[tokio::test]
async fn the_longest_answer_to_nginx_fits_into_the_buffer_that_its_configuration_has() {
    let conf = include_str!("../../../docs/edge/nginx.conf");
    assert!(conf.contains("proxy_buffer_size 8k;"));
    let edges = Edges::start().await;
    // Each of these characters takes twelve in ASCII.
    let clefs = "\u{1d11e}".repeat(300);
    let call = Call { uri: format!("/?{clefs}"), ..edges.world.post() }.claim("uri", clefs);
    let reply = edges.nginx(call, "").await;
    let problem = reply.header("x-nuvera-problem").unwrap();
    assert!(problem.contains("uri_mismatch") && problem.len() > 4096, "{problem}");
    let head: usize = reply.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    assert!(head + 64 < 8192, "{head}");
}

#[tokio::test]
async fn traefik_and_envoy_get_the_problem_itself() {
    let edges = Edges::start().await;
    let forwarded = [
        ("X-Forwarded-Method", "POST"),
        ("X-Forwarded-Uri", "/api/v1/customers"),
        ("X-Forwarded-For", "203.0.113.9, 198.51.100.5"),
    ];
    let post = || edges.world.post();
    let body = post().body;
    assert_allowed(&edges.ask(post(), "/traefik", "GET", &forwarded, b"").await, &edges.world, "false");
    assert_allowed(&edges.ask(post(), "/traefik-body", "GET", &forwarded, &body).await, &edges.world, "true");
    assert_eq!(edges.world.gateway.usage().drain().api_keys[0].address.to_string(), "198.51.100.5");
    let changed = edges.ask(post(), "/traefik-body", "GET", &forwarded, b"{}").await;
    assert_eq!(changed.refusal().0, "body_hash_mismatch");

    let envoy = "/envoy/api/v1/customers";
    assert_allowed(&edges.ask(post(), envoy, "POST", &[], b"").await, &edges.world, "false");
    assert_allowed(&edges.ask(post(), "/envoy-body/api/v1/customers", "POST", &[], &body).await, &edges.world, "true");
    let get = edges.ask(edges.world.get(), "/envoy/api/v1/customers?limit=20", "GET", &[], b"").await;
    assert_allowed(&get, &edges.world, "false");
    let reordered = edges.ask(edges.world.get(), "/envoy/api/v1/customers?limit=21", "GET", &[], b"").await;
    assert_eq!(reordered.refusal(), ("uri_mismatch".to_owned(), 401));
    let other_method = edges.ask(edges.world.get(), "/envoy/api/v1/customers?limit=20", "PUT", &[], b"").await;
    assert_eq!(other_method.status, 401);
}

#[tokio::test]
async fn a_token_counts_once_at_all_doors_together() {
    let edges = Edges::start().await;
    let call = edges.world.get();
    let token = call.token();
    let bytes = call.bytes_with(&token);
    let question = Call { uri: format!("/envoy{}", call.uri), ..call };
    assert_allowed(&edges.send(&question.bytes_with(&token)).await, &edges.world, "false");
    assert_eq!(edges.world.send_bytes(&bytes).await.refusal().0, "replay_detected");
}

#[tokio::test]
async fn nobody_passes_who_poses_as_somebody_or_where_the_edge_says_too_little() {
    let edges = Edges::start().await;
    for header in ["x-nuvera-application-id", "X_Nuvera_Body_Verified"] {
        let reply = edges.nginx(edges.world.post().add(header, "1"), "").await;
        assert_eq!((reply.status, reply.header("x-nuvera-status")), (401, Some("400")));
        assert!(reply.header("x-nuvera-problem").unwrap().contains("reserved_header"));
    }
    let climbing = "/api/v1/x/%EF%BC%8E%EF%BC%8E/customers";
    for uri in ["http://api.test/api/v1/customers", "/api/v1/customers#x", "api/v1/customers", climbing] {
        let call = Call { uri: uri.to_owned(), ..edges.world.post() };
        assert!(edges.nginx(call, "").await.header("x-nuvera-problem").unwrap().contains("malformed_request"), "{uri}");
    }
    let half = [("X-Original-Method", "POST")];
    for (door, headers) in [
        ("/nginx", &half[..]),
        ("/nginx", &[("X-Original-URI", "/a"), ("X-Original-URI", "/b"), ("X-Original-Method", "GET")]),
        ("/traefik", &half[..]),
        ("/elsewhere", &[]),
        ("/", &[]),
    ] {
        let reply = edges.ask(edges.world.post(), door, "GET", headers, b"").await;
        assert_eq!(reply.status, 500, "{door}");
        assert!(reply.text().starts_with("forward-auth: "), "{}", reply.text());
    }
    for line in ["GET a HTTP/1.1", "CONNECT nginx:1 HTTP/1.1", "OPTIONS * HTTP/1.1"] {
        let reply = edges.send(format!("{line}\r\nHost: x\r\n\r\n").as_bytes()).await;
        assert!(reply.status == 500 && reply.text().starts_with("forward-auth: "), "{line}: {reply:?}");
    }
    let bad_hash = edges.nginx(edges.world.post(), "xyz").await;
    assert_eq!(bad_hash.status, 500, "{bad_hash:?}");
}

/// An edge forwards the request itself: what it shows, the service gets.
#[tokio::test]
async fn a_header_that_misleads_the_service_is_refused_by_name() {
    let edges = Edges::start().await;
    let traefik = [
        ("X-Forwarded-Method", "POST"),
        ("X-Forwarded-Uri", "/api/v1/customers"),
        ("X-Forwarded-For", "198.51.100.5"),
        ("X-Forwarded-Host", "api.test"),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Server", "edge"),
        ("X-Real-Ip", "198.51.100.5"),
    ];
    let envoy = [("x-forwarded-for", "198.51.100.5"), ("x-forwarded-proto", "https"), ("x-envoy-internal", "true")];
    let envoy_door = "/envoy/api/v1/customers";
    // What an edge writes into its question itself.
    assert_allowed(&edges.ask(edges.world.post(), "/traefik", "GET", &traefik, b"").await, &edges.world, "false");
    let allowed = edges.ask(edges.world.post(), envoy_door, "POST", &envoy, b"").await;
    assert_allowed(&allowed, &edges.world, "false");
    let removed = allowed.header("x-envoy-auth-headers-to-remove").unwrap();
    for name in ["x-http-method-override", "cookie", "x-original-url", "x-api-key", "authorization"] {
        assert!(removed.split(',').any(|found| found == name), "{name}");
    }
    assert!(!removed.contains("x-nuvera") && !removed.contains("x-request-id"), "{removed}");

    let families = [("X-Forwarded-Prefix", "x-forwarded-…"), ("X-Original-Host", "x-original-…")];
    let spelled = "whose name has other characters";
    let spellings = [("X_Api_Key", spelled), ("x.http.method", spelled), ("X_Original_Uri", spelled)];
    let names = MISLEADING_HEADERS.iter().map(|name| (*name, *name));
    for (name, told) in names.chain(families).chain(spellings) {
        let call = || edges.world.post().add(name, "1");
        let nginx = edges.nginx(call(), "").await;
        let problem: serde_json::Value = serde_json::from_str(nginx.header("x-nuvera-problem").unwrap()).unwrap();
        let envoy = edges.ask(call(), envoy_door, "POST", &envoy, b"").await;
        let traefik = edges.ask(call(), "/traefik", "GET", &traefik, b"").await;
        for (edge, problem) in [("nginx", problem), ("Envoy", envoy.json())] {
            assert_eq!(
                (&problem["code"], &problem["status"]),
                (&"misleading_header".into(), &400.into()),
                "{edge}: {name}"
            );
            assert!(problem["detail"].as_str().unwrap().contains(told), "{edge}: {name}: {problem}");
        }
        if name != "x-real-ip" {
            assert_eq!(traefik.refusal(), ("misleading_header".to_owned(), 400), "{name}");
        }
    }
    // The control: other headers pass, and none of those was a use of the key.
    assert_allowed(&edges.nginx(edges.world.post().add("X-Method", "1"), "").await, &edges.world, "false");
}

/// The time that a body takes is its sender's.
#[tokio::test]
async fn a_slow_body_is_not_counted_as_slow_verification() {
    let edges = Edges::start().await;
    let call = edges.world.post().add("Expect", "100-continue");
    let bytes = call.bytes();
    let (head, body) = bytes.split_at(bytes.len() - call.body.len());
    let mut connection = edges.world.connect().await;
    connection.write(head).await;
    assert_eq!(connection.read_head().await.unwrap().0, 100);
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_secs(1) {
        edges.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    }
    connection.write(body).await;
    connection.read().await.unwrap().verified();
    let text = edges.world.gateway.metrics().unwrap();
    let sum = text.lines().find_map(|line| line.strip_prefix("nuvera_gateway_verification_seconds_sum "));
    let sum: f64 = sum.unwrap().parse().unwrap();
    assert!(sum > 0.0 && sum < 0.9, "{sum}");
}

#[tokio::test]
async fn what_came_of_requests_is_counted() {
    let edges = Edges::start().await;
    edges.world.send(edges.world.get()).await.verified();
    edges.nginx(edges.world.get(), "").await;
    edges.world.refusal(edges.world.get().claim("iss", "me")).await;
    let text = edges.world.gateway.metrics().unwrap();
    for line in [
        "nuvera_gateway_requests_total{code=\"ok\"} 2",
        "nuvera_gateway_requests_total{code=\"wrong_issuer\"} 1",
        "nuvera_gateway_verification_seconds_count 3",
        "nuvera_gateway_replay_entries 2",
        "nuvera_gateway_snapshot_keys 1",
        "nuvera_gateway_snapshot_age_seconds 0.0",
        "nuvera_gateway_flush_lag_seconds 0.0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    edges.world.clock.advance(std::time::Duration::from_secs(2));
    assert!(edges.world.gateway.metrics().unwrap().contains("flush_lag_seconds 2.0"));
    edges.world.gateway.usage().flushed(edges.world.clock.now());
    assert!(edges.world.gateway.metrics().unwrap().contains("flush_lag_seconds 0.0"));
}
