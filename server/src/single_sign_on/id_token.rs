//! ID tokens (OpenID Connect Core 1.0, 2 and 3.1.3.7). Every requirement is checked here, and errors name the expected
//! and the received value. Other claims cannot cause a rejection.

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

/// Permitted clock skew of the provider, in seconds.
const SKEW: i64 = 60;
/// Maximum age of an ID token in seconds. It comes directly from the provider.
const MAX_AGE: i64 = 10 * 60;
/// Number of characters that are logged of a value that is randomly generated for each sign-in.
const SHOWN_OF_RANDOM: usize = 8;

/// The claims of a token, by name.
pub type Claims = Map<String, Value>;

/// The expected properties of a token.
pub struct Expected<'a> {
    /// The operator's settings for the provider.
    pub settings: &'a IssuerSettings,
    /// The provider's metadata.
    pub metadata: &'a Metadata,
    /// The nonce of the authorization request.
    pub nonce: &'a str,
    /// The time of the authorization request, if it asked for a re-authentication.
    pub proof_asked_at: Option<Timestamp>,
    /// The access token issued together with the ID token.
    pub access_token: Option<&'a str>,
    /// The current time.
    pub now: Timestamp,
}

/// The content of a token with a valid signature.
#[derive(Debug)]
pub struct Verified {
    /// The provider's identifier of the user.
    pub subject: String,
    /// When the user last authenticated at the provider, if known.
    pub proven_at: Option<Timestamp>,
    /// All claims of the token.
    pub claims: Claims,
}

/// Reason why a token is not trusted.
#[derive(Debug)]
pub enum Unverified {
    /// No known key verifies the signature.
    Key(String),
    /// The user did not authenticate again.
    NotFresh(String),
    /// The time of the authentication is missing.
    NoAuthTime(String),
    /// Any other problem.
    Untrusted(String),
}

use Unverified::Untrusted;

/// Verifies an ID token.
///
/// # Errors
/// The first requirement that is not met.
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
    // As of errata set 2, `azp` must name this client if it is present; several audiences no longer require it.
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

/// Verifies a signed response of the userinfo endpoint (OpenID Connect Core 1.0, 5.3.2).
///
/// # Errors
/// The first requirement that is not met.
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

/// Describes a missing or invalid `auth_time`, for the log, with advice to the operator.
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

/// Verifies a token's signature and returns the claims that it covers.
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
    // RFC 7515, 4.1.11: a header with `crit` is rejected, because no extension is supported.
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
            // The header is accepted up to the choice of a key: its other members have no influence.
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
