//! From the command line to a running server, and from a signal to a stopped one.

use crate::{
    backend::{
        Backend, BackendError, MIN_PASSWORD_CHARACTERS,
        accounts::NewPerson,
        check_password,
        emergency::{self, Journal},
        flush,
        partners::{CreatedPartner, FirstOwner},
        reminders, watch_readiness,
    },
    clock::Clock,
    config::{self, Cli, Command, CreateAdmin, CreatePartner, Recover, ServeSettings, StateSettings, UnknownVariable},
    control, demo,
    fence::{self, OtherRuns},
    gateway::{ConnectionSettings, Gateway, GatewaySettings, RateLimit, ReplayFence},
    log, metrics,
    open_files::{self, Shares},
    single_sign_on::{self, IssuerSettings, SingleSignOn},
    startup::{self, Opened},
    store::{self, Store, StoreError, sessions::DatabaseSessions},
    threads,
    web::{self, Web, WebSettings},
};
use app::paths::Area;
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Parser;
use domain::{
    access::Role,
    organization::OrganizationDetails,
    people::Invitation,
    route::RouteTable,
    text::{Contact, EmailAddress, OrganizationName, PersonName},
};
use rustix::process::getuid;
use std::{
    error::Error,
    fs,
    future::ready,
    io::{self, BufRead},
    net::SocketAddr,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How much of the time for draining is kept for the last writes to the database, at most a quarter of it.
const LAST_WRITES: Duration = Duration::from_secs(3);

/// Does what the command line says; its log goes to standard error, one JSON object a line.
pub async fn command_line() -> ExitCode {
    let _log = log::start();
    let command = Cli::parse().command;
    if let Err(error) = check_variables(&command) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    let outcome = match command {
        Command::Serve(settings) => serve(*settings).await,
        Command::Migrate(state) => migrate(&state).await,
        Command::Backup(backup) => {
            let copied = startup::backup(&backup.state, &backup.file).await;
            copied.map(|()| println!("The database is in {}. Keep the pepper file with it.", backup.file.display()))
        }
        Command::CreateAdmin(admin) => create_admin(admin).await,
        Command::CreatePartner(partner) => create_partner(partner).await,
        Command::Recover(lost) => recover(lost).await,
        Command::Stop(stop) => control::command(stop).await,
        Command::DemoCode => {
            println!("{}", demo::code(Clock::system().now()));
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Refuses environment variables that look like settings and are none. The file about identity providers may name some.
fn check_variables(command: &Command) -> Result<(), UnknownVariable> {
    let sso = match command {
        Command::Serve(settings) => settings.sso.as_deref(),
        _ => None,
    };
    // Whether it can be read is told when it is.
    let named = sso.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    config::check_variables(variables, |name| named.contains(name))
}

/// Serves the console and the gateway until SIGTERM or SIGINT; a second one does not wait for what is in flight.
///
/// # Errors
/// A setting cannot be used (its name is in the words), or the database or an address is not to be had.
async fn serve(settings: ServeSettings) -> Outcome<()> {
    settings.state.check()?;
    let console_origin = settings.console_origin()?;
    let hub_origin = settings.hub_origin()?;
    let gateway_origin = settings.gateway_origin()?;
    let upstream = settings.upstream()?;
    settings.check_demo(None)?;
    let routes = read_routes(settings.routes.as_deref())?;
    let issuers = read_issuers(settings.sso.as_deref())?;
    let assets = web::load_assets(&settings.site)?;
    let clock = Clock::system();
    let Opened { store, pepper, lock, mark } = startup::open_to_serve(&settings, &clock).await?;
    if settings.must_look_for_demo_people() {
        settings.check_demo(demo::person_with_public_password(&store).await?)?;
    }
    let pepper = Arc::new(pepper);
    let mailer = Arc::new(settings.mailer()?);

    let shares = shares(&settings);
    let drain_timeout = settings.drain_timeout();
    let connections_drain = drain_timeout - LAST_WRITES.min(drain_timeout / 4);
    let gateway_settings = GatewaySettings {
        leeway: Duration::from_secs(settings.leeway),
        max_body_bytes: settings.max_body,
        upstream,
        public_origin: gateway_origin.parse().ok(),
        replay_capacity: settings.replay_capacity,
        connections: ConnectionSettings {
            max: shares.gateway,
            max_per_address: settings.max_per_address(shares.gateway),
            idle_timeout: settings.idle_timeout(),
            drain_timeout: connections_drain,
        },
        rate_limit: RateLimit::new(settings.rate_limit, Duration::from_secs(1)),
        failure_limit: RateLimit::new(settings.failure_limit, Duration::from_secs(60)),
        proxies: settings.proxies(),
        // An origin is a header's value already; browsers write it in lower case.
        console_origin: console_origin.parse().ok(),
        routes,
    };
    let others = if lock.is_complete() { OtherRuns::Ended } else { OtherRuns::Unknown };
    let fence = fence::take(&store, &clock, gateway_settings.leeway, others).await?;
    let gateway = Gateway::new(gateway_settings, clock.clone(), pepper.clone(), fence);
    let backend = Backend::new(store.clone(), gateway.clone(), pepper, clock.clone());
    let backend = backend.with_journal(journal(&settings));
    let backend = Arc::new(backend.with_passkeys_at(&console_origin, hub_origin.as_deref().unwrap_or(&console_origin)));
    backend.start().await?;
    // Stops of an earlier run are in force already, recorded or not.
    if let Err(error) = store::bounded(backend.settle()).await.unwrap_or_else(|stalled| Err(stalled.into())) {
        tracing::error!(%error, "emergency stops of an earlier run could not be recorded; they are in force");
    }

    // Before anything is served: a stop that comes early shall be as clean as any.
    let mut stop_signals = StopSignals::new()?;
    ignore_hangups()?;
    let gateway_threads = GatewayThreads::start()?;
    let console = bind("--console-address", settings.console_address).await?;
    let hub = match settings.hub_address {
        Some(address) => Some(bind("--hub-address", address).await?),
        None => None,
    };
    // A listener's runtime is the one it was bound in.
    let api = gateway_threads.spawn(bind("--gateway-address", settings.gateway_address)).await??;
    let forward_auth = match settings.forward_auth_address {
        Some(address) => Some(gateway_threads.spawn(bind("--forward-auth-address", address)).await??),
        None => None,
    };
    let metrics = match settings.metrics_address {
        Some(address) => Some(gateway_threads.spawn(bind("--metrics-address", address)).await??),
        None => None,
    };
    let control_path = control::socket_path(&settings.state.data, settings.control_socket.clone());
    let control = control::bind(&control_path)
        .await
        .map_err(|error| format!("--control-socket: {} cannot be used: {error}", control_path.display()))?;
    if settings.demo {
        demo::create_people(&backend).await?;
        let mail = settings.mail_folder();
        demo::announce(&console_origin, hub_origin.as_deref(), &gateway_origin, mail.as_deref());
    }

    let single_sign_on = SingleSignOn::bind(issuers, &settings.state.authorities()?, &store, clock.clone()).await;
    let single_sign_on = single_sign_on.map_err(|error| format!("--sso: {error}"))?;

    let console_limits = settings.console_limits("console", shares, connections_drain);
    let hub_limits = settings.console_limits("hub", shares, connections_drain);
    let metrics_limits = metrics::limits(shares.metrics, settings.idle_timeout(), connections_drain);
    let stop_delay = settings.stop_delay();
    let stop = CancellationToken::new();
    let reminder = tokio::spawn(reminders::run(
        backend.clone(),
        mailer.clone(),
        console_origin.clone(),
        hub_origin.clone().unwrap_or_else(|| console_origin.clone()),
        stop.clone(),
    ));
    let web = Web::new(
        backend.clone(),
        WebSettings {
            console_origin,
            hub_origin,
            gateway_origin,
            proxies: settings.proxies(),
            site: settings.site,
            assets,
        },
        mailer,
    );
    let web = Arc::new(web.with_single_sign_on(single_sign_on));
    let pending_resets = tokio::spawn(web::run_pending_resets(web.clone(), stop.clone()));
    let flushing = CancellationToken::new();
    let flusher = tokio::spawn(flush::run(backend.clone(), flushing.clone()));
    let (marking, released) = (CancellationToken::new(), CancellationToken::new());
    let marker = tokio::spawn(mark.keep(store.clone(), marking.clone()));
    let holder = tokio::spawn(lock.hold(gateway.clone(), released.clone()));
    let emergency = tokio::spawn(emergency::run(backend.clone(), flushing.clone()));
    let controller = tokio::spawn(control::serve(backend.clone(), control, control_path, flushing.clone()));
    let readiness = tokio::spawn(watch_readiness(backend.clone(), flushing.clone()));
    let sweeper = tokio::spawn(sweep(web::sessions(store.clone(), clock, Area::Partner), stop.clone()));
    let gateway_server = gateway_threads.spawn(gateway.clone().serve(api, stop.clone()));
    let forward_auth_server =
        forward_auth.map(|listener| gateway_threads.spawn(gateway.clone().serve_forward_auth(listener, stop.clone())));
    let metrics_server = metrics.map(|listener| {
        gateway_threads.spawn(metrics::serve(gateway.clone(), store.clone(), metrics_limits, listener, stop.clone()))
    });
    let router = web::router(web.clone(), store.clone());
    let console_area = hub.as_ref().map(|_| Area::Partner);
    let hub_server = hub.map(|hub| {
        tokio::spawn(web::serve(web.clone(), router.clone(), Some(Area::Hub), hub_limits, hub, stop.clone()))
    });
    let console_server =
        tokio::spawn(web::serve(web.clone(), router, console_area, console_limits, console, stop.clone()));
    web.ready.store(true, Ordering::Release);
    gateway.set_ready(true);
    tracing::info!(console = %settings.console_address, gateway = %settings.gateway_address, "serving");

    stop_signals.next().await;
    web.ready.store(false, Ordering::Release);
    gateway.announce_stop();
    tracing::info!(delay_seconds = stop_delay.as_secs(), "stopping: not ready any more, requests are still accepted");
    let is_delayed = tokio::select! {
        () = sleep(stop_delay) => true,
        () = stop_signals.next() => false,
    };
    stop.cancel();
    let ends_at = Instant::now() + drain_timeout;
    // Each listener cuts what is left after its own time.
    let drain = async {
        let mut drained = gateway_server.await.is_ok();
        if let Some(server) = forward_auth_server {
            drained &= server.await.is_ok();
        }
        // No use of a key is lost with these.
        let _ = console_server.await;
        if let Some(server) = hub_server {
            let _ = server.await;
        }
        if let Some(server) = metrics_server {
            let _ = server.await;
        }
        drained
    };
    let asked_again = || {
        tracing::warn!("asked again to stop: requests in flight are cut off");
        false
    };
    let drained = tokio::select! {
        biased;
        () = ready(()), if !is_delayed => asked_again(),
        drained = drain => drained,
        () = stop_signals.next() => asked_again(),
    };
    let last_writes = async {
        flushing.cancel();
        flusher.await?;
        sweeper.await?;
        reminder.await?;
        pending_resets.await?;
        emergency.await?;
        controller.await?;
        readiness.await?;
        if drained && let Err(error) = backend.record_clean_stop().await {
            tracing::warn!(%error, "the clean stop could not be recorded; the next start waits for the leeway");
        }
        marking.cancel();
        marker.await?;
        store.close().await;
        released.cancel();
        holder.await?;
        Ok(())
    };
    // Whatever the database does, the program ends in time.
    let given_up_at = Instant::now() + LAST_WRITES;
    let ends_at = if drained { ends_at.min(given_up_at) } else { given_up_at };
    match timeout_at(ends_at, last_writes).await {
        Ok(ended) => ended.inspect(|()| tracing::info!("stopped")),
        Err(_) => Err("the last writes to the database took too long; the next start waits for the leeway".into()),
    }
}

/// Creates what is missing and brings the database up to date.
///
/// # Errors
/// A server is running, or the database cannot be used.
async fn migrate(state: &StateSettings) -> Outcome<()> {
    state.check()?;
    startup::migrate(state, &Clock::system()).await?;
    println!("The database is up to date.");
    Ok(())
}

/// Creates a Nuvera admin, with a password from standard input.
///
/// # Errors
/// The password is not taken, the address has an account, or the database fails.
async fn create_admin(admin: CreateAdmin) -> Outcome<()> {
    admin.state.check()?;
    let mut password = String::new();
    eprintln!("Password for {} (at least {MIN_PASSWORD_CHARACTERS} characters):", admin.email);
    io::stdin().lock().read_line(&mut password)?;
    let password = password.trim_end_matches(['\r', '\n']);
    let email = EmailAddress::new(&admin.email).map_err(|error| format!("--email: {error}"))?;
    let name = PersonName::new(&admin.name).map_err(|error| format!("--name: {error}"))?;
    check_password(password, &[email.as_str(), name.as_str()])?;
    let (store, backend) = open_idle(&admin.state).await?;
    let organization_id = backend.nuvera().await?;
    let person =
        NewPerson { organization_id, email: email.as_str(), name: name.as_str(), role: Role::NuveraAdmin, password };
    let added = backend.add_person(person).await;
    store.close().await;
    match added {
        Ok(_) => {
            println!("{} can sign in now, and sets up a second factor then.", email.as_str());
            Ok(())
        }
        Err(BackendError::Store(StoreError::Taken)) => Err(format!("{} has an account already", email.as_str()).into()),
        Err(error) => Err(error.into()),
    }
}

/// Creates a partner organization, and prints the link of its first owner's invitation.
///
/// # Errors
/// A name or address is not accepted, or taken; the database fails.
async fn create_partner(partner: CreatePartner) -> Outcome<()> {
    partner.state.check()?;
    let name = OrganizationName::new(&partner.name).map_err(|error| format!("--name: {error}"))?;
    let contact = partner.contact.as_deref().map(Contact::new).transpose();
    let contact = contact.map_err(|error| format!("--contact: {error}"))?;
    let owner = match (&partner.owner_email, &partner.owner_name) {
        (Some(email), Some(name)) => Some(FirstOwner {
            email: EmailAddress::new(email).map_err(|error| format!("--owner-email: {error}"))?,
            name: PersonName::new(name).map_err(|error| format!("--owner-name: {error}"))?,
        }),
        _ => None,
    };
    let (store, backend) = open_idle(&partner.state).await?;
    let details = OrganizationDetails { name, contact, note: None };
    let created = backend.create_partner_as_operator(getuid().as_raw(), details, owner).await;
    store.close().await;
    let CreatedPartner { organization, invitation } = created?;
    println!("{} is created, with the id {}.", organization.details.name, organization.id);
    match invitation {
        Some((invitation, token)) => print_invitation(&invitation, token.reveal()),
        None => println!("Invite its first owner in the organization hub, or with `server recover --organization`."),
    }
    Ok(())
}

fn print_invitation(invitation: &Invitation, token: &str) {
    let path = Area::Partner.invitation();
    println!(
        "At the console’s address, until {} and once, {} joins as {} here:",
        invitation.expires_at,
        invitation.name,
        invitation.role.label()
    );
    println!("{path}?token={token}");
}

/// Removes everything that a user signed in with, and prints a link with which they choose a new password; or gives an
/// organization that has none an owner.
///
/// # Errors
/// Nobody signs in with this address and a password; the organization has an owner; the database fails.
async fn recover(lost: Recover) -> Outcome<()> {
    lost.state.check()?;
    let invited = match &lost.name {
        Some(name) => Some(FirstOwner {
            email: EmailAddress::new(&lost.email).map_err(|error| format!("--email: {error}"))?,
            name: PersonName::new(name).map_err(|error| format!("--name: {error}"))?,
        }),
        None => None,
    };
    let (store, backend) = open_idle(&lost.state).await?;
    if let (Some(organization), Some(owner)) = (&lost.organization, invited) {
        let invited = backend.invite_owner_as_operator(getuid().as_raw(), organization, owner).await;
        store.close().await;
        let (name, invitation, token) = invited.map_err(|error| match error {
            BackendError::NotFound => {
                format!("--organization: no partner organization, or several, has the id or name {organization}").into()
            }
            error => Box::<dyn Error + Send + Sync>::from(error),
        })?;
        println!("{} is invited as an owner of {name}.", invitation.name);
        print_invitation(&invitation, token.reveal());
        return Ok(());
    }
    if lost.make_owner {
        let made = backend.make_owner(&lost.email).await;
        store.close().await;
        let person = made.map_err(|error| match error {
            BackendError::NotFound => format!("--email: no account has the address {}", lost.email).into(),
            error => Box::<dyn Error + Send + Sync>::from(error),
        })?;
        println!("{} is {} of {} now.", person.name, person.role.label(), person.organization_name);
        return Ok(());
    }
    let recovered = backend.recover(&lost.email).await;
    store.close().await;
    match recovered {
        Ok((person, token, expires_at)) => {
            let path = Area::of_side(person.kind()).reset();
            println!(
                "{}, {}: password, second factors, recovery codes, sessions and known browsers are removed.",
                person.name,
                person.role.label()
            );
            println!("At the console's address, until {expires_at} and once, they choose a new password here:");
            println!("{path}?token={}", token.reveal());
            Ok(())
        }
        Err(BackendError::NotFound) => Err(format!("nobody signs in with {} and a password", lost.email).into()),
        Err(error) => Err(error.into()),
    }
}

/// A backend beside which no gateway serves.
async fn open_idle(state: &StateSettings) -> Outcome<(Store, Backend)> {
    let (store, pepper) = startup::open_existing(state).await?;
    let (clock, pepper) = (Clock::system(), Arc::new(pepper));
    let gateway = Gateway::new(GatewaySettings::idle(), clock.clone(), pepper.clone(), ReplayFence::default());
    Ok((store.clone(), Backend::new(store, gateway, pepper, clock)))
}

/// How many connections each listener may hold. The upstream has as many as a listener of the gateway: every request may
/// need one.
fn shares(settings: &ServeSettings) -> Shares {
    let sharing = 1 + usize::from(settings.forward_auth_address.is_some()) + usize::from(settings.upstream.is_some());
    let limit = open_files::raise_limit();
    let shares = open_files::shares(settings.max_connections, limit, sharing);
    if shares.gateway < settings.max_connections {
        let Shares { gateway, console, metrics } = shares;
        tracing::warn!(
            gateway,
            console,
            metrics,
            limit,
            "too few files may be open for --max-connections: it is fewer"
        );
    }
    shares
}

fn read_routes(path: Option<&Path>) -> Outcome<RouteTable> {
    let Some(path) = path else { return Ok(RouteTable::default()) };
    let text = fs::read_to_string(path).map_err(|error| format!("--routes: {}: {error}", path.display()))?;
    Ok(RouteTable::parse(&text).map_err(|error| format!("--routes: {}: {error}", path.display()))?)
}

fn read_issuers(path: Option<&Path>) -> Outcome<Vec<IssuerSettings>> {
    let Some(path) = path else { return Ok(Vec::new()) };
    Ok(single_sign_on::read(path).map_err(|error| format!("--sso: {}: {error}", path.display()))?)
}

async fn bind(setting: &'static str, address: SocketAddr) -> Outcome<TcpListener> {
    Ok(TcpListener::bind(address).await.map_err(|error| format!("{setting}: {address} cannot be used: {error}"))?)
}

/// Deletes sessions that have ended, now and then.
async fn sweep(sessions: DatabaseSessions, stop: CancellationToken) {
    let mut interval = tokio::time::interval(Duration::from_secs(600));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = interval.tick() => {}
        }
        // One that stays is refused by its time all the same.
        if let Err(error) = sessions.purge().await {
            tracing::warn!(%error, "ended sessions could not be deleted");
        }
    }
}

/// Where emergency stops are written that the database cannot record. The second place has the data folder's path in its
/// name, so that two servers on one machine do not share it.
fn journal(settings: &ServeSettings) -> Journal {
    let data = &settings.state.data;
    let path = settings.journal.clone().unwrap_or_else(|| data.join("emergency-stops.jsonl"));
    let folder = fs::canonicalize(data).unwrap_or_else(|_| data.clone());
    let digest = digest::digest(&digest::SHA256, folder.as_os_str().as_bytes());
    let name = URL_SAFE_NO_PAD.encode(&digest.as_ref()[..12]);
    Journal::new(path, std::env::temp_dir().join(format!("nuvera-emergency-stops-{name}.jsonl")))
}

/// Ignores SIGHUP, which would end the process without draining: a terminal that closes must not cut requests off.
fn ignore_hangups() -> io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            tracing::info!("SIGHUP is ignored: settings are read at the start");
        }
    });
    Ok(())
}

/// The gateway's runtime, which ends with the server.
struct GatewayThreads(Option<Runtime>);

impl GatewayThreads {
    fn start() -> io::Result<Self> {
        Ok(Self(Some(threads::gateway_runtime()?)))
    }

    fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.0.as_ref().expect("the runtime is there until it is dropped").spawn(task)
    }
}

impl Drop for GatewayThreads {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which async code must not do.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What asks the program to stop.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on a signal is waited for, and does not end the process by itself.
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
