//! The list of applications, creating one, and an application's own pages.

use crate::support::{Console, LIST, PEM_A, PEM_B};
use axum::http::StatusCode;
use domain::permission::PermissionSet;

#[tokio::test]
async fn an_organization_without_applications_is_told_the_first_step() {
    let console = Console::start().await;
    let page = console.owner().await.get(LIST).await;
    assert_eq!(page.status, StatusCode::OK);
    page.says("Create API application");
}

#[tokio::test]
async fn a_new_application_shows_its_key_once() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    for path in [format!("{LIST}/{id}"), LIST.to_owned(), format!("{LIST}/{id}/audit")] {
        let page = owner.get(&path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.keys().is_empty(), "{path}");
        assert!(!page.body.contains(&key[12..47]), "{path}");
    }
    let page = owner.get(&format!("{LIST}/{id}")).await;
    page.says(&key[..12]).says(&key[47..]).says("PAYMENTS_READ").says("Application created");
    assert_eq!(console.events(&id).await, ["api_key.created", "application.created"]);
}

#[tokio::test]
async fn a_colleague_sees_and_manages_the_same_applications() {
    let console = Console::start().await;
    let (id, _) = console.owner().await.create("Ledger", PEM_A).await;
    let mut developer = console.signed_in("developer@alpine.example").await;
    developer.get(LIST).await.says("Ledger");
    let answer = developer.submit(&format!("{LIST}/{id}/rename"), &[("name", "Books")]).await;
    answer.leads_to(&format!("{LIST}/{id}"), "renamed");
    developer.get(&format!("{LIST}/{id}/audit")).await.says("Deniz Demir").says("Books");
}

#[tokio::test]
async fn every_mistake_in_a_form_is_told_at_once_and_what_was_typed_is_kept() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let answer = owner.create_answer("  ", "hello", &["PAYMENTS_WRITE", "CUSTOMERS_READ"]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer
        .says("Enter a name for the application.")
        .says("Paste the public key in PEM form")
        .says("PAYMENTS_WRITE needs PAYMENTS_READ");
    assert!(!answer.body.contains("hello"), "what is no public key may be a private one");
    assert!(answer.body.contains("href=\"#name\"") && answer.body.contains("href=\"#public_key\""), "{}", answer.body);
    let checked: Vec<_> = answer.body.split('<').filter(|tag| tag.contains(" checked")).collect();
    assert_eq!(checked.iter().filter(|tag| tag.contains("name=\"permissions\"")).count(), 2, "{checked:?}");
}

#[tokio::test]
async fn a_private_key_is_refused_and_not_sent_back() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let secret = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----";
    let answer = owner.create_answer("Ledger", secret, &[]).await;
    answer.says("This is a private key.");
    assert!(!answer.body.contains("MIIEvQ"));
}

#[tokio::test]
async fn a_form_that_is_sent_twice_creates_one_application() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let token = owner.get(&format!("{LIST}/new")).await.hidden("creation_token");
    let fields_of = |token| [("creation_token", token), ("name", "Ledger"), ("public_key", PEM_A)];
    assert_eq!(owner.post(&format!("{LIST}/new"), &fields_of(&token)).await.status, StatusCode::OK);
    let again = owner.post(&format!("{LIST}/new"), &fields_of(&token)).await;
    assert_eq!((again.status, again.keys().len()), (StatusCode::CONFLICT, 0));
    again
        .says("You already created this key")
        .says("of Ledger was created at 23 Nov 2026")
        .says("If you did not store it");
    // A lost key is replaced with one click.
    let application = again.application_id();
    let key = console.application(&application).await.api_keys[0].id;
    let fields = [("version", &*again.hidden("version"))];
    let replaced = owner.post(&format!("{LIST}/{application}/api-keys/{key}/replace-unseen"), &fields).await;
    assert_eq!((replaced.status, replaced.keys().len()), (StatusCode::OK, 1));
    // No replacement is offered for a key that is not lost.
    let again = owner.post(&format!("{LIST}/new"), &fields_of(&token)).await;
    again.says("You already created this key").says("The key no longer works");
    assert!(!again.body.contains("replace-unseen"));
    let actor = console.owner_actor().await;
    assert_eq!(console.backend.applications(&actor, console.alpine).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_is_text_wherever_it_is_shown() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let name = "<script>alert(1)</script> =1+1 \"&amp;";
    let (id, _) = owner.create(name, PEM_A).await;
    let actions = ["", "/audit", "/rename", "/disable", "/replace-api-key"];
    for path in actions.map(|action| format!("{LIST}/{id}{action}")).into_iter().chain([LIST.to_owned()]) {
        let page = owner.get(&path).await;
        assert!(!page.body.contains("<script>alert"), "{path}");
    }
    owner.get(LIST).await.says("=1+1");
}

#[tokio::test]
async fn a_name_that_is_taken_is_told_at_its_field() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    owner.create("Ledger", PEM_A).await;
    let answer = owner.create_answer("ledger", PEM_B, &[]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer.says("Another application of your organization has this name.");
    let (id, _) = owner.create("Books", PEM_B).await;
    let answer = owner.submit(&format!("{LIST}/{id}/rename"), &[("name", "LEDGER")]).await;
    answer.says("Another application of your organization has this name.");
    let mut stranger = console.signed_in("owner@borealis.example").await;
    stranger.create("Ledger", crate::support::PEM_C).await;
}

