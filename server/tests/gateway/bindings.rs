//! The details of a refusal because of a binding, and clocks that run backwards. The bindings themselves are in
//! `conformance.toml`.

use crate::support::{LEEWAY, START, World, sha256_hex, timestamp};

#[tokio::test]
async fn what_was_sent_is_set_beside_what_was_signed() {
    let world = World::start().await;
    let mut other_body = world.post();
    let signed = sha256_hex(&other_body.body);
    other_body.body.push(b' ');
    let sent = sha256_hex(&other_body.body);
    for (call, code, expected, received) in [
        (world.get().claim("method", "get"), "method_mismatch", "GET", "get"),
        (world.get().claim("uri", "/"), "uri_mismatch", "/api/v1/customers?limit=20", "/"),
        (other_body, "body_hash_mismatch", &sent, &signed),
        (world.get().claim("iss", "x"), "wrong_issuer", "nuvera-api", "x"),
    ] {
        let reply = world.send(call).await;
        assert_eq!(reply.refusal().0, code);
        let problem = reply.json();
        assert_eq!((problem["expected"].as_str(), problem["received"].as_str()), (Some(expected), Some(received)));
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_opens_no_deadline_again() {
    let world = World::start().await;
    let call = world.get();
    let bytes = call.bytes();
    world.clock.set(timestamp(START + 55).plus(LEEWAY));
    assert_eq!(world.send_bytes(&bytes).await.refusal().0, "token_expired");
    world.clock.set(timestamp(START));
    assert_eq!(world.send_bytes(&bytes).await.refusal().0, "token_expired");
}
