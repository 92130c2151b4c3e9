//! Partners are notified of Nuvera's actions at once: on their pages until a member acknowledges it, and by e-mail to
//! owners.

use crate::support::{Browser, Console, LIST, ORIGIN, PEM_A};
use axum::http::StatusCode;
use server::mail::Mailer;
use std::{fs, time::Duration};

const WHY: &str = "The partner <called> us.";

async fn act(console: &Console, admin: &mut Browser, id: &str, action: &str, fields: &[(&str, &str)]) {
    let path = format!("{}/{action}", console.in_hub(id));
    let done = admin.submit(&path, &[fields, &[("reason", WHY), ("ticket", "SUP-4711")]].concat()).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text());
}

#[tokio::test]
async fn what_nuvera_did_is_told_until_somebody_has_seen_it() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let (other, _) = owner.create("Payouts", PEM_A).await;
    assert!(!owner.get(LIST).await.text().contains("Nuvera changed"));
    let mut admin = console.admin().await;
    act(&console, &mut admin, &id, "permissions", &[("permissions", "CUSTOMERS_READ")]).await;
    for path in [LIST.to_owned(), format!("{LIST}/{id}")] {
        let page = owner.get(&path).await;
        page.says("Nuvera changed Ledger").says("Permissions changed").says("by Ada Admin on 23 Nov 2026");
        page.says("Before: PAYMENTS_READ").says(&format!("“{WHY}” Ticket SUP-4711")).says("We have seen it");
    }
    assert!(!owner.get(&format!("{LIST}/{other}")).await.text().contains("Nuvera changed"), "that is another one");
    admin.get(&console.in_hub(&id)).await.says("Nobody of Alpine Pay has seen the latest change by Nuvera yet.");

    let page = owner.get(&format!("{LIST}/{id}")).await;
    let seen_until = page.hidden("version");
    // An action that happened after the page was loaded was not on it, so it stays unacknowledged.
    act(&console, &mut admin, &id, "disable", &[]).await;
    let seen = format!("{LIST}/{id}/seen-support");
    let mut developer = console.signed_in("developer@alpine.example").await;
    console.advance(Duration::from_secs(600));
    let done = developer.post(&seen, &[("version", &seen_until)]).await;
    done.leads_to(&format!("{LIST}/{id}"), "support-seen");
    let page = owner.get(&format!("{LIST}/{id}")).await;
    page.says("Nuvera changed Ledger").says("Application disabled");
    let callout = page.text();
    let callout = &callout[callout.find("Nuvera changed Ledger").unwrap()..callout.find("We have seen it").unwrap()];
    assert!(!callout.contains("Permissions changed"), "{callout}");

    let until = owner.get(LIST).await.hidden("version");
    let done = owner.post(&format!("{LIST}/seen-support"), &[("version", &until)]).await;
    done.leads_to(LIST, "support-seen");
    assert!(!owner.get(LIST).await.text().contains("Nuvera changed"));
    owner.get(&format!("{LIST}/{id}")).await.says("What Nuvera changed was seen by Olivia Okafor on");
    admin.get(&console.in_hub(&id)).await.says("What Nuvera changed was seen by Olivia Okafor on");
    let events = console.events(&id).await;
    assert_eq!(events[..4], ["support.seen", "support.seen", "application.disabled", "permissions.changed"]);

    // Acknowledging twice is harmless: no second event is recorded, and the first member's name stays.
    developer.post(&seen, &[("version", &until)]).await;
    developer.post(&seen, &[("version", "9999")]).await;
    assert_eq!(console.events(&id).await, events);
    owner.get(&format!("{LIST}/{id}")).await.says("seen by Olivia Okafor on");
}

#[tokio::test]
async fn who_may_not_act_is_told_and_cannot_say_that_it_was_seen() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    act(&console, &mut admin, &id, "disable", &[]).await;
    let mut viewer = console.signed_in("viewer@alpine.example").await;
    let page = viewer.get(LIST).await;
    page.says("Nuvera changed Ledger");
    assert!(!page.body.contains("seen-support"));
    let fields = [("version", "99")];
    assert_eq!(viewer.post(&format!("{LIST}/seen-support"), &fields).await.status, StatusCode::FORBIDDEN);
    let in_hub = format!("{}/seen-support", console.in_hub(&id));
    assert_eq!(admin.post(&in_hub, &fields).await.status, StatusCode::FORBIDDEN);
    let mut stranger = console.signed_in("owner@borealis.example").await;
    assert!(!stranger.get(LIST).await.text().contains("Nuvera changed"));
    assert_eq!(stranger.post(&format!("{LIST}/{id}/seen-support"), &fields).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stranger.post(&format!("{LIST}/seen-support"), &fields).await.status, StatusCode::SEE_OTHER);
    owner.get(LIST).await.says("Nuvera changed Ledger");
}

