//! Password hashing, on threads of its own: it takes 19 MiB and some 30 ms of a processor each time, and anybody can ask for
//! it on the sign-in page.
//!
//! - The threads are few and of low priority (`nice`), so that a flood of sign-ins does not slow the gateway down.
//! - The queue is bounded: further sign-ins are refused at once, with a time to wait.
//! - Nobody fills it alone: one network address has at most half of it, and browsers in which a user has signed in before
//!   have a queue of their own, which goes first.

use super::BackendError;
use crate::{gateway::network, random};
use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version, password_hash::SaltString,
};
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// How many sign-ins may be in progress, from browsers that are known and from others.
const KNOWN_PLACES: usize = 50;
const OTHER_PLACES: usize = 100;

/// How many of the latter one network address may have.
const PLACES_PER_ADDRESS: usize = OTHER_PLACES / 2;

/// How long whoever is refused is asked to wait.
const PAUSE: Duration = Duration::from_secs(5);

/// While both queues wait, every so many turns go to the one that has to give way.
const OTHERS_TURN: u64 = 4;

/// The threads' priority: a third of what the gateway's threads get where both want the same processor. Much less would make
/// sign-ins hang on a machine that other programs keep busy.
const NICE: i32 = 5;

/// What the password of an account that does not exist is compared with, so that it takes as long.
static NOBODYS_HASH: LazyLock<String> = LazyLock::new(|| hash_here("nobody has this password", COST));

static POOL: LazyLock<Pool> = LazyLock::new(Pool::start);

/// The cost of a new hash: the crate's default parameters, 19 MiB, t = 2, p = 1, which are OWASP's figure. Only tests lower it.
pub(super) const COST: Params = Params::DEFAULT;

/// Who asks for a password to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// A browser in which the account's owner has signed in before.
    KnownBrowser,
    /// Any other client, by its address.
    Client(Option<IpAddr>),
}

/// A sign-in in progress: its place in the queue, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Asking);

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Pool {
    queues: Mutex<Queues>,
    waiting: Condvar,
}

#[derive(Default)]
struct Queues {
    first: VecDeque<Job>,
    others: VecDeque<Job>,
    turns: u64,
    known: usize,
    /// Places by network address, the total beside them.
    by_address: HashMap<Option<IpAddr>, usize>,
    clients: usize,
}

impl Place {
    /// Takes a place in the queue.
    ///
    /// # Errors
    /// [`BackendError::Throttled`] if there is none.
    pub(super) fn take(asking: Asking) -> Result<Self, BackendError> {
        let asking = match asking {
            Asking::Client(address) => Asking::Client(address.map(network)),
            Asking::KnownBrowser => asking,
        };
        // A place that is dropped is given back: none is made before it is taken.
        if POOL.lock().enter(asking) { Ok(Self(asking)) } else { Err(BackendError::Throttled(PAUSE)) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        POOL.lock().leave(self.0);
    }
}

/// Whether `password` has this hash. `None`, for an account that does not exist, takes as long.
pub(super) async fn verify(place: &Place, password: String, hash: Option<String>) -> bool {
    let verified = POOL.run(place.0 == Asking::KnownBrowser, move || {
        let hash = hash.as_ref().unwrap_or(&NOBODYS_HASH);
        let parsed = PasswordHash::new(hash).ok();
        parsed.is_some_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
    });
    // A password whose check panicked is no match.
    verified.await.unwrap_or(false)
}

/// Hashes a password that was chosen: by somebody who has signed in or holds a link, so it goes first.
pub(super) async fn hash(password: String, cost: Params) -> String {
    POOL.run(true, move || hash_here(&password, cost)).await.expect("hashing does not panic")
}

/// Hashes a password on the calling thread: for the operator's own commands and the start, which have a thread to themselves.
pub(super) fn hash_here(password: &str, cost: Params) -> String {
    let salt = SaltString::encode_b64(&random::bytes::<16>()).expect("16 bytes are a valid salt");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost);
    argon2.hash_password(password.as_bytes(), &salt).expect("the parameters are valid").to_string()
}

