//! The gateway: the door in front of the REST API. It verifies every request and lets it through, or refuses it with a
//! reason.
//!
//! The order is fixed, cheap checks first, and a token's `jti` is used up last: request head → key's form → look-up by
//! keyed hash → key's and application's state → token's form → claims → failed signatures' budget → signature → body and its hash → state and times
//! again → rate → endpoint → replay → permission → upstream. `verify.rs` reads in that order.
//!
//! Nothing here touches the database. What the gateway knows is a [`Snapshot`] that whoever changes an application
//! replaces before the change is acknowledged; what it sees is counted in [`Usage`], which somebody else writes down.

mod answer;
mod cors;
mod deny_list;
mod failed_signatures;
mod forward_auth;
mod framing;
mod limits;
mod listener;
mod metrics;
mod problem;
mod proxy;
mod receive;
mod recent;
mod record;
mod replay;
mod respond;
mod rewrite;
mod snapshot;
mod steady_clock;
mod upstream;
mod usage;
mod verify;

pub use deny_list::{DenyList, DenyScope};
pub use limits::RateLimit;
pub use proxy::UpstreamSettings;
pub use snapshot::Snapshot;
pub use usage::{KeyUse, Usage, UsageBatch};

use crate::{clock::Clock, forwarded::Proxies, listener::IDLE_TIMEOUT, pepper::Pepper};
use arc_swap::ArcSwap;
use domain::route::RouteTable;
use failed_signatures::FailedSignatures;
use limits::FailedAttempts;
use metrics::Metrics;
use proxy::Proxy;
use receive::BodyRoom;
use replay::Replay;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};
use steady_clock::SteadyClock;
use tokio::sync::Notify;
use uuid::Uuid;

/// How the gateway behaves.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// How far a partner's clock may be off, either way.
    pub leeway: Duration,
    /// The largest body that is taken, in bytes. There is room for 64 such at one time, which applications share.
    pub max_body_bytes: usize,
    /// The REST API behind the gateway. Without one the gateway answers what it verified.
    pub upstream: Option<UpstreamSettings>,
    /// Where clients reach the gateway: an origin.
    pub public_origin: Option<http::Uri>,
    /// How many tokens are remembered at the most; beyond that requests are refused, never forgotten. Each takes about
    /// 20 to 40 bytes.
    pub replay_capacity: usize,
    /// What each listener allows.
    pub connections: ConnectionSettings,
    /// How many requests an application may send; `None`: any number.
    pub rate_limit: Option<RateLimit>,
    /// How many requests that name no known API key are explained to one network address, and how many signatures that do
    /// not verify are tried for one application there; `None`: any number.
    pub failure_limit: Option<RateLimit>,
    /// The proxies in front of the gateway, which name the client's address.
    pub proxies: Proxies,
    /// The origin whose pages may send test requests from a browser: the console's.
    pub console_origin: Option<http::HeaderValue>,
    /// The endpoints, and what each needs.
    pub routes: RouteTable,
}

/// What each of the gateway's listeners allows.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionSettings {
    /// The most connections that are served at once; further ones wait, for a bounded time.
    pub max: usize,
    /// The most connections of one network address at the API's listener; `None`: any number.
    pub max_per_address: Option<usize>,
    /// How long a connection is kept without a request.
    pub idle_timeout: Duration,
    /// How long requests in flight may take to finish after a stop.
    pub drain_timeout: Duration,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self { max: 10_000, max_per_address: None, idle_timeout: IDLE_TIMEOUT, drain_timeout: Duration::from_secs(10) }
    }
}

impl GatewaySettings {
    /// For a gateway that serves nobody: it accepts no request.
    pub fn idle() -> Self {
        Self {
            leeway: Duration::ZERO,
            max_body_bytes: 0,
            upstream: None,
            public_origin: None,
            replay_capacity: 0,
            connections: ConnectionSettings::default(),
            rate_limit: None,
            failure_limit: None,
            proxies: Proxies::default(),
            console_origin: None,
            routes: RouteTable::default(),
        }
    }
}

/// Which tokens an earlier run of the gateway may have accepted. What was remembered of them is gone. See `fence.rs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayFence {
    /// Tokens whose `iat`, in seconds since 1970, is this or earlier are refused: the latest that an earlier run may have
    /// accepted.
    pub refuse_issued_at_or_before: Option<i64>,
    /// The run that the fence was taken for.
    pub run: Uuid,
}

/// What the server cannot do at the moment, for `/readyz` of the gateway. It stays ready: it needs no database.
#[derive(Default)]
pub struct Readiness {
    /// One line each.
    problems: ArcSwap<Vec<String>>,
    asked: Notify,
}

impl Readiness {
    /// Says from now on that these things cannot be done.
    pub fn report(&self, problems: Vec<String>) {
        self.problems.store(Arc::new(problems));
    }

