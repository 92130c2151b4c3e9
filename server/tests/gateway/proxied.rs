//! With a service behind the gateway: what it gets, what comes back, and what happens when it does not answer.

use crate::support::{Call, Connection, Reply, Setup, World, one_proxy, upstream as upstream_at};
use domain::{
    request::{MISLEADING_HEADERS, MISLEADING_PREFIXES},
    route::RouteTable,
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A service that reads what it gets byte by byte, and answers what it is told to.
struct Upstream(TcpListener);

impl Upstream {
    async fn listen() -> (Self, World) {
        Self::listen_with(|_| {}).await
    }

    async fn listen_with(change: impl FnOnce(&mut Setup)) -> (Self, World) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let setup = Setup::with(|setup| {
            setup.settings.upstream = Some(upstream_at(&origin));
            change(setup);
        });
        (Self(listener), setup.start().await)
    }

    /// A client whose request has arrived, and that waits for the answer.
    async fn asked(&self, world: &World) -> (Connection, Served) {
        let mut client = world.connect().await;
        client.write(&world.get().bytes()).await;
        let mut served = self.accept().await;
        served.request().await;
        (client, served)
    }

    /// Sends a request, answers it, and returns the head that the service got and the reply.
    async fn exchange(&self, world: &World, call: Call, answer: &str) -> (Vec<String>, Reply) {
        let service = async {
            let mut served = self.accept().await;
            let (head, _) = served.request().await;
            served.write(answer).await;
            head.into_iter().map(|line| line.to_ascii_lowercase()).collect()
        };
        let (reply, head) = tokio::join!(world.send(call), service);
        (head, reply)
    }

    async fn accept(&self) -> Served {
        Served(self.0.accept().await.unwrap().0)
    }
}

/// A connection from the gateway.
struct Served(TcpStream);

impl Served {
    /// The next request: its head's lines, and its body.
    async fn request(&mut self) -> (Vec<String>, Vec<u8>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let lines: Vec<String> = head.trim_end().lines().map(|line| line.to_ascii_lowercase()).collect();
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        (head.trim_end().lines().map(str::to_owned).collect(), body)
    }

    async fn write(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }
}

