//! The health of an organization's applications in a few numbers, and the order in which organizations need attention.

use crate::{
    hygiene::Rotation,
    request::SeenRequest,
    time::{DAY, Timestamp},
};
use std::{cmp::Reverse, time::Duration};

/// Age at which an enabled application without any use is reported: it was forgotten, or its integration does not work.
pub const UNUSED_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Minimum number of refusals per hour that counts as a problem. Manual experiments cause fewer.
pub const MANY_REFUSALS: u64 = 5;

/// Refusals count as a problem if at least one in this many requests is refused.
pub const REFUSED_ONE_IN: u64 = 20;

/// The outcomes of the requests in a period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Number of requests, limited to those that are kept: the newest thousand of each application.
    pub requests: u64,
    /// Number of refused requests.
    pub refused: u64,
    /// The code of the most frequent refusal, and how often it occurred.
    pub most_frequent: Option<(String, u64)>,
}

impl Outcomes {
    /// Adds requests with the same outcome: see [`SeenRequest::code`].
    pub fn count(&mut self, code: &str, requests: u64) {
        self.requests += requests;
        if requests == 0 || code == SeenRequest::ACCEPTED || code == SeenRequest::ABANDONED {
            return;
        }
        self.refused += requests;
        // Ties are broken by code, so that reloading a page shows the same result.
        let more = |(known, most): &(String, u64)| (requests, Reverse(code)) > (*most, Reverse(known.as_str()));
        if self.most_frequent.as_ref().is_none_or(more) {
            self.most_frequent = Some((code.to_owned(), requests));
        }
    }

    /// Returns the share of refused requests as text, such as `12%`.
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

/// The health of an organization's applications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Number of applications.
    pub applications: usize,
    /// Number of disabled applications.
    pub disabled: usize,
    /// Number of enabled applications that have never been used although they are older than [`UNUSED_AFTER`].
    pub never_used: usize,
    /// Number of keys that expire soon and are still in use.
    pub stopping_in_use: usize,
    /// The earliest expiry among these.
    pub first_stop: Option<Timestamp>,
    /// Number of other keys with a deadline.
    pub expiring: usize,
    /// Number of keys that exceed the maximum age of the organization's policy.
    pub overdue: usize,
    /// Outcomes of the requests of the last hour.
    pub last_hour: Outcomes,
    /// Outcomes of the requests of the last day.
    pub last_day: Outcomes,
}

/// The most urgent problem of an organization. The most urgent one is the least in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// A key that is still in use expires at this time.
    StopsInUse(Timestamp),
    /// This many requests were refused in the last hour.
    Refused(Reverse<u64>),
    /// This many keys are overdue for rotation.
    Overdue(Reverse<usize>),
    /// This many applications have never been used.
    NeverUsed(Reverse<usize>),
}

impl Health {
    /// Counts an application.
    pub fn count_application(&mut self, is_enabled: bool, created_at: Timestamp, is_used: bool, now: Timestamp) {
        self.applications += 1;
        self.disabled += usize::from(!is_enabled);
        self.never_used += usize::from(is_enabled && !is_used && now.since(created_at) >= UNUSED_AFTER);
    }

    /// Counts a live key.
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

    /// Recomputes the counts of keys.
    pub fn recount_keys(&mut self, rotations: impl Iterator<Item = Rotation>) {
        (self.stopping_in_use, self.first_stop, self.expiring, self.overdue) = (0, None, 0, 0);
        rotations.for_each(|rotation| self.count_key(rotation));
    }

    /// Returns the most urgent problem; `None` if there is none. Disabled applications do not count, since they were
    /// disabled on purpose, nor do keys with a deadline that are no longer in use.
    pub fn concern(&self) -> Option<Concern> {
        match self.first_stop {
            Some(at) => Some(Concern::StopsInUse(at)),
            None if self.last_hour.is_alarming() => Some(Concern::Refused(Reverse(self.last_hour.refused))),
            None if self.overdue > 0 => Some(Concern::Overdue(Reverse(self.overdue))),
            None if self.never_used > 0 => Some(Concern::NeverUsed(Reverse(self.never_used))),
            None => None,
        }
    }

    /// Whether the refusals of the last hour are a problem and not just an experiment.
    pub fn refuses_many(&self) -> bool {
        self.last_hour.is_alarming()
    }

    /// Returns the sort key by which organizations are listed: the most urgent first, those without a problem last.
    pub fn order(&self) -> impl Ord + use<> {
        let concern = self.concern();
        (concern.is_none(), concern)
    }
}

/// Returns the starts of the periods for which outcomes are counted: a day ago and an hour ago.
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