    /// Waits until `/readyz` is asked.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// What `/readyz` says of a gateway that serves. What is known is brought up to date after that.
    fn text(&self) -> String {
        self.asked.notify_one();
        let problems = self.problems.load();
        std::iter::once("ready").chain(problems.iter().map(String::as_str)).map(|line| format!("{line}\n")).collect()
    }
}

/// Verifies requests. See [`Gateway::serve`].
pub struct Gateway {
    settings: GatewaySettings,
    clock: SteadyClock,
    pepper: Arc<Pepper>,
    snapshot: Snapshot,
    usage: Usage,
    replay: Replay,
    failed_attempts: FailedAttempts,
    failed_signatures: FailedSignatures,
    body_room: Arc<BodyRoom>,
    metrics: Metrics,
    fence: ReplayFence,
    /// The latest `iat` that was accepted; `i64::MIN` where there is none.
    latest_issued_at: AtomicI64,
    ready: AtomicBool,
    /// Whether another process serves the database by now.
    superseded: AtomicBool,
    readiness: Readiness,
    /// Whether a stop was announced: answers then ask clients to close their connections.
    stopping: AtomicBool,
    /// Whether it was said that the clock is ahead.
    told_of_clock: AtomicBool,
    proxy: Option<Proxy>,
}

impl Gateway {
    /// A gateway that knows no key yet, and is not ready.
    pub fn new(settings: GatewaySettings, clock: Clock, pepper: Arc<Pepper>, fence: ReplayFence) -> Arc<Self> {
        let usage = Usage::new(clock.now());
        let metrics = Metrics::new(usage.uncounted_counter());
        let proxy = settings
            .upstream
            .as_ref()
            .map(|upstream| Proxy::new(upstream, settings.public_origin.as_ref(), metrics.upstream.clone()));
        Arc::new(Self {
            clock: SteadyClock::new(clock.clone()),
            pepper,
            usage,
            snapshot: Snapshot::new(clock),
            replay: Replay::new(settings.replay_capacity, settings.leeway),
            failed_attempts: FailedAttempts::new(settings.failure_limit),
            failed_signatures: FailedSignatures::new(settings.failure_limit),
            body_room: BodyRoom::new(settings.max_body_bytes),
            metrics,
            latest_issued_at: AtomicI64::new(i64::MIN),
            fence,
            ready: AtomicBool::new(false),
            superseded: AtomicBool::new(false),
            readiness: Readiness::default(),
            stopping: AtomicBool::new(false),
            told_of_clock: AtomicBool::new(false),
            proxy,
            settings,
        })
    }

    /// The applications and keys that requests are judged by.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What was seen of each key.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// What `/readyz` answers: whether requests shall be sent here. A gateway starts unready, and is so too while its clock
    /// is ahead.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Sets whether another process serves the database, whose changes do not reach this gateway: then it is not ready.
    /// Returns what was set before.
    pub fn set_superseded(&self, superseded: bool) -> bool {
        self.superseded.swap(superseded, Ordering::AcqRel)
    }

    /// Whether another process serves the database.
    pub fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    /// What `/readyz` says besides, and whether it is asked.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// From now on `/readyz` fails, and each answer is the last one on its connection, so that clients and load balancers
    /// leave before the listeners close. Requests are answered as before.
    pub fn announce_stop(&self) {
        self.set_ready(false);
        self.stopping.store(true, Ordering::Release);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Which run of the server this is, as its [`ReplayFence`] says.
    pub fn run(&self) -> Uuid {
        self.fence.run
    }

    /// How far ahead of the gateway's clock the `iat` of an accepted token may be.
    pub fn leeway(&self) -> Duration {
        self.settings.leeway
    }

    /// Says so in the log, once, where the gateway's time has run ahead of the system's. To be called now and then.
    pub fn watch_clock(&self) {
        let ahead = self.clock_is_ahead();
        if ahead != self.told_of_clock.swap(ahead, Ordering::AcqRel) {
            let seconds = self.clock.ahead().as_secs();
            if ahead {
                tracing::error!(
                    seconds,
                    "the system's clock was set back by more than the leeway: good requests are refused as expired until it \
                     has caught up, or until a restart"
                );
            } else {
                tracing::info!("the system's clock has caught up");
            }
        }
    }

    /// Whether the system's clock was set back so far that tokens of the moment are taken for expired or soon will be.
    fn clock_is_ahead(&self) -> bool {
        self.clock.ahead() > self.settings.leeway
    }

    /// The latest `iat` of any token that this run may have accepted; `None` where there was none. It is final once
    /// [`Gateway::serve`] has returned: a clean stop stores it for the next start's fence.
    pub fn latest_accepted_issued_at(&self) -> Option<i64> {
        Some(self.latest_issued_at.load(Ordering::Acquire)).filter(|&seconds| seconds != i64::MIN)
    }
}
