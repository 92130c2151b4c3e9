//! Password hashing with Argon2id, on the [`cpu_pool`](super::cpu_pool).

use super::{
    BackendError,
    cpu_pool::{Place, Requester},
    passwords,
};
use crate::random;
use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version, password_hash::SaltString,
};
use std::sync::LazyLock;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// A hash to verify against if the account does not exist, so that the response takes as long.
static DUMMY_HASH: LazyLock<String> = LazyLock::new(|| hash_here("no account has this password", COST));

/// The cost of a new hash: the crate's default parameters (19 MiB, t = 2, p = 1), which OWASP recommends. Only tests
/// lower it.
pub(super) const COST: Params = Params::DEFAULT;

/// Returns whether `password` has this hash. Takes as long with `None`, for an account that does not exist.
pub(super) async fn verify(place: &Place, password: String, hash: Option<String>) -> bool {
    let verified = place.run(move || {
        let hash = hash.as_ref().unwrap_or(&DUMMY_HASH);
        let Ok(parsed) = PasswordHash::new(hash) else { return false };
        let matches = |password: &str| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
        let normalized = normalized(&password);
        // A hash created before passwords were normalized is of the password as it was typed.
        matches(&normalized) || *normalized != password && matches(&password)
    });
    // A password whose check panicked does not match.
    verified.await.unwrap_or(false)
}

/// Checks a new password with [`passwords::check`] and hashes it.
///
/// # Errors
/// The password is rejected; too many jobs of this requester are queued.
pub(super) async fn check_and_hash(
    requester: Requester,
    password: &str,
    known: &[&str],
    cost: Params,
) -> Result<String, BackendError> {
    let place = Place::take(requester)?;
    let password = password.to_owned();
    let known: Vec<String> = known.iter().map(|&text| text.to_owned()).collect();
    let hashed = place.run(move || {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        passwords::check(&normalized(&password), &known)?;
        Ok::<_, BackendError>(hash_here(&password, cost))
    });
    hashed.await.expect("judging and hashing a password do not panic")
}

/// Hashes a password on the calling thread. For command-line subcommands and the start, which serve no requests.
pub(super) fn hash_here(password: &str, cost: Params) -> String {
    let salt = SaltString::encode_b64(&random::bytes::<16>()).expect("16 bytes are a valid salt");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost);
    argon2.hash_password(normalized(password).as_bytes(), &salt).expect("the parameters are valid").to_string()
}

/// Normalizes a password for hashing (RFC 8265, 4.2.1: OpaqueString): non-ASCII spaces become ASCII spaces, and the
/// text is converted to NFC. Keyboards may send an é as one character or as two, which look the same to users.
fn normalized(password: &str) -> Zeroizing<String> {
    let space = |c: char| if c.is_whitespace() && !c.is_control() { ' ' } else { c };
    Zeroizing::new(password.chars().map(space).nfc().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let place = Place::take(Requester::Client(None)).unwrap();
        let hash = hash_here("correct horse", COST);
        assert!(verify(&place, "correct horse".to_owned(), Some(hash.clone())).await);
        assert!(!verify(&place, "battery staple".to_owned(), Some(hash)).await);
        assert!(!verify(&place, "correct horse".to_owned(), None).await);
        assert!(!verify(&place, "correct horse".to_owned(), Some("no hash".to_owned())).await);
    }

    #[tokio::test]
    async fn a_password_is_the_same_however_a_keyboard_composes_it() {
        let place = Place::take(Requester::Client(None)).unwrap();
        let (composed, decomposed) = ("caf\u{E9} gr\u{FC}n\u{A0}84", "cafe\u{301} gru\u{308}n 84");
        for (chosen, typed) in [(composed, decomposed), (decomposed, composed)] {
            let hash = hash_here(chosen, COST);
            assert!(verify(&place, typed.to_owned(), Some(hash.clone())).await);
            assert!(!verify(&place, "cafe grun 84".to_owned(), Some(hash)).await, "an accent is no detail");
        }
        let salt = SaltString::encode_b64(&[7; 16]).unwrap();
        let from_before = Argon2::default().hash_password(decomposed.as_bytes(), &salt).unwrap().to_string();
        assert!(verify(&place, decomposed.to_owned(), Some(from_before)).await);
    }
}
