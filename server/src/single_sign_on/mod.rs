//! Single sign-on by OpenID Connect: what a provider is asked, and what of its answer is believed.
//!
//! Authorization code flow with PKCE (RFC 7636, S256), `state` and `nonce`. A provider speaks for one organization. What it
//! says of people is believed for that one only.
//!
//! Providers differ in what they write and how. What a sign-in depends on is checked strictly, and named in the log where it
//! is wrong; nothing else in an answer can fail it (`values.rs`, and docs/single-sign-on.md has the table).

mod ask;
mod claims;
mod discovery;
mod id_token;
mod keys;
mod network;
mod settings;
mod values;

pub use settings::{IssuerSettings, SettingsError, read};

use crate::{
    clock::Clock,
    store::{
        Store, StoreError,
        organizations::{self, OrganizationKind},
    },
    tls::{Authorities, in_full},
};
use ask::AskError;
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use discovery::{Document, Metadata};
use domain::{access::Role, actor::ActorKind, id::OrganizationId, sign_in::lifetime, time::Timestamp};
use id_token::{Claims, Expected, Unverified};
use reqwest::{RequestBuilder, header};
use serde_json::Value;
use settings::ClientAuthentication;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::Mutex;
use url::{Host, Url, form_urlencoded};
use values::{identifier, mismatch, shown, text};

/// For how long what a provider says of itself is not asked for again. A key that it has begun to use meanwhile is looked
/// for at once.
const METADATA_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How often at the most it is asked for again because of a token that no known key verifies.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// For how long a provider that did not answer is left in peace.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The providers by which people can sign in.
#[derive(Default)]
pub struct SingleSignOn {
    issuers: Vec<Issuer>,
    clock: Clock,
}

/// A provider, bound to the organization that it speaks for.
pub struct Issuer {
    settings: IssuerSettings,
    organization: OrganizationId,
    side: ActorKind,
    http: ask::Client,
    known: Mutex<Known>,
    /// Whether the log has it that the provider's tokens lack `auth_time`.
    is_auth_time_reported: AtomicBool,
}

/// What is known of a provider at the moment.
#[derive(Default)]
struct Known {
    metadata: Option<(Timestamp, Result<Arc<Metadata>, String>)>,
    /// When it was asked again because of an unknown key.
    refreshed_at: Option<Timestamp>,
}

/// What is asked of a provider. Whoever brings its answer must be able to ask the same again.
#[derive(Clone, Debug)]
pub struct Question {
    /// Where the answer goes: an address of this console's, one a provider.
    pub callback: String,
    /// Comes back with the answer.
    pub state: String,
    /// Comes back inside the ID token.
    pub nonce: String,
    /// Shows that whoever brings the code has asked for it.
    pub verifier: String,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Whether they have to prove now that it is they, even where the provider knows them still.
    pub is_proof: bool,
}

/// Who somebody is, as the provider says and signs.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What it knows them as.
    pub subject: String,
    /// Their e-mail address, unless it says itself that nobody has verified it.
    pub email: Option<String>,
    /// Their name.
    pub name: Option<String>,
    /// What they are, by the operator's settings.
    pub role: Option<Role>,
    /// When they last proved to the provider who they are, where it says so.
    pub proven_at: Option<Timestamp>,
    /// Whether they did so with a second factor, by the operator's settings.
    pub has_second_factor: bool,
    /// What was expected and received, for the log.
    pub log: ForLog,
}

/// What was expected of the claims that an account depends on, and what was received. Holds no e-mail address.
#[derive(Clone, Debug)]
pub struct ForLog {
    /// Of the claim that the role follows from.
    pub role: String,
    /// Of the e-mail address.
    pub email: String,
    /// Of the claims that say which factors were shown.
    pub second_factor: String,
}

/// Why a provider's answer leads nowhere. The words are for the log: they hold no code and no token.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It cannot be reached, or does not answer as a provider does.
    #[error("the provider does not answer: {0}")]
    Down(String),
    /// What it answered is not to be believed.
    #[error("the answer cannot be trusted: {0}")]
    Untrusted(String),
    /// They were to prove that it is they, and did so too long ago.
    #[error("the proof is not fresh: {0}")]
    NotFresh(String),
    /// They were to prove that it is they, and the provider does not say when they did. Trying again changes nothing.
    #[error("the proof has no time: {0}")]
    NoAuthTime(String),
}

