//! Delayed removals and demotions of users who manage members: requested, then cancelled, confirmed, or applied when
//! due.

use super::{
    Backend, BackendError, may_after_proof,
    people::{cancel_owner_changes, remove, set_role},
    support::withdraw_support_of,
    team_events::{TeamChange, TeamEvent, TeamMember},
};
use crate::store::{StoreError, audit, organizations, owner_changes, users};
use domain::{
    access::Operation,
    actor::Actor,
    application::By,
    id::{OrganizationId, UserId},
    people::{OwnerChange, PendingOwnerChange, Person},
    text::{Reason, Why},
};
use sqlx::AnyConnection;

/// Requests the removal or demotion of `found`, in the caller's transaction.
pub(super) async fn request_owner_change(
    conn: &mut AnyConnection,
    found: &Person,
    change: OwnerChange,
    by: By<'_>,
) -> Result<PendingOwnerChange, BackendError> {
    let pending = owner_changes::find(&mut *conn, by.actor.organization_id, found.id).await?;
    let (requested, event) = found.request_owner_change(change, pending.as_ref(), by)?;
    owner_changes::insert(&mut *conn, &requested).await?;
    audit::append(conn, &[event]).await?;
    Ok(requested)
}

impl Backend {
    /// The pending removal or demotion of a user, for actors who manage members.
    ///
    /// # Errors
    /// Not allowed; not found; the database fails.
    pub async fn owner_change(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        target: UserId,
    ) -> Result<PendingOwnerChange, BackendError> {
        super::authorise(actor, organization, Operation::ManagePeople)?;
        let mut conn = self.store.read().await?;
        owner_changes::find(&mut conn, organization, target).await?.ok_or(BackendError::NotFound)
    }

    /// Cancels the pending removal or demotion of a user. Every user who manages members can do so, including the
    /// target.
    ///
    /// # Errors
    /// Not allowed; not found; the database fails.
    pub async fn cancel_owner_change(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        target: UserId,
    ) -> Result<PendingOwnerChange, BackendError> {
        let (_settled, mut transaction) = self.begin_people_change(actor, organization).await?;
        let found = owner_changes::find(&mut transaction, organization, target).await?;
        let pending = found.ok_or(BackendError::NotFound)?;
        cancel_owner_changes(&mut transaction, [pending.clone()], self.by(actor)).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(pending)
    }

    /// Confirms and applies the pending removal or demotion of a user. Returns it with the user as they were before.
    ///
    /// # Errors
    /// Not allowed; not found; the actor requested it, is the target, or has not managed members for long enough; the
    /// database fails.
    pub async fn confirm_owner_change(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        target: UserId,
    ) -> Result<(PendingOwnerChange, Person), BackendError> {
        let (mut settled, mut transaction) = self.begin_people_change(actor, organization).await?;
        let pending = owner_changes::find(&mut transaction, organization, target).await?;
        let pending = pending.ok_or(BackendError::NotFound)?;
        let found = users::find(&mut transaction, organization, target).await?.ok_or(BackendError::NotFound)?;
        let manages_since = users::role_since(&mut transaction, actor.user_id).await.map_err(BackendError::gone)?;
        let by = self.by(actor);
        let event = pending.confirm(manages_since, by)?;
        owner_changes::delete(&mut transaction, &pending).await.map_err(BackendError::gone)?;
        audit::append(&mut transaction, &[event]).await?;
        let why = reason(&format!("Requested by {} on {}", pending.requester_name, pending.requested_at));
        apply(&mut transaction, &pending, &found, By { reason: why.as_ref(), ..by }).await?;
        let withdrawn = withdraw_support_of(&mut transaction, target, by).await?;
        let committed = self.commit_all(transaction, &mut settled, &withdrawn).await;
        self.emergency.authority.forget_user(target);
        committed?;
        Ok((pending, found))
    }

    /// Applies the removals and demotions that are due, each on behalf of its requester. Returns the events to notify.
    /// One that fails is logged and retried next time, and does not prevent the others.
    ///
    /// # Errors
    /// The database fails.
    pub async fn apply_owner_changes(&self) -> Result<Vec<TeamEvent>, BackendError> {
        let mut conn = self.store.read().await?;
        let due = owner_changes::due(&mut conn, self.clock.now()).await?;
        drop(conn);
        let mut applied = Vec::new();
        for pending in due {
            match self.apply_owner_change(&pending).await {
                Ok(event) => applied.extend(event),
                Err(error) => {
                    tracing::warn!(target_user = %pending.target, %error, "a removal or demotion could not be applied and will be tried again");
                }
            }
        }
        Ok(applied)
    }

    async fn apply_owner_change(&self, due: &PendingOwnerChange) -> Result<Option<TeamEvent>, BackendError> {
        let mut settled = self.settled().await?;
        let mut transaction = self.store.write().await?;
        let organization = due.organization_id;
        organizations::lock(&mut transaction, organization).await.map_err(BackendError::gone)?;
        // It may have been cancelled or confirmed since it was read.
        let pending = owner_changes::find(&mut transaction, organization, due.target).await?;
        let Some(pending) = pending.filter(|pending| pending == due) else { return Ok(None) };
        owner_changes::delete(&mut transaction, &pending).await.map_err(BackendError::gone)?;
        let requester = users::find_actor(&mut transaction, pending.requested_by, None).await?;
        let found = users::find(&mut transaction, organization, pending.target).await?;
        // The requester's pending changes are cancelled in the transaction that takes away their permission, and the
        // target's in the one that takes away theirs. This check only guards against a row that another program has
        // left.
        let requester = requester.filter(|actor| may_after_proof(actor, organization, Operation::ManagePeople));
        let (Some(requester), Some(found)) = (requester, found.filter(|found| found.is_delayed(pending.change))) else {
            tracing::warn!(target_user = %pending.target, "a removal or demotion whose requester or target no longer manages members was dropped");
            transaction.commit().await.map_err(StoreError::from)?;
            return Ok(None);
        };
        let at = self.clock.now();
        let why = reason(&format!("Requested on {}, applied after 72 hours", pending.requested_at));
        let by = By { actor: &requester, at, reason: why.as_ref() };
        apply(&mut transaction, &pending, &found, by).await?;
        let withdrawn = withdraw_support_of(&mut transaction, pending.target, by).await?;
        let committed = self.commit_all(transaction, &mut settled, &withdrawn).await;
        self.emergency.authority.forget_user(pending.target);
        committed?;
        let member = TeamMember::from(&found);
        let change = TeamChange::applied(pending.change, found.role);
        Ok(Some(TeamEvent { actor: requester, browser: None, at, member, change }))
    }
}

async fn apply(
    conn: &mut AnyConnection,
    pending: &PendingOwnerChange,
    found: &Person,
    by: By<'_>,
) -> Result<(), BackendError> {
    match pending.change {
        OwnerChange::Remove => remove(conn, pending.organization_id, found, by).await,
        OwnerChange::Demote(role) => set_role(conn, pending.organization_id, found, role, by).await,
    }
}

fn reason(text: &str) -> Option<Why> {
    Reason::new(text).ok().map(Why::from)
}
