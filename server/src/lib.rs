//! The server: the console in front of people, the gateway in front of the REST API, and the store behind both.

pub mod audit_mark;
pub mod backend;
pub mod clock;
pub mod config;
pub mod control;
pub mod demo;
pub mod fence;
pub mod forwarded;
pub mod gateway;
pub mod keyed_limit;
pub mod listener;
pub mod log;
pub mod mail;
pub mod metrics;
pub mod open_files;
pub mod pepper;
pub mod private_files;
pub mod process_lock;
pub mod random;
pub mod run;
pub mod single_sign_on;
pub mod startup;
pub mod store;
pub mod threads;
pub mod tls;
pub mod web;
