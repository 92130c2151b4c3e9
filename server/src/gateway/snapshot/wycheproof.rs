//! Project Wycheproof's vectors against the function that the gateway verifies signatures with, over keys that went the
//! whole way: pasted, judged by the domain, known by the snapshot.
//!
//! There are no exceptions but those named here, each with its reason.

use super::*;
use ::wycheproof::{TestResult, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::{PublicEncryptingKey, PublicKeyComponents},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    id::SigningKeyId,
    public_key::{PublicKey, PublicKeyError},
    request::UnverifiedToken,
};
use serde_json::Value;
use uuid::Uuid;
use wycheproof_ng_kdf_jose::json_web;

/// A key, verified with in the way that this processor has, and in the library's, which all have: they must agree.
struct EachWay {
    quickest: VerifyingKey,
    library: VerifyingKey,
}

impl EachWay {
    fn verifies(&self, message: &Digest, signature: &[u8]) -> bool {
        let verified = self.quickest.verifies(message, signature);
        assert_eq!(self.library.verifies(message, signature), verified, "the two ways differ");
        verified
    }
}

fn verifying(public_key: PublicKey) -> EachWay {
    let (created_at, created_by) = (Timestamp::from_millis(0), String::new());
    let key = SigningKey {
        id: SigningKeyId(Uuid::nil()),
        public_key,
        created_at,
        created_by,
        proven_at: None,
        state: SigningKeyState::Current,
    };
    let quickest = VerifyingKey::new(&key, None).unwrap();
    let parsed = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key.der()).unwrap();
    let (fingerprint, parsed) = (quickest.fingerprint.clone(), Arc::new(Parsed::Library(parsed)));
    EachWay { quickest, library: VerifyingKey { key, fingerprint, parsed } }
}

/// The key, but for those that cannot be registered and are tested for that: exponent 3, or bound to RSASSA-PSS.
fn registered(pem: &str) -> Option<PublicKey> {
    match PublicKey::from_registered_pem(pem) {
        Err(PublicKeyError::Exponent | PublicKeyError::RsaPss) => None,
        key => Some(key.unwrap()),
    }
}

#[test]
fn signatures_with_sha_256() {
    use pkcs1::TestName::{Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256, Rsa8192Sha256};
    let (mut accepted, mut refused, mut keys) = (0, 0, 0);
    for name in [Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256, Rsa8192Sha256] {
        for group in pkcs1::TestSet::load(name).unwrap().test_groups {
            let pasted = PublicKey::from_pem(&group.pem);
            assert_eq!(pasted, PublicKey::from_der(&group.der));
            // Some groups test small exponents: no such key can be registered.
            if group.key.e.as_ref() == [3] {
                assert_eq!(
                    pasted.map_err(|error| matches!(error, PublicKeyError::Exponent | PublicKeyError::TooLarge(_))),
                    Err(true)
                );
                continue;
            }
            // One of 8192 bits could be, and such a key keeps working.
            match name {
                Rsa8192Sha256 => assert_eq!(pasted, Err(PublicKeyError::TooLarge(8192))),
                _ => assert!(pasted.is_ok()),
            }
            let key = verifying(PublicKey::from_registered_pem(&group.pem).unwrap());
            keys += 1;
            for test in group.tests {
                // "Acceptable" is a missing NULL in the DigestInfo (RFC 8017, 9.2, note 1 lets a verifier take it): one
                // message has one signature here, so it is refused.
                let expected = test.result == TestResult::Valid;
                assert_eq!(
                    key.verifies(&sha256(&test.msg), &test.sig),
                    expected,
                    "{name:?} {}: {}",
                    test.tc_id,
                    test.comment
                );
                if expected { accepted += 1 } else { refused += 1 }
            }
        }
    }
    assert_eq!((keys, accepted, refused), (4, 28, 1003));
}

#[test]
fn signatures_with_other_hashes_never_verify() {
    let (mut accepted, mut refused) = (0, 0);
    for name in pkcs1::TestName::all() {
        if format!("{name:?}").ends_with("Sha256") && !format!("{name:?}").contains("Sha3_") {
            continue;
        }
        for group in pkcs1::TestSet::load(name).unwrap().test_groups {
            let Some(key) = registered(&group.pem) else { continue };
            let key = verifying(key);
            for test in group.tests {
                // One of the invalid ones is in truth what we ask for, over the same message: a control.
                let expected = test.comment.starts_with("The message is hashed with SHA-256 instead of");
                assert_eq!(
                    key.verifies(&sha256(&test.msg), &test.sig),
                    expected,
                    "{name:?} {}: {}",
                    test.tc_id,
                    test.comment
                );
                if expected { accepted += 1 } else { refused += 1 }
            }
        }
    }
    assert_eq!((accepted, refused), (20, 5146));
}

