//! Replaces parts of a page by what the server shows of them by now.
//!
//! The server sends an event whenever there is something new; the page is then fetched again, as anybody's reload would,
//! and what its live parts hold is taken over. Where events do not get through, the page is fetched now and then. A page
//! that nobody looks at keeps still.

use super::{dom, relative_times};
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{Document, DomParser, Element, EventSource, HtmlElement, Response, SupportedType};

/// The server sends an event every ten seconds at the least: without one in this time, the page is fetched all the same.
const WATCH_MILLISECONDS: i32 = 20_000;

#[derive(Default)]
struct Live {
    source: Option<EventSource>,
    /// A page is on its way.
    is_fetching: bool,
    /// Something new came meanwhile.
    is_late: bool,
    /// Events came since the last look.
    has_heard: bool,
    /// What was taken over last, by the part's id.
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
            // A browser opens few connections to one server: those that nobody looks at are closed.
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

/// Connects, unless that was done. A connection that breaks off the browser makes anew by itself.
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

/// Fetches the page; once more afterwards where something new came meanwhile.
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

/// The text of a response, or `None` where it is another page: the session may be over, and that is for the person to
/// find out with what they do next.
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

/// Gives `part` what it holds by now. What somebody has opened stays open, where they are they stay, and what there is to
/// know in words is said.
fn replace(part: &Element, html: &str) {
    let words = announced(part);
    let opened: Vec<_> = dom::all(&format!("#{} details[open] > summary", part.id()));
    let opened: Vec<_> = opened.iter().filter_map(|element| element.text_content()).collect();
    let focused = dom::document().and_then(|document| document.active_element());
    let focused =
        focused.filter(|element| part.contains(Some(element))).and_then(|element| element.get_attribute("href"));
    // The server's own page, as it would be shown after a reload.
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

/// What a screen reader is told when it changes.
fn announced(part: &Element) -> String {
    let told = dom::all(&format!("#{} [data-announce]", part.id()));
    told.iter().filter_map(|element| element.text_content()).collect::<Vec<_>>().join(" ")
}
