//! Support actions by Nuvera's admins, and what the partners see of them.

use crate::support::{Browser, Console, LIST, PEM_A, PEM_B, PEM_C, START};
use axum::http::StatusCode;
use domain::api_key::ApiKeyStatus;
use std::time::Duration;

const WHY: &str = "The partner called us.";
const TICKET: &str = "SUP-4711";
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn an_organization_is_found_by_a_part_of_its_name() {
    let console = Console::start().await;
    let mut admin = console.admin().await;
    let all = admin.get("/organizations").await;
    all.says("Alpine Pay").says("Borealis Finance");
    assert!(!all.text().contains("Customer Co"), "customers have no API applications");
    let found = admin.get("/organizations?q=ALPI").await;
    found.says("Alpine Pay");
    assert!(!found.text().contains("Borealis"));
    admin.get("/organizations?q=%3Cnobody%3E").await.says("Nothing found for “<nobody>”");
    let organization = admin.get(&format!("/organizations/{}", console.alpine)).await;
    organization.says("No API application yet").says("You act for Nuvera in Alpine Pay");
}

/// A form's path, its fields, and the code of the audit event that it causes.
type Form = (String, &'static [(&'static str, &'static str)], &'static str);

/// The forms of an admin's changes.
fn changes(key: &str) -> [Form; 6] {
    [
        ("/permissions".into(), &[("permissions", "CUSTOMERS_READ")], "permissions.changed"),
        ("/replace-signing-key".into(), &[("public_key", PEM_B), ("overlap", "3600")], "signing_key.replaced"),
        ("/prepare-replacement".into(), &[("grace", "3600")], "replacement.prepared"),
        ("/disable".into(), &[], "application.disabled"),
        ("/enable".into(), &[], "application.enabled"),
        (format!("/api-keys/{key}/revoke"), &[("confirm_name", "Ledger")], "api_key.revoked"),
    ]
}

#[tokio::test]
async fn an_admin_changes_nothing_without_a_reason_and_a_ticket_and_the_partner_reads_both() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let key = console.application(&id).await.api_keys[0].id.to_string();
    let mut admin = console.admin().await;
    for (action, fields, event) in changes(&key) {
        let path = format!("{}{action}", console.in_hub(&id));
        let before = console.application(&id).await;
        // An emergency stop needs neither a reason nor a ticket.
        if action != "/disable" {
            let silent = admin.submit(&path, fields).await;
            assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY, "{action}");
            silent.says("Enter a reason");
        }
        assert_eq!(console.application(&id).await, before, "{action}");
        for (ticket, told) in [("", "Enter the ticket’s reference, such as"), ("see mail", "3 to 40 letters, digits")]
        {
            if action == "/disable" {
                continue; // An emergency stop accepts any ticket, also none.
            }
            let answer = admin.submit(&path, &[fields, &[("reason", WHY), ("ticket", ticket)]].concat()).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{action}");
            answer.says(told);
            assert!(answer.body.contains("href=\"#ticket\""), "{action}");
            assert_eq!(console.application(&id).await, before, "{action}");
        }

        let done = admin.submit(&path, &[fields, &[("reason", WHY), ("ticket", TICKET)]].concat()).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{action}: {}", done.text());
        assert!(done.location().starts_with(&console.in_hub(&id)), "{}", done.location());
        assert_eq!(admin.get(done.location()).await.status, StatusCode::OK);
        let newest = &console.events_of(id.parse().unwrap()).await[0].event;
        assert_eq!(newest.action.code(), event);
        let history = owner.get(&format!("{LIST}/{id}/audit?action={event}")).await;
        history.says("Ada Admin Nuvera").says(&format!("“{WHY}” Ticket {TICKET}"));
    }
}

#[tokio::test]
async fn the_partner_is_told_that_nuvera_stopped_an_application_and_why() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    admin.submit(&format!("{}/disable", console.in_hub(&id)), &[("reason", WHY), ("ticket", TICKET)]).await;
    assert_eq!(console.gateway_says(&key).await, "application_disabled");
    owner.get(&format!("{LIST}/{id}")).await.says("By Ada Admin Nuvera on").says(&format!("“{WHY}”"));
    admin.get("/organizations").await.says("Alpine PayAPI applications1").says("1 application disabled");
}

