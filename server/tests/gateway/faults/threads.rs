//! CPU-heavy work that console users ask for: it runs at low priority, on other threads than the gateway's.

use crate::process::{Console, Server, write_assets};
use std::{collections::HashMap, fs};
use tokio::task::JoinSet;

/// What the threads of one name have in common.
#[derive(Debug, Default)]
struct Threads {
    /// Processor time of all of them, in hundredths of a second.
    ticks: u64,
    /// The lowest and the highest `nice` value.
    nice: Option<(i32, i32)>,
}

/// The server's threads by name (proc(5), `/proc/pid/task/tid/stat`).
fn threads(server: &Server) -> HashMap<String, Threads> {
    let mut threads = HashMap::<String, Threads>::new();
    for task in fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap() {
        // A thread may end while they are read.
        let Ok(stat) = fs::read_to_string(task.unwrap().path().join("stat")) else { continue };
        let (name, rest) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") ")).unwrap();
        let field = |number: usize| rest.split(' ').nth(number - 3).unwrap();
        let of_name = threads.entry(name.to_owned()).or_default();
        of_name.ticks += field(14).parse::<u64>().unwrap() + field(15).parse::<u64>().unwrap();
        let nice: i32 = field(19).parse().unwrap();
        of_name.nice = Some(of_name.nice.map_or((nice, nice), |(least, most)| (least.min(nice), most.max(nice))));
    }
    threads
}

#[tokio::test]
async fn passwords_are_judged_and_hashed_on_threads_other_than_the_gateways() {
    let folder = tempfile::tempdir().unwrap();
    write_assets(folder.path());
    let server = Server::start(folder.path(), &folder.path().join("data")).await;
    let owner = Console::sign_in(server.console).await;
    let mut hostile = JoinSet::new();
    for _ in 0..8 {
        let mut user = owner.again().await;
        hostile.spawn(async move {
            for _ in 0..5 {
                let password = "P4$$w0rd".repeat(11);
                let (status, page) = user.post("/settings/account/password", &[("password", password)]).await.unwrap();
                assert!(status == 422 && page.contains("would be guessed") || status == 429, "{status}: {page}");
                let fields = [("email", "stranger@example.com"), ("password", "no such password")];
                let fields = fields.map(|(name, value)| (name, value.to_owned()));
                assert!([422, 429].contains(&user.post("/sign-in", &fields).await.unwrap().0));
            }
        });
    }
    hostile.join_all().await;
    let threads = threads(&server);
    let of = |name: &str| threads.get(name).unwrap_or_else(|| panic!("no thread {name}: {threads:?}"));
    let (gateway, console, pool) = (of("gateway"), of("console"), of("cpu-pool-0"));
    assert_eq!([gateway.nice, console.nice, pool.nice], [Some((0, 0)), Some((5, 5)), Some((10, 10))], "{threads:?}");
    assert!(pool.ticks > 10 && gateway.ticks * 4 < pool.ticks, "{threads:?}");
    server.stop().await;
}
