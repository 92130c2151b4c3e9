//! Embeds the migrations: writes `migrations.rs` with version, description and text of each file in `migrations/`.
//!
//! `sqlx::migrate!` does the same, but needs sqlx's macro crates: they compile sqlx and SQLite a second time, for the host.

use std::{env, fs, path::Path};

const FOLDER: &str = "../migrations";

fn main() {
    println!("cargo:rerun-if-changed={FOLDER}");
    let mut entries = Vec::new();
    for file in fs::read_dir(FOLDER).expect("migrations/ can be read") {
        let path = file.and_then(|file| file.path().canonicalize()).expect("a migration can be read");
        let name = path.file_name().and_then(|name| name.to_str()).expect("a migration has a UTF-8 name");
        let (version, description) = name
            .strip_suffix(".sql")
            .and_then(|stem| stem.split_once('_'))
            .filter(|(version, _)| version.parse::<i64>().is_ok())
            .unwrap_or_else(|| panic!("migrations/{name} is not named <version>_<description>.sql"));
        entries.push(format!("    ({version}, {:?}, include_str!({path:?})),\n", description.replace('_', " ")));
    }
    entries.sort();
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("migrations.rs");
    fs::write(out, format!("&[\n{}]\n", entries.concat())).expect("OUT_DIR can be written");
}
