//! Start-up, health checks and shutdown.

use crate::{
    secrets::Log,
    support::{Connection, LEEWAY, START, Setup, World, timestamp},
};
use futures::FutureExt;
use tokio::net::TcpStream;

async fn get(world: &World, path: &str) -> (u16, String) {
    let reply = world.send_bytes(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
    (reply.status, reply.text().to_owned())
}

#[tokio::test]
async fn health_needs_no_credentials_and_readiness_is_what_was_set() {
    let world = World::start().await;
    assert_eq!(get(&world, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(&world, "/readyz").await, (503, "not ready\n".to_owned()));
    world.gateway.set_ready(true);
    assert_eq!(get(&world, "/readyz").await, (200, "ready\n".to_owned()));
    world.gateway.set_ready(false);
    assert_eq!(get(&world, "/readyz").await.0, 503);
    // Only these two paths, which no row of a route table may match, and only for GET and HEAD.
    assert_eq!(domain::route::HEALTH, ["/healthz", "/readyz"]);
    assert_eq!(get(&world, "/healthz/").await.0, 401);
    let reply = world.send_bytes(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(reply.refusal().0, "missing_api_key");
}

/// A clock that briefly jumps forward: the gateway's time does not go back, so every valid token is expired.
#[tokio::test]
async fn a_gateway_whose_clock_was_set_back_is_not_ready_and_says_so_once() {
    let log = Log::start();
    let told = || log.text().matches("clock was set back by more than the leeway").count();
    let world = World::start().await;
    world.gateway.set_ready(true);
    world.clock.set(timestamp(START + 3600));
    world.send(world.get()).await.verified();
    world.gateway.watch_clock();
    assert_eq!((get(&world, "/readyz").await.0, told()), (200, 0));

    world.clock.set(timestamp(START));
    assert_eq!(world.send(world.get()).await.refusal().0, "token_expired");
    let unready = get(&world, "/readyz").await;
    assert_eq!(unready, (503, "not ready: the system's clock was set back\n".to_owned()));
    assert_eq!(get(&world, "/healthz").await.0, 200);
    assert!(world.gateway.metrics().unwrap().contains("nuvera_gateway_clock_ahead_seconds 3600.0"));
    world.gateway.watch_clock();
    world.gateway.watch_clock();
    assert_eq!(told(), 1);

    // Within the leeway, valid tokens are accepted.
    world.clock.set(timestamp(START + 3600).minus(LEEWAY));
    assert_eq!(get(&world, "/readyz").await.0, 200);
    world.send(world.get()).await.verified();
    world.gateway.watch_clock();
    assert_eq!(told(), 1);
}

#[tokio::test]
async fn a_connection_for_which_there_is_no_room_is_served_once_another_one_ends() {
    let world = Setup::with(|setup| setup.settings.connections.max = 2).start().await;
    let health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut connection = world.connect().await;
        connection.write(health).await;
        assert_eq!(connection.read().await.unwrap().status, 200);
        open.push(connection);
    }
    let mut third = world.connect().await;
    third.write(health).await;
    for _ in 0..20 {
        open[0].write(health).await;
        assert_eq!(open[0].read().await.unwrap().status, 200);
    }
    assert!(third.read().now_or_never().is_none(), "there were twenty turns for it");
    assert!(world.gateway.metrics().unwrap().contains("nuvera_gateway_open_connections 2\n"));
    drop(open.pop());
    assert_eq!(third.read().await.unwrap().status, 200);
    drop((open, third));
    while !world.gateway.metrics().unwrap().contains("nuvera_gateway_open_connections 0\n") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stop_lets_requests_in_flight_finish_and_closes_idle_connections() {
    let world = World::start().await;
    let mut idle = world.connect().await;
    idle.write(&world.get().bytes()).await;
    idle.read().await.unwrap().verified();

    let call = world.post().add("Expect", "100-continue");
    let bytes = call.bytes();
    let (head, body) = bytes.split_at(bytes.len() - call.body.len());
    let mut busy = world.connect().await;
    busy.write(head).await;
    assert_eq!(busy.read_head().await.unwrap().0, 100);

    world.stop.cancel();
    assert!(idle.is_closed().await);
    assert!(TcpStream::connect(world.address).await.is_err());
    assert!(!world.serving.is_finished());
    busy.write(body).await;
    busy.read().await.unwrap().verified();
    assert!(busy.is_closed().await);
    world.serving.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_sends_no_request_harms_nobody() {
    let world = World::start().await;
    for junk in [&b""[..], b"\0\0\0\0\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0", b"GET\r\n\r\n"] {
        let mut connection = Connection::open(world.address).await;
        connection.write(junk).await;
        drop(connection);
    }
    world.send(world.get()).await.verified();
}
