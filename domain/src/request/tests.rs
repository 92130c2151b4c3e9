use super::*;
use crate::{permission::Area, time::Timestamp};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

const KEY: &str = "nvk_Abcd1234_0123456789abcdefghijABCDEFGHIJ012a1b2c3";
const IAT: i64 = 1_800_000_000;
const NOW: Timestamp = Timestamp::from_millis(IAT * 1000);
const LEEWAY: Duration = Duration::from_secs(5);
const EMPTY_BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const REQUEST: BoundRequest<'_> =
    BoundRequest { api_key: KEY.as_bytes(), method: "POST", uri: "/api/v1/customers?limit=20" };

fn claims() -> Value {
    json!({
        "iss": "nuvera-api", "aud": "nuvera-rest-api", "sub": KEY, "method": "POST",
        "uri": "/api/v1/customers?limit=20", "bodyHash": EMPTY_BODY, "iat": IAT, "exp": IAT + 60, "jti": "j-1"
    })
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

fn without(claim: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(claim);
    claims
}

fn compact(header: &str, claims: &str) -> String {
    format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

fn judge_at(token: &str, now: Timestamp) -> Result<(), Refusal> {
    UnverifiedToken::parse(token.as_bytes())?.claims()?.check(&REQUEST, now, LEEWAY)
}

fn judge(token: &str) -> Result<(), Refusal> {
    judge_at(token, NOW)
}

fn judge_header(header: &str) -> Result<(), Refusal> {
    judge(&compact(header, &claims().to_string()))
}

fn judge_claims(claims: &Value) -> Result<(), Refusal> {
    judge(&compact(r#"{"alg":"RS256","typ":"JWT"}"#, &claims.to_string()))
}

fn invalid(claim: &'static str, problem: ClaimProblem) -> Result<(), Refusal> {
    Err(Refusal::InvalidClaims { claim, problem })
}

fn malformed(problem: TokenProblem) -> Result<(), Refusal> {
    Err(Refusal::MalformedToken(problem))
}

#[test]
fn the_published_form_is_accepted() {
    assert_eq!(judge_claims(&claims()), Ok(()));
    assert_eq!(judge_header(r#"{"alg":"RS256"}"#), Ok(()));
    assert_eq!(judge_header(r#" { "typ" : "jwt" , "alg" : "\u0052S256" } "#), Ok(()));
}

#[test]
fn what_points_to_a_key_or_means_nothing_is_ignored() {
    let header = r#"{"alg":"RS256","kid":"1","jku":"//x","x5u":"//x","jwk":{"kty":"RSA"},"x5c":[],"cty":"x"}"#;
    assert_eq!(judge_header(header), Ok(()));
    assert_eq!(judge_claims(&with("role", json!({"admin": [true, null, -1.5e9]}))), Ok(()));
}

#[test]
fn only_rs256_is_an_algorithm() {
    for alg in ["none", "None", "NONE", "HS256", "RS384", "RS512", "PS256", "ES256", "rs256", "RS256 ", ""] {
        let refused = judge_header(&json!({"alg": alg}).to_string());
        assert_eq!(refused, Err(Refusal::UnsupportedAlgorithm { received: alg.into() }));
    }
    for header in [r"{}", r#"{"alg":null}"#, r#"{"alg":256}"#, r#"{"alg":["RS256"]}"#, r#"{"Alg":"RS256"}"#] {
        assert_eq!(judge_header(header).unwrap_err().code(), "unsupported_algorithm", "{header}");
    }
    // The signature of an unsecured token is empty, but its algorithm is the error that is reported.
    let unsecured = compact(r#"{"alg":"none"}"#, &claims().to_string()).replace("c2ln", "");
    assert_eq!(judge(&unsecured).unwrap_err().code(), "unsupported_algorithm");
}

#[test]
fn a_header_that_asks_for_more_is_refused() {
    let refused = |member: &str| judge_header(&format!(r#"{{"alg":"RS256",{member}}}"#));
    assert_eq!(refused(r#""crit":[]"#), malformed(TokenProblem::Critical));
    assert_eq!(refused(r#""crit":["exp"]"#), malformed(TokenProblem::Critical));
    assert_eq!(refused(r#""b64":false"#), malformed(TokenProblem::Unencoded));
    assert_eq!(refused(r#""typ":"JOSE""#), malformed(TokenProblem::Type));
    assert_eq!(refused(r#""typ":1"#), malformed(TokenProblem::Type));
    assert_eq!(refused(r#""typ":"at+jwt""#), malformed(TokenProblem::Type));
}

#[test]
fn a_token_has_three_segments_of_canonical_base64url() {
    let good = compact(r#"{"alg":"RS256"}"#, &claims().to_string());
    let (head, _) = good.rsplit_once('.').unwrap();
    assert_eq!(judge(""), malformed(TokenProblem::Segments(1)));
    assert_eq!(judge(head), malformed(TokenProblem::Segments(2)));
    assert_eq!(judge(&format!("{good}.a")), malformed(TokenProblem::Segments(4)));
    assert_eq!(judge(&format!("{good}.a.b")), malformed(TokenProblem::Segments(5)));
    // "c2ln" is "sig" and "c2k" is "si". The last character of "c2l" has non-zero trailing bits.
    assert_eq!(judge(&format!("{head}.c2k")), Ok(()));
    for bad in ["c2l", "c2k=", "c2ln=", "c", "c2 n", "c2ln\n", " c2ln", "c2+n", "c2/n", "c2é"] {
        assert_eq!(judge(&format!("{head}.{bad}")), malformed(TokenProblem::Base64(Part::Signature)), "{bad:?}");
    }
    assert_eq!(judge(&format!("={good}")), malformed(TokenProblem::Base64(Part::Header)));
    assert_eq!(judge(&good.replacen('.', ".=", 1)), malformed(TokenProblem::Base64(Part::Claims)));
}

#[test]
fn a_token_of_a_megabyte_is_refused_by_its_length() {
    let long = format!("{}{}", compact(r#"{"alg":"RS256"}"#, "{}"), "A".repeat(1 << 20));
    assert_eq!(judge(&long), malformed(TokenProblem::TooLong));
    let limit = with("jti", json!("j".repeat(20_000)));
    assert_eq!(judge_claims(&limit), malformed(TokenProblem::TooLong));
}

#[test]
fn a_member_named_twice_is_refused_wherever_it_stands() {
    let repeated = |part, name: &str| malformed(TokenProblem::RepeatedMember(part, name.into()));
    assert_eq!(judge_header(r#"{"alg":"RS256","alg":"RS256"}"#), repeated(Part::Header, "alg"));
    assert_eq!(judge_header(r#"{"alg":"none","a\u006cg":"RS256"}"#), repeated(Part::Header, "alg"));
    assert_eq!(judge_header(r#"{"alg":"RS256","jwk":{"n":1,"n":2}}"#), repeated(Part::Header, "n"));
    let doubled = |member: &str| {
        let claims = claims().to_string().replacen('{', &format!("{{{member},"), 1);
        judge(&compact(r#"{"alg":"RS256"}"#, &claims))
    };
    for claim in ["iss", "aud", "sub", "method", "uri", "bodyHash", "iat", "exp", "jti"] {
        assert_eq!(doubled(&format!(r#""{claim}":null"#)), repeated(Part::Claims, claim));
    }
    assert_eq!(doubled(r#""deep":[[{"x":{"y":0,"y":0}}]]"#), repeated(Part::Claims, "y"));
    assert_eq!(doubled(r#""a":{"z":1},"b":{"z":1}"#), Ok(()));
}

#[test]
fn what_is_not_a_json_object_is_refused() {
    for (claims, problem) in [
        ("", TokenProblem::Json(Part::Claims)),
        ("{", TokenProblem::Json(Part::Claims)),
        ("{} {}", TokenProblem::Json(Part::Claims)),
        ("{'a':1}", TokenProblem::Json(Part::Claims)),
        ("{\"a\":1,}", TokenProblem::Json(Part::Claims)),
        ("{\"a\":01}", TokenProblem::Json(Part::Claims)),
        ("{\"a\":NaN}", TokenProblem::Json(Part::Claims)),
        ("{\"a\":\"\\ud800\"}", TokenProblem::Json(Part::Claims)),
        ("{\"a\":\"\u{0}\"}", TokenProblem::Json(Part::Claims)),
        ("\u{feff}{}", TokenProblem::Json(Part::Claims)),
        ("[]", TokenProblem::NotAnObject(Part::Claims)),
        ("null", TokenProblem::NotAnObject(Part::Claims)),
        ("\"iss\"", TokenProblem::NotAnObject(Part::Claims)),
    ] {
        assert_eq!(judge(&compact(r#"{"alg":"RS256"}"#, claims)), malformed(problem), "{claims}");
    }
    let not_utf8 = URL_SAFE_NO_PAD.encode(b"{\"iss\":\"\xff\"}");
    let token = format!("{}.{not_utf8}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#));
    assert_eq!(judge(&token), malformed(TokenProblem::Json(Part::Claims)));
}

#[test]
fn nesting_and_size_are_no_danger() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(6000), "]".repeat(6000));
    assert_eq!(judge(&compact(r#"{"alg":"RS256"}"#, &deep)), malformed(TokenProblem::Json(Part::Claims)));
    let members: Vec<_> = (0..1000).map(|n| format!("\"{n}\":0")).collect();
    let wide = format!("{{{}}}", members.join(","));
    assert_eq!(judge(&compact(r#"{"alg":"RS256"}"#, &wide)), malformed(TokenProblem::TooManyMembers(Part::Claims)));
}

#[test]
fn each_claim_must_be_there_with_its_type() {
    for claim in ["iss", "aud", "sub", "method", "uri", "bodyHash", "iat", "exp", "jti"] {
        assert_eq!(judge_claims(&without(claim)), invalid(claim, ClaimProblem::Missing));
    }
    for claim in ["iss", "aud", "sub", "method", "uri", "bodyHash", "jti"] {
        let wrong = |value, found| {
            let problem = match claim {
                "aud" => ClaimProblem::NotTextOrListOfOne { found },
                _ => ClaimProblem::NotText { found },
            };
            assert_eq!(judge_claims(&with(claim, value)), invalid(claim, problem));
        };
        wrong(json!(null), "null");
        wrong(json!(7), "a number");
        wrong(json!([]), "a list");
        wrong(json!([7]), "a list");
        wrong(json!(["nuvera-rest-api", "nuvera-rest-api"]), "a list");
        wrong(json!(["nuvera-rest-api", "another"]), "a list");
        wrong(json!([["nuvera-rest-api"]]), "a list");
        wrong(json!({}), "an object");
        if claim != "aud" {
            wrong(json!(["nuvera-rest-api"]), "a list");
        }
    }
}

#[test]
fn one_audience_may_stand_in_a_list() {
    assert_eq!(judge_claims(&with("aud", json!(["nuvera-rest-api"]))), Ok(()));
    let received = "another".to_owned();
    assert_eq!(judge_claims(&with("aud", json!(["another"]))), Err(Refusal::WrongAudience { received }));
    let repeated = with("aud", json!("HERE")).to_string().replace("\"HERE\"", r#"["nuvera-rest-api", {"a":0,"a":0}]"#);
    let flaw = malformed(TokenProblem::RepeatedMember(Part::Claims, "a".to_owned()));
    assert_eq!(judge(&compact(r#"{"alg":"RS256"}"#, &repeated)), flaw);
}

#[test]
fn a_time_is_a_whole_number_that_every_reader_agrees_on() {
    for claim in ["iat", "exp", "nbf"] {
        let found = |text: &str| {
            let claims = with(claim, json!("HERE")).to_string().replace("\"HERE\"", text);
            match judge(&compact(r#"{"alg":"RS256"}"#, &claims)) {
                Err(Refusal::InvalidClaims { claim: named, problem: ClaimProblem::NotSeconds { found } }) => {
                    assert_eq!(named, claim);
                    found
                }
                other => panic!("{text}: {other:?}"),
            }
        };
        assert_eq!(found("\"1800000000\""), "a string");
        assert_eq!(found("1800000000.0"), "a number with a fraction or an exponent");
        assert_eq!(found("1.8e9"), "a number with a fraction or an exponent");
        assert_eq!(found("-1800000000"), "a negative number");
        assert_eq!(found("9007199254740993"), "a number beyond 2^53");
        assert_eq!(found("18446744073709551615"), "a number beyond 2^53");
        assert_eq!(found("99999999999999999999"), "a number with a fraction or an exponent");
        assert_eq!(found("null"), "null");
        assert_eq!(found("true"), "a boolean");
    }
}

#[test]
fn a_token_is_bound_to_its_request() {
    for (claim, wrong, code) in [
        ("iss", "nuvera", "wrong_issuer"),
        ("aud", "nuvera-api", "wrong_audience"),
        ("sub", "nvk_Abcd1234", "subject_mismatch"),
        ("sub", "nvk_Abcd1234_0123456789abcdefghijABCDEFGHIJ012a1b2c4", "subject_mismatch"),
        ("method", "post", "method_mismatch"),
        ("method", "GET", "method_mismatch"),
        ("uri", "/api/v1/customers?limit=21", "uri_mismatch"),
        ("uri", "/api/v1/customers?limit=20&", "uri_mismatch"),
        ("uri", "/api/v1/customers/?limit=20", "uri_mismatch"),
        ("uri", "/api/v1/custome%72s?limit=20", "uri_mismatch"),
        ("uri", "/api/v1/customers?limit=20#top", "uri_mismatch"),
        ("uri", "http://api/api/v1/customers?limit=20", "uri_mismatch"),
    ] {
        assert_eq!(judge_claims(&with(claim, json!(wrong))).unwrap_err().code(), code, "{claim} {wrong}");
    }
}

#[test]
fn the_first_reason_in_the_agreed_order_is_told() {
    let mut all_wrong = json!({
        "iss": "x", "aud": "x", "sub": "x", "method": "x", "uri": "x", "bodyHash": "x", "iat": IAT, "exp": IAT, "jti": ""
    });
    let mut codes = Vec::new();
    for claim in ["iss", "aud", "sub", "method", "uri", "exp", "jti", "bodyHash"] {
        codes.push(judge_claims(&all_wrong).unwrap_err().code());
        all_wrong[claim] = claims()[claim].clone();
    }
    assert_eq!(
        codes,
        [
            "wrong_issuer",
            "wrong_audience",
            "subject_mismatch",
            "method_mismatch",
            "uri_mismatch",
            "invalid_claims",
            "invalid_claims",
            "invalid_claims"
        ]
    );
    assert_eq!(judge_claims(&all_wrong), Ok(()));
}

#[test]
fn a_token_lives_sixty_seconds_at_most_and_not_less_than_one() {
    let exp = |after: i64| judge_claims(&with("exp", json!(IAT + after)));
    assert_eq!(exp(60), Ok(()));
    assert_eq!(exp(1), Ok(()));
    assert_eq!(exp(61), Err(Refusal::TokenLifetimeTooLong { seconds: 61 }));
    assert_eq!(exp(0), invalid("exp", ClaimProblem::NotAfterIat));
    assert_eq!(exp(-1), invalid("exp", ClaimProblem::NotAfterIat));
    assert_eq!(
        judge_claims(&with("exp", json!(1_u64 << 53))),
        Err(Refusal::TokenLifetimeTooLong { seconds: (1 << 53) - IAT })
    );
}

#[test]
fn a_token_is_accepted_from_one_leeway_before_its_issue_to_one_leeway_after_its_expiry() {
    let token = compact(r#"{"alg":"RS256"}"#, &claims().to_string());
    let at = |millis: i64| judge_at(&token, Timestamp::from_millis(NOW.as_millis() + millis));
    let (first, end) = (-5_000, 65_000);
    let now = Timestamp::from_millis(NOW.as_millis() + first - 1);
    assert_eq!(at(first - 1), Err(Refusal::TokenNotYetValid { starts_at: IAT, now }));
    assert_eq!(at(first), Ok(()));
    assert_eq!(at(end - 1), Ok(()));
    let now = Timestamp::from_millis(NOW.as_millis() + end);
    assert_eq!(at(end), Err(Refusal::TokenExpired { expired_at: IAT + 60, now }));
}

#[test]
fn a_token_that_says_not_before_is_taken_at_its_word() {
    assert_eq!(judge_claims(&with("nbf", json!(IAT))), Ok(()));
    assert_eq!(judge_claims(&with("nbf", json!(IAT + 5))), Ok(()));
    let refused = Refusal::TokenNotYetValid { starts_at: IAT + 6, now: NOW };
    assert_eq!(judge_claims(&with("nbf", json!(IAT + 6))), Err(refused));
}

#[test]
fn a_jti_has_one_to_128_characters() {
    let jti = |text: String| judge_claims(&with("jti", json!(text)));
    assert_eq!(jti("é".repeat(128)), Ok(()));
    assert_eq!(jti("é".repeat(129)), invalid("jti", ClaimProblem::JtiLength(129)));
    assert_eq!(jti(String::new()), invalid("jti", ClaimProblem::JtiLength(0)));
}

#[test]
fn a_body_hash_is_64_lower_case_hex_digits() {
    for wrong in [EMPTY_BODY.to_uppercase(), EMPTY_BODY[1..].to_owned(), format!("{EMPTY_BODY}0"), "g".repeat(64)] {
        assert_eq!(judge_claims(&with("bodyHash", json!(wrong))), invalid("bodyHash", ClaimProblem::NotALowerHexHash));
    }
}

#[test]
fn a_body_must_have_the_hash_that_was_signed() {
    let token = compact(r#"{"alg":"RS256"}"#, &claims().to_string());
    let token = UnverifiedToken::parse(token.as_bytes()).unwrap();
    let claims = token.claims().unwrap();
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(EMPTY_BODY.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
    }
    assert_eq!(claims.check_body(&hash), Ok(()));
    hash[31] ^= 1;
    let refused = claims.check_body(&hash).unwrap_err();
    let comparison = refused.comparison().unwrap();
    assert_eq!(refused.code(), "body_hash_mismatch");
    assert_eq!(comparison.expected, format!("{}4", &EMPTY_BODY[..63]));
    assert_eq!(comparison.received, EMPTY_BODY);
}

#[test]
fn a_bearer_token_is_taken_out_of_its_header() {
    assert_eq!(bearer_token(b"Bearer a.b.c"), Some(&b"a.b.c"[..]));
    assert_eq!(bearer_token(b"bEARER a.b.c"), Some(&b"a.b.c"[..]));
    for none in [&b""[..], b"Bearer", b"Bearer ", b"Basic YTpi", b"a.b.c", b"Bearer\ta.b.c", b"DPoP a.b.c"] {
        assert_eq!(bearer_token(none), None);
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let jwt = compact(r#"{"alg":"RS256"}"#, &claims().to_string());
    assert_eq!(masked("/api/v1/customers?limit=20"), "/api/v1/customers?limit=20");
    assert_eq!(masked(&format!("/a/{KEY}?k={KEY}&x=1")), "/a/nvk_Abcd1234…?k=nvk_Abcd1234…&x=1");
    assert_eq!(masked(&format!("/a?t={jwt}")), "/a?t=eyJhbGciOiJS…");
    assert_eq!(masked("a\nb\u{1b}"), "a\u{FFFD}b\u{FFFD}");
    for claim in ["iss", "aud", "method", "uri"] {
        for secret in [KEY, &jwt, &format!("x{KEY}"), &format!("Bearer {jwt}")] {
            let refused = judge_claims(&with(claim, json!(secret))).unwrap_err();
            let told = format!("{refused} {refused:?} {:?}", refused.comparison());
            assert!(!told.contains(&KEY[13..]) && !told.contains(&jwt[20..]), "{told}");
        }
    }
}

#[test]
fn every_refusal_has_a_code_of_its_own_a_status_and_advice() {
    let text = || "x".to_owned();
    let at = NOW;
    let all = [
        Refusal::MalformedRequest(MalformedRequest::Target),
        Refusal::DuplicateHeader("x-api-key"),
        Refusal::ReservedHeader("x-nuvera-…"),
        Refusal::MisleadingHeader(MisleadingHeader::Name("x-http-method")),
        Refusal::MissingApiKey,
        Refusal::MissingToken,
        Refusal::InvalidApiKey(None),
        Refusal::RevokedApiKey { at },
        Refusal::ExpiredApiKey { at },
        Refusal::OrganizationSuspended,
        Refusal::ApplicationDisabled,
        Refusal::SigningKeyBlocked { is_replaced: false },
        Refusal::MalformedToken(TokenProblem::Critical),
        Refusal::UnsupportedAlgorithm { received: text() },
        Refusal::InvalidClaims { claim: "iat", problem: ClaimProblem::Missing },
        Refusal::WrongIssuer { received: text() },
        Refusal::WrongAudience { received: text() },
        Refusal::SubjectMismatch,
        Refusal::MethodMismatch { expected: text(), received: text() },
        Refusal::UriMismatch { expected: text(), received: text() },
        Refusal::TokenExpired { expired_at: 0, now: at },
        Refusal::TokenNotYetValid { starts_at: 0, now: at },
        Refusal::TokenLifetimeTooLong { seconds: 61 },
        Refusal::TokenPredatesStart { retry_after_seconds: 5 },
        Refusal::BodyTooLarge { max_bytes: 1 },
        Refusal::BodyTimeout,
        Refusal::BodyCapacity,
        Refusal::BodyHashMismatch { expected: text(), received: text() },
        Refusal::InvalidSignature(None),
        Refusal::ReplayDetected,
        Refusal::ReplayCapacity,
        Refusal::RateLimited { retry_after_seconds: 1 },
        Refusal::TooManyFailures { failure: FailureKind::Signature, retry_after_seconds: 1 },
        Refusal::UnknownRoute,
        Refusal::MethodNotAllowed { allowed: text() },
        Refusal::PermissionMissing(Area::Customers.read()),
        Refusal::UpstreamUnavailable,
        Refusal::UpstreamFailed,
        Refusal::UpstreamTimeout,
    ];
    let codes: std::collections::BTreeSet<_> = all.iter().map(Refusal::code).collect();
    assert_eq!(codes.len(), all.len());
    assert_eq!(codes, Refusal::CODES.iter().map(|(code, _)| *code).collect());
    for refusal in all {
        assert!((400..600).contains(&refusal.status()));
        assert!(refusal.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        assert!(refusal.problem_type().ends_with(refusal.code()));
        let detail = refusal.detail();
        assert!(detail.ends_with('.') && detail.len() > 20 && !detail.contains(".."), "{detail}");
    }
}

#[test]
fn a_signature_by_a_retired_key_is_told_with_both_fingerprints() {
    let (current, signed_with) = ("SHA256:current".to_owned(), "SHA256:retired".to_owned());
    let refusal = Refusal::InvalidSignature(Some(RetiredSignature { current, signed_with }));
    assert_eq!(refusal.code(), Refusal::InvalidSignature(None).code());
    assert!(refusal.detail().contains("restore the earlier signing key"), "{}", refusal.detail());
    let Comparison { expected, received } = refusal.comparison().unwrap();
    assert_eq!((&*expected, &*received), ("SHA256:current", "SHA256:retired"));
}

#[test]
fn an_unknown_key_and_a_typo_share_a_code() {
    let unknown = Refusal::InvalidApiKey(None);
    let typo = Refusal::InvalidApiKey(Some(crate::api_key::ApiKeyShapeError::Checksum));
    assert_eq!(unknown.code(), typo.code());
    assert_eq!(unknown.status(), typo.status());
}

proptest! {
    #[test]
    fn any_bytes_at_all_are_judged_without_a_panic(bytes: Vec<u8>) {
        prop_assert!(UnverifiedToken::parse(&bytes).is_err());
    }

    #[test]
    fn any_header_and_claims_are_judged_without_a_panic(header: String, claims: String) {
        prop_assert!(judge(&compact(&header, &claims)).is_err());
        let under_a_good_header = judge(&compact(r#"{"alg":"RS256"}"#, &claims));
        prop_assert!(under_a_good_header.is_err());
    }

    #[test]
    fn changing_any_one_byte_of_a_binding_claim_is_noticed(
        claim in prop::sample::select(vec!["iss", "aud", "sub", "method", "uri"]), at: prop::sample::Index, to in 32_u8..127
    ) {
        let mut text = claims()[claim].as_str().unwrap().as_bytes().to_vec();
        let at = at.index(text.len());
        prop_assume!(text[at] != to);
        text[at] = to;
        prop_assert!(judge_claims(&with(claim, json!(String::from_utf8(text).unwrap()))).is_err());
    }

    #[test]
    fn flipping_any_one_character_of_the_encoding_never_gives_the_same_claims(at: prop::sample::Index, to: char) {
        let token = compact(r#"{"alg":"RS256"}"#, &claims().to_string());
        let at = at.index(token.len());
        prop_assume!(!token[at..].starts_with(to));
        let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        if let (Ok(before), Ok(after)) = (UnverifiedToken::parse(token.as_bytes()), UnverifiedToken::parse(changed.as_bytes())) {
            prop_assert!(before.signing_input() != after.signing_input() || before.signature() != after.signature());
        }
    }

    #[test]
    fn a_token_is_accepted_exactly_while_it_may_be(
        iat in IAT - 200..IAT + 200, lifetime in -5_i64..70, millis in 0_i64..200_000, leeway in 0_u64..30
    ) {
        let now = Timestamp::from_millis(NOW.as_millis() + millis);
        let mut claims = with("iat", json!(iat));
        claims["exp"] = json!(iat + lifetime);
        let token = compact(r#"{"alg":"RS256"}"#, &claims.to_string());
        let token = UnverifiedToken::parse(token.as_bytes()).unwrap();
        let accepted = token.claims().unwrap().check(&REQUEST, now, Duration::from_secs(leeway)).is_ok();
        let slack = leeway as i64 * 1000;
        let expected = (1..=60).contains(&lifetime)
            && iat * 1000 <= now.as_millis() + slack
            && now.as_millis() < (iat + lifetime) * 1000 + slack;
        prop_assert_eq!(accepted, expected);
    }

    #[test]
    fn masking_leaves_no_key_behind(before in "[a-z/?=.]{0,20}", after in "[a-z/&=.]{0,20}") {
        let text = format!("{before}{KEY}{after}");
        prop_assert!(!masked(&text).contains(&KEY[13..]));
    }

    #[test]
    fn a_token_that_is_taken_is_written_as_an_encoder_writes_it(
        header in prop::sample::select(vec![r#"{"alg":"RS256"}"#, r#"{"alg":"RS256","typ":"JWT"}"#, r#" {"alg":"RS256" }"#]),
        claims: Vec<u8>, signature: Vec<u8>
    ) {
        let segments = [header.as_bytes(), &claims, &signature].map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        let text = segments.join(".");
        let token = UnverifiedToken::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(token.signature(), &signature[..]);
        prop_assert_eq!(token.signing_input(), &text.as_bytes()[..segments[0].len() + 1 + segments[1].len()]);
        // Any text that an encoder would not produce is rejected or decodes to other bytes.
        for (padded, part) in [(format!("{text}="), Part::Signature), (format!("={text}"), Part::Header)] {
            prop_assert_eq!(UnverifiedToken::parse(padded.as_bytes()).err(), Some(TokenProblem::Base64(part).into()));
        }
    }

    #[test]
    fn claims_of_any_type_are_judged_without_a_panic(
        claim in prop::sample::select(vec!["iss", "aud", "sub", "method", "uri", "bodyHash", "iat", "exp", "nbf", "jti"]),
        number: i64, fraction: f64, text: String
    ) {
        for value in [json!(number), json!(fraction), json!(text), json!([number]), json!({text.clone(): number}), json!(null)] {
            if let Err(refusal) = judge_claims(&with(claim, value)) {
                prop_assert!(!refusal.detail().contains(char::is_control));
            }
        }
    }
}

#[test]
fn the_description_of_the_gateway_names_every_code() {
    let description = include_str!("../../../docs/gateway.openapi.yaml");
    let (_, list) = description.split_once("enum:\n").unwrap();
    let named: Vec<_> = list.lines().map_while(|line| line.trim().strip_prefix("- ")).collect();
    assert_eq!(named, Refusal::CODES.iter().map(|&(code, _)| code).collect::<Vec<_>>());
}
