//! States the consequences of an action before the user confirms it.

use super::{Icon, Inner, Shape};
use leptos::prelude::*;

/// Lists the consequences of the action that the page is about to perform.
#[component]
pub fn Consequences(
    /// States what is about to happen.
    #[prop(into)]
    heading: String,
    /// Set if the action cannot be undone.
    #[prop(optional)]
    danger: bool,
    /// Consequences.
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
