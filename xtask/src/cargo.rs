//! The crates that become WASM.

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

/// Where Debian's own compiler keeps the WASM standard library that `scripts/setup` builds where rustup has none.
const DEBIAN_STANDARD_LIBRARY: &str = "/usr/lib/rustlib/wasm32-unknown-unknown/lib";

/// Makes one crate's WASM.
pub struct Wasm {
    /// The crate.
    pub package: &'static str,
    /// The cargo profile.
    pub profile: &'static str,
}

impl Wasm {
    /// Builds the module, unless cargo finds that nothing changed, and reads it.
    pub fn build(&self) -> Result<Vec<u8>> {
        println!("{}: WASM ({})", self.package, self.profile);
        let mut command = compiler();
        // `rustc --crate-type` leaves out the rlib, which nothing here links.
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

/// Flags for rustc beyond the profile's, the same for every module, so that the crates they share are compiled once. WASM has
/// no multiplication of two 64-bit numbers into 128 bits: with 32-bit limbs (crypto-bigint) a key takes 60 % of the time.
const RUST_FLAGS: [&str; 2] = ["--cfg", "cpubits=\"32\""];

/// [`RUST_FLAGS`] after the flags in the environment: cargo reads one of the two variables only.
fn encoded_rust_flags() -> OsString {
    let surrounding = env::var("RUSTFLAGS").unwrap_or_default();
    let flags: Vec<&str> = surrounding.split_whitespace().chain(RUST_FLAGS).collect();
    flags.join("\u{1f}").into()
}

/// The target directory, as cargo itself finds it.
pub fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| tool::root().join("target"), |path| tool::root().join(path))
}

/// The cargo that started xtask where it can compile for WASM, else Debian's.
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
