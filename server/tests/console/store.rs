//! The store's guarantees, on every engine.

use crate::support::{Console, Database, PASSWORD, PEM_A, PEM_B, PEM_C};
use domain::{
    access::Operation,
    actor::{Actor, ActorKind},
    application::{ApiApplication, By, NewSigningKey, Replacement, RequestedChange, SigningKeyReplacement},
    audit::{AuditAction, AuditFilter, AuditScope},
    hygiene::{RotationPolicy, RotationRules, Rule},
    id::SigningKeyId,
    permission::PermissionSet,
    public_key::PublicKey,
    security_policy::{SecurityPolicy, SecurityRules},
    text::{ApplicationName, Reason, TicketReference, Why},
    time::Timestamp,
};
use server::{
    backend::{Asked, BackendError, CreateApplication, IssuedApiKey, Outcome, Said},
    store::{
        Store, StoreError, applications, audit, policies,
        sessions::DatabaseSessions,
        settings, sign_in_failures,
        usage::{self, KeyUsage},
    },
};
use sqlx::{AnyConnection, Connection, Executor};
use std::time::Duration;
use tower_sessions::{
    SessionStore,
    cookie::time,
    session::{Id, Record},
};

async fn on_every_engine(test: impl AsyncFn(Console)) {
    for database in Database::all().await {
        println!("on {}", database.engine);
        test(Console::start_on(database).await).await;
    }
}

const RENAME: Operation = Operation::RenameApplication;
const REVOKE: Operation = Operation::RevokeApiKeys;

fn seen(version: i64) -> Said {
    Said { seen_version: Some(version), reason: None }
}

fn new(name: &str, pem: &str, token: &str) -> CreateApplication {
    CreateApplication {
        name: ApplicationName::new(name).unwrap(),
        public_key: PublicKey::from_pem(pem).unwrap(),
        proof: None,
        permissions: "PAYMENTS_READ PAYMENTS_WRITE".parse().unwrap(),
        creation_token: token.into(),
    }
}

async fn create(console: &Console) -> IssuedApiKey {
    let actor = console.owner_actor().await;
    console.backend.create_application(&actor, new("Ledger", PEM_A, "t1")).await.unwrap().0
}

