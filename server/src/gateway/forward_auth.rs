//! Verification for an edge that is there already: nginx (`auth_request`), Traefik (ForwardAuth), Caddy (`forward_auth`),
//! Envoy (`ext_authz` over HTTP) or HAProxy (`docs/edge/nuvera.lua`) asks here whether a request may pass, and forwards it
//! itself.
//!
//! Each has a path of its own, because each tells of the request in its own way, and a header that one edge sets could
//! come from a client behind another. Whoever can reach this listener is believed: it belongs in a private network.
//!
//! An edge forwards the request itself, with the headers that its client sent. Those that mislead the service behind it
//! (`domain::request::misleading`) are refused here, unless the edge sets them itself. An edge shows either all headers
//! (nginx, HAProxy, Traefik, Caddy), or only what its configuration names (Envoy, which removes what the answer names).
//!
//! An edge that does not show the body leaves one check undone. The answer then says so
//! (`x-nuvera-body-verified: false`), with the hash that the body must have, for whoever reads the body.

use super::{
    Gateway,
    framing::HeadNotes,
    problem,
    record::Record,
    respond::ResponseBody,
    verify::{Presented, PresentedBody, Verified, X_REQUEST_ID, check_identity, id_header, single},
};
use crate::forwarded::parse_node;
use bytes::Bytes;
use domain::{
    hex,
    request::{MISLEADING_HEADERS, MalformedRequest, Refusal, misleading_header},
    route::is_path_unambiguous,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use std::{borrow::Cow, net::IpAddr, sync::LazyLock};
use uuid::Uuid;

/// The header by which an authorization service has Envoy remove headers from the request.
const REMOVED_BY_ENVOY: &str = "x-envoy-auth-headers-to-remove";

/// The best known members of the families of misleading headers.
const FAMILY_MEMBERS: [&str; 10] = [
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-original-host",
    "x-original-for",
    "x-rewrite-url",
    "x-forwarded-host",
    "x-forwarded-uri",
    "x-forwarded-prefix",
    "x-envoy-original-path",
];

/// Who asks, and therefore how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    /// `/nginx`: `x-original-method`, `x-original-uri`, `x-original-address`, and where it can hash a body
    /// `x-original-body-sha256`, all set by nginx's configuration. Only 200, 401 and 403 mean anything to it.
    Nginx,
    /// `/haproxy`: as nginx, by the action in `docs/edge/nuvera.lua`, which passes every status on.
    HaProxy,
    /// `/traefik`: `x-forwarded-method`, `x-forwarded-uri`, `x-forwarded-for`.
    Traefik,
    /// `/caddy`: as Traefik.
    Caddy,
    /// `/envoy/…`: the request's own method, and its path behind the prefix.
    Envoy,
}

impl Edge {
    /// Whether the edge itself sets a misleading header in its question, and replaces what its client sent under that name.
    fn sets(self, name: &str) -> bool {
        match self {
            Self::Nginx | Self::HaProxy => {
                matches!(name, "x-original-method" | "x-original-uri" | "x-original-address" | "x-original-body-sha256")
            }
            // Without `trustForwardHeader`, as `docs/edge` has it.
            Self::Traefik => matches!(
                name,
                "x-forwarded-for"
                    | "x-forwarded-host"
                    | "x-forwarded-method"
                    | "x-forwarded-port"
                    | "x-forwarded-proto"
                    | "x-forwarded-server"
                    | "x-forwarded-uri"
                    | "x-real-ip"
            ),
            // Without `trusted_proxies`, as `docs/edge` has it.
            Self::Caddy => matches!(
                name,
                "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-method" | "x-forwarded-proto" | "x-forwarded-uri"
            ),
            // Of its client's headers it shows those that its configuration names; `x-envoy-…` tells of the question.
            Self::Envoy => matches!(name, "x-forwarded-for" | "x-forwarded-proto") || name.starts_with("x-envoy-"),
        }
    }

    /// Refuses headers of the client's that would mislead the service behind the edge.
    fn check_misleading(self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut names = headers.keys().map(HeaderName::as_str).filter(|name| !self.sets(name));
        names.find_map(misleading_header).map_or(Ok(()), |header| Err(Refusal::MisleadingHeader(header)))
    }
}

