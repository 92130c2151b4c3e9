//! The HTTP requests to a provider: with TLS, only to hosts and addresses that the operator allows, without redirects,
//! with short timeouts and a limit on the size of responses.

use super::{
    is_loopback,
    network::{self, ForbiddenAddress, Network},
    settings::IssuerSettings,
};
use crate::tls::Authorities;
use reqwest::{RequestBuilder, StatusCode, header};
use std::{net::IpAddr, sync::Arc, time::Duration};
use url::{Host, Url};

/// Timeouts of establishing a connection and of a whole request.
const TIME_OUTS: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(6));
/// Maximum length of a response in bytes. A provider's metadata has a few thousand, and its keys not many more.
const MAX_BYTES: usize = 256 * 1024;

/// Reason why a request to a provider failed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The URL is not https, and the issuer is not on this machine.
    #[error("{0} is not https")]
    NotSecure(String),
    /// The host does not belong to the provider, according to the settings.
    #[error("{0} is neither the issuer's host nor in endpoint_hosts; if it is the provider's, add it there")]
    OtherHost(String),
    /// The address is not in the permitted network.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenAddress),
    /// The response exceeds the size limit.
    #[error("the answer has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// The request failed, or its response could not be read.
    #[error(transparent)]
    Failed(#[from] reqwest::Error),
}

/// A provider's response.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The media type in lower case; empty if the response has none.
    pub content_type: String,
    /// The body, of limited size.
    pub body: Vec<u8>,
}

/// A host name or address, and a port.
pub type HostAndPort = (String, u16);

/// The HTTP client for a single provider.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    allowed: Arc<Allowed>,
}

/// The permitted targets of requests to a provider.
struct Allowed {
    hosts: Vec<HostAndPort>,
    network: Network,
    /// Whether http is permitted, which is the case if the issuer itself uses http on loopback.
    plain: bool,
}

impl Client {
    /// Creates the client for an issuer.
    ///
    /// # Errors
    /// The system's certificates cannot be read.
    pub fn new(settings: &IssuerSettings, authorities: &Authorities) -> Result<Self, reqwest::Error> {
        let url = &settings.address;
        let network = if settings.allow_private_network {
            Network::Any
        } else if is_loopback(url) {
            Network::Loopback
        } else {
            Network::Public
        };
        let hosts = host_and_port(url).into_iter().chain(settings.endpoint_hosts.iter().cloned()).collect();
        let http = authorities
            .for_http(network::client(network))?
            .connect_timeout(TIME_OUTS.0)
            .timeout(TIME_OUTS.1)
            .build()?;
        Ok(Self { http, allowed: Arc::new(Allowed { hosts, network, plain: url.scheme() == "http" }) })
    }

    /// Checks that a request may be sent to `url`. The addresses of a host name are checked when it is resolved.
    ///
    /// # Errors
    /// [`AskError::NotSecure`], [`AskError::OtherHost`], [`AskError::Forbidden`]
    pub fn check(&self, url: &Url) -> Result<(), AskError> {
        let Allowed { hosts, network, .. } = &*self.allowed;
        self.check_secure(url)?;
        let host = host_and_port(url).ok_or_else(|| AskError::OtherHost(url.to_string()))?;
        if !hosts.contains(&host) {
            return Err(AskError::OtherHost(format!("{}:{}", host.0, host.1)));
        }
        // Literal addresses are not passed to the resolver, so they are checked here.
        let literal: Option<IpAddr> = match url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) | None => None,
        };
        match literal {
            Some(address) if !network.contains(address) => Err(ForbiddenAddress(address.to_string()).into()),
            _ => Ok(()),
        }
    }

    /// Checks that data sent to `url` cannot be read in transit.
    ///
    /// # Errors
    /// [`AskError::NotSecure`]
    pub fn check_secure(&self, url: &Url) -> Result<(), AskError> {
        let is_secure = url.scheme() == "https" || self.allowed.plain && url.scheme() == "http" && is_loopback(url);
        if is_secure { Ok(()) } else { Err(AskError::NotSecure(url.to_string())) }
    }

    /// Creates a GET request.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.http.get(url)
    }

    /// Creates a POST request.
    pub fn post(&self, url: Url) -> RequestBuilder {
        self.http.post(url)
    }

    /// Sends a request after checking its target.
    ///
    /// # Errors
    /// The target is not permitted, no response is received, or the response is too large.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, AskError> {
        let request = request.header(header::ACCEPT, "application/json, application/jwt").build()?;
        self.check(request.url())?;
        // The error message would repeat the URL, which is known to the caller.
        let mut answer = self.http.execute(request).await.map_err(reqwest::Error::without_url)?;
        let content_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let (status, content_type) = (answer.status(), content_type.unwrap_or_default().to_ascii_lowercase());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(AskError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, content_type, body })
    }
}

/// Returns the host and port of a URL.
pub fn host_and_port(url: &Url) -> Option<HostAndPort> {
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}
