//! A blocked signing key stays unusable in every organization and on every path until Nuvera releases it.

use crate::support::{Answer, Browser, Console, Database, LIST, PEM_A, PEM_B, PEM_C};
use app::paths;
use axum::http::StatusCode;
use domain::{
    access::{Operation, Role},
    actor::Actor,
    application::{
        ApiApplication, By, ChangeError, NewApplication, NewSigningKey, RequestedChange, SigningKeyReplacement,
    },
    id::{ApiKeyId, ApplicationId, SigningKeyId},
    permission::PermissionSet,
    public_key::PublicKey,
    text::{ApplicationName, Reason, TicketReference, Why},
};
use server::{
    backend::{Asked, Backend, BackendError, CreateApplication, Said, bulk_stop::StopScope},
    gateway::{Gateway, GatewaySettings, ReplayFence},
    pepper::Pepper,
    store::{Store, applications, blocked_keys},
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use uuid::Uuid;

const LEAKED: &str = "The private key is in a public repository.";
const RELEASED: &str = "It was a test key.";

fn fingerprint(pem: &str) -> String {
    PublicKey::from_pem(pem).unwrap().fingerprint()
}

fn why(reason: &str) -> Why {
    Why { reason: Reason::new(reason).unwrap(), ticket: TicketReference::new("SUP-4711").ok() }
}

async fn stop_key(admin: &mut Browser, pem: &str) -> Answer {
    let path = paths::stop_signing_key(&fingerprint(pem));
    let form = admin.get(&path).await;
    assert_eq!(form.status, StatusCode::OK, "{}", form.text());
    let stopped = admin.post(&path, &[("reason", LEAKED), ("ticket", "SUP-4711")]).await;
    assert_eq!(stopped.status, StatusCode::OK, "{}", stopped.text());
    stopped
}

async fn release_key(admin: &mut Browser, pem: &str) -> Answer {
    let path = paths::release_signing_key(&fingerprint(pem));
    admin.submit(&path, &[("reason", RELEASED), ("ticket", "SUP-4720")]).await
}

/// Regression: a key that had been stopped could be used again by enabling an application or registering the key again.
#[tokio::test]
async fn a_stopped_key_can_be_neither_enabled_nor_registered_again() {
    for database in Database::all().await {
        let engine = database.engine;
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let mut stranger = console.signed_in("owner@borealis.example").await;
        let (id, key) = owner.create("Ledger", PEM_A).await;
        let (other, _) = owner.create("Books", PEM_B).await;
        let mut admin = console.admin().await;
        stop_key(&mut admin, PEM_A).await.says("1 application is stopped").says("blocked in every organization");
        assert_eq!(console.gateway_says(&key).await, "signing_key_blocked", "{engine}");

        // The owner sees what happened on the application's page and on the page that would enable it.
        let (page, enable) = (format!("{LIST}/{id}"), format!("{LIST}/{id}/enable"));
        for answer in [owner.get(&page).await, owner.get(&enable).await] {
            answer.says("The signing key is blocked: its private key may have leaked").says("Ada Admin (Nuvera)");
            answer.says(&format!("“{LEAKED}” Ticket SUP-4711")).says(&fingerprint(PEM_A));
            answer.says("Replace the signing key first");
            assert!(answer.body.contains("replace-signing-key"), "{}", answer.text());
        }
        assert!(!owner.get(&enable).await.body.contains("name=\"reason\""), "there is no form");
        let version = console.application(&id).await.version.to_string();
        let enabled = owner.post(&enable, &[("version", &version), ("reason", "it is fine")]).await;
        assert_eq!(enabled.status, StatusCode::CONFLICT, "{engine}: {}", enabled.text());
        enabled.says("Replace the signing key first, then enable the application.");
        let in_hub = format!("{}/enable", console.in_hub(&id));
        let fields = [("version", &*version), ("reason", "please"), ("ticket", "SUP-4711")];
        assert_eq!(admin.post(&in_hub, &fields).await.status, StatusCode::CONFLICT, "nor by Nuvera");
        assert!(!console.application(&id).await.is_enabled());
        assert_eq!(console.gateway_says(&key).await, "signing_key_blocked");

        // No organization can register it again.
        for browser in [&mut owner, &mut stranger] {
            let refused = browser.create_answer("Again", PEM_A, &["PAYMENTS_READ"]).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{engine}");
        }
        let refused = owner.create_answer("Again", PEM_A, &["PAYMENTS_READ"]).await;
        refused.says("Nuvera blocked this signing key").says("Generate a new key pair.");
        let replace = [("public_key", PEM_A), ("overlap", "none")];
        owner.submit(&format!("{LIST}/{other}/replace-signing-key"), &replace).await.says("Nuvera blocked this");
        assert_eq!(console.application(&other).await.version, 1);

        // The remedy: replace the key, then enable the application.
        let path = format!("{LIST}/{id}/replace-signing-key");
        let form = owner.get(&path).await;
        form.says("The current signing key is blocked");
        assert_eq!(form.hidden("overlap"), "none");
        let overlapping = owner.submit(&path, &[("public_key", PEM_C), ("overlap", "3600")]).await;
        assert_eq!(overlapping.status, StatusCode::UNPROCESSABLE_ENTITY);
        overlapping.says("it cannot keep verifying requests");
        let replaced = owner.submit(&path, &[("public_key", PEM_C), ("overlap", "none")]).await;
        assert_eq!(replaced.status, StatusCode::SEE_OTHER, "{engine}: {}", replaced.text());
        assert_eq!(console.gateway_says(&key).await, "application_disabled");
        let back = owner.get(&page).await;
        assert!(!back.text().contains("The signing key is blocked"), "{}", back.text());
        back.says("Blocked").says("This application is disabled");
        let old = console.application(&id).await.signing_keys[1].id;
        assert!(!back.body.contains(&format!("{old}/restore")), "the blocked key cannot be restored");
        let restore = format!("{LIST}/{id}/signing-keys/{old}/restore");
        let restored = owner.submit(&restore, &[("overlap", "none")]).await;
        restored.says("Nuvera blocked this signing key");
        assert_eq!(console.application(&id).await.version, 3, "{engine}");
        let enabled = owner.submit(&enable, &[("reason", "new key")]).await;
        assert_eq!(enabled.status, StatusCode::SEE_OTHER, "{engine}: {}", enabled.text());
        assert_eq!(console.gateway_says(&key).await, "malformed_token", "it works again");
    }
}

#[tokio::test]
async fn blocked_keys_are_listed_and_released_with_a_reason_and_a_ticket() {
    for database in Database::all().await {
        let engine = database.engine;
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let (id, key) = owner.create("Ledger", PEM_A).await;
        let mut admin = console.admin().await;
        assert!(admin.get(paths::ORGANIZATION_HUB).await.body.contains(paths::HUB_SIGNING_KEYS), "linked from the hub");
        admin.get(paths::HUB_SIGNING_KEYS).await.says("No blocked keys");
        stop_key(&mut admin, PEM_A).await;
        stop_key(&mut admin, PEM_B).await.says("No application that uses this key was left to stop.");

        let list = admin.get(paths::HUB_SIGNING_KEYS).await;
        list.says(&fingerprint(PEM_A)).says(&fingerprint(PEM_B)).says("by Ada Admin").says(LEAKED);
        list.says("1 application needs a new signing key");
        let mut auditor = console.signed_in("auditor@nuvera.example").await;
        let seen = auditor.get(paths::HUB_SIGNING_KEYS).await;
        seen.says(&fingerprint(PEM_A));
        assert!(!seen.body.contains("/release"), "an auditor releases nothing");
        admin
            .get(&format!("/organizations?q={}", paths::escaped(&fingerprint(PEM_A))))
            .await
            .says("This key is blocked");
        admin.get(&paths::stop_signing_key(&fingerprint(PEM_A))).await.says("This key is blocked");

        let path = paths::release_signing_key(&fingerprint(PEM_A));
        admin.submit(&path, &[("ticket", "SUP-4720")]).await.says("Enter a reason");
        admin.submit(&path, &[("reason", RELEASED)]).await.says("Enter the ticket’s reference");
        let version = admin.get(&path).await.hidden("version");
        let stale = (version.parse::<i64>().unwrap() - 1).to_string();
        let fields = [("reason", RELEASED), ("ticket", "SUP-4720")];
        let another = admin.post(&path, &[fields[0], fields[1], ("version", &stale)]).await;
        assert_eq!(another.status, StatusCode::NOT_FOUND, "a block that nobody sees is not released");
        assert_eq!(console.gateway_says(&key).await, "signing_key_blocked");
        let released = release_key(&mut admin, PEM_A).await;
        assert_eq!(released.location(), paths::HUB_SIGNING_KEYS);
        let list = admin.get(released.location()).await;
        list.says("Released").says(RELEASED).says("Ticket SUP-4720");
        assert_eq!(admin.get(&path).await.status, StatusCode::NOT_FOUND);
        assert_eq!(console.gateway_says(&key).await, "application_disabled", "released, and disabled still");
        let history = admin.get(paths::HUB_AUDIT).await;
        history.says("Signing key blocked").says("Signing key released").says(RELEASED);
        owner.get(&format!("{LIST}/{id}/audit")).await.says("Signing key released").says(RELEASED);

        let enabled = owner.submit(&format!("{LIST}/{id}/enable"), &[("reason", "released")]).await;
        assert_eq!(enabled.status, StatusCode::SEE_OTHER, "{engine}: {}", enabled.text());
        assert_eq!(console.gateway_says(&key).await, "malformed_token");
        // It can be blocked again, and then both blocks are recorded.
        stop_key(&mut admin, PEM_A).await.says("1 application is stopped");
        let mut conn = console.store.read().await.unwrap();
        let recorded = blocked_keys::list(&mut conn, 10).await.unwrap();
        let mine: Vec<_> = recorded.iter().filter(|blocked| blocked.fingerprint == fingerprint(PEM_A)).collect();
        assert_eq!(mine.len(), 2, "{engine}");
        assert!(mine[0].is_in_force() && !mine[1].is_in_force());
    }
}

#[tokio::test]
async fn a_release_needs_a_fresh_proof() {
    let console = Console::start().await;
    let mut admin = console.admin().await;
    stop_key(&mut admin, PEM_A).await;
    let path = paths::release_signing_key(&fingerprint(PEM_A));
    let version = admin.get(&path).await.hidden("version");
    console.advance(Duration::from_secs(11 * 60));
    let fields = [("reason", RELEASED), ("ticket", "SUP-4720"), ("version", &version)];
    let refused = admin.post(&path, &fields).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    refused.says("Confirm that it is you");
    assert!(blocked_keys::find(&mut console.store.read().await.unwrap(), &fingerprint(PEM_A)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_key_that_nobody_registered_is_blocked_in_advance() {
    let console = Console::start().await;
    let mut admin = console.admin().await;
    let found = admin.get(&format!("/organizations?q={}", paths::escaped(&fingerprint(PEM_A)))).await;
    found.says("No application uses it. You can block it");
    assert!(found.body.contains(&paths::stop_signing_key(&fingerprint(PEM_A))));
    admin
        .get(&paths::stop_signing_key(&fingerprint(PEM_A)))
        .await
        .says("This key will be blocked in every organization");
    stop_key(&mut admin, PEM_A).await;
    let refused = console.owner().await.create_answer("Ledger", PEM_A, &["PAYMENTS_READ"]).await;
    refused.says("Nuvera blocked this signing key");
}

/// Blocking a retiring key retires it: the application can be enabled with the key that replaced it.
#[tokio::test]
async fn a_retiring_key_is_retired_by_the_stop() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let (id, key) = owner.create("Ledger", PEM_A).await;
        let replace = [("public_key", PEM_B), ("overlap", "86400")];
        owner.submit(&format!("{LIST}/{id}/replace-signing-key"), &replace).await;
        stop_key(&mut console.admin().await, PEM_A).await.says("1 application is stopped");
        let application = console.application(&id).await;
        assert!(!application.signing_keys[1].verifies(console.clock.now()));
        assert_eq!(console.events(&id).await[..2], ["signing_key.retired", "application.disabled"]);
        owner.submit(&format!("{LIST}/{id}/enable"), &[("reason", "the new key is fine")]).await;
        assert_eq!(console.gateway_says(&key).await, "malformed_token");
        let restore = format!("{LIST}/{id}/signing-keys/{}/restore", application.signing_keys[1].id);
        owner.submit(&restore, &[("overlap", "none")]).await.says("Nuvera blocked this signing key");
    }
}

/// A change that was proposed before the block cannot be confirmed after it, and no change with a blocked key can be
/// proposed.
#[tokio::test]
async fn a_proposed_change_does_not_bring_a_blocked_key_back() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_B).await;
    let policy = [("second_factor", "optional"), ("nuvera_changes", "confirmed")];
    owner.submit(&format!("{LIST}/security-policy"), &policy).await;
    let mut admin = console.admin().await;
    let path = format!("{}/replace-signing-key", console.in_hub(&id));
    let fields = [("public_key", PEM_A), ("overlap", "3600"), ("reason", "they asked"), ("ticket", "SUP-4711")];
    let proposed = admin.submit(&path, &fields).await;
    assert_eq!(proposed.status, StatusCode::SEE_OTHER, "{}", proposed.text());
    stop_key(&mut admin, PEM_A).await;
    let confirmed = owner.submit(&format!("{LIST}/{id}/confirm-change"), &[]).await;
    confirmed.says("Nuvera blocked this signing key");
    assert_eq!(console.application(&id).await.signing_keys.len(), 1);
    let withdraw = [("reason", "blocked"), ("ticket", "SUP-4711")];
    admin.submit(&format!("{}/withdraw-change", console.in_hub(&id)), &withdraw).await;
    admin.submit(&path, &fields).await.says("Nuvera blocked this signing key");
    assert_eq!(console.application(&id).await.proposed_change, None);
}

