//! Addresses in the upstream's answers: where it names itself, its client must be led to the gateway.

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{CONTENT_LOCATION, LINK, LOCATION, SET_COOKIE},
};
use std::borrow::Cow;

/// The upstream as it names itself in addresses.
pub(super) struct OwnOrigin {
    /// Host, and port where it is not the scheme's own; in lower case.
    authority: String,
}

impl OwnOrigin {
    /// The origin of the upstream at `uri`; `None` where it has no authority.
    pub(super) fn new(uri: &Uri) -> Option<Self> {
        let authority = normalized(uri.scheme_str().unwrap_or_default(), uri.authority()?.as_str());
        Some(Self { authority: authority.into_owned() })
    }

    /// Replaces the upstream's origin by `public` in the headers by which an answer leads elsewhere (`Location`,
    /// `Content-Location`, `Link`), and takes domains out of cookies that the public host is not in: they name the upstream's,
    /// and clients would refuse such a cookie (RFC 6265, 5.3).
    pub(super) fn replace(&self, headers: &mut HeaderMap, public: &str) {
        for name in [LOCATION, CONTENT_LOCATION] {
            each(headers, &name, |value| self.replaced(value, public));
        }
        each(headers, &LINK, |value| self.replaced_in_link(value, public));
        each(headers, &SET_COOKIE, |value| without_foreign_domain(value, public));
    }

    /// `uri` below `public`, where it is one of the upstream's own. The scheme does not count: a service that learns of
    /// `https` from `X-Forwarded-Proto` writes it before its own host.
    fn replaced(&self, uri: &str, public: &str) -> Option<String> {
        let (scheme, rest) = match uri.find("//")? {
            0 => ("", &uri[2..]),
            at => (uri[..at].strip_suffix(':')?, &uri[at + 2..]),
        };
        if !["", "http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = rest[..end].rsplit('@').next().unwrap_or_default();
        let schemes = if scheme.is_empty() { ["http", "https"] } else { [scheme; 2] };
        let is_own = schemes.iter().any(|scheme| *normalized(scheme, authority) == self.authority);
        is_own.then(|| format!("{public}{}", &rest[end..]))
    }

    /// A `Link` header's value (RFC 8288, 3): addresses stand in angle brackets, and in quotes (`anchor`).
    fn replaced_in_link(&self, value: &str, public: &str) -> Option<String> {
        let mut written = String::with_capacity(value.len());
        let mut rest = value;
        while let Some(begin) = rest.find(['<', '"']) {
            let closing = if rest.as_bytes()[begin] == b'<' { '>' } else { '"' };
            let inner = &rest[begin + 1..];
            let end = inner.find(closing).unwrap_or(inner.len());
            written.push_str(&rest[..=begin]);
            written.push_str(self.replaced(&inner[..end], public).as_deref().unwrap_or(&inner[..end]));
            let after = inner[end..].chars().next().map_or(end, |closing| end + closing.len_utf8());
            written.push_str(&inner[end..after]);
            rest = &inner[after..];
        }
        written.push_str(rest);
        (written != value).then_some(written)
    }
}

/// A cookie without its `Domain`, where the host of `public` is not in it.
fn without_foreign_domain(cookie: &str, public: &str) -> Option<String> {
    let public: Uri = public.parse().ok()?;
    let host = public.host()?.to_ascii_lowercase();
    let is_foreign = |part: &&str| {
        let (name, domain) = part.split_once('=').unwrap_or((part, ""));
        let domain = domain.trim().trim_start_matches('.').to_ascii_lowercase();
        let is_in = host == domain || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'));
        name.trim().eq_ignore_ascii_case("domain") && !is_in
    };
    let kept: Vec<_> = cookie.split(';').filter(|part| !is_foreign(part)).collect();
    let kept = kept.join(";");
    (kept != cookie).then_some(kept)
}

/// An authority in lower case, without the scheme's own port.
fn normalized<'a>(scheme: &str, authority: &'a str) -> Cow<'a, str> {
    let own_port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let authority = authority.strip_suffix(own_port).or_else(|| authority.strip_suffix(':')).unwrap_or(authority);
    if authority.bytes().any(|byte| byte.is_ascii_uppercase()) {
        authority.to_ascii_lowercase().into()
    } else {
        authority.into()
    }
}

