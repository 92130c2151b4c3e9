//! Signing in and out.

use super::{
    Web, render,
    security::{ClientAddress, RequestId},
    submitted::Submitted,
    visit::{self, Interruption, Unsent, Visit},
};
use crate::backend::{BackendError, accounts::SignIn};
use app::{
    page::{FieldError, Notice, Page, PageContext},
    paths,
};
use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Query, Request, State},
    http::{Extensions, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use domain::{actor::ActorKind, id::UserId};
use serde::Deserialize;
use std::sync::Arc;
use tower_sessions::Session;

/// What the sign-in page is asked for with.
#[derive(Deserialize)]
pub struct After {
    /// Where to go afterwards.
    pub next: Option<String>,
}

/// `/`: to the place where this person's work is.
pub async fn home(visit: Visit) -> Redirect {
    Redirect::to(home_of(visit.actor.kind()))
}

/// The place where the work of people on this side is.
pub fn home_of(side: ActorKind) -> &'static str {
    match side {
        ActorKind::Nuvera => paths::ORGANIZATION_HUB,
        ActorKind::Partner => paths::APPLICATIONS,
    }
}

/// Shows the sign-in page; somebody who is signed in already goes on.
pub async fn form(State(web): State<Arc<Web>>, Query(After { next }): Query<After>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let notice = visit::notice(&mut parts, &web).await;
    let context = PageContext { notice, ..visit::context_without_session(&web) };
    match visit::actor(&mut parts, &web).await {
        Ok(Some(_)) => Redirect::to(&own_path(next.as_deref())).into_response(),
        Ok(None) => render::page(StatusCode::OK, Page::SignIn { next, unsent: None }, context).await,
        Err(error) => visit::failure(error, context, &parts.extensions).await,
    }
}

/// Checks the password, and begins a session under a new id.
pub async fn sign_in(State(web): State<Arc<Web>>, session: Session, request: Request) -> Response {
    let extensions = request.extensions().clone();
    let address = extensions.get::<ClientAddress>().and_then(|address| address.0);
    let sent = match Submitted::from_request(request, &()).await {
        Ok(sent) => sent,
        Err(never) => match never {},
    };
    let field = |name: &str| Some(sent.text(name).to_owned()).filter(|text| !text.is_empty());
    let (next, waiting) = (field("next"), field("unsent"));
    let again = async |status, field: Option<&'static str>, problem: String| {
        let (errors, form_error) = match field {
            Some(field) => (vec![FieldError { field, message: problem }], None),
            None => (Vec::new(), Some(problem)),
        };
        let submission = sent.clone().submission(errors, form_error);
        let context = PageContext { submission, ..visit::context_without_session(&web) };
        render::page(status, Page::SignIn { next: next.clone(), unsent: waiting.clone() }, context).await
    };
    for (field, what) in [("email", "your e-mail address"), ("password", "your password")] {
        if sent.text(field).trim().is_empty() {
            return again(StatusCode::UNPROCESSABLE_ENTITY, Some(field), format!("Enter {what}.")).await;
        }
    }
    let outcome = web.backend.sign_in(sent.text("email"), sent.text("password").to_owned(), address).await;
    let request_id = extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    match outcome {
        Ok(SignIn::Accepted(user_id)) => {
            tracing::info!(request_id, user = %user_id, "signed in");
            go_on(&web, &session, user_id, next.as_deref(), waiting.as_deref(), &extensions).await
        }
        Ok(SignIn::CustomerRefused) => {
            tracing::warn!(request_id, "a customer-platform user was refused");
            render::page(StatusCode::FORBIDDEN, Page::CustomerRefused, visit::context_without_session(&web)).await
        }
        Ok(SignIn::Refused) => {
            tracing::warn!(request_id, "a sign-in was refused");
            let problem = "The e-mail address and the password do not belong together. Check both.".to_owned();
            again(StatusCode::UNPROCESSABLE_ENTITY, None, problem).await
        }
        Err(error @ BackendError::Throttled(wait)) => {
            tracing::warn!(request_id, "a sign-in was throttled");
            let response = again(StatusCode::TOO_MANY_REQUESTS, None, error.to_string()).await;
            visit::retry_after(response, wait)
        }
        Err(error) => visit::failure(error, visit::context_without_session(&web), &extensions).await,
    }
}

