//! The audit histories of an application, of an organization and of all organizations, as pages and as exported files.

use crate::support::{Console, LIST, PEM_A, PEM_B, START};
use axum::http::StatusCode;
use domain::{access::Operation, text::ApplicationName};
use futures::StreamExt;
use server::backend::{Asked, Said};
use std::time::Duration;

async fn rename_often(console: &Console, id: &str, times: usize) {
    let actor = console.owner_actor().await;
    let asked = Asked { actor: &actor, organization: console.alpine, application: id.parse().unwrap() };
    for number in 0..times {
        let name = ApplicationName::new(&format!("Name-{number}-")).unwrap();
        let rename =
            console.backend.change(asked, Operation::RenameApplication, Said::default(), |a, by| a.rename(name, by));
        rename.await.unwrap();
    }
}

#[tokio::test]
async fn the_history_says_who_did_what_from_where_and_pages_without_a_gap() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    rename_often(&console, &id, 60).await;
    let newest = owner.get(&format!("{LIST}/{id}/audit")).await;
    newest.says("Name-59-").says("Name-10-");
    assert!(!newest.text().contains("Name-8-"), "{}", newest.text());
    let at = newest.body.find("?before=").expect("a link to older events");
    let before: String = newest.body[at + 8..].chars().take_while(char::is_ascii_digit).collect();
    let older = owner.get(&format!("{LIST}/{id}/audit?before={before}")).await;
    older.says("Name-9-").says("Application created").says("Olivia Okafor").says("203.0.113.7");
    assert!(!older.text().contains("Name-10- "), "{}", older.text());
    assert!(!older.body.contains("?before="), "nothing is older");
}

#[tokio::test]
async fn from_where_nuveras_people_acted_their_own_side_sees() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    admin.address = "198.51.100.77".into();
    admin.submit(&format!("{}/disable", console.in_hub(&id)), &[("reason", "asked for")]).await;
    let hub = format!("/organizations/{}", console.alpine);
    for (browser, list, sees) in [(&mut owner, LIST, false), (&mut admin, &*hub, true)] {
        for file in ["/audit", "/audit.csv", "/audit.jsonl"] {
            let history = browser.get(&format!("{list}{file}")).await;
            history.says("Ada Admin").says("203.0.113.7");
            assert_eq!(history.body.contains("198.51.100.77"), sees, "{list}{file}");
        }
    }
}

#[tokio::test]
async fn a_history_is_filtered_by_its_address_and_pages_keep_the_filter() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    rename_often(&console, &id, 60).await;
    let created = owner.get(&format!("{LIST}/audit?action=application.created&actor=&kind=&from=&until=")).await;
    created.says("Application created").says("Ledger");
    assert!(!created.text().contains("Name-59- →"), "{}", created.text());
    let renamed = owner.get(&format!("{LIST}/{id}/audit?action=application.renamed&kind=partner")).await;
    assert!(renamed.body.contains("?action=application.renamed&amp;kind=partner&amp;before="), "{}", renamed.body);
    owner.get(&format!("{LIST}/audit?kind=nuvera")).await.says("Nothing in this history fits.");
    let until = START.input_value();
    owner.get(&format!("{LIST}/audit?until={until}")).await.says("Nothing in this history fits.");
    owner.get(&format!("{LIST}/audit?from={until}")).await.says("Name-59-");
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_told_at_its_field() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    for (query, words) in [
        ("from=yesterday", "Enter a date and a time (UTC)"),
        ("action=application.exploded", "There is no such change."),
        ("actor=me", "There is no such person."),
        ("kind=aliens", "Choose one of the sides"),
    ] {
        for suffix in ["", ".csv", ".jsonl"] {
            let answer = owner.get(&format!("{LIST}/audit{suffix}?{query}")).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
            answer.says(words);
        }
    }
}

