//! Requests that are accepted, and what the built-in signature test says about them.

use crate::support::{EMPTY_BODY_HASH, World, pair, public_key, sha256_hex};
use serde_json::json;

#[tokio::test]
async fn a_signed_request_is_verified_and_told_so() {
    let world = World::start().await;
    let reply = world.send(world.get()).await;
    let application = &world.application;
    assert_eq!(
        reply.verified(),
        json!({
            "verified": true,
            "requestId": reply.header("x-request-id"),
            "application": {"id": application.id, "name": "Ledger sync"},
            "organizationId": application.organization_id,
            "keyId": application.api_keys[0].id,
            "keyPrefix": world.api_key.prefix().as_str(),
            "signingKeyFingerprint": public_key(pair(0)).fingerprint(),
            "method": "GET",
            "uri": "/api/v1/customers?limit=20",
            "bodyHash": EMPTY_BODY_HASH,
            "permission": "CUSTOMERS_READ",
        })
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let request_id: uuid::Uuid = reply.header("x-request-id").unwrap().parse().unwrap();
    assert_eq!(request_id.get_version_num(), 7);
}

#[tokio::test]
async fn a_body_is_bound_by_the_bytes_that_were_sent() {
    let world = World::start().await;
    let body: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    for body in [&b"{}"[..], b"\x1f\x8b\x08\0not really gzip", &body] {
        let call = world.call("POST", "/api/v1/customers", body).add("Content-Encoding", "gzip");
        assert_eq!(world.send(call).await.verified()["bodyHash"], sha256_hex(body));
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let world = World::start().await;
    let mut connection = world.connect().await;
    for _ in 0..3 {
        connection.write(&world.post().bytes()).await;
        connection.read().await.unwrap().verified();
        connection.write(&world.get().claim("iss", "x").bytes()).await;
        assert_eq!(connection.read().await.unwrap().refusal().0, "wrong_issuer");
    }
}

#[tokio::test]
async fn requests_sent_in_one_go_are_answered_in_order() {
    let world = World::start().await;
    let mut connection = world.connect().await;
    let sent = [world.post().bytes(), world.get().claim("iss", "x").bytes(), world.post().bytes()].concat();
    connection.write(&sent).await;
    connection.read().await.unwrap().verified();
    assert_eq!(connection.read().await.unwrap().refusal().0, "wrong_issuer");
    connection.read().await.unwrap().verified();
}

#[tokio::test]
async fn uses_are_counted_with_where_they_came_from() {
    let world = World::start().await;
    world.send(world.get().add("User-Agent", "ledger/1.0")).await.verified();
    world.send(world.get().add("User-Agent", "ledger/1.1")).await.verified();
    world.gateway.usage().first_use().await;
    let batch = world.gateway.usage().drain();
    let (api_key, signing_key) = (&batch.api_keys[0], &batch.signing_keys[0]);
    assert_eq!(api_key.id, world.application.api_keys[0].id);
    assert_eq!(signing_key.id, world.application.signing_keys[0].id);
    assert_eq!((api_key.count, api_key.user_agent.as_str()), (2, "ledger/1.1"));
    assert!(api_key.address.is_loopback());
    assert_eq!(api_key.last_at, world.clock.now());
    // A refused request does not count as a use of the key.
    world.refusal(world.get().claim("iss", "x")).await;
    assert!(world.gateway.usage().drain().is_empty());
}
