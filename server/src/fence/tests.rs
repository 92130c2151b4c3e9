use super::*;
use crate::{gateway::GatewaySettings, pepper::Pepper};
use std::sync::Arc;

const LEEWAY: Duration = Duration::from_secs(5);
const NOW: i64 = 1_800_000_000;

struct Run {
    gateway: Arc<Gateway>,
    fence: Option<i64>,
}

async fn begin_beside(store: &Store, seconds: i64, others: OtherRuns) -> Run {
    let clock = Clock::manual(Timestamp::from_millis(seconds * 1000));
    let fence = take(store, &clock, LEEWAY, others).await.unwrap();
    let settings = GatewaySettings { leeway: LEEWAY, ..GatewaySettings::idle() };
    let gateway = Gateway::new(settings, clock, Arc::new(Pepper::new("test", &[7; 32])), fence);
    Run { gateway, fence: fence.refuse_issued_at_or_before }
}

async fn begin(store: &Store, seconds: i64) -> Run {
    begin_beside(store, seconds, OtherRuns::Ended).await
}

impl Run {
    /// Counts a request that was accepted at this second.
    async fn counts(&self, store: &Store, seconds: i64) {
        let at = Timestamp::from_millis(seconds * 1000);
        written(store, async |conn| mark(conn, &self.gateway, at).await).await;
    }

    async fn stops(&self, store: &Store) {
        written(store, async |conn| close(conn, &self.gateway).await).await;
    }
}

/// Records the clean stop of a run that accepted tokens up to this `iat`.
async fn stopped(store: &Store, run: &Run, latest_issued_at: i64) {
    let end = RunEnd::Stopped { latest_issued_at };
    let run = ReplayRun { id: run.gateway.run(), leeway_seconds: 5, mark: 0, end };
    written(store, async |conn| replay_runs::save(conn, &run).await).await;
}

async fn written<T>(store: &Store, change: impl AsyncFnOnce(&mut AnyConnection) -> Result<T>) {
    let mut transaction = store.write().await.unwrap();
    change(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn rows(store: &Store) -> usize {
    replay_runs::all(&mut store.read().await.unwrap()).await.unwrap().len()
}

async fn database() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("test.db").display());
    (folder, Store::open(&url).await.unwrap())
}

#[tokio::test]
async fn a_new_database_refuses_nothing_and_a_clean_stop_leaves_what_was_accepted() {
    let (_folder, store) = database().await;
    let run = begin(&store, NOW).await;
    assert_eq!(run.fence, None);
    run.stops(&store).await;
    let run = begin(&store, NOW + 10).await;
    assert_eq!(run.fence, None);
    stopped(&store, &run, NOW + 13).await;
    assert_eq!(begin(&store, NOW + 20).await.fence, Some(NOW + 13));
    assert_eq!(begin(&store, NOW + 30).await.fence, Some(NOW + 35), "after a crash, everything until the start");
}

#[tokio::test]
async fn a_rollback_beside_a_running_version_does_not_speak_for_it() {
    for others in [OtherRuns::Ended, OtherRuns::Unknown] {
        let (_folder, store) = database().await;
        let a = begin(&store, NOW).await;
        let b = begin_beside(&store, NOW + 10, others).await;
        assert_eq!(b.fence, Some(NOW + 15), "what A may have accepted until then");
        b.stops(&store).await;
        a.counts(&store, NOW + 50).await;
        // A is killed. What it accepted until now may have had an `iat` of one leeway from now.
        let again = begin_beside(&store, NOW + 61, others).await;
        assert_eq!(again.fence, Some(NOW + 66), "{others:?}");
    }
}

#[tokio::test]
async fn without_a_lock_a_run_that_has_counted_nothing_since_is_not_taken_for_ended() {
    let (_folder, store) = database().await;
    let _a = begin(&store, NOW).await;
    let b = begin_beside(&store, NOW + 10, OtherRuns::Unknown).await;
    b.stops(&store).await;
    assert_eq!(begin_beside(&store, NOW + 60, OtherRuns::Unknown).await.fence, Some(NOW + 65));
}

#[tokio::test]
async fn no_sequence_of_stops_starts_and_crashes_refuses_for_longer_than_a_leeway_and_the_lag_of_a_mark() {
    let (_folder, store) = database().await;
    let mut now = NOW;
    let longest = |run: &Run, now: i64| {
        let refused_for = run.fence.map_or(0, |fence| fence - now);
        assert!(refused_for <= 5 + MARK_LAG_SECONDS, "{refused_for} s");
    };
    for _ in 0..10 {
        let run = begin(&store, now).await;
        longest(&run, now);
        run.counts(&store, now).await;
        stopped(&store, &run, now + 5).await;
        let run = begin(&store, now).await;
        longest(&run, now);
        // Killed: no stop is recorded.
        now += 1;
    }
    // Crashes alone, at once after each other, add nothing either.
    for _ in 0..10 {
        longest(&begin(&store, now).await, now);
    }
    assert!(rows(&store).await <= 3, "{} rows are kept", rows(&store).await);
}

