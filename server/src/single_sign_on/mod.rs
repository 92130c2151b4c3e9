//! Single sign-on by OpenID Connect: what a provider is asked, and what of its answer is believed.
//!
//! Authorization code flow with PKCE (RFC 7636, S256), `state` and `nonce`; the crate `openidconnect` verifies the ID token.
//! A provider speaks for one organization. What it says of people is believed for that one only.

mod ask;
mod claims;
mod network;
mod settings;

pub use settings::{IssuerSettings, SettingsError, read};

use crate::{
    clock::Clock,
    store::{
        Store, StoreError,
        organizations::{self, OrganizationKind},
    },
};
use ask::AskError;
use chrono::{DateTime, Utc};
use claims::AllClaims;
use domain::{access::Role, actor::ActorKind, id::OrganizationId, sign_in::lifetime, time::Timestamp};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalProviderMetadata, AuthType, AuthenticationContextClass, AuthenticationFlow,
    AuthorizationCode, ClaimsVerificationError, CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IdToken, IdTokenFields, IdTokenVerifier, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    PkceCodeVerifier, ProviderMetadata, RedirectUrl, RequestTokenError, SignatureVerificationError,
    StandardErrorResponse, StandardTokenResponse, SubjectIdentifier, UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreErrorResponseType,
        CoreGenderClaim, CoreGrantType, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
        CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreSubjectIdentifierType, CoreTokenIntrospectionResponse, CoreTokenType,
    },
    url::{Host, Url},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{error::Error, fmt, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// For how long what a provider says of itself is not asked for again. A key that it has begun to use meanwhile is looked
/// for at once.
const METADATA_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// For how long a provider that did not answer is left in peace.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// By how much its clock and ours may disagree.
const SKEW: Duration = Duration::from_secs(60);
/// How old an ID token may be: it comes straight from the provider.
const MAX_TOKEN_AGE: Duration = Duration::from_secs(10 * 60);

/// The algorithms by which an ID token may be signed: none with a secret that both sides know, and never none.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

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
}

/// What is known of a provider at the moment.
#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    Said(Timestamp, Arc<Metadata>),
    Failed(Timestamp, String),
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
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Additional {
    /// RFC 9207, 3.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Additional {}

type Metadata = ProviderMetadata<
    Additional,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type SignedIdToken = IdToken<AllClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

type Tokens = StandardTokenResponse<
    IdTokenFields<
        AllClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type Client = openidconnect::Client<
    AllClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

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
        self.settings.url.as_str()
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

    fn http(&self) -> impl Fn(openidconnect::HttpRequest) -> ask::Answering {
        move |request| self.http.ask(request)
    }

    /// Checks the endpoints that the server itself asks. The keys' was asked already.
    fn check_endpoints(&self, metadata: &Metadata) -> Result<(), AskError> {
        let token = metadata.token_endpoint().map(|endpoint| endpoint.url());
        let user_info = metadata.userinfo_endpoint().map(|endpoint| endpoint.url());
        token.into_iter().chain(user_info).try_for_each(|url| self.http.check(url))
    }

    fn client(&self, metadata: &Metadata, callback: &str) -> Result<Client, Failure> {
        let redirect = RedirectUrl::new(callback.to_owned()).map_err(|error| Failure::Untrusted(error.to_string()))?;
        let IssuerSettings { client_id, client_secret, .. } = &self.settings;
        // OpenID Connect Discovery 1.0, 3: where it does not say how clients show who they are, `client_secret_basic`.
        let takes = |method| metadata.token_endpoint_auth_methods_supported().is_none_or(|all| all.contains(&method));
        let by_basic = takes(CoreClientAuthMethod::ClientSecretBasic) || !takes(CoreClientAuthMethod::ClientSecretPost);
        let client = Client::from_provider_metadata(metadata.clone(), client_id.clone(), client_secret.clone());
        let auth_type = if by_basic { AuthType::BasicAuth } else { AuthType::RequestBody };
        Ok(client.set_redirect_uri(redirect).set_auth_type(auth_type))
    }
}

