//! All reasons to reject a request, with the errors that are returned to the client.
//!
//! Quoted values are masked before they get here, so no refusal contains an API key or a token. The state of a key
//! (revoked, expired, application disabled) is disclosed only to clients that sent the complete key. All other clients
//! learn nothing beyond what their own text shows.

use super::{AUDIENCE, ISSUER, MAX_JTI_CHARACTERS, MAX_LIFETIME_SECONDS, MisleadingHeader, TokenProblem};
use crate::{api_key::ApiKeyShapeError, permission::Permission, time::Timestamp};
use std::borrow::Cow;

/// Reason why a request is rejected. `Display` is the detail of the problem: what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // Each variant's message describes it.
pub enum Refusal {
    #[error("{0}")]
    MalformedRequest(MalformedRequest),
    #[error("Send the header `{0}` exactly once.")]
    DuplicateHeader(&'static str),
    #[error("Leave out the header `{0}`, in `Connection` as well: it is the gateway's to set.")]
    ReservedHeader(&'static str),
    #[error(
        "Leave out the header {0}: no signature covers it, and the service could take another method, target or sender from it."
    )]
    MisleadingHeader(MisleadingHeader),
    #[error("Send the whole API key in the header `x-api-key`.")]
    MissingApiKey,
    #[error("Send the signed request token in the header `Authorization: Bearer <token>`.")]
    MissingToken,
    #[error(
        "The value of `x-api-key` is not a valid API key{}.",
        .0.map_or_else(|| ": no application has it. Copy the key again, all of it, or create a replacement".to_owned(), |shape| format!(": {shape}"))
    )]
    InvalidApiKey(Option<ApiKeyShapeError>),
    #[error("This API key was revoked at {at}. Send the key that replaced it, or create a replacement.")]
    RevokedApiKey { at: Timestamp },
    #[error("This API key expired at {at}. Send the key that replaced it, or create a replacement.")]
    ExpiredApiKey { at: Timestamp },
    #[error("Nuvera has suspended your organization. Contact Nuvera support.")]
    OrganizationSuspended,
    #[error("The API application is disabled. Enable it in the console.")]
    ApplicationDisabled,
    #[error("{}", if *.is_replaced {
        "Nuvera blocked the key that signed this request because its private key may have leaked. Sign with the private key that replaced it."
    } else {
        "Nuvera blocked the application's signing key because its private key may have leaked. Replace the signing key in the console, then enable the application."
    })]
    SigningKeyBlocked { is_replaced: bool },
    #[error("The request token cannot be read: {0}.")]
    MalformedToken(#[from] TokenProblem),
    #[error("Sign the request token with RS256; its header's `alg` says {received}.")]
    UnsupportedAlgorithm { received: String },
    #[error("The claim `{claim}` {problem}.")]
    InvalidClaims { claim: &'static str, problem: ClaimProblem },
    #[error("Set the claim `iss` to “{ISSUER}”.")]
    WrongIssuer { received: String },
    #[error("Set the claim `aud` to “{AUDIENCE}”.")]
    WrongAudience { received: String },
    #[error("Set the claim `sub` to the API key that the header `x-api-key` carries, exactly.")]
    SubjectMismatch,
    #[error("Set the claim `method` to the request's method, in upper case as it is sent.")]
    MethodMismatch { expected: String, received: String },
    #[error(
        "Set the claim `uri` to the path and query string exactly as they are sent: same order, same percent-encoding, no scheme, no host."
    )]
    UriMismatch { expected: String, received: String },
    #[error(
        "The token expired at {expired_at}; here it is {}. Sign each request right before sending it, and check your clock.",
        .now.as_seconds()
    )]
    TokenExpired { expired_at: i64, now: Timestamp },
    #[error("The token is valid from {starts_at} on; here it is {}. Check your clock.", .now.as_seconds())]
    TokenNotYetValid { starts_at: i64, now: Timestamp },
    #[error("Set `exp` at most {MAX_LIFETIME_SECONDS} seconds after `iat`; here it is {seconds} seconds later.")]
    TokenLifetimeTooLong { seconds: i64 },
    #[error(
        "The gateway was restarted, and cannot tell whether this token was used before. Sign the request again in {retry_after_seconds} s with a new `jti` and a new `iat`."
    )]
    TokenPredatesStart { retry_after_seconds: u64 },
    #[error("Send a body of at most {max_bytes} bytes.")]
    BodyTooLarge { max_bytes: usize },
    #[error("The body did not arrive in time. Send the request again, signed anew.")]
    BodyTimeout,
    #[error(
        "The gateway cannot hold more bodies at the moment. Send the request again shortly; the token can be sent again while it is valid."
    )]
    BodyCapacity,
    #[error(
        "Set the claim `bodyHash` to the SHA-256 of the body's bytes exactly as they are sent, in lower-case hex; of the empty string where there is no body."
    )]
    BodyHashMismatch { expected: String, received: String },
    #[error("{}", match .0 {
        Some(_) => "The signature is by a signing key that this application no longer accepts. Sign with the private key that replaced it, or restore the earlier signing key in the console.",
        None => "No signing key of this application verifies the signature. Sign with the private key whose public half is registered, over the token's first two segments.",
    })]
    InvalidSignature(Option<RetiredSignature>),
    #[error("The `jti` was used before. Sign every request anew, retries too, with a new random `jti`.")]
    ReplayDetected,
    #[error("The gateway cannot remember more requests at the moment. Send the request again shortly, signed anew.")]
    ReplayCapacity,
    #[error(
        "The application sends more requests than it may. Wait {retry_after_seconds} s, then go on more slowly; the token can be sent again while it is valid."
    )]
    RateLimited { retry_after_seconds: u64 },
    #[error("{}", match failure {
        FailureKind::UnknownKey => format!("Too many requests from your network address named no API key that is known. Wait {retry_after_seconds} s, and check the header `x-api-key`."),
        FailureKind::Signature => format!("Too many requests with this API key from your network address had a signature that does not verify. Wait {retry_after_seconds} s, and sign with the private key whose public half is registered."),
    })]
    TooManyFailures { failure: FailureKind, retry_after_seconds: u64 },
    #[error("No such endpoint. Check the path against the API reference.")]
    UnknownRoute,
    #[error("This endpoint takes other methods: {allowed}. Sign the request anew with one of them.")]
    MethodNotAllowed { allowed: String },
    #[error("This needs the permission {0}, which the application does not have. Its owner can grant it.")]
    PermissionMissing(Permission),
    #[error("The service behind the gateway cannot be reached. Send the request again shortly, signed anew.")]
    UpstreamUnavailable,
    #[error(
        "The service behind the gateway got the request and did not answer it properly. Whether it did what was asked is unknown: look before you send the request again."
    )]
    UpstreamFailed,
    #[error(
        "The service behind the gateway did not answer in time. Whether it did what was asked is unknown: look before you send the request again."
    )]
    UpstreamTimeout,
}

