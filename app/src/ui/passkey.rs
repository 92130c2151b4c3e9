//! A form that a passkey answers. Only a script can ask the browser for one: without, the form is not there, and what
//! stands around it names another way.

use super::{Inner, Variant};
use domain::passkey::Prompt;
use leptos::prelude::*;

/// What is asked of a passkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasskeyTask {
    /// That there be a new one.
    Make,
    /// That it prove whose it is.
    Use,
}

/// A form with a button that asks the browser for a passkey, and is sent with its answer.
#[component]
pub fn PasskeyForm(
    /// Where it is sent.
    #[prop(into)]
    action: String,
    /// What the passkey answers to.
    prompt: Prompt,
    /// What is asked of it.
    task: PasskeyTask,
    /// The button's weight.
    #[prop(optional)]
    variant: Variant,
    /// What the button says.
    text: &'static str,
    /// What is sent besides, and what stands beside the button.
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
