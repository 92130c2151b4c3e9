//! Tests every common key format with files created by the tools that users create them with.

use domain::public_key::{PublicKey, PublicKeyError};
use keydoctor::{EncryptionError, Examination, Finding, Form, ITERATIONS, Note, Problem, encrypt, examine};
use proptest::prelude::*;
use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    sync::LazyLock,
};
use tempfile::TempDir;

const PASSPHRASE: &str = "correct horse, Batterie, ß";

/// A key created by OpenSSL, in the two formats that results are compared with.
struct Sample {
    folder: TempDir,
    private: String,
    public: String,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let private = text(openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], b""));
    let public = text(openssl(&["pkey", "-pubout"], private.as_bytes()));
    fs::write(folder.path().join("private.pem"), &private).expect("the key is written");
    Sample { folder, private, public }
});

impl Sample {
    fn openssl(&self, args: &[&str]) -> Vec<u8> {
        openssl(args, self.private.as_bytes())
    }

    /// Converts the private key in place with `ssh-keygen`, and returns its path and public key.
    fn openssh(&self, name: &str, args: &[&str]) -> (PathBuf, Vec<u8>) {
        let path = self.folder.path().join(name);
        // ssh-keygen rejects private key files that others can read.
        write_private(&path, self.private.as_bytes());
        let path_text = path.to_str().expect("a path in UTF-8");
        run("ssh-keygen", &[&["-q", "-p", "-P", "", "-f", path_text], args].concat(), b"");
        let content = fs::read(&path).expect("the key");
        (path, content)
    }
}

fn write_private(path: &std::path::Path, content: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(path).expect("a file");
    file.write_all(content).expect("the key is written");
}