#[tokio::test]
async fn an_application_is_read_back_as_it_was_written() {
    on_every_engine(async |console| {
        let actor = console.owner_actor().await;
        let issued = create(&console).await;
        let id = issued.application.id;
        let asked = Asked { actor: &actor, organization: actor.organization_id, application: id };
        assert_eq!(console.application(&id.to_string()).await, issued.application);

        let replacement = Replacement::WithGrace(Duration::from_secs(3600));
        let replaced = console.backend.replace_api_key(asked, seen(1), replacement).await.unwrap();
        console.advance(Duration::from_secs(5));
        let revoke = async |key| {
            console
                .backend
                .change(asked, REVOKE, Said::default(), |application, by| application.revoke_api_key(key, by))
                .await
        };
        revoke(replaced.id).await.unwrap();
        console.backend.disable(asked, Some(Reason::new("a \"reason\"; DROP TABLE").unwrap().into())).await.unwrap();
        let key = PublicKey::from_pem(PEM_B).unwrap();
        let overlap = domain::application::SigningKeyReplacement::WithOverlap(Duration::from_secs(60));
        console.backend.replace_signing_key(asked, Said::default(), key, None, overlap).await.unwrap();
        let last = console
            .backend
            .change(asked, Operation::ChangePermissions, Said::default(), |application, by| {
                application.change_permissions(PermissionSet::default(), by)
            })
            .await
            .unwrap();
        let read = console.application(&id.to_string()).await;
        assert_eq!(read, last);
        assert_eq!(read.api_keys.len(), 2);
        assert_eq!(read.api_keys[0].id, replaced.id, "the newest key comes first");
        assert_eq!(read.signing_keys.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn another_organizations_application_is_not_found() {
    on_every_engine(async |console| {
        let issued = create(&console).await;
        let mut conn = console.store.read().await.unwrap();
        let other = domain::id::OrganizationId(uuid::Uuid::from_u128(5));
        let id = issued.application.id;
        assert_eq!(applications::find(&mut conn, other, id).await.unwrap(), None);
        let theirs = AuditScope::Application(other, id);
        assert!(audit::events(&mut conn, theirs, AuditFilter::default(), i64::MAX, 9).await.unwrap().is_empty());
        assert!(applications::find(&mut conn, console.alpine, id).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_change_whose_audit_event_cannot_be_written_does_not_happen() {
    on_every_engine(async |console| {
        let actor = console.owner_actor().await;
        let issued = create(&console).await;
        let id = issued.application.id;
        let asked = Asked { actor: &actor, organization: actor.organization_id, application: id };
        let before = console.application(&id.to_string()).await;
        let mut transaction = console.store.write().await.unwrap();
        sqlx::query("ALTER TABLE audit_events RENAME TO audit_events_away").execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();

        let key = before.api_keys[0].id;
        let revoked = console.backend.change(asked, REVOKE, Said::default(), |a, by| a.revoke_api_key(key, by)).await;
        assert!(matches!(revoked, Err(BackendError::Store(StoreError::Database(_)))), "{revoked:?}");
        let replaced = console.backend.replace_api_key(asked, Said::default(), Replacement::StopNow).await;
        assert!(matches!(replaced, Err(BackendError::Store(_))));
        let created = console.backend.create_application(&actor, new("Other", PEM_B, "t2")).await;
        assert!(matches!(created, Err(BackendError::Store(_))));
        assert_eq!(console.application(&id.to_string()).await, before);
        assert_eq!(console.backend.applications(&actor, actor.organization_id).await.unwrap().len(), 1);

        // The control: once the table is back, the same change succeeds and gets the number that was not used.
        let mut transaction = console.store.write().await.unwrap();
        sqlx::query("ALTER TABLE audit_events_away RENAME TO audit_events").execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        console.backend.change(asked, REVOKE, Said::default(), |a, by| a.revoke_api_key(key, by)).await.unwrap();
        let events = console.events_of(id).await;
        assert_eq!(events[0].event.action, AuditAction::ApiKeyRevoked);
        assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [3, 2, 1]);
    })
    .await;
}

#[tokio::test]
async fn of_two_changes_to_one_version_the_second_is_refused() {
    on_every_engine(async |console| {
        let actor = console.owner_actor().await;
        let issued = create(&console).await;
        let id = issued.application.id;
        let asked = Asked { actor: &actor, organization: actor.organization_id, application: id };
        let grace = Replacement::WithGrace(Duration::from_secs(3600));
        let rotate = || console.backend.replace_api_key(asked, seen(1), grace);
        let (first, second) = tokio::join!(rotate(), rotate());
        let outcomes = [first.map(drop), second.map(drop)];
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(BackendError::StaleByYou(_)))), "{outcomes:?}");
        assert_eq!(console.application(&id.to_string()).await.api_keys.len(), 2);

        // Two nodes that read the same version: the row's version makes the second write fail.
        let application = console.application(&id.to_string()).await;
        let by = domain::application::By { actor: &actor, at: console.clock.now(), reason: None };
        let change = application.rename(ApplicationName::new("Renamed").unwrap(), by).unwrap();
        let mut transaction = console.store.write().await.unwrap();
        applications::save(&mut transaction, &change).await.unwrap();
        assert!(matches!(applications::save(&mut transaction, &change).await, Err(StoreError::Conflict)));
    })
    .await;
}

#[tokio::test]
async fn a_name_and_a_form_count_once_in_an_organization() {
    on_every_engine(async |console| {
        let actor = console.owner_actor().await;
        let issued = create(&console).await;
        let same_name = console.backend.create_application(&actor, new("LEDGER", PEM_B, "t2")).await;
        assert!(matches!(same_name, Err(BackendError::NameTaken)), "{same_name:?}");
        let same_form = console.backend.create_application(&actor, new("Other", PEM_B, "t1")).await;
        assert!(matches!(same_form, Err(BackendError::AlreadyCreated(id)) if id == issued.application.id));
        let twin = console.backend.create_application(&actor, new("Other", PEM_A, "t3")).await.unwrap();
        assert!(twin.1, "the same public key in one organization is told");
    })
    .await;
}

#[tokio::test]
async fn of_two_organizations_that_register_one_key_at_once_one_has_it() {
    on_every_engine(async |console| {
        let alpine = console.owner_actor().await;
        let borealis = console.actor("owner@borealis.example").await;
        let replaces = async |actor: &Actor, pem: &str| {
            let created = console.backend.create_application(actor, new("Ledger", pem, "t1")).await.unwrap().0;
            let organization = actor.organization_id;
            let asked = Asked { actor, organization, application: created.application.id };
            let (key, how) = (PublicKey::from_pem(PEM_C).unwrap(), SigningKeyReplacement::StopNow);
            console.backend.replace_signing_key(asked, Said::default(), key, None, how).await
        };
        let (one, other) = tokio::join!(replaces(&alpine, PEM_A), replaces(&borealis, PEM_B));
        let (won, lost) = if one.is_ok() { (one, other) } else { (other, one) };
        won.unwrap();
        assert!(matches!(lost, Err(BackendError::KeyOfAnotherOrganization)), "{lost:?}");
    })
    .await;
}

#[tokio::test]
async fn usage_adds_up_and_never_goes_back() {
    on_every_engine(async |console| {
        let issued = create(&console).await;
        let seen = |at: i64, requests, address: &str| KeyUsage {
            first_used_at: Timestamp::from_millis(at),
            last_used_at: Timestamp::from_millis(at),
            address: address.into(),
            user_agent: "curl/8".into(),
            requests,
        };
        let mut transaction = console.store.write().await.unwrap();
        for usage in [seen(1000, 3, "10.0.0.1"), seen(5000, 1, "10.0.0.2"), seen(2000, 2, "10.0.0.3")] {
            usage::add_api_key(&mut transaction, issued.id, &usage).await.unwrap();
            let signing_key = issued.application.signing_keys[0].id;
            usage::add_signing_key(&mut transaction, signing_key, &usage).await.unwrap();
        }
        transaction.commit().await.unwrap();
        let mut conn = console.store.read().await.unwrap();
        let expected = KeyUsage {
            first_used_at: Timestamp::from_millis(1000),
            last_used_at: Timestamp::from_millis(5000),
            address: "10.0.0.2".into(),
            user_agent: "curl/8".into(),
            requests: 6,
        };
        let id = issued.application.id;
        assert_eq!(usage::of_api_keys(&mut conn, id).await.unwrap()[&issued.id], expected);
        assert_eq!(usage::of_signing_keys(&mut conn, id).await.unwrap().into_values().next().as_ref(), Some(&expected));
        let owner = console.owner_actor().await;
        let listed = console.backend.applications(&owner, console.alpine).await.unwrap();
        assert_eq!(listed[0].last_used_at(), Some(Timestamp::from_millis(5000)));
        assert_eq!((&listed[0].api_keys[&issued.id], listed[0].signing_keys.len()), (&expected, 1));
    })
    .await;
}

#[tokio::test]
async fn the_history_is_read_page_by_page_without_a_gap() {
    on_every_engine(async |console| {
        let actor = console.owner_actor().await;
        let issued = create(&console).await;
        let id = issued.application.id;
        let asked = Asked { actor: &actor, organization: actor.organization_id, application: id };
        for number in 0..25 {
            let name = ApplicationName::new(&format!("Name {number}")).unwrap();
            console.backend.change(asked, RENAME, Said::default(), |a, by| a.rename(name, by)).await.unwrap();
        }
        let mut sequences = Vec::new();
        let mut before = None;
        let scope = AuditScope::Organization(actor.organization_id);
        loop {
            let all = AuditFilter::default();
            let page = console.backend.audit_events(&actor, scope, all, before, 10).await.unwrap();
            sequences.extend(page.iter().map(|event| event.sequence));
            before = page.last().map(|event| event.sequence);
            if page.len() < 10 {
                break;
            }
        }
        assert_eq!(sequences, (1..=27).rev().collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_history_is_filtered_by_what_who_and_when() {
    on_every_engine(async |console| {
        let issued = create(&console).await;
        let (owner, admin) = (console.owner_actor().await, console.admin_actor().await);
        let asked = Asked { actor: &admin, organization: console.alpine, application: issued.application.id };
        console.advance(Duration::from_secs(60));
        console.backend.disable(asked, Reason::new("drill").ok().map(Why::from)).await.unwrap();
        let at = console.clock.now();
        let count = async |actor: &Actor, scope, filter| {
            console.backend.audit_events(actor, scope, filter, None, 100).await.map(|events| events.len())
        };
        let all = AuditFilter::default();
        let disabled = AuditFilter { action: Some(AuditAction::ApplicationDisabled), ..all };
        let of_owner = AuditFilter { actor: Some(owner.user_id), ..all };
        let by_nuvera = AuditFilter { kind: Some(ActorKind::Nuvera), ..all };
        let (before, since) = (AuditFilter { until: Some(at), ..all }, AuditFilter { from: Some(at), ..all });
        let mine = AuditScope::Organization(console.alpine);
        for (filter, expected) in [(all, 3), (disabled, 1), (of_owner, 2), (by_nuvera, 1), (before, 2), (since, 1)] {
            assert_eq!(count(&owner, mine, filter).await.unwrap(), expected, "{filter:?}");
            assert_eq!(count(&admin, AuditScope::Everyone, filter).await.unwrap(), expected, "{filter:?}");
        }
        let others = AuditScope::Organization(console.borealis);
        assert_eq!(count(&admin, others, all).await.unwrap(), 0);
        assert!(matches!(count(&owner, others, all).await, Err(BackendError::NotFound)));
        assert!(matches!(count(&owner, AuditScope::Everyone, all).await, Err(BackendError::Forbidden)));
        let actors = console.backend.audit_actors(&owner, mine).await.unwrap();
        assert_eq!(actors.into_iter().map(|(_, name)| name).collect::<Vec<_>>(), ["Ada Admin", "Olivia Okafor"]);
    })
    .await;
}

#[tokio::test]
async fn a_prepared_replacement_is_read_back_claimed_and_gone() {
    on_every_engine(async |console| {
        let issued = create(&console).await;
        let (owner, admin) = (console.owner_actor().await, console.admin_actor().await);
        let id = issued.application.id;
        let by_admin = Asked { actor: &admin, organization: console.alpine, application: id };
        let ticket = TicketReference::new("SUP-4711").ok();
        let why = Reason::new("lost").map(|reason| Why { reason, ticket });
        let said = Said { seen_version: Some(1), reason: why.ok() };
        for (version, replacement) in [(1, Replacement::WithGrace(Duration::from_secs(60))), (3, Replacement::StopNow)]
        {
            let said = Said { seen_version: Some(version), ..said.clone() };
            let prepare = console
                .backend
                .change(by_admin, Operation::PrepareReplacement, said, |a, by| a.prepare_replacement(replacement, by));
            let prepared = prepare.await.unwrap();
            assert!(prepared.prepared_replacement.is_some());
            assert_eq!(console.application(&id.to_string()).await, prepared);
            let by_owner = Asked { actor: &owner, ..by_admin };
            let claimed = console.backend.claim_replacement(by_owner, Said::default()).await.unwrap();
            assert_eq!(claimed.application.prepared_replacement, None);
            assert_eq!(console.application(&id.to_string()).await, claimed.application);
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_are_kept_by_the_hash_of_their_id_and_end() {
    on_every_engine(async |console| {
        let minute = Duration::from_secs(60);
        let sessions = DatabaseSessions::new(console.store.clone(), console.clock.clone(), minute);
        // The expiry that tower-sessions sets is ignored.
        let expiry = time::OffsetDateTime::UNIX_EPOCH;
        let id = Id(123_456_789);
        let mut record = Record { id, data: [("k".to_owned(), 7.into())].into(), expiry_date: expiry };
        sessions.create(&mut record).await.unwrap();
        assert_eq!(sessions.load(&id).await.unwrap().unwrap().data, record.data);
        let mut conn = console.store.read().await.unwrap();
        let stored = sqlx::query("SELECT id_hash FROM sessions").fetch_one(&mut *conn).await.unwrap();
        let stored: String = sqlx::Row::get(&stored, "id_hash");
        assert!(!stored.contains(&id.to_string()) && stored.len() == 43);
        drop(conn);
        // A request loads a session before it is ended and saves it afterwards.
        record.data.insert("k".to_owned(), 8.into());
        sessions.save(&record).await.unwrap();
        assert_eq!(sessions.load(&id).await.unwrap().unwrap().data, record.data);
        let other = Record { id: Id(1), ..record.clone() };
        sessions.create(&mut other.clone()).await.unwrap();
        sessions.delete(&Id(1)).await.unwrap();
        sessions.save(&other).await.unwrap();
        assert!(sessions.load(&Id(1)).await.unwrap().is_none(), "it stays ended");
        console.advance(minute);
        assert!(sessions.load(&id).await.unwrap().is_none());
        sessions.purge().await.unwrap();
        let mut conn = console.store.read().await.unwrap();
        assert!(sqlx::query("SELECT 1 AS one FROM sessions").fetch_optional(&mut *conn).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn failed_sign_ins_count_within_their_window_only() {
    on_every_engine(async |console| {
        let at = Timestamp::from_millis;
        let mut transaction = console.store.write().await.unwrap();
        for (now, failures) in [(100, 1), (200, 2), (300, 3)] {
            let counted = sign_in_failures::add(&mut transaction, "s", at(0), at(now)).await.unwrap();
            assert_eq!(counted, (failures, at(100)));
        }
        sign_in_failures::take_back(&mut transaction, "s").await.unwrap();
        assert_eq!(sign_in_failures::add(&mut transaction, "s", at(0), at(350)).await.unwrap(), (3, at(100)));
        assert_eq!(sign_in_failures::add(&mut transaction, "s", at(100), at(400)).await.unwrap(), (1, at(400)));
        sign_in_failures::clear(&mut transaction, "s").await.unwrap();
        sign_in_failures::take_back(&mut transaction, "s").await.unwrap();
        assert_eq!(sign_in_failures::add(&mut transaction, "s", at(0), at(500)).await.unwrap(), (1, at(500)));
    })
    .await;
}

#[tokio::test]
async fn a_database_with_another_pepper_is_refused_at_start() {
    on_every_engine(async |console| {
        let mut transaction = console.store.write().await.unwrap();
        settings::set(&mut transaction, settings::PEPPER_CHECK, "another").await.unwrap();
        transaction.commit().await.unwrap();
        let refused = console.backend.start().await;
        assert!(matches!(refused, Err(BackendError::WrongPepper)), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn one_address_has_one_account() {
    on_every_engine(async |console| {
        let person = server::backend::accounts::NewPerson {
            organization_id: console.alpine,
            email: "OWNER@alpine.example",
            name: "Second",
            role: domain::access::Role::PartnerOwner,
            password: PASSWORD,
        };
        assert!(matches!(console.backend.add_person(person).await, Err(BackendError::Store(StoreError::Taken))));
    })
    .await;
}

fn strict() -> RotationRules {
    RotationRules { api_key_age: Rule::ApiKeyAge.days(90).ok(), signing_key_age: None, idle: Rule::Idle.days(35).ok() }
}

#[tokio::test]
async fn a_policy_is_the_default_one_until_it_is_changed_and_its_organizations_alone() {
    on_every_engine(async |console| {
        let owner = console.owner_actor().await;
        let policy = || console.backend.rotation_policy(&owner, console.alpine);
        assert_eq!(policy().await.unwrap(), RotationPolicy::default());
        console.backend.change_rotation_policy(&owner, console.alpine, 0, strict()).await.unwrap();
        assert_eq!(policy().await.unwrap(), RotationPolicy { rules: strict(), version: 1 });
        let loose = RotationRules { api_key_age: None, signing_key_age: None, idle: None };
        console.backend.change_rotation_policy(&owner, console.alpine, 1, loose).await.unwrap();
        assert_eq!(policy().await.unwrap(), RotationPolicy { rules: loose, version: 2 });
        let mut conn = console.store.read().await.unwrap();
        assert_eq!(policies::find(&mut conn, console.borealis).await.unwrap(), RotationPolicy::default());
        let security = SecurityRules { second_factor_required: true, nuvera_changes_need_confirmation: false };
        console.backend.change_security_policy(&owner, console.alpine, 0, security).await.unwrap();
        let read = console.backend.security_policy(&owner, console.alpine).await.unwrap();
        assert_eq!(read, SecurityPolicy { rules: security, version: 1 });
        assert_eq!(policies::find(&mut conn, console.borealis).await.unwrap(), SecurityPolicy::default());
        assert_eq!(policy().await.unwrap().version, 2, "each has versions of its own");
        let theirs = console.backend.rotation_policy(&owner, console.borealis).await;
        assert!(matches!(theirs, Err(BackendError::NotFound)), "{theirs:?}");
        let change = console.backend.change_rotation_policy(&owner, console.borealis, 0, strict()).await;
        assert!(matches!(change, Err(BackendError::NotFound)), "{change:?}");
    })
    .await;
}

#[tokio::test]
async fn of_two_changes_to_one_policy_the_second_is_refused() {
    on_every_engine(async |console| {
        let owner = console.owner_actor().await;
        let change = || console.backend.change_rotation_policy(&owner, console.alpine, 0, strict());
        let (first, second) = tokio::join!(change(), change());
        let outcomes = [first, second];
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        assert!(outcomes.iter().any(|o| matches!(o, Err(BackendError::StalePolicy(_, Some(_))))), "{outcomes:?}");

        // Two nodes that read the same version: the row's version makes the second write fail, also for the first
        // change.
        for seen in [RotationPolicy::default(), RotationPolicy { rules: RotationRules::default(), version: 1 }] {
            let by = domain::application::By { actor: &owner, at: console.clock.now(), reason: None };
            let change = seen.change(strict(), by).unwrap();
            let mut transaction = console.store.write().await.unwrap();
            let saved = policies::save(&mut transaction, &change).await;
            match seen.version {
                0 => assert!(matches!(saved, Err(StoreError::Conflict)), "{saved:?}"),
                _ => saved.unwrap(),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_policy_whose_change_cannot_be_recorded_does_not_change() {
    on_every_engine(async |console| {
        let owner = console.owner_actor().await;
        let rename = async |sql: &'static str| {
            let mut transaction = console.store.write().await.unwrap();
            sqlx::query(sql).execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
        };
        let change = || console.backend.change_rotation_policy(&owner, console.alpine, 0, strict());
        rename("ALTER TABLE audit_events RENAME TO audit_events_away").await;
        assert!(matches!(change().await, Err(BackendError::Store(_))));
        let policy = console.backend.rotation_policy(&owner, console.alpine).await.unwrap();
        assert_eq!(policy, RotationPolicy::default());
        rename("ALTER TABLE audit_events_away RENAME TO audit_events").await;
        change().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn events_from_before_organizations_had_their_own_are_kept() {
    const BEFORE: i64 = 20261123190101;
    for database in Database::all().await {
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&database.url).await.unwrap();
        let mut migrator = server::store::migrations::migrator();
        migrator.migrations.to_mut().retain(|migration| migration.version < BEFORE);
        migrator.run(&pool).await.unwrap();
        for sql in [
            "INSERT INTO organizations VALUES ('01900000-0000-7000-8000-000000000001', 'partner', 'Alpine', 1)",
            "INSERT INTO applications (id, organization_id, name, name_key, permissions, created_at, created_by,
                 creation_token, version)
             VALUES ('01900000-0000-7000-8000-000000000002', '01900000-0000-7000-8000-000000000001', 'Ledger',
                 'ledger', '', 1, 'Olivia', 't', 1)",
            "INSERT INTO audit_events VALUES (7, 1, '01900000-0000-7000-8000-000000000001',
                 '01900000-0000-7000-8000-000000000002', '01900000-0000-7000-8000-000000000003', 'Olivia', 'partner',
                 '203.0.113.7', 'application.renamed', 'Ledger', 'Books', 'Ledger', 'why')",
        ] {
            sqlx::query(sql).execute(&pool).await.unwrap();
        }
        pool.close().await;

        let store = Store::open(&database.url).await.unwrap();
        let mut conn = store.read().await.unwrap();
        let all = AuditFilter::default();
        let events = audit::events(&mut conn, AuditScope::Everyone, all, i64::MAX, 9).await.unwrap();
        assert_eq!(events.len(), 1, "{}", database.engine);
        let (sequence, event) = (events[0].sequence, &events[0].event);
        assert_eq!((sequence, event.before.as_deref(), event.after.as_deref()), (7, Some("Books"), Some("Ledger")));
        assert_eq!(event.application_id.unwrap().to_string(), "01900000-0000-7000-8000-000000000002");
        assert_eq!(event.reason.as_ref().unwrap().as_str(), "why");
        drop(conn);
        store.close().await;
    }
}

#[tokio::test]
async fn a_proposed_change_and_its_ticket_are_read_back_as_they_were_written() {
    on_every_engine(async |console| {
        let id = create(&console).await.application.id;
        let admin = console.admin_actor().await;
        let asked = Asked { actor: &admin, organization: console.alpine, application: id };
        let why = Why { reason: Reason::new("\"why\"").unwrap(), ticket: TicketReference::new("SUP-#1/2").ok() };
        let said = || Said { seen_version: None, reason: Some(why.clone()) };
        let current = console.application(&id.to_string()).await.current_signing_key().id;
        let key = |is_proven| NewSigningKey {
            id: SigningKeyId(uuid::Uuid::from_u128(77)),
            public_key: PublicKey::from_pem(PEM_B).unwrap(),
            is_proven,
        };
        let overlap = SigningKeyReplacement::WithOverlap(Duration::from_secs(90));
        let replaced =
            console.backend.replace_signing_key(asked, said(), PublicKey::from_pem(PEM_C).unwrap(), None, overlap);
        assert_eq!(replaced.await.unwrap().0, Outcome::Made, "the policy asks for nothing");
        for change in [
            RequestedChange::Permissions("CUSTOMERS_READ CUSTOMERS_WRITE".parse().unwrap()),
            RequestedChange::Permissions(PermissionSet::default()),
            RequestedChange::ReplaceSigningKey { key: key(true), replacement: SigningKeyReplacement::StopNow },
            RequestedChange::ReplaceSigningKey { key: key(false), replacement: overlap },
            RequestedChange::RestoreSigningKey { id: current, replacement: overlap },
            RequestedChange::RetireSigningKey { id: current },
        ] {
            let operation = change.operation();
            let propose = |application: ApiApplication, by: By<'_>| application.propose(change, by);
            let written = console.backend.change(asked, operation, said(), propose).await.unwrap();
            assert!(written.proposed_change.is_some());
            assert_eq!(console.application(&id.to_string()).await, written);
            let withdraw = ApiApplication::withdraw_proposal;
            let without =
                console.backend.change(asked, Operation::WithdrawProposedChange, said(), withdraw).await.unwrap();
            assert_eq!(console.application(&id.to_string()).await, without);
            assert_eq!(without.proposed_change, None);
        }
        let disabled = console.backend.disable(asked, Some(why.clone())).await;
        assert!(!disabled.unwrap());
        let prepare =
            |application: ApiApplication, by: By<'_>| application.prepare_replacement(Replacement::StopNow, by);
        let prepared = console.backend.change(asked, Operation::PrepareReplacement, said(), prepare).await.unwrap();
        let read = console.application(&id.to_string()).await;
        assert_eq!(read, prepared);
        assert_eq!((&read.disabled.unwrap().reason, &read.prepared_replacement.unwrap().reason), (&why, &why));
        assert!(console.events_of(id).await[..2].iter().all(|recorded| recorded.event.reason.as_ref() == Some(&why)));
    })
    .await;
}

#[tokio::test]
async fn a_proposal_is_confirmed_and_expires_on_every_engine() {
    on_every_engine(async |console| {
        let id = create(&console).await.application.id;
        let (admin, owner) = (console.admin_actor().await, console.owner_actor().await);
        let security = SecurityRules { second_factor_required: false, nuvera_changes_need_confirmation: true };
        console.backend.change_security_policy(&owner, console.alpine, 0, security).await.unwrap();
        let asked = Asked { actor: &admin, organization: console.alpine, application: id };
        let why = Why { reason: Reason::new("why").unwrap(), ticket: TicketReference::new("SUP-1").ok() };
        let propose = || {
            let change = RequestedChange::RetireSigningKey { id: SigningKeyId(uuid::Uuid::from_u128(1)) };
            let permissions = RequestedChange::Permissions("CUSTOMERS_READ".parse().unwrap());
            let said = || Said { seen_version: None, reason: Some(why.clone()) };
            let (console, asked) = (&console, asked);
            async move {
                let unknown = console.backend.request_change(asked, said(), change).await;
                assert!(matches!(unknown, Err(BackendError::Refused(_))), "{unknown:?}");
                console.backend.request_change(asked, said(), permissions).await.unwrap().0
            }
        };
        assert_eq!(propose().await, Outcome::Proposed);
        console.advance(Duration::from_secs(72 * 3600));
        console.backend.expire_proposals().await.unwrap();
        assert_eq!(console.application(&id.to_string()).await.proposed_change, None);
        assert_eq!(propose().await, Outcome::Proposed);
        let confirm = || console.backend.confirm_proposal(Asked { actor: &owner, ..asked }, Said::default());
        let (first, second) = tokio::join!(confirm(), confirm());
        assert_eq!([&first, &second].iter().filter(|outcome| outcome.is_ok()).count(), 1, "{first:?} {second:?}");
        assert_eq!(console.application(&id.to_string()).await.permissions, "CUSTOMERS_READ".parse().unwrap());

        // A confirmed change is attributed to the partner; a stop is Nuvera's action, and the partner is notified.
        let scope = AuditScope::Organization(console.alpine);
        assert!(console.backend.unseen_support(&owner, scope).await.unwrap().is_empty());
        console.backend.disable(asked, Some(why.clone())).await.unwrap();
        let unseen = console.backend.unseen_support(&owner, scope).await.unwrap();
        assert_eq!(unseen.len(), 1);
        let see = |sequence| console.backend.acknowledge_support(&owner, console.alpine, Some(id), sequence);
        see(unseen[0].sequence - 1).await.unwrap();
        assert_eq!(console.backend.unseen_support(&owner, scope).await.unwrap().len(), 1, "not as far as that");
        for _ in 0..2 {
            see(unseen[0].sequence).await.unwrap();
            assert!(console.backend.unseen_support(&owner, scope).await.unwrap().is_empty());
        }
        let seen = console.backend.seen_support(&owner, console.alpine, id).await.unwrap().unwrap();
        assert_eq!((seen.sequence, &*seen.by), (unseen[0].sequence, "Olivia Okafor"));
        let events = console.events(&id.to_string()).await;
        assert_eq!(events.iter().filter(|code| *code == "support.seen").count(), 1);
        let folder = tempfile::tempdir().unwrap();
        let from = "Nuvera <no-reply@nuvera.example>".parse().unwrap();
        let mailer = server::mail::Mailer::folder(folder.path(), from).unwrap();
        assert_eq!(console.backend.tell_owners(&mailer, "http://console").await.unwrap(), 1);
        assert_eq!(console.backend.tell_owners(&mailer, "http://console").await.unwrap(), 0);
    })
    .await;
}

/// `create-admin` and `recover` write to a database that a server has open.
#[tokio::test]
async fn two_programs_that_write_take_turns() {
    on_every_engine(async |console| {
        let mut first = console.store.write().await.unwrap();
        assert_eq!(settings::get(&mut first, "first").await.unwrap(), None);
        let is_sqlite = console.database_url().starts_with("sqlite:");
        if is_sqlite {
            // If another program wrote between a change's read and its write, SQLite would reject that write.
            let mut impatient = AnyConnection::connect(console.database_url()).await.unwrap();
            impatient.execute("PRAGMA busy_timeout = 0").await.unwrap();
            let refused = settings::set(&mut impatient, "impatient", "there").await.unwrap_err();
            assert!(refused.to_string().contains("locked"), "{refused}");
        }
        let second = async {
            let other_program = Store::open(console.database_url()).await.unwrap();
            let mut second = other_program.write().await.unwrap();
            settings::set(&mut second, "second", "there").await.unwrap();
            second.commit().await.unwrap();
        };
        let first = async {
            settings::set(&mut first, "first", "there").await.unwrap();
            first.commit().await.unwrap();
        };
        tokio::join!(second, first);
        let mut conn = console.store.read().await.unwrap();
        for name in ["first", "second"] {
            assert_eq!(settings::get(&mut conn, name).await.unwrap().as_deref(), Some("there"));
        }
    })
    .await;
}
