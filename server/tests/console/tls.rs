//! Certificates issued by a private certificate authority: every TLS client in the server rejects them with a message
//! that names the setting, and accepts them once it is set.

use crate::support::Console;
use axum::{Json, Router, routing::get};
use domain::time::Timestamp;
use serde_json::json;
use server::{
    mail::{Mail, Mailer},
    single_sign_on::{self, Failure, Question, SingleSignOn},
    store::opening,
    tls::Authorities,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

const ADVICE: &str = "the authority that signed this certificate is not trusted: add it to the system's certificates, or give \
                      its PEM file with --ca-file";

/// A certificate authority, and the certificate that it issued for `localhost`.
struct Authority {
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        let script = format!(
            "set -e\n\
             openssl req -x509 {key} -keyout ca.key -out ca.pem -subj '/CN=Company CA' -days 30 \
             -addext keyUsage=keyCertSign\n\
             openssl req {key} -keyout server.key -out server.csr -subj /CN=localhost\n\
             printf 'subjectAltName=DNS:localhost\\n' > names\n\
             openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names \
             -out server.pem\n"
        );
        let made = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn trusted(&self) -> Authorities {
        Authorities::read(&self.file()).unwrap()
    }

    fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_as("server")
    }

    fn acceptor_as(&self, name: &str) -> TlsAcceptor {
        let read = |kind: &str| fs::read(self.folder.path().join(format!("{name}.{kind}"))).unwrap();
        let certificate = CertificateDer::from_pem_slice(&read("pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&read("key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }
}

/// A mail server that uses TLS from the start or after STARTTLS, and the messages that it received.
struct MailServer {
    port: u16,
    received: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    async fn start(authority: &Authority, starts_with_tls: bool) -> Self {
        Self::start_with(authority.acceptor(), starts_with_tls).await
    }

    async fn start_with(acceptor: TlsAcceptor, starts_with_tls: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::<Mutex<Vec<String>>>::default();
        let messages = received.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, messages) = (acceptor.clone(), messages.clone());
                tokio::spawn(async move {
                    let secured = if starts_with_tls {
                        acceptor.accept(stream).await.map(|stream| (stream, true))
                    } else {
                        let stream = until_starttls(stream).await;
                        acceptor.accept(stream).await.map(|stream| (stream, false))
                    };
                    // A client that does not trust the certificate closes the connection.
                    if let Ok((stream, greets)) = secured {
                        take_messages(stream, greets, &messages).await;
                    }
                });
            }
        });
        Self { port, received }
    }

    fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

async fn until_starttls(mut stream: TcpStream) -> TcpStream {
    stream.write_all(b"220 localhost ESMTP\r\n").await.unwrap();
    let mut lines = BufReader::new(&mut stream);
    let mut line = String::new();
    while lines.read_line(&mut line).await.unwrap() > 0 {
        let answer = if line.starts_with("STARTTLS") { "220 go\r\n" } else { "250-localhost\r\n250 STARTTLS\r\n" };
        lines.get_mut().write_all(answer.as_bytes()).await.unwrap();
        if line.starts_with("STARTTLS") {
            break;
        }
        line.clear();
    }
    stream
}

async fn take_messages(stream: impl AsyncRead + AsyncWrite + Unpin, greets: bool, messages: &Mutex<Vec<String>>) {
    let mut stream = BufReader::new(stream);
    if greets {
        stream.write_all(b"220 localhost ESMTP\r\n").await.unwrap();
    }
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
        let answer = if line.starts_with("DATA") { "354 go on\r\n" } else { "250 ok\r\n" };
        stream.write_all(answer.as_bytes()).await.unwrap();
        if line.starts_with("DATA") {
            let mut message = String::new();
            while !message.ends_with("\r\n.\r\n") && stream.read_line(&mut message).await.unwrap() > 0 {}
            messages.lock().unwrap().push(message);
            stream.write_all(b"250 taken\r\n").await.unwrap();
        }
        line.clear();
    }
}

