//! Members are invited, join, change roles and are removed.

use crate::support::{Answer, Browser, Console, Database, LIST, ORIGIN, PASSWORD, PEM_A, PEM_B, PEOPLE};
use axum::http::StatusCode;
use domain::{
    access::{Operation, Role},
    actor::Actor,
    id::UserId,
    people::OWNER_CHANGE_DELAY,
    text::{Reason, Why},
};
use server::{
    backend::{Asked, Backend, BackendError, Said, people::MemberChange},
    gateway::{Gateway, GatewaySettings, ReplayFence},
    pepper::Pepper,
    random,
    store::{
        Store,
        users::{self, NewUser},
    },
};
use std::{fs, sync::Arc, time::Duration};

const GRACE: [(&str, &str); 3] =
    [("name", "Grace Green"), ("email", "Grace@Alpine.example"), ("role", "partner_developer")];
const CHOSEN: &str = "tulip gravel 84 harbour";

/// The link that was mailed to the invitee named on the page. The page itself shows no link.
fn link(console: &Console, answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let text = answer.text();
    let (_, rest) = text.split_once("The link to join was mailed to ").unwrap_or_else(|| panic!("{text}"));
    let (email, _) = rest.split_once(".It works once").unwrap_or_else(|| panic!("{text}"));
    let link = console.mailed_link(email);
    assert!(!answer.body.contains(token(&link)), "only the mailbox has the link");
    link
}

fn token(link: &str) -> &str {
    link.split_once("/invitation?token=").unwrap().1
}

async fn join(console: &Console, link: &str) -> (Browser, Answer) {
    let mut browser = console.browser();
    let (address, _) = link.split_once('?').unwrap();
    let answer = browser.post(address, &[("token", token(link)), ("password", CHOSEN)]).await;
    (browser, answer)
}

/// The path that withdraws the only pending invitation.
async fn withdraw_path(owner: &mut Browser) -> String {
    let page = owner.get(PEOPLE).await;
    let (_, id) = page.body.split_once(&format!("action=\"{PEOPLE}/invitations/")).expect("an invitation");
    format!("{PEOPLE}/invitations/{}/withdraw", &id[..36])
}

async fn joined(console: &Console, owner: &mut Browser) -> Browser {
    let link = link(console, &owner.post(&format!("{PEOPLE}/invite"), &GRACE).await);
    let (browser, answer) = join(console, &link).await;
    answer.leads_to(LIST, "joined");
    browser
}

async fn id_of(console: &Console, email: &str) -> UserId {
    let owner = console.owner_actor().await;
    let people = console.backend.people(&owner, console.alpine).await.unwrap().people;
    people.into_iter().find(|person| person.email == email).expect("somebody").id
}

async fn history(console: &Console) -> Vec<String> {
    let page = console.owner().await.get(&format!("{LIST}/audit.jsonl")).await;
    let action = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["action"].as_str().unwrap().to_owned()
    };
    page.body.lines().map(action).collect()
}

#[tokio::test]
async fn somebody_who_is_invited_joins_by_their_link_once() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let answer = owner.post(&format!("{PEOPLE}/invite"), &GRACE).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let link = link(&console, &answer);
        let mut letters = console.letters().into_iter().map(|letter| letter.replace("=3D", "="));
        let letter = letters.find(|letter| letter.contains(&link)).expect("the invitation");
        assert!(letter.contains("To: grace@alpine.example\r\n") && letter.contains("Olivia Okafor"), "{letter}");
        assert_eq!(letters.filter(|letter| letter.contains(&link)).count(), 0, "nobody else is mailed the link");
        owner.get(PEOPLE).await.says("Grace Green").says("grace@alpine.example, by Olivia Okafor");

        // Opening the link does not consume it.
        let mut browser = console.browser();
        for _ in 0..2 {
            let page = browser.get(&link).await;
            assert_eq!(page.status, StatusCode::OK);
            page.says("Join Alpine Pay").says("Olivia Okafor invites you").says("Developer");
        }
        let before = browser.cookies.clone();
        let fields = [("token", token(&link)), ("password", CHOSEN)];
        let answer = browser.post("/invitation", &fields).await;
        answer.leads_to(LIST, "joined");
        assert_ne!(browser.cookies, before, "the session is a new one");
        browser.get(answer.location()).await.says("Welcome.").says("Grace Green");
        browser.create("Of Grace", PEM_A).await;

        let again = console.browser().post("/invitation", &fields).await;
        assert_eq!(again.status, StatusCode::GONE);
        again.says("This link is no longer good");
        let mut elsewhere = console.browser();
        assert_eq!(elsewhere.sign_in("grace@alpine.example", CHOSEN).await.status, StatusCode::SEE_OTHER);
        let events = history(&console).await;
        assert!(events.contains(&"person.invited".into()) && events.contains(&"person.joined".into()), "{events:?}");
    }
}

