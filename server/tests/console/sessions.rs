//! A user's sessions, how they end, and passwords, from an attacker's point of view.

use crate::support::{Answer, Browser, Console, Database, LIST, ORIGIN, PASSWORD, PEOPLE, nobodys_browser};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use domain::{access::Role, actor::Actor, second_factor::FactorRemoval, sign_in::Method};
use server::backend::{BackendError, accounts::SignIn, sessions::Kept};
use std::time::Duration;

const ACCOUNT: &str = "/settings/account";
const CHOSEN: &str = "tulip gravel 84 harbour";
const MINUTE: Duration = Duration::from_secs(60);

fn with_session(console: &Console, session: &str) -> Browser {
    let mut browser = console.browser();
    browser.cookies.insert("nuvera".into(), session.into());
    browser
}

async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.get(LIST).await.status == StatusCode::OK
}

/// The paths on the account page that end sessions.
fn ends(page: &Answer) -> Vec<String> {
    let forms = page.body.split("action=\"").skip(1).filter_map(|rest| rest.split('"').next());
    forms.filter(|action| action.ends_with("/end")).map(ToOwned::to_owned).collect()
}

async fn id_of(console: &Console, email: &str) -> String {
    let owner = console.owner_actor().await;
    let people = console.backend.people(&owner, console.alpine).await.unwrap().people;
    people.into_iter().find(|person| person.email == email).unwrap().id.to_string()
}

#[tokio::test]
async fn a_planted_session_never_becomes_a_signed_in_one() {
    let console = Console::start().await;
    // Session ids that were never issued, and the attacker's own.
    let theirs = console.signed_in("owner@borealis.example").await.cookies["nuvera"].clone();
    for planted in ["AAAAAAAAAAAAAAAAAAAAAA", "0", "nonsense\u{7f}", &*theirs] {
        let mut victim = with_session(&console, &planted.replace('\u{7f}', ""));
        assert_eq!(victim.sign_in("owner@alpine.example", PASSWORD).await.status, StatusCode::SEE_OTHER);
        assert_ne!(victim.cookies["nuvera"], planted);
        assert!(!is_signed_in(&mut with_session(&console, &planted.replace('\u{7f}', ""))).await, "{planted}");
        victim.get(LIST).await.says("Olivia Okafor");
        // The session id from before a proof of identity is not valid after it.
        let before = victim.cookies["nuvera"].clone();
        victim.post("/confirm", &[("password", PASSWORD), ("next", LIST)]).await;
        assert_ne!(victim.cookies["nuvera"], before);
        assert!(!is_signed_in(&mut with_session(&console, &before)).await);
        assert!(is_signed_in(&mut victim).await);
    }
}

#[tokio::test]
async fn somebody_sees_where_they_are_signed_in_and_ends_one_or_all_others() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let mut here = console.owner().await;
        console.advance(MINUTE);
        let mut one = console.owner().await;
        let mut other = console.owner().await;
        let mut developer = console.signed_in("developer@alpine.example").await;
        let page = here.get(ACCOUNT).await;
        page.says("Where you are signed in").says("This is the one you look with").says("203.0.113.7");
        let found = ends(&page);
        assert_eq!(found.len(), 2);
        // Other users cannot end them, and a GET ends none.
        assert_eq!(developer.post(&found[0], &[]).await.status, StatusCode::NOT_FOUND);
        assert_eq!(here.get(&found[0]).await.location(), ACCOUNT);
        assert!(is_signed_in(&mut one).await && is_signed_in(&mut other).await);

        let ended = here.post(&found[0], &[]).await;
        ended.leads_to(ACCOUNT, "session-ended");
        let left = [is_signed_in(&mut one).await, is_signed_in(&mut other).await];
        assert_eq!(left.iter().filter(|left| **left).count(), 1, "{left:?}");
        assert_eq!(here.post(&found[0], &[]).await.status, StatusCode::NOT_FOUND, "it is gone");
        here.post(&format!("{ACCOUNT}/sessions/end-others"), &[]).await;
        assert!(!is_signed_in(&mut one).await && !is_signed_in(&mut other).await);
        assert!(is_signed_in(&mut here).await && is_signed_in(&mut developer).await, "the controls");
    }
}

