//! The permissions that requests require: a table of methods and paths, parsed from a text with comments.
//!
//! A path is matched as sent, segment by segment, without decoding. Paths that a service behind the gateway might
//! interpret differently (an encoded slash, a dot segment, full-width characters) are rejected beforehand
//! ([`is_path_unambiguous`]) and match no row, so that the permission checked is that of the endpoint that is reached.

use crate::permission::Permission;
use std::fmt;

/// The table that the gateway uses by default.
const STANDARD: &str = include_str!("routes.txt");

/// Paths that the gateway answers itself before any row is consulted: its liveness and its readiness.
pub const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The endpoints of the REST API with their required permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTable(Vec<Route>);

/// The requirement of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Any application with a valid signature has access.
    Any,
    /// The application needs this permission.
    Needs(Permission),
}

/// Reason why no row matches a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteMiss {
    /// No row has this path.
    Path,
    /// The rows with this path have other methods, listed in the format of the `Allow` header (RFC 9110, 10.2.1).
    Method(String),
}

/// Error of a route table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RouteTableError {
    /// The line number, starting at 1.
    pub line: usize,
    /// The problem in that line.
    pub problem: RouteProblem,
}

/// The problem with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // Each variant's message describes it.
pub enum RouteProblem {
    #[error("write a row as METHOD /path PERMISSION")]
    Form,
    #[error("“{0}” is not a method; use one of {all}", all = METHODS.join(", "))]
    Method(String),
    #[error("start the path with “/”")]
    Relative,
    #[error("the segment “{0}” can never match: write plain text, or one {{parameter}} that fills the segment")]
    Segment(String),
    #[error("the parameter {{{0}}} appears twice")]
    RepeatedParameter(String),
    #[error("“{0}” is not a permission; use a code from the protocol's table, or “any”")]
    Permission(String),
    #[error("{this} overlaps {other} in line {line}: a request may match both. Make them differ, or remove one")]
    Overlap { this: String, other: String, line: usize },
    #[error("{this} is never reached by {answered}, which the gateway answers itself, without credentials. Remove it")]
    AnsweredBefore { this: String, answered: &'static str },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    line: usize,
    method: String,
    segments: Vec<Segment>,
    access: Access,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
}

impl RouteTable {
    /// Parses a table with one row per line, `METHOD /path/{parameter} PERMISSION`, where the permission can be `any`.
    /// `#` starts a comment; empty lines are skipped.
    ///
    /// # Errors
    /// The first row that is malformed, that overlaps an earlier row, or that matches a request which the gateway
    /// answers itself. So every row is reachable, and the order of rows does not matter.
    pub fn parse(text: &str) -> Result<Self, RouteTableError> {
        let mut routes: Vec<Route> = Vec::new();
        for (index, row) in text.lines().enumerate() {
            let line = index + 1;
            let row = row.split('#').next().unwrap_or_default().trim();
            if row.is_empty() {
                continue;
            }
            let failed = |problem| RouteTableError { line, problem };
            let route = Route::parse(line, row).map_err(failed)?;
            if let Some(answered) = HEALTH.into_iter().find(|path| route.reads() && route.matches(path)) {
                return Err(failed(RouteProblem::AnsweredBefore { this: route.to_string(), answered }));
            }
            if let Some(earlier) = routes.iter().find(|earlier| earlier.overlaps(&route)) {
                let (this, other) = (route.to_string(), earlier.to_string());
                return Err(failed(RouteProblem::Overlap { this, other, line: earlier.line }));
            }
            routes.push(route);
        }
        Ok(Self(routes))
    }

    /// Returns the requirement for a request. `path` is as sent, without its query. A HEAD request is a GET request
    /// whose response has no body (RFC 9110, 9.1 and 9.3.2), so it matches a GET row unless the path has its own HEAD
    /// row.
    ///
    /// # Errors
    /// No row has this path, or none has it with this method.
    pub fn find(&self, method: &str, path: &str) -> Result<Access, RouteMiss> {
        let with = |method: &str| self.0.iter().find(|route| route.method == method && route.matches(path));
        let found = with(method).or_else(|| if method == "HEAD" { with("GET") } else { None });
        found.map(|route| route.access).ok_or_else(|| self.miss(path))
    }

    fn miss(&self, path: &str) -> RouteMiss {
        let rows: Vec<_> = self.0.iter().filter(|route| route.matches(path)).map(|route| &*route.method).collect();
        let allows = |method: &&str| rows.contains(method) || *method == "HEAD" && rows.contains(&"GET");
        let allowed: Vec<_> = METHODS.into_iter().filter(allows).collect();
        if allowed.is_empty() { RouteMiss::Path } else { RouteMiss::Method(allowed.join(", ")) }
    }
}

impl Default for RouteTable {
    /// Returns the table for the published REST API.
    ///
    /// # Panics
    /// Never: a test parses the same text.
    fn default() -> Self {
        Self::parse(STANDARD).expect("the standard table is well-formed")
    }
}

impl Route {
    fn parse(line: usize, row: &str) -> Result<Self, RouteProblem> {
        let mut fields = row.split_whitespace();
        let (Some(method), Some(path), Some(access), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(RouteProblem::Form);
        };
        if !METHODS.contains(&method) {
            return Err(RouteProblem::Method(method.to_owned()));
        }
        let segments = path.strip_prefix('/').ok_or(RouteProblem::Relative)?.split('/').map(Segment::parse);
        let segments = segments.collect::<Result<Vec<_>, _>>()?;
        for (index, segment) in segments.iter().enumerate() {
            if let Segment::Parameter(name) = segment
                && segments[..index].contains(segment)
            {
                return Err(RouteProblem::RepeatedParameter(name.clone()));
            }
        }
        let access = match access {
            "any" => Access::Any,
            code => Access::Needs(code.parse().map_err(|_| RouteProblem::Permission(code.to_owned()))?),
        };
        Ok(Self { line, method: method.to_owned(), segments, access })
    }

