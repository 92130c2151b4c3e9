//! A provider's metadata (OpenID Connect Discovery 1.0, 3). Only the required fields are read; invalid values of other
//! fields are ignored.

use super::{
    keys::{self, Key},
    settings::{ClientAuthentication, IssuerSettings},
    values::{boolean, mismatch, one_of, text, texts},
};
use serde_json::{Map, Value};
use url::Url;

/// A provider's metadata and keys.
#[derive(Debug)]
pub struct Metadata {
    /// The `issuer`, as in the `iss` claim of its tokens.
    pub issuer: String,
    /// The URL to which the browser is redirected.
    pub authorization_endpoint: Url,
    /// The URL at which a code is exchanged for tokens.
    pub token_endpoint: Url,
    /// The URL that returns further claims of a user.
    pub userinfo_endpoint: Option<Url>,
    /// The method by which this console authenticates at the token endpoint.
    pub client_authentication: ClientAuthentication,
    /// Whether its authorization responses always contain `iss` (RFC 9207, 3).
    pub is_named_in_answers: bool,
    /// The keys with which it signs tokens.
    pub keys: Vec<Key>,
}

/// A metadata document whose keys have not been loaded.
#[derive(Debug)]
pub struct Document {
    /// The URL of the provider's keys.
    pub jwks_uri: Url,
    metadata: Metadata,
}

impl Document {
    /// Parses the document.
    ///
    /// # Errors
    /// The first required field that is missing or invalid.
    pub fn read(document: &Map<String, Value>, settings: &IssuerSettings) -> Result<Self, String> {
        let issuer = issuer(document, settings)?;
        let required = |name: &str| endpoint(document, name).ok_or_else(|| mismatch(name, "a URL", document.get(name)));
        let methods = texts(document.get("token_endpoint_auth_methods_supported"));
        let takes = |method: &str| methods.contains(&method);
        let discovered = if takes("client_secret_post") && !takes("client_secret_basic") {
            ClientAuthentication::ClientSecretPost
        } else {
            // The default if the provider does not specify a method.
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

    /// Returns the endpoints to which the server itself sends requests at every sign-in.
    pub fn endpoints(&self) -> [&Url; 2] {
        [&self.jwks_uri, &self.metadata.token_endpoint]
    }

    /// Adds the keys (RFC 7517, 5).
    ///
    /// # Errors
    /// The document contains no key with which a token could be verified.
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
    /// Whether `issuer` is a name of this provider.
    pub fn is_issuer(&self, issuer: &str, settings: &IssuerSettings) -> bool {
        issuer == self.issuer || settings.token_issuers.iter().any(|other| other == issuer)
    }

    /// Returns the accepted values of `iss`, for the log.
    pub fn issuers(&self, settings: &IssuerSettings) -> String {
        one_of([&*self.issuer].into_iter().chain(settings.token_issuers.iter().map(String::as_str)))
    }
}

/// Reads `issuer`, which must equal the URL in the operator's settings except for a trailing slash, or be a listed one.
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
