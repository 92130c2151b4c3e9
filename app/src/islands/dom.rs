//! The few steps that islands take on a page.

use js_sys::{Function, Promise, Reflect};
use std::{cell::Cell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{
    Blob, BlobPropertyBag, Document, Element, Event, EventTarget, HtmlAnchorElement, HtmlElement, Url, Window,
};

/// The window.
pub fn window() -> Option<Window> {
    web_sys::window()
}

/// The document.
pub fn document() -> Option<Document> {
    window()?.document()
}

/// Every element that `selector` finds on the page.
pub fn all(selector: &str) -> Vec<Element> {
    let found = document().and_then(|document| document.query_selector_all(selector).ok());
    let found = found.into_iter().flat_map(|list| (0..list.length()).filter_map(move |index| list.item(index)));
    found.filter_map(|node| node.dyn_into().ok()).collect()
}

/// The first element that `selector` finds on the page, if it is a `T`.
pub fn first<T: JsCast>(selector: &str) -> Option<T> {
    within(&document()?.document_element()?, selector)
}

/// The first element that `selector` finds within `root`, if it is a `T`.
pub fn within<T: JsCast>(root: &Element, selector: &str) -> Option<T> {
    find(root, selector)?.dyn_into().ok()
}

#[inline(never)]
fn find(root: &Element, selector: &str) -> Option<Element> {
    root.query_selector(selector).ok()?
}

/// Calls `handler` for every `event` from now on. Nothing that an island wakes goes away before the page does, so
/// neither does the handler.
pub fn on(target: &EventTarget, event: &str, handler: impl FnMut(Event) + 'static) {
    listen(target, event, Box::new(handler));
}

/// Apart from [`on`], so that the module holds it once and not for every handler.
fn listen(target: &EventTarget, event: &str, handler: Box<dyn FnMut(Event)>) {
    let handler = Closure::wrap(handler);
    // Fails for a handler that is no function only.
    let _ = target.add_event_listener_with_callback(event, handler.as_ref().unchecked_ref());
    handler.forget();
}

/// Calls `action` once, `milliseconds` from now.
pub fn later(milliseconds: i32, action: impl FnOnce() + 'static) {
    let action = Closure::once_into_js(action);
    if let Some(window) = window() {
        let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(action.unchecked_ref(), milliseconds);
    }
}

/// Takes `disabled` away from what the server rendered so because it needs a script.
pub fn enable(element: &Element) {
    // Fails for a name that cannot be an attribute's only.
    let _ = element.remove_attribute("disabled");
}

/// Shows or hides an element.
pub fn show(element: &HtmlElement, is_shown: bool) {
    element.set_hidden(!is_shown);
}

/// Has a screen reader say `words`.
pub fn announce(words: &str) {
    if let Some(announcer) = first::<Element>("#announcer") {
        announcer.set_text_content(Some(words));
    }
}

/// Shows the words in an error's place, or hides it.
pub fn set_error(place: &HtmlElement, words: Option<&str>) {
    place.set_text_content(words);
    show(place, words.is_some());
}

/// Copies `text` and calls `done`, with whether it was copied.
pub fn copy(text: &str, done: impl FnOnce(bool) + 'static) {
    let Some(clipboard) = window().map(|window| window.navigator().clipboard()) else { return done(false) };
    // Outside a secure context there is no clipboard.
    if clipboard.is_undefined() {
        return done(false);
    }
    settle(&clipboard.write_text(text), |kept| done(kept.is_some()));
}

/// Calls `done` with what a promise was kept with, or with nothing where it was broken.
pub fn settle(promise: &Promise, done: impl FnOnce(Option<JsValue>) + 'static) {
    settle_once(promise, Box::new(|outcome| done(outcome.ok())));
}

/// Calls `done` with what a promise was kept with, or with why it was broken.
pub fn settle_with(promise: &Promise, done: impl FnOnce(Result<JsValue, JsValue>) + 'static) {
    settle_once(promise, Box::new(done));
}

/// Apart from [`settle`], as [`listen`] is from [`on`].
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

/// Has the browser save `text` as a file.
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
    // The browser has begun to read it by then; what holds the secret goes away with it.
    later(1_000, move || {
        let _ = Url::revoke_object_url(&address);
    });
    Some(())
}
