//! Static assets. Their names contain a hash of their content, so that they can be cached forever.

use app::page::Assets;
use axum::{Router, http::HeaderValue, http::header};
use serde::Deserialize;
use std::{fs, path::Path};
use tower_http::{services::ServeDir, set_header::SetResponseHeaderLayer};

/// The reason why the static assets cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("--site: {path} cannot be used ({problem}); make the browser's files with `cargo run -p xtask -- site`")]
pub struct SiteError {
    path: String,
    problem: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    app: String,
    style: String,
    keygen_worker: String,
    keydoctor_worker: String,
}

/// Reads the names of the built assets.
///
/// # Errors
/// The manifest is missing or invalid.
pub fn load_assets(site: &Path) -> Result<Assets, SiteError> {
    let path = site.join("assets.json");
    let failed = |problem: String| SiteError { path: path.display().to_string(), problem };
    let text = fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
    let Manifest { app, style, keygen_worker, keydoctor_worker } =
        serde_json::from_str(&text).map_err(|e| failed(e.to_string()))?;
    Ok(Assets { app, style, keygen_worker, keydoctor_worker })
}

/// Serves the assets, compressed as the browser accepts. The content security policy is for the workers, which do not
/// inherit that of the page.
pub fn service(site: &Path) -> Router {
    let files = ServeDir::new(site.join("assets")).precompressed_br().precompressed_gzip();
    let header = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    Router::new()
        .fallback_service(files)
        .layer(SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, cache_control))
        .layer(header(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; frame-ancestors 'none'",
        ))
}

fn cache_control<B>(response: &axum::http::Response<B>) -> Option<HeaderValue> {
    let value = if response.status().is_success() { "public, max-age=31536000, immutable" } else { "no-store" };
    Some(HeaderValue::from_static(value))
}
