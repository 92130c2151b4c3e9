//! The way to the REST API behind the gateway.

use super::{
    answer::AnswerBody,
    upstream::{SendError, Upstream},
    verify::{Verified, X_API_KEY, X_REQUEST_ID, connection_options, id_header},
};
use bytes::Bytes;
use domain::request::{Refusal, misleading_header};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE,
    },
    request::Parts,
    uri::Scheme,
};
use http_body_util::Full;
use std::{net::IpAddr, sync::Arc, time::Duration};
use uuid::Uuid;

/// Headers that concern one connection only (RFC 9110, 7.6.1), and those that older programs treat so.
const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Passes verified requests on, over kept connections.
pub(super) struct Proxy {
    /// `None` where the configured URI is no `http` origin: then every request is answered "unavailable".
    upstream: Option<(Arc<Upstream>, HeaderValue)>,
    timeout: Duration,
}

impl Proxy {
    pub(super) fn new(upstream: &Uri, timeout: Duration) -> Self {
        let authority = upstream.authority().filter(|_| upstream.scheme() == Some(&Scheme::HTTP));
        let host = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
        let upstream = host.map(|host| (Upstream::new(upstream.clone()), host));
        if upstream.is_none() {
            tracing::error!("the upstream is not an http:// origin and cannot be reached");
        }
        Self { upstream, timeout }
    }

    /// Passes a request on: the path and query as they were sent, without credentials and without headers that mislead, with the identity that was verified, and the address and host as they were seen here. The response's
    /// body is not waited for: it is passed on as it arrives.
    ///
    /// # Errors
    /// [`Refusal::UpstreamUnavailable`] where nothing was sent; [`Refusal::UpstreamFailed`] and
    /// [`Refusal::UpstreamTimeout`] where it may have been, once: another connection is tried only where a kept one ended
    /// before a byte of the request was written to it.
    pub(super) async fn forward(
        &self,
        parts: Parts,
        verified: Verified,
        address: IpAddr,
        request_id: Uuid,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let (upstream, host) = self.upstream.as_ref().ok_or(Refusal::UpstreamUnavailable)?;
        let request =
            request(parts, verified, host.clone(), address, request_id).ok_or(Refusal::UpstreamUnavailable)?;
        let (mut response, connection) = match tokio::time::timeout(self.timeout, upstream.send(request)).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => {
                let refusal = match &error {
                    SendError::Connect(_) => Refusal::UpstreamUnavailable,
                    SendError::Failed(_) => Refusal::UpstreamFailed,
                };
                let code = refusal.code();
                tracing::warn!(%request_id, code, error = &error as &dyn std::error::Error, "the upstream did not answer");
                return Err(refusal);
            }
            Err(_) => return Err(Refusal::UpstreamTimeout),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // The gateway asked for no other protocol: `Upgrade` is never passed on.
            tracing::warn!(%request_id, "the upstream answers in another protocol");
            return Err(Refusal::UpstreamFailed);
        }
        strip_hop_by_hop(response.headers_mut());
        Ok(response.map(|body| AnswerBody::new(body, connection, self.timeout, request_id)))
    }
}

fn request(
    mut parts: Parts,
    verified: Verified,
    host: HeaderValue,
    address: IpAddr,
    request_id: Uuid,
) -> Option<Request<Full<Bytes>>> {
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(parts.uri.path_and_query()?.clone());
    parts.uri = Uri::from_parts(uri).ok()?;
    parts.version = Version::HTTP_11;

    let headers = &mut parts.headers;
    strip_hop_by_hop(headers);
    strip_misleading(headers);
    if let Some(host) = headers.insert(HOST, host) {
        headers.insert(X_FORWARDED_HOST, host);
    }
    // An address is hexadecimal digits, points and colons: every one of them may stand in a header.
    headers.extend(HeaderValue::try_from(address.to_string()).map(|address| (X_FORWARDED_FOR, address)));
    // What hyper keeps of an `Upgrade` that the client asked for.
    parts.extensions.clear();
    // The credentials are ours alone. The connection sets the length; "100 Continue" was answered here.
    for name in [X_API_KEY, AUTHORIZATION, CONTENT_LENGTH, EXPECT] {
        headers.remove(name);
    }
    headers.extend(verified.identity());
    headers.insert(X_REQUEST_ID, id_header(request_id));
    // The room for the body is given back once the bytes have been sent, or are dropped: an answer that comes early does
    // not mean that they are gone.
    Some(Request::from_parts(parts, Full::new(verified.room.tied_to(verified.body))))
}

fn strip_misleading(headers: &mut HeaderMap) {
    let is_misleading = |name: &&HeaderName| misleading_header(name.as_str()).is_some();
    // Most requests have none, and then nothing is allocated.
    let misleading: Vec<HeaderName> = headers.keys().filter(is_misleading).cloned().collect();
    for name in misleading {
        headers.remove(name);
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = connection_options(headers).filter_map(|name| name.parse().ok()).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}
