//! Buttons and links that look like them. Focus never starts on a destructive one.

use super::{Inner, may};
use domain::access::Operation;
use leptos::prelude::*;

/// How much weight a button has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// What most people came for: one on a page.
    Primary,
    /// Anything else.
    #[default]
    Secondary,
    /// Stops something.
    Danger,
    /// Leads to where something can be stopped, and stops nothing itself.
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

/// A link that looks like a button.
#[component]
pub fn ButtonLink(
    /// Where it leads.
    #[prop(into)]
    href: String,
    /// Its weight.
    #[prop(optional)]
    variant: Variant,
    /// What it says.
    #[prop(into)]
    text: String,
    /// What it is about, for those who hear it without its surroundings.
    #[prop(optional, into)]
    about: Option<String>,
    /// What it leads to: where the viewer may not do that, there is no link.
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

/// The button that sends its form.
#[component]
pub fn Submit(
    /// Its weight.
    #[prop(optional)]
    variant: Variant,
    /// What it says: the verb of the page's title.
    #[prop(into)]
    text: String,
    /// What it is about, for those who hear it without its surroundings.
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

/// A row of buttons: what the form does first, then the way out.
#[component]
pub fn Actions(
    /// The buttons.
    children: Inner,
) -> impl IntoView {
    view! { <div class="actions">{children.view()}</div> }
}
