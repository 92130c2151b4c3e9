//! Copy buttons. `data-copy` is the id of the element whose text is copied.

use super::dom;
use web_sys::Element;

pub fn wake() {
    for button in dom::all("[data-copy]") {
        dom::enable(&button);
        let target = button.clone();
        dom::on(&target, "click", move |_| {
            let _ = copy(&button);
        });
    }
}

fn copy(button: &Element) -> Option<()> {
    let source = dom::document()?.get_element_by_id(&button.get_attribute("data-copy")?)?;
    let text = source.text_content()?;
    let label = button.query_selector("[data-label]").ok()??;
    dom::copy(text.trim_end(), move |copied| {
        let words = if copied { "Copied" } else { "Press Ctrl+C" };
        if !copied && let Some(Ok(Some(selection))) = dom::window().map(|window| window.get_selection()) {
            // Without access to the clipboard, select the text for the user to copy.
            let _ = selection.select_all_children(&source);
        }
        let before = label.text_content();
        if before.as_deref() == Some(words) {
            return;
        }
        label.set_text_content(Some(words));
        dom::announce(words);
        dom::later(2_000, move || {
            label.set_text_content(before.as_deref());
            dom::announce("");
        });
    });
    Some(())
}
