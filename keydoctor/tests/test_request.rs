//! Tests a test request's token with the code that verifies partners' requests.

use domain::{
    request::{BoundRequest, UnverifiedToken},
    time::Timestamp,
};
use keydoctor::{SigningError, TestRequest};
use std::{fs, path::Path, process::Command, time::Duration};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const API_KEY: &str = "nvk_AbCdEf12_000000000000000000000000000000000000Zz";

fn openssl(folder: &Path, args: &[&str]) -> bool {
    let output = Command::new("openssl").current_dir(folder).args(args).output().expect("openssl runs");
    output.status.success()
}

#[test]
fn the_token_is_what_the_gateway_asks_for_and_openssl_verifies_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    assert!(openssl(path, &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key.pem"]));
    assert!(openssl(path, &["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]));
    let private_key_pem = fs::read_to_string(path.join("key.pem")).expect("the key");
    let uri = "/api/v1/signature-test";
    let request = TestRequest { api_key: API_KEY, uri, issued_at: NOW.as_seconds(), id: [7; 32] };
    let token = request.sign(&private_key_pem).expect("a token");

    let parsed = UnverifiedToken::parse(token.as_bytes()).expect("a token");
    let claims = parsed.claims().expect("claims");
    let bound = BoundRequest { api_key: API_KEY.as_bytes(), method: "GET", uri };
    assert_eq!(claims.check(&bound, NOW, Duration::ZERO), Ok(()));
    let elsewhere = BoundRequest { uri: "/api/v1/customers", ..bound };
    let refused = claims.check(&elsewhere, NOW, Duration::ZERO);
    assert_eq!(refused.expect_err("it is bound to its path").code(), "uri_mismatch");
    assert_eq!(claims.expires_at() - claims.issued_at(), 55);

    fs::write(path.join("signed"), parsed.signing_input()).expect("written");
    fs::write(path.join("signature"), parsed.signature()).expect("written");
    let verify = ["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "signed"];
    assert!(openssl(path, &verify));
    fs::write(path.join("signed"), [parsed.signing_input(), b"x"].concat()).expect("written");
    assert!(!openssl(path, &verify), "a changed token does not verify");
}

#[test]
fn what_is_no_private_key_signs_nothing() {
    let request = TestRequest { api_key: API_KEY, uri: "/", issued_at: 0, id: [0; 32] };
    assert_eq!(request.sign("-----BEGIN PUBLIC KEY-----"), Err(SigningError::NoPrivateKey));
}
