//! Public keys as users paste them, valid and invalid.

use super::*;

const GOOD: &str = include_str!("../testdata/rsa-2048-a.pem");

fn refusal(text: &str) -> PublicKeyError {
    PublicKey::from_pem(text).expect_err("refused")
}

fn numbers(pem: &str) -> (Vec<u8>, Vec<u8>) {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).unwrap();
    let spki = SubjectPublicKeyInfoRef::from_der(&der).unwrap();
    let key = RsaPublicKey::from_der(spki.subject_public_key.as_bytes().unwrap()).unwrap();
    (key.modulus.as_bytes().to_vec(), key.public_exponent.as_bytes().to_vec())
}

/// Returns the SPKI of any modulus and exponent, without checks.
fn spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    use der::asn1::{BitStringRef, Null, UintRef};
    let key =
        RsaPublicKey { modulus: UintRef::new(modulus).unwrap(), public_exponent: UintRef::new(exponent).unwrap() };
    let key = key.to_der().unwrap();
    let algorithm = AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(Null.into()) };
    let subject_public_key = BitStringRef::from_bytes(&key).unwrap();
    SubjectPublicKeyInfoRef { algorithm, subject_public_key }.to_der().unwrap()
}

/// Returns `number * factor + add`, big-endian.
fn multiply(number: &[u8], factor: u64, add: u64) -> Vec<u8> {
    let mut carry = u128::from(add);
    let mut product = Vec::new();
    for &byte in number.iter().rev() {
        carry += u128::from(byte) * u128::from(factor);
        product.push(carry as u8);
        carry >>= 8;
    }
    while carry > 0 {
        product.push(carry as u8);
        carry >>= 8;
    }
    product.reverse();
    product
}

/// Returns `a * b`, big-endian.
fn product(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut digits = vec![0_u32; a.len() + b.len()];
    for (i, &x) in a.iter().rev().enumerate() {
        let mut carry = 0;
        for (j, &y) in b.iter().rev().enumerate() {
            let sum = digits[i + j] + u32::from(x) * u32::from(y) + carry;
            digits[i + j] = sum & 0xFF;
            carry = sum >> 8;
        }
        digits[i + b.len()] += carry;
    }
    digits.into_iter().rev().map(|digit| digit as u8).skip_while(|&digit| digit == 0).collect()
}

#[test]
fn a_good_key_is_read_measured_and_written_again() {
    let key = PublicKey::from_pem(GOOD).unwrap();
    assert_eq!(key.bits(), 2048);
    assert_eq!(key.pem(), GOOD);
    assert!(key.fingerprint().starts_with("SHA256:"));
    assert_eq!(key.fingerprint().len(), 7 + 43);
    assert_eq!(PublicKey::from_der(key.der()), Ok(key));
}

#[test]
fn white_space_and_line_breaks_of_another_system_do_not_matter() {
    let key = PublicKey::from_pem(GOOD).unwrap();
    let crlf = format!("\r\n  {}\r\n\r\n", GOOD.replace('\n', "\r\n"));
    assert_eq!(PublicKey::from_pem(&crlf), Ok(key.clone()));
    let body: String = GOOD.lines().filter(|line| !line.starts_with('-')).collect();
    assert_eq!(PublicKey::from_pem(&format!("{BEGIN}\n{body}\n{END}")), Ok(key));
}

#[test]
fn a_private_key_is_refused_in_every_form_and_never_quoted() {
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
    for text in [
        format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----"),
        format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"),
        format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}\n-----END ENCRYPTED PRIVATE KEY-----"),
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----"),
        format!("-----begin private key-----\\n{body}"),
        format!("{GOOD}\n-----BEGIN EC PRIVATE KEY-----\n{body}"),
        "PuTTY-User-Key-File-3: ssh-rsa".to_owned(),
        r#"{"kty":"RSA","n":"AQAB","e":"AQAB","d":"c2VjcmV0"}"#.to_owned(),
        body.to_owned(),
        "MIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun".to_owned(),
        format!("{BEGIN}\n{body}\n{END}"),
    ] {
        let refused = refusal(&text);
        assert_eq!(refused, PublicKeyError::PrivateKey, "{text}");
        assert!(!refused.to_string().contains("MIIE"));
    }
}

