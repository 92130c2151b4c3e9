//! The settings, from the command line or the environment, judged once at start.

use crate::{
    address::{Network, canonical},
    control::StopCommand,
    forwarded::{ForwardedHeader, Proxies, Trust},
    gateway::UpstreamSettings,
    listener::{IDLE_TIMEOUT, Limits},
    mail::Mailer,
    open_files::Shares,
    tls::{Authorities, ClientIdentity},
    web,
};
use clap::{Args, CommandFactory, Parser, Subcommand};
use lettre::message::Mailbox;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use strsim::levenshtein;
use url::Url;

/// Nuvera API Applications: the console for API credentials, and the gateway that verifies every request.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the console and the gateway.
    Serve(Box<ServeSettings>),
    /// Create the database and the pepper if they are missing, and bring the tables up to date. `serve` does the same.
    Migrate(StateSettings),
    /// Create a Nuvera admin; the password is read from standard input.
    CreateAdmin(CreateAdmin),
    /// Create a partner organization, and print a link with which its first owner joins. Nuvera's admins do the same in the
    /// organization hub. May be used while the server runs.
    CreatePartner(CreatePartner),
    /// Restore access for a user who lost their password or second factor and whom no other user can help: the last owner,
    /// the last admin. Removes what they signed in with, and prints a link to choose a new password. With --make-owner: makes a
    /// member the owner (Nuvera: the admin) of an organization that has none. With --organization: prints an owner's invitation
    /// to a partner organization that has none. May be used while the server runs.
    Recover(Recover),
    /// Write a consistent copy of a SQLite database into a file, while the server runs. Keep the pepper file with it.
    Backup(Backup),
    /// Stop an application, an organization, an API key, a signing key or everything on the running server at once, without
    /// the database and without a session.
    Stop(StopCommand),
    /// Print the code of the moment of the demo people who need a second factor (see `serve --demo`).
    DemoCode,
}

/// Where state is kept.
#[derive(Debug, Clone, Args)]
pub struct StateSettings {
    /// The folder for the database and the pepper; made where it is missing.
    #[arg(long, env = "NUVERA_DATA", default_value = "data")]
    pub data: PathBuf,
    /// The database, sqlite: or postgres:. By default nuvera.db in the data folder.
    #[arg(long, env = "NUVERA_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// The pepper file. By default `pepper` in the data folder; made, for its owner only, where it is missing.
    #[arg(long, env = "NUVERA_PEPPER_FILE")]
    pub pepper_file: Option<PathBuf>,
    /// A PEM file with the certificates of authorities, such as a company's own, that are trusted besides the system's: by
    /// mail, single sign-on and the database.
    #[arg(long, env = "NUVERA_CA_FILE")]
    pub ca_file: Option<PathBuf>,
}

