//! Key hygiene: the maximum age of an organization's keys, keys that are no longer used, and reminders.
//!
//! Nothing here revokes a key. A key ends because a user gave it a deadline. The rotation policy only determines when
//! that is due and when reminders are sent.

use crate::{
    api_key::{ApiKey, ApiKeyState},
    application::ApiApplication,
    audit::AuditAction,
    id::{ApiKeyId, SigningKeyId},
    policy::{Policy, Rules},
    signing_key::{SigningKey, SigningKeyState},
    time::{DAY, Timestamp},
};
use std::{fmt, ops::RangeInclusive, time::Duration};

/// How long before its due time a key is reported.
pub const NOTICE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A key counts as in use if it was used within this time.
pub const IN_USE: Duration = DAY;

/// How many days before a key's due time reminders are sent; 0 is the day itself.
pub const REMINDER_DAYS: [u16; 4] = [14, 7, 1, 0];

/// A rule of a rotation policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The maximum age of an API key, after which it is due for replacement.
    ApiKeyAge,
    /// The maximum age of a signing key, after which it is due for replacement.
    SigningKeyAge,
    /// The time without use after which a key is safe to remove.
    Idle,
}

/// A number of days within the bounds of its [`Rule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u16);

impl Days {
    /// Returns the number of days.
    pub fn count(self) -> u16 {
        self.0
    }

    fn duration(self) -> Duration {
        DAY * u32::from(self.0)
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} days", self.0)
    }
}

/// A number of days is rejected. The message is shown to the user who entered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Enter a whole number of days {} from {} to {}, or nothing to switch the rule off.", .0.about(), .0.bounds().start(), .0.bounds().end())]
pub struct DaysError(Rule);

impl Rule {
    /// Returns the permitted numbers of days. The minimum of a maximum age leaves room for the notice before it. The
    /// minimum of idle time exceeds a month, so that monthly jobs count as use.
    pub fn bounds(self) -> RangeInclusive<u16> {
        match self {
            Self::ApiKeyAge | Self::SigningKeyAge => 30..=1095,
            Self::Idle => 35..=365,
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::ApiKeyAge => "for API keys",
            Self::SigningKeyAge => "for signing keys",
            Self::Idle => "without use",
        }
    }

    /// Validates a number of days.
    ///
    /// # Errors
    /// It is out of bounds.
    pub fn days(self, count: u16) -> Result<Days, DaysError> {
        if self.bounds().contains(&count) { Ok(Days(count)) } else { Err(DaysError(self)) }
    }

    /// Parses user input. Empty input disables the rule.
    ///
    /// # Errors
    /// It is not a whole number, or out of bounds.
    pub fn read(self, typed: &str) -> Result<Option<Days>, DaysError> {
        match typed.trim() {
            "" => Ok(None),
            typed => self.days(typed.parse().map_err(|_| DaysError(self))?).map(Some),
        }
    }
}

/// The rules of a rotation policy; `None` if a rule is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationRules {
    /// [`Rule::ApiKeyAge`]
    pub api_key_age: Option<Days>,
    /// [`Rule::SigningKeyAge`]
    pub signing_key_age: Option<Days>,
    /// [`Rule::Idle`]
    pub idle: Option<Days>,
}

impl Default for RotationRules {
    fn default() -> Self {
        Self { api_key_age: Some(Days(180)), signing_key_age: Some(Days(365)), idle: Some(Days(90)) }
    }
}

impl fmt::Display for RotationRules {
    /// Writes the text for the audit history and the console.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = |keys: &str, days: Option<Days>| match days {
            Some(days) => format!("{keys} are replaced after {days}"),
            None => format!("{keys} may have any age"),
        };
        let idle = match self.idle {
            Some(days) => format!("a key is safe to remove after {days} without use"),
            None => "no key is called safe to remove".to_owned(),
        };
        write!(f, "{}; {}; {idle}", age("API keys", self.api_key_age), age("signing keys", self.signing_key_age))
    }
}

impl Rules for RotationRules {
    const NAME: &'static str = "rotation policy";
    const CHANGED: AuditAction = AuditAction::PolicyChanged;
}

/// An organization's rotation policy.
pub type RotationPolicy = Policy<RotationRules>;

/// The id of an API key or a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyId {
    /// An API key.
    Api(ApiKeyId),
    /// A signing key.
    Signing(SigningKeyId),
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(id) => id.fmt(f),
            Self::Signing(id) => id.fmt(f),
        }
    }
}

impl KeyId {
    /// Returns the kind of key, capitalized for the beginning of a sentence.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Api(_) => "API key",
            Self::Signing(_) => "Signing key",
        }
    }
}

