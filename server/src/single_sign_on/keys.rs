//! The providers' public keys (RFC 7517, RFC 7518), and the verification of signatures (RFC 7515).
//!
//! Unsupported and invalid keys are ignored: a provider may publish keys for other purposes.

use super::values::{identifier, text};
use aws_lc_rs::{
    digest::{self, SHA256, SHA384, SHA512},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
        RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
        RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value};

/// Accepts padding, which RFC 7515 omits but some providers write.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A supported signature algorithm of ID tokens. Symmetric algorithms and `none` are not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with PKCS #1 v1.5 or PSS padding, by its name.
    Rsa(&'static str),
    /// ECDSA over P-256.
    Es256,
    /// ECDSA over P-384.
    Es384,
    /// ECDSA over P-521.
    Es512,
    /// EdDSA with Ed25519.
    EdDsa,
}

/// The names of the supported algorithms.
pub const ALGORITHMS: [&str; 10] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

impl Algorithm {
    /// Returns the algorithm with this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "ES384" => Some(Self::Es384),
            "ES512" => Some(Self::Es512),
            // RFC 9864 uses the name of the curve.
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => ALGORITHMS[..6].iter().find(|rsa| **rsa == name).map(|rsa| Self::Rsa(rsa)),
        }
    }

    /// Returns its hash function. `at_hash` is the left half of such a hash (OpenID Connect Core 1.0, 3.1.3.6).
    pub fn hash(self) -> &'static digest::Algorithm {
        match self {
            Self::Es256 | Self::Rsa("RS256" | "PS256") => &SHA256,
            Self::Es384 | Self::Rsa("RS384" | "PS384") => &SHA384,
            Self::Es512 | Self::EdDsa | Self::Rsa(_) => &SHA512,
        }
    }

    fn rsa(name: &str) -> &'static RsaParameters {
        match name {
            "RS256" => &RSA_PKCS1_2048_8192_SHA256,
            "RS384" => &RSA_PKCS1_2048_8192_SHA384,
            "RS512" => &RSA_PKCS1_2048_8192_SHA512,
            "PS256" => &RSA_PSS_2048_8192_SHA256,
            "PS384" => &RSA_PSS_2048_8192_SHA384,
            _ => &RSA_PSS_2048_8192_SHA512,
        }
    }
}

/// A public key of a provider.
#[derive(Debug)]
pub struct Key {
    id: Option<String>,
    material: Material,
}

#[derive(Debug)]
enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// An uncompressed point, as are the next two.
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// Reason why no key verifies a signature. The provider may have rotated its keys since they were loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// No key has the id that the token names and a type that fits the algorithm.
    Unknown,
    /// Such keys exist, but none of them verifies the signature.
    Other,
}

/// Reads the keys of a JWK set.
pub fn read(document: &Map<String, Value>) -> Vec<Key> {
    let keys = document.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    keys.iter().filter_map(|key| read_key(key.as_object()?)).collect()
}

fn read_key(key: &Map<String, Value>) -> Option<Key> {
    if text(key, "use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let curve = text(key, "crv").unwrap_or_default();
    let material = match (text(key, "kty")?, curve) {
        ("RSA", _) => Material::Rsa(RsaPublicKeyComponents { n: number(key, "n")?, e: number(key, "e")? }),
        ("EC", "P-256") => Material::P256(point(key, 32)?),
        ("EC", "P-384") => Material::P384(point(key, 48)?),
        ("EC", "P-521") => Material::P521(point(key, 66)?),
        ("OKP", "Ed25519") => Material::Ed25519(bytes(key, "x")?),
        _ => return None,
    };
    Some(Key { id: key.get("kid").and_then(identifier), material })
}

fn bytes(key: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    BASE64_URL.decode(text(key, name)?.replace('+', "-").replace('/', "_")).ok()
}

/// Reads an integer. Leading zeros, which some providers write, are removed.
fn number(key: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    let bytes = bytes(key, name)?;
    let start = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[start..].to_vec())
}

/// Reads a point. Leading zeros, which some providers omit, are restored.
fn point(key: &Map<String, Value>, size: usize) -> Option<Vec<u8>> {
    let mut point = vec![4];
    for name in ["x", "y"] {
        let coordinate = number(key, name)?;
        point.resize(point.len() + size.checked_sub(coordinate.len())?, 0);
        point.extend(coordinate);
    }
    Some(point)
}

impl Key {
    /// Whether the key verifies the signature; `None` if the algorithm requires another type of key.
    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Option<bool> {
        let by = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        Some(match (algorithm, &self.material) {
            (Algorithm::Rsa(name), Material::Rsa(key)) => key.verify(Algorithm::rsa(name), message, signature).is_ok(),
            (Algorithm::Es256, Material::P256(key)) => by(&ECDSA_P256_SHA256_FIXED, key),
            (Algorithm::Es384, Material::P384(key)) => by(&ECDSA_P384_SHA384_FIXED, key),
            (Algorithm::Es512, Material::P521(key)) => by(&ECDSA_P521_SHA512_FIXED, key),
            (Algorithm::EdDsa, Material::Ed25519(key)) => by(&ED25519, key),
            _ => return None,
        })
    }
}

