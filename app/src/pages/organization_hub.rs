//! The organization hub of Nuvera's admins.

use crate::{
    page::OrganizationSummary,
    paths::{self, Place},
    ui::{Badge, ButtonLink, Cell, Column, DataTable, EmptyState, RowHeader, Shape, Submit, TextField, Tone},
};
use leptos::prelude::*;

const COLUMNS: &[Column] = &[
    Column { label: "Organization", class: "column--wide" },
    Column { label: "API applications", class: "column--time" },
    Column { label: "Disabled", class: "column--time" },
];

pub(super) fn view(
    title: String,
    query: &str,
    organizations: &[OrganizationSummary],
    more: usize,
) -> impl IntoView + use<> {
    let list = if !organizations.is_empty() {
        view! {
            <div class="card card--table">
                <DataTable caption="Partner organizations by name" columns=COLUMNS>
                    {organizations.iter().map(row).collect_view()}
                </DataTable>
            </div>
        }
        .into_any()
    } else if query.is_empty() {
        view! {
            <EmptyState heading="No partner organization yet">
                <p class="empty-state__lead">"Organizations appear here as soon as they are partners."</p>
            </EmptyState>
        }
        .into_any()
    } else {
        view! {
            <EmptyState heading=format!("No partner organization is called “{query}”")>
                <p class="empty-state__lead">"Search for a part of its name, or show all of them."</p>
                <ButtonLink href=paths::ORGANIZATION_HUB text="Show all" />
            </EmptyState>
        }
        .into_any()
    };
    let more = (more > 0).then(|| view! { <p class="quiet">{format!("{more} more. Search to narrow the list.")}</p> });
    view! {
        <div class="page-head">
            <div class="page-head__text">
                <h1>{title}</h1>
                <p class="page-head__lead">"Partner organizations and their API applications."</p>
            </div>
            <div class="actions">
                <ButtonLink href=Place::Nuvera.people() text="Nuvera’s people" />
                <ButtonLink href=paths::HUB_AUDIT text="Audit history" />
            </div>
        </div>
        <search>
            <form method="get" action=paths::ORGANIZATION_HUB class="filters filters--search">
                <TextField name="q" label="Organization" value=query />
                <Submit text="Search" />
            </form>
        </search>
        {list}
        {more}
    }
}

fn row(organization: &OrganizationSummary) -> impl IntoView + use<> {
    let disabled = if organization.disabled == 0 {
        view! { <span class="quiet">"None"</span> }.into_any()
    } else {
        let text = organization.disabled.to_string();
        view! { <Badge tone=Tone::Stopped shape=Shape::Barred text /> }.into_any()
    };
    let place = Place::Hub { organization: organization.id, name: organization.name.clone() };
    view! {
        <tr role="row">
            <RowHeader>
                <a class="table__link" href=place.applications()>{organization.name.clone()}</a>
            </RowHeader>
            <Cell label="API applications">{organization.applications}</Cell>
            <Cell label="Disabled">{disabled}</Cell>
        </tr>
    }
}
