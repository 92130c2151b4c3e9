//! Forms answered with a passkey. WebAuthn requires a script, so the form is hidden without scripts; the surrounding
//! page must offer an alternative.

use super::{Inner, Variant};
use domain::passkey::Prompt;
use leptos::prelude::*;

/// WebAuthn ceremony of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyTask {
    /// Registers a new passkey.
    Make,
    /// Authenticates with a registered passkey.
    Use,
}

/// A form whose button asks the browser for a passkey and submits the response.
#[component]
pub fn PasskeyForm(
    /// URL that the form is submitted to.
    #[prop(into)]
    action: String,
    /// WebAuthn options and challenge.
    prompt: Prompt,
    /// Ceremony to run.
    task: PasskeyTask,
    /// Visual weight of the button.
    #[prop(optional)]
    variant: Variant,
    /// Label of the button.
    text: &'static str,
    /// Additional fields and text above the button.
    children: Inner,
) -> impl IntoView {
    let task = match task {
        PasskeyTask::Make => "make",
        PasskeyTask::Use => "use",
    };
    view! {
        <form
            method="post"
            action=action
            novalidate
            autocomplete="off"
            class="form needs-script"
            data-passkey=task
            data-options=prompt.options
        >
            <input type="hidden" name="passkey_challenge" value=prompt.challenge />
            <input type="hidden" name="passkey" data-passkey-answer />
            {children.view()}
            <p class="field__error" role="alert" data-passkey-error hidden></p>
            <div class="actions">
                <button type="submit" class=variant.class() disabled>
                    {text}
                </button>
            </div>
        </form>
    }
}
