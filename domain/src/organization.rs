//! Partner organizations, which Nuvera's admins create, rename, suspend and reinstate.

use crate::{
    application::By,
    audit::{AuditAction, AuditEvent},
    id::OrganizationId,
    text::{Contact, OrganizationName, SupportNote, Why},
    time::Timestamp,
};

/// Data that Nuvera keeps about a partner organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationDetails {
    /// Its name, which its members see as well.
    pub name: OrganizationName,
    /// The person or team that Nuvera's support contacts.
    pub contact: Option<Contact>,
    /// Support note by Nuvera, not visible to the organization's members.
    pub note: Option<SupportNote>,
}

/// The suspension of an organization, during which the gateway rejects every request of its applications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// When it took effect.
    pub at: Timestamp,
    /// The name of the admin who suspended the organization.
    pub by: String,
    /// The reason and the ticket of the suspension.
    pub why: Why,
}

/// A partner organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// The organization's id.
    pub id: OrganizationId,
    /// Its name, contact and note.
    pub details: OrganizationDetails,
    /// Set while it is suspended.
    pub suspension: Option<Suspension>,
    /// Incremented by every change. A change names the version that its author saw.
    pub version: i64,
}

/// An organization after a change, with the audit events to record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a change counts once it is saved"]
pub struct OrganizationChange {
    /// The organization after the change.
    pub organization: Organization,
    /// The audit events, in order.
    pub events: Vec<AuditEvent>,
}

/// Reason why a change of an organization is rejected. The messages are shown to the admin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrganizationError {
    /// Another partner organization has the name.
    #[error("Another partner organization has this name. Choose a different one.")]
    NameTaken,
    /// The new details equal the present ones.
    #[error("Nothing was changed: name, contact and note are the same as before.")]
    Unchanged,
    /// It is already suspended.
    #[error("This organization is already suspended.")]
    AlreadySuspended,
    /// It is not suspended.
    #[error("This organization is not suspended.")]
    NotSuspended,
    /// No reason was given.
    #[error("Enter a reason. It is recorded in the audit history, and the partner can read it.")]
    ReasonNeeded,
    /// No ticket was named.
    #[error("Enter the reference of the support ticket.")]
    TicketNeeded,
}

impl Organization {
    /// Creates an organization.
    pub fn create(id: OrganizationId, details: OrganizationDetails, by: By<'_>) -> OrganizationChange {
        let organization = Self { id, details, suspension: None, version: 0 };
        let event = organization.event(AuditAction::OrganizationCreated, None, None, by);
        OrganizationChange { organization, events: vec![event] }
    }

    /// Changes name, contact and note. The events record that the contact or the note changed but not their content,
    /// because the organization's members can read the history.
    ///
    /// # Errors
    /// [`OrganizationError::Unchanged`]
    pub fn change_details(
        self,
        details: OrganizationDetails,
        by: By<'_>,
    ) -> Result<OrganizationChange, OrganizationError> {
        let before = self.details.clone();
        let organization = Self { details, version: self.version + 1, ..self };
        let now = &organization.details;
        let mut events = Vec::new();
        if now.name != before.name {
            let names = (Some(before.name.to_string()), Some(now.name.to_string()));
            events.push(organization.event(AuditAction::OrganizationRenamed, names.0, names.1, by));
        }
        if (&now.contact, &now.note) != (&before.contact, &before.note) {
            events.push(organization.event(AuditAction::OrganizationDetailsChanged, None, None, by));
        }
        if events.is_empty() {
            Err(OrganizationError::Unchanged)
        } else {
            Ok(OrganizationChange { organization, events })
        }
    }

    /// Suspends the organization.
    ///
    /// # Errors
    /// [`OrganizationError::AlreadySuspended`], [`OrganizationError::ReasonNeeded`],
    /// [`OrganizationError::TicketNeeded`]
    pub fn suspend(self, by: By<'_>) -> Result<OrganizationChange, OrganizationError> {
        if self.suspension.is_some() {
            return Err(OrganizationError::AlreadySuspended);
        }
        let suspension = Suspension { at: by.at, by: by.actor.name.clone(), why: justification(by)? };
        let organization = Self { suspension: Some(suspension), version: self.version + 1, ..self };
        let event =
            organization.event(AuditAction::OrganizationSuspended, Some("active".into()), Some("suspended".into()), by);
        Ok(OrganizationChange { organization, events: vec![event] })
    }

