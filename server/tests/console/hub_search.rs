//! The organization hub: searches find what exists, secrets are not kept or forwarded, and organizations that need
//! attention come first.

use crate::support::{Answer, Browser, Console, LIST, PEM_A, PEM_B, PEM_C};
use app::paths::Area;
use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use domain::{
    health::{MANY_REFUSALS, UNUSED_AFTER},
    id::{ApiKeyId, ApplicationId, RequestId},
    public_key::PublicKey,
    request::{SeenRefusal, SeenRequest},
    time::Timestamp,
};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const HUB: &str = "/organizations";

/// Submits a search and follows its redirects, as a browser does.
async fn search(browser: &mut Browser, typed: &str) -> Answer {
    let sent = browser.post(HUB, &[("q", typed)]).await;
    if sent.status != StatusCode::SEE_OTHER {
        return sent;
    }
    let mut answer = browser.get(sent.location()).await;
    if answer.status == StatusCode::SEE_OTHER {
        answer = browser.get(answer.location()).await;
    }
    answer
}

/// The path at which the redirects of a search end.
async fn leads_to(browser: &mut Browser, typed: &str) -> String {
    let mut at = browser.post(HUB, &[("q", typed)]).await.location().to_owned();
    loop {
        let answer = browser.get(&at).await;
        match answer.status {
            StatusCode::SEE_OTHER => at = answer.location().to_owned(),
            _ => return at,
        }
    }
}

fn fingerprint(pem: &str) -> String {
    PublicKey::from_pem(pem).unwrap().fingerprint()
}

/// Alpine Pay's Ledger (disabled) and Ledger 2, Borealis Finance's ledger, and their keys.
async fn known(console: &Console) -> [(String, String); 3] {
    let mut owner = console.owner().await;
    let ledger = owner.create("Ledger", PEM_A).await;
    let second = owner.create("Ledger 2 100%", PEM_B).await;
    owner.submit(&format!("{LIST}/{}/disable", ledger.0), &[("reason", "a test")]).await;
    let other = console.signed_in("owner@borealis.example").await.create("ledger", PEM_C).await;
    [ledger, second, other]
}

#[tokio::test]
async fn names_are_found_in_every_organization_exact_ones_first() {
    let console = Console::start().await;
    known(&console).await;
    let mut admin = console.admin().await;
    let found = search(&mut admin, " LEDGER ").await;
    assert_eq!(found.status, StatusCode::OK);
    let text = found.text();
    let rows = [
        "LedgerWhatApplicationStateDisabledOrganizationAlpine Pay",
        "ledgerWhatApplicationStateEnabledOrganizationBorealis Finance",
        "Ledger 2 100%WhatApplicationStateEnabledOrganizationAlpine Pay",
    ];
    let places = rows.map(|row| text.find(row).unwrap_or_else(|| panic!("{row:?} is not in {text}")));
    assert!(places[0].max(places[1]) < places[2], "exact ones first: {text}");
    let found = search(&mut admin, "finance").await;
    found.says("Borealis FinanceWhatOrganization");
    assert!(!found.text().contains("Alpine"), "{}", found.text());
    search(&mut admin, "nobody").await.says("Nothing found for “nobody”").says("Search for a part of a name");
    // Customers and Nuvera own no applications, so searches leave them out.
    for other in ["Customer Co", "Nuvera"] {
        search(&mut admin, other).await.says("Nothing found");
    }
}

#[tokio::test]
async fn the_only_exact_hit_is_shown_at_once() {
    let console = Console::start().await;
    let [(ledger, key), (second, _), _] = known(&console).await;
    let mut admin = console.admin().await;
    let (ledger, second) = (console.in_hub(&ledger), console.in_hub(&second));
    let alpine = format!("{HUB}/{}", console.alpine);
    for (typed, place) in [
        ("alpine pay", &*alpine),
        (&console.alpine.to_string(), &alpine),
        ("ledger 2 100%", &second),
        (&second[second.len() - 36..], &second),
        (&key[..12], &ledger),
        (&format!("{}…{}", &key[..12], &key[key.len() - 4..]), &ledger),
    ] {
        assert_eq!(leads_to(&mut admin, typed).await, place, "{typed}");
    }
    // A partial name does not redirect, even with a single hit.
    assert_eq!(leads_to(&mut admin, "borealis").await, "/organizations?q=borealis");
}

