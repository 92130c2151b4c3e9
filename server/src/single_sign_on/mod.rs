//! Single sign-on with OpenID Connect: the requests to providers and the validation of their responses.
//!
//! Authorization code flow with PKCE (RFC 7636, S256), `state` and `nonce`. Each provider is bound to one organization,
//! and its assertions are trusted for that organization only.
//!
//! Providers differ in the format of values. Values on which a sign-in depends are validated strictly, and a mismatch
//! is logged; nothing else in a response can cause a rejection (`values.rs`; docs/single-sign-on.md has the table).

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

/// How long a provider's metadata is cached. If a token was signed with an unknown key, it is reloaded earlier.
const METADATA_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Minimum time between two reloads because of tokens that no known key verifies.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// How long no request is sent to a provider after one has failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// The configured identity providers.
#[derive(Default)]
pub struct SingleSignOn {
    issuers: Vec<Issuer>,
    clock: Clock,
}

/// A provider, bound to its organization.
pub struct Issuer {
    settings: IssuerSettings,
    organization: OrganizationId,
    side: ActorKind,
    http: ask::Client,
    known: Mutex<Known>,
    /// Whether it was already logged that the provider's tokens lack `auth_time`.
    is_auth_time_reported: AtomicBool,
}

/// The cached metadata of a provider.
#[derive(Default)]
struct Known {
    metadata: Option<(Timestamp, Result<Arc<Metadata>, String>)>,
    /// When it was last reloaded because of an unknown key.
    refreshed_at: Option<Timestamp>,
}

/// An authorization request. The same values are needed to validate the response.
#[derive(Clone, Debug)]
pub struct Question {
    /// The redirect URI, which is different for each provider.
    pub callback: String,
    /// Returned with the response, to bind it to the browser.
    pub state: String,
    /// Returned inside the ID token, to bind it to the request.
    pub nonce: String,
    /// The PKCE verifier, which proves that the client that redeems the code also requested it.
    pub verifier: String,
    /// The time of the request.
    pub asked_at: Timestamp,
    /// Whether the user must authenticate again, even if they have a session at the provider.
    pub is_proof: bool,
}

/// A user's identity as asserted by the provider and verified.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The provider's identifier of the user.
    pub subject: String,
    /// The e-mail address, unless the provider marks it as unverified.
    pub email: Option<String>,
    /// The display name.
    pub name: Option<String>,
    /// The role, according to the operator's settings.
    pub role: Option<Role>,
    /// When the user last authenticated at the provider, if known.
    pub proven_at: Option<Timestamp>,
    /// Whether they used a second factor, according to the operator's settings.
    pub has_second_factor: bool,
    /// Descriptions of the claims for the log.
    pub log: ForLog,
}

/// Expected and received values of the claims on which an account depends. Contains no e-mail address.
#[derive(Clone, Debug)]
pub struct ForLog {
    /// The claim from which the role follows.
    pub role: String,
    /// The e-mail address.
    pub email: String,
    /// The claims that list the authentication factors.
    pub second_factor: String,
}

/// Reason why a provider's response is rejected. The messages are for the log and contain no code and no token.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The provider cannot be reached, or its response is not that of a provider.
    #[error("the provider does not answer: {0}")]
    Down(String),
    /// The response is not trusted.
    #[error("the answer cannot be trusted: {0}")]
    Untrusted(String),
    /// A re-authentication was requested, but the last authentication is older.
    #[error("the proof is not fresh: {0}")]
    NotFresh(String),
    /// A re-authentication was requested, but the provider does not send its time. Retrying does not help.
    #[error("the proof has no time: {0}")]
    NoAuthTime(String),
}

/// Whether the host of `url` is loopback.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether data sent to `url` cannot be read in transit: it uses TLS, or does not leave the machine.
fn is_secure(url: &Url) -> bool {
    url.scheme() == "https" || url.scheme() == "http" && is_loopback(url)
}

impl Issuer {
    /// Returns the identifier in URLs.
    pub fn id(&self) -> &str {
        &self.settings.id
    }

    /// Returns the display name.
    pub fn label(&self) -> &str {
        &self.settings.label
    }

    /// Returns the issuer URL.
    pub fn url(&self) -> &str {
        &self.settings.url
    }

    /// Returns the domains of the e-mail addresses that it may assert.
    pub fn email_domains(&self) -> &[String] {
        &self.settings.email_domains
    }

