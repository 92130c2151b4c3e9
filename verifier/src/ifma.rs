//! Montgomery multiplication with AVX-512 IFMA, whose instructions multiply eight pairs of 52-bit numbers and add the
//! lower or the upper 52 bits of the products to eight 64-bit sums.
//!
//! Numbers are below `2^2049` and their limbs below `2^52`. As the modulus has 2,048 bits, a product divided by
//! `2^2080` modulo the modulus is again below `2^2049` ("almost" Montgomery: the result may exceed the modulus).

use super::{Key, LIMB_BITS, LIMBS, MASK, Number};
use std::arch::x86_64::{
    __m512i, _mm_extract_epi64, _mm512_alignr_epi64, _mm512_castsi512_si128, _mm512_loadu_epi64, _mm512_madd52hi_epu64,
    _mm512_madd52lo_epu64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_storeu_epi64,
};

/// Number of registers of eight limbs per number.
const REGISTERS: usize = LIMBS / 8;

/// Limbs of a number, or sums whose carries have not been propagated.
type Registers = [__m512i; REGISTERS];

/// Returns `number^65537 mod modulus`, possibly plus the modulus. `number` must be below the modulus.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn to_the_exponent(number: &Number, key: &Key) -> Number {
    let power = squared(&product(number, &key.r_squared, key), 16, key);
    // Multiplying by a plain number leaves the Montgomery domain.
    product(&power, number, key)
}

/// Squares `number`, which is in Montgomery form, the given number of times.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn squared(number: &Number, times: usize, key: &Key) -> Number {
    (0..times).fold(*number, |power, _| product(&power, &power, key))
}

/// Returns `a · b / 2^2080 mod modulus`, one limb of `b` at a time (Montgomery 1985; "CIOS" order of Koç, Acar and
/// Kaliski 1996).
///
/// Each step depends on the lowest sum of the previous step, which determines the multiple of the modulus to add. The
/// lowest sum is therefore tracked separately in a scalar register, because scalar multiplications have a lower latency
/// than vector ones. The lowest sum within the vectors lacks the carries into it and is ignored.
#[target_feature(enable = "avx512f,avx512ifma")]
fn product(a: &Number, b: &Number, key: &Key) -> Number {
    let (low_a, low_modulus) = ([a[0], a[1]], [key.modulus[0], key.modulus[1]]);
    let (a, modulus) = (load(a), load(&key.modulus));
    let mut sums = [_mm512_setzero_si512(); REGISTERS];
    let mut lowest = 0;
    for &limb in b {
        let [first, second] = low_a.map(|low| wide(low, limb));
        let filled = lowest + lower(first);
        // Adding this multiple of the modulus clears the lowest sum's 52 bits, so that all sums can be shifted down by
        // a limb.
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

/// Propagates the carries of the sums, the lowest of which is tracked separately. No sum exceeds `2^60`: each of the 40
/// steps adds at most four numbers below `2^52`.
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
