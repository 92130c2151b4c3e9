//! Identifies, converts and encrypts keys, for developers whose requests are rejected with `invalid_signature`.
//!
//! [`examine`] accepts a key in any common format, identifies it, reports what is wrong with it, and converts it to the
//! formats that every library reads: SPKI for the public key, PKCS#8 for the private key. [`encrypt`] protects a
//! private key with a passphrase, and [`TestRequest`] signs with one. All are plain functions. Compiled for WASM, the
//! crate is also a Web Worker module (`worker`), so that keys are examined in the browser and never leave it.

mod der;
mod encryption;
mod jwk;
mod openssh;
mod parts;
mod test_request;
mod text;
#[cfg(target_arch = "wasm32")]
mod worker;

pub use encryption::{EncryptionError, ITERATIONS, encrypt};
pub use test_request::{SigningError, TestRequest};
pub use text::Note;

use domain::public_key::{PublicKey, PublicKeyError};
use std::fmt;
use zeroize::Zeroizing;

/// Maximum input size in bytes, well above a JWK set of many keys.
pub const MAX_BYTES: usize = 128 * 1024;

/// Result of [`examine`].
#[derive(Debug)]
pub struct Examination {
    /// Irregularities of the text that were corrected in order to read the keys.
    pub notes: Vec<Note>,
    /// Keys in the order of the input, each identified or with the reason it cannot be used.
    pub keys: Vec<Result<Finding, Problem>>,
}

/// An RSA key that can sign or verify requests.
pub struct Finding {
    /// Format of the input.
    pub form: Form,
    /// Public key.
    pub public_key: PublicKey,
    /// Private key as unencrypted PKCS#8 in PEM (RFC 5958); `None` if the input contained the public key only.
    pub private_key_pem: Option<Zeroizing<String>>,
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finding")
            .field("form", &self.form)
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

/// Format of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // `Display` describes each form.
pub enum Form {
    Pkcs8,
    EncryptedPkcs8,
    Pkcs1,
    OpenSsh,
    EncryptedOpenSsh,
    PrivateJwk,
    Spki,
    Pkcs1Public,
    SshPublic,
    PublicJwk,
    Certificate,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pkcs8 => "Private key, PKCS#8",
            Self::EncryptedPkcs8 => "Private key, PKCS#8, encrypted with a passphrase",
            Self::Pkcs1 => "Private key, PKCS#1",
            Self::OpenSsh => "Private key, OpenSSH",
            Self::EncryptedOpenSsh => "Private key, OpenSSH, encrypted with a passphrase",
            Self::PrivateJwk => "Private key, JSON Web Key",
            Self::Spki => "Public key, SPKI",
            Self::Pkcs1Public => "Public key, PKCS#1",
            Self::SshPublic => "Public key, OpenSSH",
            Self::PublicJwk => "Public key, JSON Web Key",
            Self::Certificate => "Certificate, which holds a public key",
        })
    }
}

/// Reason a key cannot be used as it is. The messages are shown to the user and never quote the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The message of each variant explains it.
pub enum Problem {
    #[error("There is nothing here. Paste a key, or choose its file.")]
    Empty,
    #[error("This is longer than any key ({MAX_BYTES} bytes). Choose the key's own file.")]
    TooLong,
    #[error(
        "No key was recognised here. Look for a file that begins with “-----BEGIN”, and take it from its first line to its last."
    )]
    Unknown,
    #[error("The end of this key is missing (its “-----END” line). Copy it again, all of it.")]
    CutOff,
    #[error("The key's base64 is damaged: characters are missing or were changed. Copy it again, all of it.")]
    Base64,
    #[error("This says that it is “{0}”, and holds something else: it is damaged. Copy it again, all of it.")]
    Malformed(String),
    #[error("This is JSON, but neither a JSON Web Key nor a set of them.")]
    Json,
    #[error("This JSON Web Key lacks “{0}”, or it is no base64url. Export it again.")]
    JwkMember(&'static str),
    #[error(
        "This is a secret that two sides share (“oct”), not a key pair. Requests are signed with RS256: use an RSA key."
    )]
    SharedSecret,
    #[error("This key is encrypted. Type its passphrase; it stays in this browser.")]
    PassphraseNeeded,
    #[error("This passphrase does not open the key. Try again: capital letters and the keyboard's language count.")]
    PassphraseWrong,
    #[error(
        "This key is encrypted in a way that is not read here. Write it anew: openssl pkey -in private.pem -aes256 -out new.pem"
    )]
    OtherEncryption,
    #[error(
        "This key is encrypted in OpenSSL's old way, which protects badly. Write it anew: openssl pkey -in private.pem -aes256 -out new.pem"
    )]
    LegacyEncryption,
    #[error("This is a PuTTY key. Convert it: puttygen key.ppk -O private-openssh -o private.pem")]
    Putty,
    #[error(
        "This is a PKCS#12 file (.p12, .pfx). Take the key out of it: openssl pkcs12 -in key.p12 -nocerts -out private.pem"
    )]
    Pkcs12,
    #[error(
        "This is a Java keystore. Convert it: keytool -importkeystore -srckeystore key.jks -destkeystore key.p12 -deststoretype pkcs12"
    )]
    JavaKeystore,
    #[error("This is a certificate request. Take the public key out of it: openssl req -in request.pem -pubkey -noout")]
    CertificateRequest,
    #[error(
        "The numbers in this private key do not belong together: it was damaged or edited, and cannot sign. Find a good copy, or generate a new pair."
    )]
    Inconsistent,
    #[error("This private key is made of more than two primes, which many libraries cannot use. Generate a new pair.")]
    MultiPrime,
    #[error(transparent)]
    Refused(PublicKeyError),
}

/// Examines `bytes`: the content of a file, or a pasted text. `passphrase` decrypts encrypted keys.
pub fn examine(bytes: &[u8], passphrase: Option<&str>) -> Examination {
    if bytes.len() > MAX_BYTES {
        return Examination { notes: Vec::new(), keys: vec![Err(Problem::TooLong)] };
    }
    let mut notes = Vec::new();
    let mut keys: Vec<_> = text::blocks(bytes, &mut notes)
        .into_iter()
        .map(|block| match block? {
            text::Block::Key { label, bytes } => der::read(label.as_deref(), &bytes, passphrase),
            text::Block::Jwk(jwk) => jwk::read(&jwk),
        })
        .collect();
    if keys.is_empty() {
        keys.push(Err(Problem::Empty));
    }
    Examination { notes, keys }
}