#[tokio::test]
async fn a_keys_prefix_finds_it_whatever_became_of_it() {
    let console = Console::start().await;
    let [(id, key), ..] = known(&console).await;
    let mut admin = console.admin().await;
    let path = format!("{}/api-keys/{}/revoke", console.in_hub(&id), console.application(&id).await.api_keys[0].id);
    admin.submit(&path, &[("confirm_name", "Ledger"), ("reason", "a test"), ("ticket", "SUP-4711")]).await;
    assert_eq!(leads_to(&mut admin, &key[..12]).await, console.in_hub(&id));
    // With an application of the same name, both are listed, together with the key's state.
    console.owner().await.create(&key[..12], PEM_A).await;
    let both = search(&mut admin, &key[..12]).await;
    both.says("of LedgerWhatAPI keyStateRevoked Disabled").says("WhatApplicationStateEnabled");
    search(&mut admin, "nvk_AbCd").await.says("found by nvk_ and the 8 characters behind it");
    search(&mut admin, "nvk_00000000").await.says("No API key has this prefix");
}

#[tokio::test]
async fn a_fingerprint_finds_every_application_that_has_or_had_the_key() {
    let console = Console::start().await;
    let [(id, _), ..] = known(&console).await;
    let mut owner = console.owner().await;
    owner.create("Twin", PEM_A).await;
    owner.submit(&format!("{LIST}/{id}/replace-signing-key"), &[("public_key", PEM_C), ("overlap", "none")]).await;
    let mut admin = console.admin().await;
    let whole = fingerprint(PEM_A);
    for typed in [&*whole, &whole[7..], &format!("{whole}=")] {
        let found = search(&mut admin, typed).await;
        assert_eq!(found.status, StatusCode::OK, "never a redirect: the way to stop it stands here");
        found.says("of TwinWhatSigning keyStateCurrent").says("Stop this key everywhere").says(&whole);
    }
    let unknown = format!("SHA256:{}", "A".repeat(43));
    search(&mut admin, &unknown).await.says("No application has registered a public key with this fingerprint");
    let mut auditor = console.signed_in("auditor@nuvera.example").await;
    let found = search(&mut auditor, &whole).await;
    found.says("of TwinWhatSigning key");
    assert!(!found.text().contains("everywhere"), "who may not stop it is not offered to: {}", found.text());
}

#[tokio::test]
async fn a_request_id_leads_to_its_request_at_once() {
    let console = Console::start().await;
    let [_, (id, key), _] = known(&console).await;
    assert_eq!(console.gateway_says(&key).await, "malformed_token");
    let mut owner = console.owner().await;
    let list = owner.get(&format!("{LIST}/{id}/requests")).await;
    let at = list.body.find(&format!("{id}/requests/0")).unwrap() + id.len() + "/requests/".len();
    let request = &list.body[at..at + 36];
    assert_eq!(console.gateway_says(&key).await, "malformed_token", "another one, which nobody has looked at");
    let mut admin = console.admin().await;
    assert_eq!(leads_to(&mut admin, request).await, format!("{}/requests/{request}", console.in_hub(&id)));
    search(&mut admin, &request.to_uppercase()).await.says("Refused: malformed_token");
    search(&mut admin, "01900000-0000-7000-8000-000000000000").await.says("the newest 1,000 requests are kept");
}

#[tokio::test]
async fn a_whole_key_goes_no_further_than_the_form() {
    let console = Console::start().await;
    let [(id, key), ..] = known(&console).await;
    let secret = &key[13..];
    let mut admin = console.admin().await;
    for typed in [key.clone(), format!("x-api-key: {key}"), format!("  {key}\t"), key[..40].to_owned()] {
        let sent = admin.post(HUB, &[("q", &typed)]).await;
        sent.leads_to(&format!("/organizations?q={}", &key[..12]), "whole-key");
        let found = search(&mut admin, &typed).await;
        found.says("Only the prefix was used").says("Ledger");
        assert!(!found.body.contains(&secret[..20]), "{}", found.body);
    }
    // A key in the query string is redirected to its prefix.
    let typed = admin.get(&format!("/organizations?q={key}")).await;
    typed.leads_to(&format!("/organizations?q={}", &key[..12]), "whole-key");
    // The message follows the redirect to the page of the only hit and is shown there once.
    let on = admin.follow(&typed).await;
    on.leads_to(&console.in_hub(&id), "whole-key");
    admin.follow(&on).await.says("Only the prefix was used");
    assert!(!admin.get(&console.in_hub(&id)).await.text().contains("Only the prefix was used"));
    assert_eq!(leads_to(&mut admin, &key).await, console.in_hub(&id));

    // A token contains the key, and a private key is worse: neither is searched for, shown or forwarded.
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJudmtfIn0.c2lnbmF0dXJl";
    for typed in [token, "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJudmtfIn0.c2ln", "-----BEGIN PRIVATE KEY-----MII"] {
        let sent = admin.post(HUB, &[("q", typed)]).await;
        sent.leads_to("/organizations", "secret-dropped");
        search(&mut admin, typed).await.says("It was dropped and is kept nowhere").says("Alpine Pay");
        let query: String = form_urlencoded::byte_serialize(typed.as_bytes()).collect();
        admin.get(&format!("{HUB}?q={query}")).await.leads_to("/organizations", "secret-dropped");
    }
}

