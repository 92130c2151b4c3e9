//! SIGKILL at the n-th write to the database's files, injected by strace: a stop that was answered is in force after the next
//! start, whichever write was the last.

use super::stops::{Place, disable, gateway_says, until_gateway_says};
use crate::process::{Console, LIST, Server};
use std::{collections::HashMap, env, fs, path::Path, process::Command};

/// The system call by which SQLite writes pages and frames of its log.
const WRITE: &str = "pwrite64";

/// Number of writes at which the server is killed, in turn.
const KILLS: usize = 8;

/// Starts the server under strace, which kills it at its `number`-th write; without a number it logs the writes. Returns
/// `None` if the server was killed before it served.
async fn start(place: &Place, log: &Path, number: Option<usize>) -> Option<Server> {
    let trace = format!("trace={WRITE}");
    let inject = number.map(|number| format!("inject={WRITE}:signal=SIGKILL:when={number}"));
    // -D: the server is the child of the test, and strace is a grandchild.
    let mut arguments = vec!["-D", "-f", "-qqq", "--seccomp-bpf", "-o", log.to_str().unwrap(), "-e", &trace];
    arguments.extend(inject.iter().flat_map(|inject| ["-e", inject]));
    Server::start_under("strace", &arguments, place.site.path(), &place.data).await
}

/// Number of writes by thread: strace counts each thread's own.
fn writes(log: &Path) -> HashMap<String, usize> {
    let mut writes = HashMap::new();
    for line in fs::read_to_string(log).unwrap().lines().filter(|line| line.contains(WRITE)) {
        *writes.entry(line.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    writes
}

fn reason() -> [(&'static str, String); 1] {
    [("reason", "a test".to_owned())]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_was_answered_survives_a_kill_at_any_write() {
    if Command::new("strace").arg("--version").output().is_err() {
        assert!(env::var("CI").is_err(), "run the tests with `make test`: it installs strace");
        return println!("SKIPPED: strace is not installed");
    }
    let place = Place::new();
    let log = place.site.path().join("writes");
    let server = place.start(&[]).await;
    let mut owner = Console::sign_in(server.console).await;
    let mut applications = Vec::new();
    for number in 0..=KILLS {
        applications.push(owner.create(&format!("Ledger {number}")).await);
    }
    server.stop().await;

    // How many writes a start makes, and a stop after it.
    let (first, _) = applications.pop().unwrap();
    let server = start(&place, &log, None).await.unwrap();
    let mut console = owner.at(&server).await.unwrap();
    console.get(LIST).await.unwrap();
    let before = writes(&log);
    assert_eq!(console.post(&disable(&first), &reason()).await.unwrap().0, 303);
    let after = writes(&log);
    server.stop().await;
    let of = |writes: &HashMap<String, usize>, thread| writes.get(thread).copied().unwrap_or_default();
    let writer = after.keys().max_by_key(|thread| of(&after, *thread) - of(&before, *thread)).unwrap();
    let (before, after) = (of(&before, writer), of(&after, writer));
    println!("{before} writes before the stop, {after} after it");
    assert!(after > before, "the control: a stop writes");

    let (mut answered, mut killed) = (0, 0);
    for (turn, (id, key)) in applications.iter().enumerate() {
        let number = before + 1 + turn * (after - before + 2) / KILLS;
        let answer = match start(&place, &log, Some(number)).await {
            None => None,
            Some(mut server) => {
                let answer = match owner.at(&server).await {
                    Some(mut console) => console.post(&disable(id), &reason()).await,
                    None => None,
                };
                killed += usize::from(server.child.try_wait().unwrap().is_some());
                answer
            }
        };
        let is_answered = answer.is_some_and(|(status, _)| status == 303 || status == 200);
        answered += usize::from(is_answered);
        let server = place.start(&[]).await;
        let said = gateway_says(server.gateway, key).await;
        println!("write {number}: answered {is_answered}; after the next start the gateway says {said}");
        assert!(!is_answered || said == "application_disabled", "write {number}: answered, and then {said}");
        // What was not answered can be done now.
        let mut console = owner.at(&server).await.unwrap();
        console.post(&disable(id), &reason()).await.unwrap();
        until_gateway_says(server.gateway, key, "application_disabled").await;
        server.stop().await;
    }
    assert!(answered > 0 && killed > 0, "the control: {answered} were answered, {killed} killed at the stop");
}