    /// Returns the organization to which it is bound.
    pub fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// Returns the side on which its users act.
    pub fn side(&self) -> ActorKind {
        self.side
    }

    /// Fetches a JSON document.
    async fn document(&self, url: Url) -> Result<Claims, String> {
        let name = url.path().to_owned();
        let answer = self.http.send(self.http.get(url)).await.map_err(|error| in_full(&error))?;
        if !answer.status.is_success() {
            return Err(format!("{name}: expected status 200, received {}", answer.status.as_u16()));
        }
        object(&answer.body).ok_or_else(|| format!("{name}: expected a JSON object, received something else"))
    }

    /// Fetches the provider's metadata and keys.
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

    /// Adds the form fields of a token request and the client's authentication (RFC 6749, 2.3.1).
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
    /// Binds providers to their organizations.
    ///
    /// # Errors
    /// The organization of an issuer is unknown, ambiguous, or does not have its roles; or the database fails. The
    /// message names the issuer.
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

    /// Returns the providers in the order of the settings.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// Returns the provider with this id.
    pub fn issuer(&self, id: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.id() == id)
    }

    /// Returns the URL to which the browser must be redirected for an authorization request.
    ///
    /// # Errors
    /// The provider's metadata cannot be loaded, or its authorization endpoint is not secure.
    pub async fn ask(&self, issuer: &Issuer, question: &Question) -> Result<String, Failure> {
        let metadata = self.metadata(issuer).await?;
        let settings = &issuer.settings;
        let mut url = metadata.authorization_endpoint.clone();
        // Only the browser opens this URL, so its host is not restricted.
        issuer.http.check_secure(&url).map_err(|error| Failure::Untrusted(error.to_string()))?;
        let scopes = settings.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid");
        let scope = ["openid"].into_iter().chain(scopes).collect::<Vec<_>>().join(" ");
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, question.verifier.as_bytes()));
        // With `max_age` the response must contain `auth_time`.
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

    /// Checks that a response names this provider, if it names one (RFC 9207). This prevents mix-up with the response
    /// of another provider.
    ///
    /// # Errors
    /// The response names another provider, or none although this provider always does.
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

    /// Exchanges `code`, received in response to `question`, and returns the verified identity of the user.
    ///
    /// # Errors
    /// The provider does not respond, its response is not trusted, or the re-authentication is not recent.
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
            // The provider may have rotated its keys, and may even reuse a key id.
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
            // Many providers return most claims only at this endpoint.
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

    /// Returns the cached or reloaded metadata. Concurrent callers wait for the same response.
    async fn metadata(&self, issuer: &Issuer) -> Result<Arc<Metadata>, Failure> {
        let mut known = issuer.known.lock().await;
        let now = self.clock.now();
        let lasts = |said: &Result<_, _>| if said.is_ok() { METADATA_LIFETIME } else { PAUSE_AFTER_FAILURE };
        match &known.metadata {
            Some((at, said)) if *at <= now && now.since(*at) < lasts(said) => said.clone().map_err(Failure::Down),
            _ => self.discover(issuer, &mut known).await,
        }
    }

    /// Reloads the metadata because no key in `unfit` verifies a token.
    async fn refreshed_metadata(&self, issuer: &Issuer, unfit: &Arc<Metadata>) -> Result<Arc<Metadata>, Failure> {
        let mut known = issuer.known.lock().await;
        let now = self.clock.now();
        match &known.metadata {
            // Another request has reloaded it in the meantime.
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

/// Exchanges a code for tokens (OpenID Connect Core 1.0, 3.1.3). Only the ID token and the access token of the response
/// are used.
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
    // The error description and unreadable responses are not logged, because they may contain a secret.
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

/// Requests further claims of a user from the userinfo endpoint (OpenID Connect Core 1.0, 5.3), in JSON or signed.
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
    // OpenID Connect Core 1.0, 5.3.4: `sub` must match, because no signature binds the access token to the user.
    if claims.get("sub").and_then(identifier).as_deref() != Some(subject) {
        return Err(Failure::Untrusted(mismatch("sub (userinfo)", format!("{subject:?}"), claims.get("sub"))));
    }
    Ok(claims)
}

fn object(body: &[u8]) -> Option<Claims> {
    // Some providers send a byte order mark.
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

/// Rejects an issuer with an e-mail domain that an earlier issuer of another organization lists.
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
