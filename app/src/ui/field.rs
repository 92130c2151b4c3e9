//! Form fields: label, hint, error message and previously submitted value.

use super::{place, surroundings};
use crate::{page::SUGGESTED_REASON, paths::Place};
use leptos::prelude::*;

/// Type of value that a text field accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// A line of text.
    #[default]
    Text,
    /// An email address.
    Email,
    /// A password. Its submitted value is never rendered again.
    Password,
    /// A date and time in UTC, to the second.
    DateTime,
    /// A whole number. Rendered as a text field, because browsers submit an empty value for input that `type="number"`
    /// cannot parse, and the server could not show it again.
    Number,
}

impl Input {
    fn kind(self) -> &'static str {
        match self {
            Self::Text | Self::Number => "text",
            Self::Email => "email",
            Self::Password => "password",
            Self::DateTime => "datetime-local",
        }
    }
}

/// A labelled single-line text field. Takes the submitted value and the error from the page's submission, by `name`.
#[component]
pub fn TextField(
    /// Name and id of the field.
    name: &'static str,
    /// Visible label.
    #[prop(into)]
    label: String,
    /// Help text between label and field.
    #[prop(optional, into)]
    hint: Option<String>,
    /// Initial value, unless the form was submitted with another.
    #[prop(optional, into)]
    value: Option<String>,
    /// Type of value.
    #[prop(optional)]
    input: Input,
    /// Value of the `autocomplete` attribute; `off` by default.
    #[prop(optional)]
    autocomplete: Option<&'static str>,
    /// Takes the focus when the page loads, unless the error summary does.
    #[prop(optional)]
    autofocus: bool,
    /// Marks the field as optional in its label.
    #[prop(optional)]
    optional: bool,
    /// Values suggested in a `<datalist>`.
    #[prop(optional)]
    suggestions: &'static [&'static str],
    /// Latest accepted value of a date field.
    #[prop(optional, into)]
    max: Option<String>,
) -> impl IntoView {
    let page = surroundings();
    let error = page.submission.error(name).map(ToOwned::to_owned);
    let typed = page.submission.value(name).map(ToOwned::to_owned).or(value);
    let typed = if input == Input::Password { None } else { typed };
    let described = describe(name, hint.is_some(), error.is_some());
    let autofocus = autofocus && page.submission.errors.is_empty() && page.submission.form_error.is_none();
    let list = (!suggestions.is_empty()).then(|| format!("{name}-suggestions"));
    view! {
        <div class="field" class:field--wrong=error.is_some()>
            <label class="field__label" for=name>
                {label}
                {optional.then(|| view! { <span class="field__optional">" (optional)"</span> })}
            </label>
            {hint.map(|hint| view! { <p class="field__hint" id=format!("{name}-hint")>{hint}</p> })}
            {error_view(name, error.clone())}
            <input
                class="input"
                type=input.kind()
                inputmode=(input == Input::Number).then_some("numeric")
                id=name
                name=name
                value=typed
                autocomplete=autocomplete.unwrap_or("off")
                autofocus=autofocus
                aria-describedby=described
                aria-invalid=error.is_some().then_some("true")
                list=list.clone()
                step=(input == Input::DateTime).then_some("1")
                max=max
            />
            {list
                .map(|list| {
                    view! {
                        <datalist id=list>
                            {suggestions.iter().map(|text| view! { <option value=*text></option> }).collect_view()}
                        </datalist>
                    }
                })}
        </div>
    }
}

/// A labelled multi-line text field, marked as optional. Takes the submitted value and the error from the page's
/// submission, by `name`.
#[component]
pub fn TextAreaField(
    /// Name and id of the field.
    name: &'static str,
    /// Visible label.
    #[prop(into)]
    label: String,
    /// Help text between label and field.
    #[prop(into)]
    hint: String,
    /// Initial value, unless the form was submitted with another.
    #[prop(into)]
    value: String,
) -> impl IntoView {
    let page = surroundings();
    let error = page.submission.error(name).map(ToOwned::to_owned);
    let typed = page.submission.value(name).map_or(value, ToOwned::to_owned);
    let described = describe(name, true, error.is_some());
    view! {
        <div class="field" class:field--wrong=error.is_some()>
            <label class="field__label" for=name>
                {label}
                <span class="field__optional">" (optional)"</span>
            </label>
            <p class="field__hint" id=format!("{name}-hint")>{hint}</p>
            {error_view(name, error.clone())}
            <textarea
                class="input"
                id=name
                name=name
                rows="4"
                aria-describedby=described
                aria-invalid=error.is_some().then_some("true")
            >
                {typed}
            </textarea>
        </div>
    }
}

