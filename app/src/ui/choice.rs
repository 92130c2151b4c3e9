//! Radio groups.

use super::{
    field::{describe, error_view},
    surroundings,
};
use leptos::prelude::*;

/// An option of a radio group.
#[derive(Clone, Debug)]
pub struct RadioOption {
    /// Value submitted with the form.
    pub value: &'static str,
    /// Visible label.
    pub label: String,
    /// Explains the consequence of choosing this option.
    pub hint: String,
}

/// A group of radio buttons. The id of the first button is the field's name, so that the error summary can link to the
/// group.
#[component]
pub fn RadioGroup(
    /// Name of the form field.
    name: &'static str,
    /// Question that the group asks.
    #[prop(into)]
    legend: String,
    /// Help text below the legend.
    #[prop(optional, into)]
    hint: Option<String>,
    /// Options, in display order.
    options: Vec<RadioOption>,
    /// Value selected initially, unless the form was submitted with another.
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
