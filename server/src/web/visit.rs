//! A signed-in user's request: the actor, the session and the responses.

use super::{
    Web,
    account::is_open_without_factor,
    letters::{self, News, Owner},
    notice, render,
    security::{self, ClientAddress, ClientBrowser, RequestId},
    single_sign_on,
    submitted::{Refused, Submitted, field_of},
};
use crate::{
    backend::{
        Asked, BackendError,
        accounts::Entrant,
        sessions::Client,
        team_events::{TeamChange, TeamMember},
    },
    keyed_limit::KeyedPlace,
    store::{StoreError, sessions::SIGNED_IN},
};
use app::{
    page::{FieldError, Notice, Page, PageContext, Submission, Viewer},
    paths::{self, Area, Place},
};
use axum::{
    extract::{FromRequestParts, OriginalUri, RawPathParams},
    http::{self, Extensions, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use domain::{
    access::{Operation, PROOF_LIFETIME, allows},
    actor::Actor,
    application::{ApiApplication, By, Change, ChangeError},
    id::{OrganizationId, SessionId, UserId},
    sign_in::{Attempt, Method, SignedIn},
};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, str::FromStr, sync::Arc, time::Duration};
use tokio::time::timeout;
use tower_cookies::{
    Cookie, Cookies,
    cookie::{SameSite, time},
};
use tower_sessions::Session;

pub use super::notice::redirect;

/// Time within which the database must identify the actor of an emergency stop.
const IDENTIFIED_WITHIN: Duration = Duration::from_millis(300);
/// Time within which the database must return the organization's name for an emergency stop.
const NAMED_WITHIN: Duration = Duration::from_millis(150);
/// Minimum time between two writes of a session's last use.
const TOUCH_INTERVAL: Duration = Duration::from_secs(60);
/// The key under which a session stores an [`Unsent`] form, until its page is opened again.
const UNSENT: &str = "unsent";

/// The session of a request, and the latest sign-in with a new browser that is not acknowledged in it.
#[derive(Clone)]
struct Here {
    session: SignedIn,
    new_browser: Option<Attempt>,
    /// Whether the database did not respond, and the session comes from the cache of recently seen ones.
    is_from_memory: bool,
}

/// A submitted form that was not processed. It is shown on its page again, from which the user can submit it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unsent {
    /// The path of its page.
    pub path: String,
    /// The input, except for what must not be shown again.
    pub values: Vec<(String, String)>,
    /// The reason why it was not processed.
    pub why: Interruption,
}

/// Reason why a form was not processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interruption {
    /// The session had ended.
    SignedOut,
    /// A re-authentication was required first.
    ProofNeeded,
}

impl Interruption {
    fn words(self) -> &'static str {
        match self {
            Self::SignedOut => {
                "You were signed out before this form was sent, so nothing was changed. Here it is as you left it: check it, then send it again."
            }
            Self::ProofNeeded => {
                "You have confirmed that it is you. Nothing was changed before that: here is the form as you left it. Check it, then send it again."
            }
        }
    }
}

/// A request by a signed-in user.
pub struct Visit {
    /// The state shared by all handlers.
    pub web: Arc<Web>,
    /// The user who made the request.
    pub actor: Actor,
    /// The area, and in the organization hub the organization that is viewed.
    pub place: Place,
    /// The session of the request.
    pub session: SignedIn,
    /// Whether the database did not respond, and the actor comes from the cache of recently seen ones. That is
    /// sufficient only for an emergency stop.
    pub is_from_memory: bool,
    new_browser: Option<Attempt>,
    notice: Option<Notice>,
    /// A form of this page that was not processed before.
    unsent: Option<Unsent>,
    /// The named parameters of the path.
    params: HashMap<String, String>,
    extensions: Extensions,
    /// The request's slot among the user's concurrent requests.
    in_progress: Option<KeyedPlace<UserId>>,
}

