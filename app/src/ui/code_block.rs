//! Code, tokens and commands: inline, or as a block that can be copied.

use leptos::prelude::*;

/// Inline code.
#[component]
pub fn Code(
    /// Text shown in a monospaced font.
    #[prop(into)]
    text: String,
) -> impl IntoView {
    view! { <code>{text}</code> }
}

/// A block of code. With scripts it gets a copy button (island `CopyButtons`).
#[component]
pub fn CodeBlock(
    /// Id of the block, which the copy button refers to.
    id: &'static str,
    /// Accessible name of the block.
    label: &'static str,
    /// Text shown and copied.
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
