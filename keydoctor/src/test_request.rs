//! Token of a test request: RS256 (RFC 7518, 3.3) over the claims that the gateway requires.

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

/// Lifetime of a token in seconds, slightly below the protocol's limit to allow for clock skew.
const LIFETIME: i64 = 55;

/// A GET request without a body that tests a key pair and an API key.
pub struct TestRequest<'a> {
    /// Complete API key.
    pub api_key: &'a str,
    /// Path of the request.
    pub uri: &'a str,
    /// Time of signing, in seconds since 1970.
    pub issued_at: i64,
    /// `jti` claim. Must be random and different for every request.
    pub id: [u8; 32],
}

/// Error returned by [`TestRequest::sign`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The input is not a PKCS#8 RSA private key in PEM.
    #[error("this is no private key in PKCS#8 form")]
    NoPrivateKey,
    /// Signing failed.
    #[error("the key could not sign")]
    Failed,
}

impl TestRequest<'_> {
    /// Returns the signed token in compact serialization (RFC 7515, 7.1). The token contains the API key and is
    /// therefore a secret.
    ///
    /// # Errors
    /// `private_key_pem` is not a PKCS#8 RSA private key, or cannot sign.
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
