//! Strict JSON (RFC 8259): an object with a repeated member name, at any depth, invalidates the whole text. RFC 8259, 4
//! does not define which of the two is used, so two parsers could see different claims.

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, fmt};

/// Maximum number of members of an object. A token needs nine; the limit keeps the search for duplicates cheap.
const MAX_MEMBERS: usize = 64;

/// The largest integer that all JSON parsers represent exactly: 2^53 (RFC 8259, 6).
const MAX_INTEGER: u64 = 1 << 53;

/// The description of a list in error messages.
const LIST: &str = "a list";

/// A JSON value, as detailed as tokens require.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    /// An integer from 0 to 2^53, written without a fraction or an exponent.
    Integer(u64),
    Object(Object<'a>),
    /// A list of one string.
    ListOfOne(Cow<'a, str>),
    /// Null, a boolean, another number or another list, with its description for error messages.
    Other(&'static str),
    /// The value has a flaw, at any depth.
    Flawed(Flaw),
}

/// A flaw of a text that is well-formed JSON.
#[derive(Debug, PartialEq)]
pub(super) enum Flaw {
    /// A repeated member name.
    Repeated(String),
    /// An object with more than [`MAX_MEMBERS`] members.
    TooManyMembers,
}

/// The members of an object, with unique names.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Object<'a> {
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Removes and returns the member `name`.
    pub(super) fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }
}

/// Parses exactly one JSON value. Returns `None` if the bytes are not JSON, not UTF-8, or nested more than 128 levels
/// deep.
pub(super) fn parse(bytes: &[u8]) -> Option<Value<'_>> {
    // Validating UTF-8 once for the whole text is much cheaper than for each string. serde_json's error is dropped,
    // because it may quote the text.
    serde_json::from_str(std::str::from_utf8(bytes).ok()?).ok()
}

impl Value<'_> {
    /// Returns the description for error messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "a number",
            Self::Object(_) | Self::Flawed(_) => "an object",
            Self::ListOfOne(_) => LIST,
            Self::Other(kind) => kind,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(if number <= MAX_INTEGER { Value::Integer(number) } else { Value::Other("a number beyond 2^53") })
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Other("a negative number"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Other("a number with a fraction or an exponent"))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Value::Other("a boolean"))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Value::Other("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut list = match elements.next_element()? {
            Some(Value::Text(text)) => Value::ListOfOne(text),
            Some(flawed @ Value::Flawed(_)) => flawed,
            _ => Value::Other(LIST),
        };
        while let Some(element) = elements.next_element()? {
            list = match (list, element) {
                (flawed @ Value::Flawed(_), _) | (_, flawed @ Value::Flawed(_)) => flawed,
                _ => Value::Other(LIST),
            };
        }
        Ok(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut object = Object::default();
        let mut flaw = None;
        while let Some(Name(name)) = members.next_key()? {
            if flaw.is_some() {
                members.next_value::<IgnoredAny>()?;
            } else if object.contains(&name) {
                flaw = Some(Flaw::Repeated(name.into_owned()));
                members.next_value::<IgnoredAny>()?;
            } else if object.0.len() == MAX_MEMBERS {
                flaw = Some(Flaw::TooManyMembers);
                members.next_value::<IgnoredAny>()?;
            } else {
                match members.next_value()? {
                    Value::Flawed(inner) => flaw = Some(inner),
                    value => object.0.push((name, value)),
                }
            }
        }
        Ok(flaw.map_or(Value::Object(object), Value::Flawed))
    }
}

/// A member name, borrowed if it contains no escape. Names are compared after unescaping, so `"a\u006cg"` equals
/// `"alg"`.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
