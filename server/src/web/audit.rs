//! The audit log as pages and as exported files.

use super::{
    Web,
    submitted::{NOT_A_TIME, Submitted},
    visit::Visit,
};
use crate::{backend::BackendError, store};
use app::page::{AuditSubject, FieldError, Page, PageContext};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::RawQuery,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use domain::{
    access::Operation,
    actor::ActorKind,
    audit::{AuditAction, AuditFilter, AuditScope, RecordedEvent},
    time::Timestamp,
};
use serde::Serialize;
use std::sync::Arc;

/// Number of events on a page.
const PAGE: usize = 50;
/// Number of events read at a time for an exported file.
const BATCH: i64 = 500;

/// The filter and position in a request for the audit log.
struct Asked {
    filter: AuditFilter,
    before: Option<i64>,
    /// Errors in the filter's fields, which are ignored.
    errors: Vec<FieldError>,
    sent: Submitted,
}

impl Asked {
    fn read(query: Option<&str>) -> Self {
        let sent = Submitted::parse(query.unwrap_or_default().as_bytes());
        let mut errors = Vec::new();
        let filter = AuditFilter {
            action: read(
                &sent,
                "action",
                AuditAction::from_code,
                "There is no such change. Choose one of the list.",
                &mut errors,
            ),
            actor: read(
                &sent,
                "actor",
                |id| id.parse().ok(),
                "There is no such person. Choose one of the list.",
                &mut errors,
            ),
            kind: read(&sent, "kind", ActorKind::from_code, "Choose one of the sides, or both.", &mut errors),
            from: read(&sent, "from", Timestamp::from_input_value, NOT_A_TIME, &mut errors),
            until: read(&sent, "until", Timestamp::from_input_value, NOT_A_TIME, &mut errors),
        };
        Self { filter, before: sent.text("before").parse().ok(), errors, sent }
    }
}

/// Reads one field of the filter; an empty one is not an error and filters nothing.
fn read<T>(
    sent: &Submitted,
    field: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
    problem: &str,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    let text = Some(sent.text(field)).filter(|text| !text.is_empty())?;
    let value = read(text);
    if value.is_none() {
        errors.push(FieldError { field, message: problem.to_owned() });
    }
    value
}

/// The subject and scope of the audit log at a path.
async fn subject(visit: &Visit, kind: Kind) -> Result<(AuditSubject, AuditScope), BackendError> {
    Ok(match kind {
        Kind::Application => {
            let application = visit.application(Operation::ViewApplications).await?;
            let scope = AuditScope::Application(application.organization_id, application.id);
            (AuditSubject::Application { id: application.id, name: application.name.to_string() }, scope)
        }
        Kind::Organization => (AuditSubject::Organization, AuditScope::Organization(visit.organization())),
        Kind::Everyone => (AuditSubject::Everyone, AuditScope::Everyone),
    })
}

/// The scope of the audit log on a route.
#[derive(Clone, Copy)]
pub enum Kind {
    /// The application in the path.
    Application,
    /// The organization of the place.
    Organization,
    /// All organizations.
    Everyone,
}

/// The routes of an audit log: its page at `path`, and its exports at the same path with an extension.
pub fn routes(path: &str, kind: Kind) -> Router<Arc<Web>> {
    let file = |format| get(move |visit: Visit, RawQuery(query): RawQuery| file(visit, kind, query, format));
    Router::new()
        .route(path, get(move |visit: Visit, RawQuery(query): RawQuery| page(visit, kind, query)))
        .route(&format!("{path}.csv"), file(Format::Csv))
        .route(&format!("{path}.jsonl"), file(Format::JsonLines))
}

