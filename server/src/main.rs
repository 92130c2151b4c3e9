//! The server's program.

use server::run;
use std::process::ExitCode;

/// A request allocates some thirty times, and this takes a third of the time and of the memory that the system's takes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    run::command_line().await
}
