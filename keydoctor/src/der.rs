//! Keys in DER, and OpenSSH's two binary formats. The format is recognized from the content, because the PEM label may
//! be missing.

use crate::{
    Finding, Form, Problem, openssh,
    parts::{Parts, PrivateParts},
};
use ::der::{Decode, Encode, Tagged, asn1::AnyRef};
use domain::public_key::{PublicKey, PublicKeyError, check_algorithm};
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo};
use spki::SubjectPublicKeyInfoRef;

/// PEM labels whose content this module parses. If parsing fails despite such a label, the content is reported as
/// damaged.
const LABELS: [&str; 8] = [
    "PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "RSA PRIVATE KEY",
    "PUBLIC KEY",
    "RSA PUBLIC KEY",
    "CERTIFICATE",
    "OPENSSH PRIVATE KEY",
    "SSH2 PUBLIC KEY",
];

pub(crate) fn read(label: Option<&str>, bytes: &[u8], passphrase: Option<&str>) -> Result<Finding, Problem> {
    if let Some(found) = openssh::read(bytes, passphrase) {
        return found;
    }
    if let Ok(key) = PrivateKeyInfo::from_der(bytes) {
        return pkcs8(&key, Form::Pkcs8);
    }
    if let Ok(key) = EncryptedPrivateKeyInfo::from_der(bytes) {
        return encrypted_pkcs8(&key, passphrase);
    }
    if let Ok(key) = pkcs1::RsaPrivateKey::from_der(bytes) {
        return pkcs1(&key, Form::Pkcs1);
    }
    if SubjectPublicKeyInfoRef::from_der(bytes).is_ok() {
        return spki(bytes, Form::Spki);
    }
    if let Ok(key) = pkcs1::RsaPublicKey::from_der(bytes) {
        let (modulus, public_exponent) = (key.modulus.as_bytes(), key.public_exponent.as_bytes());
        return Parts { modulus, public_exponent, private: None }.into_finding(Form::Pkcs1Public);
    }
    let members = Vec::<AnyRef<'_>>::from_der(bytes).unwrap_or_default();
    if let Some(key) = certified(&members) {
        return spki(&key, Form::Certificate);
    }
    Err(otherwise(label, bytes, &members))
}

fn pkcs8(key: &PrivateKeyInfo<'_>, form: Form) -> Result<Finding, Problem> {
    check_algorithm(&key.algorithm).map_err(Problem::Refused)?;
    let numbers =
        pkcs1::RsaPrivateKey::from_der(key.private_key).map_err(|_| Problem::Malformed("PRIVATE KEY".to_owned()))?;
    pkcs1(&numbers, form)
}

fn encrypted_pkcs8(key: &EncryptedPrivateKeyInfo<'_>, passphrase: Option<&str>) -> Result<Finding, Problem> {
    if key.encryption_algorithm.pbes2().is_none() {
        return Err(Problem::OtherEncryption);
    }
    let decrypted = key.decrypt(passphrase.ok_or(Problem::PassphraseNeeded)?).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(
            pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. } | pkcs8::pkcs5::Error::AlgorithmParametersInvalid { .. },
        ) => Problem::OtherEncryption,
        // A wrong passphrase yields invalid padding or, about once in 256 times, valid padding around something other
        // than a key.
        _ => Problem::PassphraseWrong,
    })?;
    let key = PrivateKeyInfo::from_der(decrypted.as_bytes()).map_err(|_| Problem::PassphraseWrong)?;
    pkcs8(&key, Form::EncryptedPkcs8)
}

fn pkcs1(key: &pkcs1::RsaPrivateKey<'_>, form: Form) -> Result<Finding, Problem> {
    if key.other_prime_infos.is_some() {
        return Err(Problem::MultiPrime);
    }
    let primes = Some([key.prime1.as_bytes(), key.prime2.as_bytes()]);
    Parts {
        modulus: key.modulus.as_bytes(),
        public_exponent: key.public_exponent.as_bytes(),
        private: Some(PrivateParts { exponent: key.private_exponent.as_bytes(), primes }),
    }
    .into_finding(form)
}

fn spki(der: &[u8], form: Form) -> Result<Finding, Problem> {
    let public_key = PublicKey::from_der(der).map_err(Problem::Refused)?;
    Ok(Finding { form, public_key, private_key_pem: None })
}

/// Returns the subject's public key from a certificate's members (RFC 5280, 4.1). The validity of the certificate is
/// irrelevant, because requests are not verified with it.
fn certified(members: &[AnyRef<'_>]) -> Option<Vec<u8>> {
    let [to_be_signed, _algorithm, _signature] = members else { return None };
    let fields = to_be_signed.decode_as::<Vec<AnyRef<'_>>>().ok()?;
    // The optional version precedes the other fields.
    let has_version = fields.first()?.tag().is_context_specific();
    let key = fields.get(if has_version { 6 } else { 5 })?.to_der().ok()?;
    SubjectPublicKeyInfoRef::from_der(&key).is_ok().then_some(key)
}

/// Identifies content that is not an RSA key: other kinds of keys, key stores and damaged files.
fn otherwise(label: Option<&str>, bytes: &[u8], members: &[AnyRef<'_>]) -> Problem {
    /// Whether this is a SEC 1 private key (RFC 5915, 3): its version, and the key as an octet string.
    fn is_sec1(members: &[AnyRef<'_>]) -> bool {
        matches!(members, [version, key, ..] if version.value() == [1] && key.decode_as::<::der::asn1::OctetStringRef<'_>>().is_ok())
    }
    if bytes.starts_with(&[0xFE, 0xED, 0xFE, 0xED]) {
        return Problem::JavaKeystore;
    }
    match (label, members) {
        (_, members) if is_sec1(members) => Problem::Refused(PublicKeyError::EllipticCurve),
        // The version of a PFX is 3 (RFC 7292, 4).
        (None, [version, ..]) if version.value() == [3] => Problem::Pkcs12,
        (Some("CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST"), _) => Problem::CertificateRequest,
        (Some("ENCRYPTED PRIVATE KEY"), [_, _]) => Problem::OtherEncryption,
        (Some(label), _) if LABELS.contains(&label) => Problem::Malformed(label.to_owned()),
        (Some(_), _) => Problem::Refused(PublicKeyError::OtherBlock),
        (None, _) => Problem::Unknown,
    }
}
