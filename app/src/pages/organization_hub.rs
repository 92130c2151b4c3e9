//! Organization hub: partner organizations that need attention, and the search across all of them.

use crate::{
    page::OrganizationSummary,
    paths::{self, Place},
    ui::{
        Badge, ButtonLink, Cell, Column, DataTable, EmptyState, HealthBadges, RowHeader, Shape, Submit, TextField,
        Tone, Variant,
    },
};
use domain::access::Operation;
use leptos::prelude::*;

const COLUMNS: &[Column] = &[
    Column { label: "Organization", class: "column--wide" },
    Column { label: "API applications", class: "column--count" },
    Column { label: "Refused, last hour", class: "column--who" },
    Column { label: "To know", class: "column--health" },
];

pub(super) fn view(
    title: String,
    organizations: &[OrganizationSummary],
    more: usize,
    (all, attention): (usize, usize),
    is_filtered: bool,
) -> impl IntoView + use<> {
    let list = if !organizations.is_empty() {
        view! {
            <div class="card card--table">
                <DataTable caption="Partner organizations, whoever needs help first" columns=COLUMNS>
                    {organizations.iter().map(row).collect_view()}
                </DataTable>
            </div>
        }
        .into_any()
    } else if is_filtered {
        view! {
            <EmptyState heading="Nobody needs attention">
                <p class="empty-state__lead">
                    "No key stops while it is in use, none is overdue, requests are accepted, and every application has been used."
                </p>
                <ButtonLink href=paths::ORGANIZATION_HUB text="Show all" />
            </EmptyState>
        }
        .into_any()
    } else {
        view! {
            <EmptyState heading="No partner organization yet">
                <p class="empty-state__lead">"Create the first one, and invite its owner."</p>
                <ButtonLink
                    href=paths::NEW_ORGANIZATION
                    text="Create partner organization"
                    variant=Variant::Primary
                    needs=Operation::ManageOrganizations
                />
            </EmptyState>
        }
        .into_any()
    };
    let more = (more > 0).then(|| view! { <p class="quiet">{format!("{more} more. Search to find them.")}</p> });
    let choice = |href: String, text: String, is_chosen: bool| {
        view! { <a class="button button--small" href=href aria-current=is_chosen.then_some("page")>{text}</a> }
    };
    let attention_address = format!("{}?show=attention", paths::ORGANIZATION_HUB);
    let choices = (all > 0).then(|| {
        view! {
            <nav class="actions" aria-label="Which organizations">
                {choice(paths::ORGANIZATION_HUB.to_owned(), format!("All ({all})"), !is_filtered)}
                {choice(attention_address, format!("Needs attention ({attention})"), is_filtered)}
            </nav>
        }
    });
    view! {
        <div class="page-head">
            <div class="page-head__text">
                <h1>{title}</h1>
                <p class="page-head__lead">"Partner organizations and their API applications."</p>
            </div>
            <div class="actions">
                <ButtonLink href=Place::Nuvera.people() text="Nuvera’s people" />
                <ButtonLink href=paths::HUB_SIGNING_KEYS text="Blocked signing keys" />
                <ButtonLink href=paths::HUB_AUDIT text="Audit history" />
                <ButtonLink
                    href=paths::NEW_ORGANIZATION
                    text="Create partner organization"
                    variant=Variant::Primary
                    needs=Operation::ManageOrganizations
                />
            </div>
        </div>
        {search("")}
        {choices}
        {list}
        {more}
    }
}

/// Search form. It is sent with POST, so that search terms do not appear in URLs.
pub(super) fn search(value: &str) -> impl IntoView + use<> {
    view! {
        <search>
            <form method="post" action=paths::ORGANIZATION_HUB class="filters filters--search" novalidate>
                <TextField
                    name="q"
                    label="Search"
                    hint="An organization, an application, an API key’s prefix, a signing key’s fingerprint or a request id."
                    value
                />
                <Submit text="Search" />
            </form>
        </search>
    }
}

fn row(organization: &OrganizationSummary) -> impl IntoView + use<> {
    let OrganizationSummary { id, name, is_suspended, has_members, health } = organization;
    let place = Place::Hub { organization: *id, name: name.clone() };
    let seen = &health.last_hour;
    let refused = match (&seen.most_frequent, seen.requests) {
        (Some((code, _)), _) => view! {
            <p>{format!("{} of {}", seen.refused_share(), seen.requests)}</p>
            <p class="quiet">{format!("mostly {code}")}</p>
        }
        .into_any(),
        (None, 0) => view! { <span class="quiet">"No requests"</span> }.into_any(),
        (None, count) => view! { <span class="quiet">{format!("None of {count}")}</span> }.into_any(),
    };
    view! {
        <tr role="row">
            <RowHeader>
                <a class="table__link" href=place.applications()>{name.clone()}</a>
            </RowHeader>
            <Cell label="API applications">{health.applications}</Cell>
            <Cell label="Refused, last hour">{refused}</Cell>
            <Cell label="To know">
                {is_suspended.then(|| view! { <Badge tone=Tone::Stopped shape=Shape::Barred text="Suspended" /> " " })}
                {match has_members {
                    true => view! { <HealthBadges health /> }.into_any(),
                    false => view! { <Badge tone=Tone::Waning shape=Shape::Dash text="No members" /> }.into_any(),
                }}
            </Cell>
        </tr>
    }
}