/// The gateway loads the blocked keys at startup.
#[tokio::test]
async fn the_gateway_knows_blocked_keys_after_a_start() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let (id, key) = owner.create("Ledger", PEM_A).await;
        stop_key(&mut console.admin().await, PEM_A).await;
        console.gateway.snapshot().set_blocked_keys(Vec::new());
        assert_eq!(console.gateway_says(&key).await, "application_disabled", "the control: forgotten");
        console.backend.start().await.unwrap();
        assert_eq!(console.gateway_says(&key).await, "signing_key_blocked", "{id}");
    }
}

/// Returns the backend of another server on the same database.
async fn another_backend(console: &Console) -> Backend {
    let store = Store::open(console.database_url()).await.unwrap();
    let pepper = Arc::new(Pepper::new("test", &[7; 32]));
    let gateway = Gateway::new(GatewaySettings::idle(), console.clock.clone(), pepper.clone(), ReplayFence::default());
    Backend::new(store, gateway, pepper, console.clock.clone())
}

fn new_application(pem: &str, name: &str) -> CreateApplication {
    CreateApplication {
        name: ApplicationName::new(name).unwrap(),
        public_key: PublicKey::from_pem(pem).unwrap(),
        proof: None,
        permissions: PermissionSet::default(),
        creation_token: name.to_owned(),
    }
}