/// Verifies a signature with the keys that have the id named by the token. Without an id in the token all keys are
/// tried, and keys without an id are always tried.
///
/// # Errors
/// [`NoKey`]
pub fn verify(
    keys: &[Key],
    id: Option<&str>,
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), NoKey> {
    let mut why = NoKey::Unknown;
    for key in keys.iter().filter(|key| id.is_none() || key.id.is_none() || key.id.as_deref() == id) {
        match key.verifies(algorithm, message, signature) {
            Some(true) => return Ok(()),
            Some(false) => why = NoKey::Other,
            None => {}
        }
    }
    Err(why)
}

/// Returns the ids of the keys, for the log.
pub fn ids(keys: &[Key]) -> impl Iterator<Item = &str> {
    keys.iter().map(|key| key.id.as_deref().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{
        rand::SystemRandom,
        rsa::{KeyPair as RsaKeyPair, KeySize},
        signature::{
            ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
            EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA384,
        },
    };
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use serde_json::json;

    const MESSAGE: &[u8] = b"header.payload";

    fn one(key: Value) -> Vec<Key> {
        read(json!({ "keys": [key] }).as_object().unwrap())
    }

    #[test]
    fn every_kind_of_key_verifies_its_own_signatures_and_no_others() {
        let random = SystemRandom::new();
        let mut made: Vec<(&str, Value, Vec<u8>)> = Vec::new();
        let curves: [(&str, &str, &'static EcdsaSigningAlgorithm); 3] = [
            ("ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
            ("ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
            ("ES512", "P-521", &ECDSA_P521_SHA512_FIXED_SIGNING),
        ];
        for (name, curve, algorithm) in curves {
            let pair = EcdsaKeyPair::generate(algorithm).unwrap();
            let point = &pair.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            let key =
                json!({ "kty": "EC", "crv": curve, "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) });
            made.push((name, key, pair.sign(&random, MESSAGE).unwrap().as_ref().to_vec()));
        }
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(pair.public_key()) });
        made.push(("EdDSA", key, pair.sign(MESSAGE).as_ref().to_vec()));
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = pair.public_key();
        let (n, e) =
            (public.modulus().big_endian_without_leading_zero(), public.exponent().big_endian_without_leading_zero());
        let key = json!({ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e) });
        for (name, encoding) in
            [("RS256", &RSA_PKCS1_SHA256 as &dyn aws_lc_rs::signature::RsaEncoding), ("PS384", &RSA_PSS_SHA384)]
        {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &random, MESSAGE, &mut signature).unwrap();
            made.push((name, key.clone(), signature));
        }
        for (name, key, signature) in &made {
            let keys = one(key.clone());
            for (other, _, _) in &made {
                let verified = verify(&keys, None, Algorithm::named(other).unwrap(), MESSAGE, signature);
                assert_eq!(verified.is_ok(), other == name, "{name} as {other}: {verified:?}");
            }
            let algorithm = Algorithm::named(name).unwrap();
            assert_eq!(verify(&keys, None, algorithm, b"another", signature), Err(NoKey::Other));
        }
    }

    #[test]
    fn a_key_is_read_as_providers_write_it_and_another_is_passed_over() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = &pair.public_key().as_ref()[1..];
        let signature = pair.sign(&SystemRandom::new(), MESSAGE).unwrap();
        let (x, y) = (STANDARD.encode(&point[..32]), STANDARD.encode(&point[32..]));
        let mut document = json!({ "keys": [
            null, "text", 7, [], {}, { "kty": null }, { "kty": "oct", "k": "AAAA" }, { "kty": "AKP", "alg": "ML-DSA-44" },
            { "kty": "EC", "crv": "secp256k1", "x": x, "y": y }, { "kty": "OKP", "crv": "X25519", "x": x },
            { "kty": "RSA", "n": "not base64!", "e": "AQAB" }, { "kty": "RSA", "e": "AQAB" },
            { "kty": "EC", "crv": "P-256", "x": STANDARD.encode([1; 33]), "y": y },
            { "kty": "EC", "crv": "P-256", "use": "enc", "x": x, "y": y },
        ] });
        assert!(read(document.as_object().unwrap()).is_empty());
        let key = json!({
            "kty": "EC", "crv": "P-256", "x": x, "y": y, "use": null, "kid": 7, "key_ops": "sign", "x5c": 3, "alg": "ECDSA",
        });
        document["keys"].as_array_mut().unwrap().push(key);
        let keys = read(document.as_object().unwrap());
        assert_eq!(keys.len(), 1);
        for id in [None, Some("7")] {
            assert_eq!(verify(&keys, id, Algorithm::Es256, MESSAGE, signature.as_ref()), Ok(()));
        }
        assert_eq!(verify(&keys, Some("8"), Algorithm::Es256, MESSAGE, signature.as_ref()), Err(NoKey::Unknown));
        for document in [json!({}), json!({ "keys": null }), json!({ "keys": {} }), json!({ "keys": [] })] {
            assert!(read(document.as_object().unwrap()).is_empty());
        }
    }

    #[test]
    fn no_algorithm_is_a_shared_secret_or_none() {
        for name in ["none", "None", "HS256", "HS512", "rs256", "ES256K", "RSA-OAEP", ""] {
            assert_eq!(Algorithm::named(name), None, "{name}");
        }
        assert!(ALGORITHMS.iter().all(|name| Algorithm::named(name).is_some()));
    }
}
