//! Public keys as users paste them: recognised, checked and re-encoded.
//!
//! The accepted input is one SPKI (RFC 5280, 4.1), in a PEM block (RFC 7468, 13) or as bare base64, with an RSA key of
//! 2048 to 4096 bits, the public exponent 65537 and no known weakness. Wrapping by files, vaults and mail programs is
//! removed. Text around the block is ignored as in RFC 7468, 2, unless it looks like another key. Anything else is
//! rejected with an error that says what it is and which command converts it. Private keys are detected before anything
//! is parsed, so that they are neither stored nor echoed.

use crate::{
    key_material::{holds_key_material, is_private_key, starts_like_private_der},
    key_wrapping::unwrapped,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use der::{Decode, Encode};
use pkcs1::RsaPublicKey;
use sha2::{Digest, Sha256};
use spki::{AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef};
use std::fmt;

/// Minimum length of the modulus in bits.
pub const MIN_BITS: usize = 2048;

/// Maximum length of the modulus in bits. The cost of a verification grows with its square, and an invalid signature
/// costs as much as a valid one.
pub const MAX_BITS: usize = 4096;

/// The only accepted public exponent (FIPS 186-5, A.1.1, allows others). A 32-bit exponent doubles the verification
/// time.
const EXPONENT: u64 = 65_537;

/// The rules for keys that are being registered.
const REGISTRATION: Rules = Rules { max_bits: MAX_BITS, is_exponent: |exponent| exponent == EXPONENT };

/// The rules that applied before [`REGISTRATION`] became stricter. Keys registered then keep working.
const REGISTERED: Rules =
    Rules { max_bits: 8192, is_exponent: |exponent| exponent > 1 << 16 && exponent < 1 << 32 && exponent % 2 == 1 };

struct Rules {
    max_bits: usize,
    is_exponent: fn(u64) -> bool,
}

/// Maximum length of a pasted key in bytes. A 4096-bit key needs 800.
pub const MAX_PEM_BYTES: usize = 8 * 1024;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// An RSA public key that passed every check.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    der: Vec<u8>,
    bits: usize,
}

/// Reason why a text is rejected as a public key. The messages are shown to the user who pasted it and never quote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // Each variant's message describes it.
pub enum PublicKeyError {
    #[error("Paste the public key in PEM form, from “{BEGIN}” to “{END}”.")]
    Missing,
    #[error(
        "This is a private key. It was not saved and must never leave your side: if it was shown to anybody, replace it. Paste its public half: openssl pkey -in private.pem -pubout"
    )]
    PrivateKey,
    #[error("This is longer than any public key ({MAX_PEM_BYTES} bytes). Paste the PEM block only.")]
    TooLong,
    #[error("This is a certificate. Paste the public key in it: openssl x509 -in certificate.pem -pubkey -noout")]
    Certificate,
    #[error(
        "This is a PKCS#1 public key (“BEGIN RSA PUBLIC KEY”). Convert it: openssl rsa -RSAPublicKey_in -in key.pem -pubout"
    )]
    Pkcs1,
    #[error("This is an OpenSSH public key. Convert it: ssh-keygen -e -m PKCS8 -f key.pub")]
    OpenSsh,
    #[error("This is a JSON Web Key. Paste the key in PEM form (“{BEGIN}”).")]
    Jwk,
    #[error("Paste one public key only: there is more than one PEM block here.")]
    SeveralBlocks,
    #[error("Remove what stands before “{BEGIN}” and after “{END}”: it looks like another key.")]
    KeyAround,
    /// The label is not quoted: in a block with damaged armour it may be part of a key.
    #[error("This is a PEM block of another kind. Paste a public key: “{BEGIN}”.")]
    OtherBlock,
    #[error("The block's base64 is damaged: copy the key again, all of it.")]
    Base64,
    #[error("The block does not hold a well-formed public key (SPKI, DER): export it again.")]
    Malformed,
    #[error("This is an elliptic-curve (EC) key. Requests are signed with RS256: use an RSA key.")]
    EllipticCurve,
    #[error("This is an Ed25519 key. Requests are signed with RS256: use an RSA key.")]
    Ed25519,
    #[error(
        "This key is restricted to RSASSA-PSS. Requests are signed with RS256: use a plain RSA key (rsaEncryption)."
    )]
    RsaPss,
    #[error("This key's algorithm ({0}) is not RSA. Requests are signed with RS256: use an RSA key.")]
    OtherAlgorithm(String),
    #[error("This key has {0} bits. Use at least {MIN_BITS}; 3072 is a good choice.")]
    TooSmall(usize),
    #[error("This key has {0} bits. Use at most {MAX_BITS}; 3072 is a good choice.")]
    TooLarge(usize),
    #[error(
        "This key's public exponent is not {EXPONENT}. Generate a new pair with the exponent {EXPONENT}, which every tool chooses by default."
    )]
    Exponent,
    #[error("This key is weak: {0}. Generate a new pair, and do not use this one anywhere.")]
    Weak(Weakness),
}