/// Asserts that the task does not finish within 300 ms, because another transaction holds the lock.
async fn waits<T>(task: &mut tokio::task::JoinHandle<T>, what: &str) {
    let ended = tokio::time::timeout(Duration::from_millis(300), task).await;
    assert!(ended.is_err(), "{what} did not wait for the other transaction");
}

/// Two servers, one database: registering or enabling waits for a block that is written but not committed, and is then
/// rejected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_registers_or_enables_a_key_waits_for_a_block_under_way() {
    for database in Database::all().await {
        let engine = database.engine;
        let console = Arc::new(Console::start_on(database).await);
        let mut owner = console.owner().await;
        let (id, _) = owner.create("Ledger", PEM_A).await;
        owner.submit(&format!("{LIST}/{id}/disable"), &[("reason", "a test")]).await;
        let (other, _) = owner.create("Books", PEM_B).await;
        let (id, other): (ApplicationId, ApplicationId) = (id.parse().unwrap(), other.parse().unwrap());
        let actor = console.owner_actor().await;
        let admin = console.admin_actor().await;
        for attempt in ["create", "replace", "enable"] {
            let reason = why(LEAKED);
            let by = By { actor: &admin, at: console.clock.now(), reason: Some(&reason) };
            let blocked = domain::application::BlockedKey::new(&fingerprint(PEM_A), by);
            let mut block = console.store.write().await.unwrap();
            blocked_keys::lock(&mut block).await.unwrap();
            assert!(blocked_keys::block(&mut block, &blocked).await.unwrap());
            let (server, actor, organization) = (console.clone(), actor.clone(), console.alpine);
            let mut task = tokio::spawn(async move {
                let asked = |application| Asked { actor: &actor, organization, application };
                let said = || Said { seen_version: None, reason: Some(why("a test")) };
                match attempt {
                    "create" => {
                        let new = new_application(PEM_A, "Again");
                        server.backend.create_application(&actor, new).await.map(drop)
                    }
                    "replace" => {
                        let (key, stop) = (PublicKey::from_pem(PEM_A).unwrap(), SigningKeyReplacement::StopNow);
                        server.backend.replace_signing_key(asked(other), said(), key, None, stop).await.map(drop)
                    }
                    _ => {
                        let enable = ApiApplication::enable;
                        server.backend.change(asked(id), Operation::EnableApplication, said(), enable).await.map(drop)
                    }
                }
            });
            waits(&mut task, attempt).await;
            block.commit().await.unwrap();
            let refused = task.await.unwrap().unwrap_err();
            let is_blocked = matches!(
                refused,
                BackendError::Refused(ChangeError::SigningKeyBlocked | ChangeError::ReplaceBlockedKeyFirst(_))
            );
            assert!(is_blocked, "{engine}, {attempt}: {refused}");
            let release = blocked.clone().release(by).unwrap().release.unwrap();
            let mut transaction = console.store.write().await.unwrap();
            blocked_keys::release(&mut transaction, &blocked, &release).await.unwrap();
            transaction.commit().await.unwrap();
        }
    }
}