fn set_timeout(setup: &mut Setup, timeout: Duration) {
    setup.settings.upstream.as_mut().unwrap().timeout = timeout;
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

#[tokio::test]
async fn a_verified_request_arrives_without_credentials_and_with_its_senders_identity() {
    let (upstream, world) = Upstream::listen().await;
    let call = world
        .call("POST", "/api/v1/customers?b=2&a=%2f", br#"{"name":"Ada"}"#)
        .add("Content-Type", "application/json")
        .add("Connection", "keep-alive, X-Hop")
        .add("X-Hop", "1")
        .add("Keep-Alive", "timeout=5")
        .add("Proxy-Authorization", "Basic YTpi")
        .add("TE", "trailers")
        .add("Connection", "Upgrade, HTTP2-Settings")
        .add("Upgrade", "h2c")
        .add("HTTP2-Settings", "AAMAAABkAAQAAP__")
        .add("X-Request-ID", "received")
        .add("X-Request-ID", "received twice")
        .add("Trailer", "X-T");
    let token = call.token();
    let bytes = call.bytes_with(&token);
    let service = async {
        let mut served = upstream.accept().await;
        let request = served.request().await;
        served.write("HTTP/1.1 201 Created\r\ncontent-length: 2\r\nx-own: 1\r\nx-request-id: theirs\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=9\r\n\r\n{}").await;
        (request, served)
    };
    let (reply, ((head, body), _served)) = tokio::join!(world.send_bytes(&bytes), service);

    assert_eq!((reply.status, reply.text()), (201, "{}"));
    assert_eq!(reply.header("x-own"), Some("1"));
    for hop in ["x-hop", "keep-alive", "connection"] {
        assert_eq!(reply.header(hop), None);
    }
    let ids: Vec<_> = reply.headers.iter().filter(|(name, _)| name == "x-request-id").collect();
    assert!(ids.len() == 1 && ids[0].1 != "theirs");

    assert_eq!(head[0], "POST /api/v1/customers?b=2&a=%2f HTTP/1.1");
    assert_eq!(body, br#"{"name":"Ada"}"#);
    let mut names: Vec<_> = head[1..].iter().map(|line| line.split_once(':').unwrap().0.to_ascii_lowercase()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "content-length",
            "content-type",
            "host",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-nuvera-application-id",
            "x-nuvera-key-id",
            "x-nuvera-organization-id",
            "x-request-id"
        ]
    );
    let value = |name: &str| head.iter().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap().to_owned();
    assert_eq!(value("x-nuvera-organization-id"), world.application.organization_id.to_string());
    assert_eq!(value("x-nuvera-application-id"), world.application.id.to_string());
    assert_eq!(value("x-nuvera-key-id"), world.application.api_keys[0].id.to_string());
    assert_eq!(value("x-request-id"), ids[0].1);
    let all = head.join("\n");
    assert!(!all.contains(world.api_key.reveal()) && !all.contains(&token));
}

#[tokio::test]
async fn a_head_request_is_passed_on_as_it_is_and_its_answer_has_no_body() {
    let (upstream, world) = Upstream::listen().await;
    let mut client = world.connect().await;
    let mut served = None;
    for (answered, length) in
        [("content-length: 5\r\n", Some("5")), ("transfer-encoding: chunked\r\n", None), ("", None)]
    {
        client.write(&world.call("HEAD", "/api/v1/customers?limit=20", b"").bytes()).await;
        let mut service = match served.take() {
            Some(service) => service,
            None => upstream.accept().await,
        };
        assert_eq!(service.request().await.0[0], "HEAD /api/v1/customers?limit=20 HTTP/1.1");
        service.write(&format!("HTTP/1.1 200 OK\r\netag: \"1\"\r\n{answered}\r\n")).await;
        let (status, headers) = client.read_head().await.unwrap();
        let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!((status, header("etag"), header("content-length")), (200, Some("\"1\""), length));
        served = Some(service);
    }
    // Nothing was taken for a body: the connections go on.
    client.write(&world.get().bytes()).await;
    let mut service = served.unwrap();
    service.request().await;
    service.write(OK).await;
    assert_eq!(client.read().await.unwrap().text(), "{}");
    // What the gateway answers itself.
    client.write(&world.call("HEAD", "/api/v1/signature-test", b"").bytes()).await;
    assert_eq!(client.read_head().await.unwrap().0, 200);
    client.write(&world.call("HEAD", "/api/v1/nothing", b"").bytes()).await;
    let (status, headers) = client.read_head().await.unwrap();
    assert_eq!(status, 404);
    assert!(headers.iter().any(|(name, length)| name == "content-length" && length != "0"));
}

/// What is not signed shall not reroute a request, nor say where it came from.
#[tokio::test]
async fn no_header_tells_the_service_of_another_method_target_or_sender() {
    let (upstream, world) = Upstream::listen().await;
    let misleading = [
        "X-HTTP-Method-Override: DELETE",
        "x-http-method: DELETE",
        "X_Method_Override: DELETE",
        "X-Original-URL: /admin",
        "X-Rewrite-URL: /admin",
        "x_rewrite-url: /admin",
        "X-Original-URI: /admin",
        "X-Original-Method: DELETE",
        "X-Forwarded-For: 203.0.113.7",
        "x-forwarded_for: 203.0.113.7",
        "X-Forwarded-Host: evil.test",
        "X-Forwarded-Proto: evil.test",
        "X_Forwarded_Prefix: /admin",
        "X-Forwarded-Uri: /admin",
        "Forwarded: for=203.0.113.7",
        "X-Real-IP: 203.0.113.7",
        "X-Client-IP: 203.0.113.7",
        "True-Client-IP: 203.0.113.7",
        "CF-Connecting-IP: 203.0.113.7",
        "Cookie: session=evil.test",
        "X-Envoy-Original-Dst-Host: evil.test",
        "x_api_key: evil.test",
        "x.http.method: DELETE",
    ];
    let listed: Vec<_> = MISLEADING_HEADERS.iter().map(|name| format!("{name}: evil.test")).collect();
    let families: Vec<_> = MISLEADING_PREFIXES.iter().map(|prefix| format!("{prefix}anything: evil.test")).collect();
    let listed = listed.iter().chain(&families).map(String::as_str);
    let harmless = ["Via: 1.1 theirs", "X-Custom: 1", "X-Method: 1", "Idempotency-Key: 1"];
    let all: Vec<_> = misleading.into_iter().chain(listed).collect();
    let mut kept = None;
    // A request has a hundred headers at the most.
    for some in all.chunks(80) {
        let call = some.iter().chain(&harmless).fold(world.get(), |call, header| {
            let (name, value) = header.split_once(": ").unwrap();
            call.add(name, value)
        });
        let service = async {
            let mut served = match kept.take() {
                Some(served) => served,
                None => upstream.accept().await,
            };
            let (head, _) = served.request().await;
            served.write(OK).await;
            (head, served)
        };
        let (reply, (head, served)) = tokio::join!(world.send(call), service);
        kept = Some(served);
        assert_eq!(reply.status, 200);
        let lines: Vec<_> = head[1..].iter().map(|line| line.to_ascii_lowercase()).collect();
        for text in ["delete", "/admin", "203.0.113.7", "evil.test"] {
            assert!(!lines.iter().any(|line| line.contains(text)), "{text} in {lines:?}");
        }
        for header in harmless {
            assert!(lines.contains(&header.to_ascii_lowercase()), "{header} in {lines:?}");
        }
        // Host is the client's to choose; what the service builds addresses of is not.
        for header in ["x-forwarded-for: 127.0.0.1", "x-forwarded-host: api.example.com", "x-forwarded-proto: https"] {
            assert!(lines.iter().any(|line| line == header), "{header} in {lines:?}");
        }
    }
}

#[tokio::test]
async fn a_response_is_passed_on_as_it_arrives_over_a_kept_connection() {
    let (upstream, world) = Upstream::listen().await;
    let (mut client, mut served) = upstream.asked(&world).await;
    served.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
    assert_eq!(client.read_head().await.unwrap().0, 200);
    // The service has not finished, and the first part is here.
    assert_eq!(client.read_chunk().await.unwrap(), b"first");
    served.write("6\r\nsecond\r\n0\r\n\r\n").await;
    assert_eq!(client.read_chunk().await.unwrap(), b"second");
    assert_eq!(client.read_chunk().await, None);
    // The next request comes over the same connection.
    client.write(&world.post().bytes()).await;
    let (head, _) = served.request().await;
    assert!(head[0].starts_with("POST"));
    served.write(OK).await;
    assert_eq!(client.read().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_body_in_chunks_arrives_with_its_length() {
    let (upstream, world) = Upstream::listen().await;
    let mut call = world.call("POST", "/api/v1/customers", b"hello").add("Transfer-Encoding", "chunked");
    call.body = b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n".to_vec();
    let service = async {
        let mut served = upstream.accept().await;
        let request = served.request().await;
        served.write(OK).await;
        (request, served)
    };
    let (reply, ((head, body), _served)) = tokio::join!(world.send(call), service);
    assert_eq!(reply.status, 200);
    assert!(head.iter().any(|line| line == "content-length: 5"));
    assert!(!head.iter().any(|line| line.to_ascii_lowercase().starts_with("transfer-encoding")));
    assert_eq!(body, b"hello");
}

#[tokio::test]
async fn a_refused_request_never_arrives_and_the_signature_test_is_answered_here() {
    let (upstream, world) = Upstream::listen().await;
    assert_eq!(world.refusal(world.get().claim("iss", "x")).await.0, "wrong_issuer");
    assert_eq!(world.refusal(world.call("GET", "/api/v1/other", b"")).await, ("unknown_route".to_owned(), 404));
    world.send(world.call("GET", "/api/v1/signature-test?x=1", b"")).await.verified();
    let mut client = Connection::open(world.address).await;
    client.write(&world.get().bytes()).await;
    let mut served = upstream.accept().await;
    assert_eq!(served.request().await.0[0], "GET /api/v1/customers?limit=20 HTTP/1.1");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told_as_unavailable() {
    let (upstream, world) = Upstream::listen().await;
    drop(upstream);
    let reply = world.send(world.get()).await;
    assert_eq!(reply.refusal(), ("upstream_unavailable".to_owned(), 502));
    // Nothing was sent: it may be sent again.
    assert_eq!(reply.header("retry-after"), Some("1"));
    let ftp = upstream_at("ftp://127.0.0.1:1");
    let world = Setup::with(|setup| setup.settings.upstream = Some(ftp)).start().await;
    assert_eq!(world.refusal(world.get()).await, ("upstream_unavailable".to_owned(), 502));
}

#[tokio::test]
async fn a_service_that_answers_nonsense_or_breaks_off_has_failed_and_nobody_is_told_to_send_again() {
    for answer in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "",
        "HTTP/1.1 200 OK\r\ncontent-",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ] {
        let (upstream, world) = Upstream::listen().await;
        let service = async {
            let mut served = upstream.accept().await;
            let (_, body) = served.request().await;
            served.write(answer).await;
            body
        };
        let (reply, body) = tokio::join!(world.send(world.post()), service);
        assert_eq!(body, br#"{"name":"Ada"}"#);
        assert_eq!(reply.refusal(), ("upstream_failed".to_owned(), 502), "{answer}");
        assert_eq!(reply.header("retry-after"), None, "{answer}");
    }
}

#[tokio::test]
async fn a_request_that_a_kept_connection_may_have_carried_is_not_sent_again() {
    let (upstream, world) = Upstream::listen().await;
    let (mut client, mut served) = upstream.asked(&world).await;
    served.write(OK).await;
    assert_eq!(client.read().await.unwrap().status, 200);

    client.write(&world.post().bytes()).await;
    let (head, _) = served.request().await;
    assert!(head[0].starts_with("POST"), "over the kept connection");
    drop(served);
    assert_eq!(client.read().await.unwrap().refusal(), ("upstream_failed".to_owned(), 502));

    // What comes next over a new connection is the next request.
    client.write(&world.get().bytes()).await;
    let mut served = upstream.accept().await;
    assert!(served.request().await.0[0].starts_with("GET"), "the POST came a second time");
    served.write(OK).await;
    assert_eq!(client.read().await.unwrap().status, 200);
}

#[tokio::test]
async fn an_idempotent_request_is_sent_once_more_where_a_kept_connection_ends() {
    let (upstream, world) = Upstream::listen().await;
    for (method, uri) in [("GET", "/api/v1/customers?limit=20"), ("HEAD", "/api/v1/customers")] {
        let (mut client, mut served) = upstream.asked(&world).await;
        served.write(OK).await;
        assert_eq!(client.read().await.unwrap().status, 200);
        let call = world.call(method, uri, b"");
        client.write(&call.bytes()).await;
        let (first, _) = served.request().await;
        drop(served);
        let mut again = upstream.accept().await;
        let (second, _) = again.request().await;
        assert_eq!(first, second, "the same request, with the same id");
        again.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        assert_eq!(client.read_head().await.unwrap().0, 200, "{method}");
    }
    // Once: an upstream that keeps closing has failed.
    let (mut client, mut served) = upstream.asked(&world).await;
    served.write(OK).await;
    assert_eq!(client.read().await.unwrap().status, 200);
    client.write(&world.get().bytes()).await;
    served.request().await;
    drop(served);
    let mut again = upstream.accept().await;
    again.request().await;
    drop(again);
    assert_eq!(client.read().await.unwrap().refusal(), ("upstream_failed".to_owned(), 502));
}

#[tokio::test]
async fn a_connection_is_kept_for_less_time_than_the_service_says() {
    for (says, is_kept) in [("keep-alive: timeout=1, max=100\r\n", false), ("keep-alive: timeout=60\r\n", true)] {
        let (upstream, world) = Upstream::listen().await;
        let (mut client, mut served) = upstream.asked(&world).await;
        served.write(&format!("HTTP/1.1 200 OK\r\n{says}content-length: 2\r\n\r\n{{}}")).await;
        assert_eq!(client.read().await.unwrap().header("keep-alive"), None);
        client.write(&world.post().bytes()).await;
        let mut next = if is_kept { served } else { upstream.accept().await };
        assert!(next.request().await.0[0].starts_with("POST"), "{says}");
        next.write(OK).await;
        assert_eq!(client.read().await.unwrap().status, 200, "{says}");
    }
}

#[tokio::test]
async fn the_service_learns_the_public_scheme_and_host_from_a_trusted_proxy_or_the_settings() {
    const CLOSE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let forwarded = [
        ("X-Forwarded-For", "192.0.2.1, 203.0.113.7:51234"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "partners.example.com:8080"),
    ];
    let from_proxy = ["203.0.113.7", "http", "partners.example.com:8080"];
    let from_settings = ["127.0.0.1", "https", "api.example.com"];
    for (trusted, told, expected) in [
        (true, &forwarded[..], from_proxy),
        (true, &[], from_settings),
        (true, &[("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "a b")], from_settings),
        (false, &forwarded[..], from_settings),
    ] {
        let (upstream, world) = Upstream::listen_with(|setup| {
            if trusted {
                setup.settings.proxies = one_proxy();
            }
        })
        .await;
        let call = told.iter().fold(world.get(), |call, (name, value)| call.add(name, value));
        let (head, reply) = upstream.exchange(&world, call, CLOSE).await;
        assert_eq!(reply.status, 200);
        let [address, scheme, host] = expected;
        for line in [
            format!("x-forwarded-for: {address}"),
            format!("x-forwarded-proto: {scheme}"),
            format!("x-forwarded-host: {host}"),
        ] {
            let name = line.split(':').next().unwrap();
            let found: Vec<_> = head.iter().filter(|line| line.starts_with(name)).collect();
            assert_eq!(found, [&line], "trusted: {trusted}, {told:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_leads_to_the_service_leads_to_the_gateway() {
    let (upstream, world) = Upstream::listen_with(|setup| setup.settings.proxies = one_proxy()).await;
    let own = upstream.0.local_addr().unwrap();
    let answer = format!(
        "HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\nlocation: http://{own}/api/v1/customers/7\r\n\
         content-location: https://{own}/api/v1/x\r\nlink: <http://{own}/api/v1/customers?page=2>; rel=\"next\", </a>; rel=up\r\n\
         set-cookie: sid=1; Domain=127.0.0.1\r\nx-other: http://{own}/\r\n\r\n"
    );
    for (host, public) in
        [(None, "https://api.example.com"), (Some("partners.example.com"), "https://partners.example.com")]
    {
        let call = host.into_iter().fold(world.post(), |call, host| call.add("X-Forwarded-Host", host));
        let (_, reply) = upstream.exchange(&world, call, &answer).await;
        assert_eq!(reply.header("location"), Some(&*format!("{public}/api/v1/customers/7")));
        assert_eq!(reply.header("content-location"), Some(&*format!("{public}/api/v1/x")));
        let link = format!("<{public}/api/v1/customers?page=2>; rel=\"next\", </a>; rel=up");
        assert_eq!(reply.header("link"), Some(&*link));
        assert_eq!(reply.header("set-cookie"), Some("sid=1"));
        assert_eq!(reply.header("x-other"), Some(&*format!("http://{own}/")), "no address that a client follows");
    }
    // Another origin is left alone.
    let (_, reply) = upstream
        .exchange(
            &world,
            world.post(),
            "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nconnection: close\r\nlocation: http://other.test/\r\n\r\n",
        )
        .await;
    assert_eq!(reply.header("location"), Some("http://other.test/"));
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_given_up_on() {
    let (_upstream, world) = Upstream::listen_with(|setup| set_timeout(setup, Duration::from_millis(20))).await;
    let bytes = world.get().bytes();
    assert_eq!(world.send_bytes(&bytes).await.refusal(), ("upstream_timeout".to_owned(), 504));
    // Whether it was carried out is unknown: the token stays used.
    assert_eq!(world.send_bytes(&bytes).await.refusal().0, "replay_detected");
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_along() {
    let (upstream, world) = Upstream::listen().await;
    let (client, mut served) = upstream.asked(&world).await;
    drop(client);
    // Nobody waits for the answer any more: the service is told by the end of its connection.
    assert!(served.0.read_u8().await.is_err());
}

#[tokio::test]
async fn a_client_that_reads_slowly_holds_the_service_up_and_not_the_gateways_memory() {
    const LENGTH: usize = 64 * 1024 * 1024;
    let (upstream, world) = Upstream::listen().await;
    let (mut client, mut served) = upstream.asked(&world).await;
    served.write(&format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n")).await;
    let chunk = vec![b'x'; 64 * 1024];
    let mut written = 0;
    // What the sockets hold is taken at once; then nothing more is, until the client reads.
    while let Ok(result) = tokio::time::timeout(Duration::from_millis(500), served.0.write(&chunk)).await {
        written += result.unwrap();
        assert!(written < LENGTH / 2, "somebody holds the rest in memory");
    }
    let rest = async {
        while written < LENGTH {
            written += served.0.write(&chunk[..chunk.len().min(LENGTH - written)]).await.unwrap();
        }
    };
    let (reply, ()) = tokio::join!(client.read(), rest);
    assert_eq!(reply.unwrap().body.len(), LENGTH);
}

#[tokio::test]
async fn a_service_that_falls_silent_in_its_answer_ends_it_and_nobody_takes_the_half_for_the_whole() {
    for head in ["transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", "content-length: 8\r\n\r\nhalf"] {
        let short = Duration::from_millis(100);
        let (upstream, world) = Upstream::listen_with(|setup| set_timeout(setup, short)).await;
        let (mut client, mut served) = upstream.asked(&world).await;
        served.write(&format!("HTTP/1.1 200 OK\r\n{head}")).await;
        let mut received = String::new();
        client.read_to_end(&mut received).await;
        assert!(received.starts_with("HTTP/1.1 200 OK") && received.trim_end().ends_with("half"), "{received}");
        // The service is told as well: nobody reads on.
        assert!(served.0.read_u8().await.is_err());
    }
}

#[tokio::test]
async fn a_service_that_is_slow_and_never_silent_for_long_is_heard_to_the_end() {
    let (upstream, world) = Upstream::listen().await;
    let (mut client, mut served) = upstream.asked(&world).await;
    served.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    assert_eq!(client.read_head().await.unwrap().0, 200);
    // A minute in all, of which it is silent for at most 15 seconds; it may be for 20.
    for _ in 0..4 {
        served.write("5\r\npiece\r\n").await;
        assert_eq!(client.read_chunk().await.unwrap(), b"piece");
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(15)).await;
        tokio::time::resume();
    }
    served.write("0\r\n\r\n").await;
    assert_eq!(client.read_chunk().await, None);
}

/// The end of a body that has none is known by the method and the status alone.
#[tokio::test]
async fn answers_without_a_body_end_where_their_head_does() {
    for (method, answer, length) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", Some("1000")),
        ("HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", None),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None),
        ("GET", "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 1000\r\n\r\n", None),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Some("0")),
    ] {
        let routes = "HEAD /api/v1/customers any\nGET /api/v1/customers any\n";
        let routes = RouteTable::parse(routes).unwrap();
        let (upstream, world) = Upstream::listen_with(|setup| setup.settings.routes = routes).await;
        let mut client = world.connect().await;
        let mut served = None;
        // A second request on the same two connections shows that nobody waits for a body.
        for _ in 0..2 {
            client.write(&world.call(method, "/api/v1/customers", b"").bytes()).await;
            let served = match &mut served {
                Some(served) => served,
                None => served.insert(upstream.accept().await),
            };
            assert!(served.request().await.0[0].starts_with(method));
            served.write(answer).await;
            let (status, headers) = client.read_head().await.unwrap();
            assert_eq!(status.to_string(), answer[9..12], "{method} {answer}");
            let found = headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.as_str());
            assert_eq!(found, length, "{method} {answer}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_midst_of_an_answer_takes_the_services_connection_along() {
    let (upstream, world) = Upstream::listen().await;
    let (mut client, mut served) = upstream.asked(&world).await;
    served.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
    assert_eq!(client.read_head().await.unwrap().0, 200);
    assert_eq!(client.read_chunk().await.unwrap(), b"first");
    drop(client);
    // More than the sockets hold: at some point nobody takes it any more.
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut is_told = false;
    for _ in 0..1_000 {
        is_told = is_told || served.0.write_all(chunk.as_bytes()).await.is_err();
    }
    assert!(is_told, "64 MB were taken from it");
    // And nobody else is harmed.
    let (mut client, mut served) = upstream.asked(&world).await;
    served.write(OK).await;
    assert_eq!(client.read().await.unwrap().status, 200);
}
