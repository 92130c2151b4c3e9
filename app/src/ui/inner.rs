//! What stands between a component's tags.
//!
//! No page here changes after it was rendered, so that children need not be a closure that outlives the data it shows:
//! they are rendered on the spot, and may borrow.

use leptos::{
    children::{ChildrenOptContainer, ToChildren},
    prelude::*,
};

/// A component's children, rendered.
pub struct Inner(AnyView);

impl Inner {
    /// The children.
    pub fn view(self) -> AnyView {
        self.0
    }
}

impl<F, C> ToChildren<F> for Inner
where
    F: FnOnce() -> C,
    C: IntoAny,
{
    fn to_children(children: F) -> Self {
        Self(children().into_any())
    }
}

impl<C: IntoAny> ToChildren<ChildrenOptContainer<C>> for Inner {
    fn to_children(children: ChildrenOptContainer<C>) -> Self {
        Self(children.0.into_any())
    }
}
