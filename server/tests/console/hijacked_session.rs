//! What an attacker with temporary access to a member manager's session can leave behind, and who is notified.

use crate::support::{Console, Database, PASSWORD, PEOPLE, nobodys_browser};
use axum::http::StatusCode;
use domain::{
    access::Role,
    actor::Actor,
    audit::{AuditAction, AuditFilter, AuditScope},
    id::UserId,
    people::OWNER_CHANGE_DELAY,
    second_factor::FactorRemoval,
    sign_in::Method,
};
use server::backend::{BegunReset, accounts::SignIn, sessions::Kept, single_sign_on::Asserted};
use std::time::Duration;

const CHOSEN: &str = "tulip gravel 84 harbour";
const OWNER: &str = "owner@alpine.example";
const RESCUER: &str = "developer@alpine.example";
const INTRUDER: [(&str, &str); 3] =
    [("name", "Ivy Intruder"), ("email", "ivy@attacker.example"), ("role", "partner_owner")];

/// What the victim, a colleague or the operator does to recover the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    None,
    ChangePassword,
    ResetPassword,
    Recover,
    ResetFactor,
}

/// Follows a link with a token and sets a password.
async fn uses(console: &Console, link: &str) -> StatusCode {
    let (path, token) = link.split_once("?token=").unwrap();
    console.browser().post(path, &[("token", token), ("password", CHOSEN)]).await.status
}

async fn withdrawn(console: &Console) -> usize {
    let filter = AuditFilter { action: Some(AuditAction::InvitationWithdrawn), ..AuditFilter::default() };
    let scope = AuditScope::Organization(console.alpine);
    let mut conn = console.store.read().await.unwrap();
    server::store::audit::events(&mut conn, scope, filter, i64::MAX, 100).await.unwrap().len()
}

#[tokio::test]
async fn links_made_in_a_hijacked_session_do_not_survive_new_credentials() {
    for remedy in [Remedy::None, Remedy::ChangePassword, Remedy::ResetPassword, Remedy::Recover, Remedy::ResetFactor] {
        for database in Database::all().await {
            println!("{remedy:?} on {}", database.engine);
            let console = Console::start_on(database).await;
            let owner = console.owner_actor().await;
            let rescuer = console.user_id(RESCUER).await;
            console.backend.change_role(&owner, console.alpine, rescuer, Role::PartnerOwner).await.unwrap();
            if remedy == Remedy::ResetFactor {
                console.gets_factor(OWNER).await;
            }
            let mut rescuer = console.signed_in(RESCUER).await;

            let mut attacker = console.owner().await;
            let invited = attacker.post(&format!("{PEOPLE}/invite"), &INTRUDER).await;
            assert!(invited.status.is_success() || invited.status.is_redirection(), "{}", invited.text());
            let invitation = console.mailed_link("ivy@attacker.example");
            let viewer = console.user_id("viewer@alpine.example").await;
            attacker.post(&format!("{PEOPLE}/{viewer}/reset-password"), &[]).await;
            let reset = console.mailed_link("viewer@alpine.example");
            let fields = [("name", "Grace Green"), ("email", "grace@alpine.example"), ("role", "partner_viewer")];
            rescuer.post(&format!("{PEOPLE}/invite"), &fields).await;
            let of_the_rescuer = console.mailed_link("grace@alpine.example");

            let victim = format!("{PEOPLE}/{}", owner.user_id);
            match remedy {
                Remedy::None => {}
                Remedy::ChangePassword => {
                    let mut owner = console.owner().await;
                    owner
                        .get("/settings/account/password")
                        .await
                        .says("Invitations you sent that are still open are withdrawn.");
                    let changed = owner.post("/settings/account/password", &[("password", CHOSEN)]).await;
                    changed.leads_to("/settings/account", "password-changed-invitations-withdrawn");
                    owner.follow(&changed).await.says("invitations you sent that were still open are withdrawn");
                    let page = owner.get("/settings/account/password").await;
                    assert!(!page.text().contains("Invitations you sent"), "there are none any more");
                    let changed = owner.post("/settings/account/password", &[("password", "another harbour 77")]).await;
                    changed.leads_to("/settings/account", "password-changed");
                }
                Remedy::ResetPassword => {
                    rescuer.post(&format!("{victim}/reset-password"), &[]).await;
                    assert_eq!(uses(&console, &console.mailed_link(OWNER)).await, StatusCode::SEE_OTHER);
                }
                Remedy::Recover => drop(console.backend.recover(OWNER).await.unwrap()),
                Remedy::ResetFactor => {
                    let reset = rescuer.post(&format!("{victim}/reset-factor"), &[]).await;
                    reset.leads_to(PEOPLE, "second-factor-reset");
                }
            }
            let (expected, events) = match remedy {
                Remedy::None => (StatusCode::SEE_OTHER, 0),
                _ => (StatusCode::GONE, 1),
            };
            assert_eq!(withdrawn(&console).await, events);
            assert_eq!(uses(&console, &invitation).await, expected, "the invitation");
            assert_eq!(uses(&console, &reset).await, expected, "the link to choose a password");
            assert_eq!(uses(&console, &of_the_rescuer).await, StatusCode::SEE_OTHER, "what others made stays");
            let mut viewer = console.browser();
            let signed_in = viewer.sign_in("viewer@alpine.example", PASSWORD).await.status;
            assert_eq!(signed_in == StatusCode::SEE_OTHER, remedy != Remedy::None, "the viewer keeps their password");
        }
    }
}

