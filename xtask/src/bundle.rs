//! Builds files from inputs and caches them until the inputs change.

use crate::{cargo, compress, site::Mode, tool};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use wasm_bindgen_cli_support::Bindgen;

/// Target browsers of the style sheets: no older than the oldest that receives security updates (Firefox ESR), so that
/// nesting, `light-dark()` and cascade layers need no fallback.
const BROWSERS: &str = "chrome >= 125, edge >= 125, firefox >= 128, safari >= 17.5";

/// Features used by rustc's output. All target browsers support them.
const WASM_FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// A file of the site.
pub struct File {
    /// Name, including the content hash.
    pub name: String,
    /// Uncompressed content.
    pub content: Vec<u8>,
    /// Content compressed with brotli.
    pub brotli: Vec<u8>,
    /// Content compressed with gzip.
    pub gzip: Vec<u8>,
}

/// Optimization goal of wasm-opt.
#[derive(Clone, Copy)]
pub enum Optimize {
    /// No optimization, for quick builds.
    No,
    /// Smallest size.
    Size,
    /// Highest speed.
    Speed,
}

/// Builds a WASM module and its JavaScript as `<name>.<hash>.js` and `<name>.<hash>_bg.wasm`. Both share one hash,
/// because Leptos derives the two names from the same stem.
pub fn wasm(name: &str, module: Vec<u8>, optimize: Optimize, mode: Mode) -> Result<(String, Vec<File>)> {
    let kept = Kept::new(name, mode, &[&module]);
    kept.or_make(|| {
        let (script, module) = bindgen(name, module, matches!(optimize, Optimize::No))?;
        let module = wasm_opt(name, module, optimize)?;
        let stem = format!("{name}.{}", hash(&[&script, &module]));
        let files = vec![file(format!("{stem}.js"), script, mode)?, file(format!("{stem}_bg.wasm"), module, mode)?];
        Ok((stem, files))
    })
}

/// Bundles the style sheet `style/main.css` with all its imports as `<name>.<hash>.css`.
pub fn style(name: &str, mode: Mode) -> Result<(String, Vec<File>)> {
    let directory = tool::root().join("style");
    let sources = style_sheets(&directory)?;
    let kept = Kept::new(&format!("{name}-style"), mode, &sources.iter().map(Vec::as_slice).collect::<Vec<_>>());
    kept.or_make(|| {
        println!("style: bundling style/main.css");
        let output = scratch()?.join("main.css");
        let mut command = tool::npm("lightningcss")?;
        command.args(["--bundle", "--minify", "--targets", BROWSERS, "style/main.css", "-o"]).arg(&output);
        tool::run(&mut command, "Its message above names the style sheet and the line.")?;
        let sheet = read(&output)?;
        let file = file(format!("{name}.{}.css", hash(&[&sheet])), sheet, mode)?;
        Ok((file.name.clone(), vec![file]))
    })
}

/// Returns a script as the file `<name>.<hash>.js`.
pub fn script(name: &str, text: String, mode: Mode) -> Result<File> {
    let content = text.into_bytes();
    file(format!("{name}.{}.js", hash(&[&content])), content, mode)
}

/// Generates the JavaScript glue of a module.
fn bindgen(name: &str, module: Vec<u8>, keep_names: bool) -> Result<(Vec<u8>, Vec<u8>)> {
    println!("{name}: wasm-bindgen");
    let mut bindgen = Bindgen::new();
    // Omits the default path, which would contain the name without the hash. Code that loads the module passes its URL.
    bindgen.input_bytes(name, module).web(true)?.typescript(false).omit_default_module_path(true);
    bindgen.keep_debug(false).remove_name_section(!keep_names).remove_producers_section(true);
    let mut output = bindgen.generate_output().with_context(|| format!("wasm-bindgen failed on {name}"))?;
    let has_snippets = output.snippets().values().any(|snippets| !snippets.is_empty());
    if has_snippets || !output.local_modules().is_empty() || !output.npm_dependencies().is_empty() {
        bail!(
            "{name} brings JavaScript files of its own (`inline_js`, `module = …`), and the site has one script per \
             module: call the browser through web-sys or `extern \"C\"` declarations instead"
        );
    }
    Ok((output.js().into(), output.wasm_mut().emit_wasm()))
}

