//! The way to the REST API behind the gateway.

use super::{
    answer::AnswerBody,
    verify::{Verified, X_API_KEY, X_REQUEST_ID, begins_with, connection_options, id_header, is_named},
};
use bytes::Bytes;
use domain::request::Refusal;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE,
    },
    request::Parts,
    uri::{Authority, Scheme},
};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::{net::IpAddr, time::Duration};
use uuid::Uuid;

/// How long an idle connection to the upstream is kept.
const IDLE: Duration = Duration::from_secs(30);

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

/// Headers by which many servers and frameworks are told of another method, target or sender than the request's own. No
/// token covers headers, so whoever stands between could set them: they end here.
const MISLEADING: [&str; 12] = [
    "forwarded",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-rewrite-url",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
];

/// How names begin that tell what an earlier proxy saw: the gateway tells that itself.
const FORWARDED_PREFIX: &str = "x-forwarded-";

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Passes verified requests on, over kept connections.
pub(super) struct Proxy {
    client: Client<HttpConnector, Full<Bytes>>,
    /// `None` where the configured URI is no `http` origin: then every request is answered "unavailable".
    authority: Option<Authority>,
    timeout: Duration,
}

impl Proxy {
    pub(super) fn new(upstream: &Uri, timeout: Duration) -> Self {
        let authority = upstream.authority().filter(|_| upstream.scheme() == Some(&Scheme::HTTP)).cloned();
        if authority.is_none() {
            tracing::error!("the upstream is not an http:// origin and cannot be reached");
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Self { client, authority, timeout }
    }

    /// Passes a request on: the path and query as they were sent, without credentials and without headers that tell
    /// another story, with the identity that was verified, and the address and host as they were seen here. The response's
    /// body is not waited for: it is passed on as it arrives.
    ///
    /// # Errors
    /// [`Refusal::UpstreamUnavailable`] where nothing was sent; [`Refusal::UpstreamFailed`] and
    /// [`Refusal::UpstreamTimeout`] where it may have been, once: the client tries another connection only where a kept
    /// one ended before a byte of the request was written to it.
    pub(super) async fn forward(
        &self,
        parts: Parts,
        mut verified: Verified<'_>,
        address: IpAddr,
        request_id: Uuid,
    ) -> Result<Response<AnswerBody>, Refusal> {
        // Until the answer begins, the body is held: it may have to be sent.
        let _room = std::mem::take(&mut verified.room);
        let request = self.request(parts, verified, address, request_id).ok_or(Refusal::UpstreamUnavailable)?;
        let mut response = match tokio::time::timeout(self.timeout, self.client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let refusal = if error.is_connect() { Refusal::UpstreamUnavailable } else { Refusal::UpstreamFailed };
                let code = refusal.code();
                tracing::warn!(%request_id, code, error = &error as &dyn std::error::Error, "the upstream did not answer");
                return Err(refusal);
            }
            Err(_) => return Err(Refusal::UpstreamTimeout),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked for another protocol: `Upgrade` is refused, and never passed on.
            tracing::warn!(%request_id, "the upstream answers in another protocol");
            return Err(Refusal::UpstreamFailed);
        }
        strip_hop_by_hop(response.headers_mut());
        Ok(response.map(|body| AnswerBody::new(body, self.timeout, request_id)))
    }

    fn request(
        &self,
        mut parts: Parts,
        verified: Verified<'_>,
        address: IpAddr,
        request_id: Uuid,
    ) -> Option<Request<Full<Bytes>>> {
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority.clone()?);
        uri.path_and_query = parts.uri.path_and_query().cloned();
        parts.uri = Uri::from_parts(uri).ok()?;
        parts.version = Version::HTTP_11;

        let headers = &mut parts.headers;
        strip_hop_by_hop(headers);
        strip_misleading(headers);
        if let Some(host) = headers.remove(HOST) {
            headers.insert(X_FORWARDED_HOST, host);
        }
        // An address is hexadecimal digits, points and colons: every one of them may stand in a header.
        headers.extend(HeaderValue::try_from(address.to_string()).map(|address| (X_FORWARDED_FOR, address)));
        // The credentials are ours alone. The client sets host and length anew; "100 Continue" was answered here.
        for name in [X_API_KEY, AUTHORIZATION, CONTENT_LENGTH, EXPECT] {
            headers.remove(name);
        }
        headers.extend(verified.identity());
        headers.insert(X_REQUEST_ID, id_header(request_id));
        Some(Request::from_parts(parts, Full::new(verified.body)))
    }
}

fn strip_misleading(headers: &mut HeaderMap) {
    let is_misleading = |name: &&HeaderName| {
        let name = name.as_str();
        begins_with(name, FORWARDED_PREFIX) || MISLEADING.iter().any(|own| is_named(name, own))
    };
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
