//! What the whole process counts, besides the gateway, and how Prometheus reads it (OpenMetrics 1.0).
//!
//! The names follow Prometheus' conventions: `process_…` as every client library has them, `nuvera_build_info`, and
//! `nuvera_…` for the rest; what only grows is a counter.

use crate::store::{PoolUse, Store};
use domain::sign_in::{Method, Outcome};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        info::Info,
    },
    registry::{Registry, Unit},
};
use std::{
    fmt, fs,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Counters of the process: it has one console, one mailer and one log.
pub struct Events {
    mail: Family<Labels<1>, Counter>,
    sign_ins: Family<Labels<2>, Counter>,
    dropped_log_lines: AtomicU64,
}

/// The process's own counters.
pub static EVENTS: LazyLock<Events> = LazyLock::new(Events::default);

impl Default for Events {
    fn default() -> Self {
        let mail = Family::<Labels<1>, Counter>::default();
        // What did not happen yet is zero, and not missing: a rate needs a first value.
        for outcome in ["sent", "failed"] {
            drop(mail.get_or_create(&[("outcome", outcome)]));
        }
        Self { mail, sign_ins: Family::default(), dropped_log_lines: AtomicU64::new(0) }
    }
}

impl Events {
    /// Counts a message that got away, or did not.
    pub fn mail(&self, is_sent: bool) {
        self.mail.get_or_create(&[("outcome", if is_sent { "sent" } else { "failed" })]).inc();
    }

    /// Counts an attempt to sign in.
    pub fn sign_in(&self, method: Method, outcome: Outcome) {
        self.sign_ins.get_or_create(&[("method", method.code()), ("outcome", outcome.code())]).inc();
    }

    /// Counts lines that the log had no room for. Allocates nothing and takes no lock: the log calls it.
    pub fn dropped_log_lines(&self, lines: u64) {
        self.dropped_log_lines.fetch_add(lines, Ordering::Relaxed);
    }
}

/// The registry of a server with this database.
pub fn registry(store: Store) -> Registry {
    let mut registry = Registry::default();
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("nuvera_build", "The program's version", build);
    let help = "Messages by mail, by what came of them";
    registry.register("nuvera_mail_messages", help, EVENTS.mail.clone());
    let help = "Attempts to sign in, by method and what came of them";
    registry.register("nuvera_sign_ins", help, EVENTS.sign_ins.clone());
    registry.register_collector(Box::new(Now { store }));
    registry
}

/// What is read when it is asked for.
#[derive(Debug)]
struct Now {
    store: Store,
}

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let dropped = EVENTS.dropped_log_lines.load(Ordering::Relaxed);
        counter(
            &mut encoder,
            "nuvera_log_lines_dropped",
            "Lines of the log that there was no room for",
            None,
            dropped,
        )?;
        let help = "Connections to the database, by pool and state";
        let kind = prometheus_client::metrics::MetricType::Gauge;
        let mut connections = encoder.encode_descriptor("nuvera_database_connections", help, None, kind)?;
        for (pool, PoolUse { open, idle }) in self.store.pools() {
            for (state, count) in [("idle", idle), ("in_use", open.saturating_sub(idle))] {
                let count = i64::from(count);
                ConstGauge::new(count).encode(connections.encode_family(&[("pool", pool), ("state", state)])?)?;
            }
        }
        Process::read().encode(&mut encoder)
    }
}

/// What the kernel says of this process. A value that cannot be read is left out.
#[derive(Debug, Default, PartialEq)]
struct Process {
    cpu_seconds: Option<f64>,
    start_time_seconds: Option<f64>,
    resident_bytes: Option<f64>,
    virtual_bytes: Option<f64>,
    threads: Option<f64>,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
}

/// Ticks of `/proc/…/stat` in a second: the same on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

impl Process {
    fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let open_fds = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1) as f64);
        let files = ["/proc/self/stat", "/proc/self/status", "/proc/self/limits", "/proc/stat"].map(read);
        let [stat, status, limits, system] = &files;
        Self { open_fds, ..Self::parse(stat, status, limits, system) }
    }

    fn parse(stat: &str, status: &str, limits: &str, system: &str) -> Self {
        // The program's name, in brackets, may hold spaces.
        let fields: Vec<f64> = stat
            .rsplit_once(')')
            .map(|(_, fields)| fields.split_whitespace().map(|field| field.parse().unwrap_or(f64::NAN)).collect())
            .unwrap_or_default();
        // proc_pid_stat(5) counts from 1, and the first two are before the bracket.
        let field = |number: usize| fields.get(number - 3).copied().filter(|value| value.is_finite());
        let kilobytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
        };
        let boot = system.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
        let max_fds = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        Self {
            cpu_seconds: field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            start_time_seconds: field(22).zip(boot).map(|(ticks, boot)| boot + ticks / TICKS_PER_SECOND),
            resident_bytes: kilobytes("VmRSS"),
            virtual_bytes: kilobytes("VmSize"),
            threads: field(20),
            open_fds: None,
            max_fds: max_fds.and_then(|limits| limits.split_whitespace().next()?.parse().ok()),
        }
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(seconds) = self.cpu_seconds {
            let help = "Processor time that the process has used";
            counter(encoder, "process_cpu", help, Some(&Unit::Seconds), seconds)?;
        }
        for (name, help, unit, value) in [
            (
                "process_start_time",
                "When the process started, since 1970",
                Some(Unit::Seconds),
                self.start_time_seconds,
            ),
            ("process_resident_memory", "Memory that the process holds", Some(Unit::Bytes), self.resident_bytes),
            ("process_virtual_memory", "Address space of the process", Some(Unit::Bytes), self.virtual_bytes),
            ("process_threads", "Threads of the process", None, self.threads),
            ("process_open_fds", "Open files and connections", None, self.open_fds),
            ("process_max_fds", "How many files and connections may be open", None, self.max_fds),
        ] {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?)?;
        }
        Ok(())
    }
}

fn counter<N>(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, unit: Option<&Unit>, value: N) -> fmt::Result
where
    ConstCounter<N>: EncodeMetric,
{
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(name, help, unit, counter.metric_type())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read_whatever_the_program_is_called() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1000 1048576 25 1";
        let status = "Name:\ta\nVmSize:\t    1024 kB\nVmRSS:\t     100 kB\n";
        let limits = "Limit   Soft   Hard\nMax open files            1024                 4096                 files\n";
        let read = Process::parse(stat, status, limits, "cpu 1\nbtime 1700000000\n");
        let expected = Process {
            cpu_seconds: Some(3.0),
            start_time_seconds: Some(1_700_000_010.0),
            resident_bytes: Some(102_400.0),
            virtual_bytes: Some(1_048_576.0),
            threads: Some(9.0),
            open_fds: None,
            max_fds: Some(1024.0),
        };
        assert_eq!(read, expected);
        assert_eq!(Process::parse("", "", "", ""), Process::default());
        let own = Process::read();
        assert!(own.resident_bytes.unwrap() > 1e6 && own.open_fds.unwrap() > 0.0, "{own:?}");
    }
}
