//! No admin can take over another Nuvera member's account: a reset of a password or second factor waits for 24 hours,
//! with notice to all admins, or for a second admin, and its link is mailed to the member only.

use crate::support::{Answer, Browser, Console, Database, PASSWORD};
use app::paths::Area;
use axum::http::StatusCode;
use domain::{
    access::Role,
    audit::{AuditAction, AuditFilter, AuditScope},
    pending_reset::RESET_DELAY,
    people::OWNER_CHANGE_DELAY,
};
use server::{
    backend::accounts::NewPerson,
    store::{audit, users},
    web::carry_out_due_resets,
};
use std::{fs, time::Duration};

const ADA: &str = "admin@nuvera.example";
const BEA: &str = "bea@nuvera.example";
const CEM: &str = "cem@nuvera.example";
const PEOPLE: &str = "/organizations/people";
const ACCOUNT: &str = "/organizations/account";
const CHOSEN: &str = "tulip gravel 84 harbour";
const INSTANT: Duration = Duration::from_millis(1);

/// A console with three admins. Ada is the one whose account an attacker holds; Bea is the target.
async fn console_on(database: Database) -> Console {
    println!("on {}", database.engine);
    let console = Console::start_on(database).await;
    for (email, name) in [(BEA, "Bea Berg"), (CEM, "Cem Can")] {
        let (organization_id, role) = (console.nuvera, Role::NuveraAdmin);
        let person = NewPerson { organization_id, email, name, role, password: PASSWORD };
        console.backend.add_person(person).await.unwrap();
        console.gets_factor(email).await;
    }
    // Makes all of them long-standing members, so that both resets and owner changes are open to them.
    console.advance(RESET_DELAY.max(OWNER_CHANGE_DELAY));
    console
}

async fn action_on(console: &Console, email: &str, action: &str) -> String {
    format!("{PEOPLE}/{}/{action}", console.user_id(email).await)
}

/// Requests a reset of Bea's password or second factor as Ada. Returns Ada's browser.
async fn requested(console: &Console, action: &str) -> Browser {
    let mut ada = console.signed_in(ADA).await;
    let answer = ada.post(&action_on(console, BEA, action).await, &[]).await;
    answer.leads_to(PEOPLE, "reset-requested");
    ada
}

/// The path of the first form or link on the page that ends with `action`.
fn path_on(page: &Answer, action: &str) -> String {
    let (before, _) = page.body.split_once(&format!("/{action}\"")).unwrap_or_else(|| panic!("{}", page.text()));
    format!("{}/{action}", before.rsplit('"').next().unwrap())
}

/// The events about resets in Nuvera's own history, the newest first, each with its actor.
async fn history(console: &Console) -> Vec<(AuditAction, String)> {
    let mut conn = console.store.read().await.unwrap();
    let scope = AuditScope::Organization(console.nuvera);
    let events = audit::events(&mut conn, scope, AuditFilter::default(), i64::MAX, 100).await.unwrap();
    let about = [
        AuditAction::ResetRequested,
        AuditAction::ResetConfirmed,
        AuditAction::ResetCancelled,
        AuditAction::PasswordResetBegun,
        AuditAction::PasswordReset,
        AuditAction::SecondFactorReset,
    ];
    let events = events.into_iter().map(|recorded| (recorded.event.action, recorded.event.actor.name));
    events.filter(|(action, _)| about.contains(action)).collect()
}

async fn has_factor(console: &Console, email: &str) -> bool {
    let mut conn = console.store.read().await.unwrap();
    users::find_actor(&mut conn, console.user_id(email).await, None).await.unwrap().unwrap().factors.any()
}

/// Whether Bea was mailed a link to choose a password.
fn is_link_mailed(console: &Console) -> bool {
    console.letters().iter().any(|letter| letter.contains("Choose a new password"))
}

async fn choose(console: &Console, link: &str) -> Answer {
    let token = link.split_once("?token=").unwrap().1;
    console.browser().post(Area::Hub.reset(), &[("token", token), ("password", CHOSEN)]).await
}

