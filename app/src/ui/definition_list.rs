//! Names and what they stand for.

use super::Inner;
use leptos::prelude::*;

/// A list of facts.
#[component]
pub fn Facts(
    /// The facts.
    children: Inner,
) -> impl IntoView {
    view! { <dl class="facts">{children.view()}</dl> }
}

/// A fact.
#[component]
pub fn Fact(
    /// What it is about.
    #[prop(into)]
    term: String,
    /// What is the case.
    children: Inner,
) -> impl IntoView {
    view! {
        <div class="facts__item">
            <dt>{term}</dt>
            <dd>{children.view()}</dd>
        </div>
    }
}
