//! The gateway against `conformance.toml`: each row is a request, byte by byte, and its expected outcome. The file
//! documents the format of its rows.

use crate::support::{
    Call, Connection, Reply, START, Setup, World, base64url, new_api_key, new_signing_key, pair, plain_key, public_key,
    sha256_hex, sign,
};
use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use domain::{
    application::{Replacement, SigningKeyReplacement},
    id::OrganizationId,
    request::Refusal,
    time::Timestamp,
};
use serde::Deserialize;
use server::gateway::ReplayFence;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use uuid::Uuid;

#[derive(Deserialize)]
struct Suite {
    /// Codes that no row can cause, each with the test that does.
    elsewhere: BTreeMap<String, String>,
    #[serde(flatten)]
    groups: BTreeMap<String, Vec<Case>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Case {
    name: String,
    gives: String,
    given: Option<String>,
    method: Option<String>,
    uri: Option<String>,
    body: Option<String>,
    body_base64: Option<String>,
    sends: Option<String>,
    #[serde(default)]
    header: BTreeMap<String, String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
    header_more: Option<String>,
    claims_more: Option<String>,
    header_text: Option<String>,
    claims_text: Option<String>,
    signed: Option<String>,
    stray_bits: Option<String>,
    token: Option<String>,
    authorization: Option<String>,
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
    line: Option<String>,
    #[serde(default)]
    wire: Vec<[String; 2]>,
    at: Option<i64>,
    #[serde(default)]
    twice: bool,
    #[serde(default)]
    waits: bool,
    then: Option<Then>,
}

/// The expected state of the connection after the response, tested with a valid request that follows at once.
#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Then {
    Closed,
    Kept,
}

