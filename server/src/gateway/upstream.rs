//! Connections to the REST API behind the gateway, over TCP or TLS: kept between requests, and closed when an answer leaves a
//! request half sent.
//!
//! hyper's own pool gives no hold on a connection whose upstream answered before it had read the body: such a connection
//! waits for ever to send the rest, with its socket and the body in memory. Here each request has its connection as a
//! [`LeasedConnection`] for as long as its answer lasts. Afterwards it is kept if the request was sent whole by then or
//! within [`LINGER`], and closed otherwise (RFC 9112, 9.5 and 9.6). A lease that is dropped, because the client has gone
//! or the time is up, closes the connection at once.
//!
//! Where a request with a large body is answered by an error, its connection is not used again: the upstream may have read
//! nothing of the body, and the kernel holds megabytes of it, behind which the next request would wait for ever.
//!
//! An upstream may close a kept connection at the moment at which a request is sent on it. Such a request is sent once more, on
//! a new connection, if nothing of it was sent or its method is idempotent (RFC 9110, 9.2.2). Any other one may have been
//! carried out, so connections are kept for a shorter time than upstreams keep them.

use super::metrics::UpstreamMetrics;
use crate::listener::OpenConnection;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::Full;
use hyper::{
    body::{Body, Incoming},
    client::conn::http1::{Builder, Connection as HttpConnection, SendRequest},
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use prometheus_client::metrics::gauge::Gauge;
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    runtime::Handle,
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};
use tokio_util::either::Either;
use tower::{BoxError, ServiceExt};

/// How long connecting may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// By how much earlier a connection is closed than the upstream says that it closes it.
const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);

/// How often connections are closed that have been idle for too long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How long the rest of a request may take after its answer is complete. An upstream that still reads gets it; one that
/// does not reads a connection that ends in the middle of a body, which it has answered already.
const LINGER: Duration = Duration::from_secs(1);

/// Bodies up to this size are read even by an upstream that refuses them: they are there with their head.
const SURELY_READ_BYTES: u64 = 64 * 1024;

/// The upstream, and the connections to it that no request has at the moment.
pub(super) struct Upstream {
    uri: Uri,
    connector: HttpConnector,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// How long an idle connection is kept at most.
    idle_timeout: Duration,
    metrics: UpstreamMetrics,
    pool: Mutex<Pool>,
}

type Stream = Either<TcpStream, TlsStream<TcpStream>>;

#[derive(Default)]
struct Pool {
    /// The one that was used last is at the back, and is used next.
    idle: VecDeque<Idle>,
    /// Whether a task closes those that are idle for too long.
    is_swept: bool,
}

struct Idle {
    connection: Connection,
    until: Instant,
}

/// A connection; closed when this is dropped.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    close: Option<oneshot::Sender<Close>>,
    /// Whether the upstream may never read what was sent.
    is_unread: bool,
}

/// How a connection ends.
enum Close {
    /// There is nothing left to send.
    Finish,
    /// What is left is not sent. Without a reset the kernel would keep it, and try for minutes.
    Reset,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let is_done = self.sender.is_ready() && !self.is_unread;
        let close = if is_done { Close::Finish } else { Close::Reset };
        // A connection that has ended by itself no longer listens.
        let _ = self.close.take().map(|sender| sender.send(close));
    }
}

/// A connection on which a request is being answered; closed when this is dropped.
pub(super) struct LeasedConnection {
    connection: Connection,
    upstream: Arc<Upstream>,
    /// How long the connection may be kept afterwards.
    kept_for: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// Nothing was sent.
    #[error("the upstream cannot be connected to")]
    Connect(#[source] BoxError),
    /// The request may have been received.
    #[error("the upstream broke off")]
    Failed(#[source] hyper::Error),
}

impl Upstream {
    /// The upstream at `uri`, spoken to over TLS where `tls` is given.
    pub(super) fn new(
        uri: Uri,
        tls: Option<(TlsConnector, ServerName<'static>)>,
        idle_timeout: Duration,
        metrics: UpstreamMetrics,
    ) -> Arc<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        Arc::new(Self { uri, connector, tls, idle_timeout, metrics, pool: Mutex::default() })
    }

    /// Sends a request, on a kept connection if there is one. The answer's head may come before the request is sent whole.
    ///
    /// # Errors
    /// [`SendError`]. A kept connection that has ended is no error where the request can be sent again: another one is tried.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, LeasedConnection), SendError> {
        let body_bytes = request.body().size_hint().lower();
        while let Some(mut connection) = self.take_idle() {
            let copy = request.method().is_idempotent().then(|| copy(&request));
            match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok(self.leased(response, connection, body_bytes)),
                Err(mut error) => {
                    let unsent = error.take_message();
                    // An answer that is no HTTP is an answer.
                    let may_be_sent_again = !error.error().is_parse();
                    match (unsent, copy) {
                        (Some(unsent), _) => request = unsent,
                        (None, Some(copy)) if may_be_sent_again => {
                            request = copy;
                            self.metrics.retries.inc();
                            break;
                        }
                        _ => return Err(SendError::Failed(error.into_error())),
                    }
                }
            }
        }
        let connected = timeout(CONNECT_TIMEOUT, self.connect()).await;
        let mut connection = connected.unwrap_or_else(|elapsed| Err(SendError::Connect(elapsed.into())))?;
        match connection.sender.try_send_request(request).await {
            Ok(response) => Ok(self.leased(response, connection, body_bytes)),
            Err(mut error) => match error.take_message() {
                Some(_unsent) => Err(SendError::Connect(error.into_error().into())),
                None => Err(SendError::Failed(error.into_error())),
            },
        }
    }