/// The reverse: the stop waits for a registration that is written but not committed, and includes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_a_registration_under_way_and_stops_it() {
    for database in Database::all().await {
        let engine = database.engine;
        let console = Arc::new(Console::start_on(database).await);
        let owner = console.owner_actor().await;
        let admin = console.admin_actor().await;
        let now = console.clock.now();
        let new = NewApplication {
            id: ApplicationId(Uuid::from_u128(41)),
            name: ApplicationName::new("Ledger").unwrap(),
            permissions: PermissionSet::default(),
            signing_key: NewSigningKey {
                id: SigningKeyId(Uuid::from_u128(42)),
                public_key: PublicKey::from_pem(PEM_A).unwrap(),
                is_proven: false,
            },
            api_key: api_key(43),
        };
        let change = ApiApplication::create(new, By { actor: &owner, at: now, reason: None });
        let mut registration = console.store.write().await.unwrap();
        blocked_keys::lock(&mut registration).await.unwrap();
        applications::create(&mut registration, &change, "a token").await.unwrap();
        let server = console.clone();
        let mut task = tokio::spawn(async move {
            let key = fingerprint(PEM_A);
            server.backend.stop_all(&admin, StopScope::SigningKey(&key), &HashSet::new(), Some(why(LEAKED))).await
        });
        waits(&mut task, "the stop").await;
        registration.commit().await.unwrap();
        let stopped = task.await.unwrap().unwrap();
        assert_eq!(stopped.applications.len(), 1, "{engine}");
        let id = change.application.id.to_string();
        assert!(!console.application(&id).await.is_enabled(), "{engine}");
    }
}

