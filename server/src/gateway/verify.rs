//! A request's verification, from its head to its permission, in the order that the module above states.

use super::{
    Gateway, framing::HeadNotes, receive::receive, record::Record, replay::ReplayError, snapshot::KnownKey, usage::Use,
};
use bytes::Bytes;
use domain::{
    api_key::{ApiKeyHash, ApiKeyStatus, check_shape},
    permission::Permission,
    request::{BoundRequest, Claims, MalformedRequest, Refusal, UnverifiedToken, bearer_token},
    route::Access,
    time::Timestamp,
};
use http::{
    HeaderMap, HeaderName, Method, Version,
    header::{AUTHORIZATION, CONNECTION, HOST, UPGRADE, USER_AGENT},
    request::Parts,
};
use hyper::body::Incoming;
use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

/// The header with the API key.
pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The header with the request's id.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How the names of the headers begin that tell the upstream who sent a request.
const IDENTITY_PREFIX: &str = "x-nuvera-";

/// A request that passed every check.
pub(super) struct Verified {
    /// The API key that was sent, and its application.
    pub(super) key: Arc<KnownKey>,
    /// The fingerprint of the signing key that verified.
    pub(super) fingerprint: String,
    /// The body, as it was sent.
    pub(super) body: Bytes,
    /// Its hash, as the token says it.
    pub(super) body_hash: String,
    /// The permission that was needed, where one was.
    pub(super) permission: Option<Permission>,
}

impl Gateway {
    /// Verifies a request. Once its `jti` is used up, it counts as a use of its keys, whatever comes after.
    ///
    /// # Errors
    /// The first reason not to let it through.
    pub(super) async fn verify(
        &self,
        parts: &Parts,
        notes: HeadNotes,
        body: &mut Incoming,
        address: IpAddr,
        record: &mut Record,
    ) -> Result<Verified, Refusal> {
        check_head(parts, notes)?;
        let (api_key, token) = credentials(&parts.headers)?;
        check_shape(api_key).map_err(|shape| Refusal::InvalidApiKey(Some(shape)))?;
        let hash = self.pepper.hash(api_key);
        let now = self.clock.now();
        self.admit(&hash, now, record)?;

        let token = UnverifiedToken::parse(token)?;
        let claims = token.claims()?;
        let uri = parts.uri.path_and_query().map_or("", |uri| uri.as_str());
        let request = BoundRequest { api_key, method: parts.method.as_str(), uri };
        claims.check(&request, now, self.settings.leeway)?;
        self.check_fence(&claims, now)?;

        let body = receive(body, self.settings.max_body_bytes).await?;
        claims.check_body(&body.sha256)?;
        // A body takes its time: meanwhile the key may have been revoked, and the token may have expired.
        let now = self.clock.now();
        let key = self.admit(&hash, now, record)?;
        claims.check_times(now, self.settings.leeway)?;

        let application = &key.application;
        let mut signing_keys = application.signing_keys.iter().filter(|signing_key| signing_key.key.verifies(now));
        let signing_key = signing_keys
            .find(|signing_key| signing_key.verifies(token.signing_input(), token.signature()))
            .ok_or(Refusal::InvalidSignature)?;

        self.use_up(&key, &claims, now)?;
        self.usage.record(Use {
            api_key: key.key.id,
            signing_key: signing_key.key.id,
            at: now,
            address,
            user_agent: parts.headers.get(USER_AGENT).map_or(b"", |value| value.as_bytes()),
        });

        let permission = match self.settings.routes.find(request.method, parts.uri.path()) {
            None => return Err(Refusal::UnknownRoute),
            Some(Access::Any) => None,
            Some(Access::Needs(needed)) if application.permissions.contains(needed) => Some(needed),
            Some(Access::Needs(missing)) => return Err(Refusal::PermissionMissing(missing)),
        };
        let (fingerprint, body_hash) = (signing_key.fingerprint.clone(), claims.body_hash().to_owned());
        Ok(Verified { key, fingerprint, body: body.bytes, body_hash, permission })
    }