#[tokio::test]
async fn an_ended_session_is_not_brought_back_by_a_request_that_is_under_way() {
    let console = Console::start().await;
    let (mut here, mut ended) = (console.owner().await, console.owner().await);
    here.post(&format!("{ACCOUNT}/sessions/end-others"), &[]).await;
    // What such a request could write: the session's last use, and a proof.
    console.advance(2 * MINUTE);
    ended.post("/confirm", &[("password", PASSWORD), ("next", LIST)]).await;
    assert!(!is_signed_in(&mut ended).await);
    ended.post("/sign-out", &[]).await;
    assert!(is_signed_in(&mut here).await);
}

#[tokio::test]
async fn attempts_are_remembered_and_what_a_browser_calls_itself_is_not() {
    let console = Console::start().await;
    let sign_in = |password: &str| format!("email=owner%40alpine.example&password={}", password.replace(' ', "+"));
    let mut strange = console.browser();
    for agent in ["<script>alert(1)</script>", "=cmd|'/C calc'!A0", "Firefox/1 <img src=x> Windows"] {
        let request = Request::post("/sign-in")
            .header(header::ORIGIN, ORIGIN)
            .header(header::USER_AGENT, agent)
            .body(Body::from(sign_in("wrong")));
        assert_eq!(strange.send(request.unwrap()).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let other_door = console.browser().sign_in_at(app::paths::Area::Hub, "owner@alpine.example", PASSWORD).await;
    assert_eq!(other_door.status, StatusCode::FORBIDDEN);
    let page = console.owner().await.get(ACCOUNT).await;
    page.says("Refused: wrong password or code")
        .says("Refused: at the other area’s sign-in")
        .says("Firefox on Windows");
    for text in ["<script>", "alert(1)", "cmd|", "<img"] {
        assert!(!page.body.contains(text), "{text}");
    }
    // The right password at the wrong area's sign-in page counts as refused, too.
    let tried = console.browser().sign_in_at(app::paths::Area::Partner, "admin@nuvera.example", PASSWORD).await;
    assert_eq!(tried.status, StatusCode::FORBIDDEN);
    console.admin().await.get("/organizations/account").await.says("Refused: at the other area’s sign-in");
    // A user sees only their own attempts.
    let others = console.signed_in("developer@alpine.example").await.get(ACCOUNT).await;
    assert!(!others.text().contains("Refused:"), "{}", others.text());
    console.advance(Duration::from_secs(90 * 24 * 3600));
    console.backend.purge_sign_ins().await.unwrap();
    assert!(!console.owner().await.get(ACCOUNT).await.text().contains("Refused:"), "for 90 days");
}

#[tokio::test]
async fn a_flood_of_refused_attempts_hides_nobody_who_got_in() {
    use domain::sign_in::{Method, Outcome};
    let console = Console::start().await;
    console.owner().await;
    let client = nobodys_browser();
    for _ in 0..205 {
        let (outcome, method) = (Outcome::Refused, Method::Password);
        console.backend.record_refused("owner@alpine.example", outcome, method, client.clone()).await.unwrap();
    }
    let owner = console.owner_actor().await;
    let mut conn = console.store.read().await.unwrap();
    let kept = server::store::sign_ins::of_user(&mut conn, owner.user_id, 1000).await.unwrap();
    assert_eq!(kept.iter().filter(|attempt| !attempt.outcome.is_accepted()).count(), 200);
    assert_eq!(kept.iter().filter(|attempt| attempt.outcome.is_accepted()).count(), 1);
}

#[tokio::test]
async fn a_new_browser_is_told_of_by_mail_and_in_the_other_sessions() {
    let console = Console::start().await;
    let mut known = console.owner().await;
    assert!(!known.get(LIST).await.text().contains("A new browser"), "the first one is no news");
    console.advance(MINUTE);
    let mut thief = console.browser();
    thief.address = "198.51.100.66".into();
    thief.sign_in("owner@alpine.example", PASSWORD).await;
    let letter = console.letters_about("A new browser signed in", 1).await.remove(0).replace("=\r\n", "");
    assert!(letter.contains("To: owner@alpine.example") && letter.contains("198.51.100.66"), "{letter}");
    assert!(letter.contains(&format!("{ORIGIN}{ACCOUNT}")), "{letter}");
    assert!(!thief.get(LIST).await.text().contains("A new browser"), "it knows");
    for _ in 0..2 {
        known.get(LIST).await.says("A new browser signed in as you").says("198.51.100.66");
    }
    assert!(!console.signed_in("developer@alpine.example").await.get(LIST).await.text().contains("A new browser"));
    // The user is told at the next sign-in as well, even if the attacker has opened the page.
    thief.get(ACCOUNT).await;
    known.post("/sign-out", &[]).await;
    console.advance(MINUTE);
    known.sign_in("owner@alpine.example", PASSWORD).await;
    known.get(LIST).await.says("A new browser signed in as you");
    known.get(ACCOUNT).await.says("A new browser signed in as you").says("Signed in, new browser");
    assert!(!known.get(LIST).await.text().contains("A new browser"), "they have looked");
    assert_eq!(
        console.letters_about("A new browser signed in", 1).await.len(),
        1,
        "a browser that is known is no news"
    );
}

#[tokio::test]
async fn one_changes_ones_password_with_a_fresh_proof_and_all_other_sessions_end() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let (mut here, mut elsewhere) = (console.owner().await, console.owner().await);
        let form = format!("{ACCOUNT}/password");
        console.advance(10 * MINUTE);
        assert!(here.get(&form).await.location().starts_with("/confirm?next="));
        let unproven = here.post(&form, &[("password", CHOSEN)]).await;
        assert_eq!(unproven.status, StatusCode::FORBIDDEN);
        unproven.says("Confirm that it is you");
        assert!(!unproven.body.contains("tulip"), "a password waits nowhere");
        here.post("/confirm", &[("password", PASSWORD), ("next", &form)]).await;
        for (weak, why) in [("short", "at least 15 characters"), ("f75gFAwwfYIJHEaz", "stolen elsewhere")] {
            let refused = here.post(&form, &[("password", weak)]).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
            refused.says(why);
        }
        assert!(is_signed_in(&mut elsewhere).await);
        let changed = here.post(&form, &[("password", CHOSEN)]).await;
        changed.leads_to(ACCOUNT, "password-changed");
        assert!(!is_signed_in(&mut elsewhere).await && is_signed_in(&mut here).await);
        let mut again = console.browser();
        assert_eq!(again.sign_in("owner@alpine.example", PASSWORD).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(again.sign_in("owner@alpine.example", CHOSEN).await.status, StatusCode::SEE_OTHER);
        here.get(&format!("{LIST}/audit.jsonl")).await.says("password.changed");
        let letter = console.letters_about("The password of your Nuvera account was changed", 1).await.remove(0);
        assert!(letter.contains("To: owner@alpine.example") && letter.contains(ACCOUNT), "{letter}");
        assert!(letter.contains("from 203.0.113.7") && !letter.contains(CHOSEN), "{letter}");
    }
}

#[tokio::test]
async fn a_password_that_was_right_a_moment_ago_begins_no_session_after_it_was_changed() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let owner = console.owner_actor().await;
        let proven =
            async || match console.backend.sign_in(&owner.email, PASSWORD.into(), &nobodys_browser()).await.unwrap() {
                SignIn::Accepted(entrant) => entrant,
                other => panic!("{other:?}"),
            };
        let (before, control) = (proven().await, proven().await);
        let begins = async |entrant| {
            console
                .backend
                .begin_session(entrant, owner.kind(), Method::Password, nobodys_browser(), None)
                .await
                .map(|begun| begun.id)
        };
        let here = begins(control).await.unwrap();
        let kept = Kept { session: here, browser: None };
        console.backend.change_password(&owner, kept, CHOSEN, &FactorRemoval::default(), "").await.unwrap();
        assert!(matches!(begins(before).await, Err(BackendError::NotFound)));
        let (sessions, attempts) = console.backend.sign_in_activity(&owner, here).await.unwrap();
        assert_eq!(sessions.iter().map(|session| session.id).collect::<Vec<_>>(), [here]);
        assert_eq!(attempts.len(), 1, "and it is in no history");
    }
}

