//! Replaces regions of the page with their current content.
//!
//! The server sends an event whenever something has changed. The island then fetches the page, as a reload would, and
//! takes over the content of its live regions. If events do not get through, the page is polled. Hidden pages are not
//! updated.

use super::{dom, relative_times};
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{Document, DomParser, Element, EventSource, HtmlElement, Response, SupportedType};

/// Interval after which the page is fetched if no event arrived. The server sends an event at least every ten seconds.
const WATCH_MILLISECONDS: i32 = 20_000;

#[derive(Default)]
struct Live {
    source: Option<EventSource>,
    /// A fetch is in progress.
    is_fetching: bool,
    /// An event arrived during that fetch.
    is_late: bool,
    /// An event arrived since the last watchdog check.
    has_heard: bool,
    /// Content taken over last, by the region's id.
    shown: Vec<(String, String)>,
}

type Shared = Rc<RefCell<Live>>;

pub fn wake() {
    let _ = try_wake();
}

fn try_wake() -> Option<()> {
    let events = dom::first::<Element>("[data-live]")?.get_attribute("data-live")?;
    let live = Shared::default();
    listen(&live, &events);

    let document = dom::document()?;
    let (seen, address) = (live.clone(), events.clone());
    dom::on(&document, "visibilitychange", move |_| {
        if is_hidden() {
            // Browsers limit the number of connections per server, so hidden pages close theirs.
            if let Some(source) = seen.borrow_mut().source.take() {
                source.close();
            }
        } else {
            listen(&seen, &address);
            fetch(&seen);
        }
    });
    let watch = Closure::<dyn FnMut()>::new(move || {
        let has_heard = std::mem::take(&mut live.borrow_mut().has_heard);
        if !has_heard && !is_hidden() {
            fetch(&live);
        }
    });
    let _ = dom::window()?
        .set_interval_with_callback_and_timeout_and_arguments_0(watch.as_ref().unchecked_ref(), WATCH_MILLISECONDS);
    watch.forget();
    Some(())
}

fn is_hidden() -> bool {
    dom::document().is_some_and(|document| document.hidden())
}

/// Opens the event stream, unless it is open or the page is hidden. The browser reconnects by itself.
fn listen(live: &Shared, events: &str) {
    if live.borrow().source.is_some() || is_hidden() {
        return;
    }
    let Ok(source) = EventSource::new(events) else { return };
    let heard = live.clone();
    dom::on(&source, "message", move |_| {
        heard.borrow_mut().has_heard = true;
        fetch(&heard);
    });
    live.borrow_mut().source = Some(source);
}

/// Fetches the page and updates it; fetches again if an event arrived meanwhile.
fn fetch(live: &Shared) {
    {
        let mut live = live.borrow_mut();
        if live.is_fetching {
            live.is_late = true;
            return;
        }
        live.is_fetching = true;
    }
    let Some(window) = dom::window() else { return };
    let Ok(address) = window.location().href() else { return };
    let settled = live.clone();
    dom::settle(&window.fetch_with_str(&address), move |response| {
        let text = response.and_then(|response| text_of(&response));
        let Some(text) = text else {
            let mut live = settled.borrow_mut();
            live.is_fetching = false;
            return;
        };
        let done = settled.clone();
        dom::settle(&text, move |text| {
            if let Some(text) = text.and_then(|text| text.as_string()) {
                take_over(&done, &text);
            }
            let is_late = {
                let mut live = done.borrow_mut();
                live.is_fetching = false;
                std::mem::take(&mut live.is_late)
            };
            if is_late {
                fetch(&done);
            }
        });
    });
}

/// Returns the body of a response, or `None` for an error or a redirect. The session may have ended; the user learns of
/// it with their next action.
fn text_of(response: &JsValue) -> Option<js_sys::Promise> {
    let response: &Response = response.dyn_ref()?;
    if !response.ok() || response.redirected() {
        return None;
    }
    response.text().ok()
}

fn take_over(live: &Shared, html: &str) -> Option<()> {
    let page: Document = DomParser::new().ok()?.parse_from_string(html, SupportedType::TextHtml).ok()?;
    for part in dom::all("[data-live]") {
        let Some(new) = page.get_element_by_id(&part.id()) else { continue };
        let shown = new.inner_html();
        let mut live = live.borrow_mut();
        match live.shown.iter_mut().find(|(id, _)| *id == part.id()) {
            Some((_, known)) if *known == shown => continue,
            Some((_, known)) => *known = shown.clone(),
            None => live.shown.push((part.id(), shown.clone())),
        }
        drop(live);
        replace(&part, &shown);
    }
    let now = page.query_selector("[data-now]").ok()??.get_attribute("data-now")?;
    relative_times::refresh(Some(&now));
    Some(())
}

/// Replaces the content of `part`. Open `<details>` and the focused link stay as they are, and changed announcements
/// are passed to screen readers.
fn replace(part: &Element, html: &str) {
    let words = announced(part);
    let opened: Vec<_> = dom::all(&format!("#{} details[open] > summary", part.id()));
    let opened: Vec<_> = opened.iter().filter_map(|element| element.text_content()).collect();
    let focused = dom::document().and_then(|document| document.active_element());
    let focused =
        focused.filter(|element| part.contains(Some(element))).and_then(|element| element.get_attribute("href"));
    // Safe: this is HTML rendered by the same server, as after a reload.
    part.set_inner_html(html);
    for summary in dom::all(&format!("#{} summary", part.id())) {
        if summary.text_content().is_some_and(|text| opened.contains(&text))
            && let Some(details) = summary.parent_element()
        {
            let _ = details.set_attribute("open", "");
        }
    }
    if let Some(href) = focused {
        let same = dom::all(&format!("#{} [href]", part.id())).into_iter();
        let same = same.filter(|link| link.get_attribute("href").as_deref() == Some(&*href));
        if let Some(link) = same.filter_map(|link| link.dyn_into::<HtmlElement>().ok()).next() {
            let _ = link.focus();
        }
    }
    let new_words = announced(part);
    if new_words != words {
        dom::announce(&new_words);
    }
}

/// Returns the text that is announced to screen readers when it changes.
fn announced(part: &Element) -> String {
    let told = dom::all(&format!("#{} [data-announce]", part.id()));
    told.iter().filter_map(|element| element.text_content()).collect::<Vec<_>>().join(" ")
}
