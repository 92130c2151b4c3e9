//! Test support: a gateway on a free port, a partner that signs, and a client that sends exactly the bytes it is given.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair, RSA_PKCS1_SHA256, RsaEncoding, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    access::Role,
    actor::Actor,
    api_key::{NewApiKey, PlainApiKey},
    application::{ApiApplication, By, Change, ChangeError, NewApplication, NewSigningKey},
    id::{ApiKeyId, ApplicationId, OrganizationId, SigningKeyId, UserId},
    permission::{Area, PermissionSet},
    public_key::PublicKey,
    route::RouteTable,
    second_factor::Factors,
    text::{ApplicationName, Reason, Why},
    time::Timestamp,
};
use serde_json::{Value, json};
use server::{
    clock::Clock,
    forwarded::{ForwardedHeader, Proxies, Trust},
    gateway::{ConnectionSettings, Gateway, GatewaySettings, ReplayFence, UpstreamSettings},
    pepper::Pepper,
    random,
};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The time at which a test's manual clock starts, in seconds since 1970.
pub const START: i64 = 1_800_000_000;

/// The leeway of the gateway in a test.
pub const LEEWAY: Duration = Duration::from_secs(5);

pub const EMPTY_BODY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A partner's key pairs: 0 is registered, 1 is another one. Stored next to the test binaries, because cargo-nextest
/// runs each test in its own process and generating a pair takes longer than most tests.
pub fn pair(number: usize) -> &'static RsaKeyPair {
    static PAIRS: OnceLock<[RsaKeyPair; 2]> = OnceLock::new();
    &PAIRS.get_or_init(|| std::array::from_fn(stored_pair))[number]
}

fn stored_pair(number: usize) -> RsaKeyPair {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pair-{number}.p8"));
    if let Ok(der) = fs::read(&file) {
        return RsaKeyPair::from_pkcs8(&der).unwrap();
    }
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der = pair.as_der().unwrap();
    // Renamed into place, so that no other process reads a partial file.
    let unfinished = file.with_extension(std::process::id().to_string());
    fs::write(&unfinished, der.as_ref()).unwrap();
    fs::rename(unfinished, file).unwrap();
    pair
}

pub fn public_key(pair: &RsaKeyPair) -> PublicKey {
    PublicKey::from_der(pair.public_key().as_der().unwrap().as_ref()).unwrap()
}

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn sha256_hex(bytes: &[u8]) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Signs two encoded segments into a compact token.
pub fn sign(pair: &RsaKeyPair, algorithm: &'static dyn RsaEncoding, signing_input: &str) -> String {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(algorithm, &SystemRandom::new(), signing_input.as_bytes(), &mut signature).unwrap();
    format!("{signing_input}.{}", base64url(signature))
}

pub fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

pub fn plain_key() -> PlainApiKey {
    PlainApiKey::generate(random::fill)
}

pub fn actor() -> Actor {
    Actor {
        user_id: UserId(Uuid::nil()),
        name: "Olivia Owner".to_owned(),
        email: "olivia@partner.test".to_owned(),
        organization_id: OrganizationId(Uuid::from_u128(0xACE)),
        organization_name: "Acme".to_owned(),
        role: Role::PartnerOwner,
        address: None,
        session: None,
        is_proven: true,
        factors: Factors::default(),
        must_have_factor: false,
    }
}

pub fn reason() -> Why {
    Reason::new("a test").unwrap().into()
}

/// A serving gateway, the application that it knows, and the clock of both.
pub struct World {
    pub gateway: Arc<Gateway>,
    pub clock: Clock,
    pub address: SocketAddr,
    pub pepper: Arc<Pepper>,
    pub application: ApiApplication,
    pub api_key: PlainApiKey,
    pub stop: CancellationToken,
    pub serving: JoinHandle<()>,
}

pub struct Setup {
    pub settings: GatewaySettings,
    pub fence: ReplayFence,
}

impl Default for Setup {
    fn default() -> Self {
        let settings = GatewaySettings {
            leeway: LEEWAY,
            max_body_bytes: 1024 * 1024,
            upstream: None,
            public_origin: Some("https://api.example.com".parse().unwrap()),
            replay_capacity: 1_000_000,
            connections: ConnectionSettings::default(),
            rate_limit: None,
            failure_limit: None,
            proxies: Proxies::default(),
            console_origin: None,
            routes: RouteTable::default(),
        };
        Self { settings, fence: ReplayFence::default() }
    }
}

