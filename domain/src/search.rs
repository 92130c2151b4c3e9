//! What Nuvera's people search for across organizations, and what is found.
//!
//! What is typed at 3 a.m. may be a whole API key. Its secret is dropped here, before anything else sees the text: so
//! that it stands in no address, no log and no page.

use crate::{
    api_key::{ApiKey, KeyPrefix},
    id::{ApplicationId, OrganizationId, RequestId},
    key_material::holds_key_material,
    signing_key::SigningKey,
    text::{SearchText, TextError},
    time::Timestamp,
};
use std::borrow::Cow;
use uuid::Uuid;

/// What a text can stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// The text itself: a name, or a part of one. It holds no secret that could be told as one.
    pub text: SearchText,
    /// The API key's prefix that it is.
    pub prefix: Option<KeyPrefix>,
    /// The public key's fingerprint that it is, as it is stored.
    pub fingerprint: Option<String>,
    /// The id that it is: a request's, an application's or an organization's.
    pub id: Option<Uuid>,
    /// Whether it held more of an API key than its prefix.
    pub is_cut: bool,
}

/// Why a text is not searched for; the words are for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// It cannot be read as a line of text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// It holds a private key, or a request token, and with it an API key.
    #[error(
        "What you pasted looks like a private key or a request token. It was dropped and is kept nowhere. Search by a name, a key’s prefix, a fingerprint or a request id."
    )]
    Secret,
}

impl Search {
    /// Reads what somebody typed; `None` where that is nothing.
    ///
    /// # Errors
    /// [`SearchError`]
    pub fn read(typed: &str) -> Result<Option<Self>, SearchError> {
        if holds_key_material(typed) || holds_token(typed) {
            return Err(SearchError::Secret);
        }
        let key = find_key(typed);
        let text = match SearchText::new(key.as_ref().map_or(typed, |key| &typed[key.prefix.clone()])) {
            Ok(text) => text,
            Err(TextError::Missing(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Self {
            prefix: key.as_ref().map(|_| KeyPrefix::from_stored(text.as_str().to_owned())),
            fingerprint: fingerprint(text.as_str()),
            id: Uuid::try_parse(text.as_str()).ok(),
            is_cut: key.is_some_and(|key| key.secret.is_some()),
            text,
        }))
    }

    /// Whether it starts like an API key's prefix and stops early: then no key can be found by it.
    pub fn is_part_of_a_prefix(&self) -> bool {
        self.prefix.is_none() && self.text.as_str().starts_with(BRAND)
    }
}

/// A fingerprint as it is stored, with or without `SHA256:` before it.
pub fn fingerprint(text: &str) -> Option<String> {
    const LENGTH: usize = 43;
    let bare = match text.split_at_checked("SHA256:".len()) {
        Some((kind, bare)) if kind.eq_ignore_ascii_case("SHA256:") => bare,
        _ => text,
    };
    let bare = bare.trim_end_matches('=');
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    (bare.len() == LENGTH && bare.chars().all(is_base64)).then(|| format!("SHA256:{bare}"))
}

/// `text` without what is secret of the API keys in it: of each, its prefix stays.
pub fn without_key_secrets(text: &str) -> Cow<'_, str> {
    let mut shown = Cow::Borrowed(text);
    let mut from = 0;
    while let Some(FoundKey { prefix, secret }) = find_key(&shown[from..]) {
        let end = from + prefix.end;
        if let Some(secret) = secret {
            shown.to_mut().replace_range(from + secret.start..from + secret.end, "…");
        }
        from = end;
    }
    shown
}

/// Whether `text` holds a signed request token: its claims hold a whole API key.
pub fn holds_token(text: &str) -> bool {
    let is_part = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '='));
    text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';')).any(|word| {
        let start = word.find("eyJ").filter(|_| word.contains('.'));
        start.is_some_and(|start| word[start..].splitn(3, '.').take(2).all(is_part))
    })
}

const BRAND: &str = "nvk_";
const PUBLIC_ID_LENGTH: usize = 8;

/// Where in a text an API key is.
struct FoundKey {
    prefix: std::ops::Range<usize>,
    /// What follows the prefix and belongs to no other word.
    secret: Option<std::ops::Range<usize>>,
}

fn find_key(text: &str) -> Option<FoundKey> {
    let mut from = 0;
    while let Some(found) = text[from..].find(BRAND) {
        let start = from + found;
        let end = start + BRAND.len() + PUBLIC_ID_LENGTH;
        let is_prefix =
            text.as_bytes().get(start + BRAND.len()..end).is_some_and(|id| id.iter().all(u8::is_ascii_alphanumeric));
        if is_prefix {
            let rest = &text[end..];
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            return Some(FoundKey { prefix: start..end, secret: (length > 0).then_some(end..end + length) });
        }
        from = start + BRAND.len();
    }
    None
}