#[tokio::test]
async fn what_waits_for_its_turn_in_a_session_that_is_ended_meanwhile_is_not_done() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let owner = console.owner_actor().await;
        let entrant = match console.backend.sign_in(&owner.email, PASSWORD.into(), &nobodys_browser()).await.unwrap() {
            SignIn::Accepted(entrant) => entrant,
            other => panic!("{other:?}"),
        };
        let backend = &console.backend;
        let begun = backend.begin_session(entrant, owner.kind(), Method::Password, nobodys_browser(), None).await;
        let session = begun.unwrap().id;
        let actor = Actor { session: Some(session), ..owner.clone() };
        let developer = console.user_id("developer@alpine.example").await;
        // The control: while the session is active.
        backend.change_role(&actor, console.alpine, developer, Role::PartnerViewer).await.unwrap();
        let here = || Kept { session, browser: None };
        backend.change_password(&actor, here(), CHOSEN, &FactorRemoval::default(), "").await.unwrap();
        let sealed = backend.enrolment(&actor, None).unwrap();
        let code = sealed.secret.code(console.clock.now());

        backend.end_session(&owner, session).await.unwrap();
        let changed = backend.change_role(&actor, console.alpine, developer, Role::PartnerOwner).await;
        assert!(matches!(changed, Err(BackendError::Forbidden)), "{changed:?}");
        let removal = FactorRemoval::default();
        let changed = backend.change_password(&actor, here(), "another password 77", &removal, "").await;
        assert!(matches!(changed, Err(BackendError::Forbidden)), "{changed:?}");
        let set_up = backend.set_up_factor(&actor, &sealed.sealed, &code).await;
        assert!(matches!(set_up, Err(BackendError::Forbidden)), "{set_up:?}");
        backend.set_up_factor(&owner, &sealed.sealed, &code).await.expect("the control: the same without a session");
    }
}

