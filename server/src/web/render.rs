//! Renders pages as responses.

use app::{
    page::{Page, PageContext},
    pages::document,
};
use axum::{
    body::Body,
    http::{HeaderValue, Request, StatusCode, header},
    response::Response,
};
use leptos::{nonce::Nonce, prelude::*};
use leptos_axum::handle_response_inner;

/// Renders `page`, with a content security policy that allows only what this page needs.
pub async fn page(status: StatusCode, page: Page, context: PageContext) -> Response {
    let nonce = Nonce::new();
    let policy = policy(&page, &nonce, &context.gateway_url);
    let mut response = handle_response_inner(
        move || provide_context(nonce.clone()),
        move || document(context, page),
        // Pages do not read the request: everything that they show has been loaded before.
        Request::new(Body::empty()),
        // The chunks that Leptos would send after the page carry the resources of a hydrated app. There are none here,
        // and the policy of a page without scripts would block their inline script.
        |view, _chunks, _| {
            Box::pin(async move {
                let html = view.to_html();
                Box::pin(futures::stream::once(async move { html })) as _
            })
        },
    )
    .await;
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn policy(page: &Page, nonce: &Nonce, gateway_url: &str) -> String {
    let mut policy =
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'"
            .to_owned();
    if page.runs_wasm() {
        policy +=
            &format!("; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'");
        // This page can send a test request to the gateway.
        if matches!(page, Page::OneTimeKey { .. }) {
            policy += &format!(" {gateway_url}");
        }
    }
    policy
}
