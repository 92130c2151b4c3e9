//! Proof of possession of the private half of a public key: a signature over a challenge that this server issued.
//!
//! The challenge is not stored. It carries its organization, its time and a random number, authenticated by the
//! server's seal, so that it cannot be predicted, chosen by a third party, or reused in another organization. It has
//! more dots than a token, so a signature over it can never authenticate a request.

use super::{Backend, BackendError};
use crate::random;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use domain::{id::OrganizationId, public_key::PublicKey, time::Timestamp};
use std::time::Duration;

/// The challenge's type prefix. Another kind of proof would get another one.
const KIND: &str = "nuvera-proof-v1";

/// How long a challenge is valid: a day, because a colleague may have to sign it.
const CHALLENGE_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// A signed challenge, as submitted in a form.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The text from [`Backend::challenge`].
    pub challenge: String,
    /// The signature over the challenge (RSASSA-PKCS1-v1_5 with SHA-256; RFC 8017, 8.2), in base64.
    pub signature: String,
}

impl Proof {
    /// Whether the signature over the challenge verifies with `public_key`. Does not check that the challenge is valid.
    pub fn is_by(&self, public_key: &PublicKey) -> bool {
        self.verify(public_key).is_ok()
    }

    /// Whether `text` has the prefix of a challenge.
    pub fn is_challenge(text: &str) -> bool {
        text.split('.').next() == Some(KIND)
    }

    fn verify(&self, public_key: &PublicKey) -> Result<(), ProofError> {
        let signature: String = self.signature.split_ascii_whitespace().collect();
        let signature = STANDARD.decode(signature).map_err(|_| ProofError::Unreadable)?;
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key.der()).map_err(|_| ProofError::Wrong)?;
        key.verify_sig(self.challenge.as_bytes(), &signature).map_err(|_| ProofError::Wrong)
    }
}

/// The reason why a proof is rejected. The messages are shown to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The challenge was not issued by this server, is another organization's, or has expired.
    #[error("The text to sign is no longer valid: it is good for 24 hours. Sign the new one that is shown now.")]
    Challenge,
    /// The signature is not valid base64.
    #[error("This is no signature in base64. Paste the line that the command prints, all of it.")]
    Unreadable,
    /// The signature was made with another key, or over another text.
    #[error(
        "This signature was not made by the private half of this public key, or not over the text shown. Run the command again with the private key that belongs to it."
    )]
    Wrong,
}

impl Backend {
    /// Issues a challenge for a member of `organization` to sign with a private key.
    pub fn challenge(&self, organization: OrganizationId) -> String {
        let nonce = URL_SAFE_NO_PAD.encode(random::bytes::<16>());
        let text = format!("{KIND}.{organization}.{}.{nonce}", self.clock.now().as_millis());
        let seal = self.pepper.seal(&text);
        format!("{text}.{seal}")
    }

    /// Whether `challenge` is valid in `organization`.
    pub fn is_open(&self, challenge: &str, organization: OrganizationId) -> bool {
        let Some((text, seal)) = challenge.rsplit_once('.') else { return false };
        let mut parts = text.split('.');
        let is_for = parts.next() == Some(KIND) && parts.next() == Some(&*organization.to_string());
        let given_at = parts.next().and_then(|millis| millis.parse().ok()).map(Timestamp::from_millis);
        let in_time = given_at.is_some_and(|at| self.clock.now().since(at) < CHALLENGE_WINDOW);
        is_for && in_time && self.pepper.is_sealed(text, seal)
    }

    /// Verifies a proof and returns whether there is one.
    ///
    /// # Errors
    /// There is a proof, and it is rejected.
    pub(super) fn check_proof(
        &self,
        organization: OrganizationId,
        public_key: &PublicKey,
        proof: Option<&Proof>,
    ) -> Result<bool, BackendError> {
        let Some(proof) = proof else { return Ok(false) };
        if !self.is_open(&proof.challenge, organization) {
            return Err(ProofError::Challenge.into());
        }
        proof.verify(public_key)?;
        Ok(true)
    }
}