/// Asserts that a reset link was mailed and that the page does not show it. Returns the link and deletes the e-mail.
fn link(console: &Console, answer: &Answer, email: &str) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert!(!answer.body.contains("token="), "the page holds no link: {}", answer.body);
    let link = console.take_reset_link(email);
    let token = link.split_once("?token=").unwrap().1;
    assert!(!answer.body.contains(token), "nor its token");
    link
}

async fn choose(console: &Console, link: &str, password: &str) -> Answer {
    let token = link.split_once("?token=").unwrap().1;
    console.browser().post("/reset-password", &[("token", token), ("password", password)]).await
}

#[tokio::test]
async fn a_password_is_reset_by_a_link_once_within_a_day_and_all_sessions_end() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let (mut owner, mut developer) = (console.owner().await, console.signed_in("developer@alpine.example").await);
        let person = id_of(&console, "developer@alpine.example").await;
        let form = format!("{PEOPLE}/{person}/reset-password");
        owner
            .get(&form)
            .await
            .says("Deniz Demir")
            .says("their second factors, recovery codes, sessions and known browsers are removed");
        let developers = "developer@alpine.example";
        let first = link(&console, &owner.post(&form, &[]).await, developers);
        let second = owner.post(&form, &[]).await;
        second.says("was mailed to developer@alpine.example").says("works once, until").says("Send again");
        assert_eq!(second.header("cache-control"), "no-store");
        let second = link(&console, &second, developers);
        assert_eq!(choose(&console, &first, CHOSEN).await.status, StatusCode::GONE, "a newer one ends it");
        for _ in 0..2 {
            console.browser().get(&second).await.says("Choose a new password").says("developer@alpine.example");
        }
        // The link is not valid in the other area, and a rejected password does not use it up.
        assert_eq!(console.browser().get(&format!("/organizations{second}")).await.status, StatusCode::GONE);
        assert_eq!(choose(&console, &second, "short").await.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(is_signed_in(&mut developer).await);
        let (one, other) = tokio::join!(choose(&console, &second, CHOSEN), choose(&console, &second, CHOSEN));
        let mut statuses = [one.status, other.status];
        statuses.sort();
        assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::GONE], "once");
        assert!(!is_signed_in(&mut developer).await);
        assert!(is_signed_in(&mut owner).await, "the control");
        let mut again = console.browser();
        let before = again.sign_in("developer@alpine.example", PASSWORD).await;
        assert_eq!(before.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(again.sign_in("developer@alpine.example", CHOSEN).await.status, StatusCode::SEE_OTHER);
        let history = owner.get(&format!("{LIST}/audit.jsonl")).await;
        history.says("password.reset_begun").says("password.reset").says("Reset started by Olivia Okafor");

        let third = link(&console, &owner.post(&form, &[]).await, developers);
        console.advance(Duration::from_secs(24 * 3600));
        assert_eq!(choose(&console, &third, CHOSEN).await.status, StatusCode::GONE, "after a day");
    }
}

