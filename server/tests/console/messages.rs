//! One-time messages: shown once, on the page that a form redirects to, and not settable through the URL.

use crate::support::{Browser, Console, LIST, ORIGIN, PEM_A};
use axum::http::{Request, StatusCode, header};

const STORED: &str = "The API key is confirmed as stored.";

async fn stores(owner: &mut Browser, console: &Console, id: &str) -> crate::support::Answer {
    let key = console.application(id).await.api_keys[0].id;
    owner.post(&format!("{LIST}/{id}/api-keys/{key}/stored"), &[]).await
}

#[tokio::test]
async fn a_message_is_said_once_and_by_no_address() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let done = stores(&mut owner, &console, &id).await;
    done.leads_to(&format!("{LIST}/{id}"), "key-stored");
    assert!(!done.location().contains('?'), "{}", done.location());
    let cookie = done.header("set-cookie");
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=60"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    owner.follow(&done).await.says(STORED);
    // A reload does not show it again, and no query parameter does.
    for path in [format!("{LIST}/{id}"), format!("{LIST}/{id}?done=key-stored"), format!("{LIST}?done=disabled")] {
        let page = owner.get(&path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.text().contains(STORED) && !page.body.contains("class=\"notice"), "{path}: {}", page.text());
    }
}

#[tokio::test]
async fn tabs_and_scripts_do_not_take_each_others_messages() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (one, _) = owner.create("One", PEM_A).await;
    let (two, _) = owner.create("Two", PEM_A).await;
    // Two tabs each submit a form before either opens its page.
    let done = stores(&mut owner, &console, &one).await;
    let stopped = owner.submit(&format!("{LIST}/{two}/disable"), &[]).await;
    // A fetch by an open page, another page and a prefetched page do not consume the message.
    assert!(!owner.fetch(done.location()).await.text().contains(STORED));
    assert!(!owner.get(LIST).await.text().contains(STORED));
    let in_advance =
        Request::get(done.location()).header("sec-purpose", "prefetch").body(String::new().into()).unwrap();
    assert!(!owner.send(in_advance).await.text().contains(STORED));
    let page = owner.follow(&stopped).await;
    page.says("The application is disabled. The gateway refuses its requests.");
    assert!(!page.text().contains(STORED));
    owner.follow(&done).await.says(STORED);
}

#[tokio::test]
async fn a_cookie_says_nothing_but_what_the_console_says() {
    let console = Console::start().await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let done = stores(&mut owner, &console, &id).await;
    let name = done.header("set-cookie").split('=').next().unwrap().to_owned();
    for forged in ["<b>You won</b>", "", "no-such-code"] {
        owner.cookies.insert(name.clone(), forged.to_owned());
        let page = owner.get(&format!("{LIST}/{id}")).await;
        assert!(!page.body.contains("You won") && !page.body.contains("class=\"notice"), "{}", page.body);
        assert!(!owner.cookies.contains_key(&name), "it is gone");
    }
}

#[tokio::test]
async fn over_https_only_this_host_can_set_one() {
    let console = Console::start_at(crate::support::Database::sqlite(), "https://console.example", None).await;
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Ledger", PEM_A).await;
    let done = stores(&mut owner, &console, &id).await;
    let cookie = done.header("set-cookie");
    assert!(cookie.starts_with("__Host-nuvera-notice-") && cookie.contains("Secure"), "{cookie}");
    let shown = owner.follow(&done).await;
    shown.says(STORED);
    let gone = shown.headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    let gone: Vec<_> = gone.filter(|cookie| cookie.contains("nuvera-notice")).collect();
    assert!(matches!(&*gone, [cookie] if cookie.contains("Secure") && cookie.contains("Max-Age=0")), "{gone:?}");
    assert_ne!(ORIGIN, "https://console.example", "the control: the other tests are over http");
}