#[tokio::test]
async fn one_crash_costs_one_leeway_and_not_one_at_every_later_start() {
    let (_folder, store) = database().await;
    begin(&store, NOW).await;
    let run = begin(&store, NOW + 10).await;
    assert_eq!(run.fence, Some(NOW + 15));
    run.stops(&store).await;
    assert_eq!(begin(&store, NOW + 100).await.fence, Some(NOW + 15));
}

#[tokio::test]
async fn a_mark_counts_if_the_clock_is_behind_it_however_many_crashes_follow() {
    let (_folder, store) = database().await;
    begin(&store, NOW).await.counts(&store, NOW).await;
    for _ in 0..3 {
        assert_eq!(begin(&store, NOW - 3600).await.fence, Some(NOW + MARK_LAG_SECONDS + 5));
    }
    // The control: the same crash without a mark is judged by the clock alone.
    let (_folder, unmarked) = database().await;
    begin(&unmarked, NOW).await;
    assert_eq!(begin(&unmarked, NOW - 3600).await.fence, Some(NOW - 3595));

    let run = begin(&store, NOW + 100).await;
    assert_eq!(run.fence, Some(NOW + 105), "a clock that is right bounds the run before it, which crashed");
    run.counts(&store, NOW + 101).await;
    stopped(&store, &run, NOW + 106).await;
    assert_eq!(begin(&store, NOW - 3600).await.fence, Some(NOW + 106), "and so does a clean stop");
}

#[tokio::test]
async fn a_start_whose_clock_is_ahead_does_not_bind_the_next_one() {
    let (_folder, store) = database().await;
    begin(&store, NOW).await;
    let ahead = begin(&store, NOW + 86_400).await;
    assert_eq!(ahead.fence, Some(NOW + 86_405));
    ahead.stops(&store).await;
    assert_eq!(begin(&store, NOW + 20).await.fence, Some(NOW + 25));
}

#[tokio::test]
async fn an_older_copy_of_the_database_counts_as_a_crash_with_any_leeway() {
    let (_folder, store) = database().await;
    begin(&store, NOW).await.stops(&store).await;
    written(&store, async |conn| distrust(conn, Timestamp::from_millis(NOW * 1000)).await).await;
    assert_eq!(begin(&store, NOW + 10).await.fence, Some(NOW + 70));
}

#[tokio::test]
async fn what_an_older_version_left_is_read_once() {
    let id = Uuid::from_u128(7);
    for (text, expected) in [
        ("none".to_owned(), None),
        (NOW.to_string(), Some(NOW)),
        (format!("running {id} {NOW} 7"), Some(NOW + 10 + 7)),
        (format!("running {id} {} 7", NOW + 20), Some(NOW + 20 + MARK_LAG_SECONDS + 7)),
        ("nonsense".to_owned(), Some(NOW + 15)),
        (format!("running {id} 1"), Some(NOW + 15)),
    ] {
        let (_folder, store) = database().await;
        written(&store, async |conn| settings::set(conn, settings::REPLAY_FENCE, &text).await).await;
        let run = begin(&store, NOW + 10).await;
        assert_eq!(run.fence, expected, "{text}");
        run.stops(&store).await;
        assert_eq!(settings::get(&mut store.read().await.unwrap(), settings::REPLAY_FENCE).await.unwrap(), None);
        assert_eq!(begin(&store, NOW + 100).await.fence, expected, "{text}");
    }
}

#[test]
fn a_run_is_dropped_only_if_another_one_requires_as_much_for_ever() {
    let run = |end, mark, leeway_seconds| ReplayRun { id: Uuid::nil(), leeway_seconds, mark, end };
    let ends = |until| {
        [RunEnd::Stopped { latest_issued_at: until }, RunEnd::Crashed { accepted_until: until }, RunEnd::Unknown]
    };
    let mut runs = Vec::new();
    for until in [NOW - 20, NOW, NOW + 9, NOW + 500] {
        for mark in [0, NOW - 30, NOW + 2] {
            for leeway in [0, 5, 60] {
                runs.extend(ends(until).map(|end| run(end, mark, leeway)));
            }
        }
    }
    let mut covered = 0;
    for a in &runs {
        for b in runs.iter().filter(|b| covers(a, b)) {
            covered += 1;
            for now in (NOW - 100..NOW + 600).step_by(7) {
                assert!(bound(a, now) >= bound(b, now), "{a:?} does not cover {b:?} at {now}");
            }
        }
    }
    assert!(covered > 100);
}
