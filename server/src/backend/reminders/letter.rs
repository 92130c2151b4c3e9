//! The reminder e-mail: which key expires when, where its last request came from, and what to do.

use super::Due;
use crate::mail::{one_line, quoted, without_links};
use app::paths::Place;
use domain::{
    hygiene::{Idle, KeyHygiene, KeyId, Rotation},
    time::{DAY, Timestamp, in_words},
};
use std::fmt::Write;

/// Returns the subject and body of an e-mail about `keys`, of which there is at least one, most urgent first.
pub(super) fn write(organization: &str, keys: &[Due], console_origin: &str, now: Timestamp) -> (String, String) {
    let organization = without_links(organization);
    let stopping = keys.iter().filter(|due| due.key.stops_in_use()).count();
    let subject = match (stopping, keys.len()) {
        (1, _) => format!("A key of {organization} stops soon and is still in use"),
        (2.., _) => format!("{stopping} keys of {organization} stop soon and are still in use"),
        (0, 1) => format!("A key of {organization} needs your attention"),
        (0, count) => format!("{count} keys of {organization} need your attention"),
    };
    let paragraphs = keys.iter().map(|due| paragraph(due, console_origin, now)).collect::<Vec<_>>().join("\n\n");
    let policy = Place::Settings.rotation_policy();
    let body = format!(
        "{subject}. All times are UTC.\n\n{paragraphs}\n\n-- \n\
         Nuvera sends this to the owners of {organization}: 14, 7 and 1 days before a key's time, and on the day.\n\
         What that time is, your rotation policy says: {console_origin}{policy}\n"
    );
    (subject, body)
}

fn paragraph(due: &Due, console_origin: &str, now: Timestamp) -> String {
    let Due { application, key, .. } = due;
    let about = format!("{} {} of {}", key.key.kind(), key.name, quoted(application.name.as_str()));
    let mut text = match key.rotation {
        Rotation::Ending { at, in_use: true, .. } => format!(
            "{about} STOPS on {at} ({}), and requests still use it. From then on every one of them is refused.",
            until(at, now)
        ),
        Rotation::Ending { at, .. } => {
            format!("{about} stops on {at} ({}). It was replaced.", until(at, now))
        }
        Rotation::Due { at } => {
            format!("{about} is to be replaced by {at} ({}). It does not stop by itself.", until(at, now))
        }
        Rotation::Overdue { since } => {
            format!("{about} was to be replaced by {since}. It does not stop by itself.")
        }
        Rotation::Current => about,
    };
    let last_use = match &key.last_use {
        Some(used) => format!("{} from {}", used.at, one_line(&used.address)),
        None => "never".to_owned(),
    };
    // Writing to a string does not fail.
    let _ = write!(text, "\n  Last used: {last_use}");
    let _ = write!(text, "\n  What to do: {}", advice(key, now));
    let _ = write!(text, "\n  {console_origin}{}", Place::Settings.application(application.id));
    text
}

fn advice(key: &KeyHygiene, now: Timestamp) -> String {
    let idle = match key.idle {
        Some(Idle::Since(at)) => Some(format!("nothing has used it for {}", in_words(now.since(at)))),
        Some(Idle::NeverUsedSince(at)) => Some(format!("nothing has used it since it was made on {}", at.date())),
        None => None,
    };
    match (key.rotation, key.key, idle) {
        (Rotation::Ending { in_use: true, .. }, KeyId::Api(_), _) => {
            "deploy the new key to whatever sends from there. If that takes longer, move the deadline or keep this key."
                .to_owned()
        }
        (Rotation::Ending { in_use: true, .. }, KeyId::Signing(_), _) => {
            "let whatever sends from there sign with the new key. If that takes longer, restore this key.".to_owned()
        }
        (Rotation::Ending { .. }, ..) => {
            "nothing, where the new key is deployed everywhere. Nothing has used this one for a day or longer."
                .to_owned()
        }
        (_, KeyId::Api(_), Some(idle)) => {
            format!("revoke it, because {idle}. If it is needed, create a replacement key.")
        }
        (_, KeyId::Api(_), None) => {
            "create a replacement key, deploy it, and revoke this one when nothing uses it any more.".to_owned()
        }
        (_, KeyId::Signing(_), _) => {
            "replace the signing key with an overlap, and let your service sign with the new one.".to_owned()
        }
    }
}

/// Formats the time until `at`; a day that has begun counts as one.
fn until(at: Timestamp, now: Timestamp) -> String {
    let left = at.since(now);
    match left.as_secs().div_ceil(DAY.as_secs()) {
        0 => "now".to_owned(),
        1 => format!("in {}", in_words(left)),
        days => format!("in {days} days"),
    }
}
