//! Nuvera's area and the partners' area have separate sign-in pages and sessions; a session of one is not valid in the
//! other.

use crate::support::{Console, Database, LIST, ORIGIN, PASSWORD, PEM_A, PEOPLE};
use app::paths::Area;
use axum::http::StatusCode;
use std::time::Duration;

const HUB: &str = "/organizations";
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn at_the_other_door_whoever_has_the_password_is_told_which_is_theirs_and_nobody_else() {
    let console = Console::start().await;
    for (email, theirs, other, words) in [
        ("owner@alpine.example", Area::Partner, Area::Hub, "Sign in as a partner"),
        ("viewer@alpine.example", Area::Partner, Area::Hub, "Sign in as a partner"),
        ("admin@nuvera.example", Area::Hub, Area::Partner, "Sign in to the organization hub"),
        ("auditor@nuvera.example", Area::Hub, Area::Partner, "Sign in to the organization hub"),
    ] {
        let mut browser = console.browser();
        let refused = browser.sign_in_at(other, email, PASSWORD).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{email}");
        refused.says(words);
        assert!(refused.body.contains(&format!("href=\"{}\"", theirs.sign_in())));
        assert!(browser.cookies.is_empty(), "no session is begun: {:?}", browser.cookies);
        assert!(browser.get(other.home()).await.location().starts_with(other.sign_in()), "{email}");

        let wrong = browser.sign_in_at(other, email, "wrong").await;
        let unknown = browser.sign_in_at(other, "nobody@alpine.example", "wrong").await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(wrong.text().replace(email, ""), unknown.text().replace("nobody@alpine.example", ""), "{email}");

        let admitted = browser.sign_in_at(theirs, email, PASSWORD).await;
        let admitted = console.enters_code(&mut browser, email, admitted).await;
        assert_eq!(admitted.location(), theirs.home());
    }
    let customer = console.browser().sign_in_at(Area::Hub, "user@customer.example", PASSWORD).await;
    assert_eq!(customer.status, StatusCode::FORBIDDEN);
    customer.says("customer platform");
}

