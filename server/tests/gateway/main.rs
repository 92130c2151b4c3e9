//! Black-box tests of the gateway: signed requests over TCP, and the responses to them.

#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

mod accepted;
mod addresses;
mod bindings;
mod browsers;
mod certificates;
mod conformance;
mod edges;
mod faults;
mod keys;
mod killed;
mod lifecycle;
mod limited;
mod malformed;
mod monitored;
mod never_late;
mod process;
mod proxied;
mod real_edges;
mod recent;
mod refusals;
mod replayed;
mod secrets;
mod secure_upstream;
mod stopped;
mod support;