fn suite() -> Suite {
    toml::from_str(include_str!("conformance.toml")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_answered_as_it_says() {
    let suite = suite();
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for (group, cases) in &suite.groups {
        for case in cases {
            let name = format!("{group}: {}", case.name);
            let answered = tokio::time::timeout(Duration::from_secs(20), case.run()).await;
            let answered = answered.unwrap_or_else(|_| "no answer".to_owned());
            if answered != case.gives {
                wrong.push(format!("{name}\n    gives {answered}\n    not   {}", case.gives));
            }
            assert!(names.insert(name), "two rows of {group} are called “{}”", case.name);
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), names.len(), wrong.join("\n"));
}

#[test]
fn no_code_is_left_out() {
    let suite = suite();
    let cases = suite.groups.values().flatten();
    let gives = cases.map(|case| case.gives.as_str());
    let met: BTreeSet<_> = gives.filter(|gives| *gives != "200 ok" && !gives.ends_with(BARE)).collect();
    let codes = Refusal::CODES.iter().filter(|(code, _)| !suite.elsewhere.contains_key(*code));
    let codes: BTreeSet<_> = codes.map(|(code, status)| format!("{status} {code}")).collect();
    assert_eq!(met, codes.iter().map(String::as_str).collect());
    for (code, test) in &suite.elsewhere {
        assert!(Refusal::CODES.iter().any(|(known, _)| known == code), "{code} is no code");
        let (file, function) = test.split_once("::").unwrap();
        let path = format!("{}/tests/gateway/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(&path).unwrap();
        assert!(source.contains(&format!("fn {function}(")) && source.contains(code), "{test} does not cover {code}");
    }
}

const BARE: &str = " (no body)";

impl Case {
    async fn run(&self) -> String {
        let world = given(self.given.as_deref()).await;
        let values = Values(&world);
        let filled = |text: &str| values.fill(text);
        let body = match &self.body_base64 {
            Some(base64) => STANDARD.decode(base64).unwrap(),
            None => filled(self.body.as_deref().unwrap_or_default()).into_bytes(),
        };
        let uri = filled(self.uri.as_deref().unwrap_or("/api/v1/customers?limit=20"));
        let mut call = world.call(self.method.as_deref().unwrap_or("GET"), &uri, &body);
        for name in &self.without {
            call = call.without(name);
        }
        for header in &self.add {
            let (name, value) = header.split_once(": ").unwrap_or((header, ""));
            call.headers.push((name.to_owned(), filled(value)));
        }
        let token = self.token(&call, &values);
        if let Some(sends) = &self.sends {
            call.body = filled(sends).into_bytes();
        }
        let authorization = self.authorization.as_deref().unwrap_or("Bearer ${token}").replace("${token}", &token);
        let mut bytes = call.bytes_with_authorization(&authorization);
        let body_at = bytes.len() - call.body.len();
        if let Some(line) = &self.line {
            let end = bytes.windows(2).position(|pair| pair == b"\r\n").unwrap();
            bytes.splice(..end, filled(line).into_bytes());
        }
        for [from, to] in &self.wire {
            let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
            let at = at.unwrap_or_else(|| panic!("{}: “{from}” is not in the request", self.name));
            bytes.splice(at..at + from.len(), filled(to).into_bytes());
        }
        if self.twice {
            world.send_bytes(&bytes).await.verified();
        }
        let good = world.get().bytes();
        if let Some(millis) = self.at {
            world.clock.set(Timestamp::from_millis(START * 1000 + millis));
        }
        let mut connection = world.connect().await;
        if self.waits {
            connection.write(&bytes[..body_at]).await;
            match connection.read_head().await {
                Some((100, _)) => connection.write(&bytes[body_at..]).await,
                other => return format!("{other:?} and not 100"),
            }
        } else {
            connection.write(&bytes).await;
        }
        self.outcome(&mut connection, &good).await
    }

    async fn outcome(&self, connection: &mut Connection, good: &[u8]) -> String {
        if self.then.is_some() {
            connection.write(good).await;
        }
        let mut reply = match self.method.as_deref() {
            // A response to HEAD has no body, whatever its Content-Length.
            Some("HEAD") => {
                let head = connection.read_head().await;
                head.map(|(status, headers)| Reply { status, headers, body: Vec::new() })
            }
            _ => connection.read().await,
        };
        // A client that asks for 100 Continue receives it even if it sends the body without waiting.
        while reply.as_ref().is_some_and(|reply| reply.status == 100) {
            reply = connection.read().await;
        }
        let Some(reply) = reply else { return "closed".to_owned() };
        let outcome = told(&reply);
        match self.then {
            None => outcome,
            Some(Then::Closed) => match connection.read().await {
                None => outcome,
                Some(second) => format!("{outcome}, then {}", told(&second)),
            },
            Some(Then::Kept) => match connection.read().await {
                Some(second) if second.status == 200 => outcome,
                Some(second) => format!("{outcome}, then {}", told(&second)),
                None => format!("{outcome}, then closed"),
            },
        }
    }

    fn token(&self, call: &Call, values: &Values<'_>) -> String {
        let header = match &self.header_text {
            Some(text) => values.fill(text),
            None => object(&call.header, &self.header, self.header_more.as_deref(), values),
        };
        let claims = match &self.claims_text {
            Some(text) => values.fill(text),
            None => object(&call.claims, &self.claims, self.claims_more.as_deref(), values),
        };
        let stray = self.stray_bits.as_deref();
        let header = segment(header, stray == Some("header"));
        let claims = segment(claims, stray == Some("claims"));
        let input = format!("{header}.{claims}");
        let mut signature = signature(self.signed.as_deref().unwrap_or("RS256"), &input);
        if stray == Some("signature") {
            signature = with_stray_bits(&signature);
        }
        let form = self.token.as_deref().unwrap_or("${header}.${claims}.${signature}");
        let token = form.replace("${header}", &header).replace("${claims}", &claims);
        values.fill(&token.replace("${signature}", &signature))
    }
}

fn told(reply: &Reply) -> String {
    if reply.body.is_empty() {
        return format!("{}{BARE}", reply.status);
    }
    if reply.status == 200 {
        reply.verified();
        return "200 ok".to_owned();
    }
    let (code, status) = reply.refusal();
    format!("{status} {code}")
}

/// Starts a gateway in the situation that a row names.
async fn given(situation: Option<&str>) -> World {
    let Some(situation) = situation else { return World::start().await };
    let mut world = match situation {
        "no more tokens can be remembered" => Setup::with(|setup| setup.settings.replay_capacity = 0).start().await,
        "a restart a second ago" => {
            let fence = ReplayFence { refuse_issued_at_or_before: Some(START + 4), ..ReplayFence::default() };
            Setup::with(|setup| setup.fence = fence).start().await
        }
        _ => World::start().await,
    };
    let id = world.application.api_keys[0].id;
    let second = Duration::from_secs(1);
    match situation {
        "no more tokens can be remembered" | "a restart a second ago" => {}
        "the application is disabled" => world.change(|application, by| application.disable(by)),
        "the organization is suspended" => world.suspend_organization(),
        "the organization is suspended and the application disabled" => {
            world.suspend_organization();
            world.change(|application, by| application.disable(by));
        }
        "another organization is suspended" => {
            world.gateway.snapshot().suspend(OrganizationId(Uuid::from_u128(99)), true);
        }
        "the signing key is blocked" => {
            world.block_signing_key(0);
            world.change(|application, by| application.disable(by));
        }
        "the signing key is blocked and the application enabled" => world.block_signing_key(0),
        "the blocked signing key is replaced" => {
            world.block_signing_key(0);
            let (new, how) = (new_signing_key(pair(1)), SigningKeyReplacement::StopNow);
            world.change(|application, by| application.replace_signing_key(new, how, by));
        }
        "another signing key is blocked" => world.block_signing_key(1),
        "the key is revoked" => world.change(|application, by| application.revoke_api_key(id, by)),
        "the key expires after a second" => {
            let new = new_api_key(&plain_key(), &world.pepper);
            world.change(|application, by| application.replace_api_key(new, Replacement::WithGrace(second), by));
        }
        "the signing key is replaced" => {
            let (new, how) = (new_signing_key(pair(1)), SigningKeyReplacement::StopNow);
            world.change(|application, by| application.replace_signing_key(new, how, by));
        }
        "the signing key retires after a second" => {
            let (new, how) = (new_signing_key(pair(1)), SigningKeyReplacement::WithOverlap(second));
            world.change(|application, by| application.replace_signing_key(new, how, by));
        }
        "no permissions" => world.change(|application, by| application.change_permissions(Default::default(), by)),
        unknown => panic!("nobody knows how to bring about “{unknown}”"),
    }
    world
}

/// The values of the `${…}` placeholders in a row.
struct Values<'a>(&'a World);

impl Values<'_> {
    fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').unwrap();
            filled.push_str(before);
            filled.push_str(&self.value(name));
            rest = after;
        }
        filled + rest
    }

    fn value(&self, name: &str) -> String {
        let key = self.0.api_key.reveal();
        if let Some(offset) = name.strip_prefix("now") {
            return (START + offset.parse::<i64>().unwrap_or(0)).to_string();
        }
        if let Some((text, times)) = name.split_once('*') {
            return text.repeat(times.parse().unwrap());
        }
        match name.split_once(':') {
            Some(("sha256", text)) => return sha256_hex(text.as_bytes()),
            Some(("members", count)) => {
                let members = (0..count.parse().unwrap()).map(|number: usize| format!("\"m{number}\":0"));
                return members.collect::<Vec<_>>().join(",");
            }
            Some(("SHA256", text)) => return sha256_hex(text.as_bytes()).to_uppercase(),
            _ => {}
        }
        match name {
            "key" => key.to_owned(),
            "key in upper case" => key.to_uppercase(),
            "key's prefix" => key[..12].to_owned(),
            "key's last four" => key[47..].to_owned(),
            "key with a typo" => format!("{}{}", &key[..50], if key.ends_with('a') { 'b' } else { 'a' }),
            "another key" => plain_key().reveal().to_owned(),
            "the other public key" => STANDARD.encode(public_key(pair(1)).der()),
            "nul" => "\0".to_owned(),
            unknown => panic!("${{{unknown}}} stands for nothing"),
        }
    }
}

