//! Every code, with its status, as it is met from outside; and that none was forgotten.

use crate::support::{START, Setup, World, pair, plain_key, timestamp};
use domain::application::Replacement;
use serde_json::json;
use server::gateway::ReplayFence;
use std::{collections::BTreeSet, time::Duration};
use tokio::net::TcpListener;

/// The codes that partners act on, and their statuses.
const ALL: [(&str, u16); 31] = [
    ("application_disabled", 403),
    ("body_hash_mismatch", 401),
    ("body_timeout", 408),
    ("body_too_large", 413),
    ("duplicate_header", 400),
    ("expired_api_key", 401),
    ("invalid_api_key", 401),
    ("invalid_claims", 401),
    ("invalid_signature", 401),
    ("malformed_request", 400),
    ("malformed_token", 401),
    ("method_mismatch", 401),
    ("missing_api_key", 401),
    ("missing_token", 401),
    ("permission_missing", 403),
    ("replay_capacity", 503),
    ("replay_detected", 401),
    ("reserved_header", 400),
    ("revoked_api_key", 401),
    ("subject_mismatch", 401),
    ("token_expired", 401),
    ("token_lifetime_too_long", 401),
    ("token_not_yet_valid", 401),
    ("token_predates_start", 401),
    ("unknown_route", 404),
    ("unsupported_algorithm", 401),
    ("upstream_timeout", 504),
    ("upstream_unavailable", 502),
    ("uri_mismatch", 401),
    ("wrong_audience", 401),
    ("wrong_issuer", 401),
];

#[tokio::test]
async fn every_refusal_has_its_code_and_status() {
    let mut met = from_one_gateway().await;
    met.extend(from_changed_applications().await);
    met.extend(from_other_gateways().await);
    met.push(from_a_slow_body().await);
    let met: BTreeSet<_> = met.iter().map(|(code, status)| (code.as_str(), *status)).collect();
    assert_eq!(met, BTreeSet::from(ALL));
}

async fn from_one_gateway() -> Vec<(String, u16)> {
    let world = World::start().await;
    let used = world.get();
    world.send_bytes(&used.bytes()).await.verified();
    let mut unsigned = world.get();
    unsigned.header = json!({"alg": "none"});
    let mut critical = world.get();
    critical.header["crit"] = json!(["exp"]);
    let mut signed_by_another = world.get();
    signed_by_another.pair = pair(1);
    let mut other_body = world.post();
    other_body.body.push(b' ');
    let large = vec![0; 1024 * 1024 + 1];
    let mut met = vec![
        world.send_bytes(&world.get().bytes_with_authorization("")).await.refusal(),
        world.send(used).await.refusal(),
    ];
    for call in [
        world.get().add("Upgrade", "websocket"),
        world.get().add("x-api-key", "twice"),
        world.get().add("x-nuvera-key-id", "me"),
        world.get().without("x-api-key"),
        world.get().without("x-api-key").add("x-api-key", plain_key().reveal()),
        critical,
        unsigned,
        world.get().claim("iss", "x"),
        world.get().claim("aud", "x"),
        world.get().claim("aud", json!(["nuvera-rest-api"])),
        world.get().claim("sub", plain_key().reveal()),
        world.get().claim("method", "POST"),
        world.get().claim("uri", "/"),
        world.get().claim("iat", START - 100).claim("exp", START - 50),
        world.get().claim("iat", START + 100).claim("exp", START + 150),
        world.get().claim("exp", START + 61),
        world.call("POST", "/api/v1/customers", &large),
        other_body,
        signed_by_another,
        world.call("GET", "/api/v1/nothing", b""),
        world.call("GET", "/api/v1/payment/quote/1", b""),
    ] {
        met.push(world.refusal(call).await);
    }
    met
}

async fn from_changed_applications() -> Vec<(String, u16)> {
    let mut met = Vec::new();
    let mut world = World::start().await;
    world.change(|application, by| application.disable(by));
    met.push(world.refusal(world.get()).await);

    let mut world = World::start().await;
    let id = world.application.api_keys[0].id;
    world.change(|application, by| application.revoke_api_key(id, by));
    met.push(world.refusal(world.get()).await);

    let mut world = World::start().await;
    let new = crate::support::new_api_key(&plain_key(), &world.pepper);
    let grace = Replacement::WithGrace(Duration::from_secs(1));
    world.change(|application, by| application.replace_api_key(new, grace, by));
    world.clock.set(timestamp(START + 1));
    met.push(world.refusal(world.get()).await);
    met
}

