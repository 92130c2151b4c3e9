//! A credential that was revoked, disabled, replaced or restricted, or that has expired, is not accepted again: not
//! under load, and not by a request that starts the moment after the change was acknowledged. A token is accepted once,
//! however many connections send it.

use crate::support::base64url;
use crate::support::{
    Connection, LEEWAY, Reply, START, Setup, World, pair, public_key, reason, sha256_hex, sign, timestamp,
};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use domain::{
    access::{Operation, Role},
    actor::Actor,
    api_key::PlainApiKey,
    application::{ApiApplication, Replacement, SigningKeyReplacement},
    id::{ApiKeyId, ApplicationId, OrganizationId},
    permission::{Area, PermissionSet},
    text::ApplicationName,
};
use serde_json::json;
use server::{
    backend::{Asked, Backend, CreateApplication, Said, accounts::NewPerson},
    clock::Clock,
    fence,
    gateway::Gateway,
    pepper::Pepper,
    random,
    store::{Store, organizations::OrganizationKind},
};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::Barrier};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Number of connections that send requests without a pause.
const CONNECTIONS: usize = 6;

const SECOND: Duration = Duration::from_secs(1);

/// A change that stops a working credential.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Revoke,
    ReplaceAtOnce,
    Disable,
    Expire,
    TakePermission,
    ReplaceSigningKey,
}