fn run(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that rejects its arguments does not read its input.
    let _ = child.stdin.take().expect("its input").write_all(input);
    let output = child.wait_with_output().expect("its output");
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn openssl(args: &[&str], input: &[u8]) -> Vec<u8> {
    run("openssl", args, input)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

/// Examines `bytes`, which must contain a single key.
fn only(bytes: impl AsRef<[u8]>, passphrase: Option<&str>) -> Result<Finding, Problem> {
    let Examination { keys, .. } = examine(bytes.as_ref(), passphrase);
    let [key] = <[_; 1]>::try_from(keys).expect("one key");
    key
}

/// Asserts that `bytes` is the sample in `form`, and is converted to what OpenSSL writes.
fn assert_found(bytes: impl AsRef<[u8]>, passphrase: Option<&str>, form: Form) {
    let found = only(bytes, passphrase).unwrap_or_else(|problem| panic!("{form}: {problem}"));
    assert_eq!(found.form, form);
    assert_eq!(found.public_key.pem(), SAMPLE.public, "{form}");
    let is_private = form.to_string().starts_with("Private");
    assert_eq!(found.private_key_pem.as_deref(), is_private.then_some(&SAMPLE.private), "{form}");
}

#[test]
fn private_keys_of_openssl_are_found_and_come_back_as_it_writes_them() {
    let sample = &*SAMPLE;
    assert_found(&sample.private, None, Form::Pkcs8);
    assert_found(sample.openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"]), None, Form::Pkcs8);
    assert_found(sample.openssl(&["rsa", "-traditional"]), None, Form::Pkcs1);
    assert_found(sample.openssl(&["rsa", "-traditional", "-outform", "DER"]), None, Form::Pkcs1);
}

#[test]
fn public_keys_and_certificates_are_found() {
    let sample = &*SAMPLE;
    assert_found(&sample.public, None, Form::Spki);
    assert_found(sample.openssl(&["pkey", "-pubout", "-outform", "DER"]), None, Form::Spki);
    assert_found(sample.openssl(&["rsa", "-RSAPublicKey_out"]), None, Form::Pkcs1Public);
    let key = sample.folder.path().join("private.pem");
    let key = key.to_str().expect("a path in UTF-8");
    let certificate = ["req", "-x509", "-subj", "/CN=ledger", "-days", "2", "-key", key];
    assert_found(openssl(&certificate, b""), None, Form::Certificate);
    assert_found(openssl(&[&certificate[..], &["-outform", "DER"]].concat(), b""), None, Form::Certificate);
}

#[test]
fn encrypted_keys_open_with_their_passphrase_only() {
    let password = format!("pass:{PASSPHRASE}");
    let variants: [&[&str]; 4] = [
        &["-v2", "aes-256-cbc"],
        &["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"],
        &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"],
        &["-scrypt"],
    ];
    for variant in variants {
        for form in ["PEM", "DER"] {
            let args = [&["pkcs8", "-topk8", "-passout", &password, "-outform", form], variant].concat();
            let encrypted = SAMPLE.openssl(&args);
            assert_found(&encrypted, Some(PASSPHRASE), Form::EncryptedPkcs8);
            assert_eq!(only(&encrypted, None).unwrap_err(), Problem::PassphraseNeeded, "{variant:?}");
            assert_eq!(only(&encrypted, Some("another")).unwrap_err(), Problem::PassphraseWrong, "{variant:?}");
        }
    }
}

#[test]
fn encryption_of_the_last_century_is_told_with_the_way_out() {
    let old = SAMPLE.openssl(&["rsa", "-traditional", "-aes128", "-passout", "pass:secret"]);
    assert_eq!(only(old, Some("secret")).unwrap_err(), Problem::LegacyEncryption);
    for scheme in [["-v1", "PBE-SHA1-3DES"], ["-v2", "des3"]] {
        let args = [&["pkcs8", "-topk8", "-passout", "pass:secret"], &scheme[..]].concat();
        assert_eq!(only(SAMPLE.openssl(&args), Some("secret")).unwrap_err(), Problem::OtherEncryption, "{scheme:?}");
    }
}

#[test]
fn openssh_keys_are_found_encrypted_or_not() {
    let (path, plain) = SAMPLE.openssh("id_rsa", &["-N", ""]);
    assert!(plain.starts_with(b"-----BEGIN OPENSSH PRIVATE KEY-----"));
    assert_found(&plain, None, Form::OpenSsh);
    let path = path.to_str().expect("a path in UTF-8");
    let public = text(run("ssh-keygen", &["-y", "-f", path], b""));
    assert!(public.starts_with("ssh-rsa "));
    assert_found(&public, None, Form::SshPublic);
    assert_found(format!("command=\"x\",no-pty {} ana@ledger\n", public.trim()), None, Form::SshPublic);
    assert_found(run("ssh-keygen", &["-e", "-f", path], b""), None, Form::SshPublic);
    assert_found(run("ssh-keygen", &["-e", "-m", "PKCS8", "-f", path], b""), None, Form::Spki);

    for cipher in ["aes256-ctr", "aes256-cbc", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"] {
        let (_, encrypted) = SAMPLE.openssh("encrypted", &["-N", PASSPHRASE, "-Z", cipher]);
        assert_found(&encrypted, Some(PASSPHRASE), Form::EncryptedOpenSsh);
        assert_eq!(only(&encrypted, None).unwrap_err(), Problem::PassphraseNeeded, "{cipher}");
        assert_eq!(only(&encrypted, Some("another")).unwrap_err(), Problem::PassphraseWrong, "{cipher}");
    }
}

/// Returns the sample as a JSON Web Key, exported by Node.js.
fn jwk(private: bool) -> serde_json::Value {
    const SCRIPT: &str = "const c = require('crypto'), key = require('fs').readFileSync(0);\
         const make = process.argv[1] === 'private' ? c.createPrivateKey : c.createPublicKey;\
         console.log(JSON.stringify(make(key).export({ format: 'jwk' })))";
    let half = if private { "private" } else { "public" };
    let json = run("node", &["-e", SCRIPT, half], SAMPLE.private.as_bytes());
    serde_json::from_slice(&json).expect("JSON")
}

#[test]
fn json_web_keys_are_found_alone_in_sets_and_without_their_primes() {
    let (private, public) = (jwk(true), jwk(false));
    assert_found(private.to_string(), None, Form::PrivateJwk);
    assert_found(public.to_string(), None, Form::PublicJwk);
    let mut short = private.clone();
    for name in ["p", "q", "dp", "dq", "qi"] {
        short.as_object_mut().expect("an object").remove(name);
    }
    let found = only(short.to_string(), None).expect("a key");
    assert_eq!(found.public_key.pem(), SAMPLE.public);
    // The primes are recovered, possibly in reverse order, so OpenSSL checks that it is the same key.
    let again = found.private_key_pem.expect("its private half");
    openssl(&["pkey", "-check", "-noout"], again.as_bytes());
    assert_eq!(text(openssl(&["pkey", "-pubout"], again.as_bytes())), SAMPLE.public);

    let ec = serde_json::json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" });
    let set = serde_json::json!({ "keys": [public, ec, private] }).to_string();
    let examination = examine(set.as_bytes(), None);
    let forms: Vec<_> = examination.keys.into_iter().map(|key| key.map(|found| found.form)).collect();
    let refused = Err(Problem::Refused(PublicKeyError::EllipticCurve));
    assert_eq!(forms, [Ok(Form::PublicJwk), refused, Ok(Form::PrivateJwk)]);

    let secret = serde_json::json!({ "kty": "oct", "k": "AA" }).to_string();
    assert_eq!(only(secret, None).unwrap_err(), Problem::SharedSecret);
    assert_eq!(only(r#"{"kty": "RSA", "n": "AQAB"}"#, None).unwrap_err(), Problem::JwkMember("e"));
    assert_eq!(only(r#"{"hello": 1}"#, None).unwrap_err(), Problem::Json);
}

#[test]
fn what_shells_files_and_secret_stores_do_to_a_key_is_undone_and_told() {
    let pem = &SAMPLE.private;
    let one_line = pem.replace('\n', "\\n");
    let bare: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let base64 = text(openssl(&["base64", "-A"], pem.as_bytes()));
    let utf16: Vec<u8> = [0xFEFF].into_iter().chain(pem.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, Vec<u8>, &[Note]); 12] = [
        ("as it is", pem.clone().into(), &[]),
        ("escaped", one_line.clone().into(), &[Note::EscapedLineBreaks]),
        ("escaped and quoted", format!("\"{one_line}\"\n").into(), &[Note::Quotes, Note::EscapedLineBreaks]),
        ("escaped twice", pem.replace('\n', "\\\\n").into(), &[Note::EscapedLineBreaks]),
        ("escaped CRLF", pem.replace('\n', "\\r\\n").into(), &[Note::EscapedLineBreaks]),
        ("Windows", pem.replace('\n', "\r\n").into(), &[Note::WindowsLineBreaks]),
        ("spaces for line breaks", pem.replace('\n', " ").into(), &[Note::NoLineBreaks]),
        ("an assignment", format!("KEY='{pem}'").into(), &[Note::TextAround]),
        ("bare base64", bare.into(), &[Note::NoHeaders]),
        ("base64 of the PEM", base64.into(), &[Note::WrappedInBase64]),
        ("byte-order mark", format!("\u{FEFF}{pem}").into(), &[Note::ByteOrderMark]),
        ("PowerShell", utf16, &[Note::Utf16]),
    ];
    for (name, bytes, expected) in cases {
        let Examination { notes, .. } = examine(&bytes, None);
        assert_eq!(notes, expected, "{name}");
        assert_found(&bytes, None, Form::Pkcs8);
    }
    let json = serde_json::json!({ "client": "ledger", "private_key": pem }).to_string();
    assert_found(json, None, Form::Pkcs8);
}

#[test]
fn every_key_of_a_file_is_found() {
    let bundle = format!("{}\n{}", SAMPLE.private, SAMPLE.public);
    let forms: Vec<_> = examine(bundle.as_bytes(), None).keys.into_iter().map(|key| key.expect("a key").form).collect();
    assert_eq!(forms, [Form::Pkcs8, Form::Spki]);
}

#[test]
fn keys_that_cannot_sign_requests_are_told_why() {
    let make = |args: &[&str]| openssl(&[&["genpkey"], args].concat(), b"");
    let rsa = |bits: &str, more: &[&str]| {
        let bits = format!("rsa_keygen_bits:{bits}");
        make(&[&["-algorithm", "RSA", "-pkeyopt", &bits], more].concat())
    };
    let curve = make(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    let ed25519 = make(&["-algorithm", "ED25519"]);
    let pss = make(&["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let cases = [
        (rsa("1024", &[]), PublicKeyError::TooSmall(1024)),
        (rsa("2048", &["-pkeyopt", "rsa_keygen_pubexp:3"]), PublicKeyError::Exponent),
        (rsa("2048", &["-pkeyopt", "rsa_keygen_pubexp:65539"]), PublicKeyError::Exponent),
        (curve.clone(), PublicKeyError::EllipticCurve),
        (openssl(&["ecparam", "-genkey", "-name", "prime256v1"], b""), PublicKeyError::EllipticCurve),
        (ed25519.clone(), PublicKeyError::Ed25519),
        (pss, PublicKeyError::RsaPss),
    ];
    for (private, reason) in cases {
        assert_eq!(only(&private, None).unwrap_err(), Problem::Refused(reason.clone()));
        let public = openssl(&["pkey", "-pubout"], &private);
        assert_eq!(only(&public, None).unwrap_err(), Problem::Refused(reason));
    }
    for (kind, reason) in [("ed25519", PublicKeyError::Ed25519), ("ecdsa", PublicKeyError::EllipticCurve)] {
        let path = SAMPLE.folder.path().join(kind);
        run("ssh-keygen", &["-q", "-t", kind, "-N", "", "-f", path.to_str().expect("a path")], b"");
        for path in [path.clone(), path.with_extension("pub")] {
            let key = fs::read(path).expect("the key");
            assert_eq!(only(key, None).unwrap_err(), Problem::Refused(reason.clone()));
        }
    }
    let primes = ["-pkeyopt", "rsa_keygen_primes:3"];
    assert_eq!(only(rsa("2048", &primes), None).unwrap_err(), Problem::MultiPrime);
}

#[test]
fn other_files_are_told_with_the_way_to_a_key() {
    let key = SAMPLE.folder.path().join("private.pem");
    let key = key.to_str().expect("a path");
    let request = openssl(&["req", "-new", "-subj", "/CN=ledger", "-key", key], b"");
    assert_eq!(only(request, None).unwrap_err(), Problem::CertificateRequest);
    let certificate = openssl(&["req", "-x509", "-subj", "/CN=ledger", "-key", key], b"");
    let both = [SAMPLE.private.as_bytes(), &certificate].concat();
    let pkcs12 = openssl(&["pkcs12", "-export", "-passout", "pass:secret"], &both);
    assert_eq!(only(pkcs12, None).unwrap_err(), Problem::Pkcs12);
    assert_eq!(only("PuTTY-User-Key-File-3: ssh-rsa\n", None).unwrap_err(), Problem::Putty);
    assert_eq!(only([0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2], None).unwrap_err(), Problem::JavaKeystore);
    assert_eq!(only("  \n", None).unwrap_err(), Problem::Empty);
    assert_eq!(only("hello", None).unwrap_err(), Problem::Unknown);
    assert_eq!(only(vec![b'A'; keydoctor::MAX_BYTES + 1], None).unwrap_err(), Problem::TooLong);
}

#[test]
fn damage_is_told_as_damage() {
    let pem = &SAMPLE.private;
    assert_eq!(only(&pem[..pem.len() - 40], None).unwrap_err(), Problem::CutOff);
    assert_eq!(only(pem.replacen("\nMII", "\n!II", 1), None).unwrap_err(), Problem::Base64);
    let lines: Vec<_> = pem.lines().collect();
    let without_a_line = [&lines[..5], &lines[6..]].concat().join("\n");
    assert_eq!(only(without_a_line, None).unwrap_err(), Problem::Malformed("PRIVATE KEY".to_owned()));

    // Flips one bit of d in the middle of the file, which a parser that does not check the numbers would accept.
    let mut der = SAMPLE.openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"]);
    der[500] ^= 1;
    assert_eq!(only(der, None).unwrap_err(), Problem::Inconsistent);
}

#[test]
fn what_is_encrypted_here_openssl_opens_with_the_passphrase_only() {
    let encrypted = encrypt(&SAMPLE.private, PASSPHRASE, &[7; 16], &[9; 16]).expect("it is encrypted");
    assert!(encrypted.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    let opened = openssl(&["pkey", "-passin", &format!("pass:{PASSPHRASE}")], encrypted.as_bytes());
    assert_eq!(text(opened), SAMPLE.private);
    let path = SAMPLE.folder.path().join("wrong.pem");
    fs::write(&path, &encrypted).expect("it is written");
    let wrong = Command::new("openssl").args(["pkey", "-noout", "-passin", "pass:another", "-in"]).arg(&path).output();
    assert!(!wrong.expect("openssl runs").status.success());
    assert_found(&encrypted, Some(PASSPHRASE), Form::EncryptedPkcs8);
    // The encryption scheme as parsed by an independent implementation.
    let scheme = text(openssl(&["asn1parse"], encrypted.as_bytes()));
    let iterations = format!(":{ITERATIONS:06X}");
    for part in ["PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc", &iterations] {
        assert!(scheme.contains(part), "{part} in {scheme}");
    }
}

#[test]
fn nothing_but_a_private_key_is_encrypted_and_nothing_without_a_passphrase() {
    let refused = |pem: &str, passphrase: &str| encrypt(pem, passphrase, &[0; 16], &[0; 16]).unwrap_err();
    assert_eq!(refused(&SAMPLE.private, ""), EncryptionError::NoPassphrase);
    assert_eq!(refused(&SAMPLE.public, "a passphrase"), EncryptionError::NoPrivateKey);
    assert_eq!(refused("", "a passphrase"), EncryptionError::NoPrivateKey);
}

#[test]
fn the_private_half_is_not_in_debug() {
    let found = only(&SAMPLE.private, None).expect("a key");
    let line = SAMPLE.private.lines().nth(5).expect("a line");
    assert!(found.private_key_pem.as_ref().expect("its private half").contains(line));
    assert!(!format!("{found:?}").contains(line));
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(!examine(&bytes, Some("x")).keys.is_empty());
    }

    #[test]
    fn arbitrary_text_around_and_in_a_key_does_no_harm(
        before in ".{0,20}", after in ".{0,20}", at in 0_usize..1700, junk in "[-\\\\nA-Za-z0-9+/={}\"\r\n ]{0,8}",
    ) {
        let mut pem = SAMPLE.private.clone();
        pem.insert_str(at.min(pem.len()), &junk);
        let examination = examine(format!("{before}{pem}{after}").as_bytes(), None);
        prop_assert!(!examination.keys.is_empty());
    }

    /// After a change of one byte of DER, the result is the same key or an error, never another key.
    #[test]
    fn a_changed_key_is_never_taken_for_another(at in 0_usize..1180, byte in any::<u8>()) {
        let mut der = PRIVATE_DER.clone();
        let at = at.min(der.len() - 1);
        der[at] = byte;
        if let Ok(found) = only(&der, None) {
            prop_assert_eq!(&found.public_key, &PublicKey::from_pem(&SAMPLE.public).expect("the sample"));
        }
    }
}

static PRIVATE_DER: LazyLock<Vec<u8>> =
    LazyLock::new(|| SAMPLE.openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"]));
