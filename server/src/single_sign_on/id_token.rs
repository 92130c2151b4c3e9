//! ID tokens (OpenID Connect Core 1.0, 2 and 3.1.3.7). What has to be right is checked here, and named where it is not, with
//! the value that was expected and the one that was received; no other claim can fail a token.

use super::{
    discovery::Metadata,
    keys::{self, ALGORITHMS, Algorithm, NoKey},
    settings::IssuerSettings,
    values::{identifier, identifiers, mismatch, one_of, present, seconds, shown},
};
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::time::Timestamp;
use serde_json::{Map, Value};

/// By how many seconds the provider's clock and ours may disagree.
const SKEW: i64 = 60;
/// How old an ID token may be, in seconds: it comes straight from the provider.
const MAX_AGE: i64 = 10 * 60;
/// How many characters are logged of a value that is drawn at random for each sign-in.
const SHOWN_OF_RANDOM: usize = 8;

/// Claims.
pub type Claims = Map<String, Value>;

/// What a token has to agree with.
pub struct Expected<'a> {
    /// What the operator says of the provider.
    pub settings: &'a IssuerSettings,
    /// What the provider says of itself.
    pub metadata: &'a Metadata,
    /// The nonce that was sent.
    pub nonce: &'a str,
    /// Where a fresh proof was asked for: when.
    pub proof_asked_at: Option<Timestamp>,
    /// The access token that came with it.
    pub access_token: Option<&'a str>,
    /// The time now.
    pub now: Timestamp,
}

/// What a token says and its signature covers.
#[derive(Debug)]
pub struct Verified {
    /// What the provider knows the user as.
    pub subject: String,
    /// When they last proved to it who they are, where it says so.
    pub proven_at: Option<Timestamp>,
    /// All claims.
    pub claims: Claims,
}

/// Why a token is not believed.
#[derive(Debug)]
pub enum Unverified {
    /// No known key verifies it.
    Key(String),
    /// The user did not prove anew who they are.
    NotFresh(String),
    /// It does not say when they did.
    NoAuthTime(String),
    /// Something else is wrong.
    Untrusted(String),
}

use Unverified::Untrusted;