#[test]
fn each_kind_of_wrong_key_gets_its_own_advice() {
    let ssh = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ== olivia@laptop";
    for (text, expected) in [
        ("", PublicKeyError::Missing),
        ("hello", PublicKeyError::Missing),
        (ssh, PublicKeyError::OpenSsh),
        (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, PublicKeyError::Jwk),
        (include_str!("../testdata/pkcs1-public.pem"), PublicKeyError::Pkcs1),
        (include_str!("../testdata/certificate.pem"), PublicKeyError::Certificate),
        (include_str!("../testdata/ec-p256.pem"), PublicKeyError::EllipticCurve),
        (include_str!("../testdata/ed25519.pem"), PublicKeyError::Ed25519),
        (include_str!("../testdata/rsa-pss.pem"), PublicKeyError::RsaPss),
        (include_str!("../testdata/rsa-1024.pem"), PublicKeyError::TooSmall(1024)),
        (include_str!("../testdata/rsa-8192.pem"), PublicKeyError::TooLarge(8192)),
        (include_str!("../testdata/rsa-2048-e3.pem"), PublicKeyError::Exponent),
        (include_str!("../testdata/rsa-2048-e4294967291.pem"), PublicKeyError::Exponent),
        ("-----BEGIN DSA PARAMETERS-----\nAA==\n-----END DSA PARAMETERS-----", PublicKeyError::OtherBlock),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
}

#[test]
fn damage_to_the_block_is_told_apart() {
    assert_eq!(refusal(&format!("{GOOD}{GOOD}")), PublicKeyError::SeveralBlocks);
    assert_eq!(refusal(&GOOD[..200]), PublicKeyError::Base64);
    assert_eq!(refusal(&GOOD.replacen("MIIB", "M*IB", 1)), PublicKeyError::Base64);
    assert_eq!(refusal(&format!("{BEGIN}\nAAAA\n{END}")), PublicKeyError::Malformed);
    assert_eq!(refusal(&"A".repeat(MAX_PEM_BYTES + 1)), PublicKeyError::TooLong);
    let mut trailing = PublicKey::from_pem(GOOD).unwrap().der().to_vec();
    trailing.push(0);
    assert_eq!(PublicKey::from_der(&trailing), Err(PublicKeyError::Malformed));
}

/// Returns a PEM as wrapped by tools, vaults and mail programs.
fn wrappings(pem: &str) -> Vec<String> {
    let lines: Vec<_> = pem.trim().lines().collect();
    let join = |with: &str| lines.join(with);
    let body = lines[1..lines.len() - 1].concat();
    vec![
        format!("Key:\n{pem}thanks"),
        format!("\u{FEFF}{}", pem.replace('\n', "\r\n")),
        join(" "),
        format!("'{}'", join("\\n")),
        format!("{{\"public_key\": \"{}\\n\"}}", join("\\n").replace('/', "\\/")),
        format!("PUBLIC_KEY=\"{}\"\n", join("\n")),
        format!("key: |\n  {}", join("\n  ")),
        format!("> {}", join("\n> ")),
        format!("\"{}\",Ledger,2026", join("\n")),
        pem.replace("-----", "—–-").replace(' ', "\u{A0}"),
        pem.replace('\n', "%0A").replace('+', "%2B"),
        // Kubernetes secrets, and DER from a cloud provider's key service.
        STANDARD.encode(pem),
        STANDARD.encode(STANDARD.encode(pem)),
        body.clone(),
        body.replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned(),
        lines[1..lines.len() - 1].join("\n"),
    ]
}

#[test]
fn a_key_is_read_in_the_wrapping_that_tools_give_it_and_a_private_key_is_refused_in_each() {
    let fingerprint = PublicKey::from_pem(GOOD).unwrap().fingerprint();
    for wrapped in wrappings(GOOD) {
        let read = PublicKey::from_pem(&wrapped).map(|key| key.fingerprint());
        assert_eq!(read.as_deref(), Ok(&*fingerprint), "{wrapped:?}");
    }
    // The first bytes of a PKCS#8 private key are enough for a rejection.
    let der = [&[0x30, 0x82, 0x04, 0xBE, 0x02, 0x01, 0x00, 0x30, 0x0D][..], &[0x5A; 1200]].concat();
    let base64 = STANDARD.encode(der);
    let rows: Vec<_> = base64.as_bytes().chunks(64).map(|row| std::str::from_utf8(row).unwrap()).collect();
    let private = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", rows.join("\n"));
    assert_eq!(refusal(&format!("{GOOD}\n{}", "Ab0".repeat(100))), PublicKeyError::KeyAround);
    for wrapped in wrappings(&private) {
        assert_eq!(refusal(&wrapped), PublicKeyError::PrivateKey, "{wrapped:?}");
    }
}

#[test]
fn ber_that_is_not_der_is_refused() {
    // The outer length is encoded in three bytes although two suffice.
    let der = PublicKey::from_pem(GOOD).unwrap().der().to_vec();
    assert_eq!(der[..2], [0x30, 0x82]);
    let mut ber = vec![0x30, 0x83, 0x00];
    ber.extend(&der[2..]);
    assert_eq!(PublicKey::from_der(&ber), Err(PublicKeyError::Malformed));
}

#[test]
fn sizes_and_exponents_are_judged_at_their_bounds() {
    let (modulus, exponent) = numbers(GOOD);
    assert!(PublicKey::from_der(&spki(&modulus, &exponent)).is_ok());
    let size = |bits: usize| PublicKey::from_der(&spki(&odd_modulus(bits), &exponent)).map(|key| key.bits());
    assert_eq!((size(4096), size(4097)), (Ok(4096), Err(PublicKeyError::TooLarge(4097))));
    assert_eq!(size(8192), Err(PublicKeyError::TooLarge(8192)));
    let mut small = modulus.clone();
    small[0] = 0x7F;
    assert_eq!(PublicKey::from_der(&spki(&small, &exponent)), Err(PublicKeyError::TooSmall(2047)));
    let exponents: [&[u8]; 8] = [
        &[1],
        &[3],
        &[0xFF, 0xFF],
        &[0x01, 0x00, 0x00],
        &[0x01, 0x00, 0x03],
        &[0xFF, 0xFF, 0xFF, 0xFF],
        &[0x01, 0x00, 0x00, 0x00, 0x01],
        // 65537 in the low 64 bits.
        &[0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01],
    ];
    for bad in exponents {
        assert_eq!(PublicKey::from_der(&spki(&modulus, bad)), Err(PublicKeyError::Exponent), "{bad:?}");
    }
}

/// Returns the first modulus of this many bits without a known weakness.
fn odd_modulus(bits: usize) -> Vec<u8> {
    let mut modulus = vec![0x55; bits.div_ceil(8)];
    modulus[0] = 1 << ((bits - 1) % 8);
    let last = modulus.len() - 1;
    (1..=u8::MAX)
        .step_by(2)
        .find_map(|low| {
            modulus[last] = low;
            check_modulus(&modulus).is_ok().then(|| modulus.clone())
        })
        .unwrap()
}

fn pem(der: &[u8]) -> String {
    format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(der))
}