/// What an edge tells of a request.
struct Told<'a> {
    edge: Edge,
    method: &'a str,
    /// Path and query; what is not UTF-8 of it is replaced.
    uri: Cow<'a, str>,
    address: IpAddr,
    /// Whether the body comes along: `/traefik-body`, `/envoy-body`.
    shows_body: bool,
    body_sha256: Option<[u8; 32]>,
}

impl Gateway {
    /// Answers an edge.
    pub(super) async fn answer_edge(
        &self,
        request: Request<Incoming>,
        notes: HeadNotes,
        peer: IpAddr,
    ) -> Response<ResponseBody> {
        let (parts, mut body) = request.into_parts();
        if notes.check().is_ok()
            && let Some(health) = self.health(&parts)
        {
            return health.map(Either::Left);
        }
        let told = match self.told_by(&parts, peer) {
            Ok(told) => told,
            Err(problem) => return misconfigured(problem).map(Either::Left),
        };
        let address = told.address;
        let method = Method::from_bytes(told.method.as_bytes()).unwrap_or_default();
        let uri: Uri = told.uri.parse().unwrap_or_default();
        let mut record = Record::new(self, &method, &uri, &parts.headers, address);
        let request_id = record.request_id;
        let verified = match told.check(&parts.headers, notes) {
            Ok(()) => {
                let presented = Presented { headers: &parts.headers, method: told.method, uri: &told.uri };
                let body = match told.body_sha256 {
                    Some(sha256) => PresentedBody::Hashed(sha256),
                    None if told.shows_body => PresentedBody::Arriving(&mut body),
                    None => PresentedBody::Unseen,
                };
                self.verify(presented, body, address, &mut record).await
            }
            Err(refusal) => Err(refusal),
        };
        record.judged();
        let mut response = match verified {
            Ok(verified) => {
                record.accepted(200);
                allowed(told.edge, &verified)
            }
            Err(refusal) => {
                let refusal = self.told(refusal, address, &record);
                record.refused(&refusal);
                refused(told.edge, &refusal, request_id)
            }
        };
        response.headers_mut().insert(X_REQUEST_ID, id_header(request_id));
        response.map(Either::Left)
    }
}

impl Gateway {
    fn told_by<'a>(&self, parts: &'a Parts, peer: IpAddr) -> Result<Told<'a>, &'static str> {
        let headers = &parts.headers;
        // A target that is no path (RFC 9112, 3.2.3 and 3.2.4) leads to no door.
        let path = parts.uri.path().strip_prefix('/').unwrap_or_default();
        let door = path.split('/').next().unwrap_or_default();
        let told = |edge, method, uri| Told { edge, method, uri, address: peer, shows_body: false, body_sha256: None };
        let behind_edge = || self.settings.proxies.client_address_behind_edge(headers, peer);
        match door {
            "nginx" | "haproxy" => {
                let edge = if door == "nginx" { Edge::Nginx } else { Edge::HaProxy };
                let method = text(headers, "x-original-method").ok_or("set X-Original-Method, once")?;
                let uri = target(headers, "x-original-uri").ok_or("set X-Original-URI, once")?;
                let body_sha256 = match text(headers, "x-original-body-sha256") {
                    None => None,
                    Some(text) => {
                        Some(hex::parse(text).ok_or("X-Original-Body-SHA256 must be a SHA-256 in hex, or empty")?)
                    }
                };
                let address = text(headers, "x-original-address").and_then(parse_node).unwrap_or(peer);
                Ok(Told { address, body_sha256, ..told(edge, method, uri) })
            }
            "traefik" | "traefik-body" | "caddy" => {
                let edge = if door == "caddy" { Edge::Caddy } else { Edge::Traefik };
                let method = text(headers, "x-forwarded-method").ok_or("set X-Forwarded-Method, once")?;
                let uri = target(headers, "x-forwarded-uri").ok_or("set X-Forwarded-Uri, once")?;
                let shows_body = door.ends_with("-body");
                Ok(Told { address: behind_edge(), shows_body, ..told(edge, method, uri) })
            }
            "envoy" | "envoy-body" => {
                let whole = parts.uri.path_and_query().map_or("", |uri| uri.as_str());
                let uri = whole.get(door.len() + 1..).unwrap_or_default().into();
                let shows_body = door.ends_with("-body");
                let method = parts.method.as_str();
                Ok(Told { address: behind_edge(), shows_body, ..told(Edge::Envoy, method, uri) })
            }
            _ => Err("ask at /nginx, /haproxy, /traefik, /traefik-body, /caddy, /envoy/… or /envoy-body/…"),
        }
    }
}

