//! The use cases of the console, from authorization to the update of the gateway.
//!
//! All changes to an application go through [`Backend::change`]: under one lock it reads the application, lets the
//! domain decide, writes the change with its audit events in one transaction, and applies the new state to the gateway
//! before it returns. So no request that starts after the response is judged by the older state.

pub mod accounts;
mod approval;
mod auto_finish;
mod blocked_keys;
pub mod bulk_stop;
mod cpu_pool;
pub mod emergency;
mod error;
pub mod flush;
pub mod hub;
mod owner_changes;
pub mod partners;
pub mod passkeys;
mod password_hashing;
mod passwords;
mod pending;
pub mod pending_resets;
pub mod people;
mod policies;
mod proof;
mod readiness;
pub mod reminders;
mod requests;
pub mod second_factor;
pub mod sessions;
pub mod single_sign_on;
mod support;
pub mod team_events;

pub use approval::Outcome;
pub use error::BackendError;
pub use passwords::{
    BegunReset, ChangedPassword, MIN_CHARACTERS as MIN_PASSWORD_CHARACTERS, PasswordError, PasswordReset,
    check as check_password,
};
pub use proof::{Proof, ProofError};
pub use readiness::watch as watch_readiness;

use crate::{
    clock::Clock,
    gateway::Gateway,
    pepper::Pepper,
    random,
    store::{
        Store, StoreError, Transaction,
        applications::{self, Registered},
        audit, organizations, settings, usage,
    },
};
use domain::{
    access::{Access, Operation, access, allows},
    actor::{Actor, ActorKind},
    api_key::{NewApiKey, PlainApiKey},
    application::{
        ApiApplication, By, Change, ChangeError, NewApplication, NewSigningKey, Replacement, RequestedChange,
        SigningKeyReplacement,
    },
    audit::{AuditFilter, AuditScope, RecordedEvent},
    cut_over::{KeyUse, Traffic, Verdict, api_key_rotation},
    hygiene::{self, KeyHygiene, KeyId, LastUse, Rotation, RotationRules},
    id::{ApiKeyId, ApplicationId, OrganizationId, SigningKeyId, UserId},
    permission::PermissionSet,
    public_key::PublicKey,
    text::{ApplicationName, Why},
    time::Timestamp,
};
use emergency::Emergency;
use flush::Flusher;
use passkeys::RelyingParties;
use pending::Pending;
use readiness::Checked;
use requests::KeyTraffic;
use sqlx::AnyConnection;
use std::{collections::HashMap, hash::Hash, sync::Arc};
use tokio::sync::Mutex;

/// Executes the use cases.
pub struct Backend {
    store: Store,
    gateway: Arc<Gateway>,
    pepper: Arc<Pepper>,
    clock: Clock,
    /// The Argon2id parameters for new passwords.
    password_cost: argon2::Params,
    /// The sites where passkeys can be used; none until they are configured.
    relying_parties: RelyingParties,
    /// Held from reading an application until the gateway has its new state. Contains what failed commits left
    /// unresolved, because that is resolved before the next change.
    changes: Arc<Mutex<Pending>>,
    emergency: Arc<Emergency>,
    flusher: Flusher,
    readiness: Mutex<Option<Checked>>,
}

/// An application with the usage of its keys.
#[derive(Debug)]
pub struct ApplicationUsage {
    /// The application.
    pub application: ApiApplication,
    /// Usage by API key.
    pub api_keys: usage::Usage<ApiKeyId>,
    /// Usage by signing key.
    pub signing_keys: usage::Usage<SigningKeyId>,
}

impl ApplicationUsage {
    /// When one of the application's API keys was last used.
    pub fn last_used_at(&self) -> Option<Timestamp> {
        self.api_keys.values().map(|used| used.last_used_at).max()
    }