/// A key's last accepted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When the request was accepted.
    pub at: Timestamp,
    /// The network address that sent it.
    pub address: String,
}

/// The rotation state of a live key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Nothing to do yet.
    Current,
    /// It reaches its maximum age at `at`, in [`NOTICE`] or less.
    Due {
        /// When it reaches its maximum age.
        at: Timestamp,
    },
    /// It has reached its maximum age.
    Overdue {
        /// When it reached its maximum age.
        since: Timestamp,
    },
    /// It was replaced and has a deadline. Its age is no longer relevant.
    Ending {
        /// The first instant at which it no longer works.
        at: Timestamp,
        /// When the deadline was set.
        decided_at: Timestamp,
        /// Whether it is still in use although half of its grace window is over and at most [`NOTICE`] is left: the
        /// most urgent state.
        in_use: bool,
    },
}

/// A key that is safe to remove: it has not been used for as long as the policy requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// It was last used at this time.
    Since(Timestamp),
    /// It was created at this time and has never been used.
    NeverUsedSince(Timestamp),
}

/// The hygiene of a live key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHygiene {
    /// The key's id.
    pub key: KeyId,
    /// How users identify it: an API key by its prefix and last four characters, a signing key by its fingerprint.
    pub name: String,
    /// Its last accepted request.
    pub last_use: Option<LastUse>,
    /// Whether it is due for replacement or has been replaced.
    pub rotation: Rotation,
    /// Set if it is safe to remove. Never set for the current signing key, which can only be replaced.
    pub idle: Option<Idle>,
}

/// The urgency by which keys are listed: the most urgent is the least, and of two equals the one that is due earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // The variants are those of `Rotation` and `Idle`, with their times.
pub enum Urgency {
    StopsInUse(Timestamp),
    Overdue(Timestamp),
    Due(Timestamp),
    SafeToRemove(Timestamp),
}

/// The subject of a reminder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReminderKind {
    /// The key's maximum age.
    Age,
    /// The key's deadline.
    End,
}

impl ReminderKind {
    /// Returns the code under which the kind is stored.
    pub fn code(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::End => "end",
        }
    }
}

/// A reminder to send now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reminder {
    /// The subject.
    pub kind: ReminderKind,
    /// The instant of the event: when the key reaches its maximum age or expires.
    pub due: Timestamp,
    /// Which of [`REMINDER_DAYS`] it is.
    pub days: u16,
}

/// The times of a live key from which its rotation state follows.
#[derive(Clone, Copy, Debug)]
pub struct KeyTimes {
    /// The rule for its maximum age.
    pub age: Rule,
    /// When it was created.
    pub created_at: Timestamp,
    /// If it was replaced: its deadline, and when that was set.
    pub ending: Option<(Timestamp, Timestamp)>,
    /// Its last accepted request.
    pub last_used_at: Option<Timestamp>,
}

impl KeyTimes {
    /// Returns the rotation state under `rules` at `now`.
    pub fn rotation(self, rules: RotationRules, now: Timestamp) -> Rotation {
        let most = match self.age {
            Rule::ApiKeyAge => rules.api_key_age,
            Rule::SigningKeyAge => rules.signing_key_age,
            Rule::Idle => rules.idle,
        };
        match self.ending {
            Some((at, decided_at)) => ending(at, decided_at, self.last_used_at, now),
            None => aging(self.created_at, most, now),
        }
    }
}

/// Returns the hygiene of each live key of an application: API keys, then signing keys, the newest first.
pub fn of_application(
    application: &ApiApplication,
    rules: RotationRules,
    last_use: impl Fn(KeyId) -> Option<LastUse>,
    now: Timestamp,
) -> Vec<KeyHygiene> {
    let api_keys = application.live_keys(now).map(|key| of_api_key(key, rules, last_use(KeyId::Api(key.id)), now));
    // The overlap was set when the current key was registered. If an earlier key was restored, this is too early, and
    // one more reminder is sent.
    let replaced_at = application.current_signing_key().created_at;
    let signing_keys = application
        .signing_keys
        .iter()
        .filter(|key| key.verifies(now))
        .map(|key| of_signing_key(key, replaced_at, rules, last_use(KeyId::Signing(key.id)), now));
    api_keys.chain(signing_keys).collect()
}

