//! Pooled connections with time limits.
//!
//! A database that hangs, is unreachable or has run out of space must neither block its callers nor leave a broken
//! connection in a pool. So every wait has a limit, and a connection returns to its pool only if it answers: after a
//! failed commit, a failed rollback or an interrupted statement it is closed, and the pool opens another.

use super::{Result, StoreError};
use sqlx::{Any, AnyConnection, AnyPool, pool::PoolConnection};
use std::{
    future::Future,
    io,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep_until, timeout},
};

/// How long a caller waits for a connection from the pool.
pub(super) const ACQUIRE: Duration = Duration::from_secs(2);
/// How long a transaction may take to begin. SQLite's own wait for its write lock (`busy_timeout`) is shorter.
const BEGIN: Duration = Duration::from_secs(2);
/// How long a commit may take. After this its outcome is unknown.
const COMMIT: Duration = Duration::from_secs(3);
/// How long a connection may take to roll back and to answer a ping, before it is closed.
const GIVE_BACK: Duration = Duration::from_secs(1);
/// How long [`bounded`] work may hold a read connection.
const READ: Duration = Duration::from_secs(10);
/// How long [`bounded`] work may hold a transaction.
const WRITE: Duration = Duration::from_secs(5);

/// A read connection.
pub struct Reader {
    connection: Option<PoolConnection<Any>>,
    _hold: Hold,
}

/// A write transaction. Rolled back if it is dropped without a commit.
pub struct Transaction {
    connection: Option<PoolConnection<Any>>,
    hold: Hold,
}

const HELD: &str = "the connection is held until the end";

impl Reader {
    pub(super) async fn acquire(pool: &AnyPool) -> Result<Self> {
        let connection = pool.acquire().await?;
        Ok(Self { connection: Some(connection), _hold: Hold::begin(READ) })
    }
}

impl Transaction {
    pub(super) async fn begin(pool: &AnyPool, statement: &'static str) -> Result<Self> {
        let connection = pool.acquire().await?;
        let mut transaction = Self { connection: Some(connection), hold: Hold::begin(WRITE) };
        match timeout(BEGIN, sqlx::raw_sql(statement).execute(&mut *transaction)).await {
            Ok(Ok(_)) => Ok(transaction),
            // The transaction has not begun, for example because SQLite's write lock is taken. The connection is still
            // usable.
            Ok(Err(error @ sqlx::Error::Database(_))) => {
                transaction.connection.take().into_iter().for_each(give_back);
                Err(error.into())
            }
            Ok(Err(error)) => {
                transaction.connection.take().into_iter().for_each(discard);
                Err(error.into())
            }
            Err(_) => {
                transaction.connection.take().into_iter().for_each(discard);
                Err(StoreError::Stalled)
            }
        }
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// The database fails or does not answer in time. It is then unknown whether the commit took effect.
    pub async fn commit(mut self) -> sqlx::Result<()> {
        // The commit has its own time limit. If `bounded` dropped it midway, the caller could not record that the
        // outcome is unknown, and the gateway would not be notified of a change that took effect.
        self.hold = Hold(None);
        let committed = timeout(COMMIT, sqlx::raw_sql("COMMIT").execute(&mut *self)).await;
        let connection = self.connection.take();
        match committed {
            Ok(Ok(_)) => {
                connection.into_iter().for_each(give_back);
                Ok(())
            }
            Ok(Err(error)) => {
                connection.into_iter().for_each(discard);
                Err(error)
            }
            Err(_) => {
                connection.into_iter().for_each(discard);
                Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the commit was not answered in time")))
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.connection.take().into_iter().for_each(give_back);
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if Handle::try_current().is_err() {
            return discard(connection);
        }
        tokio::spawn(async move {
            match timeout(GIVE_BACK, sqlx::raw_sql("ROLLBACK").execute(&mut *connection)).await {
                Ok(Ok(_)) => give_back(connection),
                _ => discard(connection),
            }
        });
    }
}

impl Deref for Reader {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        self.connection.as_ref().expect(HELD)
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        self.connection.as_mut().expect(HELD)
    }
}

impl Deref for Transaction {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        self.connection.as_ref().expect(HELD)
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        self.connection.as_mut().expect(HELD)
    }
}

/// Returns a connection to its pool after it has answered a ping, which also completes an interrupted statement.
fn give_back(mut connection: PoolConnection<Any>) {
    if Handle::try_current().is_err() {
        return discard(connection);
    }
    // If the ping times out, the connection is dropped with the future, which frees its slot in the pool.
    let returned = connection.return_to_pool();
    tokio::spawn(timeout(GIVE_BACK, returned));
}

/// Closes a connection without notifying the database, which may not answer. Frees its slot in the pool immediately.
fn discard(connection: PoolConnection<Any>) {
    drop(connection.detach());
}

tokio::task_local! {
    static HOLDS: Arc<Holds>;
}

/// The connections that a bounded task holds, and the deadline of each.
#[derive(Default)]
struct Holds {
    until: Mutex<Vec<(u64, Instant)>>,
    next: AtomicU64,
}

impl Holds {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Instant)>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn earliest(&self) -> Option<Instant> {
        self.lock().iter().map(|(_, until)| *until).min()
    }
}