/// Whether the host of `url` is this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether nobody on the way can read what is sent to `url`: by TLS, or because it does not leave the machine.
fn is_secure(url: &Url) -> bool {
    url.scheme() == "https" || url.scheme() == "http" && is_loopback(url)
}

impl Issuer {
    /// Names it in addresses.
    pub fn id(&self) -> &str {
        &self.settings.id
    }

    /// What people call it.
    pub fn label(&self) -> &str {
        &self.settings.label
    }

    /// Its issuer URL.
    pub fn url(&self) -> &str {
        &self.settings.url
    }

    /// The domains of the e-mail addresses that it may assert.
    pub fn email_domains(&self) -> &[String] {
        &self.settings.email_domains
    }

    /// The organization that it speaks for.
    pub fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// On whose side people act whom it knows.
    pub fn side(&self) -> ActorKind {
        self.side
    }

    /// Asks for a document.
    async fn document(&self, url: Url) -> Result<Claims, String> {
        let name = url.path().to_owned();
        let answer = self.http.send(self.http.get(url)).await.map_err(|error| in_full(&error))?;
        if !answer.status.is_success() {
            return Err(format!("{name}: expected status 200, received {}", answer.status.as_u16()));
        }
        object(&answer.body).ok_or_else(|| format!("{name}: expected a JSON object, received something else"))
    }

    /// Asks the provider what it is.
    async fn discover(&self) -> Result<Metadata, String> {
        let url = format!("{}/.well-known/openid-configuration", self.settings.url.trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|error| error.to_string())?;
        let document = Document::read(&self.document(url).await?, &self.settings)?;
        for url in document.endpoints() {
            self.http.check(url).map_err(|error| in_full(&error))?;
        }
        let keys = self.document(document.jwks_uri.clone()).await?;
        document.with_keys(&keys)
    }

    /// Adds the fields of a request for tokens, and proves which client sends it (RFC 6749, 2.3.1).
    fn authenticated(
        &self,
        request: RequestBuilder,
        fields: &[(&str, &str)],
        method: ClientAuthentication,
    ) -> RequestBuilder {
        let IssuerSettings { client_id, client_secret, .. } = &self.settings;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let request = match (client_secret, method) {
            (Some(secret), ClientAuthentication::ClientSecretBasic) => {
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                request.basic_auth(encoded(client_id), Some(encoded(secret.reveal())))
            }
            (Some(secret), ClientAuthentication::ClientSecretPost) => {
                form.append_pair("client_id", client_id).append_pair("client_secret", secret.reveal());
                request
            }
            (None, _) => {
                form.append_pair("client_id", client_id);
                request
            }
        };
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.finish())
    }
}

impl SingleSignOn {
    /// Binds providers to the organizations that they speak for.
    ///
    /// # Errors
    /// The words name the issuer: its organization is none, or several, or does not give its roles. The database fails.
    pub async fn bind(
        settings: Vec<IssuerSettings>,
        authorities: &Authorities,
        store: &Store,
        clock: Clock,
    ) -> Result<Self, SettingsError> {
        let mut issuers = Vec::new();
        for settings in settings {
            let found = organizations_named(store, &settings.organization).await;
            let found = found.map_err(|error| SettingsError::new(error.to_string()))?;
            let issuer = bound(settings, authorities, &found)?;
            has_domains_of_its_own(&issuer, &issuers)?;
            issuers.push(issuer);
        }
        Ok(Self { issuers, clock })
    }

