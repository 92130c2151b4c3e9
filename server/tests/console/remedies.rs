//! The remedies in security e-mails: an attacker has gained all the access that they can, the user follows the e-mail
//! exactly, and the attacker has no access left.

use crate::{
    authenticator::Device,
    passkeys,
    second_factor::{Phone, codes, enter, half_way, set_up},
    support::{Answer, Browser, Console, LIST, PASSWORD, PEOPLE, SECOND_FACTOR},
};
use axum::http::StatusCode;
use domain::time::DAY;
use server::store::{second_factors, sign_ins, users};
use std::time::Duration;

const USER: &str = "developer@alpine.example";
const ACCOUNT: &str = "/settings/account";
const CHANGE: &str = "/settings/account/password";
const REMOVE_APP: &str = "/settings/account/second-factor/remove";
const CODES: &str = "/settings/account/recovery-codes";
const CHOSEN: &str = "tulip gravel 84 harbour";
const STOLEN: &str = "velvet onion 52 ladder";
const STEP: Duration = Duration::from_secs(30);

/// A user who has had an authenticator app and a passkey for more than a month, and an attacker who has phished their
/// password and one code, and has a session, a known browser, a passkey and new recovery codes.
struct Attack {
    console: Console,
    user: Browser,
    phone: Phone,
    attacker: Browser,
    passkey: Device,
    recovery_codes: Vec<String>,
    /// The attacker's own authenticator app.
    their_phone: Option<Phone>,
}

impl Attack {
    async fn begin() -> Self {
        let console = Console::start().await;
        let mut user = console.signed_in(USER).await;
        let (phone, _) = set_up(&console, &mut user).await;
        passkeys::add(&mut user, "Mine").await;
        console.advance(31 * DAY);
        user.sign_in(USER, PASSWORD).await;
        assert_eq!(enter(&mut user, &phone.code(&console)).await.location(), LIST);
        console.advance(STEP);
        let mut attacker = half_way(&console, USER).await;
        assert_eq!(enter(&mut attacker, &phone.code(&console)).await.location(), LIST);
        let passkey = passkeys::add(&mut attacker, "Theirs").await;
        let recovery_codes = codes(&attacker.post(CODES, &[]).await);
        console.advance(STEP);
        Self { console, user, phone, attacker, passkey, recovery_codes, their_phone: None }
    }

    /// Waits for the e-mail, and asserts that it prescribes what the user then does.
    async fn letter(&self, subject: &str) {
        let letters = self.console.letters_about(subject, 1).await;
        let letter =
            letters.iter().find(|letter| letter.contains(&format!("To: {USER}"))).expect("a letter to the user");
        let letter = letter.replace("\r\n", " ");
        for words in [
            CHANGE,
            "Select those that you do not recognize",
            "If you cannot sign in, or are asked for a code or a passkey that you do not have, ask an owner",
        ] {
            assert!(letter.contains(words), "{subject}: {words:?} is not in {letter}");
        }
    }

    /// The user changes the password in their current browser, with the page's preselection.
    async fn change_password(&mut self) {
        let page = self.user.get(CHANGE).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        let selected = selected(&page);
        let seen = page.hidden("seen");
        let mut fields = vec![("password", CHOSEN), ("seen", &*seen)];
        fields.extend(selected.iter().map(|value| ("remove", value.as_str())));
        let changed = self.user.post(CHANGE, &fields).await;
        assert!(changed.notice() == Some("password-changed") || changed.text().contains("Your password is changed"));
        assert_eq!(self.user.get(LIST).await.status, StatusCode::OK, "the user stays signed in");
    }

    /// An owner resets the user's password, and the user chooses a new one through the mailed link.
    async fn reset_password(&mut self) {
        let id = self.console.user_id(USER).await;
        let sent = self.console.owner().await.post(&format!("{PEOPLE}/{id}/reset-password"), &[]).await;
        assert_eq!(sent.status, StatusCode::OK, "{}", sent.text());
        let link = self.console.take_reset_link(USER);
        let token = link.split_once("?token=").unwrap().1;
        let fields = [("token", token), ("password", CHOSEN)];
        let chosen = self.console.browser().post("/reset-password", &fields).await;
        chosen.leads_to("/sign-in", "password-chosen");
    }

