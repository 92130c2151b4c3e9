//! Runs external programs. Errors name the command and a remedy.

use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Returns the repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository's root")
}

/// Returns a command-line tool that npm installed for xtask.
pub fn npm(name: &str) -> Result<Command> {
    let path: PathBuf = root().join("xtask/node_modules/.bin").join(name);
    if !path.exists() {
        bail!("{} is not there: run `scripts/setup build` first", path.display());
    }
    Ok(Command::new(path))
}

/// Runs `command` in the repository's root. `remedy` is appended to the error message.
pub fn run(command: &mut Command, remedy: &str) -> Result<()> {
    let status = command
        .current_dir(root())
        .status()
        .with_context(|| format!("`{}` cannot be started. {remedy}", line(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status}). {remedy}", line(command));
    }
    Ok(())
}

/// Formats the command as entered in a shell.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
