//! Local accounts: signing in, and the creation of organizations and their first users.

use super::{
    Backend, BackendError,
    cpu_pool::{Place, Requester},
    passkeys::Answer,
    password_hashing,
    sessions::{Client, known_browser},
};
use crate::{
    address::client_network,
    random,
    store::{
        StoreError, audit,
        organizations::{self, OrganizationKind},
        sign_in_failures,
        users::{self, Account},
    },
};
use domain::{
    access::Role,
    actor::Actor,
    application::By,
    audit::{AuditAction, AuditFilter, AuditScope},
    id::{OrganizationId, UserId},
    passkey::PasskeyError,
    people::sign_in_refused,
    text::EmailAddress,
    time::{DAY, Timestamp},
};
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use std::{net::IpAddr, time::Duration};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// The window within which failed sign-ins are counted.
pub const FAILURE_WINDOW: Duration = Duration::from_secs(15 * 60);
/// Failures of one account from one address, after which further attempts are throttled until the end of the window.
const MAX_FAILURES_OF_ACCOUNT_AND_ADDRESS: i64 = 5;
/// The same limit for one address, over all accounts.
pub(super) const MAX_FAILURES_OF_ADDRESS: i64 = 50;
/// The same limit for one account, over all addresses. It is high because reaching it also locks out the account's user
/// if their browser is not known.
const MAX_FAILURES_OF_ACCOUNT: i64 = 100;
/// Limits how many sign-ins from unknown browsers write to the database at the same time. SQLite has a single writer,
/// which a flood of sign-ins would otherwise occupy.
static OTHERS_WRITING: Semaphore = Semaphore::const_new(2);
/// How long a sign-in waits for this permit.
const WRITING_TIMEOUT: Duration = Duration::from_secs(5);

/// The name under which attempts with an invalid e-mail address are counted. The typed text itself is not used, because
/// it may be as long as a form.
const NO_ADDRESS: &str = "no address";

/// A user whose credentials were accepted and whose session has not begun. If all of their sign-ins are ended before it
/// begins, this one is ended too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrant {
    /// The user who signs in.
    pub user_id: UserId,
    /// Number of times their sign-ins had been ended when the credentials were accepted.
    pub(super) sign_ins_ended: i64,
    /// When they proved their identity, if that was earlier, at an identity provider with an existing session. If the
    /// provider does not state the time, it counts as long ago.
    pub(super) proven_at: Option<Timestamp>,
}

/// Result of a sign-in attempt.
#[derive(Debug)]
pub enum SignIn {
    /// The credentials are correct.
    Accepted(Entrant),
    /// The password is correct, and a second factor is required.
    FactorNeeded(Entrant),
    /// The password is correct, but the user belongs to a customer organization, which has no access to the console.
    CustomerRefused,
    /// The account does not exist or the password is wrong. The caller must not disclose which.
    Refused,
}

/// A user to create in an organization.
#[derive(Debug)]
pub struct NewPerson<'a> {
    /// The organization of which the user is a member.
    pub organization_id: OrganizationId,
    /// The e-mail address with which the user signs in.
    pub email: &'a str,
    /// The name shown to other users.
    pub name: &'a str,
    /// The user's role.
    pub role: Role,
    /// The user's password in plain text.
    pub password: &'a str,
}

impl Backend {
    /// Sets the Argon2id parameters for new passwords. Used by tests to lower the cost; the default follows OWASP's
    /// recommendation.
    #[must_use]
    pub fn with_password_cost(self, cost: argon2::Params) -> Self {
        Self { password_cost: cost, ..self }
    }

    /// Verifies a user's password. Does the same amount of work whether or not the account exists, so that response
    /// times do not disclose that.
    ///
    /// # Errors
    /// Too many attempts have failed; the database fails.
    pub async fn sign_in(&self, email: &str, password: String, client: &Client) -> Result<SignIn, BackendError> {
        let Some(account) = self.account_with(email, password, client).await? else { return Ok(SignIn::Refused) };
        let entrant = Entrant { user_id: account.user_id, sign_ins_ended: account.sign_ins_ended, proven_at: None };
        self.admit(entrant, account.role, false, client.address).await
    }

    /// Signs a user in with a passkey alone. The authenticator has verified the user, which makes it two factors.
    ///
    /// # Errors
    /// As [`Backend::check_passkey`].
    pub async fn sign_in_with_passkey(
        &self,
        answer: Answer<'_>,
        address: Option<IpAddr>,
    ) -> Result<SignIn, BackendError> {
        let entrant = self.check_passkey(None, answer, address).await?;
        let actor = self.actor(entrant.user_id, address).await?.ok_or(PasskeyError::Unknown)?;
        self.admit(entrant, actor.role, true, address).await
    }

