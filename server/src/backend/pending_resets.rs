//! Delayed resets of Nuvera members' passwords and second factors: requested, confirmed or cancelled, and carried out
//! when due. See [`domain::pending_reset`].

use super::{
    Backend, BackendError, authorise,
    pending::Pending,
    people::{LinkToken, hash, withdraw_unfinished},
    support::withdraw_support_of,
};
use crate::{
    random,
    store::{StoreError, Transaction, audit, password_resets, pending_resets, second_factors, signed_in, users},
};
use domain::{
    access::{Operation, allows},
    actor::Actor,
    application::By,
    id::{OrganizationId, PendingResetId, UserId},
    pending_reset::{PendingReset, ResetKind},
    people::{PeopleError, Person, RESET_LIFETIME},
    time::Timestamp,
};
use sqlx::AnyConnection;
use tokio::sync::MutexGuard;

/// A reset that has been carried out.
#[derive(Debug)]
pub struct CompletedReset {
    /// The member whose password or second factors were reset.
    pub person: Person,
    /// The name of the admin who requested it.
    pub requested_by: String,
}

impl Backend {
    /// Requests a reset in the caller's transaction, and commits it.
    ///
    /// # Errors
    /// One of the same kind is pending; the database fails.
    pub(super) async fn request_reset(
        &self,
        mut transaction: Transaction,
        person: &Person,
        kind: ResetKind,
        by: By<'_>,
    ) -> Result<PendingReset, BackendError> {
        let (reset, event) = PendingReset::request(PendingResetId(random::uuid(by.at)), person, kind, by);
        let taken = |error| match error {
            StoreError::Taken => PeopleError::ResetPending(person.name.clone()).into(),
            error => BackendError::from(error),
        };
        pending_resets::insert(&mut transaction, &reset).await.map_err(taken)?;
        audit::append(&mut transaction, &[event]).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(reset)
    }

    /// Returns the pending resets of an organization. The list is empty for actors who do not manage its members.
    ///
    /// # Errors
    /// The database fails.
    pub async fn pending_resets(
        &self,
        actor: &Actor,
        organization: OrganizationId,
    ) -> Result<Vec<PendingReset>, BackendError> {
        if organization != actor.organization_id || !allows(actor.role, Operation::ManagePeople) {
            return Ok(Vec::new());
        }
        let mut conn = self.store.read().await?;
        Ok(pending_resets::of_organization(&mut conn, organization).await?)
    }

    /// Returns the pending resets of the actor's own password and second factor.
    ///
    /// # Errors
    /// The database fails.
    pub async fn own_pending_resets(&self, actor: &Actor) -> Result<Vec<PendingReset>, BackendError> {
        let mut conn = self.store.read().await?;
        let mut resets = pending_resets::involving(&mut conn, actor.user_id).await?;
        resets.retain(|reset| reset.user_id == actor.user_id);
        Ok(resets)
    }

    /// Returns a pending reset, for an admin who may confirm it.
    ///
    /// # Errors
    /// Not allowed; not found; the actor requested it or is its target; the database fails.
    pub async fn confirmable_reset(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        id: PendingResetId,
    ) -> Result<PendingReset, BackendError> {
        authorise(actor, organization, Operation::ManagePeople)?;
        let mut conn = self.store.read().await?;
        let reset = pending_resets::find(&mut conn, organization, id).await?.ok_or(BackendError::NotFound)?;
        if reset.is_confirmable_by(actor) { Ok(reset) } else { Err(PeopleError::SecondAdminNeeded.into()) }
    }

    /// Confirms a reset as a second admin, which makes it due immediately.
    ///
    /// # Errors
    /// Not allowed; not found; the domain rejects the confirmation; the database fails.
    pub async fn confirm_reset(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        id: PendingResetId,
    ) -> Result<PendingReset, BackendError> {
        let (_settled, mut transaction) = self.turn(actor, organization, Operation::ManagePeople).await?;
        let found = pending_resets::find(&mut transaction, organization, id).await?.ok_or(BackendError::NotFound)?;
        let joined_at = users::joined_at(&mut transaction, actor.user_id).await?;
        let (confirmed, event) = found.confirm(joined_at, self.by(actor))?;
        pending_resets::set_effective_at(&mut transaction, id, confirmed.effective_at)
            .await
            .map_err(BackendError::gone)?;
        audit::append(&mut transaction, &[event]).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(confirmed)
    }