    /// Whether the gateway answers health checks with this method.
    fn reads(&self) -> bool {
        matches!(&*self.method, "GET" | "HEAD")
    }

    fn matches(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else { return false };
        let mut sent = path.split('/');
        self.segments.iter().all(|segment| sent.next().is_some_and(|sent| segment.matches(sent)))
            && sent.next().is_none()
    }

    /// Whether a request could match both rows.
    fn overlaps(&self, other: &Self) -> bool {
        let compatible = |(a, b): (&Segment, &Segment)| match (a, b) {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            (Segment::Literal(text), Segment::Parameter(_)) | (Segment::Parameter(_), Segment::Literal(text)) => {
                is_unambiguous(text)
            }
            (Segment::Parameter(_), Segment::Parameter(_)) => true,
        };
        self.method == other.method
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(compatible)
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, RouteProblem> {
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if is_word(name) => Ok(Self::Parameter(name.to_owned())),
            None if is_unambiguous(text) && text.bytes().all(is_unreserved) => Ok(Self::Literal(text.to_owned())),
            _ => Err(RouteProblem::Segment(text.to_owned())),
        }
    }

    fn matches(&self, sent: &str) -> bool {
        match self {
            Self::Literal(text) => sent == text,
            Self::Parameter(_) => is_unambiguous(sent),
        }
    }
}

impl fmt::Display for Route {
    /// Writes method and path as in the table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.method)?;
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Literal(text) => write!(f, "/{text}"),
            Segment::Parameter(name) => write!(f, "/{{{name}}}"),
        })
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Needs(permission) => permission.fmt(f),
        }
    }
}

/// Whether the byte is an unreserved character, which is never escaped (RFC 3986, 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whether all implementations split `path`, as sent and without its query, into the same segments. The gateway rejects
/// every other path before it looks for a row. Empty segments are accepted here, but no row matches them.
pub fn is_path_unambiguous(path: &str) -> bool {
    path.split('/').all(|segment| segment.is_empty() || is_unambiguous(segment))
}

/// Whether all implementations interpret `segment` as the same single path segment. They may not if
/// - it is empty or a dot segment (RFC 3986, 5.2.4), or contains a backslash or a path parameter (`;`, where some
///   servers cut),
/// - decoding it once or twice yields one of these, a slash, a dot, the start of a query or fragment, a percent sign or
///   a control character,
/// - it is not UTF-8: lenient decoders turn an overlong `%C0%AF` into a slash, and others assume Latin-1,
/// - it contains a character that becomes one of these by normalisation (NFKC) or by conversion to a smaller character
///   set, such as the full-width `／`,
/// - it contains unescaped non-ASCII bytes, which a URI cannot have (RFC 3986, 2).
fn is_unambiguous(segment: &str) -> bool {
    if matches!(segment, "" | "." | "..") {
        return false;
    }
    if !segment.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b';' | b'?' | b'#')) {
        return false;
    }
    // Most segments contain no escape.
    !segment.contains('%') || decoded(segment).is_some_and(|text| text.chars().all(|c| !is_misread(c)))
}

/// Decodes the escapes of a segment. `None` if they are not valid UTF-8 or one of them is a dot.
fn decoded(segment: &str) -> Option<String> {
    let mut text = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let escaped = match byte {
            b'%' => Some(hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?),
            _ => None,
        };
        if escaped == Some(b'.') {
            return None;
        }
        text.push(escaped.unwrap_or(byte));
    }
    String::from_utf8(text).ok()
}

/// Whether a decoded character could be interpreted as the end of a segment, of the path or of a string, as a dot
/// segment, or as another escape. The non-ASCII characters listed become one of those by NFKC or by conversion to a
/// Windows code page.
fn is_misread(character: char) -> bool {
    character.is_control()
        || matches!(character, '/' | '\\' | '?' | '#' | '%' | ';' | '\u{2028}' | '\u{2029}')
        || matches!(character, '\u{37E}' | '\u{66A}' | '\u{2024}' | '\u{2025}' | '\u{2044}' | '\u{2047}'..='\u{2049}')
        || matches!(
            character,
            '\u{2100}' | '\u{2101}' | '\u{2105}' | '\u{2106}' | '\u{2215}' | '\u{2216}' | '\u{29F5}' | '\u{29F8}'
        )
        || matches!(
            character,
            '\u{FE14}'
                | '\u{FE16}'
                | '\u{FE30}'
                | '\u{FE52}'
                | '\u{FE54}'
                | '\u{FE56}'
                | '\u{FE5F}'
                | '\u{FE68}'
                | '\u{FE6A}'
        )
        || matches!(character, '\u{FF03}' | '\u{FF05}' | '\u{FF0E}' | '\u{FF0F}' | '\u{FF1B}' | '\u{FF1F}' | '\u{FF3C}')
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests;
