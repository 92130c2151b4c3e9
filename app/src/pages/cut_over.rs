//! Progress of a key rotation: chart, verdict and its wording. Every page that assesses whether an old API key or
//! signing key is still in use takes them from here.

use crate::{
    page::Usage,
    ui::{Code, Time, TrafficChart},
};
use domain::{
    application::ApiApplication,
    cut_over::{KeyUse, Traffic, Verdict, api_key_rotation},
    id::{ApiKeyId, SigningKeyId},
    signing_key::{SigningKey, SigningKeyState},
    time::{Timestamp, in_words},
};
use leptos::prelude::*;
use std::{collections::HashMap, hash::Hash, time::Duration};

/// A rotation in progress and the usage of its keys.
pub(super) struct Meter<'a, Id> {
    now: Timestamp,
    /// Key that replaces the others.
    pub(super) new: Id,
    new_label: String,
    /// Replaced keys that still work.
    pub(super) old: Vec<Id>,
    usage: &'a HashMap<Id, Usage>,
    traffic: &'a HashMap<Id, Traffic>,
}

impl<'a> Meter<'a, ApiKeyId> {
    /// Returns the rotation of an application's API keys; `None` if none is in progress.
    pub(super) fn of_api_keys(
        application: &ApiApplication,
        usage: &'a HashMap<ApiKeyId, Usage>,
        traffic: &'a HashMap<ApiKeyId, Traffic>,
        now: Timestamp,
    ) -> Option<Self> {
        let (new, old) = api_key_rotation(application, now)?;
        let old = old.iter().map(|key| key.id).collect();
        Some(Self { now, new: new.id, new_label: new.shown(), old, usage, traffic })
    }
}

impl<'a> Meter<'a, SigningKeyId> {
    /// Returns the rotation of an application's signing key; `None` if none is in progress.
    pub(super) fn of_signing_keys(
        application: &ApiApplication,
        usage: &'a HashMap<SigningKeyId, Usage>,
        traffic: &'a HashMap<SigningKeyId, Traffic>,
        now: Timestamp,
    ) -> Option<Self> {
        let is_retiring = |key: &&SigningKey| matches!(key.status(now), SigningKeyState::Retiring { .. });
        let old: Vec<_> = application.signing_keys.iter().filter(is_retiring).map(|key| key.id).collect();
        let new = application.current_signing_key().id;
        let new_label = "the current signing key".to_owned();
        (!old.is_empty()).then_some(Self { now, new, new_label, old, usage, traffic })
    }
}

impl<Id: Copy + Eq + Hash> Meter<'_, Id> {
    /// Returns whether `key` is one of the keys being replaced.
    pub(super) fn replaces(&self, key: Id) -> bool {
        self.old.contains(&key)
    }

    /// Returns the usage of `key`; `None` if it was never used.
    pub(super) fn usage(&self, key: Id) -> Option<&Usage> {
        self.usage.get(&key)
    }

    fn used(&self, key: Id) -> Option<KeyUse<'_>> {
        let &Usage { first_used_at, last_used_at, .. } = self.usage(key)?;
        Some(KeyUse { first_used_at, last_used_at, traffic: self.traffic.get(&key) })
    }

    /// Assesses whether `old` can be ended, based on the recent usage of it and of the new key.
    pub(super) fn verdict(&self, old: Id) -> Verdict {
        Verdict::at(self.now, self.used(old), self.used(self.new))
    }

    /// Returns whether every old key can be ended safely.
    pub(super) fn all_safe(&self) -> bool {
        self.old.iter().all(|&old| self.verdict(old).is_safe())
    }

    /// Chart of the last hour's requests by key.
    pub(super) fn chart(&self) -> impl IntoView + use<Id> {
        let old = self.old.iter().filter_map(|&old| self.used(old)).collect();
        view! { <TrafficChart now=self.now new_label=self.new_label.clone() new=self.used(self.new) old /> }
    }
}

