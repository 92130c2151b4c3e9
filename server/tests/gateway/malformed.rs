//! Requests that two readers could understand in two ways, byte by byte.

use crate::support::{Connection, World};

fn malformed() -> (String, u16) {
    ("malformed_request".to_owned(), 400)
}

/// A head as it would be accepted, for lines to be added to: each comes with a token of its own.
fn head(world: &World, method: &str, body: &[u8]) -> String {
    let mut call = world.call(method, "/api/v1/signature-test", body);
    call.body.clear();
    let bytes = String::from_utf8(call.bytes()).unwrap();
    bytes.strip_suffix("\r\n").unwrap().to_owned()
}

/// That what was sent is refused as malformed, and nothing after it is read as another request.
async fn refused_and_closed(world: &World, sent: &str) {
    let mut connection = world.connect().await;
    connection.write(sent.as_bytes()).await;
    connection.write(&world.get().bytes()).await;
    let reply = connection.read().await.unwrap();
    assert_eq!(reply.refusal(), malformed(), "{sent}");
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(connection.is_closed().await, "{sent}");
}

#[tokio::test]
async fn a_body_whose_length_is_given_twice_is_refused_and_the_connection_closed() {
    let world = World::start().await;
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "transfer-encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Content-Length: 5\r\nContent-Length: 5",
    ] {
        refused_and_closed(&world, &format!("{}{headers}\r\n\r\n0\r\n\r\n", head(&world, "POST", b""))).await;
    }
}

#[tokio::test]
async fn a_length_that_is_none_is_refused_before_anything_else() {
    let world = World::start().await;
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\r\n X-Folded: x",
        "X: a\r\n\tTransfer-Encoding: chunked",
        "X\0: a",
        ": a",
    ] {
        let mut connection = world.connect().await;
        connection.write(format!("{}{headers}\r\n\r\nhello", head(&world, "POST", b"hello")).as_bytes()).await;
        connection.write(&world.get().bytes()).await;
        // hyper itself answers these, without a body.
        assert_eq!(connection.read().await.unwrap().status, 400, "{headers}");
        assert!(connection.is_closed().await, "{headers}");
    }
}

#[tokio::test]
async fn a_request_hidden_in_a_body_is_a_body() {
    let world = World::start().await;
    let hidden = world.get().bytes();
    let mut connection = world.connect().await;
    connection.write(&world.call("POST", "/api/v1/signature-test", &hidden).bytes()).await;
    connection.write(&world.get().claim("iss", "x").bytes()).await;
    connection.read().await.unwrap().verified();
    assert_eq!(connection.read().await.unwrap().refusal().0, "wrong_issuer");
}

