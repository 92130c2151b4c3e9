//! Detects private keys, and key material in general, in user input. Detection is based on the structure of keys, not
//! on a list of formats. The list only adds forms that are shorter than the rule requires.
//!
//! The rule: more than 64 characters of dense base64, or 128 hexadecimal digits. Fingerprints, ids, ordinary words and
//! addresses stay below it.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use std::borrow::Cow;

/// Maximum number of characters of dense base64 in a harmless text.
const MOST_BASE64: usize = 64;

/// Minimum length of a run of base64 characters that counts. A shorter one may be a word.
const LEAST_RUN: usize = 20;

/// Minimum number of hexadecimal digits that counts as a key. Only digests of 512 bits are as long.
const LEAST_HEX: usize = 128;

/// Minimum number of consecutive small numbers that counts as the bytes of a key.
const LEAST_BYTES: usize = 64;

/// How many layers of encoding are decoded, such as a PEM in base64 that a form percent-encoded.
const DEPTH: usize = 3;

/// Whether `text` contains a private key, or anything that could be one or a large part of one. Public keys count as
/// key material too: only the one field that reads public keys accepts them.
pub fn holds_key_material(text: &str) -> bool {
    let text = percent_decoded(text);
    names_private_key(&text) || base64_characters(&text) > MOST_BASE64 || holds_hex(&text) || holds_bytes(&text)
}

/// Whether `text` can be recognised as a private key, in any encoding: PEM with or without its armour, DER in base64 or
/// hex, JWK, XML, OpenSSH, PuTTY; and each of these in base64 or percent-encoding again.
pub fn is_private_key(text: &str) -> bool {
    is_private_key_within(text, DEPTH)
}

fn is_private_key_within(text: &str, depth: usize) -> bool {
    let text = percent_decoded(text);
    let bare: String = text.split(|c: char| c.is_whitespace() || c == '\\').collect();
    if names_private_key(&text) {
        return true;
    }
    let decoded = [base64(&bare), hex_bytes(&bare)];
    decoded.into_iter().flatten().any(|bytes| {
        starts_like_private_der(&bytes)
            || bytes.starts_with(b"openssh-key-v1\0")
            || depth > 0 && std::str::from_utf8(&bytes).is_ok_and(|text| is_private_key_within(text, depth - 1))
    })
}

/// Whether `der` starts like a private key. PKCS#1 and PKCS#8 private keys are a SEQUENCE whose first member is the
/// INTEGER 0 or 1, the version; in an EC private key it is the INTEGER 1. An encrypted PKCS#8 cannot be distinguished
/// from an SPKI by its first bytes; it is rejected because of its algorithm.
pub(crate) fn starts_like_private_der(der: &[u8]) -> bool {
    let Some((0x30, rest)) = der.split_first() else { return false };
    let header = match rest.first() {
        Some(&length) if length < 0x80 => 1,
        Some(&length) => 1 + usize::from(length & 0x7F),
        None => return false,
    };
    matches!(rest.get(header..header + 3), Some([0x02, 0x01, 0x00 | 0x01]))
}

/// Whether a text is labelled as a private key. A sentence such as “A private key leaked” is not.
fn names_private_key(text: &str) -> bool {
    let mut upper = text.to_ascii_uppercase();
    upper.retain(|c| c.is_ascii_alphanumeric() || "\"'<>=:-".contains(c));
    let has = |part: &str| upper.contains(part);
    // “BEGIN RSA PRIVATE KEY”, “BEGIN OPENSSH PRIVATE KEY”, and any other label between the dashes.
    let mut begins = upper.match_indices("--BEGIN");
    let armoured = has("PRIVATEKEY--")
        || begins
            .any(|(at, _)| upper.get(at..(at + 40).min(upper.len())).is_some_and(|head| head.contains("PRIVATEKEY")));
    let jwk = has("KTY") && (has("\"D\":") || has("'D':"));
    let xml = has("KEYVALUE>") && has("<D>");
    armoured || has("PUTTY-USER-KEY-FILE") || has("PRIVATE-LINES:") || has("PRIVATE-MAC:") || jwk || xml
}

/// Counts the characters in runs of dense base64, that is, long runs with a mix of character classes unlike words.
fn base64_characters(text: &str) -> usize {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_=".contains(c);
    let (mut total, mut is_fingerprint) = (0, false);
    for part in text.split_inclusive(|c: char| !is_base64(c)) {
        let run = part.trim_end_matches(|c: char| !is_base64(c));
        let was_named = std::mem::replace(&mut is_fingerprint, part.ends_with("SHA256:"));
        let has = |least: usize, is: fn(&u8) -> bool| run.bytes().filter(&is).count() >= least;
        let is_mixed = has(2, u8::is_ascii_uppercase) && has(2, u8::is_ascii_lowercase) && has(1, u8::is_ascii_digit);
        // API keys do not count: their secret is removed elsewhere, and the prefix may stay.
        let is_api_key = run.contains("nvk_");
        if run.len() >= LEAST_RUN && is_mixed && !was_named && !is_api_key {
            total += run.len();
        }
    }
    total
}