/// Describes the verdict in a sentence. `end` is the verb for ending the old key: "revoke" or "retire".
pub(super) fn sentence(verdict: Verdict, end: &str) -> String {
    match verdict {
        Verdict::NewKeyUnused => "Not yet: nothing has used the new key.".to_owned(),
        Verdict::Waiting { silent_for, needed } => {
            let use_now = match silent_for {
                silent if silent < Duration::from_secs(60) => "still in use".to_owned(),
                silent => format!("last used {} ago", in_words(silent)),
            };
            format!("Not yet: {use_now}. Safe after {} without a request.", in_words(needed))
        }
        Verdict::NoEvidence { silent_for } => format!(
            "No evidence: neither key has been used for {}. Send traffic with the new key, then check again.",
            in_words(silent_for)
        ),
        Verdict::Silent { silent_for, longest_gap } => {
            let before = match longest_gap {
                Some(gap) => format!(" Its longest pause before was {}.", in_words(gap)),
                None => String::new(),
            };
            format!("Safe to {end}: not used for {}, and the new key is in use.{before}", in_words(silent_for))
        }
        Verdict::OldKeyUnused => format!("Safe to {end}: no request has ever used it, and the new key is in use."),
    }
}

/// Paragraph with the verdict. The island `LiveRegions` announces its changes to screen readers.
pub(super) fn verdict_view(verdict: Verdict, end: &str) -> impl IntoView + use<> {
    let class = if verdict.is_safe() { "verdict verdict--safe" } else { "verdict" };
    view! { <p class=class data-announce="">{sentence(verdict, end)}</p> }
}

/// List item for an old key: name, verdict, last request, deadline and actions.
pub(super) fn old_key(
    name: String,
    (verdict, end): (Verdict, &str),
    usage: Option<&Usage>,
    stops_at: Option<Timestamp>,
    actions: AnyView,
) -> impl IntoView + use<> {
    let last = usage.map(|usage| {
        let client = match &*usage.user_agent {
            "" => format!("from {}", usage.address),
            user_agent => format!("from {}, {user_agent}", usage.address),
        };
        view! {
            <p>"Last used " <Time at=usage.last_used_at relative=true /></p>
            <p class="client">{client}</p>
        }
    });
    let stops = stops_at.map(|at| view! { <p>"Stops by itself at " <Time at /></p> });
    view! {
        <li>
            <div class="fates__text">
                <p><Code text=name /></p>
                {verdict_view(verdict, end)}
                {last} {stops}
            </div>
            <div class="actions actions--small">{actions}</div>
        </li>
    }
}

/// Explains how the verdict is determined.
pub(super) fn explained() -> impl IntoView {
    view! {
        <details class="details">
            <summary>"How this is judged"</summary>
            <p>
                "An old key is safe to end when it has been silent for 15 minutes, and for twice its longest pause in the past \
                 week (at most a day), while the new key is in use: its last request is no older than half of that time, or \
                 than that pause. If both keys are silent, there is no evidence. A job that runs less often than once a day \
                 does not show here: check yourself that it has the new key."
            </p>
        </details>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_name_the_evidence() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let waiting = |silent_for| sentence(Verdict::Waiting { silent_for, needed: minutes(15) }, "revoke");
        assert_eq!(waiting(minutes(4)), "Not yet: last used 4 minutes ago. Safe after 15 minutes without a request.");
        assert_eq!(waiting(minutes(0)), "Not yet: still in use. Safe after 15 minutes without a request.");
        let silent = Verdict::Silent { silent_for: minutes(15), longest_gap: Some(minutes(1)) };
        assert_eq!(
            sentence(silent, "revoke"),
            "Safe to revoke: not used for 15 minutes, and the new key is in use. Its longest pause before was 1 minute."
        );
        assert_eq!(
            sentence(Verdict::OldKeyUnused, "retire"),
            "Safe to retire: no request has ever used it, and the new key is in use."
        );
        assert_eq!(
            sentence(Verdict::NoEvidence { silent_for: minutes(13) }, "revoke"),
            "No evidence: neither key has been used for 13 minutes. Send traffic with the new key, then check again."
        );
    }
}
