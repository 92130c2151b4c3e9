//! The HTTP requests to a provider: by TLS, to hosts and addresses that the operator allows, without redirects, soon over, and
//! with an answer of bounded size.

use super::{
    is_loopback,
    network::{self, ForbiddenAddress, Network},
    settings::IssuerSettings,
};
use crate::tls::Authorities;
use reqwest::{RequestBuilder, StatusCode, header};
use std::{net::IpAddr, sync::Arc, time::Duration};
use url::{Host, Url};

/// How long a connection may take to come about, and a request in all.
const TIME_OUTS: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(6));
/// The most bytes of an answer: a provider's metadata have a few thousand, its keys not many more.
const MAX_BYTES: usize = 256 * 1024;

/// Why a request to a provider was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The address is not https, and the issuer is not on this machine.
    #[error("{0} is not https")]
    NotSecure(String),
    /// The host is not one of those that belong to the provider.
    #[error("{0} is neither the issuer's host nor in endpoint_hosts; if it is the provider's, add it there")]
    OtherHost(String),
    /// The address is in a private network.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenAddress),
    /// The answer is larger than any that is expected.
    #[error("the answer has more than {MAX_BYTES} bytes")]
    TooLarge,
    /// There is no answer.
    #[error(transparent)]
    Failed(#[from] reqwest::Error),
}

/// What a provider answered.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// What its body is said to be, in lower case; empty where nothing is said.
    pub content_type: String,
    /// Its body.
    pub body: Vec<u8>,
}

/// A host and port.
pub type HostAndPort = (String, u16);

/// Makes the requests to one provider.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    allowed: Arc<Allowed>,
}

/// Where requests to a provider may go.
struct Allowed {
    hosts: Vec<HostAndPort>,
    network: Network,
    /// Whether http is allowed: where the issuer itself is http on loopback.
    plain: bool,
}

impl Client {
    /// Creates what requests to this issuer are made with.
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

    /// Checks that a request may go to `url`. Of a name, the addresses are checked once they are known.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self, url: &Url) -> Result<(), AskError> {
        let Allowed { hosts, network, .. } = &*self.allowed;
        self.check_secure(url)?;
        let host = host_and_port(url).ok_or_else(|| AskError::OtherHost(url.to_string()))?;
        if !hosts.contains(&host) {
            return Err(AskError::OtherHost(format!("{}:{}", host.0, host.1)));
        }
        // The resolver is not asked about these.
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

    /// Checks that what is sent to `url` cannot be read on the way.
    ///
    /// # Errors
    /// [`AskError::NotSecure`]
    pub fn check_secure(&self, url: &Url) -> Result<(), AskError> {
        let is_secure = url.scheme() == "https" || self.allowed.plain && url.scheme() == "http" && is_loopback(url);
        if is_secure { Ok(()) } else { Err(AskError::NotSecure(url.to_string())) }
    }

    /// Begins a GET.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.http.get(url)
    }

    /// Begins a POST.
    pub fn post(&self, url: Url) -> RequestBuilder {
        self.http.post(url)
    }

    /// Sends a request, if it may go where it leads.
    ///
    /// # Errors
    /// It may not, there is no answer, or the answer is too large.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, AskError> {
        let request = request.header(header::ACCEPT, "application/json, application/jwt").build()?;
        self.check(request.url())?;
        // Its words would repeat the address, which tells nobody anything new.
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

/// The host and port of an address.
pub fn host_and_port(url: &Url) -> Option<HostAndPort> {
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}
