//! Text for machines: inline, or as a block that can be copied.

use leptos::prelude::*;

/// A short text for machines, inline.
#[component]
pub fn Code(
    /// The text.
    #[prop(into)]
    text: String,
) -> impl IntoView {
    view! { <code>{text}</code> }
}

/// A block of text for machines. Where scripts run, it can be copied (by the island `CopyButtons`).
#[component]
pub fn CodeBlock(
    /// Names the block.
    id: &'static str,
    /// What it is, for those who cannot see it.
    label: &'static str,
    /// The text.
    #[prop(into)]
    text: String,
) -> impl IntoView {
    view! {
        <div class="code-block">
            <pre class="code-block__text" id=id tabindex="0" role="region" aria-label=label>
                <code>{text}</code>
            </pre>
            <button type="button" class="button button--small code-block__copy needs-script" data-copy=id disabled>
                <span data-label>"Copy"</span>
                <span class="visually-hidden">{format!(" {label}")}</span>
            </button>
        </div>
    }
}
