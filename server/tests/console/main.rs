//! The console in process: every route, its store on every engine, the clock in the test's hand.

#![allow(clippy::unwrap_used)] // A test that cannot go on fails.

mod api_keys;
mod applications;
mod areas;
mod attacks;
mod audit;
mod emergency;
mod hub;
mod hygiene;
mod people;
mod policies;
mod proof;
mod races;
mod reminders;
mod requests;
mod roles;
mod rotation;
mod security;
mod sessions;
mod sign_in;
mod signing_keys;
mod step_up;
mod store;
mod support;
