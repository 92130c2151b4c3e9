//! Builds a [`Finding`] from the numbers of an RSA key, in the same way for every format.

use crate::{Finding, Form, Problem};
use der::{Encode, asn1::BitStringRef, asn1::UintRef};
use domain::public_key::PublicKey;
use rsa::{
    BigUint, RsaPrivateKey,
    pkcs8::{EncodePrivateKey, LineEnding},
};
use spki::SubjectPublicKeyInfo;

/// Numbers of an RSA key, big-endian.
pub(crate) struct Parts<'a> {
    pub modulus: &'a [u8],
    pub public_exponent: &'a [u8],
    pub private: Option<PrivateParts<'a>>,
}

/// Secret numbers. The remaining ones (CRT exponents and coefficient) are computed from them.
pub(crate) struct PrivateParts<'a> {
    pub exponent: &'a [u8],
    /// Optional in a JSON Web Key (RFC 7518, 6.3.2); recovered from the exponents if missing.
    pub primes: Option<[&'a [u8]; 2]>,
}

impl Parts<'_> {
    /// Validates the key by the rules for registering one, and encodes it.
    pub fn into_finding(self, form: Form) -> Result<Finding, Problem> {
        // Public key first, so that the following computations use numbers that are neither huge nor trivial.
        let public_key = PublicKey::from_der(&self.spki()?).map_err(Problem::Refused)?;
        let private_key_pem = match &self.private {
            Some(private) => Some(self.private_key(private)?.to_pkcs8_pem(LineEnding::LF)),
            None => None,
        };
        let private_key_pem = private_key_pem.transpose().map_err(|_| Problem::Inconsistent)?;
        Ok(Finding { form, public_key, private_key_pem })
    }

    fn spki(&self) -> Result<Vec<u8>, Problem> {
        let encode = || {
            let key = pkcs1::RsaPublicKey {
                modulus: UintRef::new(self.modulus)?,
                public_exponent: UintRef::new(self.public_exponent)?,
            };
            let key = key.to_der()?;
            SubjectPublicKeyInfo { algorithm: pkcs1::ALGORITHM_ID, subject_public_key: BitStringRef::from_bytes(&key)? }
                .to_der()
        };
        // Fails only for numbers that are too long for DER.
        encode().map_err(|_: der::Error| Problem::Unknown)
    }

    /// Builds the private key. The `rsa` crate checks that n = p · q, and that d is the inverse of e.
    fn private_key(&self, private: &PrivateParts<'_>) -> Result<RsaPrivateKey, Problem> {
        let number = BigUint::from_bytes_be;
        let d = number(private.exponent);
        if d == BigUint::from(0_u8) {
            return Err(Problem::Inconsistent);
        }
        let primes = private.primes.map_or_else(Vec::new, |primes| primes.map(number).to_vec());
        RsaPrivateKey::from_components(number(self.modulus), number(self.public_exponent), d, primes)
            .map_err(|_| Problem::Inconsistent)
    }
}
