//! An organization's policies: rules that apply to all of its members and that its owners manage.
//!
//! All policies are loaded, changed and recorded in the same way: see [`Rules`].

use crate::{
    application::By,
    audit::{AuditAction, AuditEvent},
};
use std::fmt;

/// The rules of a policy. `Display` describes them in the audit history and the console.
pub trait Rules: Copy + Default + PartialEq + fmt::Display {
    /// The policy's name for use within a sentence.
    const NAME: &'static str;
    /// The action that records a change of the policy.
    const CHANGED: AuditAction;
}

/// An organization's policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy<R> {
    /// The current rules.
    pub rules: R,
    /// Incremented by every change; 0 if it has never been changed. A change is rejected if the version that the actor
    /// saw is outdated.
    pub version: i64,
}

/// A policy after a change, with the audit event to record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a change counts once it is saved"]
pub struct PolicyChange<R> {
    /// The policy after the change.
    pub policy: Policy<R>,
    /// The audit event to record.
    pub event: AuditEvent,
}

/// The new rules of the policy of this name equal the present ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The {0} is unchanged.")]
pub struct PolicyUnchanged(pub &'static str);

impl<R: Rules> Policy<R> {
    /// Replaces the rules of the actor's organization.
    ///
    /// # Errors
    /// [`PolicyUnchanged`]
    pub fn change(self, rules: R, by: By<'_>) -> Result<PolicyChange<R>, PolicyUnchanged> {
        if rules == self.rules {
            return Err(PolicyUnchanged(R::NAME));
        }
        let event = AuditEvent {
            at: by.at,
            actor: by.actor.into(),
            organization_id: by.actor.organization_id,
            application_id: None,
            action: R::CHANGED,
            target: by.actor.organization_name.clone(),
            before: Some(self.rules.to_string()),
            after: Some(rules.to_string()),
            reason: by.reason.cloned(),
        };
        Ok(PolicyChange { policy: Self { rules, version: self.version + 1 }, event })
    }
}