/// Verifies an ID token.
///
/// # Errors
/// The first thing in it that is not as it has to be.
pub fn verify(token: &str, expected: &Expected<'_>) -> Result<Verified, Unverified> {
    let (algorithm, claims) = signed(token, expected.metadata)?;
    let Expected { settings, metadata, now, .. } = expected;
    let now = now.as_seconds();
    let wrong = |name: &str, words: String| Err(Untrusted(mismatch(name, words, claims.get(name))));

    let issuer = claims.get("iss").and_then(Value::as_str);
    if !issuer.is_some_and(|issuer| metadata.is_issuer(issuer, settings)) {
        return wrong("iss", metadata.issuers(settings));
    }
    let audiences = identifiers(claims.get("aud"));
    let known = || [&settings.client_id].into_iter().chain(&settings.trusted_audiences);
    if !audiences.contains(&settings.client_id) {
        return wrong("aud", format!("{:?}", settings.client_id));
    }
    if let Some(other) = audiences.iter().find(|audience| !known().any(|known| known == *audience)) {
        let known = one_of(known().map(String::as_str));
        let words = mismatch("aud", format!("no more than {known}"), claims.get("aud"));
        return Err(Untrusted(format!("{words}; if {other:?} is a service of yours, list it in trusted_audiences")));
    }
    // Errata set 2: where it is there, it names this client. That it has to be there with several audiences is no more said.
    if present(&claims, "azp")
        .is_some_and(|party| party != "" && identifier(party).as_ref() != Some(&settings.client_id))
    {
        return wrong("azp", format!("{:?}", settings.client_id));
    }
    let Some(expires_at) = claims.get("exp").and_then(seconds) else { return wrong("exp", "a time".to_owned()) };
    if expires_at + SKEW <= now {
        return wrong("exp", format!("a time after {}", now - SKEW));
    }
    let Some(issued_at) = claims.get("iat").and_then(seconds) else { return wrong("iat", "a time".to_owned()) };
    if issued_at > now + SKEW || issued_at < now - MAX_AGE {
        return wrong("iat", format!("a time from {} to {}", now - MAX_AGE, now + SKEW));
    }
    if claims.get("nbf").and_then(seconds).is_some_and(|at| at > now + SKEW) {
        return wrong("nbf", format!("a time up to {}", now + SKEW));
    }
    if claims.get("nonce").and_then(Value::as_str) != Some(expected.nonce) {
        let start = |text: &str| text.chars().take(SHOWN_OF_RANDOM).collect::<String>();
        let received = claims.get("nonce").map(|nonce| nonce.as_str().map_or(nonce.clone(), |text| start(text).into()));
        let words = format!("{:?}…", start(expected.nonce));
        return Err(Untrusted(mismatch("nonce", words, received.as_ref())));
    }
    let Some(subject) = claims.get("sub").and_then(identifier) else { return wrong("sub", "a text".to_owned()) };
    if let Some(access_token) = expected.access_token
        && let Some(found) = present(&claims, "at_hash")
    {
        let hash = digest::digest(algorithm.hash(), access_token.as_bytes());
        let hash = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..hash.as_ref().len() / 2]);
        if found.as_str().map(|found| found.trim_end_matches('=')) != Some(&*hash) {
            return wrong("at_hash", format!("{hash:?}"));
        }
    }
    let auth_time = claims.get("auth_time").and_then(seconds);
    if let Some(asked_at) = expected.proof_asked_at {
        let from = asked_at.as_seconds() - SKEW;
        match auth_time {
            Some(at) if (from..=now + SKEW).contains(&at) => {}
            Some(_) => {
                let words = format!("a time from {from} to {}", now + SKEW);
                return Err(Unverified::NotFresh(mismatch("auth_time", words, claims.get("auth_time"))));
            }
            None if settings.accept_iat_as_auth_time && issued_at >= from => {}
            None => return Err(Unverified::NoAuthTime(auth_time_for_log(settings, &claims))),
        }
    }
    let proven_at = auth_time.map(|at| Timestamp::from_millis(at * 1000));
    Ok(Verified { subject, proven_at, claims })
}

/// Verifies what a provider says of a user outside the ID token, where it signs that (OpenID Connect Core 1.0, 5.3.2).
///
/// # Errors
/// The first thing in it that is not as it has to be.
pub fn verify_user_info(token: &str, settings: &IssuerSettings, metadata: &Metadata) -> Result<Claims, Unverified> {
    let (_, claims) = signed(token, metadata)?;
    let wrong = |name: &str, words: String| Err(Untrusted(mismatch(name, words, claims.get(name))));
    if let Some(issuer) = present(&claims, "iss")
        && !issuer.as_str().is_some_and(|issuer| metadata.is_issuer(issuer, settings))
    {
        return wrong("iss", metadata.issuers(settings));
    }
    if let Some(audience) = present(&claims, "aud")
        && !identifiers(Some(audience)).contains(&settings.client_id)
    {
        return wrong("aud", format!("{:?}", settings.client_id));
    }
    Ok(claims)
}

/// What was expected of a claim that is missing or cannot be read, and what the operator can do.
pub fn auth_time_for_log(settings: &IssuerSettings, claims: &Claims) -> String {
    let words = mismatch("auth_time", "a time, because max_age was asked for", claims.get("auth_time"));
    let advice = if settings.accept_iat_as_auth_time {
        "accept_iat_as_auth_time is set: a token issued after the provider was asked to have the user sign in again is a proof"
    } else {
        "Until the provider adds auth_time to its ID tokens, users who sign in with it cannot confirm changes. If it always \
         has users sign in again when prompt=login is requested, set accept_iat_as_auth_time = true"
    };
    format!("{words}. {advice}")
}

