//! Emergency stop of several applications at once: preview and result.

use super::blocked_keys;
use crate::{
    page::StopScope,
    paths::{self, Place},
    ui::{
        Actions, Badge, ButtonLink, Cell, Code, Column, Consequences, DataTable, EmergencyReason, EmptyState, Form,
        Icon, RowHeader, Shape, Submit, Time, Tone, Variant, place, requests,
    },
};
use domain::{
    access::Operation,
    application::BlockedKey,
    bulk_stop::{Fate, Stoppable},
};
use leptos::prelude::*;
use std::collections::HashSet;

/// Maximum number of applications listed openly above the form. Longer lists are collapsed, so that the form remains
/// within reach.
const MOST_UNFOLDED: usize = 8;

const PREVIEW: &[Column] = &[
    Column { label: "Application", class: "column--wide" },
    Column { label: "Last hour", class: "column--count" },
    Column { label: "Last used", class: "column--time" },
];

const RESULT: &[Column] =
    &[Column { label: "Application", class: "column--wide" }, Column { label: "Result", class: "column--actions" }];

pub(super) fn preview(
    title: String,
    scope: &StopScope,
    applications: &[Stoppable],
    blocked: Option<&BlockedKey>,
) -> impl IntoView + use<> {
    let (running, disabled): (Vec<_>, Vec<_>) =
        applications.iter().partition(|stoppable| stoppable.application.is_enabled());
    if running.is_empty() {
        return match (scope, blocked) {
            (StopScope::SigningKey { .. }, None) => block(title, scope, disabled.len()).into_any(),
            _ => nothing(title, scope, disabled.len(), blocked).into_any(),
        };
    }
    let count = running.len();
    let organizations = running.iter().map(|stoppable| stoppable.application.organization_id).collect::<HashSet<_>>();
    let of = match scope {
        StopScope::Organization { name } => name.clone(),
        StopScope::SigningKey { .. } => counted(organizations.len(), "organization"),
    };
    let verb = match scope {
        StopScope::Organization { .. } => "disable",
        StopScope::SigningKey { .. } => "stop",
    };
    let heading = format!("This will {verb} {} of {of}", counted(count, "application"));
    let accepted = requests(running.iter().map(|stoppable| stoppable.requests).sum());
    let rows = running.iter().map(|stoppable| running_row(scope, stoppable)).collect_view();
    let table = view! { <DataTable caption="Applications that will be stopped" columns=PREVIEW>{rows}</DataTable> };
    let table = if count > MOST_UNFOLDED {
        view! {
            <details class="details">
                <summary>{format!("All {count} applications")}</summary>
                <div class="card card--table">{table}</div>
            </details>
        }
        .into_any()
    } else {
        view! { <div class="card card--table">{table}</div> }.into_any()
    };
    let before = (!disabled.is_empty()).then(|| {
        view! { <p class="quiet">{format!("{} already disabled and will stay so.", are(disabled.len()))}</p> }
    });
    let seen = running.iter().map(|stoppable| {
        view! { <input type="hidden" name="seen" value=stoppable.application.id.to_string() /> }
    });
    let seen = seen.collect_view();
    let after = match scope {
        StopScope::Organization { .. } => {
            "Keys, permissions and history will stay. Each application can be enabled again."
        }
        StopScope::SigningKey { .. } => {
            "The key will be blocked in every organization until Nuvera releases it. Each application can be enabled once its signing key is replaced."
        }
    };
    view! {
        {super::heading(title.clone(), "")}
        {key(scope)}
        <Consequences heading=heading danger=true>
            <ul>
                <li>"Their requests will be refused as soon as you confirm, even with a valid key and signature."</li>
                <li>{format!("In the last hour, {accepted} of theirs {} accepted.", if accepted == "1 request" { "was" } else { "were" })}</li>
                <li>"An application that is created or enabled before you confirm will be stopped as well."</li>
                <li>{after}</li>
            </ul>
        </Consequences>
        {table}
        {before}
        {stop_form(scope, title, seen.into_any())}
    }
    .into_any()
}

/// Form that stops the listed applications.
fn stop_form(scope: &StopScope, title: String, fields: AnyView) -> impl IntoView + use<> {
    view! {
        <Form action=address(scope)>
            {fields}
            <EmergencyReason />
            <Actions>
                <Submit variant=Variant::Danger text=title />
                <a class="button button--plain" href=back(scope)>"Cancel"</a>
            </Actions>
        </Form>
    }
}

/// Preview of blocking a signing key that no enabled application uses.
fn block(title: String, scope: &StopScope, disabled: usize) -> impl IntoView + use<> {
    let used = match disabled {
        0 => "No application verifies requests with this key: it is registered nowhere, or retired everywhere."
            .to_owned(),
        disabled => {
            format!("{} disabled already. None can be enabled before its signing key is replaced.", are(disabled))
        }
    };
    view! {
        {super::heading(title.clone(), "")}
        {key(scope)}
        <Consequences heading="This key will be blocked in every organization" danger=true>
            <ul>
                <li>{used}</li>
                <li>"It cannot be registered, restored or used to sign requests until Nuvera releases it."</li>
            </ul>
        </Consequences>
        {stop_form(scope, title, ().into_any())}
    }
}

