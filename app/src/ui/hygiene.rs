//! Key hygiene badges: rotation due or overdue, and keys that are safe to remove.

use super::{Badge, Shape, Tone, surroundings};
use domain::{
    hygiene::{Idle, KeyHygiene, Rotation},
    time::{Timestamp, in_words},
};
use leptos::prelude::*;

/// Hygiene badges of a key.
#[component]
pub fn KeyHygieneBadges<'a>(
    /// Hygiene of the key; `None` if the key no longer works.
    hygiene: Option<&'a KeyHygiene>,
) -> impl IntoView + use<> {
    let idle = hygiene.and_then(|hygiene| hygiene.idle).map(|idle| {
        let words = match idle {
            Idle::Since(at) => format!("Not used for {}", in_words(surroundings().now.since(at))),
            Idle::NeverUsedSince(at) => format!("Never used since {}", at.date()),
        };
        view! {
            <p class="hygiene"><Badge tone=Tone::Quiet shape=Shape::Dash text="Safe to remove" /></p>
            <p class="quiet">{words}</p>
        }
    });
    let rotation = hygiene.and_then(rotation).map(|Marked { tone, shape, text, when }| {
        view! {
            <p class="hygiene"><Badge tone shape text /></p>
            {when.map(|(word, at)| view! { <p class="quiet">{format!("{word} {}", at.date())}</p> })}
        }
    });
    view! { {rotation} {idle} }
}

/// Hygiene of an application's keys: the most urgent status, and the number of keys that are safe to remove.
#[component]
pub fn ApplicationHygiene<'a>(
    /// Hygiene of each key.
    keys: &'a [KeyHygiene],
) -> impl IntoView + use<> {
    let urgent = keys.iter().filter_map(|key| Some((key.urgency()?, key)));
    let loudest = urgent.min_by_key(|(urgency, _)| *urgency).and_then(|(_, key)| rotation(key));
    let loudest = loudest.map(|Marked { tone, shape, text, when }| {
        let when = when.map(|(word, at)| format!(" {} {}", word.to_lowercase(), at.date())).unwrap_or_default();
        view! { <Badge tone shape text=format!("{text}{when}") /> }
    });
    let idle = match keys.iter().filter(|key| key.idle.is_some()).count() {
        0 => None,
        1 => Some("1 key safe to remove".to_owned()),
        count => Some(format!("{count} keys safe to remove")),
    };
    let idle = idle.map(|text| view! { <Badge tone=Tone::Quiet shape=Shape::Dash text /> });
    view! { {loudest} " " {idle} }
}

/// A badge and the date it refers to.
struct Marked {
    tone: Tone,
    shape: Shape,
    text: &'static str,
    when: Option<(&'static str, Timestamp)>,
}

fn rotation(key: &KeyHygiene) -> Option<Marked> {
    let (tone, shape, text, when) = match key.rotation {
        Rotation::Due { at } => (Tone::Waning, Shape::Clock, "Rotation due", Some(("On", at))),
        Rotation::Overdue { since } => (Tone::Waning, Shape::Warning, "Overdue", Some(("Since", since))),
        Rotation::Ending { in_use: true, .. } => (Tone::Stopped, Shape::Warning, "Stops while in use", None),
        Rotation::Ending { in_use: false, .. } | Rotation::Current => return None,
    };
    Some(Marked { tone, shape, text, when })
}
