//! Connections to the REST API behind the gateway: kept between requests, and closed when an answer leaves a request
//! half sent.
//!
//! hyper's own pool gives no hold on a connection whose upstream answered before it had read the body: such a connection
//! waits for ever to send the rest, with its socket and the body in memory. Here each request has its connection as a
//! [`LeasedConnection`] for as long as its answer lasts. Afterwards it is kept if the request was sent whole by then or
//! within [`LINGER`], and closed otherwise (RFC 9112, 9.5 and 9.6). A lease that is dropped, because the client has gone
//! or the time is up, closes the connection at once.

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, Connection as HttpConnection, SendRequest},
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use std::{
    collections::VecDeque,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    runtime::Handle,
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use tower::{BoxError, ServiceExt};

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// How long the rest of a request may take after its answer is complete. An upstream that still reads gets it; one that
/// does not reads a connection that ends in the middle of a body, which it has answered already.
const LINGER: Duration = Duration::from_secs(1);

/// The upstream, and the connections to it that no request has at the moment.
pub(super) struct Upstream {
    uri: Uri,
    connector: HttpConnector,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    /// The one that was used last is at the back, and is used next.
    idle: VecDeque<Idle>,
    /// Whether a task closes those that are idle for too long.
    is_swept: bool,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection; closed when this is dropped.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    close: Option<oneshot::Sender<Close>>,
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
        let close = if self.sender.is_ready() { Close::Finish } else { Close::Reset };
        // A connection that has ended by itself no longer listens.
        let _ = self.close.take().map(|sender| sender.send(close));
    }
}

/// A connection on which a request is being answered; closed when this is dropped.
pub(super) struct LeasedConnection {
    connection: Connection,
    upstream: Arc<Upstream>,
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
    pub(super) fn new(uri: Uri) -> Arc<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Arc::new(Self { uri, connector, pool: Mutex::default() })
    }

    /// Sends a request, on a kept connection if there is one. The answer's head may come before the request is sent whole.
    ///
    /// # Errors
    /// [`SendError`]. A kept connection that has ended before a byte was written to it is no error: another one is tried.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, LeasedConnection), SendError> {
        loop {
            let kept = self.take_idle();
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, LeasedConnection { connection, upstream: self.clone() })),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if is_kept => request = unsent,
                    _ => return Err(SendError::Failed(error.into_error())),
                },
            }
        }
    }

    async fn connect(self: &Arc<Self>) -> Result<Connection, SendError> {
        let failed = |error: Box<dyn Error + Send + Sync>| SendError::Connect(error);
        let stream = self.connector.clone().oneshot(self.uri.clone()).await.map_err(|error| failed(error.into()))?;
        let (sender, connection) = Builder::new().handshake(stream).await.map_err(|error| failed(error.into()))?;
        let (close, closed) = oneshot::channel();
        tokio::spawn(carry(connection, closed));
        Ok(Connection { sender, close: Some(close) })
    }

    fn take_idle(&self) -> Option<Connection> {
        loop {
            let Idle { connection, since } = self.pool().idle.pop_back()?;
            if since.elapsed() < IDLE && connection.sender.is_ready() {
                return Some(connection);
            }
        }
    }

    fn keep(self: &Arc<Self>, connection: Connection) {
        let mut pool = self.pool();
        pool.idle.push_back(Idle { connection, since: Instant::now() });
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
        let Self { mut connection, upstream } = self;
        if connection.sender.is_ready() {
            return upstream.keep(connection);
        }
        // Without a runtime the program is ending, and the connection with it.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Ok(Ok(())) = timeout(LINGER, connection.sender.ready()).await {
                upstream.keep(connection);
            }
        });
    }
}

/// Carries requests and answers, until the connection ends or is closed.
async fn carry(mut connection: HttpConnection<TokioIo<TcpStream>, Full<Bytes>>, closed: oneshot::Receiver<Close>) {
    tokio::select! {
        biased;
        ended = &mut connection => {
            // Whoever waits for an answer hears of it; without one it is an idle connection that has ended.
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to the upstream ended");
            }
        }
        close = closed => {
            if matches!(close, Ok(Close::Reset)) {
                // With an error the kernel goes on by itself.
                let _ = connection.into_parts().io.into_inner().set_zero_linger();
            }
        }
    }
}

/// Closes connections that have been idle for too long, until there are none.
async fn sweep(upstream: Weak<Upstream>) {
    loop {
        sleep(IDLE / 2).await;
        let Some(upstream) = upstream.upgrade() else { return };
        let mut pool = upstream.pool();
        pool.idle.retain(|idle| idle.since.elapsed() < IDLE && !idle.connection.sender.is_closed());
        if pool.idle.is_empty() {
            pool.is_swept = false;
            return;
        }
    }
}