impl Setup {
    pub fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut setup = Self::default();
        change(&mut setup);
        setup
    }

    pub async fn start(self) -> World {
        let clock = Clock::manual(timestamp(START));
        let pepper = Arc::new(Pepper::new("test", &random::bytes()));
        let api_key = plain_key();
        let application = new_application(&api_key, &pepper, clock.now());
        let gateway = Gateway::new(self.settings, clock.clone(), pepper.clone(), self.fence);
        gateway.snapshot().load(vec![application.clone()]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(gateway.clone().serve(listener, stop.clone()));
        World { gateway, clock, address, pepper, application, api_key, stop, serving }
    }
}

/// The settings of an upstream at `origin` without TLS.
pub fn upstream(origin: &str) -> UpstreamSettings {
    let (timeout, idle_timeout) = (Duration::from_secs(20), Duration::from_secs(4));
    UpstreamSettings { uri: origin.parse().unwrap(), tls: None, timeout, idle_timeout }
}

/// A single proxy in front, which writes `X-Forwarded-For`.
pub fn one_proxy() -> Proxies {
    Proxies::new(Trust::Hops(1), ForwardedHeader::default())
}

fn new_application(api_key: &PlainApiKey, pepper: &Pepper, now: Timestamp) -> ApiApplication {
    let new = NewApplication {
        id: ApplicationId(random::uuid(now)),
        name: ApplicationName::new("Ledger sync").unwrap(),
        permissions: PermissionSet::new([Area::Customers.read(), Area::Customers.write().unwrap()]).unwrap(),
        signing_key: new_signing_key(pair(0)),
        api_key: new_api_key(api_key, pepper),
    };
    ApiApplication::create(new, By { actor: &actor(), at: now, reason: None }).application
}

pub fn new_signing_key(pair: &RsaKeyPair) -> NewSigningKey {
    NewSigningKey { id: SigningKeyId(random::uuid(timestamp(START))), public_key: public_key(pair), is_proven: false }
}

pub fn new_api_key(key: &PlainApiKey, pepper: &Pepper) -> NewApiKey {
    NewApiKey {
        id: ApiKeyId(random::uuid(timestamp(START))),
        prefix: key.prefix(),
        last_four: key.last_four().to_owned(),
        hash: pepper.hash(key.reveal().as_bytes()),
        pepper_id: pepper.id().to_owned(),
    }
}

impl World {
    pub async fn start() -> Self {
        Setup::default().start().await
    }

