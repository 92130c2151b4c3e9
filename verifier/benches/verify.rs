//! Measures a verification here and in the library that is used on other processors: `cargo bench --package verifier`.
//! Asserts no time limits.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair},
};
use rsa::{RsaPublicKey, pkcs1::DecodeRsaPublicKey, traits::PublicKeyParts};
use std::{hint::black_box, time::Instant};
use verifier::Key;

const ROUNDS: u32 = 9;
const TIMES: u32 = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let public = pair.public_key();
    let numbers = RsaPublicKey::from_pkcs1_der(public.as_ref()).map_err(|error| error.to_string())?;
    let library = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.as_ref())?;
    let message = b"a request";
    let hash = digest(&SHA256, message);
    let mut signature = vec![0; 256];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;

    let micros = |verifies: &dyn Fn() -> bool| {
        let mut rounds: Vec<_> = (0..ROUNDS)
            .map(|_| {
                let begun = Instant::now();
                assert!((0..TIMES).all(|_| black_box(verifies())));
                begun.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        rounds[rounds.len() / 2]
    };
    println!("aws-lc: {:.2} µs", micros(&|| library.verify_digest_sig(black_box(&hash), &signature).is_ok()));
    let sha256 = hash.as_ref().try_into()?;
    let (modulus, exponent) = (numbers.n().to_bytes_be(), numbers.e().to_bytes_be());
    match Key::new(&modulus, &exponent) {
        Some(key) => {
            println!("AVX-512 IFMA: {:.2} µs", micros(&|| key.verifies(black_box(sha256), &signature)));
            println!("to make a key of it: {:.2} µs", micros(&|| Key::new(black_box(&modulus), &exponent).is_some()));
        }
        None => println!("this processor has no AVX-512 IFMA"),
    }
    Ok(())
}
