//! What becomes of a request: one structured event for whoever runs the gateway, a count for Prometheus, and, where it
//! is known whose request it is, an entry among the application's recent requests. None of them ever holds a key, a
//! token or a body.

use super::{Gateway, snapshot::KnownKey, verify::X_REQUEST_ID};
use crate::random;
use domain::{
    id::{RequestId, SigningKeyId},
    request::{Refusal, SeenRefusal, SeenRequest, in_brief},
    time::Timestamp,
};
use http::{HeaderMap, Method, Uri};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::{Uuid, fmt::Hyphenated};

/// What is known of a request so far. It is written down when this is dropped, so there is an event even for a request
/// whose sender went away.
pub(super) struct Record<'a> {
    gateway: &'a Gateway,
    at: Timestamp,
    started: Instant,
    judged_after: Option<Duration>,
    /// How long the body took to arrive: its sender's time, not the gateway's.
    pub(super) receiving: Duration,
    method: Method,
    uri: Uri,
    address: IpAddr,
    pub(super) request_id: Uuid,
    /// What the client or a proxy sent as the request's id, where it did.
    received_request_id: Option<String>,
    /// The API key that was sent, in whatever state.
    pub(super) key: Option<Arc<KnownKey>>,
    /// What verified the signature.
    pub(super) signing_key_id: Option<SigningKeyId>,
    /// Seconds since the token's `iat`.
    pub(super) token_age_seconds: Option<i64>,
    /// Bytes of the body.
    pub(super) body_bytes: Option<u64>,
    code: &'static str,
    status: u16,
    refused: Option<SeenRefusal>,
}

impl<'a> Record<'a> {
    pub(super) fn new(gateway: &'a Gateway, method: &Method, uri: &Uri, headers: &HeaderMap, address: IpAddr) -> Self {
        let at = gateway.clock.now();
        let received_id = headers.get(X_REQUEST_ID).map(|id| String::from_utf8_lossy(id.as_bytes()));
        Self {
            gateway,
            at,
            started: Instant::now(),
            judged_after: None,
            receiving: Duration::ZERO,
            method: method.clone(),
            uri: uri.clone(),
            address,
            request_id: random::uuid(at),
            received_request_id: received_id.map(|id| in_brief(&id).into_owned()),
            key: None,
            signing_key_id: None,
            token_age_seconds: None,
            body_bytes: None,
            code: SeenRequest::ABANDONED,
            status: 0,
            refused: None,
        }
    }

    /// It is verified, or refused.
    pub(super) fn judged(&mut self) {
        self.judged_after = Some(self.started.elapsed().saturating_sub(self.receiving));
    }

    /// It was let through, and this is the status that was answered.
    pub(super) fn accepted(&mut self, status: u16) {
        self.code = SeenRequest::ACCEPTED;
        self.status = status;
    }

    /// It was refused.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        self.code = refusal.code();
        self.status = refusal.status();
        self.refused = Some(SeenRefusal::new(refusal));
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.gateway.metrics.request(self.code, self.judged_after);
        let micros = self.started.elapsed().as_micros() as u64;
        // Texts and not `Display`s: those are written down piece by piece, which takes several times as long.
        let mut ids = [[0; Hyphenated::LENGTH]; 4];
        let [application_id, organization_id, key_id, request_id] = &mut ids;
        let key = self.key.as_deref();
        let application = key.map(|key| &key.application);
        let address = self.address.to_string();
        // Two targets, so that accepted requests can be left out where there are too many (NUVERA_LOG).
        macro_rules! log_request {
            ($target:literal) => {
                tracing::info!(
                    target: $target,
                    method = &*in_brief(self.method.as_str()),
                    path = &*in_brief(self.uri.path()),
                    code = self.code,
                    status = self.status,
                    client_address = &*address,
                    organization_id = application
                        .map(|application| &*application.organization_id.0.hyphenated().encode_lower(organization_id)),
                    application_id =
                        application.map(|application| &*application.id.0.hyphenated().encode_lower(application_id)),
                    key_id = key.map(|key| &*key.key.id.0.hyphenated().encode_lower(key_id)),
                    request_id = &*self.request_id.hyphenated().encode_lower(request_id),
                    received_request_id = self.received_request_id.as_deref(),
                    micros,
                    "request"
                )
            };
        }
        if self.code == SeenRequest::ACCEPTED {
            log_request!("gateway::accepted");
        } else {
            log_request!("gateway::refused");
        }
        if let Some(key) = key {
            key.application.recent.push(SeenRequest {
                id: RequestId(self.request_id),
                at: self.at,
                method: SeenRequest::kept(self.method.as_str()),
                path: SeenRequest::kept(self.uri.path()),
                status: self.status,
                code: self.code.into(),
                micros,
                address: self.address,
                api_key_id: key.key.id,
                signing_key_id: self.signing_key_id,
                token_age_seconds: self.token_age_seconds,
                body_bytes: self.body_bytes,
                refused: self.refused.take(),
            });
        }
    }
}
