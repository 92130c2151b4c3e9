//! The client's address, and the scheme and host that it sees, where proxies of ours name them.
//!
//! Each proxy adds the address of its peer at the end of a list, in `X-Forwarded-For` or in `Forwarded` (RFC 7239). What stands
//! before the entries that our own proxies added is the client's to invent, so the list is read from the right, for as long
//! as what has been reached is a proxy of ours: the first so many, or those in known networks.
//!
//! Of the two headers one is read: a proxy writes one, and passes the other on as its client sent it. `X-Forwarded-For` comes
//! first, unless the settings say otherwise; without it, no proxy that writes it stands in front, and `Forwarded` is read.

use crate::address::{Network, canonical};
use domain::request::in_brief;
use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED, uri::Authority};
use std::{
    borrow::Cow,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Which peers are proxies of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// None is: clients connect directly.
    #[default]
    Nobody,
    /// So many proxies stand in front, whatever their addresses.
    Hops(usize),
    /// Those with an address in one of these networks.
    Networks(Vec<Network>),
}

/// The header in which proxies name their peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, and `X-Forwarded-Proto` and `X-Forwarded-Host`; where the first is missing, `Forwarded`.
    #[default]
    #[value(name = "x-forwarded-for")]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    #[value(name = "forwarded")]
    Forwarded,
}

/// The proxies in front of a listener.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    trust: Trust,
    header: ForwardedHeader,
    /// Whether it was said that a value could not be read.
    is_reported: Arc<AtomicBool>,
}

/// How a client addressed the outermost proxy, as far as proxies tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicView {
    /// `http` or `https`.
    pub scheme: Option<&'static str>,
    /// Host, and port where one was named.
    pub host: Option<HeaderValue>,
}

/// An entry of the list.
struct Hop<'a> {
    /// The peer of the proxy that added the entry, as it wrote it.
    node: Cow<'a, str>,
    scheme: Option<Cow<'a, str>>,
    host: Option<Cow<'a, str>>,
}

impl Proxies {
    /// Proxies that are trusted, and the header in which they name their peers.
    pub fn new(trust: Trust, header: ForwardedHeader) -> Self {
        Self { trust, header, is_reported: Arc::default() }
    }

    /// Whether there are any.
    pub fn any(&self) -> bool {
        self.trust != Trust::Nobody
    }

    /// Returns the client's address. Where an entry cannot be read, it is the address of the proxy that wrote it.
    pub fn client_address(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        self.address_behind(headers, peer, false)
    }

    /// Returns the client's address where the peer is an edge that is trusted in any case.
    pub fn client_address_behind_edge(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        self.address_behind(headers, peer, true)
    }

    fn address_behind(&self, headers: &HeaderMap, peer: IpAddr, is_edge: bool) -> IpAddr {
        let mut address = canonical(peer);
        if !(is_edge || self.any()) {
            return address;
        }
        for (passed, hop) in self.hops(headers).iter().rev().enumerate() {
            if !(self.trusts(address, passed) || is_edge && passed == 0) {
                break;
            }
            match parse_node(&hop.node) {
                Some(before) => address = before,
                None => {
                    self.report::<IpAddr>(&hop.node);
                    break;
                }
            }
        }
        address
    }

    /// Returns how the client addressed the outermost proxy. `peer` is the connection's.
    pub fn public_view(&self, headers: &HeaderMap, peer: IpAddr) -> PublicView {
        if !self.trusts(canonical(peer), 0) {
            return PublicView::default();
        }
        let (scheme, host) = match self.header_of(headers) {
            ForwardedHeader::XForwardedFor => {
                (last_of(headers, &X_FORWARDED_PROTO), last_of(headers, &X_FORWARDED_HOST))
            }
            ForwardedHeader::Forwarded => {
                let hops = self.hops(headers);
                let last = |part: fn(&Hop<'_>) -> Option<String>| hops.iter().rev().find_map(part);
                let scheme = last(|hop| hop.scheme.as_deref().map(str::to_owned));
                (scheme.map(Cow::Owned), last(|hop| hop.host.as_deref().map(str::to_owned)).map(Cow::Owned))
            }
        };
        let scheme = scheme.and_then(|scheme| {
            let known = ["http", "https"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known));
            known.or_else(|| self.report(&scheme))
        });
        let host = host.and_then(|host| {
            let authority = host.parse::<Authority>().ok().filter(|_| !host.contains('@'));
            authority.and_then(|_| HeaderValue::from_str(&host).ok()).or_else(|| self.report(&host))
        });
        PublicView { scheme, host }
    }

