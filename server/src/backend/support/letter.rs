//! The e-mail to owners about Nuvera's actions: what was done, by whom, why, and what to do.

use crate::mail::{quoted, without_links};
use app::paths::Place;
use domain::{
    audit::{AuditAction, RecordedEvent},
    text::ApplicationName,
};
use std::fmt::Write;

/// Returns the subject and body of an e-mail about `events`, all of one organization, oldest first; there is at least
/// one.
pub(super) fn write(events: &[RecordedEvent], console_origin: &str) -> (String, String) {
    let organization = events.first().map(|recorded| without_links(&recorded.organization_name)).unwrap_or_default();
    let subject = match events {
        [one] => format!("Nuvera: {} ({})", one.event.action, without_links(application(one))),
        several => format!("Nuvera did {} things to applications of {organization}", several.len()),
    };
    let paragraphs = events.iter().map(|recorded| paragraph(recorded, console_origin)).collect::<Vec<_>>().join("\n\n");
    let list = Place::Settings.applications();
    let body = format!(
        "Nuvera acted on your applications. All times are UTC.\n\n{paragraphs}\n\n-- \n\
         Nuvera sends this to the owners of {organization} whenever it acts on one of their applications.\n\
         If you did not expect it, ask Nuvera about the ticket. Your applications: {console_origin}{list}\n"
    );
    (subject, body)
}

fn application(recorded: &RecordedEvent) -> &str {
    recorded.application_name.as_ref().map(ApplicationName::as_str).unwrap_or_default()
}

fn paragraph(recorded: &RecordedEvent, console_origin: &str) -> String {
    let event = &recorded.event;
    let mut text = format!("{}: {}", event.action, quoted(application(recorded)));
    let mut line = |term: &str, words: &str| {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {term}: {}", without_links(words));
    };
    line("By", &format!("{}, Nuvera, on {}", quoted(&event.actor.name), event.at));
    if let Some(before) = &event.before {
        line("Before", before);
    }
    if let Some(after) = &event.after {
        line("After", after);
    }
    if let Some(why) = &event.reason {
        line("Why", &why.to_string());
    }
    if let Some(todo) = todo(event.action) {
        line("What to do", todo);
    }
    if let Some(id) = event.application_id {
        let _ = write!(text, "\n  {console_origin}{}", Place::Settings.application(id));
    }
    text
}

fn todo(action: AuditAction) -> Option<&'static str> {
    match action {
        AuditAction::ChangeProposed => {
            Some("nothing has changed yet. Somebody of yours confirms or declines it within 72 hours.")
        }
        AuditAction::ReplacementPrepared => {
            Some("no key was made yet. Somebody of yours claims it within 72 hours, or declines it.")
        }
        _ => None,
    }
}
