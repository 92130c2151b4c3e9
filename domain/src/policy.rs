//! An organization's policies: rules that everybody there is held to, and that its owners decide on.
//!
//! Each policy is read, changed and recorded in the same way, whatever it rules: see [`Rules`].

use crate::{
    application::By,
    audit::{AuditAction, AuditEvent},
};
use std::fmt;

/// What a policy rules; its words are for the audit history and for people.
pub trait Rules: Copy + Default + PartialEq + fmt::Display {
    /// What the policy is called, in the midst of a sentence.
    const NAME: &'static str;
    /// What the history calls a change of it.
    const CHANGED: AuditAction;
}

/// An organization's policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy<R> {
    /// What it rules.
    pub rules: R,
    /// Counts its changes: a change is made to the version that somebody saw, or refused. 0: nobody has changed it yet.
    pub version: i64,
}

/// A policy after a change, and the event that is recorded with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a change counts once it is saved"]
pub struct PolicyChange<R> {
    /// The policy as it is now.
    pub policy: Policy<R>,
    /// What is recorded.
    pub event: AuditEvent,
}

/// The policy of this name is already as somebody wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The {0} is unchanged.")]
pub struct PolicyUnchanged(pub &'static str);

impl<R: Rules> Policy<R> {
    /// Gives the actor's organization other rules.
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