#[tokio::test]
async fn a_link_ends_after_72_hours_when_it_is_replaced_and_when_it_is_withdrawn() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let invite = format!("{PEOPLE}/invite");
    let first = link(&console, &owner.post(&invite, &GRACE).await);
    let second = link(&console, &owner.post(&invite, &GRACE).await);
    assert_eq!(join(&console, &first).await.1.status, StatusCode::GONE);
    let page = owner.get(PEOPLE).await;
    assert_eq!(page.body.matches("grace@alpine.example, by").count(), 1);
    let withdraw = withdraw_path(&mut owner).await;
    let answer = owner.post(&withdraw, &[]).await;
    answer.leads_to(PEOPLE, "invitation-withdrawn");
    assert_eq!(join(&console, &second).await.1.status, StatusCode::GONE);
    assert_eq!(owner.post(&withdraw, &[]).await.status, StatusCode::NOT_FOUND, "it is gone");

    // Sent again: the same invitation with a new link, whose 72 hours start now.
    let sent = link(&console, &owner.post(&invite, &GRACE).await);
    let again = withdraw_path(&mut owner).await.replace("/withdraw", "/send-again");
    console.advance(Duration::from_secs(3600));
    owner.sign_in("owner@alpine.example", PASSWORD).await;
    let replaced = link(&console, &owner.post(&again, &[]).await);
    assert_eq!(history(&console).await[0], "invitation.sent_again");
    assert_eq!(join(&console, &sent).await.1.status, StatusCode::GONE);
    assert_eq!(console.browser().get(&replaced).await.status, StatusCode::OK);
    console.advance(Duration::from_secs(71 * 3600));
    assert_eq!(console.browser().get(&replaced).await.status, StatusCode::OK);
    console.advance(Duration::from_secs(3600));
    assert_eq!(console.browser().get(&replaced).await.status, StatusCode::GONE);
    owner.sign_in("owner@alpine.example", PASSWORD).await;
    let late = owner.post(&again, &[]).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    late.says("This invitation has expired.");

    let third = link(&console, &owner.post(&invite, &GRACE).await);
    console.advance(Duration::from_secs(72 * 3600) - Duration::from_millis(1));
    assert_eq!(console.browser().get(&third).await.status, StatusCode::OK);
    console.advance(Duration::from_millis(1));
    assert_eq!(console.browser().get(&third).await.status, StatusCode::GONE);
    assert_eq!(join(&console, &third).await.1.status, StatusCode::GONE);
    assert_eq!(console.browser().get("/invitation?token=x").await.status, StatusCode::GONE);
    assert_eq!(console.browser().get("/invitation").await.status, StatusCode::GONE);
}

#[tokio::test]
async fn an_invitation_that_could_not_be_mailed_says_so_shows_no_link_and_is_sent_again() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let aside = console.mail.path().with_extension("aside");
    fs::rename(console.mail.path(), &aside).unwrap();
    let answer = owner.post(&format!("{PEOPLE}/invite"), &GRACE).await;
    assert_eq!(answer.status, StatusCode::OK);
    answer.says("The message to grace@alpine.example could not be sent").says("Send again");
    assert!(!answer.body.contains("token="), "{}", answer.body);
    fs::rename(&aside, console.mail.path()).unwrap();
    let (_, action) = answer.body.split_once("action=\"").unwrap();
    let action = answer.body.split("action=\"").find(|rest| rest.contains("/send-again\"")).unwrap_or(action);
    let again = action.split('"').next().unwrap();
    let (_, joined) = join(&console, &link(&console, &owner.post(again, &[]).await)).await;
    joined.leads_to(LIST, "joined");
}

