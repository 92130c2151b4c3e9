//! Restriction of the network addresses of providers. A partner's provider chooses its own endpoints and controls its
//! own DNS. Without this restriction it could make the server send requests into the operator's network (server-side
//! request forgery).

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

/// The set of permitted addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Addresses of the public internet.
    Public,
    /// Loopback only, for an issuer on loopback.
    Loopback,
    /// All addresses, if the operator permits this for the issuer.
    Any,
}

/// The address is not permitted.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a public address; where the provider is in your own network, set allow_private_network = true")]
pub struct ForbiddenAddress(pub String);

impl Network {
    /// Whether `address` belongs to this network.
    pub fn contains(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Loopback => address.to_canonical().is_loopback(),
            Self::Any => true,
        }
    }
}

/// Whether an address belongs to the public internet (IANA's registries of special-purpose addresses). IPv6 addresses
/// are judged by the IPv4 address that they embed, if any.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = match (a, b, c) {
        // "This network", shared address space (RFC 6598), protocol assignments, 6to4 relays, benchmarks.
        (0, ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _) => true,
        // Multicast, reserved, broadcast.
        (224.., ..) => true,
        _ => false,
    };
    !is_special
        && !address.is_private()
        && !address.is_loopback()
        && !address.is_link_local()
        && !address.is_documentation()
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // NAT64 (RFC 6052): the form in which a resolver returns an IPv4 address on an IPv6-only network.
        [0x64, 0xFF9B, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Protocol assignments (Teredo among them), documentation, 6to4.
        [0x2001, 0..=0x1FF, ..] | [0x2001, 0xDB8, ..] | [0x2002, ..] | [0x3FFF, 0..=0xFFF, ..] => false,
        // Global unicast (RFC 4291, 2.4): neither unspecified, loopback, IPv4-compatible, unique-local, link-local nor
        // multicast.
        [0x2000..=0x3FFF, ..] => true,
        _ => false,
    }
}

type Lookup = fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Resolves host names, keeping only permitted addresses. The connection is made to one of the returned addresses, so
/// DNS rebinding has no effect.
pub struct Resolver {
    network: Network,
    lookup: Lookup,
}

impl Resolver {
    /// Creates a resolver that uses the system's.
    pub fn new(network: Network) -> Self {
        Self {
            network,
            lookup: |name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }),
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { network, lookup } = *self;
        let name = name.as_str().to_owned();
        Box::pin(async move {
            let found = lookup(name.clone()).await?;
            let allowed: Vec<_> = found.into_iter().filter(|found| network.contains(found.ip())).collect();
            if allowed.is_empty() {
                return Err(ForbiddenAddress(name).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Returns a client builder without redirects, which could disclose the code or the client's secret to another host.
pub fn client(network: Network) -> reqwest::ClientBuilder {
    client_with(Resolver::new(network))
}

fn client_with(resolver: Resolver) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    match resolver.network {
        Network::Any => builder,
        // A proxy from the environment would resolve host names itself.
        Network::Public | Network::Loopback => builder.no_proxy().dns_resolver(Arc::new(resolver)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for address in [
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001:82a::200e",
            "2001:4860:4860::8888",
            "64:ff9b::808:808",
            "::ffff:8.8.8.8",
        ] {
            assert!(Network::Public.contains(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.5",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.5",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.5",
            "64:ff9b::a00:5",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a00:5",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:5::1",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!Network::Public.contains(address.parse().unwrap()), "{address}");
        }
        for (address, is_loopback) in
            [("127.0.0.1", true), ("::1", true), ("::ffff:127.0.0.1", true), ("10.0.0.5", false), ("8.8.8.8", false)]
        {
            assert_eq!(Network::Loopback.contains(address.parse().unwrap()), is_loopback, "{address}");
        }
    }

    #[test]
    fn an_ipv6_address_that_embeds_one_of_ipv4_is_judged_as_that() {
        for high in 0..=u16::MAX {
            let [a, b] = high.to_be_bytes();
            let address = Ipv4Addr::new(a, b, 2, 1);
            for embedded in [address.to_ipv6_mapped(), Ipv6Addr::new(0x64, 0xFF9B, 0, 0, 0, 0, high, 0x201)] {
                assert_eq!(is_public(embedded.into()), is_public(address.into()), "{embedded}");
            }
        }
    }

    /// Resolves a host name that an attacker controls.
    fn loopback(_: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        Box::pin(async { Ok(vec![([127, 0, 0, 1], 0).into(), ([169, 254, 169, 254], 0).into()]) })
    }

    async fn is_contacted(network: Network) -> (bool, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://rebind.attacker.example:{}/token", listener.local_addr().unwrap().port());
        let http = client_with(Resolver { network, lookup: loopback })
            .timeout(std::time::Duration::from_secs(20))
            .build()
            .unwrap();
        tokio::select! {
            answer = http.post(url).body("client_secret=x").send() => {
                (false, super::super::in_full(&answer.unwrap_err()))
            }
            _ = listener.accept() => (true, String::new()),
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_private_address_is_not_contacted() {
        let (contacted, error) = is_contacted(Network::Public).await;
        assert!(!contacted && error.contains("rebind.attacker.example is not a public address"), "{error}");
        // The control.
        assert!(is_contacted(Network::Loopback).await.0);
    }
}
