//! Attacks on the console by a signed-in user: hostile stored text, requests and ids.

use crate::support::{Answer, Browser, Console, LIST, PASSWORD, PEM_A, PEM_B, PEOPLE};
use axum::http::StatusCode;
use domain::access::Role;
use server::{backend::accounts::NewPerson, store::organizations::OrganizationKind};

/// Markup that would break out of element text, an attribute or a script.
const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'><svg onload=alert(2)>";

/// Asserts that `page` contains no markup from [`HOSTILE`], which it would if it did not escape a text.
fn assert_harmless(page: &Answer, path: &str) {
    for markup in ["<img", "<svg onload", "<script>alert", "\" onerror", "'><svg"] {
        assert!(!page.body.contains(markup), "{path} holds {markup}: {}", page.body);
    }
}

/// The paths that a page links to, without static assets.
fn links(page: &Answer) -> Vec<String> {
    let links = page.body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    links
        .filter(|link| link.starts_with('/') && !link.contains("/assets/"))
        .map(|link| link.replace("&amp;", "&"))
        .collect()
}

/// Opens every page that can be reached through links from `start`, and returns how many there are.
async fn visit_everything(browser: &mut Browser, start: &str) -> usize {
    let mut seen = vec![start.to_owned()];
    let mut next = 0;
    while next < seen.len() {
        let path = seen[next].clone();
        next += 1;
        let page = browser.get(&path).await;
        assert!(page.status.is_success() || page.status.is_redirection(), "{path}: {}", page.status);
        // Downloads are not pages.
        if !page.header("content-type").starts_with("text/html") {
            continue;
        }
        assert_harmless(&page, &path);
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        for link in links(&page) {
            let link = link.split('#').next().unwrap_or_default().to_owned();
            if !seen.contains(&link) {
                seen.push(link);
            }
        }
    }
    seen.len()
}

