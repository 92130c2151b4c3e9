//! The snippet in Rust of "Send a signed test request", so that it is built with the crates that the page names.
#![expect(clippy::disallowed_methods, reason = "a partner's program makes its ids as it likes")]

include!(env!("NUVERA_SNIPPET"));
