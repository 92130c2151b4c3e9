//! Tables that are laid out as stacked cards in narrow windows.
//!
//! The style sheet turns narrow tables into blocks, and some browsers then drop the table semantics. The ARIA roles are
//! therefore explicit.

use super::Inner;
use leptos::prelude::*;

/// A table column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Text of the header cell.
    pub label: &'static str,
    /// CSS class that sets the column's share of the width.
    pub class: &'static str,
}

/// A table whose columns collapse into cards in narrow windows.
#[component]
pub fn DataTable(
    /// Caption, visible to screen readers only.
    #[prop(into)]
    caption: String,
    /// Columns, in display order.
    columns: &'static [Column],
    /// Table rows.
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

/// A data cell. `label` is repeated inside the cell and shown where the table is laid out as cards.
#[component]
pub fn Cell(
    /// Heading of the cell's column.
    label: &'static str,
    /// Content of the cell.
    children: Inner,
) -> impl IntoView {
    view! {
        <td role="cell">
            <span class="table__label" aria-hidden="true">{label}</span>
            <div class="table__value">{children.view()}</div>
        </td>
    }
}

/// The header cell of a row.
#[component]
pub fn RowHeader(
    /// Content of the cell.
    children: Inner,
) -> impl IntoView {
    view! {
        <th role="rowheader" scope="row">
            {children.view()}
        </th>
    }
}
