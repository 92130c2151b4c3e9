//! Access to the page context for all components.

use crate::{page::PageContext, paths::Place};
use domain::access::{Operation, allows};
use leptos::prelude::*;
use std::sync::Arc;

/// Page context, shared by the components of a page through Leptos' context.
pub type Surroundings = Arc<PageContext>;

/// Returns the context of the page being rendered.
pub fn surroundings() -> Surroundings {
    expect_context::<Surroundings>()
}

/// Returns the page's [`Place`], which determines the URLs of application pages.
pub fn place() -> Place {
    surroundings().place.clone()
}

/// Returns whether the viewer's role allows `operation`. Components do not offer operations that the role does not
/// allow.
pub fn may(operation: Operation) -> bool {
    surroundings().viewer.as_ref().is_some_and(|viewer| allows(viewer.role, operation))
}
