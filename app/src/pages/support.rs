//! Changes made by Nuvera, shown until a member of the partner acknowledges them.

use super::audit::change;
use crate::{
    page::SupportView,
    paths::Place,
    ui::{Callout, Form, Submit, Time, Why, may, place},
};
use domain::{access::Operation, audit::RecordedEvent};
use leptos::prelude::*;
use std::collections::BTreeSet;

/// Maximum number of events listed in a notice.
const MOST: usize = 5;

/// Notice above a partner's list of applications.
pub(super) fn of_list(unseen: &[RecordedEvent]) -> impl IntoView + use<> {
    let names: BTreeSet<_> = unseen.iter().map(|recorded| recorded.event.application_id).collect();
    let heading = match (unseen, names.len()) {
        ([first, ..], 1) => format!("Nuvera changed {}", name(first)),
        (_, count) => format!("Nuvera changed {count} of your applications"),
    };
    (!unseen.is_empty()).then(|| callout(heading, unseen, true, place().seen_support()))
}

/// Notice at the top of an application's page. Partners can acknowledge the changes, Nuvera's users see that this is
/// outstanding.
pub(super) fn of_application(view: &SupportView) -> impl IntoView + use<> {
    let unseen = &view.unseen;
    let first = unseen.first()?;
    let id = first.event.application_id?;
    Some(match place() {
        Place::Settings | Place::Nuvera => {
            let heading = format!("Nuvera changed {}", name(first));
            callout(heading, unseen, false, place().action(id, "seen-support")).into_any()
        }
        Place::Hub { name, .. } => {
            let changes = match unseen.len() {
                1 => "the latest change".to_owned(),
                count => format!("the latest {count} changes"),
            };
            view! { <p class="quiet">{format!("Nobody of {name} has seen {changes} by Nuvera yet.")}</p> }.into_any()
        }
    })
}

/// States who acknowledged the changes last, unless some are outstanding.
pub(super) fn seen(view: &SupportView) -> impl IntoView + use<> {
    let seen = view.seen.as_ref().filter(|_| view.unseen.is_empty())?;
    Some(view! {
        <p class="quiet">{format!("What Nuvera changed was seen by {} on ", seen.by)} <Time at=seen.at /></p>
    })
}

fn callout(heading: String, unseen: &[RecordedEvent], names: bool, action: String) -> impl IntoView + use<> {
    let more = unseen.len().saturating_sub(MOST);
    let more = (more > 0).then(|| {
        view! { <p>{format!("{more} more: ")} <a href=place().audit()>"the audit history"</a> " has all of them."</p> }
    });
    // Acknowledges up to the newest event shown on this page, so that later changes are shown again.
    let sequence = unseen.first().map_or(0, |newest| newest.sequence);
    let form = may(Operation::AcknowledgeSupport).then(|| {
        view! {
            <Form action=action version=sequence inline=true>
                <Submit text="We have seen it" />
            </Form>
        }
    });
    view! {
        <Callout heading=heading>
            <ul class="fates">{unseen.iter().take(MOST).map(|recorded| told(recorded, names)).collect_view()}</ul>
            {more}
            <div class="actions">{form}</div>
        </Callout>
    }
}

fn told(recorded: &RecordedEvent, names: bool) -> impl IntoView + use<> {
    let event = &recorded.event;
    let of = names.then_some(event.application_id).flatten().map(|id| {
        view! { " of " <a href=place().application(id)>{name(recorded)}</a> }
    });
    view! {
        <li>
            <div class="fates__text">
                <p>
                    <strong>{event.action.label()}</strong>
                    {of}
                    {format!(" by {} on ", event.actor.name)}
                    <Time at=event.at />
                </p>
                {change(event.before.clone(), event.after.clone())}
                {event.reason.as_ref().map(|why| view! { <Why why /> })}
            </div>
        </li>
    }
}

fn name(recorded: &RecordedEvent) -> String {
    recorded.application_name.as_ref().map_or_else(String::new, ToString::to_string)
}
