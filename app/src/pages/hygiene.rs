//! Warnings above lists and application pages: keys that expire while in use, and keys that are due for rotation.

use crate::{
    page::{ApplicationSummary, ApplicationView},
    ui::{Callout, Code, Time, may, place},
};
use domain::{
    access::Operation,
    application::ApiApplication,
    hygiene::{KeyHygiene, KeyId, Rotation},
};
use leptos::prelude::*;

/// Maximum number of keys named in a warning. The others are marked in the list below it.
const MOST: usize = 5;

type Named<'a> = (&'a ApiApplication, &'a KeyHygiene);

/// Warnings above the list of applications.
pub(super) fn of_list(items: &[ApplicationSummary]) -> impl IntoView + use<> {
    let mut keys: Vec<Named<'_>> =
        items.iter().flat_map(|item| item.hygiene.iter().map(|key| (&item.application, key))).collect();
    keys.sort_by_key(|(_, key)| key.urgency());
    let (stopping, others): (Vec<_>, Vec<_>) = keys.into_iter().partition(|(_, key)| key.stops_in_use());
    let aged: Vec<_> = others
        .into_iter()
        .filter(|(_, key)| matches!(key.rotation, Rotation::Due { .. } | Rotation::Overdue { .. }))
        .collect();
    let stopping = (!stopping.is_empty()).then(|| stops_in_use(&stopping, true));
    let aged = (!aged.is_empty()).then(|| {
        view! {
            <Callout heading=heading(&aged, "is to be replaced", "are to be replaced")>
                <ul class="fates">{aged.iter().take(MOST).map(|&named| aged_key(named)).collect_view()}</ul>
                {more(&aged)}
                <p class="quiet">
                    "No key stops by itself because of its age. " <a href=place().rotation_policy()>"The rotation policy"</a> " asks for it."
                </p>
            </Callout>
        }
    });
    view! { {stopping} {aged} }
}

/// Warning at the top of an application's page.
pub(super) fn of_application(view: &ApplicationView) -> Option<impl IntoView + use<>> {
    let stopping: Vec<_> =
        view.hygiene.iter().filter(|key| key.stops_in_use()).map(|key| (&view.application, key)).collect();
    (!stopping.is_empty()).then(|| stops_in_use(&stopping, false))
}

fn stops_in_use(keys: &[Named<'_>], names_application: bool) -> impl IntoView + use<> {
    view! {
        <Callout heading=heading(keys, "stops while requests still use it", "stop while requests still use them") danger=true>
            <p>
                "Whatever sends these requests has not got the new key yet. Deploy it there before the old one stops."
            </p>
            <ul class="fates">
                {keys.iter().take(MOST).map(|&named| stopping_key(named, names_application)).collect_view()}
            </ul>
            {more(keys)}
        </Callout>
    }
}

fn stopping_key((application, key): Named<'_>, names_application: bool) -> impl IntoView + use<> {
    let stops = match key.rotation {
        Rotation::Ending { at, .. } => Some(view! { " stops at " <Time at /> "." }),
        Rotation::Current | Rotation::Due { .. } | Rotation::Overdue { .. } => None,
    };
    let last_use = key.last_use.as_ref().map(|used| {
        view! { {format!(" Last used from {}, ", used.address)} <Time at=used.at relative=true /> }
    });
    let deadline = match key.key {
        KeyId::Api(id) if may(Operation::RotateApiKeys) => {
            let href = place().api_key_action(application.id, id, "deadline");
            let about = key.name.clone();
            Some(view! {
                " "
                <a href=href>"Change deadline"<span class="visually-hidden">{format!(" {about}")}</span></a>
            })
        }
        KeyId::Api(_) | KeyId::Signing(_) => None,
    };
    view! {
        <li>
            <p class="fates__text">{name((application, key), names_application)} {stops} {deadline} {last_use}</p>
        </li>
    }
}

fn aged_key((application, key): Named<'_>) -> impl IntoView + use<> {
    let words = match key.rotation {
        Rotation::Due { at } => format!(" is due on {}.", at.date()),
        Rotation::Overdue { since } => format!(" is overdue since {}.", since.date()),
        Rotation::Current | Rotation::Ending { .. } => String::new(),
    };
    view! {
        <li>
            <p class="fates__text">{name((application, key), true)} {words}</p>
        </li>
    }
}

fn name((application, key): Named<'_>, names_application: bool) -> impl IntoView + use<> {
    let of = names_application.then(|| {
        let href = place().application(application.id);
        view! { " of " <a href=href>{application.name.to_string()}</a> }
    });
    view! { {key.key.kind()} " " <Code text=key.name.clone() /> {of} }
}

fn heading(keys: &[Named<'_>], one: &str, several: &str) -> String {
    match keys {
        [_] => format!("A key {one}"),
        keys => format!("{} keys {several}", keys.len()),
    }
}

fn more(keys: &[Named<'_>]) -> Option<impl IntoView + use<>> {
    let more = keys.len().checked_sub(MOST).filter(|&more| more > 0)?;
    let words = if more == 1 { "1 more is marked below.".to_owned() } else { format!("{more} more are marked below.") };
    Some(view! { <p>{words}</p> })
}
