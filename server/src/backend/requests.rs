//! The request log and the traffic of an application's keys.

use super::{ApplicationUsage, Asked, Backend, BackendError, authorise};
use crate::store::{StoreError, requests, traffic};
use domain::{
    access::Operation,
    cut_over::{Traffic, WATCHED},
    hygiene::{KeyHygiene, RotationRules},
    id::{ApiKeyId, ApplicationId, RequestId, SigningKeyId},
    request::{KEPT_FOR, RequestFilter, SeenRequest},
    time::Timestamp,
};
use sqlx::AnyConnection;
use std::{collections::HashMap, time::Duration};

/// Number of minutes of an application's traffic that are shown.
const SHOWN_MINUTES: i64 = 60;

/// Recent traffic of an application's keys. Keys without traffic are absent.
pub struct KeyTraffic {
    /// Traffic by API key.
    pub api_keys: HashMap<ApiKeyId, Traffic>,
    /// Traffic by signing key.
    pub signing_keys: HashMap<SigningKeyId, Traffic>,
}

/// Reads the traffic of an application's keys in the last [`SHOWN_MINUTES`].
async fn key_traffic(
    conn: &mut AnyConnection,
    application: ApplicationId,
    now: Timestamp,
) -> Result<KeyTraffic, StoreError> {
    let since = Traffic::minute(now) + 1 - SHOWN_MINUTES;
    Ok(KeyTraffic {
        api_keys: traffic::of_api_keys(conn, application, since).await?,
        signing_keys: traffic::of_signing_keys(conn, application, since).await?,
    })
}

/// Assesses the usable keys of an application. A key that expires soon and was used recently is judged by its traffic,
/// as on the cut-over meter.
pub(super) async fn hygiene(
    conn: &mut AnyConnection,
    used: &ApplicationUsage,
    rules: RotationRules,
    now: Timestamp,
) -> Result<Vec<KeyHygiene>, StoreError> {
    let mut hygiene = used.hygiene(rules, now);
    if hygiene.iter().any(KeyHygiene::stops_in_use) {
        used.judge_by_traffic(&mut hygiene, &key_traffic(conn, used.application.id, now).await?, now);
    }
    Ok(hygiene)
}

impl Backend {
    /// As [`hygiene`], for each of an organization's `applications`, as already loaded.
    ///
    /// # Errors
    /// The database fails.
    pub async fn hygiene(
        &self,
        applications: Vec<ApplicationUsage>,
        rules: RotationRules,
    ) -> Result<Vec<(ApplicationUsage, Vec<KeyHygiene>)>, BackendError> {
        let now = self.clock.now();
        let mut conn = self.store.read().await?;
        let mut assessed = Vec::with_capacity(applications.len());
        for used in applications {
            let hygiene = hygiene(&mut conn, &used, rules, now).await?;
            assessed.push((used, hygiene));
        }
        Ok(assessed)
    }

    /// Deletes logged requests and traffic that have exceeded their retention.
    ///
    /// # Errors
    /// The database fails.
    pub async fn purge_requests(&self) -> Result<(), BackendError> {
        let now = self.clock.now();
        let before = |kept: Duration| Timestamp::from_millis(now.as_millis() - kept.as_millis() as i64);
        let mut transaction = self.store.write().await?;
        requests::purge(&mut transaction, before(KEPT_FOR)).await?;
        traffic::purge(&mut transaction, Traffic::minute(before(WATCHED))).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// The newest `limit` requests of an application, up to now; with `before`, only those that precede the request
    /// with that id.
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn requests(
        &self,
        asked: Asked<'_>,
        filter: RequestFilter,
        before: Option<RequestId>,
        limit: i64,
    ) -> Result<Vec<SeenRequest>, BackendError> {
        let Asked { organization, application, .. } = asked;
        self.application(asked, Operation::ViewApplications).await?;
        self.bring_requests_up_to_date().await;
        let mut conn = self.store.read().await?;
        Ok(requests::of_application(&mut conn, organization, application, filter, before, limit).await?)
    }

    /// The traffic of an application's keys per minute. The current, incomplete minute is the last of
    /// [`SHOWN_MINUTES`].
    ///
    /// # Errors
    /// Not allowed, not found, or the database fails.
    pub async fn traffic(&self, asked: Asked<'_>) -> Result<KeyTraffic, BackendError> {
        let id = self.application(asked, Operation::ViewApplications).await?.id;
        let mut conn = self.store.read().await?;
        Ok(key_traffic(&mut conn, id, self.clock.now()).await?)
    }

    /// The request `id` of an application.
    ///
    /// # Errors
    /// Not allowed, not found (or no longer kept), or the database fails.
    pub async fn request(&self, asked: Asked<'_>, id: RequestId) -> Result<SeenRequest, BackendError> {
        let Asked { organization, application, .. } = asked;
        self.application(asked, Operation::ViewApplications).await?;
        self.bring_requests_up_to_date().await;
        let mut conn = self.store.read().await?;
        requests::find(&mut conn, organization, application, id).await?.ok_or(BackendError::NotFound)
    }

    /// A counter that changes with every request to an application and every change of it.
    ///
    /// # Errors
    /// Not allowed, or not found.
    pub fn activity(&self, asked: Asked<'_>) -> Result<u64, BackendError> {
        authorise(asked.actor, asked.organization, Operation::ViewApplications)?;
        let activity = self.gateway.snapshot().activity(asked.organization, asked.application);
        activity.ok_or(BackendError::NotFound)
    }
}
