//! Public keys: the input is taken for a text, for DER, and for a key whose PEM is right around it.

#![no_main]

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::public_key::{MAX_BITS, MIN_BITS, PublicKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        match PublicKey::from_pem(text) {
            Ok(key) => canonical(&key),
            // Whoever pastes a secret does not see it again.
            Err(error) => assert!(error.to_string().len() < 400),
        }
    }
    if let Ok(key) = PublicKey::from_der(input) {
        // DER is one way to write a key: what was read is what is kept.
        assert_eq!(key.der(), input);
        canonical(&key);
    }
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", STANDARD.encode(input));
    if let Ok(key) = PublicKey::from_pem(&pem) {
        assert_eq!(key.der(), input);
    }
});

fn canonical(key: &PublicKey) {
    assert!((MIN_BITS..=MAX_BITS).contains(&key.bits()));
    let again = PublicKey::from_pem(&key.pem()).expect("a key's own PEM is a key");
    assert_eq!(&again, key);
    assert_eq!((again.pem(), again.fingerprint()), (key.pem(), key.fingerprint()));
}
