//! Tokens: the input is first taken for a whole token, then for a header and claims that are encoded properly, so that
//! the JSON behind the base64 is reached as well.

#![no_main]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    request::{BoundRequest, UnverifiedToken, bearer_token},
    time::Timestamp,
};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fuzz_target!(|input: &[u8]| {
    let _ = bearer_token(input).map(judge);
    judge(input);
    let mut halves = input.splitn(2, |&byte| byte == 0);
    let (header, claims) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    for header in [header, br#"{"alg":"RS256"}"#] {
        let token = format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        judge(token.as_bytes());
    }
});

fn judge(bytes: &[u8]) {
    let token = match UnverifiedToken::parse(bytes) {
        Ok(token) => token,
        Err(refusal) => return told(&refusal),
    };
    // One sequence of bytes has one text only: what was decoded encodes to what was sent.
    let (input, signature) = (token.signing_input(), token.signature());
    let (head, tail) = bytes.split_at(input.len());
    assert_eq!(head, input);
    assert_eq!(tail, format!(".{}", URL_SAFE_NO_PAD.encode(signature)).as_bytes());
    for segment in input.split(|&byte| byte == b'.') {
        let decoded = URL_SAFE_NO_PAD.decode(segment).expect("a token that was taken is base64url");
        assert_eq!(URL_SAFE_NO_PAD.encode(decoded).as_bytes(), segment);
    }
    let request = BoundRequest { api_key: b"nvk_x", method: "GET", uri: "/" };
    match token.claims() {
        Ok(claims) => {
            let leeway = Duration::from_secs(5);
            if let Err(refusal) = claims.check(&request, NOW, leeway) {
                told(&refusal);
            }
            if claims.check_times(NOW, leeway).is_ok() {
                let (iat, exp) = (claims.issued_at(), claims.expires_at());
                assert!((1..=60).contains(&(exp - iat)) && iat <= 1_800_000_005 && exp > 1_799_999_995);
            }
            let _ = claims.check_body(&[0; 32]);
        }
        Err(refusal) => told(&refusal),
    }
}

/// What is told of a refusal never holds a control character that could end a log line, and has an end.
fn told(refusal: &domain::request::Refusal) {
    let detail = refusal.detail();
    assert!(!detail.contains(char::is_control) && detail.len() < 4096, "{detail:?}");
    if let Some(comparison) = refusal.comparison() {
        assert!(!comparison.received.contains(char::is_control) && comparison.received.chars().count() <= 201);
    }
}
