//! Children of components.
//!
//! Pages are rendered once, on the server, so children need not be a `'static` closure as Leptos' own `Children` is.
//! They are rendered immediately and may borrow.

use leptos::{
    children::{ChildrenOptContainer, ToChildren},
    prelude::*,
};

/// Rendered children of a component.
pub struct Inner(AnyView);

impl Inner {
    /// Returns the rendered children.
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
