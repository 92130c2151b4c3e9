//! Partner organizations: Nuvera's admins create them, invite the first owner, and change, suspend and reinstate them.

use crate::support::{Answer, Browser, Console, Database, LIST, PEM_A, PEM_B};
use axum::http::StatusCode;
use domain::id::OrganizationId;
use std::time::Duration;

const NEW: &str = "/organizations/new";
const CHOSEN: &str = "tulip gravel 84 harbour";
const BECAUSE: [(&str, &str); 2] = [("reason", "Unpaid since March"), ("ticket", "SUP-4711")];
const NOTE: &str = "Pays late; call before noon.";

const CEDAR: [(&str, &str); 5] = [
    ("name", "Cedar Bank"),
    ("contact", "Cleo, cleo@cedar.example"),
    ("note", NOTE),
    ("owner_name", "Cleo Cole"),
    ("owner_email", "Cleo@cedar.example"),
];

/// The organization whose page a response redirects to.
fn created(answer: &Answer) -> OrganizationId {
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    let id = answer.location().strip_prefix("/organizations/").and_then(|rest| rest.strip_suffix("/manage"));
    id.expect("the organization's page").parse().unwrap()
}

async fn joins(console: &Console, link: &str) -> (Browser, Answer) {
    let mut browser = console.browser();
    let (path, token) = link.split_once("?token=").unwrap();
    let answer = browser.post(path, &[("token", token), ("password", CHOSEN)]).await;
    (browser, answer)
}

fn manage(id: OrganizationId) -> String {
    format!("/organizations/{id}/manage")
}

#[tokio::test]
async fn an_admin_creates_a_partner_and_its_first_owner_does_the_rest() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let mut admin = console.admin().await;
        admin.get("/organizations").await.says("Create partner organization");
        admin.get(NEW).await.says("First owner (optional)");
        let answer = admin.post(NEW, &CEDAR).await;
        let id = created(&answer);
        answer.leads_to(&manage(id), "owner-invited");
        let page = admin.get(answer.location()).await;
        page.says("Cleo Cole (cleo@cedar.example), invited by Ada Admin, until").says(NOTE);
        admin.get("/organizations").await.says("Cedar Bank").says("No members");

        let link = console.mailed_link("cleo@cedar.example");
        let mut browser = console.browser();
        browser.get(&link).await.says("Join Cedar Bank").says("Ada Admin invites you").says("Owner");
        let (mut owner, joined) = joins(&console, &link).await;
        joined.leads_to(LIST, "joined");
        let (_, key) = owner.create("Ledger", PEM_A).await;
        assert_eq!(console.gateway_says(&key).await, "malformed_token", "the key works");
        owner.get("/settings/platform/people").await.says("Invite somebody");

        let history = owner.get(&format!("{LIST}/audit.jsonl")).await.body;
        let actions = ["organization.created", "person.invited", "person.joined", "application.created"];
        assert!(actions.iter().all(|action| history.contains(action)), "{history}");
        assert!(!history.contains(NOTE), "the note is Nuvera's own");
        assert!(!admin.get("/organizations").await.text().contains("No members"));
    }
}

#[tokio::test]
async fn a_partner_is_created_without_an_owner_who_is_invited_later_and_again() {
    let console = Console::start().await;
    let mut admin = console.admin().await;
    let answer = admin.post(NEW, &[("name", "Cedar Bank")]).await;
    let id = created(&answer);
    answer.leads_to(&manage(id), "organization-created");
    admin.get(&manage(id)).await.says("No one can sign in for this organization yet.");

    let invite = format!("{}/invite-owner", manage(id));
    let first = [("owner_name", "Cleo Cole"), ("owner_email", "cleo@cedar.example")];
    admin.post(&invite, &first).await.leads_to(&manage(id), "owner-invited");
    let replaced = console.mailed_link("cleo@cedar.example");
    let second = [("owner_name", "Carl Cole"), ("owner_email", "carl@cedar.example")];
    admin.post(&invite, &second).await.leads_to(&manage(id), "owner-invited");
    let page = admin.get(&manage(id)).await;
    assert!(page.text().contains("carl@cedar.example") && !page.text().contains("cleo@cedar.example"));
    assert_eq!(joins(&console, &replaced).await.1.status, StatusCode::GONE, "one link at a time");
    joins(&console, &console.mailed_link("carl@cedar.example")).await.1.leads_to(LIST, "joined");

    // From now on the owner decides who joins: a Nuvera admin cannot make themselves an owner by inviting one.
    let late = admin.post(&invite, &first).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    late.says("Cedar Bank has members already: its owners invite others.");
    assert!(!admin.get(&manage(id)).await.text().contains("First owner"));
    let existing = admin.post(&format!("{}/invite-owner", manage(console.alpine)), &first).await;
    assert_eq!(existing.status, StatusCode::CONFLICT, "nor of an organization from before");
    assert!(console.mailed_links("cleo@cedar.example").is_empty());
}

