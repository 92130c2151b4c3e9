//! The way from an old key to a new one, as far as traffic shows it: for API keys and signing keys alike.

use crate::{
    page::Usage,
    ui::{Code, Time},
};
use domain::{
    cut_over::{OldKeyUse, Traffic, Verdict},
    time::{Timestamp, in_words},
};
use leptos::prelude::*;

/// What the use of the old key and of the new one says about ending the old one.
pub(super) fn verdict(now: Timestamp, old: Option<&Usage>, traffic: Option<&Traffic>, new: Option<&Usage>) -> Verdict {
    let old = old.map(|usage| OldKeyUse {
        last_used_at: usage.last_used_at,
        longest_gap: traffic.and_then(|traffic| traffic.longest_gap),
    });
    Verdict::at(now, old, new.is_some())
}

/// The verdict in words; `end` is what would be done to the old key: “revoke”, “retire”.
pub(super) fn in_short(verdict: Verdict, end: &str) -> String {
    match verdict {
        Verdict::NewKeyUnused => "Not yet: nothing has used the new key.".to_owned(),
        Verdict::Waiting { silent_for, needed } => {
            format!("Not yet: silent for {} of the {} that make it safe.", in_words(silent_for), in_words(needed))
        }
        Verdict::Silent { silent_for, longest_gap: Some(gap) } => format!(
            "Safe to {end}: not used for {}. Before, it was never silent for more than {}.",
            in_words(silent_for),
            in_words(gap)
        ),
        Verdict::Silent { silent_for, longest_gap: None } => {
            format!("Safe to {end}: not used for {}.", in_words(silent_for))
        }
        Verdict::OldKeyUnused => format!("Safe to {end}: nothing has ever used it."),
    }
}

/// An old key: what it is called, what the evidence says, who used it last, when it stops by itself, and what can be done.
pub(super) fn old_key(
    name: String,
    (verdict, end): (Verdict, &str),
    usage: Option<&Usage>,
    stops_at: Option<Timestamp>,
    actions: AnyView,
) -> impl IntoView + use<> {
    let last = usage.map(|usage| {
        view! {
            <p>"Last used " <Time at=usage.last_used_at relative=true /></p>
            <p class="client">{format!("from {}, {}", usage.address, usage.user_agent)}</p>
        }
    });
    let stops = stops_at.map(|at| view! { <p>"Stops by itself at " <Time at /></p> });
    let class = if verdict.is_safe() { "verdict verdict--safe" } else { "verdict" };
    view! {
        <li>
            <div class="fates__text">
                <p><Code text=name /></p>
                <p class=class data-announce="">{in_short(verdict, end)}</p>
                {last} {stops}
            </div>
            <div class="actions actions--small">{actions}</div>
        </li>
    }
}

/// How the verdict comes about.
pub(super) fn explained() -> impl IntoView {
    view! {
        <details class="details">
            <summary>"How this is judged"</summary>
            <p>
                "An old key may go once the new one has been used and the old one has been silent: for 15 minutes, and for \
                 twice as long as the longest pause between its requests in the past week, a day at the most. A job that runs \
                 less often than that does not show here: make sure yourself that it has the new key."
            </p>
        </details>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_words_name_the_evidence() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let waiting = Verdict::Waiting { silent_for: minutes(4), needed: minutes(15) };
        assert_eq!(in_short(waiting, "revoke"), "Not yet: silent for 4 minutes of the 15 minutes that make it safe.");
        let silent = Verdict::Silent { silent_for: minutes(15), longest_gap: Some(minutes(1)) };
        assert_eq!(
            in_short(silent, "revoke"),
            "Safe to revoke: not used for 15 minutes. Before, it was never silent for more than 1 minute."
        );
        assert_eq!(in_short(Verdict::OldKeyUnused, "retire"), "Safe to retire: nothing has ever used it.");
    }

    #[test]
    fn nothing_is_safe_before_the_new_key_is_used() {
        assert_eq!(verdict(Timestamp::from_millis(0), None, None, None), Verdict::NewKeyUnused);
    }
}