/// The cause of too many failed requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The API key is unknown.
    UnknownKey,
    /// The signature is invalid.
    Signature,
}

/// A signature by a retired signing key of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredSignature {
    /// The fingerprint of the current signing key.
    pub current: String,
    /// The fingerprint of the key with which the request was signed.
    pub signed_with: String,
}

/// Reason why a request is not valid HTTP or uses an unsupported feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // Each variant's message describes it.
pub enum MalformedRequest {
    #[error("Send `Content-Length` or `Transfer-Encoding`, and each once: with both the body's end is ambiguous.")]
    AmbiguousLength,
    #[error("End each line of the request's head with CR LF.")]
    BareLineFeed,
    #[error(
        "Send the request line with a path that starts with “/”: no scheme, no host, no fragment, and nothing that is not UTF-8."
    )]
    Target,
    #[error(
        "Send a path that can be read in one way only: no “.” or “..” segment, no “;” and no backslash, and in escapes valid UTF-8 without “/”, “.”, “?”, “#”, “%”, control characters, or look-alikes of these."
    )]
    AmbiguousPath,
    #[error("Send the header `Host` exactly once.")]
    Host,
    #[error("Tunnels are not offered: send another method than CONNECT.")]
    Tunnel,
    #[error("The body broke off, or is not framed as its headers say.")]
    Body,
}