fn of_api_key(key: &ApiKey, rules: RotationRules, last_use: Option<LastUse>, now: Timestamp) -> KeyHygiene {
    let ending = match key.state {
        ApiKeyState::Expiring { at, replaced_at } => Some((at, replaced_at)),
        ApiKeyState::Active | ApiKeyState::Revoked { .. } => None,
    };
    let last_used_at = last_use.as_ref().map(|used| used.at);
    let times = KeyTimes { age: Rule::ApiKeyAge, created_at: key.created_at, ending, last_used_at };
    let rotation = times.rotation(rules, now);
    let idle = idle(key.created_at, last_use.as_ref(), rules, now);
    KeyHygiene { key: KeyId::Api(key.id), name: key.shown(), last_use, rotation, idle }
}

fn of_signing_key(
    key: &SigningKey,
    replaced_at: Timestamp,
    rules: RotationRules,
    last_use: Option<LastUse>,
    now: Timestamp,
) -> KeyHygiene {
    let (ending, idle) = match key.state {
        SigningKeyState::Retiring { at } => {
            (Some((at, replaced_at)), idle(key.created_at, last_use.as_ref(), rules, now))
        }
        SigningKeyState::Current | SigningKeyState::Retired { .. } => (None, None),
    };
    let last_used_at = last_use.as_ref().map(|used| used.at);
    let times = KeyTimes { age: Rule::SigningKeyAge, created_at: key.created_at, ending, last_used_at };
    let rotation = times.rotation(rules, now);
    KeyHygiene { key: KeyId::Signing(key.id), name: key.public_key.fingerprint(), last_use, rotation, idle }
}

fn aging(created_at: Timestamp, most: Option<Days>, now: Timestamp) -> Rotation {
    match most.map(|days| created_at.plus(days.duration())) {
        Some(since) if now >= since => Rotation::Overdue { since },
        Some(at) if now >= at.minus(NOTICE) => Rotation::Due { at },
        _ => Rotation::Current,
    }
}

fn ending(at: Timestamp, decided_at: Timestamp, last_used_at: Option<Timestamp>, now: Timestamp) -> Rotation {
    // Just after a rotation the old key is still in use, as expected.
    let is_late = now >= at.minus(NOTICE.min(at.since(decided_at) / 2));
    let in_use = is_late && last_used_at.is_some_and(|used_at| now.since(used_at) < IN_USE);
    Rotation::Ending { at, decided_at, in_use }
}

fn idle(created_at: Timestamp, last_use: Option<&LastUse>, rules: RotationRules, now: Timestamp) -> Option<Idle> {
    let since = last_use.map_or(created_at, |used| used.at);
    if now.since(since) < rules.idle?.duration() {
        return None;
    }
    Some(if last_use.is_some() { Idle::Since(since) } else { Idle::NeverUsedSince(since) })
}

impl KeyHygiene {
    /// Whether it expires soon although it is still in use.
    pub fn stops_in_use(&self) -> bool {
        matches!(self.rotation, Rotation::Ending { in_use: true, .. })
    }

    /// Returns its urgency; `None` if there is nothing to report.
    pub fn urgency(&self) -> Option<Urgency> {
        match (self.rotation, self.idle) {
            (Rotation::Ending { at, in_use: true, .. }, _) => Some(Urgency::StopsInUse(at)),
            (Rotation::Overdue { since }, _) => Some(Urgency::Overdue(since)),
            (Rotation::Due { at }, _) => Some(Urgency::Due(at)),
            (_, Some(Idle::Since(since) | Idle::NeverUsedSince(since))) => Some(Urgency::SafeToRemove(since)),
            (Rotation::Current | Rotation::Ending { .. }, None) => None,
        }
    }

    /// Returns the most recent reminder that is due, whether or not it was sent. A reminder that would have been due
    /// before the deadline was set is omitted: a user who has just chosen 24 hours needs no reminder of it.
    pub fn reminder(&self, now: Timestamp) -> Option<Reminder> {
        let (kind, due, decided_at) = match self.rotation {
            Rotation::Current => return None,
            Rotation::Due { at } | Rotation::Overdue { since: at } => (ReminderKind::Age, at, None),
            Rotation::Ending { at, decided_at, .. } => (ReminderKind::End, at, Some(decided_at)),
        };
        let days = REMINDER_DAYS.into_iter().rev().find(|&days| now >= moment(due, days))?;
        let is_new = decided_at.is_none_or(|decided_at| moment(due, days) > decided_at);
        is_new.then_some(Reminder { kind, due, days })
    }
}

/// Returns when the reminder `days` before `due` is sent; on the day itself, at the start of the day in UTC.
fn moment(due: Timestamp, days: u16) -> Timestamp {
    match days {
        0 => due.start_of_day(),
        days => due.minus(DAY * u32::from(days)),
    }
}

#[cfg(test)]
mod tests;
