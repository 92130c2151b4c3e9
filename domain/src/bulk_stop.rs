//! Disabling many applications at once, in an emergency.

use crate::{
    application::{ApiApplication, By, Change, ChangeError},
    id::ApplicationId,
    time::Timestamp,
};
use std::collections::HashSet;

/// An application that a bulk disable affects, with the data that its preview shows.
#[derive(Clone, Debug)]
pub struct Stoppable {
    /// The application before the change.
    pub application: ApiApplication,
    /// The display name of its organization.
    pub organization_name: String,
    /// Number of its requests that were accepted in the last hour.
    pub requests: i64,
    /// When any of its keys was last used.
    pub last_used_at: Option<Timestamp>,
}

/// The result of a bulk disable for one application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was disabled.
    Stopped,
    /// It was disabled, but was not enabled or did not exist when the actor viewed the preview.
    StoppedUnseen,
    /// It was already disabled.
    WasDisabled,
}

/// The result of a bulk disable: the changes, and the outcome for every application.
#[derive(Clone, Debug)]
#[must_use = "a stop counts once it is saved"]
pub struct BulkStop {
    /// The changes to save, at most one per application.
    pub changes: Vec<Change>,
    /// The outcome per application, in the order of the input.
    pub fates: Vec<(ApplicationId, Fate)>,
}

/// Disables each of `applications` that is enabled. `seen`: those that the preview showed to the actor as enabled.
///
/// # Errors
/// Never: an application that is already disabled is reported as [`Fate::WasDisabled`].
pub fn stop_all(
    applications: Vec<ApiApplication>,
    seen: &HashSet<ApplicationId>,
    by: By<'_>,
) -> Result<BulkStop, ChangeError> {
    stop_each(applications, seen, |application| match application.disable(by) {
        Err(ChangeError::AlreadyDisabled) => Ok(None),
        change => change.map(Some),
    })
}

/// Disables each of `applications` because their signing key with `fingerprint` was blocked, and retires the key if it
/// is still retiring. `seen`: those that the preview showed to the actor as enabled.
///
/// # Errors
/// As [`ApiApplication::stop_for_blocked_key`].
pub fn stop_signing_key(
    applications: Vec<ApiApplication>,
    fingerprint: &str,
    seen: &HashSet<ApplicationId>,
    by: By<'_>,
) -> Result<BulkStop, ChangeError> {
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

        let silent = stop_all(vec![named(1)], &seen, By { reason: None, ..by }).unwrap();
        let reason_of = |change: &Change| change.events[0].reason.as_ref().map(|why| why.as_str().to_owned());
        assert_eq!(silent.changes.iter().map(reason_of).collect::<Vec<_>>(), [Some(Why::NOT_GIVEN.to_owned())]);
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
    }
}
