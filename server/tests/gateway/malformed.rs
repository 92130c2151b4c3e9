//! Bodies that are too long, too slow or break off, and what becomes of their connection. Requests that two readers could
//! understand in two ways are in `conformance.toml`.

use crate::support::{Connection, World};
use std::time::Duration;

#[tokio::test]
async fn who_waits_for_100_continue_is_not_told_to_go_on_where_the_head_is_refused() {
    let world = World::start().await;
    let too_long = vec![b'x'; 1024 * 1024 + 1];
    for (call, code) in [
        (world.post().claim("iss", "x"), "wrong_issuer"),
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

/// The gateway waits for the body once it has said "100 Continue": from then on the time is the test's.
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
    // Its jti is still good: nothing was verified.
    world.send_bytes(&bytes).await.verified();
}