    /// The providers, in the operator's order.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// The provider of this name.
    pub fn issuer(&self, id: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.id() == id)
    }

    /// Where the browser has to go to put a question to the provider.
    ///
    /// # Errors
    /// The provider does not say where that is.
    pub async fn ask(&self, issuer: &Issuer, question: &Question) -> Result<String, Failure> {
        let metadata = self.metadata(issuer).await?;
        let settings = &issuer.settings;
        let mut url = metadata.authorization_endpoint.clone();
        // The browser goes there, to whatever host it is.
        issuer.http.check_secure(&url).map_err(|error| Failure::Untrusted(error.to_string()))?;
        let scopes = settings.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid");
        let scope = ["openid"].into_iter().chain(scopes).collect::<Vec<_>>().join(" ");
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, question.verifier.as_bytes()));
        // Whoever is asked for an age says when it was: the answer has `auth_time` then.
        let max_age = if question.is_proof { 0 } else { lifetime(issuer.side).absolute.as_secs() };
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &question.callback)
            .append_pair("scope", &scope)
            .append_pair("state", &question.state)
            .append_pair("nonce", &question.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("max_age", &max_age.to_string());
        if question.is_proof {
            url.query_pairs_mut().append_pair("prompt", "login");
        }
        if !settings.acr_values.is_empty() {
            url.query_pairs_mut().append_pair("acr_values", &settings.acr_values.join(" "));
        }
        Ok(url.into())
    }

    /// Whether an answer is this provider's, as far as it says so (RFC 9207): one that another provider gave is not mixed
    /// up with it.
    ///
    /// # Errors
    /// It is another's, or does not say whose it is though this provider always does.
    pub async fn check_sender(&self, issuer: &Issuer, named: Option<&str>) -> Result<(), Failure> {
        let metadata = self.metadata(issuer).await?;
        let (settings, received) = (&issuer.settings, named.map(Value::from));
        let wrong =
            || Failure::Untrusted(mismatch("iss (in the answer)", metadata.issuers(settings), received.as_ref()));
        match named {
            Some(named) if metadata.is_issuer(named, settings) => Ok(()),
            None if !metadata.is_named_in_answers => Ok(()),
            _ => Err(wrong()),
        }
    }

    /// Who the provider says somebody is who brought `code` as the answer to `question`.
    ///
    /// # Errors
    /// The provider does not answer; what it answers is not to be believed; a proof is not fresh.
    pub async fn answer(&self, issuer: &Issuer, question: &Question, code: &str) -> Result<Verified, Failure> {
        let (metadata, settings) = (self.metadata(issuer).await?, &issuer.settings);
        let tokens = exchange(issuer, &metadata, question, code).await?;
        let access_token = text(&tokens, "access_token");
        let Some(token) = text(&tokens, "id_token") else {
            let received = if tokens.contains_key("id_token") { "something else" } else { "nothing" };
            return Err(Failure::Untrusted(format!("id_token: expected a text, received {received}")));
        };
        let verify = |metadata: &Metadata| {
            let expected = Expected {
                settings,
                metadata,
                nonce: &question.nonce,
                proof_asked_at: question.is_proof.then_some(question.asked_at),
                access_token,
                now: self.clock.now(),
            };
            id_token::verify(token, &expected)
        };
        let verified = match verify(&metadata) {
            // It may have begun to sign with another key, under whatever id.
            Err(Unverified::Key(_)) => verify(&*self.refreshed_metadata(issuer, &metadata).await?),
            verified => verified,
        };
        let id_token::Verified { subject, proven_at, mut claims } = verified.map_err(Failure::from)?;
        if !question.is_proof && proven_at.is_none() && !issuer.is_auth_time_reported.swap(true, Ordering::Relaxed) {
            tracing::warn!(issuer = issuer.id(), "{}", id_token::auth_time_for_log(settings, &claims));
        }
        let (has_second_factor, second_factor) =
            (claims::has_second_factor(&claims, settings), claims::second_factor_for_log(&claims, settings));
        if claims::is_thin(&claims, settings)
            && let (Some(endpoint), Some(access_token)) = (&metadata.userinfo_endpoint, access_token)
        {
            // Many a provider keeps most of what it knows for this endpoint.
            let more = user_info(issuer, &metadata, endpoint, access_token, &subject).await?;
            claims::complete(&mut claims, more, settings);
        }
        let log = ForLog {
            role: claims::role_for_log(&claims, settings),
            email: claims::email_for_log(&claims, settings),
            second_factor,
        };
        Ok(Verified {
            email: claims::email(&claims, settings).map(ToOwned::to_owned),
            name: claims::name(&claims),
            role: claims::role(&claims, settings),
            subject,
            proven_at,
            has_second_factor,
            log,
        })
    }

    /// What the provider says of itself. Whoever asks meanwhile waits for the same answer.
    async fn metadata(&self, issuer: &Issuer) -> Result<Arc<Metadata>, Failure> {
        let mut known = issuer.known.lock().await;
        let now = self.clock.now();
        let lasts = |said: &Result<_, _>| if said.is_ok() { METADATA_LIFETIME } else { PAUSE_AFTER_FAILURE };
        match &known.metadata {
            Some((at, said)) if *at <= now && now.since(*at) < lasts(said) => said.clone().map_err(Failure::Down),
            _ => self.discover(issuer, &mut known).await,
        }
    }

    /// The same, asked for again because of a token that no key in `unfit` verifies.
    async fn refreshed_metadata(&self, issuer: &Issuer, unfit: &Arc<Metadata>) -> Result<Arc<Metadata>, Failure> {
        let mut known = issuer.known.lock().await;
        let now = self.clock.now();
        match &known.metadata {
            // Another request has asked meanwhile.
            Some((_, Ok(metadata))) if !Arc::ptr_eq(metadata, unfit) => return Ok(metadata.clone()),
            Some((_, Err(error))) => return Err(Failure::Down(error.clone())),
            _ => {}
        }
        if known.refreshed_at.is_some_and(|at| at <= now && now.since(at) < REFRESH_INTERVAL) {
            return Ok(unfit.clone());
        }
        known.refreshed_at = Some(now);
        self.discover(issuer, &mut known).await
    }

    async fn discover(&self, issuer: &Issuer, known: &mut Known) -> Result<Arc<Metadata>, Failure> {
        let discovered = issuer.discover().await.map(Arc::new);
        known.metadata = Some((self.clock.now(), discovered.clone()));
        discovered.map_err(Failure::Down)
    }
}

