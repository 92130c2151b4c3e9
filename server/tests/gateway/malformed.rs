//! Bodies that are too long, too slow or incomplete, and what happens to their connection. Requests that two parsers
//! could read differently are in `conformance.toml`.

use crate::support::{Call, Connection, Setup, World, pair};
use std::time::Duration;
use tokio::net::TcpListener;

#[tokio::test]
async fn who_waits_for_100_continue_is_not_told_to_go_on_where_the_head_is_refused() {
    let world = World::start().await;
    let too_long = vec![b'x'; 1024 * 1024 + 1];
    for (call, code) in [
        (world.post().claim("iss", "x"), "wrong_issuer"),
        // A valid API key alone must not make the gateway buffer a body.
        (Call { pair: pair(1), ..world.post() }, "invalid_signature"),
        (world.call("POST", "/api/v1/signature-test", &too_long), "body_too_large"),
    ] {
        let call = call.add("Expect", "100-continue");
        let bytes = call.bytes();
        let mut connection = world.connect().await;
        connection.write(&bytes[..bytes.len() - call.body.len()]).await;
        assert_eq!(connection.read().await.unwrap().refusal().0, code);
        assert!(connection.is_closed().await);
    }
}

/// The gateway waits for the body once it has sent 100 Continue, so the test controls the time from then on.
#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_refused() {
    let world = World::start().await;
    let call = world.post().add("Expect", "100-continue");
    let bytes = call.bytes();
    let mut connection = world.connect().await;
    connection.write(&bytes[..bytes.len() - 3]).await;
    assert_eq!(connection.read_head().await.unwrap().0, 100);
    tokio::time::pause();
    let reply = connection.read().await.unwrap();
    tokio::time::resume();
    assert_eq!(reply.refusal(), ("body_timeout".to_owned(), 408));
}

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_ends_the_connection_and_each_has_its_whole_time() {
    let world = World::start().await;
    for requests_before in [0, 1, 3] {
        let mut connection = world.connect().await;
        for _ in 0..requests_before {
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(20)).await;
            tokio::time::resume();
            connection.write(&world.get().bytes()).await;
            connection.read().await.unwrap().verified();
        }
        connection.write(b"GET /api/v1/customers HTTP/1.1\r\nHost: ").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        assert!(connection.is_closed().await);
        let waited = begun.elapsed().as_secs_f64();
        tokio::time::resume();
        assert!((29.0..31.0).contains(&waited), "{waited} s after {requests_before} requests");
    }
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
    // Its `jti` is not used up, because the request was never verified.
    world.send_bytes(&bytes).await.verified();
}

/// A chunked body is not read to its end, so a misleading head after it on the connection would go unnoticed.
#[tokio::test]
async fn a_connection_ends_after_a_body_in_chunks_whatever_was_asked() {
    let setup = Setup::with(|setup| setup.settings.console_origin = Some("https://console.test".parse().unwrap()));
    let world = setup.start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = listener.local_addr().unwrap();
    tokio::spawn(world.gateway.clone().serve_forward_auth(listener, world.stop.clone()));
    let preflight = "OPTIONS /api/v1/signature-test HTTP/1.1\r\nHost: x\r\nOrigin: https://console.test\r\n\
        Access-Control-Request-Method: GET";
    let health = "GET /healthz HTTP/1.1\r\nHost: x";
    let question = "GET /traefik-body HTTP/1.1\r\nHost: x\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /a";
    for (address, head, status) in [
        (world.address, health, 200),
        (world.address, preflight, 204),
        (edge, health, 200),
        (edge, question, 401),
        (edge, "GET /elsewhere HTTP/1.1\r\nHost: x", 500),
    ] {
        for (framing, body, closes) in
            [("Transfer-Encoding: chunked", "0\r\n\r\n", true), ("Content-Length: 1", "x", false)]
        {
            let mut connection = Connection::open(address).await;
            connection.write(format!("{head}\r\n{framing}\r\n\r\n{body}").as_bytes()).await;
            // The second request has a fragment, which would go unnoticed.
            connection.write(format!("{}\r\n\r\n", health.replace("healthz", "healthz#x")).as_bytes()).await;
            assert_eq!(connection.read().await.unwrap().status, status, "{head} {framing}");
            assert_eq!(connection.read().await.is_none(), closes, "{head} {framing}");
        }
    }
}

#[tokio::test]
async fn what_two_readers_could_take_for_two_requests_is_refused_whatever_was_asked() {
    let world = World::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = listener.local_addr().unwrap();
    tokio::spawn(world.gateway.clone().serve_forward_auth(listener, world.stop.clone()));
    let both = "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n";
    let question = "GET /traefik HTTP/1.1\r\nHost: x\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /a\r\n";
    for ambiguous in [both, "X: x\n\r\n"] {
        let reply = world.send_bytes(format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{ambiguous}").as_bytes()).await;
        assert_eq!(reply.refusal(), ("malformed_request".to_owned(), 400), "{ambiguous}");
        let mut connection = Connection::open(edge).await;
        connection.write(format!("{question}{ambiguous}").as_bytes()).await;
        assert_eq!(connection.read().await.unwrap().refusal().0, "malformed_request", "{ambiguous}");
        let mut connection = Connection::open(edge).await;
        connection.write(format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{ambiguous}").as_bytes()).await;
        assert_eq!(connection.read().await.unwrap().status, 500, "{ambiguous}");
    }
}

#[tokio::test]
async fn no_more_bodies_are_held_than_there_is_room_for_and_the_token_is_not_used_up() {
    const LARGEST: usize = 64 * 1024;
    let world = Setup::with(|setup| setup.settings.max_body_bytes = LARGEST).start().await;
    let mut waiting = Vec::new();
    // Half of the total: one application may hold at most as much as it leaves free.
    for _ in 0..32 {
        let call = world.call("POST", "/api/v1/customers", &[b'x'; LARGEST]).add("Expect", "100-continue");
        let bytes = call.bytes();
        let mut connection = world.connect().await;
        connection.write(&bytes[..bytes.len() - LARGEST]).await;
        assert_eq!(connection.read_head().await.unwrap().0, 100);
        waiting.push((connection, call.body));
    }
    let large = &[b'x'; 17 * 1024];
    let announced = world.call("POST", "/api/v1/customers", large);
    let mut chunked = world.call("POST", "/api/v1/customers", large).add("Transfer-Encoding", "chunked");
    chunked.body = [format!("{:x}\r\n", large.len()).as_bytes(), large, b"\r\n0\r\n\r\n"].concat();
    let calls = [announced.bytes(), chunked.bytes()];
    for bytes in &calls {
        let refused = world.send_bytes(bytes).await;
        assert_eq!(refused.refusal(), ("body_capacity".to_owned(), 503));
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    // A request with no body or a small one needs no reservation.
    world.send(world.get()).await.verified();
    world.send(world.call("POST", "/api/v1/customers", &[b'x'; 16 * 1024])).await.verified();
    // Another application still has room.
    let other = world.another_application();
    world.send(world.call_with(&other, "POST", "/api/v1/customers", &[b'x'; LARGEST])).await.verified();
    // A body that arrives and is answered releases its reservation.
    let (mut connection, body) = waiting.pop().unwrap();
    connection.write(&body).await;
    connection.read().await.unwrap().verified();
    world.send_bytes(&calls[0]).await.verified();
    world.send_bytes(&calls[1]).await.verified();
}
