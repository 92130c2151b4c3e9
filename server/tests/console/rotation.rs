//! A rotation in progress: what the traffic with both keys says about revoking the old one.

use crate::support::{Answer, Browser, Console, Database, LIST, PEM_A, PEM_B};
use domain::{cut_over::Traffic, id::ApiKeyId, time::Timestamp};
use server::store::{
    traffic,
    usage::{self, KeyUsage},
};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// A console with an application whose API key is being rotated; the new key comes first.
struct Rotation {
    console: Console,
    owner: Browser,
    id: String,
}

impl Rotation {
    async fn start(database: Database) -> Self {
        let console = Console::start_on(database).await;
        let mut owner = console.owner().await;
        let (id, _) = owner.create("Ledger", PEM_A).await;
        let path = format!("{LIST}/{id}/replace-api-key");
        assert_eq!(owner.submit(&path, &[("grace", "86400")]).await.keys().len(), 1);
        Self { console, owner, id }
    }

    async fn key(&self, index: usize) -> ApiKeyId {
        self.console.application(&self.id).await.api_keys[index].id
    }

    /// Records that the gateway has just accepted requests with a key.
    async fn used(&self, key: ApiKeyId, requests: i64) {
        let now = self.console.clock.now();
        let seen = KeyUsage {
            first_used_at: now,
            last_used_at: now,
            address: "192.0.2.7".into(),
            user_agent: "settlement/1.2".into(),
            requests,
        };
        let mut transaction = self.console.store.write().await.unwrap();
        usage::add_api_key(&mut transaction, key, &seen).await.unwrap();
        traffic::add_api_key(&mut transaction, key, Traffic::minute(now), requests).await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn page(&mut self) -> Answer {
        self.owner.get(&format!("{LIST}/{}", self.id)).await
    }
}

#[tokio::test]
async fn the_meter_follows_the_traffic_from_the_old_key_to_the_new_one() {
    for database in Database::all().await {
        println!("on {}", database.engine);
        let mut rotation = Rotation::start(database).await;
        let (new, old) = (rotation.key(0).await, rotation.key(1).await);
        let page = rotation.page().await;
        page.says("Rotation under way").says("Not yet: nothing has used the new key.");
        page.says("No request in the last 15 minutes.").says("Waiting for the first request with the new key");

        rotation.used(old, 30).await;
        rotation.console.advance(2 * MINUTE);
        rotation.used(old, 9).await;
        rotation.used(new, 3).await;
        let page = rotation.page().await;
        page.says("7 % of the 42 requests in the last 15 minutes came with the new key.");
        page.says("Not yet: still in use. Safe after 15 minutes without a request.");
        page.says("from 192.0.2.7, settlement/1.2");

        rotation.console.advance(14 * MINUTE);
        rotation.used(new, 5).await;
        let page = rotation.page().await;
        page.says("Not yet: last used 14 minutes ago. Safe after 15 minutes without a request.");
        rotation.console.advance(MINUTE);
        let page = rotation.page().await;
        page.says("Safe to revoke: not used for 15 minutes, and the new key is in use. Its longest pause before was 2 minutes.");
        page.says("All of the 5 requests in the last 15 minutes came with the new key, the last one 1 minute ago.");

        // A forgotten job uses the old key again, and the longer pause applies from now on.
        rotation.used(old, 1).await;
        rotation.console.advance(16 * MINUTE);
        rotation.page().await.says("Not yet: last used 16 minutes ago. Safe after 30 minutes without a request.");
    }
}

#[tokio::test]
async fn silence_of_both_keys_is_no_evidence_and_the_revoke_page_says_the_same_as_the_meter() {
    let mut rotation = Rotation::start(Database::sqlite()).await;
    let (new, old) = (rotation.key(0).await, rotation.key(1).await);
    let path = format!("{LIST}/{}", rotation.id);
    let revoke = format!("{path}/api-keys/{old}/revoke");
    rotation.owner.submit(&format!("{path}/finish-by-itself"), &[("hold", "900")]).await;
    let both_say = async |rotation: &mut Rotation, sentences: [&str; 2]| {
        for page in [path.clone(), revoke.clone()] {
            let page = rotation.owner.get(&page).await;
            for sentence in sentences {
                page.says(sentence);
            }
            // A replacement exists, so the page does not suggest creating one.
            assert!(!page.text().contains("create a replacement key"), "{}", page.text());
        }
    };
    let nothing_used = ["Not yet: nothing has used the new key.", "No request in the last 15 minutes."];
    both_say(&mut rotation, nothing_used).await;

    rotation.used(old, 30).await;
    rotation.used(new, 1).await;
    let in_use = ["Not yet: still in use. Safe after 15 minutes without a request.", "3 % of the 31 requests"];
    both_say(&mut rotation, in_use).await;
    rotation.console.advance(2 * MINUTE);
    rotation.used(new, 181).await;
    rotation.console.advance(13 * MINUTE);
    // Revoking a key needs a fresh proof of identity.
    rotation.owner = rotation.console.owner().await;
    // Regression: the old key unused for 15 minutes, the new one for 13. An idle system proves nothing.
    let idle = [
        "No evidence: neither key has been used for 13 minutes. Send traffic with the new key, then check again.",
        "All of the 181 requests in the last 15 minutes came with the new key, the last one 13 minutes ago.",
    ];
    both_say(&mut rotation, idle).await;
    // Automatic revocation does not take inactivity as evidence either, however long it lasts.
    let live = async |rotation: &Rotation| {
        rotation.console.backend.finish_rotations().await.unwrap();
        rotation.console.application(&rotation.id).await.live_keys(rotation.console.clock.now()).count()
    };
    rotation.console.advance(10 * 60 * MINUTE);
    assert_eq!(live(&rotation).await, 2);
    // A request with the new key makes revoking safe from now on, not retroactively.
    rotation.used(new, 1).await;
    rotation.owner = rotation.console.owner().await;
    both_say(
        &mut rotation,
        ["Safe to revoke: not used for 10 hours, and the new key is in use.", "All of the 1 request"],
    )
    .await;
    assert_eq!(live(&rotation).await, 2);
    for _ in 0..3 {
        rotation.console.advance(7 * MINUTE);
        rotation.used(new, 1).await;
    }
    assert_eq!(live(&rotation).await, 1, "the control: safe for a quarter of an hour without a break");
}

#[tokio::test]
async fn a_key_without_a_replacement_is_judged_by_its_last_use() {
    let mut rotation = Rotation::start(Database::sqlite()).await;
    let (new, old) = (rotation.key(0).await, rotation.key(1).await);
    rotation.used(old, 9).await;
    rotation.used(new, 9).await;
    rotation.console.advance(2 * MINUTE);
    let revoke = |key: ApiKeyId| format!("{LIST}/{}/api-keys/{key}/revoke", rotation.id);
    // Revoking the new key: there is another key to go back to.
    let page = rotation.owner.get(&revoke(new)).await;
    page.says("This key was last used 2 minutes ago").says("If you go back to").says("Keep it");
    let (of_old, of_new) = (revoke(old), revoke(new));
    rotation.owner.submit(&of_new, &[]).await;
    // Revoking the last key: it needs a replacement first.
    let page = rotation.owner.get(&of_old).await;
    page.says("This key was last used 2 minutes ago").says("create a replacement key and deploy it first");
    assert!(!page.text().contains("Has traffic moved"), "there is nothing to move to");
}

#[tokio::test]
async fn a_key_that_is_safe_to_revoke_does_not_stop_while_in_use() {
    let mut rotation = Rotation::start(Database::sqlite()).await;
    let (new, old) = (rotation.key(0).await, rotation.key(1).await);
    // More than half of the grace window has passed.
    rotation.console.advance(13 * 60 * MINUTE);
    rotation.owner = rotation.console.owner().await;
    rotation.used(old, 9).await;
    rotation.used(new, 9).await;
    let pages = [LIST.to_owned(), format!("{LIST}/{}", rotation.id)];
    for page in &pages {
        rotation.owner.get(page).await.says("stops while requests still use it");
    }
    rotation.console.advance(20 * MINUTE);
    rotation.used(new, 9).await;
    rotation.page().await.says("Safe to revoke");
    for page in &pages {
        let text = rotation.owner.get(page).await.text();
        assert!(!text.contains("stops while requests still use it"), "{text}");
    }
}

#[tokio::test]
async fn the_traffic_of_signing_keys_is_told_apart_and_old_traffic_forgotten() {
    let mut rotation = Rotation::start(Database::sqlite()).await;
    let path = format!("{LIST}/{}/replace-signing-key", rotation.id);
    rotation.owner.submit(&path, &[("public_key", PEM_B), ("overlap", "86400")]).await;
    let application = rotation.console.application(&rotation.id).await;
    let (current, retiring) = (application.signing_keys[0].id, application.signing_keys[1].id);
    let page = rotation.page().await;
    page.says("Signing-key replacement under way").says("Waiting for the first request that it signs");
    let now = rotation.console.clock.now();
    let mut transaction = rotation.console.store.write().await.unwrap();
    let seen = KeyUsage {
        first_used_at: now,
        last_used_at: now,
        address: "192.0.2.7".into(),
        user_agent: "settlement/1.2".into(),
        requests: 3,
    };
    for (key, requests) in [(current, 3), (retiring, 1)] {
        usage::add_signing_key(&mut transaction, key, &seen).await.unwrap();
        traffic::add_signing_key(&mut transaction, key, Traffic::minute(now), requests).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let share = "75 % of the 4 requests in the last 15 minutes came with the new key.";
    rotation.page().await.says(share);
    let retire = format!("{LIST}/{}/signing-keys/{retiring}/retire", rotation.id);
    let page = rotation.owner.get(&retire).await;
    page.says(share).says("Not yet: still in use. Safe after 15 minutes without a request.");

    let kept = |minutes: i64| Traffic::minute(Timestamp::from_millis(now.as_millis())) - minutes;
    let mut transaction = rotation.console.store.write().await.unwrap();
    let before = traffic::of_signing_keys(&mut transaction, application.id, 0).await.unwrap();
    assert_eq!(before[&current].minutes, [(kept(0), 3)]);
    traffic::purge(&mut transaction, kept(0)).await.unwrap();
    assert_eq!(traffic::of_signing_keys(&mut transaction, application.id, 0).await.unwrap(), before);
    traffic::purge(&mut transaction, kept(-1)).await.unwrap();
    assert!(traffic::of_signing_keys(&mut transaction, application.id, 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_rotation_finishes_by_itself_only_when_the_evidence_has_held_for_the_chosen_time() {
    for database in Database::all().await {
        let mut rotation = Rotation::start(database).await;
        let (new, old) = (rotation.key(0).await, rotation.key(1).await);
        let path = format!("{LIST}/{}/finish-by-itself", rotation.id);
        assert_eq!(rotation.owner.submit(&path, &[("hold", "1800")]).await.status.as_u16(), 303);
        rotation
            .page()
            .await
            .says("revoked automatically once that has been safe for 30 minutes. Set by Olivia Okafor");
        let live = async |rotation: &Rotation| {
            rotation.console.backend.finish_rotations().await.unwrap();
            let now = rotation.console.clock.now();
            rotation.console.application(&rotation.id).await.live_keys(now).count()
        };
        // Inactivity alone is no evidence, because the new key is not used.
        rotation.used(old, 1).await;
        rotation.console.advance(60 * MINUTE);
        assert_eq!(live(&rotation).await, 2);
        // Nor is use of the new key, while the old one is used as well.
        rotation.used(old, 1).await;
        rotation.used(new, 1).await;
        // The old key once paused for an hour, so it needs two hours without a request; auto-revocation waits half an
        // hour more.
        for _ in 0..4 {
            rotation.console.advance(30 * MINUTE);
            rotation.used(new, 1).await;
        }
        rotation.owner = rotation.console.owner().await;
        rotation.page().await.says("Safe to revoke: not used for 2 hours");
        rotation.console.advance(30 * MINUTE - Duration::from_millis(1));
        rotation.used(new, 1).await;
        assert_eq!(live(&rotation).await, 2);
        rotation.console.advance(Duration::from_millis(1));
        assert_eq!(live(&rotation).await, 1);
        let application = rotation.console.application(&rotation.id).await;
        assert_eq!(application.auto_finish, None, "the order ends with what it was about");
        assert_eq!(application.api_keys[0].id, new);
        let event = &rotation.console.events_of(application.id).await[0].event;
        assert_eq!((event.action.code(), &*event.actor.name), ("api_key.revoked", "Olivia Okafor"));
        let reason = event.reason.as_ref().unwrap().as_str();
        let words = "not used for 2 hours, and the new key is in use.";
        assert!(reason.starts_with("Revoked automatically, as set on") && reason.ends_with(words), "{reason}");
        assert_eq!(rotation.console.events(&rotation.id).await[1], "auto_finish.set");
    }
}

#[tokio::test]
async fn an_automatic_finish_is_off_until_it_is_ordered_and_after_it_was_cancelled() {
    let mut rotation = Rotation::start(Database::sqlite()).await;
    let (new, old) = (rotation.key(0).await, rotation.key(1).await);
    rotation.used(old, 1).await;
    rotation.used(new, 1).await;
    rotation.console.advance(10 * 60 * MINUTE);
    rotation.owner = rotation.console.owner().await;
    rotation.used(new, 1).await;
    rotation.console.backend.finish_rotations().await.unwrap();
    rotation.page().await.says("Safe to revoke").says("Revoke automatically");
    let path = format!("{LIST}/{}/finish-by-itself", rotation.id);
    rotation.owner.submit(&path, &[("hold", "86400")]).await;
    let version = rotation.console.application(&rotation.id).await.version.to_string();
    let path = format!("{LIST}/{}/cancel-finish", rotation.id);
    assert_eq!(rotation.owner.post(&path, &[("version", &version)]).await.status.as_u16(), 303);
    assert_eq!(rotation.console.events(&rotation.id).await[..2], ["auto_finish.cancelled", "auto_finish.set"]);
    rotation.console.advance(13 * 60 * MINUTE);
    rotation.used(new, 1).await;
    rotation.console.backend.finish_rotations().await.unwrap();
    let now = rotation.console.clock.now();
    assert_eq!(rotation.console.application(&rotation.id).await.live_keys(now).count(), 2);
    // A new rotation starts without auto-revocation, whatever was set for the previous one.
    let path = format!("{LIST}/{}/finish-by-itself", rotation.id);
    let mut owner = rotation.console.owner().await;
    owner.submit(&path, &[("hold", "900")]).await;
    owner.submit(&format!("{LIST}/{}/replace-api-key", rotation.id), &[("grace", "86400")]).await;
    assert_eq!(rotation.console.application(&rotation.id).await.auto_finish, None);
}
