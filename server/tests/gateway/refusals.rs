//! The details of a refusal, and which of several reasons is reported. The codes themselves are in `conformance.toml`.

use crate::support::{START, World, pair};
use serde_json::json;

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
    let call = call.add("x-nuvera-key-id", "x").without("x-api-key").add("Host", "other.test");

    let mut codes = Vec::new();
    let mut next = async |world: &World, call: &crate::support::Call| {
        codes.push(world.send_bytes(&call.bytes()).await.refusal().0)
    };
    next(&world, &call).await;
    let call = call.without("Host").add("Host", "api.test");
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
    ] {
        call.claims[claim] = right;
        next(&world, &call).await;
    }
    call.pair = pair(0);
    next(&world, &call).await;
    call.claims["bodyHash"] = json!(crate::support::sha256_hex(b"body"));
    world.send(world.get().claim("jti", "used")).await.verified();
    next(&world, &call).await;
    call.uri = "/api/v1/customers".to_owned();
    call.claims["uri"] = json!(call.uri);
    for method in ["PUT", "POST"] {
        call.method = method.to_owned();
        call.claims["method"] = json!(method);
        next(&world, &call).await;
    }
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
            "invalid_signature",
            "body_hash_mismatch",
            "unknown_route",
            "method_not_allowed",
            "replay_detected",
        ]
    );
}

#[tokio::test]
async fn another_method_is_told_which_methods_there_are_and_uses_no_token_up() {
    let world = World::start().await;
    let bytes = world.call("DELETE", "/api/v1/customers", b"").bytes();
    for _ in 0..2 {
        let reply = world.send_bytes(&bytes).await;
        assert_eq!(reply.refusal(), ("method_not_allowed".to_owned(), 405));
        assert_eq!(reply.header("allow"), Some("GET, HEAD, POST"));
        assert!(reply.json()["detail"].as_str().unwrap().contains("GET, HEAD, POST"));
    }
    let bytes = world.call("GET", "/api/v1/nothing", b"").bytes();
    for _ in 0..2 {
        let reply = world.send_bytes(&bytes).await;
        assert_eq!(reply.refusal(), ("unknown_route".to_owned(), 404));
        assert_eq!(reply.header("allow"), None);
    }
    // Requests refused for either reason count as a use of the key.
    assert_eq!(world.gateway.usage().drain().api_keys[0].count, 4);
    // The control: an endpoint that exists uses the token up.
    let bytes = world.get().bytes();
    world.send_bytes(&bytes).await.verified();
    assert_eq!(world.send_bytes(&bytes).await.refusal().0, "replay_detected");
}
