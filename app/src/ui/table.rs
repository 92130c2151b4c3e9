//! Tables that become stacked cards where the window is narrow.
//!
//! The style sheet lays a narrow table out as blocks, which in some browsers takes its meaning away: so the roles are
//! written out.

use super::Inner;
use leptos::prelude::*;

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading.
    pub label: &'static str,
    /// Its share of the width, as a class of the style sheet.
    pub class: &'static str,
}

/// A table.
#[component]
pub fn DataTable(
    /// What it lists, for those who cannot see it.
    #[prop(into)]
    caption: String,
    /// Its columns.
    columns: &'static [Column],
    /// Its rows.
    children: Inner,
) -> impl IntoView {
    let headings = columns.iter().map(|column| {
        view! { <th role="columnheader" scope="col" class=column.class>{column.label}</th> }
    });
    view! {
        <table class="table" role="table">
            <caption class="visually-hidden">{caption}</caption>
            <thead role="rowgroup">
                <tr role="row">{headings.collect_view()}</tr>
            </thead>
            <tbody role="rowgroup">{children.view()}</tbody>
        </table>
    }
}

/// A cell; `label` is its column's, for when it stands alone.
#[component]
pub fn Cell(
    /// The column's heading.
    label: &'static str,
    /// What it holds.
    children: Inner,
) -> impl IntoView {
    view! {
        <td role="cell">
            <span class="table__label" aria-hidden="true">{label}</span>
            <div class="table__value">{children.view()}</div>
        </td>
    }
}

/// The cell that names its row.
#[component]
pub fn RowHeader(
    /// What it holds.
    children: Inner,
) -> impl IntoView {
    view! {
        <th role="rowheader" scope="row">
            {children.view()}
        </th>
    }
}