/// How to serve.
#[derive(Debug, Clone, Args)]
pub struct ServeSettings {
    /// Where state is kept.
    #[command(flatten)]
    pub state: StateSettings,
    /// The journal: the file for emergency stops that the database cannot record. By default emergency-stops.jsonl in the data
    /// folder. Where it cannot be written, a file in the folder for temporary files is used.
    #[arg(long, env = "NUVERA_JOURNAL")]
    pub journal: Option<PathBuf>,
    /// The Unix socket that `server stop` talks to. By default control.sock in the data folder.
    #[arg(long, env = "NUVERA_CONTROL_SOCKET")]
    pub control_socket: Option<PathBuf>,
    /// The address that the console listens on.
    #[arg(long, env = "NUVERA_CONSOLE_ADDRESS", default_value = "127.0.0.1:3000")]
    pub console_address: SocketAddr,
    /// The origin that browsers see: every change must come from it. With https, cookies are `__Host-` and HSTS is sent.
    /// By default http:// and the console's address.
    #[arg(long, env = "NUVERA_CONSOLE_URL")]
    pub console_url: Option<String>,
    /// An origin of its own for Nuvera's area, such as https://hub.example.com: then the area answers there only, and
    /// everything else at --console-url only. By default http:// and --hub-address, or both are at --console-url.
    #[arg(long, env = "NUVERA_HUB_URL")]
    pub hub_url: Option<String>,
    /// An address of its own for Nuvera's area: then the area is served there only, and everything else at
    /// --console-address only, whatever a request's Host header says. By default both are at --console-address, and with
    /// --hub-url it is the Host header that keeps them apart.
    #[arg(long, env = "NUVERA_HUB_ADDRESS")]
    pub hub_address: Option<SocketAddr>,
    /// The address that the gateway listens on.
    #[arg(long, env = "NUVERA_GATEWAY_ADDRESS", default_value = "127.0.0.1:24500")]
    pub gateway_address: SocketAddr,
    /// Where nginx, Traefik or Envoy may ask whether a request is good; off where it is not given. It believes whoever
    /// asks: keep it in a private network.
    #[arg(long, env = "NUVERA_FORWARD_AUTH_ADDRESS")]
    pub forward_auth_address: Option<SocketAddr>,
    /// Where Prometheus finds the gateway's metrics; off where it is not given.
    #[arg(long, env = "NUVERA_METRICS_ADDRESS")]
    pub metrics_address: Option<SocketAddr>,
    /// The origin that partners see, for the snippets. By default http:// and the gateway's address.
    #[arg(long, env = "NUVERA_GATEWAY_URL")]
    pub gateway_url: Option<String>,
    /// The REST API behind the gateway, such as http://10.0.0.5:8080 or https://api.internal, whose certificate the system's
    /// trust store must lead to. Without it the gateway answers what it verified.
    #[arg(long, env = "NUVERA_UPSTREAM")]
    pub upstream: Option<String>,
    /// How long the upstream may take to begin its answer, and be silent while it answers, in seconds.
    #[arg(long, env = "NUVERA_UPSTREAM_TIMEOUT", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub upstream_timeout: u64,
    /// How long a connection to the upstream is kept without a request, in seconds; 0: not at all. It must be shorter than
    /// the upstream keeps one, or a request may be sent into a connection that is being closed. Where the upstream says
    /// how long it keeps one (Keep-Alive: timeout=…), a connection is closed a second before.
    #[arg(long, env = "NUVERA_UPSTREAM_IDLE_TIMEOUT", default_value_t = 4, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub upstream_idle_timeout: u64,
    /// The certificate that the gateway shows to an https upstream, with those that lead to its authority: a PEM file.
    #[arg(long, env = "NUVERA_UPSTREAM_CLIENT_CERTIFICATE", requires = "upstream_client_key")]
    pub upstream_client_certificate: Option<PathBuf>,
    /// The private key of that certificate: a PEM file, not encrypted.
    #[arg(long, env = "NUVERA_UPSTREAM_CLIENT_KEY", requires = "upstream_client_certificate")]
    pub upstream_client_key: Option<PathBuf>,
    /// How far a partner's clock may be off, in seconds.
    #[arg(long, env = "NUVERA_LEEWAY", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub leeway: u64,
    /// The largest request body that the gateway takes, in bytes. There is room for 64 such at one time; an application may
    /// hold as much of it as is still free for others. Bodies of up to 16 KiB need no room.
    #[arg(long, env = "NUVERA_MAX_BODY", default_value_t = 8 * 1024 * 1024, value_parser = parse_max_body)]
    pub max_body: usize,
    /// How many requests' jti are remembered at the most; more than that within their lifetime are refused.
    #[arg(long, env = "NUVERA_REPLAY_CAPACITY", default_value_t = 8_000_000, value_parser = parse_capacity)]
    pub replay_capacity: usize,
    /// How many connections each of the gateway's listeners holds open at most; further ones wait for a place, and are closed
    /// after 10 seconds. Where fewer files may be open, it is fewer.
    #[arg(long, env = "NUVERA_MAX_CONNECTIONS", default_value_t = 10_000, value_parser = parse_connections)]
    pub max_connections: usize,
    /// The most connections of one IPv4 address or IPv6 /64 network, at the gateway and at the console; further ones are
    /// closed at once. It is never more than half of what a listener holds. 0: any number. With --trust-forwarded-for the
    /// address is a proxy's, so it does not apply.
    #[arg(long, env = "NUVERA_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 2_000)]
    pub max_connections_per_address: usize,
    /// How many seconds a connection without a request is kept, at every listener. A load balancer in front must close its
    /// idle connections earlier.
    #[arg(long, env = "NUVERA_IDLE_TIMEOUT", default_value_t = IDLE_TIMEOUT.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub idle_timeout: u64,
    /// How many seconds requests are still accepted after a signal to stop, while /readyz fails already: the time in which
    /// load balancers notice.
    #[arg(long, env = "NUVERA_STOP_DELAY", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub stop_delay: u64,
    /// How many seconds, after --stop-delay, requests in flight and the last writes to the database may take. By default 10,
    /// and with an upstream 5 more than --upstream-timeout.
    #[arg(long, env = "NUVERA_DRAIN_TIMEOUT", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub drain_timeout: Option<u64>,
    /// How many requests per second each application may send, a second's worth of them at once; 0: any number.
    #[arg(long, env = "NUVERA_RATE_LIMIT", default_value_t = 0)]
    pub rate_limit: u32,
    /// How many failed attempts per minute one network address has: requests that name no known API key, and for each
    /// application, requests whose signature does not verify (for all applications together, ten times as many). Further
    /// ones are refused without being verified. 0: any number.
    #[arg(long, env = "NUVERA_FAILURE_LIMIT", default_value_t = 120)]
    pub failure_limit: u32,
    /// The SMTP server that reminders go out by: smtps://user:password@host, or smtp://host?tls=required for STARTTLS.
    /// Without it they are written into the folder `mail` in the data folder.
    #[arg(long, env = "NUVERA_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// Whom reminders come from, such as "Nuvera <no-reply@nuvera.example>". Needed with --smtp-url.
    #[arg(long, env = "NUVERA_MAIL_FROM")]
    pub mail_from: Option<Mailbox>,
    /// The route table. By default the built-in one, which is the public API reference's.
    #[arg(long, env = "NUVERA_ROUTES")]
    pub routes: Option<PathBuf>,
    /// The file about identity providers by which people sign in (single sign-on by OpenID Connect); see README.md. Without
    /// it everybody signs in with a password.
    #[arg(long, env = "NUVERA_SSO")]
    pub sso: Option<PathBuf>,
    /// The folder with the browser's files, as `xtask site` makes it.
    #[arg(long, env = "NUVERA_SITE", default_value = "target/site")]
    pub site: PathBuf,
    /// Whether a proxy, before the console and before the gateway, names the client's address last in X-Forwarded-For. Leave
    /// it off where clients connect to either directly: they could name any address. Without it, all partners behind one
    /// proxy share its address, and so its --failure-limit. The same as --trusted-hops 1.
    #[arg(long, env = "NUVERA_TRUST_FORWARDED_FOR")]
    pub trust_forwarded_for: bool,
    /// How many proxies stand in front, each of which adds an address. The client's is so many from the end.
    #[arg(long, env = "NUVERA_TRUSTED_HOPS", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub trusted_hops: Option<u8>,
    /// The networks of the proxies in front, such as 10.0.0.0/8,2001:db8::/32. The client's address is the last one that is in
    /// none of them; a connection from elsewhere is a client's own. Instead of --trusted-hops.
    #[arg(long, env = "NUVERA_TRUSTED_PROXIES", value_delimiter = ',', conflicts_with = "trusted_hops")]
    pub trusted_proxies: Vec<Network>,
    /// The header in which proxies name their clients: x-forwarded-for, or where a request has none, forwarded (RFC 7239);
    /// or forwarded alone. Proxies that write the second pass the first on as their client sent it.
    #[arg(long, env = "NUVERA_FORWARDED_HEADER", value_enum, default_value_t)]
    pub forwarded_header: ForwardedHeader,
    /// Accept a database whose audit history ends at this event although a later one was recorded before, such as a restored
    /// backup. The server says the number when it refuses to start. The acceptance is recorded in the audit history.
    #[arg(long, value_name = "EVENT")]
    pub accept_older_database: Option<i64>,
    /// On an empty database, create demo people, and print how to sign in. Their password is public, so the server then
    /// listens on loopback addresses only.
    #[arg(long, env = "NUVERA_DEMO")]
    pub demo: bool,
    /// Serve demo people at addresses that other machines can reach: everyone can sign in as each of them.
    #[arg(long, env = "NUVERA_DEMO_ON_PUBLIC_ADDRESS")]
    pub demo_on_public_address: bool,
}

