//! The second factor: set-up, prompts, loss, and attempts to bypass it.

use crate::support::{Answer, Browser, Console, Database, LIST, PASSWORD, PEM_A, PEOPLE, SECOND_FACTOR, routes};
use app::paths::Area;
use axum::http::StatusCode;
use domain::{
    access::Role,
    second_factor::{RECOVERY_CODES, TotpSecret},
};
use server::backend::accounts::NewPerson;
use std::time::Duration;

const ACCOUNT: &str = "/settings/account";
const SET_UP: &str = "/settings/account/second-factor";
const CODES: &str = "/settings/account/recovery-codes";
const HUB_REMOVE: &str = "/organizations/account/second-factor/remove";
const REMOVE: &str = "/settings/account/second-factor/remove";
/// The set-up page in Nuvera's area.
const HUB_SET_UP: &str = "/organizations/account/second-factor";
const OWNER: &str = "owner@alpine.example";
const DEVELOPER: &str = "developer@alpine.example";
const NEW_ADMIN: &str = "new@nuvera.example";
const STEP: Duration = Duration::from_secs(30);

/// An authenticator app.
pub struct Phone(pub TotpSecret);

impl Phone {
    /// Adds the secret that is shown on the page.
    pub fn adds(page: &Answer) -> Self {
        let (_, shown) = page.body.split_once("id=\"factor-secret\"").expect("a secret");
        let shown = shown.split(['>', '<']).nth(1).unwrap().replace(' ', "");
        let values = shown.bytes().map(|byte| match byte {
            b'A'..=b'Z' => u32::from(byte - b'A'),
            byte => u32::from(byte - b'2') + 26,
        });
        let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
        for value in values {
            (bits, held) = ((bits << 5) | value, held + 5);
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held) as u8);
            }
        }
        Self(TotpSecret::new(bytes.try_into().unwrap()))
    }

    pub fn code(&self, console: &Console) -> String {
        self.0.code(console.clock.now())
    }

    /// A code that is wrong at any time within some minutes.
    pub fn wrong_code(&self, console: &Console) -> String {
        let right: u32 = self.code(console).parse().unwrap();
        format!("{:06}", (right + 499_999) % 1_000_000)
    }
}

/// Sets up a second factor, and advances the clock until a new code is valid. Returns the app and the recovery codes.
pub async fn set_up(console: &Console, browser: &mut Browser) -> (Phone, Vec<String>) {
    let page = browser.get(SET_UP).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let phone = Phone::adds(&page);
    let fields = [("enrolment", &*page.hidden("enrolment")), ("code", &*phone.code(console))];
    let answer = browser.post(SET_UP, &fields).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    console.advance(STEP);
    (phone, codes(&answer))
}

/// The recovery codes that are shown on a page.
pub fn codes(page: &Answer) -> Vec<String> {
    let (_, shown) = page.body.split_once("id=\"recovery-codes\"").expect("recovery codes");
    let shown = shown.split(['>', '<']).nth(1).unwrap();
    let codes: Vec<_> = shown.lines().map(str::to_owned).collect();
    assert_eq!(codes.len(), RECOVERY_CODES, "{shown}");
    codes
}

/// Enters the password only. Returns the browser, which is then asked for the second factor.
pub async fn half_way(console: &Console, email: &str) -> Browser {
    let mut browser = console.browser();
    let answer = browser.sign_in(email, PASSWORD).await;
    assert!(answer.location().ends_with(SECOND_FACTOR), "{}", answer.location());
    browser
}

pub async fn enter(browser: &mut Browser, code: &str) -> Answer {
    browser.post(SECOND_FACTOR, &[("code", code)]).await
}

async fn new_admin(console: &Console) -> Browser {
    let role = Role::NuveraAdmin;
    let person =
        NewPerson { organization_id: console.nuvera, email: NEW_ADMIN, name: "Nele New", role, password: PASSWORD };
    console.backend.add_person(person).await.unwrap();
    let mut browser = console.browser();
    let answer = browser.sign_in(NEW_ADMIN, PASSWORD).await;
    assert_eq!(answer.location(), "/organizations", "there is no second factor to ask for yet");
    browser
}

/// The actions in Alpine Pay's history, the newest first, each with its value after the change.
async fn history(console: &Console) -> Vec<(String, String)> {
    let page = console.owner_of_history().await.get(&format!("{LIST}/audit.jsonl")).await;
    let read = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        (event["action"].as_str().unwrap().to_owned(), event["after"].as_str().unwrap_or_default().to_owned())
    };
    page.body.lines().map(read).collect()
}

impl Console {
    /// A browser of the viewer, who can read the history and has no second factor in these tests.
    async fn owner_of_history(&self) -> Browser {
        self.signed_in("viewer@alpine.example").await
    }
}