impl Pool {
    /// Starts one thread for two processors.
    fn start() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        for number in 0..(processors / 2).clamp(1, 4) {
            let thread = thread::Builder::new().name(format!("passwords-{number}"));
            thread.spawn(|| POOL.work()).expect("a thread can be started");
        }
        Self::default()
    }

    /// Runs `job` on one of the threads; `None` if it panicked.
    async fn run<T: Send + 'static>(&self, goes_first: bool, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || {
            // Whoever waited for it may have gone.
            if !sender.is_closed() {
                let _ = sender.send(job());
            }
        });
        self.enqueue(goes_first, job);
        receiver.await.ok()
    }

    fn enqueue(&self, goes_first: bool, job: Job) {
        let mut queues = self.lock();
        if goes_first {
            queues.first.push_back(job)
        } else {
            queues.others.push_back(job)
        }
        drop(queues);
        self.waiting.notify_one();
    }

    fn work(&self) {
        // On Linux a thread has its own priority. Where it cannot be changed, hashing is as it is.
        let _ = rustix::process::setpriority_process(None, NICE);
        LazyLock::force(&NOBODYS_HASH);
        loop {
            let job = self.next_job();
            // Its sender is dropped: whoever waits hears that there is no result.
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
        // Nothing that is done under the lock can panic half-way.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    /// The next job. Those of known browsers go first, but not for ever.
    fn next(&mut self) -> Option<Job> {
        self.turns += 1;
        let (first, second) = match self.turns.is_multiple_of(OTHERS_TURN) {
            true => (&mut self.others, &mut self.first),
            false => (&mut self.first, &mut self.others),
        };
        first.pop_front().or_else(|| second.pop_front())
    }

    fn enter(&mut self, asking: Asking) -> bool {
        match asking {
            Asking::KnownBrowser if self.known < KNOWN_PLACES => self.known += 1,
            Asking::KnownBrowser => return false,
            Asking::Client(address) => {
                let of_address = self.by_address.get(&address).copied().unwrap_or_default();
                if self.clients >= OTHER_PLACES || of_address >= PLACES_PER_ADDRESS {
                    return false;
                }
                self.by_address.insert(address, of_address + 1);
                self.clients += 1;
            }
        }
        true
    }

    fn leave(&mut self, asking: Asking) {
        match asking {
            Asking::KnownBrowser => self.known -= 1,
            Asking::Client(address) => {
                self.clients -= 1;
                if let Some(of_address) = self.by_address.get_mut(&address) {
                    *of_address -= 1;
                    if *of_address == 0 {
                        self.by_address.remove(&address);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_half_of_the_places_and_known_browsers_have_their_own() {
        let mut queues = Queues::default();
        let address = |last| Asking::Client(Some(IpAddr::from([192, 0, 2, last])));
        let flood = (0..1_000).filter(|_| queues.enter(address(1))).count();
        assert_eq!(flood, PLACES_PER_ADDRESS);
        assert!(queues.enter(address(2)), "another address gets in");
        let flood = (3..=255).filter(|&last| queues.enter(address(last))).count();
        assert_eq!(flood, OTHER_PLACES - PLACES_PER_ADDRESS - 1);
        assert!(!queues.enter(Asking::Client(None)));
        assert!(queues.enter(Asking::KnownBrowser));
        queues.leave(address(2));
        assert!(queues.enter(Asking::Client(None)));
        for _ in 0..PLACES_PER_ADDRESS {
            queues.leave(address(1));
        }
        assert!(!queues.by_address.contains_key(&Some(IpAddr::from([192, 0, 2, 1]))), "nothing is kept of it");
    }

    #[test]
    fn known_browsers_go_first_and_others_are_not_kept_waiting_for_ever() {
        use std::sync::{Arc, Mutex};
        let (mut queues, order) = (Queues::default(), Arc::<Mutex<String>>::default());
        let job = |name| {
            let order = order.clone();
            Box::new(move || order.lock().unwrap().push(name))
        };
        for _ in 0..5 {
            queues.others.push_back(job('o'));
            queues.first.push_back(job('k'));
        }
        while let Some(job) = queues.next() {
            job();
        }
        assert_eq!(*order.lock().unwrap(), "kkkokkoooo");
    }

    #[test]
    fn whoever_is_refused_gives_no_place_back() {
        let address = Asking::Client(Some(IpAddr::from([198, 51, 100, 1])));
        let held: Vec<_> = (0..PLACES_PER_ADDRESS).map(|_| Place::take(address).unwrap()).collect();
        for _ in 0..2 {
            assert!(matches!(Place::take(address), Err(BackendError::Throttled(PAUSE))));
        }
        assert!(Place::take(Asking::KnownBrowser).is_ok());
        drop(held);
        assert!(Place::take(address).is_ok());
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only_and_a_panic_is_no_match() {
        let place = Place::take(Asking::Client(None)).unwrap();
        let hash = hash("correct horse".to_owned(), COST).await;
        assert!(verify(&place, "correct horse".to_owned(), Some(hash.clone())).await);
        assert!(!verify(&place, "battery staple".to_owned(), Some(hash)).await);
        assert!(!verify(&place, "correct horse".to_owned(), None).await);
        assert!(!verify(&place, "correct horse".to_owned(), Some("no hash".to_owned())).await);
        assert_eq!(POOL.run(true, || -> bool { panic!("a test") }).await, None);
        assert_eq!(POOL.run(true, || true).await, Some(true), "the thread goes on");
    }
}
