//! The listening sockets: limits on connections, a bound for every wait, and a graceful shutdown.
//!
//! The listeners of the console, the gateway, forward-auth and the metrics are all served here, so that idle clients
//! cannot exhaust any of them, and none can take another's file descriptors. The bounds:
//!
//! | wait | bound |
//! |---|---|
//! | for a place, while all are taken | [`PLACE_TIMEOUT`], then the connection is closed; at most an eighth of the number of places may wait |
//! | for the first head, and for the rest of a head | [`Limits::head_timeout`] |
//! | for a body | a minimum rate: [`BodyRate`] |
//! | for the next request | [`Limits::idle_timeout`] |
//! | for the peer to read a response | 30 seconds without progress |
//! | for requests in flight during a shutdown | [`Limits::drain_timeout`] |

mod body;
mod stream;
mod timer;

pub use body::{BodyRate, RatedBody};
pub use stream::GuardedStream;

use crate::{
    address::{canonical, client_network},
    keyed_limit::{KeyedLimit, KeyedPlace},
};
use futures::FutureExt;
use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::Service,
};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use std::{
    convert::Infallible,
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use timer::ConnectionTimer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a connection may wait for a place while all are taken. Then it is closed, so that its client can try
/// elsewhere.
pub const PLACE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept, unless `--idle-timeout` says otherwise. A load balancer must close an idle
/// connection before this program does: 75 seconds is longer than the default of AWS's load balancers (60), and is
/// nginx's own default.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// Maximum size of a request's head, in bytes. The largest token takes up half of it.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Maximum number of bytes that are buffered in each direction of a connection.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// Pause after a connection could not be accepted. Usually too many files are open, and retrying at once would only use
/// up processor time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Minimum interval between log lines about refused connections.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The limits of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The listener's name in the log.
    pub name: &'static str,
    /// Maximum number of connections that are served at a time. Further ones wait for a place.
    pub max_connections: usize,
    /// Maximum number of connections of one network address; `None` for no limit.
    pub max_connections_per_address: Option<usize>,
    /// How long a request's head may take to arrive.
    pub head_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// How long requests in flight may take to finish after a stop. Those that are left are aborted.
    pub drain_timeout: Duration,
}

/// The metrics of a listener.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Connections that are being served.
    pub open: Gauge,
    /// Connections that were closed at once because there was no place, or because of too many from their address.
    pub refused: Counter,
}

impl Limits {
    /// Serves HTTP/1.1 on `listener` until `stop`. For each connection, `connect` returns the stream to read from and
    /// write to, and the service that answers its requests. After a stop, connections that have already arrived are
    /// served, idle ones are closed, and requests in flight have [`Limits::drain_timeout`] to finish. When this
    /// returns, no further request is accepted.
    pub async fn serve<I, S, B>(
        self,
        listener: TcpListener,
        stop: CancellationToken,
        counters: Counters,
        connect: impl Fn(GuardedStream<TcpStream>, SocketAddr) -> (I, S),
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Send + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let mut accepting = Accepting::new(self, counters);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                // Removes finished tasks, so that the set does not grow.
                Some(_) = accepting.connections.join_next() => {}
                accepted = listener.accept() => accepting.admit(accepted, &connect).await,
            }
        }
        // The kernel has accepted these already: closing the listener now would reset them.
        while let Some(accepted @ Ok(_)) = listener.accept().now_or_never() {
            accepting.admit(accepted, &connect).await;
        }
        drop(listener);
        let Accepting { graceful, mut connections, .. } = accepting;
        if timeout(self.drain_timeout, graceful.shutdown()).await.is_err() {
            let connections = connections.len();
            tracing::warn!(listener = self.name, connections, "requests were still in flight and are cut off");
        }
        connections.shutdown().await;
    }
}

