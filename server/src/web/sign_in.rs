//! Signing in and out.

use super::{
    Web, notice, render, second_factor,
    security::{ClientAddress, RequestId},
    submitted::Submitted,
    visit::{self, Interruption, Unsent, Visit},
};
use crate::backend::{
    BackendError,
    accounts::{Entrant, SignIn},
};
use app::{
    page::{FieldError, Notice, Page, PageContext},
    paths::Area,
};
use axum::{
    extract::{FromRequest, FromRequestParts, Query, Request, State},
    http::{self, Extensions, StatusCode},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    actor::Actor,
    sign_in::{Method, Outcome},
};
use serde::Deserialize;
use std::sync::Arc;
use tower_sessions::Session;

/// The query parameters of the sign-in page.
#[derive(Deserialize)]
pub struct After {
    /// The path to continue to after signing in.
    pub next: Option<String>,
}

/// Redirects `/` to the home page of the user's area.
pub async fn home(visit: Visit) -> Redirect {
    Redirect::to(visit.place.area().home())
}

/// Shows an area's sign-in page. Redirects a user who is already signed in to it.
pub async fn form(State(web): State<Arc<Web>>, Query(After { next }): Query<After>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let area = visit::area(&parts.extensions);
    let notice = notice::take(&parts, &web);
    let context = PageContext { notice, ..visit::context_without_session(&web, area) };
    match visit::actor(&mut parts, &web).await {
        Ok(Some(_)) => Redirect::to(&own_path(next.as_deref(), area)).into_response(),
        Ok(None) => render::page(StatusCode::OK, Page::SignIn { next, unsent: None }, context).await,
        Err(error) => visit::failure(error, context, &parts.extensions).await,
    }
}

/// Verifies the password, and begins a session under a new id.
pub async fn sign_in(State(web): State<Arc<Web>>, session: Session, request: Request) -> Response {
    let extensions = request.extensions().clone();
    let area = visit::area(&extensions);
    let sent = match Submitted::from_request(request, &()).await {
        Ok(sent) => sent,
        Err(never) => match never {},
    };
    let field = |name: &str| Some(sent.text(name).to_owned()).filter(|text| !text.is_empty());
    let (next, waiting) = (field("next"), field("unsent").as_deref().map(Submitted::still_waiting));
    let again = async |status, field: Option<&'static str>, problem: String| {
        let (errors, form_error) = match field {
            Some(field) => (vec![FieldError { field, message: problem }], None),
            None => (Vec::new(), Some(problem)),
        };
        let submission = sent.clone().submission(errors, form_error);
        let context = PageContext { submission, ..visit::context_without_session(&web, area) };
        render::page(status, Page::SignIn { next: next.clone(), unsent: waiting.clone() }, context).await
    };
    for (field, what) in [("email", "your e-mail address"), ("password", "your password")] {
        if sent.text(field).trim().is_empty() {
            return again(StatusCode::UNPROCESSABLE_ENTITY, Some(field), format!("Enter {what}.")).await;
        }
    }
    let client = visit::client(&web, &extensions);
    let outcome = web.backend.sign_in(sent.text("email"), sent.text("password").to_owned(), &client).await;
    let request_id = extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    match outcome {
        Ok(SignIn::Accepted(entrant)) => {
            go_on(&web, &session, entrant, Method::Password, next.as_deref(), waiting.as_deref(), &extensions).await
        }
        Ok(SignIn::FactorNeeded(entrant)) => {
            tracing::info!(request_id, user = %entrant.user_id, "a second factor is asked for");
            second_factor::ask(&web, &session, entrant, next.as_deref(), waiting.as_deref(), &extensions).await
        }
        Ok(SignIn::CustomerRefused) => {
            tracing::warn!(request_id, "a customer-platform user was refused");
            render::page(StatusCode::FORBIDDEN, Page::CustomerRefused, visit::context_without_session(&web, area)).await
        }
        Ok(SignIn::Refused) => {
            tracing::warn!(request_id, "a sign-in was refused");
            let recorded =
                web.backend.record_refused(sent.text("email"), Outcome::Refused, Method::Password, client).await;
            if let Err(error) = recorded {
                tracing::error!(request_id, %error, "a refused sign-in could not be recorded");
            }
            let problem = "The e-mail address and the password do not belong together. Check both.".to_owned();
            again(StatusCode::UNPROCESSABLE_ENTITY, None, problem).await
        }
        Err(error @ BackendError::Throttled(wait)) => {
            tracing::warn!(request_id, "a sign-in was throttled");
            let response = again(StatusCode::TOO_MANY_REQUESTS, None, error.to_string()).await;
            visit::retry_after(response, wait)
        }
        Err(error) => visit::failure_without_session(&web, error, &extensions).await,
    }
}

