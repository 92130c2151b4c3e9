//! Lists of terms and their values.

use super::Inner;
use leptos::prelude::*;

/// A list of terms and values.
#[component]
pub fn Facts(
    /// [`Fact`]s.
    children: Inner,
) -> impl IntoView {
    view! { <dl class="facts">{children.view()}</dl> }
}

/// A term and its value.
#[component]
pub fn Fact(
    /// Term.
    #[prop(into)]
    term: String,
    /// Value.
    children: Inner,
) -> impl IntoView {
    view! {
        <div class="facts__item">
            <dt>{term}</dt>
            <dd>{children.view()}</dd>
        </div>
    }
}
