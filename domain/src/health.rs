//! How an organization's applications are doing, in a few numbers: who needs help, and who needs it first.

use crate::{
    hygiene::Rotation,
    request::SeenRequest,
    time::{DAY, Timestamp},
};
use std::{cmp::Reverse, time::Duration};

/// An application that nobody has used this long after its creation was forgotten, or its integration does not work.
pub const UNUSED_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Refusals count as a problem from this many in an hour: a person who tries something out makes fewer.
pub const MANY_REFUSALS: u64 = 5;

/// Refusals count as a problem from one request in this many on.
pub const REFUSED_ONE_IN: u64 = 20;

/// What came of requests in a span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// How many there were, as far as they are kept: of each application the newest thousand.
    pub requests: u64,
    /// How many of them were refused.
    pub refused: u64,
    /// The most frequent refusal's code, and how often it was told.
    pub most_frequent: Option<(String, u64)>,
}

impl Outcomes {
    /// Counts requests with the same code: [`SeenRequest::code`].
    pub fn count(&mut self, code: &str, requests: u64) {
        self.requests += requests;
        if requests == 0 || code == SeenRequest::ACCEPTED || code == SeenRequest::ABANDONED {
            return;
        }
        self.refused += requests;
        // Of two that are as frequent, the first by name: a page that is loaded again says the same.
        let more = |(known, most): &(String, u64)| (requests, Reverse(code)) > (*most, Reverse(known.as_str()));
        if self.most_frequent.as_ref().is_none_or(more) {
            self.most_frequent = Some((code.to_owned(), requests));
        }
    }

    /// The share of refused requests, in words: `12%`.
    pub fn refused_share(&self) -> String {
        let tenths = self.refused.saturating_mul(1000).checked_div(self.requests).unwrap_or_default();
        match tenths {
            0 if self.refused > 0 => "under 0.1%".to_owned(),
            1..100 if !tenths.is_multiple_of(10) => format!("{}.{}%", tenths / 10, tenths % 10),
            tenths => format!("{}%", tenths / 10),
        }
    }

    fn is_alarming(&self) -> bool {
        self.refused >= MANY_REFUSALS && self.refused.saturating_mul(REFUSED_ONE_IN) >= self.requests
    }
}

/// How an organization's applications are doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// How many there are.
    pub applications: usize,
    /// How many of them are disabled.
    pub disabled: usize,
    /// How many are enabled and have never been used, [`UNUSED_AFTER`] their creation.
    pub never_used: usize,
    /// How many keys stop while requests still use them.
    pub stopping_in_use: usize,
    /// When the first of these does.
    pub first_stop: Option<Timestamp>,
    /// How many other keys have a deadline.
    pub expiring: usize,
    /// How many keys are older than the organization's policy lets them become.
    pub overdue: usize,
    /// What came of requests in the last hour.
    pub last_hour: Outcomes,
    /// What came of requests in the last day.
    pub last_day: Outcomes,
}

/// The loudest that can be said of an organization: the one that needs help first is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// A key stops at that time, and requests still use it.
    StopsInUse(Timestamp),
    /// So many requests were refused in the last hour.
    Refused(Reverse<u64>),
    /// So many keys are overdue.
    Overdue(Reverse<usize>),
    /// So many applications have never been used.
    NeverUsed(Reverse<usize>),
}

impl Health {
    /// Counts an application.
    pub fn count_application(&mut self, is_enabled: bool, created_at: Timestamp, is_used: bool, now: Timestamp) {
        self.applications += 1;
        self.disabled += usize::from(!is_enabled);
        self.never_used += usize::from(is_enabled && !is_used && now.since(created_at) >= UNUSED_AFTER);
    }

    /// Counts a key that works.
    pub fn count_key(&mut self, rotation: Rotation) {
        match rotation {
            Rotation::Ending { at, in_use: true, .. } => {
                self.stopping_in_use += 1;
                self.first_stop = Some(self.first_stop.map_or(at, |first| first.min(at)));
            }
            Rotation::Ending { in_use: false, .. } => self.expiring += 1,
            Rotation::Overdue { .. } => self.overdue += 1,
            Rotation::Current | Rotation::Due { .. } => {}
        }
    }

    /// Replaces the counts of keys.
    pub fn recount_keys(&mut self, rotations: impl Iterator<Item = Rotation>) {
        (self.stopping_in_use, self.first_stop, self.expiring, self.overdue) = (0, None, 0, 0);
        rotations.for_each(|rotation| self.count_key(rotation));
    }

