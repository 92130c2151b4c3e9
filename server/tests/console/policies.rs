//! The pages of the rotation policy and of the security policy, who may change them, and what the history records.

use crate::support::{Console, LIST, PEM_A};
use axum::http::StatusCode;

const POLICY: &str = "/settings/platform/api-applications/rotation-policy";
const STRICT: [(&str, &str); 3] = [("api_key_age", "90"), ("signing_key_age", ""), ("idle", "60")];

#[tokio::test]
async fn an_owner_changes_the_policy_and_everybody_reads_it() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    owner.create("Ledger", PEM_A).await;
    assert!(owner.get(LIST).await.body.contains(&format!("href=\"{POLICY}\"")));
    let page = owner.get(POLICY).await;
    assert_eq!([page.hidden("api_key_age"), page.hidden("signing_key_age"), page.hidden("idle")], ["180", "365", "90"]);
    let changed = owner.submit(POLICY, &STRICT).await;
    changed.leads_to(POLICY, "policy-changed");
    let page = owner.get(changed.location()).await;
    page.says("The rotation policy is changed.");
    assert_eq!([page.hidden("api_key_age"), page.hidden("signing_key_age"), page.hidden("idle")], ["90", "", "60"]);
    let hub = format!("/organizations/{}/rotation-policy", console.alpine);
    let mut developer = console.signed_in("developer@alpine.example").await;
    for page in [developer.get(POLICY).await, console.admin().await.get(&hub).await] {
        page.says("API keys are replaced after90 days").says("Signing keys are replaced afterSwitched off");
        assert!(!page.body.contains("name=\"api_key_age\""), "there is no form for who may not send it");
    }
    let mut stranger = console.signed_in("owner@borealis.example").await;
    assert_eq!(stranger.get(POLICY).await.hidden("api_key_age"), "180", "theirs is another policy");
}

#[tokio::test]
async fn nobody_but_an_owner_changes_the_policy() {
    let console = Console::start().await;
    let hub = format!("/organizations/{}/rotation-policy", console.alpine);
    let fields = [&STRICT[..], &[("version", "0")]].concat();
    let mut developer = console.signed_in("developer@alpine.example").await;
    let mut admin = console.admin().await;
    assert_eq!(developer.post(POLICY, &fields).await.status, StatusCode::FORBIDDEN);
    assert_eq!(developer.post(POLICY, &[("api_key_age", "x")]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(admin.post(&hub, &fields).await.status, StatusCode::FORBIDDEN);
    assert_eq!(admin.post(POLICY, &fields).await.status, StatusCode::FORBIDDEN);
    let mut stranger = console.signed_in("owner@borealis.example").await;
    assert_eq!(stranger.post(&hub, &fields).await.status, StatusCode::FORBIDDEN);
    let mut owner = console.owner().await;
    assert_eq!(owner.get(POLICY).await.hidden("api_key_age"), "180");
    assert_eq!(owner.post(POLICY, &fields).await.status, StatusCode::SEE_OTHER, "the control");
}

#[tokio::test]
async fn every_mistake_in_the_policy_is_told_and_what_was_typed_is_kept() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let fields = [("api_key_age", "7"), ("signing_key_age", "<never>"), ("idle", "120")];
    let answer = owner.submit(POLICY, &fields).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer.says("of days for API keys from 30 to 1095").says("of days for signing keys from 30 to 1095");
    assert!(answer.body.contains("href=\"#api_key_age\"") && answer.body.contains("href=\"#signing_key_age\""));
    assert!(!answer.body.contains("href=\"#idle\"") && !answer.body.contains("<never>"));
    let kept = ["api_key_age", "signing_key_age", "idle"].map(|field| answer.hidden(field));
    assert_eq!(kept, ["7", "&lt;never&gt;", "120"]);
    let same = owner.submit(POLICY, &[("api_key_age", "180"), ("signing_key_age", "365"), ("idle", "90")]).await;
    assert_eq!(same.status, StatusCode::CONFLICT);
    same.says("The rotation policy is unchanged.");
}

#[tokio::test]
async fn a_policy_page_that_is_out_of_date_changes_nothing_and_says_so() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let version = owner.get(POLICY).await.hidden("version");
    owner.submit(POLICY, &STRICT).await;
    let late = [("api_key_age", "365"), ("signing_key_age", "365"), ("idle", ""), ("version", &*version)];
    let stale = owner.post(POLICY, &late).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    stale.says("Somebody changed the rotation policy").says("by Olivia Okafor");
    assert_eq!(stale.hidden("api_key_age"), "365", "what was typed is kept");
    assert_eq!(owner.get(POLICY).await.hidden("api_key_age"), "90");
    let without = owner.post(POLICY, &late[..3]).await;
    assert_eq!(without.status, StatusCode::CONFLICT, "a form without a version is not this console's");
    let version = stale.hidden("version");
    let again = [&late[..3], &[("version", &*version)]].concat();
    assert_eq!(owner.post(POLICY, &again).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_history_says_how_the_policy_was_and_how_it_is() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    owner.submit(POLICY, &STRICT).await;
    let (before, after) = ("API keys are replaced after 180 days", "API keys are replaced after 90 days");
    let history = owner.get(&format!("{LIST}/audit?action=policy.changed")).await;
    history.says("Rotation policy changed").says(before).says(after).says("Alpine Pay");
    let of_application = owner.get(&format!("{LIST}/{id}/audit.jsonl")).await.body;
    assert!(!of_application.contains("policy.changed") && of_application.contains("application.created"));

    let lines = owner.get(&format!("{LIST}/audit.jsonl")).await.body;
    let newest: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(newest["action"], "policy.changed");
    assert!(newest["application_id"].is_null() && newest["application"].is_null(), "{newest}");
    assert!(newest["before"].as_str().unwrap().starts_with(before) && newest["target"] == "Alpine Pay");
    let csv = owner.get(&format!("{LIST}/audit.csv?action=policy.changed")).await.body;
    let row = csv.split("\r\n").nth(1).unwrap();
    assert!(row.contains(&format!(",{},Alpine Pay,,,", console.alpine)), "an empty cell for each: {row}");

    let mut admin = console.admin().await;
    let everyone = admin.get("/organizations/audit?action=policy.changed").await;
    everyone.says("Rotation policy changed");
    assert!(everyone.body.contains(&format!("href=\"/organizations/{}\"", console.alpine)), "{}", everyone.body);
}

const SECURITY: &str = "/settings/platform/api-applications/security-policy";
const SECURE: [(&str, &str); 2] = [("second_factor", "required"), ("nuvera_changes", "confirmed")];

#[tokio::test]
async fn an_owner_changes_the_security_policy_and_everybody_reads_it() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    owner.create("Ledger", PEM_A).await;
    assert!(owner.get(LIST).await.body.contains(&format!("href=\"{SECURITY}\"")));
    let hub = format!("/organizations/{}/security-policy", console.alpine);
    let mut developer = console.signed_in("developer@alpine.example").await;
    let mut admin = console.admin().await;
    for page in [developer.get(SECURITY).await, admin.get(&hub).await] {
        page.says("A second factor when signing inEverybody’s own choice").says("Count at once");
        assert!(!page.body.contains("name=\"second_factor\""), "there is no form for who may not send it");
    }
    let changed = owner.submit(SECURITY, &SECURE).await;
    changed.leads_to(SECURITY, "security-policy-changed");
    // It applies at once, also to the member who changed it.
    let led = owner.get(changed.location()).await;
    assert!(led.location().starts_with("/settings/account/second-factor?next="), "{}", led.location());
    for email in ["owner@alpine.example", "developer@alpine.example"] {
        console.gets_factor(email).await;
    }
    let page = owner.get(changed.location()).await;
    page.says("The security policy is changed.");
    assert!(page.body.contains("value=\"required\" checked") && page.body.contains("value=\"confirmed\" checked"));
    for page in [developer.get(SECURITY).await, admin.get(&hub).await] {
        page.says("Required of everybody").says("Wait for confirmation");
    }
    let history = owner.get(&format!("{LIST}/audit?action=security_policy.changed")).await;
    history.says("Security policy changed").says("Nuvera’s changes of permissions and signing keys count at once");
    history.says("everybody needs a second factor").says("Olivia Okafor");
    let policy = console.backend.security_policy(&console.owner_actor().await, console.alpine).await.unwrap();
    assert!(policy.requires_second_factor() && policy.version == 1);
    let theirs = console.actor("owner@borealis.example").await;
    let policy = console.backend.security_policy(&theirs, console.borealis).await.unwrap();
    assert!(!policy.requires_second_factor(), "theirs is another policy");
}

