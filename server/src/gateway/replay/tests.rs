use super::*;
use std::sync::{
    Arc, Barrier,
    atomic::{AtomicU32, AtomicUsize},
};
use uuid::Uuid;

const LEEWAY: Duration = Duration::from_secs(5);
const START: i64 = 1_800_000_000;

fn application(number: u128) -> ApplicationId {
    ApplicationId(Uuid::from_u128(number))
}

fn at(millis_after_start: i64) -> Timestamp {
    Timestamp::from_millis(START * 1000 + millis_after_start)
}

#[test]
fn a_jti_is_used_once_by_each_application() {
    let replay = Replay::new(100, LEEWAY);
    assert_eq!(replay.reserve(application(1), "a", START + 60, at(0)), Ok(()));
    assert_eq!(replay.reserve(application(1), "a", START + 60, at(0)), Err(ReplayError::Used));
    assert_eq!(replay.reserve(application(1), "b", START + 60, at(0)), Ok(()));
    assert_eq!(replay.reserve(application(2), "a", START + 60, at(0)), Ok(()));
    assert_eq!(replay.reserve(application(2), "a", START + 60, at(0)), Err(ReplayError::Used));
}

#[test]
fn another_token_with_the_same_jti_is_refused_whatever_its_expiry() {
    for (first, second) in [(60, 1), (1, 60), (60, 59), (-4, 64)] {
        let replay = Replay::new(100, LEEWAY);
        assert_eq!(replay.reserve(application(1), "a", START + first, at(0)), Ok(()));
        assert_eq!(replay.reserve(application(1), "a", START + second, at(0)), Err(ReplayError::Used));
    }
}

#[test]
fn a_jti_is_remembered_for_as_long_as_its_token_is_accepted() {
    for lifetime in 1..=60 {
        let replay = Replay::new(100, LEEWAY);
        let last = at((lifetime + 5) * 1000 - 1);
        assert_eq!(replay.reserve(application(1), "a", START + lifetime, at(0)), Ok(()));
        // Others come and go meanwhile: that is when old buckets are dropped.
        for second in 0..lifetime + 5 {
            let _ = replay.reserve(application(2), &second.to_string(), START + second + 60, at(second * 1000));
        }
        assert_eq!(replay.reserve(application(1), "a", START + lifetime, last), Err(ReplayError::Used));
    }
}

#[test]
fn what_is_over_is_forgotten_and_its_place_used_again() {
    let replay = Replay::new(3, LEEWAY);
    for jti in ["a", "b", "c"] {
        assert_eq!(replay.reserve(application(1), jti, START + 60, at(0)), Ok(()));
    }
    assert_eq!(replay.reserve(application(1), "d", START + 60, at(0)), Err(ReplayError::Full));
    assert_eq!(replay.reserve(application(1), "a", START + 60, at(0)), Err(ReplayError::Used));
    assert_eq!(replay.used.load(Ordering::SeqCst), 3);
    let later = 200;
    for jti in ["d", "e", "f"] {
        assert_eq!(replay.reserve(application(1), jti, START + later + 60, at(later * 1000)), Ok(()));
    }
    assert_eq!(replay.used.load(Ordering::SeqCst), 3);
}

#[test]
fn a_token_whose_time_is_forgotten_is_refused_and_not_taken_for_new() {
    let replay = Replay::new(100, LEEWAY);
    assert_eq!(replay.reserve(application(1), "a", START + 60, at(0)), Ok(()));
    let after = at(200_000);
    assert_eq!(replay.reserve(application(1), "a", START + 60, after), Err(ReplayError::TooLate));
    assert_eq!(replay.reserve(application(1), "new", START + 60, after), Err(ReplayError::TooLate));
}

#[test]
fn a_caller_with_an_old_time_opens_nothing_again() {
    let replay = Replay::new(10_000, LEEWAY);
    assert_eq!(replay.reserve(application(1), "a", START + 60, at(0)), Ok(()));
    // Somebody with a later time visits every shard, and drops the bucket.
    for jti in 0..2_000 {
        let _ = replay.reserve(application(2), &jti.to_string(), START + 260, at(200_000));
    }
    assert_eq!(replay.reserve(application(1), "a", START + 60, at(0)), Err(ReplayError::TooLate));
}

#[test]
fn of_many_callers_at_the_same_time_one_succeeds() {
    const TOKENS: usize = 20_000;
    const THREADS: usize = 8;
    let replay = Arc::new(Replay::new(TOKENS, LEEWAY));
    let accepted: Arc<Vec<AtomicU32>> = Arc::new((0..TOKENS).map(|_| AtomicU32::new(0)).collect());
    let begin = Arc::new(Barrier::new(THREADS));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (replay, accepted, begin) = (replay.clone(), accepted.clone(), begin.clone());
            std::thread::spawn(move || {
                begin.wait();
                for token in 0..TOKENS {
                    let exp = START + 1 + (token as i64 * 7 + thread as i64) % 60;
                    let outcome = replay.reserve(application(1), &token.to_string(), exp, at(0));
                    assert_ne!(outcome, Err(ReplayError::TooLate));
                    if outcome.is_ok() {
                        accepted[token].fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(accepted.iter().all(|count| count.load(Ordering::SeqCst) == 1));
    assert_eq!(replay.reserve(application(1), "one more", START + 60, at(0)), Err(ReplayError::Full));
}

#[test]
fn time_that_passes_while_tokens_are_used_lets_none_in_twice() {
    const THREADS: usize = 4;
    let replay = Arc::new(Replay::new(1_000_000, LEEWAY));
    let clock = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (replay, clock) = (replay.clone(), clock.clone());
            std::thread::spawn(move || {
                let mut accepted = Vec::new();
                for token in 0..30_000_i64 {
                    // Every thread reads a shared time that runs through hours, as the gateway's clock would.
                    let now = at(clock.fetch_add(50, Ordering::SeqCst) as i64);
                    let exp = START + token / 5 + 30;
                    let acceptable = now.as_millis() < (exp + 5) * 1000;
                    if acceptable && replay.reserve(application(1), &token.to_string(), exp, now).is_ok() {
                        accepted.push(token);
                    }
                }
                accepted
            })
        })
        .collect();
    let mut accepted: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let all = accepted.len();
    accepted.sort_unstable();
    accepted.dedup();
    assert_eq!(accepted.len(), all);
}
