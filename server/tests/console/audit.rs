//! An application's audit history.

use crate::support::{Console, LIST, PEM_A};
use domain::text::ApplicationName;

#[tokio::test]
async fn the_history_says_who_did_what_from_where_and_pages_without_a_gap() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let actor = console.owner_actor().await;
    for number in 0..60 {
        let name = ApplicationName::new(&format!("Name-{number}-")).unwrap();
        let id = id.parse().unwrap();
        console.backend.change(&actor, id, None, |a, by| a.rename(name, by)).await.unwrap();
    }
    let newest = owner.get(&format!("{LIST}/{id}/audit")).await;
    newest.says("Name-59-").says("Name-10-");
    assert!(!newest.text().contains("Name-8-"), "{}", newest.text());
    let at = newest.body.find("?before=").expect("a link to older events");
    let before: String = newest.body[at + 8..].chars().take_while(char::is_ascii_digit).collect();
    let older = owner.get(&format!("{LIST}/{id}/audit?before={before}")).await;
    older.says("Name-9-").says("Application created").says("Olivia Okafor").says("203.0.113.7");
    assert!(!older.text().contains("Name-10- "), "{}", older.text());
    assert!(!older.body.contains("?before="), "nothing is older");
}