/// Asserts to which addresses a message with this subject was mailed, once that many are there. Returns the messages.
async fn mailed(console: &Console, subject: &str, expected: &[&str]) -> Vec<String> {
    let messages = console.letters_about(subject, expected.len()).await;
    let mut to: Vec<_> = messages
        .iter()
        .map(|message| message.split_once("To: ").unwrap().1.split_once("\r\n").unwrap().0.to_owned())
        .collect();
    to.sort();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(to, expected, "{subject}");
    messages
}

#[tokio::test]
async fn everyone_who_manages_members_learns_of_each_change_to_them() {
    let console = Console::start().await;
    let owner_actor = console.owner_actor().await;
    let rescuer = console.user_id(RESCUER).await;
    console.backend.change_role(&owner_actor, console.alpine, rescuer, Role::PartnerOwner).await.unwrap();
    let viewer = console.user_id("viewer@alpine.example").await;
    console.gets_factor("viewer@alpine.example").await;
    let mut owner = console.owner().await;
    let managers = [OWNER, RESCUER];

    owner.post(&format!("{PEOPLE}/invite"), &INTRUDER).await;
    for message in mailed(&console, "A member was invited to your organization", &managers).await {
        for said in
            ["Ivy Intruder", "ivy@attacker.example", "role Owner", "Olivia Okafor", "Unknown browser, 203.0.113.7"]
        {
            assert!(message.contains(said), "{said}: {message}");
        }
        assert!(message.contains(&format!("http://localhost:3000{PEOPLE}\r\n")), "{message}");
        // Only the actor can tell whether their account is being misused.
        assert_eq!(message.contains("http://localhost:3000/settings/account\r\n"), message.contains("To: owner@"));
        assert!(!message.contains("token"), "the link goes to the invitee alone: {message}");
    }
    let page = owner.get(PEOPLE).await;
    let (_, withdraw) = page.body.split_once(&format!("{PEOPLE}/invitations/")).unwrap();
    let withdraw = format!("{PEOPLE}/invitations/{}/withdraw", &withdraw[..36]);
    owner.post(&withdraw, &[]).await.leads_to(PEOPLE, "invitation-withdrawn");
    mailed(&console, "An invitation to your organization was withdrawn", &managers).await;

    owner.post(&format!("{PEOPLE}/{viewer}/reset-factor"), &[]).await.leads_to(PEOPLE, "second-factor-reset");
    mailed(&console, "The second factor of a member of your organization was reset", &managers).await;
    owner.post(&format!("{PEOPLE}/{viewer}/reset-password"), &[]).await;
    mailed(&console, "A password reset was started for a member of your organization", &managers).await;
    owner.post(&format!("{PEOPLE}/{viewer}/role"), &[("role", "partner_developer")]).await;
    let all = [OWNER, RESCUER, "viewer@alpine.example"];
    for message in mailed(&console, "The role of a member of your organization was changed", &all).await {
        assert!(message.contains("Role changed from Viewer to Developer"), "{message}");
    }
    owner.post(&format!("{PEOPLE}/{viewer}/remove"), &[]).await.leads_to(PEOPLE, "person-removed");
    mailed(&console, "A member was removed from your organization", &all).await;

    let fields = [("name", "Grace Green"), ("email", "grace@alpine.example"), ("role", "partner_viewer")];
    owner.post(&format!("{PEOPLE}/invite"), &fields).await;
    assert_eq!(uses(&console, &console.mailed_link("grace@alpine.example")).await, StatusCode::SEE_OTHER);
    mailed(&console, "A member joined your organization", &managers).await;
    // Other organizations receive none of it.
    assert!(console.letters().iter().all(|message| !message.contains("borealis")));
}

