//! Where Prometheus asks: a listener of its own, so that what partners reach tells them nothing of this.

use crate::gateway::Gateway;
use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::{io, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Answers `/metrics` on `listener` until `stop`.
///
/// # Errors
/// The listener fails.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    let router = Router::new().route("/metrics", get(async move || answer(&gateway)));
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn answer(gateway: &Gateway) -> Response {
    match gateway.metrics() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
