//! What is accepted, and what the built-in handler says about it.

use crate::support::{EMPTY_BODY_HASH, World, pair, public_key, sha256_hex};
use domain::permission::Area;
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
async fn a_body_in_chunks_is_hashed_without_its_framing() {
    let world = World::start().await;
    let mut call = world.call("POST", "/api/v1/customers", b"hello").add("Transfer-Encoding", "chunked");
    call.body = b"2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: ignored\r\n\r\n".to_vec();
    let reply = world.send(call).await;
    assert_eq!(reply.verified()["bodyHash"], sha256_hex(b"hello"));
    assert_eq!(reply.header("connection"), Some("close"));
}

#[tokio::test]
async fn an_absent_and_an_empty_body_have_the_empty_strings_hash() {
    let world = World::start().await;
    for call in [
        world.call("POST", "/api/v1/signature-test", b""),
        world.call("POST", "/api/v1/signature-test", b"").add("Content-Length", "0"),
    ] {
        assert_eq!(world.send(call).await.verified()["bodyHash"], EMPTY_BODY_HASH);
    }
    let mut chunked = world.call("POST", "/api/v1/signature-test", b"").add("Transfer-Encoding", "chunked");
    chunked.body = b"0\r\n\r\n".to_vec();
    assert_eq!(world.send(chunked).await.verified()["bodyHash"], EMPTY_BODY_HASH);
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
async fn who_waits_for_100_continue_is_told_to_go_on_only_where_the_head_passed() {
    let world = World::start().await;
    let call = world.post().add("Expect", "100-continue");
    let bytes = call.bytes();
    let (head, body) = bytes.split_at(bytes.len() - call.body.len());
    let mut connection = world.connect().await;
    connection.write(head).await;
    assert_eq!(connection.read_head().await.unwrap().0, 100);
    connection.write(body).await;
    connection.read().await.unwrap().verified();

    let call = world.post().add("Expect", "100-continue").claim("iss", "x");
    let bytes = call.bytes();
    let mut connection = world.connect().await;
    connection.write(&bytes[..bytes.len() - call.body.len()]).await;
    assert_eq!(connection.read().await.unwrap().refusal().0, "wrong_issuer");
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn an_endpoint_that_needs_no_permission_is_open_to_every_application() {
    let mut world = World::start().await;
    world.change(|application, by| application.change_permissions(Default::default(), by));
    let verified = world.send(world.call("GET", "/api/v1/signature-test", b"")).await.verified();
    assert_eq!(verified["permission"], serde_json::Value::Null);
    assert_eq!(world.refusal(world.get()).await, ("permission_missing".to_owned(), 403));
    let read = domain::permission::PermissionSet::new([Area::Customers.read()]).unwrap();
    world.change(|application, by| application.change_permissions(read, by));
    world.send(world.get()).await.verified();
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
    // A refused request is no use of a key.
    world.refusal(world.get().claim("iss", "x")).await;
    assert!(world.gateway.usage().drain().is_empty());
}