/// A known weakness of a modulus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// The modulus has a small prime factor.
    #[error("its modulus has a small factor")]
    SmallFactor,
    /// Both prime factors are equal.
    #[error("its modulus is a perfect square")]
    PerfectSquare,
    /// The key was generated by an Infineon chip (CVE-2017-15361) and can be factored.
    #[error("it has the ROCA fingerprint (CVE-2017-15361)")]
    Roca,
}

impl PublicKey {
    /// Parses a pasted PEM block. A private key is rejected before anything else is examined.
    ///
    /// # Errors
    /// What the text is instead, and how to correct it.
    pub fn from_pem(text: &str) -> Result<Self, PublicKeyError> {
        Self::read_pem(text, &REGISTRATION)
    }

    /// Parses the PEM of a key that is already registered. Its size and exponent may be any that were accepted at the
    /// time of its registration; all other rules apply.
    ///
    /// # Errors
    /// As [`PublicKey::from_pem`].
    pub fn from_registered_pem(text: &str) -> Result<Self, PublicKeyError> {
        Self::read_pem(text, &REGISTERED)
    }

    fn read_pem(text: &str, rules: &Rules) -> Result<Self, PublicKeyError> {
        let unwrapped = unwrapped(text);
        if looks_private(text) || looks_private(&unwrapped) {
            return Err(PublicKeyError::PrivateKey);
        }
        if text.trim().len() > MAX_PEM_BYTES {
            return Err(PublicKeyError::TooLong);
        }
        let unwrapped = unwrapped.trim();
        let bare = if unwrapped.contains("-----BEGIN ") { None } else { bare_base64(unwrapped) };
        match bare {
            // DER in base64, the format of cloud services.
            Some(der) if der.starts_with(&[0x30]) => Self::read_der(&der, rules),
            // A text in base64, the format of Kubernetes secrets. The recursion ends because the text gets shorter each
            // time.
            Some(bytes) if bytes.len() > 100 && bytes.is_ascii() => {
                Self::read_pem(std::str::from_utf8(&bytes).unwrap_or_default(), rules)
            }
            _ => {
                let base64: String = pem_body(unwrapped)?.split_whitespace().collect();
                let der = STANDARD.decode(base64).map_err(|_| PublicKeyError::Base64)?;
                Self::read_der(&der, rules)
            }
        }
    }

