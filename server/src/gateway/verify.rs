//! A request's verification, from its head to its permission, in the order that the module above states.

use super::{
    Gateway,
    framing::HeadNotes,
    receive::{HeldRoom, receive},
    record::Record,
    replay::ReplayError,
    snapshot::{KnownApplication, KnownKey, VerifyingKey},
    usage::Use,
};
use bytes::Bytes;
use domain::{
    api_key::{ApiKeyHash, ApiKeyStatus, check_shape},
    permission::Permission,
    request::{BoundRequest, Claims, FailureKind, MalformedRequest, Refusal, UnverifiedToken, bearer_token},
    route::{Access, RouteMiss, is_path_unambiguous},
    time::Timestamp,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Version,
    header::{AUTHORIZATION, CONNECTION, HOST, USER_AGENT},
    request::Parts,
};
use hyper::body::Incoming;
use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use uuid::{Uuid, fmt::Hyphenated};

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
    /// The room that it takes.
    pub(super) room: HeldRoom,
    /// Its hash, as the token says it.
    pub(super) body_hash: String,
    /// Whether the body was seen, and has that hash.
    pub(super) is_body_verified: bool,
    /// The permission that was needed, where one was.
    pub(super) permission: Option<Permission>,
}

impl Verified {
    /// Who sent the request, in the headers that tell the upstream.
    pub(super) fn identity(&self) -> [(HeaderName, HeaderValue); 3] {
        let application = &self.key.application;
        [
            ("x-nuvera-organization-id", application.organization_id.0),
            ("x-nuvera-application-id", application.id.0),
            ("x-nuvera-key-id", self.key.key.id.0),
        ]
        .map(|(name, id)| (HeaderName::from_static(name), id_header(id)))
    }
}

/// An id as a header's value.
pub(super) fn id_header(id: Uuid) -> HeaderValue {
    let mut text = [0; Hyphenated::LENGTH];
    let id = HeaderValue::from_str(id.hyphenated().encode_lower(&mut text));
    id.expect("a UUID is hexadecimal digits and hyphens")
}

/// A request as it came, or as the edge that asks describes it.
pub(super) struct Presented<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) method: &'a str,
    /// Path and query, as they were sent.
    pub(super) uri: &'a str,
}

/// What is known of the body.
pub(super) enum PresentedBody<'a> {
    /// It is on its way.
    Arriving(&'a mut Incoming),
    /// Somebody who is trusted has seen it, and this is its hash.
    Hashed([u8; 32]),
    /// Nobody has: what the token says of it stays unverified.
    Unseen,
}

