//! A request as the gateway saw it, for the people whose request it was.

use super::{Comparison, Refusal};
use crate::{
    id::{ApiKeyId, RequestId, SigningKeyId},
    time::Timestamp,
};
use std::{borrow::Cow, net::IpAddr, time::Duration};

/// How many requests of an application are kept.
pub const KEPT_REQUESTS: usize = 1_000;

/// How long a request is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A request whose API key is or was an application's: what became of it. It holds no key, no token, no body, and no
/// query string but one that a refusal compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRequest {
    /// Its id.
    pub id: RequestId,
    /// When it arrived.
    pub at: Timestamp,
    /// Its method, as it was sent.
    pub method: String,
    /// Its path, masked, and cut where it is very long.
    pub path: String,
    /// The status of the answer; 0 where its sender went away before there was one.
    pub status: u16,
    /// What came of it: [`SeenRequest::ACCEPTED`], a refusal's code, or [`SeenRequest::ABANDONED`].
    pub code: Cow<'static, str>,
    /// From its head to its answer, in microseconds.
    pub micros: u64,
    /// Where it came from.
    pub address: IpAddr,
    /// Which API key it was sent with.
    pub api_key_id: ApiKeyId,
    /// Which signing key verified it, if one did.
    pub signing_key_id: Option<SigningKeyId>,
    /// How many seconds before it arrived its token says that it was issued; negative where the token is from the
    /// future. It is known once the claims could be read.
    pub token_age_seconds: Option<i64>,
    /// How many bytes its body had, where it arrived.
    pub body_bytes: Option<u64>,
    /// What its sender was told, where it was refused.
    pub refused: Option<SeenRefusal>,
}

/// What was told of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRefusal {
    /// What to do about it.
    pub detail: String,
    /// What would have been accepted: of a value that was compared, or the permission that is missing.
    pub expected: Option<String>,
    /// What came instead.
    pub received: Option<String>,
}

/// Which requests are asked for; the default leaves nothing out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// With this outcome only.
    pub outcome: Option<RequestOutcome>,
    /// With this API key only.
    pub api_key: Option<ApiKeyId>,
}

/// What came of requests that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// Anything but acceptance.
    Refused,
    /// As [`SeenRequest::code`].
    Code(&'static str),
}

impl RequestOutcome {
    const REFUSED: &'static str = "refused";

    /// The word it is asked for with.
    pub fn code(self) -> &'static str {
        match self {
            Self::Refused => Self::REFUSED,
            Self::Code(code) => code,
        }
    }

    /// Reads [`RequestOutcome::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::all().find(|outcome| outcome.code() == code)
    }

    /// Every outcome that can be asked for.
    pub fn all() -> impl Iterator<Item = Self> {
        let codes = [SeenRequest::ACCEPTED, SeenRequest::ABANDONED].into_iter();
        let codes = codes.chain(Refusal::CODES.iter().map(|(code, _)| *code)).map(Self::Code);
        std::iter::once(Self::Refused).chain(codes)
    }
}

impl SeenRequest {
    /// The code of what was let through.
    pub const ACCEPTED: &'static str = "ok";

    /// The code of what nobody waited for.
    pub const ABANDONED: &'static str = "abandoned";

    /// Whether it was let through.
    pub fn is_accepted(&self) -> bool {
        self.code == Self::ACCEPTED
    }

    /// A path or a method as it is kept.
    pub fn kept(text: &str) -> String {
        super::quoted(text)
    }
}

impl SeenRefusal {
    /// What is kept of `refusal`.
    pub fn new(refusal: &Refusal) -> Self {
        let (expected, received) = match (refusal, refusal.comparison()) {
            (_, Some(Comparison { expected, received })) => (Some(expected.into()), Some(received.into())),
            (Refusal::PermissionMissing(permission), None) => (Some(permission.code().to_owned()), None),
            (_, None) => (None, None),
        };
        Self { detail: refusal.detail(), expected, received }
    }
}

