//! SIGKILL at the n-th write to the database's files, injected by strace: a stop that was answered is in force after the next
//! start, whichever write was the last.

use super::stops::{Place, SOON, disable, gateway_says, until_gateway_says};
use crate::process::{Console, Server};
use std::{
    env, fs,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// The system call by which SQLite writes pages and frames of its log.
const WRITE: &str = "pwrite64";

/// The writes at which the server is killed, in turn, counted from the stop. The last is one that a stop does not reach.
const KILLS: [usize; 7] = [1, 2, 3, 5, 8, 13, 10_000];

/// Has strace kill the server at its `number`-th write from now on.
async fn kill_at(server: &Server, number: usize) -> Child {
    let pid = server.child.id().to_string();
    let inject = format!("inject={WRITE}:signal=SIGKILL:when={number}");
    let mut command = Command::new("strace");
    command.args(["-f", "-qqq", "-o", "/dev/null", "-e", &format!("trace={WRITE}"), "-e", &inject, "-p", &pid]);
    let strace = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let is_traced = |task: fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        !status.contains("TracerPid:\t0\n")
    };
    while !fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten().all(is_traced) {
        assert!(begun.elapsed() < SOON, "strace does not attach");
        sleep(Duration::from_millis(5)).await;
    }
    strace
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_was_answered_survives_a_kill_at_any_write() {
    if Command::new("strace").arg("--version").output().is_err() {
        assert!(env::var("CI").is_err(), "run the tests with `make test`: it installs strace");
        return println!("SKIPPED: strace is not installed");
    }
    let place = Place::new();
    let mut server = place.start(&[]).await;
    let mut owner = Console::sign_in(server.console).await;
    let mut applications = Vec::new();
    for number in KILLS {
        let (id, key) = owner.create(&format!("Ledger {number}")).await;
        applications.push((number, id, key));
    }
    let reason = [("reason", "a test".to_owned())];
    let (mut answered, mut killed) = (0, 0);
    for (number, id, key) in applications {
        let mut console = owner.at(&server).await.unwrap();
        let mut strace = kill_at(&server, number).await;
        let answer = console.post(&disable(&id), &reason).await;
        let is_answered = answer.is_some_and(|(status, _)| status == 303 || status == 200);
        // If the server is killed, strace ends with it; until then the kernel may still report the server as running.
        let mut is_killed = false;
        if !is_answered {
            strace.wait().unwrap();
            is_killed = server.child.wait().unwrap().signal() == Some(9);
        }
        // Fails if it has exited already, which is what is wanted.
        let _ = strace.kill();
        strace.wait().unwrap();
        drop(server);
        server = place.start(&[]).await;
        let said = gateway_says(server.gateway, &key).await;
        println!("write {number}: answered {is_answered}, killed {is_killed}; after the next start: {said}");
        assert!(!is_answered || said == "application_disabled", "write {number}: answered, and then {said}");
        (answered, killed) = (answered + usize::from(is_answered), killed + usize::from(is_killed));
        // A stop that was not answered can be sent again.
        owner.at(&server).await.unwrap().post(&disable(&id), &reason).await.unwrap();
        until_gateway_says(server.gateway, &key, "application_disabled").await;
    }
    assert!(answered > 0 && killed > 3, "the control: {answered} were answered, {killed} killed");
}
