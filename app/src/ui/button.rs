//! Buttons, and links styled as buttons. Initial focus is never on a destructive button.

use super::{Inner, may};
use domain::access::Operation;
use leptos::prelude::*;

/// Visual weight of a button.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// The main action; at most one per page.
    Primary,
    /// Any other action.
    #[default]
    Secondary,
    /// Performs a destructive action.
    Danger,
    /// Links to a page that offers a destructive action, without performing it.
    DangerQuiet,
}

impl Variant {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Primary => "button button--primary",
            Self::Secondary => "button",
            Self::Danger => "button button--danger",
            Self::DangerQuiet => "button button--danger-quiet",
        }
    }
}

/// A link styled as a button.
#[component]
pub fn ButtonLink(
    /// Target of the link.
    #[prop(into)]
    href: String,
    /// Visual weight.
    #[prop(optional)]
    variant: Variant,
    /// Visible label.
    #[prop(into)]
    text: String,
    /// Appended to the label for screen readers, where the label alone is ambiguous.
    #[prop(optional, into)]
    about: Option<String>,
    /// Operation that the target page performs. The link is omitted if the viewer's role does not allow it.
    #[prop(optional, into)]
    needs: Option<Operation>,
) -> impl IntoView {
    needs.is_none_or(may).then(|| {
        view! {
            <a class=variant.class() href=href>
                {text}
                {about.map(|about| view! { <span class="visually-hidden">{format!(" {about}")}</span> })}
            </a>
        }
    })
}

/// The submit button of a form.
#[component]
pub fn Submit(
    /// Visual weight.
    #[prop(optional)]
    variant: Variant,
    /// Label: the verb of the page's title.
    #[prop(into)]
    text: String,
    /// Appended to the label for screen readers, where the label alone is ambiguous.
    #[prop(optional, into)]
    about: Option<String>,
) -> impl IntoView {
    view! {
        <button type="submit" class=variant.class()>
            {text}
            {about.map(|about| view! { <span class="visually-hidden">{format!(" {about}")}</span> })}
        </button>
    }
}

/// A row of buttons: the form's main action first, cancel last.
#[component]
pub fn Actions(
    /// Buttons and links of the row.
    children: Inner,
) -> impl IntoView {
    view! { <div class="actions">{children.view()}</div> }
}
