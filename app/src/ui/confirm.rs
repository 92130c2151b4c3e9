//! What a dangerous action stops, told before it can be done.

use super::{Icon, Inner, Shape};
use leptos::prelude::*;

/// What follows from the action on this page.
#[component]
pub fn Consequences(
    /// The heading: what is about to happen.
    #[prop(into)]
    heading: String,
    /// Set when it cannot be undone.
    #[prop(optional)]
    danger: bool,
    /// The consequences.
    children: Inner,
) -> impl IntoView {
    view! {
        <section
            class=if danger { "consequences consequences--danger" } else { "consequences" }
            aria-labelledby="consequences-heading"
        >
            <Icon shape=if danger { Shape::Warning } else { Shape::Info } />
            <div class="prose">
                <h2 id="consequences-heading">{heading}</h2>
                {children.view()}
            </div>
        </section>
    }
}
