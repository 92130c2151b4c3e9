//! Why somebody did something, in their own words.

use domain::text::Why as Words;
use leptos::prelude::*;

/// The reason, and the support case where one was named.
#[component]
pub fn Why<'a>(
    /// What they said.
    why: &'a Words,
) -> impl IntoView + use<> {
    let ticket = why.ticket.as_ref().map(|ticket| {
        view! { <span class="reason__ticket">{format!("Ticket {ticket}")}</span> }
    });
    view! { <p class="reason">{format!("“{}”", why.reason)} " " {ticket}</p> }
}
