//! Verification of RS256 signatures (RSASSA-PKCS1-v1_5 with SHA-256; RFC 8017, 8.2.2) with 2048-bit keys whose exponent is
//! 65537: nearly every request that the gateway sees.
//!
//! RSA is half of what a request costs, and the libraries that are linked here multiply 64 bits at a time. Processors with
//! AVX-512 IFMA (Intel's servers since 2021, AMD's since 2022) multiply eight times 52 bits at once, which takes a fraction
//! of the time. Where there is none, or the key is another, [`Key::new`] gives nothing, and whoever asked uses a library.
//!
//! Everything here is public: key, signature and message. So nothing need take the same time for all of them.

#[cfg(target_arch = "x86_64")]
mod ifma;

/// The bytes of a modulus, and of a signature.
const BYTES: usize = 256;

/// How many bits of a number are in one of its limbs: what the processor multiplies.
const LIMB_BITS: u32 = 52;

/// A limb's bits.
const MASK: u64 = (1 << LIMB_BITS) - 1;

/// 40 limbs have 2,080 bits: 32 more than the modulus, so that sums need not be reduced before they are multiplied.
const LIMBS: usize = 40;

/// F4, big-endian.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// What stands before the hash: `DigestInfo` for SHA-256 (RFC 8017, 9.2, note 1).
const DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// A number of 2,080 bits, the lowest limb first. Each limb is at most [`MASK`].
type Number = [u64; LIMBS];

/// A public key, with what its multiplications (Montgomery's) need.
pub struct Key {
    modulus: Number,
    /// `-modulus⁻¹ mod 2^52`.
    inverse: u64,
    /// `2^4160 mod modulus`, or that and the modulus once more: takes a number into Montgomery's form.
    r_squared: Number,
}

impl Key {
    /// The key of `modulus` and `exponent` (big-endian, without leading zeros); `None` where this processor cannot verify
    /// with it here.
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let modulus: &[u8; BYTES] = modulus.try_into().ok()?;
        let is_taken = modulus[0] >= 0x80 && modulus[BYTES - 1] % 2 == 1 && exponent == EXPONENT;
        if !is_taken || !is_available() {
            return None;
        }
        let modulus = number(modulus);
        // In Montgomery's form this is 2^65, and squared five times 2^2080, which is what is looked for.
        let mut key = Self { inverse: negated_inverse(modulus[0]), r_squared: two_to_the_2145(&modulus), modulus };
        key.r_squared = key.squared(&key.r_squared, 5);
        Some(key)
    }

    /// Whether `signature` is this key's over the message whose SHA-256 this is.
    pub fn verifies(&self, sha256: &[u8; 32], signature: &[u8]) -> bool {
        let Ok(signature) = signature.try_into() else { return false };
        let signature = number(signature);
        // The signature representative must be below the modulus (RFC 8017, 5.2.2).
        if !is_below(&signature, &self.modulus) {
            return false;
        }
        // The encoded message is made and compared, not taken apart: there is one for every hash.
        self.to_the_exponent(&signature) == number(&encoded(sha256))
    }

    /// `number^65537 mod modulus`; `number` is below the modulus.
    #[cfg(target_arch = "x86_64")]
    fn to_the_exponent(&self, number: &Number) -> Number {
        // SAFETY: there is a key only where the processor has these instructions.
        let power = unsafe { ifma::to_the_exponent(number, self) };
        // It may be above the modulus once.
        if is_below(&power, &self.modulus) { power } else { difference(&power, &self.modulus) }
    }

    /// `number` squared so many times, in Montgomery's form.
    #[cfg(target_arch = "x86_64")]
    fn squared(&self, number: &Number, times: usize) -> Number {
        // SAFETY: there is a key only where the processor has these instructions.
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

/// Whether this processor can do it.
fn is_available() -> bool {
    #[cfg(target_arch = "x86_64")]
    let available = std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512ifma");
    #[cfg(not(target_arch = "x86_64"))]
    let available = false;
    available
}

/// EMSA-PKCS1-v1_5 (RFC 8017, 9.2).
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

/// Reads a number from its bytes, the highest first.
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

/// `a - b`, where `b` is at most `a`.
fn difference(a: &Number, b: &Number) -> Number {
    let mut borrowed = 0;
    std::array::from_fn(|limb| {
        let left = a[limb].wrapping_sub(b[limb]).wrapping_sub(borrowed);
        borrowed = left >> 63;
        left & MASK
    })
}

/// `-odd⁻¹ mod 2^52`, by Newton's iteration: each step doubles the bits that are right, of which there are three at first.
fn negated_inverse(odd: u64) -> u64 {
    let inverse = (0..5).fold(odd, |inverse, _| inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse))));
    inverse.wrapping_neg() & MASK
}

/// `2^2145 mod modulus`, by doubling `2^2048`, which is less than twice the modulus.
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
