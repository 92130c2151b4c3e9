//! One structured event per request, for whoever runs the gateway. It never holds a key, a token or a query string.

use super::metrics::Metrics;
use domain::{
    id::{ApiKeyId, ApplicationId},
    request::masked,
};
use http::{Method, Uri};
use std::time::{Duration, Instant};
use uuid::{Uuid, fmt::Hyphenated};

/// What is known of a request so far. The event is emitted when this is dropped, so there is one even for a request
/// whose sender went away.
pub(super) struct Record<'a> {
    metrics: &'a Metrics,
    started: Instant,
    judged_after: Option<Duration>,
    method: Method,
    uri: Uri,
    pub(super) request_id: Uuid,
    pub(super) application_id: Option<ApplicationId>,
    pub(super) key_id: Option<ApiKeyId>,
    code: &'static str,
    status: u16,
}

impl<'a> Record<'a> {
    pub(super) fn new(metrics: &'a Metrics, method: &Method, uri: &Uri, request_id: Uuid) -> Self {
        Self {
            metrics,
            started: Instant::now(),
            judged_after: None,
            method: method.clone(),
            uri: uri.clone(),
            request_id,
            application_id: None,
            key_id: None,
            code: "abandoned",
            status: 0,
        }
    }

    /// It is verified, or refused.
    pub(super) fn judged(&mut self) {
        self.judged_after = Some(self.started.elapsed());
    }

    /// How it ended: a refusal's code or `ok`, and the status that was answered.
    pub(super) fn outcome(&mut self, code: &'static str, status: u16) {
        self.code = code;
        self.status = status;
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.metrics.request(self.code, self.judged_after);
        // Texts and not `Display`s: those are written down piece by piece, which takes several times as long.
        let mut ids = [[0; Hyphenated::LENGTH]; 3];
        let [application_id, key_id, request_id] = &mut ids;
        tracing::info!(
            target: "gateway",
            method = &*masked(self.method.as_str()),
            path = &*masked(self.uri.path()),
            code = self.code,
            status = self.status,
            application_id = self.application_id.map(|id| &*id.0.hyphenated().encode_lower(application_id)),
            key_id = self.key_id.map(|id| &*id.0.hyphenated().encode_lower(key_id)),
            request_id = &*self.request_id.hyphenated().encode_lower(request_id),
            micros = self.started.elapsed().as_micros() as u64,
            "request"
        );
    }
}
