//! Whether traffic has moved from an old key to a new one, so that the old one can be revoked.
//!
//! The old key is safe to revoke when both of these hold:
//! - it has been silent for at least 15 minutes, and for twice its longest pause between two requests in the past week
//!   (at most a day);
//! - the new key is still in use: its last request is no older than half of that time, or than the old key's longest
//!   pause. Silence of both keys shows an idle system, not that traffic has moved.
//!
//! Every page and the automatic revocation use [`Verdict::at`], so that they cannot disagree.

use crate::{
    api_key::{ApiKey, ApiKeyStatus},
    application::ApiApplication,
    time::Timestamp,
};
use std::time::Duration;

/// Minimum silence that counts as evidence.
pub const LEAST_SILENCE: Duration = Duration::from_secs(15 * 60);

/// Maximum silence that is required.
pub const MOST_SILENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the per-minute traffic of a key is kept.
pub const WATCHED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The recent traffic of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Number of requests per minute (since 1970), in order. Minutes without requests are absent.
    pub minutes: Vec<(i64, i64)>,
    /// The longest time between two uses within [`WATCHED`], with a resolution of one minute; `None` if fewer than two
    /// minutes had requests.
    pub longest_gap: Option<Duration>,
}

impl Traffic {
    /// Returns the number of the minute, since 1970, that contains `at`.
    pub fn minute(at: Timestamp) -> i64 {
        at.as_millis().div_euclid(60_000)
    }
}

/// The use of a key, as far as the verdict depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse<'a> {
    /// The first accepted request.
    pub first_used_at: Timestamp,
    /// The last accepted request.
    pub last_used_at: Timestamp,
    /// Its recent traffic; `None` if none was recorded.
    pub traffic: Option<&'a Traffic>,
}

impl KeyUse<'_> {
    fn longest_gap(self) -> Option<Duration> {
        self.traffic?.longest_gap
    }

    /// Returns the instant since which no two of its requests were further apart than `pause`. The resolution is one
    /// minute, as in [`Traffic`].
    fn in_use_since(self, pause: Duration) -> Timestamp {
        let minutes = self.traffic.map_or(&[][..], |traffic| &traffic.minutes);
        let mut later = Traffic::minute(self.last_used_at);
        for &(minute, _) in minutes.iter().rev().filter(|(minute, _)| *minute < Traffic::minute(self.last_used_at)) {
            if Duration::from_secs(60 * later.abs_diff(minute)) > pause {
                return start_of_minute(later).min(self.last_used_at).max(self.first_used_at);
            }
            later = minute;
        }
        if minutes.is_empty() { self.last_used_at } else { start_of_minute(later).max(self.first_used_at) }
    }
}

fn start_of_minute(minute: i64) -> Timestamp {
    Timestamp::from_millis(minute.saturating_mul(60_000))
}

/// The conclusion about revoking the old key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet: no request has used the new key, so revoking the old one would interrupt the service.
    NewKeyUnused,
    /// Not yet: the old key has not been silent for long enough.
    Waiting {
        /// How long it has been silent.
        silent_for: Duration,
        /// How long it must have been silent.
        needed: Duration,
    },
    /// No evidence: both keys are silent, so nothing shows where the traffic has gone.
    NoEvidence {
        /// How long neither key has been used.
        silent_for: Duration,
    },
    /// Safe: the new key is in use, and the old one has been silent for long enough.
    Silent {
        /// How long it has been silent.
        silent_for: Duration,
        /// The longest silence before that, if known.
        longest_gap: Option<Duration>,
    },
    /// Safe: the new key is in use, and no request has ever used the old one.
    OldKeyUnused,
}

