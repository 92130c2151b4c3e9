//! The requirements on a signed request, and the errors returned if they are not met.
//!
//! A request carries an API key and a compact JWS (RFC 7515, 7.1) whose claims (RFC 7519) bind the token to that one
//! request. Validation is strict: input that could be interpreted in two ways is rejected. This module does not verify
//! signatures. The caller must call, in this order, [`UnverifiedToken::parse`], [`UnverifiedToken::claims`],
//! [`Claims::check`], [`Claims::check_body`], and finally verify the RSA signature over
//! [`UnverifiedToken::signing_input`].

mod claims;
mod json;
mod misleading;
mod refusal;
mod seen;
mod token;

pub use claims::{BoundRequest, Claims};
pub use misleading::{MISLEADING_HEADERS, MISLEADING_PREFIXES, MisleadingHeader, misleading_header};
pub use refusal::{ClaimProblem, Comparison, FailureKind, MalformedRequest, Refusal, RetiredSignature};
pub use seen::{
    ClockSkew, KEPT_FOR, KEPT_REQUESTS, RequestFilter, RequestOutcome, SeenRefusal, SeenRequest, first_difference,
};
pub use token::{Part, TokenProblem, UnverifiedToken, bearer_token};

use std::borrow::Cow;

/// The `iss` claim of every request token.
pub const ISSUER: &str = "nuvera-api";

/// The `aud` claim of every request token.
pub const AUDIENCE: &str = "nuvera-rest-api";

/// Maximum number of seconds between a token's `iat` and its `exp`.
pub const MAX_LIFETIME_SECONDS: i64 = 60;

/// Maximum number of characters (Unicode scalar values) of a `jti`.
pub const MAX_JTI_CHARACTERS: usize = 128;

/// Maximum length of a token in bytes. A 4096-bit signature needs 683 of them; the rest is for long URIs.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Number of characters of a key or token that may be shown: exactly the public prefix of an API key.
const SHOWN_OF_A_SECRET: usize = 12;

/// Masks `text` for an error message or a log: anything that looks like an API key or a JWT is cut after 12 characters
/// (the length of a key's public prefix), and control characters are replaced.
///
/// Partners do put secrets in the wrong place, such as a path or another claim. These must not be propagated.
pub fn masked(text: &str) -> Cow<'_, str> {
    // Keys contain a `_` and tokens a `J`. Most texts contain neither, so a single pass over the bytes is enough.
    let may_be_secret = |byte: &u8| matches!(byte, b'_' | b'J') && text.len() > SHOWN_OF_A_SECRET;
    if !text.as_bytes().iter().any(|byte| may_be_secret(byte) || !(b' '..=b'~').contains(byte)) {
        return Cow::Borrowed(text);
    }
    if !text.contains("nvk_") && !text.contains("eyJ") && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c| !is_token_character(c)).unwrap_or(rest.len());
        if run == 0 {
            shown.push(if first.is_control() { '\u{FFFD}' } else { first });
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(run);
        let secret = word.contains("nvk_") || word.contains("eyJ");
        if secret && word.len() > SHOWN_OF_A_SECRET {
            shown.push_str(&word[..SHOWN_OF_A_SECRET]);
            shown.push('…');
        } else {
            shown.push_str(word);
        }
        rest = after;
    }
    Cow::Owned(shown)
}

/// Whether the character can be part of an API key or a compact token; all of these are ASCII.
fn is_token_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// Returns a text that can be logged, quoted in an error message, and stored: masked, and cut at 200 characters.
pub fn in_brief(text: &str) -> Cow<'_, str> {
    const MAX_CHARACTERS: usize = 200;
    let masked = masked(text);
    if masked.len() <= MAX_CHARACTERS {
        return masked;
    }
    match masked.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", &masked[..end]).into(),
        None => masked,
    }
}

fn quoted(text: &str) -> String {
    in_brief(text).into_owned()
}

#[cfg(test)]
mod tests;
