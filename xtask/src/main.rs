//! The build that cargo alone cannot do: `cargo run -p xtask -- site [--dev]` makes the browser's files.
//!
//! Cargo compiles `frontend`, `keygen` and `keydoctor` to WASM, wasm-bindgen (as a library, so that its version is the one in
//! Cargo.lock) adds the JavaScript, wasm-opt shrinks, lightningcss bundles the style sheets; then every file gets its
//! content's hash into its name and a brotli and a gzip twin. `target/site/assets.json` tells the server the names.

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
