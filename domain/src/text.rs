//! Text from user input: bounded in length, trimmed and free of control characters.

use serde::{Deserialize, Serialize};
use std::fmt;
use unicode_normalization::UnicodeNormalization;

/// Reason why a text is rejected. The messages are shown to the user who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is empty or consists only of white space.
    #[error("Enter {0}.")]
    Missing(&'static str),
    /// It has too many characters.
    #[error("Use at most {max} characters; this has {found}.")]
    TooLong {
        /// Maximum number of characters.
        max: usize,
        /// Number of characters of the text.
        found: usize,
    },
    /// It contains a control character, or one that changes the direction of the surrounding text.
    #[error("Remove the control character at position {0}: it cannot be shown.")]
    ControlCharacter(usize),
    /// It is a name and contains a web address.
    #[error("Remove the web address: a name is also shown in messages from Nuvera, and cannot hold one.")]
    WebAddress,
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $read:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Maximum number of characters (Unicode scalar values).
            pub const MAX_CHARACTERS: usize = $max;

            /// Trims `text` and checks it.
            ///
            /// # Errors
            /// The text is empty, longer than [`Self::MAX_CHARACTERS`], contains a control character, or is a name that
            /// contains a web address.
            pub fn new(text: &str) -> Result<Self, TextError> {
                $read(text, $what, $max).map(Self)
            }

            /// Reads `text` from the database. A name from before web addresses were forbidden is accepted.
            ///
            /// # Errors
            /// The text is empty, longer than [`Self::MAX_CHARACTERS`], or contains a control character.
            pub fn from_stored(text: &str) -> Result<Self, TextError> {
                match $read(text, $what, $max) {
                    Err(TextError::WebAddress) => Ok(Self(text.trim().to_owned())),
                    read => read.map(Self),
                }
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// The name of an API application, unique in its organization.
    ApplicationName, "a name for the application", 80, name
);
text!(
    /// The name of a partner organization.
    OrganizationName, "a name for the organization", 120, name
);
text!(
    /// The person or team at a partner that Nuvera's support contacts.
    Contact, "a contact", 200, line
);
text!(
    /// A note of Nuvera's support about a partner: plain text that can have several lines.
    SupportNote, "a note", 2000, lines
);
text!(
    /// The reason for a change, which is recorded in the audit history.
    Reason, "a reason", 500, line
);
text!(
    /// The display name of a user.
    PersonName, "a name", 80, name
);
text!(
    /// The text of a search.
    SearchText, "what to search for", 200, line
);
text!(
    /// The name that a user gives to a passkey.
    PasskeyName, "a name for the passkey", 50, name
);

/// The reference of a support case in the ticket system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TicketReference(String);

/// A text is not a ticket reference. The message is shown to the user who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Enter the ticket’s reference as it stands in the ticket: 3 to 40 letters, digits, -, # and /, such as SUP-4711."
)]
pub struct TicketError;

impl TicketReference {
    /// Minimum and maximum number of characters.
    pub const CHARACTERS: std::ops::RangeInclusive<usize> = 3..=40;

    /// Trims `text` and checks it.
    ///
    /// # Errors
    /// It is too short, too long, or contains characters other than ASCII letters, digits, `-`, `#` and `/`.
    pub fn new(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-#/".contains(&byte);
        let is_one = Self::CHARACTERS.contains(&text.len()) && text.bytes().all(is_part);
        if is_one { Ok(Self(text.to_owned())) } else { Err(TicketError) }
    }

    /// Returns the reference.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TicketReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The justification of a change: the reason, and the support case if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The reason for the change.
    pub reason: Reason,
    /// The support case, which is mandatory for Nuvera's admins.
    pub ticket: Option<TicketReference>,
}

impl Why {
    /// Returns the text of the reason.
    pub fn as_str(&self) -> &str {
        self.reason.as_str()
    }

    /// The reason that is recorded for an emergency operation without one.
    pub const NOT_GIVEN: &str = "Emergency stop, no reason given";

