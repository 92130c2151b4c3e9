//! The console's HTTP layer: sessions, headers, and a handler for every page and form.
//!
//! Every form is handled the same way: the handler reads it, carries it out, and answers with a redirect (303) or with
//! the same page, including the input and its errors. It works the same without JavaScript.

mod account;
mod api_keys;
mod applications;
mod approval;
mod assets;
mod audit;
mod blocked_keys;
mod bulk_stop;
mod confirm;
mod hub;
mod invitation;
mod letters;
mod notice;
mod organizations;
mod passkeys;
mod passwords;
mod pending_resets;
mod people;
mod policies;
mod render;
mod requests;
mod second_factor;
mod security;
mod serve;
mod sign_in;
mod signing_keys;
mod single_sign_on;
mod submitted;
mod visit;

pub use assets::{SiteError, load_assets};
pub use pending_resets::{carry_out_due as carry_out_due_resets, run as run_pending_resets};
pub use serve::{HEAD_TIMEOUT, ServedArea, serve};

use crate::{
    backend::Backend,
    clock::Clock,
    forwarded::Proxies,
    keyed_limit::KeyedLimit,
    mail::Mailer,
    single_sign_on::SingleSignOn,
    store::{Store, sessions::DatabaseSessions},
};
use app::{
    page::Assets,
    paths::{self, Area, Place},
};
use axum::{
    Router, middleware,
    routing::{MethodRouter, get, post},
};
use domain::{id::UserId, sign_in::lifetime};
use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
};
use tower_sessions::{
    Expiry, SessionManagerLayer,
    cookie::{self, SameSite},
};

/// Maximum number of concurrent requests per user, without live updates and emergency stops. A browser opens six
/// connections, and a user may have several tabs.
const MAX_REQUESTS_PER_USER: usize = 32;

/// State shared by the handlers.
pub struct Web {
    /// The use cases.
    pub backend: Arc<Backend>,
    /// The console's configuration.
    pub settings: WebSettings,
    /// Sends e-mail to users.
    pub mailer: Arc<Mailer>,
    /// The identity providers with which users can sign in.
    pub single_sign_on: SingleSignOn,
    /// Whether requests are accepted: not before the start is complete, nor after a stop was requested.
    pub ready: AtomicBool,
    /// Requests in progress, by signed-in user.
    in_progress: Arc<KeyedLimit<UserId>>,
}

/// Configuration of the console that depends on its deployment.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// The console's origin as browsers see it.
    pub console_origin: String,
    /// The origin of Nuvera's area, if it has its own. Each area is then available at its own origin only.
    pub hub_origin: Option<String>,
    /// The gateway's origin as partners see it.
    pub gateway_origin: String,
    /// The proxies in front of the console, which provide the client's address.
    pub proxies: Proxies,
    /// The folder with the static assets.
    pub site: PathBuf,
    /// The names of the static assets.
    pub assets: Assets,
}

impl Web {
    /// Creates a console that is not ready yet.
    pub fn new(backend: Arc<Backend>, settings: WebSettings, mailer: Arc<Mailer>) -> Self {
        Self {
            backend,
            settings,
            mailer,
            single_sign_on: SingleSignOn::default(),
            ready: AtomicBool::new(false),
            in_progress: KeyedLimit::new(MAX_REQUESTS_PER_USER),
        }
    }

    /// Sets the identity providers.
    pub fn with_single_sign_on(self, single_sign_on: SingleSignOn) -> Self {
        Self { single_sign_on, ..self }
    }

    /// The origin of an area as browsers see it.
    pub fn origin(&self, area: Area) -> &str {
        match (area, &self.settings.hub_origin) {
            (Area::Hub, Some(origin)) => origin,
            _ => &self.settings.console_origin,
        }
    }

    fn is_https(&self, area: Area) -> bool {
        self.origin(area).starts_with("https:")
    }
}

/// Returns the session store of an area.
pub fn sessions(store: Store, clock: Clock, area: Area) -> DatabaseSessions {
    DatabaseSessions::new(store, clock, lifetime(area.side()).absolute)
}