/// Whether there is a long run of hexadecimal digits, whatever separates them (`30:82:`, `0x30, 0x82`, `\x30\x82`).
fn holds_hex(text: &str) -> bool {
    let compact = text.replace("0x", "").replace("\\x", "");
    let mut run = 0;
    for c in compact.chars().filter(|c| !c.is_whitespace() && !":,;".contains(*c)) {
        run = if c.is_ascii_hexdigit() { run + 1 } else { 0 };
        if run >= LEAST_HEX {
            return true;
        }
    }
    false
}

/// Whether there is a long sequence of small numbers, the form in which programs print the bytes of a key.
fn holds_bytes(text: &str) -> bool {
    let mut row = 0;
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        row = if word.parse::<u8>().is_ok() { row + 1 } else { 0 };
        if row >= LEAST_BYTES {
            return true;
        }
    }
    false
}

/// Decodes the percent-encoding of `text` (RFC 3986, 2.1) up to twice.
pub(crate) fn percent_decoded(text: &str) -> Cow<'_, str> {
    let mut decoded = Cow::Borrowed(text);
    for _ in 0..2 {
        if decoded.contains('%') {
            decoded = Cow::Owned(percent_decoded_once(&decoded));
        }
    }
    decoded
}

fn percent_decoded_once(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        match after.get(..2).filter(|_| byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok()) {
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                bytes.push(u8::from_str_radix(digits, 16).unwrap_or_default());
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Decodes a text that is entirely base64, in either alphabet, with or without padding.
fn base64(bare: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let standard = bare.replace('-', "+").replace('_', "/");
    // A truncated key is still a key: characters after the last complete group are ignored.
    let whole = standard.get(..standard.len() / 4 * 4).filter(|whole| !whole.is_empty())?;
    LENIENT.decode(whole).ok()
}

/// Decodes a text that is entirely hexadecimal.
fn hex_bytes(bare: &str) -> Option<Vec<u8>> {
    let digits: String = bare.replace("0x", "").chars().filter(|c| !":,;".contains(*c)).collect();
    let is_hex = digits.len() > 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| digits.as_bytes().chunks_exact(2).filter_map(hex_byte).collect())
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_no_key() {
        for harmless in [
            "A private key leaked",
            "Suspected exposure of a private key: it begins a new rotation, and the end is near. Ask the security team first.",
            "leaked key SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU, replaced by SHA256:57DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
            "https://console.example.com/organizations/01900000-0000-7000-8000-000000000000/api-applications/01900000-0000-7000-8000-000000000000/audit",
            "bodyHash 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "nvk_AbCd1234 replaces nvk_AbCd5678 (INC0012345, SUP-4711)",
            "2026-11-27T15:34:33Z 10.0.0.1 10.0.0.2 1 2 3 4 5 6 7 8 9 10 11 12",
            "50% more requests than in week 47, 100 %",
            "Ledger, production",
        ] {
            assert!(!holds_key_material(harmless), "{harmless}");
            assert!(!is_private_key(harmless), "{harmless}");
        }
    }

    #[test]
    fn a_public_key_is_key_material_and_no_private_key() {
        let public = include_str!("testdata/rsa-2048-a.pem");
        assert!(holds_key_material(public) && !is_private_key(public));
    }

    #[test]
    fn parts_of_a_key_are_key_material() {
        let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
        let lines = format!("{line}\nMzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu");
        let hex = "30:82:04:bd:02:01:00:30:0d:06:09:2a:".repeat(8);
        let bytes = "48,130,4,189,2,1,0,48,13,6,9,42,134,72,134,247,".repeat(5);
        for key in [lines.as_str(), &lines.replace('\n', " "), &lines.replace('\n', "\\n"), &hex, &bytes] {
            assert!(holds_key_material(key), "{key}");
            assert!(holds_key_material(&format!("the key is {key} and it leaked")), "{key}");
        }
        assert!(is_private_key(line), "its beginning is enough");
        assert!(holds_key_material("-----BEGIN PRIVATE KEY-----"), "and so is its armour");
        assert!(holds_key_material("-----BEGIN%20RSA%20PRIVATE%20KEY-----"));
        assert!(holds_key_material("{\"kty\": \"OKP\", \"d\": \"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}"));
    }
}
