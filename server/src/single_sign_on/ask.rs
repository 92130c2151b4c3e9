//! The HTTP requests to a provider: by TLS, to hosts and addresses that the operator allows, without redirects, soon over, and
//! with an answer of bounded size.

use super::{
    is_loopback,
    network::{self, ForbiddenAddress, Network},
    settings::IssuerSettings,
};
use openidconnect::{
    HttpRequest, HttpResponse,
    url::{Host, Url},
};
use std::{future::Future, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

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
    /// The request cannot be made, or the answer cannot be kept.
    #[error(transparent)]
    Http(#[from] openidconnect::http::Error),
    /// There is no answer.
    #[error(transparent)]
    Failed(#[from] reqwest::Error),
}

/// A request on its way.
pub type Answering = Pin<Box<dyn Future<Output = Result<HttpResponse, AskError>> + Send>>;

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
    pub fn new(settings: &IssuerSettings) -> Result<Self, reqwest::Error> {
        let url = settings.url.url();
        let network = if settings.allow_private_network {
            Network::Any
        } else if is_loopback(url) {
            Network::Loopback
        } else {
            Network::Public
        };
        let hosts = host_and_port(url).into_iter().chain(settings.endpoint_hosts.iter().cloned()).collect();
        let http = network::client(network).connect_timeout(TIME_OUTS.0).timeout(TIME_OUTS.1).build()?;
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

    /// Makes a request.
    pub fn ask(&self, request: HttpRequest) -> Answering {
        let client = self.clone();
        Box::pin(async move {
            let address = request.uri().to_string();
            let url = Url::parse(&address).map_err(|_| AskError::NotSecure(address))?;
            client.check(&url)?;
            // Its words would repeat the address, which tells nobody anything new.
            let mut answer = client.http.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
            let mut response = openidconnect::http::Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                headers.extend(answer.headers().clone());
            }
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
                if body.len() + chunk.len() > MAX_BYTES {
                    return Err(AskError::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(response.body(body)?)
        })
    }
}

/// The host and port of an address.
pub fn host_and_port(url: &Url) -> Option<HostAndPort> {
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}
