//! Divides the process's open files among its listeners. A connection uses one file: each listener has its own share,
//! so that none can exhaust the files of another or of the database.

use crate::listener::waiting_places;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Maximum number of files reserved for the database, the journal, mail, identity providers and the console's static
/// files.
const RESERVE: u64 = 256;

/// Maximum number of connections to the listener for metrics and probes.
const METRICS_CONNECTIONS: usize = 64;

/// Maximum number of connections to the console.
const CONSOLE_CONNECTIONS: usize = 1_000;

/// Maximum number of connections of each listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// For each of the gateway's listeners, and also for the upstream.
    pub gateway: usize,
    /// For the console.
    pub console: usize,
    /// For the listener of metrics and probes.
    pub metrics: usize,
}

/// Raises the limit on open files as far as an unprivileged process may. Returns the new limit.
pub fn raise_limit() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    // If it cannot be raised, it is unchanged.
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { before };
    now.current.unwrap_or(u64::MAX)
}

/// Divides `limit` files. `wished` is the number of connections wanted for each of the gateway's listeners, and
/// `sharing` the number of those listeners, including the upstream. A quarter is reserved for files other than
/// connections, a sixteenth goes to metrics and probes, and an eighth of the rest to the console; none gets more than
/// it can use.
pub fn shares(wished: usize, limit: u64, sharing: usize) -> Shares {
    let metrics = (limit / 16).min(files_of(METRICS_CONNECTIONS));
    let rest = limit.saturating_sub((limit / 4).min(RESERVE)).saturating_sub(metrics);
    let console = (rest / 8).min(files_of(CONSOLE_CONNECTIONS));
    let gateway = (rest - console) / sharing.max(1) as u64;
    Shares {
        gateway: wished.min(connections_in(gateway)).max(1),
        console: connections_in(console).max(1),
        metrics: connections_in(metrics).max(1),
    }
}

/// Number of files that a listener with this many connections needs, including connections that wait for a place.
fn files_of(connections: usize) -> u64 {
    (connections + waiting_places(connections)) as u64
}

/// Number of connections that a listener with this many files may have.
fn connections_in(files: u64) -> usize {
    usize::try_from(files - files.div_ceil(9)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listener_has_a_share_and_the_database_keeps_its_files() {
        let all = |gateway| Shares { gateway, console: CONSOLE_CONNECTIONS, metrics: METRICS_CONNECTIONS };
        assert_eq!(shares(10_000, 1_048_576, 3), all(10_000));
        assert_eq!(shares(10_000, u64::MAX, 2), all(10_000));
        for limit in [32, 64, 100, 256, 1_024, 1_200, 4_096, 20_000, 65_536] {
            for sharing in 1..=3 {
                let shares = shares(10_000, limit, sharing);
                let Shares { gateway, console, metrics } = shares;
                let used = files_of(gateway) * sharing as u64 + files_of(console) + files_of(metrics);
                assert!(used + (limit / 4).min(RESERVE) <= limit + 4, "{limit} {sharing} {shares:?}");
                assert!(gateway >= console / 3 && console >= 1 && metrics >= 1, "{limit} {sharing} {shares:?}");
            }
        }
        assert_eq!(shares(10_000, 8, 2), Shares { gateway: 2, console: 1, metrics: 1 }, "each serves all the same");
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        let raised = raise_limit();
        assert_eq!(raised, getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX));
        assert_eq!(raised, getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX));
    }
}
