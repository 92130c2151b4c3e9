//! Proof of possession of a private key: the command that the page prints is run unchanged.

use crate::support::{Answer, Browser, Console, LIST, PEM_A};
use axum::http::StatusCode;
use domain::{audit::AuditAction, id::SigningKeyId};
use server::store::usage::{self, KeyUsage};
use std::{path::Path, process::Command, time::Duration};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder with `private.pem`, and the public key in PEM.
fn key_pair() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let commands = "openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out private.pem && openssl pkey -in private.pem -pubout";
    let public = shell(folder.path(), commands);
    (folder, public)
}

fn shell(folder: &Path, commands: &str) -> String {
    let output = Command::new("sh").args(["-c", commands]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the command on the page in the folder of the private key. Returns its output.
fn sign_as_told(page: &Answer, folder: &Path) -> String {
    let text = page.text();
    let from = text.find("printf '%s'").expect("the page prints a command");
    let end = "openssl base64 -A";
    let to = from + text[from..].find(end).unwrap() + end.len();
    shell(folder, &text[from..to])
}

async fn register(browser: &mut Browser, name: &str, fields: [(&str, &str); 3]) -> Answer {
    let mut all = vec![("name", name), ("creation_token", name)];
    all.extend(fields);
    browser.post(&format!("{LIST}/new"), &all).await
}

/// Records a request signed with this key, as the gateway does.
async fn use_signing_key(console: &Console, id: SigningKeyId) {
    let (now, address, user_agent) = (console.clock.now(), "203.0.113.9".to_owned(), "curl/8".to_owned());
    let seen = KeyUsage { first_used_at: now, last_used_at: now, address, user_agent, requests: 1 };
    let mut transaction = console.store.write().await.unwrap();
    usage::add_signing_key(&mut transaction, id, &seen).await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn the_printed_command_proves_a_pasted_key() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (folder, public) = key_pair();
    let page = owner.get(&format!("{LIST}/new")).await;
    let (challenge, proof) = (page.hidden("challenge"), sign_as_told(&page, folder.path()));
    console.advance(DAY - Duration::from_millis(1));
    let mut owner = console.owner().await;
    let created =
        register(&mut owner, "Ledger", [("public_key", &public), ("challenge", &challenge), ("proof", &proof)]).await;
    assert_eq!(created.status, StatusCode::OK, "{}", created.text());
    let application = console.application(&created.application_id()).await;
    assert_eq!(application.current_signing_key().proven_at, Some(console.clock.now()));
}

#[tokio::test]
async fn without_proof_a_key_counts_as_not_yet_proven_until_its_first_request() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let page = format!("{LIST}/{id}");
    owner.get(&page).await.says("Not yet proven");
    let history = console.events_of(id.parse().unwrap()).await;
    let created = history.iter().find(|event| event.event.action == AuditAction::ApplicationCreated).unwrap();
    assert!(created.event.after.as_ref().unwrap().ends_with("(possession not proven)"));
    use_signing_key(&console, console.application(&id).await.current_signing_key().id).await;
    owner.get(&page).await.says("Possession proven by a request");
}

#[tokio::test]
async fn what_proves_nothing_is_refused_with_its_reason_and_kept_where_it_can_be_used_again() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (folder, public) = key_pair();
    let (other_folder, _) = key_pair();
    let page = owner.get(&format!("{LIST}/new")).await;
    let challenge = page.hidden("challenge");
    let [proof, by_another] = [&folder, &other_folder].map(|folder| sign_as_told(&page, folder.path()));
    let of_another_text = sign_as_told(&owner.get(&format!("{LIST}/new")).await, folder.path());
    let mut other_organization = console.signed_in("owner@borealis.example").await;
    let theirs = other_organization.get(&format!("{LIST}/new")).await;
    let (their_challenge, for_them) = (theirs.hidden("challenge"), sign_as_told(&theirs, folder.path()));
    let invented = challenge.replacen("proof-v1", "proof-v2", 1);
    let (wrong, invalid) = ("was not made by the private half", "no longer valid");
    for (challenge, proof, words) in [
        (&challenge, &by_another, wrong),
        (&challenge, &of_another_text, wrong),
        (&their_challenge, &for_them, invalid),
        (&invented, &proof, invalid),
        (&String::new(), &proof, invalid),
        (&challenge, &"not base64!".to_owned(), "no signature in base64"),
    ] {
        let fields = [("public_key", &*public), ("challenge", challenge), ("proof", proof)];
        let refused = register(&mut owner, "Ledger", fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        refused.says(words).says("Ledger");
        // A challenge that is no longer valid is replaced with a new one.
        assert_eq!(refused.hidden("challenge") == *challenge, words != invalid);
    }
    console.advance(DAY);
    let mut owner = console.owner().await;
    let fields = [("public_key", &*public), ("challenge", &*challenge), ("proof", &*proof)];
    register(&mut owner, "Ledger", fields).await.says(invalid);
    owner.get(LIST).await.says("No API application yet");
}

#[tokio::test]
async fn a_mistake_elsewhere_in_the_form_costs_no_second_signature() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (folder, public) = key_pair();
    let page = owner.get(&format!("{LIST}/new")).await;
    let (challenge, proof) = (page.hidden("challenge"), sign_as_told(&page, folder.path()));
    let fields = [("public_key", &*public), ("challenge", &*challenge), ("proof", &*proof)];
    let refused = register(&mut owner, "", fields).await;
    assert_eq!(refused.hidden("challenge"), challenge);
    refused.says(proof.trim());
}

#[tokio::test]
async fn a_replacement_is_proven_in_the_same_way_in_the_hub_as_well() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let (folder, public) = key_pair();
    let mut admin = console.admin().await;
    let path = format!("{}/replace-signing-key", console.in_hub(&id));
    let page = admin.get(&path).await;
    let (challenge, proof) = (page.hidden("challenge"), sign_as_told(&page, folder.path()));
    let fields = [
        ("public_key", &*public),
        ("challenge", &challenge),
        ("proof", &proof),
        ("overlap", "none"),
        ("reason", "asked for by telephone"),
        ("ticket", "SUP-4711"),
    ];
    admin.submit(&path, &fields).await;
    assert_eq!(console.application(&id).await.current_signing_key().proven_at, Some(console.clock.now()));
    owner.get(&format!("{LIST}/{id}")).await.says("Possession proven");
}
