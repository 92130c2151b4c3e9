//! What a provider says of itself (OpenID Connect Discovery 1.0, 3): of all its fields only those that are needed are read,
//! and what cannot be read of the others changes nothing.

use super::{
    keys::{self, Key},
    settings::{ClientAuthentication, IssuerSettings},
    values::{boolean, mismatch, one_of, text, texts},
};
use serde_json::{Map, Value};
use url::Url;

/// What is known of a provider.
#[derive(Debug)]
pub struct Metadata {
    /// Its `issuer`, as the `iss` of its tokens says it.
    pub issuer: String,
    /// Where the browser is sent.
    pub authorization_endpoint: Url,
    /// Where a code is exchanged.
    pub token_endpoint: Url,
    /// Where more is known of a user.
    pub userinfo_endpoint: Option<Url>,
    /// How this console proves at the token endpoint which client it is.
    pub client_authentication: ClientAuthentication,
    /// Whether its answers by way of the browser always say whose they are (RFC 9207, 3).
    pub is_named_in_answers: bool,
    /// The keys that it signs with.
    pub keys: Vec<Key>,
}

/// A document before its keys are known.
#[derive(Debug)]
pub struct Document {
    /// Where the keys are.
    pub jwks_uri: Url,
    metadata: Metadata,
}

impl Document {
    /// Reads the document.
    ///
    /// # Errors
    /// The first field that is needed and not usable.
    pub fn read(document: &Map<String, Value>, settings: &IssuerSettings) -> Result<Self, String> {
        let issuer = issuer(document, settings)?;
        let required = |name: &str| endpoint(document, name).ok_or_else(|| mismatch(name, "a URL", document.get(name)));
        let methods = texts(document.get("token_endpoint_auth_methods_supported"));
        let takes = |method: &str| methods.contains(&method);
        let discovered = if takes("client_secret_post") && !takes("client_secret_basic") {
            ClientAuthentication::ClientSecretPost
        } else {
            // What counts where nothing is said.
            ClientAuthentication::ClientSecretBasic
        };
        let named = document.get("authorization_response_iss_parameter_supported");
        let metadata = Metadata {
            authorization_endpoint: required("authorization_endpoint")?,
            token_endpoint: required("token_endpoint")?,
            userinfo_endpoint: endpoint(document, "userinfo_endpoint"),
            client_authentication: settings.client_authentication.unwrap_or(discovered),
            is_named_in_answers: named.and_then(boolean).unwrap_or_default(),
            keys: Vec::new(),
            issuer,
        };
        Ok(Self { jwks_uri: required("jwks_uri")?, metadata })
    }

    /// The endpoints that the server asks at every sign-in.
    pub fn endpoints(&self) -> [&Url; 2] {
        [&self.jwks_uri, &self.metadata.token_endpoint]
    }

    /// Adds the keys (RFC 7517, 5).
    ///
    /// # Errors
    /// There is no key that a token could be verified with.
    pub fn with_keys(self, document: &Map<String, Value>) -> Result<Metadata, String> {
        let keys = keys::read(document);
        if keys.is_empty() {
            let received = document.get("keys");
            return Err(mismatch("keys (jwks_uri)", "a key for RS, PS, ES or EdDSA signatures", received));
        }
        Ok(Metadata { keys, ..self.metadata })
    }
}

impl Metadata {
    /// Whether `issuer` is this provider's name for itself.
    pub fn is_issuer(&self, issuer: &str, settings: &IssuerSettings) -> bool {
        issuer == self.issuer || settings.token_issuers.iter().any(|other| other == issuer)
    }

    /// The names that `iss` may have, for the log.
    pub fn issuers(&self, settings: &IssuerSettings) -> String {
        one_of([&*self.issuer].into_iter().chain(settings.token_issuers.iter().map(String::as_str)))
    }
}

/// Reads `issuer`, which has to be the URL that the operator gave, but for a slash at its end.
fn issuer(document: &Map<String, Value>, settings: &IssuerSettings) -> Result<String, String> {
    let said = text(document, "issuer").unwrap_or_default();
    if said.trim_end_matches('/') == settings.url.trim_end_matches('/')
        || settings.token_issuers.iter().any(|issuer| issuer == said)
    {
        return Ok(said.to_owned());
    }
    let known = one_of([&*settings.url].into_iter().chain(settings.token_issuers.iter().map(String::as_str)));
    let advice = if said.contains("{tenantid}") {
        "; this document is for every tenant: set url to that of the organization's own"
    } else {
        "; if that is the provider's name in its tokens, list it in token_issuers"
    };
    Err(mismatch("issuer", known, document.get("issuer")) + advice)
}

fn endpoint(document: &Map<String, Value>, name: &str) -> Option<Url> {
    Url::parse(text(document, name)?).ok()
}
