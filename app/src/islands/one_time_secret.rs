//! Guards the page that shows a new API key. The key is read from where it is shown, and is nowhere else.

use super::dom;
use std::{cell::Cell, rc::Rc};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, HtmlFormElement};

pub fn wake() {
    let _ = try_wake();
}

fn try_wake() -> Option<()> {
    let window = dom::window()?;
    let secret: Element = dom::first("[data-one-time-secret]")?;
    let shown: Element = dom::first("[data-one-time-secret] code")?;
    let is_stored = Rc::new(Cell::new(false));

    if let Some(button) = dom::first::<HtmlElement>("[data-one-time-secret] [data-download]") {
        dom::enable(&button);
        let shown = shown.clone();
        let file = secret.get_attribute("data-file").unwrap_or_default();
        dom::on(&button, "click", move |_| {
            let text = shown.text_content().unwrap_or_default();
            dom::download(text.trim(), &file, "text/plain");
        });
    }

    let stored = is_stored.clone();
    let document = dom::document()?;
    dom::on(&document, "submit", move |event| {
        let form = event.target().and_then(|target| target.dyn_into::<HtmlFormElement>().ok());
        if form.is_some_and(|form| form.action().ends_with("/stored")) {
            stored.set(true);
        }
    });
    dom::on(&window, "beforeunload", move |event| {
        if !is_stored.get() {
            event.prevent_default();
        }
    });
    // A browser may keep the page as it is, to go back to: nothing of the key may be on it.
    dom::on(&window, "pagehide", move |_| {
        shown.set_text_content(None);
        for part in dom::all("[data-one-time-secret] > *") {
            let _ = part.toggle_attribute_with_force("hidden", !part.has_attribute("data-gone"));
        }
    });
    Some(())
}