#[tokio::test]
async fn a_form_with_mistakes_names_all_of_them_keeps_what_was_typed_and_creates_nothing() {
    let console = Console::start().await;
    let mut admin = console.admin().await;
    let answer = admin
        .post(NEW, &[("name", " "), ("contact", "Cleo"), ("note", "Line one\r\nLine two"), ("owner_email", "cleo")])
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer.says("Enter a name for the organization.").says("Enter a name.").says("Enter an e-mail address, such as");
    assert!(answer.body.contains("value=\"Cleo\"") && answer.body.contains("Line one\r\nLine two"), "{}", answer.body);

    for (fields, field, words) in [
        (vec![("name", "alpine PAY")], "name", "Another partner organization has this name."),
        (vec![("name", "https://evil.example")], "name", "Remove the web address"),
        (
            vec![("name", "New"), ("owner_name", "O"), ("owner_email", "owner@alpine.example")],
            "owner_email",
            "This e-mail address cannot be invited.",
        ),
    ] {
        let answer = admin.post(NEW, &fields).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{fields:?}");
        answer.says(words);
        assert!(answer.body.contains(&format!("href=\"#{field}\"")), "{fields:?}");
    }
    let list = admin.get("/organizations").await;
    assert!(!list.body.contains(">New<"), "not even the one whose owner could not be invited");
}

#[tokio::test]
async fn details_are_changed_in_the_version_that_was_seen() {
    let console = Console::start().await;
    let mut admin = console.admin().await;
    let path = manage(console.alpine);
    let seen = admin.get(&path).await.hidden("version");
    fn change<'a>(version: &'a str, name: &'a str, note: &'a str) -> [(&'a str, &'a str); 3] {
        [("version", version), ("name", name), ("note", note)]
    }
    let same = admin.post(&path, &change(&seen, "Alpine Pay", "")).await;
    assert_eq!(same.status, StatusCode::CONFLICT);
    same.says("Nothing was changed");
    admin.post(&path, &change(&seen, "Alpine Payments", NOTE)).await.leads_to(&path, "organization-changed");
    let stale = admin.post(&path, &change(&seen, "Alpine", "Other")).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    stale.says("Another admin changed this organization after you opened this page.");
    assert!(stale.body.contains("value=\"Alpine\""), "what was typed stays");

    let mut owner = console.owner().await;
    owner.get(LIST).await.says("Alpine Payments");
    let history = owner.get(&format!("{LIST}/audit")).await;
    history.says("Organization renamed").says("Alpine Payments").says("Contact or support note changed");
    assert!(!history.text().contains(NOTE));
    admin.get("/organizations?q=payments").await.says("Alpine Payments");
}

