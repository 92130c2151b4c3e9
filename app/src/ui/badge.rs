//! Status badges. Each status has its own icon, so that it is never conveyed by colour alone.

use super::{Icon, Shape};
use domain::{actor::ActorKind, api_key::ApiKeyStatus, application::ApiApplication, signing_key::SigningKeyState};
use leptos::prelude::*;

/// Severity of a badge, which determines its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// In working order; green.
    Good,
    /// Works for now but expires or is due soon.
    Waning,
    /// Stopped or about to fail.
    Stopped,
    /// Ended, or purely informative.
    Quiet,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "badge badge--good",
            Self::Waning => "badge badge--waning",
            Self::Stopped => "badge badge--stopped",
            Self::Quiet => "badge",
        }
    }
}

/// A text label with an optional icon and a colour.
#[component]
pub fn Badge(
    /// Severity, shown as colour.
    tone: Tone,
    /// Icon. Badges that name a category rather than a status have none.
    #[prop(optional)]
    shape: Option<Shape>,
    /// Visible label.
    #[prop(into)]
    text: String,
) -> impl IntoView {
    view! { <span class=tone.class()>{shape.map(|shape| view! { <Icon shape /> })} <span>{text}</span></span> }
}

/// "Enabled" or "Disabled".
#[component]
pub fn ApplicationBadge<'a>(
    /// Application whose status is shown.
    application: &'a ApiApplication,
) -> impl IntoView + use<> {
    if application.is_enabled() {
        view! { <Badge tone=Tone::Good shape=Shape::Check text="Enabled" /> }
    } else {
        view! { <Badge tone=Tone::Stopped shape=Shape::Barred text="Disabled" /> }
    }
}

/// Status of an API key.
#[component]
pub fn ApiKeyBadge(
    /// Status at the time of rendering.
    status: ApiKeyStatus,
) -> impl IntoView {
    match status {
        ApiKeyStatus::Active => view! { <Badge tone=Tone::Good shape=Shape::Check text="Active" /> },
        ApiKeyStatus::Expiring { .. } => view! { <Badge tone=Tone::Waning shape=Shape::Clock text="Expiring" /> },
        ApiKeyStatus::Expired { .. } => view! { <Badge tone=Tone::Quiet shape=Shape::Dash text="Expired" /> },
        ApiKeyStatus::Revoked { .. } => view! { <Badge tone=Tone::Stopped shape=Shape::Barred text="Revoked" /> },
    }
}

/// Status of a signing key.
#[component]
pub fn SigningKeyBadge(
    /// Status at the time of rendering.
    status: SigningKeyState,
) -> impl IntoView {
    match status {
        SigningKeyState::Current => view! { <Badge tone=Tone::Good shape=Shape::Check text="Current" /> },
        SigningKeyState::Retiring { .. } => view! { <Badge tone=Tone::Waning shape=Shape::Clock text="Retiring" /> },
        SigningKeyState::Retired { .. } => view! { <Badge tone=Tone::Quiet shape=Shape::Dash text="Retired" /> },
    }
}

/// Whether an actor belongs to the partner or to Nuvera.
#[component]
pub fn SideBadge(
    /// Kind of the actor.
    kind: ActorKind,
) -> impl IntoView {
    let text = match kind {
        ActorKind::Partner => "Partner",
        ActorKind::Nuvera => "Nuvera",
    };
    view! { <Badge tone=Tone::Quiet text /> }
}