/// Something that was found, and where it is.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The organization.
    pub organization: OrganizationId,
    /// What it is called.
    pub organization_name: String,
    /// The application.
    pub application: ApplicationId,
    /// What it is called.
    pub application_name: String,
    /// Whether its requests are accepted.
    pub is_enabled: bool,
    /// What of it was found.
    pub what: Found,
}

/// What of an application was found.
#[derive(Clone, Debug)]
pub enum Found {
    /// It, by its name or its id.
    Application,
    /// One of its API keys.
    ApiKey(ApiKey),
    /// One of its signing keys.
    SigningKey(SigningKey),
    /// A request of its.
    Request {
        /// The request.
        id: RequestId,
        /// When it arrived.
        at: Timestamp,
        /// What came of it: [`crate::request::SeenRequest::code`].
        code: String,
    },
}

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Organizations, by name or id: exact matches first.
    pub organizations: Vec<(OrganizationId, String)>,
    /// Applications and what is theirs: exact matches first.
    pub hits: Vec<Hit>,
    /// Whether there are more than are listed.
    pub has_more: bool,
    /// Whether the first of each list is what was typed, and no mere part of it.
    pub is_exact: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "nvk_AbCd1234_0123456789abcdefghijABCDEFGHIJ01abcdef";

    fn read(typed: &str) -> Search {
        Search::read(typed).unwrap().unwrap()
    }

    #[test]
    fn a_whole_key_leaves_its_prefix_wherever_it_stands() {
        for typed in [KEY.to_owned(), format!("x-api-key: {KEY}"), format!(" \"{KEY}\"\n"), format!("{KEY} {KEY}")] {
            let search = read(&typed);
            assert_eq!((search.text.as_str(), search.is_cut), ("nvk_AbCd1234", true), "{typed}");
            assert_eq!(search.prefix.unwrap().as_str(), "nvk_AbCd1234");
        }
        // A key that is damaged is as secret.
        for typed in [&KEY[..30], &KEY[..14], "nvk_AbCd12345", &format!("{KEY}{}", "x".repeat(10_000))] {
            assert_eq!((read(typed).text.as_str(), read(typed).is_cut), ("nvk_AbCd1234", true), "{typed}");
        }
    }

    #[test]
    fn a_prefix_is_taken_as_the_console_shows_it() {
        for typed in ["nvk_AbCd1234", "nvk_AbCd1234…wxyz", "API key nvk_AbCd1234 of Ledger"] {
            assert_eq!((read(typed).text.as_str(), read(typed).is_cut), ("nvk_AbCd1234", false), "{typed}");
        }
        assert!(read("nvk_AbCd").is_part_of_a_prefix() && read("nvk_AbCd").prefix.is_none());
        assert!(!read("Ledger").is_part_of_a_prefix());
    }

    #[test]
    fn a_fingerprint_is_one_with_or_without_its_kind() {
        let bare = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
        let whole = Some(format!("SHA256:{bare}"));
        for typed in [bare.to_owned(), format!("SHA256:{bare}"), format!("sha256:{bare}"), format!(" {bare}= ")] {
            assert_eq!(read(&typed).fingerprint, whole, "{typed}");
        }
        for typed in [&bare[1..], "SHA256:", "SHA256:é", "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"] {
            assert_eq!(read(typed).fingerprint, None, "{typed}");
        }
    }

    #[test]
    fn an_id_is_one_and_everything_is_a_name() {
        let id = "01900000-0000-7000-8000-000000000000";
        assert_eq!(read(id).id, Uuid::try_parse(id).ok());
        assert_eq!((read("100%_\\ <b>").text.as_str(), read("100%_").id), ("100%_\\ <b>", None));
    }

    #[test]
    fn secrets_and_what_is_no_line_of_text_are_not_searched_for() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJudmtfIn0.c2ln";
        for secret in [
            token.to_owned(),
            format!("Authorization: Bearer {token}"),
            format!("\"{token}\""),
            "eyJhbGciOiJSUzI1NiJ9.eyJzdWI".to_owned(),
            "-----BEGIN private key-----".to_owned(),
        ] {
            assert_eq!(Search::read(&secret), Err(SearchError::Secret), "{secret}");
        }
        assert!(Search::read("eyJust a name").unwrap().is_some() && !holds_token("v1.2 eyJack"));
        assert_eq!(Search::read(" \t "), Ok(None));
        assert_eq!(Search::read("a\u{202E}b"), Err(SearchError::Text(TextError::ControlCharacter(2))));
        let long = Search::read(&"é".repeat(10_000));
        assert_eq!(long, Err(SearchError::Text(TextError::TooLong { max: 200, found: 10_000 })));
    }

    #[test]
    fn a_text_is_freed_of_every_keys_secret() {
        assert_eq!(without_key_secrets(&format!("a {KEY}, {KEY}.")), "a nvk_AbCd1234…, nvk_AbCd1234….");
        for harmless in ["nothing", "nvk_", "nvk_AbCd", "nvk_AbCd1234…wxyz é", "nvk_nvk_AbC"] {
            assert_eq!(without_key_secrets(harmless), harmless);
        }
    }
}
