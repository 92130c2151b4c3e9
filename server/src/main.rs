//! The command line.

use clap::Parser;
use server::{
    config::{Cli, Command},
    run,
};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// A request allocates some thirty times, and this takes a third of the time and of the memory that the system's takes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("NUVERA_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = match Cli::parse().command {
        Command::Serve(settings) => run::serve(*settings).await,
        Command::CreateAdmin(admin) => run::create_admin(admin).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
