//! Tests that key pairs are valid for `rsa`, OpenSSL's command line and the libraries that partners sign with.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64ct::{Base64, Encoding};
use getrandom::{SysRng, rand_core::UnwrapErr};
use keygen::{Error, KeyPair, KeySize, generate};
use rand_core::{Infallible, TryCryptoRng, TryRng};
use rsa::{
    BigUint, Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey,
    pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey},
    sha2::{Digest, Sha256},
    traits::{PrivateKeyParts, PublicKeyParts},
};
use std::{
    io::Write,
    process::{Command, Stdio},
    thread,
};

const CHALLENGE: &str = "nuvera-proof-v1.a.b.c.d";

fn key_pair(size: KeySize) -> KeyPair {
    generate(size, CHALLENGE, &mut UnwrapErr(SysRng)).expect("a key pair is generated")
}

fn private_key(pair: &KeyPair) -> RsaPrivateKey {
    RsaPrivateKey::from_pkcs8_pem(pair.private_key_pem()).expect("the private key is PKCS#8")
}

#[test]
fn the_modulus_has_exactly_the_length_asked_for() {
    for size in KeySize::ALL {
        for _ in 0..4 {
            let key = private_key(&key_pair(size));
            assert_eq!(key.n().bits(), size.bits() as usize);
            for prime in key.primes() {
                assert_eq!(prime.bits(), size.bits() as usize / 2);
            }
        }
    }
}

#[test]
fn the_standards_conditions_hold() {
    let one = BigUint::from(1_u8);
    for size in KeySize::ALL {
        let key = private_key(&key_pair(size));
        let half = size.bits() as usize / 2;
        let [p, q] = key.primes() else { panic!("a key has two primes") };
        assert_eq!(key.e(), &BigUint::from(65_537_u32));
        // p² ≥ 2 · 2^(2 · (half − 1)) means p ≥ √2 · 2^(half − 1).
        assert!(p * p >= &one << (2 * half - 1) && q * q >= &one << (2 * half - 1));
        assert!(if p > q { p - q } else { q - p } > &one << (half - 100));
        assert!(key.d() > &(&one << half));
        for prime in [p, q] {
            assert_eq!(key.e() * key.d() % (prime - &one), one);
        }
    }
}

#[test]
fn the_public_key_is_the_private_keys() {
    let pair = key_pair(KeySize::Rsa2048);
    let public = RsaPublicKey::from_public_key_pem(pair.public_key_pem()).expect("the public key is SPKI");
    assert_eq!(public, private_key(&pair).to_public_key());
}

#[test]
fn no_two_keys_share_a_prime() {
    let mut primes: Vec<BigUint> =
        (0..8).flat_map(|_| private_key(&key_pair(KeySize::Rsa2048)).primes().to_vec()).collect();
    primes.sort();
    primes.dedup();
    assert_eq!(primes.len(), 16);
}

#[test]
fn openssl_accepts_both_halves() {
    for size in KeySize::ALL {
        let pair = key_pair(size);
        let checked = openssl(&["rsa", "-check", "-noout"], pair.private_key_pem());
        assert!(checked.contains("RSA key ok"), "{checked}");
        let private = openssl(&["pkey", "-check", "-noout", "-text"], pair.private_key_pem());
        assert!(private.contains(&format!("({} bit, 2 primes)", size.bits())), "{private}");
        let public = openssl(&["pkey", "-pubin", "-pubcheck", "-noout", "-text"], pair.public_key_pem());
        assert!(public.contains(&format!("({} bit)", size.bits())), "{public}");
        assert_eq!(openssl(&["pkey", "-pubout"], pair.private_key_pem()), pair.public_key_pem());
    }
}

/// Checks 200 keys with independent arithmetic; see `independent_check.py`.
#[test]
fn two_hundred_keys_pass_an_independent_check() {
    for (size, count) in [(KeySize::Rsa2048, 180), (KeySize::Rsa3072, 14), (KeySize::Rsa4096, 6)] {
        let halves: Vec<String> = thread::scope(|scope| {
            let generate = || (0..count / 2).map(|_| key_pair(size).private_key_pem().to_owned()).collect();
            let threads: Vec<_> = (0..2).map(|_| scope.spawn(generate)).collect();
            threads.into_iter().map(|thread| thread.join().expect("keys are generated")).collect()
        });
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/independent_check.py");
        let said = run("python3", &[program, &size.bits().to_string()], &halves.concat());
        assert_eq!(said, format!("{count} keys read\n"));
    }
}

