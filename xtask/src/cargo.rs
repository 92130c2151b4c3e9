//! Compiles crates to WASM.

use crate::tool;
use anyhow::{Context, Result};
use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const TARGET: &str = "wasm32-unknown-unknown";

/// Where Debian's own compiler expects the WASM standard library. `scripts/setup` builds it on machines where rustup
/// provides none.
const DEBIAN_STANDARD_LIBRARY: &str = "/usr/lib/rustlib/wasm32-unknown-unknown/lib";

/// A crate to compile to WASM.
pub struct Wasm {
    /// Name of the package.
    pub package: &'static str,
    /// Cargo profile.
    pub profile: &'static str,
}

impl Wasm {
    /// Builds the module, if anything has changed, and returns its content.
    pub fn build(&self) -> Result<Vec<u8>> {
        println!("{}: WASM ({})", self.package, self.profile);
        let mut command = compiler();
        // `rustc --crate-type` omits the rlib, which nothing links here.
        command.args(["rustc", "--package", self.package, "--lib", "--crate-type", "cdylib"]);
        command.args(["--target", TARGET, "--profile", self.profile]);
        command.env("CARGO_ENCODED_RUSTFLAGS", encoded_rust_flags());
        command.env("CARGO_TARGET_DIR", target_directory());
        tool::run(&mut command, "The compiler's message is above; `scripts/setup build` installs the WASM target.")?;
        let path = self.path();
        fs::read(&path).with_context(|| format!("cargo wrote no {}", path.display()))
    }

    fn path(&self) -> PathBuf {
        target_directory().join(TARGET).join(self.profile).join(format!("{}.wasm", self.package))
    }
}

/// Flags for rustc in addition to the profile's. They are the same for all modules, so that shared dependencies are
/// compiled once. WASM has no 64 × 64 → 128 bit multiplication: with 32-bit limbs (crypto-bigint), generating a key
/// takes 60 % of the time.
const RUST_FLAGS: [&str; 2] = ["--cfg", "cpubits=\"32\""];

/// [`RUST_FLAGS`] after those of the environment's `RUSTFLAGS`, because cargo reads only one of the two variables.
fn encoded_rust_flags() -> OsString {
    let surrounding = env::var("RUSTFLAGS").unwrap_or_default();
    let flags: Vec<&str> = surrounding.split_whitespace().chain(RUST_FLAGS).collect();
    flags.join("\u{1f}").into()
}

/// Returns the target directory that cargo uses.
pub fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| tool::root().join("target"), |path| tool::root().join(path))
}

/// Returns the cargo that started xtask if it can compile to WASM, otherwise Debian's.
fn compiler() -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    if has_wasm_target() || !Path::new(DEBIAN_STANDARD_LIBRARY).exists() {
        return Command::new(cargo);
    }
    let mut debian = Command::new("/usr/bin/cargo");
    debian.env("RUSTC", "/usr/bin/rustc").env_remove("RUSTUP_TOOLCHAIN");
    debian
}

fn has_wasm_target() -> bool {
    let directory = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    directory.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).exists())
}