#[tokio::test]
async fn a_search_that_waits_for_a_sign_in_waits_without_the_secret() {
    let console = Console::start().await;
    let [(_, key), ..] = known(&console).await;
    let mut browser = console.browser();
    let waiting = browser.post(HUB, &[("q", &key)]).await;
    assert_eq!(waiting.status, StatusCode::FORBIDDEN);
    assert!(!waiting.body.contains(&key[13..]), "{}", waiting.body);
    let unsent = waiting.hidden("unsent").replace("&amp;", "&");
    assert!(unsent.contains(&key[..12]), "the control: it waits, {unsent}");
    let fields =
        [("email", "admin@nuvera.example"), ("password", crate::support::PASSWORD), ("next", HUB), ("unsent", &unsent)];
    let answer = browser.post(Area::Hub.sign_in(), &fields).await;
    let answer = console.enters_code(&mut browser, "admin@nuvera.example", answer).await;
    let page = browser.get(answer.location()).await;
    page.says("Here it is as you left it");
    assert!(page.body.contains(&format!("value=\"{}", &key[..12])) && !page.body.contains(&key[13..]));
}

#[tokio::test]
async fn what_strangers_could_type_is_text() {
    let console = Console::start().await;
    known(&console).await;
    let mut admin = console.admin().await;
    // Wildcards of an SQL pattern match themselves.
    for (typed, is_found) in [("100%", true), ("%", true), ("_", false), ("2_100%", false), ("\\", false), ("'", false)]
    {
        let found = search(&mut admin, typed).await;
        assert_eq!(found.text().contains("Ledger 2 100%"), is_found, "{typed}: {}", found.text());
        assert!(!found.text().contains("Borealis"), "{typed}");
    }
    let html = search(&mut admin, "\"><script>alert(1)</script>").await;
    html.says("Nothing found for “\"><script>alert(1)</script>”");
    assert!(!html.body.contains("<script"), "{}", html.body);
    for typed in ["é".repeat(10_000), "a\u{202E}b".to_owned(), "a\0b".to_owned()] {
        let refused = search(&mut admin, &typed).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        refused.says("There is a problem").says("Alpine Pay");
        let query: String = form_urlencoded::byte_serialize(typed.as_bytes()).collect();
        assert_eq!(admin.get(&format!("{HUB}?q={query}")).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let huge = admin.post(HUB, &[("q", &"A".repeat(9 * 1024 * 1024))]).await;
    assert_eq!(huge.status, StatusCode::UNPROCESSABLE_ENTITY);
    for nothing in ["", " \t "] {
        assert_eq!(admin.post(HUB, &[("q", nothing)]).await.location(), HUB);
    }
    // Special characters in a search are escaped in the redirect.
    let sent = admin.post(HUB, &[("q", "x&y=signed-out#y")]).await;
    assert_eq!(sent.location(), "/organizations?q=x%26y%3Dsigned-out%23y");
}

#[tokio::test]
async fn many_hits_are_a_page_and_a_word_that_there_are_more() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Copy", PEM_A).await;
    let mut transaction = console.store.write().await.unwrap();
    sqlx::query(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 60)
         INSERT INTO applications (id, organization_id, name, name_key, permissions, created_at, created_by,
             creation_token, version)
         SELECT '01900000-0000-7000-8000-0000000000' || (10 + n), organization_id, 'Copy ' || n, 'copy ' || n, '',
             created_at, created_by, n, 1 FROM applications, n WHERE id = $1",
    )
    .bind(&id)
    .execute(&mut *transaction)
    .await
    .unwrap();
    transaction.commit().await.unwrap();
    let mut admin = console.admin().await;
    let found = search(&mut admin, "copy").await;
    found.says("There are more than are listed");
    assert_eq!(found.text().matches("WhatApplication").count(), 50);
    let few = search(&mut admin, "copy 1").await;
    assert!(!few.text().contains("There are more") && few.text().matches("WhatApplication").count() == 11);
}