#[tokio::test]
async fn one_admin_alone_does_not_become_another_one() {
    for database in Database::all().await {
        let console = console_on(database).await;
        let mut bea = console.signed_in(BEA).await;
        let mut ada = requested(&console, "reset-factor").await;
        let answer = ada.post(&action_on(&console, BEA, "reset-password").await, &[]).await;
        answer.leads_to(PEOPLE, "reset-requested");
        assert!(!answer.body.contains("token="));
        let twice = ada.post(&action_on(&console, BEA, "reset-password").await, &[]).await;
        assert_eq!(twice.status, StatusCode::CONFLICT);
        twice.says("A reset of Bea Berg is waiting already");

        // Nothing has changed, and the job changes nothing.
        carry_out_due_resets(&console.web).await;
        assert!(has_factor(&console, BEA).await && !is_link_mailed(&console));
        assert_eq!(bea.get(PEOPLE).await.status, StatusCode::OK, "Bea is still signed in");
        // All admins and Bea are notified of both requests.
        let of_bea = console.letters_about("A reset of your password was requested", 1).await;
        assert!(of_bea[0].contains("To: bea@nuvera.example"));
        console.letters_about("A reset of your second factor was requested", 1).await;
        for what in ["password", "second factor"] {
            let letters = console.letters_about(&format!("A {what} reset was requested for a Nuvera member"), 2).await;
            for email in [ADA, CEM] {
                assert!(letters.iter().any(|letter| letter.contains(&format!("To: {email}"))), "{email}");
            }
        }

        // Neither Ada nor Bea can confirm it.
        let people = ada.get(PEOPLE).await;
        people.says("Ada Admin requested a reset of Bea Berg’s password");
        assert!(!people.body.contains("/confirm\""), "it is not offered");
        let confirm = path_on(&people, "cancel").replace("/cancel", "/confirm");
        for browser in [&mut ada, &mut bea] {
            let refused = browser.post(&confirm, &[]).await;
            assert_eq!(refused.status, StatusCode::CONFLICT);
            refused.says("Another admin has to confirm this reset");
        }
        // Neither an auditor nor a partner's owner can use these actions.
        let mut auditor = console.signed_in("auditor@nuvera.example").await;
        for path in [&confirm, &path_on(&people, "cancel")] {
            assert_eq!(auditor.post(path, &[]).await.status, StatusCode::FORBIDDEN, "{path}");
        }
        assert!(!auditor.get(PEOPLE).await.text().contains("requested a reset"));

        // Bea signs in as usual and cancels both.
        for _ in 0..2 {
            let account = bea.get(ACCOUNT).await;
            account.says("Ada Admin requested a reset of your");
            bea.post(&path_on(&account, "cancel"), &[]).await.leads_to(ACCOUNT, "reset-cancelled");
        }
        console.advance(RESET_DELAY);
        carry_out_due_resets(&console.web).await;
        assert!(has_factor(&console, BEA).await && !is_link_mailed(&console), "cancelled for good");
        let actions: Vec<_> = history(&console).await;
        let (requested, cancelled) = (AuditAction::ResetRequested, AuditAction::ResetCancelled);
        let by = |action, name: &str| (action, name.to_owned());
        assert_eq!(
            actions,
            [
                by(cancelled, "Bea Berg"),
                by(cancelled, "Bea Berg"),
                by(requested, "Ada Admin"),
                by(requested, "Ada Admin")
            ]
        );
    }
}

#[tokio::test]
async fn a_reset_takes_effect_after_24_hours_and_its_link_goes_to_the_member() {
    for database in Database::all().await {
        let console = console_on(database).await;
        requested(&console, "reset-password").await;
        requested(&console, "reset-factor").await;
        console.advance(RESET_DELAY - INSTANT);
        carry_out_due_resets(&console.web).await;
        assert!(has_factor(&console, BEA).await && !is_link_mailed(&console), "not yet");
        console.advance(INSTANT);
        carry_out_due_resets(&console.web).await;
        assert!(!has_factor(&console, BEA).await);
        console.letters_about("The second factor of your Nuvera account was removed", 1).await;
        let link = console.take_reset_link(BEA);
        assert_eq!(choose(&console, &link).await.status, StatusCode::SEE_OTHER);
        assert_eq!(console.browser().sign_in(BEA, CHOSEN).await.status, StatusCode::SEE_OTHER);
        // Once.
        carry_out_due_resets(&console.web).await;
        assert!(!is_link_mailed(&console));
        let actions: Vec<_> = history(&console).await.into_iter().map(|(action, _)| action).collect();
        assert_eq!(actions.len(), 5, "{actions:?}");
        assert_eq!(actions[0], AuditAction::PasswordReset);
        assert!(
            actions.contains(&AuditAction::PasswordResetBegun) && actions.contains(&AuditAction::SecondFactorReset)
        );
        let page = console.signed_in(CEM).await.get("/organizations/audit.jsonl").await;
        page.says("Reset started by Ada Admin");
    }
}