#[tokio::test]
async fn invitations_sent_again_count_towards_those_of_a_day() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    link(&console, &owner.post(&format!("{PEOPLE}/invite"), &GRACE).await);
    let again = withdraw_path(&mut owner).await.replace("/withdraw", "/send-again");
    for _ in 1..100 {
        assert_eq!(owner.post(&again, &[]).await.status, StatusCode::OK);
    }
    let refused = owner.post(&again, &[]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.says("a hundred people within a day");
    let page = owner.post(&format!("{PEOPLE}/invite"), &GRACE).await;
    assert_eq!(page.status, StatusCode::CONFLICT, "nor anew");
}

#[tokio::test]
async fn joining_leaves_nothing_of_a_session_that_somebody_planted() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let link = link(&console, &owner.post(&format!("{PEOPLE}/invite"), &GRACE).await);
    let theirs = console.signed_in("owner@borealis.example").await.cookies["nuvera"].clone();
    let mut victim = console.browser();
    victim.cookies.insert("nuvera".into(), theirs.clone());
    let (address, _) = link.split_once('?').unwrap();
    let answer = victim.post(address, &[("token", token(&link)), ("password", CHOSEN)]).await;
    answer.leads_to(LIST, "joined");
    assert_ne!(victim.cookies["nuvera"], theirs);
    victim.get(LIST).await.says("Grace Green");
    let mut attacker = console.browser();
    attacker.cookies.insert("nuvera".into(), theirs);
    assert_eq!(attacker.get(LIST).await.status, StatusCode::SEE_OTHER, "the planted session is nobody's");
}

#[tokio::test]
async fn a_link_that_is_used_twice_at_once_makes_one_account() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let link = link(&console, &console.owner().await.post(&format!("{PEOPLE}/invite"), &GRACE).await);
        let ((_, one), (_, other)) = tokio::join!(join(&console, &link), join(&console, &link));
        let mut statuses = [one.status, other.status];
        statuses.sort();
        assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::GONE]);
    }
}

