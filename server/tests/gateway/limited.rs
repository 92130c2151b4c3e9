//! Rate limits, limits on failed requests, and the responses to throttled clients.

use crate::support::{Call, Connection, Setup, World, one_proxy, pair, plain_key};
use domain::application::Replacement;
use server::{
    forwarded::{ForwardedHeader, Proxies, Trust},
    gateway::RateLimit,
};
use std::{net::Ipv4Addr, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

fn limited() -> (String, u16) {
    ("rate_limited".to_owned(), 429)
}

#[tokio::test]
async fn an_application_that_is_too_quick_is_told_when_to_go_on_and_its_token_is_not_used_up() {
    let world = Setup::with(|setup| setup.settings.rate_limit = RateLimit::new(3, SECOND)).start().await;
    for _ in 0..3 {
        world.send(world.get()).await.verified();
    }
    let call = world.get();
    let token = call.token();
    let bytes = call.bytes_with(&token);
    let refused = world.send_bytes(&bytes).await;
    assert_eq!(refused.refusal(), limited(), "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("1"));
    world.clock.advance(SECOND);
    world.send_bytes(&bytes).await.verified();
    // The control: requests without a valid signature do not count against the application's limit.
    world.clock.advance(SECOND);
    for _ in 0..5 {
        let forged = world.send(Call { pair: pair(1), ..world.get() }).await;
        assert_eq!(forged.refusal(), ("invalid_signature".to_owned(), 401));
    }
    for _ in 0..3 {
        world.send(world.get()).await.verified();
    }
}

#[tokio::test]
async fn a_limit_survives_changes_to_the_application() {
    let mut world = Setup::with(|setup| setup.settings.rate_limit = RateLimit::new(1, SECOND)).start().await;
    world.send(world.get()).await.verified();
    world.change(|application, by| application.disable(by));
    world.change(|application, by| application.enable(by));
    assert_eq!(world.send(world.get()).await.refusal(), limited());
}

#[tokio::test]
async fn guessing_keys_is_slowed_down_and_harms_nobody_else_behind_the_address() {
    let minute = Duration::from_secs(60);
    let mut world = Setup::with(|setup| setup.settings.failure_limit = RateLimit::new(2, minute)).start().await;
    let guess = async |world: &World| {
        let call = world.get().without("x-api-key").add("x-api-key", plain_key().reveal());
        let reply = world.send(call).await;
        (reply.refusal().0, reply.header("retry-after").map(str::to_owned))
    };
    for _ in 0..2 {
        assert_eq!(guess(&world).await.0, "invalid_api_key");
    }
    assert_eq!(guess(&world).await, ("too_many_failures".to_owned(), Some("30".to_owned())));
    // A working deployment is not throttled, and one with a revoked key is told what is wrong, however often it asks.
    world.send(world.get()).await.verified();
    let new = crate::support::new_api_key(&plain_key(), &world.pepper);
    world.change(|application, by| application.replace_api_key(new, Replacement::StopNow, by));
    for _ in 0..3 {
        assert_eq!(world.send(world.get()).await.refusal().0, "revoked_api_key");
    }
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(guess(&world).await.0, "invalid_api_key");
}

fn too_many_failures() -> (String, u16) {
    ("too_many_failures".to_owned(), 429)
}

#[tokio::test]
async fn with_an_api_key_alone_an_attacker_has_few_signatures_verified_and_blocks_nobody_elsewhere() {
    let setup = Setup::with(|setup| {
        setup.settings.failure_limit = RateLimit::new(3, Duration::from_secs(60));
        setup.settings.proxies = one_proxy();
    });
    let world = setup.start().await;
    let owner = async |address: &str| world.send(world.get().add("X-Forwarded-For", address)).await;
    let forge = async || {
        let forged = Call { pair: pair(1), ..world.get() }.add("X-Forwarded-For", "203.0.113.66");
        world.send(forged).await
    };
    for _ in 0..3 {
        assert_eq!(forge().await.refusal(), ("invalid_signature".to_owned(), 401));
    }
    let refused = forge().await;
    assert_eq!(refused.refusal(), too_many_failures());
    assert_eq!(refused.header("retry-after"), Some("20"));
    assert!(refused.json()["detail"].as_str().unwrap().contains("a signature that does not verify"));
    // No signature is verified any more: a valid one from the same address is refused as well.
    assert_eq!(owner("203.0.113.66").await.refusal(), too_many_failures());
    for _ in 0..20 {
        assert_eq!(forge().await.refusal(), too_many_failures());
        owner("198.51.100.1").await.verified();
    }
    // Another partner's application behind the attacker's address.
    let other = world.another_application();
    let call = world.call_with(&other, "GET", "/api/v1/customers?limit=20", b"");
    world.send(call.add("X-Forwarded-For", "203.0.113.66")).await.verified();
    // A failure before the signature check is explained as before, and does not count.
    let claim = world.get().claim("iss", "x").add("X-Forwarded-For", "203.0.113.66");
    assert_eq!(world.refusal(claim).await.0, "wrong_issuer");
    world.clock.advance(Duration::from_secs(20));
    owner("203.0.113.66").await.verified();
}

#[tokio::test]
async fn a_deployment_of_which_half_signs_with_the_wrong_key_goes_on() {
    let setup = Setup::with(|setup| setup.settings.failure_limit = RateLimit::new(3, Duration::from_secs(60)));
    let world = setup.start().await;
    for _ in 0..20 {
        let wrong = Call { pair: pair(1), ..world.get() };
        assert_eq!(world.refusal(wrong).await, ("invalid_signature".to_owned(), 401));
        world.send(world.get()).await.verified();
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_attempts_of_its_own_and_elsewhere_nobody_can_invent_an_address() {
    for trusted in [true, false] {
        let setup = Setup::with(|setup| {
            setup.settings.failure_limit = RateLimit::new(1, Duration::from_secs(60));
            setup.settings.proxies = if trusted { one_proxy() } else { Proxies::default() };
        });
        let world = setup.start().await;
        let guess = async |forwarded_for: &str| {
            let call = world.get().without("x-api-key").add("x-api-key", plain_key().reveal());
            world.send(call.add("X-Forwarded-For", forwarded_for)).await.refusal().0
        };
        assert_eq!(guess("203.0.113.1").await, "invalid_api_key");
        assert_eq!(guess("203.0.113.1").await, "too_many_failures", "trusted: {trusted}");
        let another = if trusted { "invalid_api_key" } else { "too_many_failures" };
        assert_eq!(guess("203.0.113.2").await, another, "trusted: {trusted}");
        // Entries before the proxy's own are chosen by the client.
        assert_eq!(guess("203.0.113.3, 203.0.113.2").await, "too_many_failures", "trusted: {trusted}");
        world.send(world.get().add("X-Forwarded-For", "203.0.113.4")).await.verified();
        let recorded = if trusted { "203.0.113.4" } else { "127.0.0.1" };
        assert_eq!(world.gateway.usage().drain().api_keys[0].address.to_string(), recorded);
    }
}

/// The address recorded for a request with these headers over a connection from 127.0.0.1.
async fn recorded(proxies: Proxies, headers: &[(&str, &str)]) -> String {
    let world = Setup::with(|setup| setup.settings.proxies = proxies).start().await;
    // A dual-stack socket, which reports IPv4 addresses in IPv6 form.
    let listener = TcpListener::bind("[::]:0").await.unwrap();
    let address = (Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port()).into();
    tokio::spawn(world.gateway.clone().serve(listener, CancellationToken::new()));
    let call = headers.iter().fold(world.get(), |call, (name, value)| call.add(name, value));
    let mut connection = Connection::open(address).await;
    connection.write(&call.bytes()).await;
    connection.read().await.unwrap().verified();
    world.gateway.usage().drain().api_keys[0].address.to_string()
}

#[tokio::test]
async fn a_clients_address_is_one_however_it_is_written_and_however_many_proxies_there_are() {
    let hops = |hops, header| Proxies::new(Trust::Hops(hops), header);
    let (list, forwarded) = (ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded);
    let proxies = ["127.0.0.0/8", "10.0.0.0/8"].map(|network| network.parse().unwrap()).to_vec();
    let networks = Proxies::new(Trust::Networks(proxies), list);
    let elsewhere = Proxies::new(Trust::Networks(vec!["192.0.2.0/24".parse().unwrap()]), list);
    for (proxies, headers, address) in [
        (Proxies::default(), &[("X-Forwarded-For", "203.0.113.7")][..], "127.0.0.1"),
        (hops(1, list), &[("X-Forwarded-For", "203.0.113.7:51234")], "203.0.113.7"),
        (hops(1, list), &[("X-Forwarded-For", "\"[2001:db8::7]:51234\"")], "2001:db8::7"),
        (hops(1, list), &[("X-Forwarded-For", "::ffff:203.0.113.7")], "203.0.113.7"),
        (hops(1, list), &[("X-Forwarded-For", "unknown")], "127.0.0.1"),
        (hops(2, list), &[("X-Forwarded-For", "192.0.2.1, 203.0.113.7, 10.0.0.2")], "203.0.113.7"),
        (hops(1, forwarded), &[("Forwarded", "for=192.0.2.1, for=\"203.0.113.7:80\";proto=https")], "203.0.113.7"),
        (hops(1, forwarded), &[("X-Forwarded-For", "192.0.2.1")], "127.0.0.1"),
        (hops(1, list), &[("Forwarded", "for=192.0.2.1, for=\"[2001:db8::7]:80\"")], "2001:db8::7"),
        (hops(1, list), &[("Forwarded", "for=192.0.2.1"), ("X-Forwarded-For", "203.0.113.7")], "203.0.113.7"),
        (networks, &[("X-Forwarded-For", "192.0.2.1, 203.0.113.7"), ("X-Forwarded-For", "10.0.0.2:80")], "203.0.113.7"),
        (elsewhere, &[("X-Forwarded-For", "203.0.113.7")], "127.0.0.1"),
    ] {
        assert_eq!(recorded(proxies, headers).await, address, "{headers:?}");
    }
}