/// Exchanges a code for tokens (OpenID Connect Core 1.0, 3.1.3). Only the ID token and the access token of the answer are
/// read.
async fn exchange(issuer: &Issuer, metadata: &Metadata, question: &Question, code: &str) -> Result<Claims, Failure> {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &question.callback),
        ("code_verifier", &question.verifier),
    ];
    let request = issuer.http.post(metadata.token_endpoint.clone());
    let request = issuer.authenticated(request, &fields, metadata.client_authentication);
    let answer = issuer.http.send(request).await.map_err(down)?;
    let tokens = object(&answer.body);
    // What stands in its description, or in an answer that cannot be read, may be a secret.
    if let Some(error) = tokens.as_ref().and_then(|tokens| text(tokens, "error")) {
        let error: String = error.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(40).collect();
        let advice = match &*error {
            "invalid_client" | "unauthorized_client" => {
                "; check client_id, the client's secret, and client_authentication"
            }
            _ => "",
        };
        return Err(Failure::Untrusted(format!("token endpoint: expected tokens, received error {error:?}{advice}")));
    }
    match tokens {
        Some(tokens) if answer.status.is_success() => Ok(tokens),
        _ => {
            let words = format!("token endpoint: expected tokens, received status {}", answer.status.as_u16());
            if answer.status.is_server_error() {
                return Err(Failure::Down(words));
            }
            Err(Failure::Untrusted(words + " and no JSON object that says more"))
        }
    }
}

