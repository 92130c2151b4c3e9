//! Regions of a page that are updated while it is open. Without scripts they are updated on reload.

use super::Inner;
use leptos::prelude::*;

/// A region that the island `LiveRegions` replaces when the server reports a change.
#[component]
pub fn Live(
    /// Id of the region.
    id: &'static str,
    /// URL of the event stream that reports changes: `Place::action(…, "events")`.
    events: String,
    /// Initial content.
    children: Inner,
) -> impl IntoView {
    view! { <div class="live" id=id data-live=events>{children.view()}</div> }
}
