//! What every component can ask about the page it stands on.

use crate::page::PageContext;
use leptos::prelude::*;
use std::sync::Arc;

/// The page's context, as components share it.
pub type Surroundings = Arc<PageContext>;

/// The context of the page that is being rendered.
pub fn surroundings() -> Surroundings {
    expect_context::<Surroundings>()
}