impl SingleSignOn {
    /// Binds providers to the organizations that they speak for.
    ///
    /// # Errors
    /// The words name the issuer: its organization is none, or several, or does not give its roles. The database fails.
    pub async fn bind(settings: Vec<IssuerSettings>, store: &Store, clock: Clock) -> Result<Self, SettingsError> {
        let mut issuers = Vec::new();
        for settings in settings {
            let found = organizations_named(store, &settings.organization).await;
            let found = found.map_err(|error| SettingsError::new(error.to_string()))?;
            let issuer = bound(settings, &found)?;
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
        let metadata = self.metadata(issuer, false).await?;
        // The browser goes there, to whatever host it is.
        let authorization = metadata.authorization_endpoint().url();
        issuer.http.check_secure(authorization).map_err(|error| Failure::Untrusted(error.to_string()))?;
        let client = issuer.client(&metadata, &question.callback)?;
        let verifier = PkceCodeVerifier::new(question.verifier.clone());
        let (state, nonce) = (CsrfToken::new(question.state.clone()), Nonce::new(question.nonce.clone()));
        let mut request = client
            .authorize_url(AuthenticationFlow::<CoreResponseType>::AuthorizationCode, move || state, move || nonce)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            // The client asks for `openid` by itself.
            .add_scopes(issuer.settings.scopes.iter().filter(|scope| scope.as_str() != "openid").cloned());
        if question.is_proof {
            request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(Duration::ZERO);
        } else {
            // Whoever is asked for an age says when it was: the answer has `auth_time` then.
            request = request.set_max_age(lifetime(issuer.side).absolute);
        }
        for acr in &issuer.settings.acr_values {
            request = request.add_auth_context_value(AuthenticationContextClass::new(acr.clone()));
        }
        let (url, ..) = request.url();
        Ok(url.into())
    }

    /// Whether an answer is this provider's, as far as it says so (RFC 9207): one that another provider gave is not mixed
    /// up with it.
    ///
    /// # Errors
    /// It is another's, or does not say whose it is though this provider always does.
    pub async fn check_sender(&self, issuer: &Issuer, named: Option<&str>) -> Result<(), Failure> {
        match named {
            Some(named) if named == issuer.url() => Ok(()),
            Some(_) => Err(Failure::Untrusted("it comes from another issuer".to_owned())),
            None if self
                .metadata(issuer, false)
                .await?
                .additional_metadata()
                .authorization_response_iss_parameter_supported =>
            {
                Err(Failure::Untrusted("it does not say from which issuer it comes".to_owned()))
            }
            None => Ok(()),
        }
    }

    /// Who the provider says somebody is who brought `code` as the answer to `question`.
    ///
    /// # Errors
    /// The provider does not answer; what it answers is not to be believed; a proof is not fresh.
    pub async fn answer(&self, issuer: &Issuer, question: &Question, code: &str) -> Result<Verified, Failure> {
        let metadata = self.metadata(issuer, false).await?;
        let client = issuer.client(&metadata, &question.callback)?;
        let http = issuer.http();
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned())).map_err(down)?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(question.verifier.clone()));
        let tokens: Tokens = request.request_async(&http).await.map_err(|error| match error {
            // What stands in its description, or in an answer that cannot be read, may be a secret.
            RequestTokenError::ServerResponse(said) => {
                Failure::Untrusted(format!("the code is refused: {:?}", said.error()))
            }
            RequestTokenError::Request(error) => Failure::Down(in_full(&error)),
            RequestTokenError::Parse(..) => Failure::Untrusted("the answer with the tokens cannot be read".to_owned()),
            RequestTokenError::Other(_) => Failure::Untrusted("the answer with the tokens is none".to_owned()),
        })?;
        let token = tokens.extra_fields().id_token();
        let token = token.ok_or_else(|| Failure::Untrusted("there is no ID token".to_owned()))?;
        let (subject, mut claims) = match self.verify(issuer, &metadata, question, token, tokens.access_token()) {
            // It may have begun to sign with another key.
            Err(Unverified::UnknownKey) => {
                let metadata = self.metadata(issuer, true).await?;
                self.verify(issuer, &metadata, question, token, tokens.access_token()).map_err(Failure::from)?
            }
            verified => verified.map_err(Failure::from)?,
        };
        let settings = &issuer.settings;
        let (proven_at, has_second_factor) = (claims::proven_at(&claims), claims::has_second_factor(&claims, settings));
        let is_thin = !claims.contains_key("email") || claims::find(&claims, &settings.role_claim).is_none();
        if is_thin && metadata.userinfo_endpoint().is_some() {
            // Many a provider keeps most of what it knows for this endpoint. What the signed token says comes first.
            for (name, value) in user_info(issuer, &client, tokens.access_token(), &subject).await? {
                claims.entry(name).or_insert(value);
            }
        }
        Ok(Verified {
            email: claims::email(&claims),
            name: claims::name(&claims),
            role: claims::role(&claims, settings),
            subject: subject.to_string(),
            proven_at,
            has_second_factor,
        })
    }

    fn verify(
        &self,
        issuer: &Issuer,
        metadata: &Metadata,
        question: &Question,
        token: &SignedIdToken,
        access_token: &AccessToken,
    ) -> Result<(SubjectIdentifier, Map<String, Value>), Unverified> {
        let now = self.clock.now();
        let settings = &issuer.settings;
        let asked_at = question.is_proof.then_some(question.asked_at);
        // To the verifier every client is a public one: then no secret that the client knows can sign.
        let verifier = IdTokenVerifier::new_public_client(
            settings.client_id.clone(),
            settings.url.clone(),
            metadata.jwks().clone(),
        )
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || date(now))
        .set_issue_time_verifier_fn(move |at| {
            let is_recent = at <= date(now.plus(SKEW)) && at >= date(now.minus(MAX_TOKEN_AGE));
            if is_recent { Ok(()) } else { Err(format!("issued at {at}")) }
        })
        .set_auth_time_verifier_fn(move |at| match (asked_at, at) {
            (None, _) => Ok(()),
            (Some(asked_at), Some(at)) if at >= date(asked_at.minus(SKEW)) && at <= date(now.plus(SKEW)) => Ok(()),
            (Some(_), Some(at)) => Err(format!("they proved it at {at}")),
            (Some(_), None) => Err("there is no auth_time".to_owned()),
        });
        let claims = token.claims(&verifier, &Nonce::new(question.nonce.clone()))?;
        if claims.authorized_party().is_some_and(|party| *party != settings.client_id) {
            return Err(untrusted("azp is another client"));
        }
        if let Some(expected) = claims.access_token_hash() {
            let key = token.signing_key(&verifier).map_err(untrusted)?;
            let algorithm = token.signing_alg().map_err(untrusted)?;
            let found = AccessTokenHash::from_token(access_token, algorithm, key).map_err(untrusted)?;
            if found != *expected {
                return Err(untrusted("at_hash is another access token's"));
            }
        }
        match serde_json::to_value(claims) {
            Ok(Value::Object(all)) => Ok((claims.subject().clone(), all)),
            _ => Err(untrusted("the claims are none")),
        }
    }

    /// What the provider says of itself. Whoever asks meanwhile waits for the same answer.
    async fn metadata(&self, issuer: &Issuer, anew: bool) -> Result<Arc<Metadata>, Failure> {
        let mut known = issuer.known.lock().await;
        let now = self.clock.now();
        match &*known {
            Known::Said(at, metadata) if !anew && *at <= now && now.since(*at) < METADATA_LIFETIME => {
                return Ok(metadata.clone());
            }
            Known::Failed(at, error) if *at <= now && now.since(*at) < PAUSE_AFTER_FAILURE => {
                return Err(Failure::Down(error.clone()));
            }
            _ => {}
        }
        let discovered = Metadata::discover_async(issuer.settings.url.clone(), &issuer.http()).await;
        let checked = discovered.map_err(|error| in_full(&error)).and_then(|metadata| {
            issuer.check_endpoints(&metadata).map_err(|error| in_full(&error))?;
            Ok(metadata)
        });
        match checked {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *known = Known::Said(now, metadata.clone());
                Ok(metadata)
            }
            Err(error) => {
                *known = Known::Failed(now, error.clone());
                Err(Failure::Down(error))
            }
        }
    }
}