/// Verifies a signature, and reads what it covers.
fn signed(token: &str, metadata: &Metadata) -> Result<(Algorithm, Claims), Unverified> {
    let parts: Vec<_> = token.split('.').collect();
    let [header, payload, signature] = *parts else {
        let advice = if parts.len() == 5 { "; it is encrypted: have the provider sign it only" } else { "" };
        let words = format!("token: expected 3 parts, received {}{advice}", parts.len());
        return Err(Untrusted(words));
    };
    let message = &token.as_bytes()[..header.len() + 1 + payload.len()];
    let part = |name: &str, text: &str| {
        let read = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        read.ok_or_else(|| Untrusted(format!("{name}: expected base64url, received something else")))
    };
    let object = |name: &str, text: &str| match serde_json::from_slice(&part(name, text)?) {
        Ok(Value::Object(all)) => Ok(all),
        _ => Err(Untrusted(format!("{name}: expected an object, received something else"))),
    };
    let header = object("header", header)?;
    let Some(algorithm) = header.get("alg").and_then(Value::as_str).and_then(Algorithm::named) else {
        return Err(Untrusted(mismatch("alg", one_of(ALGORITHMS), header.get("alg"))));
    };
    // RFC 7515, 4.1.11: nothing that has to be understood is.
    if present(&header, "crit").is_some() {
        return Err(Untrusted(mismatch("crit", "nothing", header.get("crit"))));
    }
    let id = header.get("kid").and_then(identifier);
    let verified = keys::verify(&metadata.keys, id.as_deref(), algorithm, message, &part("signature", signature)?);
    if let Err(why) = verified {
        let known = one_of(keys::ids(&metadata.keys));
        return Err(Unverified::Key(match why {
            NoKey::Unknown => {
                mismatch("kid", format!("{known}, of a key for {}", shown(header.get("alg"))), header.get("kid"))
            }
            NoKey::Other => {
                let kid = shown(header.get("kid"));
                format!("signature: expected one that a key of {known} makes, received another (kid {kid})")
            }
        }));
    }
    Ok((algorithm, object("payload", payload)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::single_sign_on::settings::ClientAuthentication;
    use serde_json::json;

    #[test]
    fn what_a_header_asks_for_is_named() {
        let endpoint = || "https://login.alpine.example/x".parse().unwrap();
        let metadata = Metadata {
            issuer: "https://login.alpine.example".into(),
            authorization_endpoint: endpoint(),
            token_endpoint: endpoint(),
            userinfo_endpoint: None,
            client_authentication: ClientAuthentication::ClientSecretBasic,
            is_named_in_answers: false,
            keys: Vec::new(),
        };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let all = "one of \"RS256\", \"RS384\", \"RS512\", \"PS256\", \"PS384\", \"PS512\", \"ES256\", \"ES384\", \"ES512\", \"EdDSA\"";
        for (header, words) in [
            (json!({}), format!("alg: expected {all}, received nothing")),
            (json!({ "alg": "none" }), format!("alg: expected {all}, received \"none\"")),
            (json!({ "alg": "HS256" }), format!("alg: expected {all}, received \"HS256\"")),
            (json!({ "alg": "ES256", "crit": ["b64"] }), "crit: expected nothing, received [\"b64\"]".to_owned()),
            // It gets as far as the keys: nothing else in it matters.
            (
                json!({ "alg": "ES256", "kid": 7, "crit": null, "typ": [], "jwk": "x", "x5c": {}, "x5u": 1, "b64": null }),
                "kid: expected nothing, of a key for \"ES256\", received 7".to_owned(),
            ),
        ] {
            let token = format!("{}.{}.AAAA", part(&header), part(&json!({ "sub": "eve" })));
            let (Err(Unverified::Key(why)) | Err(Untrusted(why))) = signed(&token, &metadata) else {
                panic!("{header}")
            };
            assert_eq!(why, words);
        }
        for (token, words) in [
            ("a.b", "token: expected 3 parts, received 2"),
            ("!.b.c", "header: expected base64url, received something else"),
            ("AAAA.b.c", "header: expected an object, received something else"),
        ] {
            let Err(Untrusted(why)) = signed(token, &metadata) else { panic!("{token}") };
            assert_eq!(why, words);
        }
    }
}
