//! Disabling many applications at once, in an emergency.

use crate::{
    application::{ApiApplication, By, Change, ChangeError},
    id::ApplicationId,
    time::Timestamp,
};
use std::collections::HashSet;

/// An application that is stopped with others, and what that would mean.
#[derive(Clone, Debug)]
pub struct Stoppable {
    /// The application.
    pub application: ApiApplication,
    /// What its organization is called.
    pub organization_name: String,
    /// How many of its requests were accepted in the last hour.
    pub requests: i64,
    /// When one of its keys was last used.
    pub last_used_at: Option<Timestamp>,
}

/// What became of each application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is stopped now.
    Stopped,
    /// It is stopped now, and did not run, or was not there, when the person looked at what would be stopped.
    StoppedUnseen,
    /// It had been disabled before.
    WasDisabled,
}

/// Every application that is stopped, and those that had been before.
#[derive(Clone, Debug)]
#[must_use = "a stop counts once it is saved"]
pub struct BulkStop {
    /// The changes, one an application.
    pub changes: Vec<Change>,
    /// What became of each, in the order that they came in.
    pub fates: Vec<(ApplicationId, Fate)>,
}

/// Disables each of `applications` that is not disabled yet. `seen`: those that the person saw running.
///
/// # Errors
/// [`ChangeError::ReasonNeeded`]
pub fn stop_all(
    applications: Vec<ApiApplication>,
    seen: &HashSet<ApplicationId>,
    by: By<'_>,
) -> Result<BulkStop, ChangeError> {
    if by.reason.is_none() {
        return Err(ChangeError::ReasonNeeded);
    }
    stop_each(applications, seen, |application| match application.disable(by) {
        Err(ChangeError::AlreadyDisabled) => Ok(None),
        change => change.map(Some),
    })
}

/// Disables each of `applications` because their signing key with `fingerprint` was blocked, and retires the key where it is
/// retiring. `seen`: those that the actor saw running.
///
/// # Errors
/// [`ChangeError::ReasonNeeded`]
pub fn stop_signing_key(
    applications: Vec<ApiApplication>,
    fingerprint: &str,
    seen: &HashSet<ApplicationId>,
    by: By<'_>,
) -> Result<BulkStop, ChangeError> {
    if by.reason.is_none() {
        return Err(ChangeError::ReasonNeeded);
    }
    stop_each(applications, seen, |application| application.stop_for_blocked_key(fingerprint, by))
}

fn stop_each(
    applications: Vec<ApiApplication>,
    seen: &HashSet<ApplicationId>,
    stop_one: impl Fn(ApiApplication) -> Result<Option<Change>, ChangeError>,
) -> Result<BulkStop, ChangeError> {
    let mut stop = BulkStop { changes: Vec::new(), fates: Vec::new() };
    for application in applications {
        let (id, was_enabled) = (application.id, application.is_enabled());
        stop.changes.extend(stop_one(application)?);
        let fate = match (was_enabled, seen.contains(&id)) {
            (false, _) => Fate::WasDisabled,
            (true, true) => Fate::Stopped,
            (true, false) => Fate::StoppedUnseen,
        };
        stop.fates.push((id, fate));
    }
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::AuditAction,
        fixtures::{START, actor, application},
        text::{Reason, Why},
    };
    use uuid::Uuid;

    #[test]
    fn each_is_stopped_with_its_own_event_and_what_was_stopped_stays_as_it_was() {
        let actor = actor();
        let reason = Why::from(Reason::new("leaked").unwrap());
        let by = By { actor: &actor, at: START, reason: Some(&reason) };
        let named = |number| ApiApplication { id: ApplicationId(Uuid::from_u128(number)), ..application() };
        let disabled = named(2).disable(by).unwrap().application;
        let seen = HashSet::from([named(1).id]);
        let applications = vec![named(1), disabled.clone(), named(3)];

        let silent = stop_all(applications.clone(), &seen, By { reason: None, ..by });
        assert_eq!(silent.unwrap_err(), ChangeError::ReasonNeeded);
        let stop = stop_all(applications, &seen, by).unwrap();
        let fates: Vec<_> = stop.fates.iter().map(|(_, fate)| *fate).collect();
        assert_eq!(fates, [Fate::Stopped, Fate::WasDisabled, Fate::StoppedUnseen]);
        assert_eq!(stop.changes.len(), 2);
        for change in stop.changes {
            assert!(!change.application.is_enabled());
            assert_eq!(change.events.len(), 1);
            assert_eq!(change.events[0].action, AuditAction::ApplicationDisabled);
            assert_eq!(change.events[0].application_id, Some(change.application.id));
            assert_eq!(change.events[0].reason.as_ref(), Some(&reason));
        }
        assert_eq!(stop_all(Vec::new(), &seen, By { reason: None, ..by }).unwrap_err(), ChangeError::ReasonNeeded);
    }
}