/// The common end of every way of signing in: begins the session and redirects to the requested page, with its deferred
/// form. A user of the other area is referred to that area's sign-in page instead.
pub async fn go_on(
    web: &Web,
    session: &Session,
    entrant: Entrant,
    method: Method,
    next: Option<&str>,
    waiting: Option<&str>,
    extensions: &Extensions,
) -> Response {
    let area = visit::area(extensions);
    let next = own_path(next, area);
    let user_id = entrant.user_id;
    let request_id = extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let address = extensions.get::<ClientAddress>().and_then(|address| address.0);
    let begun = async {
        let actor = web.backend.actor(user_id, address).await?.ok_or(BackendError::NotFound)?;
        if let Some(page) = other_door(web, &actor, method, extensions).await? {
            return Ok(Some(page));
        }
        visit::begin(web, session, &actor, entrant, method, extensions).await?;
        if let Some(form) = waiting {
            let unsent = unsent(&next, form, Interruption::SignedOut);
            visit::keep_unsent(session, unsent).await?;
        }
        Ok(None)
    };
    match begun.await {
        Ok(None) => {
            tracing::info!(request_id, user = %user_id, "signed in");
            Redirect::to(&next).into_response()
        }
        Ok(Some(page)) => {
            tracing::warn!(request_id, user = %user_id, "a sign-in at the other area's door was refused");
            render::page(StatusCode::FORBIDDEN, page, visit::context_without_session(web, area)).await
        }
        Err(BackendError::NotFound) => begin_anew(web, session, extensions).await,
        Err(error) => visit::failure_without_session(web, error, extensions).await,
    }
}

/// Restarts the sign-in of a user who was removed or whose sign-ins were all ended meanwhile: their accepted
/// credentials no longer count.
pub async fn begin_anew(web: &Web, session: &Session, extensions: &Extensions) -> Response {
    let area = visit::area(extensions);
    match session.flush().await {
        Ok(()) => visit::redirect(area.sign_in(), Notice::SignInEnded),
        Err(error) => visit::failure_without_session(web, error, extensions).await,
    }
}

/// Returns the page that refers a user of the other area to its sign-in page. It is only shown after credentials were
/// accepted, so the attempt is recorded in the user's sign-in history.
///
/// # Errors
/// The database fails.
pub async fn other_door(
    web: &Web,
    actor: &Actor,
    method: Method,
    extensions: &Extensions,
) -> Result<Option<Page>, BackendError> {
    let theirs = Area::of_side(actor.kind());
    if theirs == visit::area(extensions) {
        return Ok(None);
    }
    let client = visit::client(web, extensions);
    web.backend.record_attempt(actor.user_id, Outcome::OtherDoor, method, client).await?;
    // If both areas have the same origin, the path is sufficient.
    let origin = web.settings.hub_origin.as_ref().map_or("", |_| web.origin(theirs));
    Ok(Some(Page::OtherDoor { theirs, href: format!("{origin}{}", theirs.sign_in()) }))
}