impl Gateway {
    /// Verifies a request. Once it is known to be by the application, it counts as a use of its keys, whatever comes after.
    ///
    /// # Errors
    /// The first reason not to let it through.
    pub(super) async fn verify(
        &self,
        presented: Presented<'_>,
        body: PresentedBody<'_>,
        address: IpAddr,
        record: &mut Record<'_>,
    ) -> Result<Verified, Refusal> {
        let Presented { headers, method, uri } = presented;
        let (api_key, token) = credentials(headers)?;
        check_shape(api_key).map_err(|shape| Refusal::InvalidApiKey(Some(shape)))?;
        let hash = self.pepper.hash(api_key);
        let now = self.clock.now();
        let key = self.admit(&hash, now, record)?;

        let token = UnverifiedToken::parse(token)?;
        let claims = token.claims()?;
        record.token_age_seconds = Some(now.as_seconds() - claims.issued_at());
        claims.check(&BoundRequest { api_key, method, uri }, now, self.settings.leeway)?;
        self.check_fence(&claims, now)?;
        let check_blocked = |key: &VerifyingKey| self.snapshot.check_blocked(key);
        // Before the body: who has an API key and no private key shall not have the gateway hold what they send.
        let signed_with = {
            let application = &key.application;
            self.check_failed_signatures(application, address, now)?;
            let Some(signing_key) = application.signed_with(&token, |key| key.verifies(now)) else {
                self.failed_signatures.failed(application.id, address, now);
                return Err(application.invalid_signature(&token, now, check_blocked));
            };
            self.failed_signatures.verified(application.id, address, now);
            check_blocked(signing_key)?;
            signing_key.key.id
        };
        record.signing_key_id = Some(signed_with);

        let (body, room, is_body_verified) = match body {
            PresentedBody::Arriving(body) => {
                let begun = Instant::now();
                let received = receive(body, &self.body_room, &key.application.body_share).await;
                record.receiving = begun.elapsed();
                let received = received?;
                record.body_bytes = Some(received.bytes.len() as u64);
                claims.check_body(&received.sha256)?;
                (received.bytes, received.room, true)
            }
            PresentedBody::Hashed(sha256) => {
                claims.check_body(&sha256)?;
                (Bytes::new(), HeldRoom::default(), true)
            }
            PresentedBody::Unseen => (Bytes::new(), HeldRoom::default(), false),
        };
        // A body takes its time: meanwhile the key may have been revoked, the token may have expired, and the signing key
        // may have been retired. What it verified stays verified.
        let now = self.clock.now();
        let key = self.admit(&hash, now, record)?;
        claims.check_times(now, self.settings.leeway)?;
        let application = &key.application;
        let signing_key = application.signing_key(signed_with).filter(|known| known.key.verifies(now));
        let signing_key = signing_key.ok_or_else(|| application.invalid_signature(&token, now, check_blocked))?;
        check_blocked(signing_key)?;

        self.check_rate(application, now)?;
        let path = uri.split_once('?').map_or(uri, |(path, _)| path);
        let access = self.settings.routes.find(method, path).map_err(|miss| match miss {
            RouteMiss::Path => Refusal::UnknownRoute,
            RouteMiss::Method(allowed) => Refusal::MethodNotAllowed { allowed },
        });
        // A request that no endpoint takes can do nothing, so its `jti` need not be remembered.
        if access.is_ok() {
            self.use_up(&key, &claims, now)?;
        }
        self.usage.record(Use {
            api_key: key.key.id,
            signing_key: signing_key.key.id,
            at: now,
            address,
            user_agent: headers.get(USER_AGENT).map_or(b"", |value| value.as_bytes()),
        });

        let permission = match access? {
            Access::Any => None,
            Access::Needs(needed) if application.permissions.contains(needed) => Some(needed),
            Access::Needs(missing) => return Err(Refusal::PermissionMissing(missing)),
        };
        let (fingerprint, body_hash) = (signing_key.fingerprint.clone(), claims.body_hash().to_owned());
        Ok(Verified { key, fingerprint, body, room, body_hash, is_body_verified, permission })
    }

    /// Refuses a request before the work of verifying its signature where too many did not verify.
    fn check_failed_signatures(
        &self,
        application: &KnownApplication,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.failed_signatures.check(application.id, address, now).map_err(|wait| Refusal::TooManyFailures {
            failure: FailureKind::Signature,
            retry_after_seconds: whole_seconds(wait),
        })
    }

    /// Before the `jti` is used up: whoever is too quick can send the same token again a little later.
    fn check_rate(&self, application: &KnownApplication, now: Timestamp) -> Result<(), Refusal> {
        let Some(limit) = self.settings.rate_limit else { return Ok(()) };
        let taken = application.bucket.take(limit, now);
        taken.map_err(|wait| Refusal::RateLimited { retry_after_seconds: whole_seconds(wait) })
    }

    /// What to tell of a refusal. An address from which too many requests come that name no known key is told only
    /// that. Whoever sends a key that is or was good is told what is wrong, however often: a forgotten deployment must
    /// not hide from its owners, and healthy ones behind the same address must not suffer for it.
    pub(super) fn told(&self, refusal: Refusal, address: IpAddr, record: &Record<'_>) -> Refusal {
        if refusal.status() != 401 || record.key.is_some() {
            return refusal;
        }
        match self.failed_attempts.count(address, self.clock.now()) {
            Ok(()) => refusal,
            Err(wait) => {
                Refusal::TooManyFailures { failure: FailureKind::UnknownKey, retry_after_seconds: whole_seconds(wait) }
            }
        }
    }

