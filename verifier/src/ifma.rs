//! Montgomery's multiplication with AVX-512 IFMA: the processor adds the lower or the upper 52 bits of eight products at
//! once to eight sums of 64 bits.
//!
//! Numbers are below `2^2049`, and their limbs below `2^52`. A product divided by `2^2080` modulo the modulus is below
//! `2^2049` again ("almost" Montgomery: it may be above the modulus), because the modulus has 2,048 bits.

use super::{Key, LIMB_BITS, LIMBS, MASK, Number};
use std::arch::x86_64::{
    __m512i, _mm_extract_epi64, _mm512_alignr_epi64, _mm512_castsi512_si128, _mm512_loadu_epi64, _mm512_madd52hi_epu64,
    _mm512_madd52lo_epu64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_storeu_epi64,
};

/// How many registers of eight limbs a number has.
const REGISTERS: usize = LIMBS / 8;

/// A number's limbs, or sums that are not carried yet.
type Registers = [__m512i; REGISTERS];

/// `number^65537 mod modulus`, or that and the modulus once more. `number` is below the modulus.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn to_the_exponent(number: &Number, key: &Key) -> Number {
    let power = squared(&product(number, &key.r_squared, key), 16, key);
    // Montgomery's form times a plain number is a plain number.
    product(&power, number, key)
}

/// `number` squared so many times, in Montgomery's form.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn squared(number: &Number, times: usize, key: &Key) -> Number {
    (0..times).fold(*number, |power, _| product(&power, &power, key))
}

/// `a · b / 2^2080 mod modulus`, limb by limb of `b` (Montgomery 1985; the order is "CIOS" in Koç, Acar and Kaliski 1996).
///
/// Each step waits for the lowest sum of the one before: from it follows which multiple of the modulus is added. So that one is
/// followed apart, in a plain register and with plain products, which are there sooner than the vectors'; in the vectors the
/// lowest sum lacks what was carried into it, and is not looked at.
#[target_feature(enable = "avx512f,avx512ifma")]
fn product(a: &Number, b: &Number, key: &Key) -> Number {
    let (low_a, low_modulus) = ([a[0], a[1]], [key.modulus[0], key.modulus[1]]);
    let (a, modulus) = (load(a), load(&key.modulus));
    let mut sums = [_mm512_setzero_si512(); REGISTERS];
    let mut lowest = 0;
    for &limb in b {
        let [first, second] = low_a.map(|low| wide(low, limb));
        let filled = lowest + lower(first);
        // With this multiple of the modulus the lowest sum's own bits become zero, and all sums move down by one.
        let multiple = filled.wrapping_mul(key.inverse) & MASK;
        let [first_of_multiple, second_of_multiple] = low_modulus.map(|low| wide(low, multiple));
        let carry = (filled + lower(first_of_multiple)) >> LIMB_BITS;
        lowest = next_to_lowest(&sums) + lower(second) + lower(second_of_multiple);
        lowest += upper(first) + upper(first_of_multiple) + carry;

        let (limb, multiple) = (_mm512_set1_epi64(limb as i64), _mm512_set1_epi64(multiple as i64));
        for at in 0..REGISTERS {
            sums[at] = _mm512_madd52lo_epu64(sums[at], a[at], limb);
            sums[at] = _mm512_madd52lo_epu64(sums[at], modulus[at], multiple);
        }
        sums = moved_down(&sums);
        for at in 0..REGISTERS {
            sums[at] = _mm512_madd52hi_epu64(sums[at], a[at], limb);
            sums[at] = _mm512_madd52hi_epu64(sums[at], modulus[at], multiple);
        }
    }
    carried(&sums, lowest)
}

fn wide(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

fn lower(product: u128) -> u64 {
    product as u64 & MASK
}

fn upper(product: u128) -> u64 {
    (product >> LIMB_BITS) as u64
}

#[target_feature(enable = "avx512f")]
fn load(number: &Number) -> Registers {
    // SAFETY: each register's eight limbs are inside the number.
    std::array::from_fn(|at| unsafe { _mm512_loadu_epi64(number[8 * at..8 * at + 8].as_ptr().cast()) })
}

#[target_feature(enable = "avx512f")]
fn next_to_lowest(sums: &Registers) -> u64 {
    _mm_extract_epi64::<1>(_mm512_castsi512_si128(sums[0])) as u64
}

#[target_feature(enable = "avx512f")]
fn moved_down(sums: &Registers) -> Registers {
    let next = |at| if at + 1 < REGISTERS { sums[at + 1] } else { _mm512_setzero_si512() };
    std::array::from_fn(|at| _mm512_alignr_epi64::<1>(next(at), sums[at]))
}

/// The number that sums make, the lowest of which is apart. None is above `2^60`: each of 40 steps adds four numbers below
/// `2^52` to it at the most.
#[target_feature(enable = "avx512f")]
fn carried(sums: &Registers, lowest: u64) -> Number {
    let mut limbs: Number = [0; LIMBS];
    for at in 0..REGISTERS {
        // SAFETY: the register's eight limbs are inside the number.
        unsafe { _mm512_storeu_epi64(limbs[8 * at..8 * at + 8].as_mut_ptr().cast(), sums[at]) };
    }
    limbs[0] = lowest;
    let mut carry = 0;
    for limb in &mut limbs {
        let sum = *limb + carry;
        *limb = sum & MASK;
        carry = sum >> LIMB_BITS;
    }
    limbs
}
