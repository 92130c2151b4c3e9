//! Forms that change state.

use super::Inner;
use leptos::prelude::*;

/// A form submitted with POST. `novalidate` is set because the server validates all input and renders the error
/// messages.
#[component]
pub fn Form(
    /// URL that the form is submitted to.
    #[prop(into)]
    action: String,
    /// Version of the application that the page shows, for optimistic locking.
    #[prop(optional, into)]
    version: Option<i64>,
    /// Set for a form within a row of buttons.
    #[prop(optional)]
    inline: bool,
    /// Fields and buttons.
    children: Inner,
) -> impl IntoView {
    view! {
        <form method="post" action=action novalidate class=if inline { "form form--inline" } else { "form" }>
            {version.map(|version| view! { <input type="hidden" name="version" value=version.to_string() /> })}
            {children.view()}
        </form>
    }
}