#[test]
fn a_registered_key_outside_the_present_bounds_is_still_read_and_cannot_be_registered_again() {
    let (modulus, exponent) = numbers(GOOD);
    let large = pem(&spki(&odd_modulus(8192), &exponent));
    let slow = pem(&spki(&modulus, &[0xFF, 0xFF, 0xFF, 0xFF]));
    for (registered, problem) in [(large, PublicKeyError::TooLarge(8192)), (slow, PublicKeyError::Exponent)] {
        let key = PublicKey::from_registered_pem(&registered).unwrap();
        assert_eq!(PublicKey::from_registered_pem(&key.pem()).as_ref(), Ok(&key));
        assert_eq!(key.check_registrable(), Err(problem.clone()));
        assert_eq!(PublicKey::from_pem(&registered), Err(problem));
    }
    assert_eq!(PublicKey::from_registered_pem(GOOD).unwrap().check_registrable(), Ok(()));
    // Keys that were never accepted are not read either.
    for (modulus, exponent, problem) in [
        (odd_modulus(8193), &exponent[..], PublicKeyError::TooLarge(8193)),
        (odd_modulus(2047), &exponent[..], PublicKeyError::TooSmall(2047)),
        (modulus.clone(), &[3][..], PublicKeyError::Exponent),
        (modulus.clone(), &[0x01, 0x00, 0x00, 0x00, 0x01][..], PublicKeyError::Exponent),
        (multiply(&modulus, 1999, 0), &exponent[..], PublicKeyError::Weak(Weakness::SmallFactor)),
    ] {
        assert_eq!(PublicKey::from_registered_pem(&pem(&spki(&modulus, exponent))), Err(problem));
    }
}