/// Where every way of signing in ends: the session begins, and the way leads to where they wanted to go, with the form
/// that waited for it.
pub async fn go_on(
    web: &Web,
    session: &Session,
    user_id: UserId,
    next: Option<&str>,
    waiting: Option<&str>,
    extensions: &Extensions,
) -> Response {
    let next = own_path(next);
    let begun = async {
        visit::begin(session, user_id, web.backend.clock().now()).await?;
        match waiting {
            Some(form) => visit::keep_unsent(session, unsent(&next, form, Interruption::SignedOut)).await,
            None => Ok(()),
        }
    };
    match begun.await {
        Ok(()) => Redirect::to(&next).into_response(),
        Err(error) => {
            let error = BackendError::Session(error.to_string());
            visit::failure(error, visit::context_without_session(web), extensions).await
        }
    }
}

/// The most bytes of a form that wait for a sign-in.
const MAX_UNSENT_BYTES: usize = 64 * 1024;

/// Lets a form that comes without a session wait on the sign-in page: whoever was signed out while they filled it in
/// finds it as it was. It is nowhere but on that page until somebody has signed in.
pub async fn keep_unsent(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if request.method() != Method::POST || [paths::SIGN_IN, paths::SIGN_OUT, paths::INVITATION].contains(&&*path) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match visit::actor(&mut parts, &web).await {
        Ok(None) => {}
        Ok(Some(actor)) => {
            // The page need not look again.
            parts.extensions.insert(actor);
            return next.run(Request::from_parts(parts, body)).await;
        }
        // Where nobody can tell, the page itself says what is wrong.
        Err(_) => return next.run(Request::from_parts(parts, body)).await,
    }
    let sent = to_bytes(body, MAX_UNSENT_BYTES).await.ok().map(|body| Submitted::parse(&body));
    let page = match sent {
        // Two interruptions, one form: it goes on waiting.
        Some(sent) if path == paths::CONFIRM => {
            let field = |name: &str| Some(sent.text(name).to_owned()).filter(|text| !text.is_empty());
            Page::SignIn { next: field("next"), unsent: field("unsent") }
        }
        sent => Page::SignIn { next: Some(path), unsent: sent.map(Submitted::waiting) },
    };
    render::page(StatusCode::FORBIDDEN, page, visit::context_without_session(&web)).await
}

/// Ends the session.
pub async fn sign_out(State(web): State<Arc<Web>>, session: Session, request: Request) -> Response {
    match session.flush().await {
        Ok(()) => visit::redirect(paths::SIGN_IN, Notice::SignedOut),
        Err(error) => {
            let error = BackendError::Session(error.to_string());
            visit::failure(error, visit::context_without_session(&web), request.extensions()).await
        }
    }
}

/// There is no such page. Who is signed in sees it with their name on top.
pub async fn not_found(State(web): State<Arc<Web>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let context = match Visit::from_request_parts(&mut parts, &web).await {
        Ok(visit) => visit.context(),
        Err(_) => visit::context_without_session(&web),
    };
    render::page(StatusCode::NOT_FOUND, Page::NotFound, context).await
}

/// A form that comes back from a page that had to come first.
pub fn unsent(path: &str, form: &str, why: Interruption) -> Unsent {
    Unsent { path: path.to_owned(), values: Submitted::parse(form.as_bytes()).shown_again(), why }
}

/// A path of this console, or its home: never another site's address.
pub fn own_path(next: Option<&str>) -> String {
    let is_own = |path: &&str| {
        path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\r', '\n', '\t', '\0'])
    };
    next.filter(is_own).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn the_way_back_never_leaves_the_console() {
        assert_eq!(own_path(Some("/settings?x=1")), "/settings?x=1");
        for elsewhere in ["https://evil.example", "//evil.example", "/\\evil.example", "\\/evil", "/a\nb", ""] {
            assert_eq!(own_path(Some(elsewhere)), "/", "{elsewhere}");
        }
    }
}
