//! A section of a page, with its heading and what can be done in it.

use super::Inner;
use leptos::prelude::*;

/// A section with a heading.
#[component]
pub fn Card(
    /// Names the section, and its heading as `<id>-heading`.
    id: &'static str,
    /// The heading.
    #[prop(into)]
    heading: String,
    /// What stands beside the heading.
    #[prop(optional, into)]
    actions: Option<AnyView>,
    /// What the section is for, in a sentence.
    #[prop(optional, into)]
    lead: Option<String>,
    /// Set for what stops things.
    #[prop(optional)]
    danger: bool,
    /// What stands in it.
    children: Inner,
) -> impl IntoView {
    view! {
        <section id=id class=if danger { "card card--danger" } else { "card" } aria-labelledby=format!("{id}-heading")>
            <div class="card__head">
                <div>
                    <h2 id=format!("{id}-heading")>{heading}</h2>
                    {lead.map(|lead| view! { <p class="card__lead">{lead}</p> })}
                </div>
                {actions.map(|actions| view! { <div class="actions">{actions}</div> })}
            </div>
            <div class="card__body">{children.view()}</div>
        </section>
    }
}
