//! Which of the odd numbers above a start have no small factor: those that are worth a real test.
//!
//! crypto-primes has a sieve, too; this one goes further, to the primes below 2^16 instead of 2^14 (12 % fewer numbers
//! are left to be tested, and the tests take nearly all the time), and it needs no table of reciprocals, which is a
//! third of the key-generation module's permitted size.

/// How many odd numbers one sieve looks at. Among so many there is a prime of 1024 bits but for one time in 100,000, and
/// one of 2048 bits but for one time in 300; then another start is drawn.
pub(crate) const LENGTH: usize = 4096;

/// Small factors are looked for below this. The square of one still fits 32 bits.
const LIMIT: usize = 1 << 16;

/// The distances from `start` (odd, big-endian, longer than 16 bits) to the numbers without a small factor, ascending.
pub(crate) fn candidates(start: &[u8]) -> impl Iterator<Item = u32> {
    let mut has_factor = vec![false; LENGTH];
    for prime in odd_primes() {
        // start + 2i ≡ 0 (mod prime) for i ≡ −start / 2, and one half is (prime + 1) / 2.
        let distance = (prime - remainder(start, prime)) as usize;
        let (prime, half) = (prime as usize, (prime as usize).div_ceil(2));
        for multiple in has_factor.iter_mut().skip(distance * half % prime).step_by(prime) {
            *multiple = true;
        }
    }
    (0..).step_by(2).zip(has_factor).filter(|(_, has_factor)| !has_factor).map(|(distance, _)| distance)
}

/// The remainder of a big-endian number.
pub(crate) fn remainder(number: &[u8], divisor: u32) -> u32 {
    let divisor = u64::from(divisor);
    let words =
        number.chunks(4).map(|word| (8 * word.len(), word.iter().fold(0, |all, &byte| all << 8 | u64::from(byte))));
    words.fold(0, |remainder, (bits, word)| (remainder << bits | word) % divisor) as u32
}

/// The odd primes below [`LIMIT`], by Eratosthenes.
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
        // There are 6,542 primes below 2^16, and 65,521 is the last; two is left out.
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
