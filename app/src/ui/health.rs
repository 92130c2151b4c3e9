//! Health of an organization's applications, as badges, most urgent first.

use super::{Badge, Shape, Tone, requests};
use domain::health::{Health, Outcomes};
use leptos::prelude::*;

/// Badges for everything that needs attention in an organization; a text if nothing does.
#[component]
pub fn HealthBadges<'a>(
    /// Health of the organization's applications.
    health: &'a Health,
) -> impl IntoView + use<> {
    let Health { disabled, never_used, stopping_in_use, expiring, overdue, .. } = *health;
    let refused =
        health.refuses_many().then(|| format!("{} refused in the last hour", health.last_hour.refused_share()));
    let stopping = counted(stopping_in_use, "key stops while in use", "keys stop while in use");
    let badges = [
        (Tone::Stopped, Shape::Warning, stopping),
        (Tone::Stopped, Shape::Warning, refused),
        (Tone::Waning, Shape::Warning, counted(overdue, "key overdue", "keys overdue")),
        (Tone::Waning, Shape::Clock, counted(expiring, "key expiring", "keys expiring")),
        (Tone::Quiet, Shape::Dash, counted(never_used, "application never used", "applications never used")),
        (Tone::Quiet, Shape::Barred, counted(disabled, "application disabled", "applications disabled")),
    ];
    let mut badges = badges.into_iter().filter_map(|(tone, shape, text)| Some((tone, shape, text?))).peekable();
    if badges.peek().is_none() {
        return view! { <span class="quiet">"Nothing to report"</span> }.into_any();
    }
    let badges = badges.map(|(tone, shape, text)| view! { <Badge tone shape text /> " " });
    view! { <span class="health">{badges.collect_view()}</span> }.into_any()
}

/// Summarizes request outcomes in a sentence: `Last hour: 412 requests, 3.1% refused, mostly invalid_signature.`
pub fn outcomes(when: &str, seen: &Outcomes) -> String {
    let count = requests(i64::try_from(seen.requests).unwrap_or(i64::MAX));
    match &seen.most_frequent {
        Some((code, _)) => format!("{when}: {count}, {} refused, mostly {code}.", seen.refused_share()),
        None if seen.requests == 0 => format!("{when}: no requests."),
        None => format!("{when}: {count}, none refused."),
    }
}

fn counted(count: usize, one: &str, several: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {several}")),
    }
}
