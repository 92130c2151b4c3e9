//! In-process tests of the console: every route, with a store on every engine and a clock that the test controls.

#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

mod api_keys;
mod applications;
mod approval;
mod areas;
mod attacks;
mod audit;
mod authenticator;
mod blocked_keys;
mod bulk_stop;
mod command_line;
mod emergency;
mod hijacked_session;
mod hub;
mod hub_search;
mod hygiene;
mod messages;
mod notices;
mod organizations;
mod passkeys;
mod pending_resets;
mod people;
mod policies;
mod private_keys;
mod proof;
mod provider_network;
mod races;
mod remedies;
mod reminders;
mod requests;
mod roles;
mod rotation;
mod second_factor;
mod security;
mod sessions;
mod sign_in;
mod signing_keys;
mod single_sign_on;
mod step_up;
mod store;
mod support;
mod tls;
