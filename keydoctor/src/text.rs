//! Finds keys in text as users have it: file content, pasted text, the value of an environment variable, a Kubernetes
//! secret.

use crate::{
    Problem,
    jwk::{self, Jwk},
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use domain::key_wrapping::unwrapped;
use std::fmt;
use zeroize::Zeroizing;

/// Irregularity of the text around a key. It is corrected here, but a service that reads the same text may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // `Display` explains each note.
pub enum Note {
    Utf16,
    ByteOrderMark,
    Quotes,
    EscapedLineBreaks,
    WindowsLineBreaks,
    NoLineBreaks,
    TextAround,
    NoHeaders,
    WrappedInBase64,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf16 => "The text is UTF-16, as Windows PowerShell writes files. Most libraries want ASCII or UTF-8.",
            Self::ByteOrderMark => "A byte-order mark stands before the text. Some libraries refuse the key for it.",
            Self::Quotes => "Quotation marks stand around the key. They do not belong to it.",
            Self::EscapedLineBreaks => {
                "The line breaks are written as \\n. Your service must turn them into real ones before it reads the key."
            }
            Self::WindowsLineBreaks => "The lines end as on Windows (CR LF). Few libraries mind.",
            Self::NoLineBreaks => "The line breaks are lost. Many libraries refuse a key on one line.",
            Self::TextAround => "Other text stands around the key. Some libraries refuse that.",
            Self::NoHeaders => "The “-----BEGIN” and “-----END” lines are missing. Most libraries refuse the key without them.",
            Self::WrappedInBase64 => {
                "The whole key is encoded in base64 once more. Your service must decode it before it reads the key."
            }
        })
    }
}

/// Bytes that may be private, zeroized on drop.
pub(crate) type Secret = Zeroizing<Vec<u8>>;

/// A key as found in a text, before it is parsed.
pub(crate) enum Block {
    Key { label: Option<String>, bytes: Secret },
    Jwk(Box<Jwk>),
}

type Blocks = Vec<Result<Block, Problem>>;

/// Missing padding is accepted: it does not change the decoded bytes.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Returns every key in `bytes`; empty if there is no content.
pub(crate) fn blocks(bytes: &[u8], notes: &mut Vec<Note>) -> Blocks {
    match decode(bytes, notes) {
        Some(text) => of_text(&text, notes),
        None => vec![Ok(Block::Key { label: None, bytes: Zeroizing::new(bytes.to_vec()) })],
    }
}

/// Decodes `bytes` as UTF-8 or UTF-16 text; `None` if they are binary.
fn decode(bytes: &[u8], notes: &mut Vec<Note>) -> Option<Zeroizing<String>> {
    if let Some(rest) = bytes.strip_prefix(&[0xFF, 0xFE]) {
        notes.push(Note::Utf16);
        let units: Zeroizing<Vec<u16>> =
            Zeroizing::new(rest.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect());
        return String::from_utf16(&units).ok().map(Zeroizing::new);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    // OpenSSH's binary formats and short DER can be valid UTF-8, but contain zero bytes, unlike text.
    if text.contains('\0') {
        return None;
    }
    let text = text.strip_prefix('\u{FEFF}').inspect(|_| notes.push(Note::ByteOrderMark)).unwrap_or(text);
    Some(Zeroizing::new(text.to_owned()))
}

fn of_text(text: &str, notes: &mut Vec<Note>) -> Blocks {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    if text.starts_with(['{', '[']) {
        match jwk::parse(text) {
            Some(keys) => return keys.into_iter().map(|key| Ok(Block::Jwk(Box::new(key)))).collect(),
            // Some services store PEM in a JSON file of their own format.
            None if !text.contains("-----BEGIN ") => return vec![Err(Problem::Json)],
            None => {}
        }
    }
    let text = unquote(text, notes);
    let text = unescape(text, notes);
    if text.contains("\r\n") {
        notes.push(Note::WindowsLineBreaks);
    }
    if text.contains("PuTTY-User-Key-File") {
        return vec![Err(Problem::Putty)];
    }
    let text = unwrapped(&text);
    if text.contains("-----BEGIN ") {
        return of_pem(&text, notes);
    }
    if let Some((_, rest)) = text.split_once("---- BEGIN SSH2 PUBLIC KEY ----") {
        return vec![of_ssh2(rest)];
    }
    let keys = of_ssh_lines(&text);
    if keys.is_empty() { of_bare(&text, notes) } else { keys }
}

fn unquote<'a>(text: &'a str, notes: &mut Vec<Note>) -> &'a str {
    let inner = ['"', '\'', '`'].iter().find_map(|&quote| text.strip_prefix(quote)?.strip_suffix(quote));
    if inner.is_some() {
        notes.push(Note::Quotes);
    }
    inner.unwrap_or(text).trim()
}