#[tokio::test]
async fn a_second_admin_confirms_a_reset_and_it_takes_effect_at_once() {
    for database in Database::all().await {
        let console = console_on(database).await;
        for action in ["reset-factor", "reset-password"] {
            requested(&console, action).await;
            let mut cem = console.signed_in(CEM).await;
            let confirm = path_on(&cem.get(PEOPLE).await, "confirm");
            // An admin whom Ada may have invited for it cannot confirm it.
            let mut new = newcomer(&console, action).await;
            let refused = new.post(&confirm, &[]).await;
            assert_eq!(refused.status, StatusCode::CONFLICT);
            refused.says("Your account is less than 24 hours old");
            cem.get(&confirm).await.says("Make sure that Bea Berg asked for it");
            console.advance(Duration::from_secs(600));
            let late = cem.post(&confirm, &[]).await;
            assert_eq!(late.status, StatusCode::FORBIDDEN);
            late.says("Confirm that it is you");
            let mut cem = console.signed_in(CEM).await;
            cem.post(&confirm, &[]).await.leads_to(PEOPLE, "reset-completed");
            assert_eq!(cem.post(&confirm, &[]).await.status, StatusCode::NOT_FOUND, "once");
        }
        assert!(!has_factor(&console, BEA).await);
        assert_eq!(choose(&console, &console.take_reset_link(BEA)).await.status, StatusCode::SEE_OTHER);
        let confirmed =
            history(&console).await.into_iter().filter(|(action, _)| *action == AuditAction::ResetConfirmed);
        assert!(confirmed.map(|(_, by)| by).eq(["Cem Can", "Cem Can"]));
    }
}

#[tokio::test]
async fn a_pending_reset_dies_with_the_requesters_power() {
    enum Loss {
        Demoted,
        Removed,
        PasswordChanged,
        Recovered,
        /// Through a path that cancels no pending reset.
        DemotedUnnoticed,
    }
    for loss in [Loss::Demoted, Loss::Removed, Loss::PasswordChanged, Loss::Recovered, Loss::DemotedUnnoticed] {
        let console = console_on(Database::sqlite()).await;
        let mut ada = requested(&console, "reset-factor").await;
        let mut cem = console.signed_in(CEM).await;
        let role = action_on(&console, ADA, "role").await;
        match loss {
            Loss::Demoted => {
                cem.post(&role, &[("role", "nuvera_auditor")]).await.leads_to(PEOPLE, "owner-change-requested");
                confirm_change(&console).await;
            }
            Loss::Removed => {
                let remove = action_on(&console, ADA, "remove").await;
                cem.post(&remove, &[]).await.leads_to(PEOPLE, "owner-change-requested");
                confirm_change(&console).await;
            }
            Loss::PasswordChanged => {
                let page = ada.get("/organizations/account/password").await;
                let changed = change_password(&mut ada, &page).await;
                assert_eq!(changed.notice(), Some("password-changed"), "{}", changed.text());
            }
            Loss::Recovered => {
                console.backend.recover(ADA).await.unwrap();
            }
            Loss::DemotedUnnoticed => {
                let id = console.user_id(ADA).await;
                let mut transaction = console.store.write().await.unwrap();
                users::set_role(&mut transaction, id, Role::NuveraAuditor, console.clock.now()).await.unwrap();
                transaction.commit().await.unwrap();
                console.advance(RESET_DELAY);
                carry_out_due_resets(&console.web).await;
            }
        }
        assert!(console.backend.due_resets().await.unwrap().is_empty());
        console.advance(RESET_DELAY);
        carry_out_due_resets(&console.web).await;
        assert!(has_factor(&console, BEA).await);
        let latest = history(&console).await;
        assert!(latest.iter().any(|(action, _)| *action == AuditAction::ResetCancelled), "{latest:?}");
    }
}

/// Confirms the removal or demotion of the admin who requested the reset, as a second admin.
async fn confirm_change(console: &Console) {
    let mut bea = console.signed_in(BEA).await;
    let confirm = action_on(console, ADA, "confirm-change").await;
    assert_eq!(bea.post(&confirm, &[]).await.status, StatusCode::SEE_OTHER);
}

/// An admin who has just joined.
async fn newcomer(console: &Console, name: &str) -> Browser {
    let email = format!("{name}@nuvera.example");
    let (organization_id, role) = (console.nuvera, Role::NuveraAdmin);
    let person = NewPerson { organization_id, email: &email, name: "New Comer", role, password: PASSWORD };
    console.backend.add_person(person).await.unwrap();
    console.gets_factor(&email).await;
    console.signed_in(&email).await
}

async fn change_password(browser: &mut Browser, page: &Answer) -> Answer {
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let seen = page.hidden("seen");
    browser.post("/organizations/account/password", &[("password", CHOSEN), ("seen", &seen)]).await
}

#[tokio::test]
async fn a_reset_whose_link_cannot_be_mailed_stays_due() {
    let console = console_on(Database::sqlite()).await;
    requested(&console, "reset-password").await;
    console.letters_about("A reset of your password was requested", 1).await;
    console.advance(RESET_DELAY);
    let aside = console.mail.path().with_extension("aside");
    fs::rename(console.mail.path(), &aside).unwrap();
    carry_out_due_resets(&console.web).await;
    fs::rename(&aside, console.mail.path()).unwrap();
    assert_eq!(console.backend.due_resets().await.unwrap().len(), 1);
    carry_out_due_resets(&console.web).await;
    assert_eq!(choose(&console, &console.take_reset_link(BEA)).await.status, StatusCode::SEE_OTHER);
}
