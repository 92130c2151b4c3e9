//! The program's threads and their priorities.
//!
//! | threads | `nice` | work |
//! |---|---|---|
//! | the gateway's runtime | 0 | every request to the gateway, forward-auth and metrics listeners, and its connections to the upstream |
//! | the console's runtime | [`CONSOLE_NICE`] | pages, forms, single sign-on, mail, writes to the database, background jobs |
//! | `backend::cpu_pool` | 10 | Argon2id and zxcvbn |
//!
//! So no work for a console user delays the gateway's tasks: when both need the same processor, the scheduler prefers
//! the gateway.

use std::io;
use tokio::runtime::{Builder, Runtime};

/// A third of the processor time of the gateway's threads when both need the same processor.
const CONSOLE_NICE: i32 = 5;

/// Starts the runtime of the gateway.
///
/// # Errors
/// The operating system provides no threads.
pub fn gateway_runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().thread_name("gateway").enable_all().build()
}

/// Starts the runtime of the console and of everything else.
///
/// # Errors
/// The operating system provides no threads.
pub fn console_runtime() -> io::Result<Runtime> {
    let lower_priority = || {
        // On Linux this applies to the current thread only. If it cannot be changed, the console runs at normal
        // priority.
        let _ = rustix::process::setpriority_process(None, CONSOLE_NICE);
    };
    Builder::new_multi_thread().thread_name("console").on_thread_start(lower_priority).enable_all().build()
}
