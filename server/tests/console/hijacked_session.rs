//! What an attacker who holds a manager's session for a while can leave behind, and who learns of it.

use crate::support::{Console, Database, PASSWORD, PEOPLE};
use axum::http::StatusCode;
use domain::{
    access::Role,
    audit::{AuditAction, AuditFilter, AuditScope},
};

const CHOSEN: &str = "tulip gravel 84 harbour";
const OWNER: &str = "owner@alpine.example";
const RESCUER: &str = "developer@alpine.example";
const INTRUDER: [(&str, &str); 3] =
    [("name", "Ivy Intruder"), ("email", "ivy@attacker.example"), ("role", "partner_owner")];

/// What the victim, a colleague or the operator does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    None,
    ChangePassword,
    ResetPassword,
    Recover,
    ResetFactor,
}

/// Uses a link with a token to set a password.
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
    for remedy in
        [Remedy::None, Remedy::ChangePassword, Remedy::ResetPassword, Remedy::Recover, Remedy::ResetFactor]
    {
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
                    owner.get("/settings/account/password").await.says("Invitations you sent that are still open are withdrawn.");
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

/// The addresses to which a message with this subject was mailed, once there are as many; and the messages.
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
        for said in ["Ivy Intruder", "ivy@attacker.example", "role Owner", "Olivia Okafor", "Unknown browser, 203.0.113.7"]
        {
            assert!(message.contains(said), "{said}: {message}");
        }
        assert!(message.contains(&format!("http://localhost:3000{PEOPLE}\r\n")), "{message}");
        // The actor alone can say whether someone else uses their account.
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
    // Nothing of it goes to another organization.
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
