use super::*;
use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use domain::{
    access::Role,
    actor::Actor,
    api_key::{KeyPrefix, NewApiKey},
    application::{By, NewApplication, NewSigningKey, SigningKeyReplacement},
    id::{ApiKeyId, SigningKeyId, UserId},
    public_key::PublicKey,
    second_factor::Factors,
    text::{ApplicationName, Reason, Why},
};
use std::sync::{LazyLock, OnceLock, atomic::AtomicBool, atomic::Ordering};
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn public_keys() -> &'static [PublicKey; 2] {
    static KEYS: OnceLock<[PublicKey; 2]> = OnceLock::new();
    KEYS.get_or_init(|| {
        std::array::from_fn(|_| {
            let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
            PublicKey::from_der(pair.public_key().as_der().unwrap().as_ref()).unwrap()
        })
    })
}

fn actor() -> Actor {
    Actor {
        user_id: UserId(Uuid::nil()),
        name: "Olivia".to_owned(),
        email: String::new(),
        organization_id: OrganizationId(Uuid::nil()),
        organization_name: "Acme".to_owned(),
        role: Role::PartnerOwner,
        address: None,
        session: None,
        is_proven: true,
        factors: Factors::default(),
        must_have_factor: false,
    }
}

fn by(actor: &Actor) -> By<'_> {
    static REASON: LazyLock<Why> = LazyLock::new(|| Reason::new("for the test").unwrap().into());
    By { actor, at: NOW, reason: Some(&REASON) }
}

fn hash(number: u8) -> ApiKeyHash {
    ApiKeyHash([number; 32])
}

fn application(number: u8) -> ApiApplication {
    let id = Uuid::from_u128(number.into());
    let new = NewApplication {
        id: ApplicationId(id),
        name: ApplicationName::new("Ledger").unwrap(),
        permissions: PermissionSet::default(),
        signing_key: NewSigningKey { id: SigningKeyId(id), public_key: public_keys()[0].clone(), is_proven: false },
        api_key: NewApiKey {
            id: ApiKeyId(id),
            prefix: KeyPrefix::from_stored("nvk_00000000".to_owned()),
            last_four: "0000".to_owned(),
            hash: hash(number),
            pepper_id: "p".to_owned(),
        },
    };
    ApiApplication::create(new, by(&actor())).application
}

fn snapshot() -> Snapshot {
    Snapshot::new(Clock::manual(NOW))
}

#[test]
fn loading_replaces_everything_and_applying_one_application() {
    let snapshot = snapshot();
    snapshot.load(vec![application(1), application(2)]);
    assert!(snapshot.find(&hash(1)).is_some() && snapshot.find(&hash(2)).is_some());
    let disabled = application(1).disable(by(&actor())).unwrap().application;
    snapshot.apply(&disabled);
    assert!(!snapshot.find(&hash(1)).unwrap().application.enabled);
    assert!(snapshot.find(&hash(2)).unwrap().application.enabled);
    snapshot.load(vec![application(2)]);
    assert!(snapshot.find(&hash(1)).is_none());
}

#[test]
fn a_revoked_key_is_remembered_and_a_removed_one_is_not() {
    let snapshot = snapshot();
    let application = application(1);
    snapshot.apply(&application);
    let id = application.api_keys[0].id;
    let mut revoked = application.revoke_api_key(id, by(&actor())).unwrap().application;
    snapshot.apply(&revoked);
    assert_eq!(snapshot.find(&hash(1)).unwrap().key.status(NOW), ApiKeyStatus::Revoked { at: NOW });
    revoked.api_keys.clear();
    snapshot.apply(&revoked);
    assert!(snapshot.find(&hash(1)).is_none());
}

#[test]
fn a_key_that_is_long_dead_is_forgotten() {
    let clock = Clock::manual(NOW);
    let snapshot = Snapshot::new(clock.clone());
    let application = application(1);
    let id = application.api_keys[0].id;
    let revoked = application.revoke_api_key(id, by(&actor())).unwrap().application;
    clock.advance(REMEMBER_DEAD_KEYS);
    snapshot.load(vec![revoked.clone()]);
    assert!(snapshot.find(&hash(1)).is_some());
    clock.advance(Duration::from_millis(1));
    snapshot.apply(&revoked);
    assert!(snapshot.find(&hash(1)).is_none());
}

#[test]
fn a_public_key_is_parsed_once_and_the_current_one_comes_first() {
    let snapshot = snapshot();
    let parsed = |snapshot: &Snapshot| {
        let known = snapshot.find(&hash(1)).unwrap();
        known.application.signing_keys.iter().map(|key| key.parsed.clone()).collect::<Vec<_>>()
    };
    let application = application(1);
    snapshot.apply(&application);
    let first = parsed(&snapshot);
    let new =
        NewSigningKey { id: SigningKeyId(Uuid::from_u128(99)), public_key: public_keys()[1].clone(), is_proven: false };
    let overlap = SigningKeyReplacement::WithOverlap(Duration::from_secs(60));
    let replaced = application.replace_signing_key(new, overlap, by(&actor())).unwrap().application;
    snapshot.apply(&replaced);
    let both = parsed(&snapshot);
    assert_eq!(both.len(), 2);
    assert!(Arc::ptr_eq(&both[1], &first[0]) && !Arc::ptr_eq(&both[0], &first[0]));
    snapshot.load(vec![replaced.clone()]);
    assert!(parsed(&snapshot).iter().zip(&both).all(|(now, before)| Arc::ptr_eq(now, before)));
    let retired = replaced.clone().retire_signing_key(replaced.signing_keys[1].id, by(&actor())).unwrap();
    snapshot.apply(&retired.application);
    // It is known still, to be named where somebody signs with it.
    assert!(parsed(&snapshot).iter().zip(&both).all(|(now, before)| Arc::ptr_eq(now, before)));
    // Restored, the older key is the current one again.
    let restored = replaced.clone().restore_signing_key(replaced.signing_keys[1].id, overlap, by(&actor())).unwrap();
    snapshot.apply(&restored.application);
    let known = snapshot.find(&hash(1)).unwrap();
    let states = known.application.signing_keys.iter().map(|key| key.key.state == SigningKeyState::Current);
    assert!(states.eq([true, false]));
}

#[test]
fn a_reader_never_sees_half_a_change() {
    let snapshot = Arc::new(snapshot());
    let plain = application(1);
    let permissions = "CUSTOMERS_READ".parse().unwrap();
    let changed = plain.clone().disable(by(&actor())).unwrap().application;
    let changed = changed.change_permissions(permissions, by(&actor())).unwrap().application;
    snapshot.load(vec![plain.clone(), application(2)]);
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (snapshot, stop) = (snapshot.clone(), stop.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let known = snapshot.find(&hash(1)).unwrap();
                    assert_eq!(known.application.enabled, known.application.permissions.is_empty());
                    assert!(snapshot.find(&hash(2)).is_some());
                }
            })
        })
        .collect();
    for _ in 0..2_000 {
        snapshot.apply(&changed);
        assert!(!snapshot.find(&hash(1)).unwrap().application.enabled);
        snapshot.apply(&plain);
        assert!(snapshot.find(&hash(1)).unwrap().application.enabled);
    }
    stop.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn changes_to_different_applications_at_the_same_time_are_all_kept() {
    let snapshot = Arc::new(snapshot());
    let threads: Vec<_> = (1..=8)
        .map(|number| {
            let (snapshot, application) = (snapshot.clone(), application(number));
            std::thread::spawn(move || (0..100).for_each(|_| snapshot.apply(&application)))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!((1..=8).all(|number| snapshot.find(&hash(number)).is_some()));
}