#[tokio::test]
async fn a_session_is_worth_nothing_under_the_other_areas_cookie() {
    let console = Console::start().await;
    let (owner, admin) = (console.owner().await, console.admin().await);
    assert!(!owner.cookies.contains_key("nuvera-hub") && !admin.cookies.contains_key("nuvera"));
    let (partners, hubs) = (&owner.cookies["nuvera"], &admin.cookies["nuvera-hub"]);
    let mut swapped = console.browser();
    swapped.cookies.insert("nuvera".into(), hubs.clone());
    swapped.cookies.insert("nuvera-hub".into(), partners.clone());
    for (path, door) in [
        (LIST, "/sign-in"),
        (PEOPLE, "/sign-in"),
        ("/confirm", "/sign-in"),
        (HUB, "/organizations/sign-in"),
        ("/organizations/people", "/organizations/sign-in"),
        ("/organizations/audit.csv", "/organizations/sign-in"),
        ("/organizations/confirm", "/organizations/sign-in"),
    ] {
        let answer = swapped.get(path).await;
        assert_eq!(answer.location().split('?').next(), Some(door), "{path}");
    }
    for path in ["/confirm", "/organizations/confirm"] {
        let answer = swapped.post(path, &[("password", PASSWORD), ("next", "/")]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        answer.says("Sign in");
    }
    // The sign-in page does not treat it as a session either.
    assert_eq!(swapped.get("/sign-in").await.status, StatusCode::OK);
    assert_eq!(swapped.get("/organizations/sign-in").await.status, StatusCode::OK);
    // The controls: in their own areas both sessions are valid, also side by side.
    let mut both = console.browser();
    both.cookies.insert("nuvera".into(), partners.clone());
    both.cookies.insert("nuvera-hub".into(), hubs.clone());
    both.get(LIST).await.says("Olivia Okafor");
    both.get(HUB).await.says("Ada Admin");
}

#[tokio::test]
async fn signing_out_of_one_area_leaves_the_other() {
    let console = Console::start().await;
    let mut browser = console.owner().await;
    console.signs_in(&mut browser, "admin@nuvera.example").await;
    browser.get(HUB).await.says("Ada Admin");
    browser.post("/organizations/sign-out", &[]).await.leads_to("/organizations/sign-in", "signed-out");
    assert!(browser.get(HUB).await.location().starts_with("/organizations/sign-in"));
    browser.get(LIST).await.says("Olivia Okafor");
}

#[tokio::test]
async fn a_session_in_the_hub_is_shorter() {
    let console = Console::start().await;
    let (mut idle, mut busy) = (console.admin().await, console.admin().await);
    console.advance(15 * MINUTE - Duration::from_millis(1));
    assert_eq!(idle.get(HUB).await.status, StatusCode::OK);
    console.advance(15 * MINUTE);
    assert_eq!(idle.get(HUB).await.status, StatusCode::SEE_OTHER, "idle for 15 minutes");
    console.signs_in(&mut busy, "admin@nuvera.example").await;
    for _ in 0..23 {
        console.advance(10 * MINUTE);
        assert_eq!(busy.get(HUB).await.status, StatusCode::OK);
    }
    console.advance(10 * MINUTE);
    assert_eq!(busy.get(HUB).await.status, StatusCode::SEE_OTHER, "4 hours after the sign-in");
}

#[tokio::test]
async fn a_proof_in_the_hub_is_asked_for_and_given_there() {
    let console = Console::start().await;
    let (id, _) = console.owner().await.create("Ledger", PEM_A).await;
    let mut admin = console.admin().await;
    console.advance(10 * MINUTE);
    let form = format!("{}/permissions", console.in_hub(&id));
    let asked = admin.get(&form).await;
    assert!(asked.location().starts_with("/organizations/confirm?next="), "{}", asked.location());
    let page = admin.get(asked.location()).await;
    assert!(page.body.contains("action=\"/organizations/confirm\""));
    let code = console.code_of("admin@nuvera.example").await;
    let proven = admin.post("/organizations/confirm", &[("code", &code), ("next", &page.hidden("next"))]).await;
    assert_eq!(proven.location(), form);
    for elsewhere in ["//evil.example", "https://evil.example/organizations", LIST, "/"] {
        let code = console.code_of("admin@nuvera.example").await;
        let proven = admin.post("/organizations/confirm", &[("code", &code), ("next", elsewhere)]).await;
        assert_eq!(proven.location(), HUB, "{elsewhere}");
    }
}

#[tokio::test]
async fn where_the_areas_have_an_origin_each_neither_is_found_at_the_others() {
    let hub_origin = "https://hub.nuvera.example";
    let console = Console::start_at(Database::sqlite(), ORIGIN, Some(hub_origin)).await;
    let (partners, hubs) = (console.browser(), {
        let mut browser = console.browser();
        browser.origin = hub_origin.into();
        browser
    });
    for (at, area, other) in [(&partners, Area::Partner, Area::Hub), (&hubs, Area::Hub, Area::Partner)] {
        let mut browser = at.clone();
        assert_eq!(browser.get(area.sign_in()).await.status, StatusCode::OK);
        for path in [other.sign_in(), other.home(), other.invitation()] {
            assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        let sent = browser.sign_in_at(other, "owner@alpine.example", PASSWORD).await;
        assert_eq!(sent.status, StatusCode::NOT_FOUND);
        assert!(browser.cookies.is_empty());
        assert_eq!(browser.get("/healthz").await.status, StatusCode::OK);
    }
    assert_eq!(hubs.clone().get("/").await.location(), "/organizations");
    let told = hubs.clone().sign_in_at(Area::Hub, "owner@alpine.example", PASSWORD).await;
    assert!(told.body.contains(&format!("href=\"{ORIGIN}/sign-in\"")), "{}", told.body);
    // The hub is served over HTTPS, and its cookie is bound to its host.
    let mut admin = hubs.clone();
    let answer = console.signs_in(&mut admin, "admin@nuvera.example").await;
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
    assert!(cookies.iter().any(|cookie| cookie.starts_with("__Host-nuvera-hub=")), "{cookies:?}");
    for cookie in cookies {
        for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.starts_with("__Host-") && cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
    assert_eq!(admin.get(HUB).await.status, StatusCode::OK);
    // A form sent from the other origin is rejected.
    admin.origin = ORIGIN.into();
    assert_eq!(admin.post("/organizations/sign-out", &[]).await.status, StatusCode::NOT_FOUND);
}
