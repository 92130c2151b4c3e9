//! Test support: a console with its own database, and a browser without JavaScript.

use app::{page::Assets, paths::Area};
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use domain::{
    access::Role,
    actor::Actor,
    api_key::check_shape,
    application::ApiApplication,
    audit::{AuditFilter, AuditScope, RecordedEvent},
    id::{ApiKeyId, ApplicationId, OrganizationId, UserId},
    second_factor::TotpSecret,
    time::Timestamp,
};
use futures::FutureExt;
use server::{
    backend::{
        Backend,
        accounts::{NewPerson, SignIn},
        sessions::Client,
    },
    clock::Clock,
    forwarded::{ForwardedHeader, Proxies, Trust},
    gateway::{ConnectionSettings, Gateway, GatewaySettings, ReplayFence},
    mail::Mailer,
    pepper::Pepper,
    single_sign_on::{IssuerSettings, SingleSignOn},
    store::{Store, organizations::OrganizationKind, usage::KeyUsage},
    tls::Authorities,
    web::{self, Web, WebSettings},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;

pub const START: Timestamp = Timestamp::from_millis(1_795_404_310_000);
pub const SECOND_FACTOR: &str = "/sign-in/second-factor";
/// The TOTP secret of Nuvera's users, and of every user for whom [`Console::gets_factor`] sets up an app.
pub const FACTOR: [u8; 20] = *b"a secret for testing";
pub const ORIGIN: &str = "http://localhost:3000";
pub const PASSWORD: &str = "correct horse battery staple";
pub const PEM_A: &str = include_str!("../../../domain/src/testdata/rsa-2048-a.pem");
pub const PEM_B: &str = include_str!("../../../domain/src/testdata/rsa-2048-b.pem");
pub const PEM_C: &str = include_str!("../../../domain/src/testdata/rsa-2048-c.pem");
pub const LIST: &str = "/settings/platform/api-applications";
pub const PEOPLE: &str = "/settings/platform/people";

/// A database for a single test: always SQLite, and PostgreSQL if a server is available.
pub struct Database {
    pub url: String,
    pub engine: &'static str,
    _folder: Option<TempDir>,
}

impl Database {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("test.db").display());
        Self { url, engine: "SQLite", _folder: Some(folder) }
    }

    /// One database of every engine. `make test` starts PostgreSQL; if it is required and not available, the test
    /// fails.
    pub async fn all() -> Vec<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut databases = vec![Self::sqlite()];
        match env::var("NUVERA_TEST_POSTGRES_URL") {
            Ok(server) => {
                let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
                sqlx::any::install_default_drivers();
                let pool = sqlx::AnyPool::connect(&server).await.unwrap();
                let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
                sqlx::query(create).execute(&pool).await.unwrap();
                pool.close().await;
                let (address, options) = server.split_once('?').map_or((&*server, ""), |(a, o)| (a, o));
                let address = &address[..=address.rfind('/').unwrap()];
                let url = format!("{address}{name}?{options}");
                databases.push(Self { url, engine: "PostgreSQL", _folder: None });
            }
            Err(_) => assert!(env::var("CI").is_err(), "run the tests with `make test`: it starts PostgreSQL"),
        }
        databases
    }
}

/// A console with two partner organizations, Nuvera and a customer.
pub struct Console {
    pub backend: Arc<Backend>,
    pub gateway: Arc<Gateway>,
    pub store: Store,
    pub clock: Clock,
    pub alpine: OrganizationId,
    pub borealis: OrganizationId,
    pub nuvera: OrganizationId,
    /// The folder that mail is written to.
    pub mail: TempDir,
    /// The messages whose link [`Console::mailed_links`] has returned.
    followed: Mutex<BTreeSet<PathBuf>>,
    /// The state that the handlers share, for jobs that a server runs in the background.
    pub web: Arc<Web>,
    origin: String,
    router: Router,
    database: Database,
}

impl Console {
    pub async fn start() -> Self {
        Self::start_on(Database::sqlite()).await
    }

    pub async fn start_on(database: Database) -> Self {
        Self::start_with(database, ORIGIN, None, Clock::manual(START), Vec::new()).await
    }

    /// Starts a console at this origin, with Nuvera's area at `hub_origin` if given.
    pub async fn start_at(database: Database, origin: &str, hub_origin: Option<&str>) -> Self {
        Self::start_with(database, origin, hub_origin, Clock::manual(START), Vec::new()).await
    }

