//! Headers that make servers and frameworks use another method, target or sender than the verified one.
//!
//! The signature does not cover headers, so a partner, or anyone between a partner and the gateway, can set them: to
//! call an endpoint whose permission was not checked, or to appear as another client. The gateway's proxy removes them.
//! With forward-auth the edge forwards the request itself, so a request with such a header is rejected, unless the edge
//! sets the header itself. The edge configurations in `docs/edge` remove them first.
//!
//! What a server takes from the query string (`_method` in Symfony and Laravel) or the body is signed. But permissions
//! are checked for the method and path of the request line: a service behind the gateway must not take either from a
//! parameter.
//!
//! The list contains documented names. It cannot contain names that a service invented: such a service must accept the
//! header only from the gateway, as it does with `x-nuvera-…`.

/// Headers that a request must not pass to the service behind the gateway, in lower case.
pub const MISLEADING_HEADERS: &[&str] = &[
    // Method overrides: Rack, Symfony, Laravel, ASP.NET, Express and Google's libraries; OData; IBM.
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    // Target overrides. `x-rewrite-…` and `x-original-…` (IIS, Symfony, ingress-nginx, ASP.NET Core) are prefixes
    // below.
    "x-ms-original-url",
    "x-host",
    "x-host-override",
    "x-http-host-override",
    "x-script-name",
    "x-request-uri",
    // Rack::Sendfile maps file paths according to these (CVE-2025-61780).
    "x-accel-mapping",
    "x-sendfile-type",
    // Makes Next.js skip its middleware (CVE-2025-29927).
    "x-middleware-subrequest",
    // CGI turns it into `HTTP_PROXY`, through which the service then sends its own requests (httpoxy).
    "proxy",
    // Scheme overrides.
    "front-end-https",
    "x-scheme",
    "x-url-scheme",
    // Client addresses: RFC 7239, and headers that CDNs, load balancers and frameworks write or read.
    "forwarded",
    "forwarded-for",
    "x-forwarded",
    "client-ip",
    "x-client-ip",
    "x-real-ip",
    "true-client-ip",
    "x-true-client-ip",
    "x-cluster-client-ip",
    "x-originating-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "fastly-client-ip",
    "fastly-ssl",
    "incap-client-ip",
    "x-sucuri-clientip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-azure-fdid",
    "x-appengine-user-ip",
    "cloudfront-viewer-address",
    "ali-cdn-real-ip",
    "cdn-src-ip",
    "proxy-client-ip",
    "wl-proxy-client-ip",
    "wl-proxy-ssl",
    // Identities: sessions, and headers written by identity-aware proxies and API gateways. A partner's server has no
    // session with the REST API; if the service also has a console, a cookie would identify another user.
    "cookie",
    "cookie2",
    "client-cert",
    "client-cert-chain",
    "x-userinfo",
    "x-endpoint-api-userinfo",
    "x-anonymous-consumer",
];

/// Prefixes of families of such headers.
pub const MISLEADING_PREFIXES: &[&str] = &[
    "x-forwarded-",
    "x-original-",
    "x-rewrite-",
    // Envoy as a sidecar: retries, timeouts and the target address (`x-envoy-original-dst-host`).
    "x-envoy-",
    // Identity-aware proxies and API gateways: nginx and Authelia, oauth2-proxy, Grafana, Kong, authentik, Pomerium,
    // Google, AWS, Azure, Cloudflare, Tailscale.
    "remote-",
    "x-remote-",
    "x-auth-request-",
    "x-webauth-",
    "x-authenticated-",
    "x-consumer-",
    "x-credential-",
    "x-authentik-",
    "x-pomerium-",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "x-amzn-oidc-",
    "x-amzn-mtls-",
    "x-ms-client-principal",
    "x-ms-token-",
    "cf-access-",
    "tailscale-",
    // Client certificates.
    "ssl-client-",
    "x-ssl-",
    "x-client-cert",
    "x-tls-client-",
    "x-arr-",
];

/// The reason why a header is misleading. `Display` names the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MisleadingHeader {
    /// The header's name is listed.
    #[error("`{0}`")]
    Name(&'static str),
    /// The name has a listed prefix.
    #[error("`{0}…`")]
    Family(&'static str),
    /// The name contains other characters, such as `x_api_key` or `x.http.method`.
    #[error("whose name has other characters than letters, digits and “-”")]
    Spelling,
}

/// Returns why the header `name` (in lower case) is misleading; `None` if it is not.
///
/// Every name with characters other than letters, digits and hyphens is: CGI and its successors map `x-http-method`,
/// `x_http_method` and `x.http.method` to the same variable, so such a name is an alias of one that is checked or
/// removed. nginx drops these headers by default.
pub fn misleading_header(name: &str) -> Option<MisleadingHeader> {
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Some(MisleadingHeader::Spelling);
    }
    let named = || MISLEADING_HEADERS.iter().find(|known| name == **known).map(|known| MisleadingHeader::Name(known));
    let of_family = MISLEADING_PREFIXES.iter().find(|prefix| name.starts_with(**prefix));
    of_family.map(|prefix| MisleadingHeader::Family(prefix)).or_else(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_name_and_each_family_is_found_under_its_own_name() {
        for name in MISLEADING_HEADERS {
            assert_eq!(misleading_header(name), Some(MisleadingHeader::Name(name)));
        }
        for prefix in MISLEADING_PREFIXES {
            assert_eq!(misleading_header(&format!("{prefix}anything")), Some(MisleadingHeader::Family(prefix)));
        }
        let all: BTreeSet<_> = MISLEADING_HEADERS.iter().chain(MISLEADING_PREFIXES).collect();
        assert_eq!(all.len(), MISLEADING_HEADERS.len() + MISLEADING_PREFIXES.len(), "twice");
        for name in MISLEADING_HEADERS {
            let family = MISLEADING_PREFIXES.iter().find(|prefix| name.starts_with(**prefix));
            assert_eq!(family, None, "{name} is in a family already");
        }
        assert!(all.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')));
    }

    #[test]
    fn every_other_spelling_is_misleading() {
        for name in ["x_api_key", "x-api_key", "x.api.key", "x_nuvera_key_id", "content_length", "x-http-method~", "ü"]
        {
            assert_eq!(misleading_header(name), Some(MisleadingHeader::Spelling), "{name}");
        }
    }

    #[test]
    fn what_clients_and_their_libraries_send_is_not() {
        for name in [
            "accept",
            "accept-encoding",
            "content-type",
            "content-encoding",
            "user-agent",
            "traceparent",
            "tracestate",
            "baggage",
            "b3",
            "x-b3-traceid",
            "x-amzn-trace-id",
            "x-datadog-trace-id",
            "x-cloud-trace-context",
            "idempotency-key",
            "x-idempotency-key",
            "x-correlation-id",
            "x-requested-with",
            "x-method",
            "via",
            "origin",
            "referer",
            "if-match",
            "prefer",
            "x-custom",
            "x-api-key",
            "authorization",
        ] {
            assert_eq!(misleading_header(name), None, "{name}");
        }
    }
}
