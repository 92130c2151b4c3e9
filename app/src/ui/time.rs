//! Timestamps. The server renders them as absolute times in UTC; with scripts, the island `RelativeTimes` replaces them
//! by relative ones.

use domain::time::Timestamp;
use leptos::prelude::*;

/// A `<time>` element.
#[component]
pub fn Time(
    /// Instant to show.
    at: Timestamp,
    /// Whether scripts show the time relative to now ("3 min ago"), with the absolute time on hover and focus.
    #[prop(optional)]
    relative: bool,
) -> impl IntoView {
    view! { <time datetime=at.rfc3339() data-relative=relative.then_some("")>{at.to_string()}</time> }
}