#[tokio::test]
async fn a_reset_link_that_cannot_be_mailed_is_sent_again_and_replaces_the_one_before() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let form = format!("{PEOPLE}/{}/reset-password", id_of(&console, "developer@alpine.example").await);
    let first = link(&console, &owner.post(&form, &[]).await, "developer@alpine.example");
    let aside = console.mail.path().with_extension("aside");
    std::fs::rename(console.mail.path(), &aside).unwrap();
    let failed = owner.post(&form, &[]).await;
    std::fs::rename(&aside, console.mail.path()).unwrap();
    assert_eq!(failed.status, StatusCode::OK);
    failed.says("Reset link not sent").says("could not be mailed to developer@alpine.example").says("Send again");
    assert!(!failed.body.contains("token="));
    assert!(failed.body.contains(&format!("action=\"{form}\"")), "the button sends the same form");
    assert_eq!(choose(&console, &first, CHOSEN).await.status, StatusCode::GONE, "the link before has ended");
    let second = link(&console, &owner.post(&form, &[]).await, "developer@alpine.example");
    assert_eq!(choose(&console, &second, CHOSEN).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn nobody_resets_a_password_who_does_not_decide_on_people_nor_their_own() {
    let console = Console::start().await;
    let (developer, owner) =
        (id_of(&console, "developer@alpine.example").await, id_of(&console, "owner@alpine.example").await);
    let form = |id: &str| format!("{PEOPLE}/{id}/reset-password");
    for (email, status) in [
        ("developer@alpine.example", StatusCode::FORBIDDEN),
        ("viewer@alpine.example", StatusCode::FORBIDDEN),
        ("owner@borealis.example", StatusCode::NOT_FOUND),
    ] {
        let mut browser = console.signed_in(email).await;
        assert_eq!(browser.get(&form(&developer)).await.status, status, "{email}");
        assert_eq!(browser.post(&form(&developer), &[]).await.status, status, "{email}");
    }
    let hub = format!("/organizations/{}/people/{developer}/reset-password", console.alpine);
    assert_eq!(console.admin().await.post(&hub, &[]).await.status, StatusCode::FORBIDDEN);
    let own = console.owner().await.post(&form(&owner), &[]).await;
    assert_eq!(own.status, StatusCode::CONFLICT);
    own.says("change your password on its page");
    assert!(console.letters().iter().all(|letter| !letter.contains("Choose a new password")));
}

#[tokio::test]
async fn who_is_removed_has_no_session_and_no_link_left() {
    let console = Console::start().await;
    let (mut owner, mut developer) = (console.owner().await, console.signed_in("developer@alpine.example").await);
    let person = id_of(&console, "developer@alpine.example").await;
    let sent = owner.post(&format!("{PEOPLE}/{person}/reset-password"), &[]).await;
    let reset = link(&console, &sent, "developer@alpine.example");
    assert!(is_signed_in(&mut developer).await);
    owner.post(&format!("{PEOPLE}/{person}/remove"), &[]).await;
    assert!(!is_signed_in(&mut developer).await);
    assert_eq!(choose(&console, &reset, CHOSEN).await.status, StatusCode::GONE);
    let mut conn = console.store.read().await.unwrap();
    let left = server::store::signed_in::of_user(&mut conn, person.parse().unwrap()).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn pages_about_sessions_and_passwords_are_kept_nowhere_and_framed_nowhere() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    for path in [ACCOUNT, "/settings/account/password", "/reset-password?token=x", "/sign-in", "/confirm"] {
        let answer = owner.get(path).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
    }
    // A form sent by another site changes nothing, even with a valid cookie.
    for path in ["/settings/account/password", "/settings/account/sessions/end-others", "/reset-password"] {
        let mut elsewhere = owner.clone();
        elsewhere.origin = "https://evil.example".into();
        let answer = elsewhere.post(path, &[("password", CHOSEN)]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        answer.says("This request was refused");
    }
    for elsewhere in ["//evil.example", "https://evil.example", "/\\evil.example", "/organizations"] {
        let next = form_urlencoded::byte_serialize(elsewhere.as_bytes()).collect::<String>();
        assert_eq!(owner.get(&format!("/sign-in?next={next}")).await.location(), LIST, "{elsewhere}");
    }
}
