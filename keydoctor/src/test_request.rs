//! A test request's token: RS256 (RFC 7518, 3.3) over the claims that the gateway asks for.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    hex,
    request::{AUDIENCE, ISSUER},
};
use rsa::{
    Pkcs1v15Sign, RsaPrivateKey,
    pkcs8::DecodePrivateKey,
    sha2::{Digest, Sha256},
};
use serde_json::json;

/// How long a token lives, in seconds: a little less than the protocol's limit, for clocks that disagree.
const LIFETIME: i64 = 55;

/// A request that tries a key pair and an API key: a GET without a body.
pub struct TestRequest<'a> {
    /// The API key, all of it.
    pub api_key: &'a str,
    /// The path that is asked for.
    pub uri: &'a str,
    /// When it is signed, in seconds since 1970.
    pub issued_at: i64,
    /// Its `jti`, drawn anew for every request.
    pub id: [u8; 32],
}

/// Why a test request was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// What should sign is no PKCS#8 private key in PEM.
    #[error("this is no private key in PKCS#8 form")]
    NoPrivateKey,
    /// The key did not sign.
    #[error("the key could not sign")]
    Failed,
}

impl TestRequest<'_> {
    /// The signed token, in compact form (RFC 7515, 7.1). It holds the API key: it is a secret.
    ///
    /// # Errors
    /// `private_key_pem` is no PKCS#8 RSA private key, or cannot sign.
    pub fn sign(&self, private_key_pem: &str) -> Result<String, SigningError> {
        let key = RsaPrivateKey::from_pkcs8_pem(private_key_pem).map_err(|_| SigningError::NoPrivateKey)?;
        let claims = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": self.api_key,
            "method": "GET",
            "uri": self.uri,
            "bodyHash": hex::lower(&Sha256::digest(b"").into()),
            "iat": self.issued_at,
            "exp": self.issued_at + LIFETIME,
            "jti": hex::lower(&self.id),
        });
        let header = json!({ "alg": "RS256", "typ": "JWT" });
        let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
        let signed = format!("{}.{}", encode(&header.to_string()), encode(&claims.to_string()));
        let digest = Sha256::digest(&signed);
        let signature = key.sign(Pkcs1v15Sign::new::<Sha256>(), &digest).map_err(|_| SigningError::Failed)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