/// The text of a JSON object: `known`, with some members replaced (by a JSON text) or removed (by an empty one), and
/// `more`.
fn object(
    known: &serde_json::Value,
    changes: &BTreeMap<String, String>,
    more: Option<&str>,
    values: &Values<'_>,
) -> String {
    let known = known.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.to_string()));
    let mut members: BTreeMap<String, String> = known.collect();
    members.extend(changes.iter().map(|(name, text)| (name.clone(), values.fill(text))));
    let members = members.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("\"{name}\":{text}"));
    let members: Vec<String> = members.chain(more.map(|more| values.fill(more))).collect();
    format!("{{{}}}", members.join(","))
}

/// A base64url segment. With `stray` it has non-zero trailing bits, which no encoder writes and a lenient decoder
/// ignores.
fn segment(mut text: String, stray: bool) -> String {
    if !stray {
        return base64url(text);
    }
    while text.len().is_multiple_of(3) {
        text.push(' ');
    }
    with_stray_bits(&base64url(text))
}

fn with_stray_bits(segment: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(segment.len() % 4, 0);
    let (head, last) = segment.split_at(segment.len() - 1);
    let digit = ALPHABET.iter().position(|&known| known == last.as_bytes()[0]).unwrap();
    format!("{head}{}", char::from(ALPHABET[digit | 1]))
}