    /// The key with this hash, if it works and its application is enabled. Whoever is told more than "unknown" has sent
    /// the whole key.
    fn admit(&self, hash: &ApiKeyHash, now: Timestamp, record: &mut Record<'_>) -> Result<Arc<KnownKey>, Refusal> {
        let key = self.snapshot.find(hash).ok_or(Refusal::InvalidApiKey(None))?;
        record.key = Some(key.clone());
        let status = key.key.status(now);
        if status.is_live()
            && let Some(at) = self.snapshot.deny_list().stops_api_key(key.key.prefix.as_str())
        {
            return Err(Refusal::RevokedApiKey { at });
        }
        match status {
            ApiKeyStatus::Revoked { at } => Err(Refusal::RevokedApiKey { at }),
            ApiKeyStatus::Expired { at } => Err(Refusal::ExpiredApiKey { at }),
            ApiKeyStatus::Active | ApiKeyStatus::Expiring { .. }
                if self.snapshot.is_suspended(key.application.organization_id) =>
            {
                Err(Refusal::OrganizationSuspended)
            }
            ApiKeyStatus::Active | ApiKeyStatus::Expiring { .. }
                if !key.application.enabled || self.snapshot.is_denied(&key.application, now) =>
            {
                // Where its key is blocked, enabling it alone would not help.
                key.application.current_signing_key().map_or(Ok(()), |current| self.snapshot.check_blocked(current))?;
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

/// Rounded up, and at least one: sooner it is too soon.
fn whole_seconds(wait: Duration) -> u64 {
    (wait + Duration::from_nanos(999_999_999)).as_secs().max(1)
}

/// Refuses what two readers could understand in two ways, tunnels, and headers that are not the client's.
///
/// # Errors
/// The first of them.
pub(super) fn check_head(parts: &Parts, notes: HeadNotes) -> Result<(), Refusal> {
    notes.check()?;
    if parts.method == Method::CONNECT {
        return Err(MalformedRequest::Tunnel.into());
    }
    let origin_form =
        parts.uri.scheme().is_none() && parts.uri.authority().is_none() && parts.uri.path().starts_with('/');
    if !origin_form || notes.fragment() {
        return Err(MalformedRequest::Target.into());
    }
    if !is_path_unambiguous(parts.uri.path()) {
        return Err(MalformedRequest::AmbiguousPath.into());
    }
    let hosts = parts.headers.get_all(HOST).iter().count();
    if hosts > 1 || hosts == 0 && parts.version == Version::HTTP_11 {
        return Err(MalformedRequest::Host.into());
    }
    check_identity(&parts.headers)
}

/// Refuses headers that would tell the upstream who sent the request. Other headers that intermediaries add are ignored,
/// overwritten or removed (`proxy.rs`): `X-Request-ID`, `Upgrade`, `X-Forwarded-For`.
///
/// # Errors
/// [`Refusal::ReservedHeader`]
pub(super) fn check_identity(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_identity = |name: &str| begins_with(name, IDENTITY_PREFIX);
    // What was sent is not repeated: it may be anything.
    if named(headers).any(is_identity) { Err(Refusal::ReservedHeader("x-nuvera-…")) } else { Ok(()) }
}

/// The names of all headers, and those that `Connection` names.
fn named(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.keys().map(HeaderName::as_str).chain(connection_options(headers))
}

/// The names in all `Connection` headers: headers that concern this connection only (RFC 9110, 7.6.1).
pub(super) fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Whether a header's name begins with one of ours. CGI and what followed it make one variable of all names that differ only
/// in characters that are neither letters nor digits: those are the same here.
fn begins_with(name: &str, own: &str) -> bool {
    let same = |(a, b): (u8, u8)| a.to_ascii_lowercase() == b || b == b'-' && !a.is_ascii_alphanumeric();
    name.len() >= own.len() && name.bytes().zip(own.bytes()).all(same)
}

/// The API key and the token, of which each must have been sent once.
fn credentials(headers: &HeaderMap) -> Result<(&[u8], &[u8]), Refusal> {
    let api_key = single(headers, &X_API_KEY, "x-api-key")?.filter(|key| !key.is_empty());
    let authorization = single(headers, &AUTHORIZATION, "authorization")?;
    let api_key = api_key.ok_or(Refusal::MissingApiKey)?;
    let token = authorization.and_then(bearer_token).ok_or(Refusal::MissingToken)?;
    Ok((api_key, token))
}

/// The value of a header that may come once.
///
/// # Errors
/// [`Refusal::DuplicateHeader`]
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    told: &'static str,
) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.as_bytes());
    if values.next().is_some() { Err(Refusal::DuplicateHeader(told)) } else { Ok(first) }
}
