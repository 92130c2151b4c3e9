//! Sign-in and re-authentication with an identity provider.
//!
//! The redirect to the provider and its response are plain GET requests. They need no script, and cannot be forms,
//! because the content security policy would not allow a form to be redirected to another site. Pending requests are
//! stored in the database, one entry each, so that several tabs do not interfere. The id of an entry is derived from
//! `state` and from a cookie of its own. The entries contain no secrets: `nonce` and the PKCE verifier are derived from
//! `state`, which only the browser has.

use super::{
    Web, letters, render,
    security::{ClientAddress, RequestId},
    sign_in::{self, After, own_path, unsent},
    submitted::Submitted,
    visit::{self, Interruption, Visit},
};
use crate::{
    backend::{
        BackendError,
        single_sign_on::{Admitted, Asserted, NotAdmitted},
    },
    random,
    single_sign_on::{Failure, Issuer, Question, Verified},
};
use app::{
    page::{Page, Provider, SingleSignOnProblem, WaysToConfirm},
    paths::Area,
};
use axum::{
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::{Extensions, StatusCode, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    actor::Actor,
    id::UserId,
    sign_in::{Method, Outcome},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tower_cookies::{
    Cookie, Cookies,
    cookie::{self, SameSite},
};
use tower_sessions::Session;

/// Time within which a response is accepted. The user may have to look for their second factor.
const ANSWER_WINDOW: Duration = Duration::from_secs(10 * 60);
/// How long a request is stored. A browser that returns late, or twice, is redirected to the page that it wanted to
/// open.
const KEPT_FOR: Duration = Duration::from_secs(15 * 60);
/// Maximum number of pending requests per browser, each of which has a cookie.
const MAX_QUESTIONS: usize = 8;

/// A stored authorization request.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Asked {
    issuer: String,
    asked_at: Timestamp,
    next: String,
    purpose: Purpose,
    /// Whether a response was received.
    is_answered: bool,
}

/// The result of looking up the request for a response.
enum Found {
    /// The request was pending and is now marked as answered, so it is returned only once.
    Waiting(Asked),
    /// The request was already answered, or has expired.
    Over(Asked),
    /// This browser has not made such a request.
    Unknown,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Purpose {
    SignIn,
    /// Re-authentication of a signed-in user, possibly for a form that is kept until then.
    Prove {
        user_id: UserId,
        form: Option<String>,
    },
}

impl Purpose {
    /// Returns the purpose without the form, which need not be stored any longer.
    fn without_form(&self) -> Self {
        match self {
            Self::SignIn => Self::SignIn,
            Self::Prove { user_id, .. } => Self::Prove { user_id: *user_id, form: None },
        }
    }

    /// Whether `actor`, who is signed in, can continue without another request.
    fn is_of(&self, actor: &Actor) -> bool {
        match self {
            Self::SignIn => true,
            Self::Prove { user_id, .. } => *user_id == actor.user_id,
        }
    }
}

/// A provider's authorization response, as parameters of the redirect (RFC 6749, 4.1.2; RFC 9207).
#[derive(Deserialize)]
pub struct Answer {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// The page that the user wanted to open, and the purpose of the request.
struct Way {
    next: String,
    purpose: Purpose,
}

/// Reason why a response is rejected.
enum Refused {
    /// It does not belong to a pending request.
    Unasked,
    /// The user or the provider declined. Contains the error code.
    Declined(String),
    Failure(Failure),
    /// With the expected and received values, for the log.
    NotAdmitted(NotAdmitted, String),
    /// The provider asserts another user than the one who is signed in. With the expected and received values, for the
    /// log.
    SomebodyElse(String),
    Backend(BackendError),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<BackendError> for Refused {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

/// Returns the providers that an area's sign-in page offers: those of organizations on its side.
pub fn providers(web: &Web, area: Area) -> Vec<Provider> {
    web.single_sign_on.issuers().iter().filter(|issuer| is_in(issuer, area)).map(provider).collect()
}

fn is_in(issuer: &Issuer, area: Area) -> bool {
    Area::of_side(issuer.side()) == area
}

/// Returns the provider with this id if it belongs to the area.
fn issuer_in<'a>(web: &'a Web, id: &str, area: Area) -> Option<&'a Issuer> {
    web.single_sign_on.issuer(id).filter(|issuer| is_in(issuer, area))
}

fn provider(issuer: &Issuer) -> Provider {
    Provider { id: issuer.id().to_owned(), label: issuer.label().to_owned() }
}

/// Returns the methods by which the signed-in user can re-authenticate.
///
/// # Errors
/// The database fails.
pub async fn ways_to_confirm(web: &Web, actor: &Actor) -> Result<WaysToConfirm, BackendError> {
    let proofs = web.backend.proofs(actor).await?;
    let issuers = web.single_sign_on.issuers().iter();
    let providers = issuers.filter(|issuer| proofs.issuers.iter().any(|url| url == issuer.url())).map(provider);
    let has_factor = actor.factors.any();
    Ok(WaysToConfirm {
        password: proofs.password && !has_factor,
        app: actor.factors.authenticator,
        passkey: actor.factors.passkeys,
        prompt: web.backend.ask_for_passkey_of(actor.user_id, actor.kind()).await?,
        providers: providers.collect(),
    })
}

/// Redirects to the provider for a sign-in.
pub async fn sign_in(
    State(web): State<Arc<Web>>,
    Path(id): Path<String>,
    Query(After { next }): Query<After>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let area = visit::area(&parts.extensions);
    let Some(issuer) = issuer_in(&web, &id, area) else { return not_found(&web, area).await };
    let next = own_path(next.as_deref(), area);
    match begin(&web, issuer, next.clone(), Purpose::SignIn, &parts.extensions).await {
        Ok(address) => Redirect::to(&address).into_response(),
        Err(refused) => refuse_sign_in(&web, issuer, next, refused, &mut parts).await,
    }
}

/// Redirects to the provider for a re-authentication.
pub async fn prove(visit: Visit, Path(id): Path<String>, Query(After { next }): Query<After>) -> Response {
    let area = visit.place.area();
    let Some(issuer) = issuer_in(&visit.web, &id, area) else { return not_found(&visit.web, area).await };
    let next = own_path(next.as_deref(), area);
    let purpose = Purpose::Prove { user_id: visit.actor.user_id, form: None };
    match begin(&visit.web, issuer, next.clone(), purpose.clone(), visit.extensions()).await {
        Ok(address) => Redirect::to(&address).into_response(),
        Err(refused) => refuse(&visit.web, issuer, Way { next, purpose }, refused, true, visit.extensions()).await,
    }
}

/// Starts a re-authentication for a submitted form. The response to a form must be a page, so it links to the provider.
pub async fn prove_for_form(visit: Visit, Path(id): Path<String>, sent: Submitted) -> Response {
    let area = visit.place.area();
    let Some(issuer) = issuer_in(&visit.web, &id, area) else { return not_found(&visit.web, area).await };
    let next = own_path(Some(sent.text("next")), area);
    let form = Some(sent.text("unsent")).filter(|form| !form.is_empty()).map(Submitted::still_waiting);
    let purpose = Purpose::Prove { user_id: visit.actor.user_id, form };
    match begin(&visit.web, issuer, next.clone(), purpose.clone(), visit.extensions()).await {
        Ok(address) => visit.show(Page::ContinueWith { provider: provider(issuer), address }).await,
        Err(refused) => refuse(&visit.web, issuer, Way { next, purpose }, refused, true, visit.extensions()).await,
    }
}

/// Handles the provider's authorization response.
pub async fn callback(
    State(web): State<Arc<Web>>,
    Path(id): Path<String>,
    answer: Result<Query<Answer>, QueryRejection>,
    session: Session,
    request: Request,
) -> Response {
    let area = visit::area(request.extensions());
    let Some(issuer) = issuer_in(&web, &id, area) else { return not_found(&web, area).await };
    let (mut parts, _) = request.into_parts();
    let state = answer.as_ref().ok().and_then(|Query(answer)| answer.state.as_deref());
    let found = find(&web, issuer, state.unwrap_or_default(), &parts.extensions).await;
    let (asked, answer) = match (found, answer) {
        (Ok(Found::Waiting(asked)), Ok(Query(answer))) => (asked, answer),
        (Ok(Found::Over(asked)), _) => {
            return match visit::actor(&mut parts, &web).await {
                // Another tab finished first, or this one was reloaded. The page asks for a re-authentication if it
                // needs one.
                Ok(Some(actor)) if asked.purpose.is_of(&actor) => Redirect::to(&asked.next).into_response(),
                _ => refuse_sign_in(&web, issuer, asked.next, Refused::Unasked, &mut parts).await,
            };
        }
        (Err(error), _) => return refuse_sign_in(&web, issuer, area.home().into(), error.into(), &mut parts).await,
        _ => return refuse_sign_in(&web, issuer, area.home().into(), Refused::Unasked, &mut parts).await,
    };
    let Asked { next, purpose, .. } = asked.clone();
    let arrived = match verify(&web, issuer, &asked, answer).await {
        Ok(verified) => match &purpose {
            Purpose::SignIn => signed_in(&web, issuer, &verified, &next, &session, &parts.extensions).await,
            Purpose::Prove { user_id, form } => {
                let actor = visit::actor(&mut parts, &web).await;
                // The re-authentication is void if the session ended meanwhile or belongs to another user by now.
                match actor.map(|actor| actor.filter(|actor| actor.user_id == *user_id)) {
                    Ok(Some(actor)) => proven(&web, issuer, &verified, &actor, &next, form.as_deref(), &session).await,
                    Ok(None) => Err(Refused::Unasked),
                    Err(error) => Err(error.into()),
                }
            }
        },
        Err(refused) => Err(refused),
    };
    match (arrived, &purpose) {
        (Ok(response), _) => response,
        (Err(refused), Purpose::SignIn) => refuse_sign_in(&web, issuer, next, refused, &mut parts).await,
        (Err(refused), Purpose::Prove { .. }) => {
            refuse(&web, issuer, Way { next, purpose }, refused, true, &parts.extensions).await
        }
    }
}

async fn signed_in(
    web: &Web,
    issuer: &Issuer,
    verified: &Verified,
    next: &str,
    session: &Session,
    extensions: &Extensions,
) -> Result<Response, Refused> {
    let asserted = Asserted {
        issuer: issuer.url(),
        label: issuer.label(),
        organization: issuer.organization(),
        email_domains: issuer.email_domains(),
        subject: &verified.subject,
        email: verified.email.as_deref(),
        name: verified.name.as_deref(),
        role: verified.role,
        proven_at: verified.proven_at,
        has_second_factor: verified.has_second_factor,
    };
    let address = extensions.get::<ClientAddress>().and_then(|address| address.0);
    let admitted = match web.backend.sign_in_by_provider(asserted, address).await {
        Ok(admitted) => admitted,
        Err(refused) => {
            if let NotAdmitted::ForeignAddress(Some(user)) = &refused {
                let client = visit::client(web, extensions);
                web.backend.record_attempt(*user, Outcome::ForeignAddress, Method::SingleSignOn, client).await?;
            }
            let detail = match &refused {
                NotAdmitted::NoRole => verified.log.role.clone(),
                NotAdmitted::OneFactor => verified.log.second_factor.clone(),
                NotAdmitted::NoEmail | NotAdmitted::ForeignAddress(_) => verified.log.email.clone(),
                NotAdmitted::Removed | NotAdmitted::AccountHere | NotAdmitted::Elsewhere => {
                    format!("sub: expected one that may join or is known, received {:?}", verified.subject)
                }
                NotAdmitted::Backend(_) => String::new(),
            };
            return Err(Refused::NotAdmitted(refused, detail));
        }
    };
    let Admitted { entrant, actor, change } = admitted;
    if let Some(change) = change {
        letters::notify_team(web, &actor, &actor, change, &visit::client(web, extensions));
    }
    tracing::info!(request_id = request_id(extensions), user = %entrant.user_id, issuer = issuer.id(), "signed in by single sign-on");
    Ok(sign_in::go_on(web, session, entrant, Method::SingleSignOn, Some(next), None, extensions).await)
}

async fn proven(
    web: &Web,
    issuer: &Issuer,
    verified: &Verified,
    actor: &Actor,
    next: &str,
    form: Option<&str>,
    session: &Session,
) -> Result<Response, Refused> {
    if !web.backend.is_known_as(actor, issuer.url(), &verified.subject).await? {
        let expected = format!("sub: expected that of user {}, received {:?}", actor.user_id, verified.subject);
        return Err(Refused::SomebodyElse(expected));
    }
    if !verified.has_second_factor && web.backend.must_show_provider_a_factor(actor).await? {
        return Err(Refused::NotAdmitted(NotAdmitted::OneFactor, verified.log.second_factor.clone()));
    }
    visit::prove(web, session).await?;
    if let Some(form) = form {
        let unsent = unsent(next, form, Interruption::ProofNeeded);
        visit::keep_unsent(session, unsent).await?;
    }
    Ok(Redirect::to(next).into_response())
}

/// Restores the authorization request from `state`, which only the browser has.
fn question(web: &Web, issuer: &Issuer, state: String, asked_at: Timestamp, is_proof: bool) -> Question {
    let area = Area::of_side(issuer.side());
    let callback = format!("{}{}", web.origin(area), area.single_sign_on_callback(issuer.id()));
    Question {
        callback,
        nonce: web.backend.derive("single sign-on nonce", &state),
        verifier: web.backend.derive("single sign-on verifier", &state),
        state,
        asked_at,
        is_proof,
    }
}

async fn begin(
    web: &Web,
    issuer: &Issuer,
    next: String,
    purpose: Purpose,
    extensions: &Extensions,
) -> Result<String, Refused> {
    let asked_at = web.backend.clock().now();
    let random = || URL_SAFE_NO_PAD.encode(random::bytes::<32>());
    let state = random();
    let question = question(web, issuer, state.clone(), asked_at, matches!(purpose, Purpose::Prove { .. }));
    let address = web.single_sign_on.ask(issuer, &question).await?;
    let asked = Asked { issuer: issuer.id().to_owned(), asked_at, next, purpose, is_answered: false };
    // The time comes first, so that the oldest cookies can be found by sorting.
    let secret = format!("{}-{}", asked_at.as_seconds(), random());
    web.backend.keep_question(&question_id(web, &state, &secret), &asked.to_text(), KEPT_FOR).await?;
    if let Some(cookies) = extensions.get::<Cookies>() {
        let (prefix, is_https) = cookie_prefix(web, visit::area(extensions));
        let cookie = |name: String, secret: String| {
            Cookie::build((name, secret))
                .http_only(true)
                .secure(is_https)
                .same_site(SameSite::Lax)
                .path("/")
                .max_age(cookie::time::Duration::seconds(KEPT_FOR.as_secs() as i64))
                .build()
        };
        let mut others: Vec<_> = cookies.list().into_iter().filter(|other| other.name().starts_with(prefix)).collect();
        others.sort_by(|one, other| other.value().cmp(one.value()));
        for old in others.into_iter().skip(MAX_QUESTIONS - 1) {
            cookies.remove(cookie(old.name().to_owned(), String::new()));
        }
        cookies.add(cookie(cookie_name(web, prefix, &state), secret));
    }
    Ok(address)
}

/// Returns the prefix of the names of the requests' cookies, and whether they are sent over https only.
fn cookie_prefix(web: &Web, area: Area) -> (&'static str, bool) {
    let is_https = web.is_https(area);
    (if is_https { "__Host-nuvera-sso-" } else { "nuvera-sso-" }, is_https)
}

/// Returns the name of a request's cookie, which does not reveal `state`.
fn cookie_name(web: &Web, prefix: &str, state: &str) -> String {
    let derived = web.backend.derive("single sign-on cookie", state);
    prefix.chars().chain(derived.chars().filter(char::is_ascii_alphanumeric).take(12)).collect()
}

/// Derives the id of a request from the `state` in the response and the secret in the browser's cookie.
fn question_id(web: &Web, state: &str, secret: &str) -> String {
    web.backend.derive("single sign-on question", &format!("{state} {secret}"))
}

impl Asked {
    fn to_text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers")
    }
}

/// Finds this browser's request to the issuer with this `state`. A pending request is marked as answered before
/// anything else happens.
async fn find(web: &Web, issuer: &Issuer, state: &str, extensions: &Extensions) -> Result<Found, BackendError> {
    let (prefix, _) = cookie_prefix(web, visit::area(extensions));
    let cookie = extensions.get::<Cookies>().and_then(|cookies| cookies.get(&cookie_name(web, prefix, state)));
    let Some(cookie) = cookie else { return Ok(Found::Unknown) };
    let id = question_id(web, state, cookie.value());
    let Some(kept) = web.backend.question(&id).await? else { return Ok(Found::Unknown) };
    let asked = serde_json::from_str::<Asked>(&kept).ok().filter(|asked| asked.issuer == issuer.id());
    let Some(asked) = asked else { return Ok(Found::Unknown) };
    let is_in_time = web.backend.clock().now().since(asked.asked_at) < ANSWER_WINDOW;
    let answered = Asked { is_answered: true, purpose: asked.purpose.without_form(), ..asked.clone() };
    let waits =
        !asked.is_answered && is_in_time && web.backend.replace_question(&id, &kept, &answered.to_text()).await?;
    Ok(if waits { Found::Waiting(asked) } else { Found::Over(asked) })
}

async fn verify(web: &Web, issuer: &Issuer, asked: &Asked, answer: Answer) -> Result<Verified, Refused> {
    web.single_sign_on.check_sender(issuer, answer.iss.as_deref()).await?;
    if let Some(error) = answer.error {
        return Err(Refused::Declined(error));
    }
    let no_code = || Failure::Untrusted("code: expected a text, received nothing".to_owned());
    let code = answer.code.filter(|code| !code.is_empty()).ok_or_else(no_code)?;
    let is_proof = matches!(asked.purpose, Purpose::Prove { .. });
    let question = question(web, issuer, answer.state.unwrap_or_default(), asked.asked_at, is_proof);
    Ok(web.single_sign_on.answer(issuer, &question, &code).await?)
}

/// Rejects a sign-in, like [`refuse`]. The user may be signed in nevertheless, in another tab.
async fn refuse_sign_in(
    web: &Arc<Web>,
    issuer: &Issuer,
    next: String,
    refused: Refused,
    parts: &mut Parts,
) -> Response {
    let is_signed_in = matches!(visit::actor(parts, web).await, Ok(Some(_)));
    refuse(web, issuer, Way { next, purpose: Purpose::SignIn }, refused, is_signed_in, &parts.extensions).await
}

/// Shows a page with the reason and what to do. The details are logged.
async fn refuse(
    web: &Web,
    issuer: &Issuer,
    way: Way,
    refused: Refused,
    is_signed_in: bool,
    extensions: &Extensions,
) -> Response {
    use SingleSignOnProblem as Problem;
    let context = visit::context_without_session(web, visit::area(extensions));
    let (status, problem, why) = match refused {
        Refused::Unasked => (
            StatusCode::BAD_REQUEST,
            Problem::Unasked,
            "state: expected one that this browser was given within ten minutes, received another".to_owned(),
        ),
        // The provider's error code comes from the browser, so only a limited number of harmless characters is logged.
        Refused::Declined(error) => {
            let known: String = error.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(40).collect();
            (StatusCode::FORBIDDEN, Problem::Declined, format!("expected a code, received error {known:?}"))
        }
        Refused::SomebodyElse(why) => (StatusCode::FORBIDDEN, Problem::SomebodyElse, why),
        Refused::Failure(failure) => match &failure {
            Failure::Down(_) => (StatusCode::SERVICE_UNAVAILABLE, Problem::Down, failure.to_string()),
            Failure::Untrusted(_) => (StatusCode::FORBIDDEN, Problem::Untrusted, failure.to_string()),
            Failure::NotFresh(_) => (StatusCode::FORBIDDEN, Problem::NotFresh, failure.to_string()),
            Failure::NoAuthTime(_) => (StatusCode::FORBIDDEN, Problem::NoAuthTime, failure.to_string()),
        },
        Refused::NotAdmitted(reason, detail) => {
            let why = format!("{reason}: {detail}");
            let problem = match reason {
                NotAdmitted::NoRole => Problem::NoRole,
                NotAdmitted::Removed => Problem::Removed,
                NotAdmitted::AccountHere => Problem::AccountHere,
                NotAdmitted::OneFactor => Problem::OneFactor,
                NotAdmitted::ForeignAddress(_) => Problem::ForeignAddress,
                NotAdmitted::NoEmail | NotAdmitted::Elsewhere => Problem::NotAdmitted,
                NotAdmitted::Backend(error) => {
                    return visit::failure(error, context, extensions).await;
                }
            };
            (StatusCode::FORBIDDEN, problem, why)
        }
        Refused::Backend(error) => {
            return visit::failure(error, context, extensions).await;
        }
    };
    let request_id = request_id(extensions);
    tracing::warn!(request_id, issuer = issuer.id(), why, "a single sign-on was refused");
    let (is_proof, unsent) = match way.purpose {
        Purpose::SignIn => (false, None),
        Purpose::Prove { form, .. } => (true, form),
    };
    let provider = provider(issuer);
    let page =
        Page::SingleSignOnRefused { provider, problem, next: way.next, is_proof, is_signed_in, unsent, request_id };
    render::page(status, page, context).await
}

async fn not_found(web: &Web, area: Area) -> Response {
    render::page(StatusCode::NOT_FOUND, Page::NotFound, visit::context_without_session(web, area)).await
}

fn request_id(extensions: &Extensions) -> String {
    extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
}
