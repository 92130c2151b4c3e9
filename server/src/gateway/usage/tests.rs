use super::*;
use std::{
    net::Ipv4Addr,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};
use uuid::Uuid;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn used(key: u128, millis: i64) -> Use<'static> {
    Use {
        api_key: ApiKeyId(Uuid::from_u128(key)),
        signing_key: SigningKeyId(Uuid::from_u128(key + 1_000_000)),
        at: Timestamp::from_millis(millis),
        address: HERE,
        user_agent: b"curl/8",
    }
}

fn somebody_is_woken(usage: &Usage) -> bool {
    pin!(usage.first_use()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn uses_are_added_up_until_they_are_drained() {
    let usage = Usage::default();
    usage.record(used(1, 10));
    usage.record(Use { user_agent: b"node", address: IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)), ..used(1, 30) });
    usage.record(used(1, 20));
    let batch = usage.drain();
    assert_eq!(
        batch.api_keys,
        [KeyUse {
            id: ApiKeyId(Uuid::from_u128(1)),
            first_at: Timestamp::from_millis(10),
            last_at: Timestamp::from_millis(30),
            address: IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)),
            user_agent: "node".to_owned(),
            count: 3,
        }]
    );
    assert_eq!(batch.signing_keys[0].count, 3);
    assert!(usage.drain().is_empty());
    usage.record(used(1, 40));
    let next = usage.drain().api_keys;
    assert_eq!((next[0].first_at, next[0].count), (Timestamp::from_millis(40), 1));
}

#[test]
fn a_batch_that_could_not_be_written_is_not_lost() {
    let usage = Usage::default();
    usage.record(used(1, 10));
    let batch = usage.drain();
    usage.restore(batch.clone());
    assert_eq!(usage.drain(), batch);
    usage.record(Use { user_agent: b"newer", ..used(1, 50) });
    usage.restore(batch);
    let merged = usage.drain().api_keys.remove(0);
    assert_eq!((merged.first_at, merged.last_at), (Timestamp::from_millis(10), Timestamp::from_millis(50)));
    assert_eq!((merged.user_agent.as_str(), merged.count), ("newer", 2));
}

#[test]
fn only_a_keys_first_use_wakes_somebody() {
    let usage = Usage::default();
    assert!(!somebody_is_woken(&usage));
    usage.record(used(1, 10));
    assert!(somebody_is_woken(&usage));
    usage.record(used(1, 11));
    drop(usage.drain());
    usage.record(used(1, 12));
    assert!(!somebody_is_woken(&usage));
    usage.record(used(2, 13));
    assert!(somebody_is_woken(&usage));
}

#[test]
fn a_user_agent_is_bounded_and_can_be_shown() {
    let usage = Usage::default();
    usage.record(Use { user_agent: &[b'x'; 5_000], ..used(1, 1) });
    usage.record(Use { user_agent: b"a\tb\x1b[31m\xff", ..used(2, 1) });
    let mut agents: Vec<_> = usage.drain().api_keys.into_iter().map(|key| key.user_agent).collect();
    agents.sort();
    assert_eq!(agents, ["a\u{FFFD}b\u{FFFD}[31m\u{FFFD}".to_owned(), "x".repeat(200)]);
}

#[test]
fn a_flood_of_keys_is_bounded_and_what_is_dropped_is_counted() {
    let usage = Usage::default();
    let flood = 2 * MAX_KEYS as u128;
    for key in 0..flood {
        usage.record(used(key, 1));
    }
    let batch = usage.drain();
    assert!(batch.api_keys.len() <= MAX_KEYS && batch.signing_keys.len() <= MAX_KEYS);
    let kept = (batch.api_keys.len() + batch.signing_keys.len()) as u128;
    assert_eq!(u128::from(usage.uncounted()), 2 * flood - kept);
}

#[test]
fn no_use_is_lost_while_batches_are_drained() {
    const USES: u64 = 20_000;
    let usage = Arc::new(Usage::default());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let usage = usage.clone();
            std::thread::spawn(move || (0..USES).for_each(|at| usage.record(used(u128::from(at % 5), at as i64))))
        })
        .collect();
    let mut counted = 0;
    while threads.iter().any(|thread| !thread.is_finished()) {
        counted += usage.drain().api_keys.iter().map(|key| key.count).sum::<u64>();
    }
    for thread in threads {
        thread.join().unwrap();
    }
    counted += usage.drain().api_keys.iter().map(|key| key.count).sum::<u64>();
    assert_eq!(counted, 4 * USES);
}