    /// Creates the justification of an emergency operation, which invalid input must never delay. A text that is not a
    /// ticket reference is appended to the reason; unprintable characters are removed, and a text that is too long is
    /// truncated. The reason is optional: see [`Why::NOT_GIVEN`].
    pub fn in_emergency(reason: &str, ticket: &str) -> Self {
        let shown = |text: &str| {
            let text: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
            text.replace(is_unshowable, "").trim().to_owned()
        };
        let (reason, typed) = (shown(reason), shown(ticket));
        let ticket = TicketReference::new(&typed).ok();
        let reason = match (&ticket, typed.is_empty()) {
            (None, false) => format!("{reason} (ticket {typed})"),
            _ => reason,
        };
        let reason: String = reason.trim().chars().take(Reason::MAX_CHARACTERS).collect();
        Self { reason: Reason::new(&reason).unwrap_or_else(|_| Reason(Self::NOT_GIVEN.to_owned())), ticket }
    }
}

impl From<Reason> for Why {
    fn from(reason: Reason) -> Self {
        Self { reason, ticket: None }
    }
}

impl fmt::Display for Why {
    /// Writes the reason, followed by the ticket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        match &self.ticket {
            Some(ticket) => write!(f, " (ticket {ticket})"),
            None => Ok(()),
        }
    }
}

/// An e-mail address in lower case, so that each user has a single account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

/// Reason why a text is not an e-mail address. The messages are shown to the user who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// It is not a valid line of text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// It does not have the form of an e-mail address.
    #[error("Enter an e-mail address, such as ada@example.com.")]
    Form,
}

impl EmailAddress {
    /// Maximum number of characters (RFC 5321, 4.5.3.1.3, without the brackets).
    pub const MAX_CHARACTERS: usize = 254;

    /// Parses user input. Only a message can show whether the address is deliverable.
    ///
    /// # Errors
    /// The text is empty, too long, or does not have the form of an address.
    pub fn new(text: &str) -> Result<Self, EmailError> {
        let text = line(text, "an e-mail address", Self::MAX_CHARACTERS)?.to_lowercase();
        let is_part = |part: &str| {
            !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "<>()[],;:\\\"@".contains(c))
        };
        let is_domain = |domain: &str| domain.split('.').all(is_part) && domain.contains('.');
        match text.rsplit_once('@') {
            Some((local, domain)) if is_part(local) && is_domain(domain) => Ok(Self(text)),
            _ => Err(EmailError::Form),
        }
    }

    /// Returns the form in which addresses are compared: trimmed, in NFC and in lower case, as by
    /// [`EmailAddress::new`]. Used for an address that was typed to sign in, which may be invalid.
    pub fn comparable(text: &str) -> String {
        text.trim().nfc().collect::<String>().to_lowercase()
    }

    /// Returns the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the domain, after the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Validates a name, like [`line`]. Names appear in messages from Nuvera, where a web address would seem to be
/// Nuvera's.
fn name(text: &str, what: &'static str, max: usize) -> Result<String, TextError> {
    let text = line(text, what, max)?;
    if holds_web_address(&text) { Err(TextError::WebAddress) } else { Ok(text) }
}

/// Whether a text contains a URL, `www.`, or a host name with a port, path, query or fragment. A bare host name is
/// allowed, because it may be the name of a company.
fn holds_web_address(text: &str) -> bool {
    // Full-width forms that browsers treat as these characters (UTS #46).
    let text: String = text
        .chars()
        .map(|c| match c {
            '。' | '．' | '｡' => '.',
            '／' => '/',
            '：' => ':',
            c => c,
        })
        .collect();
    let text = text.to_lowercase();
    let has_path = |word: &str| {
        let mut ends = word.char_indices().filter(|(_, c)| "/?#:".contains(*c)).map(|(index, _)| index);
        ends.any(|end| {
            let host = word[..end].trim_start_matches(|c: char| !c.is_alphanumeric());
            let labels: Vec<_> = host.split('.').collect();
            let is_label = |label: &&str| {
                !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_' || c == '@')
            };
            let top = labels.last().copied().unwrap_or_default();
            labels.len() > 1
                && labels.iter().all(is_label)
                && (top.chars().filter(|c| c.is_alphabetic()).count() > 1 || labels.len() == 4)
                && match (&word[end..=end], word[end + 1..].chars().next()) {
                    (":", next) => next.is_some_and(|c| c.is_ascii_digit()),
                    (_, next) => next.is_some(),
                }
        })
    };
    let starts_www = |word: &str| word.trim_start_matches(|c: char| !c.is_alphanumeric()).starts_with("www.");
    text.contains("://") || text.split_whitespace().any(|word| starts_www(word) || has_path(word))
}

