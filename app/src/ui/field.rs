//! Text fields: a label, a hint, a place for the error, and what was typed before.

use super::{place, surroundings};
use crate::{page::SUGGESTED_REASON, paths::Place};
use leptos::prelude::*;

/// What kind of text a field takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// A line of text.
    #[default]
    Text,
    /// An email address.
    Email,
    /// A password: never shown again, whatever was typed.
    Password,
    /// A date and time in UTC, to the second.
    DateTime,
    /// A whole number. A line of text all the same: browsers keep to themselves what they cannot read in their own fields
    /// for numbers.
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

/// A labelled line of text. It finds what was typed before, and what was wrong with it, by its name.
#[component]
pub fn TextField(
    /// The field's name, and its id.
    name: &'static str,
    /// The label.
    #[prop(into)]
    label: String,
    /// What helps to fill it in.
    #[prop(optional, into)]
    hint: Option<String>,
    /// What it holds to begin with.
    #[prop(optional, into)]
    value: Option<String>,
    /// What it takes.
    #[prop(optional)]
    input: Input,
    /// What a browser may fill in.
    #[prop(optional)]
    autocomplete: Option<&'static str>,
    /// Takes the focus when the page opens, unless the error summary does.
    #[prop(optional)]
    autofocus: bool,
    /// Says in the label that it may stay empty.
    #[prop(optional)]
    optional: bool,
    /// Suggestions.
    #[prop(optional)]
    suggestions: &'static [&'static str],
    /// The last moment that a date can be.
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

/// A labelled text of several lines that may stay empty. It finds what was typed before, and what was wrong with it, by its
/// name.
#[component]
pub fn TextAreaField(
    /// The field's name, and its id.
    name: &'static str,
    /// The label.
    #[prop(into)]
    label: String,
    /// What helps to fill it in.
    #[prop(into)]
    hint: String,
    /// What it holds to begin with.
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

/// A labelled choice from a list.
#[component]
pub fn SelectField(
    /// The field's name, and its id.
    name: &'static str,
    /// The label.
    #[prop(into)]
    label: String,
    /// What can be chosen: the value that is sent, and the words.
    options: Vec<(String, String)>,
    /// The value that is chosen.
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

/// Why somebody does something: kept in the audit history.
#[component]
pub fn ReasonField(
    /// Suggestions.
    #[prop(optional)]
    suggestions: &'static [&'static str],
    /// Says in the label that it may stay empty.
    #[prop(optional)]
    optional: bool,
    /// Takes the focus when the page opens.
    #[prop(optional)]
    autofocus: bool,
    /// What the field is called.
    #[prop(default = "Reason")]
    label: &'static str,
    /// In an emergency both the reason and the ticket may be left out, by whoever acts for Nuvera too.
    #[prop(optional)]
    in_emergency: bool,
) -> impl IntoView {
    // Whoever acts in somebody else's organization says why, and for which support case.
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

/// The reasons that one click gives.
const SUGGESTED: &[&str] = &["Suspected exposure", "Incident in progress", "Wrong deployment"];

/// Why an application is stopped in an emergency. Nothing of it is required: one click, or none, is enough.
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

/// The support case that somebody acts for.
fn ticket(organization: &str, can_wait: bool) -> impl IntoView + use<> {
    let hint = if can_wait {
        "Leave it empty if there is none yet. For example SUP-4711.".to_owned()
    } else {
        format!("The support case, as {organization} knows it: letters, digits, -, # and /, such as SUP-4711.")
    };
    view! { <TextField name="ticket" label="Ticket reference" hint optional=can_wait /> }
}

/// The `aria-describedby` of a field: its error, then its hint.
pub(super) fn describe(name: &str, has_hint: bool, has_error: bool) -> Option<String> {
    match (has_error, has_hint) {
        (true, true) => Some(format!("{name}-error {name}-hint")),
        (true, false) => Some(format!("{name}-error")),
        (false, true) => Some(format!("{name}-hint")),
        (false, false) => None,
    }
}

/// What is wrong with a field, beside it.
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
