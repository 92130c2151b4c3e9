//! A section of a page with a heading and actions.

use super::Inner;
use leptos::prelude::*;

/// A section with a heading.
#[component]
pub fn Card(
    /// Id of the section; the heading's id is `<id>-heading`.
    id: &'static str,
    /// Text of the heading.
    #[prop(into)]
    heading: String,
    /// Buttons next to the heading.
    #[prop(optional, into)]
    actions: Option<AnyView>,
    /// One sentence below the heading that explains the section.
    #[prop(optional, into)]
    lead: Option<String>,
    /// Set for sections with destructive actions.
    #[prop(optional)]
    danger: bool,
    /// Content below the heading.
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