/// The name of an area's session cookie. A browser accepts a name with the prefix `__Host-` from this host only, over
/// https.
fn cookie_name(area: Area, is_https: bool) -> &'static str {
    match (area, is_https) {
        (Area::Partner, false) => "nuvera",
        (Area::Partner, true) => "__Host-nuvera",
        (Area::Hub, false) => "nuvera-hub",
        (Area::Hub, true) => "__Host-nuvera-hub",
    }
}

/// Returns a path relative to the router of its area.
fn within(area: Area, address: &str) -> &str {
    match area {
        Area::Partner => address,
        Area::Hub => address.strip_prefix(paths::ORGANIZATION_HUB).unwrap_or(address),
    }
}

/// Adds sessions, and the protections that depend on them, to the pages of an area.
fn with_session(area: Area, pages: Router<Arc<Web>>, web: &Arc<Web>, store: Store) -> Router<Arc<Web>> {
    let is_https = web.is_https(area);
    let lifetime = cookie::time::Duration::seconds(lifetime(area.side()).absolute.as_secs() as i64);
    let sessions = SessionManagerLayer::new(sessions(store, web.backend.clock().clone(), area))
        .with_name(cookie_name(area, is_https))
        .with_secure(is_https)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        // A `__Host-` cookie must have this path. The other area does not read the cookie, and the session it names is
        // not valid there.
        .with_path("/")
        .with_expiry(Expiry::OnInactivity(lifetime));
    pages
        .fallback(sign_in::not_found)
        .layer(middleware::from_fn_with_state(web.clone(), notice::set_cookie))
        .layer(middleware::from_fn_with_state(web.clone(), sign_in::keep_unsent))
        .layer(middleware::from_fn_with_state(web.clone(), security::refuse_cross_site))
        .layer(middleware::from_fn_with_state(web.clone(), security::keep_apart))
        .layer(sessions)
}