/// The state of a running listener.
struct Accepting {
    limits: Limits,
    counters: Counters,
    http: http1::Builder,
    graceful: GracefulShutdown,
    connections: JoinSet<()>,
    /// Permits for accepted connections: those that are served and those that wait for a place.
    room: Arc<Semaphore>,
    /// Permits for connections that are served.
    places: Arc<Semaphore>,
    /// Connections by network address: an IPv4 address, or an IPv6 network of 64 bits.
    addresses: Option<Arc<KeyedLimit<IpAddr>>>,
    /// Number of refused connections that are not yet logged, and when one was last logged.
    unlogged: u64,
    logged_at: Option<Instant>,
}

/// Counts a connection in a gauge until it is dropped.
pub(crate) struct OpenConnection(Gauge);

impl OpenConnection {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Returns how many connections may wait for one of `max_connections` places.
pub fn waiting_places(max_connections: usize) -> usize {
    (max_connections / 8).max(1)
}

impl Accepting {
    fn new(limits: Limits, counters: Counters) -> Self {
        let mut http = http1::Builder::new();
        // A response is sent from one buffer: most are small, and copying one costs less than a vectored write. hyper's
        // timeout is the longer one: see `timer.rs`.
        http.header_read_timeout(limits.idle_timeout)
            .max_header_size(MAX_HEAD_BYTES)
            .max_buf_size(MAX_BUFFER_BYTES)
            .writev(false);
        let max = limits.max_connections.min(Semaphore::MAX_PERMITS / 2);
        Self {
            limits,
            counters,
            http,
            graceful: GracefulShutdown::new(),
            connections: JoinSet::new(),
            room: Arc::new(Semaphore::new(max + waiting_places(max))),
            places: Arc::new(Semaphore::new(max)),
            addresses: limits.max_connections_per_address.map(KeyedLimit::new),
            unlogged: 0,
            logged_at: None,
        }
    }

    /// Serves a connection, or closes it if there is no room for it.
    async fn admit<I, S, B>(
        &mut self,
        accepted: io::Result<(TcpStream, SocketAddr)>,
        connect: impl Fn(GuardedStream<TcpStream>, SocketAddr) -> (I, S),
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Send + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(listener = self.limits.name, %error, "a connection could not be accepted");
                return sleep(ACCEPT_PAUSE).await;
            }
        };
        let Some(held) = self.room_for(peer) else { return self.refused(peer) };
        // Otherwise responses may wait for the peer's acknowledgement, which is also all that happens if this fails.
        let _ = stream.set_nodelay(true);
        let timer = ConnectionTimer::new(self.limits.head_timeout);
        let (stream, service) = connect(GuardedStream::new(stream, timer.clone()), peer);
        let mut http = self.http.clone();
        let connection = http.timer(timer).serve_connection(TokioIo::new(stream), service);
        let connection = self.graceful.watch(connection);
        let (places, open) = (self.places.clone(), self.counters.open.clone());
        self.connections.spawn(async move {
            let _held = held;
            let Some(_place) = place(places).await else { return };
            let _open = OpenConnection::new(&open);
            if let Err(error) = connection.await {
                // Peers disconnect, and some do not speak HTTP. Neither is worth a warning.
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }

    /// Acquires the permits for a connection. Returns `None` if a limit is reached.
    fn room_for(&self, peer: SocketAddr) -> Option<(OwnedSemaphorePermit, Option<KeyedPlace<IpAddr>>)> {
        let room = self.room.clone().try_acquire_owned().ok()?;
        let address = match &self.addresses {
            Some(addresses) => Some(addresses.enter(client_network(peer.ip()))?),
            None => None,
        };
        Some((room, address))
    }

    fn refused(&mut self, peer: SocketAddr) {
        self.counters.refused.inc();
        self.unlogged += 1;
        if self.logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            let (listener, connections, address) = (self.limits.name, self.unlogged, canonical(peer.ip()));
            tracing::warn!(listener, connections, %address, "too many connections, the latest from this address: closed at once");
            (self.unlogged, self.logged_at) = (0, Some(Instant::now()));
        }
    }
}

/// Waits for a place, for at most [`PLACE_TIMEOUT`].
async fn place(places: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    match places.clone().try_acquire_owned() {
        Ok(place) => Some(place),
        Err(_) => timeout(PLACE_TIMEOUT, places.acquire_owned()).await.ok()?.ok(),
    }
}