#[tokio::test]
async fn a_partner_finds_nothing_whatever_they_ask_for() {
    let console = Console::start().await;
    let [(id, key), ..] = known(&console).await;
    for email in ["owner@alpine.example", "viewer@alpine.example", "owner@borealis.example"] {
        let mut partner = console.signed_in(email).await;
        for typed in ["ledger", "alpine pay", &id, &key[..12], &key, &fingerprint(PEM_A), &"x".repeat(999)] {
            let sent = partner.post(HUB, &[("q", typed)]).await;
            let query: String = form_urlencoded::byte_serialize(typed.as_bytes()).collect();
            let address = format!("{HUB}?q={query}");
            for answer in [sent, partner.get(&address).await, partner.get(&format!("{HUB}?show=attention")).await] {
                // A partner's session is not valid in the hub.
                match answer.status {
                    StatusCode::SEE_OTHER => assert!(answer.location().starts_with(Area::Hub.sign_in()), "{typed}"),
                    status => assert_eq!(status, StatusCode::FORBIDDEN, "{email} {typed}"),
                }
                assert!(!answer.text().contains("Ledger") && !answer.text().contains("Alpine"), "{}", answer.text());
                assert!(!answer.body.contains(&key[13..]), "{}", answer.body);
            }
        }
    }
    // A form from another site is rejected.
    let mut admin = console.admin().await;
    let foreign = Request::post(HUB).header("origin", "https://evil.example").body(Body::from("q=ledger")).unwrap();
    assert_eq!(admin.send(foreign).await.status, StatusCode::FORBIDDEN);
}

