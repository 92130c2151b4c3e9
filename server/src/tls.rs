//! TLS to other servers: mail, identity providers, the database and the REST API. All of them trust the same authorities: the
//! system's, and those that the operator gives with `--ca-file`.

use lettre::transport::smtp::{
    self,
    client::{Certificate, TlsParameters},
};
use reqwest::ClientBuilder;
use rustls::{
    CertificateError, ClientConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use rustls_platform_verifier::Verifier;
use std::{
    error::Error,
    fs, io, iter,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Certificates of authorities that are trusted besides the system's.
#[derive(Clone, Debug, Default)]
pub struct Authorities {
    pem: Vec<u8>,
}

impl Authorities {
    /// Reads a file with one or several certificates in PEM.
    ///
    /// # Errors
    /// The file cannot be read, or has no certificate that can be used; the words name it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let place = path.display();
        let authorities = Self { pem: fs::read(path).map_err(|error| format!("{place}: {error}"))? };
        let unreadable = |error| format!("{place}: a certificate in it cannot be read: {}", in_full(&error));
        let certificates = reqwest::Certificate::from_pem_bundle(&authorities.pem).map_err(unreadable)?;
        if certificates.is_empty() {
            return Err(format!("{place}: there is no certificate in it; give PEM (-----BEGIN CERTIFICATE-----)"));
        }
        // Each is looked at when a client is made.
        reqwest::Client::builder().tls_certs_only(certificates).build().map_err(unreadable)?;
        Ok(authorities)
    }

    /// Has an HTTP client trust them.
    ///
    /// # Errors
    /// None: they were read before.
    pub fn for_http(&self, client: ClientBuilder) -> reqwest::Result<ClientBuilder> {
        Ok(client.tls_certs_merge(reqwest::Certificate::from_pem_bundle(&self.pem)?))
    }

    /// The same for mail to `host`.
    ///
    /// # Errors
    /// The system has no certificates, and there are no others.
    pub fn for_mail(&self, host: &str) -> Result<TlsParameters, smtp::Error> {
        TlsParameters::builder(host.to_owned()).add_root_certificate(Certificate::from_pem(&self.pem)?).build()
    }

    /// Returns the configuration of a client that trusts them, and shows `identity` to servers that ask for a certificate.
    ///
    /// # Errors
    /// The system has no certificates, and there are no others; the private key is not that of the client's certificate.
    pub fn for_client(&self, identity: Option<ClientIdentity>) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(default_provider());
        // They were read before.
        let more = CertificateDer::pem_slice_iter(&self.pem).filter_map(Result::ok);
        let verifier = Verifier::new_with_extra_roots(more, provider.clone())?;
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        // rustls calls each verifier but its own dangerous; this one uses the system's certificates.
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        match identity {
            Some(ClientIdentity { chain, key }) => builder.with_client_auth_cert(chain, key),
            None => Ok(builder.with_no_client_auth()),
        }
    }
}

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

impl ClientIdentity {
    /// Reads a client's certificates and its private key (PKCS#8, PKCS#1 or SEC 1, not encrypted), each from a PEM file.
    ///
    /// # Errors
    /// A file cannot be read, is damaged, or does not have what it should.
    pub fn read(certificates: &Path, key: &Path) -> Result<Self, PemFileError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |problem| PemFileError::Unreadable { path, problem }
        };
        let chain = CertificateDer::pem_file_iter(certificates).map_err(unreadable(certificates))?;
        let chain = chain.collect::<Result<Vec<_>, _>>().map_err(unreadable(certificates))?;
        if chain.is_empty() {
            return Err(PemFileError::NoCertificate(certificates.to_owned()));
        }
        Ok(Self { chain, key: PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))? })
    }
}

/// An error with what caused it: most say no more than that something failed. Where a certificate is the reason, with what
/// can be done.
pub fn in_full(error: &(dyn Error + 'static)) -> String {
    let mut words = String::new();
    for error in chain(error) {
        let next = error.to_string();
        // Some errors repeat their cause.
        if !words.contains(&next) {
            words += if words.is_empty() { "" } else { ": " };
            words += &next;
        }
    }
    match advice(error) {
        Some(advice) => format!("{words}; {advice}"),
        None => words,
    }
}

/// What can be done about a certificate that was refused, where that is the reason of an error.
pub fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let refused = chain(error).find_map(|error| match error.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(refused)) => Some(refused),
        _ => None,
    })?;
    Some(match refused {
        // The second one: an authority of this name is trusted, with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the authority that signed this certificate is not trusted: add it to the system's certificates, or give its PEM \
             file with --ca-file"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another host: name the host in the setting as the certificate does"
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => "renew that server's certificate, or set this machine's clock",
        _ => {
            "issue another certificate to that server; one that is an authority's own cannot be a server's, so sign one with \
             it, and give the authority with --ca-file"
        }
    })
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error| cause(*error))
}

fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        // Its source is that of what it wraps.
        Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    }
}