    /// Asserts that the attacker has no access left, and why each attempt fails.
    async fn leaves_nothing(mut self, letter: &str) {
        let console = &self.console;
        let user = console.user_id(USER).await;
        let session = self.attacker.get(LIST).await;
        assert!(session.location().starts_with("/sign-in"), "{letter}: the session");
        let by_passkey = passkeys::sign_in(&mut console.browser(), &mut self.passkey).await;
        assert_eq!(by_passkey.status, StatusCode::UNPROCESSABLE_ENTITY, "{letter}: the passkey");
        by_passkey.says("This passkey is not known here");
        for password in [PASSWORD, STOLEN] {
            let by_password = console.browser().sign_in(USER, password).await;
            assert_eq!(by_password.status, StatusCode::UNPROCESSABLE_ENTITY, "{letter}: the password");
            by_password.says("do not belong together");
        }
        let mut conn = console.store.read().await.unwrap();
        let token = &self.attacker.cookies["nuvera-browser"];
        let browser = server::backend::sessions::known_browser(&mut conn, user, token).await.unwrap();
        assert_eq!(browser, None, "{letter}: the browser is no longer known");
        let factors = users::find_actor(&mut conn, user, None).await.unwrap().unwrap().factors;
        let left = second_factors::recovery_codes(&mut conn, user).await.unwrap();
        drop(conn);
        // Even with the new password, none of the attacker's second factors works.
        if factors.any() {
            let mut browser = console.browser();
            assert_eq!(browser.sign_in(USER, CHOSEN).await.location(), SECOND_FACTOR);
            for code in &self.recovery_codes[..2] {
                enter(&mut browser, code).await.says("This code is not right");
            }
            if let Some(phone) = &self.their_phone {
                enter(&mut browser, &phone.code(console)).await.says("This code is not right");
            }
            console.advance(STEP);
            assert_eq!(enter(&mut browser, &self.phone.code(console)).await.location(), LIST, "the user gets in");
        } else {
            assert_eq!(left, 0, "{letter}: the recovery codes go with the last factor");
            assert_eq!(console.browser().sign_in(USER, CHOSEN).await.location(), LIST, "the user gets in");
        }
    }
}

/// The second factors that are preselected on the page.
fn selected(page: &Answer) -> Vec<String> {
    let tags = page.body.split("<input").skip(1).map(|rest| rest.split('>').next().unwrap());
    let boxes = tags.filter(|tag| tag.contains("name=\"remove\"") && tag.contains(" checked"));
    let value = |tag: &str| tag.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    boxes.map(value).collect()
}

