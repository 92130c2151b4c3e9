//! The replay fence: which tokens are refused after a start, so that no token is accepted both before a restart and
//! after it.
//!
//! The gateway remembers used tokens in memory only. A run leaves behind a single row ([`ReplayRun`]), from which the
//! next start derives the latest `iat` that the run may have accepted. The replay fence is the latest of these over all
//! runs.
//!
//! **How late an accepted `iat` can be.** A run accepts a token only if its `iat` is at most one leeway ahead of the
//! gateway's clock.
//! - After a clean stop the latest accepted `iat` is known exactly.
//! - After a crash it is at most *time of death + leeway*. The time of death is not recorded, but it is not later than
//!   the next start, so *now + leeway* is a bound, provided that the clock of that start is not behind the clock of the
//!   dead run (as on a machine without a battery-backed clock, or after restoring a snapshot). The *mark* covers that
//!   case: each write of the counters records when the latest counted request was accepted, so the run accepted nothing
//!   later than *mark + lag*. The bound is therefore `max(now, mark + lag) + leeway`.
//!
//! **One row per run, written by that run only.** A clean stop writes the run's own latest `iat`, but neither its
//! replay fence nor anything that concerns another run. So when version B is started beside A and stopped again, and A
//! is then killed, A's row still says "running", and the next start treats A as crashed.
//!
//! **The bound does not grow.** A crashed run gets its bound at the first start that finds it, and keeps that bound,
//! because its time of death does not change. Later starts may only lower it (if the clock of the first one was ahead).
//! A mark is the time of a real request and is never derived from a replay fence. So after any sequence of stops,
//! starts and crashes, a start refuses tokens for at most one leeway plus [`MARK_LAG_SECONDS`], unless its clock is
//! behind.
//!
//! **Several processes.** Only one process may serve a database ([`crate::process_lock`]), so the runs that a start
//! finds have ended. If the lock is not available the caller says so, and open rows stay open: each start then refuses
//! every token that was acceptable until now. As a second line of defence, a run that still counts requests reopens its
//! row.

use crate::{
    clock::Clock,
    gateway::{Gateway, ReplayFence},
    random,
    store::{
        Result, Store, StoreError,
        replay_runs::{self, ReplayRun, RunEnd},
        settings,
    },
};
use domain::time::Timestamp;
use sqlx::AnyConnection;
use std::time::Duration;
use uuid::Uuid;

/// How far a mark may be behind the last accepted request, in seconds: the interval at which requests are counted, plus
/// one second, rounded up.
pub const MARK_LAG_SECONDS: i64 = 2;

/// The largest leeway that can be set, in seconds.
const MAX_LEEWAY_SECONDS: i64 = 60;

/// Whether runs that are recorded as running may still be running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherRuns {
    /// The process holds the database's lock, so every other run has ended.
    Ended,
    /// There is no lock, so another process may be serving.
    Unknown,
}

/// Starts a run. Returns which tokens it must refuse because an earlier run may have accepted them.
///
/// # Errors
/// The database fails, or a row is corrupt.
pub async fn take(store: &Store, clock: &Clock, leeway: Duration, others: OtherRuns) -> Result<ReplayFence> {
    let now = clock.now();
    let own = ReplayRun { id: random::uuid(now), leeway_seconds: whole(leeway), mark: 0, end: RunEnd::Unknown };
    let mut transaction = store.write().await?;
    import_setting(&mut transaction, now, own.leeway_seconds).await?;
    let before = replay_runs::all(&mut transaction).await?;
    let refuse_issued_at_or_before = before.iter().map(|run| bound(run, now.as_seconds())).max();
    let mut kept: Vec<ReplayRun> = Vec::new();
    for run in &before {
        let run = match others {
            OtherRuns::Ended => settled(*run, now.as_seconds()),
            OtherRuns::Unknown => *run,
        };
        if !kept.iter().any(|other| covers(other, &run)) {
            kept.retain(|other| !covers(&run, other));
            kept.push(run);
        }
    }
    for run in &before {
        match kept.iter().find(|kept| kept.id == run.id) {
            None => replay_runs::delete(&mut transaction, run.id).await?,
            Some(kept) if kept != run => replay_runs::save(&mut transaction, kept).await?,
            Some(_) => {}
        }
    }
    replay_runs::save(&mut transaction, &own).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(ReplayFence { refuse_issued_at_or_before, run: own.id })
}

/// Records when the latest of the counted requests was accepted, in the transaction that counts them. (The current time
/// would do as well, unless the clock has just jumped ahead: then the next start would refuse everything until that
/// time. A request is only accepted if its sender's clock agrees.)
///
/// # Errors
/// The database fails.
pub async fn mark(conn: &mut AnyConnection, gateway: &Gateway, at: Timestamp) -> Result<()> {
    // A gateway that was started without a replay fence has no run.
    if gateway.run().is_nil() {
        return Ok(());
    }
    replay_runs::mark(conn, gateway.run(), whole(gateway.leeway()), at.as_seconds()).await
}

