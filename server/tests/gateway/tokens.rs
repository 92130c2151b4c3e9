//! Forged, mangled and exotic tokens: each is refused for its own reason.

use crate::support::{World, base64url, pair, public_key, sign};
use aws_lc_rs::{
    hmac,
    signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256},
};
use serde_json::json;

#[tokio::test]
async fn an_unsigned_token_is_refused_by_its_algorithm() {
    let world = World::start().await;
    for alg in ["none", "None", "NONE", "nOnE"] {
        let mut call = world.get();
        call.header = json!({"alg": alg});
        let unsigned = format!("{}.", call.signing_input());
        assert_eq!(
            world.send_bytes(&call.bytes_with(&unsigned)).await.refusal(),
            ("unsupported_algorithm".to_owned(), 401)
        );
        assert_eq!(world.refusal(call).await, ("unsupported_algorithm".to_owned(), 401));
    }
}

#[tokio::test]
async fn the_public_key_is_no_hmac_secret() {
    let world = World::start().await;
    let mut call = world.get();
    for (alg, code) in [("HS256", "unsupported_algorithm"), ("RS256", "invalid_signature")] {
        call.header = json!({"alg": alg, "typ": "JWT"});
        for secret in [public_key(pair(0)).pem().into_bytes(), public_key(pair(0)).der().to_vec()] {
            let input = call.signing_input();
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input.as_bytes());
            let token = format!("{input}.{}", base64url(tag));
            assert_eq!(world.send_bytes(&call.bytes_with(&token)).await.refusal(), (code.to_owned(), 401));
        }
    }
}

#[tokio::test]
async fn another_hash_or_padding_is_refused_whatever_the_header_says() {
    let world = World::start().await;
    for (alg, algorithm) in [
        ("RS384", &RSA_PKCS1_SHA384 as &'static dyn aws_lc_rs::signature::RsaEncoding),
        ("RS512", &RSA_PKCS1_SHA512),
        ("PS256", &RSA_PSS_SHA256),
    ] {
        let mut call = world.get();
        let lying = sign(pair(0), algorithm, &call.signing_input());
        assert_eq!(world.send_bytes(&call.bytes_with(&lying)).await.refusal(), ("invalid_signature".to_owned(), 401));
        call.header = json!({"alg": alg});
        let honest = sign(pair(0), algorithm, &call.signing_input());
        let refusal = world.send_bytes(&call.bytes_with(&honest)).await.refusal();
        assert_eq!(refusal, ("unsupported_algorithm".to_owned(), 401));
    }
}

#[tokio::test]
async fn a_signature_that_does_not_verify_is_refused_alike_in_every_case() {
    let world = World::start().await;
    let call = world.get();
    let token = call.token();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature).unwrap();
    let mut flipped = signature.clone();
    flipped[100] ^= 1;
    let longer = [&[0][..], &signature].concat();
    let other_key = sign(pair(1), &RSA_PKCS1_SHA256, input);
    let mut tokens = vec![other_key];
    for wrong in [&flipped[..], &longer, &signature[1..], &signature[..255], b"", &[0; 256], &[0xff; 256], &[0; 512]] {
        tokens.push(format!("{input}.{}", base64url(wrong)));
    }
    for wrong in tokens {
        assert_eq!(world.send_bytes(&call.bytes_with(&wrong)).await.refusal(), ("invalid_signature".to_owned(), 401));
    }
    world.send_bytes(&call.bytes_with(&token)).await.verified();
}

#[tokio::test]
async fn a_key_that_a_token_brings_along_is_not_used() {
    let world = World::start().await;
    let mut call = world.get();
    call.pair = pair(1);
    let numbers = public_key(pair(1));
    call.header = json!({
        "alg": "RS256", "kid": "../../etc/passwd", "jku": "http://attacker.test/jwks", "x5u": "http://attacker.test/x",
        "jwk": {"kty": "RSA", "n": base64url(&numbers.der()[33..289]), "e": "AQAB"}, "x5c": [base64url(numbers.der())]
    });
    assert_eq!(world.refusal(call).await, ("invalid_signature".to_owned(), 401));
    let mut call = world.get();
    call.header = json!({"alg": "RS256", "kid": "anything", "jku": "http://attacker.test/jwks"});
    world.send(call).await.verified();
}

#[tokio::test]
async fn a_token_in_another_form_is_malformed() {
    let world = World::start().await;
    let call = world.get();
    let token = call.token();
    let (input, signature) = token.rsplit_once('.').unwrap();
    for wrong in [
        input.to_owned(),
        format!("{token}.x"),
        format!("{input}..a.b"),
        format!("{input}.{signature}="),
        format!("{input}.{signature}=="),
        format!(" {token}"),
        format!("{input}.{}+", &signature[1..]),
        format!("{input}.{} {}", &signature[..9], &signature[9..]),
        format!("{input}.{}é", &signature[1..]),
        "a".repeat(17 * 1024),
        "e30.e30".to_owned(),
    ] {
        assert_eq!(world.send_bytes(&call.bytes_with(&wrong)).await.refusal(), ("malformed_token".to_owned(), 401));
    }
}

#[tokio::test]
async fn a_header_that_asks_for_an_extension_is_malformed() {
    let world = World::start().await;
    for member in [json!({"crit": ["exp"]}), json!({"b64": false}), json!({"b64": true}), json!({"typ": "at+jwt"})] {
        let mut call = world.get();
        for (name, value) in member.as_object().unwrap() {
            call.header[name] = value.clone();
        }
        assert_eq!(world.refusal(call).await, ("malformed_token".to_owned(), 401));
    }
}

#[tokio::test]
async fn a_member_named_twice_is_malformed_even_when_signed() {
    let world = World::start().await;
    let call = world.get();
    let claims = call.claims.to_string().replacen('{', r#"{"method":"DELETE","#, 1);
    let input = format!("{}.{}", base64url(call.header.to_string()), base64url(claims));
    let token = sign(pair(0), &RSA_PKCS1_SHA256, &input);
    assert_eq!(world.send_bytes(&call.bytes_with(&token)).await.refusal(), ("malformed_token".to_owned(), 401));
    let input = format!("{}.{}", base64url(r#"{"alg":"none","alg":"RS256"}"#), base64url(call.claims.to_string()));
    let token = sign(pair(0), &RSA_PKCS1_SHA256, &input);
    assert_eq!(world.send_bytes(&call.bytes_with(&token)).await.refusal(), ("malformed_token".to_owned(), 401));
}

#[tokio::test]
async fn the_scheme_is_bearer_in_any_case_and_no_other() {
    let world = World::start().await;
    let call = world.get();
    let token = call.token();
    for authorization in ["", "Bearer", "Basic YTpi", "Digest x", &token] {
        let refusal = world.send_bytes(&call.bytes_with_authorization(authorization)).await.refusal();
        assert_eq!(refusal, ("missing_token".to_owned(), 401));
    }
    world.send_bytes(&call.bytes_with_authorization(&format!("bEARer {token}"))).await.verified();
}
