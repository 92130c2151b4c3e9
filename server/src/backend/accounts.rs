//! Local accounts: signing in, and the first people.

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

/// How long failed sign-ins count.
pub const FAILURE_WINDOW: Duration = Duration::from_secs(15 * 60);
/// Failures of one account from one address after which the next attempt waits for the window's end.
const MAX_FAILURES_OF_ACCOUNT_AND_ADDRESS: i64 = 5;
/// Failures from one address, whatever the account.
pub(super) const MAX_FAILURES_OF_ADDRESS: i64 = 50;
/// Failures of one account, whatever the address. High, because it shuts the owner out as well, where they come with a
/// browser that is not known.
const MAX_FAILURES_OF_ACCOUNT: i64 = 100;
/// How many sign-ins of browsers that are not known write to the database at one time. On SQLite there is one writer: without
/// this a flood of sign-ins would take it from everybody else.
static OTHERS_WRITING: Semaphore = Semaphore::const_new(2);
/// How long they wait for that.
const WRITING_TIMEOUT: Duration = Duration::from_secs(5);

/// What every address counts as that nobody could have: what is typed there may be as long as a form.
const NO_ADDRESS: &str = "no address";

/// Somebody on their way in, who has proven who they are and whose session has not begun. Where all their sign-ins are
/// ended before it does, this one is ended with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrant {
    /// Who.
    pub user_id: UserId,
    /// How often their sign-ins had been ended when they proved it.
    pub(super) sign_ins_ended: i64,
    /// When they proved it, where that was not just now: to a provider, which may know them from before. Where it does not
    /// say when, nobody knows, and it was long ago.
    pub(super) proven_at: Option<Timestamp>,
}

/// What came of an attempt to sign in.
#[derive(Debug)]
pub enum SignIn {
    /// The password is this user's.
    Accepted(Entrant),
    /// It is, and a second factor has to follow before they are signed in.
    FactorNeeded(Entrant),
    /// It is, and they belong to a customer platform.
    CustomerRefused,
    /// There is no such account, or the password is not its own: nobody is told which.
    Refused,
}

/// A person to add, with an organization of their own or an existing one.
#[derive(Debug)]
pub struct NewPerson<'a> {
    /// Where they belong.
    pub organization_id: OrganizationId,
    /// What they sign in with.
    pub email: &'a str,
    /// What people know them by.
    pub name: &'a str,
    /// What they may do.
    pub role: Role,
    /// Their password.
    pub password: &'a str,
}

impl Backend {
    /// Hashes new passwords with these Argon2id parameters. For tests, which lower the cost: the default is OWASP's figure.
    #[must_use]
    pub fn with_password_cost(self, cost: argon2::Params) -> Self {
        Self { password_cost: cost, ..self }
    }

    /// Signs somebody in. Takes the same work whether or not the account exists.
    ///
    /// # Errors
    /// Too many attempts failed; the database fails.
    pub async fn sign_in(&self, email: &str, password: String, client: &Client) -> Result<SignIn, BackendError> {
        let Some(account) = self.account_with(email, password, client).await? else { return Ok(SignIn::Refused) };
        let entrant = Entrant { user_id: account.user_id, sign_ins_ended: account.sign_ins_ended, proven_at: None };
        self.admit(entrant, account.role, false, client.address).await
    }

    /// Signs somebody in with a passkey alone. Their device has checked that it is they: that is two factors in one.
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

    /// Lets somebody in who has proven who they are, with all that they have or with their password, where they have
    /// business here.
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

    /// Whether a password is that of somebody who is signed in.
    ///
    /// # Errors
    /// Too many attempts failed; the database fails.
    pub async fn check_password(&self, actor: &Actor, password: String, client: &Client) -> Result<bool, BackendError> {
        let account = self.account_with(&actor.email, password, client).await?;
        Ok(account.is_some_and(|account| account.user_id == actor.user_id))
    }

    /// The account that an address and a password belong to. A failure counts, for the account and for where it came from.
    ///
    /// # Errors
    /// [`BackendError::Throttled`] where too many attempts failed; the database fails.
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
        // Somebody without a password is as unknown here as somebody without an account, and takes as long.
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

    /// The account's owner, and the hash by which the client's browser is known, if the owner has signed in with it before.
    /// Read before a place in the queue is taken, so that a flood of sign-ins does not keep the owner out.
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

    /// Forgets failed sign-ins that no longer count.
    ///
    /// # Errors
    /// The database fails.
    pub async fn purge_sign_in_failures(&self) -> Result<(), BackendError> {
        let since = window_before(self.clock.now());
        let mut transaction = self.store.write().await?;
        sign_in_failures::purge(&mut transaction, since).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// The user `id` as they are now, or `None` where they have been removed.
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

    /// Nuvera's own organization, made where it is missing.
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

    /// Adds a person.
    ///
    /// # Errors
    /// [`StoreError::Taken`] where the e-mail address has an account; the database fails.
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

    /// Whether anybody has an account yet.
    ///
    /// # Errors
    /// The database fails.
    pub async fn has_people(&self) -> Result<bool, BackendError> {
        let mut conn = self.store.read().await?;
        Ok(users::any(&mut conn).await?)
    }
}

/// What failed attempts are counted by, and how many of each are let through within a window. The first is the narrowest.
pub(super) type Subjects = Vec<(String, i64)>;

/// What guesses at the password of `email` are counted by. Whoever comes with a browser in which its owner has signed in
/// before has a count of their own: strangers who guess do not keep the owner out.
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

/// An address, as attempts are counted by it: what one person has at their disposal.
pub(super) fn known(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "unknown".to_owned(), |address| client_network(address).to_string())
}

/// Waits for the turn to write of a sign-in that may be one of a flood.
///
/// # Errors
/// [`BackendError::Throttled`] if it takes too long.
pub(super) async fn turn_to_write() -> Result<SemaphorePermit<'static>, BackendError> {
    let turn = timeout(WRITING_TIMEOUT, OTHERS_WRITING.acquire()).await;
    turn.ok().and_then(Result::ok).ok_or(BackendError::Throttled(WRITING_TIMEOUT))
}

fn window_before(now: Timestamp) -> Timestamp {
    now.minus(FAILURE_WINDOW)
}

/// Counts an attempt as one that failed, before anybody knows: of many at the same time no more are let through than of
/// many one after the other. One that did not fail is to be taken back: see [`attempt_succeeded`].
///
/// # Errors
/// [`BackendError::Throttled`] where too many before it failed: then the transaction must not be committed. The database
/// fails.
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

/// Takes an attempt back that did not fail. Where it came from the account begins anew.
pub(super) async fn attempt_succeeded(conn: &mut AnyConnection, subjects: &[(String, i64)]) -> Result<(), StoreError> {
    let Some(((narrowest, _), others)) = subjects.split_first() else { return Ok(()) };
    sign_in_failures::clear(conn, narrowest).await?;
    for (subject, _) in others {
        sign_in_failures::take_back(conn, subject).await?;
    }
    Ok(())
}

/// Whether somebody has proven lately enough that it is they to change what they prove it with.
///
/// # Errors
/// They have not.
pub fn freshly_proven(actor: &Actor) -> Result<(), BackendError> {
    if actor.is_proven { Ok(()) } else { Err(BackendError::ProofNeeded) }
}

/// Records that somebody of a customer platform was refused; once a day, so that trying does not fill the history.
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