impl FromRequestParts<Arc<Web>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Self, Response> {
        let extensions = parts.extensions.clone();
        let area = area(&extensions);
        let actor = match actor(parts, web).await {
            Ok(Some(actor)) => actor,
            // Status 204 stops the browser from reconnecting (HTML, 9.2.3); it would report the sign-in page as an
            // error.
            Ok(None) if asks_for_events(parts) => return Err(StatusCode::NO_CONTENT.into_response()),
            Ok(None) => return Err(Redirect::to(&with_next(area.sign_in(), &extensions)).into_response()),
            Err(error) => return Err(failure_without_session(web, error, &extensions).await),
        };
        if actor.lacks_factor() && !is_open_without_factor(original_path(&extensions)) {
            let set_up = with_next(&area.account_action("second-factor"), &extensions);
            return Err(Redirect::to(&set_up).into_response());
        }
        let in_progress = web.in_progress.enter(actor.user_id);
        if in_progress.is_none() && !is_emergency_stop(original_path(&extensions)) {
            return Err(too_many_requests());
        }
        let notice = notice::take(parts, web);
        // The extraction fails for a route without parameters, which is not an error here.
        let params = RawPathParams::from_request_parts(parts, web).await.map_or_else(
            |_| HashMap::new(),
            |params| params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        );
        let place = Place::of(area);
        // An actor always comes with a session. If it is missing nevertheless, the user has to sign in.
        let Some(Here { session, new_browser, is_from_memory }) = parts.extensions.get::<Here>().cloned() else {
            return Err(Redirect::to(&with_next(area.sign_in(), &extensions)).into_response());
        };
        let unsent = if is_from_memory { None } else { take_unsent(parts, web).await };
        let web = web.clone();
        let mut visit = Self {
            web,
            actor,
            place,
            session,
            is_from_memory,
            new_browser,
            notice,
            unsent,
            params,
            extensions,
            in_progress,
        };
        if visit.params.contains_key("organization") {
            match visit.hub_place().await {
                Ok(place) => visit.place = place,
                Err(error) => return Err(failure(error, visit.context(), &visit.extensions).await),
            }
        }
        Ok(visit)
    }
}

/// Starts the session of a user who has signed in at their own area's sign-in page. It has a new id and keeps nothing
/// from before. The user is notified if they have never signed in with this browser.
///
/// # Errors
/// [`BackendError::NotFound`] if all of the user's sign-ins were ended meanwhile; the session store or the database
/// fails.
pub async fn begin(
    web: &Web,
    session: &Session,
    actor: &Actor,
    entrant: Entrant,
    method: Method,
    extensions: &Extensions,
) -> Result<(), BackendError> {
    let area = Area::of_side(actor.kind());
    let replaced = session_id(session).await?;
    let client = client(web, extensions);
    let begun = web.backend.begin_session(entrant, actor.kind(), method, client.clone(), replaced).await?;
    session.clear().await;
    session.cycle_id().await?;
    session.insert(SIGNED_IN, begun.id).await?;
    if let Some(cookies) = extensions.get::<Cookies>() {
        let cookie = Cookie::build((browser_cookie(web, area), begun.token))
            .http_only(true)
            .secure(web.is_https(area))
            .same_site(SameSite::Lax)
            .path("/")
            // The longest lifetime that browsers allow.
            .max_age(time::Duration::days(400));
        cookies.add(cookie.build());
    }
    if begun.is_new_browser {
        letters::tell(web, actor.into(), News::NewBrowser(method), &client);
    }
    Ok(())
}

/// Records that the signed-in user has just re-authenticated, and changes the session's id.
///
/// # Errors
/// The session store or the database fails.
pub async fn prove(web: &Web, session: &Session) -> Result<(), BackendError> {
    // If the session has ended meanwhile, the user has to sign in again.
    let Some(id) = session_id(session).await? else { return Ok(()) };
    session.cycle_id().await?;
    web.backend.prove_session(id).await
}

/// Returns the client's network address, browser and browser cookie.
pub fn client(web: &Web, extensions: &Extensions) -> Client {
    let name = browser_cookie(web, area(extensions));
    let cookie = extensions.get::<Cookies>().and_then(|cookies| cookies.get(name));
    Client {
        address: extensions.get::<ClientAddress>().and_then(|address| address.0),
        browser: extensions.get::<ClientBrowser>().map(|browser| browser.0.clone()).unwrap_or_default(),
        token: cookie.map(|cookie| cookie.value().to_owned()),
    }
}