#[tokio::test]
async fn a_history_is_had_as_a_file_however_long_it_is() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    rename_often(&console, &id, 1_010).await;
    let answer = owner.get(&format!("{LIST}/audit.jsonl")).await;
    assert!(answer.header("content-disposition").contains("audit-history.jsonl"));
    let lines: Vec<serde_json::Value> =
        answer.body.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect();
    let sequences: Vec<_> = lines.iter().map(|line| line["sequence"].as_i64().unwrap()).collect();
    assert_eq!(sequences, (1..=1_012).rev().collect::<Vec<_>>(), "every event once, the newest first");
    assert_eq!(lines[0]["after"], "Name-1009-");
    assert_eq!(lines[0]["at"], START.rfc3339());
    let csv = owner.get(&format!("{LIST}/audit.csv?action=application.created")).await;
    assert!(csv.header("content-type").starts_with("text/csv"));
    let rows: Vec<_> = csv.body.split("\r\n").collect();
    assert_eq!(rows.len(), 3, "a header, a row, and the end of the last line: {}", csv.body);
    assert!(rows[0].starts_with("\u{FEFF}sequence,at,organization_id,organization,application_id,"), "{}", rows[0]);
    assert!(rows[1].contains("Olivia Okafor,partner,203.0.113.7,application.created,Ledger"), "{}", rows[1]);
}

#[tokio::test]
async fn a_file_that_is_being_sent_ends_with_the_session() {
    for signs_out in [false, true] {
        let console = Console::start().await;
        let mut owner = console.owner().await;
        let (id, _) = owner.create("Ledger", PEM_A).await;
        rename_often(&console, &id, 510).await;
        let mut file = owner.response(&format!("{LIST}/audit.jsonl")).await.into_body().into_data_stream();
        assert!(file.next().await.unwrap().unwrap().starts_with(b"{\"sequence\":512,"));
        if signs_out {
            assert_eq!(owner.post("/sign-out", &[]).await.status, StatusCode::SEE_OTHER);
        }
        let rest = file.next().await.unwrap();
        assert_eq!(rest.is_err(), signs_out, "the file breaks off only where the session has ended");
    }
}

#[tokio::test]
async fn one_users_requests_leave_room_for_others_and_never_hold_up_a_stop() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let path = format!("{LIST}/audit.jsonl");
    // A response stays in progress until its body has been read.
    let mut open = Vec::new();
    for _ in 0..32 {
        let response = owner.response(&path).await;
        assert_eq!(response.status(), StatusCode::OK);
        open.push(response);
    }
    let refused = owner.get(LIST).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    let mut developer = console.signed_in("developer@alpine.example").await;
    assert_eq!(developer.get(LIST).await.status, StatusCode::OK, "another user is served");
    let stopped = owner.post(&format!("{LIST}/{id}/disable"), &[("reason", "leaked")]).await;
    assert_eq!(stopped.status, StatusCode::SEE_OTHER, "{}", stopped.text());
    drop(open);
    assert_eq!(owner.get(LIST).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_spreadsheet_is_given_no_formula() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    owner.create("=HYPERLINK(\"mailto:evil\",\"pay\")", PEM_A).await;
    let csv = owner.get(&format!("{LIST}/audit.csv")).await.body;
    assert!(csv.contains(r#""'=HYPERLINK(""mailto:evil"",""pay"")""#), "{csv}");
    let jsonl = owner.get(&format!("{LIST}/audit.jsonl")).await.body;
    assert!(jsonl.contains(r#""=HYPERLINK("#), "as it is, for machines: {jsonl}");
}

#[tokio::test]
async fn an_admin_reads_the_history_across_organizations_and_a_partner_their_own() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let mut stranger = console.signed_in("owner@borealis.example").await;
    owner.create("Ledger", PEM_A).await;
    console.advance(Duration::from_secs(1));
    stranger.create("Payouts", PEM_B).await;
    let mut admin = console.admin().await;
    for path in ["/organizations/audit", "/organizations/audit.csv", "/organizations/audit.jsonl"] {
        let answer = admin.get(path).await;
        assert_eq!(answer.status, StatusCode::OK);
        for words in ["Ledger", "Payouts", "Alpine Pay", "Borealis Finance"] {
            assert!(answer.body.contains(words), "{path}: {words}");
        }
        assert!(owner.get(path).await.location().starts_with("/organizations/sign-in"), "{path}");
    }
    for suffix in ["", ".csv", ".jsonl"] {
        let answer = admin.get(&format!("/organizations/{}/audit{suffix}", console.alpine)).await;
        assert!(answer.body.contains("Ledger") && !answer.body.contains("Payouts"));
        let answer = owner.get(&format!("{LIST}/audit{suffix}")).await;
        assert!(answer.body.contains("Ledger") && !answer.body.contains("Payouts"));
    }
}
