//! A token binds one request: its method, its path and query as sent, its body, and its time.

use crate::support::{LEEWAY, START, World, sha256_hex, timestamp};
use domain::time::Timestamp;

#[tokio::test]
async fn a_method_other_than_the_signed_one_is_refused() {
    let world = World::start().await;
    for (sent, signed) in [("POST", "GET"), ("POST", "post"), ("post", "POST"), ("PATCH", "POST")] {
        let mut call = world.call(sent, "/api/v1/customers", b"{}").claim("method", signed);
        call.method = sent.to_owned();
        let reply = world.send(call).await;
        assert_eq!(reply.refusal(), ("method_mismatch".to_owned(), 401));
        let problem = reply.json();
        assert_eq!((problem["expected"].as_str(), problem["received"].as_str()), (Some(sent), Some(signed)));
    }
}

#[tokio::test]
async fn a_uri_is_compared_byte_by_byte_as_it_was_sent() {
    let world = World::start().await;
    for (sent, signed) in [
        ("/api/v1/customers?limit=20", "/api/v1/customers"),
        ("/api/v1/customers", "/api/v1/customers?"),
        ("/api/v1/customers?", "/api/v1/customers"),
        ("/api/v1/customers?a=1&b=2", "/api/v1/customers?b=2&a=1"),
        ("/api/v1/customers?a=%20", "/api/v1/customers?a=+"),
        ("/api/v1/customers?a=%2f", "/api/v1/customers?a=%2F"),
        ("/api/v1/customers?a=%61", "/api/v1/customers?a=a"),
        ("/api/v1/customers/", "/api/v1/customers"),
        ("/api/v1//customers", "/api/v1/customers"),
        ("/api/v1/x/../customers", "/api/v1/customers"),
        ("/api/v1/Customers", "/api/v1/customers"),
        ("/api/v1/customers", "/api/v1/customers#a"),
        ("/api/v1/customers", "http://api.test/api/v1/customers"),
    ] {
        let reply = world.send(world.call("GET", sent, b"").claim("uri", signed)).await;
        assert_eq!(reply.refusal(), ("uri_mismatch".to_owned(), 401), "{sent} {signed}");
        let problem = reply.json();
        assert_eq!((problem["expected"].as_str(), problem["received"].as_str()), (Some(sent), Some(signed)));
    }
    for uri in ["/api/v1/customers?", "/api/v1/customers?a=%2f&a=é&b=[{}]", "/api/v1/customers?a=b?c=/d"] {
        world.send(world.call("GET", uri, b"")).await.verified();
    }
}

#[tokio::test]
async fn a_body_other_than_the_signed_one_is_refused() {
    let world = World::start().await;
    let mut call = world.post();
    let signed = sha256_hex(&call.body);
    call.body.push(b' ');
    let sent = sha256_hex(&call.body);
    let reply = world.send(call).await;
    assert_eq!(reply.refusal(), ("body_hash_mismatch".to_owned(), 401));
    let problem = reply.json();
    assert_eq!((problem["expected"].as_str(), problem["received"].as_str()), (Some(&*sent), Some(&*signed)));

    let mut call = world.post();
    call.body.clear();
    assert_eq!(world.refusal(call).await, ("body_hash_mismatch".to_owned(), 401));
    let call = world.get().add("Content-Length", "0").claim("bodyHash", sha256_hex(b"{}"));
    assert_eq!(world.refusal(call).await, ("body_hash_mismatch".to_owned(), 401));
    let call = world.post().claim("bodyHash", sha256_hex(br#"{"name":"Ada"}"#).to_uppercase());
    assert_eq!(world.refusal(call).await, ("invalid_claims".to_owned(), 401));
}

#[tokio::test]
async fn a_token_is_accepted_up_to_the_last_millisecond_of_its_time() {
    let world = World::start().await;
    let exp = START + 55;
    let deadline = timestamp(exp).plus(LEEWAY);
    let (first, last) = (world.get(), world.get());
    world.clock.set(Timestamp::from_millis(deadline.as_millis() - 1));
    world.send(first).await.verified();
    world.clock.set(deadline);
    let reply = world.send(last).await;
    assert_eq!(reply.refusal(), ("token_expired".to_owned(), 401));
    assert_eq!(reply.json()["received"], format!("exp {exp}"));
}

#[tokio::test]
async fn a_token_from_the_future_is_accepted_within_the_leeway() {
    let world = World::start().await;
    let from = |seconds: i64| world.get().claim("iat", START + seconds).claim("exp", START + seconds + 55);
    world.send(from(5)).await.verified();
    assert_eq!(world.refusal(from(6)).await, ("token_not_yet_valid".to_owned(), 401));
    assert_eq!(world.refusal(world.get().claim("nbf", START + 6)).await, ("token_not_yet_valid".to_owned(), 401));
}

#[tokio::test]
async fn a_token_lives_sixty_seconds_at_most() {
    let world = World::start().await;
    world.send(world.get().claim("exp", START + 60)).await.verified();
    let too_long = world.get().claim("exp", START + 61);
    assert_eq!(world.refusal(too_long).await, ("token_lifetime_too_long".to_owned(), 401));
    for exp in [START, START - 1] {
        assert_eq!(world.refusal(world.get().claim("exp", exp)).await, ("invalid_claims".to_owned(), 401));
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
