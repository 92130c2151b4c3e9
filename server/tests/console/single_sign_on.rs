//! Attacks on single sign-on: an identity provider on the loopback interface responds correctly, or with one flaw.

use crate::support::{Answer, Browser, Console, Database, LIST, Log, ORIGIN, PASSWORD, PEM_A, PEOPLE, START};
use app::paths::Area;
use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use domain::{
    access::Role,
    audit::{AuditFilter, AuditScope, RecordedEvent},
    id::OrganizationId,
    people::OWNER_CHANGE_DELAY,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};
use server::{
    backend::accounts::NewPerson, clock::Clock, single_sign_on, store::organizations::OrganizationKind,
    tls::Authorities,
};
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;

const CLIENT: &str = "nuvera-console";
const SECRET: &str = "a-client-secret";
/// Marks a field to leave out.
const ABSENT: &str = "(absent)";

/// The flaw in a provider's response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flaw {
    #[default]
    Nothing,
    Nonce,
    NoNonce,
    Audience,
    OneAudienceTooMany,
    AuthorizedParty,
    Issuer,
    Expired,
    IssuedLongAgo,
    AlgorithmNone,
    SignedWithTheClientSecret,
    SignedWithThePublicKey,
    UnknownKey,
    OtherSignature,
    AccessToken,
    NoIdToken,
    Down,
    TooLarge,
    Redirects,
}

/// A user's account at the provider.
#[derive(Clone)]
struct Account {
    subject: &'static str,
    claims: Value,
}

fn account(subject: &'static str, email: &str, groups: &[&str]) -> Account {
    Account { subject, claims: json!({ "email": email, "email_verified": true, "name": "Nia New", "groups": groups }) }
}

/// What the provider knows of an authorization code that it issued.
struct Grant {
    account: Account,
    nonce: String,
    challenge: String,
    redirect_uri: String,
    auth_time: Option<i64>,
}

struct Inner {
    issuer: String,
    signs_with: Mutex<SigningKey>,
    clock: Clock,
    flaw: Mutex<Flaw>,
    /// Whether the ID token has few claims and the userinfo endpoint has the rest.
    thin: Mutex<bool>,
    /// Overrides for parts of the provider's responses: see [`Provider::says`].
    said: Mutex<Value>,
    /// The method with which the client last authenticated.
    authentication: Mutex<&'static str>,
    grants: Mutex<HashMap<String, Grant>>,
    /// Accounts by access token.
    known: Mutex<HashMap<String, Account>>,
    asked: Mutex<u32>,
}

/// A key with which the provider signs ID tokens.
#[derive(Clone)]
struct SigningKey {
    id: &'static str,
    pkcs8: Vec<u8>,
    point: Vec<u8>,
}

impl SigningKey {
    fn generate() -> Self {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pkcs8 = document.as_ref().to_vec();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).unwrap();
        Self { id: "first", point: key.public_key().as_ref().to_vec(), pkcs8 }
    }
}

/// An identity provider on the loopback interface.
#[derive(Clone)]
struct Provider(Arc<Inner>);

impl Provider {
    async fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let inner = Inner {
            issuer,
            signs_with: Mutex::new(SigningKey::generate()),
            clock,
            flaw: Mutex::default(),
            thin: Mutex::default(),
            said: Mutex::default(),
            authentication: Mutex::default(),
            grants: Mutex::default(),
            known: Mutex::default(),
            asked: Mutex::default(),
        };
        let provider = Self(Arc::new(inner));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(user_info))
            .with_state(provider.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        provider
    }

    fn has(&self, flaw: Flaw) -> &Self {
        *self.0.flaw.lock().unwrap() = flaw;
        self
    }

    fn flaw(&self) -> Flaw {
        *self.0.flaw.lock().unwrap()
    }

    fn now(&self) -> i64 {
        self.0.clock.now().as_seconds()
    }

    /// Authenticates the user of `account`. Returns the authorization code.
    fn grant(&self, question: &str, account: &Account, auth_time: Option<i64>) -> String {
        let asked = parameters(question);
        assert!(question.starts_with(&format!("{}/authorize?", self.0.issuer)), "{question}");
        assert_eq!((&*asked["response_type"], &*asked["client_id"]), ("code", CLIENT));
        assert_eq!(asked["code_challenge_method"], "S256");
        assert_eq!(asked["scope"], "openid email groups");
        let mut grants = self.0.grants.lock().unwrap();
        let code = format!("code-{}-{}", grants.len(), account.subject);
        let grant = Grant {
            account: account.clone(),
            nonce: asked["nonce"].clone(),
            challenge: asked["code_challenge"].clone(),
            redirect_uri: asked["redirect_uri"].clone(),
            auth_time,
        };
        grants.insert(code.clone(), grant);
        code
    }

    /// Authenticates the user of `account`. Returns the callback that the browser is redirected to.
    fn answers(&self, question: &str, account: &Account) -> String {
        let code = self.grant(question, account, Some(self.now()));
        self.callback(question, &code)
    }

    fn callback(&self, question: &str, code: &str) -> String {
        let asked = parameters(question);
        let path = asked["redirect_uri"].strip_prefix(ORIGIN).unwrap();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("code", code).append_pair("state", &asked["state"]).append_pair("iss", &self.0.issuer);
        format!("{path}?{}", query.finish())
    }

    /// From now on overrides fields in parts of the provider's responses (`discovery`, `keys`, `tokens`, `id_token`,
    /// `user_info`). A field with [`ABSENT`] is left out, `ISSUER` in a text is replaced with the issuer, and a text
    /// such as `@int 300` with the time in 300 seconds.
    fn says(&self, said: Value) {
        *self.0.said.lock().unwrap() = said;
    }

    fn amend(&self, part: &str, fields: &mut Map<String, Value>) {
        let said = self.0.said.lock().unwrap().clone();
        for (name, value) in said[part].as_object().into_iter().flatten() {
            match value {
                Value::String(text) if text == ABSENT => {
                    fields.remove(name);
                }
                value => {
                    fields.insert(name.clone(), self.spelled(value));
                }
            }
        }
    }

    fn spelled(&self, value: &Value) -> Value {
        let Value::String(text) = value else { return value.clone() };
        let Some((form, seconds)) = text.strip_prefix('@').and_then(|rest| rest.split_once(' ')) else {
            return text.replace("ISSUER", &self.0.issuer).into();
        };
        let at = self.now() + seconds.parse::<i64>().unwrap();
        match form {
            "int" => at.into(),
            "text" => at.to_string().into(),
            "float" => (at as f64 + 0.5).into(),
            "date" => {
                let date = time::OffsetDateTime::from_unix_timestamp(at).unwrap();
                date.format(&time::format_description::well_known::Rfc3339).unwrap().into()
            }
            _ => panic!("{form}"),
        }
    }

    fn id_token(&self, grant: &Grant, access_token: &str) -> String {
        let (flaw, now) = (self.flaw(), self.now());
        let mut claims = json!({
            "iss": self.0.issuer,
            "sub": grant.account.subject,
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": grant.nonce,
            "at_hash": URL_SAFE_NO_PAD.encode(&digest(&SHA256, access_token.as_bytes()).as_ref()[..16]),
        });
        let all = claims.as_object_mut().unwrap();
        if let Some(at) = grant.auth_time {
            all.insert("auth_time".into(), at.into());
        }
        if !*self.0.thin.lock().unwrap() {
            all.extend(grant.account.claims.as_object().unwrap().clone());
        }
        match flaw {
            Flaw::Nonce => all.insert("nonce".into(), "another".into()),
            Flaw::NoNonce => all.remove("nonce"),
            Flaw::Audience => all.insert("aud".into(), "another-console".into()),
            Flaw::OneAudienceTooMany => all.insert("aud".into(), json!([CLIENT, "another-console"])),
            Flaw::AuthorizedParty => all.insert("azp".into(), "another-console".into()),
            Flaw::Issuer => all.insert("iss".into(), "https://login.evil.example".into()),
            Flaw::Expired => all.insert("exp".into(), (now - 60).into()),
            Flaw::IssuedLongAgo => all.insert("iat".into(), (now - 601).into()),
            Flaw::AccessToken => all.insert("at_hash".into(), "AAAAAAAAAAAAAAAAAAAAAA".into()),
            _ => None,
        };
        self.amend("id_token", claims.as_object_mut().unwrap());
        self.signed(&claims, flaw)
    }

    fn signed(&self, claims: &Value, flaw: Flaw) -> String {
        let mut header = Header::new(Algorithm::ES256);
        let key = self.0.signs_with.lock().unwrap().clone();
        header.kid = Some(key.id.into());
        let by_secret = |secret: &[u8]| {
            let header = Header { alg: Algorithm::HS256, ..header.clone() };
            jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
        };
        match flaw {
            Flaw::AlgorithmNone => {
                let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
                return format!("{}.{}.", part(&json!({ "alg": "none" })), part(claims));
            }
            Flaw::SignedWithTheClientSecret => return by_secret(SECRET.as_bytes()),
            Flaw::SignedWithThePublicKey => return by_secret(&key.point),
            Flaw::UnknownKey => header.kid = Some("second".into()),
            _ => {}
        }
        let signed = jsonwebtoken::encode(&header, claims, &EncodingKey::from_ec_der(&key.pkcs8)).unwrap();
        if flaw != Flaw::OtherSignature {
            return signed;
        }
        let (text, signature) = signed.rsplit_once('.').unwrap();
        let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        signature[10] ^= 1;
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn parameters(url: &str) -> HashMap<String, String> {
    form_urlencoded::parse(url.split_once('?').unwrap().1.as_bytes()).into_owned().collect()
}

async fn metadata(State(provider): State<Provider>) -> Response {
    *provider.0.asked.lock().unwrap() += 1;
    match provider.flaw() {
        Flaw::Down => return StatusCode::BAD_GATEWAY.into_response(),
        Flaw::TooLarge => return " ".repeat(300 * 1024).into_response(),
        Flaw::Redirects => return (StatusCode::FOUND, [(header::LOCATION, "/jwks")]).into_response(),
        _ => {}
    }
    let issuer = &provider.0.issuer;
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        "authorization_response_iss_parameter_supported": true,
    });
    provider.amend("discovery", document.as_object_mut().unwrap());
    Json(document).into_response()
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    let SigningKey { id, point, .. } = provider.0.signs_with.lock().unwrap().clone();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]));
    let key = json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": id, "x": x, "y": y });
    let mut document = json!({ "keys": [key] });
    provider.amend("keys", document.as_object_mut().unwrap());
    let more = provider.0.said.lock().unwrap()["more_keys"].clone();
    if let (Value::Array(more), Some(Value::Array(keys))) = (more, document.get_mut("keys")) {
        keys.splice(..0, more);
    }
    Json(document)
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(sent): Form<HashMap<String, String>>,
) -> Response {
    let invalid = |code: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": code }))).into_response();
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    let is_basic = headers.get(header::AUTHORIZATION).is_some_and(|given| given == &*basic);
    let field = |name: &str| sent.get(name).map(String::as_str);
    let is_post = (field("client_id"), field("client_secret")) == (Some(CLIENT), Some(SECRET));
    if is_basic == is_post {
        return invalid("invalid_client");
    }
    *provider.0.authentication.lock().unwrap() = if is_basic { "client_secret_basic" } else { "client_secret_post" };
    // A code can be redeemed once.
    let Some(grant) = provider.0.grants.lock().unwrap().remove(&sent["code"]) else { return invalid("invalid_grant") };
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, sent["code_verifier"].as_bytes()));
    if challenge != grant.challenge || sent["redirect_uri"] != grant.redirect_uri {
        return invalid("invalid_grant");
    }
    let access_token = format!("access-token-canary-{}", grant.account.subject);
    provider.0.known.lock().unwrap().insert(access_token.clone(), grant.account.clone());
    let mut answer = Map::new();
    if provider.flaw() != Flaw::NoIdToken {
        answer.insert("id_token".into(), provider.id_token(&grant, &access_token).into());
    }
    answer.extend([("access_token".into(), access_token.into()), ("token_type".into(), "Bearer".into())]);
    provider.amend("tokens", &mut answer);
    Json(answer).into_response()
}

