//! A newly issued API key, shown once.
//!
//! The key is in the page as text only, never in a form field (which browsers may restore), an attribute or an island
//! property. The island `OneTimeSecret` reads it from the element that shows it.

use domain::api_key::PlainApiKey;
use leptos::prelude::*;

/// Id of the element that shows the key.
const ID: &str = "one-time-key";

/// The key, with buttons to copy and download it (with scripts).
#[component]
pub fn OneTimeKey<'a>(
    /// API key to show.
    key: &'a PlainApiKey,
    /// URL that replaces this page in the browser's history, because reloading this page would submit its form again.
    #[prop(into)]
    leads_to: String,
) -> impl IntoView + use<> {
    let file = format!("{}.txt", key.prefix());
    view! {
        <div class="one-time-key" data-one-time-secret data-file=file data-leads-to=leads_to>
            <p class="one-time-key__label">"Your API key"</p>
            <code class="one-time-key__text" id=ID translate="no">{key.reveal().to_owned()}</code>
            <div class="actions needs-script">
                <button type="button" class="button button--primary" data-copy=ID disabled>
                    <span data-label>"Copy key"</span>
                </button>
                <button type="button" class="button" data-download disabled>
                    "Download key"
                </button>
            </div>
            <p class="one-time-key__gone" data-gone hidden>
                "The key is no longer shown. If you did not store it, create a replacement key."
            </p>
        </div>
        <p class="print-only">"The API key is not printed."</p>
    }
}
