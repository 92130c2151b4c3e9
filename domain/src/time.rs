//! Instants in UTC, as integer milliseconds since 1970-01-01.

use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use time::{OffsetDateTime, PrimitiveDateTime, macros::format_description};

/// A day. Unix time has no leap seconds, so all days have the same length.
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An instant, in milliseconds since the Unix epoch (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Returns the instant `milliseconds` after the Unix epoch.
    pub const fn from_millis(milliseconds: i64) -> Self {
        Self(milliseconds)
    }

    /// Returns the milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns the whole seconds since the Unix epoch, rounded down, for comparison with a JWT's `iat` and `exp` (RFC
    /// 7519, 2).
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the instant `duration` later, or the last representable one on overflow.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_millis().try_into().unwrap_or(i64::MAX)))
    }

    /// Returns the instant `duration` earlier, or the first representable one on underflow.
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_millis().try_into().unwrap_or(i64::MAX)))
    }

    /// Returns the start of this day, in UTC.
    pub const fn start_of_day(self) -> Self {
        Self(self.0 - self.0.rem_euclid(DAY.as_millis() as i64))
    }

    /// Returns the time elapsed since `earlier`, or zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).try_into().unwrap_or(0))
    }

    /// Formats it as RFC 3339 with milliseconds, for programs: `2026-11-23T03:25:10.000Z`.
    pub fn rfc3339(self) -> String {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        self.calendar().format(&format).unwrap_or_default()
    }

    /// Formats it as the value of an `<input type="datetime-local" step="1">`, in UTC: `2026-11-23T03:25:10`.
    pub fn input_value(self) -> String {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
        self.calendar().format(&format).unwrap_or_default()
    }

    /// Parses the format of [`Timestamp::input_value`]. Browsers omit the seconds if they are zero.
    pub fn from_input_value(text: &str) -> Option<Self> {
        let seconds = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
        let minutes = format_description!("[year]-[month]-[day]T[hour]:[minute]");
        let at = PrimitiveDateTime::parse(text, &seconds).or_else(|_| PrimitiveDateTime::parse(text, &minutes)).ok()?;
        Some(Self(at.assume_utc().unix_timestamp() * 1000))
    }

    /// Formats the date alone, for users, where the time of day does not matter: `23 Nov 2026`.
    pub fn date(self) -> String {
        let format = format_description!("[day padding:none] [month repr:short] [year]");
        self.calendar().format(&format).unwrap_or_default()
    }

    fn calendar(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    /// Formats it for users: `23 Nov 2026, 03:25:10 UTC`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute]:[second] UTC");
        f.write_str(&self.calendar().format(&format).map_err(|_| fmt::Error)?)
    }
}

/// Formats a duration in its largest whole unit: `45 seconds`, `1 hour`, `30 days`.
pub fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_for_machines_people_and_inputs() {
        let at = Timestamp::from_millis(1_795_404_310_042);
        assert_eq!(at.rfc3339(), "2026-11-23T03:25:10.042Z");
        assert_eq!(at.to_string(), "23 Nov 2026, 03:25:10 UTC");
        assert_eq!(at.date(), "23 Nov 2026");
        assert_eq!(at.start_of_day().rfc3339(), "2026-11-23T00:00:00.000Z");
        assert_eq!(at.input_value(), "2026-11-23T03:25:10");
        assert_eq!(Timestamp::from_input_value("2026-11-23T03:25:10"), Some(Timestamp::from_millis(1_795_404_310_000)));
        assert_eq!(Timestamp::from_input_value("2026-11-23T03:25"), Some(Timestamp::from_millis(1_795_404_300_000)));
        assert_eq!(Timestamp::from_input_value("tomorrow"), None);
    }

    #[test]
    fn a_span_is_told_in_its_largest_unit() {
        assert_eq!(in_words(Duration::from_secs(1)), "1 second");
        assert_eq!(in_words(Duration::from_secs(3600)), "1 hour");
        assert_eq!(in_words(Duration::from_secs(86_400)), "24 hours");
        assert_eq!(in_words(Duration::from_secs(30 * 86_400)), "30 days");
    }
}
