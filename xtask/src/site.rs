//! Builds and publishes the site.

use crate::{
    bundle::{self, File, Optimize},
    cargo::{self, Wasm},
};
use anyhow::{Context, Result};
use serde::Serialize;
use std::{collections::HashSet, fs, path::Path, time::Instant};

/// Kind of build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For production: smallest files.
    Release,
    /// For development: fastest build.
    Dev,
}

impl Mode {
    /// Returns the name for use in paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }

    /// Returns the brotli quality.
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

/// Optimized profile of all three modules. They share one, so that common dependencies, mostly macros, are compiled
/// once.
const RELEASE: &str = "wasm-release";

/// Optimized in both modes: generating a key would otherwise take minutes.
const KEYGEN: Wasm = Wasm { package: "keygen", profile: RELEASE };

/// Optimized in both modes: hashing a passphrase takes 600,000 iterations.
const KEYDOCTOR: Wasm = Wasm { package: "keydoctor", profile: RELEASE };

/// Content of `assets.json`: the file names that the server puts into its pages.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Assets {
    /// Stem of the islands' script and WASM.
    app: String,
    /// Name of the style sheet.
    style: String,
    /// Name of the script that starts the key generator's worker.
    keygen_worker: String,
    /// Name of the script that starts the key doctor's worker.
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

/// Builds a module and the script that starts it as a worker. Returns the script's name and all files.
fn worker(name: &str, module: &Wasm, optimize: Optimize, mode: Mode) -> Result<(String, Vec<File>)> {
    let (stem, mut files) = bundle::wasm(name, module.build()?, optimize, Mode::Release)?;
    let script = bundle::script(&format!("{name}-worker"), worker_script(&stem), mode)?;
    let script_name = script.name.clone();
    files.push(script);
    Ok((script_name, files))
}

/// Returns the script that starts a module as a worker. It reports a module that cannot be loaded as a failed request,
/// because the page would otherwise wait forever.
fn worker_script(stem: &str) -> String {
    format!(
        "import init from \"./{stem}.js\";\n\
         init({{ module_or_path: new URL(\"./{stem}_bg.wasm\", import.meta.url) }})\
         .catch((error) => postMessage({{ kind: \"failed\", message: String(error) }}));\n"
    )
}

/// Writes the files, then their names, then removes the files of earlier builds. A concurrent reader finds either the
/// old names or the new ones, with the files of both.
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