async fn user_info(State(provider): State<Provider>, headers: HeaderMap) -> Response {
    let given = headers[header::AUTHORIZATION].to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    let Some(account) = provider.0.known.lock().unwrap().get(&given).cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let mut claims = account.claims.as_object().unwrap().clone();
    claims.insert("sub".into(), account.subject.into());
    provider.amend("user_info", &mut claims);
    match &provider.0.said.lock().unwrap()["user_info_answers"] {
        Value::String(kind) if kind == "signed" => {
            let token = provider.signed(&Value::Object(claims), provider.flaw());
            ([(header::CONTENT_TYPE, "application/jwt; charset=utf-8")], token).into_response()
        }
        Value::String(kind) if kind == "error" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => Json(claims).into_response(),
    }
}

/// A console with Alpine Pay's identity provider and one for Nuvera.
struct Surroundings {
    console: Console,
    alpine: Provider,
    nuvera: Provider,
}

async fn start() -> Surroundings {
    start_with("").await
}

/// As [`start`], with the lines of `more` in the operator's settings of Alpine Pay's provider.
async fn start_with(more: &str) -> Surroundings {
    let clock = Clock::manual(START);
    let (alpine, nuvera) = (Provider::start(clock.clone()).await, Provider::start(clock.clone()).await);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let row = |id: &str, label: &str, organization: &str, provider: &Provider, roles: &str| {
        let domain = if organization == "Nuvera" { "nuvera.example" } else { "alpine.example" };
        format!(
            "[[issuer]]\nid = '{id}'\nlabel = '{label}'\nurl = '{}'\norganization = '{organization}'\n\
             email_domains = ['{domain}']\nclient_id = '{CLIENT}'\nclient_secret_file = 'secret'\nscopes = ['openid', 'email', 'groups']\nrole_claim = 'groups'\nroles = {roles}\n",
            provider.0.issuer
        )
    };
    let with_factor = "second_factor = ['mfa', 'urn:two']\nacr_values = ['urn:two']\n";
    let partner = "{ owners = 'partner_owner', developers = 'partner_developer', viewers = 'partner_viewer' }";
    let mut alpine_row = row("alpine-id", "Alpine ID", "Alpine Pay", &alpine, partner) + with_factor;
    for line in more.lines() {
        // A line replaces an existing setting of the same name.
        let name = line.split(" = ").next().unwrap();
        let others = alpine_row.lines().filter(|other| other.split(" = ").next() != Some(name));
        alpine_row = others.chain([line]).flat_map(|line| [line, "\n"]).collect();
    }
    let text =
        alpine_row + &row("nuvera-id", "Nuvera ID", "Nuvera", &nuvera, "{ support = 'nuvera_admin' }") + with_factor;
    let file = folder.path().join("sso.toml");
    fs::write(&file, text).unwrap();
    let issuers = single_sign_on::read(&file).unwrap();
    let console = Console::start_with(Database::sqlite(), ORIGIN, None, clock, issuers).await;
    Surroundings { console, alpine, nuvera }
}

const BEGIN: &str = "/sign-in/sso/alpine-id";

/// The same account, authenticated with a second factor.
fn with_factor(mut account: Account) -> Account {
    account.claims["amr"] = json!(["pwd", "mfa"]);
    account
}

fn developer() -> Account {
    account("dora", "dora@alpine.example", &["developers", "hikers"])
}

/// Begins a sign-in, authenticates at the provider as `account`, and follows the callback.
async fn signs_in(browser: &mut Browser, provider: &Provider, begin: &str, account: &Account) -> Answer {
    let asked = browser.get(begin).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text());
    browser.get(&provider.answers(asked.location(), account)).await
}

async fn events(console: &Console, organization: OrganizationId) -> Vec<RecordedEvent> {
    let mut conn = console.store.read().await.unwrap();
    let scope = AuditScope::Organization(organization);
    server::store::audit::events(&mut conn, scope, AuditFilter::default(), i64::MAX, 100).await.unwrap()
}

async fn role_of(console: &Console, email: &str) -> Option<Role> {
    let mut conn = console.store.read().await.unwrap();
    let people = server::store::users::of_organization(&mut conn, console.alpine).await.unwrap();
    people.into_iter().find(|person| person.email == email).map(|person| person.role)
}

async fn nobody_is_signed_in(browser: &mut Browser) {
    assert!(browser.get(LIST).await.location().starts_with("/sign-in"));
}

#[tokio::test]
async fn who_is_new_joins_with_the_role_that_the_provider_says_and_is_found_again() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut browser = console.browser();
    let door = browser.get("/sign-in?next=/settings/platform/people").await;
    assert!(door.body.contains("href=\"/sign-in/sso/alpine-id?next=/settings/platform/people\""), "{}", door.body);
    door.says("Sign in with Alpine ID");
    let begin = format!("{BEGIN}?next=/settings/platform/people");
    let arrived = signs_in(&mut browser, &alpine, &begin, &developer()).await;
    assert_eq!((arrived.status, arrived.location()), (StatusCode::SEE_OTHER, "/settings/platform/people"));
    browser.get(LIST).await.says("Nia New").says("Alpine Pay");
    let joined = events(&console, console.alpine).await.remove(0).event;
    assert_eq!((joined.action.code(), &*joined.target), ("person.joined", "dora@alpine.example"));
    assert_eq!(joined.after.as_deref(), Some("Developer"));
    assert_eq!(joined.reason.unwrap().as_str(), "By single sign-on with Alpine ID");

    // From another browser and with another e-mail address at the provider, the user is still identified by their
    // subject.
    let mut again = console.browser();
    let renamed = account("dora", "dora.d@alpine.example", &["developers"]);
    assert_eq!(signs_in(&mut again, &alpine, BEGIN, &renamed).await.location(), LIST);
    assert_eq!(events(&console, console.alpine).await.len(), 1, "nobody joined, nothing changed");
    assert!(role_of(&console, "dora.d@alpine.example").await.is_none());
}

#[tokio::test]
async fn signing_in_renews_the_session_and_there_is_no_password_to_guess() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut browser = console.browser();
    let asked = browser.get(BEGIN).await;
    let before = browser.cookies.clone();
    let answer = alpine.answers(asked.location(), &developer());
    assert_eq!(browser.get(&answer).await.location(), LIST);
    assert_ne!(browser.cookies, before, "the session has a new id");
    let mut fixed = console.browser();
    fixed.cookies = before;
    nobody_is_signed_in(&mut fixed).await;
    let unknown = console.browser().sign_in("nobody@alpine.example", "wrong").await;
    for password in ["", "wrong", PASSWORD] {
        let guessed = console.browser().sign_in("dora@alpine.example", password).await;
        assert_eq!(guessed.status, StatusCode::UNPROCESSABLE_ENTITY);
        if password == "wrong" {
            assert_eq!(guessed.text(), unknown.text().replace("nobody@", "dora@"));
        }
    }
}

#[tokio::test]
async fn whoever_a_provider_lets_in_gets_no_password_beside_it() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut session = console.browser();
    signs_in(&mut session, &alpine, BEGIN, &developer()).await;
    // Not even from the user's own session, which may be stolen: a password would outlive it.
    let account = session.get("/settings/account").await;
    assert!(account.status == StatusCode::OK && !account.body.contains("/settings/account/password"));
    let chosen = [("password", "tulip gravel 84 harbour")];
    assert_eq!(session.get("/settings/account/password").await.status, StatusCode::NOT_FOUND);
    assert_eq!(session.post("/settings/account/password", &chosen).await.status, StatusCode::NOT_FOUND);
    let by_password = console.browser().sign_in("dora@alpine.example", "tulip gravel 84 harbour").await;
    assert_eq!(by_password.status, StatusCode::UNPROCESSABLE_ENTITY);
    let dora = console.user_id("dora@alpine.example").await;
    let person = format!("/settings/platform/people/{dora}");
    let mut owner = console.owner().await;
    let people = owner.get("/settings/platform/people").await;
    people.says("By single sign-on");
    assert!(!people.body.contains(&format!("{person}/reset-password")));
    assert!(people.body.contains(&format!("{person}/remove")), "the control: what can be done with her is there");
    let refused = owner.post(&format!("{person}/reset-password"), &[]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.says("there is no password to reset here");
    owner.get(&format!("{person}/role")).await.says("Their identity provider decides on their role");
    let recovered = console.backend.recover("dora@alpine.example").await;
    assert!(matches!(recovered, Err(server::backend::BackendError::NotFound)));
}