#[tokio::test]
async fn a_public_key_of_another_organization_is_refused_without_naming_it() {
    let console = Console::start().await;
    console.owner().await.create("Ledger", PEM_A).await;
    let mut stranger = console.signed_in("owner@borealis.example").await;
    let answer = stranger.create_answer("Mine", PEM_A, &[]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer.says("registered elsewhere");
    assert!(!answer.text().contains("Alpine"));
}

#[tokio::test]
async fn permissions_change_and_the_history_says_how() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}/permissions");
    let refused = owner.submit(&path, &[("permissions", "SUPPORT_WRITE")]).await;
    refused.says("SUPPORT_WRITE needs SUPPORT_READ");
    let same = owner.submit(&path, &[("permissions", "PAYMENTS_READ")]).await;
    same.says("The permissions are unchanged.");
    let fields = [("permissions", "SUPPORT_WRITE"), ("permissions", "SUPPORT_READ")];
    assert_eq!(owner.submit(&path, &fields).await.status, StatusCode::SEE_OTHER);
    let expected: PermissionSet = "SUPPORT_READ SUPPORT_WRITE".parse().unwrap();
    assert_eq!(console.application(&id).await.permissions, expected);
    owner.get(&format!("{LIST}/{id}/audit")).await.says("PAYMENTS_READ").says("SUPPORT_READ, SUPPORT_WRITE");
}

#[tokio::test]
async fn disabling_takes_a_reason_and_enabling_needs_one() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    let disable = format!("{LIST}/{id}/disable");
    owner.submit(&disable, &[("reason", "laptop stolen")]).await;
    assert_eq!(console.gateway_says(&key).await, "application_disabled");
    owner.get(&format!("{LIST}/{id}")).await.says("laptop stolen").says("Disabled");
    let again = owner.submit(&disable, &[("reason", "again")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    again.says("already disabled");
    let enable = format!("{LIST}/{id}/enable");
    owner.submit(&enable, &[("reason", " ")]).await.says("Enter a reason: it is kept in the audit history.");
    assert!(!console.application(&id).await.is_enabled());
    owner.submit(&enable, &[("reason", "laptop found")]).await;
    assert!(console.application(&id).await.is_enabled());
    assert_eq!(console.gateway_says(&key).await, "malformed_token");
    let expected = ["application.enabled", "application.disabled", "api_key.created", "application.created"];
    assert_eq!(console.events(&id).await, expected);
}

#[tokio::test]
async fn an_emergency_stop_asks_for_no_reason_and_takes_one_in_a_click() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}/disable");
    // Two clicks, from the list and from the application's page: the link, then the button on the page that it opens.
    for page in [LIST.to_owned(), format!("{LIST}/{id}")] {
        assert!(owner.get(&page).await.body.contains(&format!("href=\"{path}\"")), "{page}");
    }
    let form = owner.get(&path).await;
    form.says("Disabling refuses every request from Ledger");
    assert_eq!(console.gateway_says(&key).await, "malformed_token", "nothing has happened yet");
    let suggested = ["Suspected exposure", "Incident in progress", "Wrong deployment"];
    for reason in suggested {
        assert!(form.body.contains(&format!("value=\"{reason}\"")), "{}", form.body);
    }
    let reasons = [
        (vec![], "Emergency stop, no reason given"),
        (vec![("suggested_reason", ""), ("reason", " ")], "Emergency stop, no reason given"),
        (vec![("suggested_reason", suggested[0]), ("reason", "")], "Suspected exposure"),
        (vec![("suggested_reason", ""), ("reason", "stolen laptop")], "stolen laptop"),
        (vec![("suggested_reason", suggested[0]), ("reason", "a log")], "Suspected exposure: a log"),
    ];
    for (fields, reason) in reasons {
        let stopped = owner.submit(&path, &fields).await;
        stopped.leads_to(&format!("{LIST}/{id}"), "disabled");
        assert_eq!(console.gateway_says(&key).await, "application_disabled");
        assert_eq!(console.application(&id).await.disabled.unwrap().reason.as_str(), reason);
        let event = &console.events_of(id.parse().unwrap()).await[0].event;
        assert_eq!(event.reason.as_ref().unwrap().as_str(), reason, "so says the history");
        owner.submit(&format!("{LIST}/{id}/enable"), &[("reason", "found")]).await;
    }
    // The same for an admin: a missing reason or ticket does not block disabling.
    let mut admin = console.admin().await;
    admin.submit(&format!("{}/disable", console.in_hub(&id)), &[]).await.leads_to(&console.in_hub(&id), "disabled");
}

#[tokio::test]
async fn a_page_that_is_out_of_date_changes_nothing_and_says_so() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/{id}/rename");
    let version = owner.get(&path).await.hidden("version");
    let mut colleague = console.signed_in("developer@alpine.example").await;
    colleague.submit(&path, &[("name", "Books")]).await;
    let stale = owner.post(&path, &[("name", "Journal"), ("version", &version)]).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    stale.says("Somebody changed this application").says("Books");
    assert!(stale.body.contains("Journal"), "what was typed is kept");
    // The form in the response has the current version.
    let sent = owner.post(&path, &[("name", "Journal"), ("version", &stale.hidden("version"))]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER);
    // Disabling ignores an outdated version.
    let stop = owner.post(&format!("{LIST}/{id}/disable"), &[("reason", "now"), ("version", "1")]).await;
    assert_eq!(stop.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_address_that_is_no_id_is_not_found() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    for id in ["x", "..", "0", "01900000-0000-7000-8000-00000000000g"] {
        assert_eq!(owner.get(&format!("{LIST}/{id}")).await.status, StatusCode::NOT_FOUND, "{id}");
    }
}
