//! A state in a word, with a shape of its own: never told by colour alone.

use super::{Icon, Shape};
use domain::{actor::ActorKind, api_key::ApiKeyStatus, application::ApiApplication, signing_key::SigningKeyState};
use leptos::prelude::*;

/// What a badge's colour says about its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// Something ends soon.
    Waning,
    /// Something was stopped.
    Stopped,
    /// It is over, or of no concern.
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

/// A word with a shape and a colour.
#[component]
pub fn Badge(
    /// Its colour.
    tone: Tone,
    /// Its shape; a badge without one tells a kind, not a state.
    #[prop(optional)]
    shape: Option<Shape>,
    /// The word.
    #[prop(into)]
    text: String,
) -> impl IntoView {
    view! { <span class=tone.class()>{shape.map(|shape| view! { <Icon shape /> })} <span>{text}</span></span> }
}

/// Whether an application's requests are accepted.
#[component]
pub fn ApplicationBadge<'a>(
    /// The application.
    application: &'a ApiApplication,
) -> impl IntoView + use<> {
    if application.is_enabled() {
        view! { <Badge tone=Tone::Good shape=Shape::Check text="Enabled" /> }
    } else {
        view! { <Badge tone=Tone::Stopped shape=Shape::Barred text="Disabled" /> }
    }
}

/// Where an API key stands.
#[component]
pub fn ApiKeyBadge(
    /// Its status now.
    status: ApiKeyStatus,
) -> impl IntoView {
    match status {
        ApiKeyStatus::Active => view! { <Badge tone=Tone::Good shape=Shape::Check text="Active" /> },
        ApiKeyStatus::Expiring { .. } => view! { <Badge tone=Tone::Waning shape=Shape::Clock text="Expiring" /> },
        ApiKeyStatus::Expired { .. } => view! { <Badge tone=Tone::Quiet shape=Shape::Dash text="Expired" /> },
        ApiKeyStatus::Revoked { .. } => view! { <Badge tone=Tone::Stopped shape=Shape::Barred text="Revoked" /> },
    }
}

/// Where a signing key stands.
#[component]
pub fn SigningKeyBadge(
    /// Its status now.
    status: SigningKeyState,
) -> impl IntoView {
    match status {
        SigningKeyState::Current => view! { <Badge tone=Tone::Good shape=Shape::Check text="Current" /> },
        SigningKeyState::Retiring { .. } => view! { <Badge tone=Tone::Waning shape=Shape::Clock text="Retiring" /> },
        SigningKeyState::Retired { .. } => view! { <Badge tone=Tone::Quiet shape=Shape::Dash text="Retired" /> },
    }
}

/// On whose side somebody acted.
#[component]
pub fn SideBadge(
    /// The side.
    kind: ActorKind,
) -> impl IntoView {
    let text = match kind {
        ActorKind::Partner => "Partner",
        ActorKind::Nuvera => "Nuvera",
    };
    view! { <Badge tone=Tone::Quiet text /> }
}
