//! The justification of a change.

use domain::text::Why as Words;
use leptos::prelude::*;

/// Shows the reason and, if present, the reference of the support ticket.
#[component]
pub fn Why<'a>(
    /// Justification given by the actor.
    why: &'a Words,
) -> impl IntoView + use<> {
    let ticket = why.ticket.as_ref().map(|ticket| {
        view! { <span class="reason__ticket">{format!("Ticket {ticket}")}</span> }
    });
    view! { <p class="reason">{format!("“{}”", why.reason)} " " {ticket}</p> }
}
