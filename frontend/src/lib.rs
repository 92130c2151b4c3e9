//! The WASM entry that wakes the islands, and nothing else.

use wasm_bindgen::prelude::wasm_bindgen;

// Nothing here names an island; without this the linker would drop the crate, and the islands with it.
#[allow(unused_imports)]
use app::islands as _;

/// Wakes the islands of the page: the page's script calls it once the module has loaded.
#[wasm_bindgen]
pub fn hydrate() {
    leptos::mount::hydrate_islands();
}