/// A labelled drop-down list.
#[component]
pub fn SelectField(
    /// Name and id of the field.
    name: &'static str,
    /// Visible label.
    #[prop(into)]
    label: String,
    /// Options as submitted value and visible label.
    options: Vec<(String, String)>,
    /// Value selected initially.
    chosen: Option<String>,
) -> impl IntoView {
    let options = options.into_iter().map(|(value, words)| {
        let selected = chosen.as_ref() == Some(&value);
        view! { <option value=value selected=selected>{words}</option> }
    });
    view! {
        <div class="field">
            <label class="field__label" for=name>{label}</label>
            <select class="input" id=name name=name>{options.collect_view()}</select>
        </div>
    }
}

/// Justification of a change, recorded in the audit history. In a partner's organization, Nuvera's users are asked for
/// a support ticket as well.
#[component]
pub fn ReasonField(
    /// Values suggested in a `<datalist>`.
    #[prop(optional)]
    suggestions: &'static [&'static str],
    /// Marks the reason as optional in its label.
    #[prop(optional)]
    optional: bool,
    /// Takes the focus when the page loads.
    #[prop(optional)]
    autofocus: bool,
    /// Visible label of the reason.
    #[prop(default = "Reason")]
    label: &'static str,
    /// Makes both the reason and the ticket optional, for Nuvera's users too.
    #[prop(optional)]
    in_emergency: bool,
) -> impl IntoView {
    // Users acting in another organization must give a reason and a support ticket.
    let (optional, hint, ticket) = match place() {
        Place::Settings => (
            optional,
            "Kept in the audit history, for those who come after you. Never put a key in it.".to_owned(),
            None,
        ),
        Place::Nuvera => {
            let hint = "Each organization reads it in its audit history, under your name. Never put a key in it.";
            (optional, hint.to_owned(), Some(ticket("the partner", in_emergency)))
        }
        Place::Hub { name, .. } => {
            let hint = format!("{name} reads it in their audit history, under your name. Never put a key in it.");
            (false, hint, Some(ticket(&name, in_emergency)))
        }
    };
    view! {
        <TextField name="reason" label hint optional={optional || in_emergency} autofocus suggestions />
        {ticket}
    }
}

/// Reasons that can be chosen with one click.
const SUGGESTED: &[&str] = &["Suspected exposure", "Incident in progress", "Wrong deployment"];

/// Reason for an emergency stop. It is optional: none or one of the suggestions is enough.
#[component]
pub fn EmergencyReason() -> impl IntoView {
    let page = surroundings();
    let typed = page.submission.value(SUGGESTED_REASON).map(ToOwned::to_owned);
    let chips = SUGGESTED.iter().chain(&[""]).enumerate().map(|(index, &value)| {
        let id = format!("{SUGGESTED_REASON}-{index}");
        let label = if value.is_empty() { "Other, or none" } else { value };
        let checked = typed.as_deref().map_or(value.is_empty(), |typed| typed == value);
        view! {
            <div class="chip">
                <input type="radio" id=id.clone() name=SUGGESTED_REASON value=value checked=checked />
                <label for=id>{label}</label>
            </div>
        }
    });
    view! {
        <fieldset class="field">
            <legend class="field__label">"Reason" <span class="field__optional">" (optional)"</span></legend>
            <div class="chips">{chips.collect_view()}</div>
        </fieldset>
        <ReasonField label="Reason, in your own words" in_emergency=true />
    }
}

/// Field for the support ticket on whose behalf a Nuvera user acts.
fn ticket(organization: &str, can_wait: bool) -> impl IntoView + use<> {
    let hint = if can_wait {
        "Leave it empty if there is none yet. For example SUP-4711.".to_owned()
    } else {
        format!("The support case, as {organization} knows it: letters, digits, -, # and /, such as SUP-4711.")
    };
    view! { <TextField name="ticket" label="Ticket reference" hint optional=can_wait /> }
}

/// Returns the `aria-describedby` of a field: the ids of its error and its hint.
pub(super) fn describe(name: &str, has_hint: bool, has_error: bool) -> Option<String> {
    match (has_error, has_hint) {
        (true, true) => Some(format!("{name}-error {name}-hint")),
        (true, false) => Some(format!("{name}-error")),
        (false, true) => Some(format!("{name}-hint")),
        (false, false) => None,
    }
}

/// Renders the error message of a field.
pub(super) fn error_view(name: &str, error: Option<String>) -> impl IntoView {
    error.map(|error| {
        view! {
            <p class="field__error" id=format!("{name}-error")>
                <span class="visually-hidden">"Error: "</span>
                {error}
            </p>
        }
    })
}
