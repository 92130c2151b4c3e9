//! Changes by Nuvera that need the partner's confirmation under the partner's policy: proposed, confirmed, declined,
//! withdrawn and expired.

use crate::support::{Answer, Browser, Console, Database, LIST, PASSWORD, PEM_A, PEM_B, PEM_C};
use axum::http::StatusCode;
use domain::{
    access::{Operation, Role},
    application::{ApiApplication, ChangeError, RequestedChange},
    pending_reset::RESET_DELAY,
    permission::PermissionSet,
    text::{Reason, TicketReference, Why},
};
use server::{
    backend::{Asked, BackendError, Outcome, Said, accounts::NewPerson},
    web::carry_out_due_resets,
};
use std::time::Duration;

const WHY: &str = "Their integration moves on Monday.";
const BECAUSE: [(&str, &str); 2] = [("reason", WHY), ("ticket", "SUP-4711")];
const SECURITY: &str = "/settings/platform/api-applications/security-policy";
const HOURS_72: Duration = Duration::from_secs(72 * 3600);

async fn decide(console: &Console, nuvera_changes: &str) {
    let fields = [("second_factor", "optional"), ("nuvera_changes", nuvera_changes)];
    let changed = console.owner().await.submit(SECURITY, &fields).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER, "{}", changed.text());
}

/// A console whose partner requires confirmation, with one application of that partner.
async fn start() -> (Console, Browser, Browser, String) {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    decide(&console, "confirmed").await;
    let admin = console.admin().await;
    (console, owner, admin, id)
}

async fn propose(console: &Console, admin: &mut Browser, id: &str) -> Answer {
    let path = format!("{}/permissions", console.in_hub(id));
    let fields = [&[("permissions", "CUSTOMERS_READ")], &BECAUSE[..]].concat();
    admin.submit(&path, &fields).await
}

