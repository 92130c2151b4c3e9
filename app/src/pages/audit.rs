//! An application's audit history.

use crate::{
    paths,
    ui::{ButtonLink, Cell, Column, DataTable, RowHeader, SideBadge, Time},
};
use domain::{
    audit::{AuditEvent, RecordedEvent},
    id::ApplicationId,
};
use leptos::prelude::*;

const COLUMNS: &[Column] = &[
    Column { label: "Time", class: "column--time" },
    Column { label: "Who", class: "column--who" },
    Column { label: "What", class: "column--what" },
    Column { label: "Change", class: "column--wide" },
];

pub(super) fn view(
    title: String,
    id: ApplicationId,
    events: &[RecordedEvent],
    is_continued: bool,
    older: Option<i64>,
) -> impl IntoView + use<> {
    let address = paths::application_action(id, "audit");
    let newest = is_continued.then(|| view! { <ButtonLink href=address.clone() text="Newest events" /> });
    let older = older.map(|before| {
        view! { <ButtonLink href=format!("{address}?before={before}") text="Older events" /> }
    });
    view! {
        {super::heading(title, "Every change, newest first. Times are UTC.")}
        <div class="card card--table">{table(events)}</div>
        <nav class="actions" aria-label="Pages of the history">{newest} {older}</nav>
    }
}

/// Events, each in a row.
pub(super) fn table(events: &[RecordedEvent]) -> impl IntoView + use<> {
    if events.is_empty() {
        return view! { <p class="table-empty">"Nothing has happened here yet."</p> }.into_any();
    }
    view! {
        <DataTable caption="Audit events, newest first" columns=COLUMNS>
            {events.iter().map(|recorded| row(&recorded.event)).collect_view()}
        </DataTable>
    }
    .into_any()
}

fn row(event: &AuditEvent) -> impl IntoView + use<> {
    let address = event.actor.address.map(|address| view! { <p class="quiet">{format!("from {address}")}</p> });
    let reason = event.reason.as_ref().map(|reason| view! { <p class="reason">{format!("“{reason}”")}</p> });
    view! {
        <tr role="row">
            <RowHeader>
                <Time at=event.at />
            </RowHeader>
            <Cell label="Who">
                <p>{event.actor.name.clone()} " " <SideBadge kind=event.actor.kind /></p>
                {address}
            </Cell>
            <Cell label="What">
                <p>{event.action.label()}</p>
                <p class="quiet target">{event.target.clone()}</p>
            </Cell>
            <Cell label="Change">{change(event.before.clone(), event.after.clone())} {reason}</Cell>
        </tr>
    }
}

/// How it was and how it is, in words; once where it is the same.
fn change(before: Option<String>, after: Option<String>) -> impl IntoView + use<> {
    let before = before.filter(|before| after.as_ref() != Some(before)).map(|before| {
        view! {
            <span class="visually-hidden">"Before: "</span>
            <del>{before}</del>
            <span class="change__arrow" aria-hidden="true">" → "</span>
        }
    });
    let after = after.map(|after| {
        view! {
            <span class="visually-hidden">" After: "</span>
            <ins>{after}</ins>
        }
    });
    view! { <p class="change">{before} {after}</p> }
}
