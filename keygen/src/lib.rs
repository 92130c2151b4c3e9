//! Generates RSA key pairs for request signing in the browser, where the private key remains.
//!
//! [`generate`] is a plain function of its randomness. Compiled for WASM, the crate is also a Web Worker module
//! (`worker`). The primes come from crypto-primes on fixed-size integers, which is what makes it fast enough for a
//! browser. Measured in V8, one thread, for a whole RSA-2048 key: `rsa` 0.9 alone 1,040 ms; crypto-primes on boxed
//! integers 420 ms, on fixed-size ones 340 ms, and with 32-bit limbs (`--cfg cpubits="32"`; WASM has no 64 × 64 → 128
//! bit multiplication) 210 ms.

mod pair;
mod prime;
mod sieve;
#[cfg(target_arch = "wasm32")]
mod worker;

pub use pair::KeyPair;
pub use prime::Prime;

use rand_core::CryptoRng;

/// Maximum number of pairs of primes to try. Primes that are too close to each other, or too small a private exponent,
/// practically never occur by chance, so several in a row indicate a broken random number generator.
const ATTEMPTS: usize = 4;

/// Length of the modulus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeySize {
    /// 2048 bits, 112 bits of security strength.
    Rsa2048,
    /// 3072 bits, 128 bits of security strength; the default.
    #[default]
    Rsa3072,
    /// 4096 bits.
    Rsa4096,
}

impl KeySize {
    /// All sizes, shortest first.
    pub const ALL: [Self; 3] = [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// Returns the size with the given number of bits, if it is supported.
    pub fn from_bits(bits: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.bits() == bits)
    }

    /// Number of bits of the modulus.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }

    /// Number of bits of each prime: exactly half of the modulus's.
    const fn prime_bits(self) -> u32 {
        self.bits() / 2
    }
}

/// Error of key generation. The messages cover what the user can act on. The underlying `rsa` error is visible in
/// `Debug` only, because formatting it would add a tenth to the size of the WASM.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Repeated draws gave equal or nearly equal primes.
    #[error("the random numbers are not random: the primes are too close to each other, time after time")]
    Randomness,
    /// The primes do not form a valid key, or the key failed to verify its own signature.
    #[error("the new key failed its test")]
    Key(rsa::Error),
    /// The private key could not be encoded as PKCS#8.
    #[error("the private key cannot be encoded")]
    PrivateKeyEncoding(rsa::pkcs8::Error),
    /// The public key could not be encoded as SPKI.
    #[error("the public key cannot be encoded")]
    PublicKeyEncoding(rsa::pkcs8::spki::Error),
}

/// Generates a key pair that meets the conditions of FIPS 186-5, A.1.1 and A.1.3: two primes of exactly half the
/// modulus's bits, at least √2 · 2^(bits/2 − 1) and more than 2^(bits/2 − 100) apart, each prime minus one coprime to e
/// = 65537, and d > 2^(bits/2). The pair signs `challenge` and verifies that signature before it is returned.
pub fn generate<R: CryptoRng>(size: KeySize, challenge: &str, rng: &mut R) -> Result<KeyPair, Error> {
    for _ in 0..ATTEMPTS {
        let (p, q) = (Prime::draw(size, rng), Prime::draw(size, rng));
        if let Some(pair) = KeyPair::assemble(size, p, q, challenge)? {
            return Ok(pair);
        }
    }
    Err(Error::Randomness)
}
