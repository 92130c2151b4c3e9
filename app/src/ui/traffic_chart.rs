//! Chart of how traffic moves from an old key to its replacement, per minute, with a summary in words.

use super::requests;
use domain::{
    cut_over::{KeyUse, LEAST_SILENCE, Traffic, requests_within},
    time::{Timestamp, in_words},
};
use leptos::prelude::*;
use std::time::Duration;

/// Number of minutes on the time axis.
const MINUTES: usize = 60;

/// Height of the chart, in SVG user units. The new key's bars extend upwards from the middle, the old keys' downwards.
const HEIGHT: i64 = 64;

/// Width of a minute, in SVG user units.
const STEP: i64 = 4;

/// Requests per minute in the last hour: those with the new key upwards, those with old keys downwards.
#[component]
pub fn TrafficChart<'a>(
    /// End of the time axis.
    now: Timestamp,
    /// Label of the new key in the legend.
    new_label: String,
    /// Usage of the new key; `None` if it was never used.
    new: Option<KeyUse<'a>>,
    /// Usage of the old keys.
    old: Vec<KeyUse<'a>>,
) -> impl IntoView + use<> {
    let words = share(now, new, &old);
    let new = per_minute(now, new.and_then(|used| used.traffic));
    let old = per_minute(now, old.iter().filter_map(|used| used.traffic));
    let busiest = new.iter().chain(&old).copied().max().unwrap_or_default();
    let bars = |minutes: [i64; MINUTES], class: &'static str, is_up: bool| {
        let drawn = (0..).zip(minutes).filter(|(_, requests)| *requests > 0);
        drawn
            .map(|(minute, requests)| {
                let middle = HEIGHT / 2;
                // At least 2 units, so that a minute with few requests remains visible.
                let height = (requests * middle / busiest.max(1)).max(2);
                let y = if is_up { middle - height } else { middle };
                view! { <rect class=class x=minute * STEP y=y width=STEP - 1 height=height /> }
            })
            .collect_view()
    };
    view! {
        <figure class="traffic">
            <figcaption class="traffic__words">
                <p><strong>{words}</strong></p>
                <p class="traffic__legend">
                    <span class="traffic__key traffic__key--new">{new_label}</span>
                    <span class="traffic__key traffic__key--old">"old key"</span>
                </p>
            </figcaption>
            <svg
                class="traffic__chart"
                viewBox=format!("0 0 {} {HEIGHT}", MINUTES as i64 * STEP)
                preserveAspectRatio="none"
                aria-hidden="true"
                focusable="false"
            >
                {bars(new, "traffic__new", true)}
                {bars(old, "traffic__old", false)}
                <line class="traffic__axis" x1="0" x2=MINUTES as i64 * STEP y1=HEIGHT / 2 y2=HEIGHT / 2 />
            </svg>
            <p class="traffic__scale" aria-hidden="true">
                <span>"an hour ago"</span>
                {(busiest > 0).then(|| view! { <span>{format!("up to {busiest} a minute")}</span> })}
                <span>"now"</span>
            </p>
        </figure>
    }
}

/// Returns the requests of each of the last [`MINUTES`], oldest first.
fn per_minute<'a>(now: Timestamp, traffic: impl IntoIterator<Item = &'a Traffic>) -> [i64; MINUTES] {
    let mut counts = [0; MINUTES];
    let first = Traffic::minute(now) + 1 - MINUTES as i64;
    for &(minute, requests) in traffic.into_iter().flat_map(|traffic| &traffic.minutes) {
        if let Some(count) = usize::try_from(minute - first).ok().and_then(|index| counts.get_mut(index)) {
            *count += requests;
        }
    }
    counts
}

/// Describes the share of requests in the last [`LEAST_SILENCE`] that used the new key.
fn share(now: Timestamp, new: Option<KeyUse<'_>>, old: &[KeyUse<'_>]) -> String {
    let window = in_words(LEAST_SILENCE);
    let count = |used| requests_within(LEAST_SILENCE, now, Some(used));
    let (from_new, from_old) = (new.map_or(0, count), old.iter().copied().map(count).sum());
    let last = |used: KeyUse<'_>| now.since(used.last_used_at);
    let latest = new.into_iter().chain(old.iter().copied()).map(last).min().unwrap_or_default();
    let latest = if latest < Duration::from_secs(60) {
        String::new()
    } else {
        format!(", the last one {} ago", in_words(latest))
    };
    match (from_new, from_old) {
        (0, 0) => format!("No request in the last {window}."),
        (_, 0) => format!("All of the {} in the last {window} came with the new key{latest}.", requests(from_new)),
        (0, _) => format!("All of the {} in the last {window} came with the old one{latest}.", requests(from_old)),
        _ => {
            let all = from_new + from_old;
            // Never 0 % or 100 % while both keys are in use.
            let percent = (from_new * 100 / all).clamp(1, 99);
            format!("{percent} % of the {} in the last {window} came with the new key{latest}.", requests(all))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000 * 60_000 + 59_999);

    #[test]
    fn minutes_fall_where_they_belong_and_old_ones_nowhere() {
        let traffic = Traffic { minutes: vec![(940, 9), (941, 1), (999, 2), (1_000, 3)], longest_gap: None };
        let counts = per_minute(NOW, [&traffic, &traffic]);
        assert_eq!((counts[0], counts[58], counts[59]), (2, 4, 6));
        assert_eq!(counts.iter().sum::<i64>(), 12);
    }

    fn used(ago: Duration, traffic: &Traffic) -> KeyUse<'_> {
        KeyUse { first_used_at: NOW.minus(ago), last_used_at: NOW.minus(ago), traffic: Some(traffic) }
    }

    #[test]
    fn a_share_is_never_rounded_to_nothing_or_to_all() {
        let of = |requests| Traffic { minutes: vec![(1_000, requests)], longest_gap: None };
        let said = |new, old| {
            let (new, old) = (of(new), of(old));
            share(NOW, Some(used(Duration::ZERO, &new)), &[used(Duration::ZERO, &old)])
        };
        assert!(said(999, 1).starts_with("99 % of the"));
        assert!(said(1, 999).starts_with("1 % of the"));
        assert!(said(3, 0).starts_with("All of the 3 requests") && said(3, 0).ends_with("with the new key."));
        assert!(said(0, 3).ends_with("with the old one."));
        assert_eq!(share(NOW, None, &[]), "No request in the last 15 minutes.");
    }

    #[test]
    fn only_requests_of_the_window_count_and_their_age_is_said() {
        let idle = Traffic { minutes: vec![(987, 181)], longest_gap: None };
        let thirteen_minutes_ago = used(Duration::from_secs(13 * 60), &idle);
        let words = share(NOW, Some(thirteen_minutes_ago), &[]);
        assert!(words.starts_with("All of the 181 requests in the last 15 minutes"), "{words}");
        assert!(words.ends_with("with the new key, the last one 13 minutes ago."), "{words}");
        let long_ago = Traffic { minutes: vec![(980, 181)], longest_gap: None };
        assert!(share(NOW, Some(used(Duration::from_secs(20 * 60), &long_ago)), &[]).starts_with("No request"));
    }
}