/// Records requests of an application at `at`, the newest first.
async fn requests(console: &Console, id: ApplicationId, at: Timestamp, counts: &[(&'static str, usize)]) {
    let mut transaction = console.store.write().await.unwrap();
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let mut seen = Vec::new();
    for (code, count) in counts {
        for _ in 0..*count {
            let refused = (*code != SeenRequest::ACCEPTED).then(|| SeenRefusal {
                detail: "No.".into(),
                expected: None,
                received: None,
            });
            seen.push(SeenRequest {
                id: RequestId(Uuid::from_u128(u128::from(NUMBER.fetch_add(1, Ordering::Relaxed)))),
                at,
                method: "GET".into(),
                path: "/".into(),
                status: 401,
                code: (*code).into(),
                micros: 1,
                address: "10.0.0.1".parse().unwrap(),
                api_key_id: ApiKeyId(Uuid::nil()),
                signing_key_id: None,
                token_age_seconds: None,
                body_bytes: None,
                refused,
            });
        }
    }
    server::store::requests::add(&mut transaction, id, &seen).await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn health_says_what_a_known_history_comes_to() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (used, _) = owner.create("Used", PEM_A).await;
    owner.create("Unused", PEM_B).await;
    let (stopped, _) = owner.create("Stopped", PEM_C).await;
    owner.submit(&format!("{LIST}/{stopped}/disable"), &[("reason", "a test")]).await;
    let key = console.application(&used).await.api_keys[0].id;
    console.uses(key).await;
    let now = console.clock.now();
    let id: ApplicationId = used.parse().unwrap();
    requests(&console, id, now.minus(HOUR * 2), &[("replay_detected", 40)]).await;
    requests(&console, id, now.minus(DAY + HOUR), &[("token_expired", 800)]).await;
    requests(&console, id, now, &[("ok", 95), ("uri_mismatch", 3), ("invalid_signature", 2)]).await;

    let mut admin = console.admin().await;
    let hub = admin.get(HUB).await;
    hub.says("Alpine PayAPI applications3Refused, last hour5% of 100mostly uri_mismatch");
    hub.says("5% refused in the last hour").says("1 application disabled");
    assert!(!hub.text().contains("never used"), "it is new: {}", hub.text());
    hub.says("Borealis FinanceAPI applications0Refused, last hourNo requestsTo knowNothing to report");
    let organization = admin.get(&format!("{HUB}/{}", console.alpine)).await;
    organization.says("Last hour: 100 requests, 5% refused, mostly uri_mismatch.");
    organization.says("Last day: 140 requests, 32% refused, mostly replay_detected.");
    organization.says("5% refused in the last hour").says("1 application disabled");

    // A week later there are no more requests, and an application still waits for its first one.
    console.advance(UNUSED_AFTER);
    let mut admin = console.admin().await;
    for path in [HUB.to_owned(), format!("{HUB}/{}", console.alpine)] {
        let page = admin.get(&path).await;
        page.says("1 application never used").says("1 application disabled");
        assert!(!page.text().contains("refused in the last hour"), "{}", page.text());
    }
    admin.get(&format!("{HUB}/{}", console.alpine)).await.says("Last hour: no requests.");

    // A rotation: the old key expires, and is still used halfway through its grace window.
    let mut owner = console.owner().await;
    owner.submit(&format!("{LIST}/{used}/replace-api-key"), &[("grace", "86400")]).await;
    let says = async |admin: &mut Browser, words: &str, not: &str| {
        for path in [HUB.to_owned(), format!("{HUB}/{}", console.alpine)] {
            let page = admin.get(&path).await;
            page.says(words);
            assert!(!page.text().contains(not), "{}", page.text());
        }
    };
    says(&mut admin, "1 key expiring", "stops while in use").await;
    console.advance(DAY / 2);
    console.uses(key).await;
    let mut admin = console.admin().await;
    says(&mut admin, "1 key stops while in use", "1 key expiring").await;
    console.advance(DAY * 180);
    let mut admin = console.admin().await;
    // The replacement key and the API keys of the other two applications, after 180 days; signing keys may be 365 days
    // old.
    says(&mut admin, "3 keys overdue", "stops while in use").await;
}

#[tokio::test]
async fn a_signing_key_that_retires_in_use_is_told_of_on_both_pages_alike() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let old = console.application(&id).await.signing_keys[0].id;
    console.advance(HOUR);
    let mut owner = console.owner().await;
    owner.submit(&format!("{LIST}/{id}/replace-signing-key"), &[("public_key", PEM_B), ("overlap", "86400")]).await;
    console.advance(DAY / 2);
    let at = console.clock.now();
    let used = server::store::usage::KeyUsage {
        first_used_at: at,
        last_used_at: at,
        address: "10.1.2.3".into(),
        user_agent: "curl".into(),
        requests: 1,
    };
    let mut transaction = console.store.write().await.unwrap();
    server::store::usage::add_signing_key(&mut transaction, old, &used).await.unwrap();
    transaction.commit().await.unwrap();
    let mut admin = console.admin().await;
    for path in [HUB.to_owned(), format!("{HUB}/{}", console.alpine)] {
        admin.get(&path).await.says("1 key stops while in use");
    }
}

#[tokio::test]
async fn whoever_needs_help_first_comes_first_and_the_others_can_be_left_out() {
    let console = Console::start().await;
    let mut admin = console.admin().await;
    admin.get(&format!("{HUB}?show=attention")).await.says("Nobody needs attention").says("Needs attention (0)");
    let (id, _) = console.signed_in("owner@borealis.example").await.create("Payouts", PEM_C).await;
    let order = async |admin: &mut Browser| {
        let text = admin.get(HUB).await.text();
        text.find("Borealis Finance").unwrap() < text.find("Alpine Pay").unwrap()
    };
    assert!(!order(&mut admin).await, "by name where nobody needs help");
    let now = console.clock.now();
    let many = usize::try_from(MANY_REFUSALS).unwrap();
    requests(&console, id.parse().unwrap(), now, &[("invalid_signature", many - 1)]).await;
    assert!(!order(&mut admin).await, "a few refusals are a try");
    requests(&console, id.parse().unwrap(), now, &[("invalid_signature", 1)]).await;
    assert!(order(&mut admin).await);
    let attention = admin.get(&format!("{HUB}?show=attention")).await;
    attention.says("All (2)").says("Needs attention (1)").says("Borealis Finance");
    assert!(!attention.text().contains("Alpine Pay"), "{}", attention.text());
    // Read-only roles see the same.
    let mut auditor = console.signed_in("auditor@nuvera.example").await;
    auditor.get(&format!("{HUB}?show=attention")).await.says("100% refused in the last hour");
}
