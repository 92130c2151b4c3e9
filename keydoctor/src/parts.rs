//! From an RSA key's numbers to what is told and given back: the same way for every form.

use crate::{Finding, Form, Problem};
use der::{Encode, asn1::BitStringRef, asn1::UintRef};
use domain::public_key::PublicKey;
use rsa::{
    BigUint, RsaPrivateKey,
    pkcs8::{EncodePrivateKey, LineEnding},
};
use spki::SubjectPublicKeyInfo;

/// An RSA key's numbers, big-endian.
pub(crate) struct Parts<'a> {
    pub modulus: &'a [u8],
    pub public_exponent: &'a [u8],
    pub private: Option<PrivateParts<'a>>,
}

/// The numbers that are secret. All others follow from them.
pub(crate) struct PrivateParts<'a> {
    pub exponent: &'a [u8],
    /// A JSON Web Key may leave them out (RFC 7518, 6.3.2); they are found again.
    pub primes: Option<[&'a [u8]; 2]>,
}

impl Parts<'_> {
    /// Judges the key by the rules that hold for a registration, and writes it down.
    pub fn into_finding(self, form: Form) -> Result<Finding, Problem> {
        // The public half first: what follows computes with numbers that are neither huge nor trivial.
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
        // Fails for numbers only that are longer than DER can write.
        encode().map_err(|_: der::Error| Problem::Unknown)
    }

    /// `rsa` makes sure that n = p · q, and that d inverts e.
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
