//! Text that people type: bounded, trimmed and free of control characters.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a text is not accepted; the words are for the person who typed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("Enter {0}.")]
    Missing(&'static str),
    /// More characters than are kept.
    #[error("Use at most {max} characters; this has {found}.")]
    TooLong {
        /// The most characters that are kept.
        max: usize,
        /// How many were given.
        found: usize,
    },
    /// A control character, or one that changes the direction of the text around it.
    #[error("Remove the control character at position {0}: it cannot be shown.")]
    ControlCharacter(usize),
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The most characters (Unicode scalar values) it holds.
            pub const MAX_CHARACTERS: usize = $max;

            /// Trims `text` and checks it.
            ///
            /// # Errors
            /// Empty, longer than [`Self::MAX_CHARACTERS`], or holding a control character.
            pub fn new(text: &str) -> Result<Self, TextError> {
                line(text, $what, $max).map(Self)
            }

            /// The text.
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
    ApplicationName, "a name for the application", 80
);
text!(
    /// Why somebody did something: kept in the audit history.
    Reason, "a reason", 500
);

fn line(text: &str, what: &'static str, max: usize) -> Result<String, TextError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(TextError::Missing(what));
    }
    let found = text.chars().count();
    if found > max {
        return Err(TextError::TooLong { max, found });
    }
    match text.chars().position(is_unshowable) {
        Some(index) => Err(TextError::ControlCharacter(index + 1)),
        None => Ok(text.to_owned()),
    }
}

/// Control characters, line separators, and the bidirectional controls with which one text can pose as another.
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
    fn a_name_that_cannot_be_shown_is_refused_with_what_to_do() {
        assert_eq!(ApplicationName::new(" \t "), Err(TextError::Missing("a name for the application")));
        assert_eq!(ApplicationName::new("a\u{202E}b"), Err(TextError::ControlCharacter(2)));
        assert_eq!(ApplicationName::new("a\nb"), Err(TextError::ControlCharacter(2)));
        assert_eq!(ApplicationName::new(&"é".repeat(81)), Err(TextError::TooLong { max: 80, found: 81 }));
        assert!(ApplicationName::new(&"é".repeat(80)).is_ok());
    }
}