async fn send(url: &str, authorities: &Authorities) -> Result<(), String> {
    let from = "Nuvera <no-reply@nuvera.example>".parse().unwrap();
    let mailer = Mailer::smtp(url, from, authorities).map_err(|error| error.to_string())?;
    let mail = Mail {
        to: "owner@alpine.example",
        subject: "You are invited".into(),
        body: "Welcome.".into(),
        at: Timestamp::from_millis(1_795_404_310_000),
    };
    mailer.send(mail).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn mail_goes_to_a_server_with_a_certificate_of_the_companys_own() {
    let (authority, other) = (Authority::new(), Authority::new());
    for starts_with_tls in [true, false] {
        let server = MailServer::start(&authority, starts_with_tls).await;
        let urls = if starts_with_tls {
            vec![format!("smtps://localhost:{}", server.port)]
        } else {
            ["required", "opportunistic"].map(|tls| format!("smtp://localhost:{}?tls={tls}", server.port)).into()
        };
        for url in urls {
            let before = server.received().len();
            // No authority, and one of the same name with another key.
            for untrusting in [Authorities::default(), other.trusted()] {
                let refused = send(&url, &untrusting).await.unwrap_err();
                assert!(refused.contains("invalid peer certificate: ") && refused.contains(ADVICE), "{refused}");
            }
            assert_eq!(server.received().len(), before, "nothing was sent: {url}");
            assert_eq!(send(&url, &authority.trusted()).await, Ok(()), "{url}");
            let received = server.received();
            assert!(received.len() == before + 1 && received[before].contains("Welcome."), "{received:?}");
            // The certificate is for another host name.
            let refused = send(&url.replace("localhost", "127.0.0.1"), &authority.trusted()).await.unwrap_err();
            assert!(refused.contains("the certificate is for another host"), "{refused}");
        }
    }
}

#[tokio::test]
async fn an_authoritys_own_certificate_is_no_servers() {
    let authority = Authority::new();
    let server = MailServer::start_with(authority.acceptor_as("ca"), true).await;
    let refused = send(&format!("smtps://localhost:{}", server.port), &authority.trusted()).await.unwrap_err();
    assert!(refused.contains("one that is an authority's own cannot be a server's"), "{refused}");
    assert!(server.received().is_empty());
}

/// Environment variable with the URL that the child process of this test sends mail to.
const CHILD: &str = "NUVERA_TEST_SEND_TO";

/// The authority is one of the system's certificates. Needs a child process, because the environment says where they
/// are.
#[tokio::test]
async fn mail_trusts_the_systems_certificates() {
    if let Ok(url) = env::var(CHILD) {
        send(&url, &Authorities::default()).await.unwrap();
        return;
    }
    let authority = Authority::new();
    let server = MailServer::start(&authority, true).await;
    let run = async |certificates: PathBuf| {
        let child = tokio::task::spawn_blocking(move || {
            Command::new(env::current_exe().unwrap())
                .args(["--exact", "tls::mail_trusts_the_systems_certificates", "--nocapture"])
                .env(CHILD, format!("smtps://localhost:{}", server.port))
                .env("SSL_CERT_FILE", certificates)
                .env_remove("SSL_CERT_DIR")
                .output()
                .unwrap()
        });
        let output = child.await.unwrap();
        (output.status.success(), format!("{output:?}"))
    };
    let (sent, output) = run(authority.file()).await;
    assert!(sent && server.received().len() == 1, "{output}");
    let (sent, output) = run(Authority::new().file()).await;
    assert!(!sent && output.contains("--ca-file"), "{output}");
}

#[tokio::test]
async fn a_provider_with_a_certificate_of_the_companys_own_is_asked() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let document = json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"), "jwks_uri": format!("{issuer}/jwks"),
        "token_endpoint": format!("{issuer}/token"),
    });
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" }] });
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(async move || Json(document)))
        .route("/jwks", get(async move || Json(keys)));
    let acceptor = authority.acceptor();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                let stream = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
            }
        }
    });
    let console = Console::start().await;
    let file = authority.folder.path().join("sso.toml");
    let text = format!(
        "[[issuer]]\nid = 'alpine-id'\nlabel = 'Alpine ID'\nurl = '{issuer}'\norganization = 'Alpine Pay'\nclient_id = \
         'nuvera'\nrole_claim = 'groups'\nemail_domains = ['alpine.example']\ndefault_role = 'partner_viewer'\n"
    );
    fs::write(&file, text).unwrap();
    let ask = async |authorities: &Authorities| {
        let issuers = single_sign_on::read(&file).unwrap();
        let bound = SingleSignOn::bind(issuers, authorities, &console.store, console.clock.clone()).await.unwrap();
        let question = Question {
            callback: "https://console.example/callback".into(),
            state: "state".into(),
            nonce: "nonce".into(),
            verifier: "v".repeat(43),
            asked_at: console.clock.now(),
            is_proof: false,
        };
        bound.ask(bound.issuer("alpine-id").unwrap(), &question).await
    };
    let refused = ask(&Authorities::default()).await.unwrap_err();
    assert!(matches!(refused, Failure::Down(_)) && refused.to_string().contains(ADVICE), "{refused}");
    let address = ask(&authority.trusted()).await.unwrap();
    assert!(address.starts_with(&format!("{issuer}/authorize?")), "{address}");
}

#[tokio::test]
async fn a_database_with_a_certificate_of_the_companys_own_is_opened() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (acceptor, trusted) = (authority.acceptor(), Arc::new(Mutex::new(0)));
    let counter = trusted.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Reads PostgreSQL's SSLRequest and accepts it.
            let mut request = [0; 8];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(b"S").await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await
                && stream.read_u32().await.is_ok()
            {
                *counter.lock().unwrap() += 1;
            }
        }
    });
    let open = async |authority: Option<&Path>| {
        let file = authority.map(|file| format!("&sslrootcert={}", file.display())).unwrap_or_default();
        let url = format!("postgres://nuvera@localhost:{port}/nuvera?sslmode=verify-full{file}");
        opening::inspect(&url).await.map(drop).unwrap_err().to_string()
    };
    let refused = open(None).await;
    assert!(refused.contains("TLS failed: ") && refused.contains(ADVICE), "{refused}");
    assert_eq!(*trusted.lock().unwrap(), 0);
    // The server closes the connection after the handshake: opening fails, but not because of the certificate.
    let gone = open(Some(&authority.file())).await;
    assert!(*trusted.lock().unwrap() > 0 && !gone.contains("--ca-file"), "{gone}");
}