#[tokio::test]
async fn a_mail_server_that_fails_holds_no_change_to_members_up() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let viewer = console.user_id("viewer@alpine.example").await;
    std::fs::remove_dir_all(console.mail.path()).unwrap();
    let changed = owner.post(&format!("{PEOPLE}/{viewer}/role"), &[("role", "partner_developer")]).await;
    changed.leads_to(PEOPLE, "role-changed");
}

const REMOVED: &str = "A member was removed from your organization";
const REQUESTED: &str = "Removing or demoting an owner of your organization was requested";
const CANCELLED: &str = "Removing or demoting an owner of your organization was cancelled";

/// Alpine Pay with two more owners, the developer and the viewer, who have managed members for 72 hours.
async fn three_owners(database: Database) -> (Console, UserId, UserId) {
    let console = Console::start_on(database).await;
    let owner = console.owner_actor().await;
    let (second, third) = (console.user_id(RESCUER).await, console.user_id("viewer@alpine.example").await);
    for colleague in [second, third] {
        console.backend.change_role(&owner, console.alpine, colleague, Role::PartnerOwner).await.unwrap();
    }
    console.advance(OWNER_CHANGE_DELAY);
    (console, second, third)
}

/// The codes of Alpine Pay's newest audit events, the newest first.
async fn newest(console: &Console, count: usize) -> Vec<&'static str> {
    let scope = AuditScope::Organization(console.alpine);
    let mut conn = console.store.read().await.unwrap();
    let events =
        server::store::audit::events(&mut conn, scope, AuditFilter::default(), i64::MAX, count as i64).await.unwrap();
    events.into_iter().map(|recorded| recorded.event.action.code()).collect()
}

async fn role(console: &Console, id: UserId) -> Option<Role> {
    let mut conn = console.store.read().await.unwrap();
    server::store::users::find(&mut conn, console.alpine, id).await.unwrap().map(|person| person.role)
}

#[tokio::test]
async fn an_owner_is_removed_after_72_hours_in_which_every_owner_learns_of_it() {
    for database in Database::all().await {
        let (console, second, _) = three_owners(database).await;
        let mut attacker = console.owner().await;
        let form = format!("{PEOPLE}/{second}/remove");
        let page = attacker.get(&form).await;
        page.says("Deniz Demir will be removed in 72 hours").says("Request removal of Deniz Demir");
        attacker.post(&form, &[]).await.leads_to(PEOPLE, "owner-change-requested");
        let all = [OWNER, RESCUER, "viewer@alpine.example"];
        for message in mailed(&console, REQUESTED, &all).await {
            assert!(
                message.contains("Removal requested, takes effect on") && message.contains("cancel it"),
                "{message}"
            );
        }
        let again = attacker.post(&format!("{PEOPLE}/{second}/role"), &[("role", "partner_viewer")]).await;
        assert_eq!(again.status, StatusCode::CONFLICT);
        again.says("A change of Deniz Demir is pending already: Removal.");

        let mut target = console.signed_in(RESCUER).await;
        let members = target.get(PEOPLE).await;
        members
            .says("Deniz Demir will be removed")
            .says("Removal on 29 Nov 2026, 03:25:10 UTC")
            .says("requested by Olivia Okafor.");
        assert!(!members.body.contains("/confirm-change"), "the target cannot confirm it");
        let applied = console.backend.apply_owner_changes().await.unwrap().len();
        assert_eq!((applied, role(&console, second).await), (0, Some(Role::PartnerOwner)), "nothing happens before");
        console.advance(OWNER_CHANGE_DELAY - Duration::from_millis(1));
        assert_eq!(console.backend.apply_owner_changes().await.unwrap().len(), 0);
        console.advance(Duration::from_millis(1));
        let applied = console.backend.apply_owner_changes().await.unwrap();
        assert_eq!((applied.len(), role(&console, second).await), (1, None));
        assert_eq!(newest(&console, 2).await, ["person.removed", "owner_change.requested"]);
        assert_eq!(applied[0].actor.email, OWNER, "on behalf of the requester");
        assert!(console.browser().sign_in(RESCUER, PASSWORD).await.status != StatusCode::SEE_OTHER);
        assert!(console.backend.apply_owner_changes().await.unwrap().is_empty(), "once");
    }
}