/// Where to write a copy of the database.
#[derive(Debug, Args)]
pub struct Backup {
    /// Where state is kept.
    #[command(flatten)]
    pub state: StateSettings,
    /// The file, which must not exist.
    pub file: PathBuf,
}

/// Who becomes an admin.
#[derive(Debug, Args)]
pub struct CreateAdmin {
    /// Where state is kept.
    #[command(flatten)]
    pub state: StateSettings,
    /// The address they sign in with.
    #[arg(long)]
    pub email: String,
    /// The name people know them by.
    #[arg(long)]
    pub name: String,
}

/// A partner organization to create.
#[derive(Debug, Args)]
pub struct CreatePartner {
    /// Where state is kept.
    #[command(flatten)]
    pub state: StateSettings,
    /// The organization's name.
    #[arg(long)]
    pub name: String,
    /// The person or team there that Nuvera's support contacts.
    #[arg(long)]
    pub contact: Option<String>,
    /// The e-mail address of the first owner. Without one, nobody is invited.
    #[arg(long, requires = "owner_name")]
    pub owner_email: Option<String>,
    /// The first owner's name.
    #[arg(long, requires = "owner_email")]
    pub owner_name: Option<String>,
}

/// Whose access to restore.
#[derive(Debug, Args)]
pub struct Recover {
    /// Where state is kept.
    #[command(flatten)]
    pub state: StateSettings,
    /// The address they sign in with, or will sign in with.
    #[arg(long)]
    pub email: String,
    /// Print an owner's invitation to the partner organization of this id or name, which has no owner. The address must have
    /// no account.
    #[arg(long, requires = "name", conflicts_with = "make_owner")]
    pub organization: Option<String>,
    /// The name of the user who is invited.
    #[arg(long, requires = "organization")]
    pub name: Option<String>,
    /// Make them an owner of their organization (Nuvera: an admin), which has none. What they sign in with stays.
    #[arg(long)]
    pub make_owner: bool,
}

/// A setting that cannot be used; the words name it.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct SettingError {
    /// The setting's flag.
    pub setting: &'static str,
    /// What is wrong, and what to give instead.
    pub problem: String,
}

impl StateSettings {
    /// The database's URL.
    pub fn database_url(&self) -> String {
        let Some(url) = &self.database_url else {
            return format!("sqlite://{}?mode=rwc", self.data.join("nuvera.db").display());
        };
        match &self.ca_file {
            Some(file) if url.starts_with("postgres") && !names_authorities(url) => {
                let file: String = form_urlencoded::byte_serialize(file.as_os_str().as_encoded_bytes()).collect();
                format!("{url}{}sslrootcert={file}", if url.contains('?') { '&' } else { '?' })
            }
            _ => url.clone(),
        }
    }

    /// The setting that says where the database is.
    pub fn database_setting(&self) -> &'static str {
        if self.database_url.is_some() { "--database-url" } else { "--data" }
    }

    /// The pepper's file.
    pub fn pepper_file(&self) -> PathBuf {
        self.pepper_file.clone().unwrap_or_else(|| self.data.join("pepper"))
    }

    /// The authorities that are trusted besides the system's.
    ///
    /// # Errors
    /// The file has no certificate that can be used.
    pub fn authorities(&self) -> Result<Authorities, SettingError> {
        let Some(file) = &self.ca_file else { return Ok(Authorities::default()) };
        Authorities::read(file).map_err(|problem| SettingError { setting: "--ca-file", problem })
    }

    /// Judges what the command line could not.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), SettingError> {
        self.authorities()?;
        let url = self.database_url();
        if url.starts_with("sqlite:") || url.starts_with("postgres:") || url.starts_with("postgresql:") {
            return Ok(());
        }
        let problem = "give a URL that starts with sqlite:// or postgres://".to_owned();
        Err(SettingError { setting: "--database-url", problem })
    }
}

/// Whether the URL of a PostgreSQL database says which authorities are trusted.
fn names_authorities(url: &str) -> bool {
    let (_, parameters) = url.split_once('?').unwrap_or_default();
    let names = ["sslrootcert", "ssl-root-cert", "ssl-ca"];
    form_urlencoded::parse(parameters.as_bytes()).any(|(name, _)| names.contains(&&*name))
}

/// The largest value of `--max-body`: 1 GiB. There is room for 64 such bodies.
const MAX_BODY_BYTES: usize = 1024 * 1024 * 1024;

/// How the names of the environment variables begin that this program reads.
const VARIABLE_PREFIX: &str = "NUVERA_";

/// Variables with that beginning that are no settings: the log's filter, what a partner's snippets and this project's tests
/// read.
const OTHER_VARIABLES: [&str; 12] = [
    "NUVERA_LOG",
    "NUVERA_API_KEY",
    "NUVERA_PRIVATE_KEY",
    "NUVERA_PRIVATE_KEY_FILE",
    "NUVERA_GATEWAY",
    "NUVERA_METHOD",
    "NUVERA_URI",
    "NUVERA_BODY",
    "NUVERA_SNIPPET",
    "NUVERA_SERVER",
    "NUVERA_CHROMIUM",
    "NUVERA_FIREFOX",
];

/// An environment variable that is no setting: most likely one that is spelled wrong, and would be ignored in silence.
#[derive(Debug, thiserror::Error)]
#[error("{name}: there is no such setting{}", .similar.as_ref().map_or_else(String::new, |similar| format!("; did you mean {similar}?")))]
pub struct UnknownVariable {
    name: String,
    similar: Option<String>,
}

