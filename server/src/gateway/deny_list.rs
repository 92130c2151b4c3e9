//! Emergency stops that are in force and not recorded yet.
//!
//! They are checked over every snapshot, so a stop takes effect in memory, before the database is asked for anything, and
//! no reload or change of an application lifts it. Once a stop is recorded the snapshot says the same, and its entry goes.

use arc_swap::ArcSwap;
use domain::{
    id::{ApplicationId, OrganizationId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use uuid::Uuid;

/// What is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenyScope {
    /// One application.
    Application {
        /// The organization that owns it.
        organization: OrganizationId,
        /// The application.
        application: ApplicationId,
    },
    /// All applications of an organization.
    Organization(OrganizationId),
    /// The API key with this prefix.
    ApiKey(String),
    /// All applications that verify requests with the public key of this fingerprint.
    Fingerprint(String),
    /// All applications.
    Everything,
}

impl fmt::Display for DenyScope {
    /// For the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application { application, .. } => write!(f, "application {application}"),
            Self::Organization(organization) => write!(f, "organization {organization}"),
            Self::ApiKey(prefix) => write!(f, "API key {prefix}"),
            Self::Fingerprint(fingerprint) => write!(f, "signing key {fingerprint}"),
            Self::Everything => f.write_str("everything"),
        }
    }
}

/// The stops, read without a lock by every request.
#[derive(Default)]
pub struct DenyList {
    entries: ArcSwap<Entries>,
    /// Held while the entries are replaced.
    changing: Mutex<()>,
}

/// The stops by id, and what they come to.
#[derive(Default)]
struct Entries {
    stops: HashMap<Uuid, (DenyScope, Timestamp)>,
    applications: HashSet<ApplicationId>,
    organizations: HashSet<OrganizationId>,
    /// By prefix: since when.
    api_keys: HashMap<String, Timestamp>,
    fingerprints: HashSet<String>,
    everything: bool,
}

impl Entries {
    fn new(stops: HashMap<Uuid, (DenyScope, Timestamp)>) -> Self {
        let mut entries = Self::default();
        for (scope, at) in stops.values() {
            match scope {
                DenyScope::Application { application, .. } => {
                    entries.applications.insert(*application);
                }
                DenyScope::Organization(organization) => {
                    entries.organizations.insert(*organization);
                }
                DenyScope::ApiKey(prefix) => {
                    entries.api_keys.insert(prefix.clone(), *at);
                }
                DenyScope::Fingerprint(fingerprint) => {
                    entries.fingerprints.insert(fingerprint.clone());
                }
                DenyScope::Everything => entries.everything = true,
            }
        }
        Self { stops, ..entries }
    }
}

impl DenyList {
    /// Puts a stop in force. When this returns, no request that starts later is judged without it.
    pub fn put(&self, id: Uuid, scope: DenyScope, at: Timestamp) {
        self.replace(|stops| {
            stops.insert(id, (scope, at));
        });
    }

    /// Lifts a stop, because the snapshot says the same now.
    pub fn lift(&self, id: Uuid) {
        self.replace(|stops| {
            stops.remove(&id);
        });
    }

    /// Number of stops in force.
    pub fn len(&self) -> usize {
        self.entries.load().stops.len()
    }

    /// Whether no stop is in force.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn replace(&self, change: impl FnOnce(&mut HashMap<Uuid, (DenyScope, Timestamp)>)) {
        // The lock guards no data of its own: a panic of its last holder left the entries as they were.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stops = self.entries.load().stops.clone();
        change(&mut stops);
        self.entries.store(Arc::new(Entries::new(stops)));
    }

    /// Whether an application is stopped that has these signing keys.
    pub(super) fn stops_application<'a>(
        &self,
        application: ApplicationId,
        organization: OrganizationId,
        fingerprints: impl IntoIterator<Item = &'a str>,
    ) -> bool {
        let entries = self.entries.load();
        if entries.stops.is_empty() {
            return false;
        }
        entries.everything
            || entries.applications.contains(&application)
            || entries.organizations.contains(&organization)
            || !entries.fingerprints.is_empty()
                && fingerprints.into_iter().any(|fingerprint| entries.fingerprints.contains(fingerprint))
    }

    /// Whether the signing key with this fingerprint is stopped.
    pub(super) fn stops_signing_key(&self, fingerprint: &str) -> bool {
        let entries = self.entries.load();
        !entries.fingerprints.is_empty() && entries.fingerprints.contains(fingerprint)
    }

    /// Since when the API key with this prefix is stopped, if it is.
    pub(super) fn stops_api_key(&self, prefix: &str) -> Option<Timestamp> {
        let entries = self.entries.load();
        if entries.api_keys.is_empty() { None } else { entries.api_keys.get(prefix).copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1);

    #[test]
    fn each_scope_stops_what_it_names_until_it_is_lifted_and_nothing_else() {
        let application = |number| ApplicationId(Uuid::from_u128(number));
        let organization = |number| OrganizationId(Uuid::from_u128(number));
        let list = DenyList::default();
        let stops = |app, of, key: &str| list.stops_application(application(app), organization(of), [key]);
        assert!(!stops(1, 1, "a"), "the control");
        for (scope, others) in [
            (DenyScope::Application { organization: organization(1), application: application(1) }, [false, false]),
            (DenyScope::Organization(organization(1)), [false, true]),
            (DenyScope::Fingerprint("a".to_owned()), [true, false]),
            (DenyScope::Everything, [true, true]),
        ] {
            let id = Uuid::from_u128(7);
            list.put(id, scope.clone(), AT);
            assert!(stops(1, 1, "a"), "{scope}");
            assert_eq!([stops(2, 2, "a"), stops(2, 1, "b")], others, "{scope}");
            list.lift(id);
            assert!(!stops(1, 1, "a") && list.is_empty(), "{scope}");
        }
        list.put(Uuid::from_u128(1), DenyScope::ApiKey("nvk_1".to_owned()), AT);
        assert_eq!((list.stops_api_key("nvk_1"), list.stops_api_key("nvk_2")), (Some(AT), None));
        assert!(!stops(1, 1, "a"));
    }

    #[test]
    fn of_two_stops_of_the_same_thing_one_stays_when_the_other_is_lifted() {
        let list = DenyList::default();
        list.put(Uuid::from_u128(1), DenyScope::Everything, AT);
        list.put(Uuid::from_u128(2), DenyScope::Everything, AT);
        list.lift(Uuid::from_u128(1));
        let application = ApplicationId(Uuid::nil());
        assert!(list.stops_application(application, OrganizationId(Uuid::nil()), []));
    }
}