/// The path that removes the passkey with this name.
fn remove_passkey(page: &Answer, name: &str) -> String {
    let (_, rest) = page.body.split_once(name).expect("the passkey");
    let (_, rest) = rest.split_once("href=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_browser() {
    let mut attack = Attack::begin().await;
    attack.letter("A new browser signed in to your Nuvera account").await;
    attack.change_password().await;
    attack.leaves_nothing("a new browser").await;
}

#[tokio::test]
async fn an_added_passkey() {
    let mut attack = Attack::begin().await;
    attack.letter("A passkey was added to your Nuvera account").await;
    let page = attack.user.get(CHANGE).await;
    page.says("Remove the passkey “Theirs”").says("Remove the passkey “Mine”").says("Remove the authenticator app");
    let selected = selected(&page);
    assert_eq!(selected.len(), 2, "the attacker's passkey and the recovery codes: {selected:?}");
    assert!(selected.contains(&"codes".to_owned()) && !selected.contains(&"app".to_owned()), "{selected:?}");
    attack.change_password().await;
    attack.user.get(ACCOUNT).await.says("Mine").says("Recovery codes left10");
    attack.leaves_nothing("an added passkey").await;
}

#[tokio::test]
async fn new_recovery_codes() {
    let mut attack = Attack::begin().await;
    attack.letter("Your Nuvera account has new recovery codes").await;
    attack.change_password().await;
    attack.leaves_nothing("new recovery codes").await;
}

#[tokio::test]
async fn a_removed_passkey() {
    let mut attack = Attack::begin().await;
    let remove = remove_passkey(&attack.attacker.get(ACCOUNT).await, "Mine");
    assert_eq!(attack.attacker.post(&remove, &[]).await.notice(), Some("passkey-removed"));
    attack.letter("A passkey of your Nuvera account was removed").await;
    attack.change_password().await;
    attack.leaves_nothing("a removed passkey").await;
}

#[tokio::test]
async fn a_removed_app() {
    let mut attack = Attack::begin().await;
    assert_eq!(attack.attacker.post(REMOVE_APP, &[]).await.notice(), Some("app-removed"));
    attack.letter("The authenticator app of your Nuvera account was removed").await;
    // Once the user's proof is too old, they are asked for a passkey; here they have lost theirs as well.
    attack.reset_password().await;
    attack.leaves_nothing("a removed app").await;
}

#[tokio::test]
async fn a_replaced_app() {
    let mut attack = Attack::begin().await;
    let (phone, codes) = set_up(&attack.console, &mut attack.attacker).await;
    (attack.their_phone, attack.recovery_codes) = (Some(phone), codes);
    attack.letter("An authenticator app was set up for your Nuvera account").await;
    attack.reset_password().await;
    attack.leaves_nothing("a replaced app").await;
}

#[tokio::test]
async fn a_replaced_app_while_the_user_is_signed_in() {
    let mut attack = Attack::begin().await;
    let (phone, codes) = set_up(&attack.console, &mut attack.attacker).await;
    (attack.their_phone, attack.recovery_codes) = (Some(phone), codes);
    let selected = selected(&attack.user.get(CHANGE).await);
    assert!(selected.contains(&"app".to_owned()), "{selected:?}");
    attack.change_password().await;
    // The user's app was replaced: they prove their identity with their passkey and set the app up again.
    let Attack { console, mut attacker, mut passkey, their_phone, recovery_codes, .. } = attack;
    assert!(attacker.get(LIST).await.location().starts_with("/sign-in"));
    passkeys::sign_in(&mut console.browser(), &mut passkey).await.says("This passkey is not known here");
    let mut browser = console.browser();
    assert_eq!(browser.sign_in(USER, CHOSEN).await.location(), SECOND_FACTOR);
    for code in [&recovery_codes[0], &their_phone.unwrap().code(&console)] {
        enter(&mut browser, code).await.says("This code is not right");
    }
}

#[tokio::test]
async fn a_changed_password() {
    let mut attack = Attack::begin().await;
    let seen = attack.attacker.get(CHANGE).await.hidden("seen");
    let changed = attack.attacker.post(CHANGE, &[("password", STOLEN), ("seen", &seen)]).await;
    assert_eq!(changed.notice(), Some("password-changed"), "{}", changed.text());
    attack.letter("The password of your Nuvera account was changed").await;
    assert!(attack.user.get(LIST).await.location().starts_with("/sign-in"), "the user is out");
    attack.reset_password().await;
    attack.leaves_nothing("a changed password").await;
}

#[tokio::test]
async fn a_second_factor_that_was_reset_for_the_attacker() {
    let mut attack = Attack::begin().await;
    let id = attack.console.user_id(USER).await;
    let reset = attack.console.owner().await.post(&format!("{PEOPLE}/{id}/reset-factor"), &[]).await;
    assert_eq!(reset.notice(), Some("second-factor-reset"));
    attack.letter("The second factor of your Nuvera account was removed").await;
    // With the password alone the attacker signs in again, and adds a passkey.
    attack.attacker.sign_in(USER, PASSWORD).await;
    attack.passkey = passkeys::add(&mut attack.attacker, "Theirs").await;
    attack.reset_password().await;
    attack.leaves_nothing("a reset factor").await;
}

#[tokio::test]
async fn wrong_codes_after_the_right_password() {
    let mut attack = Attack::begin().await;
    let mut guesser = half_way(&attack.console, USER).await;
    enter(&mut guesser, &attack.phone.wrong_code(&attack.console)).await.says("This code is not right");
    attack.letter("Your password was entered with a wrong code").await;
    attack.change_password().await;
    attack.leaves_nothing("wrong codes").await;
}

#[tokio::test]
async fn a_reset_link_that_was_not_asked_for() {
    let mut attack = Attack::begin().await;
    let id = attack.console.user_id(USER).await;
    attack.console.owner().await.post(&format!("{PEOPLE}/{id}/reset-password"), &[]).await;
    let letters = attack.console.letters_about("Choose a new password for your Nuvera account", 1).await;
    assert!(letters[0].replace("\r\n", " ").contains("Signing in and changing your password makes the link useless"));
    let link = attack.console.take_reset_link(USER);
    attack.change_password().await;
    assert_eq!(attack.console.browser().get(&link).await.status, StatusCode::GONE);
    attack.leaves_nothing("a reset link").await;
}

#[tokio::test]
async fn a_factor_that_is_added_while_the_page_is_open_does_not_survive_unseen() {
    let mut attack = Attack::begin().await;
    let seen = attack.user.get(CHANGE).await.hidden("seen");
    attack.console.advance(STEP);
    passkeys::add(&mut attack.attacker, "Sneaked in").await;
    let fields = [("password", CHOSEN), ("seen", &*seen)];
    let refused = attack.user.post(CHANGE, &fields).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.says("Your second factors changed after you opened this page").says("Remove the passkey “Sneaked in”");
    assert_eq!(attack.console.browser().sign_in(USER, CHOSEN).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    // The page is shown again with the new passkey selected; what the user had deselected stays so.
    let late = selected(&refused);
    assert_eq!(late.len(), 1, "{late:?}");
    let seen = refused.hidden("seen");
    let fields = [("password", CHOSEN), ("seen", &*seen), ("remove", &*late[0])];
    assert_eq!(attack.user.post(CHANGE, &fields).await.notice(), Some("password-changed"));
    assert!(!attack.user.get(ACCOUNT).await.text().contains("Sneaked in"));
}

#[tokio::test]
async fn who_must_have_a_factor_and_removes_all_sets_one_up_next() {
    let console = Console::start().await;
    let mut admin = console.admin().await;
    let change = "/organizations/account/password";
    let page = admin.get(change).await;
    assert_eq!(selected(&page), ["app"], "it was set up just now");
    let seen = page.hidden("seen");
    let changed = admin.post(change, &[("password", CHOSEN), ("seen", &seen), ("remove", "app")]).await;
    changed.leads_to("/organizations/account", "password-changed");
    let next = admin.get("/organizations").await;
    assert!(next.location().starts_with("/organizations/account/second-factor"), "{}", next.location());
}

#[tokio::test]
async fn recovery_on_the_command_line_leaves_an_attacker_nothing() {
    let attack = Attack::begin().await;
    let (_, token, _) = attack.console.backend.recover(USER).await.unwrap();
    let fields = [("token", token.reveal()), ("password", CHOSEN)];
    attack.console.browser().post("/reset-password", &fields).await.leads_to("/sign-in", "password-chosen");
    attack.leaves_nothing("recovery").await;
}

#[tokio::test]
async fn the_first_sign_in_after_a_reset_is_notified_although_no_browser_is_known() {
    let mut attack = Attack::begin().await;
    attack.reset_password().await;
    let user = attack.console.user_id(USER).await;
    let mut conn = attack.console.store.read().await.unwrap();
    let (seen_at, has_signed_in) = sign_ins::browser_seen(&mut conn, user, "unknown").await.unwrap();
    assert!(seen_at.is_none() && has_signed_in);
    drop(conn);
    attack.console.browser().sign_in(USER, CHOSEN).await;
    attack.console.letters_about("A new browser signed in to your Nuvera account", 2).await;
}