    /// Cancels a reset, as any admin of the organization.
    ///
    /// # Errors
    /// Not allowed; not found; the database fails.
    pub async fn cancel_reset(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        id: PendingResetId,
    ) -> Result<(), BackendError> {
        let (_settled, transaction) = self.turn(actor, organization, Operation::ManagePeople).await?;
        self.cancel(transaction, actor, organization, id).await
    }

    /// Cancels a reset of the actor's own password or second factor. Needs no fresh proof: a user who can sign in needs
    /// no reset.
    ///
    /// # Errors
    /// Not found; the session has ended; the database fails.
    pub async fn cancel_own_reset(&self, actor: &Actor, id: PendingResetId) -> Result<(), BackendError> {
        let (_settled, actor, mut transaction) = self.own_turn(actor).await?;
        let found = pending_resets::find(&mut transaction, actor.organization_id, id).await?;
        if found.is_none_or(|reset| reset.user_id != actor.user_id) {
            return Err(BackendError::NotFound);
        }
        self.cancel(transaction, &actor, actor.organization_id, id).await
    }

    async fn cancel(
        &self,
        mut transaction: Transaction,
        actor: &Actor,
        organization: OrganizationId,
        id: PendingResetId,
    ) -> Result<(), BackendError> {
        let found = pending_resets::find(&mut transaction, organization, id).await?.ok_or(BackendError::NotFound)?;
        pending_resets::delete(&mut transaction, id).await.map_err(BackendError::gone)?;
        audit::append(&mut transaction, &[found.cancelled(self.by(actor))]).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// Returns the resets that are due.
    ///
    /// # Errors
    /// The database fails.
    pub async fn due_resets(&self) -> Result<Vec<PendingReset>, BackendError> {
        Ok(pending_resets::due(&mut *self.store.read().await?, self.clock.now()).await?)
    }

    /// Returns the members to notify of a requested reset: every admin, including the one who requested it, because
    /// their session may be stolen, and the member concerned.
    ///
    /// # Errors
    /// The database fails.
    pub async fn notified_of(&self, reset: &PendingReset) -> Result<Vec<Person>, BackendError> {
        let mut people = users::of_organization(&mut *self.store.read().await?, reset.organization_id).await?;
        people.retain(|person| person.role.decides_on_people() || person.id == reset.user_id);
        Ok(people)
    }

    /// Returns the expiry of a password reset link that is issued now.
    pub fn reset_link_expires_at(&self) -> Timestamp {
        self.clock.now().plus(RESET_LIFETIME)
    }

    /// Carries out a due reset of a password. `token` is that of the link, which has already been mailed and works from
    /// now until `expires_at`.
    ///
    /// # Errors
    /// As [`Backend::complete_factor_reset`].
    pub async fn complete_password_reset(
        &self,
        id: PendingResetId,
        organization: OrganizationId,
        token: &LinkToken,
        expires_at: Timestamp,
    ) -> Result<CompletedReset, BackendError> {
        let Due { settled: _settled, reset, requester, person, mut transaction } =
            self.begin_due(organization, id).await?;
        let event = person.reset_password(self.by(&requester))?;
        let made_by = Some(reset.requested_by);
        password_resets::insert(&mut transaction, person.id, made_by, &hash(token.reveal()), expires_at).await?;
        audit::append(&mut transaction, &[event]).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(CompletedReset { person, requested_by: requester.name })
    }

    /// Carries out a due reset of second factors, and ends the member's sessions.
    ///
    /// # Errors
    /// [`BackendError::NotFound`] if it is not due, or was cancelled or carried out meanwhile;
    /// [`BackendError::Forbidden`] if it was cancelled now because the requester can no longer manage members; there is
    /// nothing left to reset; the database fails.
    pub async fn complete_factor_reset(
        &self,
        id: PendingResetId,
        organization: OrganizationId,
    ) -> Result<CompletedReset, BackendError> {
        let Due { mut settled, requester, person, mut transaction, .. } = self.begin_due(organization, id).await?;
        let by = self.by(&requester);
        let event = person.reset_factor(by)?;
        withdraw_unfinished(&mut transaction, organization, person.id, by).await?;
        second_factors::delete_all(&mut transaction, person.id).await?;
        signed_in::end_all(&mut transaction, person.id, None).await?;
        audit::append(&mut transaction, &[event]).await?;
        let withdrawn = withdraw_support_of(&mut transaction, person.id, by).await?;
        let committed = self.commit_all(transaction, &mut settled, &withdrawn).await;
        self.emergency.authority.forget_user(person.id);
        committed?;
        Ok(CompletedReset { person, requested_by: requester.name })
    }

    /// Deletes a due reset, in a transaction in which the requester's authority is checked again.
    async fn begin_due(&self, organization: OrganizationId, id: PendingResetId) -> Result<Due<'_>, BackendError> {
        let settled = self.settled().await?;
        let mut transaction = self.store.write().await?;
        let reset = pending_resets::find(&mut transaction, organization, id).await?;
        let reset = reset.filter(|reset| reset.effective_at <= self.clock.now()).ok_or(BackendError::NotFound)?;
        pending_resets::delete(&mut transaction, id).await.map_err(BackendError::gone)?;
        let requester = users::find_actor(&mut transaction, reset.requested_by, None).await?;
        let person = users::find(&mut transaction, organization, reset.user_id).await?;
        let has_authority =
            |actor: &Actor| actor.organization_id == organization && allows(actor.role, Operation::ManagePeople);
        match (requester, person) {
            (Some(requester), Some(person)) if has_authority(&requester) => {
                Ok(Due { settled, reset, requester, person, transaction })
            }
            (requester, _) => {
                let event = requester.map(|requester| reset.cancelled(self.by(&requester)));
                audit::append(&mut transaction, event.as_slice()).await?;
                transaction.commit().await.map_err(StoreError::from)?;
                Err(BackendError::Forbidden)
            }
        }
    }

