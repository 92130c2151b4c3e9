//! The rules of rotation, under any sequence of changes.

use super::*;
use crate::{
    access::Role,
    fixtures::{START, actor, application, new_api_key, new_signing_key},
    text::{Reason, TicketReference},
};
use proptest::prelude::*;
use std::collections::HashMap;
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3600);
fn admin() -> Actor {
    let organization_id = OrganizationId(Uuid::from_u128(9));
    let user_id = UserId(Uuid::from_u128(8));
    Actor { user_id, organization_id, name: "Ada".into(), role: Role::NuveraAdmin, ..actor() }
}

fn reason() -> Why {
    Why { reason: Reason::new("because").unwrap(), ticket: TicketReference::new("SUP-4711").ok() }
}

#[test]
fn a_key_that_came_with_proof_is_proven_since_then_and_the_history_says_so() {
    let actor = actor();
    let later = By { actor: &actor, at: START.plus(HOUR), reason: None };
    for (is_proven, proven_at, words) in
        [(true, Some(later.at), "(possession proven)"), (false, None, "(possession not proven)")]
    {
        let new = NewSigningKey { is_proven, ..new_signing_key(1) };
        let change = application().replace_signing_key(new, SigningKeyReplacement::StopNow, later).unwrap();
        assert_eq!(change.application.current_signing_key().proven_at, proven_at);
        assert!(change.events[0].after.as_ref().unwrap().contains(words), "{:?}", change.events[0].after);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Replace(u64),
    ReplaceNow,
    MoveDeadline(usize, i64),
    Keep(usize),
    Revoke(usize),
    Disable,
    Enable,
    ReplaceSigning(usize, Option<u64>),
    RestoreSigning(usize, Option<u64>),
    RetireSigning(usize),
    Prepare(Option<u64>),
    Withdraw,
    Claim,
}

fn step() -> impl Strategy<Value = Step> {
    let hours = 0_u64..800;
    let overlap = prop::option::of(0_u64..800);
    prop_oneof![
        (0_u64..200).prop_map(Step::Wait),
        hours.clone().prop_map(Step::Replace),
        Just(Step::ReplaceNow),
        (0_usize..8, -5_i64..800).prop_map(|(key, hours)| Step::MoveDeadline(key, hours)),
        (0_usize..8).prop_map(Step::Keep),
        (0_usize..8).prop_map(Step::Revoke),
        Just(Step::Disable),
        Just(Step::Enable),
        (0_usize..5, overlap.clone()).prop_map(|(pem, overlap)| Step::ReplaceSigning(pem, overlap)),
        (0_usize..5, overlap).prop_map(|(key, overlap)| Step::RestoreSigning(key, overlap)),
        (0_usize..5).prop_map(Step::RetireSigning),
        prop::option::of(0_u64..800).prop_map(Step::Prepare),
        Just(Step::Withdraw),
        Just(Step::Claim),
    ]
}

fn overlap(hours: Option<u64>) -> SigningKeyReplacement {
    hours.map_or(SigningKeyReplacement::StopNow, |hours| SigningKeyReplacement::WithOverlap(HOUR * hours as u32))
}

fn take(application: ApiApplication, step: Step, by: By<'_>, serial: &mut u128) -> Result<Change, ChangeError> {
    let api_key = |index: usize| application.api_keys.get(index).map_or(ApiKeyId(Uuid::nil()), |key| key.id);
    let signing = |index: usize| application.signing_keys.get(index).map_or(SigningKeyId(Uuid::nil()), |key| key.id);
    let mut fresh = || {
        *serial += 1;
        new_api_key(*serial)
    };
    match step {
        Step::Wait(_) => unreachable!("waiting changes nothing"),
        Step::Replace(hours) => {
            let grace = Replacement::WithGrace(HOUR * hours as u32);
            let new = fresh();
            application.replace_api_key(new, grace, by)
        }
        Step::ReplaceNow => {
            let new = fresh();
            application.replace_api_key(new, Replacement::StopNow, by)
        }
        Step::MoveDeadline(key, hours) => {
            let (id, at) = (api_key(key), Timestamp::from_millis(by.at.as_millis() + hours * 3_600_000));
            application.move_deadline(id, at, by)
        }
        Step::Keep(key) => {
            let id = api_key(key);
            application.keep_api_key(id, by)
        }
        Step::Revoke(key) => {
            let id = api_key(key);
            application.revoke_api_key(id, by)
        }
        Step::Disable => application.disable(by),
        Step::Enable => application.enable(by),
        Step::ReplaceSigning(pem, hours) => application.replace_signing_key(new_signing_key(pem), overlap(hours), by),
        Step::RestoreSigning(key, hours) => {
            let id = signing(key);
            application.restore_signing_key(id, overlap(hours), by)
        }
        Step::RetireSigning(key) => {
            let id = signing(key);
            application.retire_signing_key(id, by)
        }
        Step::Prepare(hours) => {
            let replacement = hours.map_or(Replacement::StopNow, |hours| Replacement::WithGrace(HOUR * hours as u32));
            application.prepare_replacement(replacement, by)
        }
        Step::Withdraw => application.withdraw_replacement(by),
        Step::Claim => {
            let new = fresh();
            application.claim_replacement(new, by)
        }
    }
}

/// What users were last shown about a key: its deadline, if any, and when it was replaced.
#[derive(Clone, Copy, Default)]
struct Published {
    deadline: Option<Timestamp>,
    replaced_at: Option<Timestamp>,
    dead: bool,
}

#[test]
fn a_key_that_nobody_saw_is_replaced_and_the_others_go_on() {
    let actor = actor();
    let by = |hours: u32| By { actor: &actor, at: START.plus(HOUR * hours), reason: None };
    let grace = Replacement::WithGrace(24 * HOUR);
    let lost = application().replace_api_key(new_api_key(2), grace, by(1)).unwrap().application;
    let (unseen, old) = (lost.api_keys[0].id, lost.api_keys[1].clone());
    let change = lost.clone().replace_unseen_api_key(unseen, new_api_key(3), by(2)).unwrap();
    let statuses: Vec<_> = change.application.api_keys.iter().map(|key| key.status(by(2).at)).collect();
    let (deadline, now) = (by(25).at, by(2).at);
    use ApiKeyStatus::{Active, Expiring, Revoked};
    assert_eq!(statuses, [Active, Revoked { at: now }, Expiring { at: deadline }]);
    assert_eq!(change.application.api_keys[2], old, "its deadline is not moved");
    let actions: Vec<_> = change.events.iter().map(|event| event.action).collect();
    assert_eq!(actions, [AuditAction::ApiKeyCreated, AuditAction::ApiKeyRevoked]);

    let stored = lost.confirm_stored(unseen, by(2)).unwrap().application;
    let refused = stored.replace_unseen_api_key(unseen, new_api_key(3), by(3)).unwrap_err();
    assert_eq!(refused, ChangeError::AlreadyStored);
    let again = change.application.replace_unseen_api_key(unseen, new_api_key(4), by(3)).unwrap_err();
    assert!(matches!(again, ChangeError::ApiKey(ApiKeyError::NotLive(_))), "{again:?}");
}

#[test]
fn a_grace_window_until_an_exact_time_ends_then_and_is_bounded() {
    let actor = actor();
    let by = By { actor: &actor, at: START, reason: None };
    let at = Timestamp::from_millis(START.as_millis() + 1_234_567);
    let replacement = Replacement::until(at, START).unwrap();
    let change = application().replace_api_key(new_api_key(2), replacement, by).unwrap();
    assert_eq!(change.application.api_keys[1].status(START), ApiKeyStatus::Expiring { at });
    assert_eq!(Replacement::until(START, START), Err(ApiKeyError::DeadlinePassed { now: START }));
    let latest = START.plus(MAX_GRACE);
    assert!(Replacement::until(latest, START).is_ok());
    let late = Timestamp::from_millis(latest.as_millis() + 1);
    assert_eq!(Replacement::until(late, START), Err(ApiKeyError::DeadlineTooLate { latest }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_sequence_of_changes_breaks_a_rule(steps in prop::collection::vec(step(), 1..40)) {
        let (actor, reason) = (actor(), reason());
        let mut now = START;
        let mut serial = 1;
        let mut application = application();
        let mut published: HashMap<String, Published> = HashMap::new();
        for step in steps {
            if let Step::Wait(hours) = step {
                now = now.plus(HOUR * hours as u32);
                continue;
            }
            let before = application.clone();
            let Ok(Change { application: after, events }) =
                take(application.clone(), step, By { actor: &actor, at: now, reason: Some(&reason) }, &mut serial) else { continue };
            application = after;

            // Every change has an event, and every key whose state changed has an event that names it.
            prop_assert!(!events.is_empty());
            prop_assert_eq!(application.version, before.version + 1);
            for key in &application.api_keys {
                let old = before.api_keys.iter().find(|old| old.id == key.id);
                if old.map(|old| old.state) != Some(key.state) {
                    prop_assert!(events.iter().any(|event| event.target == key.prefix.as_str()), "{step:?}");
                }
            }
            for event in &events {
                let told = published.entry(event.target.clone()).or_default();
                let key = application.api_keys.iter().find(|key| key.prefix.as_str() == event.target);
                let Some(key) = key else { continue };
                match (event.action, key.state) {
                    (AuditAction::ApiKeyExpiring, crate::api_key::ApiKeyState::Expiring { at, .. }) => {
                        // A second rotation never affects a key that is already expiring.
                        prop_assert!(told.deadline.is_none());
                        *told = Published { deadline: Some(at), replaced_at: Some(now), dead: false };
                    }
                    (AuditAction::ApiKeyDeadlineMoved, crate::api_key::ApiKeyState::Expiring { at, .. }) => {
                        prop_assert!(told.deadline.is_some_and(|deadline| now < deadline));
                        told.deadline = Some(at);
                    }
                    (AuditAction::ApiKeyKept, _) => {
                        prop_assert!(told.deadline.is_some_and(|deadline| now < deadline));
                        *told = Published::default();
                    }
                    (AuditAction::ApiKeyRevoked, _) => told.dead = true,
                    (AuditAction::ApiKeyExposed, _) => prop_assert!(key.exposed.is_some()),
                    (AuditAction::ApiKeyCreated, _) => prop_assert!(key.status(now).is_live()),
                    (action, state) => prop_assert!(false, "{action:?} left {state:?}"),
                }
            }

            // No key outlives the deadline that was shown, nor 30 days after its rotation, nor its revocation.
            for key in &application.api_keys {
                let told = published.get(key.prefix.as_str()).copied().unwrap_or_default();
                for at in [now, now.plus(HOUR), now.plus(MAX_GRACE), now.plus(MAX_GRACE * 3)] {
                    let ended = told.dead
                        || told.deadline.is_some_and(|deadline| at >= deadline)
                        || told.replaced_at.is_some_and(|replaced| at > replaced.plus(MAX_GRACE));
                    prop_assert_eq!(key.status(at).is_live(), !ended, "{:?} after {:?}", key, step);
                }
            }
            // Once a key was reported as exposed, its lifetime can only be shortened, and the report stays.
            for old in before.api_keys.iter().filter(|old| old.exposed.is_some()) {
                let new = application.api_keys.iter().find(|key| key.id == old.id).unwrap();
                prop_assert_eq!(&new.exposed, &old.exposed);
                prop_assert!(end_of(new) <= end_of(old), "{:?} after {:?}", new, step);
            }
            prop_assert!(application.live_keys(now).count() <= MAX_LIVE_KEYS);

            // Exactly one signing key is current, and no more than the maximum verify.
            let current = application.signing_keys.iter().filter(|k| k.state == SigningKeyState::Current).count();
            prop_assert_eq!(current, 1);
            prop_assert!(application.signing_keys.iter().filter(|k| k.verifies(now)).count() <= MAX_VERIFYING_KEYS);
            for key in &application.signing_keys {
                if let SigningKeyState::Retiring { at } = key.state {
                    prop_assert!(at <= now.plus(MAX_GRACE));
                }
            }
        }
    }
}

/// Returns the instant at which a key stops working at the latest.
fn end_of(key: &ApiKey) -> Timestamp {
    match key.state {
        crate::api_key::ApiKeyState::Active => Timestamp::from_millis(i64::MAX),
        crate::api_key::ApiKeyState::Expiring { at, .. } | crate::api_key::ApiKeyState::Revoked { at } => at,
    }
}

#[test]
fn an_exposed_api_key_is_neither_kept_nor_given_more_time() {
    let (owner, admin, why) = (actor(), admin(), reason());
    let by = |actor, hours: u32| By { actor, at: START.plus(HOUR * hours), reason: Some(&why) };
    let grace = Replacement::WithGrace(24 * HOUR);
    let rotated = application().replace_api_key(new_api_key(2), grace, by(&owner, 0)).unwrap().application;
    let (active, old) = (rotated.api_keys[0].id, rotated.api_keys[1].id);

    // Nuvera learned of a leak and prepares a replacement: the keys work until the partner claims it.
    let reported = rotated.prepare_replacement(Replacement::StopNow, by(&admin, 1)).unwrap();
    let actions: Vec<_> = reported.events.iter().map(|event| event.action).collect();
    assert_eq!(actions, [AuditAction::ReplacementPrepared, AuditAction::ApiKeyExposed, AuditAction::ApiKeyExposed]);
    let reported = reported.application;
    let exposure = reported.api_keys[1].exposed.clone().unwrap();
    assert_eq!((exposure.at, &*exposure.by, exposure.why.as_ref()), (by(&admin, 1).at, "Ada", Some(&why)));

    let exposed = Err(ChangeError::ApiKey(ApiKeyError::Exposed));
    assert_eq!(reported.clone().keep_api_key(old, by(&owner, 2)), exposed);
    for hours in [24, 25] {
        let moved = reported.clone().move_deadline(old, START.plus(HOUR * hours), by(&owner, 2));
        assert_eq!(moved, exposed, "{hours} h: no new deadline, and none that is the same");
    }
    assert!(reported.clone().move_deadline(old, START.plus(HOUR * 23), by(&owner, 2)).is_ok(), "earlier is fine");
    let with_grace = reported.clone().replace_api_key(new_api_key(3), grace, by(&owner, 2));
    assert_eq!(with_grace, Err(ChangeError::ExposedKeyGrace));
    // Declining the prepared replacement does not help either.
    let declined = reported.clone().withdraw_replacement(by(&owner, 2)).unwrap().application;
    assert_eq!(declined.clone().keep_api_key(old, by(&owner, 2)), exposed);
    let prepared = declined.clone().prepare_replacement(grace, by(&admin, 2));
    assert_eq!(prepared, Err(ChangeError::ExposedKeyGrace));
    let with_grace = declined.clone().replace_api_key(new_api_key(3), grace, by(&owner, 2));
    assert_eq!(with_grace, Err(ChangeError::ExposedKeyGrace));

    // What remains possible: claiming the replacement, or revoking the key.
    let claimed = reported.claim_replacement(new_api_key(3), by(&owner, 2)).unwrap().application;
    assert_eq!(claimed.live_keys(by(&owner, 2).at).count(), 1);
    let revoked = declined.revoke_api_key(old, by(&owner, 2)).unwrap().application;
    let revoked = revoked.revoke_exposed_api_key(active, by(&owner, 3)).unwrap();
    let after = revoked.events[0].after.as_deref().unwrap();
    assert!(after.ends_with("; reported as exposed"), "{after}");
    assert_eq!(revoked.application.api_keys[0].exposed.as_ref().unwrap().by, "Ada", "the first report stays");
    assert!(revoked.application.replace_api_key(new_api_key(4), grace, by(&owner, 4)).is_ok());
}

#[test]
fn a_replacement_at_once_leaves_the_new_key_alone() {
    let (actor, mut application) = (actor(), application());
    for number in 2..=5 {
        let reason = reason();
        let by = By { actor: &actor, at: START, reason: Some(&reason) };
        application =
            application.replace_api_key(new_api_key(number), Replacement::WithGrace(HOUR), by).unwrap().application;
    }
    let reason = reason();
    let by = By { actor: &actor, at: START, reason: Some(&reason) };
    let refused = application.clone().replace_api_key(new_api_key(6), Replacement::WithGrace(HOUR), by);
    assert_eq!(refused, Err(ChangeError::TooManyLiveKeys));
    let change = application.replace_api_key(new_api_key(6), Replacement::StopNow, by).unwrap();
    let live: Vec<_> = change.application.live_keys(START).map(|key| key.id).collect();
    assert_eq!(live, [ApiKeyId(Uuid::from_u128(6))]);
    assert_eq!(change.events.iter().filter(|e| e.action == AuditAction::ApiKeyRevoked).count(), 5);
}

#[test]
fn enabling_again_brings_no_key_back() {
    let (actor, application) = (actor(), application());
    let reason = reason();
    let by = By { actor: &actor, at: START, reason: Some(&reason) };
    let id = application.api_keys[0].id;
    let disabled = application.disable(by).unwrap().application;
    let revoked = disabled.revoke_api_key(id, by).unwrap().application;
    let enabled = revoked.enable(by).unwrap().application;
    assert_eq!(enabled.live_keys(START).count(), 0);
}

#[test]
fn a_wrong_signing_key_is_rolled_back_in_one_step() {
    let (actor, application) = (actor(), application());
    let reason = reason();
    let by = By { actor: &actor, at: START, reason: Some(&reason) };
    let right = application.current_signing_key().id;
    let wrong = application.replace_signing_key(new_signing_key(1), overlap(None), by).unwrap().application;
    assert_ne!(wrong.current_signing_key().id, right);
    let change = wrong.restore_signing_key(right, overlap(None), by).unwrap();
    assert_eq!(change.application.current_signing_key().id, right);
    let verifying: Vec<_> =
        change.application.signing_keys.iter().filter(|k| k.verifies(START)).map(|k| k.id).collect();
    assert_eq!(verifying, [right]);
    assert_eq!(change.events[0].action, AuditAction::SigningKeyRestored);
}

#[test]
fn a_public_key_is_not_registered_twice_in_one_application() {
    let (actor, application) = (actor(), application());
    let reason = reason();
    let by = By { actor: &actor, at: START, reason: Some(&reason) };
    let again = application.clone().replace_signing_key(new_signing_key(0), overlap(None), by);
    assert_eq!(again, Err(ChangeError::SigningKeyIsCurrent));
    let replaced = application.replace_signing_key(new_signing_key(1), overlap(None), by).unwrap().application;
    let back = replaced.replace_signing_key(new_signing_key(0), overlap(None), by);
    assert_eq!(back, Err(ChangeError::SigningKeyInHistory));
}

#[test]
fn whoever_acts_for_nuvera_says_why() {
    let (admin, application) = (admin(), application());
    let silent = By { actor: &admin, at: START, reason: None };
    let permissions = PermissionSet::new(["CUSTOMERS_READ".parse().unwrap()]).unwrap();
    let key = application.api_keys[0].id;
    for refused in [
        application.clone().change_permissions(permissions, silent),
        application.clone().revoke_api_key(key, silent),
        application.clone().replace_signing_key(new_signing_key(1), overlap(None), silent),
        application.clone().prepare_replacement(Replacement::StopNow, silent),
    ] {
        assert_eq!(refused, Err(ChangeError::ReasonNeeded));
    }
    let without_ticket = Why::from(reason().reason);
    let unnumbered = By { reason: Some(&without_ticket), ..silent };
    for refused in [
        application.clone().change_permissions(permissions, unnumbered),
        application.clone().revoke_api_key(key, unnumbered),
        application.clone().replace_signing_key(new_signing_key(1), overlap(None), unnumbered),
        application.clone().prepare_replacement(Replacement::StopNow, unnumbered),
    ] {
        assert_eq!(refused, Err(ChangeError::TicketNeeded));
    }
    let stopped = application.clone().disable(unnumbered).unwrap().application;
    assert_eq!(stopped.enable(unnumbered), Err(ChangeError::TicketNeeded), "only a stop is not held up");
    let why = reason();
    let change = application.change_permissions(permissions, By { reason: Some(&why), ..silent }).unwrap();
    assert_eq!((change.events[0].actor.kind, &change.events[0].reason), (ActorKind::Nuvera, &Some(why)));
}

#[test]
fn a_prepared_replacement_is_claimed_once_within_its_time() {
    let (admin, partner, why) = (admin(), actor(), reason());
    let by_admin = By { actor: &admin, at: START, reason: Some(&why) };
    let grace = Replacement::WithGrace(HOUR);
    let prepared = application().prepare_replacement(grace, by_admin).unwrap().application;
    assert_eq!(prepared.api_keys, application().api_keys, "preparing makes no key and ends none");
    assert_eq!(prepared.clone().prepare_replacement(grace, by_admin), Err(ChangeError::AlreadyPrepared));

    let at = START.plus(CLAIM_WINDOW);
    let late = By { actor: &partner, at, reason: None };
    assert_eq!(prepared.clone().claim_replacement(new_api_key(2), late), Err(ChangeError::NothingPrepared));
    assert!(prepared.clone().prepare_replacement(grace, By { at, ..by_admin }).is_ok(), "once lapsed, anew");

    let at = Timestamp::from_millis(at.as_millis() - 1);
    let in_time = By { at, ..late };
    let claimed = prepared.clone().claim_replacement(new_api_key(2), in_time).unwrap();
    let actions: Vec<_> = claimed.events.iter().map(|event| event.action).collect();
    assert_eq!(actions, [AuditAction::ReplacementClaimed, AuditAction::ApiKeyCreated, AuditAction::ApiKeyExpiring]);
    let statuses: Vec<_> = claimed.application.api_keys.iter().map(|key| key.status(at)).collect();
    assert_eq!(statuses, [ApiKeyStatus::Active, ApiKeyStatus::Expiring { at: at.plus(HOUR) }]);
    let again = claimed.application.claim_replacement(new_api_key(3), in_time);
    assert_eq!(again, Err(ChangeError::NothingPrepared));

    let withdrawn = prepared.withdraw_replacement(in_time).unwrap().application;
    assert_eq!(withdrawn.claim_replacement(new_api_key(2), in_time), Err(ChangeError::NothingPrepared));
}

#[test]
fn a_proposal_changes_nothing_and_is_confirmed_once_in_time_by_somebody_else() {
    let (admin, partner, why) = (admin(), actor(), reason());
    let by_admin = By { actor: &admin, at: START, reason: Some(&why) };
    let permissions: PermissionSet = "CUSTOMERS_READ".parse().unwrap();
    let change = RequestedChange::Permissions(permissions);
    let proposed = application().propose(change.clone(), by_admin).unwrap().application;
    assert_eq!(proposed.permissions, application().permissions);
    assert_eq!(proposed.clone().propose(change.clone(), by_admin), Err(ChangeError::AlreadyProposed));
    assert_eq!(proposed.clone().confirm_proposal(by_admin), Err(ChangeError::ProposalIsNuveras));

    let end = START.plus(PROPOSAL_WINDOW);
    let by_partner = |at| By { actor: &partner, at, reason: None };
    let late = proposed.clone().confirm_proposal(by_partner(end));
    assert_eq!(late, Err(ChangeError::NothingProposed));
    let in_time = by_partner(end.minus(Duration::from_millis(1)));
    assert_eq!(proposed.clone().expire_proposal(in_time.at), Err(ChangeError::NothingProposed));
    let confirmed = proposed.clone().confirm_proposal(in_time).unwrap();
    assert_eq!(confirmed.application.permissions, permissions);
    let actions: Vec<_> = confirmed.events.iter().map(|event| event.action).collect();
    assert_eq!(actions, [AuditAction::ChangeConfirmed, AuditAction::PermissionsChanged]);
    assert!(
        confirmed.events.iter().all(|event| event.reason.as_ref() == Some(&why) && event.actor.name == partner.name)
    );
    assert_eq!(confirmed.application.confirm_proposal(in_time), Err(ChangeError::NothingProposed));

    // The admin who proposed it cannot confirm it with another role either.
    let turncoat = Actor { user_id: admin.user_id, ..actor() };
    let by_turncoat = By { actor: &turncoat, ..in_time };
    assert_eq!(proposed.clone().confirm_proposal(by_turncoat), Err(ChangeError::ProposalIsNuveras));

    // Any other change in between makes the proposal outdated.
    let renamed = proposed.clone().rename(ApplicationName::new("Books").unwrap(), in_time).unwrap().application;
    assert_eq!(renamed.clone().confirm_proposal(in_time), Err(ChangeError::ProposalOutdated));
    let again = renamed.propose(change, By { at: in_time.at, ..by_admin }).unwrap().application;
    assert!(again.confirm_proposal(in_time).is_ok());

    let declined = proposed.clone().withdraw_proposal(in_time).unwrap();
    assert_eq!(declined.events[0].action, AuditAction::ChangeDeclined);
    let withdrawn = proposed.clone().withdraw_proposal(by_admin).unwrap();
    assert_eq!(withdrawn.events[0].action, AuditAction::ChangeWithdrawn);
    let expired = proposed.expire_proposal(end).unwrap();
    assert_eq!((expired.events[0].action, &*expired.events[0].actor.name), (AuditAction::ChangeExpired, "Ada"));
    assert_eq!(expired.application.proposed_change, None);
}

#[test]
fn what_the_partner_disabled_nuvera_enables_only_by_a_proposal_that_the_partner_confirms() {
    let (admin, partner, why) = (admin(), actor(), reason());
    let by_admin = By { actor: &admin, at: START, reason: Some(&why) };
    let by_partner = By { actor: &partner, at: START, reason: Some(&why) };
    let stopped = application().disable(by_partner).unwrap().application;
    assert_eq!(stopped.clone().enable(by_admin), Err(ChangeError::DisabledByPartner));
    assert!(stopped.clone().enable(by_partner).is_ok());
    let proposed = stopped.clone().propose(RequestedChange::Enable, by_admin).unwrap().application;
    assert!(!proposed.is_enabled());
    assert_eq!(proposed.clone().confirm_proposal(by_admin), Err(ChangeError::ProposalIsNuveras));
    assert!(proposed.clone().confirm_proposal(by_partner).unwrap().application.is_enabled());
    // Enabled and disabled again in between, the application is no longer the one for which it was proposed.
    let enabled = proposed.enable(by_partner).unwrap().application;
    let again = enabled.disable(by_partner).unwrap().application;
    assert_eq!(again.confirm_proposal(by_partner), Err(ChangeError::ProposalOutdated));

    // Nuvera can enable what Nuvera disabled, until the partner disables it as well, although it is disabled already.
    let by_nuvera = application().disable(by_admin).unwrap().application;
    assert!(by_nuvera.clone().enable(by_admin).is_ok());
    assert_eq!(by_nuvera.clone().disable(by_admin), Err(ChangeError::AlreadyDisabled));
    let by_both = by_nuvera.disable(by_partner).unwrap();
    assert_eq!(by_both.events[0].before.as_deref(), Some("disabled by Nuvera"));
    assert_eq!(by_both.application.clone().enable(by_admin), Err(ChangeError::DisabledByPartner));
    assert_eq!(by_both.application.disable(by_partner), Err(ChangeError::AlreadyDisabled));
    assert_eq!(stopped.disable(by_admin), Err(ChangeError::AlreadyDisabled), "nor does Nuvera take it over");
    assert_eq!(application().propose(RequestedChange::Enable, by_admin), Err(ChangeError::AlreadyEnabled));
}

#[test]
fn what_cannot_be_done_is_not_proposed_and_each_kind_says_what_comes_of_it() {
    let (admin, why) = (admin(), reason());
    let by = By { actor: &admin, at: START, reason: Some(&why) };
    let application = application();
    let current = application.current_signing_key().id;
    let overlap = SigningKeyReplacement::WithOverlap(HOUR);
    let refused = |change: RequestedChange| application.clone().propose(change, by).unwrap_err();
    assert_eq!(refused(RequestedChange::Permissions(application.permissions)), ChangeError::PermissionsUnchanged);
    assert_eq!(refused(RequestedChange::RetireSigningKey { id: current }), ChangeError::SigningKeyNeeded);
    let restore = RequestedChange::RestoreSigningKey { id: current, replacement: overlap };
    assert_eq!(refused(restore), ChangeError::SigningKeyIsCurrent);
    let same = RequestedChange::ReplaceSigningKey { key: new_signing_key(0), replacement: overlap };
    assert_eq!(refused(same), ChangeError::SigningKeyIsCurrent);

    let change = RequestedChange::ReplaceSigningKey { key: new_signing_key(1), replacement: overlap };
    let [old, new] = [0, 1].map(|key| new_signing_key(key).public_key.fingerprint());
    assert_eq!(change.before(&application), format!("{old} current"));
    let words = "current (possession not proven); the key before it verifies for 1 hour more";
    assert_eq!(change.after(&application), format!("{new} {words}"));
    let event = application.propose(change, by).unwrap().events.remove(0);
    assert_eq!(event.after.unwrap(), format!("Replace signing key: {new} {words}"));
}
