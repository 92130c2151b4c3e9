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

/// A hash to verify against where the account does not exist, so that the answer takes as long.
static DUMMY_HASH: LazyLock<String> = LazyLock::new(|| hash_here("no account has this password", COST));

/// The cost of a new hash: the crate's default parameters, 19 MiB, t = 2, p = 1, which are OWASP's figure. Only tests lower it.
pub(super) const COST: Params = Params::DEFAULT;

/// Returns whether `password` has this hash. `None`, for an account that does not exist, takes as long.
pub(super) async fn verify(place: &Place, password: String, hash: Option<String>) -> bool {
    let verified = place.run(move || {
        let hash = hash.as_ref().unwrap_or(&DUMMY_HASH);
        let parsed = PasswordHash::new(hash).ok();
        parsed.is_some_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
    });
    // A password whose check panicked is no match.
    verified.await.unwrap_or(false)
}

/// Judges a new password as [`passwords::check`] does, and hashes it.
///
/// # Errors
/// The password is refused; too many jobs of this requester are queued.
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
        passwords::check(&password, &known)?;
        Ok::<_, BackendError>(hash_here(&password, cost))
    });
    hashed.await.expect("judging and hashing a password do not panic")
}

/// Hashes a password on the calling thread: for command-line subcommands and the start, which serve no requests.
pub(super) fn hash_here(password: &str, cost: Params) -> String {
    let salt = SaltString::encode_b64(&random::bytes::<16>()).expect("16 bytes are a valid salt");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost);
    argon2.hash_password(password.as_bytes(), &salt).expect("the parameters are valid").to_string()
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
}