    /// Changes the application, and applies the change to the gateway.
    pub fn change(&mut self, change: impl FnOnce(ApiApplication, By<'_>) -> Result<Change, ChangeError>) {
        let reason = reason();
        let by = By { actor: &actor(), at: self.clock.now(), reason: Some(&reason) };
        self.application = change(self.application.clone(), by).unwrap().application;
        self.gateway.snapshot().apply(&self.application);
    }

    /// Adds another application. Returns its API key.
    pub fn another_application(&self) -> PlainApiKey {
        let api_key = plain_key();
        self.gateway.snapshot().apply(&new_application(&api_key, &self.pepper, self.clock.now()));
        api_key
    }

    /// Blocks the signing key of this number in the gateway. The application is unchanged.
    pub fn block_signing_key(&self, number: usize) {
        self.gateway.snapshot().block_key(&public_key(pair(number)).fingerprint());
    }

    pub fn suspend_organization(&self) {
        self.gateway.snapshot().suspend(self.application.organization_id, true);
    }

    /// A signed request that is accepted if it is sent unchanged.
    pub fn call(&self, method: &str, uri: &str, body: &[u8]) -> Call {
        self.call_with(&self.api_key, method, uri, body)
    }

    /// A signed request with the API key of another application.
    pub fn call_with(&self, key: &PlainApiKey, method: &str, uri: &str, body: &[u8]) -> Call {
        let key = key.reveal().to_owned();
        let iat = self.clock.now().as_seconds();
        Call {
            method: method.to_owned(),
            uri: uri.to_owned(),
            body: body.to_vec(),
            header: json!({"alg": "RS256", "typ": "JWT"}),
            claims: json!({
                "iss": "nuvera-api", "aud": "nuvera-rest-api", "sub": key, "method": method, "uri": uri,
                "bodyHash": sha256_hex(body), "iat": iat, "exp": iat + 55, "jti": Uuid::from_bytes(random::bytes())
            }),
            pair: pair(0),
            headers: vec![("Host".to_owned(), "api.test".to_owned()), ("x-api-key".to_owned(), key)],
        }
    }

    /// A signed request to read customers.
    pub fn get(&self) -> Call {
        self.call("GET", "/api/v1/customers?limit=20", b"")
    }

    /// A signed request to create a customer.
    pub fn post(&self) -> Call {
        self.call("POST", "/api/v1/customers", br#"{"name":"Ada"}"#)
    }

    /// Sends a request on a new connection.
    pub async fn send(&self, call: Call) -> Reply {
        self.send_bytes(&call.bytes()).await
    }

    pub async fn send_bytes(&self, bytes: &[u8]) -> Reply {
        let mut connection = self.connect().await;
        connection.write(bytes).await;
        connection.read().await.expect("an answer")
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }

    /// The code and status with which a request is refused.
    pub async fn refusal(&self, call: Call) -> (String, u16) {
        self.send(call).await.refusal()
    }
}

/// A request being built: each part can be changed before it is signed and sent.
pub struct Call {
    pub method: String,
    pub uri: String,
    pub body: Vec<u8>,
    pub header: Value,
    pub claims: Value,
    pub pair: &'static RsaKeyPair,
    pub headers: Vec<(String, String)>,
}

impl Call {
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    pub fn add(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub fn signing_input(&self) -> String {
        format!("{}.{}", base64url(self.header.to_string()), base64url(self.claims.to_string()))
    }

    pub fn token(&self) -> String {
        sign(self.pair, &RSA_PKCS1_SHA256, &self.signing_input())
    }

    /// The bytes of the request, with a token signed over its current content.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes_with(&self.token())
    }

    /// The bytes of the request with another token.
    pub fn bytes_with(&self, token: &str) -> Vec<u8> {
        self.bytes_with_authorization(&format!("Bearer {token}"))
    }

    pub fn bytes_with_authorization(&self, authorization: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.uri);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("authorization: {authorization}\r\n"));
        let framed = ["content-length", "transfer-encoding"];
        if !self.body.is_empty() && !self.headers.iter().any(|(n, _)| framed.contains(&n.to_ascii_lowercase().as_str()))
        {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

/// The transport of a connection: TCP, or TLS over TCP.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection that sends bytes unchanged.
pub struct Connection(BufReader<Box<dyn Stream>>);

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    pub fn over(stream: impl Stream + 'static) -> Self {
        Self(BufReader::new(Box::new(stream)))
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        // The gateway may refuse and close before everything is written; only its response matters.
        let _ = self.0.get_mut().write_all(bytes).await;
        let _ = self.0.get_mut().flush().await;
    }

    /// The next response, or `None` if the connection was closed instead.
    pub async fn read(&mut self) -> Option<Reply> {
        let (status, headers) = self.read_head().await?;
        let reply = Reply { status, headers, body: Vec::new() };
        let mut body = Vec::new();
        if reply.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.read_chunk().await {
                body.extend(chunk);
            }
        } else if let Some(length) = reply.header("content-length") {
            body.resize(length.parse().unwrap(), 0);
            self.0.read_exact(&mut body).await.unwrap();
        }
        Some(Reply { body, ..reply })
    }

    pub async fn read_head(&mut self) -> Option<(u16, Vec<(String, String)>)> {
        let status_line = self.read_line().await.filter(|line| !line.is_empty())?;
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        while let Some(line) = self.read_line().await.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some((status, headers))
    }

    /// The next chunk of a body (RFC 9112, section 7.1), or `None` at its end.
    pub async fn read_chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.read_line().await?, 16).unwrap();
        let mut chunk = vec![0; size];
        self.0.read_exact(&mut chunk).await.unwrap();
        self.read_line().await?;
        (size > 0).then_some(chunk)
    }

    /// Reads until the peer has closed.
    pub async fn read_to_end(&mut self, received: &mut String) {
        // A reset connection has ended as well.
        let _ = self.0.read_to_string(received).await;
    }

    /// Whether the peer has closed without sending anything more.
    pub async fn is_closed(&mut self) -> bool {
        self.0.read_u8().await.is_err()
    }

    async fn read_line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line).await {
            Ok(read) if read > 0 => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON expected: {self:?}"))
    }

    /// The claims that the built-in signature test reports as verified.
    pub fn verified(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        let json = self.json();
        assert_eq!(json["verified"], true);
        json
    }

    /// The code and status of a refusal. Asserts that the response is well-formed.
    pub fn refusal(&self) -> (String, u16) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("www-authenticate").is_some(), self.status == 401);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["requestId"].as_str(), self.header("x-request-id"));
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("urn:nuvera:problem:{code}"));
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        (code, self.status)
    }
}

/// Starts another gateway with the same keys and clock, as a restart would.
pub async fn restart(world: World, fence: ReplayFence) -> World {
    let World { clock, pepper, application, api_key, stop, serving, .. } = world;
    stop.cancel();
    serving.await.unwrap();
    let gateway = Gateway::new(Setup::default().settings, clock.clone(), pepper.clone(), fence);
    gateway.snapshot().load(vec![application.clone()]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(gateway.clone().serve(listener, stop.clone()));
    World { gateway, clock, address, pepper, application, api_key, stop, serving }
}