#[tokio::test]
async fn an_emergency_stop_is_not_held_up_by_a_ticket_and_names_one_that_there_is() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    let disable = format!("{}/disable", console.in_hub(&id));
    admin.get(&disable).await.says("Leave it empty if there is none yet.").says("Ticket reference (optional)");
    admin.get(&format!("{}/permissions", console.in_hub(&id))).await.says("The support case, as Alpine Pay knows it");
    assert!(
        !owner.get(&format!("{LIST}/{id}/disable")).await.text().contains("Ticket"),
        "partners have no tickets here"
    );
    admin.submit(&disable, &[("reason", WHY)]).await;
    assert_eq!(console.gateway_says(&key).await, "application_disabled");
    let enable = format!("{}/enable", console.in_hub(&id));
    admin.submit(&enable, &[("reason", WHY)]).await.says("Enter the ticket’s reference");
    admin.submit(&enable, &[("reason", WHY), ("ticket", TICKET)]).await;
    admin.submit(&disable, &[("reason", "Again"), ("ticket", "#12")]).await;
    owner.get(&format!("{LIST}/{id}")).await.says("“Again” Ticket #12");

    let history = owner.get(&format!("{LIST}/{id}/audit.jsonl")).await.body;
    let lines: Vec<serde_json::Value> = history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tickets: Vec<_> = lines.iter().take(3).map(|line| line["ticket"].as_str()).collect();
    assert_eq!(tickets, [Some("#12"), Some(TICKET), None]);
    let csv = owner.get(&format!("{LIST}/{id}/audit.csv")).await.body;
    let mut rows = csv.split("\r\n");
    assert!(rows.next().unwrap().ends_with(",reason,ticket"));
    assert!(rows.next().unwrap().ends_with(",Again,#12"), "{csv}");
}

#[tokio::test]
async fn an_admin_is_offered_and_allowed_nothing_that_is_the_partners() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let key = console.application(&id).await.api_keys[0].id;
    let before = console.application(&id).await;
    let mut admin = console.admin().await;
    let page = admin.get(&console.in_hub(&id)).await;
    for action in [
        "/rename".to_owned(),
        "/replace-api-key".into(),
        "/replace-exposed-api-key".into(),
        "/claim-replacement".into(),
        format!("/api-keys/{key}/deadline"),
        format!("/api-keys/{key}/keep"),
        format!("/api-keys/{key}/stored"),
    ] {
        assert!(!page.body.contains(&format!("{action}\"")), "{action} is offered");
        let path = format!("{}{action}", console.in_hub(&id));
        let fields = [("version", "1"), ("reason", WHY), ("ticket", TICKET), ("name", "Theirs"), ("grace", "3600")];
        assert_eq!(admin.post(&path, &fields).await.status, StatusCode::FORBIDDEN, "{action}");
    }
    // The control: actions that an admin may take are offered.
    assert!(page.body.contains("/permissions\"") && page.body.contains("/prepare-replacement\""), "{}", page.body);
    // Key pairs are generated by the partner: the hub offers no generator.
    let form = admin.get(&format!("{}/replace-signing-key", console.in_hub(&id))).await;
    assert!(!form.text().contains("Generate") && form.body.contains("name=\"public_key\""));
    // Nuvera itself has no API applications.
    assert!(admin.get(&format!("{LIST}/new")).await.location().starts_with("/sign-in"));
    assert_eq!(admin.get(&format!("/organizations/{}", console.nuvera)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(console.application(&id).await, before);
}

async fn prepare(console: &Console, admin: &mut Browser, id: &str, grace: &str) {
    let path = format!("{}/prepare-replacement", console.in_hub(id));
    let answer = admin.submit(&path, &[("grace", grace), ("reason", WHY), ("ticket", TICKET)]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    assert!(answer.keys().is_empty());
    assert!(admin.get(answer.location()).await.keys().is_empty(), "an admin never sees a key");
}

#[tokio::test]
async fn a_prepared_replacement_is_claimed_by_the_partner_who_alone_sees_the_key() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, old) = owner.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    prepare(&console, &mut admin, &id, "3600").await;
    owner.get(LIST).await.says("Key to claim");
    owner.get(&format!("{LIST}/{id}")).await.says("Nuvera prepared a replacement key for you").says(WHY);
    assert_eq!(console.gateway_says(&old).await, "malformed_token", "nothing stopped");

    console.advance(Duration::from_secs(71 * 3600));
    let mut colleague = console.signed_in("developer@alpine.example").await;
    let claimed = colleague.submit(&format!("{LIST}/{id}/claim-replacement"), &[]).await;
    assert_eq!((claimed.status, claimed.keys().len()), (StatusCode::OK, 1), "{}", claimed.text());
    assert_eq!(console.gateway_says(&claimed.keys()[0]).await, "malformed_token", "the new key works");
    let at = console.clock.now().plus(Duration::from_secs(3600));
    let old_key = &console.application(&id).await.api_keys[1];
    assert_eq!(old_key.status(console.clock.now()), ApiKeyStatus::Expiring { at }, "the window begins at the claim");
    let events = ["api_key.expiring", "api_key.created", "replacement.claimed", "replacement.prepared"];
    assert_eq!(console.events(&id).await[..4], events);
    colleague.get(&format!("{LIST}/{id}/audit")).await.says("prepared by Ada Admin");

    // A replacement is claimed only once: neither the same form nor a reloaded page issues it again.
    let again = colleague.post(&format!("{LIST}/{id}/claim-replacement"), &[("version", "3")]).await;
    assert_eq!((again.status, again.keys().len()), (StatusCode::CONFLICT, 0));
    colleague.get(&format!("{LIST}/{id}/claim-replacement")).await.says("There is no prepared replacement key");
}

