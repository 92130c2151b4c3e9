//! What a run of the server leaves to the next one, so that no token is accepted twice: a clean stop the latest `iat` that
//! was accepted, anything else a mark: when the latest request that was counted was accepted.
//!
//! The mark is there because a machine may start with its clock behind: after a crash, what was acceptable up to *now*
//! would then be too little.

use crate::{
    clock::Clock,
    gateway::{Gateway, ReplayFence},
    random,
    store::{Result, Store, StoreError, settings},
};
use domain::time::Timestamp;
use sqlx::AnyConnection;
use std::{fmt, time::Duration};
use uuid::Uuid;

/// By how much a mark may be behind the last request that was accepted: the interval at which requests are counted, and a
/// second, rounded up.
const MARK_LAG_SECONDS: i64 = 2;

/// What stands in the database. Times are in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The last run was stopped with nothing in flight.
    Stopped { latest_issued_at: Option<i64> },
    /// It runs, or ended in another way.
    Running(Run),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    id: Uuid,
    /// When the latest request that was counted was accepted, by the gateway's clock; 0 where none ever was.
    mark: i64,
    leeway_seconds: i64,
}

impl Left {
    /// Reads what [`fmt::Display`] wrote; `None` is anything else, such as what an older version left.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let left = match words.next()? {
            "none" => Self::Stopped { latest_issued_at: None },
            "running" => Self::Running(Run {
                id: words.next()?.parse().ok()?,
                mark: words.next()?.parse().ok()?,
                leeway_seconds: words.next()?.parse().ok()?,
            }),
            seconds => Self::Stopped { latest_issued_at: Some(seconds.parse().ok()?) },
        };
        words.next().is_none().then_some(left)
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped { latest_issued_at: None } => f.write_str("none"),
            Self::Stopped { latest_issued_at: Some(seconds) } => write!(f, "{seconds}"),
            Self::Running(Run { id, mark, leeway_seconds }) => write!(f, "running {id} {mark} {leeway_seconds}"),
        }
    }
}

/// Begins a run. Which tokens does it refuse, because an earlier one may have accepted them? None on a new database; those up
/// to what was accepted last, after a clean stop; otherwise everything that was acceptable until now, or until the mark
/// where that is later.
///
/// # Errors
/// The database fails.
pub async fn take(store: &Store, clock: &Clock, leeway: Duration) -> Result<ReplayFence> {
    let now = clock.now();
    let leeway_seconds = whole(leeway);
    let mut run = Run { id: random::uuid(now), mark: 0, leeway_seconds };
    let mut transaction = store.write().await?;
    let text = settings::get(&mut transaction, settings::REPLAY_FENCE).await?;
    let refuse_issued_at_or_before = match text.as_deref().map(Left::parse) {
        None => None,
        Some(Some(Left::Stopped { latest_issued_at })) => {
            run.mark = latest_issued_at.unwrap_or(0);
            latest_issued_at
        }
        Some(Some(Left::Running(before))) => {
            // Should this run end badly too, the next one has to refuse what both accepted.
            run = Run { mark: before.mark, leeway_seconds: before.leeway_seconds.max(leeway_seconds), ..run };
            Some(now.as_seconds().max(before.mark + MARK_LAG_SECONDS) + run.leeway_seconds)
        }
        Some(None) => Some(now.as_seconds() + leeway_seconds),
    };
    settings::set(&mut transaction, settings::REPLAY_FENCE, &Left::Running(run).to_string()).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(ReplayFence { refuse_issued_at_or_before, run: run.id })
}

/// Marks that a request was accepted as late as `at`. To be done with every count of requests, in its transaction. (A mark
/// of the present moment would do as well, unless the clock has just jumped ahead: then the next start would refuse
/// everything until that time. A request is only accepted where its sender's clock says the same.)
///
/// # Errors
/// The database fails.
pub async fn mark(conn: &mut AnyConnection, gateway: &Gateway, at: Timestamp) -> Result<()> {
    let Some((text, run)) = own(conn, gateway).await? else { return Ok(()) };
    let marked = Run { mark: run.mark.max(at.as_seconds()), ..run };
    replace(conn, &text, Left::Running(marked)).await
}

/// Ends a run that has nothing in flight any more. Where another one has begun meanwhile, it is that one's to say what comes
/// next: nothing is changed.
///
/// # Errors
/// The database fails; the next run then refuses a little more, and is as safe.
pub async fn close(conn: &mut AnyConnection, gateway: &Gateway) -> Result<()> {
    match own(conn, gateway).await? {
        Some((text, _)) => {
            let latest_issued_at = gateway.latest_accepted_issued_at();
            replace(conn, &text, Left::Stopped { latest_issued_at }).await
        }
        None => {
            tracing::warn!("another run has begun on this database; this one's stop is not recorded");
            Ok(())
        }
    }
}

