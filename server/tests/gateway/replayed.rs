//! A token is accepted once, whichever client sends it, however often at the same time, and across restarts.

use crate::support::{
    Call, Connection, LEEWAY, START, Setup, World, new_api_key, new_signing_key, pair, plain_key, restart, timestamp,
};
use domain::{
    application::{ApiApplication, By, NewApplication},
    id::ApplicationId,
    text::ApplicationName,
};
use server::{gateway::ReplayFence, random};

fn replayed() -> (String, u16) {
    ("replay_detected".to_owned(), 401)
}

#[tokio::test]
async fn a_token_is_accepted_once() {
    let world = World::start().await;
    let call = world.get();
    let bytes = call.bytes();
    world.send_bytes(&bytes).await.verified();
    assert_eq!(world.send_bytes(&bytes).await.refusal(), replayed());
    // The `jti` is compared, not the token's text.
    assert_eq!(world.refusal(call.claim("exp", START + 30)).await, replayed());
}

#[tokio::test]
async fn a_refused_request_does_not_use_its_jti_up() {
    let mut world = World::start().await;
    let call = world.post();
    let bytes = call.bytes();
    let wrong_signature = {
        let token = call.token();
        call.bytes_with(&format!("{}AAAA", &token[..token.len() - 4]))
    };
    let mut wrong_body = bytes.clone();
    *wrong_body.last_mut().unwrap() = b']';
    for (wrong, code) in [(wrong_signature, "invalid_signature"), (wrong_body, "body_hash_mismatch")] {
        assert_eq!(world.send_bytes(&wrong).await.refusal().0, code);
    }
    world.change(|application, by| application.disable(by));
    assert_eq!(world.send_bytes(&bytes).await.refusal().0, "application_disabled");
    world.change(|application, by| application.enable(by));
    world.send_bytes(&bytes).await.verified();
}

#[tokio::test]
async fn a_request_without_permission_uses_its_jti_up_all_the_same() {
    let world = World::start().await;
    let bytes = world.call("GET", "/api/v1/payment/quote/q-1", b"").bytes();
    assert_eq!(world.send_bytes(&bytes).await.refusal().0, "permission_missing");
    assert_eq!(world.send_bytes(&bytes).await.refusal(), replayed());
}

#[tokio::test]
async fn two_applications_may_use_the_same_jti() {
    let world = World::start().await;
    let api_key = plain_key();
    let new = NewApplication {
        id: ApplicationId(random::uuid(timestamp(START))),
        name: ApplicationName::new("Another").unwrap(),
        permissions: world.application.permissions,
        signing_key: new_signing_key(pair(0)),
        api_key: new_api_key(&api_key, &world.pepper),
    };
    let by = By { actor: &crate::support::actor(), at: timestamp(START), reason: None };
    world.gateway.snapshot().apply(&ApiApplication::create(new, by).application);
    world.send(world.get().claim("jti", "same")).await.verified();
    let call = world.get().claim("jti", "same").claim("sub", api_key.reveal());
    let call = call.without("x-api-key").add("x-api-key", api_key.reveal());
    let bytes = call.bytes();
    world.send_bytes(&bytes).await.verified();
    assert_eq!(world.send_bytes(&bytes).await.refusal(), replayed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_copies_sent_at_the_same_time_one_is_accepted() {
    const TOKENS: usize = 300;
    const COPIES: usize = 4;
    let world = World::start().await;
    let tokens: std::sync::Arc<Vec<Vec<u8>>> = std::sync::Arc::new((0..TOKENS).map(|_| world.get().bytes()).collect());
    let begin = std::sync::Arc::new(tokio::sync::Barrier::new(COPIES));
    let senders: Vec<_> = (0..COPIES)
        .map(|_| {
            let (tokens, begin, address) = (tokens.clone(), begin.clone(), world.address);
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await;
                let mut accepted = vec![0; TOKENS];
                for (token, accepted) in tokens.iter().zip(&mut accepted) {
                    begin.wait().await;
                    connection.write(token).await;
                    let reply = connection.read().await.unwrap();
                    match reply.status {
                        200 => *accepted += 1,
                        _ => assert_eq!(reply.refusal(), replayed()),
                    }
                }
                accepted
            })
        })
        .collect();
    let mut accepted = vec![0; TOKENS];
    for sender in senders {
        for (all, one) in accepted.iter_mut().zip(sender.await.unwrap()) {
            *all += one;
        }
    }
    assert_eq!(accepted, vec![1; TOKENS]);
}

