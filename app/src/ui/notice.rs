//! What was done, and what somebody should know.

use super::{Icon, Inner, Shape, surroundings};
use leptos::prelude::*;

/// What the last request did.
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

/// Something that should be known, where it matters.
#[component]
pub fn Callout(
    /// The heading.
    #[prop(into)]
    heading: String,
    /// Set for what has been stopped or may be lost.
    #[prop(optional)]
    danger: bool,
    /// The words, and what to do.
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
