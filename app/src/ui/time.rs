//! Instants. The server writes them absolute, in UTC; where scripts run, the island `RelativeTimes` refines them.

use domain::time::Timestamp;
use leptos::prelude::*;

/// An instant.
#[component]
pub fn Time(
    /// The instant.
    at: Timestamp,
    /// Whether a browser shows how long ago it was (or how long until then), and the instant itself on hover and focus.
    #[prop(optional)]
    relative: bool,
) -> impl IntoView {
    view! { <time datetime=at.rfc3339() data-relative=relative.then_some("")>{at.to_string()}</time> }
}