async fn page(visit: Visit, kind: Kind, query: Option<String>) -> Response {
    let asked = Asked::read(query.as_deref());
    let page = async {
        let (subject, scope) = subject(&visit, kind).await?;
        let backend = &visit.web.backend;
        // One more than is shown, to find out whether there are older events.
        let limit = PAGE as i64 + 1;
        let mut events = backend.audit_events(&visit.actor, scope, asked.filter, asked.before, limit).await?;
        let has_older = events.len() > PAGE;
        events.truncate(PAGE);
        Ok(Page::Audit {
            subject,
            filter: asked.filter,
            actors: backend.audit_actors(&visit.actor, scope).await?,
            older: events.last().filter(|_| has_older).map(|event| event.sequence),
            is_continued: asked.before.is_some(),
            events,
        })
    };
    match page.await {
        Ok(page) if !asked.errors.is_empty() => {
            let submission = asked.sent.submission(asked.errors, None);
            let context = PageContext { submission, ..visit.context() };
            super::render::page(StatusCode::UNPROCESSABLE_ENTITY, page, context).await
        }
        page => visit.answer(page).await,
    }
}

/// Format of an exported file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    /// RFC 4180 with a header line, for spreadsheets: see [`defused`].
    Csv,
    /// One JSON object per line, without changes to the values.
    JsonLines,
}

/// The columns of an exported event, in this order.
#[derive(Serialize)]
struct Line<'a> {
    sequence: i64,
    at: String,
    organization_id: String,
    organization: &'a str,
    application_id: Option<String>,
    application: Option<&'a str>,
    actor_id: String,
    actor: &'a str,
    actor_kind: &'a str,
    address: Option<String>,
    action: &'a str,
    target: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
    reason: Option<&'a str>,
    ticket: Option<&'a str>,
}

impl<'a> Line<'a> {
    fn of(RecordedEvent { sequence, organization_name, application_name, event }: &'a RecordedEvent) -> Self {
        Self {
            sequence: *sequence,
            at: event.at.rfc3339(),
            organization_id: event.organization_id.to_string(),
            organization: organization_name,
            application_id: event.application_id.map(|id| id.to_string()),
            application: application_name.as_ref().map(|name| name.as_str()),
            actor_id: event.actor.user_id.to_string(),
            actor: &event.actor.name,
            actor_kind: event.actor.kind.code(),
            address: event.actor.address.map(|address| address.to_string()),
            action: event.action.code(),
            target: &event.target,
            before: event.before.as_deref(),
            after: event.after.as_deref(),
            reason: event.reason.as_ref().map(|why| why.as_str()),
            ticket: event.reason.as_ref().and_then(|why| why.ticket.as_ref()).map(|ticket| ticket.as_str()),
        }
    }

    fn cells(&self) -> [String; HEADER.len()] {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        [
            self.sequence.to_string(),
            self.at.clone(),
            self.organization_id.clone(),
            self.organization.to_owned(),
            text(self.application_id.as_deref()),
            text(self.application),
            self.actor_id.clone(),
            self.actor.to_owned(),
            self.actor_kind.to_owned(),
            text(self.address.as_deref()),
            self.action.to_owned(),
            self.target.to_owned(),
            text(self.before),
            text(self.after),
            text(self.reason),
            text(self.ticket),
        ]
    }
}

/// The header line of a CSV file, with the same names as in JSON Lines.
const HEADER: [&str; 16] = [
    "sequence",
    "at",
    "organization_id",
    "organization",
    "application_id",
    "application",
    "actor_id",
    "actor",
    "actor_kind",
    "address",
    "action",
    "target",
    "before",
    "after",
    "reason",
    "ticket",
];

/// The byte order mark at the beginning of a CSV file (Unicode, 23.8). Without it, Excel reads the file in the system's
/// code page and garbles all non-ASCII characters.
const BYTE_ORDER_MARK: &str = "\u{FEFF}";

/// The first characters of a cell that make a spreadsheet interpret it as a formula (OWASP, CSV injection), including
/// full-width forms. Some programs skip leading white space.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Prefixes a cell with an apostrophe if a spreadsheet could interpret it as a formula.
fn defused(cell: String) -> String {
    let begins_formula = cell.trim_start().starts_with(FORMULA) || cell.starts_with(['\t', '\r', '\n']);
    if begins_formula { format!("'{cell}") } else { cell }
}