#[test]
fn a_key_that_is_bound_to_pss_cannot_be_registered() {
    let mut refused = 0;
    for name in pss::TestName::all() {
        for group in pss::TestSet::load(name).unwrap().test_groups {
            if !format!("{name:?}").ends_with("WithParams") {
                continue;
            }
            assert_eq!(PublicKey::from_pem(&group.pem), Err(PublicKeyError::RsaPss), "{name:?}");
            assert_eq!(PublicKey::from_der(&group.der), Err(PublicKeyError::RsaPss), "{name:?}");
            refused += 1;
        }
    }
    assert_eq!(refused, 157);
}

#[test]
fn pss_signatures_never_verify() {
    let (mut accepted, mut refused) = (0, 0);
    for name in pss::TestName::all() {
        for group in pss::TestSet::load(name).unwrap().test_groups {
            let Some(key) = registered(&group.pem) else { continue };
            let key = verifying(key);
            for test in group.tests {
                // One of the invalid ones is in truth what we ask for: a control.
                let expected = test.comment == "PKCS #1 v1.5 signature with SHA-256";
                assert_eq!(
                    key.verifies(&sha256(&test.msg), &test.sig),
                    expected,
                    "{name:?} {}: {}",
                    test.tc_id,
                    test.comment
                );
                if expected { accepted += 1 } else { refused += 1 }
            }
        }
    }
    assert_eq!((accepted, refused), (17, 2389));
}

/// Of the vectors for JSON Web Signatures those in RS256 are accepted that are valid, and these three: what forbids them
/// stands in the JSON Web Key (`alg` is PS512, `use` is enc, `key_ops` has no verify). A registered key is an SPKI, which
/// says none of that; whoever pastes it says that it is for RS256.
const FORBIDDEN_BY_THE_JWK_ALONE: [usize; 3] = [332, 353, 355];

#[test]
fn json_web_signatures() {
    let set = json_web::TestSet::load(json_web::TestName::JsonWebSignature).unwrap();
    let stranger =
        verifying(PublicKey::from_pem(include_str!("../../../../domain/src/testdata/rsa-2048-a.pem")).unwrap());
    let (mut all, mut accepted) = (0, Vec::new());
    for group in set.test_groups {
        // Where the group's key is symmetric or on a curve, a registered RSA key stands in for it.
        let jwk = group.public_key.or(group.private_key).unwrap();
        let own = rsa_key(&jwk).map(verifying);
        let is_rs256 = jwk["alg"] == "RS256";
        for test in group.tests {
            all += 1;
            let verifies = match &test.jws {
                Some(Value::String(compact)) => verifies(own.as_ref().unwrap_or(&stranger), compact),
                // The JSON serialization (RFC 7515, 7.2) is no token: sent as one, it is refused.
                Some(other) => verifies(own.as_ref().unwrap_or(&stranger), &other.to_string()),
                None => panic!("{} has no JWS", test.tc_id),
            };
            let valid = is_rs256 && format!("{:?}", test.result) == "Valid";
            let expected = valid || FORBIDDEN_BY_THE_JWK_ALONE.contains(&test.tc_id);
            assert_eq!(verifies, expected, "{}: {}", test.tc_id, test.comment);
            if verifies {
                accepted.push(test.tc_id);
            }
        }
    }
    assert_eq!((all, accepted.len()), (401, 11));
}

fn sha256(message: &[u8]) -> Digest {
    digest(&SHA256, message)
}

fn verifies(key: &EachWay, token: &str) -> bool {
    UnverifiedToken::parse(token.as_bytes())
        .is_ok_and(|token| key.verifies(&sha256(token.signing_input()), token.signature()))
}

fn rsa_key(jwk: &Value) -> Option<PublicKey> {
    let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str()?).ok();
    let components = PublicKeyComponents { n: number("n")?, e: number("e")? };
    let key: PublicEncryptingKey = components.try_into().unwrap();
    let der: PublicKeyX509Der<'_> = key.as_der().unwrap();
    Some(PublicKey::from_der(der.as_ref()).unwrap())
}