    /// The loudest that can be said; `None` where nobody needs help. A disabled application was disabled by somebody who
    /// knows, and a key with a deadline that nothing uses any more is as it should be.
    pub fn concern(&self) -> Option<Concern> {
        match self.first_stop {
            Some(at) => Some(Concern::StopsInUse(at)),
            None if self.last_hour.is_alarming() => Some(Concern::Refused(Reverse(self.last_hour.refused))),
            None if self.overdue > 0 => Some(Concern::Overdue(Reverse(self.overdue))),
            None if self.never_used > 0 => Some(Concern::NeverUsed(Reverse(self.never_used))),
            None => None,
        }
    }

    /// Whether refusals of the last hour are a problem, and no mere try.
    pub fn refuses_many(&self) -> bool {
        self.last_hour.is_alarming()
    }

    /// In which order organizations are listed: whoever needs help first, then those that need none.
    pub fn order(&self) -> impl Ord + use<> {
        let concern = self.concern();
        (concern.is_none(), concern)
    }
}

/// A day and an hour ago: since when outcomes are counted.
pub fn since(now: Timestamp) -> [Timestamp; 2] {
    [now.minus(DAY), now.minus(Duration::from_secs(60 * 60))]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_404_310_000);

    fn outcomes(counts: &[(&str, u64)]) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for (code, requests) in counts {
            outcomes.count(code, *requests);
        }
        outcomes
    }

    #[test]
    fn refusals_are_counted_and_the_most_frequent_is_named() {
        let seen = outcomes(&[("ok", 90), ("uri_mismatch", 3), ("abandoned", 1), ("replay_detected", 6), ("b", 6)]);
        assert_eq!((seen.requests, seen.refused, seen.most_frequent.clone()), (106, 15, Some(("b".into(), 6))));
        assert_eq!(seen.refused_share(), "14%");
        assert_eq!(outcomes(&[("ok", 999), ("b", 1)]).refused_share(), "0.1%");
        assert_eq!(outcomes(&[("ok", 9999), ("b", 1)]).refused_share(), "under 0.1%");
        assert_eq!(
            (outcomes(&[]).refused_share(), outcomes(&[("b", 2)]).refused_share()),
            ("0%".into(), "100%".into())
        );
    }

    #[test]
    fn a_few_refusals_are_no_alarm() {
        for (counts, is_alarming) in [
            (&[("ok", 0), ("b", 4)][..], false),
            (&[("ok", 0), ("b", 5)], true),
            (&[("ok", 95), ("b", 5)], true),
            (&[("ok", 96), ("b", 5)], false),
        ] {
            let health = Health { last_hour: outcomes(counts), ..Health::default() };
            assert_eq!(health.concern().is_some(), is_alarming, "{counts:?}");
        }
    }

    #[test]
    fn an_application_counts_as_never_used_after_a_week_and_while_it_is_enabled() {
        let counted = |is_enabled, age, is_used| {
            let mut health = Health::default();
            health.count_application(is_enabled, NOW.minus(age), is_used, NOW);
            (health.applications, health.disabled, health.never_used)
        };
        assert_eq!(counted(true, UNUSED_AFTER, false), (1, 0, 1));
        assert_eq!(counted(true, UNUSED_AFTER - Duration::from_millis(1), false), (1, 0, 0));
        assert_eq!(counted(true, UNUSED_AFTER, true), (1, 0, 0));
        assert_eq!(counted(false, UNUSED_AFTER, false), (1, 1, 0));
    }

    #[test]
    fn whoever_needs_help_first_comes_first() {
        let ending = |days: u32, in_use| Rotation::Ending { at: NOW.plus(DAY * days), decided_at: NOW, in_use };
        let with = |rotations: &[Rotation]| {
            let mut health = Health::default();
            rotations.iter().for_each(|rotation| health.count_key(*rotation));
            health
        };
        let overdue = Rotation::Overdue { since: NOW };
        let due = Rotation::Due { at: NOW };
        let refusing = Health { last_hour: outcomes(&[("b", 50)]), ..Health::default() };
        let unused = Health { never_used: 1, ..Health::default() };
        let order = [
            with(&[overdue, ending(9, true), ending(1, true)]),
            with(&[ending(2, true)]),
            refusing,
            with(&[overdue, overdue]),
            with(&[overdue, ending(1, false)]),
            unused,
            with(&[ending(1, false), due, Rotation::Current]),
        ];
        assert_eq!((order[0].stopping_in_use, order[0].first_stop), (2, Some(NOW.plus(DAY))));
        assert_eq!((order[4].expiring, order[4].overdue), (1, 1));
        assert!(order.is_sorted_by(|one, next| one.order() < next.order()));
        assert_eq!(order[6].concern(), None);
    }
}
