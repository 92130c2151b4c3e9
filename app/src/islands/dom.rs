//! DOM helpers shared by the islands.

use js_sys::{Function, Promise, Reflect};
use std::{cell::Cell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{
    Blob, BlobPropertyBag, Document, Element, Event, EventTarget, HtmlAnchorElement, HtmlElement, Url, Window,
};

/// Returns the window.
pub fn window() -> Option<Window> {
    web_sys::window()
}

/// Returns the document.
pub fn document() -> Option<Document> {
    window()?.document()
}

/// Returns all elements of the page that match `selector`.
pub fn all(selector: &str) -> Vec<Element> {
    let found = document().and_then(|document| document.query_selector_all(selector).ok());
    let found = found.into_iter().flat_map(|list| (0..list.length()).filter_map(move |index| list.item(index)));
    found.filter_map(|node| node.dyn_into().ok()).collect()
}

/// Returns the first element of the page that matches `selector`, if it is a `T`.
pub fn first<T: JsCast>(selector: &str) -> Option<T> {
    within(&document()?.document_element()?, selector)
}

/// Returns the first descendant of `root` that matches `selector`, if it is a `T`.
pub fn within<T: JsCast>(root: &Element, selector: &str) -> Option<T> {
    find(root, selector)?.dyn_into().ok()
}

#[inline(never)]
fn find(root: &Element, selector: &str) -> Option<Element> {
    root.query_selector(selector).ok()?
}

/// Registers `handler` for `event`. The handler is never released, because hydrated elements live as long as the page.
pub fn on(target: &EventTarget, event: &str, handler: impl FnMut(Event) + 'static) {
    listen(target, event, Box::new(handler));
}

/// Not generic, unlike [`on`], so that it is compiled once instead of per handler.
fn listen(target: &EventTarget, event: &str, handler: Box<dyn FnMut(Event)>) {
    let handler = Closure::wrap(handler);
    // Fails only if the handler is not a function.
    let _ = target.add_event_listener_with_callback(event, handler.as_ref().unchecked_ref());
    handler.forget();
}

/// Calls `action` once, in `milliseconds`.
pub fn later(milliseconds: i32, action: impl FnOnce() + 'static) {
    let action = Closure::once_into_js(action);
    if let Some(window) = window() {
        let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(action.unchecked_ref(), milliseconds);
    }
}

/// Removes `disabled` from a control that the server rendered as disabled because it requires scripts.
pub fn enable(element: &Element) {
    // Fails only if the attribute name is invalid.
    let _ = element.remove_attribute("disabled");
}

/// Shows or hides `element`.
pub fn show(element: &HtmlElement, is_shown: bool) {
    element.set_hidden(!is_shown);
}

/// Announces `words` to screen readers.
pub fn announce(words: &str) {
    if let Some(announcer) = first::<Element>("#announcer") {
        announcer.set_text_content(Some(words));
    }
}

/// Shows an error message in `place`, or hides it.
pub fn set_error(place: &HtmlElement, words: Option<&str>) {
    place.set_text_content(words);
    show(place, words.is_some());
}

/// Copies `text` to the clipboard and calls `done` with whether that succeeded.
pub fn copy(text: &str, done: impl FnOnce(bool) + 'static) {
    let Some(clipboard) = window().map(|window| window.navigator().clipboard()) else { return done(false) };
    // The clipboard is available in secure contexts only.
    if clipboard.is_undefined() {
        return done(false);
    }
    settle(&clipboard.write_text(text), |kept| done(kept.is_some()));
}

/// Calls `done` with the value of a fulfilled promise, or with `None` if it was rejected.
pub fn settle(promise: &Promise, done: impl FnOnce(Option<JsValue>) + 'static) {
    settle_once(promise, Box::new(|outcome| done(outcome.ok())));
}

/// Calls `done` with the value of a fulfilled promise, or with the reason for its rejection.
pub fn settle_with(promise: &Promise, done: impl FnOnce(Result<JsValue, JsValue>) + 'static) {
    settle_once(promise, Box::new(done));
}

/// Not generic, unlike [`settle`], for the same reason as [`listen`].
fn settle_once(promise: &Promise, done: Box<dyn FnOnce(Result<JsValue, JsValue>)>) {
    let done = Rc::new(Cell::new(Some(done)));
    let other = done.clone();
    let yes = Closure::once_into_js(move |value: JsValue| {
        if let Some(done) = done.take() {
            done(Ok(value));
        }
    });
    let no = Closure::once_into_js(move |why: JsValue| {
        if let Some(done) = other.take() {
            done(Err(why));
        }
    });
    let then: Function = Reflect::get(promise, &"then".into()).unwrap_or_default().unchecked_into();
    let _ = then.call2(promise, &yes, &no);
}

/// Saves `text` as a file.
pub fn download(text: &str, file: &str, kind: &str) -> Option<()> {
    let parts = js_sys::Array::of1(&text.into());
    let options = BlobPropertyBag::new();
    options.set_type(kind);
    let blob = Blob::new_with_str_sequence_and_options(&parts, &options).ok()?;
    let address = Url::create_object_url_with_blob(&blob).ok()?;
    let link: HtmlAnchorElement = document()?.create_element("a").ok()?.dyn_into().ok()?;
    link.set_href(&address);
    link.set_download(file);
    link.click();
    // The browser has started the download by then. Revoking the URL releases the blob, which may contain a secret.
    later(1_000, move || {
        let _ = Url::revoke_object_url(&address);
    });
    Some(())
}
