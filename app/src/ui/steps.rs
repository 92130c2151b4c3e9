//! A path in numbered steps.

use super::{Icon, Inner, Shape};
use leptos::prelude::*;

/// A path.
#[component]
pub fn Steps(
    /// The steps.
    children: Inner,
) -> impl IntoView {
    view! { <ol class="steps">{children.view()}</ol> }
}

/// A step.
#[component]
pub fn Step(
    /// What to do.
    #[prop(into)]
    heading: String,
    /// Whether it is known to be done.
    #[prop(optional)]
    done: bool,
    /// How.
    children: Inner,
) -> impl IntoView {
    view! {
        <li class=if done { "steps__step steps__step--done" } else { "steps__step" }>
            <p class="steps__heading">
                {done.then(|| view! { <Icon shape=Shape::Check /><span class="visually-hidden">"Done: "</span> })}
                {heading}
            </p>
            <div class="prose">{children.view()}</div>
        </li>
    }
}