/// The problem with a claim. The message continues a sentence that starts with the claim's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // Each variant's message describes it.
pub enum ClaimProblem {
    #[error("is missing")]
    Missing,
    #[error("must be a string; it is {found}")]
    NotText { found: &'static str },
    #[error("must be a string, or a list with one string; it is {found}")]
    NotTextOrListOfOne { found: &'static str },
    #[error("must be whole seconds since 1970, as a number; it is {found}")]
    NotSeconds { found: &'static str },
    #[error("must be later than `iat`")]
    NotAfterIat,
    #[error("must have 1 to {MAX_JTI_CHARACTERS} characters; it has {0}")]
    JtiLength(usize),
    #[error("must be a SHA-256 in hex: 64 characters, 0 to 9 and a to f in lower case")]
    NotALowerHexHash,
}

/// The expected and the received value of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison<'a> {
    /// A value that would have been accepted.
    pub expected: Cow<'a, str>,
    /// The value that was received.
    pub received: Cow<'a, str>,
}

/// Generates both the match from a refusal to its facts, which the compiler checks for completeness, and the list of
/// all codes, so that they cannot differ.
macro_rules! facts {
    ($($kind:pat => ($code:literal, $status:literal, $title:literal),)*) => {
        /// Code and HTTP status of every kind of refusal.
        pub const CODES: &'static [(&'static str, u16)] = &[$(($code, $status)),*];

        fn facts(&self) -> (&'static str, u16, &'static str) {
            match self {
                $($kind => ($code, $status, $title),)*
            }
        }
    };
}

