//! The same job by axum and jsonwebtoken, for comparison: what a Rust team would write in an afternoon. `PORT`,
//! `KEY_HASH`, `PUBLIC_KEY_FILE`.

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    routing::any,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use std::{
    collections::{HashMap, HashSet},
    env,
    error::Error,
    fs,
    sync::{Arc, Mutex},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    sub: String,
    method: String,
    uri: String,
    body_hash: String,
    iat: u64,
    exp: u64,
    jti: String,
}

struct Gate {
    applications: HashMap<String, DecodingKey>,
    validation: Validation,
    used: Mutex<HashSet<String>>,
}

fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn verify(gate: &Gate, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Option<()> {
    let key = headers.get("x-api-key")?.to_str().ok()?;
    let public_key = gate.applications.get(&sha256(key.as_bytes()))?;
    let token = headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
    let claims = decode::<Claims>(token, public_key, &gate.validation).ok()?.claims;
    let is_bound = claims.sub == key
        && claims.method == method.as_str()
        && claims.uri == uri.path_and_query()?.as_str()
        && claims.exp.checked_sub(claims.iat)? <= 60
        && claims.body_hash == sha256(body);
    (is_bound && gate.used.lock().ok()?.insert(claims.jti)).then_some(())
}

async fn answer(
    State(gate): State<Arc<Gate>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    match verify(&gate, &method, &uri, &headers, &body) {
        Some(()) => (StatusCode::OK, r#"{"verified":true}"#),
        None => (StatusCode::UNAUTHORIZED, r#"{"verified":false}"#),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&["nuvera-api"]);
    validation.set_audience(&["nuvera-rest-api"]);
    validation.leeway = 5;
    let public_key = DecodingKey::from_rsa_pem(&fs::read(env::var("PUBLIC_KEY_FILE")?)?)?;
    let applications = HashMap::from([(env::var("KEY_HASH")?, public_key)]);
    let gate = Arc::new(Gate { applications, validation, used: Mutex::default() });
    let router = Router::new().route("/api/v1/signature-test", any(answer)).with_state(gate);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", env::var("PORT")?.parse()?)).await?;
    Ok(axum::serve(listener, router).await?)
}