    /// Starts a console with these single sign-on providers.
    pub async fn start_with(
        database: Database,
        origin: &str,
        hub_origin: Option<&str>,
        clock: Clock,
        issuers: Vec<IssuerSettings>,
    ) -> Self {
        let store = Store::open(&database.url).await.unwrap();
        let pepper = Arc::new(Pepper::new("test", &[7; 32]));
        let connections = ConnectionSettings { max: 10, ..ConnectionSettings::default() };
        let settings = GatewaySettings { connections, ..GatewaySettings::idle() };
        let gateway = Gateway::new(settings, clock.clone(), pepper.clone(), ReplayFence::default());
        let backend = Arc::new(
            Backend::new(store.clone(), gateway.clone(), pepper, clock.clone())
                .with_passkeys_at(ORIGIN, ORIGIN)
                .with_password_cost(argon2::Params::new(argon2::Params::MIN_M_COST, 1, 1, None).unwrap()),
        );
        backend.start().await.unwrap();
        let alpine = backend.add_organization(OrganizationKind::Partner, "Alpine Pay").await.unwrap();
        let borealis = backend.add_organization(OrganizationKind::Partner, "Borealis Finance").await.unwrap();
        let customer = backend.add_organization(OrganizationKind::Customer, "Customer Co").await.unwrap();
        let nuvera = backend.nuvera().await.unwrap();
        for (organization_id, email, name, role) in [
            (alpine, "owner@alpine.example", "Olivia Okafor", Role::PartnerOwner),
            (alpine, "developer@alpine.example", "Deniz Demir", Role::PartnerDeveloper),
            (alpine, "viewer@alpine.example", "Vera Vidal", Role::PartnerViewer),
            (borealis, "owner@borealis.example", "Bao Nguyen", Role::PartnerOwner),
            (nuvera, "admin@nuvera.example", "Ada Admin", Role::NuveraAdmin),
            (nuvera, "auditor@nuvera.example", "Aki Auditor", Role::NuveraAuditor),
            (customer, "user@customer.example", "Casey Customer", Role::CustomerUser),
        ] {
            let person = NewPerson { organization_id, email, name, role, password: PASSWORD };
            let id = backend.add_person(person).await.unwrap();
            if organization_id == nuvera {
                backend.give_factor(id, &TotpSecret::new(FACTOR)).await.unwrap();
            }
        }
        let assets = Assets {
            app: "app".into(),
            style: "style.css".into(),
            keygen_worker: "keygen.js".into(),
            keydoctor_worker: "keydoctor.js".into(),
        };
        let settings = WebSettings {
            console_origin: origin.into(),
            hub_origin: hub_origin.map(ToOwned::to_owned),
            gateway_origin: "http://127.0.0.1:24500".into(),
            proxies: Proxies::new(Trust::Hops(1), ForwardedHeader::default()),
            site: PathBuf::from("there-is-none"),
            assets,
        };
        let mail = tempfile::tempdir().unwrap();
        let mailer = Mailer::folder(mail.path(), "Nuvera <no-reply@nuvera.example>".parse().unwrap()).unwrap();
        let single_sign_on = SingleSignOn::bind(issuers, &Authorities::default(), &store, clock.clone()).await.unwrap();
        let web = Web::new(backend.clone(), settings, Arc::new(mailer)).with_single_sign_on(single_sign_on);
        let web = Arc::new(web);
        web.ready.store(true, Ordering::Release);
        let router = web::router(web.clone(), store.clone());
        let origin = origin.to_owned();
        let followed = Mutex::default();
        Self { backend, gateway, store, clock, alpine, borealis, nuvera, mail, followed, web, origin, router, database }
    }

    /// A browser without a session.
    pub fn browser(&self) -> Browser {
        Browser {
            router: self.router.clone(),
            cookies: BTreeMap::new(),
            address: "203.0.113.7".into(),
            origin: self.origin.clone(),
        }
    }

    /// A browser with a session of `email`.
    pub async fn signed_in(&self, email: &str) -> Browser {
        let mut browser = self.browser();
        let answer = self.signs_in(&mut browser, email).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        browser
    }

    /// Signs in as `email`, with the second factor if it is asked for.
    pub async fn signs_in(&self, browser: &mut Browser, email: &str) -> Answer {
        let answer = browser.sign_in(email, PASSWORD).await;
        self.enters_code(browser, email, answer).await
    }

    /// Continues from the response of the sign-in page: enters a code if one is asked for.
    pub async fn enters_code(&self, browser: &mut Browser, email: &str, answer: Answer) -> Answer {
        if !answer.header("location").ends_with(SECOND_FACTOR) {
            return answer;
        }
        browser.post(answer.location(), &[("code", &self.code_of(email).await)]).await
    }