/// Replaces those values of a header for which `change` has another.
fn each(headers: &mut HeaderMap, name: &HeaderName, change: impl Fn(&str) -> Option<String>) {
    let changed = |value: &HeaderValue| HeaderValue::try_from(change(value.to_str().ok()?)?).ok();
    // Most answers have none.
    if let http::header::Entry::Occupied(mut entry) = headers.entry(name) {
        for value in entry.iter_mut() {
            if let Some(changed) = changed(value) {
                *value = changed;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "https://api.example.com";

    fn own(uri: &str) -> OwnOrigin {
        OwnOrigin::new(&uri.parse().unwrap()).unwrap()
    }

    #[test]
    fn an_address_of_the_upstreams_own_becomes_one_of_the_public_origin() {
        let with_port = own("http://10.0.0.5:8080");
        let named = own("http://API.internal");
        let secure = own("https://api.internal:443");
        for (own, written, becomes) in [
            (&with_port, "http://10.0.0.5:8080/a?b#c", Some("/a?b#c")),
            (&with_port, "HTTP://10.0.0.5:8080", Some("")),
            (&with_port, "https://10.0.0.5:8080/a", Some("/a")),
            (&with_port, "//10.0.0.5:8080/a", Some("/a")),
            (&with_port, "http://user@10.0.0.5:8080/a", Some("/a")),
            (&with_port, "http://10.0.0.5:8080?b", Some("?b")),
            (&with_port, "http://10.0.0.5/a", None),
            (&with_port, "http://10.0.0.5:80801/a", None),
            (&with_port, "http://10.0.0.5:8080.evil.test/a", None),
            (&with_port, "http://evil.test/http://10.0.0.5:8080/", None),
            (&with_port, "ftp://10.0.0.5:8080/a", None),
            (&with_port, "/a", None),
            (&with_port, "a//b", None),
            (&named, "http://api.internal/a", Some("/a")),
            (&named, "http://Api.Internal:80/a", Some("/a")),
            (&named, "https://api.internal:443/a", Some("/a")),
            (&named, "https://api.internal/a", Some("/a")),
            (&named, "http://api.internal:8080/a", None),
            (&secure, "https://api.internal/a", Some("/a")),
            (&secure, "http://api.internal/a", Some("/a")),
            (&own("http://[::1]:8080"), "http://[::1]:8080/a", Some("/a")),
        ] {
            let becomes = becomes.map(|rest| format!("{PUBLIC}{rest}"));
            assert_eq!(own.replaced(written, PUBLIC), becomes, "{written}");
        }
    }

    #[test]
    fn every_header_that_leads_elsewhere_is_rewritten_and_no_other() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("location", "http://10.0.0.5:8080/a"),
            ("content-location", "http://10.0.0.5:8080/b"),
            ("link", "<http://10.0.0.5:8080/c?d>; rel=\"next\", </e>; rel=prev; anchor=\"http://10.0.0.5:8080/f\""),
            ("link", "<http://other.test/g>; title=\"a <b\""),
            ("set-cookie", "sid=1; Domain=10.0.0.5; Path=/"),
            ("set-cookie", "a=2; domain=.Internal.example"),
            ("set-cookie", "own=3; Domain=example.com"),
            ("x-custom", "http://10.0.0.5:8080/h"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        own("http://10.0.0.5:8080").replace(&mut headers, PUBLIC);
        let all = |name: &str| headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(all("location"), ["https://api.example.com/a"]);
        assert_eq!(all("content-location"), ["https://api.example.com/b"]);
        let next = "<https://api.example.com/c?d>; rel=\"next\", </e>; rel=prev; anchor=\"https://api.example.com/f\"";
        assert_eq!(all("link"), [next, "<http://other.test/g>; title=\"a <b\""]);
        assert_eq!(all("set-cookie"), ["sid=1; Path=/", "a=2", "own=3; Domain=example.com"]);
        assert_eq!(all("x-custom"), ["http://10.0.0.5:8080/h"]);
    }
}
