//! Thread pool for work that takes milliseconds of processor time and that unauthenticated clients or any signed-in
//! user can request: hashing a password (19 MiB and some 30 ms each) and estimating the strength of one.
//!
//! - The threads are few and of low priority (`nice`), so that a flood of sign-ins does not slow down the gateway.
//! - The queue is bounded: further work is rejected immediately, with a time to wait.
//! - No client can fill it alone: one network address has at most half of it and one account four places. Accounts have
//!   a queue of their own, which is served first.

use super::BackendError;
use crate::{
    address::client_network,
    keyed_limit::{KeyedLimit, KeyedPlace},
};
use std::{
    collections::VecDeque,
    net::IpAddr,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

/// Number of places for accounts, and for other clients.
const ACCOUNT_PLACES: usize = 50;
const CLIENT_PLACES: usize = 100;

/// Number of places that one account can hold; a user may have a few tabs open.
const PLACES_PER_ACCOUNT: usize = 4;

/// Number of places that one network address can hold.
const PLACES_PER_ADDRESS: usize = CLIENT_PLACES / 2;

/// How long a rejected client is asked to wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// While both queues hold jobs, every fourth job is taken from the clients' queue, so that it is not starved.
const CLIENTS_TURN: u64 = 4;

/// The threads' `nice` value, below that of the console's own threads.
const NICE: i32 = 10;

static POOL: LazyLock<Pool> = LazyLock::new(Pool::start);

static ACCOUNTS: LazyLock<Places> = LazyLock::new(|| Places::new(ACCOUNT_PLACES, PLACES_PER_ACCOUNT));
static CLIENTS: LazyLock<Places> = LazyLock::new(|| Places::new(CLIENT_PLACES, PLACES_PER_ADDRESS));

/// The party on whose behalf a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Requester {
    /// A signed-in user, a browser from which the account's user has signed in before, or the holder of a link: by the id
    /// of the account or of the invitation.
    Account(Uuid),
    /// Any other client, by its address.
    Client(Option<IpAddr>),
}

/// A place in the queue, released on drop.
#[derive(Debug)]
pub(super) struct Place {
    requester: Requester,
    _of_all: OwnedSemaphorePermit,
    _of_requester: KeyedPlace<Requester>,
}

/// The places of one queue, limited in total and per requester.
struct Places {
    all: Arc<Semaphore>,
    each: Arc<KeyedLimit<Requester>>,
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Pool {
    queues: Mutex<Queues>,
    waiting: Condvar,
}

#[derive(Default)]
struct Queues {
    accounts: VecDeque<Job>,
    clients: VecDeque<Job>,
    turns: u64,
}

impl Places {
    fn new(all: usize, each: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), each: KeyedLimit::new(each) }
    }

    fn take(&self, requester: Requester) -> Option<Place> {
        let of_all = self.all.clone().try_acquire_owned().ok()?;
        let of_requester = self.each.enter(requester)?;
        Some(Place { requester, _of_all: of_all, _of_requester: of_requester })
    }
}

impl Place {
    /// Acquires a place in the queue.
    ///
    /// # Errors
    /// [`BackendError::Throttled`] if the queue is full, or this requester's share of it.
    pub(super) fn take(requester: Requester) -> Result<Self, BackendError> {
        let taken = match requester {
            Requester::Client(address) => CLIENTS.take(Requester::Client(address.map(client_network))),
            Requester::Account(_) => ACCOUNTS.take(requester),
        };
        taken.ok_or(BackendError::Throttled(RETRY_AFTER))
    }

    /// Runs `job` on one of the threads. Returns `None` if it panicked.
    pub(super) async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || {
            // The request may have been dropped while it was queued.
            if !sender.is_closed() {
                let _ = sender.send(job());
            }
        });
        POOL.enqueue(self.requester, job);
        receiver.await.ok()
    }
}