fn signature(how: &str, input: &str) -> String {
    let by = |pair, algorithm| {
        let token = sign(pair, algorithm, input);
        token.rsplit_once('.').unwrap().1.to_owned()
    };
    let right = by(pair(0), &RSA_PKCS1_SHA256);
    let bytes = URL_SAFE_NO_PAD.decode(&right).unwrap();
    let hmac = |secret: &[u8]| base64url(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes()));
    match how {
        "RS256" => right,
        "RS384" => by(pair(0), &RSA_PKCS1_SHA384),
        "RS512" => by(pair(0), &RSA_PKCS1_SHA512),
        "PS256" => by(pair(0), &RSA_PSS_SHA256),
        "ES256" => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            base64url(pair.sign(&SystemRandom::new(), input.as_bytes()).unwrap())
        }
        "HS256 with the public PEM" => hmac(public_key(pair(0)).pem().as_bytes()),
        "HS256 with the public PEM, trimmed" => hmac(public_key(pair(0)).pem().trim_end().as_bytes()),
        "HS256 with the public DER" => hmac(public_key(pair(0)).der()),
        "HS256 with nothing" => hmac(b""),
        "RS256 by another key" => by(pair(1), &RSA_PKCS1_SHA256),
        "RS256 of other claims" => {
            let token = sign(pair(0), &RSA_PKCS1_SHA256, &format!("{input}x"));
            token.rsplit_once('.').unwrap().1.to_owned()
        }
        "not at all" => String::new(),
        "without its last byte" => base64url(&bytes[..255]),
        "without its first byte" => base64url(&bytes[1..]),
        "with a zero before it" => base64url([&[0], &bytes[..]].concat()),
        "with a zero after it" => base64url([&bytes[..], &[0]].concat()),
        "with one bit flipped" => base64url([&bytes[..100], &[bytes[100] ^ 1], &bytes[101..]].concat()),
        "with zeros" => base64url([0; 256]),
        "with ones" => base64url([0xff; 256]),
        "with the number one" => base64url([&[0; 255][..], &[1]].concat()),
        "twice" => base64url([&bytes[..], &bytes].concat()),
        unknown => panic!("nobody knows how to sign “{unknown}”"),
    }
}

#[test]
fn stray_bits_decode_to_the_same_bytes_where_a_decoder_is_lax() {
    use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
    let lax = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_encode_padding(false);
    let lax = GeneralPurpose::new(
        &base64::alphabet::URL_SAFE,
        lax.with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    for text in ["{}", "{\"a\":1}", "abc"] {
        let stray = segment(text.to_owned(), true);
        assert_eq!(lax.decode(&stray).unwrap().trim_ascii_end(), text.as_bytes());
        assert!(URL_SAFE_NO_PAD.decode(&stray).is_err());
    }
}