impl Told<'_> {
    /// What the gateway's own listener checks of a head, as far as it can be told from here.
    fn check(&self, headers: &HeaderMap, notes: HeadNotes) -> Result<(), Refusal> {
        notes.check()?;
        check_identity(headers)?;
        self.edge.check_misleading(headers)?;
        if !self.uri.starts_with('/') || self.uri.contains(['#', char::REPLACEMENT_CHARACTER]) || notes.fragment() {
            return Err(MalformedRequest::Target.into());
        }
        let path = self.uri.split('?').next().unwrap_or_default();
        if is_path_unambiguous(path) { Ok(()) } else { Err(MalformedRequest::AmbiguousPath.into()) }
    }
}

/// A header's value, where it was sent once and is not empty.
fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a str> {
    let value = single(headers, &HeaderName::from_static(name), name).ok()??;
    std::str::from_utf8(value).ok().filter(|text| !text.is_empty())
}

/// A request's target as the edge tells of it. It may hold any byte, because clients do send others than a URI may have: what
/// it is worth is judged as the request's, and is no fault of the edge.
fn target<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<Cow<'a, str>> {
    let value = single(headers, &HeaderName::from_static(name), name).ok()??;
    Some(String::from_utf8_lossy(value)).filter(|target| !target.is_empty())
}

/// The request may pass. The edge gives these headers to the service behind it.
fn allowed(edge: Edge, verified: &Verified) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    for (name, value) in verified.identity() {
        headers.insert(name, value);
    }
    let is_verified = if verified.is_body_verified { "true" } else { "false" };
    headers.insert("x-nuvera-body-verified", HeaderValue::from_static(is_verified));
    // Hex digits: every one of them may stand in a header.
    if let Ok(hash) = HeaderValue::from_str(&verified.body_hash) {
        headers.insert("x-nuvera-body-hash", hash);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if edge == Edge::Envoy {
        headers.insert(REMOVED_BY_ENVOY, removed_by_envoy());
    }
    response
}

/// The headers that Envoy shall remove from the request: it may not have shown them. Of families, whose names are not
/// known, its configuration removes all.
fn removed_by_envoy() -> HeaderValue {
    static NAMES: LazyLock<HeaderValue> = LazyLock::new(|| {
        let credentials = ["authorization", "x-api-key"];
        let names: Vec<_> = MISLEADING_HEADERS.iter().copied().chain(FAMILY_MEMBERS).chain(credentials).collect();
        HeaderValue::try_from(names.join(",")).expect("names of headers and commas")
    });
    NAMES.clone()
}

fn refused(edge: Edge, refusal: &Refusal, request_id: Uuid) -> Response<Full<Bytes>> {
    let mut response = problem::response(refusal, request_id);
    if edge == Edge::Nginx {
        // Every other status would be an error of the edge's to it. What it was, and all there is to tell, is in headers.
        let status = if refusal.status() == 403 { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
        *response.status_mut() = status;
        let problem = problem::ascii(refusal, request_id);
        let headers = response.headers_mut();
        headers.insert("x-nuvera-status", refusal.status().into());
        if let Ok(problem) = HeaderValue::try_from(problem) {
            headers.insert("x-nuvera-problem", problem);
        }
    }
    response
}

/// The edge is not set up as this module says: its operator's to mend, and nobody passes until then.
fn misconfigured(problem: &'static str) -> Response<Full<Bytes>> {
    tracing::error!(problem, "the edge asks in a way that cannot be answered");
    let mut response = Response::new(Full::from(format!("forward-auth: {problem}\n")));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
