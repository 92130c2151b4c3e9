//! An organization's policies: its members can read them, its owners can change them.

use super::{Backend, BackendError, authorise};
use crate::store::{
    StoreError, audit,
    policies::{self, StoredRules},
};
use domain::{
    access::Operation,
    actor::Actor,
    application::By,
    audit::{AuditFilter, AuditScope},
    hygiene::{RotationPolicy, RotationRules},
    id::OrganizationId,
    policy::Policy,
    security_policy::{SecurityPolicy, SecurityRules},
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
        self.policy(actor, organization).await
    }

    /// The security policy of an organization.
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn security_policy(
        &self,
        actor: &Actor,
        organization: OrganizationId,
    ) -> Result<SecurityPolicy, BackendError> {
        self.policy(actor, organization).await
    }

    /// Changes an organization's rotation rules, if the policy still has the version that the actor saw.
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
        self.change_policy(actor, organization, seen_version, rules).await
    }

    /// Changes an organization's security rules, if the policy still has the version that the actor saw.
    ///
    /// # Errors
    /// Not allowed; not found; changed meanwhile; unchanged; the database fails.
    pub async fn change_security_policy(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        seen_version: i64,
        rules: SecurityRules,
    ) -> Result<(), BackendError> {
        self.change_policy(actor, organization, seen_version, rules).await
    }

    async fn policy<R: StoredRules>(
        &self,
        actor: &Actor,
        organization: OrganizationId,
    ) -> Result<Policy<R>, BackendError> {
        authorise(actor, organization, Operation::ViewApplications)?;
        let mut conn = self.store.read().await?;
        Ok(policies::find(&mut conn, organization).await?)
    }

    async fn change_policy<R: StoredRules>(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        seen_version: i64,
        rules: R,
    ) -> Result<(), BackendError> {
        let (_settled, mut transaction) = self.turn(actor, organization, Operation::ChangePolicy).await?;
        let found = policies::find::<R>(&mut transaction, organization).await?;
        if seen_version != found.version {
            let changes = AuditFilter { action: Some(R::CHANGED), ..AuditFilter::default() };
            let scope = AuditScope::Organization(organization);
            let latest = audit::events(&mut transaction, scope, changes, i64::MAX, 1).await?;
            return Err(BackendError::StalePolicy(R::NAME, latest.into_iter().next().map(Box::new)));
        }
        let change = found.change(rules, By { actor, at: self.clock.now(), reason: None })?;
        policies::save(&mut transaction, &change).await.map_err(|error| match error {
            StoreError::Conflict => BackendError::StalePolicy(R::NAME, None),
            error => error.into(),
        })?;
        let committed = transaction.commit().await.map_err(StoreError::from);
        self.emergency.authority.forget_organization(organization);
        Ok(committed?)
    }
}
