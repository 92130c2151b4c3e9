//! Shutdown of the whole program.

use crate::{
    process::{Server, free_address, write_assets},
    support::Connection,
};
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// How long requests in flight may take to finish after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

fn ask_to_stop(server: &Server) {
    let asked = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(asked.success());
}

/// Waits until the program has exited successfully. Returns how long that took.
async fn has_ended(server: &mut Server) -> Duration {
    let begun = Instant::now();
    loop {
        if let Some(status) = server.child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return begun.elapsed();
        }
        assert!(begun.elapsed() < 2 * DRAIN, "it does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A server with an incomplete request on each of its listeners, which would delay a shutdown.
async fn busy() -> (Server, Vec<Connection>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    write_assets(folder.path());
    let metrics = free_address().await;
    let more = ["--metrics-address", &metrics.to_string()];
    let server = Server::start_with(folder.path(), &folder.path().join("data"), &more).await;
    let mut held = Vec::new();
    for address in [metrics, server.gateway] {
        let mut connection = Connection::open(address).await;
        connection.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n").await;
        held.push(connection);
    }
    // A response shows that the listener is open and has accepted the earlier connection.
    for address in [metrics, server.gateway] {
        let mut connection = Connection::open(address).await;
        connection.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        connection.read().await.unwrap();
    }
    (server, held, folder)
}

#[tokio::test]
async fn half_a_request_does_not_keep_the_program_from_stopping() {
    let (mut server, _held, _folder) = busy().await;
    ask_to_stop(&server);
    let took = has_ended(&mut server).await;
    assert!(took < DRAIN + Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn whoever_asks_again_does_not_wait_for_what_is_in_flight() {
    let (mut server, mut held, _folder) = busy().await;
    ask_to_stop(&server);
    // Once connections are refused, it has begun to stop.
    while tokio::net::TcpStream::connect(server.gateway).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ask_to_stop(&server);
    let took = has_ended(&mut server).await;
    assert!(took < DRAIN / 2, "{took:?}");
    assert!(held[0].is_closed().await);
}
