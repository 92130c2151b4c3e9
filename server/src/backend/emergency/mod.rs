//! Emergency stops: they take effect first and are recorded afterwards.
//!
//! A stop is added to the gateway's deny list before anything that could delay it: locks, other changes, flushes and
//! the database. Then recording it with its audit event is attempted for up to [`ANSWERED_WITHIN`]. If that is not
//! enough, it is written to the [`Journal`] and recorded in the background, with its original time and actor. No other
//! change is made before that, so that enabling an application afterwards is also later in the audit log. A stop leaves
//! the deny list once its record is committed and the snapshot reflects it.

mod authority;
mod journal;
mod record;

pub use authority::Authority;
pub use journal::Journal;

use super::{Asked, Backend, BackendError, authorise, pending::Pending};
use crate::{
    clock::Clock,
    gateway::{DenyScope, Gateway},
    random,
    store::{Store, StoreError, bounded},
};
use domain::{
    access::{Operation, Role, allows},
    actor::{Actor, ActorKind},
    application::ChangeError,
    bulk_stop::{Fate, Stoppable},
    id::{ApplicationId, OrganizationId, UserId},
    second_factor::Factors,
    text::Why,
    time::Timestamp,
};
use record::Recorded;
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex as StdMutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Mutex, oneshot},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long the response to a stop, which is already in force, waits for its record.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
/// How long the response waits for the journal to be written to disk.
const JOURNAL_WITHIN: Duration = Duration::from_secs(1);
/// How long a change waits for earlier changes.
pub(super) const TURN_WITHIN: Duration = Duration::from_secs(5);
/// Interval between attempts to record unrecorded stops.
const RETRY: Duration = Duration::from_millis(500);
/// Minimum interval between log entries about failed retries.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// An emergency stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Its id in the deny list and the journal.
    pub id: Uuid,
    /// When it took effect.
    pub at: Timestamp,
    /// What it stops.
    pub scope: DenyScope,
    /// The actor who issued it.
    pub by: Stopper,
    /// Its justification.
    pub reason: Why,
}

/// The actor of an emergency stop, as recorded in the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopper {
    user_id: UserId,
    name: String,
    email: String,
    organization_id: OrganizationId,
    organization_name: String,
    role: Role,
    address: Option<IpAddr>,
}

impl Stopper {
    /// The operator of the server, who acts through the control socket as the system user `uid`. The database has no
    /// such user, so the id is nil.
    pub fn operator(uid: u32) -> Self {
        Self {
            user_id: UserId(Uuid::nil()),
            name: format!("Server operator (uid {uid})"),
            email: String::new(),
            organization_id: OrganizationId(Uuid::nil()),
            organization_name: "Nuvera".to_owned(),
            role: Role::NuveraAdmin,
            address: None,
        }
    }

    /// Returns the stopper as an actor without a session.
    pub(super) fn actor(&self) -> Actor {
        Actor {
            user_id: self.user_id,
            name: self.name.clone(),
            email: self.email.clone(),
            organization_id: self.organization_id,
            organization_name: self.organization_name.clone(),
            role: self.role,
            address: self.address,
            session: None,
            is_proven: false,
            factors: Factors::default(),
            must_have_factor: false,
        }
    }
}

impl From<&Actor> for Stopper {
    fn from(actor: &Actor) -> Self {
        Self {
            user_id: actor.user_id,
            name: actor.name.clone(),
            email: actor.email.clone(),
            organization_id: actor.organization_id,
            organization_name: actor.organization_name.clone(),
            role: actor.role,
            address: actor.address,
        }
    }
}

/// Result of an operator's stop.
#[derive(Debug)]
pub struct OperatorStop {
    /// The names of the affected applications that worked before, each with its organization's name.
    pub applications: Vec<(String, String)>,
    /// Whether the stop is recorded in the database.
    pub is_recorded: bool,
}

/// A stop that is in force and whose record is not committed.
struct Waiting {
    stop: Arc<Stop>,
    /// The applications that the actor saw enabled.
    seen: Arc<HashSet<ApplicationId>>,
    /// The actor, whose authority is checked again when the stop is recorded, since they may have been removed a moment
    /// ago. `None` once the actor was told that the stop is in force: it is then kept regardless.
    authority: Option<Actor>,
    /// Whether an attempt failed whose commit may have taken effect, in this run or an earlier one.
    may_be_recorded: bool,
    answer: Option<oneshot::Sender<Answer>>,
}

