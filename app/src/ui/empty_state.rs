//! Placeholder for an empty list, with the first step to fill it.

use super::{Icon, Inner, Shape};
use leptos::prelude::*;

/// States that a list is empty and suggests the first step.
#[component]
pub fn EmptyState(
    /// Names what does not exist yet.
    #[prop(into)]
    heading: String,
    /// Explanation and a link to the first step.
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