    /// Where its database is.
    pub fn database_url(&self) -> &str {
        &self.database.url
    }

    /// The id of the user with this e-mail address.
    pub async fn user_id(&self, email: &str) -> UserId {
        let mut conn = self.store.read().await.unwrap();
        server::store::users::find_account(&mut conn, email).await.unwrap().unwrap().user_id
    }

    /// A code of this user's app that is valid now and unused: a real phone would have the next one within 30 seconds,
    /// but the test's clock stands still.
    pub async fn code_of(&self, email: &str) -> String {
        self.gets_factor(email).await.code(self.clock.now())
    }

    /// Sets up a second factor of which no code has been used.
    pub async fn gets_factor(&self, email: &str) -> TotpSecret {
        let secret = TotpSecret::new(FACTOR);
        self.backend.give_factor(self.user_id(email).await, &secret).await.unwrap();
        secret
    }

    pub async fn owner(&self) -> Browser {
        self.signed_in("owner@alpine.example").await
    }

    pub async fn admin(&self) -> Browser {
        self.signed_in("admin@nuvera.example").await
    }

    /// The path of an Alpine Pay application in the hub.
    pub fn in_hub(&self, id: &str) -> String {
        format!("/organizations/{}/api-applications/{id}", self.alpine)
    }

    /// The owner of Alpine Pay, for calls to the backend.
    pub async fn owner_actor(&self) -> Actor {
        self.actor("owner@alpine.example").await
    }

    pub async fn admin_actor(&self) -> Actor {
        self.actor("admin@nuvera.example").await
    }

    pub async fn actor(&self, email: &str) -> Actor {
        let outcome = self.backend.sign_in(email, PASSWORD.into(), &nobodys_browser()).await.unwrap();
        let (SignIn::Accepted(entrant) | SignIn::FactorNeeded(entrant)) = outcome else { panic!("{outcome:?}") };
        Actor { is_proven: true, ..self.backend.actor(entrant.user_id, None).await.unwrap().unwrap() }
    }

    /// An application of Alpine Pay, as stored in the database.
    pub async fn application(&self, id: &str) -> ApiApplication {
        self.application_in(self.alpine, id).await
    }

    pub async fn application_in(&self, organization: OrganizationId, id: &str) -> ApiApplication {
        let id: ApplicationId = id.parse().unwrap();
        let mut conn = self.store.read().await.unwrap();
        server::store::applications::find(&mut conn, organization, id).await.unwrap().unwrap()
    }

    /// The application's audit events, the newest first.
    pub async fn events_of(&self, id: ApplicationId) -> Vec<RecordedEvent> {
        let mut conn = self.store.read().await.unwrap();
        let scope = AuditScope::Application(self.alpine, id);
        server::store::audit::events(&mut conn, scope, AuditFilter::default(), i64::MAX, 1000).await.unwrap()
    }

    /// The codes of the application's audit events, the newest first.
    pub async fn events(&self, id: &str) -> Vec<String> {
        let events = self.events_of(id.parse().unwrap()).await;
        events.into_iter().map(|event| event.event.action.code().to_owned()).collect()
    }