/// Asks what else the provider knows of a user (OpenID Connect Core 1.0, 5.3), in JSON or signed.
async fn user_info(
    issuer: &Issuer,
    metadata: &Metadata,
    endpoint: &Url,
    access_token: &str,
    subject: &str,
) -> Result<Claims, Failure> {
    let request = issuer.http.get(endpoint.clone()).bearer_auth(access_token);
    let answer = issuer.http.send(request).await.map_err(down)?;
    if !answer.status.is_success() {
        let status = answer.status.as_u16();
        return Err(Failure::Down(format!("userinfo endpoint: expected status 200, received {status}")));
    }
    let claims = match (object(&answer.body), std::str::from_utf8(&answer.body)) {
        (Some(claims), _) => claims,
        (None, Ok(token)) if answer.content_type.contains("jwt") => {
            id_token::verify_user_info(token.trim(), &issuer.settings, metadata).map_err(Failure::from)?
        }
        _ => {
            let received = shown(Some(&answer.content_type.as_str().into()));
            let words = format!("userinfo endpoint: expected a JSON object or a signed token, received {received}");
            return Err(Failure::Untrusted(words));
        }
    };
    // OpenID Connect Core 1.0, 5.3.4: whose access token it is, nobody signed.
    if claims.get("sub").and_then(identifier).as_deref() != Some(subject) {
        return Err(Failure::Untrusted(mismatch("sub (userinfo)", format!("{subject:?}"), claims.get("sub"))));
    }
    Ok(claims)
}

fn object(body: &[u8]) -> Option<Claims> {
    // Some providers begin with a byte order mark.
    match serde_json::from_slice(body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)) {
        Ok(Value::Object(all)) => Some(all),
        _ => None,
    }
}

impl From<Unverified> for Failure {
    fn from(why: Unverified) -> Self {
        match why {
            Unverified::Key(why) | Unverified::Untrusted(why) => Self::Untrusted(why),
            Unverified::NotFresh(why) => Self::NotFresh(why),
            Unverified::NoAuthTime(why) => Self::NoAuthTime(why),
        }
    }
}

fn down(error: AskError) -> Failure {
    Failure::Down(in_full(&error))
}

async fn organizations_named(store: &Store, name: &str) -> Result<Vec<(OrganizationId, OrganizationKind)>, StoreError> {
    organizations::named(&mut *store.read().await?, name).await
}

/// Refuses an issuer with an e-mail domain that belongs to another organization by an issuer before it.
fn has_domains_of_its_own(issuer: &Issuer, before: &[Issuer]) -> Result<(), SettingsError> {
    let mut others = before.iter().filter(|other| other.organization != issuer.organization);
    let shared = others.find_map(|other| {
        let domain = issuer.settings.email_domains.iter().find(|domain| other.settings.email_domains.contains(domain));
        Some((domain?, other.id()))
    });
    match shared {
        Some((domain, other)) => Err(SettingsError::new(format!(
            "issuer {:?}: email_domains: {domain:?} is listed by issuer {other:?} of another organization",
            issuer.id()
        ))),
        None => Ok(()),
    }
}

fn bound(
    settings: IssuerSettings,
    authorities: &Authorities,
    found: &[(OrganizationId, OrganizationKind)],
) -> Result<Issuer, SettingsError> {
    let wrong = |key: &str, problem: String| SettingsError::new(format!("issuer {:?}: {key}: {problem}", settings.id));
    let name = &settings.organization;
    let (organization, side) = match found {
        [(id, OrganizationKind::Partner)] => (*id, ActorKind::Partner),
        [(id, OrganizationKind::Nuvera)] => (*id, ActorKind::Nuvera),
        [(_, OrganizationKind::Customer)] => {
            return Err(wrong(
                "organization",
                format!("{name:?} is a customer platform's; its people have no business here"),
            ));
        }
        [] => return Err(wrong("organization", format!("there is none with the name or id {name:?}"))),
        _ => return Err(wrong("organization", format!("there are several with the name {name:?}; give its id"))),
    };
    let mut roles = settings.roles.values().chain(&settings.default_role);
    if let Some(role) = roles.find(|role| !role.is_given_on(side)) {
        return Err(wrong("roles", format!("{name:?} does not give the role {:?}", role.code())));
    }
    if side == ActorKind::Nuvera && settings.second_factor.is_empty() {
        return Err(wrong(
            "second_factor",
            "say what acr or amr is where somebody showed a second factor: Nuvera's people need one".to_owned(),
        ));
    }
    let http = ask::Client::new(&settings, authorities).map_err(|error| SettingsError::new(in_full(&error)))?;
    Ok(Issuer {
        organization,
        side,
        http,
        known: Mutex::default(),
        is_auth_time_reported: AtomicBool::new(false),
        settings,
    })
}
