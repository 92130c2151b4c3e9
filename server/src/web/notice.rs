//! One-time messages (flash messages): the result of a request, shown only by the page to which it redirects.
//!
//! A redirect sets a cookie; the page that it leads to shows the message and deletes the cookie. No URL contains a
//! message, so a bookmark, a reload or a shared link never shows one. The cookie's name is derived from the page's
//! path, so that two tabs do not take each other's messages; its value is one of a fixed set of codes, never text; and
//! it expires after a minute. A cookie works without JavaScript, before a session exists, and when the database cannot
//! be written.

use super::{Web, visit};
use app::{page::Notice, paths::Area};
use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use std::{fmt::Write, sync::Arc};
use tower_cookies::{
    Cookie, Cookies,
    cookie::{SameSite, time::Duration},
};

/// How long a message is kept for its page.
const LIFETIME: Duration = Duration::seconds(60);

/// A message in a response's extensions, for which [`set_cookie`] sets the cookie.
#[derive(Clone)]
struct Pending {
    path: String,
    notice: Notice,
}

/// Redirects to `address`, which shows `notice` once.
pub fn redirect(address: &str, notice: Notice) -> Response {
    let mut response = Redirect::to(address).into_response();
    let path = address.split(['?', '#']).next().unwrap_or(address).to_owned();
    response.extensions_mut().insert(Pending { path, notice });
    response
}

/// Middleware that sets the cookie of a message sent with [`redirect`].
pub async fn set_cookie(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(Pending { path, notice }) = response.extensions_mut().remove::<Pending>() {
        let cookie = cookie(&web, &path, notice.code()).max_age(LIFETIME).build();
        if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}

/// Takes the message for a page that a user opens. A request by a script or a prefetch takes none, because the page
/// that should show the message has not been opened yet.
pub fn take(parts: &Parts, web: &Web) -> Option<Notice> {
    if parts.method != Method::GET || !visit::is_by_a_person(parts) || parts.headers.contains_key("sec-purpose") {
        return None;
    }
    let path = visit::original_path(&parts.extensions);
    let cookies = parts.extensions.get::<Cookies>()?;
    let cookie = cookie(web, path, "").build();
    let notice = Notice::from_code(cookies.get(cookie.name())?.value());
    // Deleted whether or not its value is valid.
    cookies.remove(cookie);
    notice
}

fn cookie<'a>(web: &Web, path: &str, code: &'static str) -> tower_cookies::cookie::CookieBuilder<'a> {
    let is_https = web.is_https(Area::of(path));
    // A browser accepts a cookie with the prefix `__Host-` from this host only, over https.
    let mut name = if is_https { "__Host-nuvera-notice-" } else { "nuvera-notice-" }.to_owned();
    for byte in &digest(&SHA256, path.as_bytes()).as_ref()[..8] {
        let _ = write!(name, "{byte:02x}");
    }
    Cookie::build((name, code)).http_only(true).secure(is_https).same_site(SameSite::Lax).path("/")
}
