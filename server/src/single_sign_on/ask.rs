//! The HTTP requests to a provider: by TLS, without redirects, soon over, and with an answer of bounded size.

use super::is_secure;
use openidconnect::{HttpRequest, HttpResponse, url::Url};
use std::{future::Future, pin::Pin, time::Duration};

/// How long a connection may take to come about, and a request in all.
const TIME_OUTS: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(6));
/// The most bytes of an answer: a provider's metadata have a few thousand, its keys not many more.
const MAX_BYTES: usize = 256 * 1024;

/// Why a request to a provider was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The address is neither https nor on this machine.
    #[error("{0} is neither https nor on loopback")]
    NotSecure(String),
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

/// What requests are made with.
///
/// # Errors
/// The system's certificates cannot be read.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    // A redirect would take the code, or the client's secret, to where nobody meant it to go.
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(TIME_OUTS.0)
        .timeout(TIME_OUTS.1)
        .build()
}

/// Makes a request.
pub fn ask(client: reqwest::Client, request: HttpRequest) -> Answering {
    Box::pin(async move {
        let address = request.uri().to_string();
        if !Url::parse(&address).is_ok_and(|url| is_secure(&url)) {
            return Err(AskError::NotSecure(address));
        }
        // Its words would repeat the address, which tells nobody anything new.
        let mut answer = client.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
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
