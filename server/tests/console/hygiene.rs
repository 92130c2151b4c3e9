//! Warnings in the console about overdue keys, unused keys, and keys that expire while they are in use.

use crate::support::{Console, LIST, PEM_A, PEM_B};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
const POLICY: &str = "/settings/platform/api-applications/rotation-policy";
const IN_USE: &str = "A key stops while requests still use it";

#[tokio::test]
async fn a_key_is_marked_when_its_rotation_is_due_and_when_it_is_overdue() {
    let console = Console::start().await;
    let (id, _) = console.owner().await.create("Ledger", PEM_A).await;
    let key = console.application(&id).await.api_keys[0].id;
    let says = async |present: &[&str], absent: &[&str]| {
        let mut partner = console.signed_in("developer@alpine.example").await;
        let mut admin = console.admin().await;
        for page in [
            partner.get(LIST).await,
            partner.get(&format!("{LIST}/{id}")).await,
            admin.get(&format!("/organizations/{}", console.alpine)).await,
            admin.get(&console.in_hub(&id)).await,
        ] {
            for words in present {
                page.says(words);
            }
            assert!(absent.iter().all(|words| !page.text().contains(words)), "{}", page.text());
        }
    };
    console.advance(DAY * 166 - Duration::from_millis(1));
    console.uses(key).await;
    says(&[], &["Rotation due", "Overdue"]).await;
    console.advance(Duration::from_millis(1));
    says(&["Rotation due on 22 May 2027"], &["Overdue"]).await;
    console.advance(DAY * 14);
    says(&["Overdue since 22 May 2027"], &["Rotation due"]).await;

    let mut owner = console.owner().await;
    owner.submit(POLICY, &[("api_key_age", "365"), ("signing_key_age", "365"), ("idle", "90")]).await;
    says(&[], &["Rotation due", "Overdue"]).await;
}

#[tokio::test]
async fn the_list_says_first_which_keys_are_to_be_replaced() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    assert!(!owner.get(LIST).await.text().contains("to be replaced"));
    console.advance(DAY * 170);
    let mut owner = console.owner().await;
    owner.create("Payouts", PEM_B).await;
    let list = owner.get(LIST).await;
    list.says("A key is to be replaced").says("of Ledger is due on 22 May 2027.");
    assert!(!list.text().contains("of Payouts is due"), "{}", list.text());
    let first = list.body.find("A key is to be replaced").unwrap();
    assert!(first < list.body.find("<table").unwrap(), "before the table");
    owner.submit(&format!("{LIST}/{id}/replace-exposed-api-key"), &[]).await;
    assert!(!owner.get(LIST).await.text().contains("to be replaced"), "it was replaced");
}

#[tokio::test]
async fn a_key_that_nothing_used_for_long_is_called_safe_to_remove_beside_its_revocation() {
    let console = Console::start().await;
    let (id, _) = console.owner().await.create("Ledger", PEM_A).await;
    let key = console.application(&id).await.api_keys[0].id;
    let page = async || console.owner().await.get(&format!("{LIST}/{id}")).await;
    console.advance(DAY * 90 - Duration::from_millis(1));
    assert!(!page().await.text().contains("Safe to remove"));
    console.advance(Duration::from_millis(1));
    let never = page().await;
    never.says("Safe to remove").says("Never used since 23 Nov 2026").says("1 key safe to remove");
    assert!(never.body.contains(&format!("/api-keys/{key}/revoke\"")));
    console.uses(key).await;
    assert!(!page().await.text().contains("Safe to remove"));
    console.advance(DAY * 94);
    page().await.says("Safe to remove").says("Not used for 94 days");
    let signing_keys = page().await;
    let signing_keys = signing_keys.body.split("id=\"signing-keys\"").nth(1).unwrap();
    assert!(!signing_keys.contains("Safe to remove"), "a current signing key is replaced, not removed");
}

#[tokio::test]
async fn a_key_that_stops_while_requests_use_it_is_said_above_everything() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let key = console.application(&id).await.api_keys[0].id;
    let page = format!("{LIST}/{id}");
    owner.submit(&format!("{page}/replace-api-key"), &[("grace", "604800")]).await;
    assert!(!owner.get(&page).await.text().contains(IN_USE), "nothing uses it");
    console.uses(key).await;
    assert!(!owner.get(&page).await.text().contains(IN_USE), "the rotation has just begun");
    console.advance(DAY * 7 / 2);
    console.uses(key).await;
    let mut developer = console.signed_in("developer@alpine.example").await;
    for (path, first) in [(&*page, "id=\"api-keys\""), (LIST, "<table")] {
        let page = developer.get(path).await;
        page.says(IN_USE).says("stops at 30 Nov 2026, 03:25:10 UTC").says("from 10.1.2.3").says("Stops while in use");
        assert!(page.body.contains(&format!("/api-keys/{key}/deadline\"")), "{}", page.body);
        assert!(page.body.find(IN_USE) < page.body.find(first));
    }
    console.advance(DAY);
    let mut owner = console.owner().await;
    assert!(!owner.get(&page).await.text().contains(IN_USE), "it has been silent for a day");
    console.uses(key).await;
    owner.get(&page).await.says(IN_USE);
    owner.submit(&format!("{page}/api-keys/{key}/revoke"), &[]).await;
    assert!(!owner.get(&page).await.text().contains(IN_USE), "it is revoked");
}