    /// The code with which the gateway refuses a request with this API key and an invalid token. The key is judged
    /// first, so a key that works gives `malformed_token`.
    pub async fn gateway_says(&self, key: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(self.gateway.clone().serve(listener, stop.clone()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /api/v1/signature-test HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\nx-api-key: {key}\r\nauthorization: Bearer none\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        stop.cancel();
        serving.await.unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let problem: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
        problem["code"].as_str().unwrap().to_owned()
    }

    /// Records a request with an API key at the current time.
    pub async fn uses(&self, key: ApiKeyId) {
        self.uses_with(key, "curl/8").await;
    }

    /// As [`Console::uses`], with this user agent.
    pub async fn uses_with(&self, key: ApiKeyId, user_agent: &str) {
        let at = self.clock.now();
        let (address, user_agent) = ("10.1.2.3".into(), user_agent.into());
        let used = KeyUsage { first_used_at: at, last_used_at: at, address, user_agent, requests: 1 };
        let mut transaction = self.store.write().await.unwrap();
        server::store::usage::add_api_key(&mut transaction, key, &used).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// The messages mailed so far, without soft line breaks (RFC 2045, section 6.7).
    pub fn letters(&self) -> Vec<String> {
        let files = fs::read_dir(self.mail.path()).unwrap();
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap().replace("=\r\n", "")).collect()
    }

    /// The path and query of the link mailed to `email` since the last call. Panics if there is none.
    pub fn mailed_link(&self, email: &str) -> String {
        self.mailed_links(email).pop().unwrap_or_else(|| panic!("no link for {email}: {:?}", self.letters()))
    }

    /// As [`Console::mailed_link`], but returns all links, of which there may be none.
    pub fn mailed_links(&self, email: &str) -> Vec<String> {
        let mut followed = self.followed.lock().unwrap();
        let mut links = Vec::new();
        for file in fs::read_dir(self.mail.path()).unwrap() {
            let path = file.unwrap().path();
            let message = fs::read_to_string(&path).unwrap().replace("=\r\n", "").replace("=3D", "=");
            if !message.contains(&format!("To: {email}\r\n")) {
                continue;
            }
            let mut found = message.split_whitespace().filter(|word| word.contains("?token="));
            if let Some(link) = found.next()
                && followed.insert(path)
            {
                links.push(link.strip_prefix(&self.origin).expect("an address of this console").to_owned());
            }
        }
        assert!(links.len() < 2, "several messages with a link: {links:?}");
        links
    }

    /// Returns the mailed link to choose a new password and deletes the message, of which there must be exactly one.
    pub fn take_reset_link(&self, email: &str) -> String {
        let is_link = |letter: &str| {
            letter.contains("Subject: Choose a new password for your Nuvera account")
                && letter.contains(&format!("To: {email}"))
        };
        let files = fs::read_dir(self.mail.path()).unwrap().map(|file| file.unwrap().path());
        let mut found = files.filter_map(|file| {
            let letter = fs::read_to_string(&file).unwrap().replace("=\r\n", "").replace("=3D", "=");
            is_link(&letter).then_some((file, letter))
        });
        let (file, letter) = found.next().expect("a letter with a link");
        assert!(found.next().is_none(), "one letter with a link");
        fs::remove_file(file).unwrap();
        let link = letter.lines().find(|line| line.contains("/reset-password?token=")).expect("a link");
        link.trim().strip_prefix(&self.origin).expect("an address of this console").to_owned()
    }

    /// Waits until `expected` messages with this subject have been mailed, and returns them: mail is sent in the
    /// background.
    pub async fn letters_about(&self, subject: &str, expected: usize) -> Vec<String> {
        let subject = format!("Subject: {subject}");
        let arrived = async {
            loop {
                let found: Vec<_> = self.letters().into_iter().filter(|letter| letter.contains(&subject)).collect();
                if found.len() >= expected {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(10), arrived).await;
        found.unwrap_or_else(|_| panic!("{expected} letters, {subject}: {:?}", self.letters()))
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

/// A response, as the browser receives it.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn location(&self) -> &str {
        self.headers[header::LOCATION].to_str().unwrap()
    }

    /// Asserts that the form redirects to `path` with the one-time message of this code. Call [`Browser::follow`] to
    /// check its text.
    pub fn leads_to(&self, path: &str, notice: &str) {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text());
        assert_eq!((self.location(), self.notice()), (path, Some(notice)));
    }

    /// The code of the one-time message in the response's cookies.
    pub fn notice(&self) -> Option<&str> {
        let cookies = self.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
        let mut notices = cookies.filter(|cookie| cookie.contains("nuvera-notice-") && !cookie.contains("Max-Age=0"));
        let notice = notices.next()?;
        assert_eq!(notices.next(), None, "one message at a time");
        Some(notice.split_once('=').unwrap().1.split(';').next().unwrap())
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The id of the application that the page links to.
    pub fn application_id(&self) -> String {
        let at = self.body.find(&format!("{LIST}/0")).expect("a link to the application") + LIST.len() + 1;
        self.body[at..at + 36].to_owned()
    }

    /// The value of a hidden field of the page's form.
    pub fn hidden(&self, name: &str) -> String {
        let at =
            self.body.find(&format!("name=\"{name}\"")).unwrap_or_else(|| panic!("no field {name}: {}", self.body));
        let tag = &self.body[self.body[..at].rfind('<').unwrap()..];
        let tag = &tag[..tag.find('>').unwrap()];
        let value = tag.split("value=\"").nth(1).unwrap_or_else(|| panic!("{tag} has no value"));
        value.split('"').next().unwrap().to_owned()
    }

    /// The API keys that the page shows in full.
    pub fn keys(&self) -> Vec<String> {
        let words = self.body.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let mut keys: Vec<_> = words.filter(|word| check_shape(word.as_bytes()).is_ok()).map(str::to_owned).collect();
        keys.dedup();
        keys
    }

    /// Asserts that the page's text contains `text`.
    pub fn says(&self, text: &str) -> &Self {
        let body = self.text();
        assert!(body.contains(text), "{text:?} is not in {body}");
        self
    }

    /// The page's text, without tags and comments, with entities decoded and white space collapsed.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for part in self.body.replace("<!>", "").split('<') {
            text.push_str(
                part.split_once('>').map_or(
                    part,
                    |(tag, rest)| {
                        if tag.starts_with("!--") && rest.is_empty() { "" } else { rest }
                    },
                ),
            );
        }
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
        text.replace("&#x27;", "'").replace("&amp;", "&").split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The paths of a group of routes, read from the router's source, so that tests cover every new route.
pub fn routes(group: &str) -> Vec<&'static str> {
    const ROUTER: &str = include_str!("../../src/web/mod.rs");
    let (_, rest) = ROUTER.split_once(&format!("let {group} = ")).expect("a group of routes");
    let (routes, _) = rest.split_once(";\n").unwrap();
    let literals = routes.split(".route(").skip(1).map(|route| route.trim_start().strip_prefix('"').unwrap());
    let addresses: Vec<_> = literals.map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(addresses.len() > 5, "{addresses:?}");
    addresses
}

/// A client that has never signed in before.
pub fn nobodys_browser() -> Client {
    Client { address: None, browser: "A browser".into(), token: None }
}

/// A browser without JavaScript: it keeps cookies and submits forms from the console's own pages.
#[derive(Clone)]
pub struct Browser {
    router: Router,
    pub cookies: BTreeMap<String, String>,
    pub address: String,
    /// The origin of the current page: requests come from it and go to it.
    pub origin: String,
}

impl Browser {
    /// Signs in at the sign-in page of the user's own area.
    pub async fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        let area = if email.to_lowercase().ends_with("@nuvera.example") { Area::Hub } else { Area::Partner };
        self.sign_in_at(area, email, password).await
    }

    pub async fn sign_in_at(&mut self, area: Area, email: &str, password: &str) -> Answer {
        self.post(area.sign_in(), &[("email", email), ("password", password)]).await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(self.form(path, fields)).await
    }

    /// Opens the page that a form redirects to.
    pub async fn follow(&mut self, answer: &Answer) -> Answer {
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        self.get(answer.location()).await
    }

    /// Submits a form, and closes the connection before the response.
    pub fn post_and_leave(&self, path: &str, fields: &[(&str, &str)]) {
        let answer = self.router.clone().oneshot(self.with_cookies(self.form(path, fields)));
        assert!(answer.now_or_never().is_none(), "the answer takes its time");
    }

    fn form(&self, path: &str, fields: &[(&str, &str)]) -> Request<Body> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header(header::ORIGIN, &self.origin)
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        request.body(Body::from(body)).unwrap()
    }

    /// Opens the form at `path`, and submits it with its hidden version and `fields`.
    pub async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        let version = page.hidden("version");
        let fields: Vec<_> = fields.iter().copied().chain([("version", &*version)]).collect();
        self.post(path, &fields).await
    }

