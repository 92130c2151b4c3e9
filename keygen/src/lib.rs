//! RSA key pairs for request signing, generated where the private key is to live: in the browser.
//!
//! [`generate`] is a plain function of its randomness. Compiled for WASM, the crate is also the module of a Web Worker
//! (`worker`). Its primes come from crypto-primes on fixed-size integers, because that is what makes it bearable in a
//! browser. Measured in V8, one thread, for a whole RSA-2048 key: `rsa` 0.9 by itself 1,040 ms; crypto-primes on boxed
//! integers 420 ms, on fixed-size ones 340 ms, and with 32-bit limbs (`--cfg cpubits="32"`: WASM multiplies no 64-bit
//! numbers into 128) 210 ms.

mod pair;
mod prime;
mod sieve;
#[cfg(target_arch = "wasm32")]
mod worker;

pub use pair::KeyPair;
pub use prime::Prime;

use rand_core::CryptoRng;

/// How often two primes may fall too close to each other, or the private exponent be too small. Neither happens by
/// chance, not once; so a few times in a row mean that the random numbers are not random.
const ATTEMPTS: usize = 4;

/// The length of the modulus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeySize {
    /// 2048 bits, 112 bits of strength.
    Rsa2048,
    /// 3072 bits, 128 bits of strength: what is generated unless somebody asks for another.
    #[default]
    Rsa3072,
    /// 4096 bits.
    Rsa4096,
}

impl KeySize {
    /// All sizes, shortest first.
    pub const ALL: [Self; 3] = [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// The size that has so many bits.
    pub fn from_bits(bits: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.bits() == bits)
    }

    /// The modulus's bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }

    /// Each prime's bits: exactly half of the modulus's.
    const fn prime_bits(self) -> u32 {
        self.bits() / 2
    }
}

/// Why there is no key pair. The text says what somebody can do something about; what exactly the `rsa` crate found, only
/// `Debug` tells: writing it out would take a tenth of the WASM.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Drawing again and again gave the same primes, or all but the same.
    #[error("the random numbers are not random: the primes are too close to each other, time after time")]
    Randomness,
    /// The primes make no valid key, or one that cannot verify what it signed.
    #[error("the new key failed its test")]
    Key(rsa::Error),
    /// The private key could not be written as PKCS#8.
    #[error("the private key cannot be encoded")]
    PrivateKeyEncoding(rsa::pkcs8::Error),
    /// The public key could not be written as SPKI.
    #[error("the public key cannot be encoded")]
    PublicKeyEncoding(rsa::pkcs8::spki::Error),
}

/// Generates a key pair under the conditions of FIPS 186-5, A.1.1 and A.1.3: two primes of exactly half the modulus's
/// bits, at least √2 · 2^(bits/2 − 1) and more than 2^(bits/2 − 100) apart, each prime less one coprime to e = 65537,
/// and d > 2^(bits/2). The pair has signed `challenge`, and verified that, before it is returned.
pub fn generate<R: CryptoRng>(size: KeySize, challenge: &str, rng: &mut R) -> Result<KeyPair, Error> {
    for _ in 0..ATTEMPTS {
        let (p, q) = (Prime::draw(size, rng), Prime::draw(size, rng));
        if let Some(pair) = KeyPair::assemble(size, p, q, challenge)? {
            return Ok(pair);
        }
    }
    Err(Error::Randomness)
}
