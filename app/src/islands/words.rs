//! Texts of the islands that need no browser, so that they can be tested natively.

/// Formats a time relative to now, given the milliseconds elapsed since; negative for times in the future.
pub fn relative(passed: f64) -> String {
    let seconds = (passed.abs() / 1000.0) as u64;
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    match (seconds, passed < 0.0) {
        (0, _) => "just now".to_owned(),
        (_, false) => format!("{count} {unit}{plural} ago"),
        (_, true) => format!("in {count} {unit}{plural}"),
    }
}

/// Returns the name of a private key's file: `name`, reduced to characters that are safe in file names, and the
/// beginning of the key's fingerprint.
pub fn file_name(name: &str, fingerprint: &str, encrypted: bool) -> String {
    let mut stem = String::new();
    for c in name.chars().take(60) {
        if c.is_ascii_alphanumeric() {
            stem.push(c.to_ascii_lowercase());
        } else if !stem.is_empty() && !stem.ends_with('-') {
            stem.push('-');
        }
    }
    let digest = fingerprint.strip_prefix("SHA256:").unwrap_or(fingerprint);
    let mark: String = digest.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let end = if encrypted { "-encrypted" } else { "" };
    match stem.trim_end_matches('-') {
        "" => format!("private-key-{mark}{end}.pem"),
        stem => format!("{stem}-{mark}{end}.pem"),
    }
}

/// Converts a PEM text to a single line for an environment variable, with line breaks written as `\n`.
pub fn one_line(pem: &str) -> String {
    pem.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_told_from_now_in_its_largest_unit() {
        let told = [400.0, 1_000.0, 59_999.0, 60_000.0, 7_200_000.0, -86_400_000.0, 172_800_000.0].map(relative);
        let expected =
            ["just now", "1 second ago", "59 seconds ago", "1 minute ago", "2 hours ago", "in 24 hours", "2 days ago"];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_file_is_named_after_the_application_and_its_key() {
        assert_eq!(file_name("Ledger <b>, Prod/../", "SHA256:a/b+C9dEfGhI", false), "ledger-b-prod-abC9dEfG.pem");
        assert_eq!(file_name("…", "SHA256:abcdefghi", true), "private-key-abcdefgh-encrypted.pem");
    }

    #[test]
    fn a_pem_text_on_one_line_has_no_line_break() {
        assert_eq!(one_line("-----BEGIN X-----\nAB\n-----END X-----\n"), r"-----BEGIN X-----\nAB\n-----END X-----\n");
    }
}
