//! An organization's security policy: whether its members need a second factor, and whether Nuvera's changes need its
//! confirmation.

use crate::{
    audit::AuditAction,
    policy::{Policy, Rules},
};
use std::fmt;

/// The rules of a security policy. By default nothing is required.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecurityRules {
    /// Every member of the organization must sign in with a second factor.
    pub second_factor_required: bool,
    /// Changes of permissions and signing keys by Nuvera need the confirmation of a member of the organization.
    pub nuvera_changes_need_confirmation: bool,
}

impl Rules for SecurityRules {
    const NAME: &'static str = "security policy";
    const CHANGED: AuditAction = AuditAction::SecurityPolicyChanged;
}

impl fmt::Display for SecurityRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.second_factor_required {
            "everybody needs a second factor; "
        } else {
            "a second factor is everybody’s own choice; "
        })?;
        f.write_str(if self.nuvera_changes_need_confirmation {
            "Nuvera’s changes of permissions and signing keys wait for confirmation"
        } else {
            "Nuvera’s changes of permissions and signing keys count at once"
        })
    }
}

/// An organization's security policy.
pub type SecurityPolicy = Policy<SecurityRules>;

impl SecurityPolicy {
    /// Whether members of the organization must have a second factor.
    pub fn requires_second_factor(&self) -> bool {
        self.rules.second_factor_required
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{application::By, fixtures, policy::PolicyUnchanged};

    #[test]
    fn a_change_says_how_it_was_and_how_it_is() {
        let actor = fixtures::actor();
        let by = By { actor: &actor, at: fixtures::START, reason: None };
        let policy = SecurityPolicy::default();
        assert!(!policy.requires_second_factor());
        assert_eq!(policy.change(policy.rules, by), Err(PolicyUnchanged("security policy")));
        let strict = SecurityRules { second_factor_required: true, nuvera_changes_need_confirmation: true };
        let change = policy.change(strict, by).unwrap();
        assert!(change.policy.requires_second_factor());
        assert_eq!((change.policy.version, change.event.action), (1, AuditAction::SecurityPolicyChanged));
        assert!(
            change.event.before.unwrap().contains("own choice; Nuvera’s changes of permissions and signing keys count")
        );
        assert!(
            change
                .event
                .after
                .unwrap()
                .contains("everybody needs a second factor; Nuvera’s changes of permissions and signing keys wait")
        );
    }
}
