//! The rules of Nuvera API applications as pure functions: access control, the lifecycle of keys, the requirements on a
//! signed request, and the errors that a partner receives.
//!
//! Nothing here awaits, reads a clock, generates random numbers or performs I/O: `now` and randomness are arguments.
//! The crate compiles for the host and for WASM, so that the browser checks a pasted key by the same rules as the
//! server.

pub mod access;
pub mod actor;
pub mod api_key;
pub mod application;
pub mod audit;
pub mod bulk_stop;
pub mod cut_over;
pub mod health;
pub mod hex;
pub mod hygiene;
pub mod id;
pub mod key_material;
pub mod key_wrapping;
pub mod organization;
pub mod passkey;
pub mod pending_reset;
pub mod people;
pub mod permission;
pub mod policy;
pub mod public_key;
pub mod request;
pub mod route;
pub mod search;
pub mod second_factor;
pub mod security_policy;
pub mod sign_in;
pub mod signing_key;
pub mod support;
pub mod text;
pub mod time;

#[cfg(test)]
mod fixtures;