    /// The rotation status of each of its usable keys under `rules` at `now`.
    pub fn hygiene(&self, rules: RotationRules, now: Timestamp) -> Vec<KeyHygiene> {
        let last_use = |key| {
            let used = match key {
                KeyId::Api(id) => self.api_keys.get(&id),
                KeyId::Signing(id) => self.signing_keys.get(&id),
            };
            used.map(|used| LastUse { at: used.last_used_at, address: used.address.clone() })
        };
        hygiene::of_application(&self.application, rules, last_use, now)
    }

    /// Corrects the status of keys that expire soon by their traffic: an old key that is safe to end is no longer in
    /// use.
    pub fn judge_by_traffic(&self, hygiene: &mut [KeyHygiene], traffic: &KeyTraffic, now: Timestamp) {
        fn used<'a, Id: Eq + Hash>(
            usage: &usage::Usage<Id>,
            traffic: &'a HashMap<Id, Traffic>,
            id: Id,
        ) -> Option<KeyUse<'a>> {
            let &usage::KeyUsage { first_used_at, last_used_at, .. } = usage.get(&id)?;
            Some(KeyUse { first_used_at, last_used_at, traffic: traffic.get(&id) })
        }
        let new_api_key = api_key_rotation(&self.application, now).map(|(new, _)| new.id);
        let new_signing_key = self.application.current_signing_key().id;
        for key in hygiene.iter_mut() {
            let Rotation::Ending { in_use: in_use @ true, .. } = &mut key.rotation else { continue };
            let verdict = match key.key {
                KeyId::Api(id) => {
                    let of = |id| used(&self.api_keys, &traffic.api_keys, id);
                    Verdict::at(now, of(id), new_api_key.and_then(of))
                }
                KeyId::Signing(id) => {
                    let of = |id| used(&self.signing_keys, &traffic.signing_keys, id);
                    Verdict::at(now, of(id), of(new_signing_key))
                }
            };
            *in_use = !verdict.is_safe();
        }
    }
}

/// A new API key, for the only response that shows it.
#[derive(Debug)]
pub struct IssuedApiKey {
    /// The application in its new state.
    pub application: ApiApplication,
    /// The key's id.
    pub id: ApiKeyId,
    /// The key in plain text.
    pub key: PlainApiKey,
}

/// The actor, and the application on which they act. An application is always addressed through the organization that
/// owns it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The user who acts.
    pub actor: &'a Actor,
    /// The organization in which they act.
    pub organization: OrganizationId,
    /// The application on which they act.
    pub application: ApplicationId,
}

/// The expected version and the justification of a requested change.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// The version of the application that the user saw; `None` if the change is valid for any version.
    pub seen_version: Option<i64>,
    /// The justification.
    pub reason: Option<Why>,
}

/// The input for creating an application.
#[derive(Debug)]
pub struct CreateApplication {
    /// Its name.
    pub name: ApplicationName,
    /// Its first signing key.
    pub public_key: PublicKey,
    /// Proof of possession of the private key.
    pub proof: Option<Proof>,
    /// The permissions of its requests.
    pub permissions: PermissionSet,
    /// Submitted with the form, so that submitting it twice creates one application.
    pub creation_token: String,
}

impl Backend {
    /// Creates the backend on `store`. It applies every change to `gateway`.
    pub fn new(store: Store, gateway: Arc<Gateway>, pepper: Arc<Pepper>, clock: Clock) -> Self {
        let changes = Arc::<Mutex<Pending>>::default();
        let emergency = Emergency::new(store.clone(), gateway.clone(), changes.clone(), clock.clone());
        let flusher = Flusher::new(store.clone(), gateway.clone(), clock.clone());
        Self {
            store,
            gateway,
            pepper,
            clock,
            password_cost: password_hashing::COST,
            relying_parties: RelyingParties::default(),
            changes,
            emergency,
            flusher,
            readiness: Mutex::default(),
        }
    }

