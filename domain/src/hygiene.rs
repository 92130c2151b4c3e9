//! Key hygiene: how old an organization lets its keys become, which keys nobody needs any more, and when somebody is
//! reminded.
//!
//! Nothing here stops a key. A key stops because somebody gave it a deadline; a rotation policy says when that is due,
//! and everybody is told in time.

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

/// How long before its time a key is spoken of.
pub const NOTICE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A key that was used within this long carries traffic.
pub const IN_USE: Duration = DAY;

/// How many days before its time somebody is reminded of a key; 0: on the day itself.
pub const REMINDER_DAYS: [u16; 4] = [14, 7, 1, 0];

/// What a rotation policy rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The age that an API key reaches before it is due for replacement.
    ApiKeyAge,
    /// The same of a signing key.
    SigningKeyAge,
    /// For how long a key was not used when it is safe to remove.
    Idle,
}

/// A number of days that a [`Rule`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u16);

impl Days {
    /// The number.
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

/// Why a number of days is not taken; the words are for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Enter a whole number of days {} from {} to {}, or nothing to switch the rule off.", .0.about(), .0.bounds().start(), .0.bounds().end())]
pub struct DaysError(Rule);

impl Rule {
    /// The numbers of days that it takes. A maximum age leaves room for the notice before it. Jobs that run once a month
    /// are in use.
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

    /// Takes a number of days.
    ///
    /// # Errors
    /// It is out of bounds.
    pub fn days(self, count: u16) -> Result<Days, DaysError> {
        if self.bounds().contains(&count) { Ok(Days(count)) } else { Err(DaysError(self)) }
    }

    /// Reads what somebody typed; nothing switches the rule off.
    ///
    /// # Errors
    /// It is no whole number, or out of bounds.
    pub fn read(self, typed: &str) -> Result<Option<Days>, DaysError> {
        match typed.trim() {
            "" => Ok(None),
            typed => self.days(typed.parse().map_err(|_| DaysError(self))?).map(Some),
        }
    }
}

/// The rules of a rotation policy; `None` where one is switched off.
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
    /// In words, for the audit history and for people.
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

/// A key of either kind.
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
    /// What kind of key it is, to begin a sentence with.
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
    /// When.
    pub at: Timestamp,
    /// From which network address.
    pub address: String,
}

/// Where a key stands between its making and its replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// There is nothing to do yet.
    Current,
    /// It reaches its maximum age at `at`, in [`NOTICE`] or less.
    Due {
        /// When.
        at: Timestamp,
    },
    /// It has reached its maximum age.
    Overdue {
        /// When.
        since: Timestamp,
    },
    /// It was replaced, and has a deadline. Its age is of no interest any more.
    Ending {
        /// The first instant at which it no longer works.
        at: Timestamp,
        /// When that was decided.
        decided_at: Timestamp,
        /// Whether it still carries traffic with half of its time over, [`NOTICE`] or less before the end: the loudest that
        /// can be said.
        in_use: bool,
    },
}

/// That a key can go: nothing has used it for as long as the policy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// It was last used then.
    Since(Timestamp),
    /// It was made then, and never used.
    NeverUsedSince(Timestamp),
}

/// What is to be known of a key that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHygiene {
    /// Which key.
    pub key: KeyId,
    /// How people know it: an API key by its beginning and end, a signing key by its fingerprint.
    pub name: String,
    /// Its last accepted request.
    pub last_use: Option<LastUse>,
    /// Whether it is to be replaced, or has been.
    pub rotation: Rotation,
    /// Set where it is safe to remove. A current signing key never is: it is replaced, not removed.
    pub idle: Option<Idle>,
}

/// In which order keys are spoken of: the loudest first, and of two equals the one whose time is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // The variants are those of `Rotation` and `Idle`, with their times.
pub enum Urgency {
    StopsInUse(Timestamp),
    Overdue(Timestamp),
    Due(Timestamp),
    SafeToRemove(Timestamp),
}

/// What a reminder is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReminderKind {
    /// The key's maximum age.
    Age,
    /// The key's deadline.
    End,
}

impl ReminderKind {
    /// The code it is stored under.
    pub fn code(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::End => "end",
        }
    }
}

/// That somebody is to be reminded of a key now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reminder {
    /// What it is about.
    pub kind: ReminderKind,
    /// The instant it is about: when the key reaches its maximum age, or stops.
    pub due: Timestamp,
    /// Which of [`REMINDER_DAYS`].
    pub days: u16,
}

/// The little that tells where a key that works stands.
#[derive(Clone, Copy, Debug)]
pub struct KeyTimes {
    /// By which rule its age is judged.
    pub age: Rule,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its deadline, and when that was decided, where it was replaced.
    pub ending: Option<(Timestamp, Timestamp)>,
    /// Its last accepted request.
    pub last_used_at: Option<Timestamp>,
}

impl KeyTimes {
    /// Where the key stands under `rules` at `now`.
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

/// What is to be known of each of an application's keys that work: API keys, then signing keys, the newest first.
pub fn of_application(
    application: &ApiApplication,
    rules: RotationRules,
    last_use: impl Fn(KeyId) -> Option<LastUse>,
    now: Timestamp,
) -> Vec<KeyHygiene> {
    let api_keys = application.live_keys(now).map(|key| of_api_key(key, rules, last_use(KeyId::Api(key.id)), now));
    // Who decided on an overlap registered the current key then. Where an earlier key was restored, this is too early:
    // it leads to a reminder more.
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
    // A rotation that has just begun is in use, as it should be.
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
    /// Whether it stops while something still uses it.
    pub fn stops_in_use(&self) -> bool {
        matches!(self.rotation, Rotation::Ending { in_use: true, .. })
    }

    /// How urgent it is; `None` where there is nothing to say.
    pub fn urgency(&self) -> Option<Urgency> {
        match (self.rotation, self.idle) {
            (Rotation::Ending { at, in_use: true, .. }, _) => Some(Urgency::StopsInUse(at)),
            (Rotation::Overdue { since }, _) => Some(Urgency::Overdue(since)),
            (Rotation::Due { at }, _) => Some(Urgency::Due(at)),
            (_, Some(Idle::Since(since) | Idle::NeverUsedSince(since))) => Some(Urgency::SafeToRemove(since)),
            (Rotation::Current | Rotation::Ending { .. }, None) => None,
        }
    }

    /// The reminder whose time has come most recently, whether or not it was given then. There is none whose time came
    /// before the deadline was decided: who has just chosen 24 hours needs no letter that says so.
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

/// When somebody is reminded `days` before `due`; on the day itself that is its first instant, in UTC.
fn moment(due: Timestamp, days: u16) -> Timestamp {
    match days {
        0 => due.start_of_day(),
        days => due.minus(DAY * u32::from(days)),
    }
}

#[cfg(test)]
mod tests;