#[tokio::test]
async fn a_suspended_organization_is_refused_with_the_reason_until_it_is_reinstated_as_it_was() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let (_, key) = owner.create("Ledger", PEM_A).await;
        let (stopped, stopped_key) = owner.create("Old", PEM_B).await;
        owner.submit(&format!("{LIST}/{stopped}/disable"), &[("reason", "Unused")]).await;
        let mut admin = console.admin().await;
        let (suspend, reinstate) =
            (format!("{}/suspend", manage(console.alpine)), format!("{}/reinstate", manage(console.alpine)));
        admin.get(&suspend).await.says("The gateway will refuse every request of Alpine Pay").says("1 enabled API");
        for (fields, words) in
            [(&[][..], "Enter a reason"), (&BECAUSE[..1], "Enter the reference of the support ticket")]
        {
            let answer = admin.submit(&suspend, fields).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
            answer.says(words);
        }
        assert_eq!(console.gateway_says(&key).await, "malformed_token", "the control");

        let done = admin.submit(&suspend, &BECAUSE).await;
        done.leads_to(&manage(console.alpine), "organization-suspended");
        for key in [&key, &stopped_key] {
            assert_eq!(console.gateway_says(key).await, "organization_suspended");
        }
        console.backend.start().await.unwrap();
        assert_eq!(console.gateway_says(&key).await, "organization_suspended", "after a restart too");
        let wrong = format!("{}x", &key[..key.len() - 1]);
        assert_ne!(console.gateway_says(&wrong).await, "organization_suspended", "told only to who has the whole key");
        let page = owner.get(LIST).await;
        page.says("Nuvera suspended your organization").says("Contact Nuvera support");
        owner.get(&format!("{LIST}/audit")).await.says("Organization suspended").says("Unpaid since March");
        let (_, meanwhile) = owner.create("Meanwhile", PEM_A).await;
        assert_eq!(console.gateway_says(&meanwhile).await, "organization_suspended");
        admin.get("/organizations").await.says("Suspended");
        admin.get(&format!("/organizations/{}", console.borealis)).await;
        let letters = console.letters_about("Your organization at Nuvera was suspended", 1).await;
        assert!(letters[0].contains("owner@alpine.example") && letters[0].contains("Unpaid since March"));

        let again = admin.get(&manage(console.alpine)).await;
        assert!(again.body.contains("/reinstate") && !again.body.contains("/suspend\""), "{}", again.body);
        let done = admin.submit(&reinstate, &BECAUSE).await;
        done.leads_to(&manage(console.alpine), "organization-reinstated");
        for key in [&key, &meanwhile] {
            assert_eq!(console.gateway_says(key).await, "malformed_token", "as before");
        }
        assert_eq!(console.gateway_says(&stopped_key).await, "application_disabled", "as it was");
        assert!(!owner.get(LIST).await.text().contains("suspended your organization"));
        let twice = admin.submit(&reinstate, &BECAUSE).await;
        assert_eq!(twice.status, StatusCode::CONFLICT);
        twice.says("This organization is not suspended.");
        console.letters_about("Your organization at Nuvera was reinstated", 1).await;
    }
}

#[tokio::test]
async fn only_admins_with_a_fresh_proof_manage_organizations() {
    let console = Console::start().await;
    let paths = ["", "/invite-owner", "/suspend", "/reinstate"].map(|path| format!("{}{path}", manage(console.alpine)));
    let fields = [&CEDAR[..], &BECAUSE[..], &[("version", "0")]].concat();

    let mut auditor = console.signed_in("auditor@nuvera.example").await;
    let page = auditor.get(&paths[0]).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.body.contains("<textarea") && !page.body.contains("/suspend"), "facts only");
    assert!(!auditor.get("/organizations").await.body.contains(NEW));
    for path in paths.iter().map(String::as_str).chain([NEW]) {
        assert_eq!(auditor.post(path, &fields).await.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(console.owner().await.post(path, &fields).await.status, StatusCode::FORBIDDEN, "{path}");
    }

    let mut admin = console.admin().await;
    console.advance(Duration::from_secs(11 * 60));
    for path in [NEW, &paths[0], &paths[2]] {
        let asked = admin.post(path, &fields).await;
        assert_eq!(asked.status, StatusCode::FORBIDDEN, "{path}");
        asked.says("Confirm that it is you");
    }
    let nowhere = OrganizationId("01900000-0000-7000-8000-000000000000".parse().unwrap());
    assert_eq!(admin.get(&manage(nowhere)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(admin.get(&manage(console.nuvera)).await.status, StatusCode::NOT_FOUND);
    let (_, key) = console.owner().await.create("Ledger", PEM_A).await;
    assert_eq!(console.gateway_says(&key).await, "malformed_token", "nothing was suspended");
}
