//! Radio groups: a question, and one answer of several.

use super::{
    field::{describe, error_view},
    surroundings,
};
use leptos::prelude::*;

/// One answer.
#[derive(Clone, Debug)]
pub struct RadioOption {
    /// What the form sends.
    pub value: &'static str,
    /// The answer.
    pub label: String,
    /// What follows from it.
    pub hint: String,
}

/// A question with one answer of several. The first answer's id is the field's name, so that the error summary's link
/// leads there.
#[component]
pub fn RadioGroup(
    /// The field's name.
    name: &'static str,
    /// The question.
    #[prop(into)]
    legend: String,
    /// What helps to answer it.
    #[prop(optional, into)]
    hint: Option<String>,
    /// The answers.
    options: Vec<RadioOption>,
    /// The answer that is chosen to begin with.
    default: &'static str,
) -> impl IntoView {
    let page = surroundings();
    let error = page.submission.error(name).map(ToOwned::to_owned);
    let chosen = page.submission.value(name).unwrap_or(default).to_owned();
    let described = describe(name, hint.is_some(), error.is_some());
    let options = options.into_iter().enumerate().map(|(index, option)| {
        let id = if index == 0 { name.to_owned() } else { format!("{name}-{}", option.value) };
        let hint_id = format!("{id}-means");
        view! {
            <div class="choice">
                <input
                    type="radio"
                    id=id.clone()
                    name=name
                    value=option.value
                    checked=option.value == chosen
                    aria-describedby=hint_id.clone()
                />
                <label for=id>{option.label}</label>
                <p class="choice__hint" id=hint_id>{option.hint}</p>
            </div>
        }
    });
    view! {
        <fieldset class="field" class:field--wrong=error.is_some() aria-describedby=described>
            <legend class="field__label">{legend}</legend>
            {hint.map(|hint| view! { <p class="field__hint" id=format!("{name}-hint")>{hint}</p> })}
            {error_view(name, error.clone())}
            <div class="choices">{options.collect_view()}</div>
        </fieldset>
    }
}