impl Pool {
    /// Starts one thread per two processors, at least one and at most four.
    fn start() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        for number in 0..(processors / 2).clamp(1, 4) {
            let thread = thread::Builder::new().name(format!("cpu-pool-{number}"));
            thread.spawn(|| POOL.work()).expect("a thread can be started");
        }
        Self::default()
    }

    fn enqueue(&self, requester: Requester, job: Job) {
        let mut queues = self.lock();
        match requester {
            Requester::Account(_) => queues.accounts.push_back(job),
            Requester::Client(_) => queues.clients.push_back(job),
        }
        drop(queues);
        self.waiting.notify_one();
    }

    fn work(&self) {
        // On Linux the value applies to this thread only. If it cannot be changed, the jobs run at normal priority.
        let _ = rustix::process::setpriority_process(None, NICE);
        loop {
            let job = self.next_job();
            // A panic drops the job's sender, so that the requester receives no result.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    fn next_job(&self) -> Job {
        let mut queues = self.lock();
        loop {
            if let Some(job) = queues.next() {
                return job;
            }
            queues = self.waiting.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // Nothing panics under this lock halfway through a change, so a poisoned lock is consistent.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    /// The next job: from the accounts' queue first, except on the clients' turn.
    fn next(&mut self) -> Option<Job> {
        self.turns += 1;
        let (first, second) = match self.turns.is_multiple_of(CLIENTS_TURN) {
            true => (&mut self.clients, &mut self.accounts),
            false => (&mut self.accounts, &mut self.clients),
        };
        first.pop_front().or_else(|| second.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u128) -> Requester {
        Requester::Account(Uuid::from_u128(number))
    }

    #[test]
    fn an_address_holds_half_of_the_places_and_accounts_have_their_own() {
        let places = Places::new(CLIENT_PLACES, PLACES_PER_ADDRESS);
        let address = |last| Requester::Client(Some(IpAddr::from([192, 0, 2, last])));
        let flood = |requester| (0..1_000).map_while(|_| places.take(requester)).collect::<Vec<_>>();
        let first = flood(address(1));
        assert_eq!(first.len(), PLACES_PER_ADDRESS);
        let second = places.take(address(2));
        assert!(second.is_some(), "another address gets in");
        let others: Vec<_> = (3..=255).map_while(|last| places.take(address(last))).collect();
        assert_eq!(others.len(), CLIENT_PLACES - PLACES_PER_ADDRESS - 1);
        assert!(places.take(Requester::Client(None)).is_none());
        drop(second);
        assert!(places.take(Requester::Client(None)).is_some());
        drop(first);
        assert_eq!(flood(address(1)).len(), PLACES_PER_ADDRESS, "no place is left behind");

        let places = Places::new(ACCOUNT_PLACES, PLACES_PER_ACCOUNT);
        let hostile: Vec<_> = (0..1_000).map_while(|_| places.take(account(1))).collect();
        assert_eq!(hostile.len(), PLACES_PER_ACCOUNT);
        assert!(places.take(account(2)).is_some(), "another account gets in");
    }

    #[test]
    fn accounts_are_served_first_and_clients_are_not_starved() {
        use std::sync::{Arc, Mutex};
        let (mut queues, order) = (Queues::default(), Arc::<Mutex<String>>::default());
        let job = |name| {
            let order = order.clone();
            Box::new(move || order.lock().unwrap().push(name))
        };
        for _ in 0..5 {
            queues.clients.push_back(job('c'));
            queues.accounts.push_back(job('a'));
        }
        while let Some(job) = queues.next() {
            job();
        }
        assert_eq!(*order.lock().unwrap(), "aaacaacccc");
    }

    #[test]
    fn a_refused_client_releases_no_place() {
        let address = Requester::Client(Some(IpAddr::from([198, 51, 100, 1])));
        let held: Vec<_> = (0..PLACES_PER_ADDRESS).map(|_| Place::take(address).unwrap()).collect();
        for _ in 0..2 {
            assert!(matches!(Place::take(address), Err(BackendError::Throttled(RETRY_AFTER))));
        }
        assert!(Place::take(account(1)).is_ok());
        drop(held);
        assert!(Place::take(address).is_ok());
    }

    #[tokio::test]
    async fn a_job_that_panics_has_no_result_and_its_thread_survives() {
        let place = Place::take(account(2)).unwrap();
        assert_eq!(place.run(|| -> bool { panic!("a test") }).await, None);
        assert_eq!(place.run(|| true).await, Some(true));
    }
}
