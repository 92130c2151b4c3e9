//! Parts of a page that show something new as it happens. Without scripts they show it when the page is loaded again.

use super::Inner;
use leptos::prelude::*;

/// A part that the island `LiveRegions` replaces by what the server shows of it later.
#[component]
pub fn Live(
    /// Names the part.
    id: &'static str,
    /// Where the server says that there is something new: `Place::action(…, "events")`.
    events: String,
    /// What stands in it.
    children: Inner,
) -> impl IntoView {
    view! { <div class="live" id=id data-live=events>{children.view()}</div> }
}
