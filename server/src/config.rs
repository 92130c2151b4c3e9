//! The settings, from the command line or the environment, judged once at start.

use crate::{
    control::StopCommand,
    listener::{IDLE_TIMEOUT, Limits},
    mail::Mailer,
    open_files::Shares,
    tls::Authorities,
    web,
};
use clap::{Args, Parser, Subcommand};
use lettre::message::Mailbox;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
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
    #[arg(long, env = "NUVERA_GATEWAY_ADDRESS", default_value = "127.0.0.1:45000")]
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
    /// The REST API behind the gateway, such as http://10.0.0.5:8080. Without it the gateway answers what it verified.
    #[arg(long, env = "NUVERA_UPSTREAM")]
    pub upstream: Option<String>,
    /// How long the upstream may take to begin its answer, and be silent while it answers, in seconds.
    #[arg(long, env = "NUVERA_UPSTREAM_TIMEOUT", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub upstream_timeout: u64,
    /// How far a partner's clock may be off, in seconds.
    #[arg(long, env = "NUVERA_LEEWAY", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub leeway: u64,
    /// The largest request body that the gateway takes, in bytes. There is room for 64 such at one time; an application may
    /// hold as much of it as is still free for others. Bodies of up to 16 KiB need no room.
    #[arg(long, env = "NUVERA_MAX_BODY", default_value_t = 8 * 1024 * 1024)]
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
    /// Whether proxies on this machine or network, before the console and before the gateway, name the client's address
    /// last in X-Forwarded-For. Leave it off where clients connect to either directly: they could name any address.
    /// Without it, all partners behind one proxy share its address, and so its --failure-limit.
    #[arg(long, env = "NUVERA_TRUST_FORWARDED_FOR")]
    pub trust_forwarded_for: bool,
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
    /// It is no http:// origin.
    pub fn upstream(&self) -> Result<Option<http::Uri>, SettingError> {
        let Some(given) = &self.upstream else { return Ok(None) };
        let uri: Option<http::Uri> = given.parse().ok();
        let usable =
            |uri: &http::Uri| uri.scheme_str() == Some("http") && uri.authority().is_some() && uri.path() == "/";
        match uri.filter(usable) {
            Some(uri) => Ok(Some(uri)),
            None => Err(SettingError {
                setting: "--upstream",
                problem: format!("{given:?} cannot be used; give an origin such as http://10.0.0.5:8080"),
            }),
        }
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
        let is_limited = self.max_connections_per_address > 0 && !self.trust_forwarded_for;
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
    let url = Url::parse(&given).ok().filter(|url| {
        let has_more = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none() && !has_more
    });
    // As browsers write it in `Origin`: lower case, without a default port, an international name in Punycode, an IPv6
    // address in its shortest form (WHATWG URL, 4.5; RFC 6454, 6.2).
    url.map(|url| url.origin().ascii_serialization()).ok_or_else(|| {
        let problem =
            format!("{given:?} cannot be used; give an origin such as https://console.example.com, without a path");
        SettingError { setting, problem }
    })
}

fn is_loopback_origin(url: &str) -> bool {
    let uri: Option<http::Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default().to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn parse_capacity(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(capacity) if capacity >= 1000 => Ok(capacity),
        _ => Err("give a number of at least 1000".to_owned()),
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
        assert_eq!(settings.gateway_origin().unwrap(), "http://127.0.0.1:45000");
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
            &["--console-url", "http://demo.localhost:3000", "--gateway-url", "http://[::1]:45000"],
            &["--console-address", "127.0.0.2:3000", "--gateway-address", "[::1]:45000"],
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
            ["--gateway-address", "192.0.2.1:45000"],
            ["--forward-auth-address", "0.0.0.0:45001"],
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
    fn a_setting_that_cannot_be_used_is_named() {
        let named = |error: SettingError| error.setting;
        assert_eq!(named(settings(&["--console-url", "console"]).console_origin().unwrap_err()), "--console-url");
        assert_eq!(named(settings(&["--hub-url", "hub"]).hub_origin().unwrap_err()), "--hub-url");
        assert_eq!(named(settings(&["--hub-url", "http://127.0.0.1:3000/"]).hub_origin().unwrap_err()), "--hub-url");
        assert_eq!(named(settings(&["--gateway-url", "http://a/b"]).gateway_origin().unwrap_err()), "--gateway-url");
        assert_eq!(named(settings(&["--upstream", "https://api"]).upstream().unwrap_err()), "--upstream");
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