async fn from_other_gateways() -> Vec<(String, u16)> {
    let mut met = Vec::new();
    let world = Setup::with(|setup| setup.settings.replay_capacity = 0).start().await;
    met.push(world.refusal(world.get()).await);

    let world =
        Setup::with(|setup| setup.fence = ReplayFence { refuse_issued_at_or_before: Some(START) }).start().await;
    met.push(world.refusal(world.get()).await);

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: http::Uri = format!("http://{}", silent.local_addr().unwrap()).parse().unwrap();
    let impatient = Setup::with(|setup| {
        setup.settings.upstream = Some(uri.clone());
        setup.settings.upstream_timeout = Duration::from_millis(20);
    });
    let world = impatient.start().await;
    met.push(world.refusal(world.get()).await);
    drop(silent);
    let world = Setup::with(|setup| setup.settings.upstream = Some(uri)).start().await;
    met.push(world.refusal(world.get()).await);
    met
}

/// The gateway waits for the body once it has said "100 Continue": from then on the time is the test's.
async fn from_a_slow_body() -> (String, u16) {
    let world = World::start().await;
    let call = world.post().add("Expect", "100-continue");
    let bytes = call.bytes();
    let mut connection = world.connect().await;
    connection.write(&bytes[..bytes.len() - 3]).await;
    assert_eq!(connection.read_head().await.unwrap().0, 100);
    tokio::time::pause();
    let reply = connection.read().await.unwrap();
    tokio::time::resume();
    reply.refusal()
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let world = World::start().await;
    let reply = world.send(world.get().claim("uri", "/api/v1/customers")).await;
    assert_eq!(reply.refusal().0, "uri_mismatch");
    let problem = reply.json();
    assert_eq!(problem["title"], "URI differs from the token's");
    assert_eq!(problem["expected"], "/api/v1/customers?limit=20");
    assert_eq!(problem["received"], "/api/v1/customers");
    assert!(problem["detail"].as_str().unwrap().starts_with("Set the claim `uri` to the path and query"));
    assert_eq!(reply.header("www-authenticate"), Some(r#"Bearer realm="nuvera-rest-api", error="invalid_token""#));
    let reply = world.send(world.get().without("x-api-key")).await;
    assert_eq!(reply.header("www-authenticate"), Some(r#"Bearer realm="nuvera-rest-api""#));
}

#[tokio::test]
async fn the_first_reason_in_the_agreed_order_is_told() {
    let mut world = World::start().await;
    world.change(|application, by| application.disable(by));
    let mut call = world.call("POST", "/api/v1/payment/quote", b"body");
    call.header["alg"] = json!("none");
    call.pair = pair(1);
    call.claims["jti"] = json!("used");
    for (claim, wrong) in [("iss", "x"), ("aud", "x"), ("sub", "x"), ("method", "x"), ("uri", "x")] {
        call.claims[claim] = json!(wrong);
    }
    call.claims["exp"] = json!(START);
    call.claims["bodyHash"] = json!("x");
    let key = world.api_key.reveal().to_owned();
    let call = call.add("x-nuvera-key-id", "x").without("x-api-key").add("Upgrade", "x");

    let mut codes = Vec::new();
    let mut next = async |world: &World, call: &crate::support::Call| {
        codes.push(world.send_bytes(&call.bytes()).await.refusal().0)
    };
    next(&world, &call).await;
    let call = call.without("Upgrade");
    next(&world, &call).await;
    let call = call.without("x-nuvera-key-id");
    next(&world, &call).await;
    let call = call.add("x-api-key", "nonsense");
    next(&world, &call).await;
    let mut call = call.without("x-api-key").add("x-api-key", &key);
    next(&world, &call).await;
    world.change(|application, by| application.enable(by));
    next(&world, &call).await;
    call.header["alg"] = json!("RS256");
    next(&world, &call).await;
    for (claim, right) in [
        ("iss", json!("nuvera-api")),
        ("aud", json!("nuvera-rest-api")),
        ("sub", json!(key)),
        ("method", json!("POST")),
        ("uri", json!("/api/v1/payment/quote")),
        ("exp", json!(START + 60)),
        ("bodyHash", json!("0".repeat(64))),
        ("bodyHash", json!(crate::support::sha256_hex(b"body"))),
    ] {
        call.claims[claim] = right;
        next(&world, &call).await;
    }
    call.pair = pair(0);
    world.send(world.get().claim("jti", "used")).await.verified();
    next(&world, &call).await;
    call.claims["jti"] = json!("new");
    next(&world, &call).await;
    assert_eq!(
        codes,
        [
            "malformed_request",
            "reserved_header",
            "missing_api_key",
            "invalid_api_key",
            "application_disabled",
            "unsupported_algorithm",
            "wrong_issuer",
            "wrong_audience",
            "subject_mismatch",
            "method_mismatch",
            "uri_mismatch",
            "invalid_claims",
            "invalid_claims",
            "body_hash_mismatch",
            "invalid_signature",
            "replay_detected",
            "unknown_route",
        ]
    );
}
