//! Icons, drawn in `currentColor`. They are decorative: adjacent text always carries the same meaning.

use leptos::prelude::*;

/// Symbol that an icon shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Tick in a circle: works.
    Check,
    /// Clock: works for a limited time.
    Clock,
    /// Barred circle: stopped.
    Barred,
    /// Dash in a circle: ended or not available.
    Dash,
    /// Exclamation mark in a triangle: needs attention.
    Warning,
    /// Letter i in a circle: information.
    Info,
    /// Key.
    Key,
}

impl Shape {
    fn path(self) -> &'static str {
        match self {
            Self::Check => "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM5.2 8.2l2 2 3.7-4.1",
            Self::Clock => "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM8 4.6V8l2.3 1.6",
            Self::Barred => "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM3.6 3.6l8.8 8.8",
            Self::Dash => "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM5.3 8h5.4",
            Self::Warning => "M8 1.9 14.9 14H1.1L8 1.9ZM8 6.4v3.3M8 11.7v.1",
            Self::Info => "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM8 7.4v3.8M8 4.8v.1",
            Self::Key => "M5.6 6.6a3.9 3.9 0 1 1 0 2.8H1.5v-2.8h4.1ZM1.5 9.4v2M3.9 9.4v1.4M10.2 8h.1",
        }
    }
}

/// A decorative icon, hidden from screen readers.
#[component]
pub fn Icon(
    /// Symbol to draw.
    shape: Shape,
) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
            <path d=shape.path() />
        </svg>
    }
}