#[tokio::test]
async fn a_password_that_would_be_guessed_is_refused_and_the_link_stays_good() {
    let console = Console::start().await;
    let link = link(&console, &console.owner().await.post(&format!("{PEOPLE}/invite"), &GRACE).await);
    for (password, why) in [
        ("short", "Use at least 15 characters"),
        ("", "Use at least 15 characters"),
        ("grace@alpine.example", "would be guessed"),
        ("passwordpassword", "stolen elsewhere"),
        ("nuvera nuvera nuvera", "would be guessed"),
        (&"x".repeat(300), "Use at most 256 characters"),
    ] {
        let answer = console.browser().post("/invitation", &[("token", token(&link)), ("password", password)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{password}");
        answer.says(why).says("Join Alpine Pay");
        let (_, field) = answer.body.split_once("id=\"password\"").unwrap();
        assert!(!field.split_once('>').unwrap().0.contains("value="), "a password is not shown again");
    }
    assert_eq!(join(&console, &link).await.1.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn every_mistake_in_an_invitation_is_told_and_what_was_typed_is_kept() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let invite = format!("{PEOPLE}/invite");
    let answer = owner.post(&invite, &[("name", " "), ("email", "grace"), ("role", "boss")]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    answer.says("Enter a name.").says("Enter an e-mail address, such as").says("Choose one of the roles.");
    assert_eq!(answer.hidden("email"), "grace");
    for (email, why) in [
        ("Developer@alpine.example", "Deniz Demir belongs to your organization already"),
        ("owner@borealis.example", "This e-mail address cannot be invited."),
        ("admin@nuvera.example", "This e-mail address cannot be invited."),
    ] {
        let answer = owner.post(&invite, &[("name", "X"), ("email", email), ("role", "partner_viewer")]).await;
        answer.says(why);
        assert!(!answer.body.contains("Borealis"));
    }
    // Roles of another area are rejected.
    for role in ["nuvera_admin", "nuvera_auditor", "customer_user"] {
        let answer = owner.post(&invite, &[("name", "X"), ("email", "x@example.com"), ("role", role)]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        answer.says("Choose one of the roles.");
    }
    assert!(!history(&console).await.contains(&"person.invited".into()));
}

#[tokio::test]
async fn nobody_finds_out_by_inviting_who_has_an_account_elsewhere() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let invite = async |owner: &mut Browser, email: &str| {
            let fields = [("name", "Grace Green"), ("email", email), ("role", "partner_viewer")];
            owner.post(&format!("{PEOPLE}/invite"), &fields).await
        };
        // Successful invitations are not throttled; attempts with a taken address are.
        for number in 0..25 {
            assert_eq!(invite(&mut owner, &format!("n{number}@alpine.example")).await.status, StatusCode::OK);
        }
        for _ in 0..20 {
            let taken = invite(&mut owner, "owner@borealis.example").await;
            assert_eq!(taken.status, StatusCode::UNPROCESSABLE_ENTITY);
            taken.says("This e-mail address cannot be invited");
        }
        for email in ["owner@borealis.example", "free@alpine.example"] {
            let throttled = invite(&mut owner, email).await;
            assert_eq!(throttled.status, StatusCode::TOO_MANY_REQUESTS, "{email}: neither is told from the other");
            assert!(throttled.body.contains(&format!("value=\"{email}\"")), "what was typed is kept");
        }
        console.advance(Duration::from_secs(15 * 60));
        owner.sign_in("owner@alpine.example", PASSWORD).await;
        assert_eq!(invite(&mut owner, "free@alpine.example").await.status, StatusCode::OK);
        for number in 26..100 {
            assert_eq!(invite(&mut owner, &format!("n{number}@alpine.example")).await.status, StatusCode::OK);
        }
        let refused = invite(&mut owner, "one-more@alpine.example").await;
        assert_eq!(refused.status, StatusCode::CONFLICT);
        refused.says("a hundred people within a day");
    }
}

#[tokio::test]
async fn another_role_counts_from_the_next_request() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let mut developer = console.signed_in("developer@alpine.example").await;
    let (id, _) = developer.create("Ledger", PEM_A).await;
    let form = format!("{PEOPLE}/{}/role", id_of(&console, "developer@alpine.example").await);
    let rename = format!("{LIST}/{id}/rename");
    let version = developer.get(&rename).await.hidden("version");
    owner.get(&form).await.says("Deniz Demir").says("Changes nothing".to_lowercase().as_str());
    let changed = owner.post(&form, &[("role", "partner_viewer")]).await;
    changed.leads_to(PEOPLE, "role-changed");
    // The form was open before the change of role.
    let late = developer.post(&rename, &[("version", &version), ("name", "Books")]).await;
    assert_eq!(late.status, StatusCode::FORBIDDEN);
    assert_eq!(developer.get(&format!("{LIST}/{id}")).await.status, StatusCode::OK, "they see it still");
    let same = owner.post(&form, &[("role", "partner_viewer")]).await;
    assert_eq!(same.status, StatusCode::UNPROCESSABLE_ENTITY);
    same.says("Deniz Demir has this role already.");
    owner.post(&form, &[("role", "nuvera_admin")]).await.says("Choose one of the roles.");
    owner.post(&form, &[("role", "partner_owner")]).await;
    assert_eq!(
        developer.post(&rename, &[("version", &version), ("name", "Books")]).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn nobody_removes_themselves_and_two_owners_do_not_remove_each_other() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let own = id_of(&console, "owner@alpine.example").await;
    let answer = owner.post(&format!("{PEOPLE}/{own}/remove"), &[]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    answer.says("You cannot change your own role or remove yourself.");
    let other = id_of(&console, "developer@alpine.example").await;
    owner.post(&format!("{PEOPLE}/{other}/role"), &[("role", "partner_owner")]).await;
    let mut developer = console.signed_in("developer@alpine.example").await;
    let (theirs, ours) = (format!("{PEOPLE}/{other}/remove"), format!("{PEOPLE}/{own}/remove"));
    let (one, two) = tokio::join!(owner.post(&theirs, &[]), developer.post(&ours, &[]));
    for answer in [one, two] {
        answer.leads_to(PEOPLE, "owner-change-requested");
    }
    console.advance(OWNER_CHANGE_DELAY);
    assert_eq!(console.backend.apply_owner_changes().await.unwrap().len(), 1, "the other one ends with its requester");
    assert!(console.backend.apply_owner_changes().await.unwrap().is_empty());
    let mut conn = console.store.read().await.unwrap();
    let people = users::of_organization(&mut conn, console.alpine).await.unwrap();
    assert_eq!(people.iter().filter(|person| person.role == Role::PartnerOwner).count(), 1);
}

#[tokio::test]
async fn who_is_removed_is_out_at_once_and_their_keys_are_offered_for_replacement() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let mut grace = joined(&console, &mut owner).await;
        let (id, _) = grace.create("Ledger <b>", PEM_A).await;
        let (untouched, _) = owner.create("Of the owner", PEM_B).await;
        let person = id_of(&console, "grace@alpine.example").await;
        let remove = format!("{PEOPLE}/{person}/remove");
        owner.get(&remove).await.says("Grace Green will be signed out everywhere at once");
        let removed = owner.post(&remove, &[]).await;
        removed.leads_to(PEOPLE, "person-removed");

        let page = grace.get(LIST).await;
        assert!(page.location().starts_with("/sign-in"), "{}", page.status);
        let denied = console.browser().sign_in("grace@alpine.example", CHOSEN).await;
        assert_eq!(denied.status, StatusCode::UNPROCESSABLE_ENTITY);

        let page = owner.get(PEOPLE).await;
        page.says("Grace Green may have copies of keys that still work");
        assert!(page.body.contains(&format!("{LIST}/{id}/replace-api-key")), "{}", page.body);
        assert!(page.body.contains(&format!("{LIST}/{id}/replace-signing-key")));
        assert!(!page.body.contains(&format!("{LIST}/{untouched}/")), "what they never had in hand stays");
        owner.get(LIST).await.says("Grace Green left, and keys still work");

        console.advance(Duration::from_secs(60));
        // Once both keys have been replaced, the warning is gone.
        owner.submit(&format!("{LIST}/{id}/replace-exposed-api-key"), &[("reason", "left")]).await;
        owner.get(PEOPLE).await.says("Grace Green may have copies");
        let replaced = owner
            .submit(
                &format!("{LIST}/{id}/replace-signing-key"),
                &[("public_key", crate::support::PEM_C), ("overlap", "none")],
            )
            .await;
        assert_eq!(replaced.status, StatusCode::SEE_OTHER, "{}", replaced.text());
        assert!(!owner.get(PEOPLE).await.body.contains("may have copies"));
        assert!(!owner.get(LIST).await.body.contains("keys still work"));

        // The former member's name stays in the history, and their address can be invited again.
        owner.get(&format!("{LIST}/{id}")).await.says("by Grace Green");
        joined(&console, &mut owner).await;
    }
}

#[tokio::test]
async fn a_change_that_waits_while_its_author_is_removed_is_not_made() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let (id, _) = console.owner().await.create("Ledger", PEM_A).await;
        let (owner, developer) = (console.owner_actor().await, console.actor("developer@alpine.example").await);
        let asked = Asked { actor: &developer, organization: console.alpine, application: id.parse().unwrap() };
        let key = console.application(&id).await.api_keys[0].id;
        let revoke = || {
            console.backend.change(asked, Operation::RevokeApiKeys, Said::default(), |application, by| {
                application.revoke_api_key(key, by)
            })
        };
        // The actor was authenticated before and still carries the old permissions.
        console.backend.remove_person(&owner, console.alpine, developer.user_id).await.unwrap();
        assert!(matches!(revoke().await, Err(BackendError::Forbidden)));
        let because = || Reason::new("late").ok().map(Why::from);
        assert!(matches!(console.backend.disable(asked, because()).await, Err(BackendError::Forbidden)));
        let application = console.application(&id).await;
        assert!(application.is_enabled() && application.live_keys(console.clock.now()).count() == 1);
        let asked = Asked { actor: &owner, ..asked };
        console.backend.disable(asked, because()).await.unwrap();
    }
}