#[tokio::test]
async fn every_owner_can_cancel_a_removal_the_target_too() {
    for database in Database::all().await {
        let (console, second, _) = three_owners(database).await;
        for rescuer in [RESCUER, "viewer@alpine.example", OWNER] {
            let mut attacker = console.owner().await;
            attacker.post(&format!("{PEOPLE}/{second}/remove"), &[]).await.leads_to(PEOPLE, "owner-change-requested");
            let mut rescuer = console.signed_in(rescuer).await;
            rescuer.get(PEOPLE).await.says("Deniz Demir will be removed");
            let cancelled = rescuer.post(&format!("{PEOPLE}/{second}/cancel-change"), &[]).await;
            cancelled.leads_to(PEOPLE, "owner-change-cancelled");
            assert_eq!(newest(&console, 1).await, ["owner_change.cancelled"]);
            assert!(!rescuer.get(PEOPLE).await.text().contains("will be removed"));
            let gone = rescuer.post(&format!("{PEOPLE}/{second}/cancel-change"), &[]).await;
            assert_eq!(gone.status, StatusCode::NOT_FOUND);
            console.advance(OWNER_CHANGE_DELAY);
            assert!(console.backend.apply_owner_changes().await.unwrap().is_empty());
            assert_eq!(role(&console, second).await, Some(Role::PartnerOwner));
        }
        console.letters_about(CANCELLED, 9).await;
    }
}

#[tokio::test]
async fn a_second_owner_confirms_a_removal_but_neither_requester_nor_target_nor_an_accomplice() {
    for database in Database::all().await {
        let (console, second, third) = three_owners(database).await;
        let mut attacker = console.owner().await;
        attacker.post(&format!("{PEOPLE}/{second}/role"), &[("role", "partner_viewer")]).await;
        let confirm = format!("{PEOPLE}/{second}/confirm-change");
        let mut target = console.signed_in(RESCUER).await;
        for browser in [&mut attacker, &mut target] {
            let refused = browser.post(&confirm, &[]).await;
            assert_eq!(refused.status, StatusCode::CONFLICT);
            refused.says("Someone else confirms this");
        }
        // The attacker invites an account of their own as an owner.
        attacker.post(&format!("{PEOPLE}/invite"), &INTRUDER).await;
        let invitation = console.mailed_link("ivy@attacker.example");
        let (path, token) = invitation.split_once("?token=").unwrap();
        let mut accomplice = console.browser();
        accomplice.post(path, &[("token", token), ("password", CHOSEN)]).await;
        let refused = accomplice.post(&confirm, &[]).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text());
        refused.says("You have managed members for less than 72 hours.");
        assert_eq!(role(&console, second).await, Some(Role::PartnerOwner));

        let mut colleague = console.signed_in("viewer@alpine.example").await;
        assert!(colleague.get(PEOPLE).await.body.contains(&confirm));
        colleague.get(&confirm).await.says("requested by Olivia Okafor").says("Deniz Demir");
        colleague.post(&confirm, &[]).await.leads_to(PEOPLE, "role-changed");
        assert_eq!(role(&console, second).await, Some(Role::PartnerViewer));
        assert_eq!(newest(&console, 2).await, ["person.role_changed", "owner_change.confirmed"]);
        assert_eq!(role(&console, third).await, Some(Role::PartnerOwner));
        assert_eq!(colleague.post(&confirm, &[]).await.status, StatusCode::NOT_FOUND, "once");
        // A member who does not manage members is removed at once.
        let removed = colleague.post(&format!("{PEOPLE}/{second}/remove"), &[]).await;
        removed.leads_to(PEOPLE, "person-removed");
        console.letters_about(REMOVED, 1).await;
    }
}