/// By how much a sender's clock is off, as its accepted requests show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSkew {
    /// It shows nothing out of the ordinary.
    None,
    /// Its tokens come from so many seconds in the future: at more than the leeway they are refused.
    Ahead(u64),
    /// Its tokens are so many seconds old when they arrive: at their `exp` they are refused.
    Behind(u64),
}

impl ClockSkew {
    /// The fewest requests that say anything.
    const FEWEST: usize = 5;
    /// A whole second is lost in rounding `iat` down, and another may be lost on the way.
    const AHEAD_FROM: i64 = 2;
    /// Signing, queueing and the way here take less than this where nothing is wrong.
    const BEHIND_FROM: i64 = 15;

    /// What the ages of tokens say, in seconds at their arrival: their median counts, so that one slow request, or one
    /// that waited in a queue, says nothing.
    pub fn of(ages: impl IntoIterator<Item = i64>) -> Self {
        let mut ages: Vec<_> = ages.into_iter().collect();
        if ages.len() < Self::FEWEST {
            return Self::None;
        }
        let middle = ages.len() / 2;
        match *ages.select_nth_unstable(middle).1 {
            age if age <= -Self::AHEAD_FROM => Self::Ahead(age.unsigned_abs()),
            age if age >= Self::BEHIND_FROM => Self::Behind(age.unsigned_abs()),
            _ => Self::None,
        }
    }
}

/// Where two texts begin to differ: what they share, and what follows in each. Characters are not cut in two.
pub fn first_difference<'a>(expected: &'a str, received: &'a str) -> (&'a str, &'a str, &'a str) {
    let same = expected.chars().zip(received.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    (&expected[..same], &expected[same..], &received[same..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_where_they_part() {
        assert_eq!(first_difference("/a?b=1&c=2", "/a?c=2&b=1"), ("/a?", "b=1&c=2", "c=2&b=1"));
        assert_eq!(first_difference("/a", "/a/"), ("/a", "", "/"));
        assert_eq!(first_difference("/é", "/è"), ("/", "é", "è"));
        assert_eq!(first_difference("", ""), ("", "", ""));
    }

    #[test]
    fn the_median_of_enough_ages_tells_a_clock_that_is_off() {
        assert_eq!(ClockSkew::of([-9; 4]), ClockSkew::None, "too few");
        assert_eq!(ClockSkew::of([0, 1, 0, 30, 0]), ClockSkew::None, "one slow request");
        assert_eq!(ClockSkew::of([-1; 9]), ClockSkew::None, "a second is rounding");
        assert_eq!(ClockSkew::of([-3, -2, -3, -4, 0]), ClockSkew::Ahead(3));
        assert_eq!(ClockSkew::of([15, 16, 14, 40, 17]), ClockSkew::Behind(16));
        assert_eq!(ClockSkew::of([14; 5]), ClockSkew::None);
    }

    #[test]
    fn what_is_kept_of_a_path_is_masked_and_short() {
        let key = format!("/customers/nvk_{}", "a".repeat(47));
        assert_eq!(SeenRequest::kept(&key), "/customers/nvk_aaaaaaaa…");
        let long = format!("/{}", "é/".repeat(400));
        assert_eq!(SeenRequest::kept(&long).chars().count(), 201);
    }

    #[test]
    fn a_missing_permission_is_kept_as_what_was_expected() {
        let write = "CUSTOMERS_WRITE".parse().unwrap();
        let seen = SeenRefusal::new(&Refusal::PermissionMissing(write));
        assert_eq!((seen.expected.as_deref(), seen.received), (Some("CUSTOMERS_WRITE"), None));
        let mismatch = Refusal::MethodMismatch { expected: "GET".into(), received: "POST".into() };
        let seen = SeenRefusal::new(&mismatch);
        assert_eq!((seen.expected.as_deref(), seen.received.as_deref()), (Some("GET"), Some("POST")));
    }
}