/// Checks the names of environment variables. `may_name` says whether a file of the operator's names one.
///
/// # Errors
/// One begins as a setting's and is none.
pub fn check_variables(
    names: impl Iterator<Item = String>,
    may_name: impl Fn(&str) -> bool,
) -> Result<(), UnknownVariable> {
    let program = Cli::command();
    let arguments = program.get_subcommands().flat_map(clap::Command::get_arguments);
    let known: Vec<_> = arguments.filter_map(|argument| argument.get_env()?.to_str()).collect();
    // Kubernetes sets these for a service whose name begins so.
    let is_of_service = |name: &str| {
        name.ends_with("_SERVICE_HOST")
            || name.contains("_SERVICE_PORT")
            || name.ends_with("_PORT")
            || name.contains("_PORT_")
    };
    let is_known = |name: &str| {
        !name.starts_with(VARIABLE_PREFIX)
            || known.contains(&name)
            || OTHER_VARIABLES.contains(&name)
            || ["NUVERA_TEST_", "NUVERA_END2END_"].iter().any(|prefix| name.starts_with(prefix))
            || is_of_service(name)
            || may_name(name)
    };
    let mut names = names.filter(|name| !is_known(name));
    names.next().map_or(Ok(()), |name| {
        let nearest = known.iter().map(|known| (levenshtein(&name, known), *known)).min();
        let similar =
            nearest.filter(|(distance, known)| *distance <= known.len() / 4).map(|(_, known)| known.to_owned());
        Err(UnknownVariable { name, similar })
    })
}

/// The folder for mail, in the data folder.
const MAIL_FOLDER: &str = "mail";

impl ServeSettings {
    /// The console's public origin.
    ///
    /// # Errors
    /// It is no origin.
    pub fn console_origin(&self) -> Result<String, SettingError> {
        origin("--console-url", self.console_url.as_deref(), self.console_address)
    }

    /// The origin of Nuvera's area, where it has one of its own.
    ///
    /// # Errors
    /// It is no origin, or the console's.
    pub fn hub_origin(&self) -> Result<Option<String>, SettingError> {
        let setting = "--hub-url";
        if self.hub_url.is_none() && self.hub_address.is_none() {
            return Ok(None);
        }
        let address = self.hub_address.unwrap_or(self.console_address);
        let hub = origin(setting, self.hub_url.as_deref(), address)?;
        if hub == self.console_origin()? {
            let problem = format!("{hub:?} is where the console is; give another origin, or none");
            return Err(SettingError { setting, problem });
        }
        Ok(Some(hub))
    }

    /// The gateway's public origin.
    ///
    /// # Errors
    /// It is no origin.
    pub fn gateway_origin(&self) -> Result<String, SettingError> {
        origin("--gateway-url", self.gateway_url.as_deref(), self.gateway_address)
    }

    /// Returns the first address, by its setting, at which other machines can reach people or the gateway.
    fn public_address(&self) -> Option<(&'static str, String)> {
        let addresses = [
            ("--console-address", Some(self.console_address)),
            ("--hub-address", self.hub_address),
            ("--gateway-address", Some(self.gateway_address)),
            ("--forward-auth-address", self.forward_auth_address),
        ];
        let public = |(setting, address): (_, Option<SocketAddr>)| {
            let address = address.filter(|address| !address.ip().to_canonical().is_loopback())?;
            Some((setting, address.to_string()))
        };
        // A proxy on this machine may pass the world on to a loopback address.
        let origins =
            [("--console-url", &self.console_url), ("--hub-url", &self.hub_url), ("--gateway-url", &self.gateway_url)];
        let public_origin = |(setting, url): (_, &Option<String>)| {
            let url = url.as_ref()?;
            let is_public = !is_loopback_origin(url);
            is_public.then(|| (setting, url.clone()))
        };
        addresses.into_iter().find_map(public).or_else(|| origins.into_iter().find_map(public_origin))
    }

    /// Checks that demo people are not served at an address that other machines can reach, unless the operator says so.
    /// `found` names a demo person in the database whose password is the public one.
    ///
    /// # Errors
    /// They would be.
    pub fn check_demo(&self, found: Option<&str>) -> Result<(), SettingError> {
        let Some((setting, address)) = self.public_address().filter(|_| !self.demo_on_public_address) else {
            return Ok(());
        };
        let (setting_with_demo, remedy) = match (self.demo, found) {
            (true, _) => ("--demo", "leave out --demo and use `server create-admin`".to_owned()),
            (false, Some(email)) => (
                "--data",
                format!("use another database: this one has the demo account {email} with its public password"),
            ),
            (false, None) => return Ok(()),
        };
        let problem = format!(
            "other machines can reach {setting} {address}, and everyone knows the password of the demo people. Give a \
             loopback address (127.0.0.1), or {remedy}. In a container that has to listen on 0.0.0.0, publish its ports on \
             the host's loopback address only (--publish 127.0.0.1:3000:3000) and add --demo-on-public-address"
        );
        Err(SettingError { setting: setting_with_demo, problem })
    }

    /// Whether demo people in the database matter: other machines can reach this server, and the operator did not accept it.
    pub fn must_look_for_demo_people(&self) -> bool {
        self.public_address().is_some() && !self.demo_on_public_address
    }

    /// The upstream.
    ///
    /// # Errors
    /// It is no http:// or https:// origin, or is this server itself; or its client certificate cannot be used.
    pub fn upstream(&self) -> Result<Option<UpstreamSettings>, SettingError> {
        let setting = "--upstream";
        let Some(given) = &self.upstream else {
            return match &self.upstream_client_certificate {
                Some(_) => Err(certificate_without_https("there is no --upstream")),
                None => Ok(None),
            };
        };
        let written = parse_origin(given).and_then(|origin| origin.parse::<http::Uri>().ok());
        let uri = written.ok_or_else(|| SettingError {
            setting,
            problem: format!(
                "{given:?} cannot be used; give an origin such as http://10.0.0.5:8080 or https://api.internal"
            ),
        })?;
        if let Some(own) = self.own_listener(&uri) {
            let problem = format!(
                "{given:?} is {own} of this server, so requests would go round in a circle; give the REST API's"
            );
            return Err(SettingError { setting, problem });
        }
        let tls = match uri.scheme_str() {
            Some("https") => Some(Arc::new(self.upstream_tls()?)),
            _ if self.upstream_client_certificate.is_some() => {
                return Err(certificate_without_https("--upstream is not https"));
            }
            _ => None,
        };
        let idle_timeout = Duration::from_secs(self.upstream_idle_timeout);
        Ok(Some(UpstreamSettings { uri, tls, timeout: self.upstream_timeout(), idle_timeout }))
    }