/// What stands in the database, where it is this run's.
async fn own(conn: &mut AnyConnection, gateway: &Gateway) -> Result<Option<(String, Run)>> {
    let Some(text) = settings::get(conn, settings::REPLAY_FENCE).await? else { return Ok(None) };
    match Left::parse(&text) {
        Some(Left::Running(run)) if run.id == gateway.run() => Ok(Some((text, run))),
        _ => Ok(None),
    }
}

async fn replace(conn: &mut AnyConnection, before: &str, after: Left) -> Result<()> {
    // It was read a moment ago; where another run has begun in between, what that one wrote stays.
    settings::replace(conn, settings::REPLAY_FENCE, before, &after.to_string()).await.map(drop)
}

fn whole(leeway: Duration) -> i64 {
    i64::try_from(leeway.as_millis().div_ceil(1000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gateway::GatewaySettings, pepper::Pepper};
    use std::sync::Arc;

    const LEEWAY: Duration = Duration::from_secs(5);
    const NOW: i64 = 1_800_000_000;

    async fn begin(store: &Store, seconds: i64) -> (Arc<Gateway>, Option<i64>) {
        let clock = Clock::manual(Timestamp::from_millis(seconds * 1000));
        let fence = take(store, &clock, LEEWAY).await.unwrap();
        let settings = GatewaySettings { leeway: LEEWAY, ..GatewaySettings::idle() };
        let gateway = Gateway::new(settings, clock, Arc::new(Pepper::new("test", &[7; 32])), fence);
        (gateway, fence.refuse_issued_at_or_before)
    }

    async fn written<T>(store: &Store, change: impl AsyncFnOnce(&mut AnyConnection) -> Result<T>) {
        let mut transaction = store.write().await.unwrap();
        change(&mut transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn database() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("test.db").display());
        (folder, Store::open(&url).await.unwrap())
    }

    #[test]
    fn what_is_left_is_read_as_it_was_written_and_nothing_else_is() {
        let run = Run { id: Uuid::from_u128(7), mark: NOW, leeway_seconds: 5 };
        for left in [
            Left::Stopped { latest_issued_at: None },
            Left::Stopped { latest_issued_at: Some(NOW) },
            Left::Running(run),
        ] {
            assert_eq!(Left::parse(&left.to_string()), Some(left));
        }
        let run = Left::Running(run).to_string();
        for other in
            ["", "running", "running x 1 5", "running 1", "None", "1.5", "none ", &format!("{run} 1"), &run[1..]]
        {
            assert_eq!(Left::parse(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_new_database_refuses_nothing_and_a_clean_stop_leaves_what_was_accepted() {
        let (_folder, store) = database().await;
        let (gateway, fence) = begin(&store, NOW).await;
        assert_eq!(fence, None);
        written(&store, async |conn| close(conn, &gateway).await).await;
        let (_, fence) = begin(&store, NOW + 10).await;
        assert_eq!(fence, None);
        let (_, fence) = begin(&store, NOW + 20).await;
        assert_eq!(fence, Some(NOW + 25), "without a clean stop, all until the start");
    }

    #[tokio::test]
    async fn the_stop_of_an_older_run_does_not_speak_for_a_newer_one() {
        let (_folder, store) = database().await;
        let (older, _) = begin(&store, NOW).await;
        let (newer, fence) = begin(&store, NOW + 10).await;
        assert_eq!(fence, Some(NOW + 15));
        written(&store, async |conn| close(conn, &older).await).await;
        // The newer one is killed: what it accepted is unknown.
        let (_, fence) = begin(&store, NOW + 20).await;
        assert_eq!(fence, Some(NOW + 25));
        written(&store, async |conn| close(conn, &newer).await).await;
        assert_eq!(begin(&store, NOW + 30).await.1, Some(NOW + 35));
    }

    #[tokio::test]
    async fn a_mark_counts_where_the_clock_is_behind_it_however_many_crashes_follow() {
        let (_folder, store) = database().await;
        let (gateway, _) = begin(&store, NOW).await;
        written(&store, async |conn| mark(conn, &gateway, Timestamp::from_millis(NOW * 1000)).await).await;
        for _ in 0..3 {
            let (_, fence) = begin(&store, NOW - 3600).await;
            assert_eq!(fence, Some(NOW + MARK_LAG_SECONDS + 5));
        }
        // A clock that is right counts for itself.
        let (gateway, fence) = begin(&store, NOW + 100).await;
        assert_eq!(fence, Some(NOW + 105));
        // What a clean stop leaves is a mark as well.
        written(&store, async |conn| close(conn, &gateway).await).await;
        assert_eq!(begin(&store, NOW - 3600).await.1, Some(NOW + 105));
        assert_eq!(begin(&store, NOW - 3600).await.1, Some(NOW + 105 + MARK_LAG_SECONDS + 5));
    }
}