    fn trusts(&self, address: IpAddr, passed: usize) -> bool {
        match &self.trust {
            Trust::Nobody => false,
            Trust::Hops(hops) => passed < *hops,
            Trust::Networks(networks) => networks.iter().any(|network| network.contains(address)),
        }
    }

    /// The header that the proxies of this request have written.
    fn header_of(&self, headers: &HeaderMap) -> ForwardedHeader {
        match self.header {
            ForwardedHeader::XForwardedFor
                if !headers.contains_key(X_FORWARDED_FOR) && headers.contains_key(FORWARDED) =>
            {
                ForwardedHeader::Forwarded
            }
            header => header,
        }
    }

    /// The list's entries, from the client's to the last proxy's.
    fn hops<'a>(&self, headers: &'a HeaderMap) -> Vec<Hop<'a>> {
        match self.header_of(headers) {
            ForwardedHeader::XForwardedFor => {
                let elements = texts(headers, &X_FORWARDED_FOR).flat_map(|text| split(text, ','));
                elements.map(|node| Hop { node: unquoted(node).into(), scheme: None, host: None }).collect()
            }
            ForwardedHeader::Forwarded => {
                texts(headers, &FORWARDED).flat_map(|text| split(text, ',')).map(Hop::parse).collect()
            }
        }
    }

    /// Says once that a value cannot be read. Always `None`.
    fn report<T>(&self, value: &str) -> Option<T> {
        if !self.is_reported.swap(true, Ordering::AcqRel) {
            tracing::warn!(
                value = &*in_brief(value),
                "a proxy names its client, or the scheme or host that the client used, in a way that cannot be read: the \
                 proxy's own address and --gateway-url count instead. This is said once"
            );
        }
        None
    }
}

impl<'a> Hop<'a> {
    /// Reads an element of `Forwarded`.
    fn parse(element: &'a str) -> Self {
        let mut hop = Self { node: "".into(), scheme: None, host: None };
        for pair in split(element, ';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = unescaped(value.trim_matches(WHITESPACE));
            match name.trim_matches(WHITESPACE) {
                name if name.eq_ignore_ascii_case("for") => hop.node = value,
                name if name.eq_ignore_ascii_case("proto") => hop.scheme = Some(value),
                name if name.eq_ignore_ascii_case("host") => hop.host = Some(value),
                _ => {}
            }
        }
        hop
    }
}

const WHITESPACE: [char; 2] = [' ', '\t'];

fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    // What is no text names nobody, and must not hide that an entry is there.
    headers.get_all(name).iter().map(|value| std::str::from_utf8(value.as_bytes()).unwrap_or("\u{FFFD}"))
}

/// The last element of a header with a list.
fn last_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    let elements = texts(headers, name).flat_map(|text| split(text, ','));
    elements.last().map(|text| unquoted(text).into())
}

/// Splits a list outside of quoted strings, without its empty elements (RFC 9110, 5.6.1.2).
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let elements = text.split(|character| {
        let is_plain = !is_quoted && character == separator;
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        is_plain
    });
    elements.map(|element| element.trim_matches(WHITESPACE)).filter(|element| !element.is_empty()).collect()
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// A token, or what a quoted string says (RFC 9110, 5.6.4).
fn unescaped(text: &str) -> Cow<'_, str> {
    let text = unquoted(text);
    if !text.contains('\\') {
        return text.into();
    }
    let mut characters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    plain.into()
}