impl Refusal {
    /// Returns the stable code for programs.
    pub fn code(&self) -> &'static str {
        self.facts().0
    }

    /// Returns the HTTP status (RFC 9110, 15).
    pub fn status(&self) -> u16 {
        self.facts().1
    }

    /// Returns a short summary that is the same for every occurrence (RFC 9457, 3.1.3).
    pub fn title(&self) -> &'static str {
        self.facts().2
    }

    /// Returns what to do about this occurrence (RFC 9457, 3.1.4). It never contains a key or a token.
    pub fn detail(&self) -> String {
        self.to_string()
    }

    /// Returns the URI that identifies this kind of refusal (RFC 9457, 3.1.1). It cannot be dereferenced.
    pub fn problem_type(&self) -> String {
        format!("urn:nuvera:problem:{}", self.code())
    }

    /// Returns the expected and the received value, if one value was compared with another.
    pub fn comparison(&self) -> Option<Comparison<'_>> {
        let (expected, received): (Cow<'_, str>, Cow<'_, str>) = match self {
            Self::UnsupportedAlgorithm { received } => ("RS256".into(), received.into()),
            Self::WrongIssuer { received } => (ISSUER.into(), received.into()),
            Self::WrongAudience { received } => (AUDIENCE.into(), received.into()),
            Self::MethodMismatch { expected, received }
            | Self::UriMismatch { expected, received }
            | Self::BodyHashMismatch { expected, received } => (expected.into(), received.into()),
            Self::InvalidSignature(Some(RetiredSignature { current, signed_with })) => {
                (current.into(), signed_with.into())
            }
            Self::TokenExpired { expired_at, now } => {
                (format!("exp after {}", now.as_seconds()).into(), format!("exp {expired_at}").into())
            }
            Self::TokenNotYetValid { starts_at, now } => {
                (format!("iat not after {}", now.as_seconds()).into(), format!("iat {starts_at}").into())
            }
            Self::TokenLifetimeTooLong { seconds } => {
                (format!("at most {MAX_LIFETIME_SECONDS} s").into(), format!("{seconds} s").into())
            }
            _ => return None,
        };
        Some(Comparison { expected, received })
    }

    /// Returns the number of seconds after which the same request, signed again, may succeed, if that is known.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::TokenPredatesStart { retry_after_seconds }
            | Self::RateLimited { retry_after_seconds }
            | Self::TooManyFailures { retry_after_seconds, .. } => Some(*retry_after_seconds),
            Self::BodyCapacity | Self::ReplayCapacity | Self::UpstreamUnavailable => Some(1),
            _ => None,
        }
    }

    // Code, status and title of each kind of refusal, defined only here.
    facts! {
            Self::MalformedRequest(_) => ("malformed_request", 400, "Malformed request"),
            Self::DuplicateHeader(_) => ("duplicate_header", 400, "Header sent twice"),
            Self::ReservedHeader(_) => ("reserved_header", 400, "Reserved header"),
            Self::MisleadingHeader(_) => ("misleading_header", 400, "Misleading header"),
            Self::MissingApiKey => ("missing_api_key", 401, "API key missing"),
            Self::MissingToken => ("missing_token", 401, "Request token missing"),
            Self::InvalidApiKey(_) => ("invalid_api_key", 401, "Invalid API key"),
            Self::RevokedApiKey { .. } => ("revoked_api_key", 401, "API key revoked"),
            Self::ExpiredApiKey { .. } => ("expired_api_key", 401, "API key expired"),
            Self::OrganizationSuspended => ("organization_suspended", 403, "Organization suspended"),
            Self::ApplicationDisabled => ("application_disabled", 403, "Application disabled"),
            Self::SigningKeyBlocked { .. } => ("signing_key_blocked", 403, "Signing key blocked"),
            Self::MalformedToken(_) => ("malformed_token", 401, "Malformed request token"),
            Self::UnsupportedAlgorithm { .. } => ("unsupported_algorithm", 401, "Unsupported signature algorithm"),
            Self::InvalidClaims { .. } => ("invalid_claims", 401, "Invalid claims"),
            Self::WrongIssuer { .. } => ("wrong_issuer", 401, "Wrong issuer"),
            Self::WrongAudience { .. } => ("wrong_audience", 401, "Wrong audience"),
            Self::SubjectMismatch => ("subject_mismatch", 401, "Subject is not the API key"),
            Self::MethodMismatch { .. } => ("method_mismatch", 401, "Method differs from the token's"),
            Self::UriMismatch { .. } => ("uri_mismatch", 401, "URI differs from the token's"),
            Self::TokenExpired { .. } => ("token_expired", 401, "Request token expired"),
            Self::TokenNotYetValid { .. } => ("token_not_yet_valid", 401, "Request token not valid yet"),
            Self::TokenLifetimeTooLong { .. } => ("token_lifetime_too_long", 401, "Request token lives too long"),
            Self::TokenPredatesStart { .. } => ("token_predates_start", 401, "Request token predates the start"),
            Self::BodyTooLarge { .. } => ("body_too_large", 413, "Body too large"),
            Self::BodyTimeout => ("body_timeout", 408, "Body too slow"),
            Self::BodyCapacity => ("body_capacity", 503, "Too many bodies to hold"),
            Self::BodyHashMismatch { .. } => ("body_hash_mismatch", 401, "Body differs from the token's hash"),
            Self::InvalidSignature(_) => ("invalid_signature", 401, "Invalid signature"),
            Self::ReplayDetected => ("replay_detected", 401, "Replay detected"),
            Self::ReplayCapacity => ("replay_capacity", 503, "Too many requests to remember"),
            Self::RateLimited { .. } => ("rate_limited", 429, "Too many requests"),
            Self::TooManyFailures { .. } => ("too_many_failures", 429, "Too many failed attempts"),
            Self::UnknownRoute => ("unknown_route", 404, "Unknown endpoint"),
            Self::MethodNotAllowed { .. } => ("method_not_allowed", 405, "Method not allowed"),
            Self::PermissionMissing(_) => ("permission_missing", 403, "Permission missing"),
            Self::UpstreamUnavailable => ("upstream_unavailable", 502, "Service unavailable"),
            Self::UpstreamFailed => ("upstream_failed", 502, "Service failed"),
            Self::UpstreamTimeout => ("upstream_timeout", 504, "Service too slow"),
    }
}

impl From<MalformedRequest> for Refusal {
    fn from(problem: MalformedRequest) -> Self {
        Self::MalformedRequest(problem)
    }
}