async fn user_info(
    issuer: &Issuer,
    client: &Client,
    access_token: &AccessToken,
    subject: &SubjectIdentifier,
) -> Result<Map<String, Value>, Failure> {
    let request = client.user_info(access_token.clone(), Some(subject.clone())).map_err(down)?;
    let claims: UserInfoClaims<AllClaims, CoreGenderClaim> =
        request.request_async(&issuer.http()).await.map_err(down)?;
    match serde_json::to_value(claims) {
        Ok(Value::Object(all)) => Ok(all),
        _ => Err(Failure::Untrusted("what it knows of them cannot be read".to_owned())),
    }
}

/// Why an ID token is not believed.
enum Unverified {
    UnknownKey,
    NotFresh(String),
    Untrusted(String),
}

fn untrusted(why: impl fmt::Display) -> Unverified {
    Unverified::Untrusted(why.to_string())
}

impl From<ClaimsVerificationError> for Unverified {
    fn from(error: ClaimsVerificationError) -> Self {
        match error {
            ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
                Self::UnknownKey
            }
            ClaimsVerificationError::InvalidAuthTime(why) => Self::NotFresh(why),
            error => Self::Untrusted(in_full(&error)),
        }
    }
}

impl From<Unverified> for Failure {
    fn from(why: Unverified) -> Self {
        match why {
            Unverified::UnknownKey => Self::Untrusted("it is signed with an unknown key".to_owned()),
            Unverified::NotFresh(why) => Self::NotFresh(why),
            Unverified::Untrusted(why) => Self::Untrusted(why),
        }
    }
}

fn date(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.as_millis()).unwrap_or_default()
}

fn down(error: impl Error) -> Failure {
    Failure::Down(in_full(&error))
}

/// An error with what caused it: most of these say no more than that something failed.
fn in_full(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words += &format!(": {cause}");
        source = cause.source();
    }
    words
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

fn bound(settings: IssuerSettings, found: &[(OrganizationId, OrganizationKind)]) -> Result<Issuer, SettingsError> {
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
    let http = ask::Client::new(&settings).map_err(|error| SettingsError::new(error.to_string()))?;
    Ok(Issuer { organization, side, http, known: Mutex::default(), settings })
}
