//! Removes what tools, vaults and mail programs wrap around a key, before a PEM block is searched for. Nothing here
//! decides whether a text is a key.

use crate::key_material::percent_decoded;
use zeroize::Zeroizing;

/// The dashes that word processors and chat programs substitute for `-----`.
const DASHES: [char; 7] = ['‐', '‑', '‒', '–', '—', '―', '−'];

/// Characters that are invisible and have no meaning in a key.
const INVISIBLE: [char; 6] = ['\u{FEFF}', '\u{200B}', '\u{200C}', '\u{200D}', '\u{2060}', '\u{AD}'];

/// Returns `text` without the characters that surround a key:
/// - a byte order mark, invisible characters, non-ASCII spaces and typographic dashes;
/// - percent-encoding, and the escapes of JSON and shells (`\n`, `\/`, `\u002b`);
/// - quotation marks, commas and `\` at the ends of lines, as in source code, JSON and CSV; `>` and `|` at the
///   beginnings of lines, as in quoted mail and YAML.
///
/// Base64 and PEM contain none of these. Line breaks become line feeds.
pub fn unwrapped(text: &str) -> Zeroizing<String> {
    let text = Zeroizing::new(percent_decoded(text).into_owned());
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    let mut characters = text.chars().filter(|c| !INVISIBLE.contains(c)).peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.peek() {
                Some('n' | 'r') => {
                    characters.next();
                    plain.push('\n');
                }
                Some('t') => {
                    characters.next();
                    plain.push(' ');
                }
                Some('u') => {
                    characters.next();
                    let digits: String = characters.by_ref().take(4).collect();
                    plain.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
                }
                // `\/`, `\"`, an escaped backslash, and a backslash before a line break: the backslash is dropped.
                _ => {}
            },
            '\r' => plain.push('\n'),
            c if DASHES.contains(&c) => {
                // The run replaced five dashes, so any dashes left around it belong to it.
                while characters.next_if(|&next| next == '-' || DASHES.contains(&next)).is_some() {}
                while plain.ends_with('-') {
                    plain.pop();
                }
                plain.push_str("-----");
            }
            c if c.is_whitespace() && c != '\n' => plain.push(' '),
            c => plain.push(c),
        }
    }
    let mut lines = Zeroizing::new(String::with_capacity(plain.len()));
    for line in plain.lines() {
        let line = line.trim().trim_start_matches(['>', '|', ' ']);
        // String concatenation in source code. A base64 line may end with a plus, so only one after a quotation mark is
        // removed.
        let line = line.trim_end_matches(';').trim_end();
        let line = line.strip_suffix('+').map(str::trim_end).filter(|rest| rest.ends_with(['"', '\''])).unwrap_or(line);
        lines.push_str(line.trim_matches(['"', '\'', '`', ',', ' ']));
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_surrounds_a_key_is_taken_away_and_the_key_is_not() {
        let pem = "-----BEGIN PUBLIC KEY-----\nMIIB+/A=\nAbc+\n-----END PUBLIC KEY-----\n";
        let lines: Vec<_> = pem.lines().collect();
        let join = |with: &str| lines.join(with);
        for wrapped in [
            pem.to_owned(),
            format!("\u{FEFF}{}", pem.replace('\n', "\r\n")),
            format!("\"{}\"", join("\\n")),
            format!("\"{}\",", join("\\r\\n").replace('/', "\\/").replace('+', "\\u002b")),
            join("\n  ").replace(' ', "\u{A0}"),
            format!("> {}", join("\n> ")),
            format!("| {}", join("\n| ")),
            format!("\"{}\\n\"", join("\\n\" +\n  \"")),
            join("\\\n"),
            pem.replace("-----", "—–-"),
            pem.replace("-----", "—"),
            pem.replace('\n', "%0A").replace(' ', "%20").replace('+', "%2B").replace('/', "%2f"),
        ] {
            let found: Vec<_> =
                unwrapped(&wrapped).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
            assert_eq!(found, lines, "{wrapped:?}");
        }
    }
}
