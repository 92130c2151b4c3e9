//! The listening socket: connections in, connections out, and an orderly end.

use super::{
    Gateway,
    framing::{NotedStream, Notes},
    head_timer::HeadTimer,
};
use http::{HeaderValue, header::CONNECTION};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::TokioIo,
    server::graceful::{GracefulShutdown, Watcher},
};
use prometheus_client::metrics::gauge::Gauge;
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// How long a request's head may take, and how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The most bytes of a request's head. The largest token has half of them.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// The most bytes that are buffered of what a connection sends or is sent.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// How long requests in flight may take to finish after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(10);

/// How long to wait after a connection could not be accepted: most often too many files are open, and trying again at
/// once would only keep the processor busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Counts a connection for as long as it is there.
struct OpenConnection(Gauge);

impl OpenConnection {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

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
        self.serve_at(Door::ForwardAuth, listener, stop).await;
    }

    /// Serves HTTP/1.1 on `listener` until `stop`. Then no connection is accepted any more and idle ones are closed;
    /// requests in flight have ten seconds to finish, and what is left after that is cut off.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        self.serve_at(Door::Api, listener, stop).await;
    }

    async fn serve_at(self: Arc<Self>, door: Door, listener: TcpListener, stop: CancellationToken) {
        let mut http = http1::Builder::new();
        // An answer goes out as one piece of memory: most are small, and copying one costs less than telling the kernel
        // where its pieces are.
        http.header_read_timeout(HEAD_TIMEOUT)
            .max_header_size(MAX_HEAD_BYTES)
            .max_buf_size(MAX_BUFFER_BYTES)
            .writev(false);
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let room = Arc::new(Semaphore::new(self.settings.max_connections.min(Semaphore::MAX_PERMITS)));
        // A connection for which there is no room waits where the kernel keeps it, and is served when another one ends.
        let accept = async || (room.clone().acquire_owned().await, listener.accept().await);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                // Tasks that ended are let go of, so that the set does not grow.
                Some(_) = connections.join_next() => {}
                (place, accepted) = accept() => match accepted {
                    Ok((stream, peer)) => {
                        let serving = self.clone().connection(door, &http, graceful.watcher(), stream, peer);
                        let open = OpenConnection::new(&self.metrics.open_connections);
                        connections.spawn(async move {
                            let _held = (place, open);
                            serving.await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        self.set_ready(false);
        if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
            tracing::warn!(connections = connections.len(), "requests were still in flight and are cut off");
        }
        // Whatever is left ends here: when this returns, the gateway accepts nothing any more.
        connections.shutdown().await;
    }

    /// Serves one connection to its end.
    fn connection(
        self: Arc<Self>,
        door: Door,
        http: &http1::Builder,
        watcher: Watcher,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> impl Future<Output = ()> + Send + use<> {
        // Without it answers may wait for the peer's acknowledgement; with an error they just do.
        let _ = stream.set_nodelay(true);
        let notes = Notes::default();
        let stream = NotedStream::new(stream, notes.clone());
        let address = peer.ip().to_canonical();
        let service = service_fn(move |request| {
            let (gateway, notes) = (self.clone(), notes.take());
            async move {
                let mut response = match door {
                    Door::Api => gateway.respond(request, notes, address).await,
                    Door::ForwardAuth => gateway.answer_edge(request, notes, address).await,
                };
                if notes.must_close() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        let mut http = http.clone();
        let http = http.timer(HeadTimer::default());
        let connection = watcher.watch(http.serve_connection(TokioIo::new(stream), service));
        async move {
            if let Err(error) = connection.await {
                // Peers go away, and some do not speak HTTP: theirs to know, not an event here.
                tracing::debug!(%error, "a connection ended early");
            }
        }
    }
}