fn wasm_opt(name: &str, module: Vec<u8>, optimize: Optimize) -> Result<Vec<u8>> {
    let level = match optimize {
        Optimize::No => return Ok(module),
        Optimize::Size => "-Oz",
        Optimize::Speed => "-O3",
    };
    println!("{name}: wasm-opt {level}");
    let (input, output) = (scratch()?.join("in.wasm"), scratch()?.join("out.wasm"));
    write(&input, &module)?;
    let mut command: Command = tool::npm("wasm-opt")?;
    command.args(WASM_FEATURES).args([level, "--converge"]).arg(&input).arg("-o").arg(&output);
    tool::run(&mut command, "Where it names a feature that is not enabled, add it to WASM_FEATURES in xtask.")?;
    read(&output)
}

fn file(name: String, content: Vec<u8>, mode: Mode) -> Result<File> {
    let brotli = compress::brotli(&content, mode.brotli_quality())?;
    let gzip = compress::gzip(&content)?;
    Ok(File { name, content, brotli, gzip })
}

/// Cached output of an earlier build, valid as long as its stamp matches.
struct Kept {
    directory: PathBuf,
    stamp: String,
}

impl Kept {
    fn new(name: &str, mode: Mode, inputs: &[&[u8]]) -> Self {
        // xtask itself is an input, because it determines wasm-bindgen's version and all settings. So are the npm
        // tools.
        let own = [std::env::current_exe().and_then(fs::read), fs::read(tool::root().join("xtask/package-lock.json"))];
        // Unreadable files count as empty. That only weakens the stamp; the build fails where they are used.
        let own = own.map(Result::unwrap_or_default);
        let stamp = hash(&inputs.iter().copied().chain(own.iter().map(Vec::as_slice)).collect::<Vec<_>>());
        let directory = cargo::target_directory().join("site-parts").join(format!("{name}-{}", mode.name()));
        Self { directory, stamp }
    }

    /// Returns the cached files if the stamp matches. Otherwise calls `make` and caches the result.
    fn or_make(&self, make: impl FnOnce() -> Result<(String, Vec<File>)>) -> Result<(String, Vec<File>)> {
        if let Some(kept) = self.read() {
            return Ok(kept);
        }
        let made = make()?;
        self.write(&made)?;
        Ok(made)
    }

    /// Reads the cache; `None` if it is outdated, incomplete or unreadable for any reason.
    fn read(&self) -> Option<(String, Vec<File>)> {
        let index = fs::read_to_string(self.directory.join("stamp")).ok()?;
        let mut lines = index.lines();
        if lines.next()? != self.stamp {
            return None;
        }
        let stem = lines.next()?.to_owned();
        let files = lines.map(|name| {
            let read = |suffix| fs::read(self.directory.join(format!("{name}{suffix}"))).ok();
            Some(File { name: name.to_owned(), content: read("")?, brotli: read(".br")?, gzip: read(".gz")? })
        });
        Some((stem, files.collect::<Option<_>>()?))
    }

    /// Writes the stamp last, so that an interrupted write leaves no valid cache.
    fn write(&self, (stem, files): &(String, Vec<File>)) -> Result<()> {
        if self.directory.exists() {
            fs::remove_dir_all(&self.directory).with_context(|| format!("{}", self.directory.display()))?;
        }
        fs::create_dir_all(&self.directory).with_context(|| format!("{}", self.directory.display()))?;
        let mut index = vec![self.stamp.as_str(), stem.as_str()];
        for file in files {
            for (suffix, content) in file.variants() {
                write(&self.directory.join(format!("{}{suffix}", file.name)), content)?;
            }
            index.push(&file.name);
        }
        write(&self.directory.join("stamp"), index.join("\n").as_bytes())
    }
}

impl File {
    /// Returns the file and its compressed variants, each with the suffix of its name.
    pub fn variants(&self) -> [(&'static str, &[u8]); 3] {
        [("", &self.content), (".br", &self.brotli), (".gz", &self.gzip)]
    }
}

/// Returns the paths and contents of all style sheets, any of which may be imported.
fn style_sheets(directory: &Path) -> Result<Vec<Vec<u8>>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .with_context(|| format!("{} cannot be read", directory.display()))?;
    paths.sort();
    let mut sheets = Vec::new();
    for path in paths {
        if path.is_dir() {
            sheets.extend(style_sheets(&path)?);
        } else {
            sheets.push(path.to_string_lossy().into_owned().into_bytes());
            sheets.push(read(&path)?);
        }
    }
    Ok(sheets)
}

/// Returns a directory for intermediate files of external tools.
fn scratch() -> Result<PathBuf> {
    let directory = cargo::target_directory().join("site-parts/scratch");
    fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    Ok(directory)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// Writes a file unless its content is unchanged, so that file watchers see no change.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    fs::write(path, content).with_context(|| format!("{} cannot be written", path.display()))
}

/// Returns the first 64 bits of SHA-256 over the parts and their lengths: enough to tell builds apart, and short enough
/// for a file name.
fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
