//! A new API key, shown once.
//!
//! The key is plain text of the page: no form field that a browser could remember, no attribute, no island property.
//! The island `OneTimeSecret` reads it from where it is shown.

use domain::api_key::PlainApiKey;
use leptos::prelude::*;

/// The id of the element that shows the key.
const ID: &str = "one-time-key";

/// The key, with what copies and downloads it where scripts run.
#[component]
pub fn OneTimeKey<'a>(
    /// The key.
    key: &'a PlainApiKey,
    /// The page that takes this one's place in the browser's history: reloaded, this one would send its form again.
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
