//! The snippet in Rust of "Send a signed test request", so that it is built with the crates that the page names.

include!(env!("NUVERA_SNIPPET"));
