//! The web console: pages, components and islands.
//!
//! A page is a plain function of its data. The server loads the data, or carries out the submitted form, and then
//! renders. Every form is therefore a plain HTML form, handled by the same code whether or not the browser runs
//! JavaScript, and a one-time key goes directly from the change that created it into the only response that shows it.
//! Islands enhance the same pages where WASM runs. This crate does not depend on sqlx, and only islands use browser
//! APIs.

#[cfg(all(feature = "ssr", feature = "hydrate"))]
compile_error!("`ssr` and `hydrate` exclude each other: build the server and the WASM in separate cargo calls");

pub mod islands;
#[cfg(feature = "ssr")]
pub mod page;
#[cfg(feature = "ssr")]
pub mod pages;
#[cfg(feature = "ssr")]
pub mod paths;
#[cfg(feature = "ssr")]
mod ui;