/// Every path, with the ids of an application, a key and a member filled in.
fn addresses(console: &Console, application: &str, key: &str, person: &str) -> Vec<String> {
    let mut addresses: Vec<String> =
        ["/", LIST, PEOPLE, "/organizations", "/organizations/audit", "/organizations/people"]
            .map(str::to_owned)
            .into();
    let audit = ["/audit", "/audit.csv", "/audit.jsonl"];
    for account in [ACCOUNT, "/organizations/account"] {
        // The pages that a user needs to set up a second factor stay open.
        let closed = routes("of_account").into_iter().filter(|route| {
            !["/second-factor", "/passkeys/new", "/password"].contains(route) && !route.starts_with("/sessions/")
        });
        addresses.extend(closed.map(|route| format!("{account}{}", route.replace("{passkey}", person))));
    }
    for list in [LIST.to_owned(), format!("/organizations/{}", console.alpine)] {
        addresses.extend(routes("organization").into_iter().chain(audit).map(|route| format!("{list}{route}")));
    }
    addresses.push(format!("{LIST}/new"));
    for base in [format!("{LIST}/{application}"), console.in_hub(application)] {
        addresses.extend(
            routes("of_application")
                .into_iter()
                .chain(audit)
                .map(|route| format!("{base}{}", route.replace("{key}", key).replace("{request}", key))),
        );
    }
    for base in [PEOPLE.to_owned(), format!("/organizations/{}/people", console.alpine)] {
        addresses.extend(
            routes("of_people")
                .into_iter()
                .map(|route| format!("{base}{}", route.replace("{person}", person).replace("{invitation}", key))),
        );
    }
    for address in &mut addresses {
        if address.len() > 1 {
            address.truncate(address.trim_end_matches('/').len());
        }
    }
    addresses
}

async fn all_addresses(console: &Console) -> Vec<String> {
    let (id, _) = console.owner().await.create("Ledger", PEM_A).await;
    let key = console.application(&id).await.api_keys[0].id.to_string();
    let person = console.user_id(DEVELOPER).await.to_string();
    let addresses = addresses(console, &id, &key, &person);
    assert!(addresses.len() > 60);
    addresses
}

const FORM: [(&str, &str); 6] = [
    ("version", "1"),
    ("reason", "none of my business"),
    ("name", "Stolen"),
    ("email", "stolen@example.com"),
    ("role", "partner_viewer"),
    ("grace", "3600"),
];