#[test]
fn the_proof_is_a_signature_over_the_challenge_and_nothing_else() {
    for size in KeySize::ALL {
        let pair = key_pair(size);
        let key = RsaPublicKey::from_public_key_pem(pair.public_key_pem()).expect("the public key is SPKI");
        let signature = Base64::decode_vec(pair.proof()).expect("the proof is base64");
        let verifies = |text: &str| {
            let digest = Sha256::digest(text);
            key.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, &signature).is_ok()
        };
        assert!(verifies(CHALLENGE));
        assert!(!verifies("nuvera-proof-v1.a.b.c.e"));
    }
}

/// Signs and verifies with the libraries of partners and of the gateway.
#[test]
fn node_pyjwt_and_aws_lc_sign_and_verify_with_every_size() {
    const NODE: &str = "const { createPrivateKey, createPublicKey, sign, verify } = require('node:crypto');
        const key = createPrivateKey(require('node:fs').readFileSync(0));
        const good = verify('sha256', Buffer.from('a'), createPublicKey(key), sign('sha256', Buffer.from('a'), key));
        process.stdout.write(`${key.asymmetricKeyDetails.modulusLength} ${good}`);";
    const PYJWT: &str = "import jwt, sys
from cryptography.hazmat.primitives.serialization import load_pem_private_key
key = load_pem_private_key(sys.stdin.buffer.read(), None)
token = jwt.encode({'a': 1}, key, 'RS256')
print(key.key_size, jwt.decode(token, key.public_key(), ['RS256'])['a'] == 1, end='')";
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/../end2end/.venv/bin/python");
    for size in KeySize::ALL {
        let pair = key_pair(size);
        assert_eq!(run("node", &["-e", NODE], pair.private_key_pem()), format!("{} true", size.bits()));
        assert_eq!(run(python, &["-c", PYJWT], pair.private_key_pem()), format!("{} True", size.bits()));

        let der = private_key(&pair).to_pkcs8_der().expect("the key is written");
        let signer = RsaKeyPair::from_pkcs8(der.as_bytes()).expect("aws-lc takes the private key");
        let mut signature = vec![0; signer.public_modulus_len()];
        let random = SystemRandom::new();
        signer.sign(&RSA_PKCS1_SHA256, &random, b"a", &mut signature).expect("it signs");
        let public = RsaPublicKey::from_public_key_pem(pair.public_key_pem()).expect("the public key is SPKI");
        let public = public.to_public_key_der().expect("it is written");
        let verifier = &RSA_PKCS1_2048_8192_SHA256;
        let verifier = ParsedPublicKey::new(verifier, public.as_bytes()).expect("aws-lc takes it");
        assert!(verifier.verify_sig(b"a", &signature).is_ok());
        assert!(verifier.verify_sig(b"b", &signature).is_err());
    }
}

#[test]
fn three_thousand_bits_are_the_default() {
    assert_eq!(KeySize::default().bits(), 3072);
    assert_eq!(KeySize::from_bits(3072), Some(KeySize::Rsa3072));
    assert_eq!(KeySize::from_bits(1024), None);
    assert_eq!(KeySize::from_bits(0), None);
}

#[test]
fn a_private_key_is_not_in_the_debug_text() {
    let text = format!("{:?}", key_pair(KeySize::Rsa2048));
    assert!(text.contains("BEGIN PUBLIC KEY"));
    assert!(!text.contains("PRIVATE"));
}

#[test]
fn random_numbers_that_are_not_random_are_refused() {
    let error = generate(KeySize::Rsa2048, CHALLENGE, &mut Stuck).expect_err("no key comes from a stuck source");
    assert!(matches!(error, Error::Randomness), "{error}");
}

/// A random number generator stuck at zero, so that every search starts at the same number.
struct Stuck;

impl TryRng for Stuck {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0);
        Ok(())
    }
}

impl TryCryptoRng for Stuck {}

/// Runs `openssl` with `input`, and returns its output.
fn openssl(arguments: &[&str], input: &str) -> String {
    run("openssl", arguments, input)
}

/// Runs a program with `input`, and returns its output.
fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it is installed (scripts/setup test)");
    child.stdin.take().expect("stdin is a pipe").write_all(input.as_bytes()).expect("it reads its input");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).expect("it writes text");
    assert!(output.status.success(), "{program} {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}
