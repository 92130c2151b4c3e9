//! `server stop`: emergency stops by the operator of the machine, over a Unix socket of the running server.
//!
//! They need neither the database nor a session. Access is controlled by the file system (the socket has mode 0600, in
//! a folder of mode 0700) and checked again: the peer must be the server's own user or root. A connection carries one
//! request and one response, each a JSON object on a line of its own.

use crate::{
    backend::{Backend, BackendError, emergency::OperatorStop},
    gateway::DenyScope,
};
use clap::Args;
use domain::{
    id::{ApplicationId, OrganizationId},
    search::{self, Search},
    text::Why,
};
use serde::{Deserialize, Serialize};
use std::{
    error::Error,
    fs::{self, File},
    io,
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStrExt, fs::PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Timeout of a connection.
const WITHIN: Duration = Duration::from_secs(10);
/// Maximum size of a request, in bytes.
const MAX_BYTES: u64 = 16 * 1024;
/// Maximum length of a socket's path, in bytes: `sun_path` has 108 with its terminating zero (unix(7)).
const MAX_PATH: usize = 107;

/// What to stop. It is in force at once, also where the database does not answer.
#[derive(Debug, Args)]
pub struct StopCommand {
    #[command(flatten)]
    what: What,
    /// Why, for the audit history. In an emergency it may be left out.
    #[arg(long, default_value = "")]
    reason: String,
    /// The data folder of the running server.
    #[arg(long, env = "NUVERA_DATA", default_value = "data")]
    data: PathBuf,
    /// The control socket of the running server. By default `control.sock` in the data folder.
    #[arg(long, env = "NUVERA_CONTROL_SOCKET")]
    control_socket: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Disable this application, by its id.
    #[arg(long, value_name = "ID")]
    application: Option<ApplicationId>,
    /// Disable all applications of this organization, by its id.
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
    /// Revoke the API key with this prefix, such as nvk_1a2B3c4D. Of a whole key, only the prefix is used.
    #[arg(long, value_name = "PREFIX")]
    api_key: Option<String>,
    /// Disable every application that verifies requests with this signing key, whichever organization's.
    #[arg(long, value_name = "SHA256:…")]
    fingerprint: Option<String>,
    /// Disable every application.
    #[arg(long)]
    all: bool,
}

/// A request to the running server.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    stop: Target,
    reason: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Target {
    Application(ApplicationId),
    Organization(OrganizationId),
    ApiKey(String),
    Fingerprint(String),
    Everything,
}

/// The running server's response.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Stopped {
        /// Name and organization of each affected application that worked before.
        applications: Vec<(String, String)>,
        is_recorded: bool,
    },
    Refused(String),
}

/// Path of the control socket: `set`, or by default `control.sock` in the data folder.
pub fn socket_path(data: &Path, set: Option<PathBuf>) -> PathBuf {
    set.unwrap_or_else(|| data.join("control.sock"))
}

/// Returns a path that fits into a socket's address. A longer one is replaced with a path through its opened folder,
/// which must stay open while the path is used.
fn short(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().as_bytes().len() <= MAX_PATH {
        return Ok((path.to_owned(), None));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no path of a socket"));
    };
    let folder = File::open(folder)?;
    let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((path, Some(folder)))
}

/// Binds the control socket with mode 0600. Replaces a socket that a previous server left behind.
///
/// # Errors
/// A running server has it, or it cannot be created.
pub async fn bind(path: &Path) -> io::Result<UnixListener> {
    let (address, _folder) = short(path)?;
    if UnixStream::connect(&address).await.is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "a running server has it"));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&address)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves the control socket until `stop`, and then removes it.
