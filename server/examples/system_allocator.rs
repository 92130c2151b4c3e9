//! The server's program with the system's allocator. Browser tests run it with libfaketime, to move its clock: that cannot be
//! loaded into a program whose `malloc` is mimalloc's.

use server::run;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    run::command_line().await
}