/// Keeps a form that is submitted without a session on the sign-in page, so that a user who was signed out while
/// filling it in does not lose it. Until they have signed in, the form is stored nowhere else.
pub async fn keep_unsent(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let path = visit::original_path(request.extensions()).to_owned();
    let area = Area::of(&path);
    if request.method() != http::Method::POST {
        return next.run(request).await;
    }
    if needs_no_session(&path, area) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    match visit::actor(&mut parts, &web).await {
        Ok(None) => {}
        Ok(Some(actor)) => {
            // The handler does not need to read the session again.
            parts.extensions.insert(actor);
            return next.run(Request::from_parts(parts, body)).await;
        }
        // If the session cannot be read, the handler reports the error.
        Err(_) => return next.run(Request::from_parts(parts, body)).await,
    }
    let sent = Submitted::read(body).await;
    let page = if path.starts_with(area.confirm()) {
        // The form was deferred before, and is kept.
        let field = |name: &str| Some(sent.text(name).to_owned()).filter(|text| !text.is_empty());
        Page::SignIn { next: field("next"), unsent: field("unsent").as_deref().map(Submitted::still_waiting) }
    } else {
        Page::SignIn { next: Some(path), unsent: sent.check_size().is_ok().then(|| sent.waiting()) }
    };
    render::page(StatusCode::FORBIDDEN, page, visit::context_without_session(&web, area)).await
}

/// Whether `path` takes a form that needs no session, such as those for signing in and out.
fn needs_no_session(path: &str, area: Area) -> bool {
    let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
    [area.sign_out(), area.invitation(), area.reset()].contains(&path)
        || path.strip_prefix(area.sign_in()).is_some_and(is_below)
}

/// Ends the session.
pub async fn sign_out(State(web): State<Arc<Web>>, session: Session, request: Request) -> Response {
    let area = visit::area(request.extensions());
    match visit::end(&web, &session, area).await {
        Ok(()) => visit::redirect(area.sign_in(), Notice::SignedOut),
        Err(error) => visit::failure_without_session(&web, error, request.extensions()).await,
    }
}

/// Shows the "not found" page, with the user's name if they are signed in.
pub async fn not_found(State(web): State<Arc<Web>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let context = match Visit::from_request_parts(&mut parts, &web).await {
        Ok(visit) => visit.context(),
        Err(_) => visit::context_without_session(&web, visit::area(&parts.extensions)),
    };
    render::page(StatusCode::NOT_FOUND, Page::NotFound, context).await
}

/// Restores a form that was deferred because another page had to come first.
pub fn unsent(path: &str, form: &str, why: Interruption) -> Unsent {
    Unsent { path: path.to_owned(), values: Submitted::parse(form.as_bytes()).shown_again(), why }
}

/// Returns `next` if it is a path of this area, and otherwise the area's home: never the URL of another site, nor a
/// path for which this session is not valid.
pub fn own_path(next: Option<&str>, area: Area) -> String {
    let is_own = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && !path.contains(|c: char| c == '\\' || c.is_control())
            && Area::of(path) == area
    };
    next.filter(is_own).unwrap_or(area.home()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Area, own_path};

    #[test]
    fn the_way_back_never_leaves_the_console() {
        assert_eq!(own_path(Some("/settings?x=1"), Area::Partner), "/settings?x=1");
        assert_eq!(own_path(Some("/organizations?q=x"), Area::Hub), "/organizations?q=x");
        for elsewhere in
            ["https://evil.example", "//evil.example", "/\\evil.example", "\\/evil", "/a\nb", "/\u{85}", ""]
        {
            for area in [Area::Partner, Area::Hub] {
                assert_eq!(own_path(Some(elsewhere), area), area.home(), "{elsewhere}");
            }
        }
    }

    #[test]
    fn nor_does_it_lead_to_the_other_area() {
        assert_eq!(own_path(Some("/organizations/people"), Area::Partner), Area::Partner.home());
        assert_eq!(own_path(Some("/settings/account"), Area::Hub), Area::Hub.home());
    }
}
