//! Shows instants relative to now.
//!
//! Now is the server's, as the page tells it, and what has passed since: a browser whose clock is wrong does not show
//! requests of the future.

use super::{dom, words};
use std::cell::Cell;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::Element;

const REFRESH_MILLISECONDS: i32 = 5_000;

thread_local! {
    /// The server's time less what the browser has counted since it opened the page, in milliseconds.
    static OPENED_AT: Cell<f64> = const { Cell::new(0.0) };
}

pub fn wake() {
    let _ = try_wake();
}

fn try_wake() -> Option<()> {
    refresh(dom::first::<Element>("[data-now]")?.get_attribute("data-now").as_deref());
    let every = Closure::<dyn FnMut()>::new(|| refresh(None));
    let _ = dom::window()?
        .set_interval_with_callback_and_timeout_and_arguments_0(every.as_ref().unchecked_ref(), REFRESH_MILLISECONDS);
    every.forget();
    Some(())
}

/// Shows every such instant as it is now; `now` is what the server says that it is, where it has just said so.
pub fn refresh(now: Option<&str>) {
    let Some(counted) = dom::window().and_then(|window| window.performance()).map(|clock| clock.now()) else { return };
    if let Some(now) = now.and_then(parse) {
        OPENED_AT.set(now - counted);
    }
    let now = OPENED_AT.get() + counted;
    for time in dom::all("time[data-relative]") {
        if let Some((at, shown)) = time.get_attribute("datetime").as_deref().and_then(parse).zip(refined(&time)) {
            shown.set_text_content(Some(&words::relative(now - at)));
        }
    }
}

/// The place for the relative time; it is made where it is missing, before the absolute one, which from then on shows on
/// hover and focus.
fn refined(time: &Element) -> Option<Element> {
    if let Some(words) = dom::within(time, ".relative__words") {
        return Some(words);
    }
    let document = dom::document()?;
    let words = document.create_element("span").ok()?;
    let absolute = document.create_element("span").ok()?;
    words.set_class_name("relative__words");
    absolute.set_class_name("relative__absolute");
    absolute.set_text_content(time.text_content().as_deref());
    time.set_text_content(None);
    time.set_class_name("relative");
    time.set_attribute("tabindex", "0").ok()?;
    time.append_child(&words).ok()?;
    time.append_child(&absolute).ok()?;
    Some(words)
}

fn parse(rfc3339: &str) -> Option<f64> {
    let at = js_sys::Date::parse(rfc3339);
    at.is_finite().then_some(at)
}