    /// Ends the suspension. The applications return to their state before it.
    ///
    /// # Errors
    /// [`OrganizationError::NotSuspended`], [`OrganizationError::ReasonNeeded`], [`OrganizationError::TicketNeeded`]
    pub fn reinstate(self, by: By<'_>) -> Result<OrganizationChange, OrganizationError> {
        if self.suspension.is_none() {
            return Err(OrganizationError::NotSuspended);
        }
        justification(by)?;
        let organization = Self { suspension: None, version: self.version + 1, ..self };
        let event = organization.event(
            AuditAction::OrganizationReinstated,
            Some("suspended".into()),
            Some("active".into()),
            by,
        );
        Ok(OrganizationChange { organization, events: vec![event] })
    }

    fn event(&self, action: AuditAction, before: Option<String>, after: Option<String>, by: By<'_>) -> AuditEvent {
        AuditEvent {
            at: by.at,
            actor: by.actor.into(),
            organization_id: self.id,
            application_id: None,
            action,
            target: self.details.name.to_string(),
            before,
            after,
            reason: by.reason.cloned(),
        }
    }
}

fn justification(by: By<'_>) -> Result<Why, OrganizationError> {
    let why = by.reason.cloned().ok_or(OrganizationError::ReasonNeeded)?;
    if why.ticket.is_none() { Err(OrganizationError::TicketNeeded) } else { Ok(why) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{self, START},
        text::{Reason, TicketReference},
    };
    use uuid::Uuid;

    fn details(name: &str, note: Option<&str>) -> OrganizationDetails {
        OrganizationDetails {
            name: OrganizationName::new(name).unwrap(),
            contact: Contact::new("Ada, ada@acme.example").ok(),
            note: note.map(|note| SupportNote::new(note).unwrap()),
        }
    }

    fn acme() -> Organization {
        let actor = fixtures::actor();
        let id = OrganizationId(Uuid::from_u128(7));
        let created = Organization::create(id, details("Acme", None), By { actor: &actor, at: START, reason: None });
        assert_eq!(created.events[0].organization_id, id, "recorded in the new organization");
        created.organization
    }

    #[test]
    fn a_suspension_and_its_end_need_a_reason_and_a_ticket() {
        let actor = fixtures::actor();
        let reason = Why::from(Reason::new("Unpaid since March").unwrap());
        let why = Why { ticket: TicketReference::new("SUP-1").ok(), ..reason.clone() };
        let by = |reason| By { actor: &actor, at: START, reason };
        assert_eq!(acme().suspend(by(None)), Err(OrganizationError::ReasonNeeded));
        assert_eq!(acme().suspend(by(Some(&reason))), Err(OrganizationError::TicketNeeded));
        assert_eq!(acme().reinstate(by(Some(&why))), Err(OrganizationError::NotSuspended));

        let suspended = acme().suspend(by(Some(&why))).unwrap();
        assert_eq!(suspended.events[0].reason.as_ref(), Some(&why));
        let suspended = suspended.organization;
        assert_eq!(suspended.suspension.as_ref().map(|suspension| &suspension.why), Some(&why));
        assert_eq!(suspended.clone().suspend(by(Some(&why))), Err(OrganizationError::AlreadySuspended));
        assert_eq!(suspended.clone().reinstate(by(Some(&reason))), Err(OrganizationError::TicketNeeded));
        let reinstated = suspended.reinstate(by(Some(&why))).unwrap().organization;
        assert_eq!((reinstated.suspension, reinstated.version), (None, 2));
    }

    #[test]
    fn the_history_has_the_names_and_not_the_note() {
        let actor = fixtures::actor();
        let by = By { actor: &actor, at: START, reason: None };
        assert_eq!(acme().change_details(details("Acme", None), by), Err(OrganizationError::Unchanged));
        let changed = acme().change_details(details("Acme AG", Some("Pays late")), by).unwrap();
        let actions: Vec<_> = changed.events.iter().map(|event| event.action).collect();
        assert_eq!(actions, [AuditAction::OrganizationRenamed, AuditAction::OrganizationDetailsChanged]);
        assert_eq!(changed.events[0].before.as_deref(), Some("Acme"));
        assert_eq!(changed.events[0].after.as_deref(), Some("Acme AG"));
        assert!(!format!("{:?}", changed.events).contains("Pays late"));
    }
}
