//! The pepper: the secret that API keys are hashed with, kept outside the database.

use crate::{
    private_files::{self, LooseMode},
    random,
};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    constant_time::verify_slices_are_equal,
    hmac,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use domain::api_key::ApiKeyHash;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};
use zeroize::Zeroizing;

/// A secret without which the hashes in the database cannot be tested against guesses. Its id identifies keys that were
/// hashed with another pepper.
pub struct Pepper {
    id: String,
    key: hmac::Key,
}

/// Error returned when the pepper cannot be loaded or created.
#[derive(Debug, thiserror::Error)]
pub enum PepperError {
    /// The file cannot be read or created.
    #[error("the pepper file {path} cannot be used: {source}")]
    File {
        /// Path of the pepper file.
        path: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Other users of the machine can use the file.
    #[error(transparent)]
    Loose(#[from] LooseMode),
    /// The file exists, but does not have the format that [`Pepper::load_or_create`] writes.
    #[error(
        "the pepper file {0} is damaged: it must hold an id and 32 bytes in base64, separated by a space. Restore it from a backup; without it no API key can be recognised"
    )]
    Damaged(String),
}

impl Pepper {
    /// Creates the pepper `id` with the secret `secret`.
    pub fn new(id: &str, secret: &[u8; 32]) -> Self {
        Self { id: id.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// Reads the pepper from `path`, or creates one there that only the owner can read.
    ///
    /// # Errors
    /// The file cannot be used, or is damaged.
    pub fn load_or_create(path: &Path) -> Result<Self, PepperError> {
        private_files::check(path)?;
        let failed = |source| PepperError::File { path: path.display().to_string(), source };
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        };
        parse(&text).ok_or_else(|| PepperError::Damaged(path.display().to_string()))
    }

    /// Reads the pepper from `path`.
    ///
    /// # Errors
    /// The file cannot be used, is missing or is damaged.
    pub fn load(path: &Path) -> Result<Self, PepperError> {
        private_files::check(path)?;
        let failed = |source| PepperError::File { path: path.display().to_string(), source };
        let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
        parse(&text).ok_or_else(|| PepperError::Damaged(path.display().to_string()))
    }

    /// The id stored with each hash that this pepper made.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `HMAC-SHA-256(pepper, key)` (RFC 2104).
    pub fn hash(&self, key: &[u8]) -> ApiKeyHash {
        let tag = hmac::sign(&self.key, key);
        let mut hash = [0; 32];
        hash.copy_from_slice(tag.as_ref());
        ApiKeyHash(hash)
    }

    /// Returns an authentication code over `text`, with which [`Pepper::is_sealed`] detects changes.
    pub fn seal(&self, text: &str) -> String {
        // No API key begins like this, so a seal is never the hash of a key.
        URL_SAFE_NO_PAD.encode(self.hash(format!("nuvera seal {text}").as_bytes()).0)
    }

    /// Whether `seal` belongs to `text`, compared in constant time.
    pub fn is_sealed(&self, text: &str, seal: &str) -> bool {
        verify_slices_are_equal(self.seal(text).as_bytes(), seal.as_bytes()).is_ok()
    }

    /// Encrypts `secret`. Decryption needs the same `purpose`, which names the kind of secret and its owner.
    ///
    /// # Panics
    /// If the operating system provides no randomness: it is not safe to continue then.
    pub fn encrypt(&self, purpose: &str, secret: &[u8]) -> String {
        let mut text = secret.to_vec();
        let nonce = self.cipher().seal_in_place_append_tag(Aad::from(purpose), &mut text);
        let nonce = nonce.expect("the operating system gives random bytes");
        URL_SAFE_NO_PAD.encode([nonce.as_ref().as_slice(), &text].concat())
    }

    /// Decrypts a secret that was encrypted for `purpose`. Returns `None` if it was encrypted for another purpose or
    /// with another pepper.
    pub fn decrypt(&self, purpose: &str, text: &str) -> Option<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let nonce = Nonce::try_assume_unique_for_key(bytes.get(..NONCE_LEN)?).ok()?;
        let length = self.cipher().open_in_place(nonce, Aad::from(purpose), &mut bytes[NONCE_LEN..]).ok()?.len();
        Some(Zeroizing::new(bytes[NONCE_LEN..NONCE_LEN + length].to_vec()))
    }

    /// AES-256-GCM with a derived key. Its nonces are random, which is safe for 2^32 secrets (NIST SP 800-38D, section
    /// 8.3).
    fn cipher(&self) -> RandomizedNonceKey {
        // No API key begins like this, so this key is never the hash of one.
        let key = Zeroizing::new(self.hash(b"nuvera encryption key").0);
        RandomizedNonceKey::new(&AES_256_GCM, &*key).expect("the key has 32 bytes")
    }

    /// Returns the hash of a fixed text. It is stored in the database, so that a start detects the wrong pepper.
    pub fn check_value(&self) -> String {
        STANDARD_NO_PAD.encode(self.hash(b"nuvera pepper check").0)
    }
}

fn create(path: &Path) -> io::Result<Zeroizing<String>> {
    let secret = Zeroizing::new(random::bytes::<32>());
    let id: String = random::bytes::<4>().iter().map(|byte| format!("{byte:02x}")).collect();
    let text = Zeroizing::new(format!("{id} {}\n", STANDARD_NO_PAD.encode(*secret)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(text)
}

fn parse(text: &str) -> Option<Pepper> {
    let (id, secret) = text.trim_end().split_once(' ')?;
    let secret = Zeroizing::new(STANDARD_NO_PAD.decode(secret).ok()?);
    Some(Pepper::new(id, secret.as_slice().try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_pepper_is_made_once_and_read_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pepper");
        let made = Pepper::load_or_create(&path).unwrap();
        let read = Pepper::load_or_create(&path).unwrap();
        assert_eq!(made.hash(b"key"), read.hash(b"key"));
        assert_eq!(made.id(), read.id());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_secret_comes_back_for_its_purpose_and_for_no_other() {
        let pepper = Pepper::new("test", &[7; 32]);
        let sealed = pepper.encrypt("factor of 1", b"secret");
        assert_eq!(pepper.decrypt("factor of 1", &sealed).unwrap().as_slice(), b"secret");
        assert_ne!(pepper.encrypt("factor of 1", b"secret"), sealed);
        assert!(pepper.decrypt("factor of 2", &sealed).is_none());
        assert!(Pepper::new("test", &[8; 32]).decrypt("factor of 1", &sealed).is_none());
        for damaged in ["", "AAAA", &sealed[1..], &format!("{sealed}AAAA")] {
            assert!(pepper.decrypt("factor of 1", damaged).is_none(), "{damaged}");
        }
    }

    #[test]
    fn a_damaged_pepper_is_named_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pepper");
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        fs::write(&path, "short\n").unwrap();
        assert!(matches!(Pepper::load_or_create(&path), Err(PepperError::Damaged(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "short\n");
    }
}