#[tokio::test]
async fn every_sign_in_brings_the_role_up_to_date_but_somebody_always_decides_on_people() {
    let Surroundings { console, alpine, .. } = start().await;
    signs_in(&mut console.browser(), &alpine, BEGIN, &account("dora", "dora@alpine.example", &["viewers"])).await;
    let promoted = account("dora", "dora@alpine.example", &["viewers", "owners"]);
    signs_in(&mut console.browser(), &alpine, BEGIN, &promoted).await;
    assert_eq!(role_of(&console, "dora@alpine.example").await, Some(Role::PartnerOwner));
    let changed = events(&console, console.alpine).await.remove(0).event;
    assert_eq!(changed.action.code(), "person.role_changed");
    assert_eq!((changed.before.as_deref(), changed.after.as_deref()), (Some("Viewer"), Some("Owner")));
    assert_eq!(changed.reason.unwrap().as_str(), "By single sign-on with Alpine ID");

    // Dora removes the other owner and becomes the last one.
    let mut dora = console.browser();
    signs_in(&mut dora, &alpine, BEGIN, &promoted).await;
    let people = dora.get("/settings/platform/people").await;
    let olivia = console.owner_actor().await.user_id;
    assert!(people.body.contains(&olivia.to_string()));
    let removed = dora.post(&format!("/settings/platform/people/{olivia}/remove"), &[]).await;
    assert_eq!(removed.status, StatusCode::SEE_OTHER, "{}", removed.text());
    console.advance(OWNER_CHANGE_DELAY);
    assert_eq!(console.backend.apply_owner_changes().await.unwrap().len(), 1);
    let demoted = account("dora", "dora@alpine.example", &["developers"]);
    assert_eq!(signs_in(&mut console.browser(), &alpine, BEGIN, &demoted).await.location(), LIST);
    assert_eq!(role_of(&console, "dora@alpine.example").await, Some(Role::PartnerOwner), "the last one stays");
    // The control: while there is another owner, the provider's role applies.
    let other = account("otto", "otto@alpine.example", &["owners"]);
    signs_in(&mut console.browser(), &alpine, BEGIN, &other).await;
    signs_in(&mut dora, &alpine, BEGIN, &demoted).await;
    assert_eq!(role_of(&console, "dora@alpine.example").await, Some(Role::PartnerDeveloper));
    assert_eq!(
        dora.get("/settings/platform/people/invite").await.status,
        StatusCode::FORBIDDEN,
        "from the next request"
    );
}