#[tokio::test]
async fn who_must_have_one_sets_it_up_before_anything_else() {
    let console = Console::start().await;
    let addresses = all_addresses(&console).await;
    let mut admin = new_admin(&console).await;
    for address in addresses.iter().filter(|address| Area::of(address) == Area::Hub) {
        for answer in [admin.get(address).await, admin.post(address, &FORM).await] {
            if answer.status != StatusCode::METHOD_NOT_ALLOWED {
                assert_eq!(answer.status, StatusCode::SEE_OTHER, "{address}: {}", answer.text());
                assert!(
                    answer.location().starts_with(&format!("{HUB_SET_UP}?next=")),
                    "{address}: {}",
                    answer.location()
                );
            }
        }
    }
    // The set-up remembers the page that the user asked for.
    let asked = admin.get("/organizations/audit").await;
    let page = admin.get(asked.location()).await;
    page.says("You need a second factor here");
    assert_eq!(page.hidden("next"), "/organizations/audit");
    let (phone, enrolment) = (Phone::adds(&page), page.hidden("enrolment"));
    let wrong = [("enrolment", &*enrolment), ("code", &*phone.wrong_code(&console)), ("next", "/organizations/audit")];
    let again = admin.post(HUB_SET_UP, &wrong).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    again.says("This code is not right");
    assert_eq!(Phone::adds(&again).code(&console), phone.code(&console), "the secret need not be added again");
    assert_eq!(admin.get("/organizations").await.status, StatusCode::SEE_OTHER, "not yet");

    let before = admin.cookies.clone();
    let right = [("enrolment", &*enrolment), ("code", &*phone.code(&console)), ("next", "/organizations/audit")];
    let shown = admin.post(HUB_SET_UP, &right).await;
    assert_eq!(codes(&shown).len(), RECOVERY_CODES);
    assert_eq!(shown.header("cache-control"), "no-store");
    assert_eq!(
        admin.post("/organizations/account/recovery-codes/stored", &[("next", &shown.hidden("next"))]).await.location(),
        "/organizations/audit"
    );
    assert_eq!(admin.get("/organizations").await.status, StatusCode::OK);
    assert_ne!(admin.cookies, before, "the session has a new id");
    let mut old = console.browser();
    old.cookies = before;
    assert!(
        old.get("/organizations").await.location().starts_with("/organizations/sign-in"),
        "and the old one is over"
    );
    // It can no longer be removed.
    assert_eq!(admin.get(HUB_REMOVE).await.status, StatusCode::NOT_FOUND);
    admin.post(HUB_REMOVE, &[]).await.says("You must have a second factor here");
    assert_eq!(half_way(&console, NEW_ADMIN).await.get("/organizations").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_right_password_alone_reaches_nothing() {
    let console = Console::start().await;
    let addresses = all_addresses(&console).await;
    let mut owner = console.owner().await;
    let (phone, _) = set_up(&console, &mut owner).await;
    let mut half = half_way(&console, OWNER).await;
    let mut admin = half_way(&console, "admin@nuvera.example").await;
    for address in &addresses {
        for browser in [&mut half, &mut admin] {
            let opened = browser.get(address).await;
            assert!([303, 405].contains(&opened.status.as_u16()), "{address}: {}", opened.text());
            let door = format!("{}?next=", Area::of(address).sign_in());
            assert!(opened.status != 303 || opened.location().starts_with(&door), "{address}");
            let sent = browser.post(address, &FORM).await;
            if sent.status != StatusCode::METHOD_NOT_ALLOWED {
                assert_eq!(sent.status, StatusCode::FORBIDDEN, "{address}");
                sent.says("Sign in").says("You were signed out before this was sent");
            }
        }
    }
    assert!(half.get("/confirm").await.location().starts_with("/sign-in"));
    let proof = half.post("/confirm", &[("password", PASSWORD), ("next", LIST)]).await;
    assert_eq!(proof.status, StatusCode::FORBIDDEN);
    assert!(half.get(SET_UP).await.location().starts_with("/sign-in"), "nor can another factor be set up");
    // The control: with the code, the same browser reaches the page.
    assert_eq!(enter(&mut half, &phone.code(&console)).await.location(), LIST);
    assert_eq!(half.get(LIST).await.status, StatusCode::OK);
}

#[tokio::test]
async fn each_step_of_signing_in_has_an_id_of_its_own() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (phone, _) = set_up(&console, &mut owner).await;
    let mut fixed = owner.clone();
    assert_eq!(owner.sign_in(OWNER, PASSWORD).await.location(), SECOND_FACTOR);
    assert!(fixed.get(LIST).await.location().starts_with("/sign-in"), "the session before is over");
    let mut half = owner.clone();
    assert_ne!(half.cookies, fixed.cookies);
    assert_eq!(enter(&mut owner, &phone.code(&console)).await.status, StatusCode::SEE_OTHER);
    assert_ne!(half.cookies, owner.cookies);
    assert!(
        half.get(LIST).await.location().starts_with("/sign-in"),
        "whoever knew the id of the half session has nothing"
    );
    assert_eq!(half.get(SECOND_FACTOR).await.location(), "/sign-in", "not even half a session");
    assert_eq!(owner.get(LIST).await.status, StatusCode::OK);
    // A signed-in browser has no session that waits for a second factor.
    assert_eq!(owner.get(SECOND_FACTOR).await.location(), "/sign-in");
}

#[tokio::test]
async fn who_is_half_way_in_gets_no_further_once_all_sign_ins_were_ended() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let (phone, codes) = set_up(&console, &mut owner).await;
        // An attacker with the old password and the phone has passed the first step when the password is changed.
        let mut waiting = half_way(&console, OWNER).await;
        let seen = owner.get("/settings/account/password").await.hidden("seen");
        let form = [("password", "tulip gravel 84 harbour"), ("seen", &*seen)];
        let changed = owner.post("/settings/account/password", &form).await;
        changed.leads_to(ACCOUNT, "password-changed");
        let refused = enter(&mut waiting, &phone.code(&console)).await;
        refused.leads_to("/sign-in", "sign-in-ended");
        waiting.follow(&refused).await.says("Your sign-ins were all ended while you signed in");
        assert_eq!(waiting.get(LIST).await.status, StatusCode::SEE_OTHER);
        // Nor can they continue with a recovery code.
        assert_eq!(enter(&mut waiting, &codes[0]).await.location(), "/sign-in");

        // The control: where sessions were not revoked, the same steps sign the user in.
        let mut viewer = console.signed_in("viewer@alpine.example").await;
        let (phone, _) = set_up(&console, &mut viewer).await;
        let mut waiting = half_way(&console, "viewer@alpine.example").await;
        enter(&mut waiting, &phone.code(&console)).await;
        assert_eq!(waiting.get(LIST).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_code_is_good_once_and_for_half_a_minute_on_either_side() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let (phone, _) = set_up(&console, &mut owner).await;
        let code = phone.code(&console);
        assert_eq!(enter(&mut half_way(&console, OWNER).await, &code).await.location(), LIST);
        let mut thief = half_way(&console, OWNER).await;
        let again = enter(&mut thief, &code).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
        again.says("was used already");
        assert!(!again.body.contains(&code), "and it is not shown again");
        console.advance(STEP);
        assert_eq!(enter(&mut thief, &code).await.status, StatusCode::UNPROCESSABLE_ENTITY, "nor later");

        // A phone whose clock is 30 seconds slow, and one whose clock is fast.
        let late = phone.code(&console);
        console.advance(STEP);
        assert_eq!(enter(&mut half_way(&console, OWNER).await, &late).await.location(), LIST);
        console.advance(STEP * 4);
        let too_late = phone.code(&console);
        console.advance(STEP * 2);
        let mut browser = half_way(&console, OWNER).await;
        assert_eq!(enter(&mut browser, &too_late).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        let now = console.clock.now();
        let early = phone.0.code(now.plus(STEP));
        let too_early = phone.0.code(now.plus(STEP * 2));
        assert_eq!(enter(&mut browser, &too_early).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(enter(&mut browser, &early).await.location(), LIST);
        // After a code from a fast clock, codes of earlier steps are used up as well.
        let passed = phone.code(&console);
        let mut browser = half_way(&console, OWNER).await;
        assert_eq!(enter(&mut browser, &passed).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        // Another user's code is not accepted.
        let mut developer = console.signed_in(DEVELOPER).await;
        let (other, _) = set_up(&console, &mut developer).await;
        assert_eq!(enter(&mut browser, &other.code(&console)).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(enter(&mut browser, "").await.status, StatusCode::UNPROCESSABLE_ENTITY);
        console.advance(STEP);
        assert_eq!(enter(&mut browser, &phone.code(&console)).await.location(), LIST, "the control");
    }
}

#[tokio::test]
async fn what_is_done_to_a_second_factor_is_told_by_mail() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    set_up(&console, &mut owner).await;
    assert_eq!(owner.post(CODES, &[]).await.status, StatusCode::OK);
    assert_eq!(owner.post(REMOVE, &[]).await.status, StatusCode::SEE_OTHER);
    set_up(&console, &mut console.signed_in(DEVELOPER).await).await;
    let developer = console.user_id(DEVELOPER).await;
    let reset = owner.post(&format!("{PEOPLE}/{developer}/reset-factor"), &[]).await;
    assert_eq!(reset.status, StatusCode::SEE_OTHER);
    for (subject, letters, to) in [
        ("An authenticator app was set up for your Nuvera account", 2, OWNER),
        ("Your Nuvera account has new recovery codes", 1, OWNER),
        ("The authenticator app of your Nuvera account was removed", 1, OWNER),
        ("The second factor of your Nuvera account was removed", 1, DEVELOPER),
    ] {
        let found = console.letters_about(subject, letters).await;
        assert!(found.iter().any(|letter| letter.contains(&format!("To: {to}"))), "{found:?}");
    }
    let reset = console.letters_about("The second factor of your Nuvera account was removed", 1).await.remove(0);
    assert!(reset.contains("Olivia Okafor") && reset.contains("removed your second factor"), "{reset}");
}

#[tokio::test]
async fn guessing_codes_has_an_end_and_a_recovery_code_a_new_beginning() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (phone, codes) = set_up(&console, &mut owner).await;
    for window in 0..5 {
        console.advance(Duration::from_secs(900));
        let mut guesser = half_way(&console, OWNER).await;
        for guess in 0..20 {
            guesser.address = format!("192.0.{window}.{guess}");
            let wrong = phone.wrong_code(&console);
            assert_eq!(enter(&mut guesser, &wrong).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        }
        if window == 3 {
            // A correct code after 80 wrong ones resets the count.
            console.advance(Duration::from_secs(900));
            let mut owner = half_way(&console, OWNER).await;
            assert_eq!(enter(&mut owner, &phone.code(&console)).await.location(), LIST);
        }
    }
    for _ in 0..4 {
        console.advance(Duration::from_secs(900));
        let mut guesser = half_way(&console, OWNER).await;
        for guess in 0..20 {
            guesser.address = format!("192.0.2.{guess}");
            let answer = enter(&mut guesser, &phone.wrong_code(&console)).await;
            answer.says("This code is not right");
        }
    }
    console.advance(Duration::from_secs(900));
    let refused = enter(&mut half_way(&console, OWNER).await, &phone.code(&console)).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.says("A hundred codes in a row were wrong").says("Use a recovery code or a passkey");
    let by_recovery = enter(&mut half_way(&console, OWNER).await, &codes[0]).await;
    assert_eq!(by_recovery.location(), LIST);
    let again = enter(&mut half_way(&console, OWNER).await, &phone.code(&console)).await;
    assert_eq!(again.location(), LIST);
}

#[tokio::test]
async fn guessing_codes_is_slowed_down_however_often_the_password_is_right() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (phone, codes) = set_up(&console, &mut owner).await;
    let wrong = phone.wrong_code(&console);
    for guess in 0..5 {
        let mut guesser = half_way(&console, OWNER).await;
        let answer = enter(&mut guesser, &wrong).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{guess}");
    }
    let mut guesser = half_way(&console, OWNER).await;
    for code in [&*phone.code(&console), &*codes[0]] {
        let throttled = enter(&mut guesser, code).await;
        assert_eq!(throttled.status, StatusCode::TOO_MANY_REQUESTS);
        throttled.says("Too many attempts failed");
        assert_eq!(throttled.header("retry-after"), "900");
    }
    // The owner can still sign in from another address, while an attacker with many addresses is throttled.
    let mut elsewhere = half_way(&console, OWNER).await;
    elsewhere.address = "198.51.100.9".into();
    assert_eq!(enter(&mut elsewhere, &phone.code(&console)).await.location(), LIST);
    for guess in 5..20 {
        guesser.address = format!("192.0.2.{guess}");
        assert_eq!(enter(&mut guesser, &wrong).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{guess}");
    }
    guesser.address = "192.0.2.99".into();
    assert_eq!(enter(&mut guesser, &wrong).await.status, StatusCode::TOO_MANY_REQUESTS);
    console.advance(Duration::from_secs(900));
    let mut owner = half_way(&console, OWNER).await;
    assert_eq!(enter(&mut owner, &phone.code(&console)).await.location(), LIST);
}

#[tokio::test]
async fn guesses_from_elsewhere_lock_out_neither_an_open_session_nor_a_known_browser() {
    for database in Database::all().await {
        println!("on {}", database.engine);
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let (phone, codes) = set_up(&console, &mut owner).await;
        let known = owner.cookies["nuvera-browser"].clone();
        let sign_in_at_home = async |console: &Console| {
            let mut browser = console.browser();
            browser.cookies.insert("nuvera-browser".into(), known.clone());
            assert_eq!(browser.sign_in(OWNER, PASSWORD).await.location(), SECOND_FACTOR);
            browser
        };
        // The attacker knows the password, has many addresses, including the owner's, and guesses until the window is
        // exhausted; five times, until the limit of 100 is reached.
        for window in 0..5 {
            let mut guesser = half_way(&console, OWNER).await;
            for guess in 0..20 {
                if guess % 5 != 0 {
                    guesser.address = format!("192.0.{window}.{guess}");
                }
                enter(&mut guesser, &phone.wrong_code(&console)).await.says("This code is not right");
            }
            let spent = enter(&mut guesser, &phone.code(&console)).await;
            assert_eq!(spent.status, StatusCode::TOO_MANY_REQUESTS, "the control: elsewhere it is over");
            // The owner is locked out neither in a browser that they have used before nor in their current session.
            let mut home = sign_in_at_home(&console).await;
            assert_eq!(enter(&mut home, &phone.code(&console)).await.location(), LIST, "window {window}");
            console.advance(Duration::from_secs(600));
            let proven = home.post("/confirm", &[("code", &*phone.code(&console)), ("next", CODES)]).await;
            assert_eq!(proven.location(), CODES, "window {window}");
            console.advance(Duration::from_secs(300));
        }
        // A correct code of the owner's does not reset the limit: after 100 wrong codes, an unknown browser is rejected
        // with any code.
        let refused = enter(&mut half_way(&console, OWNER).await, &phone.code(&console)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        refused.says("only accepted in browsers that you have signed in with before");
        // Changing the password, which the attacker knows, lifts the limit.
        let mut home = sign_in_at_home(&console).await;
        enter(&mut home, &phone.code(&console)).await;
        let seen = home.get("/settings/account/password").await.hidden("seen");
        let chosen = "tulip gravel 84 harbour";
        let changed = home.post("/settings/account/password", &[("password", chosen), ("seen", &seen)]).await;
        changed.leads_to(ACCOUNT, "password-changed");
        let mut anywhere = console.browser();
        assert_eq!(anywhere.sign_in(OWNER, chosen).await.location(), SECOND_FACTOR);
        console.advance(STEP);
        assert_eq!(enter(&mut anywhere, &phone.code(&console)).await.location(), LIST);
        assert_eq!(codes.len(), RECOVERY_CODES);
    }
}

#[tokio::test]
async fn guesses_in_a_stolen_session_or_browser_have_an_end_of_their_own() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (phone, _) = set_up(&console, &mut owner).await;
    let known = owner.cookies["nuvera-browser"].clone();
    let confirm =
        async |browser: &mut Browser, code: &str| browser.post("/confirm", &[("code", code), ("next", CODES)]).await;
    // An attacker with the session, and one with the browser's cookie and the password.
    let mut session = owner.clone();
    let mut browser = console.browser();
    browser.cookies.insert("nuvera-browser".into(), known);
    for window in 0..4 {
        browser.sign_in(OWNER, PASSWORD).await;
        for guess in 0..5 {
            session.address = format!("192.0.{window}.{guess}");
            browser.address = format!("198.51.{window}.{guess}");
            let wrong = phone.wrong_code(&console);
            confirm(&mut session, &wrong).await.says("This code is not right");
            enter(&mut browser, &wrong).await.says("This code is not right");
        }
        let wrong = phone.wrong_code(&console);
        assert_eq!(confirm(&mut session, &wrong).await.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(enter(&mut browser, &wrong).await.status, StatusCode::TOO_MANY_REQUESTS);
        console.advance(Duration::from_secs(900));
    }
    browser.sign_in(OWNER, PASSWORD).await;
    let right = phone.code(&console);
    confirm(&mut session, &right).await.says("Twenty codes in a row were wrong here");
    enter(&mut browser, &right).await.says("Twenty codes in a row were wrong here");
    // The control: the owner can still sign in in another browser.
    assert_eq!(enter(&mut half_way(&console, OWNER).await, &right).await.location(), LIST);
}

#[tokio::test]
async fn a_wrong_code_after_the_right_password_is_mailed_once_an_hour_and_shown_to_the_user() {
    const SUBJECT: &str = "Your password was entered with a wrong code";
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (phone, _) = set_up(&console, &mut owner).await;
    // The user's own mistake in a known browser sends no e-mail.
    let mut home = owner.clone();
    home.sign_in(OWNER, PASSWORD).await;
    enter(&mut home, &phone.wrong_code(&console)).await.says("This code is not right");
    let mut guesser = half_way(&console, OWNER).await;
    for _ in 0..3 {
        enter(&mut guesser, &phone.wrong_code(&console)).await;
    }
    let letters = console.letters_about(SUBJECT, 1).await;
    assert!(letters[0].contains("someone else knows your password"), "{}", letters[0]);
    let mut owner = console.browser();
    owner.sign_in(OWNER, PASSWORD).await;
    assert_eq!(enter(&mut owner, &phone.code(&console)).await.location(), LIST);
    owner.get(ACCOUNT).await.says("Refused: right password, wrong code");
    console.advance(Duration::from_secs(3600) - Duration::from_millis(1));
    enter(&mut half_way(&console, OWNER).await, &phone.wrong_code(&console)).await;
    console.advance(Duration::from_millis(1));
    enter(&mut half_way(&console, OWNER).await, &phone.wrong_code(&console)).await;
    assert_eq!(console.letters_about(SUBJECT, 2).await.len(), 2, "one an hour");
}

#[tokio::test]
async fn half_a_session_ends_after_ten_minutes_and_what_was_typed_goes_on_waiting() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (phone, _) = set_up(&console, &mut owner).await;
    let form = format!("{LIST}/new");
    let fields = [("email", OWNER), ("password", PASSWORD), ("next", &*form), ("unsent", "name=Ledger")];
    let mut late = console.browser();
    assert_eq!(late.post("/sign-in", &fields).await.location(), SECOND_FACTOR);
    let mut in_time = late.clone();
    console.advance(Duration::from_millis(599_999));
    assert_eq!(in_time.get(SECOND_FACTOR).await.status, StatusCode::OK);
    console.advance(Duration::from_millis(1));
    let page = enter(&mut late, &phone.code(&console)).await;
    page.says("took longer than ten minutes").says("Sign in");
    assert_eq!((page.hidden("next"), page.hidden("unsent")), (form.clone(), "name=Ledger".to_owned()));
    assert_eq!(late.get(SECOND_FACTOR).await.location(), "/sign-in", "it is over");
    late.post("/sign-in", &fields).await;
    assert_eq!(enter(&mut late, &phone.code(&console)).await.location(), form);
    let page = late.get(&form).await;
    assert_eq!(page.hidden("name"), "Ledger");
    page.says("Here it is as you left it");
}

#[tokio::test]
async fn a_recovery_code_is_good_once_and_new_ones_end_the_old() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let (phone, codes) = set_up(&console, &mut owner).await;
        let mut browser = half_way(&console, OWNER).await;
        assert_eq!(enter(&mut browser, &codes[0].to_uppercase().replace('-', " ")).await.location(), LIST);
        let mut again = half_way(&console, OWNER).await;
        assert_eq!(enter(&mut again, &codes[0]).await.status, StatusCode::UNPROCESSABLE_ENTITY, "used");
        browser.get(ACCOUNT).await.says("Recovery codes left9");
        // A recovery code is accepted as a proof of identity, like a code of the app.
        console.advance(Duration::from_secs(600));
        let proven = browser.post("/confirm", &[("code", &*codes[1]), ("next", CODES)]).await;
        assert_eq!(proven.location(), CODES);
        browser.get(CODES).await.says("8 of them are unused");
        let made = self::codes(&browser.post(CODES, &[]).await);
        assert!(made.iter().all(|code| !codes.contains(code)));
        // A session that waits for the second factor lasts ten minutes, which are over.
        let mut again = half_way(&console, OWNER).await;
        assert_eq!(enter(&mut again, &codes[2]).await.status, StatusCode::UNPROCESSABLE_ENTITY, "one from before");
        assert_eq!(enter(&mut again, &made[2]).await.location(), LIST);

        // Another user's recovery code is not accepted, and no code or secret is in the database in plain text.
        let mut developer = console.signed_in(DEVELOPER).await;
        set_up(&console, &mut developer).await;
        let mut half = half_way(&console, DEVELOPER).await;
        assert_eq!(enter(&mut half, &made[3]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        let pool = sqlx::AnyPool::connect(console.database_url()).await.unwrap();
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT sealed_secret FROM second_factors UNION ALL SELECT hash FROM recovery_codes
             UNION ALL SELECT data FROM sessions UNION ALL SELECT target FROM audit_events",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        assert!(rows.len() > 20);
        let secret = phone.0.base32();
        for (row,) in rows {
            assert!(!row.contains(&secret), "{row}");
            assert!(made.iter().all(|code| !row.contains(code) && !row.contains(&code.replace('-', ""))), "{row}");
        }
        let history = history(&console).await;
        let after = |action: &str| -> Vec<_> {
            history.iter().filter(|(what, _)| what == action).map(|(_, after)| after.as_str()).collect()
        };
        let left = ["9 recovery codes left", "8 recovery codes left", "9 recovery codes left"];
        assert_eq!(after("recovery_code.used"), left);
        assert_eq!(after("recovery_codes.made"), ["10 recovery codes left"]);
        assert_eq!(after("second_factor.set").len(), 2);
    }
}

#[tokio::test]
async fn a_fresh_proof_is_the_factor_and_no_longer_the_password() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let form = format!("{LIST}/new");
    console.advance(Duration::from_secs(600));
    let page = owner.get(&format!("/confirm?next={form}")).await;
    assert!(page.body.contains("name=\"password\"") && !page.body.contains("name=\"code\""), "before");
    owner.post("/confirm", &[("password", PASSWORD), ("next", ACCOUNT)]).await;
    let (phone, _) = set_up(&console, &mut owner).await;
    console.advance(Duration::from_secs(600));
    assert!(owner.get(&form).await.location().starts_with("/confirm"));
    let page = owner.get(&format!("/confirm?next={form}")).await;
    assert!(!page.body.contains("name=\"password\"") && page.body.contains("name=\"code\""), "after");
    for fields in [
        vec![("password", PASSWORD), ("next", &*form)],
        vec![("password", PASSWORD), ("code", PASSWORD), ("next", &*form)],
        vec![("password", PASSWORD), ("code", &*phone.wrong_code(&console)), ("next", &*form)],
    ] {
        assert_eq!(owner.post("/confirm", &fields).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{fields:?}");
        assert!(owner.get(&form).await.location().starts_with("/confirm"), "{fields:?}");
    }
    let code = phone.code(&console);
    assert_eq!(owner.post("/confirm", &[("code", &*code), ("next", &*form)]).await.location(), form);
    assert_eq!(owner.get(&form).await.status, StatusCode::OK);
    let mut thief = half_way(&console, OWNER).await;
    assert_eq!(
        enter(&mut thief, &code).await.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "a code proves one thing, once"
    );
}

#[tokio::test]
async fn a_factor_is_changed_only_by_who_proved_lately_that_it_is_they() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let page = owner.get(SET_UP).await;
    let (phone, enrolment) = (Phone::adds(&page), page.hidden("enrolment"));
    // Neither another session's set-up page nor one that was open for too long sets up a factor.
    let mut developer = console.signed_in(DEVELOPER).await;
    let stolen = developer.post(SET_UP, &[("enrolment", &*enrolment), ("code", &*phone.code(&console))]).await;
    assert_eq!(stolen.status, StatusCode::CONFLICT);
    stolen.says("open for too long");
    console.advance(Duration::from_secs(600));
    for path in [SET_UP, CODES, REMOVE] {
        assert!(owner.get(path).await.location().starts_with("/confirm?next="), "{path}");
        let sent = owner.post(path, &[("enrolment", &*enrolment), ("code", &*phone.code(&console))]).await;
        assert_eq!(sent.status, StatusCode::FORBIDDEN, "{path}");
        sent.says("Confirm that it is you");
        assert!(!sent.body.contains(&phone.code(&console)), "a code does not wait");
    }
    owner.get(ACCOUNT).await.says("Not set up");

    owner.post("/confirm", &[("password", PASSWORD), ("next", SET_UP)]).await;
    let (phone, _) = set_up(&console, &mut owner).await;
    owner.get(ACCOUNT).await.says("Authenticator appSet up").says("Recovery codes left10");
    let (replacement, _) = set_up(&console, &mut owner).await;
    let mut browser = half_way(&console, OWNER).await;
    assert_eq!(enter(&mut browser, &phone.code(&console)).await.status, StatusCode::UNPROCESSABLE_ENTITY, "replaced");
    assert_eq!(enter(&mut browser, &replacement.code(&console)).await.location(), LIST);
    let removed = browser.post(REMOVE, &[]).await;
    removed.leads_to(ACCOUNT, "second-factor-removed");
    assert_eq!(console.browser().sign_in(OWNER, PASSWORD).await.location(), LIST, "the password is enough again");
    let actions: Vec<_> = history(&console).await.into_iter().map(|(action, _)| action).collect();
    assert_eq!(actions, ["second_factor.removed", "second_factor.replaced", "second_factor.set"]);
}

#[tokio::test]
async fn a_lost_factor_is_reset_by_who_decides_on_people_and_by_nobody_else() {
    let console = Console::start().await;
    let mut developer = console.signed_in(DEVELOPER).await;
    let (phone, codes) = set_up(&console, &mut developer).await;
    let id = console.user_id(DEVELOPER).await;
    let reset = format!("{PEOPLE}/{id}/reset-factor");
    let in_hub = format!("/organizations/{}/people/{id}/reset-factor", console.alpine);
    for (email, path, expected) in [
        ("viewer@alpine.example", &reset, StatusCode::FORBIDDEN),
        ("owner@borealis.example", &reset, StatusCode::NOT_FOUND),
        ("admin@nuvera.example", &in_hub, StatusCode::FORBIDDEN),
        ("auditor@nuvera.example", &in_hub, StatusCode::FORBIDDEN),
    ] {
        let mut somebody = console.signed_in(email).await;
        assert_eq!(somebody.get(path).await.status, expected, "{email}");
        assert_eq!(somebody.post(path, &[]).await.status, expected, "{email}");
    }
    assert_eq!(developer.post(&reset, &[]).await.status, StatusCode::FORBIDDEN, "nor by themselves");
    assert_eq!(developer.get(LIST).await.status, StatusCode::OK, "the control");
    let mut half = half_way(&console, DEVELOPER).await;

    let mut owner = console.owner().await;
    owner.get(PEOPLE).await.says("With a second factor").says("Reset second factor");
    owner.get(&reset).await.says("Make sure that it is they who ask");
    let done = owner.post(&reset, &[]).await;
    done.leads_to(PEOPLE, "second-factor-reset");
    assert!(developer.get(LIST).await.location().starts_with("/sign-in"), "their sessions have ended");
    let what_they_had = [(&*phone.code(&console), Some("sign-in-ended")), (&*codes[0], None)];
    for (code, notice) in what_they_had {
        let refused = enter(&mut half, code).await;
        assert_eq!((refused.location(), refused.notice()), ("/sign-in", notice), "it no longer works");
    }
    let again = owner.post(&reset, &[]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    again.says("Deniz Demir has no second factor.");
    let mut developer = console.signed_in(DEVELOPER).await;
    developer.get(ACCOUNT).await.says("Not set up");
    assert_eq!(history(&console).await[0].0, "second_factor.reset");

    // Where a second factor is required, the user must set up a new one first.
    let mut admin = console.admin().await;
    let id = console.user_id("auditor@nuvera.example").await;
    let requested = admin.post(&format!("/organizations/people/{id}/reset-factor"), &[]).await;
    requested.leads_to("/organizations/people", "reset-requested");
    console.advance(Duration::from_secs(24 * 60 * 60));
    server::web::carry_out_due_resets(&console.web).await;
    let mut admin = console.admin().await;
    let mut auditor = console.browser();
    assert_eq!(auditor.sign_in("auditor@nuvera.example", PASSWORD).await.location(), "/organizations");
    assert!(auditor.get("/organizations").await.location().starts_with(HUB_SET_UP));
    // An admin cannot reset their own.
    let own = console.user_id("admin@nuvera.example").await;
    let refused = admin.post(&format!("/organizations/people/{own}/reset-factor"), &[]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.says("This is you.");
}

#[tokio::test]
async fn an_organization_asks_it_of_everybody_and_nobody_goes_on_without() {
    let console = Console::start().await;
    let addresses = all_addresses(&console).await;
    let policy = format!("{LIST}/security-policy");
    let mut owner = console.owner().await;
    let mut developer = console.signed_in(DEVELOPER).await;
    let mut stranger = console.signed_in("owner@borealis.example").await;
    let fields = [("second_factor", "required"), ("nuvera_changes", "at_once")];
    let changed = owner.submit(&policy, &fields).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER, "{}", changed.text());

    // It applies from the next request, also to existing sessions and to the owner who changed it.
    for address in addresses.iter().filter(|address| Area::of(address) == Area::Partner) {
        for browser in [&mut owner, &mut developer] {
            for answer in [browser.get(address).await, browser.post(address, &FORM).await] {
                if answer.status != StatusCode::METHOD_NOT_ALLOWED {
                    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{address}: {}", answer.text());
                    assert!(answer.location().starts_with(&format!("{SET_UP}?next=")), "{address}");
                }
            }
        }
    }
    assert_eq!(stranger.get(LIST).await.status, StatusCode::OK, "the control: another organization's own matter");
    // A session whose last proof is too old must confirm the password first, the only method that the user has.
    console.advance(Duration::from_secs(600));
    assert!(developer.get(SET_UP).await.location().starts_with("/confirm?next="));
    let proven = developer.post("/confirm", &[("password", PASSWORD), ("next", SET_UP)]).await;
    assert_eq!(proven.location(), SET_UP);
    set_up(&console, &mut developer).await;
    assert_eq!(developer.get(LIST).await.status, StatusCode::OK);
    assert_eq!(developer.get(REMOVE).await.status, StatusCode::NOT_FOUND, "required: it can be replaced only");
    developer.post(REMOVE, &[]).await.says("You must have a second factor here");
    developer.get(ACCOUNT).await.says("It is required of you.");

    // A form submitted without a session is kept while the user signs in and sets up the factor.
    let form = format!("{LIST}/new");
    owner.post("/sign-out", &[]).await;
    let waiting = [("email", OWNER), ("password", PASSWORD), ("next", &*form), ("unsent", "name=Ledger")];
    assert_eq!(owner.post("/sign-in", &waiting).await.location(), form);
    let asked = owner.get(&form).await;
    assert!(asked.location().starts_with(SET_UP));
    owner.get(asked.location()).await.says("You need a second factor here");
    set_up(&console, &mut owner).await;
    assert_eq!(owner.get(&form).await.hidden("name"), "Ledger");
}
