//! What every component can ask about the page it stands on.

use crate::{page::PageContext, paths::Place};
use domain::access::{Operation, allows};
use leptos::prelude::*;
use std::sync::Arc;

/// The page's context, as components share it.
pub type Surroundings = Arc<PageContext>;

/// The context of the page that is being rendered.
pub fn surroundings() -> Surroundings {
    expect_context::<Surroundings>()
}

/// From where the page looks at applications: it has their addresses.
pub fn place() -> Place {
    surroundings().place.clone()
}

/// Whether the viewer's role lets them do `operation`: what they may not do is not offered to them.
pub fn may(operation: Operation) -> bool {
    surroundings().viewer.as_ref().is_some_and(|viewer| allows(viewer.role, operation))
}