#[tokio::test]
async fn a_token_with_one_thing_wrong_signs_nobody_in() {
    let Surroundings { console, alpine, .. } = start().await;
    for flaw in [
        Flaw::Nonce,
        Flaw::NoNonce,
        Flaw::Audience,
        Flaw::OneAudienceTooMany,
        Flaw::AuthorizedParty,
        Flaw::Issuer,
        Flaw::Expired,
        Flaw::IssuedLongAgo,
        Flaw::AlgorithmNone,
        Flaw::SignedWithTheClientSecret,
        Flaw::SignedWithThePublicKey,
        Flaw::UnknownKey,
        Flaw::OtherSignature,
        Flaw::AccessToken,
        Flaw::NoIdToken,
    ] {
        let mut browser = console.browser();
        let answer = signs_in(&mut browser, alpine.has(flaw), BEGIN, &developer()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{flaw:?}");
        answer.says("could not be verified").says("Request id");
        assert!(!answer.body.contains("canary") && !answer.body.contains("code-"), "{flaw:?}");
        nobody_is_signed_in(&mut browser).await;
    }
    assert_eq!(events(&console, console.alpine).await.len(), 0);
    // The control: without a flaw.
    let answer = signs_in(&mut console.browser(), alpine.has(Flaw::Nothing), BEGIN, &developer()).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_answer_is_taken_once_in_the_browser_that_asked_and_within_ten_minutes() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut browser = console.browser();
    let question = browser.get(BEGIN).await.location().to_owned();
    let answer = alpine.answers(&question, &developer());

    let mut elsewhere = console.browser();
    let stolen = elsewhere.get(&answer).await;
    assert_eq!(stolen.status, StatusCode::BAD_REQUEST);
    stolen.says("the browser keeps no cookies");
    nobody_is_signed_in(&mut elsewhere).await;
    let state = &parameters(&question)["state"];
    let wrong = browser.get(&answer.replace(&state[..8], "AAAAAAAA")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.get("/sign-in/sso/alpine-id/callback").await.status, StatusCode::BAD_REQUEST);
    let twice = format!("{answer}&state=other");
    assert_eq!(browser.get(&twice).await.status, StatusCode::BAD_REQUEST);
    nobody_is_signed_in(&mut browser).await;

    let before = browser.cookies.clone();
    assert_eq!(browser.get(&answer).await.status, StatusCode::SEE_OTHER, "the control");
    let (after, asked) = (browser.cookies.clone(), alpine.0.known.lock().unwrap().len());
    alpine.0.known.lock().unwrap().clear();
    assert_eq!(browser.get(&answer).await.location(), LIST, "loaded again, it leads on");
    assert_eq!((&browser.cookies, alpine.0.known.lock().unwrap().len()), (&after, 0), "and signs in nobody");
    assert!(asked > 0 && browser.get(LIST).await.status == StatusCode::OK);
    browser.cookies = before;
    assert_eq!(browser.get(&answer).await.status, StatusCode::BAD_REQUEST, "replayed without the session");
    nobody_is_signed_in(&mut browser).await;

    let mut slow = console.browser();
    let question = slow.get(BEGIN).await.location().to_owned();
    console.advance(Duration::from_secs(600));
    assert_eq!(slow.get(&alpine.answers(&question, &developer())).await.status, StatusCode::BAD_REQUEST);
    nobody_is_signed_in(&mut slow).await;
}

#[tokio::test]
async fn each_tab_lands_on_the_page_that_it_began_for() {
    let Surroundings { console, alpine, .. } = start().await;
    let pages = [PEOPLE, "/settings/account", LIST, PEOPLE, "/settings/account", LIST];
    let begin = |page: &str| format!("{BEGIN}?next={page}");
    let mut browser = console.browser();
    let mut answers = Vec::new();
    for page in pages {
        let question = browser.get(&begin(page)).await.location().to_owned();
        answers.push((page, alpine.answers(&question, &developer())));
    }
    // The callbacks arrive in another order than the sign-ins began, after the first one has signed the user in.
    for at in [2, 0, 5, 1, 4, 3] {
        let (page, answer) = &answers[at];
        let arrived = browser.get(answer).await;
        assert_eq!((arrived.status, arrived.location()), (StatusCode::SEE_OTHER, *page), "{at}");
        assert_eq!(browser.get(page).await.status, StatusCode::OK, "{at}");
    }
    // The same when the callbacks are loaded again.
    for (page, answer) in &answers {
        assert_eq!(browser.get(answer).await.location(), *page);
    }

    // Both sign-ins begin before either response has arrived, and both callbacks arrive at the same time.
    let (mut one, mut other) = (console.browser(), console.browser());
    let questions = [one.get(&begin(PEOPLE)).await, other.get(&begin("/settings/account")).await];
    let cookies = one.cookies.iter().chain(&other.cookies).map(|(name, value)| (name.clone(), value.clone()));
    one.cookies = cookies.collect();
    assert_eq!(one.cookies.len(), 2, "none takes the place of another: {:?}", one.cookies);
    other.cookies = one.cookies.clone();
    let [first, second] = questions.map(|question| alpine.answers(question.location(), &developer()));
    let (first, second) = tokio::join!(one.get(&first), other.get(&second));
    assert_eq!((first.location(), second.location()), (PEOPLE, "/settings/account"));

    // After a password sign-in in another tab, and after a sign-out.
    let mut owner = console.browser();
    let question = owner.get(&begin(PEOPLE)).await.location().to_owned();
    console.signs_in(&mut owner, "owner@alpine.example").await;
    assert_eq!(owner.get(&alpine.answers(&question, &developer())).await.location(), PEOPLE);
    owner.get(LIST).await.says("Nia New");
    let question = owner.get(&begin(PEOPLE)).await.location().to_owned();
    owner.post("/sign-out", &[]).await;
    nobody_is_signed_in(&mut owner).await;
    assert_eq!(owner.get(&alpine.answers(&question, &developer())).await.location(), PEOPLE);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_leads_on_only_where_somebody_is_signed_in() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut browser = console.browser();
    let question = browser.get(&format!("{BEGIN}?next={PEOPLE}")).await.location().to_owned();
    let answer = alpine.answers(&question, &developer());
    console.advance(Duration::from_secs(600));
    let late = browser.get(&answer).await;
    assert_eq!(late.status, StatusCode::BAD_REQUEST);
    late.says("You are not signed in");
    assert!(late.body.contains(&format!("{BEGIN}?next={PEOPLE}")), "it can be begun again: {}", late.body);
    signs_in(&mut browser, &alpine, BEGIN, &developer()).await;
    assert_eq!(browser.get(&answer).await.location(), PEOPLE);
    // A cancelled sign-in in one tab, or a callback with an unknown state, does not claim that the user is signed out.
    let question = browser.get(BEGIN).await.location().to_owned();
    let (state, iss) = (&parameters(&question)["state"], &alpine.0.issuer);
    let declined = format!("/sign-in/sso/alpine-id/callback?error=access_denied&state={state}&iss={iss}");
    for address in [&*declined, "/sign-in/sso/alpine-id/callback?code=x&state=unknown"] {
        let answer = browser.get(address).await;
        answer.says("You are still signed in as before");
        assert!(!answer.text().contains("You are not signed in"), "{}", answer.text());
        assert_eq!(browser.get(LIST).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_browser_has_a_few_questions_and_forgets_the_oldest() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut browser = console.browser();
    let mut answers = Vec::new();
    for _ in 0..10 {
        let question = browser.get(BEGIN).await.location().to_owned();
        answers.push(alpine.answers(&question, &developer()));
        console.advance(Duration::from_secs(1));
    }
    assert_eq!(browser.cookies.len(), 8, "{:?}", browser.cookies);
    assert_eq!(browser.get(&answers[1]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.get(&answers[2]).await.location(), LIST, "the control");
}

#[tokio::test]
async fn several_tabs_prove_who_it_is_at_once() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut dora = console.browser();
    signs_in(&mut dora, &alpine, BEGIN, &developer()).await;
    console.advance(Duration::from_secs(10 * 60));
    let pages = [format!("{LIST}/new"), "/settings/account".to_owned()];
    let mut answers = Vec::new();
    for page in &pages {
        let question = dora.get(&format!("/confirm/sso/alpine-id?next={page}")).await.location().to_owned();
        answers.push(alpine.answers(&question, &developer()));
    }
    for (page, answer) in pages.iter().zip(&answers) {
        assert_eq!(dora.get(answer).await.location(), page);
    }
    assert_eq!(dora.get(&pages[0]).await.status, StatusCode::OK);
    // A response to another user's proof request is rejected.
    let mut owner = console.owner().await;
    owner.cookies.extend(dora.cookies.into_iter().filter(|(name, _)| name.starts_with("nuvera-sso-")));
    assert_eq!(owner.get(&answers[0]).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_code_that_was_asked_for_elsewhere_is_refused() {
    let Surroundings { console, alpine, .. } = start().await;
    // The attacker's code is injected into the victim's callback, and the victim's into the attacker's.
    let (mut attacker, mut victim) = (console.browser(), console.browser());
    let theirs = attacker.get(BEGIN).await.location().to_owned();
    let mine = victim.get(BEGIN).await.location().to_owned();
    let injected = alpine.grant(&theirs, &account("mallory", "m@alpine.example", &["viewers"]), Some(alpine.now()));
    let answer = victim.get(&alpine.callback(&mine, &injected)).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    answer.says("could not be verified");
    nobody_is_signed_in(&mut victim).await;
    assert_ne!(parameters(&theirs)["code_challenge"], parameters(&mine)["code_challenge"]);
    assert_ne!(parameters(&theirs)["nonce"], parameters(&mine)["nonce"]);
}

#[tokio::test]
async fn an_answer_of_one_provider_is_not_taken_for_anothers() {
    let Surroundings { console, alpine, nuvera } = start().await;
    let support = with_factor(account("ada", "ada@nuvera.example", &["support", "owners"]));
    let mut browser = console.browser();
    // Begun with Alpine's provider, with the callback sent to Nuvera's path.
    let question = browser.get(BEGIN).await.location().to_owned();
    let answer = alpine.answers(&question, &developer());
    let crossed = browser.get(&answer.replace("/sign-in/sso/alpine-id", "/organizations/sign-in/sso/nuvera-id")).await;
    assert_eq!(crossed.status, StatusCode::BAD_REQUEST);
    // At its own path, but with another issuer's name, and without the issuer that the provider always sends.
    let question = browser.get(BEGIN).await.location().to_owned();
    let answer = alpine.answers(&question, &developer());
    let iss = |url: &str| form_urlencoded::byte_serialize(url.as_bytes()).collect::<String>();
    let other = answer.replace(&iss(&alpine.0.issuer), &iss(&nuvera.0.issuer));
    assert_ne!(other, answer);
    assert_eq!(browser.get(&other).await.status, StatusCode::FORBIDDEN);
    let question = browser.get(BEGIN).await.location().to_owned();
    let answer = alpine.answers(&question, &developer());
    let silent = answer.split("&iss=").next().unwrap();
    assert_eq!(browser.get(silent).await.status, StatusCode::FORBIDDEN);
    nobody_is_signed_in(&mut browser).await;
    // A subject is only meaningful at its own provider: the same subject at another provider is another user.
    signs_in(&mut console.browser(), &alpine, BEGIN, &account("ada", "ada@alpine.example", &["viewers"])).await;
    let arrived = signs_in(&mut console.browser(), &nuvera, "/organizations/sign-in/sso/nuvera-id", &support).await;
    assert_eq!(arrived.status, StatusCode::SEE_OTHER, "{}", arrived.text());
    assert_eq!(role_of(&console, "ada@alpine.example").await, Some(Role::PartnerViewer));
    assert_eq!(events(&console, console.nuvera).await[0].event.target, "ada@nuvera.example");
    // A provider is not offered on the sign-in page of the other area.
    assert_eq!(browser.get("/sign-in/sso/nuvera-id").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/organizations/sign-in/sso/alpine-id").await.status, StatusCode::NOT_FOUND);
    assert!(!browser.get("/sign-in").await.text().contains("Nuvera ID"));
    let door = browser.get("/organizations/sign-in").await.text();
    assert!(door.contains("Sign in with Nuvera ID") && !door.contains("Alpine ID"), "{door}");
}

#[tokio::test]
async fn a_second_factor_is_the_providers_matter_which_has_to_say_so() {
    let Surroundings { console, nuvera, .. } = start().await;
    let mut sam = console.browser();
    let support = account("sam", "sam@nuvera.example", &["support"]);
    let begin = "/organizations/sign-in/sso/nuvera-id?next=/organizations/audit";
    assert_eq!(parameters(sam.get(begin).await.location())["acr_values"], "urn:two");
    let refused = signs_in(&mut sam, &nuvera, begin, &support).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    refused.says("A second factor is needed here, and Nuvera ID does not say that you showed one");
    // Unsigned claims do not count.
    *nuvera.0.thin.lock().unwrap() = true;
    let unsigned = signs_in(&mut sam, &nuvera, begin, &with_factor(support.clone())).await;
    unsigned.says("A second factor is needed here");
    *nuvera.0.thin.lock().unwrap() = false;
    assert!(events(&console, console.nuvera).await.is_empty(), "nobody joined");

    let support = with_factor(support);
    assert_eq!(signs_in(&mut sam, &nuvera, begin, &support).await.location(), "/organizations/audit");
    sam.get("/organizations").await.says("Nia New").says("Alpine Pay");
    let joined = events(&console, console.nuvera).await.remove(0).event.actor.user_id;
    let actor = console.backend.actor(joined, None).await.unwrap().unwrap();
    assert!(!actor.must_have_factor);
    assert!(console.admin_actor().await.must_have_factor, "the control: one with a password must have one of ours");
}

#[tokio::test]
async fn where_an_organization_asks_for_a_second_factor_its_provider_has_to_say_so() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut dora = console.browser();
    assert_eq!(signs_in(&mut dora, &alpine, BEGIN, &developer()).await.location(), LIST, "nobody asks for one yet");
    let policy = [("second_factor", "required"), ("nuvera_changes", "at_once")];
    let changed = console.owner().await.submit(&format!("{LIST}/security-policy"), &policy).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER);
    let refused = signs_in(&mut console.browser(), &alpine, BEGIN, &developer()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    refused.says("A second factor is needed here");
    // A single factor is not accepted as a proof of identity either.
    let begin = format!("/confirm/sso/alpine-id?next={LIST}/new");
    console.advance(Duration::from_secs(10 * 60));
    assert_eq!(signs_in(&mut dora, &alpine, &begin, &developer()).await.status, StatusCode::FORBIDDEN);
    assert_eq!(dora.get(&format!("{LIST}/new")).await.status, StatusCode::SEE_OTHER, "still to be proven");
    assert_eq!(signs_in(&mut dora, &alpine, &begin, &with_factor(developer())).await.location(), format!("{LIST}/new"));
    let again = signs_in(&mut console.browser(), &alpine, BEGIN, &with_factor(developer())).await;
    assert_eq!(again.location(), LIST);
}

#[tokio::test]
async fn whom_the_provider_knows_from_before_has_proven_nothing_now() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut dora = console.browser();
    let form = format!("{LIST}/new");
    for (auth_time, is_fresh) in [
        (Some(alpine.now() - 600), false),
        (None, false),
        (Some(alpine.now() - 599), true),
        // A time in the future is treated as the current time.
        (Some(alpine.now() + 3_600), true),
    ] {
        // Also with an existing session: signing in again must not bypass a proof of identity.
        let question = dora.get(&format!("{BEGIN}?next={form}")).await.location().to_owned();
        assert_eq!(parameters(&question)["max_age"], (12 * 3_600).to_string(), "without it there need be no auth_time");
        let code = alpine.grant(&question, &developer(), auth_time);
        assert_eq!(dora.get(&alpine.callback(&question, &code)).await.location(), form);
        let answer = dora.get(&form).await;
        assert_eq!(answer.status == StatusCode::OK, is_fresh, "{auth_time:?}");
        if !is_fresh {
            assert!(answer.location().starts_with("/confirm"), "{}", answer.location());
        }
    }
    console.advance(Duration::from_secs(10 * 60));
    assert_eq!(dora.get(&form).await.status, StatusCode::SEE_OTHER, "a proof from the future lasts no longer");
}

#[tokio::test]
async fn an_address_finds_nobody() {
    let Surroundings { console, alpine, .. } = start().await;
    // An account with a password in the same organization is not linked.
    let mut browser = console.browser();
    let taken = account("eve", "Owner@Alpine.example", &["owners"]);
    let answer = signs_in(&mut browser, &alpine, BEGIN, &taken).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    answer.says("It is not handed over").says("Sign in to it with its password");
    nobody_is_signed_in(&mut browser).await;
    // An account in another organization is rejected with the same response as an address that cannot be used.
    let person = NewPerson {
        organization_id: console.borealis,
        email: "bo@alpine.example",
        name: "Bo Boreal",
        role: Role::PartnerViewer,
        password: PASSWORD,
    };
    console.backend.add_person(person).await.unwrap();
    let elsewhere = account("eve", "bo@alpine.example", &["owners"]);
    let other = signs_in(&mut browser, &alpine, BEGIN, &elsewhere).await;
    let without = Account { subject: "eve", claims: json!({ "groups": ["owners"] }) };
    let none = signs_in(&mut browser, &alpine, BEGIN, &without).await;
    let mut unverified = elsewhere.clone();
    unverified.claims["email_verified"] = false.into();
    unverified.claims["email"] = "eve@alpine.example".into();
    let unverified = signs_in(&mut browser, &alpine, BEGIN, &unverified).await;
    let words = |answer: &Answer| answer.text().split("Request id").next().unwrap().to_owned();
    for answer in [&other, &none, &unverified] {
        assert_eq!((answer.status, words(answer)), (StatusCode::FORBIDDEN, words(&other)));
        assert!(!answer.text().contains("Borealis") && !answer.text().contains("borealis"));
    }
    assert_eq!(events(&console, console.alpine).await.len(), 0);
    assert_eq!(console.owner().await.get(LIST).await.status, StatusCode::OK, "the owner's password is the owner's");
}

#[tokio::test]
async fn a_provider_signs_in_no_user_with_an_address_outside_its_domains() {
    let Surroundings { console, alpine, .. } = start().await;
    for email in [
        "owner@borealis.example",
        "Admin@Nuvera.example",
        "free@attacker.example",
        "eve@sub.alpine.example",
        "eve@alpine.example.attacker.example",
        "eve@notalpine.example",
    ] {
        let mut browser = console.browser();
        let answer = signs_in(&mut browser, &alpine, BEGIN, &account("eve", email, &["owners"])).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{email}");
        answer.says("gave an e-mail address that is not in a domain of your organization");
        nobody_is_signed_in(&mut browser).await;
    }
    assert_eq!(events(&console, console.alpine).await.len(), 0, "no account was made");
    // The owner of the address sees the attempt.
    let history = console.signed_in("owner@borealis.example").await.get("/settings/account").await;
    history.says("Refused: a single sign-on provider used an e-mail address outside its domains");

    // A known user whose address at the provider changes to another domain.
    let mut browser = console.browser();
    let joined = signs_in(&mut browser, &alpine, BEGIN, &developer()).await;
    assert_eq!(joined.location(), LIST, "the control: an address of its own");
    let moved = account("dora", "dora@attacker.example", &["developers"]);
    let answer = signs_in(&mut console.browser(), &alpine, BEGIN, &moved).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    browser.get("/settings/account").await.says("outside its domains");
    // A user whose account has an address from before the domains were configured.
    let mut conn = console.store.write().await.unwrap();
    sqlx::query("UPDATE users SET email = 'dora@attacker.example' WHERE email = 'dora@alpine.example'")
        .execute(&mut *conn)
        .await
        .unwrap();
    conn.commit().await.unwrap();
    let answer = signs_in(&mut console.browser(), &alpine, BEGIN, &developer()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    answer.says("not in a domain of your organization");
}

#[tokio::test]
async fn without_a_role_and_after_a_removal_nobody_gets_in() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut browser = console.browser();
    let none = signs_in(&mut browser, &alpine, BEGIN, &account("dora", "dora@alpine.example", &["hikers"])).await;
    assert_eq!(none.status, StatusCode::FORBIDDEN);
    none.says("gives you no role");
    assert!(role_of(&console, "dora@alpine.example").await.is_none());
    // Alpine's provider cannot grant roles of Nuvera, whatever the claim says.
    let support = account("dora", "dora@alpine.example", &["support", "nuvera_admin"]);
    assert_eq!(signs_in(&mut browser, &alpine, BEGIN, &support).await.status, StatusCode::FORBIDDEN);

    signs_in(&mut browser, &alpine, BEGIN, &developer()).await;
    assert_eq!(browser.get(LIST).await.status, StatusCode::OK);
    let mut conn = console.store.read().await.unwrap();
    let people = server::store::users::of_organization(&mut conn, console.alpine).await.unwrap();
    drop(conn);
    let dora = people.iter().find(|person| person.email == "dora@alpine.example").unwrap().id;
    let mut owner = console.owner().await;
    let removed = owner.post(&format!("/settings/platform/people/{dora}/remove"), &[]).await;
    assert_eq!(removed.status, StatusCode::SEE_OTHER);
    nobody_is_signed_in(&mut browser).await;
    let again = signs_in(&mut browser, &alpine, BEGIN, &developer()).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN);
    again.says("You were removed");
    nobody_is_signed_in(&mut browser).await;
}

#[tokio::test]
async fn a_provider_that_says_no_or_nothing_gets_a_calm_page() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut browser = console.browser();
    let question = browser.get(&format!("{BEGIN}?next={LIST}")).await.location().to_owned();
    let (state, iss) = (&parameters(&question)["state"], &alpine.0.issuer);
    let denied = format!(
        "/sign-in/sso/alpine-id/callback?error=access_denied&error_description=%3Cb%3E&state={state}&iss={iss}"
    );
    let answer = browser.get(&denied).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    answer.says("did not confirm who you are").says("Try Alpine ID again");
    assert!(answer.body.contains(&format!("{BEGIN}?next={LIST}")) && !answer.body.contains("<b>"), "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(browser.get(&denied).await.status, StatusCode::BAD_REQUEST, "once");

    console.advance(Duration::from_secs(15 * 60));
    for flaw in [Flaw::Down, Flaw::TooLarge, Flaw::Redirects] {
        let asked = alpine.has(flaw).0.asked.lock().unwrap().to_owned();
        for _ in 0..3 {
            let answer = browser.get(BEGIN).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{flaw:?}");
            answer.says("does not answer at the moment");
        }
        assert_eq!(*alpine.0.asked.lock().unwrap(), asked + 1, "it is left in peace for a while");
        console.advance(Duration::from_secs(5));
    }
    assert_eq!(browser.get("/sign-in").await.status, StatusCode::OK);
    assert_eq!(signs_in(&mut browser, alpine.has(Flaw::Nothing), BEGIN, &developer()).await.location(), LIST);
    assert_eq!(browser.get("/sign-in/sso/nobody").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/sign-in/sso/nobody/callback?state=x").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_way_on_never_leaves_the_console() {
    let Surroundings { console, alpine, .. } = start().await;
    for elsewhere in ["https://evil.example", "//evil.example", "/%5Cevil.example", "%2F%2Fevil.example"] {
        let begin = format!("{BEGIN}?next={elsewhere}");
        let arrived = signs_in(&mut console.browser(), &alpine, &begin, &developer()).await;
        assert_eq!(arrived.location(), LIST, "{elsewhere}");
    }
}

#[tokio::test]
async fn what_the_id_token_leaves_out_is_asked_for() {
    let Surroundings { console, alpine, .. } = start().await;
    *alpine.0.thin.lock().unwrap() = true;
    assert_eq!(signs_in(&mut console.browser(), &alpine, BEGIN, &developer()).await.location(), LIST);
    assert_eq!(role_of(&console, "dora@alpine.example").await, Some(Role::PartnerDeveloper));
}

#[tokio::test]
async fn a_fresh_proof_is_the_providers_matter_too() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut dora = console.browser();
    signs_in(&mut dora, &alpine, BEGIN, &developer()).await;
    let (id, _) = dora.create("Ledger", PEM_A).await;
    let form = format!("{LIST}/{id}/permissions");
    console.advance(Duration::from_secs(10 * 60));
    let asked = dora.get(&form).await.location().to_owned();
    let confirm = dora.get(&asked).await;
    confirm.says("Confirm with Alpine ID");
    assert!(!confirm.body.contains("type=\"password\""), "she has none");
    let begin = format!("/confirm/sso/alpine-id?next={form}");
    assert!(confirm.body.contains(&begin), "{}", confirm.body);

    let question = dora.get(&begin).await.location().to_owned();
    let asked = parameters(&question);
    assert_eq!((&*asked["prompt"], &*asked["max_age"]), ("login", "0"));
    let ask = async |browser: &mut Browser| browser.get(&begin).await.location().to_owned();
    // A proof that is too old, one without a time, and one of another user.
    for (auth_time, who, words) in [
        (Some(alpine.now() - 61), developer(), "did not ask you anew"),
        (None, developer(), "does not say when you last signed in there"),
        (Some(alpine.now()), account("otto", "otto@alpine.example", &["owners"]), "Somebody else is signed in"),
    ] {
        let question = ask(&mut dora).await;
        let code = alpine.grant(&question, &who, auth_time);
        let answer = dora.get(&alpine.callback(&question, &code)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        answer.says(words);
        assert_eq!(dora.get(&form).await.status, StatusCode::SEE_OTHER, "still to be proven: {words}");
    }
    // A proof response is valid only in the session that requested it.
    let before = dora.cookies.clone();
    let question = ask(&mut dora).await;
    let answer = alpine.answers(&question, &developer());
    assert_eq!(console.owner().await.get(&answer).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(dora.get(&answer).await.location(), form);
    assert_ne!(dora.cookies, before, "the session has a new id");
    assert_eq!(dora.get(&form).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_form_waits_while_the_provider_asks() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut dora = console.browser();
    signs_in(&mut dora, &alpine, BEGIN, &developer()).await;
    let (id, _) = dora.create("Ledger", PEM_A).await;
    let form = format!("{LIST}/{id}/permissions");
    let version = dora.get(&form).await.hidden("version");
    console.advance(Duration::from_secs(10 * 60));
    let fields = [("version", &*version), ("permissions", "CUSTOMERS_READ")];
    let sent = dora.post(&form, &fields).await;
    sent.says("Your form is kept").says("Confirm with Alpine ID");
    let unsent = sent.hidden("unsent").replace("&amp;", "&");
    let on = dora.post("/confirm/sso/alpine-id", &[("next", &form), ("unsent", &unsent)]).await;
    assert_eq!(on.status, StatusCode::OK);
    on.says("Go to Alpine ID");
    let at = on.body.find(&alpine.0.issuer).expect("the way there");
    let question = on.body[at..].split('"').next().unwrap().replace("&amp;", "&");
    // The user cancels at the provider and tries again: the form is still kept.
    let (state, iss) = (&parameters(&question)["state"], &alpine.0.issuer);
    let callback = format!("/sign-in/sso/alpine-id/callback?error=access_denied&state={state}&iss={iss}");
    let cancelled = dora.get(&callback).await;
    assert_eq!(cancelled.hidden("unsent").replace("&amp;", "&"), unsent);
    let on = dora.post("/confirm/sso/alpine-id", &[("next", &form), ("unsent", &unsent)]).await;
    let at = on.body.find(&alpine.0.issuer).expect("the way there");
    let question = on.body[at..].split('"').next().unwrap().replace("&amp;", "&");
    assert_eq!(dora.get(&alpine.answers(&question, &developer())).await.location(), form);
    dora.get(&form).await.says("here is the form as you left it");
    assert_eq!(dora.post(&form, &fields).await.status, StatusCode::SEE_OTHER);
    // A provider that does not know the user cannot confirm them, and without a session there is nothing to confirm.
    let mut owner = console.owner().await;
    assert!(!owner.get("/confirm").await.body.contains("Alpine ID"));
    let question = owner.get("/confirm/sso/alpine-id").await.location().to_owned();
    let answer = owner.get(&alpine.answers(&question, &developer())).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let out = console.browser().get("/confirm/sso/alpine-id").await;
    assert!(out.location().starts_with("/sign-in"), "{}", out.location());
}

#[tokio::test]
async fn what_a_provider_is_bound_to_is_judged_at_the_start() {
    let console = Console::start().await;
    let bind_with = async |organization: &str, role: &str, more: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sso.toml");
        let text = format!(
            "[[issuer]]\nid = 'alpine-id'\nlabel = 'Alpine ID'\nurl = 'https://login.alpine.example'\norganization = \
             '{organization}'\nemail_domains = ['alpine.example']\nclient_id = '{CLIENT}'\nrole_claim = 'groups'\nroles = {{ all = '{role}' }}\n{more}"
        );
        fs::write(&file, text).unwrap();
        let issuers = single_sign_on::read(&file).unwrap();
        let bound =
            single_sign_on::SingleSignOn::bind(issuers, &Authorities::default(), &console.store, console.clock.clone())
                .await;
        bound.map(|bound| bound.issuers()[0].organization()).map_err(|error| error.to_string())
    };
    let bind = async |organization: &str, role: &str| bind_with(organization, role, "").await;
    let alpine = console.alpine.to_string();
    for name in ["Alpine Pay", &*alpine] {
        assert_eq!(bind(name, "partner_viewer").await, Ok(console.alpine));
    }
    assert_eq!(bind_with("Nuvera", "nuvera_auditor", "second_factor = ['mfa']").await, Ok(console.nuvera));
    console.backend.add_organization(OrganizationKind::Partner, "Twin").await.unwrap();
    console.backend.add_organization(OrganizationKind::Partner, "Twin").await.unwrap();
    for (organization, role, words) in [
        ("Nobody Ltd", "partner_viewer", "organization: there is none"),
        ("Customer Co", "partner_viewer", "organization: \"Customer Co\" is a customer platform's"),
        ("Twin", "partner_viewer", "organization: there are several"),
        ("Alpine Pay", "nuvera_admin", "roles: \"Alpine Pay\" does not give the role \"nuvera_admin\""),
        ("Nuvera", "partner_owner", "roles: "),
        ("Nuvera", "nuvera_auditor", "second_factor: say what acr or amr is"),
    ] {
        let problem = bind(organization, role).await.unwrap_err();
        assert!(problem.starts_with(&format!("issuer \"alpine-id\": {words}")), "{problem}");
    }
}

#[tokio::test]
async fn an_e_mail_domain_belongs_to_the_issuers_of_one_organization() {
    let console = Console::start().await;
    let bind = async |organization: &str, domain: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sso.toml");
        let row = |id: &str, organization: &str, domain: &str| {
            format!(
                "[[issuer]]\nid = '{id}'\nlabel = 'ID'\nurl = 'https://{id}.example'\norganization = \
                 '{organization}'\nemail_domains = ['{domain}']\nclient_id = '{CLIENT}'\nrole_claim = 'groups'\n\
                 default_role = 'partner_viewer'\n"
            )
        };
        let text = row("one", "Alpine Pay", "alpine.example") + &row("two", organization, domain);
        fs::write(&file, text).unwrap();
        let issuers = single_sign_on::read(&file).unwrap();
        let bound =
            single_sign_on::SingleSignOn::bind(issuers, &Authorities::default(), &console.store, console.clock.clone())
                .await;
        bound.map(drop).map_err(|error| error.to_string())
    };
    let problem =
        "issuer \"two\": email_domains: \"alpine.example\" is listed by issuer \"one\" of another organization";
    assert_eq!(bind("Borealis Finance", "Alpine.Example").await, Err(problem.to_owned()));
    assert_eq!(bind("Borealis Finance", "borealis.example").await, Ok(()));
    assert_eq!(bind("Alpine Pay", "alpine.example").await, Ok(()), "two providers of one organization");
}

#[tokio::test]
async fn nothing_that_is_secret_on_the_way_is_in_the_database() {
    let Surroundings { console, alpine, .. } = start().await;
    let mut browser = console.browser();
    let question = browser.get(BEGIN).await.location().to_owned();
    let asked = parameters(&question);
    let mut conn = console.store.read().await.unwrap();
    let rows: Vec<String> = sqlx::query_scalar("SELECT data FROM sessions").fetch_all(&mut *conn).await.unwrap();
    drop(conn);
    let kept = rows.join("\n");
    assert!(kept.contains("alpine-id"), "the control: the question is kept there");
    for name in ["state", "nonce", "code_challenge"] {
        assert!(!kept.contains(&asked[name]), "{name}");
    }
    assert_eq!(browser.get(&alpine.answers(&question, &developer())).await.location(), LIST);
    // Anonymous sessions expire and are purged; the signed-in user's remains.
    for _ in 0..5 {
        console.browser().get(BEGIN).await;
    }
    console.advance(Duration::from_secs(15 * 60));
    server::web::sessions(console.store.clone(), console.clock.clone(), Area::Partner).purge().await.unwrap();
    let mut conn = console.store.read().await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sessions").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(left, 1);
    drop(conn);
    assert_eq!(browser.get(LIST).await.status, StatusCode::OK);
}

/// An override of a provider's responses, and its outcome. docs/single-sign-on.md names the rows.
struct Row {
    name: &'static str,
    /// See [`Provider::says`].
    said: Value,
    /// Additional lines in the operator's settings.
    settings: &'static str,
    outcome: Outcome,
}

enum Outcome {
    /// The user is signed in with this role.
    In(Role),
    /// The sign-in is rejected, and the log line contains this text.
    Refused(&'static str),
}

fn row(name: &'static str, said: Value, outcome: Outcome) -> Row {
    row_with(name, said, "", outcome)
}

fn row_with(name: &'static str, said: Value, settings: &'static str, outcome: Outcome) -> Row {
    Row { name, said, settings, outcome }
}

const PROJECT: &str = "329836626744180738";
const ROLES: &str = "urn:zitadel:iam:org:project:roles";

fn discovery_rows() -> Vec<Row> {
    use Outcome::{In, Refused};
    let developer = || In(Role::PartnerDeveloper);
    let optional = json!({
        "response_types_supported": null, "subject_types_supported": "public",
        "id_token_signing_alg_values_supported": [], "scopes_supported": 7, "claims_supported": {},
        "token_endpoint_auth_methods_supported": null, "grant_types_supported": ["urn:new"],
        "response_modes_supported": [""], "display_values_supported": [null], "claim_types_supported": "aggregated",
        "id_token_encryption_alg_values_supported": ["ML-KEM"], "claims_parameter_supported": "false",
        "service_documentation": 3, "op_policy_uri": "", "registration_endpoint": "not a URL",
        "end_session_endpoint": {}, "code_challenge_methods_supported": null, "https://new.example": { "a": [1] },
    });
    let minimal = json!({
        "response_types_supported": ABSENT, "subject_types_supported": ABSENT, "userinfo_endpoint": ABSENT,
        "id_token_signing_alg_values_supported": ABSENT, "authorization_response_iss_parameter_supported": ABSENT,
    });
    let other_keys = json!([
        { "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "first" }, { "kty": "OKP", "crv": "X25519", "x": "AA" },
        { "kty": "RSA", "n": "", "e": "AQAB", "kid": "first" }, { "kty": "oct", "k": "AA", "alg": 7 }, null, "key",
    ]);
    vec![
        row("discovery-minimal", json!({ "discovery": minimal }), developer()),
        row("discovery-optional", json!({ "discovery": optional }), developer()),
        row(
            "discovery-issuer-slash",
            json!({ "discovery": { "issuer": "ISSUER/" }, "id_token": { "iss": "ISSUER/" } }),
            Refused("iss (in the answer): expected \"ISSUER/\", received \"ISSUER\""),
        ),
        row(
            "discovery-issuer-slash-everywhere",
            json!({ "discovery": { "issuer": "ISSUER/", "authorization_response_iss_parameter_supported": false },
                "id_token": { "iss": "ISSUER/" }, "answer": { "iss": ABSENT } }),
            developer(),
        ),
        row(
            "discovery-issuer-other",
            json!({ "discovery": { "issuer": "https://login.other.example" } }),
            Refused(
                "issuer: expected \"ISSUER\", received \"https://login.other.example\"; if that is the provider's name",
            ),
        ),
        row_with(
            "discovery-token-issuers",
            json!({ "discovery": { "issuer": "https://tokens.alpine.example", "authorization_response_iss_parameter_supported": ABSENT },
                "id_token": { "iss": "https://tokens.alpine.example" }, "answer": { "iss": ABSENT } }),
            "token_issuers = ['https://tokens.alpine.example']",
            developer(),
        ),
        row(
            "discovery-issuer-tenants",
            json!({ "discovery": { "issuer": "https://login.example/{tenantid}/v2.0" } }),
            Refused("this document is for every tenant: set url to that of the organization's own"),
        ),
        row(
            "discovery-issuer-missing",
            json!({ "discovery": { "issuer": null } }),
            Refused("issuer: expected \"ISSUER\", received null"),
        ),
        row(
            "discovery-authorization-endpoint",
            json!({ "discovery": { "authorization_endpoint": ABSENT } }),
            Refused("authorization_endpoint: expected a URL, received nothing"),
        ),
        row(
            "discovery-token-endpoint",
            json!({ "discovery": { "token_endpoint": "/token" } }),
            Refused("token_endpoint: expected a URL, received \"/token\""),
        ),
        row(
            "discovery-jwks-uri",
            json!({ "discovery": { "jwks_uri": null } }),
            Refused("jwks_uri: expected a URL, received null"),
        ),
        row("discovery-userinfo-unreadable", json!({ "discovery": { "userinfo_endpoint": 7 } }), developer()),
        row(
            "discovery-userinfo-elsewhere",
            json!({ "discovery": { "userinfo_endpoint": "https://graph.example/me" } }),
            developer(),
        ),
        row(
            "discovery-userinfo-elsewhere-needed",
            json!({ "discovery": { "userinfo_endpoint": "http://127.0.0.1:1/me" }, "id_token": { "email": null } }),
            Refused("127.0.0.1:1 is neither the issuer's host nor in endpoint_hosts"),
        ),
        row(
            "discovery-iss-parameter",
            json!({ "discovery": { "authorization_response_iss_parameter_supported": "true" }, "answer": { "iss": ABSENT } }),
            Refused("iss (in the answer): expected \"ISSUER\", received nothing"),
        ),
        row("keys-unknown-kinds", json!({ "more_keys": other_keys }), developer()),
        row(
            "keys-empty",
            json!({ "keys": { "keys": [] } }),
            Refused("keys (jwks_uri): expected a key for RS, PS, ES or EdDSA signatures, received []"),
        ),
        row(
            "keys-none",
            json!({ "keys": { "keys": ABSENT } }),
            Refused("keys (jwks_uri): expected a key for RS, PS, ES or EdDSA signatures, received nothing"),
        ),
    ]
}

fn token_rows() -> Vec<Row> {
    use Outcome::{In, Refused};
    let developer = || In(Role::PartnerDeveloper);
    let tokens = |said: Value| json!({ "tokens": said });
    let id_token = |said: Value| json!({ "id_token": said });
    vec![
        row("tokens-type", tokens(json!({ "token_type": ABSENT })), developer()),
        row("tokens-type-unreadable", tokens(json!({ "token_type": ["bearer"] })), developer()),
        row("tokens-expires-in", tokens(json!({ "expires_in": "3600" })), developer()),
        row(
            "tokens-others",
            tokens(
                json!({ "expires_in": -1.5, "scope": ["openid"], "refresh_token": null, "session_state": 7, "not-before-policy": "0" }),
            ),
            developer(),
        ),
        row("tokens-access-token", tokens(json!({ "access_token": null })), developer()),
        row(
            "tokens-id-token",
            tokens(json!({ "id_token": ABSENT })),
            Refused("id_token: expected a text, received nothing"),
        ),
        row(
            "tokens-id-token-null",
            tokens(json!({ "id_token": null })),
            Refused("id_token: expected a text, received something else"),
        ),
        row(
            "tokens-id-token-encrypted",
            tokens(json!({ "id_token": "a.b.c.d.e" })),
            Refused("token: expected 3 parts, received 5; it is encrypted: have the provider sign it only"),
        ),
        row(
            "tokens-error",
            tokens(json!({ "error": "invalid_client", "error_description": "canary" })),
            Refused("token endpoint: expected tokens, received error \"invalid_client\"; check client_id"),
        ),
        row("iss-missing", id_token(json!({ "iss": ABSENT })), Refused("iss: expected \"ISSUER\", received nothing")),
        row(
            "iss-other",
            id_token(json!({ "iss": "https://login.other.example" })),
            Refused("iss: expected \"ISSUER\", received \"https://login.other.example\""),
        ),
        row_with(
            "iss-token-issuers",
            id_token(json!({ "iss": "accounts.alpine.example" })),
            "token_issuers = ['accounts.alpine.example']",
            developer(),
        ),
        row("sub-missing", id_token(json!({ "sub": null })), Refused("sub: expected a text, received null")),
        row("sub-empty", id_token(json!({ "sub": "" })), Refused("sub: expected a text, received \"\"")),
        row("sub-number", id_token(json!({ "sub": 7, "email": "seven@alpine.example" })), developer()),
        row("aud-list", id_token(json!({ "aud": [CLIENT] })), developer()),
        row(
            "aud-missing",
            id_token(json!({ "aud": ABSENT })),
            Refused("aud: expected \"nuvera-console\", received nothing"),
        ),
        row("aud-empty", id_token(json!({ "aud": [] })), Refused("aud: expected \"nuvera-console\", received []")),
        row(
            "aud-other",
            id_token(json!({ "aud": "another-console" })),
            Refused("aud: expected \"nuvera-console\", received \"another-console\""),
        ),
        row(
            "aud-several",
            id_token(json!({ "aud": [CLIENT, PROJECT], "azp": CLIENT })),
            Refused(
                "received [\"nuvera-console\",\"329836626744180738\"]; if \"329836626744180738\" is a service of yours, list it in trusted_audiences",
            ),
        ),
        row_with(
            "aud-trusted",
            id_token(json!({ "aud": [CLIENT, PROJECT], "azp": CLIENT })),
            "trusted_audiences = ['329836626744180738']",
            developer(),
        ),
        row_with(
            "aud-trusted-without-azp",
            id_token(json!({ "aud": [PROJECT, CLIENT] })),
            "trusted_audiences = ['329836626744180738']",
            developer(),
        ),
        row_with(
            "aud-trusted-only",
            id_token(json!({ "aud": [PROJECT] })),
            "trusted_audiences = ['329836626744180738']",
            Refused("aud: expected \"nuvera-console\", received [\"329836626744180738\"]"),
        ),
        row_with(
            "azp-trusted-audience",
            id_token(json!({ "aud": [CLIENT, PROJECT], "azp": PROJECT })),
            "trusted_audiences = ['329836626744180738']",
            Refused("azp: expected \"nuvera-console\", received \"329836626744180738\""),
        ),
        row_with(
            "aud-number",
            id_token(json!({ "aud": [CLIENT, 329_836_626_744_180_738_u64, null], "azp": CLIENT })),
            "trusted_audiences = ['329836626744180738']",
            developer(),
        ),
        row(
            "aud-number-untrusted",
            id_token(json!({ "aud": [CLIENT, 7] })),
            Refused("if \"7\" is a service of yours, list it in trusted_audiences"),
        ),
        row("azp-own", id_token(json!({ "azp": CLIENT })), developer()),
        row("azp-null", id_token(json!({ "azp": null })), developer()),
        row(
            "azp-other",
            id_token(json!({ "azp": "another-console" })),
            Refused("azp: expected \"nuvera-console\", received \"another-console\""),
        ),
        row("exp-text", id_token(json!({ "exp": "@text 300" })), developer()),
        row("exp-fraction", id_token(json!({ "exp": "@float 300" })), developer()),
        row("exp-skew", id_token(json!({ "exp": "@int -59" })), developer()),
        row("exp-past", id_token(json!({ "exp": "@text -60" })), Refused("exp: expected a time after ")),
        row("exp-missing", id_token(json!({ "exp": ABSENT })), Refused("exp: expected a time, received nothing")),
        row("exp-unreadable", id_token(json!({ "exp": "soon" })), Refused("exp: expected a time, received \"soon\"")),
        row("iat-text", id_token(json!({ "iat": "@text 0" })), developer()),
        row("iat-date", id_token(json!({ "iat": "@date 0" })), developer()),
        row("iat-missing", id_token(json!({ "iat": null })), Refused("iat: expected a time, received null")),
        row("iat-old", id_token(json!({ "iat": "@int -601" })), Refused("iat: expected a time from ")),
        row("iat-future", id_token(json!({ "iat": "@int 61" })), Refused("iat: expected a time from ")),
        row("nbf-unreadable", id_token(json!({ "nbf": "now" })), developer()),
        row("nbf-past", id_token(json!({ "nbf": "@text -300" })), developer()),
        row("nbf-future", id_token(json!({ "nbf": "@int 61" })), Refused("nbf: expected a time up to ")),
        row("nonce-missing", id_token(json!({ "nonce": ABSENT })), Refused("…, received nothing")),
        row("nonce-other", id_token(json!({ "nonce": "another-nonce" })), Refused("…, received \"another-\"")),
        row("at-hash-missing", id_token(json!({ "at_hash": null })), developer()),
        row("at-hash-other", id_token(json!({ "at_hash": "AAAA" })), Refused("at_hash: expected \"")),
        row("auth-time-missing", id_token(json!({ "auth_time": ABSENT })), developer()),
        row("auth-time-null", id_token(json!({ "auth_time": null })), developer()),
        row("auth-time-unreadable", id_token(json!({ "auth_time": "just now" })), developer()),
        row("acr-amr-unneeded", id_token(json!({ "acr": 0, "amr": { "pwd": true } })), developer()),
    ]
}

fn user_rows() -> Vec<Row> {
    use Outcome::{In, Refused};
    let developer = || In(Role::PartnerDeveloper);
    let id_token = |said: Value| json!({ "id_token": said });
    let unneeded = json!({
        "address": "Main Street 1", "birthdate": 1990, "gender": [], "phone_number": 7, "phone_number_verified": "no",
        "updated_at": "1766492270", "picture": 3, "locale": { "language": "de" }, "website": "not a URL",
        "zoneinfo": null, "profile": [], "nickname": false, "middle_name": null, "sid": 1, "jti": {}, "tid": [null],
        "c_hash": 5, "s_hash": null, "name": 7, "given_name": [], "preferred_username": {}, "https://new.example/x": [[]],
    });
    let eve = |more: Value| {
        let mut said = json!({ "sub": "eve", "email": "eve@alpine.example" });
        said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "id_token": said, "user_info": { "sub": "eve", "email": ABSENT } })
    };
    // Claims that the ID token lacks.
    let thin = |more: Value| {
        let mut said = json!({ "id_token": { "email": ABSENT, "groups": null } });
        said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        said
    };
    let mut loose = unneeded.clone();
    loose.as_object_mut().unwrap().extend([("email_verified".to_owned(), "true".into())]);
    vec![
        row("unneeded", id_token(unneeded), developer()),
        row("email-verified-text", id_token(json!({ "email_verified": "true" })), developer()),
        row("email-verified-number", id_token(json!({ "email_verified": 1 })), developer()),
        row(
            "email-verified-missing",
            id_token(json!({ "sub": "ed", "email": "ed@alpine.example", "email_verified": ABSENT })),
            developer(),
        ),
        row(
            "email-unverified",
            eve(json!({ "email_verified": "false" })),
            Refused(
                "email_verified: expected true, received \"false\"; if you trust its addresses, set accept_unverified_email",
            ),
        ),
        row_with(
            "email-unverified-accepted",
            eve(json!({ "email_verified": "false" })),
            "accept_unverified_email = true",
            developer(),
        ),
        row(
            "email-missing",
            eve(json!({ "email": null })),
            Refused("email: expected an e-mail address, received null"),
        ),
        row("email-unreadable", eve(json!({ "email": 7 })), Refused("email: expected an e-mail address, received 7")),
        row("email-of-a-known-user", id_token(json!({ "email": "dora" })), developer()),
        row(
            "email-foreign",
            eve(json!({ "email": "eve@evil.example" })),
            Refused("email: expected an address in \"alpine.example\", received one in \"evil.example\""),
        ),
        row_with(
            "email-claim",
            eve(json!({ "email": "x@elsewhere.example", "upn": "eve@alpine.example" })),
            "email_claim = 'upn'",
            developer(),
        ),
        row("role-text", id_token(json!({ "groups": "owners" })), In(Role::PartnerOwner)),
        row("role-list", id_token(json!({ "groups": ["x", 7, null, "viewers"] })), In(Role::PartnerViewer)),
        row_with(
            "role-object",
            id_token(json!({ (ROLES): { "developers": { "1": "alpine.example" }, "owners": null } })),
            "role_claim = 'urn:zitadel:iam:org:project:roles'",
            developer(),
        ),
        row_with(
            "role-path",
            id_token(json!({ "realm_access": { "roles": ["viewers"] } })),
            "role_claim = 'realm_access.roles'",
            In(Role::PartnerViewer),
        ),
        row_with(
            "role-space",
            id_token(json!({ "groups": "hikers developers" })),
            "role_separator = 'space'",
            developer(),
        ),
        row_with(
            "role-comma",
            id_token(json!({ "groups": "hikers, owners" })),
            "role_separator = 'comma'",
            In(Role::PartnerOwner),
        ),
        row(
            "role-text-of-several",
            id_token(json!({ "groups": "hikers developers" })),
            Refused(
                "groups: expected one of \"developers\", \"owners\", \"viewers\", received \"hikers developers\"; if that is a list, set role_separator",
            ),
        ),
        row(
            "role-none",
            id_token(json!({ "groups": ["hikers"] })),
            Refused("groups: expected one of \"developers\", \"owners\", \"viewers\", received [\"hikers\"]"),
        ),
        row("role-too-many", id_token(json!({ "groups": ABSENT, "_claim_names": { "groups": "src1" } })), developer()),
        row(
            "role-too-many-everywhere",
            json!({ "id_token": { "groups": ABSENT, "hasgroups": "true" }, "user_info": { "groups": ABSENT } }),
            Refused("received nothing; the provider leaves it out because it is too long"),
        ),
        row_with(
            "role-default",
            id_token(json!({ "groups": ["hikers"] })),
            "default_role = 'partner_viewer'",
            In(Role::PartnerViewer),
        ),
        row("user-info", thin(json!({ "user_info": loose })), developer()),
        row("user-info-signed", thin(json!({ "user_info_answers": "signed" })), developer()),
        row(
            "user-info-signed-for-another",
            thin(json!({ "user_info_answers": "signed", "user_info": { "aud": "another-console" } })),
            Refused("aud: expected \"nuvera-console\", received \"another-console\""),
        ),
        row(
            "user-info-sub-other",
            thin(json!({ "user_info": { "sub": "otto" } })),
            Refused("sub (userinfo): expected \"dora\", received \"otto\""),
        ),
        row(
            "user-info-sub-missing",
            thin(json!({ "user_info": { "sub": null } })),
            Refused("sub (userinfo): expected \"dora\", received null"),
        ),
        row(
            "user-info-down",
            thin(json!({ "user_info_answers": "error" })),
            Refused("userinfo endpoint: expected status 200, received 500"),
        ),
        row("user-info-not-needed", json!({ "user_info_answers": "error" }), developer()),
    ]
}

/// Of the test's own thread.
impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(log.clone());
        (log, tracing::subscriber::set_default(subscriber.finish()))
    }

    /// Returns the lines logged since the last call.
    fn lines(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns the reason for the last rejected sign-in, and discards the lines logged so far.
    fn why(&self) -> Option<String> {
        let lines = self.lines();
        let all = lines.iter().map(Value::to_string).collect::<String>();
        assert!(!all.contains("canary") && !all.contains("code-"), "{all}");
        lines.iter().rev().find_map(|line| Some(line["why"].as_str()?.to_owned()))
    }
}

/// Begins a sign-in, authenticates at the provider as `account` and follows the callback, unless beginning fails
/// already.
async fn tries(console: &Console, provider: &Provider, account: &Account) -> (Browser, Answer) {
    let mut browser = console.browser();
    let begun = browser.get(BEGIN).await;
    if begun.status != StatusCode::SEE_OTHER {
        return (browser, begun);
    }
    let mut callback = provider.answers(begun.location(), account);
    if provider.0.said.lock().unwrap()["answer"]["iss"] == ABSENT {
        callback.truncate(callback.find("&iss=").unwrap());
    }
    let answer = browser.get(&callback).await;
    (browser, answer)
}

#[tokio::test]
async fn what_is_required_tolerated_and_configurable_is_as_documented() {
    let (log, _guard) = Log::start();
    let mut rows: Vec<_> = [discovery_rows(), token_rows(), user_rows()].into_iter().flatten().collect();
    rows.sort_by_key(|row| row.settings);
    for rows in rows.chunk_by(|one, other| one.settings == other.settings) {
        let Surroundings { console, alpine, .. } = start_with(rows[0].settings).await;
        for Row { name, said, outcome, .. } in rows {
            // Lets the cached metadata expire.
            console.advance(Duration::from_secs(15 * 60));
            alpine.says(said.clone());
            let (mut browser, answer) = tries(&console, &alpine, &developer()).await;
            let why = log.why();
            match outcome {
                Outcome::In(role) => {
                    let why = why.unwrap_or_else(|| answer.text());
                    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{name}: {why}");
                    assert_eq!(answer.location(), LIST, "{name}");
                    let page = browser.get("/settings/account").await;
                    page.says(role.label());
                }
                Outcome::Refused(words) => {
                    assert_ne!(answer.status, StatusCode::SEE_OTHER, "{name}");
                    let (why, words) = (why.expect("a line about it"), words.replace("ISSUER", &alpine.0.issuer));
                    assert!(why.contains(&words), "{name}: {words:?} is not in {why:?}");
                    assert!(why.contains("expected ") || why.contains("endpoint_hosts"), "{name}: {why}");
                    nobody_is_signed_in(&mut browser).await;
                }
            }
            // The control: without overrides, the same user signs in.
            alpine.says(Value::Null);
            console.advance(Duration::from_secs(15 * 60));
        }
        if !rows[0].settings.contains("_claim") {
            let (_, answer) = tries(&console, &alpine, &developer()).await;
            assert_eq!(answer.location(), LIST, "{}", rows[0].settings);
        }
        log.lines();
    }
}

#[tokio::test]
async fn the_documentation_names_every_row_and_no_other() {
    const DOCUMENT: &str = include_str!("../../../docs/single-sign-on.md");
    let rows = [discovery_rows(), token_rows(), user_rows()].into_iter().flatten();
    let held: BTreeSet<&str> = rows.map(|row| row.name).collect();
    let (document, _) = DOCUMENT.split_once("## Providers").unwrap();
    let lines = document.lines().filter(|line| line.starts_with('|') && line.contains('`'));
    let last = lines.filter_map(|line| line.trim_end_matches([' ', '|']).rsplit_once('|')).map(|(_, cell)| cell);
    let words = last.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let (functions, named): (BTreeSet<&str>, BTreeSet<&str>) = words.partition(|word| word.contains('_'));
    assert_eq!(named, held);
    const TESTS: [&str; 2] = [include_str!("single_sign_on.rs"), include_str!("../../src/single_sign_on/id_token.rs")];
    for function in functions {
        assert!(TESTS.iter().any(|tests| tests.contains(&format!("fn {function}("))), "{function}");
    }
}

#[tokio::test]
async fn the_client_proves_who_it_is_as_the_provider_or_the_operator_says() {
    for (methods, settings, expected) in [
        (json!(ABSENT), "", "client_secret_basic"),
        (json!(null), "", "client_secret_basic"),
        (json!([]), "", "client_secret_basic"),
        (json!(["private_key_jwt"]), "", "client_secret_basic"),
        (json!(["client_secret_post", "client_secret_basic"]), "", "client_secret_basic"),
        (json!(["private_key_jwt", "client_secret_post", 7]), "", "client_secret_post"),
        (json!("client_secret_post"), "", "client_secret_post"),
        (json!(["client_secret_basic"]), "client_authentication = 'client_secret_post'", "client_secret_post"),
        (json!(["client_secret_post"]), "client_authentication = 'client_secret_basic'", "client_secret_basic"),
    ] {
        let Surroundings { console, alpine, .. } = start_with(settings).await;
        alpine.says(json!({ "discovery": { "token_endpoint_auth_methods_supported": methods } }));
        let (_, answer) = tries(&console, &alpine, &developer()).await;
        assert_eq!(answer.location(), LIST, "{methods}");
        assert_eq!(*alpine.0.authentication.lock().unwrap(), expected, "{methods} {settings}");
    }
}

#[tokio::test]
async fn a_key_that_is_replaced_is_asked_for_once_and_not_too_often() {
    let (log, _guard) = Log::start();
    let Surroundings { console, alpine, .. } = start().await;
    let signs_in = async || tries(&console, &alpine, &developer()).await.1.status;
    let asked = || *alpine.0.asked.lock().unwrap();
    assert_eq!((signs_in().await, asked()), (StatusCode::SEE_OTHER, 1));
    // First with the same key id, then with another one.
    *alpine.0.signs_with.lock().unwrap() = SigningKey::generate();
    assert_eq!((signs_in().await, asked()), (StatusCode::SEE_OTHER, 2));
    *alpine.0.signs_with.lock().unwrap() = SigningKey { id: "second", ..SigningKey::generate() };
    assert_eq!((signs_in().await, asked()), (StatusCode::FORBIDDEN, 2), "it was asked a moment ago");
    let why = log.why().unwrap();
    assert!(why.contains("kid: expected \"first\", of a key for \"ES256\", received \"second\""), "{why}");
    console.advance(Duration::from_secs(30));
    assert_eq!((signs_in().await, asked()), (StatusCode::SEE_OTHER, 3));
    // Invalid signatures do not make the client reload the provider's keys at every attempt.
    alpine.has(Flaw::OtherSignature);
    console.advance(Duration::from_secs(30));
    for _ in 0..3 {
        assert_eq!((signs_in().await, asked()), (StatusCode::FORBIDDEN, 4));
        let why = log.why().unwrap();
        assert!(why.contains("signature: expected one that a key of \"second\" makes"), "{why}");
    }
}

#[tokio::test]
async fn a_provider_that_does_not_say_when_a_user_signed_in_is_named_to_the_operator_and_the_user() {
    let (log, _guard) = Log::start();
    let Surroundings { console, alpine, .. } = start().await;
    alpine.says(json!({ "id_token": { "auth_time": ABSENT } }));
    let (mut dora, answer) = tries(&console, &alpine, &developer()).await;
    assert_eq!(answer.location(), LIST);
    let told = |log: &Log| log.lines().iter().filter(|line| line.to_string().contains("auth_time: expected")).count();
    let first = log.lines().iter().map(Value::to_string).collect::<String>();
    assert!(first.contains("auth_time: expected a time, because max_age was asked for, received nothing"), "{first}");
    assert!(first.contains("set accept_iat_as_auth_time = true"), "{first}");
    tries(&console, &alpine, &developer()).await;
    assert_eq!(told(&log), 0, "once");

    let form = format!("{LIST}/new");
    assert!(dora.get(&form).await.location().starts_with("/confirm"));
    let begin = format!("/confirm/sso/alpine-id?next={form}");
    let answer = signs_in(&mut dora, &alpine, &begin, &developer()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    answer.says("does not say when you last signed in there").says("Trying again does not help").says("Request id");
    assert!(!answer.body.contains("/confirm/sso/"), "no way leads around in a circle: {}", answer.body);
    let why = log.why().unwrap();
    assert!(why.contains("received nothing") && why.contains("set accept_iat_as_auth_time = true"), "{why}");
    assert_eq!(dora.get(&form).await.status, StatusCode::SEE_OTHER, "still to be proven");
    // The control: with the claim, in every format that is accepted.
    for said in ["@int 0", "@text 0", "@float 0", "@date 0"] {
        console.advance(Duration::from_secs(10 * 60));
        assert_eq!(dora.get(&form).await.status, StatusCode::SEE_OTHER, "{said}");
        alpine.says(json!({ "id_token": { "auth_time": said } }));
        assert_eq!(signs_in(&mut dora, &alpine, &begin, &developer()).await.location(), form, "{said}");
        assert_eq!(dora.get(&form).await.status, StatusCode::OK, "{said}");
    }
}

#[tokio::test]
async fn where_the_operator_says_so_a_token_issued_for_a_proof_is_one() {
    let Surroundings { console, alpine, .. } = start_with("accept_iat_as_auth_time = true").await;
    alpine.says(json!({ "id_token": { "auth_time": null } }));
    let (mut dora, answer) = tries(&console, &alpine, &developer()).await;
    assert_eq!(answer.location(), LIST);
    let form = format!("{LIST}/new");
    // A normal sign-in does not force a login: the provider may use an existing session.
    assert!(dora.get(&form).await.location().starts_with("/confirm"));
    let begin = format!("/confirm/sso/alpine-id?next={form}");
    let question = dora.get(&begin).await.location().to_owned();
    assert_eq!(parameters(&question)["prompt"], "login");
    assert_eq!(dora.get(&alpine.answers(&question, &developer())).await.location(), form);
    assert_eq!(dora.get(&form).await.status, StatusCode::OK);
    // If the claim is present it is used, whatever the setting.
    console.advance(Duration::from_secs(10 * 60));
    alpine.says(json!({ "id_token": { "auth_time": "@int -61" } }));
    assert_eq!(signs_in(&mut dora, &alpine, &begin, &developer()).await.status, StatusCode::FORBIDDEN);
    // A token issued before the request is not accepted as a proof.
    alpine.says(json!({ "id_token": { "auth_time": null, "iat": "@int -61" } }));
    assert_eq!(signs_in(&mut dora, &alpine, &begin, &developer()).await.status, StatusCode::FORBIDDEN);
}