#[tokio::test]
async fn a_key_that_nuvera_reported_as_exposed_gets_no_more_time_from_the_partner() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, old) = owner.create("Ledger", PEM_A).await;
    owner.submit(&format!("{LIST}/{id}/replace-api-key"), &[("grace", "3600")]).await;
    let key = console.application(&id).await.api_keys[1].id;
    let (deadline, keep) = (format!("{LIST}/{id}/api-keys/{key}/deadline"), format!("{LIST}/{id}/api-keys/{key}/keep"));
    let later = START.plus(HOUR * 2).input_value();
    let moved = owner.submit(&deadline, &[("deadline", &later)]).await;
    assert_eq!(moved.status, StatusCode::SEE_OTHER, "the control: before the report it gets more time");

    let mut admin = console.admin().await;
    prepare(&console, &mut admin, &id, "none").await;
    let exposed = "This key was reported as exposed";
    let even_later = START.plus(HOUR * 3).input_value();
    owner.submit(&deadline, &[("deadline", &even_later)]).await.says(exposed);
    let version = owner.get(&deadline).await.hidden("version");
    let kept = owner.post(&keep, &[("version", &version)]).await;
    assert_eq!(kept.status, StatusCode::CONFLICT);
    kept.says(exposed);
    let rotated = owner.submit(&format!("{LIST}/{id}/replace-api-key"), &[("grace", "3600")]).await;
    rotated.says("was reported as exposed, so it gets no grace window");
    assert!(rotated.keys().is_empty());
    let earlier = START.plus(HOUR).input_value();
    let moved = owner.submit(&deadline, &[("deadline", &earlier)]).await;
    assert_eq!(moved.status, StatusCode::SEE_OTHER, "it can be ended earlier");
    assert_eq!(console.gateway_says(&old).await, "malformed_token", "until then it works");
}

#[tokio::test]
async fn a_prepared_replacement_is_withdrawn_declined_or_lapses() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    let claim = format!("{LIST}/{id}/claim-replacement");
    let nothing = "There is no prepared replacement key";
    prepare(&console, &mut admin, &id, "none").await;
    let withdraw = format!("{}/withdraw-replacement", console.in_hub(&id));
    admin.submit(&withdraw, &[]).await.says("Enter a reason");
    assert_eq!(admin.submit(&withdraw, &[("reason", WHY), ("ticket", TICKET)]).await.status, StatusCode::SEE_OTHER);
    owner.get(&claim).await.says(nothing);

    prepare(&console, &mut admin, &id, "none").await;
    let declined = owner.submit(&format!("{LIST}/{id}/withdraw-replacement"), &[]).await;
    assert_eq!(declined.status, StatusCode::SEE_OTHER, "a partner declines without a word: {}", declined.text());
    owner.get(&claim).await.says(nothing);

    prepare(&console, &mut admin, &id, "none").await;
    let version = owner.get(&claim).await.hidden("version");
    console.advance(Duration::from_secs(72 * 3600));
    let mut owner = console.owner().await;
    owner.get(&claim).await.says(nothing);
    let late = owner.post(&claim, &[("version", &version)]).await;
    assert_eq!((late.status, late.keys().len()), (StatusCode::CONFLICT, 0));
    late.says("its 72 hours are over");
    assert_eq!(console.application(&id).await.api_keys.len(), 1);
}

#[tokio::test]
async fn an_admin_cannot_register_a_key_that_another_organization_has() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    console.signed_in("owner@borealis.example").await.create("Payouts", PEM_C).await;
    let mut admin = console.admin().await;
    let path = format!("{}/replace-signing-key", console.in_hub(&id));
    let refused =
        admin.submit(&path, &[("public_key", PEM_C), ("overlap", "none"), ("reason", WHY), ("ticket", TICKET)]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.says("registered elsewhere");
}
