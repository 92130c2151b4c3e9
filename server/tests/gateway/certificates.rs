//! Certificates of an authority of the tests' own, as `openssl` issues them.

use rustls::pki_types::{CertificateDer, pem::PemObject};
use server::tls::Authorities;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A certificate authority, and a folder with what it issued.
pub struct Authority(TempDir);

impl Authority {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        openssl(folder.path(), &["-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", "ca.crt"]);
        Self(folder)
    }

    pub fn certificate(&self) -> PathBuf {
        self.0.path().join("ca.crt")
    }

    /// As `--ca-file` names it.
    pub fn trusted(&self) -> Authorities {
        Authorities::read(&self.certificate()).unwrap()
    }

    /// Issues a certificate for `names`, such as `DNS:localhost`, and returns its file and that of its key.
    pub fn issue(&self, name: &str, names: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
        let subject = format!("/CN={name}");
        let names = format!("subjectAltName={names}");
        let issued = ["-subj", &subject, "-addext", &names, "-addext", "basicConstraints=critical,CA:false"];
        let by = ["-CA", "ca.crt", "-CAkey", "ca.key", "-keyout", &key, "-out", &certificate];
        openssl(self.0.path(), &[&issued[..], &by[..]].concat());
        (self.0.path().join(certificate), self.0.path().join(key))
    }

    /// As [`Self::issue`], with certificate and key in one file, as HAProxy reads them.
    pub fn issue_in_one(&self, name: &str, names: &str) -> PathBuf {
        let (certificate, key) = self.issue(name, names);
        let both = self.0.path().join(format!("{name}.pem"));
        fs::write(&both, [fs::read(certificate).unwrap(), fs::read(key).unwrap()].concat()).unwrap();
        both
    }
}

/// The certificates in a PEM file.
pub fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(file).unwrap().collect::<Result<_, _>>().unwrap()
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(["req", "-x509", "-days", "2", "-nodes", "-newkey", "ec"]);
    command.args(["-pkeyopt", "ec_paramgen_curve:P-256"]).args(arguments).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
