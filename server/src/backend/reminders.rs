//! Reminds owners of keys that expire or must be rotated soon: one e-mail per owner, however many keys.
//!
//! An e-mail is sent first and recorded afterwards. If anything fails in between, it is sent again: a duplicate is a
//! small nuisance, a missing one may cause an outage.

mod letter;

use super::{Backend, BackendError, flush::within, requests, used_applications};
use crate::{
    clock::Every,
    mail::{Mail, Mailer},
    store::{
        StoreError, organizations, policies, reminders, settings,
        users::{self, Owner},
    },
};
use domain::{
    actor::ActorKind,
    application::ApiApplication,
    hygiene::{KeyHygiene, Reminder, RotationRules},
    id::OrganizationId,
    time::Timestamp,
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Interval of the check for due reminders, which also retries failed ones.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Interval of the check for actions of Nuvera of which owners are notified.
const NEWS_INTERVAL: Duration = Duration::from_secs(3);

/// Interval at which due removals and demotions of users who manage members are applied.
const OWNER_CHANGES_INTERVAL: Duration = Duration::from_secs(60);

/// A key of which owners must be reminded.
#[derive(Clone, Debug)]
struct Due {
    application: Arc<ApiApplication>,
    key: KeyHygiene,
    reminder: Reminder,
}

/// An e-mail to an owner.
struct Digest {
    organization: OrganizationId,
    organization_name: String,
    owner: Owner,
    keys: Vec<Due>,
}

impl Backend {
    /// Sends the reminders that are due and were not sent, and returns the number of e-mails sent. A failed one is
    /// logged and retried next time, and does not prevent the others.
    ///
    /// # Errors
    /// The database fails.
    pub async fn remind(&self, mailer: &Mailer, console_origin: &str) -> Result<usize, BackendError> {
        let now = self.clock.now();
        let digests = self.digests(now).await?;
        if digests.is_empty() {
            return Ok(0);
        }
        // Nothing is sent while the database cannot be written, for example because the disk is full: each e-mail would
        // otherwise be sent again and again.
        let mut transaction = self.store.write().await?;
        settings::set(&mut transaction, settings::REMINDED_AT, &now.as_millis().to_string()).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        let mut sent = 0;
        for digest in digests {
            let Digest { organization, organization_name, owner, keys } = digest;
            let (subject, body) = letter::write(&organization_name, &keys, console_origin, now);
            match mailer.send(Mail { to: &owner.email, subject, body, at: now }).await {
                Ok(()) => {
                    tracing::info!(%organization, owner = %owner.id, keys = keys.len(), "an owner was reminded of keys");
                    sent += 1;
                    self.record_reminders(&owner, &keys, now).await?;
                }
                Err(error) => {
                    tracing::warn!(%organization, owner = %owner.id, %error, "a reminder did not get away and will be tried again");
                }
            }
        }
        Ok(sent)
    }

    /// The e-mails to send now. No connection is held while they are sent.
    async fn digests(&self, now: Timestamp) -> Result<Vec<Digest>, StoreError> {
        let mut conn = self.store.read().await?;
        let mut digests = Vec::new();
        for organization in organizations::partners(&mut conn).await? {
            let rules = policies::find::<RotationRules>(&mut conn, organization.id).await?.rules;
            let mut due = Vec::new();
            for used in used_applications(&mut conn, organization.id).await? {
                let keys = requests::hygiene(&mut conn, &used, rules, now).await?;
                let application = Arc::new(used.application);
                let reminded = keys.into_iter().filter_map(|key| Some((key.reminder(now)?, key)));
                due.extend(reminded.map(|(reminder, key)| Due { application: application.clone(), key, reminder }));
            }
            if due.is_empty() {
                continue;
            }
            due.sort_by_key(|due| (!due.key.stops_in_use(), due.reminder.due));
            for owner in users::owners(&mut conn, organization.id).await? {
                let mut keys = Vec::new();
                for due in &due {
                    if !reminders::is_sent(&mut conn, owner.id, due.key.key, due.reminder).await? {
                        keys.push(due.clone());
                    }
                }
                if !keys.is_empty() {
                    let organization_name = organization.name.clone();
                    digests.push(Digest { organization: organization.id, organization_name, owner, keys });
                }
            }
        }
        Ok(digests)
    }

    async fn record_reminders(&self, owner: &Owner, keys: &[Due], now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.store.write().await?;
        for due in keys {
            reminders::record(&mut transaction, owner.id, due.key.key, due.reminder, now).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// Sends e-mails until `stop`: reminders, and notifications of Nuvera's actions. A reminder in progress is then
/// abandoned and sent after the next start. Also applies due removals and demotions, and notifies the members
/// concerned.
pub async fn run(
    backend: Arc<Backend>,
    mailer: Arc<Mailer>,
    console_origin: String,
    hub_origin: String,
    stop: CancellationToken,
) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    let mut due = Every::new(backend.clock.clone(), INTERVAL);
    let mut news = Every::new(backend.clock.clone(), NEWS_INTERVAL);
    let mut owner_changes = Every::new(backend.clock.clone(), OWNER_CHANGES_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let reminding = async {
        loop {
            interval.tick().await;
            if owner_changes.is_due() {
                match within(backend.apply_owner_changes()).await {
                    Ok(applied) => {
                        for event in applied {
                            let origin = match event.actor.kind() {
                                ActorKind::Partner => console_origin.clone(),
                                ActorKind::Nuvera => hub_origin.clone(),
                            };
                            let (backend, mailer) = (backend.clone(), mailer.clone());
                            // A mail server that hangs must not delay the other events.
                            tokio::spawn(async move { backend.notify_team(&event, &mailer, &origin).await });
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "removals and demotions of owners could not be looked after and will be tried again");
                    }
                }
            }
            if news.is_due()
                && let Err(error) = within(backend.tell_owners(&mailer, &console_origin)).await
            {
                tracing::warn!(%error, "owners could not be told what Nuvera did; it will be tried again");
            }
            if due.is_due()
                && let Err(error) = within(backend.remind(&mailer, &console_origin)).await
            {
                tracing::warn!(%error, "reminders could not be looked after and will be tried again");
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = reminding => {}
    }
}