/// Returns the name of the cookie by which a known browser is recognised.
fn browser_cookie(web: &Web, area: Area) -> &'static str {
    if web.is_https(area) { "__Host-nuvera-browser" } else { "nuvera-browser" }
}

/// Ends the session of a cookie in this area.
///
/// # Errors
/// The session store or the database fails.
pub async fn end(web: &Web, session: &Session, area: Area) -> Result<(), BackendError> {
    if let Some(id) = session_id(session).await? {
        web.backend.close_session(id, area.side()).await?;
    }
    Ok(session.flush().await?)
}

/// Returns the id of the session that the cookie refers to.
async fn session_id(session: &Session) -> Result<Option<SessionId>, BackendError> {
    Ok(session.get(SIGNED_IN).await?)
}

/// Stores a form for its page, which shows it when it is opened next.
///
/// # Errors
/// The session store fails.
pub async fn keep_unsent(session: &Session, unsent: Unsent) -> Result<(), BackendError> {
    Ok(session.insert(UNSENT, unsent).await?)
}

/// Takes the stored form for this page. A form of another page is deleted, because the user went elsewhere.
async fn take_unsent(parts: &mut Parts, web: &Arc<Web>) -> Option<Unsent> {
    if parts.method != http::Method::GET {
        return None;
    }
    // A session without a form is not modified, and one that cannot be read is treated as having none.
    let session = Session::from_request_parts(parts, web).await.ok()?;
    let waiting = session.get::<Unsent>(UNSENT).await.ok()??;
    let path = original_path(&parts.extensions);
    // Pages for setting up a required second factor come first, and must not delete the form.
    if waiting.path != path && is_open_without_factor(path) {
        return None;
    }
    let unsent = session.remove::<Unsent>(UNSENT).await.ok()??;
    (unsent.path == path).then_some(unsent)
}

/// Returns the context of a page of `area` that does not depend on a user.
pub fn context_without_session(web: &Web, area: Area) -> PageContext {
    PageContext {
        viewer: None,
        place: Place::of(area),
        assets: web.settings.assets.clone(),
        now: web.backend.clock().now(),
        gateway_url: web.settings.gateway_origin.clone(),
        uses_passkeys: web.backend.uses_passkeys(area.side()),
        notice: None,
        new_browser: None,
        is_suspended: false,
        submission: Submission::default(),
        providers: single_sign_on::providers(web, area),
    }
}

/// Returns the user who is signed in to this area, if any: the session must not have expired, and the user must still
/// exist.
///
/// # Errors
/// The database fails.
pub async fn actor(parts: &mut Parts, web: &Arc<Web>) -> Result<Option<Actor>, BackendError> {
    if let Some(known) = parts.extensions.get::<Actor>() {
        return Ok(Some(known.clone()));
    }
    if !is_emergency_stop(original_path(&parts.extensions)) {
        return actor_in_database(parts, web).await;
    }
    let failed = match timeout(IDENTIFIED_WITHIN, actor_in_database(parts, web)).await {
        Ok(Err(error @ (BackendError::Store(_) | BackendError::Session(_)))) => error,
        Ok(answered) => return answered,
        Err(_) => StoreError::Stalled.into(),
    };
    let session = Session::from_request_parts(parts, web).await.ok();
    let remembered = session.and_then(|session| session.id()).and_then(|id| web.backend.authority().find(id.0));
    let Some((here, actor)) = remembered.filter(|(here, _)| here.side == area(&parts.extensions).side()) else {
        return Err(failed);
    };
    tracing::warn!(user = %actor.user_id, error = %failed, "the database does not say who asks for an emergency stop; their session was seen lately");
    let address = parts.extensions.get::<ClientAddress>().and_then(|address| address.0);
    parts.extensions.insert(Here { session: here, new_browser: None, is_from_memory: true });
    security::identified(&parts.extensions, &actor);
    Ok(Some(Actor { address, ..actor }))
}

/// Whether a path is that of an emergency stop, its page or its form, which must work without the database.
fn is_emergency_stop(path: &str) -> bool {
    let is_of_signing_key = path.starts_with(paths::HUB_SIGNING_KEYS) && path.ends_with("/stop");
    path.ends_with("/disable") || path.ends_with("/stop-everything") || is_of_signing_key
}

