//! A form that changes something.

use super::Inner;
use leptos::prelude::*;

/// A form that is posted. The server judges what it holds, in words of its own, so the browser's bubbles stay off.
#[component]
pub fn Form(
    /// Where it is sent.
    #[prop(into)]
    action: String,
    /// The version of the application that the person saw.
    #[prop(optional, into)]
    version: Option<i64>,
    /// A form in a row of buttons.
    #[prop(optional)]
    inline: bool,
    /// The fields and the button.
    children: Inner,
) -> impl IntoView {
    view! {
        <form method="post" action=action novalidate class=if inline { "form form--inline" } else { "form" }>
            {version.map(|version| view! { <input type="hidden" name="version" value=version.to_string() /> })}
            {children.view()}
        </form>
    }
}