/// Result of an attempt to record a stop, for the request that issued it.
enum Answer {
    Recorded(Recorded),
    /// There is nothing to stop, or the actor is not allowed to.
    Refused(BackendError),
    /// The database failed with this message.
    Failed(String),
}

/// The unrecorded stops and what is needed to record them. Shared with the tasks that record them.
pub(super) struct Emergency {
    store: Store,
    gateway: Arc<Gateway>,
    changes: Arc<Mutex<Pending>>,
    waiting: StdMutex<Vec<Waiting>>,
    journal: OnceLock<Journal>,
    /// The names of organizations, for pages that are shown without the database.
    organization_names: StdMutex<HashMap<OrganizationId, String>>,
    pub(super) authority: Authority,
}

impl Emergency {
    pub(super) fn new(store: Store, gateway: Arc<Gateway>, changes: Arc<Mutex<Pending>>, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            store,
            gateway,
            changes,
            waiting: StdMutex::default(),
            journal: OnceLock::new(),
            organization_names: StdMutex::default(),
            authority: Authority::new(clock),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        // Every change of the list is a single call, so a panic leaves it consistent.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn name_organization(&self, id: OrganizationId, name: &str) {
        let mut names = self.organization_names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(id, name.to_owned());
    }

    pub(super) fn organization_name(&self, id: OrganizationId) -> Option<String> {
        self.organization_names.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// The applications that a stop of `scope` affects according to the gateway, without usage figures.
    fn known(&self, scope: &DenyScope, now: Timestamp) -> Vec<Stoppable> {
        let applications = self.gateway.snapshot().in_scope(scope, now).into_iter();
        let mut known: Vec<_> = applications
            .map(|application| Stoppable {
                organization_name: self.organization_name(application.organization_id).unwrap_or_default(),
                application,
                requests: 0,
                last_used_at: None,
            })
            .collect();
        known.sort_by(|one, other| one.organization_name.cmp(&other.organization_name));
        known
    }

    /// Puts a stop in force and tries to record it. `None` if it is in force but not yet recorded.
    ///
    /// # Errors
    /// The actor is not allowed to stop this, or there is nothing to stop, as found on recording. The stop is then
    /// lifted.
    async fn stop(
        self: &Arc<Self>,
        stop: Stop,
        seen: HashSet<ApplicationId>,
        authority: Option<Actor>,
    ) -> Result<Option<Recorded>, BackendError> {
        let stop = Arc::new(stop);
        self.gateway.snapshot().deny_list().put(stop.id, stop.scope.clone(), stop.at);
        let (sender, mut answer) = oneshot::channel();
        self.lock().push(Waiting {
            stop: stop.clone(),
            seen: Arc::new(seen),
            authority,
            may_be_recorded: false,
            answer: Some(sender),
        });
        tracing::warn!(stop_id = %stop.id, scope = %stop.scope, actor = %stop.by.user_id, "an emergency stop is in force");
        let recorder = self.clone();
        tokio::spawn(async move { recorder.record_all().await });
        let answered = match timeout(ANSWERED_WITHIN, &mut answer).await {
            Ok(answered) => answered.ok(),
            Err(_) => {
                answer.close();
                answer.try_recv().ok()
            }
        };
        match answered {
            Some(Answer::Recorded(recorded)) => return Ok(Some(recorded)),
            Some(Answer::Refused(error)) => return Err(error),
            Some(Answer::Failed(error)) => {
                tracing::error!(stop_id = %stop.id, %error, "an emergency stop could not be recorded; it is in force, and is recorded as soon as the database can be written");
            }
            None => {
                tracing::error!(stop_id = %stop.id, "an emergency stop is not recorded yet, because the database does not answer; it is in force");
            }
        }
        self.write_down(stop).await;
        Ok(None)
    }

    /// Writes an unrecorded stop to the journal.
    async fn write_down(self: &Arc<Self>, stop: Arc<Stop>) {
        let (this, id) = (self.clone(), stop.id);
        let writing = tokio::task::spawn_blocking(move || {
            let written = this.journal.get().map(|journal| journal.add(&stop));
            if !this.lock().iter().any(|waiting| waiting.stop.id == stop.id) {
                // It was recorded while the journal was written.
                this.forget_written(stop.id);
            }
            written
        });
        match timeout(JOURNAL_WITHIN, writing).await {
            Ok(Ok(Some(Ok(path)))) => {
                tracing::warn!(stop_id = %id, path = %path.display(), "an unrecorded emergency stop is in the journal");
            }
            Ok(Ok(None)) => {}
            _ => {
                tracing::error!(stop_id = %id, "an unrecorded emergency stop is in force and could not be written to any journal: it ends with this process unless the database can be written before");
            }
        }
    }

    fn forget_written(&self, id: Uuid) {
        if let Some(journal) = self.journal.get() {
            journal.remove(id);
        }
    }

    /// Records all unrecorded stops, after the changes in progress.
    async fn record_all(&self) -> Result<(), BackendError> {
        let mut pending = timeout(TURN_WITHIN, self.changes.lock()).await.map_err(|_| StoreError::Stalled)?;
        self.record_waiting(&mut pending).await
    }

    /// As [`Emergency::record_all`], for a caller that already holds the change lock.
    pub(super) async fn record_waiting(&self, pending: &mut Pending) -> Result<(), BackendError> {
        let ids: Vec<_> = self.lock().iter().map(|waiting| waiting.stop.id).collect();
        let mut failed = Ok(());
        for id in ids {
            match self.record_one(id, pending).await {
                Ok(()) => {}
                // A row that cannot be read must not prevent the other stops from being recorded.
                Err(error @ BackendError::Store(StoreError::Corrupt { .. } | StoreError::Conflict)) => {
                    failed = Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        failed
    }

    async fn record_one(&self, id: Uuid, pending: &mut Pending) -> Result<(), BackendError> {
        loop {
            let found = self.lock().iter().find(|waiting| waiting.stop.id == id).map(|waiting| {
                (waiting.stop.clone(), waiting.seen.clone(), waiting.authority.clone(), waiting.may_be_recorded)
            });
            let Some((stop, seen, authority, may_be_recorded)) = found else { return Ok(()) };
            let record = self.record(&stop, &seen, authority.as_ref(), may_be_recorded, pending);
            let recorded = bounded(record).await.unwrap_or_else(|stalled| Err(stalled.into()));
            match recorded {
                Ok(recorded) => {
                    tracing::info!(stop_id = %id, scope = %stop.scope, "an emergency stop is recorded");
                    self.lift(id, Some(Answer::Recorded(recorded)));
                    return Ok(());
                }
                Err(BackendError::Store(error)) => {
                    self.failed(id, &error);
                    return Err(error.into());
                }
                // There is nothing to record: it is already disabled, or no longer exists.
                Err(error) if authority.is_none() => {
                    tracing::info!(stop_id = %id, scope = %stop.scope, %error, "an emergency stop needs no record");
                    self.lift(id, Some(Answer::Refused(error)));
                    return Ok(());
                }
                Err(error) => {
                    // The actor receives the error, unless they were already told that the stop is in force: it is then
                    // kept.
                    let sender = self.lock().iter_mut().find(|waiting| waiting.stop.id == id).and_then(|waiting| {
                        waiting.authority = None;
                        waiting.answer.take()
                    });
                    if sender.is_some_and(|sender| sender.send(Answer::Refused(error)).is_ok()) {
                        self.lift(id, None);
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Ends a stop whose record is committed and reflected in the snapshot, or that needs none.
    fn lift(&self, id: Uuid, answer: Option<Answer>) {
        let ended = {
            let mut waiting = self.lock();
            let index = waiting.iter().position(|waiting| waiting.stop.id == id);
            index.map(|index| waiting.remove(index))
        };
        self.gateway.snapshot().deny_list().lift(id);
        self.forget_written(id);
        if let Some((sender, answer)) = ended.and_then(|ended| ended.answer).zip(answer) {
            // The receiver may have been answered already.
            let _ = sender.send(answer);
        }
    }

    fn failed(&self, id: Uuid, error: &StoreError) {
        let sender = self.lock().iter_mut().find(|waiting| waiting.stop.id == id).and_then(|waiting| {
            waiting.may_be_recorded = true;
            waiting.authority = None;
            waiting.answer.take()
        });
        if let Some(sender) = sender {
            // The receiver may have been answered already.
            let _ = sender.send(Answer::Failed(error.to_string()));
        }
    }
}

/// Checks that `actor` may stop what `scope` names.
fn may_stop(actor: &Actor, scope: &DenyScope) -> Result<(), BackendError> {
    match scope {
        DenyScope::Application { organization, .. } | DenyScope::Organization(organization) => {
            authorise(actor, *organization, Operation::DisableApplication)
        }
        DenyScope::Fingerprint(_) if allows(actor.role, Operation::StopSigningKey) => Ok(()),
        // Reserved for the operator.
        DenyScope::Fingerprint(_) | DenyScope::ApiKey(_) | DenyScope::Everything => Err(BackendError::Forbidden),
    }
}

impl Backend {
    /// Persists unrecorded stops in `journal`, and puts those that an earlier run left there in force. Must be called
    /// before anything is served.
    pub fn with_journal(self, journal: Journal) -> Self {
        let emergency = &self.emergency;
        for stop in journal.open() {
            tracing::warn!(stop_id = %stop.id, scope = %stop.scope, "an emergency stop of an earlier run is not recorded; it is in force");
            self.gateway.snapshot().deny_list().put(stop.id, stop.scope.clone(), stop.at);
            emergency.lock().push(Waiting {
                stop: Arc::new(stop),
                seen: Arc::default(),
                authority: None,
                may_be_recorded: true,
                answer: None,
            });
        }
        // A backend is built by a single caller, so it is set only once.
        let _ = emergency.journal.set(journal);
        self
    }

    /// Stops an application, whatever version of it the actor saw. Takes effect immediately, regardless of the
    /// database. Returns whether it still has to be recorded.
    ///
    /// # Errors
    /// Not allowed; not found; already disabled.
    pub async fn disable(&self, asked: Asked<'_>, reason: Option<Why>) -> Result<bool, BackendError> {
        let Asked { actor, organization, application } = asked;
        let scope = DenyScope::Application { organization, application };
        may_stop(actor, &scope)?;
        if self.gateway.snapshot().in_scope(&scope, self.clock.now()).is_empty() {
            // The gateway knows every application, so this one does not exist.
            return Err(BackendError::NotFound);
        }
        if self.is_stopped_already(&scope, actor.kind()) {
            return Ok(true);
        }
        let stop = self.new_stop(scope, actor.into(), reason);
        Ok(self.emergency.stop(stop, HashSet::new(), Some(actor.clone())).await?.is_none())
    }

    /// Stops everything in `scope`, whether or not the actor saw it. Takes effect immediately, regardless of the
    /// database. `seen` are the applications that the actor saw enabled.
    ///
    /// # Errors
    /// Not allowed; not found.
    pub(super) async fn stop_many(
        &self,
        actor: &Actor,
        scope: DenyScope,
        seen: &HashSet<ApplicationId>,
        reason: Option<Why>,
    ) -> Result<(Vec<(Stoppable, Fate)>, bool), BackendError> {
        may_stop(actor, &scope)?;
        let known = self.emergency.known(&scope, self.clock.now());
        if !self.is_stopped_already(&scope, actor.kind()) {
            let stop = self.new_stop(scope, actor.into(), reason);
            if let Some(recorded) = self.emergency.stop(stop, seen.clone(), Some(actor.clone())).await? {
                return Ok((recorded.applications, false));
            }
        }
        let fate = |found: &Stoppable| match found.application.is_enabled() {
            false => Fate::WasDisabled,
            true if seen.contains(&found.application.id) => Fate::Stopped,
            true => Fate::StoppedUnseen,
        };
        Ok((known.into_iter().map(|found| (fate(&found), found)).map(|(fate, found)| (found, fate)).collect(), true))
    }

    /// Stops everything in `scope` for the operator of the server, who needs no session: see `server stop`.
    ///
    /// # Errors
    /// There is no such application, organization or API key.
    pub async fn stop_by_operator(
        &self,
        scope: DenyScope,
        reason: Option<Why>,
        uid: u32,
    ) -> Result<OperatorStop, BackendError> {
        let known = self.emergency.known(&scope, self.clock.now());
        // A signing key that no application uses now is blocked all the same.
        if known.is_empty() && !matches!(scope, DenyScope::Fingerprint(_) | DenyScope::Everything) {
            return Err(BackendError::NotFound);
        }
        let is_one_key = matches!(scope, DenyScope::ApiKey(_));
        let stop = self.new_stop(scope, Stopper::operator(uid), reason);
        let recorded = self.emergency.stop(stop, HashSet::new(), None).await;
        let is_recorded = match recorded {
            Ok(recorded) => recorded.is_some(),
            // It was already stopped, and that is recorded.
            Err(BackendError::Refused(ChangeError::AlreadyDisabled | ChangeError::ApiKey(_))) => true,
            Err(error) => return Err(error),
        };
        let affected = known.into_iter().filter(|found| is_one_key || found.application.is_enabled());
        let applications =
            affected.map(|found| (found.application.name.to_string(), found.organization_name)).collect();
        Ok(OperatorStop { applications, is_recorded })
    }

    /// The applications that a stop would affect according to the gateway, for when the database does not answer.
    ///
    /// # Errors
    /// Not allowed.
    pub fn known_in_scope(&self, actor: &Actor, scope: &DenyScope) -> Result<Vec<Stoppable>, BackendError> {
        may_stop(actor, scope)?;
        Ok(self.emergency.known(scope, self.clock.now()))
    }

    /// Whether an unrecorded emergency stop affects `application`.
    pub fn is_stop_unrecorded(&self, organization: OrganizationId, application: ApplicationId) -> bool {
        if self.unrecorded_stops() == 0 {
            return false;
        }
        self.gateway.snapshot().is_application_denied(organization, application, self.clock.now())
    }

    /// The organization that owns an application, according to the gateway.
    pub fn organization_of(&self, application: ApplicationId) -> Option<OrganizationId> {
        self.gateway.snapshot().organization_of(application)
    }

    /// Number of unrecorded emergency stops.
    pub fn unrecorded_stops(&self) -> usize {
        self.emergency.lock().len()
    }

    /// The cache of recently authenticated sessions that may stop something.
    pub fn authority(&self) -> &Authority {
        &self.emergency.authority
    }

    /// The name of a partner organization, if it is known without the database.
    pub fn known_organization_name(&self, id: OrganizationId) -> Option<String> {
        self.emergency.organization_name(id)
    }

    /// Whether the same scope is already stopped by an unrecorded stop whose actor has been answered. A partner's stop
    /// is recorded in addition to one by Nuvera, because Nuvera may lift its own.
    fn is_stopped_already(&self, scope: &DenyScope, kind: ActorKind) -> bool {
        let counts = |stop: &Stop| kind == ActorKind::Nuvera || stop.by.role.side() == ActorKind::Partner;
        // The page that issued it no longer waits for the database.
        let is_answered = |waiting: &Waiting| waiting.answer.as_ref().is_none_or(oneshot::Sender::is_closed);
        let is_same = |waiting: &Waiting| is_answered(waiting) && waiting.stop.scope == *scope;
        self.emergency.lock().iter().any(|waiting| is_same(waiting) && counts(&waiting.stop))
    }

    fn new_stop(&self, scope: DenyScope, by: Stopper, reason: Option<Why>) -> Stop {
        let at = self.clock.now();
        Stop { id: random::uuid(at), at, scope, by, reason: reason.unwrap_or_else(|| Why::in_emergency("", "")) }
    }
}

/// Retries the recording of stops, and resolves commits of unknown outcome, until `stop`.
pub async fn run(backend: Arc<Backend>, stop: CancellationToken) {
    let mut logged_at: Option<Instant> = None;
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(RETRY) => {}
        }
        if let Err(error) = backend.settle().await
            && logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL)
        {
            let unrecorded = backend.unrecorded_stops();
            tracing::warn!(%error, unrecorded, "emergency stops could not be recorded and are retried; they are in force");
            logged_at = Some(Instant::now());
        }
    }
}