#[tokio::test]
async fn a_jti_stays_used_for_as_long_as_its_token_lives_and_when_the_clock_is_set_back() {
    let world = World::start().await;
    let bytes = world.get().bytes();
    world.send_bytes(&bytes).await.verified();
    world.clock.set(domain::time::Timestamp::from_millis(timestamp(START + 55).plus(LEEWAY).as_millis() - 1));
    assert_eq!(world.send_bytes(&bytes).await.refusal(), replayed());
    // Hours later its entry has been evicted; then the clock is set back to a time at which the token would be valid.
    world.clock.set(timestamp(START + 7200));
    for _ in 0..500 {
        world.send(world.get()).await.verified();
    }
    world.clock.set(timestamp(START));
    assert_eq!(world.send_bytes(&bytes).await.refusal().0, "token_expired");
}

#[tokio::test]
async fn what_cannot_be_remembered_is_refused_until_there_is_room_again() {
    let world = Setup::with(|setup| setup.settings.replay_capacity = 2).start().await;
    let first = world.get().bytes();
    world.send_bytes(&first).await.verified();
    world.send(world.get()).await.verified();
    let reply = world.send(world.get()).await;
    assert_eq!(reply.refusal(), ("replay_capacity".to_owned(), 503));
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(world.send_bytes(&first).await.refusal(), replayed());
    world.clock.set(timestamp(START + 200));
    world.send(world.get()).await.verified();
}

#[tokio::test]
async fn no_token_from_before_a_clean_stop_is_accepted_after_the_start() {
    let world = World::start().await;
    assert_eq!(world.gateway.latest_accepted_issued_at(), None);
    let at = |world: &World, seconds: i64| world.get().claim("iat", START + seconds).claim("exp", START + seconds + 55);
    let accepted: Vec<Vec<u8>> = [0, 3, -2].map(|seconds| at(&world, seconds).bytes()).to_vec();
    for bytes in &accepted {
        world.send_bytes(bytes).await.verified();
    }
    let unused = at(&world, 3).bytes();
    let latest = world.gateway.latest_accepted_issued_at();
    assert_eq!(latest, Some(START + 3));
    let world = restart(world, ReplayFence { refuse_issued_at_or_before: latest, ..ReplayFence::default() }).await;
    for bytes in accepted.iter().chain([&unused]) {
        let reply = world.send_bytes(bytes).await;
        assert_eq!(reply.refusal(), ("token_predates_start".to_owned(), 401));
        assert_eq!(reply.header("retry-after"), Some("4"));
    }
    world.send(at(&world, 4)).await.verified();
    // A run reports only tokens that it accepted itself: its own replay fence does not count.
    let world =
        restart(world, ReplayFence { refuse_issued_at_or_before: Some(START + 4), ..ReplayFence::default() }).await;
    assert_eq!(world.gateway.latest_accepted_issued_at(), None);
}

#[tokio::test]
async fn after_a_crash_every_token_that_was_acceptable_before_is_refused() {
    let world = World::start().await;
    let acceptable = |world: &World| -> Vec<Call> {
        let before = |seconds: i64| world.get().claim("iat", START + seconds).claim("exp", START + seconds + 60);
        (-64..=5).map(before).collect()
    };
    let kept: Vec<Vec<u8>> = acceptable(&world).iter().map(Call::bytes).collect();
    for bytes in &kept {
        world.send_bytes(bytes).await.verified();
    }
    let fence = ReplayFence {
        refuse_issued_at_or_before: Some(world.clock.now().plus(LEEWAY).as_seconds()),
        ..ReplayFence::default()
    };
    let world = restart(world, fence).await;
    for bytes in &kept {
        assert_eq!(world.send_bytes(bytes).await.refusal().0, "token_predates_start");
    }
    world.clock.set(timestamp(START + 6));
    world.send(world.get()).await.verified();
}