    /// Requests a path as a script on a page does.
    pub async fn fetch(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).header("sec-fetch-dest", "empty").body(Body::empty()).unwrap()).await
    }

    /// Returns the response without reading its body, which may be endless.
    pub async fn response(&self, path: &str) -> axum::response::Response {
        self.router.clone().oneshot(self.with_cookies(Request::get(path).body(Body::empty()).unwrap())).await.unwrap()
    }

    fn with_cookies(&self, mut request: Request<Body>) -> Request<Body> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        let (_, host) = self.origin.split_once("://").unwrap();
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        request.headers_mut().insert("x-forwarded-for", self.address.parse().unwrap());
        request
    }

    pub async fn send(&mut self, request: Request<Body>) -> Answer {
        let request = self.with_cookies(request);
        let response = self.router.clone().oneshot(request).await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() }
    }

    /// Creates an application. Returns its id and its API key.
    pub async fn create(&mut self, name: &str, pem: &str) -> (String, String) {
        let answer = self.create_answer(name, pem, &["PAYMENTS_READ"]).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let keys = answer.keys();
        assert_eq!(keys.len(), 1, "{}", answer.body);
        (answer.application_id(), keys[0].clone())
    }

    pub async fn create_answer(&mut self, name: &str, pem: &str, permissions: &[&str]) -> Answer {
        let token = self.get(&format!("{LIST}/new")).await.hidden("creation_token");
        let mut fields = vec![("creation_token", &*token), ("name", name), ("public_key", pem)];
        fields.extend(permissions.iter().map(|permission| ("permissions", *permission)));
        self.post(&format!("{LIST}/new"), &fields).await
    }
}

/// Log output, in memory.
#[derive(Clone, Default)]
pub struct Log(pub Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
