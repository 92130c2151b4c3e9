//! The site: what is built, from what, and where it goes.

use crate::{
    bundle::{self, File, Optimize},
    cargo::{self, Wasm},
};
use anyhow::{Context, Result};
use serde::Serialize;
use std::{collections::HashSet, fs, path::Path, time::Instant};

/// Which build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What people get: small.
    Release,
    /// What somebody who works on the pages gets: soon.
    Dev,
}

impl Mode {
    /// Its name in a path.
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }

    /// How hard brotli tries.
    pub fn brotli_quality(self) -> u32 {
        match self {
            Self::Release => 11,
            Self::Dev => 4,
        }
    }

    fn islands(self) -> (Wasm, Optimize) {
        let (profile, optimize) = match self {
            Self::Release => (RELEASE, Optimize::Size),
            Self::Dev => ("wasm-dev", Optimize::No),
        };
        (Wasm { package: "frontend", profile }, optimize)
    }
}

/// The optimised profile of all three modules. One profile, so that what they share is compiled once: the macros, above all.
const RELEASE: &str = "wasm-release";

/// Optimised in either mode: otherwise a key would take minutes.
const KEYGEN: Wasm = Wasm { package: "keygen", profile: RELEASE };

/// Optimised in either mode, like key generation: a passphrase is hashed 600,000 times.
const KEYDOCTOR: Wasm = Wasm { package: "keydoctor", profile: RELEASE };

/// `assets.json`: what the server puts into its pages.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Assets {
    /// The stem of the islands' script and WASM.
    app: String,
    /// The style sheet's name.
    style: String,
    /// The name of the script that starts the key generation's worker.
    keygen_worker: String,
    /// The name of the script that starts the key doctor's worker.
    keydoctor_worker: String,
}

/// Builds everything that has changed, and publishes it in `target/site`.
pub fn build(mode: Mode) -> Result<()> {
    let started = Instant::now();
    let (islands, optimize) = mode.islands();
    let (style, mut files) = bundle::style("nuvera", mode)?;
    let (keygen_worker, keygen_files) = worker("keygen", &KEYGEN, Optimize::Speed, mode)?;
    let (keydoctor_worker, keydoctor_files) = worker("keydoctor", &KEYDOCTOR, Optimize::Size, mode)?;
    let (app, app_files) = bundle::wasm("nuvera", islands.build()?, optimize, mode)?;
    let assets = Assets { app, style, keygen_worker, keydoctor_worker };
    files.extend(app_files);
    files.extend(keygen_files);
    files.extend(keydoctor_files);
    publish(&assets, &files, &cargo::target_directory().join("site"))?;
    report(&files);
    println!("site: target/site is up to date ({:.1} s)", started.elapsed().as_secs_f32());
    Ok(())
}

/// A module and the script that starts it as a worker; answers the script's name, and all files.
fn worker(name: &str, module: &Wasm, optimize: Optimize, mode: Mode) -> Result<(String, Vec<File>)> {
    let (stem, mut files) = bundle::wasm(name, module.build()?, optimize, Mode::Release)?;
    let script = bundle::script(&format!("{name}-worker"), worker_script(&stem), mode)?;
    let script_name = script.name.clone();
    files.push(script);
    Ok((script_name, files))
}

/// Starts a module as a worker. One that cannot be loaded is told in the same words as work that cannot be done; the
/// page would otherwise wait for ever.
fn worker_script(stem: &str) -> String {
    format!(
        "import init from \"./{stem}.js\";\n\
         init({{ module_or_path: new URL(\"./{stem}_bg.wasm\", import.meta.url) }})\
         .catch((error) => postMessage({{ kind: \"failed\", message: String(error) }}));\n"
    )
}

/// Writes the files, then the names, then removes what earlier builds left: whoever reads in between finds the old
/// names or the new ones, and the files for either.
fn publish(assets: &Assets, files: &[File], site: &Path) -> Result<()> {
    let directory = site.join("assets");
    fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    let mut names = HashSet::new();
    for file in files {
        for (suffix, content) in file.variants() {
            let name = format!("{}{suffix}", file.name);
            bundle::write(&directory.join(&name), content)?;
            names.insert(name);
        }
    }
    let names_of_assets = format!("{}\n", serde_json::to_string_pretty(assets)?);
    bundle::write(&site.join("assets.json"), names_of_assets.as_bytes())?;
    for entry in fs::read_dir(&directory).with_context(|| format!("{} cannot be read", directory.display()))? {
        let path = entry?.path();
        let is_ours = path.file_name().is_some_and(|name| names.contains(&*name.to_string_lossy()));
        if !is_ours {
            fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
        }
    }
    Ok(())
}

fn report(files: &[File]) {
    println!("{:<38} {:>9} {:>9}", "file", "bytes", "brotli");
    for file in files {
        println!("{:<38} {:>9} {:>9}", file.name, file.content.len(), file.brotli.len());
    }
}