#[tokio::test]
async fn what_follows_a_body_in_chunks_is_not_read_as_a_request() {
    let world = World::start().await;
    let mut connection = world.connect().await;
    let chunked = format!("{}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", head(&world, "POST", b""));
    connection.write(&[chunked.as_bytes(), &world.get().bytes()].concat()).await;
    connection.read().await.unwrap().verified();
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn chunks_that_are_malformed_are_refused() {
    let world = World::start().await;
    for body in ["5\r\nhello0\r\n\r\n", "x\r\nhello\r\n0\r\n\r\n", "-1\r\n\r\n", "5\rhello\r\n0\r\n\r\n"] {
        let sent = format!("{}Transfer-Encoding: chunked\r\n\r\n{body}", head(&world, "POST", b"hello"));
        let reply = world.send_bytes(sent.as_bytes()).await;
        assert_eq!(reply.refusal(), malformed(), "{body}");
    }
}

#[tokio::test]
async fn a_line_must_end_with_carriage_return_and_line_feed() {
    let world = World::start().await;
    for sent in [
        head(&world, "GET", b"").replacen("\r\n", "\n", 1) + "\r\n",
        head(&world, "GET", b"") + "X-One: a\nX-Two: b\r\n\r\n",
        head(&world, "GET", b"") + "\n",
    ] {
        assert_eq!(world.send_bytes(sent.as_bytes()).await.refusal(), malformed(), "{sent}");
    }
}

#[tokio::test]
async fn a_target_other_than_a_path_is_refused() {
    let world = World::start().await;
    for target in [
        "http://api.test/api/v1/signature-test",
        "/api/v1/signature-test#top",
        "/api/v1/signature-test?a=b#top",
        "*",
        "api.test:443",
    ] {
        let sent = head(&world, "GET", b"").replacen("/api/v1/signature-test", target, 1) + "\r\n";
        assert_eq!(world.send_bytes(sent.as_bytes()).await.refusal(), malformed(), "{target}");
    }
}

#[tokio::test]
async fn tunnels_and_upgrades_are_refused() {
    let world = World::start().await;
    let connect = "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n";
    assert_eq!(world.send_bytes(connect.as_bytes()).await.refusal(), malformed());
    for headers in ["Connection: Upgrade\r\nUpgrade: websocket", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c"]
    {
        let sent = format!("{}{headers}\r\n\r\n", head(&world, "GET", b""));
        assert_eq!(world.send_bytes(sent.as_bytes()).await.refusal(), malformed());
    }
    let mut connection = world.connect().await;
    connection.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(connection.read().await.is_none_or(|reply| reply.status >= 400));
}

#[tokio::test]
async fn a_host_must_be_named_once() {
    let world = World::start().await;
    assert_eq!(world.refusal(world.get().add("Host", "other.test")).await, malformed());
    assert_eq!(world.refusal(world.get().without("Host")).await, malformed());
    let old = String::from_utf8(world.get().without("Host").bytes()).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1);
    world.send_bytes(old.as_bytes()).await.verified();
}

#[tokio::test]
async fn credentials_must_be_sent_once() {
    let world = World::start().await;
    let key = world.api_key.reveal().to_owned();
    for name in ["x-api-key", "X-Api-Key"] {
        let call = world.get().add(name, &key);
        assert_eq!(world.refusal(call).await, ("duplicate_header".to_owned(), 400));
    }
    let call = world.get();
    let authorization = format!("Bearer {}", call.token());
    let call = call.add("Authorization", &authorization);
    assert_eq!(world.refusal(call).await, ("duplicate_header".to_owned(), 400));
    let joined = format!("{key}, {key}");
    let call = world.get().without("x-api-key").add("x-api-key", &joined);
    assert_eq!(world.refusal(call).await, ("invalid_api_key".to_owned(), 401));
}

#[tokio::test]
async fn headers_that_are_the_gateways_to_set_are_refused_in_every_spelling() {
    let world = World::start().await;
    let reserved = ("reserved_header".to_owned(), 400);
    for name in [
        "x-request-id",
        "X-Request-ID",
        "x_request_id",
        "x-nuvera-organization-id",
        "X-Nuvera-Application-Id",
        "x_nuvera_application_id",
        "x-nuvera_key-id",
        "x-nuvera-anything",
    ] {
        assert_eq!(world.refusal(world.get().add(name, "x")).await, reserved, "{name}");
    }
    for named in ["x-nuvera-application-id", "close, X-Nuvera-Key-Id", "keep-alive,x-request-id", "X_Nuvera_Key_Id"] {
        assert_eq!(world.refusal(world.get().add("Connection", named)).await, reserved, "{named}");
    }
    for harmless in ["x-request-id-of-mine", "x-nuvera", "my-x-nuvera-key-id"] {
        world.send(world.get().add(harmless, "x")).await.verified();
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let world = World::start().await;
    let mut long = world.get();
    long.uri = format!("/api/v1/customers?{}", "a".repeat(40_000));
    assert_eq!(world.send(long).await.status, 431);
    let many = (0..200).fold(world.get(), |call, number| call.add(&format!("X-{number}"), "x"));
    assert_eq!(world.send(many).await.status, 431);
}

#[tokio::test]
async fn a_body_is_refused_by_its_announced_length_or_once_it_has_grown_too_long() {
    let world = World::start().await;
    let too_large = ("body_too_large".to_owned(), 413);
    let limit = vec![b'x'; 1024 * 1024];
    world.send(world.call("POST", "/api/v1/signature-test", &limit)).await.verified();
    let body = [&limit[..], b"x"].concat();
    assert_eq!(world.refusal(world.call("POST", "/api/v1/signature-test", &body)).await, too_large);
    // Whoever asks first is told before the body is sent.
    let call = world.call("POST", "/api/v1/signature-test", &body).add("Expect", "100-continue");
    let bytes = call.bytes();
    let mut connection = world.connect().await;
    connection.write(&bytes[..bytes.len() - body.len()]).await;
    assert_eq!(connection.read().await.unwrap().refusal(), too_large);
    let chunk = format!("{:x}\r\n{}\r\n", body.len(), "x".repeat(body.len()));
    let mut call = world.call("POST", "/api/v1/signature-test", &body).add("Transfer-Encoding", "chunked");
    call.body = format!("{chunk}0\r\n\r\n").into_bytes();
    assert_eq!(world.refusal(call).await, too_large);
}

#[tokio::test]
async fn the_rest_of_a_refused_body_is_read_so_that_the_refusal_arrives_and_the_connection_is_kept() {
    let world = World::start().await;
    let body = vec![b'x'; 4 * 1024 * 1024];
    let call = world.call("POST", "/api/v1/signature-test", &body).without("x-api-key");
    let mut connection = world.connect().await;
    connection.write(&call.bytes()).await;
    assert_eq!(connection.read().await.unwrap().refusal(), ("missing_api_key".to_owned(), 401));
    connection.write(&world.call("POST", "/api/v1/signature-test", &body).bytes()).await;
    assert_eq!(connection.read().await.unwrap().refusal().0, "body_too_large");
    connection.write(&world.get().bytes()).await;
    connection.read().await.unwrap().verified();
}

#[tokio::test]
async fn a_body_that_breaks_off_ends_the_connection_and_nothing_else() {
    let world = World::start().await;
    let call = world.post();
    let bytes = call.bytes();
    let mut connection = Connection::open(world.address).await;
    connection.write(&bytes[..bytes.len() - 3]).await;
    drop(connection);
    // Its jti is still good: nothing was verified.
    world.send_bytes(&bytes).await.verified();
}