    /// Parses and checks a DER-encoded SPKI.
    ///
    /// # Errors
    /// As [`PublicKey::from_pem`].
    pub fn from_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        Self::read_der(der, &REGISTRATION)
    }

    fn read_der(der: &[u8], rules: &Rules) -> Result<Self, PublicKeyError> {
        if starts_like_private_der(der) {
            return Err(PublicKeyError::PrivateKey);
        }
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| PublicKeyError::Malformed)?;
        check_algorithm(&spki.algorithm)?;
        let key = spki.subject_public_key.as_bytes().ok_or(PublicKeyError::Malformed)?;
        let numbers = RsaPublicKey::from_der(key).map_err(|_| PublicKeyError::Malformed)?;
        let modulus = numbers.modulus.as_bytes();
        let bits = rules.check_size(modulus)?;
        rules.check_exponent(numbers.public_exponent.as_bytes())?;
        check_modulus(modulus)?;
        // The key is re-encoded, so that it has exactly one canonical form and one fingerprint.
        let der = spki.to_der().map_err(|_| PublicKeyError::Malformed)?;
        Ok(Self { der, bits })
    }

    /// Checks that the key could be registered now. A key registered earlier may be larger or have another exponent.
    ///
    /// # Errors
    /// [`PublicKeyError::TooLarge`], [`PublicKeyError::Exponent`]
    pub fn check_registrable(&self) -> Result<(), PublicKeyError> {
        Self::from_der(&self.der).map(drop)
    }

    /// Returns the DER-encoded SPKI.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the length of the modulus in bits.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Returns the modulus and the public exponent, big-endian and without leading zeros.
    pub fn numbers(&self) -> (Vec<u8>, Vec<u8>) {
        let spki = SubjectPublicKeyInfoRef::from_der(&self.der).expect("it was read before");
        let numbers = RsaPublicKey::from_der(spki.subject_public_key.raw_bytes()).expect("it was read before");
        (numbers.modulus.as_bytes().to_vec(), numbers.public_exponent.as_bytes().to_vec())
    }

    /// Returns the SPKI as PEM with 64 characters per line (RFC 7468).
    pub fn pem(&self) -> String {
        let base64 = STANDARD.encode(&self.der);
        let mut pem = format!("{BEGIN}\n");
        for line in base64.as_bytes().chunks(64) {
            pem.extend(line.iter().map(|&c| char::from(c)));
            pem.push('\n');
        }
        pem + END + "\n"
    }

    /// Returns `SHA256:` and the unpadded base64 of the SPKI's SHA-256, by which users compare keys.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.der)))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

fn looks_private(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    upper.contains("PRIVATE KEY") || upper.contains("PRIVATE-KEY") || is_private_key(text)
}

fn pem_body(text: &str) -> Result<&str, PublicKeyError> {
    match text.matches("-----BEGIN ").count() {
        0 if text.is_empty() => return Err(PublicKeyError::Missing),
        0 if text.starts_with("ssh-") || text.starts_with("ecdsa-") => return Err(PublicKeyError::OpenSsh),
        0 if text.starts_with('{') => return Err(PublicKeyError::Jwk),
        0 => return Err(PublicKeyError::Missing),
        1 => {}
        _ => return Err(PublicKeyError::SeveralBlocks),
    }
    let label = text.split("-----BEGIN ").nth(1).and_then(|rest| rest.split("-----").next()).unwrap_or_default();
    match label {
        "PUBLIC KEY" => {}
        "RSA PUBLIC KEY" => return Err(PublicKeyError::Pkcs1),
        "SSH2 PUBLIC KEY" => return Err(PublicKeyError::OpenSsh),
        label if label.ends_with("CERTIFICATE") => return Err(PublicKeyError::Certificate),
        _ => return Err(PublicKeyError::OtherBlock),
    }
    let (before, inner) = text.split_once(BEGIN).ok_or(PublicKeyError::OtherBlock)?;
    let (body, after) = inner.split_once(END).ok_or(PublicKeyError::Base64)?;
    // Other text is ignored, but a private key without its armour must be reported.
    if holds_key_material(before) || holds_key_material(after) { Err(PublicKeyError::KeyAround) } else { Ok(body) }
}