fn line(text: &str, what: &'static str, max: usize) -> Result<String, TextError> {
    // Keyboards produce é as one character or as two, which users cannot distinguish.
    let text: String = text.trim().nfc().collect();
    if text.is_empty() {
        return Err(TextError::Missing(what));
    }
    let found = text.chars().count();
    if found > max {
        return Err(TextError::TooLong { max, found });
    }
    match text.chars().position(is_unshowable) {
        Some(index) => Err(TextError::ControlCharacter(index + 1)),
        None => Ok(text),
    }
}

/// Validates a text of several lines, like [`line`]. Line breaks become line feeds: browsers send CR LF.
fn lines(text: &str, what: &'static str, max: usize) -> Result<String, TextError> {
    let text: String = text.trim().replace("\r\n", "\n").as_str().nfc().collect();
    // A line break counts as one character, because that is what users see.
    line(&text.replace('\n', " "), what, max).map(|_| text)
}

/// Whether the character is a control character, a line separator, or a bidirectional control, with which a text can be
/// made to look like another one.
fn is_unshowable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_kept_as_it_is_otherwise() {
        assert_eq!(ApplicationName::new("  Ledger <b>=1+1 ").map(|n| n.to_string()), Ok("Ledger <b>=1+1".into()));
    }

    #[test]
    fn a_text_is_the_same_however_a_keyboard_composes_it() {
        let (composed, decomposed) = ("Caf\u{E9}", "Cafe\u{301}");
        assert_eq!(ApplicationName::new(decomposed), ApplicationName::new(composed));
        assert_eq!(ApplicationName::from_stored(decomposed), ApplicationName::new(composed));
        let address = |name: &str| format!("{name}@example.com");
        assert_eq!(EmailAddress::new(&address(decomposed)), EmailAddress::new(&address(composed)));
        assert_eq!(
            EmailAddress::comparable(&address(decomposed)),
            EmailAddress::new(&address(composed)).unwrap().as_str()
        );
    }

    #[test]
    fn a_note_keeps_its_lines_and_holds_no_other_control_character() {
        let note = SupportNote::new(" Calls on Mondays.\r\n\r\nhttps://wiki.example/acme ").unwrap();
        assert_eq!(note.as_str(), "Calls on Mondays.\n\nhttps://wiki.example/acme");
        assert_eq!(SupportNote::from_stored(note.as_str()), Ok(note));
        assert_eq!(SupportNote::new("a\n\u{202E}b"), Err(TextError::ControlCharacter(3)));
        assert_eq!(SupportNote::new("\n"), Err(TextError::Missing("a note")));
        assert_eq!(SupportNote::new(&"é\n".repeat(1001)), Err(TextError::TooLong { max: 2000, found: 2001 }));
    }

    #[test]
    fn a_name_that_cannot_be_shown_is_refused_with_what_to_do() {
        assert_eq!(ApplicationName::new(" \t "), Err(TextError::Missing("a name for the application")));
        assert_eq!(ApplicationName::new("a\u{202E}b"), Err(TextError::ControlCharacter(2)));
        assert_eq!(ApplicationName::new("a\nb"), Err(TextError::ControlCharacter(2)));
        assert_eq!(ApplicationName::new(&"é".repeat(81)), Err(TextError::TooLong { max: 80, found: 81 }));
        assert!(ApplicationName::new(&"é".repeat(80)).is_ok());
    }

    #[test]
    fn a_name_holds_no_web_address_and_one_from_before_stays_readable() {
        for bad in [
            "https://evil.example/login",
            "See HTTPS://evil.example",
            "www.evil.example",
            "Call us (WWW.evil.example)",
            "evil.example/login",
            "Your account: evil.example/login now",
            "evil.example:8443/x",
            "evil.example?x=1",
            "evil.example#x",
            "evil。example/login",
            "evil.example／login",
            "198.51.100.7/login",
            "user@evil.example/login",
        ] {
            assert_eq!(PersonName::new(bad), Err(TextError::WebAddress), "{bad}");
            assert_eq!(ApplicationName::new(bad), Err(TextError::WebAddress), "{bad}");
            assert_eq!(PasskeyName::new(bad), Err(TextError::WebAddress), "{bad}");
            assert_eq!(PersonName::from_stored(bad).map(|name| name.to_string()), Ok(bad.to_owned()));
            assert_eq!(ApplicationName::from_stored(bad).map(|name| name.to_string()), Ok(bad.to_owned()));
            assert!(Reason::new(bad).is_ok());
        }
        for good in [
            "Grace Green",
            "J. R. O’Neill-Øst",
            "St. John/Smith",
            "Alpine.example",
            "Booking.com Ltd.",
            "Ledger v1.2/EU",
            "Payments: EU",
            "A/B",
            "Node.js: production",
            "Alpine.Pay:EU",
            "WWW team",
            "Ledger 1.2.3",
        ] {
            assert_eq!(PersonName::new(good).map(|name| name.to_string()), Ok(good.to_owned()));
        }
        assert_eq!(PersonName::from_stored("a\nb"), Err(TextError::ControlCharacter(2)));
    }

    #[test]
    fn an_address_is_kept_in_lower_case_and_must_look_like_one() {
        let read = |text: &str| EmailAddress::new(text).map(|address| address.to_string());
        assert_eq!(read(" Ada.Byron+x@Example.COM "), Ok("ada.byron+x@example.com".into()));
        for wrong in
            ["ada", "ada@", "@example.com", "ada@example", "a b@example.com", "a@b@example.com", "a@.com", "<a@b.c>"]
        {
            assert_eq!(read(wrong), Err(EmailError::Form), "{wrong}");
        }
        assert_eq!(read(""), Err(EmailError::Text(TextError::Missing("an e-mail address"))));
        assert_eq!(read("a@example.com\r\nBcc: b@c.d"), Err(EmailError::Text(TextError::ControlCharacter(14))));
    }

    #[test]
    fn in_an_emergency_nothing_that_was_typed_is_refused_or_lost() {
        let why = |reason: &str, ticket: &str| Why::in_emergency(reason, ticket).to_string();
        assert_eq!(why(" stolen ", ""), "stolen");
        assert_eq!(why("stolen", " SUP-4711 "), "stolen (ticket SUP-4711)");
        assert_eq!(Why::in_emergency("stolen", "SUP-4711").reason.as_str(), "stolen");
        assert_eq!(why("stolen", "SUP 4711"), "stolen (ticket SUP 4711)");
        assert_eq!(why("", "SUP 4711"), "(ticket SUP 4711)");
        assert_eq!(why("sto\u{202E}len\nat night", ""), "stolen at night");
        assert_eq!(why(&"é".repeat(600), "x"), "é".repeat(500));
        assert_eq!((why("", ""), why(" \n", "\u{200B}")), (Why::NOT_GIVEN.into(), Why::NOT_GIVEN.into()));
        assert_eq!(why("", "SUP-4711"), format!("{} (ticket SUP-4711)", Why::NOT_GIVEN));
    }

    #[test]
    fn a_ticket_reference_is_short_and_plain() {
        for good in ["SUP-4711", "#42", "JIRA/ABC-1", "abc", " INC0012345 "] {
            assert_eq!(TicketReference::new(good).unwrap().as_str(), good.trim());
        }
        assert!(TicketReference::new(&"7".repeat(40)).is_ok());
        let long = "7".repeat(41);
        for bad in ["", " ", "ab", &long, "SUP 4711", "SUP_4711", "=SUM(A1)", "<b>", "SUP\n4711", "Ticket:1", "straße"]
        {
            assert_eq!(TicketReference::new(bad), Err(TicketError), "{bad:?}");
        }
    }
}
