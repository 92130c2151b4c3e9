//! The console's HTTP server.

use super::Web;
use crate::listener::{BodyRate, Counters, Limits, RatedBody};
use app::paths::Area;
use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderValue, Request, StatusCode, header::CONNECTION},
    response::{IntoResponse, Response},
};
use hyper::{
    body::{Body as _, Incoming},
    service::service_fn,
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Time limit for the head of a request to the console.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Minimum rate at which a form must arrive.
const FORM_RATE: BodyRate = BodyRate { grace: Duration::from_secs(15), bytes_per_second: 4 * 1024 };

/// The only area served by the listener that accepted a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedArea(pub Area);

/// Serves the console on `listener` until `stop`, as described at [`Limits::serve`]; only `area`, if given. Once the
/// console is no longer ready, each response closes its connection.
pub async fn serve(
    web: Arc<Web>,
    router: Router,
    area: Option<Area>,
    limits: Limits,
    listener: TcpListener,
    stop: CancellationToken,
) {
    let connect = |stream, peer: SocketAddr| {
        let (web, router) = (web.clone(), router.clone());
        let service = service_fn(move |request| {
            let (web, router) = (web.clone(), router.clone());
            async move { Ok::<_, Infallible>(answer(&web, router, request, area, peer).await) }
        });
        (stream, service)
    };
    limits.serve(listener, stop, Counters::default(), connect).await;
}

async fn answer(
    web: &Web,
    router: Router,
    request: Request<Incoming>,
    area: Option<Area>,
    peer: SocketAddr,
) -> Response {
    let too_slow = Arc::<AtomicBool>::default();
    let mut request = request.map(|body| {
        if body.is_end_stream() { Body::empty() } else { Body::new(RatedBody::new(body, FORM_RATE, too_slow.clone())) }
    });
    request.extensions_mut().insert(ConnectInfo(peer));
    if let Some(area) = area {
        request.extensions_mut().insert(ServedArea(area));
    }
    let mut response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let too_slow = too_slow.load(Ordering::Relaxed);
    if too_slow {
        // Replaces the handler's response, which is based on an incomplete form.
        response = (StatusCode::REQUEST_TIMEOUT, "The request arrived too slowly. Send it again.\n").into_response();
    }
    if too_slow || !web.ready.load(Ordering::Acquire) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