/// Decodes a text that is entirely base64, with or without padding, in either alphabet (RFC 4648, 4 and 5).
fn bare_base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_whitespace().collect();
    let text = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    STANDARD_NO_PAD.decode(text).ok()
}

/// Rejects every algorithm but plain RSA (RFC 3279, 2.3.1).
///
/// # Errors
/// The kind of key that it is instead.
pub fn check_algorithm(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<(), PublicKeyError> {
    match algorithm.oid {
        // RFC 3279, 2.3.1: the parameters must be present and NULL.
        RSA_ENCRYPTION if algorithm.parameters.is_some_and(|p| p.is_null()) => Ok(()),
        RSA_ENCRYPTION => Err(PublicKeyError::Malformed),
        RSASSA_PSS => Err(PublicKeyError::RsaPss),
        EC_PUBLIC_KEY => Err(PublicKeyError::EllipticCurve),
        ED25519 => Err(PublicKeyError::Ed25519),
        other => Err(PublicKeyError::OtherAlgorithm(other.to_string())),
    }
}

impl Rules {
    fn check_size(&self, modulus: &[u8]) -> Result<usize, PublicKeyError> {
        let unused = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        match modulus.len() * 8 - unused {
            bits if bits < MIN_BITS => Err(PublicKeyError::TooSmall(bits)),
            bits if bits > self.max_bits => Err(PublicKeyError::TooLarge(bits)),
            bits => Ok(bits),
        }
    }

    fn check_exponent(&self, exponent: &[u8]) -> Result<(), PublicKeyError> {
        if exponent.len() > 8 {
            return Err(PublicKeyError::Exponent);
        }
        let value = exponent.iter().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
        if (self.is_exponent)(value) { Ok(()) } else { Err(PublicKeyError::Exponent) }
    }
}

/// Checks for weaknesses that can be detected without factoring. All three follow from `n mod p` for the primes below
/// 2,000.
fn check_modulus(modulus: &[u8]) -> Result<(), PublicKeyError> {
    let residues: Vec<(u64, u64)> = small_primes(2_000).into_iter().map(|p| (p, remainder(modulus, p))).collect();
    if residues.iter().any(|&(_, r)| r == 0) {
        return Err(PublicKeyError::Weak(Weakness::SmallFactor));
    }
    // A square is a quadratic residue modulo every prime. Another number is a residue modulo about half of them: the
    // probability that it is one modulo all 302 odd primes used here is about 2^-302.
    if residues.iter().all(|&(p, r)| p == 2 || power(r, (p - 1) / 2, p) == 1) {
        return Err(PublicKeyError::Weak(Weakness::PerfectSquare));
    }
    // Nemec et al., "The Return of Coppersmith's Attack" (CCS 2017): modulo each small prime, such a modulus is a power
    // of 65537. Their fingerprint uses the primes up to 167.
    if residues.iter().filter(|&&(p, _)| p > 2 && p <= 167).all(|&(p, r)| is_power_of_65537(r, p)) {
        return Err(PublicKeyError::Weak(Weakness::Roca));
    }
    Ok(())
}

fn small_primes(below: u64) -> Vec<u64> {
    let mut primes: Vec<u64> = Vec::new();
    for candidate in 2..below {
        if primes.iter().take_while(|&&p| p * p <= candidate).all(|p| candidate % p != 0) {
            primes.push(candidate);
        }
    }
    primes
}

fn remainder(number: &[u8], modulus: u64) -> u64 {
    number.iter().fold(0, |rest, &byte| (rest << 8 | u64::from(byte)) % modulus)
}

fn power(base: u64, exponent: u64, modulus: u64) -> u64 {
    (0..exponent).fold(1, |product, _| product * base % modulus)
}

fn is_power_of_65537(residue: u64, modulus: u64) -> bool {
    let mut power = 1;
    loop {
        if power == residue {
            return true;
        }
        power = power * 65_537 % modulus;
        if power == 1 {
            return false;
        }
    }
}

#[cfg(test)]
mod tests;
