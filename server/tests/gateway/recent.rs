//! The request log that the gateway keeps for the partner whose requests they were.

use crate::support::{World, new_signing_key, pair};
use domain::{
    application::SigningKeyReplacement,
    request::{KEPT_REQUESTS, SeenRequest},
};
use std::time::Duration;

/// Returns the requests recorded since the last call, the oldest first.
fn seen(world: &World) -> Vec<SeenRequest> {
    let mut taken = world.gateway.snapshot().take_recent_requests();
    assert!(taken.iter().all(|(application, _)| *application == world.application.id));
    taken.pop().map(|(_, requests)| requests.into()).unwrap_or_default()
}

#[tokio::test]
async fn an_accepted_request_is_remembered_with_what_was_seen_of_it() {
    let world = World::start().await;
    world.clock.advance(Duration::from_secs(3));
    let call = world.post();
    let issued = call.claims["iat"].as_i64().unwrap();
    world.clock.advance(Duration::from_secs(7));
    let reply = world.send(call).await;
    reply.verified();
    let [request] = &seen(&world)[..] else { panic!("one request") };
    assert_eq!(Some(&*request.id.to_string()), reply.header("x-request-id"));
    assert_eq!((&*request.method, &*request.path, request.status), ("POST", "/api/v1/customers", 200));
    assert!(request.is_accepted() && request.refused.is_none());
    assert_eq!(request.at, world.clock.now());
    assert_eq!(request.token_age_seconds, Some(world.clock.now().as_seconds() - issued));
    assert_eq!(request.body_bytes, Some(14));
    assert_eq!(request.api_key_id, world.application.api_keys[0].id);
    assert_eq!(request.signing_key_id, Some(world.application.signing_keys[0].id));
    assert!(request.address.is_loopback());
    assert!(seen(&world).is_empty(), "what was taken is not taken twice");
}

#[tokio::test]
async fn a_refused_request_is_remembered_with_what_its_sender_was_told() {
    let world = World::start().await;
    let reply = world.send(world.get().claim("uri", "/api/v1/customers")).await;
    let [request] = &seen(&world)[..] else { panic!("one request") };
    let refused = request.refused.as_ref().unwrap();
    assert_eq!((&*request.code, request.status), ("uri_mismatch", 401));
    assert_eq!(reply.json()["detail"], refused.detail);
    assert_eq!(refused.expected.as_deref(), Some("/api/v1/customers?limit=20"));
    assert_eq!(refused.received.as_deref(), Some("/api/v1/customers"));
    // The path is the request's; its query string is kept only in the comparison.
    assert_eq!(request.path, "/api/v1/customers");

    // A key that stopped working still belongs to its application; an unknown key belongs to none.
    world.send(world.get().without("x-api-key").add("x-api-key", crate::support::plain_key().reveal())).await.refusal();
    assert!(seen(&world).is_empty());
    let mut world = world;
    world.change(|application, by| application.disable(by));
    world.send(world.get()).await.refusal();
    assert_eq!(seen(&world)[0].code, "application_disabled");
}

#[tokio::test]
async fn a_signature_by_a_retired_key_is_told_from_one_by_a_stranger() {
    let mut world = World::start().await;
    let old = world.application.current_signing_key().public_key.fingerprint();
    world.change(|application, by| {
        application.replace_signing_key(new_signing_key(pair(1)), SigningKeyReplacement::StopNow, by)
    });
    let new = world.application.current_signing_key().public_key.fingerprint();
    let reply = world.send(world.get()).await;
    assert_eq!(reply.refusal(), ("invalid_signature".to_owned(), 401));
    assert_eq!((&reply.json()["expected"], &reply.json()["received"]), (&new.clone().into(), &old.clone().into()));
    let refused = seen(&world)[0].refused.clone().unwrap();
    assert_eq!((refused.expected, refused.received), (Some(new), Some(old)));

    // The control: a signature that none of the application's keys made is attributed to no key.
    let mut call = world.get();
    call.pair = pair(1);
    let token = call.token();
    let cut = token.rsplit_once('.').unwrap().0;
    let forged = format!("{cut}.{}", world.get().token().rsplit_once('.').unwrap().1);
    let reply = world.send_bytes(&call.bytes_with(&forged)).await;
    assert_eq!(reply.refusal().0, "invalid_signature");
    assert_eq!(reply.json().get("received"), None);
}

#[tokio::test]
async fn of_a_flood_the_newest_are_kept() {
    let world = World::start().await;
    let mut connection = world.connect().await;
    let mut last = String::new();
    for _ in 0..KEPT_REQUESTS + 5 {
        connection.write(&world.get().bytes_with("none")).await;
        last = connection.read().await.unwrap().header("x-request-id").unwrap().to_owned();
    }
    let kept = seen(&world);
    assert_eq!(kept.len(), KEPT_REQUESTS);
    assert_eq!(kept.last().unwrap().id.to_string(), last);
}