    /// The key with this hash, if it works and its application is enabled. Whoever is told more than "unknown" has sent
    /// the whole key.
    fn admit(&self, hash: &ApiKeyHash, now: Timestamp, record: &mut Record) -> Result<Arc<KnownKey>, Refusal> {
        let key = self.snapshot.find(hash).ok_or(Refusal::InvalidApiKey(None))?;
        record.application_id = Some(key.application.id);
        record.key_id = Some(key.key.id);
        match key.key.status(now) {
            ApiKeyStatus::Revoked { at } => Err(Refusal::RevokedApiKey { at }),
            ApiKeyStatus::Expired { at } => Err(Refusal::ExpiredApiKey { at }),
            ApiKeyStatus::Active | ApiKeyStatus::Expiring { .. } if !key.application.enabled => {
                Err(Refusal::ApplicationDisabled)
            }
            ApiKeyStatus::Active | ApiKeyStatus::Expiring { .. } => Ok(key),
        }
    }

    /// Refuses what an earlier run may have accepted.
    fn check_fence(&self, claims: &Claims<'_>, now: Timestamp) -> Result<(), Refusal> {
        match self.fence.refuse_issued_at_or_before {
            Some(fence) if claims.issued_at() <= fence => {
                let seconds = fence.saturating_add(1).saturating_sub(now.as_seconds());
                Err(Refusal::TokenPredatesStart { retry_after_seconds: u64::try_from(seconds).unwrap_or(0).max(1) })
            }
            _ => Ok(()),
        }
    }

    fn use_up(&self, key: &KnownKey, claims: &Claims<'_>, now: Timestamp) -> Result<(), Refusal> {
        // Before the token counts as accepted: a stop in between must not leave a fence that is too low.
        self.latest_issued_at.fetch_max(claims.issued_at(), Ordering::AcqRel);
        let expires_at = claims.expires_at();
        self.replay.reserve(key.application.id, claims.jti(), expires_at, now).map_err(|error| match error {
            ReplayError::Used => Refusal::ReplayDetected,
            ReplayError::TooLate => Refusal::TokenExpired { expired_at: expires_at, now },
            ReplayError::Full => Refusal::ReplayCapacity,
        })
    }
}

/// Refuses what two readers could understand in two ways, what is not offered, and headers that are not the client's.
fn check_head(parts: &Parts, notes: HeadNotes) -> Result<(), Refusal> {
    if notes.ambiguous_length() {
        return Err(MalformedRequest::AmbiguousLength.into());
    }
    if notes.bare_line_feed() {
        return Err(MalformedRequest::BareLineFeed.into());
    }
    if parts.method == Method::CONNECT || parts.headers.contains_key(UPGRADE) {
        return Err(MalformedRequest::Upgrade.into());
    }
    let origin_form =
        parts.uri.scheme().is_none() && parts.uri.authority().is_none() && parts.uri.path().starts_with('/');
    if !origin_form || notes.fragment() {
        return Err(MalformedRequest::Target.into());
    }
    let hosts = parts.headers.get_all(HOST).iter().count();
    if hosts > 1 || hosts == 0 && parts.version == Version::HTTP_11 {
        return Err(MalformedRequest::Host.into());
    }
    let names = parts.headers.keys().map(HeaderName::as_str).chain(connection_options(&parts.headers));
    if let Some(reserved) = names.filter_map(reserved).next() {
        return Err(Refusal::ReservedHeader(reserved));
    }
    Ok(())
}

/// The names in all `Connection` headers: headers that concern this connection only (RFC 9110, 7.6.1).
pub(super) fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Which of the gateway's own headers `name` stands for. Some servers take `_` for `-` (CGI began it), so both are the
/// same here. What was sent is not repeated: it may be anything.
fn reserved(name: &str) -> Option<&'static str> {
    let same = |(a, b): (u8, u8)| a.to_ascii_lowercase() == b || a == b'_' && b == b'-';
    let begins_with = |own: &str| name.len() >= own.len() && name.bytes().zip(own.bytes()).all(same);
    if begins_with(IDENTITY_PREFIX) {
        return Some("x-nuvera-…");
    }
    let request_id = "x-request-id";
    (name.len() == request_id.len() && begins_with(request_id)).then_some(request_id)
}

/// The API key and the token, of which each must have been sent once.
fn credentials(headers: &HeaderMap) -> Result<(&[u8], &[u8]), Refusal> {
    let api_key = single(headers, &X_API_KEY, "x-api-key")?.filter(|key| !key.is_empty());
    let authorization = single(headers, &AUTHORIZATION, "authorization")?;
    let api_key = api_key.ok_or(Refusal::MissingApiKey)?;
    let token = authorization.and_then(bearer_token).ok_or(Refusal::MissingToken)?;
    Ok((api_key, token))
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName, told: &'static str) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.as_bytes());
    if values.next().is_some() { Err(Refusal::DuplicateHeader(told)) } else { Ok(first) }
}
