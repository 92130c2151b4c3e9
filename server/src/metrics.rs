//! Where Prometheus and probes ask: a listener of its own, so that what partners reach tells them nothing of this, and so that
//! no flood at another listener keeps a probe out.

use crate::{
    events,
    gateway::Gateway,
    listener::{Counters, Limits},
    store::Store,
};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    registry::Registry,
};
use std::{convert::Infallible, fmt, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// What the listener allows.
pub fn limits(max_connections: usize, idle_timeout: Duration, drain_timeout: Duration) -> Limits {
    Limits {
        name: "metrics",
        max_connections,
        max_connections_per_address: None,
        head_timeout: HEAD_TIMEOUT,
        idle_timeout,
        drain_timeout,
    }
}

/// Answers `/metrics`, `/healthz` and `/readyz` on `listener` until `stop`.
pub async fn serve(
    gateway: Arc<Gateway>,
    store: Store,
    limits: Limits,
    listener: TcpListener,
    stop: CancellationToken,
) {
    let registry = Arc::new(events::registry(store));
    let connect = |stream, _: SocketAddr| {
        let (gateway, registry) = (gateway.clone(), registry.clone());
        let service = service_fn(move |request| {
            let (gateway, registry) = (gateway.clone(), registry.clone());
            async move { Ok::<_, Infallible>(answer(&gateway, &registry, request)) }
        });
        (stream, service)
    };
    limits.serve(listener, stop, Counters::default(), connect).await;
}

/// Everything that is counted.
fn text(gateway: &Gateway, registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode_registry(&mut text, registry)?;
    gateway.encode_metrics(&mut text)?;
    encode_eof(&mut text)?;
    Ok(text)
}

fn answer(gateway: &Gateway, registry: &Registry, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, _) = request.into_parts();
    if let Some(health) = gateway.health(&parts) {
        return health;
    }
    let (status, allow) = match (parts.uri.path(), &parts.method) {
        ("/metrics", &Method::GET | &Method::HEAD) => match text(gateway, registry) {
            Ok(text) => {
                let mut response = Response::new(Full::from(text));
                let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format));
                return response;
            }
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
        },
        ("/metrics" | "/healthz" | "/readyz", _) => (StatusCode::METHOD_NOT_ALLOWED, Some("GET, HEAD")),
        _ => (StatusCode::NOT_FOUND, None),
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response.headers_mut().extend(allow.map(|methods| (ALLOW, HeaderValue::from_static(methods))));
    response
}
