//! Verifies RS256 signatures (RSASSA-PKCS1-v1_5 with SHA-256; RFC 8017, 8.2.2) by 2048-bit keys with exponent 65537,
//! which nearly all requests to the gateway use.
//!
//! RSA verification is half of the cost of a request, and the linked libraries multiply 64 bits at a time. Processors
//! with AVX-512 IFMA (Intel's servers since 2021, AMD's since 2022) multiply eight pairs of 52-bit numbers at once,
//! which takes a fraction of the time. On other processors, and for other keys, [`Key::new`] returns `None`, and the
//! caller falls back to a library.
//!
//! Key, signature and message are public, so the code need not run in constant time.

#[cfg(target_arch = "x86_64")]
mod ifma;

/// Length of a modulus and of a signature, in bytes.
const BYTES: usize = 256;

/// Number of bits per limb, as multiplied by the processor.
const LIMB_BITS: u32 = 52;

/// Bits of a limb.
const MASK: u64 = (1 << LIMB_BITS) - 1;

/// Number of limbs. They have 2,080 bits, 32 more than the modulus, so that sums need not be reduced before
/// multiplication.
const LIMBS: usize = 40;

/// F4, big-endian.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// `DigestInfo` for SHA-256, which precedes the hash (RFC 8017, 9.2, note 1).
const DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// A number of 2,080 bits, lowest limb first. Each limb is at most [`MASK`].
type Number = [u64; LIMBS];

/// A public key, with the constants for Montgomery multiplication.
pub struct Key {
    modulus: Number,
    /// `-modulus⁻¹ mod 2^52`.
    inverse: u64,
    /// `2^4160 mod modulus`, possibly plus the modulus. Multiplying by it converts a number to Montgomery form.
    r_squared: Number,
}

impl Key {
    /// Prepares a key. `modulus` and `exponent` are big-endian, without leading zeros. `None` if the key is not of 2048
    /// bits with exponent 65537, or the processor lacks the instructions.
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let modulus: &[u8; BYTES] = modulus.try_into().ok()?;
        let is_taken = modulus[0] >= 0x80 && modulus[BYTES - 1] % 2 == 1 && exponent == EXPONENT;
        if !is_taken || !is_available() {
            return None;
        }
        let modulus = number(modulus);
        // With R = 2^2080, 2^2145 is the Montgomery form of 2^65. Squared five times, it becomes that of 2^2080, which
        // is R².
        let mut key = Self { inverse: negated_inverse(modulus[0]), r_squared: two_to_the_2145(&modulus), modulus };
        key.r_squared = key.squared(&key.r_squared, 5);
        Some(key)
    }

    /// Verifies that `signature` is this key's signature over the message with hash `sha256`.
    pub fn verifies(&self, sha256: &[u8; 32], signature: &[u8]) -> bool {
        let Ok(signature) = signature.try_into() else { return false };
        let signature = number(signature);
        // The signature representative must be below the modulus (RFC 8017, 5.2.2).
        if !is_below(&signature, &self.modulus) {
            return false;
        }
        // Compares with the expected encoding instead of parsing the message: there is exactly one encoding per hash.
        self.to_the_exponent(&signature) == number(&encoded(sha256))
    }

    /// Returns `number^65537 mod modulus`. `number` must be below the modulus.
    #[cfg(target_arch = "x86_64")]
    fn to_the_exponent(&self, number: &Number) -> Number {
        // SAFETY: a key exists only if the processor supports these instructions.
        let power = unsafe { ifma::to_the_exponent(number, self) };
        // The result may exceed the modulus, by less than the modulus.
        if is_below(&power, &self.modulus) { power } else { difference(&power, &self.modulus) }
    }

    /// Squares `number`, which is in Montgomery form, the given number of times.
    #[cfg(target_arch = "x86_64")]
    fn squared(&self, number: &Number, times: usize) -> Number {
        // SAFETY: a key exists only if the processor supports these instructions.
        unsafe { ifma::squared(number, times, self) }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn to_the_exponent(&self, _: &Number) -> Number {
        unreachable!("there is no key where there are no such instructions")
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn squared(&self, _: &Number, _: usize) -> Number {
        unreachable!("there is no key where there are no such instructions")
    }
}

/// Returns whether the processor supports the instructions.
fn is_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    let available = std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512ifma");
    #[cfg(not(target_arch = "x86_64"))]
    let available = false;
    available
}

/// EMSA-PKCS1-v1_5 encoding (RFC 8017, 9.2).
fn encoded(sha256: &[u8; 32]) -> [u8; BYTES] {
    let mut message = [0xff; BYTES];
    let (padding, rest) = message.split_at_mut(BYTES - DIGEST_INFO.len() - sha256.len());
    let (info, hash) = rest.split_at_mut(DIGEST_INFO.len());
    padding[0] = 0;
    padding[1] = 1;
    padding[padding.len() - 1] = 0;
    info.copy_from_slice(&DIGEST_INFO);
    hash.copy_from_slice(sha256);
    message
}

/// Converts big-endian bytes to a number.
fn number(bytes: &[u8; BYTES]) -> Number {
    let (chunks, _) = bytes.as_chunks::<8>();
    let word =
        |at: usize| chunks.len().checked_sub(at + 1).map_or(0, |from_the_end| u64::from_be_bytes(chunks[from_the_end]));
    std::array::from_fn(|limb| {
        let bit = limb * LIMB_BITS as usize;
        let two_words = u128::from(word(bit / 64)) | u128::from(word(bit / 64 + 1)) << 64;
        (two_words >> (bit % 64)) as u64 & MASK
    })
}

fn is_below(a: &Number, b: &Number) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// Returns `a - b`. `b` must not exceed `a`.
fn difference(a: &Number, b: &Number) -> Number {
    let mut borrowed = 0;
    std::array::from_fn(|limb| {
        let left = a[limb].wrapping_sub(b[limb]).wrapping_sub(borrowed);
        borrowed = left >> 63;
        left & MASK
    })
}

/// Returns `-odd⁻¹ mod 2^52`, by Newton's iteration. Each step doubles the number of correct bits, initially three.
fn negated_inverse(odd: u64) -> u64 {
    let inverse = (0..5).fold(odd, |inverse, _| inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse))));
    inverse.wrapping_neg() & MASK
}

/// Returns `2^2145 mod modulus`, by doubling `2^2048`, which is less than twice the modulus.
fn two_to_the_2145(modulus: &Number) -> Number {
    let mut power: Number = [0; LIMBS];
    power[LIMBS - 1] = 1 << (2048 - (LIMBS as u32 - 1) * LIMB_BITS);
    power = difference(&power, modulus);
    for _ in 2048..2145 {
        let mut carry = 0;
        for limb in &mut power {
            let doubled = *limb << 1 | carry;
            carry = doubled >> LIMB_BITS;
            *limb = doubled & MASK;
        }
        if !is_below(&power, modulus) {
            power = difference(&power, modulus);
        }
    }
    power
}

#[cfg(test)]
mod tests;
