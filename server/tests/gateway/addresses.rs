//! Which listening address serves what, and how the Host header affects it.

use crate::{
    process::{Server, free_address, write_assets},
    support::Connection,
};
use std::net::SocketAddr;
use tempfile::TempDir;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_assets(folder.path());
    folder
}

async fn status(address: SocketAddr, host: &str, path: &str) -> u16 {
    let mut connection = Connection::open(address).await;
    connection.write(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await;
    connection.read().await.expect("an answer").status
}

#[tokio::test]
async fn with_an_address_of_its_own_the_hub_is_found_there_only_whatever_host_is_named() {
    let folder = folder();
    let hub = free_address().await;
    let own = ["--hub-url", "http://hub.localhost", "--hub-address", &hub.to_string()];
    let server = Server::start_with(folder.path(), &folder.path().join("data"), &own).await;
    let (console, console_host) = (server.console, server.console.to_string());
    assert_eq!(status(console, &console_host, "/sign-in").await, 200);
    assert_eq!(status(hub, "hub.localhost", "/organizations/sign-in").await, 200);
    assert_eq!(status(hub, "hub.localhost", "/").await, 303);
    for host in [&*console_host, "hub.localhost", &hub.to_string()] {
        for path in ["/organizations/sign-in", "/organizations", "/organizations/invitation"] {
            assert_eq!(status(console, host, path).await, 404, "the console's address, {host}{path}");
        }
        for path in ["/sign-in", "/settings/platform/api-applications", "/invitation"] {
            assert_eq!(status(hub, host, path).await, 404, "the hub's address, {host}{path}");
        }
    }
    // The Host header must match as well.
    assert_eq!(status(hub, &console_host, "/organizations/sign-in").await, 404);
    assert_eq!(status(console, "hub.localhost", "/sign-in").await, 404);
    for address in [console, hub] {
        assert_eq!(status(address, "probe", "/healthz").await, 200);
    }
    server.stop().await;

    // The control: without an address of its own, the hub is chosen by the Host header alone.
    let server = Server::start_with(folder.path(), &folder.path().join("data"), &own[..2]).await;
    assert_eq!(status(server.console, "hub.localhost", "/organizations/sign-in").await, 200);
}

#[tokio::test]
async fn demo_people_are_served_to_this_machine_only() {
    let folder = folder();
    let data = folder.path().join("data");
    let public = ["--forward-auth-address", "0.0.0.0:0"];
    let said = Server::refused(folder.path(), &data, &[&["--demo"], &public[..]].concat()).await;
    assert!(said.contains("--demo: other machines can reach --forward-auth-address 0.0.0.0:0"), "{said}");
    assert!(said.contains("--demo-on-public-address"), "{said}");
    assert!(!data.exists(), "nothing was created");
    Server::start(folder.path(), &data).await.stop().await;
    // The demo users still exist without --demo, with the password that everyone knows.
    let said = Server::refused(folder.path(), &data, &public).await;
    assert!(said.contains("--data: other machines can reach") && said.contains("owner@alpine.example"), "{said}");
    let accepted = [&public[..], &["--demo-on-public-address"]].concat();
    Server::start_with(folder.path(), &data, &accepted).await.stop().await;
}