async fn actor_in_database(parts: &mut Parts, web: &Arc<Web>) -> Result<Option<Actor>, BackendError> {
    let Ok(session) = Session::from_request_parts(parts, web).await else { return Ok(None) };
    let authority = web.backend.authority();
    let epoch = authority.epoch();
    let cookie = session.id().map(|id| id.0);
    let forget = || cookie.into_iter().for_each(|cookie| authority.forget_cookie(cookie));
    let Some(id) = session_id(&session).await? else {
        forget();
        return Ok(None);
    };
    let area = area(&parts.extensions);
    let Some((here, new_browser)) = web.backend.session(id, area.side()).await? else {
        forget();
        return Ok(None);
    };
    let now = web.backend.clock().now();
    let address = parts.extensions.get::<ClientAddress>().and_then(|address| address.0);
    let is_proven = now.since(here.proven_at) < PROOF_LIFETIME;
    let actor = web.backend.actor(here.user_id, address).await?;
    let actor =
        actor.filter(|actor| actor.kind() == area.side()).map(|actor| Actor { is_proven, session: Some(id), ..actor });
    match (cookie, &actor) {
        (Some(cookie), Some(actor)) => authority.remember(epoch, cookie, &here, actor),
        _ => forget(),
    }
    // An emergency stop must not wait for this write.
    let is_touched = is_by_a_person(parts) && !is_emergency_stop(original_path(&parts.extensions));
    if actor.is_some() && is_touched && now.since(here.used_at) >= TOUCH_INTERVAL {
        web.backend.touch_session(id, address).await;
    }
    parts.extensions.insert(Here { session: here, new_browser, is_from_memory: false });
    actor.iter().for_each(|actor| security::identified(&parts.extensions, actor));
    Ok(actor)
}

/// Whether the client requests a stream of server-sent events.
fn asks_for_events(parts: &Parts) -> bool {
    parts.headers.get(header::ACCEPT).is_some_and(|accepted| accepted == "text/event-stream")
}

/// Whether the user triggered the request. Requests that a page makes to stay up to date do not keep a session alive
/// (Fetch Metadata: their destination is `empty`, that of a page or a form is `document`).
pub fn is_by_a_person(parts: &Parts) -> bool {
    parts.headers.get("sec-fetch-dest").is_none_or(|destination| destination != "empty")
}

/// Responds like [`failure`] when no user is signed in.
pub async fn failure_without_session(web: &Web, error: impl Into<BackendError>, extensions: &Extensions) -> Response {
    failure(error.into(), context_without_session(web, area(extensions)), extensions).await
}

/// Returns the response to a failed use case that has no form to show again.
pub async fn failure(error: BackendError, context: PageContext, extensions: &Extensions) -> Response {
    let (status, page) = match error {
        BackendError::NotFound => (StatusCode::NOT_FOUND, Page::NotFound),
        BackendError::Forbidden => (StatusCode::FORBIDDEN, Page::Forbidden),
        BackendError::ProofNeeded => {
            return Redirect::to(&with_next(area(extensions).confirm(), extensions)).into_response();
        }
        BackendError::AlreadyCreated(id) => return Redirect::to(&Place::Settings.application(id)).into_response(),
        error => {
            let request_id = request_id(extensions);
            tracing::error!(request_id, %error, "a request failed");
            (StatusCode::SERVICE_UNAVAILABLE, Page::Unavailable { request_id })
        }
    };
    render::page(status, page, context).await
}

fn request_id(extensions: &Extensions) -> String {
    extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
}

fn too_many_requests() -> Response {
    let text = "Too many requests of yours are in progress. Wait a second, then try again.\n";
    retry_after((StatusCode::TOO_MANY_REQUESTS, text).into_response(), Duration::from_secs(1))
}

/// Adds `Retry-After` to a response.
pub fn retry_after(mut response: Response, wait: Duration) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, wait.as_secs().max(1).into());
    response
}

impl Visit {
    /// Releases the request's slot among the user's concurrent requests, for a request that stays open without doing
    /// work.
    pub fn release_place(&mut self) {
        self.in_progress = None;
    }

