//! Search across organizations for Nuvera's users.
//!
//! Users may paste a whole API key in a hurry. Its secret is removed here before anything else processes the text, so
//! that it appears in no URL, log or page.

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

/// The possible interpretations of a search text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// The text itself, a name or part of one, without any secret that could be recognised.
    pub text: SearchText,
    /// The prefix, if the text is that of an API key.
    pub prefix: Option<KeyPrefix>,
    /// The fingerprint in its stored form, if the text is that of a public key.
    pub fingerprint: Option<String>,
    /// The id, if the text is one: of a request, an application or an organization.
    pub id: Option<Uuid>,
    /// Whether the text contained more of an API key than its prefix, which was removed.
    pub is_cut: bool,
}

/// Reason why a search is rejected. The messages are shown to the user who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// It is not a valid line of text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// It contains a private key or a request token, which includes an API key.
    #[error(
        "What you pasted looks like a private key or a request token. It was dropped and is kept nowhere. Search by a name, a key’s prefix, a fingerprint or a request id."
    )]
    Secret,
}

impl Search {
    /// Parses user input. Returns `None` if it is empty.
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

    /// Whether it is an incomplete prefix of an API key, by which no key can be found.
    pub fn is_part_of_a_prefix(&self) -> bool {
        self.prefix.is_none() && self.text.as_str().starts_with(BRAND)
    }
}

/// Returns a fingerprint in its stored form. `SHA256:` at the beginning is optional in the input.
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

/// Removes the secrets of all API keys in `text`. The prefix of each key is kept.
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

/// Whether `text` contains a signed request token, whose claims include a whole API key.
pub fn holds_token(text: &str) -> bool {
    let is_part = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '='));
    text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';')).any(|word| {
        let start = word.find("eyJ").filter(|_| word.contains('.'));
        start.is_some_and(|start| word[start..].splitn(3, '.').take(2).all(is_part))
    })
}

const BRAND: &str = "nvk_";
const PUBLIC_ID_LENGTH: usize = 8;

/// The position of an API key in a text.
struct FoundKey {
    prefix: std::ops::Range<usize>,
    /// The characters that follow the prefix without a separator.
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

/// A search result within an application.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The organization's id.
    pub organization: OrganizationId,
    /// The organization's name.
    pub organization_name: String,
    /// The application's id.
    pub application: ApplicationId,
    /// The application's name.
    pub application_name: String,
    /// Whether the application is enabled.
    pub is_enabled: bool,
    /// The object that was found.
    pub what: Found,
}

/// The kind of object that was found.
#[derive(Clone, Debug)]
pub enum Found {
    /// The application itself, by its name or id.
    Application,
    /// An API key of the application.
    ApiKey(ApiKey),
    /// A signing key of the application.
    SigningKey(SigningKey),
    /// A logged request of the application.
    Request {
        /// The request id.
        id: RequestId,
        /// When it arrived.
        at: Timestamp,
        /// The outcome: see [`crate::request::SeenRequest::code`].
        code: String,
    },
}

/// The results of a search.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Organizations found by name or id, exact matches first.
    pub organizations: Vec<(OrganizationId, String)>,
    /// Applications, keys and requests, exact matches first.
    pub hits: Vec<Hit>,
    /// Whether there are more results than listed.
    pub has_more: bool,
    /// Whether the first entry of each list is an exact match and not just a partial one.
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
        // A damaged key is as secret as an intact one.
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
