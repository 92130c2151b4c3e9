//! The console as people see it: pages, components and islands.
//!
//! A page is a plain function of its data. The server reads the data, or carries out what a form asked for, and then
//! renders; so every form works as a plain form, with the same code whether the browser runs JavaScript or not, and a
//! one-time key goes straight from the change that made it into the one response that shows it. Islands make the same
//! pages more comfortable where WASM runs. Nothing here names sqlx, and only islands reach the browser.

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
