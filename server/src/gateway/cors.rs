//! The console's page sends a signed test request from the browser: from its origin, to the endpoint that only tells what
//! was verified. Browsers keep every other page, and every other endpoint, from it (Fetch Standard, "CORS protocol").

use super::Gateway;
use bytes::Bytes;
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
    request::Parts,
};
use http_body_util::Full;

/// The endpoint that the gateway answers itself, so that a partner can try a signature.
pub(super) const SIGNATURE_TEST: &str = "/api/v1/signature-test";

impl Gateway {
    /// The console's origin, where its page asks for the test endpoint.
    pub(super) fn console_asks(&self, parts: &Parts) -> Option<HeaderValue> {
        if parts.uri.path() != SIGNATURE_TEST {
            return None;
        }
        self.settings.console_origin.clone().filter(|origin| parts.headers.get(ORIGIN) == Some(origin))
    }

    /// The answer to a browser that asks whether the console's page may send a test request.
    pub(super) fn preflight(&self, parts: &Parts) -> Option<Response<Full<Bytes>>> {
        if parts.method != Method::OPTIONS || !parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let origin = self.console_asks(parts)?;
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, x-api-key"));
        allow(&mut response, origin);
        Some(response)
    }
}

/// Lets the page of `origin` read `response`.
pub(super) fn allow<B>(response: &mut Response<B>, origin: HeaderValue) {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response.headers_mut().insert(VARY, HeaderValue::from_static("origin"));
}
