//! The claims of a request token, which bind it to one request.

use super::{
    AUDIENCE, ISSUER, MAX_JTI_CHARACTERS, MAX_LIFETIME_SECONDS, Refusal,
    json::{Object, Value},
    quoted,
    refusal::ClaimProblem,
};
use crate::{hex, time::Timestamp};
use std::{borrow::Cow, hint::black_box, time::Duration};

/// The claims of a token, each of the expected type. `sub` is a secret, so there is no `Debug`.
pub struct Claims<'a> {
    issuer: Cow<'a, str>,
    audience: Cow<'a, str>,
    subject: Cow<'a, str>,
    method: Cow<'a, str>,
    uri: Cow<'a, str>,
    body_hash: Cow<'a, str>,
    issued_at: i64,
    expires_at: i64,
    not_before: Option<i64>,
    jti: Cow<'a, str>,
}

/// The properties of the request that its token is compared with.
#[derive(Clone, Copy)]
pub struct BoundRequest<'a> {
    /// The bytes of the `x-api-key` header.
    pub api_key: &'a [u8],
    /// The method, as sent.
    pub method: &'a str,
    /// The path and query of the request line, as sent.
    pub uri: &'a str,
}

impl<'a> Claims<'a> {
    /// Takes the relevant claims from the object. Other claims are ignored.
    pub(super) fn read(mut object: Object<'a>) -> Result<Self, Refusal> {
        Ok(Self {
            issuer: text(&mut object, "iss")?,
            audience: text_or_list_of_one(&mut object, "aud")?,
            subject: text(&mut object, "sub")?,
            method: text(&mut object, "method")?,
            uri: text(&mut object, "uri")?,
            body_hash: text(&mut object, "bodyHash")?,
            issued_at: required(seconds(&mut object, "iat")?, "iat")?,
            expires_at: required(seconds(&mut object, "exp")?, "exp")?,
            not_before: seconds(&mut object, "nbf")?,
            jti: text(&mut object, "jti")?,
        })
    }

    /// Checks everything except the body: that the token is intended for this API, was issued by the holder of the
    /// accompanying API key for exactly this request, and is valid now.
    ///
    /// # Errors
    /// The first reason found, in the order `iss`, `aud`, `sub`, `method`, `uri`, times, `jti`, form of `bodyHash`.
    pub fn check(&self, request: &BoundRequest<'_>, now: Timestamp, leeway: Duration) -> Result<(), Refusal> {
        if self.issuer != ISSUER {
            return Err(Refusal::WrongIssuer { received: quoted(&self.issuer) });
        }
        if self.audience != AUDIENCE {
            return Err(Refusal::WrongAudience { received: quoted(&self.audience) });
        }
        if !same_secret(self.subject.as_bytes(), request.api_key) {
            return Err(Refusal::SubjectMismatch);
        }
        if self.method != request.method {
            return Err(Refusal::MethodMismatch { expected: quoted(request.method), received: quoted(&self.method) });
        }
        if self.uri != request.uri {
            return Err(Refusal::UriMismatch { expected: quoted(request.uri), received: quoted(&self.uri) });
        }
        self.check_times(now, leeway)?;
        let jti_characters = self.jti.chars().count();
        if !(1..=MAX_JTI_CHARACTERS).contains(&jti_characters) {
            return Err(invalid("jti", ClaimProblem::JtiLength(jti_characters)));
        }
        let is_hash =
            self.body_hash.len() == 64 && self.body_hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if is_hash { Ok(()) } else { Err(invalid("bodyHash", ClaimProblem::NotALowerHexHash)) }
    }

    /// Checks only the times (RFC 7519, 4.1.4 to 4.1.6). `leeway` allows for clock skew: a token may be issued that far
    /// in the future, and is accepted for that long after its `exp`.
    ///
    /// # Errors
    /// [`Refusal::InvalidClaims`], [`Refusal::TokenLifetimeTooLong`], [`Refusal::TokenNotYetValid`],
    /// [`Refusal::TokenExpired`]
    pub fn check_times(&self, now: Timestamp, leeway: Duration) -> Result<(), Refusal> {
        let (issued_at, expires_at) = (self.issued_at, self.expires_at);
        if expires_at <= issued_at {
            return Err(invalid("exp", ClaimProblem::NotAfterIat));
        }
        if expires_at - issued_at > MAX_LIFETIME_SECONDS {
            return Err(Refusal::TokenLifetimeTooLong { seconds: expires_at - issued_at });
        }
        let starts_at = issued_at.max(self.not_before.unwrap_or(issued_at));
        if instant(starts_at) > now.plus(leeway) {
            return Err(Refusal::TokenNotYetValid { starts_at, now });
        }
        if now >= instant(expires_at).plus(leeway) {
            return Err(Refusal::TokenExpired { expired_at: expires_at, now });
        }
        Ok(())
    }

    /// Compares `bodyHash` with the SHA-256 of the received body.
    ///
    /// # Errors
    /// [`Refusal::BodyHashMismatch`]
    pub fn check_body(&self, sha256: &[u8; 32]) -> Result<(), Refusal> {
        let expected = hex::lower(sha256);
        if self.body_hash == expected {
            return Ok(());
        }
        Err(Refusal::BodyHashMismatch { expected, received: quoted(&self.body_hash) })
    }

    /// Returns `iat`, in seconds since 1970.
    pub fn issued_at(&self) -> i64 {
        self.issued_at
    }

    /// Returns `exp`, in seconds since 1970.
    pub fn expires_at(&self) -> i64 {
        self.expires_at
    }

    /// Returns `jti`, which identifies the token within its application.
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// Returns `bodyHash` as it is in the token.
    pub fn body_hash(&self) -> &str {
        &self.body_hash
    }
}

fn text<'a>(object: &mut Object<'a>, claim: &'static str) -> Result<Cow<'a, str>, Refusal> {
    match required(object.take(claim), claim)? {
        Value::Text(text) => Ok(text),
        other => Err(invalid(claim, ClaimProblem::NotText { found: other.kind() })),
    }
}

/// Reads a string, or a list of one string: RFC 7519, 4.1.3 allows both forms for a single audience, and libraries use
/// either. A list of several audiences is rejected: another service that accepts the token could send it here.
fn text_or_list_of_one<'a>(object: &mut Object<'a>, claim: &'static str) -> Result<Cow<'a, str>, Refusal> {
    match required(object.take(claim), claim)? {
        Value::Text(text) | Value::ListOfOne(text) => Ok(text),
        other => Err(invalid(claim, ClaimProblem::NotTextOrListOfOne { found: other.kind() })),
    }
}

fn seconds(object: &mut Object<'_>, claim: &'static str) -> Result<Option<i64>, Refusal> {
    match object.take(claim) {
        None => Ok(None),
        // At most 2^53, so that milliseconds and sums cannot overflow an i64.
        Some(Value::Integer(seconds)) => Ok(Some(seconds as i64)),
        Some(other) => Err(invalid(claim, ClaimProblem::NotSeconds { found: other.kind() })),
    }
}

fn required<T>(value: Option<T>, claim: &'static str) -> Result<T, Refusal> {
    value.ok_or_else(|| invalid(claim, ClaimProblem::Missing))
}

fn invalid(claim: &'static str, problem: ClaimProblem) -> Refusal {
    Refusal::InvalidClaims { claim, problem }
}

fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds.saturating_mul(1000))
}

/// Compares in constant time. The length is not secret: all keys have the same.
fn same_secret(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && black_box(a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b))) == 0
}
