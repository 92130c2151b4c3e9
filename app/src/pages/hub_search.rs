//! Search results across all partner organizations.

use super::{blocked_keys, organization_hub};
use crate::{
    paths::{self, Place},
    ui::{
        ApiKeyBadge, Badge, ButtonLink, Callout, Cell, Code, Column, DataTable, EmptyState, RowHeader, Shape,
        SigningKeyBadge, Time, Tone, Variant, may, surroundings,
    },
};
use domain::{
    access::Operation,
    application::BlockedKey,
    id::OrganizationId,
    request::SeenRequest,
    search::{Findings, Found, Hit, Search},
};
use leptos::prelude::*;

const COLUMNS: &[Column] = &[
    Column { label: "Found", class: "column--wide" },
    Column { label: "What", class: "column--count" },
    Column { label: "State", class: "column--time" },
    Column { label: "Organization", class: "column--who" },
];

pub(super) fn view(
    title: String,
    search: &Search,
    findings: &Findings,
    blocked: Option<&BlockedKey>,
) -> impl IntoView + use<> {
    let now = surroundings().now;
    let is_in_use = |hit: &Hit| matches!(&hit.what, Found::SigningKey(key) if key.verifies(now));
    let leaked = search.fingerprint.as_ref().filter(|_| may(Operation::StopSigningKey));
    let is_used = findings.hits.iter().any(is_in_use);
    let leaked = leaked.filter(|_| blocked.is_none()).map(|fingerprint| {
        let what = match is_used {
            true => "Every application that uses it can be stopped at once. You see first which they are.",
            false => "No application uses it. You can block it, so that none ever does.",
        };
        view! {
            <Callout heading="Has its private key leaked?">
                <p>{what}</p>
                <ButtonLink href=paths::stop_signing_key(fingerprint) text="Stop this key everywhere" variant=Variant::DangerQuiet />
            </Callout>
        }
    });
    let leaked = (blocked.map(blocked_keys::is_blocked), leaked);
    let list = if findings.organizations.is_empty() && findings.hits.is_empty() {
        nothing(search).into_any()
    } else {
        view! {
            <div class="card card--table">
                <DataTable caption="What was found, exact matches first" columns=COLUMNS>
                    {findings.organizations.iter().map(|(id, name)| organization(*id, name)).collect_view()}
                    {findings.hits.iter().map(row).collect_view()}
                </DataTable>
            </div>
        }
        .into_any()
    };
    let more = findings.has_more.then(|| {
        view! { <p class="quiet">"There are more than are listed. Enter more of the name to narrow the list."</p> }
    });
    view! {
        {super::heading(title, "")}
        {organization_hub::search(search.text.as_str())}
        {leaked}
        {list}
        {more}
    }
}

fn nothing(search: &Search) -> impl IntoView + use<> {
    let why = if search.is_part_of_a_prefix() {
        "An API key is found by nvk_ and the 8 characters behind it: enter all of them."
    } else if search.prefix.is_some() {
        "No API key has this prefix. Compare capital and small letters: they count."
    } else if search.fingerprint.is_some() {
        "No application has registered a public key with this fingerprint. Compare capital and small letters: they count."
    } else if search.id.is_some() {
        "Of each application the newest 1,000 requests are kept, for a week. Requests whose API key is unknown belong to nobody and are not kept."
    } else {
        "Search for a part of a name, or for a whole prefix, fingerprint or request id."
    };
    view! {
        <EmptyState heading=format!("Nothing found for “{}”", search.text)>
            <p class="empty-state__lead">{why}</p>
            <ButtonLink href=paths::ORGANIZATION_HUB text="Show all organizations" />
        </EmptyState>
    }
}

fn organization(id: OrganizationId, name: &str) -> impl IntoView + use<> {
    let href = Place::Hub { organization: id, name: name.to_owned() }.applications();
    view! {
        <tr role="row">
            <RowHeader>
                <a class="table__link" href=href>{name.to_owned()}</a>
            </RowHeader>
            <Cell label="What">"Organization"</Cell>
            <Cell label="State"><span class="quiet">"Partner"</span></Cell>
            <Cell label="Organization">{name.to_owned()}</Cell>
        </tr>
    }
}

fn row(hit: &Hit) -> impl IntoView + use<> {
    let now = surroundings().now;
    let place = Place::Hub { organization: hit.organization, name: hit.organization_name.clone() };
    let application = place.application(hit.application);
    let of = view! { <p class="quiet">{format!("of {}", hit.application_name)}</p> };
    let (href, found, what, state) = match &hit.what {
        Found::Application => {
            let state = match hit.is_enabled {
                true => view! { <Badge tone=Tone::Good shape=Shape::Check text="Enabled" /> }.into_any(),
                false => disabled(),
            };
            (application, hit.application_name.clone().into_any(), "Application", state)
        }
        Found::ApiKey(key) => {
            let state = view! { <ApiKeyBadge status=key.status(now) /> " " {(!hit.is_enabled).then(disabled)} };
            (
                format!("{application}#api-keys"),
                view! { <Code text=key.shown() /> }.into_any(),
                "API key",
                state.into_any(),
            )
        }
        Found::SigningKey(key) => {
            let state = view! { <SigningKeyBadge status=key.status(now) /> " " {(!hit.is_enabled).then(disabled)} };
            let found = view! { <Code text=key.public_key.fingerprint() /> };
            (format!("{application}#signing-keys"), found.into_any(), "Signing key", state.into_any())
        }
        Found::Request { id, at, code } => {
            let (tone, shape, text) = match code.as_str() {
                SeenRequest::ACCEPTED => (Tone::Good, Shape::Check, "Accepted"),
                code => (Tone::Stopped, Shape::Warning, code),
            };
            let state = view! { <Badge tone shape text /> <p class="quiet"><Time at=*at /></p> };
            (
                place.request(hit.application, *id),
                view! { <Code text=id.to_string() /> }.into_any(),
                "Request",
                state.into_any(),
            )
        }
    };
    let of = (!matches!(hit.what, Found::Application)).then_some(of);
    view! {
        <tr role="row">
            <RowHeader>
                <a class="table__link" href=href>{found}</a>
                {of}
            </RowHeader>
            <Cell label="What">{what}</Cell>
            <Cell label="State">{state}</Cell>
            <Cell label="Organization">
                <a href=place.applications()>{hit.organization_name.clone()}</a>
            </Cell>
        </tr>
    }
}

fn disabled() -> AnyView {
    view! { <Badge tone=Tone::Stopped shape=Shape::Barred text="Disabled" /> }.into_any()
}