fn api_key(number: u128) -> domain::api_key::NewApiKey {
    let key = domain::api_key::PlainApiKey::generate(|bytes| bytes.fill(number as u8));
    domain::api_key::NewApiKey {
        id: ApiKeyId(Uuid::from_u128(number)),
        prefix: key.prefix(),
        last_four: key.last_four().to_owned(),
        hash: domain::api_key::ApiKeyHash([number as u8; 32]),
        pepper_id: "test".to_owned(),
    }
}

/// Many rounds from two servers: in no interleaving does an enabled application have a blocked key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_of_a_block_and_a_registration_leaves_a_blocked_key_in_use() {
    const ROUNDS: usize = 12;
    for database in Database::all().await {
        let engine = database.engine;
        let console = Console::start_on(database).await;
        let other = another_backend(&console).await;
        let (owner, admin) = (console.owner_actor().await, console.admin_actor().await);
        let key = fingerprint(PEM_A);
        let mut outcomes = HashSet::new();
        for round in 0..ROUNDS {
            let seen = HashSet::new();
            let stop = other.stop_all(&admin, StopScope::SigningKey(&key), &seen, Some(why(LEAKED)));
            let name = format!("Application {round}");
            let create = console.backend.create_application(&owner, new_application(PEM_A, &name));
            let (stopped, created) = tokio::join!(stop, create);
            let stopped = stopped.unwrap();
            assert!(!stopped.is_unrecorded, "{engine}");
            outcomes.insert(created.is_ok());
            if let Err(error) = &created {
                let is_blocked = matches!(error, BackendError::Refused(ChangeError::SigningKeyBlocked));
                assert!(is_blocked, "{engine}: {error}");
            }
            let mut conn = console.store.read().await.unwrap();
            for application in applications::of_fingerprint(&mut conn, &key).await.unwrap() {
                assert!(!application.is_enabled(), "{engine}, round {round}: {}", application.name);
            }
            let blocked = blocked_keys::find(&mut conn, &key).await.unwrap().unwrap();
            drop(conn);
            other.release_key(&admin, &key, blocked.at, Some(&why(RELEASED))).await.unwrap();
        }
        println!("{engine}: registered first and then stopped, or refused: {outcomes:?}");
    }
}

