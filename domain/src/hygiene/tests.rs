//! The rules of hygiene, at their boundaries and for any ages.

use super::*;
use crate::{
    application::{By, Replacement, SigningKeyReplacement},
    fixtures::{START, actor, application, new_api_key, new_signing_key},
    policy::PolicyUnchanged,
};
use proptest::prelude::*;
use uuid::Uuid;

const MILLISECOND: Duration = Duration::from_millis(1);

fn rotated(at: Timestamp, grace: Duration) -> ApiApplication {
    let actor = actor();
    let by = By { actor: &actor, at, reason: None };
    let replacement = Replacement::WithGrace(grace);
    let replaced = application().replace_api_key(new_api_key(2), replacement, by).unwrap().application;
    replaced.replace_signing_key(new_signing_key(1), SigningKeyReplacement::WithOverlap(grace), by).unwrap().application
}

fn days(count: u32) -> Duration {
    DAY * count
}

fn used(at: Timestamp) -> LastUse {
    LastUse { at, address: "10.1.2.3".into() }
}

/// Returns the first API key and the first signing key of `application`, each last used at `last`.
fn first_keys(application: &ApiApplication, last: Option<Timestamp>, now: Timestamp) -> [Option<KeyHygiene>; 2] {
    let found = of_application(application, RotationRules::default(), |_| last.map(used), now);
    [KeyId::Api(ApiKeyId(Uuid::from_u128(1))), KeyId::Signing(SigningKeyId(Uuid::from_u128(100)))]
        .map(|key| found.iter().find(|hygiene| hygiene.key == key).cloned())
}

fn rotations(application: &ApiApplication, last: Option<Timestamp>, now: Timestamp) -> [Option<Rotation>; 2] {
    first_keys(application, last, now).map(|key| key.map(|key| key.rotation))
}

#[test]
fn a_key_is_due_fourteen_days_before_its_maximum_age_and_overdue_from_it() {
    for (index, most) in [(0, 180), (1, 365)] {
        let at = START.plus(days(most));
        let rotation = |now| rotations(&application(), None, now)[index].unwrap();
        assert_eq!(rotation(at.minus(days(14)).minus(MILLISECOND)), Rotation::Current);
        assert_eq!(rotation(at.minus(days(14))), Rotation::Due { at });
        assert_eq!(rotation(at.minus(MILLISECOND)), Rotation::Due { at });
        assert_eq!(rotation(at), Rotation::Overdue { since: at });
    }
}

#[test]
fn a_rule_that_is_switched_off_says_nothing() {
    let off = RotationRules { api_key_age: None, signing_key_age: None, idle: None };
    let found = of_application(&application(), off, |_| None, START.plus(days(5000)));
    assert!(found.iter().all(|key| key.rotation == Rotation::Current && key.idle.is_none()), "{found:?}");
    assert_eq!(found.iter().find_map(KeyHygiene::urgency), None);
    // With the rules enabled, each key is reported.
    let found = of_application(&application(), RotationRules::default(), |_| None, START.plus(days(5000)));
    assert!(found.iter().all(|key| key.urgency().is_some()));
}

#[test]
fn a_key_that_nothing_used_for_long_is_safe_to_remove() {
    let idle = |last, now| first_keys(&application(), last, now)[0].as_ref().unwrap().idle;
    assert_eq!(idle(None, START.plus(days(90)).minus(MILLISECOND)), None);
    assert_eq!(idle(None, START.plus(days(90))), Some(Idle::NeverUsedSince(START)));
    let last = START.plus(days(30));
    assert_eq!(idle(Some(last), START.plus(days(120)).minus(MILLISECOND)), None);
    assert_eq!(idle(Some(last), START.plus(days(120))), Some(Idle::Since(last)));
}

#[test]
fn a_current_signing_key_is_replaced_and_not_removed() {
    let [_, current] = first_keys(&application(), None, START.plus(days(200)));
    assert_eq!(current.unwrap().idle, None);
    let [_, retiring] = first_keys(&rotated(START.plus(days(200)), days(10)), None, START.plus(days(201)));
    assert_eq!(retiring.unwrap().idle, Some(Idle::NeverUsedSince(START)));
}

