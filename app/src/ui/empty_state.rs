//! What to do where there is nothing yet.

use super::{Icon, Inner, Shape};
use leptos::prelude::*;

/// Says that there is nothing yet, and what comes first.
#[component]
pub fn EmptyState(
    /// What there is none of.
    #[prop(into)]
    heading: String,
    /// What it would be for, and the first step.
    children: Inner,
) -> impl IntoView {
    view! {
        <section class="empty-state" aria-labelledby="empty-heading">
            <Icon shape=Shape::Key />
            <h2 id="empty-heading">{heading}</h2>
            {children.view()}
        </section>
    }
}
