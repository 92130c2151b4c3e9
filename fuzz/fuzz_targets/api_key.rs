//! API keys: what has the form of one is one, and can be read and shown again.

#![no_main]

use domain::api_key::{KEY_LENGTH, PlainApiKey, check_shape};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if check_shape(input).is_ok() {
        round_trip(std::str::from_utf8(input).expect("a key is ASCII"));
    }
    // Bytes as randomness give a key that is well-formed, and one with a changed character is not.
    let mut bytes = input.iter().copied().cycle();
    let mut counter = 0_u8;
    let key = PlainApiKey::generate(|buffer| {
        for byte in buffer {
            // Of a source that gives nothing but refused values no key would ever come.
            counter = counter.wrapping_add(1);
            *byte = bytes.next().unwrap_or_default().wrapping_add(counter);
        }
    });
    let text = key.reveal();
    round_trip(text);
    let at = 4 + usize::from(input.first().copied().unwrap_or_default()) % (KEY_LENGTH - 4);
    let mut changed = text.as_bytes().to_vec();
    changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
    assert!(check_shape(&changed).is_err());
    assert!(check_shape(&text.as_bytes()[..at]).is_err());
});

fn round_trip(text: &str) {
    let key = PlainApiKey::parse(text).expect("its shape was judged");
    assert_eq!(key.reveal(), text);
    assert_eq!(text.len(), KEY_LENGTH);
    assert!(text.starts_with(key.prefix().as_str()) && text.ends_with(key.last_four()));
    assert!(!format!("{key:?}").contains(&text[13..]));
}
