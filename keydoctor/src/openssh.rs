//! OpenSSH's own binary formats, as found inside their base64 encoding.

use crate::{
    Finding, Form, Problem,
    parts::{Parts, PrivateParts},
};
use domain::public_key::PublicKeyError;
use ssh_key::{Algorithm, Mpint, PrivateKey, PublicKey, private::RsaKeypair};

/// Start of a private key (OpenSSH, PROTOCOL.key).
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// Start of a public key: length and beginning of the algorithm name (RFC 4253, 6.6; RFC 8709, 4; RFC 5656, 3.1).
const PUBLIC: [&[u8]; 5] = [
    b"\0\0\0\x07ssh-rsa",
    b"\0\0\0\x0bssh-ed25519",
    b"\0\0\0\x13ecdsa-sha2-",
    b"\0\0\0\x1ask-ssh",
    b"\0\0\0\x22sk-ecdsa",
];

/// Parses an OpenSSH key; `None` if `bytes` is in another format.
pub(crate) fn read(bytes: &[u8], passphrase: Option<&str>) -> Option<Result<Finding, Problem>> {
    if bytes.starts_with(MAGIC) {
        return Some(private(bytes, passphrase));
    }
    PUBLIC.iter().any(|start| bytes.starts_with(start)).then(|| public(bytes))
}

fn private(bytes: &[u8], passphrase: Option<&str>) -> Result<Finding, Problem> {
    let malformed = |_| Problem::Malformed("OPENSSH PRIVATE KEY".to_owned());
    let key = PrivateKey::from_bytes(bytes).map_err(malformed)?;
    check_algorithm(&key.algorithm())?;
    let (key, form) = if key.is_encrypted() {
        let passphrase = passphrase.ok_or(Problem::PassphraseNeeded)?;
        (key.decrypt(passphrase).map_err(|_| Problem::PassphraseWrong)?, Form::EncryptedOpenSsh)
    } else {
        (key, Form::OpenSsh)
    };
    let RsaKeypair { public, private } = key.key_data().rsa().ok_or(Problem::Unknown)?;
    let primes = Some([number(&private.p)?, number(&private.q)?]);
    Parts {
        modulus: number(&public.n)?,
        public_exponent: number(&public.e)?,
        private: Some(PrivateParts { exponent: number(&private.d)?, primes }),
    }
    .into_finding(form)
}

fn public(bytes: &[u8]) -> Result<Finding, Problem> {
    let key = PublicKey::from_bytes(bytes).map_err(|_| Problem::Malformed("ssh-rsa".to_owned()))?;
    check_algorithm(&key.algorithm())?;
    let key = key.key_data().rsa().ok_or(Problem::Unknown)?;
    Parts { modulus: number(&key.n)?, public_exponent: number(&key.e)?, private: None }.into_finding(Form::SshPublic)
}

fn check_algorithm(algorithm: &Algorithm) -> Result<(), Problem> {
    Err(Problem::Refused(match algorithm {
        Algorithm::Rsa { .. } => return Ok(()),
        Algorithm::Ecdsa { .. } | Algorithm::SkEcdsaSha2NistP256 => PublicKeyError::EllipticCurve,
        Algorithm::Ed25519 | Algorithm::SkEd25519 => PublicKeyError::Ed25519,
        other => PublicKeyError::OtherAlgorithm(other.to_string()),
    }))
}

fn number(number: &Mpint) -> Result<&[u8], Problem> {
    number.as_positive_bytes().ok_or(Problem::Inconsistent)
}
