//! Shows instants relative to now.
//!
//! Now is the server's, as the page tells it, and what has passed since: a browser whose clock is wrong does not show
//! requests of the future.

use super::{dom, words};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::Element;

const REFRESH_MILLISECONDS: i32 = 5_000;

struct Shown {
    at: f64,
    words: Element,
}

pub fn wake() {
    let _ = try_wake();
}

fn try_wake() -> Option<()> {
    let window = dom::window()?;
    let performance = window.performance()?;
    let rendered_at = parse(&dom::first::<Element>("[data-now]")?.get_attribute("data-now")?)?;
    let shown: Vec<_> = dom::all("time[data-relative]").iter().filter_map(refine).collect();
    if shown.is_empty() {
        return None;
    }
    let refresh = move || {
        let now = rendered_at + performance.now();
        for Shown { at, words } in &shown {
            words.set_text_content(Some(&words::relative(now - at)));
        }
    };
    refresh();
    let refresh = Closure::<dyn FnMut()>::new(refresh);
    let _ = window
        .set_interval_with_callback_and_timeout_and_arguments_0(refresh.as_ref().unchecked_ref(), REFRESH_MILLISECONDS);
    refresh.forget();
    Some(())
}

/// Puts the relative time before the absolute one, which from then on shows on hover and focus.
fn refine(time: &Element) -> Option<Shown> {
    let at = parse(&time.get_attribute("datetime")?)?;
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
    Some(Shown { at, words })
}

fn parse(rfc3339: &str) -> Option<f64> {
    let at = js_sys::Date::parse(rfc3339);
    at.is_finite().then_some(at)
}