    fn leased(
        self: &Arc<Self>,
        response: Response<Incoming>,
        mut connection: Connection,
        body_bytes: u64,
    ) -> (Response<Incoming>, LeasedConnection) {
        let is_error = response.status().is_client_error() || response.status().is_server_error();
        connection.is_unread = is_error && body_bytes > SURELY_READ_BYTES;
        let announced = keep_alive(response.headers()).map(|time| time.saturating_sub(KEEP_ALIVE_MARGIN));
        let kept_for = announced.map_or(self.idle_timeout, |announced| announced.min(self.idle_timeout));
        (response, LeasedConnection { connection, upstream: self.clone(), kept_for })
    }

    async fn connect(&self) -> Result<Connection, SendError> {
        let stream = self.connector.clone().oneshot(self.uri.clone()).await;
        let stream = stream.map_err(|error| SendError::Connect(error.into()))?.into_inner();
        let stream = match &self.tls {
            None => Either::Left(stream),
            Some((connector, name)) => {
                let connected = connector.connect(name.clone(), stream).await;
                Either::Right(connected.map_err(|error: io::Error| SendError::Connect(error.into()))?)
            }
        };
        let connected = Builder::new().handshake(TokioIo::new(stream)).await;
        let (sender, connection) = connected.map_err(|error| SendError::Connect(error.into()))?;
        let (close, closed) = oneshot::channel();
        tokio::spawn(carry(connection, closed, self.metrics.connections.clone()));
        Ok(Connection { sender, close: Some(close), is_unread: false })
    }

    fn take_idle(&self) -> Option<Connection> {
        loop {
            let Idle { connection, until } = self.pool().idle.pop_back()?;
            if Instant::now() < until && connection.sender.is_ready() {
                return Some(connection);
            }
        }
    }

    fn keep(self: &Arc<Self>, connection: Connection, time: Duration) {
        let mut pool = self.pool();
        pool.idle.push_back(Idle { connection, until: Instant::now() + time });
        if !pool.is_swept {
            pool.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // The pool is whole at every moment.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeasedConnection {
    /// Keeps the connection for further requests, once the request on it is sent whole.
    pub(super) fn give_back(self) {
        let Self { mut connection, upstream, kept_for } = self;
        if connection.is_unread {
            return;
        }
        if connection.sender.is_ready() {
            return upstream.keep(connection, kept_for);
        }
        // Without a runtime the program is ending, and the connection with it.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Ok(Ok(())) = timeout(LINGER, connection.sender.ready()).await {
                upstream.keep(connection, kept_for);
            }
        });
    }
}

/// A request that is as this one. Its body is shared.
fn copy(request: &Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let mut copy = Request::new(request.body().clone());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// How long the upstream says that it keeps an idle connection: `Keep-Alive: timeout=5`.
fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let parameters = headers.get("keep-alive")?.to_str().ok()?.split(',');
    let timeout = parameters.filter_map(|parameter| parameter.split_once('='));
    let mut timeout = timeout.filter(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"));
    timeout.next()?.1.trim().parse().ok().map(Duration::from_secs)
}

/// Carries requests and answers, until the connection ends or is closed.
async fn carry(
    mut connection: HttpConnection<TokioIo<Stream>, Full<Bytes>>,
    closed: oneshot::Receiver<Close>,
    open: Gauge,
) {
    let _open = OpenConnection::new(&open);
    tokio::select! {
        biased;
        // First: a connection whose sender is gone ends by itself, and would leave to the kernel what a reset discards.
        Ok(Close::Reset) = closed => {
            let stream = connection.into_parts().io.into_inner();
            let stream = match &stream {
                Either::Left(stream) => stream,
                Either::Right(stream) => stream.get_ref().0,
            };
            // With an error the kernel goes on by itself.
            let _ = stream.set_zero_linger();
        }
        ended = &mut connection => {
            // Whoever waits for an answer hears of it; without one it is an idle connection that has ended.
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to the upstream ended");
            }
        }
    }
}

/// Closes connections that have been idle for too long, until there are none.
async fn sweep(upstream: Weak<Upstream>) {
    loop {
        sleep(SWEEP_INTERVAL).await;
        let Some(upstream) = upstream.upgrade() else { return };
        let mut pool = upstream.pool();
        let now = Instant::now();
        pool.idle.retain(|idle| now < idle.until && !idle.connection.sender.is_closed());
        if pool.idle.is_empty() {
            pool.is_swept = false;
            return;
        }
    }
}