/// Builds the console's router. `store` holds the sessions.
pub fn router(web: Arc<Web>, store: Store) -> Router {
    // Leptos needs an executor that is set once per process; for a second router it is already set.
    let _ = any_spawner::Executor::init_tokio();

    let page = |show: MethodRouter<Arc<Web>>, send: MethodRouter<Arc<Web>>| show.merge(send);
    // The same pages in both places: the domain decides what each user may do where.
    let of_application = || {
        Router::new()
            .route("/", get(applications::show))
            .route("/rename", page(get(applications::rename_form), post(applications::rename)))
            .route("/permissions", page(get(applications::permissions_form), post(applications::change_permissions)))
            .route("/disable", page(get(applications::disable_form), post(applications::disable)))
            .route("/enable", page(get(applications::enable_form), post(applications::enable)))
            .route("/replace-api-key", page(get(api_keys::replace_form), post(api_keys::replace)))
            .route(
                "/replace-exposed-api-key",
                page(get(api_keys::replace_exposed_form), post(api_keys::replace_exposed)),
            )
            .route("/prepare-replacement", page(get(api_keys::prepare_form), post(api_keys::prepare)))
            .route("/withdraw-replacement", page(get(api_keys::withdraw_form), post(api_keys::withdraw)))
            .route("/claim-replacement", page(get(api_keys::claim_form), post(api_keys::claim)))
            .route("/confirm-change", page(get(approval::confirm_form), post(approval::confirm)))
            .route("/withdraw-change", page(get(approval::withdraw_form), post(approval::withdraw)))
            .route("/seen-support", page(get(api_keys::back_to_application), post(approval::seen)))
            .route("/finish-by-itself", page(get(api_keys::finish_form), post(api_keys::finish)))
            .route("/cancel-finish", page(get(api_keys::back_to_application), post(api_keys::cancel_finish)))
            .route("/replace-signing-key", page(get(signing_keys::replace_form), post(signing_keys::replace)))
            .merge(audit::routes("/audit", audit::Kind::Application))
            .route("/requests", get(requests::list))
            .route("/requests/{request}", get(requests::detail))
            .route("/events", get(requests::events))
            .route("/api-keys/{key}/stored", page(get(api_keys::back_to_application), post(api_keys::confirm_stored)))
            .route(
                "/api-keys/{key}/replace-unseen",
                page(get(api_keys::back_to_application), post(api_keys::replace_unseen)),
            )
            .route("/api-keys/{key}/deadline", page(get(api_keys::deadline_form), post(api_keys::move_deadline)))
            .route("/api-keys/{key}/keep", page(get(api_keys::back_to_application), post(api_keys::keep)))
            .route("/api-keys/{key}/revoke", page(get(api_keys::revoke_form), post(api_keys::revoke)))
            .route("/signing-keys/{key}/restore", page(get(signing_keys::restore_form), post(signing_keys::restore)))
            .route("/signing-keys/{key}/retire", page(get(signing_keys::retire_form), post(signing_keys::retire)))
    };
    let of_people = || {
        Router::new()
            .route("/", get(people::list))
            .route("/invite", page(get(people::invite_form), post(people::invite)))
            .route("/{person}/role", page(get(people::role_form), post(people::change_role)))
            .route("/{person}/reset-password", page(get(passwords::begin_form), post(passwords::begin)))
            .route("/{person}/reset-factor", page(get(people::reset_form), post(people::reset_factor)))
            .route("/{person}/remove", page(get(people::remove_form), post(people::remove)))
            .route("/{person}/confirm-change", page(get(people::confirm_form), post(people::confirm)))
            .route("/{person}/cancel-change", page(get(people::back_to_people), post(people::cancel)))
            .route("/resets/{reset}/confirm", page(get(pending_resets::confirm_form), post(pending_resets::confirm)))
            .route("/resets/{reset}/cancel", page(get(pending_resets::back), post(pending_resets::cancel)))
            .route("/invitations/{invitation}/withdraw", page(get(people::back_to_people), post(people::withdraw)))
            .route("/invitations/{invitation}/send-again", page(get(people::back_to_people), post(people::send_again)))
    };
    let of_account = || {
        Router::new()
            .route("/", get(account::show))
            .route("/password", page(get(passwords::change_form), post(passwords::change)))
            .route("/resets/{reset}/cancel", page(get(account::back), post(pending_resets::cancel_own)))
            .route("/sessions/end-others", page(get(account::back), post(account::end_others)))
            .route("/sessions/{session}/end", page(get(account::back), post(account::end)))
            .route("/second-factor", page(get(account::factor_form), post(account::set_up_factor)))
            .route("/second-factor/remove", page(get(account::remove_form), post(account::remove)))
            .route("/recovery-codes", page(get(account::codes_form), post(account::make_codes)))
            .route("/recovery-codes/stored", page(get(account::back), post(account::codes_stored)))
            .route("/passkeys/new", page(get(passkeys::new_form), post(passkeys::add)))
            .route("/passkeys/{passkey}/remove", page(get(passkeys::remove_form), post(passkeys::remove)))
    };
    // The routes of both areas: signing in and out, and the user's own account.
    let ways = |area: Area| {
        Router::new()
            .route(within(area, area.sign_in()), page(get(sign_in::form), post(sign_in::sign_in)))
            .route(within(area, area.second_factor()), page(get(second_factor::form), post(second_factor::send)))
            .route(within(area, area.passkey_sign_in()), page(get(passkeys::sign_in_form), post(passkeys::sign_in)))
            .route(within(area, area.sign_out()), post(sign_in::sign_out))
            .route(within(area, area.confirm()), page(get(confirm::form), post(confirm::confirm)))
            .route(within(area, &area.sign_in_with("{issuer}")), get(single_sign_on::sign_in))
            .route(within(area, &area.single_sign_on_callback("{issuer}")), get(single_sign_on::callback))
            .route(
                within(area, &area.confirm_with("{issuer}")),
                page(get(single_sign_on::prove), post(single_sign_on::prove_for_form)),
            )
            .route(within(area, area.invitation()), page(get(invitation::form), post(invitation::accept)))
            .route(within(area, area.reset()), page(get(passwords::choose_form), post(passwords::choose)))
            .nest(within(area, area.account()), of_account())
    };
    let organization = Router::new()
        .route("/", get(applications::list))
        .route("/check-key", get(signing_keys::check))
        .route("/stop-everything", page(get(bulk_stop::everything_form), post(bulk_stop::stop_everything)))
        .route("/rotation-policy", page(get(policies::show_rotation), post(policies::change_rotation)))
        .route("/seen-support", page(get(approval::back_to_list), post(approval::seen_in_list)))
        .route("/security-policy", page(get(policies::show_security), post(policies::change_security)))
        .merge(audit::routes("/audit", audit::Kind::Organization))
        .nest("/people", of_people())
        .nest("/api-applications/{application}", of_application());

    // Management of an organization by Nuvera's admins; partners do not have these pages.
    let management = Router::new()
        .route("/manage", page(get(organizations::manage_form), post(organizations::change)))
        .route("/manage/invite-owner", page(get(organizations::back), post(organizations::invite_owner)))
        .route("/manage/suspend", page(get(organizations::suspend_form), post(organizations::suspend)))
        .route("/manage/reinstate", page(get(organizations::reinstate_form), post(organizations::reinstate)));

    let partner = ways(Area::Partner)
        .route("/", get(sign_in::home))
        .nest(paths::PEOPLE, of_people())
        .route(paths::APPLICATIONS, get(applications::list))
        .route(paths::NEW_APPLICATION, page(get(applications::create_form), post(applications::create)))
        .route(&Place::Settings.check_key(), get(signing_keys::check))
        .route(
            &Place::Settings.stop_everything(),
            page(get(bulk_stop::everything_form), post(bulk_stop::stop_everything)),
        )
        .route(&Place::Settings.rotation_policy(), page(get(policies::show_rotation), post(policies::change_rotation)))
        .route(&Place::Settings.seen_support(), page(get(approval::back_to_list), post(approval::seen_in_list)))
        .route(&Place::Settings.security_policy(), page(get(policies::show_security), post(policies::change_security)))
        .merge(audit::routes(&Place::Settings.audit(), audit::Kind::Organization))
        .nest(&format!("{}/{{application}}", paths::APPLICATIONS), of_application());
    let hub = ways(Area::Hub)
        .route("/", page(get(hub::organizations), post(hub::search)))
        .route(
            within(Area::Hub, paths::NEW_ORGANIZATION),
            page(get(organizations::create_form), post(organizations::create)),
        )
        .route(
            &format!("{}/{{fingerprint}}/stop", within(Area::Hub, paths::HUB_SIGNING_KEYS)),
            page(get(bulk_stop::signing_key_form), post(bulk_stop::stop_signing_key)),
        )
        .route(within(Area::Hub, paths::HUB_SIGNING_KEYS), get(blocked_keys::list))
        .route(
            &format!("{}/{{fingerprint}}/release", within(Area::Hub, paths::HUB_SIGNING_KEYS)),
            page(get(blocked_keys::release_form), post(blocked_keys::release)),
        )
        .merge(audit::routes(within(Area::Hub, paths::HUB_AUDIT), audit::Kind::Everyone))
        .nest(within(Area::Hub, paths::NUVERA_PEOPLE), of_people())
        .nest("/{organization}", organization.merge(management));

    Router::new()
        .merge(with_session(Area::Partner, partner, &web, store.clone()))
        .nest(paths::ORGANIZATION_HUB, with_session(Area::Hub, hub, &web, store))
        .nest_service(paths::ASSETS, assets::service(&web.settings.site))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(security::readyz))
        .layer(middleware::from_fn_with_state(web.clone(), security::surround))
        .layer(middleware::from_fn(security::finish))
        .with_state(web)
}
