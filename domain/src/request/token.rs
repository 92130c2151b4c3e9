//! Compact tokens: three segments of base64url (RFC 7515, 7.1) with `RS256` as the only algorithm.

use super::{
    Claims, MAX_TOKEN_BYTES, Refusal,
    json::{self, Flaw, Object, Value},
    quoted,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use memchr::memchr_iter;
use std::fmt;

/// A token whose form and header are valid. Its signature is not verified yet. It contains a secret (the API key, in
/// `sub`), so there is no `Debug`.
pub struct UnverifiedToken<'a> {
    signing_input: &'a [u8],
    claims: Vec<u8>,
    signature: Vec<u8>,
}

/// `{"alg":"RS256","typ":"JWT"}`, which nearly every client sends: known to be valid, so it need not be parsed.
const USUAL_HEADER: &[u8] = b"eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9";

/// A segment of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first segment.
    Header,
    /// The second segment.
    Claims,
    /// The third segment.
    Signature,
}

/// Reason why a token is rejected. The messages are for the partner's developers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // Each variant's message describes it.
pub enum TokenProblem {
    #[error("it has more than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    #[error("it has {0} segments; a signed token has three, separated by dots")]
    Segments(usize),
    #[error("its {0} is not base64url as RFC 7515 wants it: no padding, no white space, no stray bits")]
    Base64(Part),
    #[error("its {0} is not well-formed JSON")]
    Json(Part),
    #[error("its {0} is not a JSON object")]
    NotAnObject(Part),
    #[error("its {0} names “{1}” twice")]
    RepeatedMember(Part, String),
    #[error("its {0} has more than 64 members in one object")]
    TooManyMembers(Part),
    #[error("its header's `typ` is not “JWT”; send “JWT”, or leave it out")]
    Type,
    #[error("its header has `crit`: no extension is supported")]
    Critical,
    #[error("its header has `b64`: the claims must be encoded")]
    Unencoded,
}

/// Returns the credentials of an `Authorization` header with the scheme `Bearer`, in any case, after one or more spaces
/// (RFC 9110, 11.4; RFC 6750, 2.1).
pub fn bearer_token(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, mut token) = authorization.split_at_checked(b"Bearer ".len())?;
    while let [b' ', rest @ ..] = token {
        token = rest;
    }
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

impl<'a> UnverifiedToken<'a> {
    /// Splits a compact JWS and checks its header. `kid`, `jku`, `x5u`, `jwk` and other members that refer to a key are
    /// ignored: only the application's registered keys verify.
    ///
    /// # Errors
    /// [`Refusal::MalformedToken`], [`Refusal::UnsupportedAlgorithm`]
    pub fn parse(token: &'a [u8]) -> Result<Self, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenProblem::TooLong.into());
        }
        let mut dots = memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(TokenProblem::Segments(memchr_iter(b'.', token).count() + 1).into());
        };
        let (signing_input, header) = (&token[..second], &token[..first]);
        let (claims, signature) = (&token[first + 1..second], &token[second + 1..]);
        if header != USUAL_HEADER {
            check_header(&decode(Part::Header, header)?)?;
        }
        let claims = decode(Part::Claims, claims)?;
        let signature = decode(Part::Signature, signature)?;
        Ok(Self { signing_input, claims, signature })
    }

    /// Reads the claims and checks that each is present and of the expected type.
    ///
    /// # Errors
    /// [`Refusal::MalformedToken`], [`Refusal::InvalidClaims`]
    pub fn claims(&self) -> Result<Claims<'_>, Refusal> {
        Claims::read(object(Part::Claims, &self.claims)?)
    }

    /// Returns the bytes that are signed: header, dot and claims, as sent (RFC 7515, 5.2).
    pub fn signing_input(&self) -> &'a [u8] {
        self.signing_input
    }

    /// Returns the decoded signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// Decodes a segment. Padding, characters of the other alphabet and non-zero trailing bits are rejected, so that each
/// sequence of bytes has exactly one encoding.
fn decode(part: Part, segment: &[u8]) -> Result<Vec<u8>, TokenProblem> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| TokenProblem::Base64(part))
}

fn object(part: Part, bytes: &[u8]) -> Result<Object<'_>, TokenProblem> {
    match json::parse(bytes) {
        Some(Value::Object(object)) => Ok(object),
        Some(Value::Flawed(Flaw::Repeated(name))) => Err(TokenProblem::RepeatedMember(part, quoted(&name))),
        Some(Value::Flawed(Flaw::TooManyMembers)) => Err(TokenProblem::TooManyMembers(part)),
        Some(_) => Err(TokenProblem::NotAnObject(part)),
        None => Err(TokenProblem::Json(part)),
    }
}

fn check_header(header: &[u8]) -> Result<(), Refusal> {
    let mut header = object(Part::Header, header)?;
    match header.take("alg") {
        Some(Value::Text(algorithm)) if algorithm == "RS256" => {}
        Some(Value::Text(other)) => return Err(Refusal::UnsupportedAlgorithm { received: quoted(&other) }),
        Some(other) => return Err(Refusal::UnsupportedAlgorithm { received: other.kind().to_owned() }),
        None => return Err(Refusal::UnsupportedAlgorithm { received: "nothing".to_owned() }),
    }
    match header.take("typ") {
        None => {}
        // RFC 7515, 4.1.9: “application/” is omitted if there is no other slash.
        Some(Value::Text(kind)) if ["JWT", "application/jwt"].iter().any(|jwt| kind.eq_ignore_ascii_case(jwt)) => {}
        Some(_) => return Err(TokenProblem::Type.into()),
    }
    if header.contains("crit") {
        return Err(TokenProblem::Critical.into());
    }
    // RFC 7797 requires `b64` to be listed in `crit`. A header that omits this is rejected as well.
    if header.contains("b64") {
        return Err(TokenProblem::Unencoded.into());
    }
    Ok(())
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Claims => "claims segment",
            Self::Signature => "signature",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_that_is_not_read_would_pass() {
        let header = decode(Part::Header, USUAL_HEADER).unwrap();
        assert_eq!(header, br#"{"alg":"RS256","typ":"JWT"}"#);
        assert_eq!(check_header(&header), Ok(()));
    }
}
