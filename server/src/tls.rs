//! TLS to other servers: mail, identity providers and the database. All of them trust the same authorities: the system's, and
//! those that the operator gives with `--ca-file`.

use lettre::transport::smtp::{
    self,
    client::{Certificate, TlsParameters},
};
use reqwest::ClientBuilder;
use rustls::CertificateError;
use std::{error::Error, fs, io, iter, path::Path};

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
