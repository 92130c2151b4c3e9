//! One-time messages: what a request did, said by the page that its redirect leads to and by no other.
//!
//! A redirect sets a cookie; the page that it leads to shows the message and deletes the cookie. No address holds a message,
//! so a bookmark, a reload or a shared link never says that something happened. The cookie is named after the page's path, so
//! that two tabs do not take each other's messages; its value is a closed code, never text; and it expires after a minute. A
//! cookie works without JavaScript, before a session exists, and when the database cannot be written.

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

/// How long a message waits for its page.
const LIFETIME: Duration = Duration::seconds(60);

/// A message on its way, in a response's extensions until [`set_cookie`] makes a cookie of it.
#[derive(Clone)]
struct Pending {
    path: String,
    notice: Notice,
}

/// Redirects the browser to `address`, where `notice` is shown once.
pub fn redirect(address: &str, notice: Notice) -> Response {
    let mut response = Redirect::to(address).into_response();
    let path = address.split(['?', '#']).next().unwrap_or(address).to_owned();
    response.extensions_mut().insert(Pending { path, notice });
    response
}

/// Sets the cookie of a message that a handler has sent with [`redirect`].
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

/// Takes the message that waits for the page that a person opens. What a script fetches takes none: the page that it
/// belongs to is still to come.
pub fn take(parts: &Parts, web: &Web) -> Option<Notice> {
    if parts.method != Method::GET || !visit::is_by_a_person(parts) || parts.headers.contains_key("sec-purpose") {
        return None;
    }
    let path = visit::original_path(&parts.extensions);
    let cookies = parts.extensions.get::<Cookies>()?;
    let cookie = cookie(web, path, "").build();
    let notice = Notice::from_code(cookies.get(cookie.name())?.value());
    // Whatever it held, it is not read again.
    cookies.remove(cookie);
    notice
}

fn cookie<'a>(web: &Web, path: &str, code: &'static str) -> tower_cookies::cookie::CookieBuilder<'a> {
    let is_https = web.is_https(Area::of(path));
    // A browser takes a cookie whose name begins with `__Host-` from this host only, over https.
    let mut name = if is_https { "__Host-nuvera-notice-" } else { "nuvera-notice-" }.to_owned();
    for byte in &digest(&SHA256, path.as_bytes()).as_ref()[..8] {
        let _ = write!(name, "{byte:02x}");
    }
    Cookie::build((name, code)).http_only(true).secure(is_https).same_site(SameSite::Lax).path("/")
}
