//! An organization's rotation policy: everybody there reads it, its owners change it.

use super::{Backend, BackendError, authorise};
use crate::store::{StoreError, audit, policies};
use domain::{
    access::Operation,
    actor::Actor,
    application::By,
    audit::{AuditAction, AuditFilter, AuditScope},
    hygiene::{RotationPolicy, RotationRules},
    id::OrganizationId,
};

impl Backend {
    /// The rotation policy of an organization.
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn rotation_policy(
        &self,
        actor: &Actor,
        organization: OrganizationId,
    ) -> Result<RotationPolicy, BackendError> {
        authorise(actor, organization, Operation::ViewApplications)?;
        let mut conn = self.store.read().await?;
        Ok(policies::find(&mut conn, organization).await?)
    }

    /// Gives an organization other rules: to the version that the person saw.
    ///
    /// # Errors
    /// Not allowed; not found; changed meanwhile; unchanged; the database fails.
    pub async fn change_rotation_policy(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        seen_version: i64,
        rules: RotationRules,
    ) -> Result<(), BackendError> {
        let (_settled, mut transaction) = self.turn(actor, organization, Operation::ChangePolicy).await?;
        let found = policies::find(&mut transaction, organization).await?;
        if seen_version != found.version {
            let changes = AuditFilter { action: Some(AuditAction::PolicyChanged), ..AuditFilter::default() };
            let scope = AuditScope::Organization(organization);
            let latest = audit::events(&mut transaction, scope, changes, i64::MAX, 1).await?;
            return Err(BackendError::StalePolicy(latest.into_iter().next().map(Box::new)));
        }
        let change = found.change(rules, By { actor, at: self.clock.now(), reason: None })?;
        policies::save(&mut transaction, &change).await.map_err(|error| match error {
            StoreError::Conflict => BackendError::StalePolicy(None),
            error => error.into(),
        })?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }
}
