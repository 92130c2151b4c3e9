use super::*;
use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey},
};
use proptest::{collection::vec, prelude::*};
use rsa::{BigUint, RsaPublicKey, pkcs1::DecodeRsaPublicKey, traits::PublicKeyParts};

/// Returns whether the processor lacks the instructions, so that there is nothing to test. The gateway's own tests
/// cover the library used instead.
fn nothing_to_test() -> bool {
    if !is_available() {
        eprintln!("this processor has no AVX-512 IFMA: nothing is tested");
    }
    !is_available()
}

fn bytes(number: &BigUint) -> [u8; BYTES] {
    let short = number.to_bytes_be();
    let mut bytes = [0; BYTES];
    bytes[BYTES - short.len()..].copy_from_slice(&short);
    bytes
}

/// Strategy for odd numbers of exactly 2,048 bits.
fn modulus() -> impl Strategy<Value = BigUint> {
    let any = vec(any::<u8>(), BYTES).prop_map(|mut bytes| {
        bytes[0] |= 0x80;
        bytes[BYTES - 1] |= 1;
        BigUint::from_bytes_be(&bytes)
    });
    let one = || BigUint::from(1u8);
    let lowest = (one() << 2047) + one();
    let highest = (one() << 2048) - one();
    // Limbs of all ones or all zeros cause the longest carry chains.
    let striped = vec(prop_oneof![Just(0u8), Just(0xff)], BYTES).prop_map(|mut bytes| {
        bytes[0] = 0xff;
        bytes[BYTES - 1] = 0xff;
        BigUint::from_bytes_be(&bytes)
    });
    prop_oneof![4 => any, 1 => Just(lowest), 1 => Just(highest), 4 => striped]
}

fn below(modulus: BigUint) -> impl Strategy<Value = (BigUint, BigUint)> {
    let (last, one) = (&modulus - 1u8, BigUint::from(1u8));
    let edges = [BigUint::from(0u8), one.clone(), last.clone(), last - one];
    let random = vec(any::<u8>(), BYTES).prop_map(|bytes| BigUint::from_bytes_be(&bytes));
    let striped = vec(prop_oneof![Just(0u8), Just(0xff)], BYTES).prop_map(|bytes| BigUint::from_bytes_be(&bytes));
    let number = prop_oneof![1 => proptest::sample::select(edges.to_vec()), 2 => random, 2 => striped];
    number.prop_map(move |number| (&number % &modulus, modulus.clone()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_power_is_what_another_library_says((base, modulus) in modulus().prop_flat_map(below)) {
        if nothing_to_test() {
            return Ok(());
        }
        let key = Key::new(&bytes(&modulus), &EXPONENT).unwrap();
        let expected = base.modpow(&BigUint::from(65_537u32), &modulus);
        prop_assert_eq!(key.to_the_exponent(&number(&bytes(&base))), number(&bytes(&expected)));
    }
}

#[test]
fn signatures_are_judged_as_another_library_judges_them() {
    if nothing_to_test() {
        return;
    }
    let random = SystemRandom::new();
    for round in 0..8u8 {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = pair.public_key();
        let numbers = RsaPublicKey::from_pkcs1_der(public.as_ref()).unwrap();
        let modulus = numbers.n();
        let key = Key::new(&bytes(modulus), &numbers.e().to_bytes_be()).unwrap();
        let library = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.as_ref());
        let message = [round; 100];
        let hash: [u8; 32] = digest(&SHA256, &message).as_ref().try_into().unwrap();
        let mut signature = vec![0; BYTES];
        pair.sign(&RSA_PKCS1_SHA256, &random, &message, &mut signature).unwrap();
        assert!(key.verifies(&hash, &signature));
        assert!(library.verify(&message, &signature).is_ok(), "the control");

        let mut others = vec![Vec::new(), signature[1..].to_vec(), [&[0], &*signature].concat(), vec![0; BYTES]];
        for bit in (0..8 * BYTES).step_by(61) {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            others.push(flipped);
        }
        // Signature plus modulus: the same number modulo the modulus, and another encoding of the same signature if it
        // fits in as many bytes.
        let number = BigUint::from_bytes_be(&signature);
        others.push((&number + modulus).to_bytes_be());
        others.push((modulus - number).to_bytes_be());
        for other in others {
            assert!(!key.verifies(&hash, &other));
            assert!(library.verify(&message, &other).is_err());
        }
        assert!(!key.verifies(&[round; 32], &signature), "another message");
    }
}

#[test]
fn another_key_is_left_to_the_library() {
    let odd = [0xff; BYTES];
    let mut even = odd;
    even[BYTES - 1] = 0xfe;
    let mut short = odd;
    short[0] = 0x7f;
    for (modulus, exponent) in [
        (&even[..], &EXPONENT[..]),
        (&short, &EXPONENT),
        (&odd[1..], &EXPONENT),
        (&[&odd[..], &[0xff]].concat(), &EXPONENT),
        (&odd, &[3]),
        (&odd, &[0, 1, 0, 1]),
    ] {
        assert!(Key::new(modulus, exponent).is_none());
    }
    assert_eq!(Key::new(&odd, &EXPONENT).is_some(), is_available(), "the control");
}