    /// Deletes a due reset that cannot be carried out, because there is nothing left to reset.
    ///
    /// # Errors
    /// The database fails.
    pub async fn drop_reset(&self, reset: &PendingReset) -> Result<(), BackendError> {
        let _settled = self.settled().await?;
        let mut transaction = self.store.write().await?;
        if let Some(requester) = users::find_actor(&mut transaction, reset.requested_by, None).await? {
            audit::append(&mut transaction, &[reset.cancelled(self.by(&requester))]).await?;
        }
        pending_resets::delete(&mut transaction, reset.id).await.map_err(BackendError::gone)?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }
}

/// A due reset, with what is needed to carry it out.
struct Due<'a> {
    settled: MutexGuard<'a, Pending>,
    reset: PendingReset,
    requester: Actor,
    person: Person,
    transaction: Transaction,
}

/// Cancels the resets that `user` requested, because their password was changed or reset, or they can no longer manage
/// members. A request that was made from a stolen session must not outlive it.
pub(super) async fn cancel_requested_by(conn: &mut AnyConnection, user: UserId, by: By<'_>) -> Result<(), StoreError> {
    cancel_those(conn, user, by, |reset| reset.requested_by == user).await
}

/// Cancels the resets requested by `user` and those of `user`, who has proven that they can sign in, or was removed.
pub(super) async fn cancel_involving(conn: &mut AnyConnection, user: UserId, by: By<'_>) -> Result<(), StoreError> {
    cancel_those(conn, user, by, |_| true).await
}

async fn cancel_those(
    conn: &mut AnyConnection,
    user: UserId,
    by: By<'_>,
    is_meant: impl Fn(&PendingReset) -> bool,
) -> Result<(), StoreError> {
    let mut resets = pending_resets::involving(&mut *conn, user).await?;
    resets.retain(is_meant);
    for reset in &resets {
        pending_resets::delete(&mut *conn, reset.id).await?;
    }
    let events: Vec<_> = resets.iter().map(|reset| reset.cancelled(by)).collect();
    audit::append(conn, &events).await
}
