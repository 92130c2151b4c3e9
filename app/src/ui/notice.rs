//! Result of the last action, and callouts.

use super::{Icon, Inner, Shape, surroundings};
use leptos::prelude::*;

/// Result of the last action, if the page was opened by its redirect.
#[component]
pub fn Notice() -> impl IntoView {
    surroundings().notice.map(|notice| {
        let (class, shape) = match notice.is_warning() {
            true => ("notice notice--warning", Shape::Warning),
            false => ("notice", Shape::Check),
        };
        view! {
            <div class=class role="status">
                <Icon shape />
                <p>{notice.text()}</p>
            </div>
        }
    })
}

/// Highlights important information next to the content it concerns.
#[component]
pub fn Callout(
    /// Heading.
    #[prop(into)]
    heading: String,
    /// Set if something was stopped or may be lost.
    #[prop(optional)]
    danger: bool,
    /// Explanation and what to do.
    children: Inner,
) -> impl IntoView {
    view! {
        <div class=if danger { "callout callout--danger" } else { "callout" }>
            <Icon shape=if danger { Shape::Barred } else { Shape::Warning } />
            <div class="callout__text">
                <p class="callout__heading">{heading}</p>
                {children.view()}
            </div>
        </div>
    }
}