    /// Reloads the user during a long response, so that a removal, a role change or the end of the session in the
    /// meantime is honoured.
    ///
    /// # Errors
    /// [`BackendError::Forbidden`] if the session has ended or the user was removed; the database fails.
    pub async fn reload(&mut self) -> Result<(), BackendError> {
        let backend = &self.web.backend;
        let session = backend.session(self.session.id, self.place.area().side()).await?;
        let actor = backend.actor(self.actor.user_id, self.actor.address).await?;
        let actor = actor.filter(|actor| session.is_some() && actor.kind() == self.place.area().side());
        let Actor { is_proven, session, .. } = self.actor;
        self.actor = Actor { is_proven, session, ..actor.ok_or(BackendError::Forbidden)? };
        Ok(())
    }

    /// Returns the context of a page for this user.
    pub fn context(&self) -> PageContext {
        let viewer = Viewer {
            name: self.actor.name.clone(),
            email: self.actor.email.clone(),
            organization_name: self.actor.organization_name.clone(),
            role: self.actor.role,
        };
        let submission = self.unsent.as_ref().map_or_else(Submission::default, |unsent| Submission {
            values: unsent.values.clone(),
            errors: Vec::new(),
            form_error: Some(unsent.why.words().to_owned()),
        });
        PageContext {
            viewer: Some(viewer),
            place: self.place.clone(),
            notice: self.notice,
            new_browser: self.new_browser.clone(),
            submission,
            is_suspended: self.web.backend.is_suspended(self.organization()),
            ..context_without_session(&self.web, self.place.area())
        }
    }

    async fn hub_place(&self) -> Result<Place, BackendError> {
        let organization = self.param("organization")?;
        let backend = &self.web.backend;
        let asked = backend.partner_name(&self.actor, organization);
        if !is_emergency_stop(original_path(&self.extensions)) {
            return Ok(Place::Hub { organization, name: asked.await? });
        }
        let wait = if self.is_from_memory { Duration::ZERO } else { NAMED_WITHIN };
        let error = match timeout(wait, asked).await {
            Ok(Ok(name)) => return Ok(Place::Hub { organization, name }),
            Ok(Err(error @ BackendError::Store(_))) => error,
            Ok(Err(error)) => return Err(error),
            Err(_) => StoreError::Stalled.into(),
        };
        let may_look = allows(self.actor.role, Operation::ViewOrganizationHub);
        let name = backend.known_organization_name(organization).filter(|_| may_look).ok_or(error)?;
        Ok(Place::Hub { organization, name })
    }

    /// Returns the organization whose applications are viewed.
    pub fn organization(&self) -> OrganizationId {
        match self.place {
            Place::Settings | Place::Nuvera => self.actor.organization_id,
            Place::Hub { organization, .. } => organization,
        }
    }

    /// Parses a named parameter of the path.
    ///
    /// # Errors
    /// [`BackendError::NotFound`] if it is missing or malformed.
    pub fn param<T: FromStr>(&self, name: &str) -> Result<T, BackendError> {
        self.params.get(name).and_then(|text| text.parse().ok()).ok_or(BackendError::NotFound)
    }

    /// Returns a text to sign for a form with a public key. The text from a previous submission is kept while it is
    /// valid, so that the user need not sign again.
    pub fn challenge(&self, sent: Option<&Submitted>) -> String {
        let before = self.typed_before("challenge", sent);
        let (backend, organization) = (&self.web.backend, self.organization());
        let is_open = |challenge: &&str| backend.is_open(challenge, organization);
        before.filter(is_open).map_or_else(|| backend.challenge(organization), ToOwned::to_owned)
    }