/// A registration that a bounded task holds a connection; `None` if the task is not bounded.
struct Hold(Option<(Arc<Holds>, u64)>);

impl Hold {
    fn begin(limit: Duration) -> Self {
        let holds = HOLDS.try_with(Arc::clone).ok();
        Self(holds.map(|holds| {
            let id = holds.next.fetch_add(1, Ordering::Relaxed);
            holds.lock().push((id, Instant::now() + limit));
            (holds, id)
        }))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some((holds, id)) = &self.0 {
            holds.lock().retain(|(known, _)| known != id);
        }
    }
}

/// Runs `work`, and drops it if it holds a connection for too long, since the database is then not answering. Time
/// without a connection is not limited.
///
/// # Errors
/// [`StoreError::Stalled`] if the limit is exceeded.
pub fn bounded<F: Future>(work: F) -> impl Future<Output = Result<F::Output>> {
    let holds = Arc::new(Holds::default());
    let bounded = Bounded { work: Some(Box::pin(work)), holds: holds.clone(), sleep: None };
    HOLDS.scope(holds, bounded)
}

struct Bounded<F> {
    work: Option<Pin<Box<F>>>,
    holds: Arc<Holds>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Bounded<F> {
    type Output = Result<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(work) = &mut this.work else { return Poll::Ready(Err(StoreError::Stalled)) };
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            this.work = None;
            return Poll::Ready(Ok(output));
        }
        let Some(until) = this.holds.earliest() else { return Poll::Pending };
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() != until {
            sleep.as_mut().reset(until);
        }
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.work = None;
        Poll::Ready(Err(StoreError::Stalled))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Store, *};

    async fn database() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("test.db").display());
        (folder, Store::open(&url).await.unwrap())
    }

    async fn count(store: &Store) -> i64 {
        let mut conn = store.read().await.unwrap();
        sqlx::query_scalar("SELECT COUNT(*) FROM settings WHERE name IN ('dropped', 'lost', 'kept')")
            .fetch_one(&mut *conn)
            .await
            .unwrap()
    }

    async fn insert(transaction: &mut Transaction, name: &str) {
        super::super::settings::set(transaction, name, "x").await.unwrap();
    }

    #[tokio::test]
    async fn a_transaction_that_is_dropped_leaves_nothing_and_one_that_is_committed_stays() {
        let (_folder, store) = database().await;
        let mut transaction = store.write().await.unwrap();
        insert(&mut transaction, "dropped").await;
        drop(transaction);
        let mut transaction = store.write().await.unwrap();
        insert(&mut transaction, "kept").await;
        transaction.commit().await.unwrap();
        assert_eq!(count(&store).await, 1);
    }

    #[tokio::test]
    async fn a_commit_that_fails_costs_its_connection_and_the_next_change_succeeds() {
        let (_folder, store) = database().await;
        let mut transaction = store.write().await.unwrap();
        insert(&mut transaction, "lost").await;
        // As after a full disk: SQLite has already rolled back, and the commit fails.
        sqlx::raw_sql("ROLLBACK").execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap_err();
        let mut transaction = store.write().await.unwrap();
        insert(&mut transaction, "kept").await;
        transaction.commit().await.unwrap();
        assert_eq!(count(&store).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn only_work_that_holds_a_connection_is_cut_off() {
        let holding = bounded(async {
            let _hold = Hold::begin(WRITE);
            std::future::pending::<()>().await;
        });
        let begun = Instant::now();
        assert!(matches!(holding.await, Err(StoreError::Stalled)));
        assert_eq!(begun.elapsed().as_secs(), WRITE.as_secs());
        let patient = bounded(async {
            drop(Hold::begin(WRITE));
            tokio::time::sleep(WRITE * 10).await;
            7
        });
        assert_eq!(patient.await.unwrap(), 7);
    }
}
