//! Tests of which members may change which others, and of the keys that a removed member may have copied.

use super::*;
use crate::{
    actor::Actor,
    application::{Replacement, SigningKeyReplacement},
    fixtures::{START, actor, application, new_api_key, new_signing_key},
    id::ApiKeyId,
};
use proptest::prelude::*;
use uuid::Uuid;

fn person(number: u128, role: Role) -> Person {
    let (name, email) = (format!("P{number}"), format!("p{number}@partner.example"));
    Person {
        id: UserId(Uuid::from_u128(number)),
        name,
        email,
        role,
        signed_in_at: None,
        has_password: true,
        factors: Factors::default(),
    }
}

fn acting(person: &Person) -> Actor {
    Actor { user_id: person.id, name: person.name.clone(), role: person.role, ..actor() }
}

#[test]
fn nobody_changes_or_removes_themselves() {
    let owner = person(1, Role::PartnerOwner);
    let by = By { actor: &acting(&owner), at: START, reason: None };
    assert_eq!(owner.remove(by), Err(PeopleError::Yourself));
    assert_eq!(owner.reset_factor(by), Err(PeopleError::OwnFactor));
    assert_eq!(owner.change_role(Role::PartnerViewer, by), Err(PeopleError::Yourself));
}

#[test]
fn a_role_is_one_of_the_organizations_and_another_one() {
    let owner = acting(&person(1, Role::PartnerOwner));
    let by = By { actor: &owner, at: START, reason: None };
    let developer = || person(2, Role::PartnerDeveloper);
    for role in [Role::NuveraAdmin, Role::NuveraAuditor, Role::CustomerUser] {
        assert_eq!(developer().change_role(role, by), Err(PeopleError::RoleNotGiven), "{role:?}");
    }
    let unchanged = developer().change_role(Role::PartnerDeveloper, by);
    assert_eq!(unchanged, Err(PeopleError::RoleUnchanged("P2".into())));
    let (changed, event) = developer().change_role(Role::PartnerViewer, by).unwrap();
    assert_eq!(changed.role, Role::PartnerViewer);
    assert_eq!((event.before.as_deref(), event.after.as_deref()), (Some("Developer"), Some("Viewer")));
    assert_eq!(event.target, "p2@partner.example");
}

#[test]
fn a_provider_changes_a_role_but_does_not_take_the_last_one_who_decides() {
    let owner = || person(1, Role::PartnerOwner);
    let actor = acting(&owner());
    let by = By { actor: &actor, at: START, reason: None };
    assert_eq!(owner().follow_provider(Role::PartnerOwner, false, by), Followed::Unchanged);
    assert_eq!(owner().follow_provider(Role::PartnerViewer, false, by), Followed::Kept);
    let Followed::Changed(changed) = owner().follow_provider(Role::PartnerViewer, true, by) else { panic!("changed") };
    assert_eq!((changed.0.role, changed.1.action), (Role::PartnerViewer, AuditAction::PersonRoleChanged));
    assert_eq!((changed.1.before.as_deref(), changed.1.after.as_deref()), (Some("Owner"), Some("Viewer")));
    let developer = person(2, Role::PartnerDeveloper);
    assert!(matches!(developer.follow_provider(Role::PartnerViewer, false, by), Followed::Changed(_)));
}

#[test]
fn an_invitation_ends_at_its_last_instant() {
    let by = By { actor: &actor(), at: START, reason: None };
    let invite = |role| {
        let (email, name) = (EmailAddress::new("new@partner.example").unwrap(), PersonName::new("New").unwrap());
        Invitation::new(InvitationId(Uuid::nil()), email, name, role, by)
    };
    let (invitation, _) = invite(Role::PartnerDeveloper).unwrap();
    let end = START.plus(INVITATION_LIFETIME);
    assert!(invitation.is_open(Timestamp::from_millis(end.as_millis() - 1)));
    assert!(!invitation.is_open(end));
    assert_eq!(invite(Role::NuveraAdmin).unwrap_err(), PeopleError::RoleNotGiven);
}

proptest! {
    /// Whatever changes members make to each other, a member who manages members is left.
    #[test]
    fn an_organization_is_never_without_somebody_who_decides(
        steps in prop::collection::vec((0_usize..4, 0_usize..4, prop::option::of(0_usize..3)), 0..40),
    ) {
        const ROLES: [Role; 3] = [Role::PartnerOwner, Role::PartnerDeveloper, Role::PartnerViewer];
        let mut people: Vec<_> = (0..4).map(|number| person(number, Role::PartnerOwner)).collect();
        for (who, whom, role) in steps {
            let (Some(who), Some(whom_)) = (people.get(who).cloned(), people.get(whom).cloned()) else { continue };
            if !who.role.decides_on_people() {
                continue;
            }
            let actor = acting(&who);
            let by = By { actor: &actor, at: START, reason: None };
            match role {
                Some(role) => if let Ok((changed, _)) = whom_.change_role(ROLES[role], by) { people[whom] = changed },
                None => if whom_.remove(by).is_ok() { people.remove(whom); },
            }
            prop_assert!(people.iter().any(|person| person.role.decides_on_people()));
        }
    }
}

#[test]
fn who_leaves_takes_along_the_keys_that_work_and_that_they_had_in_hand() {
    let application = application();
    let did = |action, target: &str| Handled { application: application.id, action, target: target.into() };
    let at_first =
        vec![did(AuditAction::ApplicationCreated, "Ledger"), did(AuditAction::ApiKeyCreated, "nvk_00000001")];
    let first = [KeyId::Api(ApiKeyId(Uuid::from_u128(1))), KeyId::Signing(new_signing_key(0).id)];
    assert_eq!(keys_in_hand(&application, &at_first, START), first);
    assert_eq!(keys_in_hand(&application, &[], START), []);
    let only_stored = [did(AuditAction::ApiKeyStored, "nvk_00000001")];
    assert_eq!(keys_in_hand(&application, &only_stored, START), first[..1], "who stores a key has seen it");
    let elsewhere = Handled { application: ApplicationId(Uuid::nil()), ..only_stored[0].clone() };
    assert_eq!(keys_in_hand(&application, &[elsewhere], START), []);

    // Another owner replaces both keys.
    let owner = actor();
    let later = By { actor: &owner, at: START.plus(Duration::from_secs(60)), reason: None };
    let grace = Duration::from_secs(3600);
    let replaced =
        application.replace_api_key(new_api_key(2), Replacement::WithGrace(grace), later).unwrap().application;
    let overlap = SigningKeyReplacement::WithOverlap(grace);
    let replaced = replaced.replace_signing_key(new_signing_key(1), overlap, later).unwrap().application;
    assert_eq!(keys_in_hand(&replaced, &at_first, later.at), first, "until then they still work");
    assert_eq!(keys_in_hand(&replaced, &at_first, later.at.plus(grace)), []);
    let fingerprint = new_signing_key(1).public_key.fingerprint();
    let registered =
        [Handled { action: AuditAction::SigningKeyReplaced, target: fingerprint, ..only_stored[0].clone() }];
    assert_eq!(keys_in_hand(&replaced, &registered, later.at), [KeyId::Signing(new_signing_key(1).id)]);
}