#[tokio::test]
async fn nobody_but_an_owner_changes_the_security_policy_and_nuvera_has_none() {
    let console = Console::start().await;
    let hub = format!("/organizations/{}/security-policy", console.alpine);
    let fields = [&SECURE[..], &[("version", "0")]].concat();
    let mut developer = console.signed_in("developer@alpine.example").await;
    let mut admin = console.admin().await;
    assert_eq!(developer.post(SECURITY, &fields).await.status, StatusCode::FORBIDDEN);
    assert_eq!(admin.post(&hub, &fields).await.status, StatusCode::FORBIDDEN);
    assert!(admin.get(SECURITY).await.location().starts_with("/sign-in"), "their session is another area's");
    assert_eq!(admin.get("/organizations/security-policy").await.status, StatusCode::NOT_FOUND);
    let nuveras = format!("/organizations/{}/security-policy", console.nuvera);
    assert_eq!(admin.get(&nuveras).await.status, StatusCode::NOT_FOUND);
    let mut stranger = console.signed_in("owner@borealis.example").await;
    assert_eq!(stranger.post(&hub, &fields).await.status, StatusCode::FORBIDDEN);
    let mut owner = console.owner().await;
    console.advance(std::time::Duration::from_secs(600));
    let unproven = owner.post(SECURITY, &fields).await;
    assert_eq!(unproven.status, StatusCode::FORBIDDEN);
    unproven.says("Confirm that it is you");
    let mut owner = console.owner().await;
    assert_eq!(owner.post(SECURITY, &fields).await.status, StatusCode::SEE_OTHER, "the control");
}

#[tokio::test]
async fn a_security_policy_form_that_is_incomplete_or_out_of_date_changes_nothing() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let answer = owner.submit(SECURITY, &[("second_factor", "maybe")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer.says("Choose one of the two.");
    assert!(answer.body.contains("href=\"#second_factor\"") && answer.body.contains("href=\"#nuvera_changes\""));
    let same = owner.submit(SECURITY, &[("second_factor", "optional"), ("nuvera_changes", "at_once")]).await;
    assert_eq!(same.status, StatusCode::CONFLICT);
    same.says("The security policy is unchanged.");
    let version = owner.get(SECURITY).await.hidden("version");
    owner.submit(SECURITY, &SECURE).await;
    console.gets_factor("owner@alpine.example").await;
    // The rotation policy is versioned separately.
    owner.submit(POLICY, &STRICT).await;
    let late = [("second_factor", "optional"), ("nuvera_changes", "at_once"), ("version", &*version)];
    let stale = owner.post(SECURITY, &late).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    stale.says("Somebody changed the security policy").says("Security policy changed (Alpine Pay) by Olivia Okafor");
    let policy = console.backend.security_policy(&console.owner_actor().await, console.alpine).await.unwrap();
    assert!(policy.requires_second_factor());
}