    /// Returns the value of `field` in a form that is shown again, whether it was submitted just now or stored before.
    pub fn typed_before<'a>(&'a self, field: &'a str, sent: Option<&'a Submitted>) -> Option<&'a str> {
        let unsent = || {
            let values = self.unsent.iter().flat_map(|unsent| &unsent.values);
            values.into_iter().find(|(name, _)| name == field).map(|(_, value)| value.as_str())
        };
        sent.map(|sent| sent.text(field)).or_else(unsent)
    }

    /// Returns the page for re-authentication.
    ///
    /// # Errors
    /// The database fails.
    pub async fn confirm_page(&self, next: String, unsent: Option<String>) -> Result<Page, BackendError> {
        let ways = single_sign_on::ways_to_confirm(&self.web, &self.actor).await?;
        Ok(Page::Confirm { next, unsent, ways })
    }

    /// Records that the user has just re-authenticated: see [`prove`].
    ///
    /// # Errors
    /// The session store or the database fails.
    pub async fn proven_again(&self, session: &Session) -> Result<(), BackendError> {
        prove(&self.web, session).await
    }

    /// Returns the client's network address, browser and browser cookie.
    pub fn client(&self) -> Client {
        client(&self.web, &self.extensions)
    }

    /// Notifies the owner of an account by e-mail of a change that the user made.
    pub fn tell(&self, owner: Owner<'_>, news: News<'_>) {
        letters::tell(&self.web, owner, news, &self.client());
    }

    /// Notifies everyone who manages members, by e-mail, of a change that the user made to the members.
    pub fn notify_team(&self, member: impl Into<TeamMember>, change: TeamChange) {
        letters::notify_team(&self.web, &self.actor, member, change, &self.client());
    }

    /// Notifies the user by e-mail of a change that they made to their own account.
    pub fn tell_themselves(&self, news: News<'_>) {
        self.tell((&self.actor).into(), news);
    }

    /// Returns the actor, the organization and the application that the path names.
    ///
    /// # Errors
    /// [`BackendError::NotFound`] if the path names no application.
    pub fn asked(&self) -> Result<Asked<'_>, BackendError> {
        let application = self.param("application")?;
        Ok(Asked { actor: &self.actor, organization: self.organization(), application })
    }

    /// Shows a page with status 200.
    pub async fn show(&self, page: Page) -> Response {
        render::page(StatusCode::OK, page, self.context()).await
    }

    /// Returns the message for this page. It is shown only once, so a handler that redirects must pass it on.
    pub fn notice(&self) -> Option<Notice> {
        self.notice
    }

    /// Shows a page with another status.
    pub async fn show_with(&self, status: StatusCode, page: Page) -> Response {
        render::page(status, page, self.context()).await
    }

    /// Shows a page with a message at the top.
    pub async fn show_with_notice(&self, page: Page, notice: Option<Notice>) -> Response {
        render::page(StatusCode::OK, page, PageContext { notice, ..self.context() }).await
    }

    /// Responds like [`Visit::answer`], with a message at the top of the page.
    pub async fn answer_with_notice(&self, page: Result<Page, BackendError>, notice: Notice) -> Response {
        match page {
            Ok(page) => self.show_with_notice(page, Some(notice)).await,
            Err(error) => failure(error, self.context(), &self.extensions).await,
        }
    }

    /// Shows the page, or the error if there is none.
    pub async fn answer(&self, page: Result<Page, BackendError>) -> Response {
        match page {
            Ok(page) => self.show(page).await,
            Err(error) => failure(error, self.context(), &self.extensions).await,
        }
    }

    /// Shows the form on `page` again, with the input and its errors.
    pub async fn show_again(
        &self,
        refused: Refused,
        sent: Submitted,
        page: impl AsyncFnOnce() -> Result<Page, BackendError>,
    ) -> Response {
        let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
        let wait = match &refused {
            Refused::Backend(BackendError::Throttled(wait)) => Some(*wait),
            _ => None,
        };
        let (status, errors, form_error) = match refused {
            Refused::Fields(errors) => (unprocessable, errors, None),
            Refused::Form(problem) => (unprocessable, Vec::new(), Some(problem)),
            Refused::Backend(error) => match (field_of(&error), error) {
                (Some(field), error) => (unprocessable, vec![FieldError { field, message: error.to_string() }], None),
                (None, BackendError::ProofNeeded) => {
                    let next = original_path(&self.extensions).to_owned();
                    return match self.confirm_page(next, Some(sent.waiting())).await {
                        Ok(page) => render::page(StatusCode::FORBIDDEN, page, self.context()).await,
                        Err(error) => failure(error, self.context(), &self.extensions).await,
                    };
                }
                (None, BackendError::Refused(ChangeError::KeyNotFound)) => {
                    return failure(BackendError::NotFound, self.context(), &self.extensions).await;
                }
                (
                    None,
                    error @ (BackendError::Stale(_)
                    | BackendError::StaleByYou(_)
                    | BackendError::StalePolicy(..)
                    | BackendError::StaleOrganization
                    | BackendError::Organization(_)
                    | BackendError::PolicyUnchanged(_)
                    | BackendError::Refused(_)
                    | BackendError::People(_)
                    | BackendError::SecondFactor(_)
                    | BackendError::KeyInUse),
                ) => (StatusCode::CONFLICT, Vec::new(), Some(error.to_string())),
                (None, error @ BackendError::Passkey(_)) => (unprocessable, Vec::new(), Some(error.to_string())),
                (None, error @ BackendError::Throttled(_)) => {
                    (StatusCode::TOO_MANY_REQUESTS, Vec::new(), Some(error.to_string()))
                }
                (None, error @ (BackendError::Store(_) | BackendError::Session(_))) => {
                    (StatusCode::SERVICE_UNAVAILABLE, Vec::new(), Some(self.not_saved(&error)))
                }
                (None, error) => return failure(error, self.context(), &self.extensions).await,
            },
        };
        match page().await {
            Ok(page) => {
                let context = PageContext { submission: sent.submission(errors, form_error), ..self.context() };
                let response = render::page(status, page, context).await;
                match wait {
                    Some(wait) => retry_after(response, wait),
                    None => response,
                }
            }
            Err(error) => failure(error, self.context(), &self.extensions).await,
        }
    }

    /// Returns the message for a form that could not be saved. The details are logged.
    fn not_saved(&self, error: &BackendError) -> String {
        let request_id = request_id(&self.extensions);
        tracing::error!(request_id, %error, "a form could not be carried out");
        format!(
            "This could not be saved just now, and nothing was changed. Send it again in a moment. If it keeps failing, \
             give Nuvera this request id: {request_id}"
        )
    }

    /// Responds to a form that changes an application: redirects to the application, or shows the form again.
    pub async fn changed(
        &self,
        result: Result<Notice, Refused>,
        sent: Submitted,
        page: impl AsyncFnOnce() -> Result<Page, BackendError>,
    ) -> Response {
        match result.and_then(|notice| Ok((notice, self.asked()?))) {
            Ok((notice, asked)) => redirect(&self.place.application(asked.application), notice),
            Err(refused) => self.show_again(refused, sent, page).await,
        }
    }

    /// Makes the change that a form requests to the application that the path names.
    ///
    /// # Errors
    /// As [`Submitted::said`] and [`crate::backend::Backend::change`].
    pub async fn change(
        &self,
        sent: &Submitted,
        operation: Operation,
        transition: impl FnOnce(ApiApplication, By<'_>) -> Result<Change, ChangeError>,
    ) -> Result<(), Refused> {
        self.web.backend.change(self.asked()?, operation, sent.said()?, transition).await?;
        Ok(())
    }

    /// Loads the application that the path names, for `operation`.
    ///
    /// # Errors
    /// The operation is not permitted, the application does not exist or belongs to another organization, or the
    /// database fails.
    pub async fn application(&self, operation: Operation) -> Result<ApiApplication, BackendError> {
        self.web.backend.application(self.asked()?, operation).await
    }

    /// Returns the extensions of the request.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Returns a page with a form for the application that the path names.
    ///
    /// # Errors
    /// As [`Visit::application`].
    pub async fn form(
        &self,
        operation: Operation,
        page: impl FnOnce(ApiApplication) -> Page,
    ) -> Result<Page, BackendError> {
        self.application(operation).await.map(page)
    }
}

/// Returns the URL of `page` with the requested page as `next`. A submitted form is not submitted again.
fn with_next(page: &str, extensions: &Extensions) -> String {
    let next: String = form_urlencoded::byte_serialize(original_path(extensions).as_bytes()).collect();
    format!("{page}?next={next}")
}

/// Returns the area of a request.
pub fn area(extensions: &Extensions) -> Area {
    Area::of(original_path(extensions))
}

/// Returns the path as sent by the browser. A nested router sees only the remainder.
pub fn original_path(extensions: &Extensions) -> &str {
    extensions.get::<OriginalUri>().map_or("/", |uri| uri.0.path())
}
