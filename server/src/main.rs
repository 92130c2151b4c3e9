//! The server's program.

use server::{private_files, run, threads};
use std::process::ExitCode;

/// A request allocates some thirty times, and this takes a third of the time and of the memory that the system's takes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything is created, and before there are other threads: the umask is the process’s.
    private_files::restrict();
    let runtime = match threads::console_runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run::command_line());
    // A name that is being looked up, or a file on a dead network share, keeps its thread: the end does not wait for it.
    runtime.shutdown_background();
    code
}
