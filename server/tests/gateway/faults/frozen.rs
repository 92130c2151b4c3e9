//! Emergency stops while every process of PostgreSQL is suspended (SIGSTOP): connections are accepted by the kernel and nothing
//! answers.

use super::stops::{Place, SOON, disable, enable, gateway_says, now, signal, stop, until_ready, until_recorded};
use crate::process::{Console, free_address};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::time::sleep;

/// A PostgreSQL server of this test's own: suspending the one that the tests share would stop them all.
struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    url: String,
}

impl Postgres {
    /// Returns `None` where PostgreSQL is not installed.
    async fn start() -> Option<Self> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let Some(programs) = versions.map(|version| version.path().join("bin")).max() else {
            assert!(std::env::var("CI").is_err(), "run the tests with `make test`: it installs PostgreSQL");
            println!("SKIPPED: PostgreSQL is not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            let owned = Command::new("chown").arg("postgres").arg(folder.path()).status().unwrap();
            assert!(owned.success());
        }
        let port = free_address().await.port();
        let postgres =
            Self { programs, url: format!("postgres://nuvera@127.0.0.1:{port}/postgres?sslmode=disable"), folder };
        let path = postgres.folder.path().display();
        postgres.run("initdb", &["--username=nuvera", "--auth=trust", "--no-sync"]);
        let options =
            format!("-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={path} -c fsync=off");
        let log = format!("--log={path}/log");
        postgres.run("pg_ctl", &["--wait", &log, &format!("--options={options}"), "start"]);
        Some(postgres)
    }

    /// Runs one of PostgreSQL's programs, which refuse to run as root.
    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let program = self.programs.join(program);
        let mut command = match rustix::process::geteuid().is_root() {
            false => Command::new(program),
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
                command
            }
        };
        let data = self.folder.path().join("data");
        // The working folder may not be readable for PostgreSQL's user.
        let output = command.current_dir("/").arg("--pgdata").arg(data).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output
    }

    fn send(&self, signal: Signal) {
        let file = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap();
        let postmaster = file.lines().next().unwrap();
        let children = Path::new("/proc").join(postmaster).join("task").join(postmaster).join("children");
        // The postmaster first, so that it starts no further process.
        for pid in [postmaster].into_iter().chain(fs::read_to_string(children).unwrap().split_whitespace()) {
            // A process may have ended meanwhile.
            let _ = kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), signal);
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.send(Signal::CONT);
        self.run("pg_ctl", &["--mode=immediate", "stop"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_suspended_database() {
    let Some(postgres) = Postgres::start().await else { return };
    let place = Place::new();
    let mut server = place.start(&["--database-url", &postgres.url]).await;
    let mut console = Console::sign_in(server.console).await;
    let (id, key) = console.create("Ledger").await;
    assert_eq!(gateway_says(server.gateway, &key).await, "ok", "the control");
    postgres.send(Signal::STOP);
    let (_, status, page) = stop(&mut console, &server, &disable(&id), &key).await;
    let at = now();
    assert!(status == 200 && page.contains("1 application is stopped"), "{status}: {page}");
    postgres.send(Signal::CONT);
    until_recorded(&postgres.url, &id, "Olivia", at).await;
    until_ready(server.console).await;
    enable(&mut console, &server, &id, &key).await;

    postgres.send(Signal::STOP);
    let begun = Instant::now();
    signal(&server, "-TERM");
    while server.child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < SOON, "SIGTERM does not end the server");
        sleep(Duration::from_millis(10)).await;
    }
    println!("SIGTERM took {:?}", begun.elapsed());
}
