//! A numbered list of steps.

use super::{Icon, Inner, Shape};
use leptos::prelude::*;

/// An ordered list of [`Step`]s.
#[component]
pub fn Steps(
    /// Steps, in order.
    children: Inner,
) -> impl IntoView {
    view! { <ol class="steps">{children.view()}</ol> }
}

/// A step.
#[component]
pub fn Step(
    /// Summary of what to do.
    #[prop(into)]
    heading: String,
    /// Whether the server knows the step to be completed.
    #[prop(optional)]
    done: bool,
    /// Instructions.
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