impl Verdict {
    /// Evaluates the use of both keys at `now`.
    pub fn at(now: Timestamp, old: Option<KeyUse<'_>>, new: Option<KeyUse<'_>>) -> Self {
        let Some(new) = new else { return Self::NewKeyUnused };
        let new_silent_for = now.since(new.last_used_at);
        let is_in_use = new_silent_for <= longest_pause(old);
        let Some(old) = old else {
            let silent_for = new_silent_for;
            return if is_in_use { Self::OldKeyUnused } else { Self::NoEvidence { silent_for } };
        };
        let silent_for = now.since(old.last_used_at);
        let longest_gap = old.longest_gap();
        let needed = needed_silence(longest_gap);
        if silent_for < needed {
            Self::Waiting { silent_for, needed }
        } else if is_in_use && new.last_used_at > old.last_used_at {
            Self::Silent { silent_for, longest_gap }
        } else {
            Self::NoEvidence { silent_for: silent_for.min(new_silent_for) }
        }
    }

    /// Whether the evidence shows that the old key can be revoked without an interruption.
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Silent { .. } | Self::OldKeyUnused)
    }
}

/// Returns how long the old key has been safe to revoke without a break; `None` if it is not safe now.
pub fn safe_for(now: Timestamp, old: Option<KeyUse<'_>>, new: Option<KeyUse<'_>>) -> Option<Duration> {
    if !Verdict::at(now, old, new).is_safe() {
        return None;
    }
    let in_use = now.since(new?.in_use_since(longest_pause(old)));
    let silent = old.map(|old| now.since(old.last_used_at).saturating_sub(needed_silence(old.longest_gap())));
    Some(silent.map_or(in_use, |silent| silent.min(in_use)))
}

/// Returns how long a key must be silent if its longest silence while in use was `longest_gap`.
fn needed_silence(longest_gap: Option<Duration>) -> Duration {
    (longest_gap.unwrap_or_default() * 2).clamp(LEAST_SILENCE, MOST_SILENCE)
}

/// Returns the longest pause between the new key's requests for it to count as in use. It follows the old key's
/// traffic. If the old key was never used, it is one day, so that the verdict does not depend on how busy the last
/// minutes were.
fn longest_pause(old: Option<KeyUse<'_>>) -> Duration {
    let Some(old) = old else { return MOST_SILENCE };
    let needed = needed_silence(old.longest_gap());
    old.longest_gap().unwrap_or_default().clamp(needed / 2, needed)
}

/// Returns the API key that replaces others at `now`, with the keys that it replaces; [`None`] if no rotation is in
/// progress.
pub fn api_key_rotation(application: &ApiApplication, now: Timestamp) -> Option<(&ApiKey, Vec<&ApiKey>)> {
    let new = application.api_keys.iter().find(|key| key.status(now) == ApiKeyStatus::Active)?;
    let old: Vec<_> = application.expiring_keys(now).filter(|key| key.created_at <= new.created_at).collect();
    (!old.is_empty()).then_some((new, old))
}