#[tokio::test]
async fn a_claim_says_who_asked_and_why_and_a_replayed_one_says_why_it_is_refused() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    act(&console, &mut admin, &id, "prepare-replacement", &[("grace", "3600")]).await;
    let claim = format!("{LIST}/{id}/claim-replacement");
    let list = owner.get(LIST).await;
    list.says("Nuvera prepared a replacement key for you to claim").says("Ledger: prepared by Ada Admin");
    list.says(&format!("“{WHY}” Ticket SUP-4711")).says("It can be claimed until 26 Nov 2026");
    assert!(!list.text().contains("Nuvera changed"), "nothing has changed yet");
    owner.get(&claim).await.says("by Ada Admin, Nuvera").says(&format!("{WHY} (ticket SUP-4711)"));

    let version = owner.get(&claim).await.hidden("version");
    let mut colleague = console.signed_in("developer@alpine.example").await;
    let claimed = colleague.post(&claim, &[("version", &version)]).await;
    assert_eq!((claimed.status, claimed.keys().len()), (StatusCode::OK, 1));
    // The same form again, and one with the application's current version.
    let replayed = owner.post(&claim, &[("version", &version)]).await;
    assert_eq!((replayed.status, replayed.keys().len()), (StatusCode::CONFLICT, 0));
    replayed.says("Somebody changed this application").says("by Deniz Demir");
    let version = console.application(&id).await.version.to_string();
    let forged = owner.post(&claim, &[("version", &version)]).await;
    assert_eq!((forged.status, forged.keys().len()), (StatusCode::CONFLICT, 0));
    forged
        .says("There is no prepared replacement key any more: it was claimed or withdrawn, or its 72 hours are over.");
    assert_eq!(console.application(&id).await.api_keys.len(), 2, "one key for one claim");
    assert!(!owner.get(LIST).await.text().contains("for you to claim"));
}

/// The decoded messages in the mail folder.
fn letters(folder: &std::path::Path) -> Vec<String> {
    let read = |path| {
        let message = String::from_utf8(fs::read(path).unwrap()).unwrap();
        let (headers, body) = message.split_once("\r\n\r\n").unwrap();
        let body = if headers.contains("quoted-printable") {
            let body = quoted_printable::decode(body, quoted_printable::ParseMode::Strict).unwrap();
            String::from_utf8(body).unwrap()
        } else {
            body.to_owned()
        };
        format!("{headers}\n\n{}", body.replace("\r\n", "\n"))
    };
    fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap().path())).collect()
}

#[tokio::test]
async fn owners_are_told_by_mail_once_and_nobody_waits_for_it() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let folder = tempfile::tempdir().unwrap();
    let mailer = Mailer::folder(folder.path(), "Nuvera <no-reply@nuvera.example>".parse().unwrap()).unwrap();
    assert_eq!(console.backend.tell_owners(&mailer, ORIGIN).await.unwrap(), 0, "what partners do is no news to them");
    let mut admin = console.admin().await;
    act(&console, &mut admin, &id, "permissions", &[("permissions", "CUSTOMERS_READ")]).await;
    let (first, second) =
        tokio::join!(console.backend.tell_owners(&mailer, ORIGIN), console.backend.tell_owners(&mailer, ORIGIN));
    assert_eq!(first.unwrap() + second.unwrap(), 1, "of two servers one writes");
    let letters_now = letters(folder.path());
    assert_eq!(letters_now.len(), 1);
    for words in [
        "To: owner@alpine.example",
        "Permissions changed: “Ledger”",
        "By: “Ada Admin”, Nuvera, on 23 Nov 2026",
        "Before: PAYMENTS_READ\n  After: CUSTOMERS_READ",
        "Why: The partner <called> us. (ticket SUP-4711)",
        &format!("{ORIGIN}{LIST}/{id}"),
    ] {
        assert!(letters_now[0].contains(words), "{words:?} is not in {}", letters_now[0]);
    }
    assert_eq!(console.backend.tell_owners(&mailer, ORIGIN).await.unwrap(), 0, "once");

    // If mail cannot be sent, the change is made all the same, and the pages show it.
    let away = tempfile::tempdir().unwrap();
    let broken =
        Mailer::folder(&away.path().join("mail"), "Nuvera <no-reply@nuvera.example>".parse().unwrap()).unwrap();
    fs::remove_dir_all(away.path().join("mail")).unwrap();
    act(&console, &mut admin, &id, "disable", &[]).await;
    assert_eq!(console.backend.tell_owners(&broken, ORIGIN).await.unwrap(), 0);
    owner.get(LIST).await.says("Application disabled");
}
