//! A service behind the gateway that speaks TLS, with a certificate of an authority of its own.

use crate::{
    certificates::{Authority, certificates},
    support::{Setup, World, upstream},
};
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs::default_provider, server::WebPkiClientVerifier};
use server::tls::{Authorities, ClientIdentity};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// A service that answers every request with how many certificates its peer showed, and the gateway in front of it.
struct Secure {
    world: World,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Secure {
    /// `trusted` leads to the service's certificate, or not; `client` asks for a certificate, and is shown one or not.
    async fn start(names: &str, trusted: Option<&Authority>, client: Client<'_>) -> Self {
        let authority = Authority::new();
        let provider = Arc::new(default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = match client {
            Client::NotAsked => builder.with_no_client_auth(),
            Client::Asked { by, .. } => {
                let mut roots = RootCertStore::empty();
                roots.add(certificates(&by.certificate()).remove(0)).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (certificate, key) = authority.issue("service", names);
        let key = rustls::pki_types::pem::PemObject::from_pem_file(key).unwrap();
        let config = builder.with_single_cert(certificates(&certificate), key).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let (connections, requests) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), connections.clone(), requests.clone()));

        let trusted = trusted.unwrap_or(&authority).trusted();
        let identity = match client {
            Client::Asked { shows: Some((certificate, key)), .. } => {
                Some(ClientIdentity::read(certificate, key).unwrap())
            }
            _ => None,
        };
        let mut settings = upstream(&uri);
        settings.tls = Some(Arc::new(trusted.for_client(identity).unwrap()));
        let world = Setup::with(|setup| setup.settings.upstream = Some(settings)).start().await;
        Self { world, connections, requests }
    }
}

/// Whether the service asks its client for a certificate of an authority, and which one it is shown.
enum Client<'a> {
    NotAsked,
    Asked { by: &'a Authority, shows: Option<&'a (PathBuf, PathBuf)> },
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
) {
    loop {
        let stream = listener.accept().await.unwrap().0;
        let (acceptor, connections, requests) = (acceptor.clone(), connections.clone(), requests.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            assert_eq!(stream.get_ref().1.alpn_protocol(), None, "the service offers none");
            connections.fetch_add(1, Ordering::Relaxed);
            let shown = stream.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
            let mut stream = BufReader::new(stream);
            loop {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                requests.fetch_add(1, Ordering::Relaxed);
                let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
                stream.read_exact(&mut vec![0; length.parse().unwrap()]).await.unwrap();
                let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nlocation: https://{host}/api/v1/customers/7\r\n\r\n{shown}"
                );
                stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
                stream.get_mut().flush().await.unwrap();
            }
        });
    }
}

#[tokio::test]
async fn a_service_with_a_trusted_certificate_is_spoken_to_over_kept_connections() {
    let secure = Secure::start("DNS:localhost", None, Client::NotAsked).await;
    let mut client = secure.world.connect().await;
    for body in [&b"{}"[..], &vec![b'x'; 300_000]] {
        client.write(&secure.world.call("POST", "/api/v1/customers", body).bytes()).await;
        let reply = client.read().await.unwrap();
        assert_eq!((reply.status, reply.text()), (200, "0"));
        assert_eq!(reply.header("location"), Some("https://api.example.com/api/v1/customers/7"));
    }
    assert_eq!((secure.connections.load(Ordering::Relaxed), secure.requests.load(Ordering::Relaxed)), (1, 2));
}

#[tokio::test]
async fn a_service_with_another_certificate_gets_no_request() {
    let other = Authority::new();
    for (names, trusted) in [("DNS:localhost", Some(&other)), ("DNS:other.test", None), ("IP:127.0.0.1", None)] {
        let secure = Secure::start(names, trusted, Client::NotAsked).await;
        let reply = secure.world.send(secure.world.post()).await;
        assert_eq!(reply.refusal(), ("upstream_unavailable".to_owned(), 502), "{names}");
        assert_eq!(reply.header("retry-after"), Some("1"), "{names}");
        assert_eq!(secure.requests.load(Ordering::Relaxed), 0, "{names}");
    }
}

#[tokio::test]
async fn a_service_that_asks_for_a_certificate_is_shown_the_gateways() {
    let partners = Authority::new();
    let identity = partners.issue("gateway", "DNS:gateway.test");
    let asked = |shows| Client::Asked { by: &partners, shows };
    let secure = Secure::start("DNS:localhost", None, asked(Some(&identity))).await;
    let reply = secure.world.send(secure.world.get()).await;
    assert_eq!((reply.status, reply.text()), (200, "1"));
    // The control: without it, or with one of another authority, no request is taken.
    let other = Authority::new();
    let of_another = other.issue("stranger", "DNS:gateway.test");
    for shows in [None, Some(&of_another)] {
        let secure = Secure::start("DNS:localhost", None, asked(shows)).await;
        let (code, status) = secure.world.send(secure.world.post()).await.refusal();
        assert!(status == 502 && code.starts_with("upstream_"), "{code}");
        assert_eq!(secure.requests.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn a_service_without_tls_is_sent_nothing_in_the_clear() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = upstream(&format!("https://localhost:{}", listener.local_addr().unwrap().port()));
    settings.tls = Some(Arc::new(Authorities::default().for_client(None).unwrap()));
    let world = Setup::with(|setup| setup.settings.upstream = Some(settings)).start().await;
    let service = async {
        let mut stream = listener.accept().await.unwrap().0;
        let mut hello = [0; 3];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        hello
    };
    let (reply, hello) = tokio::join!(world.send(world.get()), service);
    // A TLS record (RFC 8446, 5.1), and no request line.
    assert_eq!(hello[..2], [22, 3]);
    assert_eq!(reply.refusal(), ("upstream_unavailable".to_owned(), 502));
    // An https upstream without TLS, or an http one with it, leads nowhere.
    let world = Setup::with(|setup| setup.settings.upstream = Some(upstream("https://localhost:1"))).start().await;
    assert_eq!(world.refusal(world.get()).await, ("upstream_unavailable".to_owned(), 502));
}
