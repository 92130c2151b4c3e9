//! What Nuvera did to an organization's applications, as the organization is told of it: from the audit history, until
//! somebody there says that they have seen it.

use crate::{
    application::By,
    audit::{AuditAction, AuditEvent, RecordedEvent},
    id::ApplicationId,
    text::ApplicationName,
    time::Timestamp,
};

/// What Nuvera does that changes nothing yet: it waits for somebody of the partner's, and is told where they answer it.
pub const ONLY_ASKED: [AuditAction; 6] = [
    AuditAction::ReplacementPrepared,
    AuditAction::ReplacementWithdrawn,
    AuditAction::ChangeProposed,
    AuditAction::ChangeWithdrawn,
    AuditAction::ChangeExpired,
    AuditAction::SupportSeen,
];

/// Who of the partner's has seen what Nuvera did to an application, up to which event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The last event that they have seen.
    pub sequence: i64,
    /// By whom.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What is recorded when somebody has seen `events`, which are one application's.
pub fn seen(application: ApplicationId, name: &ApplicationName, events: &[&RecordedEvent], by: By<'_>) -> AuditEvent {
    let mut labels: Vec<_> = events.iter().map(|recorded| recorded.event.action.label()).collect();
    labels.dedup();
    AuditEvent {
        at: by.at,
        actor: by.actor.into(),
        organization_id: by.actor.organization_id,
        application_id: Some(application),
        action: AuditAction::SupportSeen,
        target: name.to_string(),
        before: None,
        after: Some(labels.join(", ")),
        reason: None,
    }
}
