//! Nuvera's actions on a partner's applications. Pages show them to the partner until they are acknowledged, and owners
//! are notified by e-mail.
//!
//! Both are derived from the audit log. An e-mail is attempted once: it delays no change, and a failure is logged while
//! the pages still show the action.

mod letter;

use super::{Backend, BackendError, authorise};
use crate::{
    mail::{Mail, Mailer},
    store::{StoreError, applications, audit, settings, support, users},
};
use domain::{
    access::Operation,
    actor::Actor,
    application::{ApiApplication, By},
    audit::{AuditScope, RecordedEvent},
    id::{ApplicationId, OrganizationId, UserId},
    support::Seen,
};
use sqlx::AnyConnection;
use std::collections::BTreeMap;

/// Maximum number of events shown on a page and acknowledged at a time.
pub const MOST_UNSEEN: i64 = 100;

/// Withdraws the replacement keys that `user` prepared and the changes that they proposed, in the caller's transaction,
/// because their authority has ended or their credentials were reset and someone else may have had them. Returns the
/// changed applications for the commit.
pub(super) async fn withdraw_support_of(
    conn: &mut AnyConnection,
    user: UserId,
    by: By<'_>,
) -> Result<Vec<ApiApplication>, StoreError> {
    let mut changed = Vec::new();
    for application in applications::with_support_of(&mut *conn, user).await? {
        if let Some(change) = application.withdraw_support_of(user, by) {
            applications::save(&mut *conn, &change).await?;
            changed.push(change.application);
        }
    }
    Ok(changed)
}

impl Backend {
    /// Nuvera's actions in `scope` that the partner has not acknowledged, newest first; at most [`MOST_UNSEEN`].
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn unseen_support(&self, actor: &Actor, scope: AuditScope) -> Result<Vec<RecordedEvent>, BackendError> {
        super::authorise_history(actor, scope)?;
        let mut conn = self.store.read().await?;
        Ok(audit::unseen_support(&mut conn, scope, MOST_UNSEEN).await?)
    }

    /// The partner's latest acknowledgement of Nuvera's actions on an application.
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn seen_support(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        application: ApplicationId,
    ) -> Result<Option<Seen>, BackendError> {
        authorise(actor, organization, Operation::ViewApplications)?;
        let mut conn = self.store.read().await?;
        if applications::find(&mut conn, organization, application).await?.is_none() {
            return Err(BackendError::NotFound);
        }
        Ok(support::seen(&mut conn, application).await?)
    }

    /// Acknowledges Nuvera's actions in `scope` up to the event `sequence`. Actions that are already acknowledged are
    /// left unchanged, so repeating this has no effect.
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn acknowledge_support(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        application: Option<ApplicationId>,
        sequence: i64,
    ) -> Result<(), BackendError> {
        let (_settled, mut transaction) = self.turn(actor, organization, Operation::AcknowledgeSupport).await?;
        let scope = match application {
            Some(id) => {
                let found = applications::find(&mut transaction, organization, id).await?;
                AuditScope::Application(organization, found.ok_or(BackendError::NotFound)?.id)
            }
            None => AuditScope::Organization(organization),
        };
        let unseen = audit::unseen_support(&mut transaction, scope, i64::MAX).await?;
        let mut by_application: BTreeMap<ApplicationId, Vec<&RecordedEvent>> = BTreeMap::new();
        for recorded in unseen.iter().filter(|recorded| recorded.sequence <= sequence) {
            if let Some(id) = recorded.event.application_id {
                by_application.entry(id).or_default().push(recorded);
            }
        }
        let by = By { actor, at: self.clock.now(), reason: None };
        let mut events = Vec::new();
        for (id, of_one) in by_application {
            // The events are ordered newest first.
            let Some((newest, name)) = of_one.first().map(|newest| (newest.sequence, &newest.application_name)) else {
                continue;
            };
            let Some(name) = name else { continue };
            let seen = Seen { sequence: newest, by: actor.name.clone(), at: by.at };
            support::see(&mut transaction, id, &seen).await?;
            events.push(domain::support::seen(id, name, &of_one, by));
        }
        audit::append(&mut transaction, &events).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// Notifies owners by e-mail of Nuvera's actions on their applications since the last time. Returns the number of
    /// e-mails sent.
    ///
    /// # Errors
    /// The database fails.
    pub async fn tell_owners(&self, mailer: &Mailer, console_origin: &str) -> Result<usize, BackendError> {
        let letters = self.letters(console_origin).await?;
        let mut sent = 0;
        for (owner, subject, body) in letters {
            match mailer.send(Mail { to: &owner.email, subject, body, at: self.clock.now() }).await {
                Ok(()) => sent += 1,
                Err(error) => {
                    tracing::warn!(owner = %owner.id, %error, "an owner could not be told by mail what Nuvera did; the console tells them");
                }
            }
        }
        Ok(sent)
    }

    /// The e-mails to send now. The setting is advanced in the same transaction, so that of two servers only one sends
    /// them.
    async fn letters(&self, console_origin: &str) -> Result<Vec<(users::Owner, String, String)>, StoreError> {
        let mut conn = self.store.read().await?;
        let told = settings::get(&mut conn, settings::SUPPORT_TOLD).await?.unwrap_or_default();
        let latest = audit::latest(&mut conn).await?.to_string();
        drop(conn);
        if told == latest {
            return Ok(Vec::new());
        }
        let mut transaction = self.store.write().await?;
        if !settings::replace(&mut transaction, settings::SUPPORT_TOLD, &told, &latest).await? {
            return Ok(Vec::new());
        }
        let since = told.parse().unwrap_or(i64::MAX);
        let up_to = latest.parse().unwrap_or(i64::MAX);
        let mut by_organization: BTreeMap<OrganizationId, Vec<RecordedEvent>> = BTreeMap::new();
        for recorded in audit::support_since(&mut transaction, since).await? {
            if recorded.sequence <= up_to {
                by_organization.entry(recorded.event.organization_id).or_default().push(recorded);
            }
        }
        let mut letters = Vec::new();
        for (organization, events) in by_organization {
            let (subject, body) = letter::write(&events, console_origin);
            for owner in users::owners(&mut transaction, organization).await? {
                letters.push((owner, subject.clone(), body.clone()));
            }
        }
        transaction.commit().await?;
        Ok(letters)
    }
}
