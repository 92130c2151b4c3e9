//! Writes every page, in the states that matter, to `target/preview/`, to be looked at in a browser:
//! `cargo run -p app --features ssr --example preview`.

mod samples;

use hydration_context::SsrSharedContext;
use leptos::{
    nonce::provide_nonce,
    prelude::{Owner, RenderHtml},
};
use std::{error::Error, fs, path::Path, sync::Arc};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = root.join("target/preview");
    fs::create_dir_all(&target)?;
    let mut index = String::from("<!DOCTYPE html><title>Preview</title><ul>");
    for (name, context, page) in samples::all()? {
        let owner = Owner::new_root(Some(Arc::new(SsrSharedContext::new())));
        let html = owner.with(|| {
            provide_nonce();
            app::pages::document(context, page).to_html()
        });
        // The pages ask for `/assets/main.css`; from a file, the style sheet's source is beside them.
        let html = html.replace("href=\"/assets/main.css\"", "href=\"../../style/main.css\"");
        fs::write(target.join(format!("{name}.html")), html)?;
        index += &format!("<li><a href=\"{name}.html\">{name}</a></li>");
    }
    fs::write(target.join("index.html"), index + "</ul>")?;
    Ok(())
}