    fn upstream_tls(&self) -> Result<rustls::ClientConfig, SettingError> {
        let wrong = |problem: String| SettingError { setting: "--upstream-client-certificate", problem };
        let identity = match (&self.upstream_client_certificate, &self.upstream_client_key) {
            (Some(certificate), Some(key)) => {
                Some(ClientIdentity::read(certificate, key).map_err(|e| wrong(e.to_string()))?)
            }
            _ => None,
        };
        let setting = if identity.is_some() { "--upstream-client-certificate" } else { "--upstream" };
        let failed = |error: rustls::Error| SettingError { setting, problem: format!("TLS cannot be set up: {error}") };
        self.state.authorities()?.for_client(identity).map_err(failed)
    }

    /// Which address of this server `upstream` is, where it is one.
    fn own_listener(&self, upstream: &http::Uri) -> Option<String> {
        let named = |(setting, own): (&str, Option<SocketAddr>)| {
            let own = own?;
            is_at(upstream, own).then(|| format!("{setting} {own}"))
        };
        let listeners = [
            ("--gateway-address", Some(self.gateway_address)),
            ("--console-address", Some(self.console_address)),
            ("--hub-address", self.hub_address),
            ("--forward-auth-address", self.forward_auth_address),
            ("--metrics-address", self.metrics_address),
        ];
        let public =
            [("--gateway-url", &self.gateway_url), ("--console-url", &self.console_url), ("--hub-url", &self.hub_url)];
        let same = |(setting, url): (&str, &Option<String>)| {
            let origin = parse_origin(url.as_deref()?)?;
            let is_same = origin.parse::<http::Uri>().is_ok_and(|origin| origin == *upstream);
            is_same.then(|| format!("{setting} {origin}"))
        };
        listeners.into_iter().find_map(named).or_else(|| public.into_iter().find_map(same))
    }

    /// The proxies in front of the console and the gateway.
    pub fn proxies(&self) -> Proxies {
        let trust = match self.trusted_hops {
            _ if !self.trusted_proxies.is_empty() => Trust::Networks(self.trusted_proxies.clone()),
            Some(hops) => Trust::Hops(hops.into()),
            None if self.trust_forwarded_for => Trust::Hops(1),
            None => Trust::Nobody,
        };
        Proxies::new(trust, self.forwarded_header)
    }

    /// The folder that mail is written to, where no server sends it.
    pub fn mail_folder(&self) -> Option<PathBuf> {
        self.smtp_url.is_none().then(|| self.state.data.join(MAIL_FOLDER))
    }

    /// What reminders go out by. The data folder must be there.
    ///
    /// # Errors
    /// The server's URL is none, or would send a password in the clear; there is no sender; the folder cannot be made.
    pub fn mailer(&self) -> Result<Mailer, SettingError> {
        let Some(url) = &self.smtp_url else {
            let folder = self.state.data.join(MAIL_FOLDER);
            let nobody = || "Nuvera <no-reply@localhost>".parse().expect("a mailbox (RFC 5322, 3.4)");
            let problem = |error| format!("{} cannot be made: {error}", folder.display());
            return Mailer::folder(&folder, self.mail_from.clone().unwrap_or_else(nobody))
                .map_err(|error| SettingError { setting: "--data", problem: problem(error) });
        };
        // The URL may hold a password: what is wrong is said without it.
        let wrong = |problem: &str| SettingError { setting: "--smtp-url", problem: problem.to_owned() };
        if url.starts_with("smtp:") && url.contains('@') && !url.contains("tls=required") {
            return Err(wrong("this would send the password in the clear; give smtps://… or smtp://…?tls=required"));
        }
        let problem = "give the address mail comes from, such as \"Nuvera <no-reply@nuvera.example>\"".to_owned();
        let from = self.mail_from.clone().ok_or(SettingError { setting: "--mail-from", problem })?;
        Mailer::smtp(url, from, &self.state.authorities()?).map_err(|error| {
            if error.is_tls() {
                let problem =
                    format!("{error}; install the system's certificates, or give those of the server's authority");
                return SettingError { setting: "--ca-file", problem };
            }
            wrong("this cannot be used; give smtps://user:password@host or smtp://host?tls=required")
        })
    }

    /// How long the upstream may take to begin its answer, and be silent while it answers.
    pub fn upstream_timeout(&self) -> Duration {
        Duration::from_secs(self.upstream_timeout)
    }

    /// How long requests are still accepted after a signal to stop.
    pub fn stop_delay(&self) -> Duration {
        Duration::from_secs(self.stop_delay)
    }

    /// How long requests in flight and the last writes may take after that. With an upstream, a request that was accepted
    /// has the time that it has otherwise.
    pub fn drain_timeout(&self) -> Duration {
        let default = if self.upstream.is_some() { (self.upstream_timeout + 5).max(10) } else { 10 };
        Duration::from_secs(self.drain_timeout.unwrap_or(default))
    }

    /// How long a connection without a request is kept.
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout)
    }

    /// How many connections of one address a listener takes that holds `max_connections`.
    pub fn max_per_address(&self, max_connections: usize) -> Option<usize> {
        let is_limited = self.max_connections_per_address > 0 && !self.proxies().any();
        is_limited.then(|| self.max_connections_per_address.min((max_connections / 2).max(1)))
    }

    /// What the console's listener allows, or the one of Nuvera's area. They share the files of the console.
    pub fn console_limits(&self, name: &'static str, shares: Shares, drain_timeout: Duration) -> Limits {
        let listeners = if self.hub_address.is_some() { 2 } else { 1 };
        let max_connections = (shares.console / listeners).max(1);
        Limits {
            name,
            max_connections,
            max_connections_per_address: self.max_per_address(max_connections),
            head_timeout: web::HEAD_TIMEOUT,
            idle_timeout: self.idle_timeout(),
            drain_timeout,
        }
    }
}