fn permissions(text: &str) -> PermissionSet {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_permission_change_of_nuveras_waits_and_is_made_when_the_partner_confirms_it() {
    let (console, mut owner, mut admin, id) = start().await;
    let form = admin.get(&format!("{}/permissions", console.in_hub(&id))).await;
    form.says("Alpine Pay confirms this before it counts").says("Propose change");
    let proposed = propose(&console, &mut admin, &id).await;
    assert_eq!(proposed.notice(), Some("change-proposed"), "{}", proposed.text());
    admin.get(proposed.location()).await.says("A proposed change waits for the partner").says("Withdraw");
    let before = console.application(&id).await;
    assert_eq!(before.permissions, permissions("PAYMENTS_READ"), "nothing has changed");

    let list = owner.get(LIST).await;
    list.says("Nuvera proposes a change, for you to confirm or decline").says("To confirm");
    list.says("Change permissions, proposed by Ada Admin").says(&format!("“{WHY}” Ticket SUP-4711"));
    let page = owner.get(&format!("{LIST}/{id}")).await;
    page.says("Nuvera proposes a change and waits for you").says("Before: PAYMENTS_READ").says("CUSTOMERS_READ");
    page.says(&format!("“{WHY}” Ticket SUP-4711")).says("It can be confirmed until");

    let mut developer = console.signed_in("developer@alpine.example").await;
    let confirm = format!("{LIST}/{id}/confirm-change");
    let page = developer.get(&confirm).await;
    page.says("by Ada Admin, Nuvera").says(WHY).says("AddsCUSTOMERS_READ").says("Takes awayPAYMENTS_READ");
    let confirmed = developer.submit(&confirm, &[]).await;
    assert_eq!(confirmed.notice(), Some("change-confirmed"), "{}", confirmed.text());
    let after = console.application(&id).await;
    assert_eq!((after.permissions, after.proposed_change), (permissions("CUSTOMERS_READ"), None));
    let events = console.events_of(after.id).await;
    let codes: Vec<_> = events.iter().map(|recorded| recorded.event.action.code()).collect();
    assert_eq!(codes[..3], ["permissions.changed", "change.confirmed", "change.proposed"]);
    for (event, who) in events.iter().map(|recorded| &recorded.event).zip(["Deniz Demir", "Deniz Demir", "Ada Admin"]) {
        assert_eq!(event.actor.name, who);
        assert_eq!(event.reason.as_ref().unwrap().to_string(), format!("{WHY} (ticket SUP-4711)"));
    }
    assert_eq!(events[1].event.before.as_deref().unwrap(), format!("proposed by Ada Admin: {WHY} (ticket SUP-4711)"));

    // A proposal is confirmed only once: neither the same form nor a reloaded page confirms it again.
    let version = after.version.to_string();
    let again = developer.post(&confirm, &[("version", &version)]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    again.says("There is no proposed change any more: it was confirmed, declined or withdrawn");
    developer.get(&confirm).await.says("There is no proposed change any more");
}

#[tokio::test]
async fn without_the_policy_and_for_the_partner_themselves_nothing_waits() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    let made = propose(&console, &mut admin, &id).await;
    assert_eq!(made.notice(), Some("permissions-changed"), "{}", made.text());
    decide(&console, "confirmed").await;
    let form = format!("{LIST}/{id}/permissions");
    assert!(!owner.get(&form).await.text().contains("confirms this before it counts"));
    let own = owner.submit(&form, &[("permissions", "PAYMENTS_READ")]).await;
    assert_eq!(own.notice(), Some("permissions-changed"), "{}", own.text());
}

#[tokio::test]
async fn signing_keys_are_replaced_restored_and_retired_with_the_partners_word_only() {
    let (console, mut owner, mut admin, id) = start().await;
    let hub = console.in_hub(&id);
    let confirm = format!("{LIST}/{id}/confirm-change");
    let first = console.application(&id).await.current_signing_key().id;
    let fields = [&[("public_key", PEM_B), ("overlap", "3600")], &BECAUSE[..]].concat();
    let proposed = admin.submit(&format!("{hub}/replace-signing-key"), &fields).await;
    assert_eq!(proposed.notice(), Some("change-proposed"), "{}", proposed.text());
    assert_eq!(console.application(&id).await.signing_keys.len(), 1);
    owner.get(&confirm).await.says("the key before it verifies for 1 hour more").says("possession not proven");
    assert_eq!(owner.submit(&confirm, &[]).await.status, StatusCode::SEE_OTHER);
    let second = console.application(&id).await.current_signing_key().id;
    assert_ne!(second, first);

    let retire = [("", ""); 0];
    let path = format!("{hub}/signing-keys/{first}/retire");
    let proposed = admin.submit(&path, &[&retire[..], &BECAUSE[..]].concat()).await;
    assert_eq!(proposed.notice(), Some("change-proposed"), "{}", proposed.text());
    assert!(console.application(&id).await.signing_key(first).unwrap().verifies(console.clock.now()));
    assert_eq!(owner.submit(&confirm, &[]).await.status, StatusCode::SEE_OTHER);
    assert!(!console.application(&id).await.signing_key(first).unwrap().verifies(console.clock.now()));

    let path = format!("{hub}/signing-keys/{first}/restore");
    let proposed = admin.submit(&path, &[&[("overlap", "none")], &BECAUSE[..]].concat()).await;
    assert_eq!(proposed.notice(), Some("change-proposed"), "{}", proposed.text());
    assert_eq!(console.application(&id).await.current_signing_key().id, second);
    assert_eq!(owner.submit(&confirm, &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(console.application(&id).await.current_signing_key().id, first);
}

#[tokio::test]
async fn nuvera_restores_a_retired_signing_key_only_once_the_partner_confirms_it() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let first = console.application(&id).await.current_signing_key().id;
    let replace = |pem, overlap| [("public_key", pem), ("overlap", overlap)];
    owner.submit(&format!("{LIST}/{id}/replace-signing-key"), &replace(PEM_B, "3600")).await;
    let second = console.application(&id).await.current_signing_key().id;
    let mut admin = console.admin().await;
    let restore = |key| format!("{}/signing-keys/{key}/restore", console.in_hub(&id));
    let fields = [&[("overlap", "3600")], &BECAUSE[..]].concat();

    // The control: a key in its overlap is restored without a confirmation, because it still verifies requests.
    let restored = admin.submit(&restore(first), &fields).await;
    assert_eq!(restored.notice(), Some("signing-key-restored"), "{}", restored.text());
    owner.submit(&format!("{LIST}/{id}/signing-keys/{second}/restore"), &[("overlap", "none")]).await;

    let proposed = admin.submit(&restore(first), &fields).await;
    assert_eq!(proposed.notice(), Some("change-proposed"), "{}", proposed.text());
    assert_eq!(console.application(&id).await.current_signing_key().id, second);
    admin.get(&restore(first)).await.says("confirms this before it counts");
    let confirmed = owner.submit(&format!("{LIST}/{id}/confirm-change"), &[]).await;
    assert_eq!(confirmed.notice(), Some("change-confirmed"), "{}", confirmed.text());
    assert_eq!(console.application(&id).await.current_signing_key().id, first);
}

#[tokio::test]
async fn stops_and_what_ends_a_keys_life_never_wait() {
    let (console, mut owner, mut admin, id) = start().await;
    let hub = console.in_hub(&id);
    let key = console.application(&id).await.api_keys[0].id;
    propose(&console, &mut admin, &id).await;
    let stopped = admin.submit(&format!("{hub}/disable"), &[("reason", "A leak")]).await;
    assert_eq!(stopped.notice(), Some("disabled"), "{}", stopped.text());
    let enabled = admin.submit(&format!("{hub}/enable"), &BECAUSE).await;
    assert_eq!(enabled.notice(), Some("enabled"), "{}", enabled.text());
    let revoke = [&[("confirm_name", "Ledger")], &BECAUSE[..]].concat();
    let revoked = admin.submit(&format!("{hub}/api-keys/{key}/revoke"), &revoke).await;
    assert_eq!(revoked.notice(), Some("key-revoked"), "{}", revoked.text());
    // The current state no longer allows the proposed change.
    owner.get(&format!("{LIST}/{id}")).await.says("What Nuvera proposed cannot be confirmed any more");
}

#[tokio::test]
async fn a_proposal_for_an_application_that_changed_meanwhile_is_not_made_and_is_proposed_again() {
    let (console, mut owner, mut admin, id) = start().await;
    propose(&console, &mut admin, &id).await;
    let confirm = format!("{LIST}/{id}/confirm-change");
    let seen = owner.get(&confirm).await.hidden("version");
    owner.submit(&format!("{LIST}/{id}/rename"), &[("name", "Books")]).await;
    let stale = owner.post(&confirm, &[("version", &seen)]).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    stale.says("or changed this application in another tab").says("Application renamed");
    let version = console.application(&id).await.version.to_string();
    let outdated = owner.post(&confirm, &[("version", &version)]).await;
    assert_eq!(outdated.status, StatusCode::CONFLICT);
    outdated.says("This application was changed after Nuvera proposed this");
    assert_eq!(console.application(&id).await.permissions, permissions("PAYMENTS_READ"));
    assert!(!owner.get(LIST).await.text().contains("To confirm"));

    let again = propose(&console, &mut admin, &id).await;
    assert_eq!(again.notice(), Some("change-proposed"), "{}", again.text());
    // Only one proposal at a time can be pending.
    let third = propose(&console, &mut admin, &id).await;
    assert_eq!(third.status, StatusCode::CONFLICT);
    third.says("A proposed change waits for the partner already");
    assert_eq!(owner.submit(&confirm, &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(console.application(&id).await.permissions, permissions("CUSTOMERS_READ"));
}

#[tokio::test]
async fn a_proposal_is_declined_withdrawn_or_lapses() {
    let (console, mut owner, mut admin, id) = start().await;
    let confirm = format!("{LIST}/{id}/confirm-change");
    let nothing = "There is no proposed change any more";
    propose(&console, &mut admin, &id).await;
    let decline = format!("{LIST}/{id}/withdraw-change");
    owner.get(&decline).await.says("Decline proposed change").says("Nuvera will see that you declined it");
    let declined = owner.submit(&decline, &[("reason", "We did not ask for this.")]).await;
    assert_eq!(declined.notice(), Some("change-declined"), "{}", declined.text());
    owner.get(&confirm).await.says(nothing);
    admin.get(&format!("{}/audit", console.in_hub(&id))).await.says("Proposed change declined").says("did not ask");

    propose(&console, &mut admin, &id).await;
    let withdraw = format!("{}/withdraw-change", console.in_hub(&id));
    admin.submit(&withdraw, &[]).await.says("Enter a reason");
    let withdrawn = admin.submit(&withdraw, &BECAUSE).await;
    assert_eq!(withdrawn.notice(), Some("change-withdrawn"), "{}", withdrawn.text());
    owner.get(&confirm).await.says(nothing);

    propose(&console, &mut admin, &id).await;
    let version = owner.get(&confirm).await.hidden("version");
    console.advance(HOURS_72 - Duration::from_millis(1));
    console.backend.expire_proposals().await.unwrap();
    let mut owner = console.owner().await;
    owner.get(&confirm).await.says("Can be confirmed until").hidden("version");
    console.advance(Duration::from_millis(1));
    let late = owner.post(&confirm, &[("version", &version)]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    late.says("its 72 hours are over");
    owner.get(&confirm).await.says(nothing);
    // It cannot be confirmed after its deadline. The job records the expiry within a minute, and only once.
    console.backend.expire_proposals().await.unwrap();
    console.backend.expire_proposals().await.unwrap();
    let events = console.events(&id).await;
    assert_eq!(events[..3], ["change.expired", "change.proposed", "change.withdrawn"]);
    let expired = &console.events_of(id.parse().unwrap()).await[0].event;
    assert_eq!((&*expired.actor.name, expired.actor.kind.code()), ("Ada Admin", "nuvera"));
    assert_eq!(console.application(&id).await.permissions, permissions("PAYMENTS_READ"));
}

#[tokio::test]
async fn nobody_of_nuveras_and_no_viewer_confirms_and_a_session_alone_is_not_enough() {
    let (console, mut owner, mut admin, id) = start().await;
    propose(&console, &mut admin, &id).await;
    let version = console.application(&id).await.version.to_string();
    let fields = [("version", &*version)];
    let in_hub = format!("{}/confirm-change", console.in_hub(&id));
    assert_eq!(admin.post(&in_hub, &fields).await.status, StatusCode::FORBIDDEN);
    assert_eq!(admin.get(&in_hub).await.status, StatusCode::FORBIDDEN);
    let mut auditor = console.signed_in("auditor@nuvera.example").await;
    assert_eq!(auditor.post(&in_hub, &fields).await.status, StatusCode::FORBIDDEN);
    auditor.get(&console.in_hub(&id)).await.says("A proposed change waits for the partner");
    let confirm = format!("{LIST}/{id}/confirm-change");
    let mut viewer = console.signed_in("viewer@alpine.example").await;
    assert_eq!(viewer.post(&confirm, &fields).await.status, StatusCode::FORBIDDEN);
    let page = viewer.get(&format!("{LIST}/{id}")).await;
    page.says("Nuvera proposes a change");
    assert!(!page.body.contains("/confirm-change\"") && !page.body.contains("/withdraw-change\""));
    let mut stranger = console.signed_in("owner@borealis.example").await;
    assert_eq!(stranger.post(&confirm, &fields).await.status, StatusCode::NOT_FOUND);
    console.advance(Duration::from_secs(600));
    let unproven = owner.post(&confirm, &fields).await;
    assert_eq!(unproven.status, StatusCode::FORBIDDEN);
    unproven.says("Confirm that it is you");
    assert_eq!(console.application(&id).await.permissions, permissions("PAYMENTS_READ"));
    owner.post("/confirm", &[("password", PASSWORD), ("next", &confirm)]).await;
    assert_eq!(owner.post(&confirm, &fields).await.status, StatusCode::SEE_OTHER, "the control");
}

#[tokio::test]
async fn what_waits_is_decided_by_the_policy_as_it_is_when_the_form_arrives() {
    let (console, mut owner, mut admin, id) = start().await;
    let path = format!("{}/permissions", console.in_hub(&id));
    let version = admin.get(&path).await.hidden("version");
    decide(&console, "at_once").await;
    let fields = [&[("permissions", "CUSTOMERS_READ"), ("version", &*version)], &BECAUSE[..]].concat();
    let made = admin.post(&path, &fields).await;
    assert_eq!(made.notice(), Some("permissions-changed"), "{}", made.text());

    let version = admin.get(&path).await.hidden("version");
    decide(&console, "confirmed").await;
    let fields = [&[("permissions", "PAYMENTS_READ"), ("version", &*version)], &BECAUSE[..]].concat();
    let proposed = admin.post(&path, &fields).await;
    assert_eq!(proposed.notice(), Some("change-proposed"), "{}", proposed.text());
    // A change that was already proposed still needs confirmation after the policy is relaxed.
    decide(&console, "at_once").await;
    assert_eq!(console.application(&id).await.permissions, permissions("CUSTOMERS_READ"));
    assert_eq!(owner.submit(&format!("{LIST}/{id}/confirm-change"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(console.application(&id).await.permissions, permissions("PAYMENTS_READ"));
}

#[tokio::test]
async fn a_key_that_another_organization_registers_meanwhile_is_not_confirmed() {
    let (console, mut owner, mut admin, id) = start().await;
    let path = format!("{}/replace-signing-key", console.in_hub(&id));
    let fields = [&[("public_key", PEM_C), ("overlap", "none")], &BECAUSE[..]].concat();
    assert_eq!(admin.submit(&path, &fields).await.status, StatusCode::SEE_OTHER);
    console.signed_in("owner@borealis.example").await.create("Payouts", PEM_C).await;
    let refused = owner.submit(&format!("{LIST}/{id}/confirm-change"), &[]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.says("This public key cannot be used: it is registered elsewhere");
    assert_eq!(console.application(&id).await.signing_keys.len(), 1);
}

#[tokio::test]
async fn what_somebody_proposed_who_is_gone_is_not_confirmed() {
    let (console, mut owner, mut admin, id) = start().await;
    propose(&console, &mut admin, &id).await;
    let confirm = format!("{LIST}/{id}/confirm-change");
    let ada = console.user_id("admin@nuvera.example").await;
    let set_role = async |role: Role| {
        let mut transaction = console.store.write().await.unwrap();
        server::store::users::set_role(&mut transaction, ada, role, console.clock.now()).await.unwrap();
        transaction.commit().await.unwrap();
    };
    set_role(Role::NuveraAuditor).await;
    let refused = owner.submit(&confirm, &[]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
    refused.says("may not make such changes any more").says("Decline it");
    assert_eq!(console.application(&id).await.permissions, permissions("PAYMENTS_READ"));
    set_role(Role::NuveraAdmin).await;
    assert_eq!(owner.submit(&confirm, &[]).await.notice(), Some("change-confirmed"), "the control");
}

#[tokio::test]
async fn what_could_not_be_done_now_is_not_proposed() {
    let (console, _owner, mut admin, id) = start().await;
    let hub = console.in_hub(&id);
    let same = [&[("permissions", "PAYMENTS_READ")], &BECAUSE[..]].concat();
    admin.submit(&format!("{hub}/permissions"), &same).await.says("The permissions are unchanged.");
    let current = [&[("public_key", PEM_A), ("overlap", "none")], &BECAUSE[..]].concat();
    admin
        .submit(&format!("{hub}/replace-signing-key"), &current)
        .await
        .says("already this application's current signing key");
    let silent = admin.submit(&format!("{hub}/permissions"), &[("permissions", "CUSTOMERS_READ")]).await;
    silent.says("Enter a reason");
    assert!(!console.events(&id).await.contains(&"change.proposed".to_owned()));
}

/// The same through the use cases, where only the domain rejects it.
#[tokio::test]
async fn an_admin_who_proposes_is_refused_by_the_use_case_as_well() {
    let (console, _owner, _admin, id) = start().await;
    let (admin, owner) = (console.admin_actor().await, console.owner_actor().await);
    let application = id.parse().unwrap();
    let by_admin = Asked { actor: &admin, organization: console.alpine, application };
    let why = Why { reason: Reason::new(WHY).unwrap(), ticket: TicketReference::new("SUP-1").ok() };
    let said = || Said { seen_version: None, reason: Some(why.clone()) };
    let change = RequestedChange::Permissions(permissions("CUSTOMERS_READ"));
    let (outcome, _) = console.backend.request_change(by_admin, said(), change.clone()).await.unwrap();
    assert_eq!(outcome, Outcome::Proposed);
    let confirmed = console.backend.confirm_proposal(by_admin, Said::default()).await;
    assert!(matches!(confirmed, Err(BackendError::Forbidden)), "{confirmed:?}");
    let sneaked = console
        .backend
        .change(by_admin, Operation::ChangePermissions, said(), |application, by| application.confirm_proposal(by))
        .await;
    assert!(matches!(sneaked, Err(BackendError::Refused(_))), "{sneaked:?}");
    let by_owner = Asked { actor: &owner, ..by_admin };
    console.backend.confirm_proposal(by_owner, Said::default()).await.unwrap();
}

#[tokio::test]
async fn nuvera_enables_what_the_partner_disabled_only_once_the_partner_confirms_it() {
    for policy in ["at_once", "confirmed"] {
        let console = Console::start().await;
        let mut owner = console.owner().await;
        let (id, key) = owner.create("Ledger", PEM_A).await;
        if policy == "confirmed" {
            decide(&console, policy).await;
        }
        let mut admin = console.admin().await;
        let (page, enable) = (console.in_hub(&id), format!("{}/enable", console.in_hub(&id)));
        owner.submit(&format!("{LIST}/{id}/disable"), &[("reason", "A leak")]).await;

        let waits = "Alpine Pay disabled this application. Enabling waits for their confirmation.";
        admin.get(&page).await.says(waits);
        admin.get(&enable).await.says(waits).says("Propose change");
        let proposed = admin.submit(&enable, &BECAUSE).await;
        assert_eq!(proposed.notice(), Some("change-proposed"), "{policy}: {}", proposed.text());
        assert_eq!(console.gateway_says(&key).await, "application_disabled", "{policy}");
        // Bypassing the form does not help: the use case rejects the operation as well.
        let actor = console.admin_actor().await;
        let asked = Asked { actor: &actor, organization: console.alpine, application: id.parse().unwrap() };
        let why = Why { ticket: TicketReference::new("SUP-4711").ok(), ..Why::from(Reason::new(WHY).unwrap()) };
        let said = Said { seen_version: None, reason: Some(why) };
        let forced = console.backend.change(asked, Operation::EnableApplication, said, ApiApplication::enable).await;
        assert!(matches!(forced, Err(BackendError::Refused(ChangeError::DisabledByPartner))), "{forced:?}");

        let form = owner.get(&format!("{LIST}/{id}/confirm-change")).await;
        form.says("Enable application").says("disabled by Olivia Okafor");
        let confirmed = owner.submit(&format!("{LIST}/{id}/confirm-change"), &[]).await;
        assert_eq!(confirmed.notice(), Some("change-confirmed"), "{}", confirmed.text());
        assert_eq!(console.gateway_says(&key).await, "malformed_token", "it works again");
        assert_eq!(console.events(&id).await[..2], ["application.enabled", "change.confirmed"]);

        // An application that Nuvera disabled is enabled by Nuvera without confirmation; once the partner has disabled
        // it as well, enabling needs confirmation again.
        admin.submit(&format!("{page}/disable"), &BECAUSE).await;
        assert!(!admin.get(&page).await.text().contains(waits));
        let enabled = admin.submit(&enable, &BECAUSE).await;
        assert_eq!(enabled.notice(), Some("enabled"), "{policy}: {}", enabled.text());
        admin.submit(&format!("{page}/disable"), &BECAUSE).await;
        let both = owner.submit(&format!("{LIST}/{id}/disable"), &[("reason", "Ours as well")]).await;
        assert_eq!(both.notice(), Some("disabled"), "{}", both.text());
        let proposed = admin.submit(&enable, &BECAUSE).await;
        assert_eq!(proposed.notice(), Some("change-proposed"), "{policy}: {}", proposed.text());
        assert_eq!(console.gateway_says(&key).await, "application_disabled");
    }
}

#[tokio::test]
async fn what_an_admin_began_ends_with_their_power_and_when_their_credentials_are_reset() {
    for ending in ["removed", "demoted", "reset", "recovery", "factor", "none"] {
        for database in Database::all().await {
            println!("{ending} on {}", database.engine);
            let console = Console::start_on(database).await;
            let colleagues = ["two@nuvera.example", "three@nuvera.example"];
            for email in colleagues {
                let (organization_id, name, role) = (console.nuvera, "Ned Newman", Role::NuveraAdmin);
                let person = NewPerson { organization_id, email, name, role, password: PASSWORD };
                console.backend.add_person(person).await.unwrap();
                console.gets_factor(email).await;
            }
            console.advance(HOURS_72);
            let mut owner = console.owner().await;
            let (id, _) = owner.create("Ledger", PEM_A).await;
            let (other, _) = owner.create("Books", PEM_B).await;
            decide(&console, "confirmed").await;
            let (mut admin, mut two) = (console.admin().await, console.signed_in(colleagues[0]).await);
            let prepare = [&[("grace", "3600")], &BECAUSE[..]].concat();
            for (browser, id) in [(&mut admin, &id), (&mut two, &other)] {
                let path = format!("{}/prepare-replacement", console.in_hub(id));
                assert_eq!(browser.submit(&path, &prepare).await.notice(), Some("replacement-prepared"));
                assert_eq!(propose(&console, browser, id).await.notice(), Some("change-proposed"));
            }

            let ada = console.user_id("admin@nuvera.example").await;
            let (by_two, by_three) = (console.actor(colleagues[0]).await, console.actor(colleagues[1]).await);
            let (backend, nuvera) = (&console.backend, console.nuvera);
            match ending {
                "removed" => {
                    backend.remove_person(&by_two, nuvera, ada).await.unwrap();
                    assert!(console.application(&id).await.prepared_replacement.is_some(), "not yet");
                    backend.confirm_owner_change(&by_three, nuvera, ada).await.unwrap();
                }
                "demoted" => {
                    backend.change_role(&by_two, nuvera, ada, Role::NuveraAuditor).await.unwrap();
                    backend.confirm_owner_change(&by_three, nuvera, ada).await.unwrap();
                }
                "reset" => {
                    drop(backend.begin_password_reset(&by_two, nuvera, ada).await.unwrap());
                    console.advance(RESET_DELAY);
                    carry_out_due_resets(&console.web).await;
                    let link = console.take_reset_link("admin@nuvera.example");
                    let token = link.split_once("token=").unwrap().1;
                    backend.finish_password_reset(token, "tulip gravel 84 harbour", None).await.unwrap();
                }
                "recovery" => drop(backend.recover("admin@nuvera.example").await.unwrap()),
                "factor" => {
                    drop(backend.reset_factor(&by_two, nuvera, ada).await.unwrap());
                    console.advance(RESET_DELAY);
                    carry_out_due_resets(&console.web).await;
                }
                _ => {}
            }
            // A pending reset outlasts a session.
            owner = console.owner().await;
            let ended = ending != "none";
            let application = console.application(&id).await;
            assert_eq!(application.prepared_replacement.is_none(), ended, "{ending}");
            assert_eq!(application.proposed_change.is_none(), ended, "{ending}");
            if ended {
                assert_eq!(console.events(&id).await[..2], ["change.withdrawn", "replacement.withdrawn"]);
                let history = owner.get(&format!("{LIST}/{id}/audit")).await;
                history.says("was removed, has another role, or had their credentials reset");
            }
            let claimed = async |owner: &mut Browser, id: &str| {
                let version = console.application(id).await.version.to_string();
                owner.post(&format!("{LIST}/{id}/claim-replacement"), &[("version", &version)]).await
            };
            let answer = claimed(&mut owner, &id).await;
            assert_eq!(answer.keys().is_empty(), ended, "{ending}: {}", answer.text());
            if ended {
                answer.says("There is no prepared replacement key any more");
            }
            // A replacement key that a colleague prepared is unaffected.
            assert_eq!(claimed(&mut owner, &other).await.keys().len(), 1, "{ending}");
        }
    }
}

#[tokio::test]
async fn a_replacement_key_is_not_claimed_whose_preparer_is_gone() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let prepare = [&[("grace", "3600")], &BECAUSE[..]].concat();
    console.admin().await.submit(&format!("{}/prepare-replacement", console.in_hub(&id)), &prepare).await;
    let ada = console.user_id("admin@nuvera.example").await;
    // Bypasses this server, as another process could at the same moment.
    let mut transaction = console.store.write().await.unwrap();
    let (role, now) = (Role::NuveraAuditor, console.clock.now());
    server::store::users::set_role(&mut transaction, ada, role, now).await.unwrap();
    transaction.commit().await.unwrap();
    let refused = owner.submit(&format!("{LIST}/{id}/claim-replacement"), &[]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.says("Whoever prepared this replacement key at Nuvera may not do that any more.");
    assert!(refused.keys().is_empty());
}