    /// Decides what follows after a user's password, or all of their factors (`has_proven_all`), were accepted.
    async fn admit(
        &self,
        entrant: Entrant,
        role: Role,
        has_proven_all: bool,
        address: Option<IpAddr>,
    ) -> Result<SignIn, BackendError> {
        let mut transaction = self.store.write().await?;
        let answer = match role {
            Role::CustomerUser => {
                record_refusal(&mut transaction, entrant.user_id, address, self.clock.now()).await?;
                SignIn::CustomerRefused
            }
            _ => {
                let actor = users::find_actor(&mut transaction, entrant.user_id, address).await?;
                match !has_proven_all && actor.is_some_and(|actor| actor.factors.any()) {
                    true => SignIn::FactorNeeded(entrant),
                    false => SignIn::Accepted(entrant),
                }
            }
        };
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(answer)
    }

    /// Whether the password is that of the signed-in user.
    ///
    /// # Errors
    /// Too many attempts have failed; the database fails.
    pub async fn check_password(&self, actor: &Actor, password: String, client: &Client) -> Result<bool, BackendError> {
        let account = self.account_with(&actor.email, password, client).await?;
        Ok(account.is_some_and(|account| account.user_id == actor.user_id))
    }

    /// Returns the account with this e-mail address and password. A failure is counted for the account and for the
    /// client's address.
    ///
    /// # Errors
    /// [`BackendError::Throttled`] if too many attempts have failed; the database fails.
    async fn account_with(
        &self,
        email: &str,
        password: String,
        client: &Client,
    ) -> Result<Option<Account>, BackendError> {
        let now = self.clock.now();
        let email = EmailAddress::new(email);
        let email = email.as_ref().map_or(NO_ADDRESS, EmailAddress::as_str);
        let (requester, known) = match self.known_browser_of(email, client).await? {
            Some((user, browser)) => (Requester::Account(user.0), Some(browser)),
            None => (Requester::Client(client.address), None),
        };
        let place = Place::take(requester)?;
        let turn = if known.is_some() { None } else { Some(turn_to_write().await?) };
        let mut transaction = self.store.write().await?;
        // A user without a password is treated like an unknown account, and takes as long to verify.
        let account = users::find_account(&mut transaction, email).await?;
        let account = account.filter(|account| account.password_hash.is_some());
        let subjects = guesses_at(email, client.address, known);
        count_attempt(&mut transaction, &subjects, now).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        drop(turn);
        let hash = account.as_ref().and_then(|account| account.password_hash.clone());
        let matches = password_hashing::verify(&place, password, hash).await;
        let account = account.filter(|_| matches);
        if account.is_some() {
            let mut transaction = self.store.write().await?;
            attempt_succeeded(&mut transaction, &subjects).await?;
            transaction.commit().await.map_err(StoreError::from)?;
        }
        Ok(account)
    }

    /// Returns the account's user and the hash that identifies the client's browser, if the user has signed in from it
    /// before. Read before a place in the queue is taken, so that a flood of sign-ins does not lock the user out.
    async fn known_browser_of(&self, email: &str, client: &Client) -> Result<Option<(UserId, String)>, BackendError> {
        let Some(token) = &client.token else { return Ok(None) };
        let mut conn = self.store.read().await?;
        let account = users::find_account(&mut conn, email).await?;
        match account.filter(|account| account.password_hash.is_some()) {
            Some(account) => {
                let browser = known_browser(&mut conn, account.user_id, token).await?;
                Ok(browser.map(|browser| (account.user_id, browser)))
            }
            None => Ok(None),
        }
    }

