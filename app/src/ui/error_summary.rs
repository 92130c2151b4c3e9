//! Summary of all errors of a form, at the top of the page, with a link to each field. It takes the focus.

use super::surroundings;
use leptos::prelude::*;

/// Renders the errors of the submitted form; nothing if there are none.
#[component]
pub fn ErrorSummary() -> impl IntoView {
    let page = surroundings();
    let submission = &page.submission;
    (submission.form_error.is_some() || !submission.errors.is_empty()).then(|| {
        let errors = submission.errors.iter().map(|error| {
            view! {
                <li>
                    <a href=format!("#{}", error.field)>{error.message.clone()}</a>
                </li>
            }
        });
        let list = (!submission.errors.is_empty()).then(|| view! { <ul>{errors.collect_view()}</ul> });
        view! {
            <div
                class="error-summary"
                id="error-summary"
                role="alert"
                tabindex="-1"
                autofocus
                aria-labelledby="error-summary-heading"
            >
                <h2 id="error-summary-heading">"There is a problem"</h2>
                {submission.form_error.clone().map(|error| view! { <p>{error}</p> })}
                {list}
            </div>
        }
    })
}