    /// Loads the database's contents into the gateway, which knows no keys before.
    ///
    /// # Errors
    /// The database fails, or its hashes were made with another pepper.
    pub async fn start(&self) -> Result<(), BackendError> {
        let mut transaction = self.store.write().await?;
        match settings::get(&mut transaction, settings::PEPPER_CHECK).await? {
            Some(known) if known != self.pepper.check_value() => return Err(BackendError::WrongPepper),
            Some(_) => {}
            None => settings::set(&mut transaction, settings::PEPPER_CHECK, &self.pepper.check_value()).await?,
        }
        let everyone = applications::of_everyone(&mut transaction).await?;
        let partners = organizations::partners(&mut transaction).await?;
        let blocked = crate::store::blocked_keys::in_force(&mut transaction).await?;
        let suspended = organizations::suspended(&mut transaction).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        partners.iter().for_each(|partner| self.emergency.name_organization(partner.id, &partner.name));
        self.gateway.snapshot().set_blocked_keys(blocked);
        self.gateway.snapshot().set_suspended(suspended);
        self.gateway.snapshot().load(everyone);
        Ok(())
    }

    /// Whether an organization is suspended.
    pub fn is_suspended(&self, organization: OrganizationId) -> bool {
        self.gateway.snapshot().is_suspended(organization)
    }

    /// The console's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The applications of an organization with the usage of their keys, ordered by name.
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn applications(
        &self,
        actor: &Actor,
        organization: OrganizationId,
    ) -> Result<Vec<ApplicationUsage>, BackendError> {
        authorise(actor, organization, Operation::ViewApplications)?;
        let mut conn = self.store.read().await?;
        Ok(used_applications(&mut conn, organization).await?)
    }

    /// The application, if the actor may perform `operation` on it.
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn application(&self, asked: Asked<'_>, operation: Operation) -> Result<ApiApplication, BackendError> {
        authorise(asked.actor, asked.organization, operation)?;
        let mut conn = self.store.read().await?;
        let found = applications::find(&mut conn, asked.organization, asked.application).await?;
        found.ok_or(BackendError::NotFound)
    }

    /// The application with the current usage of its keys, if the actor may perform `operation` on it.
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn application_usage(
        &self,
        asked: Asked<'_>,
        operation: Operation,
    ) -> Result<ApplicationUsage, BackendError> {
        let application = self.application(asked, operation).await?;
        self.bring_usage_up_to_date().await;
        let mut conn = self.store.read().await?;
        let api_keys = usage::of_api_keys(&mut conn, application.id).await?;
        let signing_keys = usage::of_signing_keys(&mut conn, application.id).await?;
        Ok(ApplicationUsage { application, api_keys, signing_keys })
    }

