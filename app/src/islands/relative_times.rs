//! Shows times relative to now.
//!
//! "Now" is the server's time in the page, plus the time elapsed since: with the browser's own clock, which may be
//! wrong, recent requests could appear to be in the future.

use super::{dom, words};
use std::cell::Cell;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::Element;

const REFRESH_MILLISECONDS: i32 = 5_000;

thread_local! {
    /// Server time minus the browser's monotonic clock, in milliseconds.
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

/// Updates all relative times. `now` is the server's current time, if it has just been received.
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

/// Returns the element for the relative time. Creates it on first use, before the absolute time, which then shows on
/// hover and focus only.
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