/// Sends the audit log as a file, newest first. Reads a batch once the client has received the one before it.
async fn file(visit: Visit, kind: Kind, query: Option<String>, format: Format) -> Response {
    let asked = Asked::read(query.as_deref());
    if !asked.errors.is_empty() {
        // A file with more events than requested would be mistaken for the requested one.
        return page(visit, kind, query).await;
    }
    let scope = match subject(&visit, kind).await {
        Ok((_, scope)) => scope,
        Err(error) => return visit.answer(Err(error)).await,
    };
    let reader = Reader { visit, filter: asked.filter, format, scope };
    // An error in the first batch is answered with a page. On a later one the connection is closed early, so that the
    // client notices that the file is incomplete.
    let first = match reader.batch(asked.before, true).await {
        Ok(first) => first,
        Err(error) => return reader.visit.answer(Err(error)).await,
    };
    let rest = futures::stream::unfold((reader, first.1), |(mut reader, next)| async move {
        let next = next?;
        let reloaded = store::bounded(reader.visit.reload()).await.unwrap_or_else(|stalled| Err(stalled.into()));
        let batch = match reloaded {
            Ok(()) => reader.batch(Some(next), false).await,
            Err(error) => Err(error),
        };
        let next = batch.as_ref().ok().and_then(|(_, next)| *next);
        Some((batch.map(|(text, _)| text), (reader, next)))
    });
    let body = futures::StreamExt::chain(futures::stream::once(async move { Ok(first.0) }), rest);
    let (kind, extension) = match format {
        Format::Csv => ("text/csv; charset=utf-8; header=present", "csv"),
        Format::JsonLines => ("application/jsonl; charset=utf-8", "jsonl"),
    };
    let name = format!("attachment; filename=\"audit-history.{extension}\"");
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

/// Reads an audit log in batches for an export.
struct Reader {
    visit: Visit,
    scope: AuditScope,
    filter: AuditFilter,
    format: Format,
}

impl Reader {
    /// Returns the next batch as text, and the position of the one after it, if there is one.
    async fn batch(&self, before: Option<i64>, is_first: bool) -> Result<(Bytes, Option<i64>), BackendError> {
        let Visit { web, actor, .. } = &self.visit;
        let events = web.backend.audit_events(actor, self.scope, self.filter, before, BATCH);
        let events = store::bounded(events).await??;
        let next = events.last().filter(|_| events.len() as i64 == BATCH).map(|event| event.sequence);
        let lines = events.iter().map(Line::of);
        let text = match self.format {
            Format::Csv => csv_lines(lines, is_first),
            Format::JsonLines => json_lines(lines),
        };
        Ok((text.into(), next))
    }
}

fn json_lines<'a>(lines: impl Iterator<Item = Line<'a>>) -> Vec<u8> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, &line).expect("strings and numbers are JSON, and memory takes them");
        text.push(b'\n');
    }
    text
}

fn csv_lines<'a>(lines: impl Iterator<Item = Line<'a>>, with_header: bool) -> Vec<u8> {
    let text = if with_header { BYTE_ORDER_MARK.into() } else { Vec::new() };
    let mut writer = csv::WriterBuilder::new().has_headers(false).terminator(csv::Terminator::CRLF).from_writer(text);
    let written = "strings are CSV, and memory takes them";
    if with_header {
        writer.write_record(HEADER).expect(written);
    }
    for line in lines {
        writer.write_record(line.cells().map(defused)).expect(written);
    }
    writer.into_inner().expect(written)
}

#[cfg(test)]
mod tests {
    use super::defused;

    #[test]
    fn a_cell_is_no_formula() {
        for dangerous in
            ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1+1", "\u{A0}@SUM(A1)", "＝1+1", "＋1"]
        {
            assert_eq!(defused(dangerous.to_owned()), format!("'{dangerous}"));
        }
        assert_eq!(defused("1=1".to_owned()), "1=1");
    }
}
