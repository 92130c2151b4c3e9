//! Cross-origin requests: only the console's pages may send one, and only to the signature test.

use crate::support::{Reply, Setup, World};

const CONSOLE: &str = "https://console.example.com";
const TEST: &str = "/api/v1/signature-test";

async fn world() -> World {
    Setup::with(|setup| setup.settings.console_origin = Some(CONSOLE.parse().unwrap())).start().await
}

async fn preflight(world: &World, origin: &str, uri: &str) -> Reply {
    let head = format!(
        "OPTIONS {uri} HTTP/1.1\r\nHost: api\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: GET\r\n\
         Access-Control-Request-Headers: authorization,x-api-key\r\n\r\n"
    );
    world.send_bytes(head.as_bytes()).await
}

fn readable_by(reply: &Reply) -> Option<&str> {
    reply.header("access-control-allow-origin")
}

#[tokio::test]
async fn the_consoles_page_may_send_both_credentials_to_the_test_endpoint() {
    let world = world().await;
    let reply = preflight(&world, CONSOLE, TEST).await;
    assert_eq!(reply.status, 204);
    assert_eq!(readable_by(&reply), Some(CONSOLE));
    assert_eq!(reply.header("access-control-allow-headers"), Some("authorization, x-api-key"));
    assert_eq!(reply.header("access-control-allow-methods"), Some("GET"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
    assert_eq!(reply.header("vary"), Some("origin"));

    let accepted = world.send(world.call("GET", TEST, b"").add("Origin", CONSOLE)).await;
    accepted.verified();
    assert_eq!(readable_by(&accepted), Some(CONSOLE));
    let refused = world.send(world.call("GET", TEST, b"").add("Origin", CONSOLE).claim("iss", "x")).await;
    assert_eq!(refused.refusal().0, "wrong_issuer");
    assert_eq!(readable_by(&refused), Some(CONSOLE));
}

#[tokio::test]
async fn no_other_page_and_no_other_endpoint_is_open_to_browsers() {
    let world = world().await;
    for (origin, uri) in [
        ("https://console.example.com.evil.example", TEST),
        ("http://console.example.com", TEST),
        ("null", TEST),
        (CONSOLE, "/api/v1/customers"),
        (CONSOLE, "/api/v1/signature-test/"),
    ] {
        let reply = preflight(&world, origin, uri).await;
        assert_eq!(reply.refusal(), ("missing_api_key".to_owned(), 401), "{origin} {uri}");
        assert_eq!(readable_by(&reply), None, "{origin} {uri}");
        // A browser would not send the request after that, but another client may: it is judged as usual.
        let reply = world.send(world.call("GET", uri, b"").add("Origin", origin)).await;
        assert_eq!(readable_by(&reply), None, "{origin} {uri}");
    }
    let without_console = World::start().await;
    assert_eq!(preflight(&without_console, CONSOLE, TEST).await.refusal().0, "missing_api_key");
}

#[tokio::test]
async fn a_plain_options_request_is_judged_as_any_other() {
    let world = world().await;
    let head = format!("OPTIONS {TEST} HTTP/1.1\r\nHost: api\r\nOrigin: {CONSOLE}\r\n\r\n");
    assert_eq!(world.send_bytes(head.as_bytes()).await.refusal().0, "missing_api_key");
}