#[test]
fn a_key_that_stops_while_something_uses_it_is_the_loudest() {
    let rotated_at = START.plus(days(100));
    let application = rotated(rotated_at, days(30));
    let at = rotated_at.plus(days(30));
    let ending = |in_use| Some(Rotation::Ending { at, decided_at: rotated_at, in_use });
    let now = at.minus(days(14));
    let recently = now.minus(days(1)).plus(MILLISECOND);
    assert_eq!(rotations(&application, Some(recently), now), [ending(true), ending(true)]);
    assert_eq!(rotations(&application, Some(now.minus(days(1))), now), [ending(false), ending(false)]);
    assert_eq!(rotations(&application, None, now), [ending(false), ending(false)]);
    let early = now.minus(MILLISECOND);
    assert_eq!(rotations(&application, Some(early), early), [ending(false), ending(false)], "over 14 days away");
    // A shorter window has just begun: the key is in use, as expected, until half of the window is over.
    let short = rotated(rotated_at, days(2));
    let is_loud = |now| {
        let [api_key, signing_key] = first_keys(&short, Some(now), now).map(|key| key.unwrap().stops_in_use());
        assert_eq!(api_key, signing_key);
        api_key
    };
    assert!(!is_loud(rotated_at) && !is_loud(rotated_at.plus(days(1)).minus(MILLISECOND)));
    assert!(is_loud(rotated_at.plus(days(1))));
    let mut found = of_application(&application, RotationRules::default(), |_| Some(used(now)), START.plus(days(465)));
    assert!(found.iter().all(|key| !key.stops_in_use()), "those keys have stopped: {found:?}");
    found.extend(first_keys(&application, Some(now), now).into_iter().flatten());
    let loudest = found.iter().filter(|key| key.urgency().is_some()).min_by_key(|key| key.urgency()).unwrap();
    assert!(loudest.stops_in_use(), "before what is overdue: {found:?}");
}

#[test]
fn a_key_that_no_longer_works_is_not_spoken_of() {
    let actor = actor();
    let by = By { actor: &actor, at: START.plus(days(300)), reason: None };
    let revoked = application().revoke_api_key(ApiKeyId(Uuid::from_u128(1)), by).unwrap().application;
    assert_eq!(rotations(&revoked, None, by.at)[0], None);
    assert!(rotations(&application(), None, by.at)[0].is_some(), "the control");
    let rotated = rotated(START.plus(days(300)), days(1));
    assert_eq!(rotations(&rotated, None, START.plus(days(301))), [None, None]);
    assert!(rotations(&rotated, None, START.plus(days(301)).minus(MILLISECOND)).iter().all(Option::is_some));
}

#[test]
fn a_reminder_comes_at_fourteen_seven_and_one_days_and_on_the_day() {
    let due = START.plus(days(180));
    let at = |now| first_keys(&application(), None, now)[0].as_ref().unwrap().reminder(now).map(|found| found.days);
    for (moment, before, from) in [
        (due.minus(days(14)), None, Some(14)),
        (due.minus(days(7)), Some(14), Some(7)),
        (due.minus(days(1)), Some(7), Some(1)),
        (due.start_of_day(), Some(1), Some(0)),
    ] {
        assert_eq!(at(moment.minus(MILLISECOND)), before);
        assert_eq!(at(moment), from);
    }
    assert_eq!(at(due.plus(days(50))), Some(0), "who was not reminded in time is reminded late");
}

#[test]
fn who_has_just_given_a_key_a_deadline_is_not_reminded_of_it() {
    let rotated_at = START.plus(days(10));
    for (grace, reminders) in
        [(days(1), vec![0]), (days(7), vec![1, 0]), (days(30), vec![14, 7, 1, 0]), (Duration::from_secs(3600), vec![])]
    {
        let application = rotated(rotated_at, grace);
        let mut seen = Vec::new();
        for minute in 0..grace.as_secs() / 60 {
            let now = rotated_at.plus(Duration::from_secs(60 * minute));
            for key in first_keys(&application, None, now).into_iter().flatten() {
                seen.extend(key.reminder(now).map(|reminder| reminder.days));
            }
        }
        seen.dedup();
        assert_eq!(seen, reminders, "{grace:?}");
    }
}

