//! Security headers of all responses, and checks of all requests.

use super::{ServedArea, Web, render, visit};
use crate::{forwarded::Proxies, store};
use app::{page::Page, paths::Area};
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use domain::{actor::Actor, sign_in::browser_in_words};
use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    panic::resume_unwind,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};
use tracing::{Instrument, field::Empty};

/// The id of a request in the log and on error pages (UUID v7).
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// The tracing span of a request, with the fields that all of its log lines share.
#[derive(Clone, Debug)]
struct RequestSpan(tracing::Span);

/// The client's network address, if known.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub Option<IpAddr>);

/// Description of the client's browser, as by [`browser_in_words`].
#[derive(Clone, Debug)]
pub struct ClientBrowser(pub String);

/// Completes a request even if the client disconnects: a second click closes the connection of the first one, and the
/// gateway must be notified of every committed change.
pub async fn finish(request: Request, next: Next) -> Response {
    tokio::spawn(next.run(request)).await.unwrap_or_else(|failed| resume_unwind(failed.into_panic()))
}

/// Assigns the request id, logs the request without its query, and adds the headers that all responses have.
pub async fn surround(State(web): State<Arc<Web>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = crate::random::uuid(web.backend.clock().now()).to_string();
    let address = client_address(&request, &web.settings.proxies);
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(ClientAddress(address));
    let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let browser = ClientBrowser(browser_in_words(agent));
    request.extensions_mut().insert(browser);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let extensions = request.extensions().clone();
    // Work that waits for an unresponsive database is cancelled, which also releases its connection.
    let span = tracing::info_span!(
        "console",
        client_address = address.map(tracing::field::display),
        user_id = Empty,
        organization_id = Empty
    );
    request.extensions_mut().insert(RequestSpan(span.clone()));
    let mut response = match store::bounded(next.run(request)).instrument(span.clone()).await {
        Ok(response) => response,
        Err(stalled) => visit::failure_without_session(&web, stalled, &extensions).await,
    };
    let _entered = span.entered();
    tracing::info!(
        request_id = id,
        %method,
        path,
        status = response.status().as_u16(),
        microseconds = started.elapsed().as_micros() as u64,
        "console"
    );
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer`, browsers submit plain forms with the origin `null`: see `is_same_origin`.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-read=(), \
             publickey-credentials-get=(self), publickey-credentials-create=(self)",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if web.is_https(Area::of(&path)) {
        headers
            .insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Adds the actor to the log lines of a request.
pub fn identified(extensions: &Extensions, actor: &Actor) {
    let Some(RequestSpan(span)) = extensions.get() else { return };
    span.record("user_id", tracing::field::display(actor.user_id));
    span.record("organization_id", tracing::field::display(actor.organization_id));
}

/// Rejects a change that does not come from one of the console's own pages. The session cookie is not sufficient,
/// because a browser also sends it with requests that another site causes (CSRF).
pub async fn refuse_cross_site(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let area = visit::area(request.extensions());
    if safe || is_same_origin(request.headers(), web.origin(area)) {
        return next.run(request).await;
    }
    let home = format!("{}{}", web.origin(area), area.home());
    render::page(StatusCode::FORBIDDEN, Page::CrossSite { home }, visit::context_without_session(&web, area)).await
}

/// Serves each area at its own origin only, if they have different ones. The client controls the Host header, so if
/// Nuvera's area has its own listener, the listener decides first.
pub async fn keep_apart(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let Some(hub_origin) = &web.settings.hub_origin else { return next.run(request).await };
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(|authority| authority.as_str()).or(named).unwrap_or_default();
    let is_at = |origin: &str| is_host_of(host, origin);
    let area = visit::area(request.extensions());
    let served = request.extensions().get::<ServedArea>().map(|served| served.0);
    if served.is_none_or(|served| served == area) && is_at(web.origin(area)) {
        return next.run(request).await;
    }
    if served != Some(Area::Partner) && is_at(hub_origin) && visit::original_path(request.extensions()) == "/" {
        return Redirect::to(Area::Hub.home()).into_response();
    }
    render::page(StatusCode::NOT_FOUND, Page::NotFound, visit::context_without_session(&web, area)).await
}

/// Whether a Host header names the host of `origin`. Some clients and proxies include the scheme's default port, which
/// an origin omits (RFC 9110, 4.2.3).
fn is_host_of(host: &str, origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    host.strip_suffix(default_port).unwrap_or(host).eq_ignore_ascii_case(authority)
}

fn is_same_origin(headers: &HeaderMap, own_origin: &str) -> bool {
    let text = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    let fetched_here = text("sec-fetch-site").map(|site| site == b"same-origin");
    match text("origin") {
        // With the referrer policy `no-referrer`, which a proxy in front may set, a page submits its own forms with the
        // origin `null` (Fetch, "append a request Origin header"). `Sec-Fetch-Site`, which only the browser can set, is
        // used then.
        Some(b"null") | None => fetched_here == Some(true),
        Some(origin) => origin.eq_ignore_ascii_case(own_origin.as_bytes()) && fetched_here != Some(false),
    }
}

/// Reports to a load balancer whether the console is ready, followed by one line for each problem.
pub async fn readyz(State(web): State<Arc<Web>>) -> impl IntoResponse {
    let found = web.backend.readiness().await;
    let is_ready = web.ready.load(Ordering::Acquire) && found.can_work;
    let (status, text) = match is_ready {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    let lines = std::iter::once(text).chain(found.problems.iter().map(String::as_str));
    (status, lines.map(|line| format!("{line}\n")).collect::<String>())
}

const UNKNOWN: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

fn client_address(request: &Request, proxies: &Proxies) -> Option<IpAddr> {
    // A request that did not arrive over a connection has an unspecified peer.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map_or(UNKNOWN, |info| info.0.ip());
    Some(proxies.client_address(request.headers(), peer)).filter(|address| *address != UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forwarded::{ForwardedHeader, Trust};
    use axum::body::Body;

    const OWN: &str = "https://console.example.com";

    #[test]
    fn a_client_over_ipv4_has_one_address_at_a_socket_for_both_families() {
        let address = |peer: &str, proxies: Proxies| {
            let request = Request::builder().header("x-forwarded-for", "192.0.2.1, [::ffff:198.51.100.2]:443");
            let mut request = request.body(Body::empty()).unwrap();
            request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
            client_address(&request, &proxies).unwrap().to_string()
        };
        assert_eq!(address("[::ffff:203.0.113.7]:5104", Proxies::default()), "203.0.113.7");
        assert_eq!(address("[2001:db8::7]:5104", Proxies::default()), "2001:db8::7");
        let proxies = Proxies::new(Trust::Hops(1), ForwardedHeader::default());
        assert_eq!(address("[::ffff:203.0.113.7]:5104", proxies), "198.51.100.2");
    }

    #[test]
    fn a_form_is_accepted_from_the_consoles_own_pages_only() {
        for (origin, site, is_accepted) in [
            (Some(OWN), Some("same-origin"), true),
            (Some(OWN), None, true),
            (Some("HTTPS://Console.example.com"), None, true),
            (Some("null"), Some("same-origin"), true),
            (None, Some("same-origin"), true),
            (Some(OWN), Some("cross-site"), false),
            (Some("null"), Some("cross-site"), false),
            (Some("null"), Some("same-site"), false),
            (Some("null"), Some("none"), false),
            (Some("null"), None, false),
            (Some("https://evil.example"), Some("same-origin"), false),
            (Some("http://console.example.com"), None, false),
            (None, Some("none"), false),
            (None, None, false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(is_same_origin(&headers, OWN), is_accepted, "{origin:?} {site:?}");
        }
    }

    #[test]
    fn a_host_is_the_same_with_the_default_port_of_its_scheme() {
        for (host, origin, is_same) in [
            ("console.example.com", OWN, true),
            ("Console.example.com:443", OWN, true),
            ("console.example.com:80", OWN, false),
            ("console.example.com:8443", OWN, false),
            ("localhost:3000", "http://localhost:3000", true),
            ("localhost", "http://localhost:3000", false),
            ("localhost:80", "http://localhost", true),
            ("[::1]:80", "http://[::1]", true),
            ("console.example.com.evil.example", OWN, false),
        ] {
            assert_eq!(is_host_of(host, origin), is_same, "{host} {origin}");
        }
    }
}