pub async fn serve(backend: Arc<Backend>, listener: UnixListener, path: PathBuf, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let backend = backend.clone();
                tokio::spawn(async move {
                    let answered = timeout(WITHIN, answer(&backend, stream)).await;
                    if let Err(error) = answered.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                        tracing::warn!(%error, "a connection to the control socket failed");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    // If this fails, the next start replaces it.
    let _ = fs::remove_file(path);
}

async fn answer(backend: &Backend, stream: UnixStream) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let mut stream = BufReader::new(stream);
    let answer = if uid != 0 && uid != rustix::process::geteuid().as_raw() {
        Answer::Refused("only root and the user that the server runs as may do this".to_owned())
    } else {
        let mut line = String::new();
        (&mut stream).take(MAX_BYTES).read_line(&mut line).await?;
        match serde_json::from_str(&line) {
            Ok(request) => carry_out(backend, request, uid).await,
            Err(error) => Answer::Refused(format!("the request cannot be read: {error}")),
        }
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    stream.get_mut().write_all(&line).await?;
    stream.get_mut().shutdown().await
}

async fn carry_out(backend: &Backend, Request { stop, reason }: Request, uid: u32) -> Answer {
    let scope = match stop {
        Target::Application(application) => match backend.organization_of(application) {
            Some(organization) => DenyScope::Application { organization, application },
            None => return Answer::Refused(format!("there is no application {application}")),
        },
        Target::Organization(organization) => DenyScope::Organization(organization),
        Target::ApiKey(prefix) => DenyScope::ApiKey(prefix),
        Target::Fingerprint(fingerprint) => DenyScope::Fingerprint(fingerprint),
        Target::Everything => DenyScope::Everything,
    };
    let named = scope.to_string();
    match backend.stop_by_operator(scope, Some(Why::in_emergency(&reason, "")), uid).await {
        Ok(OperatorStop { applications, is_recorded }) => Answer::Stopped { applications, is_recorded },
        Err(BackendError::NotFound) => Answer::Refused(format!("there is no {named}, or no application of it")),
        Err(error) => Answer::Refused(error.to_string()),
    }
}

/// Asks the running server for a stop, and prints the outcome.
///
/// # Errors
/// No server answers, the server refuses, or the target is invalid.
pub async fn command(command: StopCommand) -> Result<(), Box<dyn Error + Send + Sync>> {
    let StopCommand { what, reason, data, control_socket } = command;
    let request = Request { stop: what.target()?, reason };
    let path = socket_path(&data, control_socket);
    let answer = timeout(WITHIN, ask(&path, &request)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let answer = answer.map_err(|error| {
        format!(
            "no server answers at {}: {error}. Is it running, with this --data or --control-socket, and are you root or its user?",
            path.display()
        )
    })?;
    match answer {
        Answer::Refused(why) => Err(why.into()),
        Answer::Stopped { applications, is_recorded } => {
            let subject = match &request.stop {
                Target::ApiKey(prefix) => format!("API key {prefix}"),
                _ if applications.len() == 1 => "1 application".to_owned(),
                _ => format!("{} applications", applications.len()),
            };
            println!("Stopped: {subject}. In force in the gateway now.");
            for (name, organization) in applications {
                println!("  {name} ({organization})");
            }
            match is_recorded {
                true => println!("Recorded in the database and the audit history."),
                false => println!(
                    "NOT recorded yet: the database cannot be written. It is recorded as soon as it can be; `/readyz` says so until then."
                ),
            }
            Ok(())
        }
    }
}

impl What {
    fn target(self) -> Result<Target, String> {
        Ok(match self {
            Self { application: Some(id), .. } => Target::Application(id),
            Self { organization: Some(id), .. } => Target::Organization(id),
            Self { api_key: Some(key), .. } => {
                // The rest of a whole key is secret and must not be passed on.
                let found = Search::read(&key).ok().flatten().and_then(|search| search.prefix);
                let prefix = found.ok_or("--api-key: give the key's prefix, such as nvk_1a2B3c4D")?;
                Target::ApiKey(prefix.as_str().to_owned())
            }
            Self { fingerprint: Some(fingerprint), .. } => {
                let found = search::fingerprint(fingerprint.trim());
                Target::Fingerprint(
                    found.ok_or("--fingerprint: give it as the console shows it: SHA256: and 43 characters")?,
                )
            }
            Self { .. } => Target::Everything,
        })
    }
}

async fn ask(path: &Path, request: &Request) -> io::Result<Answer> {
    let (address, _folder) = short(path)?;
    let mut stream = UnixStream::connect(address).await?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await?;
    Ok(serde_json::from_str(&answer)?)
}
