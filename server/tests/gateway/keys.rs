//! Keys and applications in each of their states. The gateway enforces changes made in the console at once.

use crate::support::{
    Connection, LEEWAY, START, World, new_api_key, new_signing_key, pair, plain_key, public_key, timestamp,
};
use domain::{
    api_key::PlainApiKey,
    application::{Replacement, SigningKeyReplacement},
    time::Timestamp,
};
use server::random;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_disabled_application_is_refused_however_valid_the_request_and_works_again_when_enabled() {
    let mut world = World::start().await;
    world.send(world.get()).await.verified();
    world.change(|application, by| application.disable(by));
    assert_eq!(world.refusal(world.get()).await, ("application_disabled".to_owned(), 403));
    world.change(|application, by| application.enable(by));
    world.send(world.get()).await.verified();
}

#[tokio::test]
async fn a_change_counts_for_the_next_request_on_an_open_connection() {
    let mut world = World::start().await;
    let mut connection = world.connect().await;
    for _ in 0..50 {
        connection.write(&world.get().bytes()).await;
        connection.read().await.unwrap().verified();
        world.change(|application, by| application.disable(by));
        connection.write(&world.get().bytes()).await;
        assert_eq!(connection.read().await.unwrap().refusal().0, "application_disabled");
        world.change(|application, by| application.enable(by));
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_and_its_replacement_works() {
    let mut world = World::start().await;
    let old = world.get();
    let (replacement, pepper) = (plain_key(), world.pepper.clone());
    let new = new_api_key(&replacement, &pepper);
    world.change(|application, by| application.replace_api_key(new, Replacement::StopNow, by));
    let reply = world.send(old).await;
    assert_eq!(reply.refusal(), ("revoked_api_key".to_owned(), 401));
    assert!(reply.json()["detail"].as_str().unwrap().contains("was revoked at 15 Jan 2027, 08:00:00 UTC"));
    world.api_key = replacement;
    world.send(world.get()).await.verified();
}

#[tokio::test]
async fn an_expiring_key_works_up_to_the_last_millisecond_and_the_rollback_brings_it_back() {
    let mut world = World::start().await;
    let (replacement, pepper) = (plain_key(), world.pepper.clone());
    let old = world.application.api_keys[0].id;
    let new = new_api_key(&replacement, &pepper);
    world.change(|application, by| application.replace_api_key(new, Replacement::WithGrace(HOUR), by));
    let deadline = timestamp(START).plus(HOUR);
    world.clock.set(Timestamp::from_millis(deadline.as_millis() - 1));
    world.send(world.get()).await.verified();
    let kept = world.application.clone();
    world.clock.set(deadline);
    assert_eq!(world.refusal(world.get()).await, ("expired_api_key".to_owned(), 401));
    // Setting the clock back does not make it valid again either.
    world.clock.set(timestamp(START));
    assert_eq!(world.refusal(world.get()).await, ("expired_api_key".to_owned(), 401));
    world.application = kept;
    world.change(|application, by| application.keep_api_key(old, by));
    world.clock.set(deadline);
    world.send(world.get()).await.verified();
}

#[tokio::test]
async fn both_signing_keys_verify_during_an_overlap_and_one_after_it() {
    let mut world = World::start().await;
    let with = |world: &World, number| {
        let mut call = world.get();
        call.pair = pair(number);
        call
    };
    let invalid = ("invalid_signature".to_owned(), 401);
    assert_eq!(world.refusal(with(&world, 1)).await, invalid);
    let overlap = SigningKeyReplacement::WithOverlap(HOUR);
    world.change(|application, by| application.replace_signing_key(new_signing_key(pair(1)), overlap, by));
    let fingerprint = |reply: crate::support::Reply| reply.verified()["signingKeyFingerprint"].clone();
    assert_ne!(fingerprint(world.send(with(&world, 0)).await), fingerprint(world.send(with(&world, 1)).await));
    world.clock.set(Timestamp::from_millis(timestamp(START).plus(HOUR).as_millis() - 1));
    world.send(with(&world, 0)).await.verified();
    world.clock.set(timestamp(START).plus(HOUR));
    assert_eq!(world.refusal(with(&world, 0)).await, invalid);
    world.send(with(&world, 1)).await.verified();
}

#[tokio::test]
async fn a_signing_key_that_is_replaced_at_once_no_longer_verifies_until_it_is_restored() {
    let mut world = World::start().await;
    let first = world.application.signing_keys[0].id;
    let now = SigningKeyReplacement::StopNow;
    world.change(|application, by| application.replace_signing_key(new_signing_key(pair(1)), now, by));
    assert_eq!(world.refusal(world.get()).await, ("invalid_signature".to_owned(), 401));
    world.change(|application, by| application.restore_signing_key(first, now, by));
    world.send(world.get()).await.verified();
}

#[tokio::test]
async fn the_state_of_a_key_is_told_only_to_who_has_all_of_it() {
    let mut world = World::start().await;
    world.change(|application, by| application.disable(by));
    let key = world.api_key.reveal();
    // The same public id and a valid checksum with another secret: all that can be forged from what the console shows.
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut public_id = Some(&key.as_bytes()[4..12]);
    let made_up = PlainApiKey::generate(|bytes| {
        random::fill(bytes);
        for (byte, c) in bytes.iter_mut().zip(public_id.take().unwrap_or_default()) {
            *byte = ALPHABET.iter().position(|known| known == c).unwrap() as u8;
        }
    });
    assert_eq!(made_up.prefix(), world.api_key.prefix());
    let made_up = made_up.reveal();
    let call = world.get().without("x-api-key").add("x-api-key", made_up).claim("sub", made_up);
    assert_eq!(world.refusal(call).await, ("invalid_api_key".to_owned(), 401));
    assert_eq!(world.refusal(world.get()).await, ("application_disabled".to_owned(), 403));
}

/// Sends the head of a request that expects 100 Continue. Returns the connection and the body.
async fn without_its_body(world: &World) -> (Connection, Vec<u8>) {
    let call = world.post().add("Expect", "100-continue");
    let bytes = call.bytes();
    let (head, body) = bytes.split_at(bytes.len() - call.body.len());
    let mut connection = world.connect().await;
    connection.write(head).await;
    assert_eq!(connection.read_head().await.unwrap().0, 100);
    (connection, body.to_owned())
}

#[tokio::test]
async fn a_key_that_is_revoked_while_its_requests_body_is_on_the_way_is_refused() {
    let mut world = World::start().await;
    let (mut connection, body) = without_its_body(&world).await;
    let id = world.application.api_keys[0].id;
    world.change(|application, by| application.revoke_api_key(id, by));
    connection.write(&body).await;
    assert_eq!(connection.read().await.unwrap().refusal().0, "revoked_api_key");
}

#[tokio::test]
async fn a_signing_key_that_is_retired_while_its_requests_body_is_on_the_way_verifies_nothing() {
    for (how, later) in [(SigningKeyReplacement::StopNow, 0), (SigningKeyReplacement::WithOverlap(HOUR / 120), 30)] {
        let mut world = World::start().await;
        let (mut connection, body) = without_its_body(&world).await;
        world.change(|application, by| application.replace_signing_key(new_signing_key(pair(1)), how, by));
        world.clock.set(timestamp(START + later));
        connection.write(&body).await;
        let refused = connection.read().await.unwrap();
        assert_eq!(refused.refusal().0, "invalid_signature", "{how:?}");
        let retired = public_key(pair(0)).fingerprint();
        assert_eq!(refused.json()["received"], retired, "it is told which key it was");
    }
}

#[tokio::test]
async fn a_token_that_expires_while_its_body_is_on_the_way_is_refused() {
    let world = World::start().await;
    let (mut connection, body) = without_its_body(&world).await;
    world.clock.set(timestamp(START + 55).plus(LEEWAY));
    connection.write(&body).await;
    assert_eq!(connection.read().await.unwrap().refusal().0, "token_expired");
}