#[tokio::test]
async fn a_requested_removal_ends_with_its_requesters_credentials_or_power_and_with_its_targets() {
    for remedy in ["password", "reset", "recovery", "factor", "demoted", "removed", "target demoted"] {
        for database in Database::all().await {
            println!("{remedy} on {}", database.engine);
            let (console, second, third) = three_owners(database).await;
            console.gets_factor(OWNER).await;
            let requester = Actor { is_proven: true, ..console.owner_actor().await };
            let backend = &console.backend;
            backend.remove_person(&requester, console.alpine, second).await.unwrap();
            let [second_actor, third_actor] =
                [console.actor(RESCUER).await, console.actor("viewer@alpine.example").await];
            match remedy {
                "password" => {
                    let client = nobodys_browser();
                    let signed_in = backend.sign_in(OWNER, PASSWORD.into(), &client).await.unwrap();
                    let SignIn::FactorNeeded(entrant) = signed_in else { panic!("{signed_in:?}") };
                    let begun =
                        backend.begin_session(entrant, requester.kind(), Method::Password, client, None).await.unwrap();
                    let seen = backend.factors_at_password_change(&requester).await.unwrap().fingerprint();
                    let here = Kept { session: begun.id, browser: None };
                    let removal = FactorRemoval::default();
                    backend.change_password(&requester, here, CHOSEN, &removal, &seen).await.map(drop).unwrap();
                }
                "reset" => {
                    let begun = backend.begin_password_reset(&third_actor, console.alpine, requester.user_id).await;
                    let BegunReset::Link(reset) = begun.unwrap() else { panic!("a partner’s reset does not wait") };
                    backend.finish_password_reset(reset.token.reveal(), CHOSEN, None).await.map(drop).unwrap();
                }
                "recovery" => backend.recover(OWNER).await.map(drop).unwrap(),
                "factor" => {
                    backend.reset_factor(&third_actor, console.alpine, requester.user_id).await.map(drop).unwrap();
                }
                "demoted" => {
                    let lesser = Role::PartnerViewer;
                    backend.change_role(&third_actor, console.alpine, requester.user_id, lesser).await.unwrap();
                    backend.confirm_owner_change(&second_actor, console.alpine, requester.user_id).await.unwrap();
                }
                "removed" => {
                    backend.remove_person(&third_actor, console.alpine, requester.user_id).await.unwrap();
                    backend.confirm_owner_change(&second_actor, console.alpine, requester.user_id).await.unwrap();
                }
                // Through the organization's identity provider, whose assertion applies at once.
                _ => {
                    let mut transaction = console.store.write().await.unwrap();
                    let now = console.clock.now();
                    server::store::identities::insert(&mut transaction, "https://id.example", "deniz", second, now)
                        .await
                        .unwrap();
                    transaction.commit().await.unwrap();
                    let domains = ["alpine.example".to_owned()];
                    let asserted = Asserted {
                        issuer: "https://id.example",
                        label: "ID",
                        organization: console.alpine,
                        email_domains: &domains,
                        subject: "deniz",
                        email: None,
                        name: None,
                        role: Some(Role::PartnerViewer),
                        proven_at: None,
                        has_second_factor: true,
                    };
                    backend.sign_in_by_provider(asserted, None).await.map(drop).unwrap();
                }
            }
            assert!(newest(&console, 6).await.contains(&"owner_change.cancelled"), "{remedy}");
            console.advance(OWNER_CHANGE_DELAY);
            assert!(console.backend.apply_owner_changes().await.unwrap().is_empty(), "{remedy}");
            assert!(role(&console, second).await.is_some(), "{remedy}");
            assert_eq!(role(&console, third).await, Some(Role::PartnerOwner), "{remedy}");
        }
    }
}

#[tokio::test]
async fn nuveras_admins_are_removed_the_same_way() {
    let console = Console::start().await;
    let mut admin = console.admin().await;
    let auditor = console.user_id("auditor@nuvera.example").await;
    let people = "/organizations/people";
    admin.post(&format!("{people}/{auditor}/role"), &[("role", "nuvera_admin")]).await.leads_to(people, "role-changed");
    let requested = admin.post(&format!("{people}/{auditor}/remove"), &[]).await;
    requested.leads_to(people, "owner-change-requested");
    let page = admin.get(people).await;
    page.says("Aki Auditor will be removed").says("requested by Ada Admin.");
    console.advance(OWNER_CHANGE_DELAY);
    assert_eq!(console.backend.apply_owner_changes().await.unwrap().len(), 1);
}