fn origin(setting: &'static str, given: Option<&str>, address: SocketAddr) -> Result<String, SettingError> {
    let given = given.map_or_else(|| format!("http://{address}"), |given| given.trim().to_owned());
    parse_origin(&given).ok_or_else(|| {
        let problem =
            format!("{given:?} cannot be used; give an origin such as https://console.example.com, without a path");
        SettingError { setting, problem }
    })
}

/// An origin as browsers write it in `Origin` (WHATWG URL, 4.5; RFC 6454, 6.2): in lower case, without the scheme's default port,
/// with an international name in Punycode and an IPv6 address in its shortest form. `None` if there is more than an origin, or
/// less.
fn parse_origin(given: &str) -> Option<String> {
    let url = Url::parse(given).ok()?;
    let has_more = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
    let has_user = !url.username().is_empty() || url.password().is_some();
    let is_origin = matches!(url.scheme(), "http" | "https") && !has_more && !has_user;
    is_origin.then(|| url.origin().ascii_serialization())
}

fn certificate_without_https(why: &str) -> SettingError {
    let problem = format!("{why}, so no certificate is shown; leave it out, or give an https:// upstream");
    SettingError { setting: "--upstream-client-certificate", problem }
}

/// Whether `uri` leads to a listener of this machine at `own`, as far as its text tells: by the address, as localhost, or by
/// any address of the machine that is reached through loopback where the listener is at every address.
fn is_at(uri: &http::Uri, own: SocketAddr) -> bool {
    let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    if uri.port_u16().unwrap_or(default_port) != own.port() || own.port() == 0 {
        return false;
    }
    let own = canonical(own.ip());
    let host = uri.host().unwrap_or_default();
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().map(canonical) {
        Ok(address) => address == own || address.is_unspecified() || own.is_unspecified() && address.is_loopback(),
        Err(_) => is_localhost(host) && (own.is_loopback() || own.is_unspecified()),
    }
}

fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

fn is_loopback_origin(url: &str) -> bool {
    let uri: Option<http::Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default().to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    is_localhost(&host) || address.is_ok_and(|address| canonical(address).is_loopback())
}

fn parse_capacity(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(capacity) if capacity >= 1000 => Ok(capacity),
        _ => Err("give a number of at least 1000".to_owned()),
    }
}

fn parse_max_body(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if (1..=MAX_BODY_BYTES).contains(&bytes) => Ok(bytes),
        _ => Err(format!("give a number of bytes from 1 to {MAX_BODY_BYTES}")),
    }
}