impl Kind {
    fn code(self) -> &'static str {
        match self {
            Self::Revoke | Self::ReplaceAtOnce => "revoked_api_key",
            Self::Disable => "application_disabled",
            Self::Expire => "expired_api_key",
            Self::TakePermission => "permission_missing",
            Self::ReplaceSigningKey => "invalid_signature",
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_changes_under_load_none_lets_a_later_request_through() {
    let mut changes = 0;
    for (kind, rounds) in [
        (Kind::Revoke, 170),
        (Kind::ReplaceAtOnce, 170),
        (Kind::Disable, 165),
        (Kind::Expire, 165),
        (Kind::TakePermission, 165),
        (Kind::ReplaceSigningKey, 165),
    ] {
        let seen = hammer(kind, rounds, Order::ChangeThenAnswer).await;
        assert_eq!(seen.late, 0, "{kind:?}");
        assert_eq!(seen.codes, BTreeSet::from([kind.code().to_owned()]), "{kind:?}");
        // Each change was observed from both sides: requests were accepted before it and refused after it.
        assert!(seen.accepted >= rounds && seen.refused >= rounds * CONNECTIONS, "{kind:?}");
        changes += rounds;
    }
    assert_eq!(changes, 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_answered_before_it_is_made_is_noticed() {
    // The same count with the order reversed: it shows that the test above would detect late requests.
    for kind in [Kind::Revoke, Kind::Disable, Kind::Expire, Kind::TakePermission, Kind::ReplaceSigningKey] {
        let seen = hammer(kind, 3, Order::AnswerThenChange).await;
        assert!(seen.late >= 3, "{kind:?}: {}", seen.late);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    ChangeThenAnswer,
    AnswerThenChange,
}

#[derive(Default)]
struct Seen {
    /// Requests that were accepted although they started after the change was acknowledged.
    late: usize,
    accepted: usize,
    refused: usize,
    codes: BTreeSet<String>,
}

/// A credential that works until a change is made, and the outcomes of the requests with it.
struct Target {
    key: PlainApiKey,
    pair: usize,
    answered: AtomicBool,
    accepted_before: AtomicUsize,
    accepted_after: AtomicUsize,
    refused_after: AtomicUsize,
    codes: Mutex<BTreeSet<String>>,
}

impl Target {
    fn new(key: &PlainApiKey, pair: usize) -> Arc<Self> {
        Arc::new(Self {
            key: key.clone(),
            pair,
            answered: AtomicBool::new(false),
            accepted_before: AtomicUsize::new(0),
            accepted_after: AtomicUsize::new(0),
            refused_after: AtomicUsize::new(0),
            codes: Mutex::default(),
        })
    }
}

async fn hammer(kind: Kind, rounds: usize, order: Order) -> Seen {
    let mut platform = Platform::start().await;
    let target = Arc::new(RwLock::new(Target::new(&platform.key, platform.pair)));
    let stop = CancellationToken::new();
    let hammers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (target, clock, stop) = (target.clone(), platform.clock.clone(), stop.clone());
            tokio::spawn(strike(platform.address, target, clock, stop))
        })
        .collect();
    let mut seen = Seen::default();
    for _ in 0..rounds {
        let aimed = platform.prepare(kind).await;
        *target.write().unwrap() = aimed.clone();
        until(|| aimed.accepted_before.load(SeqCst) > 0).await;
        match order {
            Order::ChangeThenAnswer => {
                platform.change(kind).await;
                aimed.answered.store(true, SeqCst);
            }
            Order::AnswerThenChange => {
                aimed.answered.store(true, SeqCst);
                until(|| aimed.accepted_after.load(SeqCst) > 0).await;
                platform.change(kind).await;
            }
        }
        until(|| aimed.refused_after.load(SeqCst) + aimed.accepted_after.load(SeqCst) >= CONNECTIONS).await;
        seen.late += aimed.accepted_after.load(SeqCst);
        seen.accepted += aimed.accepted_before.load(SeqCst);
        seen.refused += aimed.refused_after.load(SeqCst);
        seen.codes.append(&mut aimed.codes.lock().unwrap());
    }
    stop.cancel();
    for hammer in hammers {
        hammer.await.unwrap();
    }
    platform.stop().await;
    seen
}

/// Sends requests one after the other, each with the current target's credential.
async fn strike(address: SocketAddr, target: Arc<RwLock<Arc<Target>>>, clock: Clock, stop: CancellationToken) {
    let mut connection = Connection::open(address).await;
    while !stop.is_cancelled() {
        let aimed = target.read().unwrap().clone();
        let bytes = request(aimed.key.reveal(), aimed.pair, clock.now().as_seconds());
        let starts_after = aimed.answered.load(SeqCst);
        connection.write(&bytes).await;
        let reply = connection.read().await.unwrap();
        match (reply.status, starts_after) {
            (200, true) => drop(aimed.accepted_after.fetch_add(1, SeqCst)),
            (200, false) => drop(aimed.accepted_before.fetch_add(1, SeqCst)),
            (_, true) => {
                aimed.codes.lock().unwrap().insert(reply.refusal().0);
                aimed.refused_after.fetch_add(1, SeqCst);
            }
            // It started before the acknowledgement, so either outcome is correct.
            (_, false) => {}
        }
    }
}

async fn until(condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !condition() {
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
    });
    waited.await.expect("what was waited for");
}

fn request(key: &str, pair_number: usize, iat: i64) -> Vec<u8> {
    let uri = "/api/v1/customers?limit=20";
    let claims = json!({
        "iss": "nuvera-api", "aud": "nuvera-rest-api", "sub": key, "method": "GET", "uri": uri,
        "bodyHash": sha256_hex(b""), "iat": iat, "exp": iat + 55, "jti": Uuid::from_bytes(random::bytes())
    });
    let input = format!("{}.{}", base64url(r#"{"alg":"RS256","typ":"JWT"}"#), base64url(claims.to_string()));
    let token = sign(pair(pair_number), &RSA_PKCS1_SHA256, &input);
    format!("GET {uri} HTTP/1.1\r\nHost: api.test\r\nx-api-key: {key}\r\nauthorization: Bearer {token}\r\n\r\n").into()
}

/// The console's use cases on a SQLite database, and the gateway that they control.
struct Platform {
    backend: Backend,
    clock: Clock,
    address: SocketAddr,
    actor: Actor,
    organization: OrganizationId,
    application: ApplicationId,
    /// The current API key; `old` is the previous one while it is in its grace window.
    key: PlainApiKey,
    key_id: ApiKeyId,
    old: Option<ApiKeyId>,
    pair: usize,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
    store: Store,
    pepper: Arc<Pepper>,
    _folder: TempDir,
}

impl Platform {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::open(&format!("sqlite://{}?mode=rwc", folder.path().join("test.db").display())).await.unwrap();
        let clock = Clock::manual(timestamp(START));
        let pepper = Arc::new(Pepper::new("test", &random::bytes()));
        let fence = fence::take(&store, &clock, LEEWAY, fence::OtherRuns::Ended).await.unwrap();
        let gateway = Gateway::new(Setup::default().settings, clock.clone(), pepper.clone(), fence);
        let backend = Backend::new(store.clone(), gateway.clone(), pepper.clone(), clock.clone());
        backend.start().await.unwrap();
        let organization = backend.add_organization(OrganizationKind::Partner, "Alpine Pay").await.unwrap();
        let person = NewPerson {
            organization_id: organization,
            email: "owner@alpine.example",
            name: "Olivia Okafor",
            role: Role::PartnerOwner,
            password: "correct horse battery staple",
        };
        let person = backend.add_person(person).await.unwrap();
        // A user who has just signed in, because the changes made here need a fresh proof of identity.
        let actor = Actor { is_proven: true, ..backend.actor(person, None).await.unwrap().unwrap() };
        let wish = CreateApplication {
            name: ApplicationName::new("Ledger sync").unwrap(),
            public_key: public_key(pair(0)),
            proof: None,
            permissions: permissions(),
            creation_token: "once".to_owned(),
        };
        let (issued, _) = backend.create_application(&actor, wish).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(gateway.serve(listener, stop.clone()));
        Self {
            backend,
            clock,
            address,
            actor,
            organization,
            application: issued.application.id,
            key: issued.key,
            key_id: issued.id,
            old: None,
            pair: 0,
            stop,
            serving,
            store,
            pepper,
            _folder: folder,
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked { actor: &self.actor, organization: self.organization, application: self.application }
    }

    /// Makes sure that there is a working credential that `kind` can stop.
    async fn prepare(&mut self, kind: Kind) -> Arc<Target> {
        let target = Target::new(&self.key, self.pair);
        let seen = self.backend.application(self.asked(), Operation::ViewApplications).await.unwrap();
        match kind {
            Kind::Revoke | Kind::Expire => {
                // The target is the replaced key; its successor is the target of the next round.
                let grace = if matches!(kind, Kind::Expire) { SECOND } else { 3600 * SECOND };
                self.old = Some(self.key_id);
                self.replace(Replacement::WithGrace(grace)).await;
            }
            Kind::Disable if !seen.is_enabled() => {
                self.apply(Operation::EnableApplication, ApiApplication::enable).await
            }
            Kind::TakePermission if seen.permissions != permissions() => {
                let all = permissions();
                self.apply(Operation::ChangePermissions, |a, by| a.change_permissions(all, by)).await;
            }
            _ => {}
        }
        target
    }

    /// Makes the change, and returns when the console would respond.
    async fn change(&mut self, kind: Kind) {
        match kind {
            Kind::Revoke => {
                let old = self.old.take().unwrap();
                self.apply(Operation::RevokeApiKeys, |application, by| application.revoke_api_key(old, by)).await;
            }
            Kind::ReplaceAtOnce => self.replace(Replacement::StopNow).await,
            Kind::Disable => assert!(!self.backend.disable(self.asked(), Some(reason())).await.unwrap()),
            Kind::Expire => self.clock.advance(SECOND),
            Kind::TakePermission => {
                let none = PermissionSet::default();
                self.apply(Operation::ChangePermissions, |a, by| a.change_permissions(none, by)).await;
            }
            Kind::ReplaceSigningKey => self.replace_signing_key().await,
        }
    }

    async fn apply(
        &self,
        operation: Operation,
        transition: impl FnOnce(
            ApiApplication,
            domain::application::By<'_>,
        ) -> Result<domain::application::Change, domain::application::ChangeError>,
    ) {
        let said = Said { seen_version: None, reason: Some(reason()) };
        self.backend.change(self.asked(), operation, said, transition).await.unwrap();
    }

    async fn replace(&mut self, replacement: Replacement) {
        let issued = self.backend.replace_api_key(self.asked(), Said::default(), replacement).await.unwrap();
        (self.key, self.key_id) = (issued.key, issued.id);
    }

    /// Replaces the current signing key with the other of the two; the first time, that one is newly registered.
    async fn replace_signing_key(&mut self) {
        self.pair = 1 - self.pair;
        let (new, now) = (public_key(pair(self.pair)), SigningKeyReplacement::StopNow);
        let application = self.backend.application(self.asked(), Operation::ViewApplications).await.unwrap();
        match application.signing_keys.iter().find(|known| known.public_key == new) {
            Some(known) => {
                let id = known.id;
                self.apply(Operation::ReplaceSigningKeys, |a, by| a.restore_signing_key(id, now, by)).await;
            }
            None => {
                self.backend.replace_signing_key(self.asked(), Said::default(), new, None, now).await.unwrap();
            }
        }
    }

    /// Ends without a clean shutdown, and starts again on the same database.
    async fn crash(&mut self) {
        self.stop.cancel();
        (&mut self.serving).await.unwrap();
        let fence = fence::take(&self.store, &self.clock, LEEWAY, fence::OtherRuns::Ended).await.unwrap();
        let gateway = Gateway::new(Setup::default().settings, self.clock.clone(), self.pepper.clone(), fence);
        self.backend = Backend::new(self.store.clone(), gateway.clone(), self.pepper.clone(), self.clock.clone());
        self.backend.start().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.address = listener.local_addr().unwrap();
        self.stop = CancellationToken::new();
        self.serving = tokio::spawn(gateway.serve(listener, self.stop.clone()));
    }

    async fn send(&self, bytes: &[u8]) -> Reply {
        let mut connection = Connection::open(self.address).await;
        connection.write(bytes).await;
        connection.read().await.unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
        self.store.close().await;
    }
}

fn permissions() -> PermissionSet {
    PermissionSet::new([Area::Customers.read(), Area::Customers.write().unwrap()]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_thousand_tokens_sent_twice_at_the_same_time_each_is_accepted_once() {
    assert_eq!(duplicates(20_000).await, Duplicates { once: 20_000, ..Duplicates::default() });
}

/// Takes some minutes; `make soak` runs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make soak"]
async fn of_a_million_tokens_sent_twice_at_the_same_time_each_is_accepted_once() {
    assert_eq!(duplicates(1_000_000).await, Duplicates { once: 1_000_000, ..Duplicates::default() });
}

#[derive(Debug, Default, PartialEq)]
struct Duplicates {
    never: usize,
    once: usize,
    twice: usize,
}

/// Sends each token on two connections at the same time, and counts how often each was accepted.
async fn duplicates(tokens: usize) -> Duplicates {
    /// Number of requests in flight at a time: few enough for the sockets' buffers.
    const WINDOW: usize = 25;
    const LANES: usize = 2;
    assert!(tokens.is_multiple_of(WINDOW * LANES));
    let world = Setup::with(|setup| setup.settings.replay_capacity = tokens).start().await;
    let (address, key) = (world.address, world.api_key.clone());
    let lanes: Vec<_> = (0..LANES)
        .map(|_| {
            let key = key.clone();
            tokio::spawn(async move {
                let begin = Barrier::new(2);
                let mut connections = [Connection::open(address).await, Connection::open(address).await];
                let mut counted = Duplicates::default();
                for _ in 0..tokens / WINDOW / LANES {
                    let window: Vec<Vec<u8>> = (0..WINDOW).map(|_| request(key.reveal(), 0, START)).collect();
                    let window = window.concat();
                    let [one, other] = &mut connections;
                    let (one, other) =
                        tokio::join!(accepted(one, &window, WINDOW, &begin), accepted(other, &window, WINDOW, &begin));
                    for times in one.iter().zip(&other).map(|(one, other)| usize::from(*one) + usize::from(*other)) {
                        match times {
                            0 => counted.never += 1,
                            1 => counted.once += 1,
                            _ => counted.twice += 1,
                        }
                    }
                }
                counted
            })
        })
        .collect();
    let mut all = Duplicates::default();
    for lane in lanes {
        let lane = lane.await.unwrap();
        (all.never, all.once, all.twice) = (all.never + lane.never, all.once + lane.once, all.twice + lane.twice);
    }
    // At capacity, new tokens are refused rather than old ones forgotten.
    assert_eq!(world.refusal(world.get()).await.0, "replay_capacity");
    all
}

async fn accepted(connection: &mut Connection, window: &[u8], requests: usize, begin: &Barrier) -> Vec<bool> {
    begin.wait().await;
    connection.write(window).await;
    let mut accepted = Vec::with_capacity(requests);
    for _ in 0..requests {
        let reply = connection.read().await.unwrap();
        if reply.status != 200 {
            assert_eq!(reply.refusal().0, "replay_detected");
        }
        accepted.push(reply.status == 200);
    }
    accepted
}

#[tokio::test]
async fn after_a_crash_a_machine_whose_clock_starts_behind_accepts_no_token_a_second_time() {
    let mut platform = Platform::start().await;
    let token = request(platform.key.reveal(), 0, START);
    platform.send(&token).await.verified();
    platform.backend.flush_usage().await.unwrap();
    platform.clock.set(timestamp(START - 3600));
    platform.crash().await;
    // The clock is corrected at once, while the token is still within its lifetime.
    platform.clock.set(timestamp(START + 1));
    assert_eq!(platform.send(&token).await.refusal().0, "token_predates_start");
    platform.clock.set(timestamp(START + 10));
    platform.send(&request(platform.key.reveal(), 0, START + 10)).await.verified();
    // The same after a second crash, in a run that accepted nothing.
    platform.clock.set(timestamp(START - 3600));
    platform.crash().await;
    platform.clock.set(timestamp(START + 1));
    assert_eq!(platform.send(&token).await.refusal().0, "token_predates_start");
    platform.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_while_requests_come_in_lets_none_in_twice() {
    let world = World::start().await;
    let mut used = Vec::new();
    for step in 0..200_i64 {
        // Forward by one second, and back by 30 seconds every tenth time.
        let back = if step % 10 == 9 { 30 } else { 0 };
        world.clock.set(timestamp(START + step - back));
        let bytes = world.get().claim("iat", START + step).claim("exp", START + step + 60).bytes();
        world.send_bytes(&bytes).await.verified();
        used.push(bytes);
        for bytes in used.iter().rev().take(10) {
            let (code, _) = world.send_bytes(bytes).await.refusal();
            assert!(code == "replay_detected" || code == "token_expired", "{code}");
        }
    }
    // When the clock is set back permanently, expired tokens stay expired.
    world.clock.set(timestamp(START));
    for bytes in &used {
        let (code, _) = world.send_bytes(bytes).await.refusal();
        assert!(code == "replay_detected" || code == "token_expired", "{code}");
    }
    assert!(LEEWAY < Duration::from_secs(30));
}