#[tokio::test]
async fn the_links_that_somebody_made_end_with_their_power_to_make_them() {
    for database in Database::all().await {
        println!("on {}", database.engine);
        let console = Console::start_on(database).await;
        // A second owner, who confirms what the first one requests.
        let (first, vera) = (console.owner_actor().await, id_of(&console, "viewer@alpine.example").await);
        console.backend.change_role(&first, console.alpine, vera, Role::PartnerOwner).await.unwrap();
        console.advance(OWNER_CHANGE_DELAY);
        let (mut owner, mut second) = (console.owner().await, console.signed_in("viewer@alpine.example").await);
        for removes in [false, true] {
            let deniz = id_of(&console, "developer@alpine.example").await;
            let role = format!("{PEOPLE}/{deniz}/role");
            assert_eq!(owner.post(&role, &[("role", "partner_owner")]).await.status, StatusCode::SEE_OTHER);
            let mut going = console.signed_in("developer@alpine.example").await;
            let invitation = link(&console, &going.post(&format!("{PEOPLE}/invite"), &GRACE).await);
            let vera = id_of(&console, "viewer@alpine.example").await;
            going.post(&format!("{PEOPLE}/{vera}/reset-password"), &[]).await;
            let reset = console.mailed_link("viewer@alpine.example");
            let mut anybody = console.browser();
            for link in [&invitation, &reset] {
                assert_eq!(anybody.get(link).await.status, StatusCode::OK, "the control: {link}");
            }
            let requested = match removes {
                true => owner.post(&format!("{PEOPLE}/{deniz}/remove"), &[]).await,
                false => owner.post(&role, &[("role", "partner_developer")]).await,
            };
            requested.leads_to(PEOPLE, "owner-change-requested");
            assert_eq!(anybody.get(&invitation).await.status, StatusCode::OK, "the control: not yet");
            let done = second.post(&format!("{PEOPLE}/{deniz}/confirm-change"), &[]).await;
            done.leads_to(PEOPLE, if removes { "person-removed" } else { "role-changed" });
            assert_eq!(join(&console, &invitation).await.1.status, StatusCode::GONE);
            let token = reset.split_once("?token=").unwrap().1;
            let chosen = console.browser().post("/reset-password", &[("token", token), ("password", CHOSEN)]).await;
            assert_eq!(chosen.status, StatusCode::GONE);
            assert!(!owner.get(PEOPLE).await.text().contains("Grace Green"));
            assert!(history(&console).await[..2].contains(&"invitation.withdrawn".into()));
        }
        // Invitations by others stay valid.
        let kept = link(&console, &owner.post(&format!("{PEOPLE}/invite"), &GRACE).await);
        owner.post(&format!("{PEOPLE}/{vera}/remove"), &[]).await.leads_to(PEOPLE, "owner-change-requested");
        assert_eq!(join(&console, &kept).await.1.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn nuvera_sees_a_partners_people_and_decides_on_its_own() {
    let console = Console::start().await;
    let mut admin = console.admin().await;
    let hub = format!("/organizations/{}/people", console.alpine);
    let page = admin.get(&hub).await;
    page.says("Olivia Okafor").says("Viewer");
    assert!(!page.body.contains("/remove\"") && !page.body.contains("/invite\""));
    let person = id_of(&console, "developer@alpine.example").await;
    assert_eq!(admin.post(&format!("{hub}/{person}/remove"), &[]).await.status, StatusCode::FORBIDDEN);
    let people = "/organizations/people";
    assert_eq!(admin.post(&format!("{people}/{person}/remove"), &[]).await.status, StatusCode::NOT_FOUND);

    let fields = [("name", "New Auditor"), ("email", "new@nuvera.example"), ("role", "nuvera_auditor")];
    let link = link(&console, &admin.post(&format!("{people}/invite"), &fields).await);
    // The link is valid in Nuvera's area only.
    let partners = link.replace("/organizations/", "/");
    assert_eq!(console.browser().get(&partners).await.status, StatusCode::GONE);
    assert_eq!(join(&console, &partners).await.1.status, StatusCode::GONE);
    let (mut auditor, answer) = join(&console, &link).await;
    answer.leads_to("/organizations", "joined");
    // They must set up a second factor first, as every Nuvera member.
    let led = auditor.get(&hub).await;
    assert!(led.location().starts_with("/organizations/account/second-factor?next="), "{}", led.location());
    console.gets_factor("new@nuvera.example").await;
    assert_eq!(auditor.get(&hub).await.status, StatusCode::OK);
    assert_eq!(auditor.post(&format!("{people}/invite"), &fields).await.status, StatusCode::FORBIDDEN);
    admin.get(people).await.says("New Auditor").says("Aki Auditor");
}

#[tokio::test]
async fn a_customers_refusal_is_recorded_once_a_day() {
    let console = Console::start().await;
    let refusals = async || {
        let page = console.admin().await.get("/organizations/audit.jsonl?action=sign_in.refused").await;
        page.body.lines().count()
    };
    for _ in 0..3 {
        let answer = console.browser().sign_in("user@customer.example", PASSWORD).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(refusals().await, 1);
    console.advance(Duration::from_secs(24 * 3600));
    console.browser().sign_in("user@customer.example", PASSWORD).await;
    assert_eq!(refusals().await, 2);
}

/// Two servers on one database, as in an overlapping upgrade.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn owners_who_remove_or_demote_each_other_through_two_processes_always_leave_one() {
    const ROUNDS: usize = 10;
    for database in Database::all().await {
        let engine = database.engine;
        let console = Console::start_on(database).await;
        let pepper = Arc::new(Pepper::new("test", &[7; 32]));
        let gateway =
            Gateway::new(GatewaySettings::idle(), console.clock.clone(), pepper.clone(), ReplayFence::default());
        let store = Store::open(console.database_url()).await.unwrap();
        let other = Arc::new(Backend::new(store.clone(), gateway, pepper, console.clock.clone()));
        for (organization, role, lesser) in [
            (console.alpine, Role::PartnerOwner, Role::PartnerViewer),
            (console.nuvera, Role::NuveraAdmin, Role::NuveraAuditor),
        ] {
            for round in 0..2 * ROUNDS {
                // Exactly two members who manage members.
                let mut conn = console.store.write().await.unwrap();
                for person in users::of_organization(&mut conn, organization).await.unwrap() {
                    if person.role == role {
                        users::set_role(&mut conn, person.id, lesser, console.clock.now()).await.unwrap();
                    }
                }
                let now = console.clock.now();
                let ids = [(); 2].map(|()| UserId(random::uuid(now)));
                for id in ids {
                    let email = format!("{id}@example.com");
                    let (name, password_hash) = ("Olga Other", "");
                    let user = NewUser { id, organization_id: organization, email: &email, name, role, password_hash };
                    users::insert(&mut conn, &user, now).await.unwrap();
                }
                conn.commit().await.unwrap();
                let mut actors = Vec::new();
                for (backend, by, whom) in [(console.backend.clone(), 0, 1), (other.clone(), 1, 0)] {
                    let actor = backend.actor(ids[by], None).await.unwrap().unwrap();
                    actors.push((backend, Actor { is_proven: true, ..actor }, whom));
                }
                // Both request a change and each process applies both; the request of a removed or demoted member is
                // cancelled.
                let mut requests = Vec::new();
                for (backend, actor, whom) in actors {
                    requests.push(tokio::spawn(async move {
                        match round % 2 {
                            0 => backend.remove_person(&actor, organization, ids[whom]).await,
                            _ => backend.change_role(&actor, organization, ids[whom], lesser).await,
                        }
                    }));
                }
                for request in requests {
                    let requested = request.await.unwrap().unwrap();
                    assert!(matches!(requested, MemberChange::Requested(_)), "{engine}: {requested:?}");
                }
                console.advance(OWNER_CHANGE_DELAY);
                let (one, two) = tokio::join!(
                    tokio::spawn({
                        let backend = console.backend.clone();
                        async move { backend.apply_owner_changes().await.unwrap().len() }
                    }),
                    tokio::spawn({
                        let backend = other.clone();
                        async move { backend.apply_owner_changes().await.unwrap().len() }
                    }),
                );
                let mut conn = console.store.read().await.unwrap();
                let people = users::of_organization(&mut conn, organization).await.unwrap();
                let left = people.iter().filter(|person| person.role == role).count();
                assert_eq!((one.unwrap() + two.unwrap(), left), (1, 1), "{engine}, round {round}");
            }
        }
        store.close().await;
    }
}

#[tokio::test]
async fn a_name_with_a_web_address_reaches_no_mail() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    for name in ["Pay at https://evil.example", "www.evil.example", "evil.example/login", "Grace\r\nYour account"] {
        let fields = [("name", name), ("email", "grace@alpine.example"), ("role", "partner_viewer")];
        let refused = owner.post(&format!("{PEOPLE}/invite"), &fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        if !name.contains('\r') {
            refused.says("Remove the web address");
        }
    }
    for name in ["https://evil.example/login", "evil.example/login"] {
        let refused = owner.create_answer(name, PEM_A, &["PAYMENTS_READ"]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        refused.says("Remove the web address");
    }
    assert_eq!(console.letters().len(), 0, "nothing was mailed");

    // Names from before the rule can still be loaded, and are mailed as text that does not form a link.
    let bad = "Log in at https://evil.example/x ” or www.evil.example";
    let (id, _) = owner.create("Ledger", PEM_A).await;
    owner.post(&format!("{PEOPLE}/invite"), &GRACE).await;
    let mut conn = console.store.write().await.unwrap();
    for sql in [
        "UPDATE invitations SET name = $1",
        "UPDATE applications SET name = $1",
        "UPDATE users SET name = $1 WHERE email = 'owner@alpine.example'",
        "UPDATE organizations SET name = $1 WHERE name = 'Alpine Pay'",
    ] {
        sqlx::query(sql).bind(bad).execute(&mut *conn).await.unwrap();
    }
    conn.commit().await.unwrap();
    console.backend.start().await.unwrap();
    console.mailed_link("grace@alpine.example");
    let again = withdraw_path(&mut owner).await.replace("/withdraw", "/send-again");
    let link = link(&console, &owner.post(&again, &[]).await);
    owner.get(&format!("{LIST}/{id}")).await.says("evil.example");
    owner.get(&format!("{LIST}/{id}/disable")).await.says("evil.example");
    owner.post(&format!("{LIST}/{id}/disable"), &[]).await.leads_to(&format!("{LIST}/{id}"), "disabled");
    let sender = "Nuvera <no-reply@nuvera.example>".parse().unwrap();
    let mailer = server::mail::Mailer::folder(console.mail.path(), sender).unwrap();
    assert_eq!(console.backend.tell_owners(&mailer, ORIGIN).await.unwrap(), 0, "so far Nuvera did nothing");
    let mut admin = console.admin().await;
    let because = [("reason", "found"), ("ticket", "SUP-4711")];
    admin.submit(&format!("{}/enable", console.in_hub(&id)), &because).await;
    assert_eq!(console.backend.tell_owners(&mailer, ORIGIN).await.unwrap(), 1);
    let invited = console.letters_about("A member was invited to your organization", 2).await;
    assert!(invited.iter().any(|letter| letter.contains("evil[.]example")), "{invited:?}");
    for letter in console.letters() {
        let shown = letter.replace("=3D", "=");
        assert!(!shown.contains("evil.example") && !shown.contains("https://evil"), "{letter}");
    }
    assert_eq!(console.browser().get(&link).await.status, StatusCode::OK);
}