/// Reads an address as proxies write it: alone, in brackets, with a port or without (RFC 7239, 6, and what is in use), and
/// with an IPv6 zone. `unknown` and obfuscated names (`_hidden`) are no addresses.
pub fn parse_node(text: &str) -> Option<IpAddr> {
    let text = unquoted(text.trim_matches(WHITESPACE));
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return parse_address(address).filter(|_| is_port);
    }
    let with_port = || {
        let (address, port) = text.rsplit_once(':')?;
        parse_address(address).filter(|_| is_port(port))
    };
    parse_address(text).or_else(with_port)
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let zoned = text.split_once('%').filter(|(address, _)| address.contains(':'));
    zoned.map_or(text, |(address, _)| address).parse().map(canonical).ok()
}

/// A port, or an obfuscated one.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "10.0.0.9";

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn chosen(trust: Trust, header: ForwardedHeader, fields: &[(&'static str, &str)]) -> String {
        Proxies::new(trust, header).client_address(&headers(fields), address(PEER)).to_string()
    }

    fn behind(hops: usize, list: &str) -> String {
        chosen(Trust::Hops(hops), ForwardedHeader::XForwardedFor, &[("x-forwarded-for", list)])
    }

    #[test]
    fn every_notation_of_an_address_is_read() {
        for (written, read) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7:51234", "203.0.113.7"),
            ("\"203.0.113.7:51234\"", "203.0.113.7"),
            ("203.0.113.7:_gazonk", "203.0.113.7"),
            (" \t203.0.113.7 ", "203.0.113.7"),
            ("[203.0.113.7]", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("[::ffff:203.0.113.7]:443", "203.0.113.7"),
            ("64:ff9b::203.0.113.7", "203.0.113.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:51234", "2001:db8::1"),
            ("\"[2001:db8::1]:51234\"", "2001:db8::1"),
            ("2001:db8:1:2:3:4:5:6:443", "2001:db8:1:2:3:4:5:6"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:443", "fe80::1"),
            ("unknown", ""),
            ("_hidden", ""),
            ("_SEVKISEK", ""),
            ("client.example", ""),
            ("203.0.113.7:", ""),
            ("203.0.113.7:123456", ""),
            ("[2001:db8::1]x", ""),
            ("[2001:db8::1", ""),
            ("-", ""),
            ("", ""),
        ] {
            let found = parse_node(written).map(|address| address.to_string()).unwrap_or_default();
            assert_eq!(found, read, "{written}");
        }
    }

    #[test]
    fn what_the_client_invents_does_not_count() {
        assert_eq!(behind(1, "192.0.2.1, 198.51.100.2"), "198.51.100.2");
        assert_eq!(behind(1, "192.0.2.1,, 198.51.100.2:443 ,"), "198.51.100.2");
        let both = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "203.0.113.3")];
        assert_eq!(chosen(Trust::Hops(1), ForwardedHeader::XForwardedFor, &both), "203.0.113.3");
        assert_eq!(chosen(Trust::Nobody, ForwardedHeader::XForwardedFor, &both), PEER);
        // A proxy writes one header, and passes the other on.
        let other = [("x-forwarded-for", "203.0.113.3"), ("forwarded", "for=192.0.2.1")];
        assert_eq!(chosen(Trust::Hops(1), ForwardedHeader::XForwardedFor, &other), "203.0.113.3");
        assert_eq!(chosen(Trust::Hops(1), ForwardedHeader::Forwarded, &other), "192.0.2.1");
        assert_eq!(chosen(Trust::Hops(1), ForwardedHeader::Forwarded, &[("x-forwarded-for", "192.0.2.1")]), PEER);
        let alone = [("forwarded", "for=192.0.2.1, for=203.0.113.3")];
        assert_eq!(chosen(Trust::Hops(1), ForwardedHeader::XForwardedFor, &alone), "203.0.113.3");
    }

    #[test]
    fn of_several_proxies_so_many_are_passed() {
        let list = "192.0.2.1, 203.0.113.7, 10.0.0.2, 10.0.0.3";
        assert_eq!(behind(1, list), "10.0.0.3");
        assert_eq!(behind(3, list), "203.0.113.7");
        // Fewer than there should be: the furthest that one of ours named.
        assert_eq!(behind(3, "203.0.113.7"), "203.0.113.7");
        assert_eq!(behind(3, ""), PEER);
    }

    #[test]
    fn proxies_in_known_networks_are_passed_and_no_other() {
        let networks = ["10.0.0.0/8", "2001:db8:aaaa::/48"].map(|network| network.parse().unwrap());
        let trust = Trust::Networks(networks.to_vec());
        let proxies = Proxies::new(trust, ForwardedHeader::XForwardedFor);
        let from = |list: &str, peer: &str| {
            proxies.client_address(&headers(&[("x-forwarded-for", list)]), address(peer)).to_string()
        };
        assert_eq!(from("192.0.2.1, 203.0.113.7, 10.0.0.2", "10.0.0.9"), "203.0.113.7");
        assert_eq!(from("192.0.2.1, 203.0.113.7, [2001:db8:aaaa::2]:80", "::ffff:10.0.0.9"), "203.0.113.7");
        assert_eq!(from("192.0.2.1", "203.0.113.8"), "203.0.113.8", "the peer is no proxy");
        assert_eq!(from("10.0.0.1, 10.0.0.2", "10.0.0.9"), "10.0.0.1", "a client inside");
    }

    #[test]
    fn an_entry_that_cannot_be_read_ends_the_way_at_the_proxy_that_wrote_it() {
        for unreadable in ["unknown", "_hidden", "client.example", "\u{fc}"] {
            assert_eq!(behind(1, &format!("192.0.2.1, {unreadable}")), PEER, "{unreadable}");
            assert_eq!(behind(2, &format!("192.0.2.1, {unreadable}, 10.0.0.2")), "10.0.0.2", "{unreadable}");
        }
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_writes_it() {
        let from = |value: &str| chosen(Trust::Hops(1), ForwardedHeader::Forwarded, &[("forwarded", value)]);
        for (value, read) in [
            ("for=203.0.113.7", "203.0.113.7"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17"),
            ("for=192.0.2.43, by=\"a,b;for=1\" ; For = 198.51.100.17", "198.51.100.17"),
            ("for=192.0.2.43,for=\"198.51.100.1\\7:80\"", "198.51.100.17"),
            ("for=unknown", PEER),
            ("for=_gazonk", PEER),
            ("by=203.0.113.43", PEER),
        ] {
            assert_eq!(from(value), read, "{value}");
        }
    }

    #[test]
    fn scheme_and_host_are_what_the_nearest_proxy_says_and_never_what_the_client_does() {
        let fields = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "http, HTTPS"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-host", "api.example.com:8443"),
            ("forwarded", "proto=http;host=evil.test, for=_a;host=\"api2.example.com\";proto=https"),
        ];
        let view = |trust: Trust, header| {
            let view = Proxies::new(trust, header).public_view(&headers(&fields), address(PEER));
            (view.scheme, view.host.map(|host| host.to_str().unwrap().to_owned()))
        };
        let found = |host: &str| (Some("https"), Some(host.to_owned()));
        assert_eq!(view(Trust::Hops(2), ForwardedHeader::XForwardedFor), found("api.example.com:8443"));
        assert_eq!(view(Trust::Hops(1), ForwardedHeader::Forwarded), found("api2.example.com"));
        assert_eq!(view(Trust::Nobody, ForwardedHeader::XForwardedFor), (None, None));
        let networks = vec!["192.0.2.0/24".parse().unwrap()];
        assert_eq!(view(Trust::Networks(networks), ForwardedHeader::XForwardedFor), (None, None));
        for bad in ["ws", "https:", "a b"] {
            let proxies = Proxies::new(Trust::Hops(1), ForwardedHeader::XForwardedFor);
            let fields = headers(&[("x-forwarded-proto", bad), ("x-forwarded-host", "user@evil.test")]);
            assert_eq!(proxies.public_view(&fields, address(PEER)), PublicView::default(), "{bad}");
        }
    }
}