/// Records the clean stop of a run that has no request in flight any more.
///
/// # Errors
/// The database fails. The next run then refuses slightly more tokens, but is just as safe.
pub async fn close(conn: &mut AnyConnection, gateway: &Gateway) -> Result<()> {
    let id = gateway.run();
    match gateway.latest_accepted_issued_at() {
        _ if id.is_nil() => Ok(()),
        // It accepted nothing, so the next start need not refuse anything because of it.
        None => replay_runs::delete(conn, id).await,
        Some(latest_issued_at) => {
            let end = RunEnd::Stopped { latest_issued_at };
            replay_runs::save(conn, &ReplayRun { id, leeway_seconds: whole(gateway.leeway()), mark: 0, end }).await
        }
    }
}

/// Records that tokens may have been accepted that the database does not know of, because it is an older copy. The next
/// start treats that as a crashed run.
///
/// # Errors
/// The database fails.
pub async fn distrust(conn: &mut AnyConnection, now: Timestamp) -> Result<()> {
    let leeway_seconds = MAX_LEEWAY_SECONDS;
    replay_runs::save(conn, &ReplayRun { id: random::uuid(now), leeway_seconds, mark: 0, end: RunEnd::Unknown }).await
}

/// Returns the latest `iat` that `run` may have accepted, provided that it has ended by `now`.
fn bound(run: &ReplayRun, now: i64) -> i64 {
    let by_now = now.max(run.mark + MARK_LAG_SECONDS) + run.leeway_seconds;
    match run.end {
        RunEnd::Unknown => by_now,
        RunEnd::Stopped { latest_issued_at } => latest_issued_at,
        RunEnd::Crashed { accepted_until } => accepted_until.min(by_now),
    }
}

/// Returns the lowest value that [`bound`] can ever return for `run`.
fn least_bound(run: &ReplayRun) -> i64 {
    bound(run, i64::MIN)
}

/// Fixes the bound of a run that has ended by `now`.
fn settled(run: ReplayRun, now: i64) -> ReplayRun {
    match run.end {
        RunEnd::Stopped { .. } => run,
        RunEnd::Unknown | RunEnd::Crashed { .. } => {
            ReplayRun { end: RunEnd::Crashed { accepted_until: bound(&run, now) }, ..run }
        }
    }
}

/// Whether `run` makes a start refuse everything that `other` ever will, so that the row of `other` can be deleted.
/// Without this, rows would accumulate. A row whose end is unknown may be a running process's: it neither covers
/// another row nor is covered.
fn covers(run: &ReplayRun, other: &ReplayRun) -> bool {
    match (run.end, other.end) {
        (RunEnd::Unknown, _) | (_, RunEnd::Unknown) => false,
        (_, RunEnd::Stopped { latest_issued_at }) => latest_issued_at <= least_bound(run),
        (RunEnd::Crashed { accepted_until }, RunEnd::Crashed { accepted_until: others })
            if accepted_until >= others && run.mark >= other.mark && run.leeway_seconds >= other.leeway_seconds =>
        {
            true
        }
        (_, RunEnd::Crashed { accepted_until }) => accepted_until <= least_bound(run),
    }
}

/// Converts the setting of an older version into a row: `none`, the latest `iat` of a clean stop, or
/// `running <id> <mark> <leeway>`.
async fn import_setting(conn: &mut AnyConnection, now: Timestamp, leeway_seconds: i64) -> Result<()> {
    let Some(text) = settings::get(conn, settings::REPLAY_FENCE).await? else { return Ok(()) };
    if let Some(run) = read_setting(&text, random::uuid(now), leeway_seconds) {
        replay_runs::save(conn, &run).await?;
    }
    settings::delete(conn, settings::REPLAY_FENCE).await
}

fn read_setting(text: &str, id: Uuid, leeway_seconds: i64) -> Option<ReplayRun> {
    let unknown = ReplayRun { id, leeway_seconds, mark: 0, end: RunEnd::Unknown };
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        ["none"] => None,
        ["running", id, mark, leeway] => match (id.parse(), mark.parse(), leeway.parse()) {
            (Ok(id), Ok(mark), Ok(leeway_seconds)) => Some(ReplayRun { id, leeway_seconds, mark, ..unknown }),
            _ => Some(unknown),
        },
        [seconds] => match seconds.parse() {
            Ok(latest_issued_at) => Some(ReplayRun { end: RunEnd::Stopped { latest_issued_at }, ..unknown }),
            Err(_) => Some(unknown),
        },
        // Not a value that this program wrote, so nothing is known, as after a crash.
        _ => Some(unknown),
    }
}

fn whole(leeway: Duration) -> i64 {
    i64::try_from(leeway.as_millis().div_ceil(1000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
