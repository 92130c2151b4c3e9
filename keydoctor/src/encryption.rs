//! Encryption of private keys with a passphrase: PKCS#8 `ENCRYPTED PRIVATE KEY` (RFC 5958, 3) with PBES2 (RFC 8018,
//! 6.2).
//!
//! The key is derived by PBKDF2 with HMAC-SHA-256 and encrypts with AES-256-CBC. scrypt would be the better key
//! derivation function, but OpenSSL limits it to 32 MiB, a quarter of what OWASP recommends, so that the file could not
//! be opened everywhere.

use der::{Decode, pem::PemLabel};
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SecretDocument, pkcs5::pbes2};

/// Iterations of PBKDF2, as recommended for HMAC-SHA-256 by OWASP's Password Storage Cheat Sheet.
pub const ITERATIONS: u32 = 600_000;

/// Error returned by [`encrypt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// The input is not a PKCS#8 private key in PEM.
    #[error("this is no private key in PKCS#8 form")]
    NoPrivateKey,
    /// The passphrase is empty.
    #[error("the passphrase is empty")]
    NoPassphrase,
    /// Encryption or encoding failed.
    #[error("the key could not be encrypted")]
    Failed,
}

/// Encrypts a PKCS#8 private key in PEM. `salt` and `iv` must be random and different for every call.
///
/// # Errors
/// The text is not such a key, or the passphrase is empty.
pub fn encrypt(
    private_key_pem: &str,
    passphrase: &str,
    salt: &[u8; 16],
    iv: &[u8; 16],
) -> Result<String, EncryptionError> {
    if passphrase.is_empty() {
        return Err(EncryptionError::NoPassphrase);
    }
    let (_, document) = SecretDocument::from_pem(private_key_pem).map_err(|_| EncryptionError::NoPrivateKey)?;
    let key = PrivateKeyInfo::from_der(document.as_bytes()).map_err(|_| EncryptionError::NoPrivateKey)?;
    let encrypted = pbes2::Parameters::pbkdf2_sha256_aes256cbc(ITERATIONS, salt, iv)
        .map_err(pkcs8::Error::from)
        .and_then(|parameters| key.encrypt_with_params(parameters, passphrase));
    let pem = encrypted.and_then(|document| Ok(document.to_pem(EncryptedPrivateKeyInfo::PEM_LABEL, LineEnding::LF)?));
    pem.map(|pem| pem.to_string()).map_err(|_| EncryptionError::Failed)
}