#[test]
fn a_weak_modulus_is_refused_by_its_weakness() {
    let (modulus, exponent) = numbers(GOOD);
    let weakness = |modulus: &[u8]| PublicKey::from_der(&spki(modulus, &exponent));
    let weak = |weakness| Err(PublicKeyError::Weak(weakness));
    assert_eq!(weakness(&multiply(&modulus, 1999, 0)), weak(Weakness::SmallFactor));
    assert_eq!(weakness(&multiply(&modulus, 2, 0)), weak(Weakness::SmallFactor));
    assert_eq!(weakness(&product(&modulus, &modulus)), weak(Weakness::PerfectSquare));
    // 1 is a power of 65537 modulo every prime, and so is 1 + any multiple of all of them. A multiple without a small
    // factor is needed, because a small factor is reported first.
    let all = small_primes(168).into_iter().fold(vec![1], |all, prime| multiply(&all, prime, 0));
    let roca = (1_u64..).map(|k| {
        let mut base = all.clone();
        base.extend([0; 256 - 27]);
        let base = multiply(&base, k, 0);
        let last = base.len() - 1;
        let mut modulus = base;
        modulus[last] |= 1;
        modulus
    });
    let found = roca.map(|modulus| weakness(&modulus)).find(|w| *w != weak(Weakness::SmallFactor));
    assert_eq!(found, Some(weak(Weakness::Roca)));
}

proptest::proptest! {
    #[test]
    fn any_text_at_all_is_judged_without_a_panic(text: String) {
        proptest::prop_assert!(PublicKey::from_pem(&text).is_err());
    }

    #[test]
    fn any_damage_to_a_key_is_judged_without_a_panic(at in 0_usize..294, to: u8) {
        let mut der = PublicKey::from_pem(GOOD).unwrap().der().to_vec();
        let before = der[at];
        der[at] = to;
        // A changed modulus may be as valid as the original one. Whatever is accepted is re-encoded to the same bytes.
        if let Ok(key) = PublicKey::from_der(&der) {
            proptest::prop_assert_eq!(key.der(), &der[..]);
            proptest::prop_assert!(to == before || at > 20);
        }
    }

    #[test]
    fn a_key_has_one_text_however_it_was_wrapped(breaks in proptest::collection::vec((0_usize..392, "[ \\t\\r\\n]{1,3}"), 0..20)) {
        let key = PublicKey::from_pem(GOOD).unwrap();
        let mut body: String = GOOD.lines().filter(|line| !line.starts_with('-')).collect();
        for (at, white) in breaks {
            let at = at.min(body.len());
            body.insert_str(at, &white);
        }
        let read = PublicKey::from_pem(&format!("{BEGIN}{body}{END}"));
        proptest::prop_assert_eq!(read.as_ref().map(PublicKey::pem), Ok(key.pem()));
        proptest::prop_assert_eq!(read.map(|key| key.fingerprint()), Ok(key.fingerprint()));
    }

    #[test]
    fn any_damage_to_a_pem_is_judged_without_a_panic(at in 0_usize..451, to: char) {
        let at = at.min(GOOD.len() - 1);
        let damaged = format!("{}{to}{}", &GOOD[..at], &GOOD[at + 1..]);
        // If a damaged text is accepted, its own canonical text yields the same key.
        if let Ok(key) = PublicKey::from_pem(&damaged) {
            proptest::prop_assert_eq!(PublicKey::from_pem(&key.pem()), Ok(key));
        }
    }

    #[test]
    fn any_bytes_in_a_pem_are_judged_without_a_panic(bytes: Vec<u8>) {
        let pem = format!("{BEGIN}\n{}\n{END}", STANDARD.encode(&bytes));
        proptest::prop_assert!(PublicKey::from_pem(&pem).is_err() && PublicKey::from_der(&bytes).is_err());
    }
}