    /// Deletes failed sign-ins whose window is over.
    ///
    /// # Errors
    /// The database fails.
    pub async fn purge_sign_in_failures(&self) -> Result<(), BackendError> {
        let since = window_before(self.clock.now());
        let mut transaction = self.store.write().await?;
        sign_in_failures::purge(&mut transaction, since).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// The user `id` in their current state, or `None` if they were removed.
    ///
    /// # Errors
    /// The database fails.
    pub async fn actor(&self, id: UserId, address: Option<IpAddr>) -> Result<Option<Actor>, BackendError> {
        let mut conn = self.store.read().await?;
        Ok(users::find_actor(&mut conn, id, address).await?)
    }

    /// Adds an organization.
    ///
    /// # Errors
    /// The database fails.
    pub async fn add_organization(&self, kind: OrganizationKind, name: &str) -> Result<OrganizationId, BackendError> {
        let now = self.clock.now();
        let id = OrganizationId(random::uuid(now));
        let mut transaction = self.store.write().await?;
        organizations::insert(&mut transaction, id, kind, name, now).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        self.emergency.name_organization(id, name);
        Ok(id)
    }

    /// Returns Nuvera's own organization, and creates it if it does not exist.
    ///
    /// # Errors
    /// The database fails.
    pub async fn nuvera(&self) -> Result<OrganizationId, BackendError> {
        let mut conn = self.store.read().await?;
        let found = organizations::find_nuvera(&mut conn).await?;
        drop(conn);
        match found {
            Some(id) => Ok(id),
            None => self.add_organization(OrganizationKind::Nuvera, "Nuvera").await,
        }
    }

    /// Creates a user.
    ///
    /// # Errors
    /// [`StoreError::Taken`] if the e-mail address already has an account; the database fails.
    pub async fn add_person(&self, person: NewPerson<'_>) -> Result<UserId, BackendError> {
        let now = self.clock.now();
        let id = UserId(random::uuid(now));
        let NewPerson { organization_id, email, name, role, password } = person;
        let password_hash = password_hashing::hash_here(password, self.password_cost.clone());
        let user = users::NewUser { id, organization_id, email, name, role, password_hash: &password_hash };
        let mut transaction = self.store.write().await?;
        users::insert(&mut transaction, &user, now).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(id)
    }

    /// Whether any user exists.
    ///
    /// # Errors
    /// The database fails.
    pub async fn has_people(&self) -> Result<bool, BackendError> {
        let mut conn = self.store.read().await?;
        Ok(users::any(&mut conn).await?)
    }
}

/// The counters of failed attempts, each with its limit per window. The first is the most specific.
pub(super) type Subjects = Vec<(String, i64)>;

/// Returns the counters for guesses at the password of `email`. A browser from which the user has signed in before has
/// a counter of its own, so that attackers who guess do not lock the user out.
fn guesses_at(email: &str, address: Option<IpAddr>, known_browser: Option<String>) -> Subjects {
    let address = known(address);
    let of_address = (format!("address {address}"), MAX_FAILURES_OF_ADDRESS);
    match known_browser {
        Some(browser) => {
            vec![(format!("account {email} in {browser}"), MAX_FAILURES_OF_ACCOUNT_AND_ADDRESS), of_address]
        }
        None => vec![
            (format!("account {email} from {address}"), MAX_FAILURES_OF_ACCOUNT_AND_ADDRESS),
            of_address,
            (format!("account {email}"), MAX_FAILURES_OF_ACCOUNT),
        ],
    }
}

/// Returns the network of an address, as attempts are counted by it: all that a single client may control.
pub(super) fn known(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "unknown".to_owned(), |address| client_network(address).to_string())
}

/// Acquires the permit to write for a sign-in that may be part of a flood.
///
/// # Errors
/// [`BackendError::Throttled`] if it is not available in time.
pub(super) async fn turn_to_write() -> Result<SemaphorePermit<'static>, BackendError> {
    let turn = timeout(WRITING_TIMEOUT, OTHERS_WRITING.acquire()).await;
    turn.ok().and_then(Result::ok).ok_or(BackendError::Throttled(WRITING_TIMEOUT))
}

fn window_before(now: Timestamp) -> Timestamp {
    now.minus(FAILURE_WINDOW)
}

/// Counts an attempt as failed before its result is known, so that concurrent attempts do not exceed the limit. A
/// successful attempt must be uncounted: see [`attempt_succeeded`].
///
/// # Errors
/// [`BackendError::Throttled`] if too many earlier attempts have failed, in which case the transaction must not be
/// committed; the database fails.
pub(super) async fn count_attempt(
    conn: &mut AnyConnection,
    subjects: &[(String, i64)],
    now: Timestamp,
) -> Result<(), BackendError> {
    for (subject, most) in subjects {
        let (failures, window_started_at) = sign_in_failures::add(conn, subject, window_before(now), now).await?;
        if failures > *most {
            return Err(BackendError::Throttled(window_started_at.plus(FAILURE_WINDOW).since(now)));
        }
    }
    Ok(())
}

/// Uncounts a successful attempt, and resets its most specific counter.
pub(super) async fn attempt_succeeded(conn: &mut AnyConnection, subjects: &[(String, i64)]) -> Result<(), StoreError> {
    let Some(((narrowest, _), others)) = subjects.split_first() else { return Ok(()) };
    sign_in_failures::clear(conn, narrowest).await?;
    for (subject, _) in others {
        sign_in_failures::take_back(conn, subject).await?;
    }
    Ok(())
}

/// Checks that the actor has proven their identity recently enough to change their credentials.
///
/// # Errors
/// [`BackendError::ProofNeeded`] if they have not.
pub fn freshly_proven(actor: &Actor) -> Result<(), BackendError> {
    if actor.is_proven { Ok(()) } else { Err(BackendError::ProofNeeded) }
}

/// Records that a user of a customer organization was rejected, at most once a day, so that repeated attempts do not
/// fill the audit log.
async fn record_refusal(
    conn: &mut AnyConnection,
    user: UserId,
    address: Option<IpAddr>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(actor) = users::find_actor(&mut *conn, user, address).await? else { return Ok(()) };
    let filter = AuditFilter { action: Some(AuditAction::SignInRefused), actor: Some(user), ..AuditFilter::default() };
    let latest =
        audit::events(&mut *conn, AuditScope::Organization(actor.organization_id), filter, i64::MAX, 1).await?;
    if latest.first().is_some_and(|recorded| now.since(recorded.event.at) < DAY) {
        return Ok(());
    }
    audit::append(conn, &[sign_in_refused(By { actor: &actor, at: now, reason: None })]).await
}