fn unescape(text: &str, notes: &mut Vec<Note>) -> Zeroizing<String> {
    if !text.contains("\\n") {
        return Zeroizing::new(text.to_owned());
    }
    notes.push(Note::EscapedLineBreaks);
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    for part in text.split("\\n") {
        out.push_str(part.trim_end_matches("\\r").trim_end_matches('\\'));
        out.push('\n');
    }
    out
}

/// Returns every PEM block (RFC 7468), regardless of white space and surrounding text.
fn of_pem(text: &str, notes: &mut Vec<Note>) -> Blocks {
    let mut blocks = Blocks::new();
    let mut rest = text;
    let mut around = false;
    while let Some((before, block)) = rest.split_once("-----BEGIN ") {
        around |= !before.trim().is_empty();
        let Some((label, block)) = block.split_once("-----") else {
            blocks.push(Err(Problem::CutOff));
            return blocks;
        };
        let label: String = label.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(40).collect();
        let Some((body, after)) = block.split_once("-----END ") else {
            blocks.push(Err(Problem::CutOff));
            return blocks;
        };
        if !body.trim().contains('\n') && body.len() > 100 && !notes.contains(&Note::NoLineBreaks) {
            notes.push(Note::NoLineBreaks);
        }
        rest = after.split_once("-----").map_or("", |(_, after)| after);
        blocks.push(if body.contains("Proc-Type:") {
            Err(Problem::LegacyEncryption)
        } else if label.ends_with(" PARAMETERS") {
            // `openssl ecparam -genkey` writes the curve parameters before the key.
            continue;
        } else {
            debase64(body).map(|bytes| Block::Key { label: Some(label), bytes }).ok_or(Problem::Base64)
        });
    }
    if around || !rest.trim().is_empty() {
        notes.push(Note::TextAround);
    }
    blocks
}

/// Parses an SSH2 public key (RFC 4716): `Header: value` lines, which a trailing backslash continues, then base64.
fn of_ssh2(text: &str) -> Result<Block, Problem> {
    let (body, _) = text.split_once("---- END").ok_or(Problem::CutOff)?;
    let mut continued = false;
    let mut base64 = String::new();
    for line in body.lines() {
        let is_header = continued || line.contains(':');
        continued = is_header && line.ends_with('\\');
        if !is_header {
            base64.push_str(line);
        }
    }
    let bytes = debase64(&base64).ok_or(Problem::Base64)?;
    Ok(Block::Key { label: Some("SSH2 PUBLIC KEY".to_owned()), bytes })
}

/// Parses lines of an `authorized_keys` or `id_rsa.pub` file: algorithm name and base64.
fn of_ssh_lines(text: &str) -> Blocks {
    let key = |line: &str| {
        let mut words = line.split_whitespace();
        words.find(|word| ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|name| word.starts_with(name)))?;
        let bytes = words.next().and_then(debase64).ok_or(Problem::Base64);
        Some(bytes.map(|bytes| Block::Key { label: Some("ssh-rsa".to_owned()), bytes }))
    };
    text.lines().filter_map(key).collect()
}

/// Parses bare base64, of a key or of a whole text that contains one.
fn of_bare(text: &str, notes: &mut Vec<Note>) -> Blocks {
    let Some(bytes) = debase64(text).filter(|bytes| bytes.len() > 16) else {
        return vec![Err(Problem::Unknown)];
    };
    match decode(&bytes, &mut Vec::new()) {
        // Only one level of wrapping is decoded: deeper nesting does not occur in practice.
        Some(inner) if inner.contains("-----BEGIN ") => {
            notes.push(Note::WrappedInBase64);
            of_pem(&unescape(&inner, notes), notes)
        }
        _ => {
            notes.push(Note::NoHeaders);
            vec![Ok(Block::Key { label: None, bytes })]
        }
    }
}

fn debase64(text: &str) -> Option<Secret> {
    let mut bare = Zeroizing::new(String::with_capacity(text.len()));
    bare.extend(text.chars().filter(|c| !c.is_whitespace()));
    if bare.is_empty() {
        return None;
    }
    BASE64.decode(&*bare).or_else(|_| BASE64URL.decode(&*bare)).ok().map(Zeroizing::new)
}
