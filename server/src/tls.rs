//! TLS for the requests that this program sends: what its clients trust, and what they show of themselves.
//!
//! One trust store for all of them: the operating system's, and the certificates of a file that the operator names.

use rustls::{
    ClientConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use rustls_platform_verifier::Verifier;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A client certificate with the certificates that lead from it to an authority, and its private key.
pub struct ClientIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// A file with certificates or a key that cannot be used. The words name the file, and nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub enum PemFileError {
    /// It cannot be read, or is damaged.
    #[error("{}: {problem}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: pem::Error,
    },
    /// It has no certificate.
    #[error("{}: there is no certificate in it (BEGIN CERTIFICATE)", .0.display())]
    NoCertificate(PathBuf),
}

/// Reads the certificates of a PEM file: at least one.
///
/// # Errors
/// The file cannot be read, is damaged, or has none.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemFileError> {
    let unreadable = |problem| PemFileError::Unreadable { path: path.to_owned(), problem };
    let certificates = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if certificates.is_empty() { Err(PemFileError::NoCertificate(path.to_owned())) } else { Ok(certificates) }
}

impl ClientIdentity {
    /// Reads a client's certificates and its private key (PKCS#8, PKCS#1 or SEC 1, not encrypted), each from a PEM file.
    ///
    /// # Errors
    /// A file cannot be read, is damaged, or does not have what it should.
    pub fn read(certificates: &Path, key: &Path) -> Result<Self, PemFileError> {
        let unreadable = |problem| PemFileError::Unreadable { path: key.to_owned(), problem };
        Ok(Self {
            chain: read_certificates(certificates)?,
            key: PrivateKeyDer::from_pem_file(key).map_err(unreadable)?,
        })
    }
}

/// Returns how a client speaks TLS that trusts the system's certificates and `more`, and shows `identity` to servers that ask
/// for one.
///
/// # Errors
/// The system has no certificates and there are no more; one of `more` cannot be used; or the private key is not that of the
/// client's certificate.
pub fn client_config(
    more: Vec<CertificateDer<'static>>,
    identity: Option<ClientIdentity>,
) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(default_provider());
    let verifier = Verifier::new_with_extra_roots(more, provider.clone())?;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    // A verifier of our own is called dangerous: this is the one for the system's certificates.
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    match identity {
        Some(ClientIdentity { chain, key }) => builder.with_client_auth_cert(chain, key),
        None => Ok(builder.with_no_client_auth()),
    }
}
