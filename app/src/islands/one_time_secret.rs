//! Protects the page that shows a new API key. The key is read from the element that shows it and stored nowhere else.
//!
//! The page is the response to a POST, which reloading or going back would submit again. Its history entry is therefore
//! replaced with the address of the application's page.

use super::dom;
use std::{cell::Cell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlElement, HtmlFormElement, PageTransitionEvent};

pub fn wake() {
    let _ = try_wake();
}

fn try_wake() -> Option<()> {
    let window = dom::window()?;
    let secret: Element = dom::first("[data-one-time-secret]")?;
    let shown: Element = dom::first("[data-one-time-secret] code")?;
    let is_stored = Rc::new(Cell::new(false));
    let leads_to = secret.get_attribute("data-leads-to").filter(|address| !address.is_empty());
    if let (Some(address), Ok(history)) = (&leads_to, window.history()) {
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(address));
    }

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
    // When restored from the back/forward cache, navigate to the address that replaced this page's history entry.
    if let Some(address) = leads_to {
        let location = window.location();
        dom::on(&window, "pageshow", move |event| {
            if event.dyn_ref::<PageTransitionEvent>().is_some_and(PageTransitionEvent::persisted) {
                let _ = location.replace(&address);
            }
        });
    }
    // The browser may keep the page in its back/forward cache, which must not contain the key.
    dom::on(&window, "pagehide", move |_| {
        shown.set_text_content(None);
        for part in dom::all("[data-one-time-secret] > *") {
            let _ = part.toggle_attribute_with_force("hidden", !part.has_attribute("data-gone"));
        }
    });
    Some(())
}