#[tokio::test]
async fn whatever_is_stored_is_text_on_every_page_that_somebody_can_reach() {
    let console = Console::start().await;
    let hostile = console.backend.add_organization(OrganizationKind::Partner, HOSTILE).await.unwrap();
    let person = NewPerson {
        organization_id: hostile,
        email: "owner@hostile.example",
        name: HOSTILE,
        role: Role::PartnerOwner,
        password: PASSWORD,
    };
    console.backend.add_person(person).await.unwrap();
    let mut owner = console.signed_in("owner@hostile.example").await;
    let (id, key) = owner.create(HOSTILE, PEM_A).await;
    let application = format!("{LIST}/{id}");
    assert_eq!(console.gateway_says(&key).await, "malformed_token");
    owner.submit(&format!("{application}/replace-api-key"), &[("grace", "3600")]).await;
    let fields = [("public_key", PEM_B), ("overlap", "3600"), ("reason", HOSTILE)];
    owner.submit(&format!("{application}/replace-signing-key"), &fields).await;
    let invited = [("name", HOSTILE), ("email", "new@hostile.example"), ("role", "partner_viewer")];
    assert_harmless(&owner.post(&format!("{PEOPLE}/invite"), &invited).await, "the invitation");
    let stopped = owner.submit(&format!("{application}/disable"), &[("reason", HOSTILE)]).await;
    assert_eq!(stopped.status, StatusCode::SEE_OTHER);
    // The user agent is the client's to choose.
    let keys = console.application_in(hostile, &id).await.api_keys;
    console.uses_with(keys[0].id, HOSTILE).await;
    // A reason given by Nuvera is shown above the partner's list and in a pending proposal.
    let mut admin = console.admin().await;
    let in_hub = format!("/organizations/{hostile}/api-applications/{id}");
    let said = [("reason", HOSTILE), ("ticket", "SUP-1")];
    admin.submit(&format!("{in_hub}/permissions"), &[&[("permissions", "CUSTOMERS_READ")], &said[..]].concat()).await;
    let policy = [("second_factor", "optional"), ("nuvera_changes", "confirmed")];
    owner.submit(&format!("{LIST}/security-policy"), &policy).await;
    let fields = [&[("permissions", "PAYMENTS_READ")], &said[..]].concat();
    let proposed = admin.submit(&format!("{in_hub}/permissions"), &fields).await;
    assert_eq!(proposed.notice(), Some("change-proposed"), "{}", proposed.text());
    owner.get(LIST).await.says("Nuvera changed").says("Nuvera proposes a change");

    let found = visit_everything(&mut owner, LIST).await;
    assert!(found > 20, "{found} pages");
    let page = owner.get(&application).await;
    page.says(HOSTILE).says("10.1.2.3");
    let found = visit_everything(&mut admin, &format!("/organizations/{hostile}")).await;
    assert!(found > 20, "{found} pages");
    admin.get("/organizations").await.says(HOSTILE);
    // A search and a filter display their input.
    for path in
        [format!("/organizations?q={}", encoded(HOSTILE)), format!("{application}/audit?action={}", encoded(HOSTILE))]
    {
        let browser = if path.starts_with(LIST) { &mut owner } else { &mut admin };
        assert_harmless(&browser.get(&path).await, &path);
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn no_parameter_reaches_into_another_organization() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (theirs, key) = owner.create("Ledger", PEM_A).await;
    assert_eq!(console.gateway_says(&key).await, "malformed_token");
    let request = owner.get(&format!("{LIST}/{theirs}/requests")).await;
    let request = links(&request)
        .into_iter()
        .find_map(|link| link.strip_prefix(&format!("{LIST}/{theirs}/requests/")).map(str::to_owned));
    let request = request.expect("the list leads to the request");
    let victim = console.owner_actor().await.user_id;
    let their_key = console.application(&theirs).await.api_keys[0].id;
    let mut stranger = console.signed_in("owner@borealis.example").await;
    let (own, _) = stranger.create("Books", PEM_B).await;
    let own = format!("{LIST}/{own}");
    // The ids of another organization's objects are not found under one's own application.
    for path in [
        format!("{own}/requests/{request}"),
        format!("{own}/api-keys/{their_key}/revoke"),
        format!("{own}/api-keys/{their_key}/deadline"),
        format!("{PEOPLE}/{victim}/role"),
        format!("{PEOPLE}/{victim}/remove"),
    ] {
        assert_eq!(stranger.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for (path, name) in [
        (format!("{LIST}/audit?actor={victim}"), "Ledger"),
        (format!("{own}/audit?actor={victim}"), "Olivia"),
        (format!("{LIST}/audit.csv?actor={victim}"), "Olivia"),
        (format!("{LIST}/audit.jsonl?actor={victim}"), "Olivia"),
        (format!("{own}/requests?id={request}"), "signature-test"),
        (format!("{own}/requests?key={their_key}"), "signature-test"),
    ] {
        let page = stranger.get(&path).await;
        assert!(page.status != StatusCode::SEE_OTHER, "{path} leads there");
        assert!(!page.body.contains(name), "{path}: {}", page.text());
    }
    // The control: their owner finds it with the same parameters.
    assert!(owner.get(&format!("{LIST}/audit?actor={victim}")).await.body.contains("Ledger"));
    let found = owner.get(&format!("{LIST}/{theirs}/requests?id={request}")).await;
    assert_eq!(found.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn nothing_that_is_sent_becomes_a_header() {
    let console = Console::start().await;
    let split = "/%0d%0aset-cookie:%20stolen=1";
    let mut owner = console.owner().await;
    for path in [
        format!("/sign-in?next={split}"),
        format!("/sign-in?next={}", encoded("/x\r\nset-cookie: stolen=1")),
        format!("{LIST}?x={}", encoded("disabled\r\nset-cookie: stolen=1")),
        format!("{LIST}{split}"),
        format!("/invitation?token={}", encoded("x\r\nset-cookie: stolen=1")),
    ] {
        let answer = owner.get(&path).await;
        assert!(!answer.header("set-cookie").contains("stolen"), "{path}");
    }
    // An e-mail has headers, too.
    let name = "Grace\r\nBcc: evil@example.com";
    for (field, hostile) in [("name", name), ("email", "grace@example.com\r\nBcc: evil@example.com")] {
        let mut fields = vec![("name", "Grace"), ("email", "grace@example.com"), ("role", "partner_viewer")];
        fields.retain(|(name, _)| *name != field);
        fields.push((field, hostile));
        let answer = owner.post(&format!("{PEOPLE}/invite"), &fields).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {}", answer.text());
    }
    assert_eq!(std::fs::read_dir(console.mail.path()).unwrap().count(), 0, "nothing was mailed");
    let fields = [("name", "Grace"), ("email", "grace@example.com"), ("role", "partner_viewer")];
    assert_eq!(owner.post(&format!("{PEOPLE}/invite"), &fields).await.status, StatusCode::OK);
    console.mailed_link("grace@example.com");
}
