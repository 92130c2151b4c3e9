//! The organization hub of Nuvera's admins.

use crate::{
    page::OrganizationSummary,
    ui::{Badge, Cell, Column, DataTable, EmptyState, RowHeader, Shape, Tone},
};
use leptos::prelude::*;

const COLUMNS: &[Column] = &[
    Column { label: "Organization", class: "column--wide" },
    Column { label: "API applications", class: "column--time" },
    Column { label: "Disabled", class: "column--time" },
];

pub(super) fn view(title: String, organizations: &[OrganizationSummary]) -> impl IntoView + use<> {
    let list = if organizations.is_empty() {
        view! {
            <EmptyState heading="No partner organization yet">
                <p class="empty-state__lead">"Organizations appear here as soon as they are partners."</p>
            </EmptyState>
        }
        .into_any()
    } else {
        view! {
            <div class="card card--table">
                <DataTable caption="Partner organizations by name" columns=COLUMNS>
                    {organizations.iter().map(row).collect_view()}
                </DataTable>
            </div>
        }
        .into_any()
    };
    view! {
        {super::heading(title, "Partner organizations and their API applications.")}
        {list}
    }
}

fn row(organization: &OrganizationSummary) -> impl IntoView + use<> {
    let disabled = if organization.disabled == 0 {
        view! { <span class="quiet">"None"</span> }.into_any()
    } else {
        let text = organization.disabled.to_string();
        view! { <Badge tone=Tone::Stopped shape=Shape::Barred text /> }.into_any()
    };
    view! {
        <tr role="row">
            <RowHeader>{organization.name.clone()}</RowHeader>
            <Cell label="API applications">{organization.applications}</Cell>
            <Cell label="Disabled">{disabled}</Cell>
        </tr>
    }
}
