//! What the gateway counts for Prometheus (OpenMetrics 1.0 text).

use super::Gateway;
use domain::request::{Refusal, SeenRequest};
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
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
    clock_ahead: Gauge<f64, AtomicU64>,
    unrecorded_stops: Gauge,
    pub(super) open_connections: Gauge,
    pub(super) refused_connections: Counter,
    pub(super) upstream: UpstreamMetrics,
}

/// What is counted of the REST API behind the gateway.
#[derive(Clone)]
pub(super) struct UpstreamMetrics {
    requests: Family<Outcome, Counter>,
    answer: Histogram,
    /// Requests that were sent a second time because a kept connection had ended.
    pub(super) retries: Counter,
    /// Connections, in use or kept.
    pub(super) connections: Gauge,
}

/// The outcome of a request that the upstream answered.
const ANSWERED: &str = "answered";

/// From half a millisecond, an answer from the same machine, to as long as an upstream may take.
const ANSWER_BUCKETS: [f64; 13] = [0.5e-3, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

impl Default for UpstreamMetrics {
    fn default() -> Self {
        let requests = Family::<Outcome, Counter>::default();
        // What did not happen yet is zero, and not missing: a rate needs a first value.
        let unanswered = [Refusal::UpstreamUnavailable, Refusal::UpstreamFailed, Refusal::UpstreamTimeout];
        for outcome in unanswered.iter().map(Refusal::code).chain([ANSWERED]) {
            drop(requests.get_or_create(&[("outcome", outcome)]));
        }
        Self {
            requests,
            answer: Histogram::new(ANSWER_BUCKETS),
            retries: Counter::default(),
            connections: Gauge::default(),
        }
    }
}

impl UpstreamMetrics {
    /// The request was answered.
    pub(super) fn answered(&self, after: Duration) {
        self.request(ANSWERED, after);
    }

    /// A request was answered after this time, or not: `outcome` says why.
    pub(super) fn request(&self, outcome: &'static str, after: Duration) {
        self.requests.get_or_create(&[("outcome", outcome)]).inc();
        self.answer.observe(after.as_secs_f64());
    }
}

impl Metrics {
    /// `uncounted` counts the uses of keys that are not counted.
    pub(super) fn new(uncounted: Counter) -> Self {
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
            upstream: UpstreamMetrics::default(),
            clock_ahead: Gauge::default(),
            unrecorded_stops: Gauge::default(),
            open_connections: Gauge::default(),
            refused_connections: Counter::default(),
        };
        metrics.registered(uncounted)
    }

    fn registered(mut self, uncounted: Counter) -> Self {
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
        to.register("uncounted_uses", help, uncounted);
        let help = "By how much the gateway's time, which never runs back, is ahead of the system's clock";
        to.register_with_unit("clock_ahead", help, Unit::Seconds, self.clock_ahead.clone());
        let help = "Emergency stops that are in force and not recorded in the database yet";
        to.register("unrecorded_stops", help, self.unrecorded_stops.clone());
        let help = "Connections at both doors, the API's and the edges'";
        to.register("open_connections", help, self.open_connections.clone());
        let help = "Connections closed at once: no place, or too many from their address";
        to.register("refused_connections", help, self.refused_connections.clone());
        let UpstreamMetrics { requests, answer, retries, connections } = self.upstream.clone();
        let help = "Requests to the upstream, by what came of them: answered, or a refusal's code";
        to.register("upstream_requests", help, requests);
        let help = "From the sending of a request to the beginning of the upstream's answer, or to its failure";
        to.register_with_unit("upstream_answer", help, Unit::Seconds, answer);
        let help = "Requests that were sent a second time because a kept connection had ended";
        to.register("upstream_retries", help, retries);
        to.register("upstream_connections", "Connections to the upstream, in use or kept", connections);
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
        let mut text = String::new();
        self.encode_metrics(&mut text)?;
        encode_eof(&mut text)?;
        Ok(text)
    }

    /// Writes everything that is counted, without an end.
    ///
    /// # Errors
    /// Never: memory takes what is written.
    pub fn encode_metrics(&self, text: &mut String) -> fmt::Result {
        let metrics = &self.metrics;
        let now = self.clock.now();
        let (keys, changed_at) = self.snapshot.size_and_age();
        metrics.replay_entries.set(signed(self.replay.len()));
        metrics.snapshot_keys.set(signed(keys));
        metrics.snapshot_age.set(now.since(changed_at).as_secs_f64());
        metrics.flush_lag.set(now.since(self.usage.flushed_at()).as_secs_f64());
        metrics.unrecorded_stops.set(signed(self.snapshot.deny_list().len()));
        metrics.clock_ahead.set(self.clock.ahead().as_secs_f64());
        encode_registry(text, &metrics.registry)
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
