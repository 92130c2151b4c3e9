//! Builds the browser's files, which cargo alone cannot: `cargo run -p xtask -- site [--dev]`.
//!
//! Cargo compiles `frontend`, `keygen` and `keydoctor` to WASM, wasm-bindgen (linked as a library, so that Cargo.lock
//! determines its version) generates the JavaScript, wasm-opt optimizes, and lightningcss bundles the style sheets.
//! Every file then gets a content hash in its name, and a brotli and a gzip variant. The server reads the names from
//! `target/site/assets.json`.

mod bundle;
mod cargo;
mod compress;
mod site;
mod tool;

use std::process::ExitCode;

const USAGE: &str = "Usage: cargo run -p xtask -- site [--dev]

site        builds the browser's files into target/site
site --dev  the same, quicker and larger: for work on the pages";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let built = match arguments[..] {
        ["site"] => site::build(site::Mode::Release),
        ["site", "--dev"] => site::build(site::Mode::Dev),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match built {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
