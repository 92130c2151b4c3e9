//! Assembles a key pair from two primes, or rejects them.

use crate::{
    Error, KeySize,
    prime::{PUBLIC_EXPONENT, Prime},
};
use base64ct::{Base64, Encoding};
use rsa::{
    BigUint, Pkcs1v15Sign, RsaPrivateKey,
    pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding},
    sha2::{Digest, Sha256},
    traits::{PrivateKeyParts, PublicKeyParts},
};
use std::fmt;
use zeroize::Zeroizing;

/// A key pair in PEM, which has signed a challenge. The private key is zeroized on drop.
pub struct KeyPair {
    private_key_pem: Zeroizing<String>,
    public_key_pem: String,
    proof: String,
}

impl KeyPair {
    /// Assembles the key with primes `p` and `q`, signs `challenge`, verifies the signature and encodes the pair.
    /// `None` if FIPS 186-5 requires other primes.
    ///
    /// # Errors
    /// The primes do not form a key, or the key does not work.
    pub fn assemble(size: KeySize, p: Prime, q: Prime, challenge: &str) -> Result<Option<Self>, Error> {
        if !are_far_apart(size, p.value(), q.value()) {
            return Ok(None);
        }
        let key = RsaPrivateKey::from_p_q(p.value().clone(), q.value().clone(), PUBLIC_EXPONENT.into())
            .map_err(Error::Key)?;
        if !is_exponent_long(size, key.d()) {
            return Ok(None);
        }
        let signature = prove(size, &key, challenge).map_err(Error::Key)?;
        Ok(Some(Self {
            proof: Base64::encode_string(&signature),
            private_key_pem: key.to_pkcs8_pem(LineEnding::LF).map_err(Error::PrivateKeyEncoding)?,
            public_key_pem: key.to_public_key().to_public_key_pem(LineEnding::LF).map_err(Error::PublicKeyEncoding)?,
        }))
    }

    /// Private key, PKCS#8 in PEM.
    pub fn private_key_pem(&self) -> &str {
        &self.private_key_pem
    }

    /// Public key, SPKI in PEM.
    pub fn public_key_pem(&self) -> &str {
        &self.public_key_pem
    }

    /// Signature over the challenge (RSASSA-PKCS1-v1_5 with SHA-256; RFC 8017, 8.2), in base64. It proves that the
    /// sender of the public key has the private key.
    pub fn proof(&self) -> &str {
        &self.proof
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public_key_pem", &self.public_key_pem).finish_non_exhaustive()
    }
}

/// Whether |p − q| > 2^(bits/2 − 100). Closer primes can be found near the square root of the modulus.
fn are_far_apart(size: KeySize, p: &BigUint, q: &BigUint) -> bool {
    let distance = Zeroizing::new(if p > q { p - q } else { q - p });
    *distance > power_of_two(size.prime_bits() - 100)
}

/// Whether d > 2^(bits/2). A shorter exponent can be recovered from the public key.
fn is_exponent_long(size: KeySize, d: &BigUint) -> bool {
    *d > power_of_two(size.prime_bits())
}

fn power_of_two(exponent: u32) -> BigUint {
    BigUint::from(1_u8) << exponent as usize
}

/// Signs `challenge` as a request is signed and verifies the signature, so that a defective key is detected before its
/// first request.
fn prove(size: KeySize, key: &RsaPrivateKey, challenge: &str) -> Result<Vec<u8>, rsa::Error> {
    key.validate()?;
    if key.n().bits() != size.bits() as usize {
        return Err(rsa::Error::InvalidModulus);
    }
    let digest = Sha256::digest(challenge);
    let signature = key.sign(Pkcs1v15Sign::new::<Sha256>(), &digest)?;
    key.to_public_key().verify(Pkcs1v15Sign::new::<Sha256>(), &digest, &signature)?;
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_far_apart_only_beyond_the_bound() {
        let p = power_of_two(1023);
        let at_the_bound = &p + power_of_two(924);
        let beyond = &at_the_bound + BigUint::from(1_u8);
        assert!(!are_far_apart(KeySize::Rsa2048, &p, &p));
        assert!(!are_far_apart(KeySize::Rsa2048, &p, &at_the_bound));
        assert!(!are_far_apart(KeySize::Rsa2048, &at_the_bound, &p));
        assert!(are_far_apart(KeySize::Rsa2048, &p, &beyond));
        assert!(are_far_apart(KeySize::Rsa2048, &beyond, &p));
    }

    #[test]
    fn a_private_exponent_is_long_only_beyond_the_bound() {
        let bound = power_of_two(1536);
        assert!(!is_exponent_long(KeySize::Rsa3072, &bound));
        assert!(is_exponent_long(KeySize::Rsa3072, &(&bound + BigUint::from(1_u8))));
    }
}
