//! Buttons that save a private key held by a page: as a file or to the clipboard, optionally encrypted with a
//! passphrase.
//!
//! The key itself is held in the island's memory only. The fields have no name and `form=""`, so that a surrounding
//! form never submits them. Works with scripts only; use it inside markup that an island hydrates.

use super::surroundings;
use crate::paths;
use leptos::prelude::*;

/// Download, copy and passphrase fields. Has no ids, because a page may contain it several times.
#[component]
pub fn PrivateKeyActions() -> impl IntoView {
    let worker = format!("{}/{}", paths::ASSETS, surroundings().assets.keydoctor_worker);
    view! {
        <div class="private-key" data-private-key data-worker=worker>
            <label class="choice">
                <input type="checkbox" form="" autocomplete="off" data-encrypt />
                <span>"Protect it with a passphrase"</span>
            </label>
            <div class="private-key__passphrase" data-passphrase hidden>
                <label class="field">
                    <span class="field__label">"Passphrase"</span>
                    <span class="field__hint">
                        "At least 12 characters. Nobody can find it again for you: store it apart from the key."
                    </span>
                    <input class="input" type="password" form="" autocomplete="new-password" data-passphrase-text />
                </label>
                <label class="choice">
                    <input type="checkbox" form="" autocomplete="off" data-passphrase-shown />
                    <span>"Show the passphrase"</span>
                </label>
            </div>
            <p class="private-key__state" data-state></p>
            <div class="actions">
                <button type="button" class="button button--primary" data-download-private>"Download private key"</button>
                <button type="button" class="button" data-copy-private>"Copy private key"</button>
                <button type="button" class="button" data-copy-line>"Copy as one line"</button>
            </div>
            <p class="field__hint">
                "One line is for environment variables: its line breaks are written as " <code>"\\n"</code> "."
            </p>
            <p class="private-key__progress" role="status" data-private-progress></p>
            <p class="field__error" role="alert" data-private-error hidden></p>
        </div>
    }
}
