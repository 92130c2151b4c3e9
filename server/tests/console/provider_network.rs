//! A hostile identity provider whose metadata names endpoints in the operator's network: none of them is contacted.

use crate::support::Console;
use axum::{Json, Router, extract::State, routing::get};
use serde_json::{Value, json};
use server::{
    single_sign_on::{self, Failure, Question, SingleSignOn},
    tls::Authorities,
};
use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

/// An identity provider whose metadata is set by the test.
struct Provider {
    issuer: String,
    metadata: Arc<Mutex<Value>>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let metadata = Arc::new(Mutex::new(Value::Null));
        let answer = |State(metadata): State<Arc<Mutex<Value>>>| async move { Json(metadata.lock().unwrap().clone()) };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(answer))
            .route(
                "/jwks",
                get(|| async { Json(json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" }] })) }),
            )
            .with_state(metadata.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { issuer, metadata }
    }

    fn says(&self, endpoint: &str, url: &str) {
        let issuer = &self.issuer;
        let mut metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": "https://login.elsewhere.example/authorize",
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        metadata[endpoint] = url.into();
        *self.metadata.lock().unwrap() = metadata;
    }

    /// Single sign-on with this provider, with the lines of `more` added to its settings.
    async fn bound(&self, console: &Console, more: &str) -> SingleSignOn {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sso.toml");
        let text = format!(
            "[[issuer]]\nid = 'alpine-id'\nlabel = 'Alpine ID'\nurl = '{}'\norganization = 'Alpine Pay'\nclient_id = \
             'nuvera'\nrole_claim = 'groups'\nemail_domains = ['alpine.example']\ndefault_role = 'partner_viewer'\n{more}\n",
            self.issuer
        );
        fs::write(&file, text).unwrap();
        let issuers = single_sign_on::read(&file).unwrap();
        SingleSignOn::bind(issuers, &Authorities::default(), &console.store, console.clock.clone()).await.unwrap()
    }
}

/// A service in the operator's network. Returns its port and the number of connections to it.
async fn internal_service() -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, contacted) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU32::new(0)));
    let counter = contacted.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, contacted)
}

async fn begin(console: &Console, single_sign_on: &SingleSignOn) -> Result<String, Failure> {
    // Lets the cached metadata expire.
    console.advance(Duration::from_secs(15 * 60));
    let question = Question {
        callback: "https://console.example/sign-in/sso/alpine-id/callback".to_owned(),
        state: "state".to_owned(),
        nonce: "nonce".to_owned(),
        verifier: "v".repeat(43),
        asked_at: console.clock.now(),
        is_proof: false,
    };
    single_sign_on.ask(single_sign_on.issuer("alpine-id").unwrap(), &question).await
}

#[tokio::test]
async fn a_provider_cannot_have_the_server_ask_anything_but_itself() {
    let console = Console::start().await;
    let provider = Provider::start().await;
    let single_sign_on = provider.bound(&console, "").await;
    let (port, contacted) = internal_service().await;
    let own_port = provider.issuer.rsplit_once(':').unwrap().1;
    for endpoint in ["jwks_uri", "token_endpoint"] {
        for url in [
            format!("http://127.0.0.1:{port}/x"),
            format!("http://localhost:{port}/x"),
            format!("http://127.1:{port}/x"),
            format!("http://2130706433:{port}/x"),
            format!("http://[::ffff:127.0.0.1]:{port}/x"),
            format!("http://127.0.0.1:{own_port}@127.0.0.1:{port}/x"),
            format!("https://127.0.0.1:{port}/x"),
            "http://169.254.169.254/latest/meta-data".to_owned(),
            "https://10.0.0.5/".to_owned(),
            "https://other.example/".to_owned(),
        ] {
            provider.says(endpoint, &url);
            let refused = begin(&console, &single_sign_on).await.unwrap_err().to_string();
            let is_said = refused.contains("is neither the issuer's host nor in endpoint_hosts")
                || refused.contains("is not https");
            assert!(is_said, "{endpoint} {url}: {refused}");
            assert_eq!(contacted.load(Ordering::SeqCst), 0, "{endpoint} {url}");
        }
    }
    // The control: the provider's own endpoints are contacted, and the browser may be redirected to another host.
    provider.says("jwks_uri", &format!("{}/jwks", provider.issuer));
    let question = begin(&console, &single_sign_on).await.unwrap();
    assert!(question.starts_with("https://login.elsewhere.example/authorize?"), "{question}");
    provider.says("authorization_endpoint", "http://login.elsewhere.example/authorize");
    let refused = begin(&console, &single_sign_on).await.unwrap_err().to_string();
    assert!(refused.contains("is not https"), "{refused}");
}

#[tokio::test]
async fn a_host_that_the_operator_lists_is_asked() {
    let console = Console::start().await;
    let provider = Provider::start().await;
    let (port, contacted) = internal_service().await;
    let single_sign_on = provider.bound(&console, &format!("endpoint_hosts = ['127.0.0.1:{port}']")).await;
    provider.says("jwks_uri", &format!("http://127.0.0.1:{port}/x"));
    // The service closes the connection without a response.
    assert!(begin(&console, &single_sign_on).await.is_err());
    assert!(contacted.load(Ordering::SeqCst) > 0, "the control");
    // Outside the issuer's network, even a listed host is not contacted.
    for address in ["10.0.0.5", "169.254.169.254"] {
        let single_sign_on = provider.bound(&console, &format!("endpoint_hosts = ['{address}']")).await;
        provider.says("token_endpoint", &format!("https://{address}/x"));
        let refused = begin(&console, &single_sign_on).await.unwrap_err().to_string();
        assert!(refused.contains(&format!("{address} is not a public address")), "{refused}");
        let more = format!("endpoint_hosts = ['{address}']\nallow_private_network = true");
        let single_sign_on = provider.bound(&console, &more).await;
        assert!(begin(&console, &single_sign_on).await.is_ok(), "the control");
    }
}
