//! Whether traffic has moved from an old key to a new one: the evidence, and what it says about ending the old one.
//!
//! The rule: the old key may go when the new one has been used, and the old one has been silent for a quarter of an
//! hour at least, and for twice as long as it ever was silent between two uses while it was watched, a day at most.

use crate::time::Timestamp;
use std::time::Duration;

/// The least silence that counts as evidence.
pub const LEAST_SILENCE: Duration = Duration::from_secs(15 * 60);

/// The most silence that is waited for.
pub const MOST_SILENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the traffic of a key is kept, minute by minute.
pub const WATCHED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How often a key has been used lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests by minute (since 1970), in order; minutes without any are absent.
    pub minutes: Vec<(i64, i64)>,
    /// The longest time between two uses that was [watched](WATCHED), to the minute; `None` where fewer than two
    /// minutes had any.
    pub longest_gap: Option<Duration>,
}

impl Traffic {
    /// The number of the minute in which `at` lies, since 1970.
    pub fn minute(at: Timestamp) -> i64 {
        at.as_millis().div_euclid(60_000)
    }
}

/// The use of an old key, as far as the rule needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldKeyUse {
    /// When it was last used.
    pub last_used_at: Timestamp,
    /// As [`Traffic::longest_gap`].
    pub longest_gap: Option<Duration>,
}

/// What the evidence says about ending the old key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet: nothing has used the new key, so that ending the old one would stop the service.
    NewKeyUnused,
    /// Not yet: the old key was used a moment ago, or has not been silent for long enough.
    Waiting {
        /// How long it has been silent.
        silent_for: Duration,
        /// How long it must be.
        needed: Duration,
    },
    /// Safe: it has been silent for long enough.
    Silent {
        /// How long it has been silent.
        silent_for: Duration,
        /// The longest that it was silent before, where that is known.
        longest_gap: Option<Duration>,
    },
    /// Safe: nothing has ever used the old key.
    OldKeyUnused,
}

impl Verdict {
    /// What the use of both keys says at `now`.
    pub fn at(now: Timestamp, old: Option<OldKeyUse>, new_is_used: bool) -> Self {
        if !new_is_used {
            return Self::NewKeyUnused;
        }
        let Some(old) = old else { return Self::OldKeyUnused };
        let silent_for = now.since(old.last_used_at);
        let needed = needed_silence(old.longest_gap);
        if silent_for >= needed {
            Self::Silent { silent_for, longest_gap: old.longest_gap }
        } else {
            Self::Waiting { silent_for, needed }
        }
    }

    /// Whether the old key may be ended without breaking anything, as far as the evidence goes.
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Silent { .. } | Self::OldKeyUnused)
    }
}

/// For how long the evidence has spoken for ending the old key; `None` while it does not. The new key's first use is where
/// it begins at the earliest.
pub fn safe_for(now: Timestamp, old: Option<OldKeyUse>, new_first_used_at: Option<Timestamp>) -> Option<Duration> {
    if !Verdict::at(now, old, new_first_used_at.is_some()).is_safe() {
        return None;
    }
    let in_use = now.since(new_first_used_at?);
    let silent = old.map(|old| now.since(old.last_used_at).saturating_sub(needed_silence(old.longest_gap)));
    Some(silent.map_or(in_use, |silent| silent.min(in_use)))
}

/// How long a key must be silent, which was silent for `longest_gap` at the most while it was in use.
fn needed_silence(longest_gap: Option<Duration>) -> Duration {
    (longest_gap.unwrap_or_default() * 2).clamp(LEAST_SILENCE, MOST_SILENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(minutes: u32) -> Timestamp {
        Timestamp::from_millis(1_795_404_310_000).plus(MINUTE * minutes)
    }

    fn traffic(minutes: u32, longest_gap: Option<Duration>) -> Option<OldKeyUse> {
        Some(OldKeyUse { last_used_at: at(minutes), longest_gap })
    }

    #[test]
    fn nothing_is_safe_before_the_new_key_is_used() {
        assert_eq!(Verdict::at(at(9_999), None, false), Verdict::NewKeyUnused);
        assert_eq!(Verdict::at(at(9_999), traffic(0, None), false), Verdict::NewKeyUnused);
    }

    #[test]
    fn a_key_that_was_never_used_may_go() {
        assert_eq!(Verdict::at(at(0), None, true), Verdict::OldKeyUnused);
    }

    #[test]
    fn a_quarter_of_an_hour_is_enough_for_a_busy_key_and_not_a_millisecond_less() {
        let old = traffic(0, Some(MINUTE));
        let early = Timestamp::from_millis(at(15).as_millis() - 1);
        let silent_for = LEAST_SILENCE - Duration::from_millis(1);
        assert_eq!(Verdict::at(early, old, true), Verdict::Waiting { silent_for, needed: LEAST_SILENCE });
        let safe = Verdict::Silent { silent_for: LEAST_SILENCE, longest_gap: Some(MINUTE) };
        assert_eq!(Verdict::at(at(15), old, true), safe);
    }

    #[test]
    fn a_key_that_is_used_once_an_hour_must_be_silent_for_two() {
        let old = traffic(0, Some(60 * MINUTE));
        assert!(!Verdict::at(at(119), old, true).is_safe());
        assert!(Verdict::at(at(120), old, true).is_safe());
    }

    #[test]
    fn nobody_waits_for_more_than_a_day() {
        let old = traffic(0, Some(6 * 24 * 60 * MINUTE));
        assert!(!Verdict::at(at(24 * 60 - 1), old, true).is_safe());
        assert!(Verdict::at(at(24 * 60), old, true).is_safe());
    }

    #[test]
    fn the_evidence_holds_from_the_end_of_the_silence_that_was_needed() {
        let old = traffic(0, Some(MINUTE));
        let first_use = Some(at(1));
        assert_eq!(safe_for(at(14), old, first_use), None);
        assert_eq!(safe_for(at(15), old, first_use), Some(Duration::ZERO));
        assert_eq!(safe_for(at(45), old, first_use), Some(30 * MINUTE));
        // The new key came later: before, there was nothing to go over to.
        assert_eq!(safe_for(at(45), old, Some(at(40))), Some(5 * MINUTE));
        assert_eq!(safe_for(at(45), None, Some(at(40))), Some(5 * MINUTE));
        assert_eq!(safe_for(at(45), old, None), None);
    }

    proptest! {
        #[test]
        fn silence_never_makes_it_less_safe(gap in 0_u64..2_000_000, now in 0_u32..20_000, later in 0_u32..20_000) {
            let old = traffic(0, Some(Duration::from_secs(gap)));
            let (before, after) = (Verdict::at(at(now), old, true), Verdict::at(at(now + later), old, true));
            prop_assert!(!before.is_safe() || after.is_safe());
        }

        #[test]
        fn use_makes_it_unsafe(gap in 0_u64..2_000_000, now in 0_u32..20_000) {
            prop_assert!(!Verdict::at(at(now), traffic(now, Some(Duration::from_secs(gap))), true).is_safe());
        }
    }
}
