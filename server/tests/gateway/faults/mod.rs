//! Faults: full disks, locked rows, frozen and unreachable databases, slow clients, missing descriptors. Each test asserts
//! what gateway, console and probes answer meanwhile, that the service recovers without a restart, and what is recorded
//! afterwards.

mod connections;
mod frozen;
mod nth_write;
mod state;
mod stops;
mod threads;
