//! What the gateway counts for Prometheus (OpenMetrics 1.0 text).

use super::Gateway;
use domain::request::SeenRequest;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{fmt, sync::atomic::AtomicU64, time::Duration};

/// From 20 microseconds, about what a signature takes, to a third of a second.
const BUCKETS: [f64; 14] =
    [20e-6, 30e-6, 45e-6, 70e-6, 100e-6, 150e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 25e-3, 100e-3, 333e-3];

type Outcome = [(&'static str, &'static str); 1];

/// Counters and gauges, and the registry that names them.
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Outcome, Counter>,
    /// The one of `requests` that nearly all of them count in: it need not be looked for.
    accepted: Counter,
    verification: Histogram,
    replay_entries: Gauge,
    snapshot_keys: Gauge,
    snapshot_age: Gauge<f64, AtomicU64>,
    flush_lag: Gauge<f64, AtomicU64>,
    uncounted: Gauge,
    clock_ahead: Gauge<f64, AtomicU64>,
    unrecorded_stops: Gauge,
    pub(super) open_connections: Gauge,
    pub(super) refused_connections: Counter,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let requests = Family::<Outcome, Counter>::default();
        let accepted = requests.get_or_create(&[("code", SeenRequest::ACCEPTED)]).clone();
        let metrics = Self {
            registry: Registry::with_prefix("nuvera_gateway"),
            requests,
            accepted,
            verification: Histogram::new(BUCKETS),
            replay_entries: Gauge::default(),
            snapshot_keys: Gauge::default(),
            snapshot_age: Gauge::default(),
            flush_lag: Gauge::default(),
            uncounted: Gauge::default(),
            clock_ahead: Gauge::default(),
            unrecorded_stops: Gauge::default(),
            open_connections: Gauge::default(),
            refused_connections: Counter::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let to = &mut self.registry;
        to.register(
            "requests",
            "Requests, by what came of them: ok, a refusal's code, abandoned",
            self.requests.clone(),
        );
        let help = "From a request's head to its verdict, without the time in which its body arrived";
        to.register_with_unit("verification", help, Unit::Seconds, self.verification.clone());
        to.register("replay_entries", "Tokens that are remembered as used", self.replay_entries.clone());
        to.register("snapshot_keys", "API keys that are known, dead ones included", self.snapshot_keys.clone());
        let help = "Since what is known of applications last changed";
        to.register_with_unit("snapshot_age", help, Unit::Seconds, self.snapshot_age.clone());
        let help = "Since the counters of keys were last written to the database";
        to.register_with_unit("flush_lag", help, Unit::Seconds, self.flush_lag.clone());
        let help = "Uses of keys that were not counted because too many different keys were used";
        to.register("uncounted_uses", help, self.uncounted.clone());
        let help = "By how much the gateway's time, which never runs back, is ahead of the system's clock";
        to.register_with_unit("clock_ahead", help, Unit::Seconds, self.clock_ahead.clone());
        let help = "Emergency stops that are in force and not recorded in the database yet";
        to.register("unrecorded_stops", help, self.unrecorded_stops.clone());
        let help = "Connections at both doors, the API's and the edges'";
        to.register("open_connections", help, self.open_connections.clone());
        let help = "Connections closed at once: no place, or too many from their address";
        to.register("refused_connections", help, self.refused_connections.clone());
        self
    }

    /// A request is over.
    pub(super) fn request(&self, code: &'static str, judged_after: Option<Duration>) {
        if code == SeenRequest::ACCEPTED {
            self.accepted.inc();
        } else {
            self.requests.get_or_create(&[("code", code)]).inc();
        }
        if let Some(judged_after) = judged_after {
            self.verification.observe(judged_after.as_secs_f64());
        }
    }
}

impl Gateway {
    /// Everything that is counted, as Prometheus reads it.
    ///
    /// # Errors
    /// Never: memory takes what is written.
    pub fn metrics(&self) -> Result<String, fmt::Error> {
        let metrics = &self.metrics;
        let now = self.clock.now();
        let (keys, changed_at) = self.snapshot.size_and_age();
        metrics.replay_entries.set(signed(self.replay.len()));
        metrics.snapshot_keys.set(signed(keys));
        metrics.snapshot_age.set(now.since(changed_at).as_secs_f64());
        metrics.flush_lag.set(now.since(self.usage.flushed_at()).as_secs_f64());
        metrics.uncounted.set(i64::try_from(self.usage.uncounted()).unwrap_or(i64::MAX));
        metrics.unrecorded_stops.set(signed(self.snapshot.deny_list().len()));
        metrics.clock_ahead.set(self.clock.ahead().as_secs_f64());
        let mut text = String::new();
        encode(&mut text, &metrics.registry)?;
        Ok(text)
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