#[test]
fn days_are_read_within_their_bounds_and_nothing_switches_a_rule_off() {
    assert_eq!(Rule::ApiKeyAge.read("  "), Ok(None));
    assert_eq!(Rule::ApiKeyAge.read(" 30 "), Ok(Some(Days(30))));
    assert_eq!(Rule::SigningKeyAge.read("1095"), Ok(Some(Days(1095))));
    for wrong in ["29", "1096", "0", "-90", "90.5", "ninety", "65566", "９０"] {
        let words = Rule::ApiKeyAge.read(wrong).unwrap_err().to_string();
        assert!(words.contains("for API keys from 30 to 1095"), "{wrong}: {words}");
    }
    assert!(Rule::Idle.read("34").is_err() && Rule::Idle.read("35").is_ok());
}

#[test]
fn a_change_of_the_policy_is_recorded_in_words_and_counts() {
    let actor = actor();
    let by = By { actor: &actor, at: START, reason: None };
    let rules = RotationRules { api_key_age: Rule::ApiKeyAge.days(90).ok(), idle: None, ..RotationRules::default() };
    let change = RotationPolicy::default().change(rules, by).unwrap();
    assert_eq!(change.policy, RotationPolicy { rules, version: 1 });
    assert_eq!(change.event.application_id, None);
    assert_eq!(
        (change.event.before.unwrap(), change.event.after.unwrap()),
        (
            "API keys are replaced after 180 days; signing keys are replaced after 365 days; a key is safe to remove after 90 days without use".into(),
            "API keys are replaced after 90 days; signing keys are replaced after 365 days; no key is called safe to remove".into(),
        )
    );
    assert_eq!(change.policy.change(rules, by), Err(PolicyUnchanged("rotation policy")));
}

proptest! {
    #[test]
    fn time_only_brings_a_key_nearer(most in 30..=1095_u16, first in 0..2000_u32, later in 0..2000_u32) {
        let rules = RotationRules { api_key_age: Rule::ApiKeyAge.days(most).ok(), ..RotationRules::default() };
        let stage = |now| {
            let found = of_application(&application(), rules, |_| None, now);
            match found[0].rotation {
                Rotation::Current => 0,
                Rotation::Due { at } => {
                    assert!(at > now && at.since(now) <= NOTICE);
                    1
                }
                Rotation::Overdue { since } => {
                    assert!(since <= now);
                    2
                }
                Rotation::Ending { .. } => unreachable!("nobody replaced it"),
            }
        };
        let now = START.plus(days(first));
        prop_assert!(stage(now) <= stage(now.plus(days(later))));
    }

    #[test]
    fn each_reminder_comes_once_however_often_somebody_looks(most in 30..=400_u16, minutes in 1..2000_u64) {
        let rules = RotationRules { api_key_age: Rule::ApiKeyAge.days(most).ok(), ..RotationRules::default() };
        let application = application();
        let (mut now, mut seen) = (START, Vec::new());
        while now < START.plus(days(u32::from(most) + 2)) {
            let found = of_application(&application, rules, |_| None, now);
            seen.extend(found[0].reminder(now));
            now = now.plus(Duration::from_secs(60 * minutes));
        }
        let mut given: Vec<_> = seen.clone();
        given.dedup();
        let due = START.plus(days(most.into()));
        prop_assert!(given.iter().all(|reminder| reminder.due == due));
        let order: Vec<_> = given.iter().map(|reminder| reminder.days).collect();
        prop_assert!(order.is_sorted_by(|a, b| a > b), "{:?}", order);
        // With at least one check per day no reminder is missed.
        prop_assert!(minutes >= 360 || order == REMINDER_DAYS, "{:?}", order);
    }
}