fn parse_connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(connections) if connections >= 1 => Ok(connections),
        _ => Err("give a number of at least 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(arguments: &[&str]) -> ServeSettings {
        let command = Cli::try_parse_from(["server", "serve"].iter().chain(arguments)).unwrap().command;
        let Command::Serve(settings) = command else { panic!("serve was asked for") };
        *settings
    }

    #[test]
    fn without_a_setting_both_listen_on_loopback() {
        let settings = settings(&[]);
        assert_eq!(settings.console_origin().unwrap(), "http://127.0.0.1:3000");
        assert_eq!(settings.gateway_origin().unwrap(), "http://127.0.0.1:24500");
        assert_eq!(settings.state.database_url(), "sqlite://data/nuvera.db?mode=rwc");
    }

    #[test]
    fn an_origin_is_kept_as_browsers_write_it() {
        let origin = |url| settings(&["--console-url", url]).console_origin().map_err(|error| error.to_string());
        for (given, kept) in [
            ("https://console.example.com:443", "https://console.example.com"),
            ("http://console.example.com:80/", "http://console.example.com"),
            ("HTTPS://Console.Example.com/", "https://console.example.com"),
            ("https://console.example.com:8443", "https://console.example.com:8443"),
            (" https://console.example.com ", "https://console.example.com"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(origin(given).as_deref(), Ok(kept), "{given}");
        }
        for bad in [
            "console.example.com",
            "https://console.example.com/console",
            "https://console.example.com?x",
            "https://console.example.com/#x",
            "https://ada@console.example.com",
            "ftp://console.example.com",
            "https://",
        ] {
            assert!(origin(bad).unwrap_err().contains("without a path"), "{bad}");
        }
        assert_eq!(settings(&["--console-address", "127.0.0.1:80"]).console_origin().unwrap(), "http://127.0.0.1");
    }

    #[test]
    fn the_database_trusts_the_same_authorities_unless_its_url_says_others() {
        let url = |arguments: &[&str]| {
            settings(&[&["--ca-file", "/etc/our own/ca.pem"], arguments].concat()).state.database_url()
        };
        assert_eq!(url(&[]), "sqlite://data/nuvera.db?mode=rwc");
        for (given, expected) in [
            ("postgres://db/nuvera", "postgres://db/nuvera?sslrootcert=%2Fetc%2Four+own%2Fca.pem"),
            (
                "postgresql://db/nuvera?sslmode=verify-full",
                "postgresql://db/nuvera?sslmode=verify-full&sslrootcert=%2Fetc%2Four+own%2Fca.pem",
            ),
            ("postgres://db/nuvera?sslrootcert=/db.pem", "postgres://db/nuvera?sslrootcert=/db.pem"),
            ("postgres://db/nuvera?ssl-ca=/db.pem", "postgres://db/nuvera?ssl-ca=/db.pem"),
        ] {
            assert_eq!(url(&["--database-url", given]), expected);
            assert_eq!(settings(&["--database-url", given]).state.database_url(), given, "without --ca-file");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let problem = |text: Option<&str>| {
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            settings(&["--ca-file", file.to_str().unwrap()]).state.check().unwrap_err().to_string()
        };
        assert!(problem(None).contains("No such file"), "{}", problem(None));
        for (text, words) in [
            ("", "there is no certificate in it"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "there is no certificate in it"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "a certificate in it cannot be read"),
        ] {
            let problem = problem(Some(text));
            assert!(problem.starts_with("--ca-file: ") && problem.contains(words), "{problem}");
        }
    }

    #[test]
    fn a_stop_gives_requests_the_time_that_the_upstream_has() {
        let drain = |arguments: &[&str]| settings(arguments).drain_timeout().as_secs();
        assert_eq!(drain(&[]), 10);
        let upstream = ["--upstream", "http://10.0.0.5:8080"];
        assert_eq!(drain(&upstream), 35);
        assert_eq!(drain(&[&upstream[..], &["--upstream-timeout", "600"]].concat()), 605);
        assert_eq!(drain(&[&upstream[..], &["--drain-timeout", "20"]].concat()), 20);
    }

    #[test]
    fn one_address_has_no_more_than_half_of_a_listener_and_a_proxy_has_all_of_it() {
        let per_address = |arguments: &[&str], max| settings(arguments).max_per_address(max);
        assert_eq!(per_address(&[], 10_000), Some(2_000));
        assert_eq!(per_address(&[], 1_000), Some(500));
        assert_eq!(per_address(&[], 1), Some(1));
        assert_eq!(per_address(&["--max-connections-per-address", "7"], 1_000), Some(7));
        assert_eq!(per_address(&["--max-connections-per-address", "0"], 1_000), None);
        assert_eq!(per_address(&["--trust-forwarded-for"], 1_000), None);
    }

    #[test]
    fn demo_people_are_served_on_loopback_only() {
        let demo = |arguments: &[&str]| {
            settings(&[&["--demo"], arguments].concat()).check_demo(None).map_err(|error| error.to_string())
        };
        let without =
            |arguments: &[&str], found| settings(arguments).check_demo(found).map_err(|error| error.to_string());
        for good in [
            &[][..],
            &["--console-url", "http://localhost:3000"],
            &["--console-url", "http://demo.localhost:3000", "--gateway-url", "http://[::1]:24500"],
            &["--console-address", "127.0.0.2:3000", "--gateway-address", "[::1]:24500"],
            &["--console-address", "0.0.0.0:3000", "--demo-on-public-address"],
            &["--metrics-address", "0.0.0.0:9100"],
        ] {
            assert_eq!(demo(good), Ok(()), "{good:?}");
            assert_eq!(without(good, Some("owner@alpine.example")), Ok(()), "{good:?}");
        }
        for bad in [
            ["--console-address", "0.0.0.0:3000"],
            ["--console-address", "[::]:3000"],
            ["--console-address", "[::ffff:10.0.0.5]:3000"],
            ["--hub-address", "10.0.0.5:3001"],
            ["--gateway-address", "192.0.2.1:24500"],
            ["--forward-auth-address", "0.0.0.0:24501"],
            ["--console-url", "https://console.example.com"],
            ["--hub-url", "https://hub.example.com"],
            ["--gateway-url", "https://127.0.0.1.example.com"],
        ] {
            let refused = demo(&bad).unwrap_err();
            assert!(refused.starts_with("--demo: ") && refused.contains(&bad.join(" ")), "{bad:?}: {refused}");
            assert!(refused.contains("--demo-on-public-address"), "{refused}");
            assert_eq!(without(&bad, None), Ok(()), "{bad:?}");
            let refused = without(&bad, Some("owner@alpine.example")).unwrap_err();
            assert!(refused.starts_with("--data: ") && refused.contains("owner@alpine.example"), "{bad:?}: {refused}");
        }
    }

    #[test]
    fn the_hub_has_an_origin_where_it_has_an_address() {
        let hub = |arguments: &[&str]| settings(arguments).hub_origin().unwrap();
        assert_eq!(hub(&[]), None);
        assert_eq!(hub(&["--hub-address", "127.0.0.1:3001"]).as_deref(), Some("http://127.0.0.1:3001"));
        let both = ["--hub-address", "127.0.0.1:3001", "--hub-url", "https://hub.example.com"];
        assert_eq!(hub(&both).as_deref(), Some("https://hub.example.com"));
        let shares = Shares { gateway: 10, console: 100, metrics: 10 };
        let max =
            |arguments: &[&str]| settings(arguments).console_limits("console", shares, Duration::ZERO).max_connections;
        assert_eq!((max(&[]), max(&both)), (100, 50));
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (given, origin) in [
            ("https://console.example.com:443", "https://console.example.com"),
            ("http://Console.Example.com:80/", "http://console.example.com"),
            ("https://console.example.com:8443", "https://console.example.com:8443"),
            ("https://k\u{f6}ln.example", "https://xn--kln-sna.example"),
            ("http://[2001:DB8:0::1]:80", "http://[2001:db8::1]"),
            ("http://localhost:3000", "http://localhost:3000"),
        ] {
            assert_eq!(settings(&["--console-url", given]).console_origin().unwrap(), origin, "{given}");
            assert_eq!(settings(&["--gateway-url", given]).gateway_origin().unwrap(), origin, "{given}");
        }
        for given in
            ["https://console.example.com/a", "https://a?b", "https://a#b", "https://user@a", "ftp://a", "a:443"]
        {
            assert_eq!(
                settings(&["--console-url", given]).console_origin().unwrap_err().setting,
                "--console-url",
                "{given}"
            );
        }
    }

    #[test]
    fn the_upstream_is_not_this_server_itself() {
        let upstream = |arguments: &[&str]| settings(arguments).upstream().map(drop).map_err(|error| error.to_string());
        let port = ["--gateway-address", "0.0.0.0:8080", "--gateway-url", "https://api.example.com"];
        for own in [
            "http://127.0.0.1:8080",
            "http://127.0.0.2:8080",
            "http://localhost:8080",
            "http://[::1]:8080",
            "http://[::ffff:127.0.0.1]:8080",
            "http://0.0.0.0:8080",
            "https://api.example.com:443",
            "http://127.0.0.1:3000",
        ] {
            let refused = upstream(&[&port[..], &["--upstream", own]].concat()).unwrap_err();
            assert!(refused.starts_with("--upstream: ") && refused.contains("of this server"), "{own}: {refused}");
        }
        for other in
            ["http://127.0.0.1:8081", "http://10.0.0.5:8080", "http://api:8080", "https://api.example.com:8443"]
        {
            assert_eq!(upstream(&[&port[..], &["--upstream", other]].concat()), Ok(()), "{other}");
        }
        assert_eq!(upstream(&["--gateway-address", "192.0.2.1:80", "--upstream", "http://127.0.0.1"]), Ok(()));
    }

    #[test]
    fn an_upstream_is_plain_or_secure_and_shows_a_certificate_only_there() {
        let upstream = |arguments: &[&str]| settings(arguments).upstream().map(Option::unwrap);
        assert!(upstream(&["--upstream", "http://api:8080"]).unwrap().tls.is_none());
        assert!(upstream(&["--upstream", "https://api.internal"]).unwrap().tls.is_some());
        let certificate = ["--upstream-client-certificate", "/nothing.crt", "--upstream-client-key", "/nothing.key"];
        for upstream in [&["--upstream", "http://api:8080"][..], &[]] {
            let refused = settings(&[&certificate[..], upstream].concat()).upstream().map(drop).unwrap_err();
            assert!(refused.to_string().starts_with("--upstream-client-certificate: "), "{refused}");
        }
        let refused = settings(&[&certificate[..], &["--upstream", "https://api"]].concat()).upstream().map(drop);
        let refused = refused.unwrap_err().to_string();
        assert!(refused.starts_with("--upstream-client-certificate: /nothing.crt: "), "{refused}");
        let alone = Cli::try_parse_from(["server", "serve", "--upstream-client-key", "/nothing.key"]);
        assert!(alone.unwrap_err().to_string().contains("--upstream-client-certificate"));
    }

    #[test]
    fn a_variable_that_is_no_setting_is_named() {
        let check = |name: &str| {
            let names = [name, "PATH", "NUVERA_DATA"].map(str::to_owned);
            check_variables(names.into_iter(), |name| name == "NUVERA_ALPINE_SECRET").map_err(|error| error.to_string())
        };
        for (wrong, similar) in [
            ("NUVERA_GATEWAY_ADRESS", "NUVERA_GATEWAY_ADDRESS"),
            ("NUVERA_UPSTREM", "NUVERA_UPSTREAM"),
            ("NUVERA_MAXBODY", "NUVERA_MAX_BODY"),
            ("NUVERA_TRUST_FORWARD_FOR", "NUVERA_TRUST_FORWARDED_FOR"),
        ] {
            assert_eq!(check(wrong), Err(format!("{wrong}: there is no such setting; did you mean {similar}?")));
        }
        assert_eq!(check("NUVERA_SOMETHING_ELSE"), Err("NUVERA_SOMETHING_ELSE: there is no such setting".to_owned()));
        for good in [
            "NUVERA_UPSTREAM",
            "NUVERA_LOG",
            "NUVERA_API_KEY",
            "NUVERA_ALPINE_SECRET",
            "NUVERA_SERVICE_HOST",
            "NUVERA_SERVICE_PORT_HTTP",
            "NUVERA_GATEWAY_PORT",
            "NUVERA_GATEWAY_PORT_8080_TCP_ADDR",
            "HOME",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_body_has_at_least_one_byte() {
        for bad in ["0", "-1", "1k", "", "1073741825"] {
            let refused =
                Cli::try_parse_from(["server", "serve", &format!("--max-body={bad}")]).unwrap_err().to_string();
            assert!(refused.contains("--max-body"), "{refused}");
        }
        assert_eq!(settings(&["--max-body", "1"]).max_body, 1);
    }

    #[test]
    fn proxies_are_counted_or_known_by_their_networks() {
        let any = |arguments: &[&str]| settings(arguments).proxies().any();
        assert!(!any(&[]));
        assert!(any(&["--trust-forwarded-for"]) && any(&["--trusted-hops", "2"]));
        assert!(any(&["--trusted-proxies", "10.0.0.0/8,2001:db8::/32"]));
        for bad in [
            &["--trusted-hops", "0"][..],
            &["--trusted-proxies", "proxy"],
            &["--trusted-proxies", "10.0.0.0/33"],
            &["--trusted-hops", "1", "--trusted-proxies", "10.0.0.0/8"],
            &["--forwarded-header", "x-real-ip"],
        ] {
            let refused = Cli::try_parse_from(["server", "serve"].iter().chain(bad)).unwrap_err().to_string();
            assert!(refused.contains(bad[0]), "{refused}");
        }
    }

    #[test]
    fn a_setting_that_cannot_be_used_is_named() {
        let named = |error: SettingError| error.setting;
        assert_eq!(named(settings(&["--console-url", "console"]).console_origin().unwrap_err()), "--console-url");
        assert_eq!(named(settings(&["--hub-url", "hub"]).hub_origin().unwrap_err()), "--hub-url");
        assert_eq!(named(settings(&["--hub-url", "http://127.0.0.1:3000/"]).hub_origin().unwrap_err()), "--hub-url");
        assert_eq!(named(settings(&["--gateway-url", "http://a/b"]).gateway_origin().unwrap_err()), "--gateway-url");
        for upstream in ["ftp://api", "api", "http://api/path", "http://user@api", "https://", "http://api?x", ""] {
            let refused = settings(&["--upstream", upstream]).upstream().map(drop).unwrap_err();
            assert!(
                refused.setting == "--upstream" && refused.problem.contains("give an origin"),
                "{upstream}: {refused}"
            );
        }
        assert_eq!(named(settings(&["--database-url", "mysql://x"]).state.check().unwrap_err()), "--database-url");
        let mail = |arguments: &[&str]| settings(arguments).mailer().map(drop).map_err(|error| error.to_string());
        let from = ["--mail-from", "Nuvera <no-reply@nuvera.example>"];
        for url in
            ["smtps://nuvera:secret@mail.example", "smtp://nuvera:secret@mail.example?tls=required", "smtp://relay"]
        {
            assert_eq!(mail(&[&["--smtp-url", url], &from[..]].concat()), Ok(()));
            assert!(mail(&["--smtp-url", url]).unwrap_err().starts_with("--mail-from: "), "{url}");
        }
        for url in ["smtp://nuvera:secret@mail.example", "imap://nuvera:secret@mail.example", "nuvera:secret", ""] {
            let error = mail(&[&["--smtp-url", url], &from[..]].concat()).unwrap_err();
            assert!(error.starts_with("--smtp-url: ") && !error.contains("secret"), "{url}: {error}");
        }
    }
}
