//! Refusals as HTTP: RFC 9457.

use bytes::Bytes;
use domain::request::{Comparison, Refusal};
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::Full;
use serde::Serialize;
use std::borrow::Cow;
use uuid::Uuid;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    request_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<Cow<'a, str>>,
}

impl<'a> Problem<'a> {
    fn new(refusal: &'a Refusal, request_id: Uuid) -> Self {
        let (expected, received) = match refusal.comparison() {
            Some(Comparison { expected, received }) => (Some(expected), Some(received)),
            None => (None, None),
        };
        Self {
            r#type: refusal.problem_type(),
            title: refusal.title(),
            status: refusal.status(),
            detail: refusal.detail(),
            code: refusal.code(),
            request_id,
            expected,
            received,
        }
    }
}

/// What [`response`] tells, in one line of ASCII: fit for a header.
pub(super) fn ascii(refusal: &Refusal, request_id: Uuid) -> String {
    let json = serde_json::to_string(&Problem::new(refusal, request_id)).unwrap_or_default();
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            line.push(character);
        } else {
            // RFC 8259, 7: beyond the basic plane a surrogate pair.
            for unit in character.encode_utf16(&mut [0; 2]) {
                line.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    line
}

/// The response that tells of `refusal`.
pub(super) fn response(refusal: &Refusal, request_id: Uuid) -> Response<Full<Bytes>> {
    let problem = Problem::new(refusal, request_id);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // Strings and numbers only: this cannot fail, and if it did, the status would still say the most of it.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge(refusal)));
    }
    if let Refusal::MethodNotAllowed { allowed } = refusal
        && let Ok(allowed) = HeaderValue::from_str(allowed)
    {
        headers.insert(ALLOW, allowed);
    }
    if let Some(seconds) = refusal.retry_after_seconds() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// What to authenticate with (RFC 9110, 11.6.1); `invalid_token` only where there was a token (RFC 6750, 3.1).
fn challenge(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::MissingApiKey
        | Refusal::MissingToken
        | Refusal::InvalidApiKey(_)
        | Refusal::RevokedApiKey { .. }
        | Refusal::ExpiredApiKey { .. } => r#"Bearer realm="nuvera-rest-api""#,
        _ => r#"Bearer realm="nuvera-rest-api", error="invalid_token""#,
    }
}
