//! The whole program is killed with SIGKILL during changes and requests, repeatedly and on the same data: every
//! acknowledged change is there afterwards, and the counters lose at most the last interval.

use crate::{
    process::{Console, LIST, Server, hidden, signed_request, write_assets},
    support::Connection,
};
use domain::{
    application::ApiApplication,
    audit::{AuditFilter, AuditScope},
    id::ApplicationId,
};
use server::{
    pepper::Pepper,
    store::{Store, applications, audit, usage},
};
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;

const ROUNDS: usize = 4;

/// What a crash may lose of the counters: their interval, which is half of it, and the time to write them.
const AT_MOST_LOST: Duration = Duration::from_secs(1);

/// Changes and requests that were acknowledged to the client.
#[derive(Default)]
struct Acknowledged {
    /// By application id: its API key, and whether it was disabled.
    applications: BTreeMap<String, (String, bool)>,
    /// The instant at which each request with the first key was accepted.
    requests: Vec<Instant>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_killed_under_load_loses_no_change_and_at_most_an_interval_of_counters() {
    let folder = tempfile::tempdir().unwrap();
    write_assets(folder.path());
    let data = folder.path().join("data");
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    let mut counted_on = 0;
    for round in 0..ROUNDS {
        let server = Server::start(folder.path(), &data).await;
        let mut console = Console::sign_in(server.console).await;
        if round == 0 {
            let (id, key) = console.create("First").await;
            acknowledged.lock().unwrap().applications.insert(id, (key, false));
        }
        let first = acknowledged.lock().unwrap().applications.values().find(|(_, stopped)| !stopped).unwrap().0.clone();
        let running = Arc::new(AtomicBool::new(true));
        let before = acknowledged.lock().unwrap().requests.len();
        let partners: Vec<_> = (0..2)
            .map(|_| tokio::spawn(send(server.gateway, first.clone(), acknowledged.clone(), running.clone())))
            .collect();
        let changes = tokio::spawn(change(console, round, acknowledged.clone()));
        // After a crash the server refuses tokens for one leeway. Then some intervals pass, and part of one.
        while acknowledged.lock().unwrap().requests.len() == before {
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_millis(2300 + 370 * round as u64)).await;
        let killed_at = server.kill();
        running.store(false, SeqCst);
        for partner in partners {
            partner.await.unwrap();
        }
        let _ = changes.await.unwrap();

        let store = Store::open(&format!("sqlite://{}", data.join("nuvera.db").display())).await.unwrap();
        let pepper = Pepper::load_or_create(&data.join("pepper")).unwrap();
        let mut conn = store.read().await.unwrap();
        let known = applications::of_everyone(&mut conn).await.unwrap();
        let known: BTreeMap<String, &ApiApplication> = known.iter().map(|a| (a.id.to_string(), a)).collect();
        let (applications, requests) = {
            let acknowledged = acknowledged.lock().unwrap();
            (acknowledged.applications.clone(), acknowledged.requests.clone())
        };
        let journal = fs::read_to_string(data.join("emergency-stops.jsonl")).unwrap_or_default();
        assert!(applications.len() > 2 * round, "changes went on: {}", applications.len());
        for (id, (key, disabled)) in &applications {
            let application = known.get(id).unwrap_or_else(|| panic!("{id} is lost"));
            assert_eq!(application.api_keys[0].hash, pepper.hash(key.as_bytes()));
            let scope = AuditScope::Application(application.organization_id, application.id);
            let events = audit::events(&mut conn, scope, AuditFilter::default(), i64::MAX, 100).await.unwrap();
            let codes: Vec<_> = events.iter().map(|event| event.event.action.code()).collect();
            assert!(codes.contains(&"application.created") && codes.contains(&"api_key.created"), "{codes:?}");
            // A stop that the database was too slow for is in the journal, and the next start records it.
            let is_recorded = !application.is_enabled() && codes.contains(&"application.disabled");
            assert!(!disabled || is_recorded || journal.contains(id), "{codes:?}");
            // No change is in the database without its event.
            assert_eq!(application.is_enabled(), !codes.contains(&"application.disabled"), "{codes:?}");
        }
        let (id, _) = applications.iter().find(|(_, (key, _))| *key == first).unwrap();
        let application: ApplicationId = id.parse().unwrap();
        let counted = usage::of_api_keys(&mut conn, application).await.unwrap();
        let counted: i64 = counted.values().map(|usage| usage.requests).sum();
        let this_run = &requests[before..];
        let due = this_run.iter().filter(|&&at| at + AT_MOST_LOST < killed_at).count();
        assert!(due > 0, "requests were accepted early enough to be counted");
        counted_on += due;
        assert!(counted >= counted_on as i64, "{counted} of at least {counted_on} were counted");
        // Requests lost before stay lost: from here on the counters must reach this number.
        counted_on = counted as usize;
        assert!(this_run.len() > 20, "requests went on: {}", this_run.len());
        drop(conn);
        store.close().await;
    }
}

/// Creates applications and disables them until the server is gone.
async fn change(mut console: Console, round: usize, acknowledged: Arc<Mutex<Acknowledged>>) -> Option<()> {
    for number in 0.. {
        let (id, key) = console.try_create(&format!("Application {round}-{number}")).await?;
        acknowledged.lock().unwrap().applications.insert(id.clone(), (key.clone(), false));
        let form = format!("{LIST}/{id}/disable");
        let page = console.get(&form).await?;
        let fields = [("version", hidden(&page, "version")), ("reason", "a test".to_owned())];
        if console.post(&form, &fields).await?.0 == 303 {
            acknowledged.lock().unwrap().applications.insert(id, (key, true));
        }
    }
    None
}

/// Sends requests one after the other, and records the instant at which each was accepted.
async fn send(gateway: SocketAddr, key: String, acknowledged: Arc<Mutex<Acknowledged>>, running: Arc<AtomicBool>) {
    let mut connection = Connection::open(gateway).await;
    while running.load(SeqCst) {
        connection.write(&signed_request(&key)).await;
        let Some(reply) = connection.read().await else { return };
        match reply.status {
            200 => acknowledged.lock().unwrap().requests.push(Instant::now()),
            _ => assert_eq!(reply.refusal().0, "token_predates_start"),
        }
    }
}