fn nothing(title: String, scope: &StopScope, disabled: usize, blocked: Option<&BlockedKey>) -> impl IntoView + use<> {
    let why = match (scope, disabled) {
        (StopScope::Organization { .. }, 0) => "There is no API application.".to_owned(),
        (StopScope::SigningKey { .. }, 0) => {
            "No application verifies requests with this key: it is registered nowhere, or retired everywhere."
                .to_owned()
        }
        (_, disabled) => format!("{} already disabled.", are(disabled)),
    };
    view! {
        {super::heading(title, "")}
        {key(scope)}
        {blocked.map(blocked_keys::is_blocked)}
        <EmptyState heading="Nothing to stop">
            <p class="empty-state__lead">{why}</p>
            <ButtonLink href=back(scope) text="Go back" />
        </EmptyState>
    }
}

fn running_row(scope: &StopScope, stoppable: &Stoppable) -> impl IntoView + use<> {
    let last_used = match stoppable.last_used_at {
        Some(at) => view! { <Time at relative=true /> }.into_any(),
        None => view! { <span class="quiet">"Never"</span> }.into_any(),
    };
    view! {
        <tr role="row">
            <RowHeader>{named(scope, stoppable)}</RowHeader>
            <Cell label="Last hour">{requests(stoppable.requests)}</Cell>
            <Cell label="Last used">{last_used}</Cell>
        </tr>
    }
}

pub(super) fn stopped(
    title: String,
    scope: &StopScope,
    applications: &[(Stoppable, Fate)],
    is_unrecorded: bool,
) -> impl IntoView + use<> {
    let count = applications.iter().filter(|(_, fate)| *fate != Fate::WasDisabled).count();
    let is_key = matches!(scope, StopScope::SigningKey { .. });
    let heading = match count {
        0 if is_key => "No application that uses this key was left to stop.".to_owned(),
        0 => "Nothing was left to stop.".to_owned(),
        1 => "1 application is stopped. The gateway refuses its requests.".to_owned(),
        count => format!("{count} applications are stopped. The gateway refuses their requests."),
    };
    let owed = is_unrecorded.then(|| {
        view! {
            <p>
                "The database could not be written: each stop will be added to the audit history as soon as it can be. Until then nothing else can be changed."
            </p>
        }
    });
    let table = (!applications.is_empty()).then(|| {
        view! {
            <div class="card card--table">
                <DataTable caption="Result for each application" columns=RESULT>
                    {applications.iter().map(|(stoppable, fate)| fate_row(scope, stoppable, *fate)).collect_view()}
                </DataTable>
            </div>
        }
    });
    let history = match scope {
        StopScope::Organization { .. } => place().audit(),
        StopScope::SigningKey { .. } => paths::HUB_AUDIT.to_owned(),
    };
    view! {
        {super::heading(title, "")}
        {key(scope)}
        <div class="notice" role="status">
            <Icon shape=Shape::Barred />
            <div>
                <p>{heading}</p>
                {is_key.then(|| view! {
                    <p>"The key is blocked in every organization until Nuvera releases it. Each application can be enabled once its signing key is replaced."</p>
                })}
                {owed}
            </div>
        </div>
        {table}
        <div class="actions">
            <ButtonLink href=back(scope) text="Go back" />
            {is_key.then(|| view! { <ButtonLink href=paths::HUB_SIGNING_KEYS text="Blocked signing keys" /> })}
            <ButtonLink href=history text="Audit history" needs=Operation::ViewApplications />
        </div>
    }
}

fn fate_row(scope: &StopScope, stoppable: &Stoppable, fate: Fate) -> impl IntoView + use<> {
    let (tone, shape, text, note) = match fate {
        Fate::Stopped => (Tone::Stopped, Shape::Barred, "Stopped", None),
        Fate::StoppedUnseen => {
            (Tone::Stopped, Shape::Barred, "Stopped", Some("It was created or enabled after you opened the page."))
        }
        Fate::WasDisabled => (Tone::Quiet, Shape::Dash, "Already disabled", None),
    };
    view! {
        <tr role="row">
            <RowHeader>{named(scope, stoppable)}</RowHeader>
            <Cell label="Result">
                <Badge tone shape text />
                {note.map(|note| view! { <p class="quiet">{note}</p> })}
            </Cell>
        </tr>
    }
}

fn named(scope: &StopScope, stoppable: &Stoppable) -> impl IntoView + use<> {
    let Stoppable { application, organization_name, .. } = stoppable;
    let (place, of) = match scope {
        StopScope::Organization { .. } => (place(), None),
        StopScope::SigningKey { .. } => {
            let place = Place::Hub { organization: application.organization_id, name: organization_name.clone() };
            (place, Some(view! { <p class="quiet">{format!("of {organization_name}")}</p> }))
        }
    };
    view! {
        <a class="table__link" href=place.application(application.id)>{application.name.to_string()}</a>
        {of}
    }
}

/// Names the signing key, if the stop is about one.
fn key(scope: &StopScope) -> Option<impl IntoView + use<>> {
    let StopScope::SigningKey { fingerprint } = scope else { return None };
    Some(view! { <p>"Signing key " <Code text=fingerprint.clone() /></p> })
}

fn address(scope: &StopScope) -> String {
    match scope {
        StopScope::Organization { .. } => place().stop_everything(),
        StopScope::SigningKey { fingerprint } => paths::stop_signing_key(fingerprint),
    }
}

fn back(scope: &StopScope) -> String {
    match scope {
        StopScope::Organization { .. } => place().applications(),
        StopScope::SigningKey { .. } => paths::ORGANIZATION_HUB.to_owned(),
    }
}

fn are(count: usize) -> String {
    format!("{} {}", counted(count, "application"), if count == 1 { "is" } else { "are" })
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
