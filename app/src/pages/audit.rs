//! Audit history of an application, of an organization, or of all organizations.

use crate::{
    page::AuditSubject,
    paths::{self, Place},
    ui::{
        ButtonLink, Cell, Column, DataTable, Input, RowHeader, SelectField, SideBadge, Submit, TextField, Time, Why,
        place,
    },
};
use domain::{
    audit::{AuditAction, AuditFilter, RecordedEvent},
    id::UserId,
    time::Timestamp,
};
use leptos::prelude::*;

const COLUMNS: &[Column] = &[
    Column { label: "Time", class: "column--time" },
    Column { label: "Who", class: "column--who" },
    Column { label: "What", class: "column--what" },
    Column { label: "Change", class: "column--wide" },
];

fn address(subject: &AuditSubject) -> String {
    match subject {
        AuditSubject::Application { id, .. } => place().action(*id, "audit"),
        AuditSubject::Organization => place().audit(),
        AuditSubject::Everyone => paths::HUB_AUDIT.to_owned(),
    }
}

pub(super) fn view(
    title: String,
    subject: &AuditSubject,
    filter: &AuditFilter,
    actors: &[(UserId, String)],
    events: &[RecordedEvent],
    is_continued: bool,
    older: Option<i64>,
) -> impl IntoView + use<> {
    let address = address(subject);
    let query = paths::audit_query(filter);
    let is_filtered = !query.is_empty();
    let with = |suffix: &str, query: &str| match query {
        "" => format!("{address}{suffix}"),
        query => format!("{address}{suffix}?{query}"),
    };
    let newest = is_continued.then(|| view! { <ButtonLink href=with("", &query) text="Newest events" /> });
    let older = older.map(|before| {
        let separator = if is_filtered { "&" } else { "" };
        view! { <ButtonLink href=with("", &format!("{query}{separator}before={before}")) text="Older events" /> }
    });
    let everything = is_filtered.then(|| view! { <ButtonLink href=address.clone() text="Show everything" /> });
    let table = if events.is_empty() && is_filtered {
        view! { <p class="table-empty">"Nothing in this history fits. Choose less, or show everything."</p> }.into_any()
    } else {
        table(events, !matches!(subject, AuditSubject::Application { .. })).into_any()
    };
    view! {
        <div class="page-head">
            <div class="page-head__text">
                <h1>{title}</h1>
                <p class="page-head__lead">"Every change, newest first. Times are UTC."</p>
            </div>
            <div class="actions">
                <ButtonLink href=with(".csv", &query) text="Download CSV" />
                <ButtonLink href=with(".jsonl", &query) text="Download JSON Lines" />
            </div>
        </div>
        <search>
            <form method="get" action=address.clone() class="filters">
                <SelectField
                    name="action"
                    label="What"
                    options=choices("Any change", AuditAction::ALL.iter().map(|action| (action.code(), action.label())))
                    chosen=filter.action.map(|action| action.code().to_owned())
                />
                <SelectField
                    name="actor"
                    label="Who"
                    options=choices("Anybody", actors.iter().map(|(id, name)| (id.to_string(), name.clone())))
                    chosen=filter.actor.map(|actor| actor.to_string())
                />
                <SelectField
                    name="kind"
                    label="On whose side"
                    options=choices("Both", [("partner", "Partner"), ("nuvera", "Nuvera")])
                    chosen=filter.kind.map(|kind| kind.code().to_owned())
                />
                <TextField
                    name="from"
                    label="From (UTC)"
                    input=Input::DateTime
                    value=filter.from.map(Timestamp::input_value).unwrap_or_default()
                />
                <TextField
                    name="until"
                    label="Until (UTC)"
                    input=Input::DateTime
                    value=filter.until.map(Timestamp::input_value).unwrap_or_default()
                />
                <div class="actions"><Submit text="Show" /> {everything}</div>
            </form>
        </search>
        <div class="card card--table">{table}</div>
        <nav class="actions" aria-label="Pages of the history">{newest} {older}</nav>
    }
}

/// Returns the options of a drop-down list, preceded by `any` with an empty value.
fn choices<V: Into<String>, W: Into<String>>(
    any: &str,
    options: impl IntoIterator<Item = (V, W)>,
) -> Vec<(String, String)> {
    let options = options.into_iter().map(|(value, words)| (value.into(), words.into()));
    std::iter::once((String::new(), any.to_owned())).chain(options).collect()
}

/// Table of audit events, one row each.
pub(super) fn table(events: &[RecordedEvent], names_application: bool) -> impl IntoView + use<> {
    if events.is_empty() {
        return view! { <p class="table-empty">"Nothing has happened here yet."</p> }.into_any();
    }
    view! {
        <DataTable caption="Audit events, newest first" columns=COLUMNS>
            {events.iter().map(|recorded| row(recorded, names_application)).collect_view()}
        </DataTable>
    }
    .into_any()
}

fn row(recorded: &RecordedEvent, names_application: bool) -> impl IntoView + use<> {
    let event = &recorded.event;
    let about = names_application.then(|| about(recorded));
    // The link below already names the application or organization.
    let named = recorded.application_name.as_ref().map_or(&*recorded.organization_name, |name| name.as_str());
    let target = Some(&event.target).filter(|target| !names_application || *target != named);
    let target = target.map(|target| view! { <p class="quiet target">{target.clone()}</p> });
    let address = event.actor.address.map(|address| view! { <p class="quiet">{format!("from {address}")}</p> });
    let reason = event.reason.as_ref().map(|reason| view! { <Why why=reason /> });
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
                {target} {about}
            </Cell>
            <Cell label="Change">{change(event.before.clone(), event.after.clone())} {reason}</Cell>
        </tr>
    }
}

/// Links to the event's application and, in the history of all organizations, to its organization.
fn about(recorded: &RecordedEvent) -> AnyView {
    let event = &recorded.event;
    let organization = recorded.organization_name.clone();
    let looks_across = place() == Place::Nuvera;
    let place = if looks_across {
        Place::Hub { organization: event.organization_id, name: organization.clone() }
    } else {
        place()
    };
    let application = event.application_id.zip(recorded.application_name.as_ref());
    let application = application.map(|(id, name)| (place.application(id), name.to_string()));
    let above = place.applications();
    match (application, looks_across) {
        (Some((here, name)), true) => {
            view! { <p class="quiet"><a href=here>{name}</a> " · " <a href=above>{organization}</a></p> }.into_any()
        }
        (Some((here, name)), false) => view! { <p class="quiet"><a href=here>{name}</a></p> }.into_any(),
        (None, true) => view! { <p class="quiet"><a href=above>{organization}</a></p> }.into_any(),
        (None, false) => ().into_any(),
    }
}

/// Shows the values before and after a change; only the latter if they are equal.
pub(super) fn change(before: Option<String>, after: Option<String>) -> impl IntoView + use<> {
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
