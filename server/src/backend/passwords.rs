//! Which passwords are taken (NIST SP 800-63B-4, 3.1.1.2): long ones that nobody would guess. No characters are asked for,
//! and none refused.

use zxcvbn::{Score, zxcvbn};

/// The least characters. A password is all that somebody signs in with.
pub const MIN_CHARACTERS: usize = 15;
/// The most: far more than anybody types, and no work for the hash.
pub const MAX_CHARACTERS: usize = 256;

/// Why a password is not taken; the words are for the person who chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer characters than [`MIN_CHARACTERS`].
    #[error(
        "Use at least {MIN_CHARACTERS} characters: a few words that have nothing to do with each other, for example."
    )]
    TooShort,
    /// More characters than [`MAX_CHARACTERS`].
    #[error("Use at most {MAX_CHARACTERS} characters.")]
    TooLong,
    /// It is on a list of breached passwords, or made of what stands there, of what repeats, or of what everybody knows of
    /// the person.
    #[error("This password would be guessed: it is made of common words, names or repetitions. Choose another one.")]
    Guessable,
}

/// Judges a password. `known` is what everybody knows of the person: their name, their address, their organization.
///
/// # Errors
/// It is too short, too long, or would be guessed.
pub fn check(password: &str, known: &[&str]) -> Result<(), PasswordError> {
    match password.chars().count() {
        ..MIN_CHARACTERS => return Err(PasswordError::TooShort),
        count if count > MAX_CHARACTERS => return Err(PasswordError::TooLong),
        _ => {}
    }
    let mut words: Vec<&str> = known.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric())).collect();
    words.extend(known);
    words.push("nuvera");
    words.retain(|word| word.len() > 2);
    // Below 10^8 guesses.
    if zxcvbn(password, &words).score() < Score::Three { Err(PasswordError::Guessable) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["Grace Okonkwo-Featherstonehaugh", "grace.okonkwo@alpinepay.example", "Alpine Pay"];

    #[test]
    fn length_is_asked_for_and_kinds_of_characters_are_not() {
        assert_eq!(check("tulip gravel 84", &KNOWN), Ok(()));
        assert_eq!(check("tulip gravel 8", &KNOWN), Err(PasswordError::TooShort));
        assert_eq!(check("плёнка синий утюг", &KNOWN), Ok(()));
        assert_eq!(check(&"tulip gravel 84 ".repeat(16), &KNOWN), Ok(()));
        assert_eq!(check(&"tulip gravel 84 ".repeat(17), &KNOWN), Err(PasswordError::TooLong));
    }

    #[test]
    fn what_would_be_guessed_is_refused_however_long() {
        for guessed in [
            "passwordpassword",
            "aaaaaaaaaaaaaaaaaaaaaa",
            "qwertyuiopasdfghjkl",
            "123456789012345678",
            "grace.okonkwo@alpinepay.example",
            "Featherstonehaugh",
            "nuvera nuvera nuvera",
        ] {
            assert_eq!(check(guessed, &KNOWN), Err(PasswordError::Guessable), "{guessed}");
        }
        assert_eq!(check("Featherstonehaugh", &[]), Ok(()), "it is refused for whose name it is");
    }
}
