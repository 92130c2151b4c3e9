//! The way to the REST API behind the gateway.

use super::{
    answer::AnswerBody,
    metrics::UpstreamMetrics,
    rewrite::OwnOrigin,
    upstream::{SendError, Upstream},
    verify::{Verified, X_API_KEY, X_REQUEST_ID, connection_options, id_header},
};
use crate::forwarded::PublicView;
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
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};
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
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The REST API behind the gateway.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// An `http` or `https` origin, whose path is not used.
    pub uri: Uri,
    /// How it is spoken to over TLS; needed with `https`.
    pub tls: Option<Arc<ClientConfig>>,
    /// How long it may take to begin its answer, and how long it may be silent after that.
    pub timeout: Duration,
    /// How long a connection is kept without a request. It must be shorter than the upstream's own time.
    pub idle_timeout: Duration,
}

/// A request's sender and the address it was sent to, as far as they can be believed.
pub(super) struct SeenHere {
    pub(super) address: IpAddr,
    pub(super) request_id: Uuid,
    /// What a trusted proxy says; what it does not say is as in the gateway's own public origin.
    pub(super) view: PublicView,
}

/// Passes verified requests on, over kept connections.
pub(super) struct Proxy {
    /// `None` where the settings lead nowhere: then every request is answered "unavailable".
    target: Option<Target>,
    public: PublicOrigin,
    timeout: Duration,
    metrics: UpstreamMetrics,
}

struct Target {
    upstream: Arc<Upstream>,
    host: HeaderValue,
    own: OwnOrigin,
}

/// Where clients reach the gateway, unless a proxy says otherwise.
struct PublicOrigin {
    scheme: &'static str,
    host: Option<HeaderValue>,
}

impl Target {
    fn new(settings: &UpstreamSettings, metrics: &UpstreamMetrics) -> Option<Self> {
        let uri = &settings.uri;
        let tls = match (uri.scheme()?, &settings.tls) {
            (scheme, None) if *scheme == Scheme::HTTP => None,
            (scheme, Some(config)) if *scheme == Scheme::HTTPS => {
                let name = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
                let mut config = ClientConfig::clone(config);
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                Some((TlsConnector::from(Arc::new(config)), ServerName::try_from(name).ok()?))
            }
            _ => return None,
        };
        let host = HeaderValue::from_str(uri.authority()?.as_str()).ok()?;
        let upstream = Upstream::new(uri.clone(), tls, settings.idle_timeout, metrics.clone());
        Some(Self { upstream, host, own: OwnOrigin::new(uri)? })
    }
}

impl Proxy {
    /// `public_origin` is where clients reach the gateway.
    pub(super) fn new(settings: &UpstreamSettings, public_origin: Option<&Uri>, metrics: UpstreamMetrics) -> Self {
        let target = Target::new(settings, &metrics);
        if target.is_none() {
            tracing::error!("the upstream is no http:// or https:// origin and cannot be reached");
        }
        let is_https = public_origin.is_some_and(|origin| origin.scheme() == Some(&Scheme::HTTPS));
        let authority = public_origin.and_then(Uri::authority);
        let public = PublicOrigin {
            scheme: if is_https { "https" } else { "http" },
            host: authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()),
        };
        Self { target, public, timeout: settings.timeout, metrics }
    }

    /// Passes a request on: the path and query as they were sent, without credentials and without headers that mislead, with the
    /// identity that was verified, and with the client's address and the public scheme and host as they are known here. The
    /// response's body is not waited for: it is passed on as it arrives. Where the upstream's own origin stands in the
    /// response, it is replaced by the public one.
    ///
    /// # Errors
    /// [`Refusal::UpstreamUnavailable`] where nothing was sent; [`Refusal::UpstreamFailed`] and
    /// [`Refusal::UpstreamTimeout`] where it may have been.
    pub(super) async fn forward(
        &self,
        parts: Parts,
        verified: Verified,
        seen: SeenHere,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let Target { upstream, host, own } = self.target.as_ref().ok_or(Refusal::UpstreamUnavailable)?;
        let (address, request_id) = (seen.address, seen.request_id);
        let public = PublicOrigin {
            scheme: seen.view.scheme.unwrap_or(self.public.scheme),
            host: seen.view.host.or_else(|| self.public.host.clone()),
        };
        let request =
            request(parts, verified, host.clone(), address, &public, request_id).ok_or(Refusal::UpstreamUnavailable)?;
        let begun = Instant::now();
        let (mut response, connection) = match tokio::time::timeout(self.timeout, upstream.send(request)).await {
            Ok(Ok(answered)) => {
                self.metrics.answered(begun.elapsed());
                answered
            }
            unanswered => {
                let (refusal, error) = match unanswered {
                    Ok(Err(error @ SendError::Connect(_))) => (Refusal::UpstreamUnavailable, Some(error)),
                    Ok(Err(error @ SendError::Failed(_))) => (Refusal::UpstreamFailed, Some(error)),
                    _ => (Refusal::UpstreamTimeout, None),
                };
                let code = refusal.code();
                self.metrics.request(code, begun.elapsed());
                let error = error.as_ref().map(|error| error as &dyn std::error::Error);
                tracing::warn!(%request_id, code, error, "the upstream did not answer");
                return Err(refusal);
            }
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // The gateway asked for no other protocol: `Upgrade` is never passed on.
            tracing::warn!(%request_id, "the upstream answers in another protocol");
            return Err(Refusal::UpstreamFailed);
        }
        strip_hop_by_hop(response.headers_mut());
        if let Some(host) = public.host.as_ref().and_then(|host| host.to_str().ok()) {
            own.replace(response.headers_mut(), &format!("{}://{host}", public.scheme));
        }
        Ok(response.map(|body| AnswerBody::new(body, connection, self.timeout, request_id)))
    }
}

fn request(
    mut parts: Parts,
    verified: Verified,
    host: HeaderValue,
    address: IpAddr,
    public: &PublicOrigin,
    request_id: Uuid,
) -> Option<Request<Full<Bytes>>> {
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(parts.uri.path_and_query()?.clone());
    parts.uri = Uri::from_parts(uri).ok()?;
    parts.version = Version::HTTP_11;

    let headers = &mut parts.headers;
    strip_hop_by_hop(headers);
    strip_misleading(headers);
    headers.insert(HOST, host);
    headers.extend(public.host.clone().map(|host| (X_FORWARDED_HOST, host)));
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(public.scheme));
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