/// Returns the number of requests with a key in the last `window`, limited to the [minutes](Traffic::minutes) given.
/// The minute in which the window begins is counted only if the key's last use is in that minute and inside the window.
pub fn requests_within(window: Duration, now: Timestamp, used: Option<KeyUse<'_>>) -> i64 {
    let Some((used, traffic)) = used.and_then(|used| Some((used, used.traffic?))) else { return 0 };
    let begins_at = now.minus(window);
    if used.last_used_at <= begins_at {
        return 0;
    }
    let first = (Traffic::minute(begins_at) + 1).min(Traffic::minute(used.last_used_at));
    traffic.minutes.iter().filter(|(minute, _)| *minute >= first).map(|(_, requests)| requests).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);
    /// The start of a minute.
    const START: Timestamp = Timestamp::from_millis(1_795_404_300_000);

    fn at(minutes: u32) -> Timestamp {
        START.plus(MINUTE * minutes)
    }

    fn rhythm(longest_gap: Option<Duration>) -> Traffic {
        Traffic { minutes: Vec::new(), longest_gap }
    }

    fn at_minutes(minutes: &[u32]) -> Traffic {
        Traffic { minutes: minutes.iter().map(|&m| (Traffic::minute(at(m)), 1)).collect(), longest_gap: None }
    }

    fn last_used(minutes: u32, traffic: &Traffic) -> Option<KeyUse<'_>> {
        Some(KeyUse { first_used_at: at(0), last_used_at: at(minutes), traffic: Some(traffic) })
    }

    fn busy() -> Traffic {
        rhythm(Some(MINUTE))
    }

    #[test]
    fn nothing_is_safe_before_the_new_key_is_used() {
        assert_eq!(Verdict::at(at(9_999), None, None), Verdict::NewKeyUnused);
        assert_eq!(Verdict::at(at(9_999), last_used(0, &busy()), None), Verdict::NewKeyUnused);
    }

    #[test]
    fn a_key_that_was_never_used_may_go_while_the_new_one_is_in_use() {
        assert_eq!(Verdict::at(at(0), None, last_used(0, &busy())), Verdict::OldKeyUnused);
        let day = 24 * 60;
        assert_eq!(Verdict::at(at(day), None, last_used(0, &busy())), Verdict::OldKeyUnused);
        let idle = Verdict::NoEvidence { silent_for: MINUTE * (day + 1) };
        assert_eq!(Verdict::at(at(day + 1), None, last_used(0, &busy())), idle);
    }

    #[test]
    fn a_quarter_of_an_hour_is_enough_for_a_busy_key_and_not_a_millisecond_less() {
        let (busy, new) = (busy(), busy());
        let (old, new) = (last_used(0, &busy), last_used(14, &new));
        let early = at(15).minus(Duration::from_millis(1));
        let silent_for = LEAST_SILENCE - Duration::from_millis(1);
        assert_eq!(Verdict::at(early, old, new), Verdict::Waiting { silent_for, needed: LEAST_SILENCE });
        let safe = Verdict::Silent { silent_for: LEAST_SILENCE, longest_gap: Some(MINUTE) };
        assert_eq!(Verdict::at(at(15), old, new), safe);
    }

    #[test]
    fn silence_of_both_keys_is_no_evidence() {
        let traffic = busy();
        // Observed on an idle system: the old key silent for 15 minutes, the new one for 13.
        let idle = Verdict::at(at(15), last_used(0, &traffic), last_used(2, &traffic));
        assert_eq!(idle, Verdict::NoEvidence { silent_for: MINUTE * 13 });
        assert!(!idle.is_safe());
        // The new key counts as in use within half of the window and not beyond it.
        assert!(Verdict::at(at(15), last_used(0, &traffic), last_used(8, &traffic)).is_safe());
        assert!(!Verdict::at(at(16), last_used(0, &traffic), last_used(8, &traffic)).is_safe());
        // Not even after days.
        assert!(!Verdict::at(at(9_999), last_used(0, &traffic), last_used(20, &traffic)).is_safe());
    }

    #[test]
    fn a_key_that_is_used_once_an_hour_must_be_silent_for_two() {
        let hourly = rhythm(Some(60 * MINUTE));
        let old = last_used(0, &hourly);
        assert!(!Verdict::at(at(119), old, last_used(118, &hourly)).is_safe());
        assert!(Verdict::at(at(120), old, last_used(60, &hourly)).is_safe(), "the new key keeps the same rhythm");
        assert!(!Verdict::at(at(121), old, last_used(60, &hourly)).is_safe());
    }

    #[test]
    fn no_rotation_waits_for_more_than_a_day_and_a_nightly_job_counts_as_in_use_all_day() {
        let rare = rhythm(Some(6 * 24 * 60 * MINUTE));
        let old = last_used(0, &rare);
        assert!(!Verdict::at(at(24 * 60 - 1), old, last_used(60, &rare)).is_safe());
        assert!(Verdict::at(at(24 * 60), old, last_used(60, &rare)).is_safe());
    }

    #[test]
    fn the_evidence_holds_from_the_end_of_the_silence_that_was_needed() {
        let traffic = busy();
        let old = last_used(0, &traffic);
        let every_five: Vec<u32> = (1..=9).map(|step| step * 5).collect();
        let new = at_minutes(&every_five);
        let new = |until| last_used(until, &new);
        assert_eq!(safe_for(at(14), old, new(14)), None);
        assert_eq!(safe_for(at(15), old, new(15)), Some(Duration::ZERO));
        assert_eq!(safe_for(at(45), old, new(45)), Some(30 * MINUTE));
        assert_eq!(safe_for(at(45), old, None), None);
    }

    #[test]
    fn the_evidence_holds_from_the_new_keys_use_on_where_that_came_later() {
        let traffic = busy();
        let late = at_minutes(&[40, 44]);
        let new = Some(KeyUse { first_used_at: at(40), last_used_at: at(44), traffic: Some(&late) });
        assert_eq!(safe_for(at(45), last_used(0, &traffic), new), Some(5 * MINUTE));
        assert_eq!(safe_for(at(45), None, new), Some(5 * MINUTE));
    }

    #[test]
    fn a_pause_of_the_new_key_breaks_the_evidence() {
        let traffic = busy();
        // In use until minute 60, idle overnight, then in use again: only the last period counts.
        let broken = at_minutes(&[20, 25, 30, 35, 40, 45, 50, 55, 60, 600, 605]);
        assert_eq!(safe_for(at(606), last_used(0, &traffic), last_used(605, &broken)), Some(6 * MINUTE));
        // Without per-minute traffic only the last use is known.
        assert_eq!(safe_for(at(606), last_used(0, &traffic), last_used(605, &traffic)), Some(MINUTE));
    }

    #[test]
    fn the_requests_that_are_counted_lie_within_the_window() {
        let traffic = Traffic {
            minutes: [(0, 100), (1, 7), (2, 1), (14, 4)].map(|(m, n)| (Traffic::minute(at(m)), n)).to_vec(),
            longest_gap: None,
        };
        let now = at(16).plus(Duration::from_secs(30));
        let count = |last_used_at| {
            let used = KeyUse { first_used_at: at(0), last_used_at, traffic: Some(&traffic) };
            requests_within(LEAST_SILENCE, now, Some(used))
        };
        assert_eq!(count(at(14)), 5, "the minute in which the window begins may lie outside of it");
        assert_eq!(count(at(1).plus(Duration::from_secs(29))), 0, "last used before the window");
        assert_eq!(requests_within(LEAST_SILENCE, now, None), 0);
        let only = Traffic { minutes: vec![(Traffic::minute(at(1)), 7)], longest_gap: None };
        let used =
            KeyUse { first_used_at: at(0), last_used_at: at(1).plus(Duration::from_secs(40)), traffic: Some(&only) };
        assert_eq!(requests_within(LEAST_SILENCE, now, Some(used)), 7, "an old key that was just used is not left out");
    }

    proptest! {
        #[test]
        fn silence_of_the_old_key_never_makes_it_less_safe_while_the_new_one_is_in_use(
            gap in 0_u64..2_000_000, now in 0_u32..20_000, later in 0_u32..20_000,
        ) {
            let rhythm = rhythm(Some(Duration::from_secs(gap)));
            let verdict = |now| Verdict::at(at(now), last_used(0, &rhythm), last_used(now, &rhythm));
            prop_assert!(!verdict(now).is_safe() || verdict(now + later).is_safe());
        }

        #[test]
        fn use_makes_it_unsafe(gap in 0_u64..2_000_000, now in 0_u32..20_000) {
            let rhythm = rhythm(Some(Duration::from_secs(gap)));
            prop_assert!(!Verdict::at(at(now), last_used(now, &rhythm), last_used(now, &rhythm)).is_safe());
        }

        #[test]
        fn nothing_is_safe_on_silence_of_both(gap in 0_u64..2_000_000, idle in 0_u32..20_000) {
            // Both were last used at the same moment: nothing shows that traffic has moved.
            let rhythm = rhythm(Some(Duration::from_secs(gap)));
            prop_assert!(!Verdict::at(at(idle), last_used(0, &rhythm), last_used(0, &rhythm)).is_safe());
        }
    }
}
