//! The notices to an organization about what Nuvera changed in its applications. They are derived from the audit
//! history, and shown until a member acknowledges them.

use crate::{
    application::By,
    audit::{AuditAction, AuditEvent, RecordedEvent},
    id::ApplicationId,
    text::ApplicationName,
    time::Timestamp,
};

/// Actions of Nuvera that change nothing by themselves. They await the partner's answer and are shown where it is
/// given.
pub const ONLY_ASKED: [AuditAction; 6] = [
    AuditAction::ReplacementPrepared,
    AuditAction::ReplacementWithdrawn,
    AuditAction::ChangeProposed,
    AuditAction::ChangeWithdrawn,
    AuditAction::ChangeExpired,
    AuditAction::SupportSeen,
];

/// The acknowledgement of Nuvera's changes to an application by a user of the partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The sequence number of the last event that was acknowledged.
    pub sequence: i64,
    /// Name of the user who acknowledged it.
    pub by: String,
    /// The time of the acknowledgement.
    pub at: Timestamp,
}

/// Returns the event to record when a user acknowledges `events`, all of one application.
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
