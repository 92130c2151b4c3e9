//! Blocked signing keys: the check before changes, the list, and the release.

use super::{Backend, BackendError, authorise};
use crate::store::{StoreError, applications, audit, blocked_keys};
use domain::{
    access::{Operation, allows},
    actor::Actor,
    application::{ApiApplication, BlockedKey, By, newly_trusted},
    text::Why,
    time::Timestamp,
};
use sqlx::AnyConnection;

/// Maximum number of listed blocks.
const MOST_LISTED: i64 = 500;

/// Rejects a change that would make a blocked key usable: see [`newly_trusted`]. Must be called in the transaction that
/// saves `after`, before its first write.
///
/// # Errors
/// The domain's error for the blocked key; the database fails.
pub(super) async fn check(
    conn: &mut AnyConnection,
    before: Option<&ApiApplication>,
    after: &ApiApplication,
    now: Timestamp,
) -> Result<(), BackendError> {
    let trusted = newly_trusted(before, after, now);
    if trusted.is_empty() {
        return Ok(());
    }
    blocked_keys::lock(conn).await?;
    for (fingerprint, error) in trusted {
        if blocked_keys::find(conn, &fingerprint).await?.is_some() {
            return Err(error.into());
        }
    }
    Ok(())
}

/// Blocks a key and records it, in the caller's transaction, which must hold the lock. `stopped` is the number of
/// applications that the block stops.
///
/// # Errors
/// The database fails.
pub(super) async fn block(
    conn: &mut AnyConnection,
    fingerprint: &str,
    stopped: usize,
    by: By<'_>,
) -> Result<(), StoreError> {
    let blocked = BlockedKey::new(fingerprint, by);
    if blocked_keys::block(conn, &blocked).await? {
        audit::append(conn, &[blocked.event(stopped, by)]).await?;
    }
    Ok(())
}

impl Backend {
    /// The active block of the key with `fingerprint`, for Nuvera's own users.
    ///
    /// # Errors
    /// Not allowed, or the database fails.
    pub async fn blocked_key(&self, actor: &Actor, fingerprint: &str) -> Result<Option<BlockedKey>, BackendError> {
        may_see(actor)?;
        Ok(blocked_keys::find(&mut *self.store.read().await?, fingerprint).await?)
    }

    /// The latest blocks: active blocks first, newest first.
    ///
    /// # Errors
    /// Not allowed, or the database fails.
    pub async fn blocked_keys(&self, actor: &Actor) -> Result<Vec<BlockedKey>, BackendError> {
        may_see(actor)?;
        Ok(blocked_keys::list(&mut *self.store.read().await?, MOST_LISTED).await?)
    }

    /// Number of applications of all organizations whose current signing key is the one with `fingerprint`.
    ///
    /// # Errors
    /// Not allowed, or the database fails.
    pub async fn applications_with(&self, actor: &Actor, fingerprint: &str) -> Result<usize, BackendError> {
        may_see(actor)?;
        let found = applications::of_fingerprint(&mut *self.store.read().await?, fingerprint).await?;
        let has_it =
            |application: &&ApiApplication| application.current_signing_key().public_key.fingerprint() == fingerprint;
        Ok(found.iter().filter(has_it).count())
    }

    /// The active blocks of an application's signing keys, for actors who may see the application.
    ///
    /// # Errors
    /// Not allowed, or the database fails.
    pub async fn blocked_keys_of(
        &self,
        actor: &Actor,
        application: &ApiApplication,
    ) -> Result<Vec<BlockedKey>, BackendError> {
        authorise(actor, application.organization_id, Operation::ViewApplications)?;
        let mut conn = self.store.read().await?;
        let mut found = Vec::new();
        for key in &application.signing_keys {
            found.extend(blocked_keys::find(&mut conn, &key.public_key.fingerprint()).await?);
        }
        Ok(found)
    }

    /// Releases a blocked key. `blocked_at` identifies the block that the admin saw.
    ///
    /// # Errors
    /// Not allowed; not blocked; blocked again meanwhile; no reason or ticket given; the database fails.
    pub async fn release_key(
        &self,
        actor: &Actor,
        fingerprint: &str,
        blocked_at: Timestamp,
        why: Option<&Why>,
    ) -> Result<(), BackendError> {
        let (mut pending, mut transaction) = self.turn_if(actor, may_release).await?;
        blocked_keys::lock(&mut transaction).await?;
        let found = blocked_keys::find(&mut transaction, fingerprint).await?.ok_or(BackendError::NotFound)?;
        if blocked_at != found.at {
            return Err(BackendError::NotFound);
        }
        let by = By { actor, at: self.clock.now(), reason: why };
        let released = found.release(by)?;
        if let Some(release) = &released.release {
            blocked_keys::release(&mut transaction, &released, release).await.map_err(BackendError::gone)?;
        }
        let mut events = vec![released.event(0, by)];
        for application in applications::of_fingerprint(&mut transaction, fingerprint).await? {
            if application.current_signing_key().public_key.fingerprint() == fingerprint {
                events.push(application.key_released(fingerprint, by));
            }
        }
        audit::append(&mut transaction, &events).await?;
        if let Err(error) = transaction.commit().await {
            pending.doubt_blocks(true);
            return Err(StoreError::from(error).into());
        }
        self.gateway.snapshot().release_key(fingerprint);
        Ok(())
    }
}

fn may_see(actor: &Actor) -> Result<(), BackendError> {
    if allows(actor.role, Operation::ViewOrganizationHub) { Ok(()) } else { Err(BackendError::Forbidden) }
}

/// Checks that `actor` may release a key. A key does not belong to a single organization.
fn may_release(actor: &Actor) -> Result<(), BackendError> {
    match (allows(actor.role, Operation::ReleaseSigningKey), actor.is_proven) {
        (true, true) => Ok(()),
        (true, false) => Err(BackendError::ProofNeeded),
        (false, _) => Err(BackendError::Forbidden),
    }
}
