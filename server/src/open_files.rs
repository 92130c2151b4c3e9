//! How many files the process may have open: a connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the console, metrics and the database need of them, so that no flood of connections takes it from them.
const RESERVE: u64 = 256;

/// Raises the limit as far as an ordinary process may, and answers what it is then.
pub fn raise_limit() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    // Where it cannot be raised, it is what it was.
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { before };
    now.current.unwrap_or(u64::MAX)
}

/// How many connections each of `sharing` may have, where `wished` are wished for and so many files may be open.
pub fn connections(wished: usize, limit: u64, sharing: usize) -> usize {
    let each = limit.saturating_sub(RESERVE) / sharing.max(1) as u64;
    wished.min(usize::try_from(each).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        assert_eq!(connections(10_000, 1_048_576, 3), 10_000);
        assert_eq!(connections(10_000, 1_024, 1), 768);
        assert_eq!(connections(10_000, 1_024, 3), 256);
        assert_eq!(connections(10_000, 100, 2), 1, "somebody is served all the same");
        assert_eq!(connections(10_000, u64::MAX, 2), 10_000);
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        let raised = raise_limit();
        assert_eq!(raised, getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX));
        assert_eq!(raised, getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX));
    }
}
