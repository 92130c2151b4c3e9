//! JSON Web Keys (RFC 7517; RFC 7518, 6.3).

use crate::{
    Finding, Form, Problem,
    parts::{Parts, PrivateParts},
    text::Secret,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::public_key::PublicKeyError;
use serde::Deserialize;
use zeroize::Zeroizing;

/// Members that define the key. Others, such as `use` and `alg`, are ignored.
#[derive(Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    d: Option<Zeroizing<String>>,
    #[serde(default)]
    p: Option<Zeroizing<String>>,
    #[serde(default)]
    q: Option<Zeroizing<String>>,
}

/// Set of JSON Web Keys (RFC 7517, 5).
#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

/// Parses a JSON Web Key, a set or an array of them; `None` if the text is something else.
pub(crate) fn parse(json: &str) -> Option<Vec<Jwk>> {
    // One attempt after the other, because an untagged enum would buffer copies of private members.
    let set = serde_json::from_str(json).map(|JwkSet { keys }| keys);
    set.or_else(|_| serde_json::from_str(json)).or_else(|_| serde_json::from_str(json).map(|key| vec![key])).ok()
}

pub(crate) fn read(jwk: &Jwk) -> Result<Finding, Problem> {
    match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {}
        ("EC", _) => return Err(Problem::Refused(PublicKeyError::EllipticCurve)),
        ("OKP", Some("Ed25519")) => return Err(Problem::Refused(PublicKeyError::Ed25519)),
        ("oct", _) => return Err(Problem::SharedSecret),
        (other, _) => {
            let other = other.chars().take(40).collect();
            return Err(Problem::Refused(PublicKeyError::OtherAlgorithm(other)));
        }
    }
    let (modulus, public_exponent) = (number("n", jwk.n.as_deref())?, number("e", jwk.e.as_deref())?);
    let secret = |name, text: &Option<Zeroizing<String>>| match text {
        Some(text) => number(name, Some(text.as_str())).map(Some),
        None => Ok(None),
    };
    let (d, p, q) = (secret("d", &jwk.d)?, secret("p", &jwk.p)?, secret("q", &jwk.q)?);
    let primes = p.as_ref().zip(q.as_ref()).map(|(p, q)| [p.as_slice(), q.as_slice()]);
    let private = d.as_ref().map(|d| PrivateParts { exponent: d, primes });
    let form = if private.is_some() { Form::PrivateJwk } else { Form::PublicJwk };
    Parts { modulus: &modulus, public_exponent: &public_exponent, private }.into_finding(form)
}

fn number(name: &'static str, text: Option<&str>) -> Result<Secret, Problem> {
    let decoded = text.and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok());
    decoded.map(Zeroizing::new).filter(|bytes| !bytes.is_empty()).ok_or(Problem::JwkMember(name))
}