    /// The newest `limit` events in the scope before the sequence number `before`, newest first. The addresses of
    /// Nuvera's actors are disclosed to Nuvera's users only.
    ///
    /// # Errors
    /// Not allowed, or the database fails.
    pub async fn audit_events(
        &self,
        actor: &Actor,
        scope: AuditScope,
        filter: AuditFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<RecordedEvent>, BackendError> {
        authorise_history(actor, scope)?;
        let mut conn = self.store.read().await?;
        let mut events = audit::events(&mut conn, scope, filter, before.unwrap_or(i64::MAX), limit).await?;
        if actor.kind() != ActorKind::Nuvera {
            for recorded in events.iter_mut().filter(|recorded| recorded.event.actor.kind == ActorKind::Nuvera) {
                recorded.event.actor.address = None;
            }
        }
        Ok(events)
    }

    /// The actors in the scope, ordered by name.
    ///
    /// # Errors
    /// Not allowed, or the database fails.
    pub async fn audit_actors(&self, actor: &Actor, scope: AuditScope) -> Result<Vec<(UserId, String)>, BackendError> {
        authorise_history(actor, scope)?;
        let mut conn = self.store.read().await?;
        Ok(audit::actors(&mut conn, scope).await?)
    }

    /// The name of a partner organization, for Nuvera's admins. Other actors get "not found".
    ///
    /// # Errors
    /// Not found, or the database fails.
    pub async fn partner_name(&self, actor: &Actor, organization: OrganizationId) -> Result<String, BackendError> {
        if !allows(actor.role, Operation::ViewOrganizationHub) {
            return Err(BackendError::NotFound);
        }
        let mut conn = self.store.read().await?;
        let name = organizations::find_partner(&mut conn, organization).await?.ok_or(BackendError::NotFound)?;
        self.emergency.name_organization(organization, &name);
        Ok(name)
    }

    /// Creates an application with its first API key. The second value of the result is whether another application of
    /// the organization has the same public key.
    ///
    /// # Errors
    /// Not allowed; the name is taken; the key belongs to another organization; the proof is rejected; the form was
    /// already processed; the database fails.
    pub async fn create_application(
        &self,
        actor: &Actor,
        asked: CreateApplication,
    ) -> Result<(IssuedApiKey, bool), BackendError> {
        let organization = actor.organization_id;
        authorise(actor, organization, Operation::CreateApplication)?;
        let is_proven = self.check_proof(organization, &asked.public_key, asked.proof.as_ref())?;
        let (mut pending, mut transaction) = self.turn(actor, organization, Operation::CreateApplication).await?;
        if let Some(id) = applications::created_with(&mut transaction, organization, &asked.creation_token).await? {
            return Err(BackendError::AlreadyCreated(id));
        }
        let twin = has_twin(&mut transaction, organization, None, &asked.public_key).await?;
        let now = self.clock.now();
        let (key, api_key) = self.mint(now);
        let id = api_key.id;
        let new = NewApplication {
            id: ApplicationId(random::uuid(now)),
            name: asked.name,
            permissions: asked.permissions,
            signing_key: NewSigningKey { id: SigningKeyId(random::uuid(now)), public_key: asked.public_key, is_proven },
            api_key,
        };
        let change = ApiApplication::create(new, By { actor, at: now, reason: None });
        blocked_keys::check(&mut transaction, None, &change.application, now).await?;
        applications::create(&mut transaction, &change, &asked.creation_token).await.map_err(name_taken)?;
        self.commit(transaction, &mut pending, &change.application).await?;
        Ok((IssuedApiKey { application: change.application, id, key }, twin))
    }

    /// Applies a domain transition to an application. If the user's version is given, the application must still have
    /// it.
    ///
    /// # Errors
    /// Not allowed; not found; changed meanwhile; the domain rejects the change; the database fails.
    pub async fn change(
        &self,
        asked: Asked<'_>,
        operation: Operation,
        said: Said,
        transition: impl FnOnce(ApiApplication, By<'_>) -> Result<Change, ChangeError>,
    ) -> Result<ApiApplication, BackendError> {
        let (mut pending, mut transaction) = self.turn(asked.actor, asked.organization, operation).await?;
        let found = Self::as_seen(&mut transaction, asked, said.seen_version).await?;
        let by = By { actor: asked.actor, at: self.clock.now(), reason: said.reason.as_ref() };
        let change = transition(found.clone(), by)?;
        blocked_keys::check(&mut transaction, Some(&found), &change.application, by.at).await?;
        self.save(transaction, &mut pending, &change).await?;
        Ok(change.application)
    }

    /// Reads the application and checks that it still has the version that the user saw, if given.
    async fn as_seen(
        conn: &mut AnyConnection,
        asked: Asked<'_>,
        seen_version: Option<i64>,
    ) -> Result<ApiApplication, BackendError> {
        let Asked { organization, application, .. } = asked;
        let found = applications::find(conn, organization, application).await?.ok_or(BackendError::NotFound)?;
        if seen_version.is_some_and(|seen| seen != found.version) {
            let scope = AuditScope::Application(organization, application);
            let latest = audit::events(conn, scope, AuditFilter::default(), i64::MAX, 1).await?;
            let latest = latest.into_iter().next().map(Box::new);
            return Err(match latest {
                Some(latest) if latest.event.actor.user_id == asked.actor.user_id => BackendError::StaleByYou(latest),
                latest => BackendError::Stale(latest),
            });
        }
        Ok(found)
    }

    /// Saves a change, commits, and applies it to the gateway.
    async fn save(
        &self,
        mut transaction: Transaction,
        pending: &mut Pending,
        change: &Change,
    ) -> Result<(), BackendError> {
        applications::save(&mut transaction, change).await.map_err(name_taken)?;
        self.commit(transaction, pending, &change.application).await
    }

    /// Issues an API key for an application, and ends the others immediately or after a grace window.
    ///
    /// # Errors
    /// As [`Backend::change`].
    pub async fn replace_api_key(
        &self,
        asked: Asked<'_>,
        said: Said,
        replacement: Replacement,
    ) -> Result<IssuedApiKey, BackendError> {
        self.issue(asked, said, |application, new, by| application.replace_api_key(new, replacement, by)).await
    }

    /// Issues an API key for an application; the active ones before it expire at `at`.
    ///
    /// # Errors
    /// As [`Backend::change`].
    pub async fn replace_api_key_until(
        &self,
        asked: Asked<'_>,
        said: Said,
        at: Timestamp,
    ) -> Result<IssuedApiKey, BackendError> {
        let replace = |application: ApiApplication, new, by: By<'_>| {
            application.replace_api_key(new, Replacement::until(at, by.at)?, by)
        };
        self.issue(asked, said, replace).await
    }

    /// Issues an API key in place of one that was never shown to its user.
    ///
    /// # Errors
    /// As [`Backend::change`]; the key has been used, so it has been disclosed.
    pub async fn replace_unseen_api_key(
        &self,
        asked: Asked<'_>,
        said: Said,
        unseen: ApiKeyId,
    ) -> Result<IssuedApiKey, BackendError> {
        let used = self.application_usage(asked, Operation::RotateApiKeys).await?;
        if used.api_keys.contains_key(&unseen) {
            return Err(BackendError::KeyInUse);
        }
        self.issue(asked, said, |application, new, by| application.replace_unseen_api_key(unseen, new, by)).await
    }

    /// Issues the replacement key that Nuvera prepared to the user who claims it.
    ///
    /// # Errors
    /// As [`Backend::change`].
    pub async fn claim_replacement(&self, asked: Asked<'_>, said: Said) -> Result<IssuedApiKey, BackendError> {
        let application = self.application(asked, Operation::RotateApiKeys).await?;
        if let Some(preparer) = application.prepared_replacement.and_then(|prepared| prepared.user_id) {
            // It was withdrawn when the preparer lost this permission, unless another process prepared it at that
            // moment.
            let preparer = self.actor(preparer, None).await?;
            let may = |actor: &Actor| may_after_proof(actor, asked.organization, Operation::PrepareReplacement);
            if !preparer.as_ref().is_some_and(may) {
                return Err(ChangeError::PreparerGone.into());
            }
        }
        self.issue(asked, said, ApiApplication::claim_replacement).await
    }

    async fn issue(
        &self,
        asked: Asked<'_>,
        said: Said,
        transition: impl FnOnce(ApiApplication, NewApiKey, By<'_>) -> Result<Change, ChangeError>,
    ) -> Result<IssuedApiKey, BackendError> {
        let (key, new) = self.mint(self.clock.now());
        let id = new.id;
        let changed =
            self.change(asked, Operation::RotateApiKeys, said, |application, by| transition(application, new, by));
        Ok(IssuedApiKey { application: changed.await?, id, key })
    }

    /// Registers another public key as an application's current signing key, or proposes that: see
    /// [`Backend::request_change`]. The second value of the result is whether another application of the organization
    /// has the same key.
    ///
    /// # Errors
    /// As [`Backend::change`]; the key belongs to another organization; the proof is rejected.
    pub async fn replace_signing_key(
        &self,
        asked: Asked<'_>,
        said: Said,
        public_key: PublicKey,
        proof: Option<&Proof>,
        replacement: SigningKeyReplacement,
    ) -> Result<(Outcome, bool), BackendError> {
        authorise(asked.actor, asked.organization, Operation::ReplaceSigningKeys)?;
        let is_proven = self.check_proof(asked.organization, &public_key, proof)?;
        let key = NewSigningKey { id: SigningKeyId(random::uuid(self.clock.now())), public_key, is_proven };
        let change = RequestedChange::ReplaceSigningKey { key, replacement };
        self.request_change(asked, said, change).await
    }

    fn mint(&self, now: Timestamp) -> (PlainApiKey, NewApiKey) {
        let key = PlainApiKey::generate(random::fill);
        let new = NewApiKey {
            id: ApiKeyId(random::uuid(now)),
            prefix: key.prefix(),
            last_four: key.last_four().to_owned(),
            hash: self.pepper.hash(key.reveal().as_bytes()),
            pepper_id: self.pepper.id().to_owned(),
        };
        (key, new)
    }
}

/// Whether another application of `organization` has `key`. Must be called in the transaction that registers the key.
///
/// # Errors
/// The key belongs to another organization; the database fails.
async fn has_twin(
    conn: &mut AnyConnection,
    organization: OrganizationId,
    application: Option<ApplicationId>,
    key: &PublicKey,
) -> Result<bool, BackendError> {
    match applications::registered(conn, organization, application, &key.fingerprint()).await? {
        Registered::ByAnotherOrganization => Err(BackendError::KeyOfAnotherOrganization),
        registered => Ok(registered == Registered::BySameOrganization),
    }
}

async fn used_applications(
    conn: &mut AnyConnection,
    organization: OrganizationId,
) -> Result<Vec<ApplicationUsage>, StoreError> {
    let applications = applications::of_organization(&mut *conn, organization).await?;
    let (mut api_keys, mut signing_keys) = usage::of_organization(conn, organization).await?;
    let with_usage = |application: ApiApplication| ApplicationUsage {
        api_keys: application.api_keys.iter().filter_map(|key| api_keys.remove_entry(&key.id)).collect(),
        signing_keys: application.signing_keys.iter().filter_map(|key| signing_keys.remove_entry(&key.id)).collect(),
        application,
    };
    Ok(applications.into_iter().map(with_usage).collect())
}

/// Maps a violated unique constraint to a taken name, the only one that a user can cause on saving an application: ids
/// and keys are random, and public keys are looked up first.
fn name_taken(error: StoreError) -> BackendError {
    match error {
        StoreError::Taken => BackendError::NameTaken,
        StoreError::Conflict => BackendError::Stale(None),
        error => error.into(),
    }
}

/// Whether `actor` may perform `operation` in `organization`, if necessary after a fresh proof of identity. Pages then
/// offer it.
pub fn may_after_proof(actor: &Actor, organization: OrganizationId, operation: Operation) -> bool {
    matches!(access(actor, organization, operation), Access::Allowed | Access::NeedsProof)
}

/// Checks that `actor` may perform `operation` in `organization`.
///
/// # Errors
/// [`BackendError::Forbidden`]; [`BackendError::NotFound`] if the organization must not be disclosed to the actor;
/// [`BackendError::ProofNeeded`] if a fresh proof of identity is required.
pub fn authorise(actor: &Actor, organization: OrganizationId, operation: Operation) -> Result<(), BackendError> {
    match access(actor, organization, operation) {
        Access::Allowed => Ok(()),
        Access::NeedsProof => Err(BackendError::ProofNeeded),
        Access::Forbidden => Err(BackendError::Forbidden),
        Access::Hidden => Err(BackendError::NotFound),
    }
}

fn authorise_history(actor: &Actor, scope: AuditScope) -> Result<(), BackendError> {
    match scope {
        AuditScope::Application(organization, _) | AuditScope::Organization(organization) => {
            authorise(actor, organization, Operation::ViewApplications)
        }
        AuditScope::Everyone if allows(actor.role, Operation::ViewOrganizationHub) => Ok(()),
        AuditScope::Everyone => Err(BackendError::Forbidden),
    }
}
