//! Keeps write permissions consistent with the read permissions they require. `data-requires` is the id of the read
//! permission's checkbox.

use super::dom;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlInputElement};

pub fn wake() {
    if let Some(chooser) = dom::first::<Element>("[data-permissions]") {
        dom::on(&chooser, "change", |event| {
            if let Some(changed) = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok()) {
                mend(&changed);
            }
        });
    }
}

fn mend(changed: &HtmlInputElement) {
    if changed.checked() {
        let read = changed.get_attribute("data-requires").and_then(|id| dom::document()?.get_element_by_id(&id));
        if let Some(read) = read.and_then(|read| read.dyn_into::<HtmlInputElement>().ok())
            && !read.checked()
        {
            read.set_checked(true);
            dom::announce(&format!("{} is selected as well: writing needs it.", read.value()));
        }
    } else {
        for write in dom::all(&format!("[data-requires=\"{}\"]", changed.id())) {
            if let Ok(write) = write.dyn_into::<HtmlInputElement>()
                && write.checked()
            {
                write.set_checked(false);
                dom::announce(&format!("{} is no longer selected: it needs {}.", write.value(), changed.value()));
            }
        }
    }
}
