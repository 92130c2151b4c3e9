//! Lenient parsing of values: providers may write a boolean or a number as a string, a list of one value as that value,
//! and `null` for a missing value.

use serde_json::{Map, Value};
use std::fmt;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Maximum number of characters of a value that are logged.
const MAX_SHOWN: usize = 200;

/// Returns the value, unless it is missing or null.
pub fn present<'a>(all: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    all.get(name).filter(|value| !value.is_null())
}

/// Returns the string, unless it is empty or the value has another type.
pub fn text<'a>(all: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    all.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// Reads an identifier, which some providers write as a number.
pub fn identifier(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// Reads an identifier or a list of identifiers.
pub fn identifiers(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(values)) => values.iter().filter_map(identifier).collect(),
        Some(value) => identifier(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Reads a string or a list of strings.
pub fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Reads a boolean, which some providers write as a string or a number.
pub fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(boolean) => Some(*boolean),
        Value::String(text) if text.eq_ignore_ascii_case("true") || text == "1" => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") || text == "0" => Some(false),
        Value::Number(number) => match number.as_f64()? {
            1.0 => Some(true),
            0.0 => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Reads an instant: seconds since 1970 (RFC 7519, 2), with or without a fraction, or a date and time (RFC 3339).
pub fn seconds(value: &Value) -> Option<i64> {
    let whole = |seconds: f64| {
        // Before the year 10,000, so that arithmetic on it cannot overflow.
        (0.0..253_402_300_800.0).contains(&seconds).then_some(seconds as i64)
    };
    match value {
        Value::Number(number) => whole(number.as_f64()?),
        Value::String(text) => match text.trim().parse() {
            Ok(seconds) => whole(seconds),
            Err(_) => OffsetDateTime::parse(text.trim(), &Rfc3339).ok().map(OffsetDateTime::unix_timestamp),
        },
        _ => None,
    }
}

/// Describes a value that is not as expected, for the log.
pub fn mismatch(name: &str, expected: impl fmt::Display, received: Option<&Value>) -> String {
    format!("{name}: expected {expected}, received {}", shown(received))
}

/// Formats a value for the log: as JSON, truncated.
pub fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Formats names for the log.
pub fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("{name:?}")).collect();
    match &*names {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        _ => format!("one of {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_boolean_is_read_from_what_stands_for_one() {
        for yes in [json!(true), json!("true"), json!("True"), json!("TRUE"), json!("1"), json!(1), json!(1.0)] {
            assert_eq!(boolean(&yes), Some(true), "{yes}");
        }
        for no in [json!(false), json!("false"), json!("False"), json!("0"), json!(0)] {
            assert_eq!(boolean(&no), Some(false), "{no}");
        }
        for neither in [json!(null), json!("yes"), json!(""), json!(2), json!([true]), json!({})] {
            assert_eq!(boolean(&neither), None, "{neither}");
        }
    }

    #[test]
    fn an_instant_is_read_from_a_number_a_text_or_a_date() {
        for (value, expected) in [
            (json!(1_766_492_270), Some(1_766_492_270)),
            (json!(1_766_492_270.9), Some(1_766_492_270)),
            (json!("1766492270"), Some(1_766_492_270)),
            (json!(" 1766492270.5 "), Some(1_766_492_270)),
            (json!("2025-12-23T12:17:50Z"), Some(1_766_492_270)),
            (json!("2025-12-23T13:17:50.25+01:00"), Some(1_766_492_270)),
            (json!(0), Some(0)),
            (json!(-1), None),
            (json!(1e300), None),
            (json!("NaN"), None),
            (json!("inf"), None),
            (json!("yesterday"), None),
            (json!(null), None),
            (json!([1]), None),
        ] {
            assert_eq!(seconds(&value), expected, "{value}");
        }
    }

    #[test]
    fn what_is_logged_names_both_values_and_is_short() {
        let words = mismatch("aud", one_of(["nuvera"]), Some(&json!(["other"])));
        assert_eq!(words, "aud: expected \"nuvera\", received [\"other\"]");
        assert_eq!(mismatch("iss", one_of(["a", "b"]), None), "iss: expected one of \"a\", \"b\", received nothing");
        let long = shown(Some(&json!("ä".repeat(1000))));
        assert_eq!(long.chars().count(), MAX_SHOWN + 1);
    }
}
