//! How traffic moves from an old key to a new one: minute by minute, and in words.

use super::requests;
use domain::{cut_over::Traffic, time::Timestamp};
use leptos::prelude::*;

/// How many minutes are shown.
const MINUTES: usize = 60;

/// Over how many of them the shares are told.
const SHARE_MINUTES: usize = 15;

/// The height of the chart, in the units of its own drawing; the new key's bars stand on its middle, the old key's hang
/// from it.
const HEIGHT: i64 = 64;

/// How wide a minute is, in the same units.
const STEP: i64 = 4;

/// Requests per minute in the last hour: with the new key upwards, with the old ones downwards.
#[component]
pub fn TrafficChart<'a>(
    /// Until when.
    now: Timestamp,
    /// What the new key is called.
    new_label: String,
    /// Its traffic.
    replacing: Option<&'a Traffic>,
    /// The traffic of the old ones.
    replaced: Vec<&'a Traffic>,
) -> impl IntoView + use<> {
    let new = per_minute(now, replacing);
    let old = per_minute(now, replaced);
    let words = share(&new, &old);
    let busiest = new.iter().chain(&old).copied().max().unwrap_or_default();
    let bars = |minutes: [i64; MINUTES], class: &'static str, is_up: bool| {
        let drawn = (0..).zip(minutes).filter(|(_, requests)| *requests > 0);
        drawn
            .map(|(minute, requests)| {
                let middle = HEIGHT / 2;
                // Whatever there was is seen.
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
                    <span class="traffic__key traffic__key--old">"what it replaces"</span>
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

/// The requests of each of the last [`MINUTES`], the present one last.
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

/// Whose the traffic was lately.
fn share(new: &[i64; MINUTES], old: &[i64; MINUTES]) -> String {
    let lately = |minutes: &[i64; MINUTES]| minutes[MINUTES - SHARE_MINUTES..].iter().sum::<i64>();
    let (new, old) = (lately(new), lately(old));
    match (new, old) {
        (0, 0) => format!("No request in the last {SHARE_MINUTES} minutes."),
        (_, 0) => format!("All of the {} in the last {SHARE_MINUTES} minutes came with the new key.", requests(new)),
        (0, _) => format!("All of the {} in the last {SHARE_MINUTES} minutes came with the old one.", requests(old)),
        _ => {
            // Neither is rounded to nothing or to all.
            let percent = (new * 100 / (new + old)).clamp(1, 99);
            format!(
                "{percent} % of the {} in the last {SHARE_MINUTES} minutes came with the new key.",
                requests(new + old)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_fall_where_they_belong_and_old_ones_nowhere() {
        let now = Timestamp::from_millis(1_000 * 60_000 + 59_999);
        let traffic = Traffic { minutes: vec![(940, 9), (941, 1), (999, 2), (1_000, 3)], longest_gap: None };
        let counts = per_minute(now, [&traffic, &traffic]);
        assert_eq!((counts[0], counts[58], counts[59]), (2, 4, 6));
        assert_eq!(counts.iter().sum::<i64>(), 12);
    }

    #[test]
    fn a_share_is_never_rounded_to_nothing_or_to_all() {
        let with = |requests| {
            let mut minutes = [0; MINUTES];
            minutes[MINUTES - 1] = requests;
            minutes
        };
        let said = |new, old| share(&with(new), &with(old));
        assert!(said(999, 1).starts_with("99 % of the"));
        assert!(said(1, 999).starts_with("1 % of the"));
        assert!(said(3, 0).starts_with("All of the 3 requests") && said(3, 0).ends_with("with the new key."));
        assert!(said(0, 3).ends_with("with the old one."));
        assert!(said(0, 0).starts_with("No request"));
        let mut long_ago = [0; MINUTES];
        long_ago[MINUTES - SHARE_MINUTES - 1] = 7;
        assert!(share(&long_ago, &with(0)).starts_with("No request"));
    }
}
