//! From a request to its response: health, verification, and then the upstream or the built-in answer.

use super::{
    Gateway,
    answer::AnswerBody,
    cors::{self, SIGNATURE_TEST},
    framing::HeadNotes,
    problem,
    proxy::SeenHere,
    receive::discard,
    record::Record,
    verify::{Presented, PresentedBody, Verified, X_REQUEST_ID, check_head, id_header},
};
use bytes::Bytes;
use domain::{
    id::{ApiKeyId, ApplicationId, OrganizationId},
    permission::Permission,
    request::{Refusal, masked},
};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, EXPECT},
    request::Parts,
};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use serde::Serialize;
use std::{borrow::Cow, net::IpAddr, sync::atomic::Ordering};
use uuid::Uuid;

/// A response's body: made here, or passed on from the upstream as it arrives.
pub(super) type ResponseBody = Either<Full<Bytes>, AnswerBody>;

/// What the built-in handler answers: what was verified.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Confirmation<'a> {
    verified: bool,
    request_id: Uuid,
    application: NamedApplication<'a>,
    organization_id: OrganizationId,
    key_id: ApiKeyId,
    key_prefix: &'a str,
    signing_key_fingerprint: &'a str,
    method: &'a str,
    uri: Cow<'a, str>,
    body_hash: &'a str,
    /// The permission that the endpoint needs; null where it needs none.
    permission: Option<&'static str>,
}

#[derive(Serialize)]
struct NamedApplication<'a> {
    id: ApplicationId,
    name: &'a str,
}

impl Gateway {
    /// Answers a request. There is always an answer: a refusal says why.
    pub(super) async fn respond(
        &self,
        request: Request<Incoming>,
        notes: HeadNotes,
        peer: IpAddr,
    ) -> Response<ResponseBody> {
        let (parts, mut body) = request.into_parts();
        let address = self.settings.proxies.client_address(&parts.headers, peer);
        // What is not plainly one request is judged, and refused, whatever it asks for.
        if notes.check().is_ok()
            && let Some(answer) = self.health(&parts).or_else(|| self.preflight(&parts))
        {
            return answer.map(Either::Left);
        }
        let console = self.console_asks(&parts);
        let mut record = Record::new(self, &parts.method, &parts.uri, &parts.headers, address);
        let request_id = record.request_id;
        let presented = Presented {
            headers: &parts.headers,
            method: parts.method.as_str(),
            uri: parts.uri.path_and_query().map_or("", |uri| uri.as_str()),
        };
        let verified = match check_head(&parts, notes) {
            Ok(()) => self.verify(presented, PresentedBody::Arriving(&mut body), address, &mut record).await,
            Err(refusal) => Err(refusal),
        };
        record.judged();
        let answered = match verified {
            Ok(verified) => {
                let view = self.settings.proxies.public_view(&parts.headers, peer);
                self.let_through(parts, verified, SeenHere { address, request_id, view }).await
            }
            Err(refusal) => {
                // With an ambiguous length nobody knows what the rest is. Who waits for "100 Continue" has sent nothing.
                if !notes.ambiguous_length() && !parts.headers.contains_key(EXPECT) && !body.is_end_stream() {
                    discard(&mut body).await;
                }
                Err(self.told(refusal, address, &record))
            }
        };
        let mut response = match answered {
            Ok(response) => {
                record.accepted(response.status().as_u16());
                response
            }
            Err(refusal) => {
                record.refused(&refusal);
                problem::response(&refusal, request_id).map(Either::Left)
            }
        };
        if let Some(origin) = console {
            cors::allow(&mut response, origin);
        }
        response.headers_mut().insert(X_REQUEST_ID, id_header(request_id));
        response
    }

    async fn let_through(
        &self,
        parts: Parts,
        verified: Verified,
        seen: SeenHere,
    ) -> Result<Response<ResponseBody>, Refusal> {
        match &self.proxy {
            Some(proxy) if parts.uri.path() != SIGNATURE_TEST => {
                let response = proxy.forward(parts, verified, seen).await?;
                Ok(response.map(Either::Right))
            }
            _ => Ok(confirmation(&parts, &verified, seen.request_id).map(Either::Left)),
        }
    }

    /// `/healthz` says that the process answers, `/readyz` that requests shall be sent to it. Both need no credentials.
    pub(crate) fn health(&self, parts: &Parts) -> Option<Response<Full<Bytes>>> {
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return None;
        }
        let (status, text) = match parts.uri.path() {
            "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
            "/readyz" if self.clock_is_ahead() => {
                (StatusCode::SERVICE_UNAVAILABLE, "not ready: the system's clock was set back\n".to_owned())
            }
            "/readyz" if self.is_superseded() => {
                (StatusCode::SERVICE_UNAVAILABLE, "not ready: another process serves this database\n".to_owned())
            }
            "/readyz" if self.ready.load(Ordering::Acquire) => (StatusCode::OK, self.readiness.text()),
            "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
            _ => return None,
        };
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }
}

fn confirmation(parts: &Parts, verified: &Verified, request_id: Uuid) -> Response<Full<Bytes>> {
    let application = &verified.key.application;
    let confirmation = Confirmation {
        verified: true,
        request_id,
        application: NamedApplication { id: application.id, name: &application.name },
        organization_id: application.organization_id,
        key_id: verified.key.key.id,
        key_prefix: verified.key.key.prefix.as_str(),
        signing_key_fingerprint: &verified.fingerprint,
        method: parts.method.as_str(),
        uri: masked(parts.uri.path_and_query().map_or("", |uri| uri.as_str())),
        body_hash: &verified.body_hash,
        permission: verified.permission.map(Permission::code),
    };
    // In one piece: without a long URI it has about 600 bytes.
    let mut body = Vec::with_capacity(768);
    // Strings only: this cannot fail, and if it did, the status would still say that the request was verified.
    let _ = serde_json::to_writer(&mut body, &confirmation);
    // Of a HEAD request's answer the length is left out: it would be that of the answer to GET, which names another method
    // (RFC 9110, 8.6).
    let body = if parts.method == Method::HEAD { Full::default() } else { Full::from(body) };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