/// While the database cannot be written, the gateway enforces the block at once, and it is recorded later.
#[tokio::test]
async fn a_block_that_cannot_be_recorded_is_obeyed_and_recorded_later() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    rename(&console, "audit_events", "away").await;
    stop_key(&mut admin, PEM_A).await.says("could not be written");
    assert_eq!(console.gateway_says(&key).await, "signing_key_blocked");
    assert!(blocked_keys::find(&mut console.store.read().await.unwrap(), &fingerprint(PEM_A)).await.unwrap().is_none());
    rename(&console, "away", "audit_events").await;
    console.backend.settle().await.unwrap();
    let blocked = blocked_keys::find(&mut console.store.read().await.unwrap(), &fingerprint(PEM_A)).await.unwrap();
    assert_eq!(blocked.unwrap().why.unwrap().as_str(), LEAKED);
    assert!(!console.application(&id).await.is_enabled());
    assert_eq!(console.gateway_says(&key).await, "signing_key_blocked");
    let refused = owner.create_answer("Again", PEM_A, &["PAYMENTS_READ"]).await;
    refused.says("Nuvera blocked this signing key");
}

async fn rename(console: &Console, from: &str, to: &str) {
    let mut transaction = console.store.write().await.unwrap();
    let sql = sqlx::AssertSqlSafe(format!("ALTER TABLE {from} RENAME TO {to}"));
    sqlx::query(sql).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

/// A proposal to restore a key is checked against the current state when it is made.
#[tokio::test]
async fn restoring_a_blocked_key_is_not_proposed() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let replace = [("public_key", PEM_B), ("overlap", "none")];
    owner.submit(&format!("{LIST}/{id}/replace-signing-key"), &replace).await;
    let policy = [("second_factor", "optional"), ("nuvera_changes", "confirmed")];
    owner.submit(&format!("{LIST}/security-policy"), &policy).await;
    let mut admin = console.admin().await;
    stop_key(&mut admin, PEM_A).await;
    let actor: Actor = console.admin_actor().await;
    assert_eq!(actor.role, Role::NuveraAdmin);
    let application = console.application(&id).await;
    let change = RequestedChange::RestoreSigningKey {
        id: application.signing_keys[1].id,
        replacement: SigningKeyReplacement::StopNow,
    };
    let asked = Asked { actor: &actor, organization: console.alpine, application: application.id };
    let said = Said { seen_version: None, reason: Some(why("they asked")) };
    let refused = console.backend.request_change(asked, said, change).await.unwrap_err();
    assert!(matches!(refused, BackendError::Refused(ChangeError::SigningKeyBlocked)), "{refused}");
}
