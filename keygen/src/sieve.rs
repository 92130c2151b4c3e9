//! Sieve that excludes numbers with small factors before the expensive primality test.
//!
//! crypto-primes has a sieve, too. This one uses primes up to 2^16 instead of 2^14, which leaves 12 % fewer numbers for
//! the tests that take nearly all the time, and it needs no table of reciprocals, which is a third of the module's size
//! limit.

/// Number of odd numbers per sieve. The probability that none of them is prime is about 1 in 100,000 for 1024 bits, and
/// 1 in 300 for 2048 bits; the search then continues from another start.
pub(crate) const LENGTH: usize = 4096;

/// Exclusive upper bound of the small factors. The square of a factor fits in 32 bits.
const LIMIT: usize = 1 << 16;

/// Returns the distances from `start` (odd, big-endian, longer than 16 bits) to the odd numbers without a small factor,
/// in ascending order.
pub(crate) fn candidates(start: &[u8]) -> impl Iterator<Item = u32> {
    let mut has_factor = vec![false; LENGTH];
    for prime in odd_primes() {
        // start + 2i ≡ 0 (mod prime) for i ≡ −start / 2, where 1/2 ≡ (prime + 1) / 2.
        let distance = (prime - remainder(start, prime)) as usize;
        let (prime, half) = (prime as usize, (prime as usize).div_ceil(2));
        for multiple in has_factor.iter_mut().skip(distance * half % prime).step_by(prime) {
            *multiple = true;
        }
    }
    (0..).step_by(2).zip(has_factor).filter(|(_, has_factor)| !has_factor).map(|(distance, _)| distance)
}

/// Returns the remainder of a big-endian number.
pub(crate) fn remainder(number: &[u8], divisor: u32) -> u32 {
    let divisor = u64::from(divisor);
    let words =
        number.chunks(4).map(|word| (8 * word.len(), word.iter().fold(0, |all, &byte| all << 8 | u64::from(byte))));
    words.fold(0, |remainder, (bits, word)| (remainder << bits | word) % divisor) as u32
}

/// Returns the odd primes below [`LIMIT`], by the sieve of Eratosthenes.
fn odd_primes() -> impl Iterator<Item = u32> {
    let mut is_composite = vec![false; LIMIT];
    (3..LIMIT).step_by(2).filter_map(move |number| {
        if is_composite[number] {
            return None;
        }
        for multiple in (number * number..LIMIT).step_by(number) {
            is_composite[multiple] = true;
        }
        Some(number as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primes_are_all_there() {
        let primes: Vec<u32> = odd_primes().collect();
        // There are 6,542 primes below 2^16, the largest being 65,521; two is omitted.
        assert_eq!(primes.len(), 6_541);
        assert_eq!(primes[..5], [3, 5, 7, 11, 13]);
        assert_eq!(primes.last(), Some(&65_521));
    }

    #[test]
    fn exactly_the_numbers_with_a_small_factor_are_left_out() {
        for start in [0x0123_4567_89ab_cdef_u64, (1 << 33) + 1, 65_537, 10_403_u64.pow(2), u64::MAX - 10_000] {
            let start = start | 1;
            let found: Vec<u64> =
                candidates(&start.to_be_bytes()).map(|distance| start + u64::from(distance)).collect();
            let has_no_small_factor = |number: &u64| odd_primes().all(|prime| !number.is_multiple_of(prime.into()));
            let expected: Vec<u64> =
                (start..).step_by(2).take(LENGTH).filter(|number| has_no_small_factor(number)).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_remainder_is_the_same_for_any_number_of_bytes() {
        let number = 0x0123_4567_89ab_cdef_0f1e_2d3c_u128;
        for divisor in [3, 65_521, 65_537, u32::MAX] {
            assert_eq!(u128::from(remainder(&number.to_be_bytes(), divisor)), number % u128::from(divisor));
            assert_eq!(u128::from(remainder(&number.to_be_bytes()[4..], divisor)), number % u128::from(divisor));
            assert_eq!(u128::from(remainder(&number.to_be_bytes()[3..], divisor)), number % u128::from(divisor));
        }
    }
}
