//! The log entry of a gateway request, for the members of the organization that sent it.

use super::{Comparison, Refusal};
use crate::{
    id::{ApiKeyId, RequestId, SigningKeyId},
    time::Timestamp,
};
use std::{borrow::Cow, net::IpAddr, time::Duration};

/// Number of requests that are kept per application.
pub const KEPT_REQUESTS: usize = 1_000;

/// Time for which a request is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A logged request whose API key belongs or belonged to an application. It contains no key, token or body, and a query
/// string only if a refusal compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRequest {
    /// The request id, as returned to the client.
    pub id: RequestId,
    /// When it arrived.
    pub at: Timestamp,
    /// The method as sent, masked.
    pub method: String,
    /// The path, masked and truncated.
    pub path: String,
    /// The status of the response; 0 if the client disconnected before there was one.
    pub status: u16,
    /// The outcome: [`SeenRequest::ACCEPTED`], a refusal's code, or [`SeenRequest::ABANDONED`].
    pub code: Cow<'static, str>,
    /// Time from the request's head to its response, in microseconds.
    pub micros: u64,
    /// The client's network address.
    pub address: IpAddr,
    /// The API key that was sent.
    pub api_key_id: ApiKeyId,
    /// The signing key that verified the signature, if it was verified.
    pub signing_key_id: Option<SigningKeyId>,
    /// Age of the token when the request arrived, according to its `iat`, in seconds; negative if it was issued in the
    /// future. Known once the claims were read.
    pub token_age_seconds: Option<i64>,
    /// Length of the body in bytes, if it was received.
    pub body_bytes: Option<u64>,
    /// The error that was returned, if the request was rejected.
    pub refused: Option<SeenRefusal>,
}

/// The error returned for a rejected request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRefusal {
    /// The instruction to the client.
    pub detail: String,
    /// The expected value, if values were compared, or the missing permission.
    pub expected: Option<String>,
    /// The received value.
    pub received: Option<String>,
}

/// A filter of logged requests. The default matches every request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// Only requests with this outcome.
    pub outcome: Option<RequestOutcome>,
    /// Only requests with this API key.
    pub api_key: Option<ApiKeyId>,
}

/// The outcome to filter by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// Every outcome except acceptance.
    Refused,
    /// A single outcome: see [`SeenRequest::code`].
    Code(&'static str),
}

impl RequestOutcome {
    const REFUSED: &'static str = "refused";

    /// Returns the code of the filter in a query string.
    pub fn code(self) -> &'static str {
        match self {
            Self::Refused => Self::REFUSED,
            Self::Code(code) => code,
        }
    }

    /// Parses [`RequestOutcome::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::all().find(|outcome| outcome.code() == code)
    }

    /// Returns every outcome to filter by.
    pub fn all() -> impl Iterator<Item = Self> {
        let codes = [SeenRequest::ACCEPTED, SeenRequest::ABANDONED].into_iter();
        let codes = codes.chain(Refusal::CODES.iter().map(|(code, _)| *code)).map(Self::Code);
        std::iter::once(Self::Refused).chain(codes)
    }
}

impl SeenRequest {
    /// The code of a request that was accepted.
    pub const ACCEPTED: &'static str = "ok";

    /// The code of a request whose client disconnected before the response.
    pub const ABANDONED: &'static str = "abandoned";

    /// Whether the request was accepted.
    pub fn is_accepted(&self) -> bool {
        self.code == Self::ACCEPTED
    }

    /// Masks and truncates a path or a method for the log.
    pub fn kept(text: &str) -> String {
        super::quoted(text)
    }
}

impl SeenRefusal {
    /// Creates the log entry of `refusal`.
    pub fn new(refusal: &Refusal) -> Self {
        let (expected, received) = match (refusal, refusal.comparison()) {
            (_, Some(Comparison { expected, received })) => (Some(expected.into()), Some(received.into())),
            (Refusal::PermissionMissing(permission), None) => (Some(permission.code().to_owned()), None),
            (_, None) => (None, None),
        };
        Self { detail: refusal.detail(), expected, received }
    }
}

/// The deviation of a client's clock, as its accepted requests show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSkew {
    /// No significant deviation.
    None,
    /// Tokens are issued this many seconds in the future. Beyond the leeway they are rejected.
    Ahead(u64),
    /// Tokens are this many seconds old on arrival. From their `exp` on they are rejected.
    Behind(u64),
}

impl ClockSkew {
    /// Minimum number of requests for a conclusion.
    const FEWEST: usize = 5;
    /// `iat` is rounded down, which loses up to a second, and the transmission may cost another.
    const AHEAD_FROM: i64 = 2;
    /// Signing, queueing and transmission normally take less than this.
    const BEHIND_FROM: i64 = 15;

    /// Derives the deviation from the ages of tokens on arrival, in seconds. The median is used, so that single slow or
    /// queued requests have no influence.
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

/// Splits two texts where they begin to differ: the common prefix and the rest of each. Characters are not split.
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
