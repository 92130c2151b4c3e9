//! The gateway's listeners: the API's and forward-auth's.

use super::{
    Gateway,
    framing::{NotedStream, Notes},
};
use crate::{
    address::canonical,
    listener::{Counters, Limits},
};
use http::{HeaderValue, header::CONNECTION};
use hyper::service::service_fn;
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long a request's head may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Who comes through a listener.
#[derive(Clone, Copy)]
enum Door {
    /// Partners' requests.
    Api,
    /// An edge's questions about them.
    ForwardAuth,
}

impl Gateway {
    /// Answers edges on `listener` until `stop`, as [`Gateway::serve`] serves requests: see `forward_auth.rs`.
    pub async fn serve_forward_auth(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        // An edge sends the requests of all its clients from one address.
        let limits = Limits { name: "forward-auth", max_connections_per_address: None, ..self.limits() };
        self.serve_at(Door::ForwardAuth, limits, listener, stop).await;
    }

    /// Serves HTTP/1.1 on `listener` until `stop`, as [`Limits::serve`] says.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let limits = self.limits();
        self.serve_at(Door::Api, limits, listener, stop).await;
    }

    fn limits(&self) -> Limits {
        let connections = self.settings.connections;
        Limits {
            name: "gateway",
            max_connections: connections.max,
            max_connections_per_address: connections.max_per_address,
            head_timeout: HEAD_TIMEOUT,
            idle_timeout: connections.idle_timeout,
            drain_timeout: connections.drain_timeout,
        }
    }

    async fn serve_at(self: Arc<Self>, door: Door, limits: Limits, listener: TcpListener, stop: CancellationToken) {
        let counters =
            Counters { open: self.metrics.open_connections.clone(), refused: self.metrics.refused_connections.clone() };
        let connect = |stream, peer: SocketAddr| {
            let notes = Notes::default();
            let stream = NotedStream::new(stream, notes.clone());
            let (gateway, address) = (self.clone(), canonical(peer.ip()));
            let service = service_fn(move |request| {
                let (gateway, notes) = (gateway.clone(), notes.take());
                async move {
                    let mut response = match door {
                        Door::Api => gateway.respond(request, notes, address).await,
                        Door::ForwardAuth => gateway.answer_edge(request, notes, address).await,
                    };
                    if notes.must_close() || gateway.is_stopping() {
                        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    Ok::<_, Infallible>(response)
                }
            });
            (stream, service)
        };
        limits.serve(listener, stop, counters, connect).await;
        self.set_ready(false);
    }
}
