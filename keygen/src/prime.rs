//! Search for primes, and the error probability of the primality test.

use crate::{KeySize, sieve};
use crypto_bigint::{Encoding, Odd, RandomBits, RandomMod, U1024, U1536, U2048, UnsignedWithMontyForm};
use crypto_primes::hazmat::{MillerRabin, SetBits, random_odd_integer};
use rand_core::CryptoRng;
use rsa::BigUint;
use std::num::NonZeroU32;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Public exponent of every key: the smallest that FIPS 186-5, A.1.1 permits, and fast to verify with.
pub(crate) const PUBLIC_EXPONENT: u32 = 65_537;

/// A prime factor of a key: of the required length, with its two top bits set, and with p − 1 coprime to the public
/// exponent. Zeroized on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Prime(BigUint);

impl Prime {
    /// Draws a random prime for a key of `size`.
    ///
    /// With the top two bits set, a prime is at least 1.5 · 2^(k−1) > √2 · 2^(k−1), so that the product of two has
    /// exactly 2k bits.
    ///
    /// The probability that the result is composite is below 2^−112, 2^−128 and 2^−144, the bounds of FIPS 186-5, Table
    /// B.1, due to the number of Miller-Rabin rounds with random bases; see `rounds`.
    pub fn draw<R: CryptoRng>(size: KeySize, rng: &mut R) -> Self {
        Self::from_be_bytes(&match size {
            KeySize::Rsa2048 => search::<U1024, R>(size, rng),
            KeySize::Rsa3072 => search::<U1536, R>(size, rng),
            KeySize::Rsa4096 => search::<U2048, R>(size, rng),
        })
    }

    /// Restores a prime from [`Prime::to_be_bytes`], without testing it again.
    pub fn from_be_bytes(bytes: &[u8]) -> Self {
        Self(BigUint::from_bytes_be(bytes))
    }

    /// Returns the prime, big-endian. It reveals the private key: the caller must keep it secret.
    pub fn to_be_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_bytes_be())
    }

    /// The prime as an integer.
    pub(crate) fn value(&self) -> &BigUint {
        &self.0
    }
}

/// Searches upwards from a random start, and from another one if there is no prime within the sieve's range.
fn search<T, R>(size: KeySize, rng: &mut R) -> Zeroizing<Vec<u8>>
where
    T: UnsignedWithMontyForm + RandomBits + RandomMod + Encoding + Zeroize,
    R: CryptoRng,
{
    let bits = NonZeroU32::new(size.prime_bits()).expect("a prime has bits");
    let rounds = rounds(size);
    loop {
        let start: Odd<T> = random_odd_integer(rng, bits, SetBits::TwoMsb).expect("the integer type is long enough");
        let mut start = start.get();
        let bytes = Zeroizing::new(start.to_be_bytes().as_ref().to_vec());
        let mut candidates = sieve::candidates(&bytes).map(|distance| start.wrapping_add(&T::from(distance)));
        let prime = candidates.find(|candidate| {
            // `wrapping_add` may have wrapped past the largest integer of this length.
            *candidate >= start && is_exponent_invertible(candidate) && is_prime(candidate, rounds, rng)
        });
        drop(candidates);
        start.zeroize();
        if let Some(mut prime) = prime {
            let bytes = Zeroizing::new(prime.to_be_bytes().as_ref().to_vec());
            prime.zeroize();
            return bytes;
        }
    }
}

fn is_prime<T, R>(candidate: &T, rounds: usize, rng: &mut R) -> bool
where
    T: UnsignedWithMontyForm + RandomMod,
    R: CryptoRng,
{
    let candidate = Odd::new(candidate.clone()).expect("the sieve yields odd numbers");
    let test = MillerRabin::new(candidate);
    (0..rounds).all(|_| test.test_random_base(rng).is_probably_prime())
}

/// Number of Miller-Rabin rounds for a prime of `size`.
///
/// FIPS 186-5, B.3 bounds the probability p that a number, drawn at random on its own, passes the test although it is
/// composite (the formula is Damgård, Landrock and Pomerance's, 1993). Here only the start is drawn at random, and up
/// to [`sieve::LENGTH`] numbers after it are tried. The probability that any of them is a composite that passes is at
/// most the sum of their probabilities (Brandt and Damgård, 1992, give a tighter bound). Each on its own is as good as
/// drawn at random, and such a number is prime with probability 2 / (k · ln 2), so the sum is below p · 4096 · 2 / (k ·
/// ln 2) < 12 p. With the second-highest bit set, they come from half of the range that the bound applies to, which at
/// most doubles it: below 2^5 · p.
///
/// The results equal the counts in the table. The formula is evaluated in a test, not in the WASM.
const fn rounds(size: KeySize) -> usize {
    match size {
        KeySize::Rsa2048 => 5,
        KeySize::Rsa3072 | KeySize::Rsa4096 => 4,
    }
}

/// Whether gcd(e, p − 1) = 1. As e is prime, only p ≡ 1 (mod e) is excluded.
fn is_exponent_invertible<T: Encoding>(candidate: &T) -> bool {
    sieve::remainder(candidate.to_be_bytes().as_ref(), PUBLIC_EXPONENT) != 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto_bigint::U64;
    use crypto_primes::hazmat::minimum_mr_iterations;

    #[test]
    fn the_rounds_reach_the_standards_bounds_with_room_for_the_upward_search() {
        const UPWARD_SEARCH: u32 = 5;
        for (size, bound) in [(KeySize::Rsa2048, 112), (KeySize::Rsa3072, 128), (KeySize::Rsa4096, 144)] {
            assert_eq!(minimum_mr_iterations(size.prime_bits(), bound + UPWARD_SEARCH), Some(rounds(size)));
        }
    }

    #[test]
    fn a_prime_that_the_exponent_has_no_inverse_for_is_passed_over() {
        assert!(!is_exponent_invertible(&U64::from_u64(6 * 65_537 + 1)));
        assert!(is_exponent_invertible(&U64::from_u64(6 * 65_537 + 2)));
        assert!(is_exponent_invertible(&U64::from_u64(6 * 65_537)));
        assert!(is_exponent_invertible(&U64::from_u64(u64::MAX)));
    }
}
