//! A rotation under way: what the traffic of both keys says about ending the old one.

use crate::support::{Answer, Browser, Console, Database, LIST, PEM_A, PEM_B};
use domain::{cut_over::Traffic, id::ApiKeyId, time::Timestamp};
use server::store::{
    traffic,
    usage::{self, KeyUsage},
};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// A console with an application whose key is being replaced, the new key first.
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

    /// The gateway saw requests with a key just now.
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
        page.says("Not yet: silent for 0 seconds of the 15 minutes that make it safe.");
        page.says("from 192.0.2.7, settlement/1.2");

        rotation.console.advance(14 * MINUTE);
        rotation.used(new, 5).await;
        let page = rotation.page().await;
        page.says("Not yet: silent for 14 minutes of the 15 minutes that make it safe.");
        rotation.console.advance(MINUTE);
        let page = rotation.page().await;
        page.says("Safe to revoke: not used for 15 minutes. Before, it was never silent for more than 2 minutes.");
        page.says("All of the 5 requests in the last 15 minutes came with the new key.");

        // Somebody's forgotten job: it is used again, and the longer pause counts from now on.
        rotation.used(old, 1).await;
        rotation.console.advance(16 * MINUTE);
        rotation.page().await.says("Not yet: silent for 16 minutes of the 30 minutes that make it safe.");
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
    rotation.page().await.says("75 % of the 4 requests in the last 15 minutes came with the new key.");

    let kept = |minutes: i64| Traffic::minute(Timestamp::from_millis(now.as_millis())) - minutes;
    let mut transaction = rotation.console.store.write().await.unwrap();
    let before = traffic::of_signing_keys(&mut transaction, application.id, 0).await.unwrap();
    assert_eq!(before[&current].minutes, [(kept(0), 3)]);
    traffic::purge(&mut transaction, kept(0)).await.unwrap();
    assert_eq!(traffic::of_signing_keys(&mut transaction, application.id, 0).await.unwrap(), before);
    traffic::purge(&mut transaction, kept(-1)).await.unwrap();
    assert!(traffic::of_signing_keys(&mut transaction, application.id, 0).await.unwrap().is_empty());
}
