//! Pages on which Nuvera's admins manage partner organizations.

use super::{
    people::mail_invitation,
    submitted::{Refused, Submitted},
    visit::{Visit, redirect},
};
use crate::{
    backend::{
        BackendError,
        bulk_stop::StopScope,
        partners::{CreatedPartner, FirstOwner, PartnerRecord},
    },
    mail::{Mail, quoted},
};
use app::{
    page::{FieldError, Notice, Page},
    paths::{Area, Place},
};
use axum::response::{IntoResponse, Redirect, Response};
use domain::{
    access::{Operation, allows},
    organization::OrganizationDetails,
    people::{Invitation, PeopleError},
    text::{Contact, EmailAddress, OrganizationName, PersonName, SupportNote, TextError, Why},
};

fn create_page(visit: &Visit) -> Result<Page, BackendError> {
    may_manage(visit)?;
    Ok(Page::NewOrganization)
}

/// Shows the form that creates a partner organization.
pub async fn create_form(visit: Visit) -> Response {
    visit.answer(create_page(&visit)).await
}

/// Creates a partner organization, and invites its first owner if the form names one.
pub async fn create(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        may_manage(&visit)?;
        sent.check()?;
        let mut errors = Vec::new();
        let details = read_details(&sent, &mut errors);
        let names_owner = ["owner_name", "owner_email"].iter().any(|field| !sent.text(field).trim().is_empty());
        let owner = if names_owner { read_owner(&sent, &mut errors).map(Some) } else { Some(None) };
        let (Some(details), Some(owner)) = (details, owner) else { return Err(Refused::Fields(errors)) };
        visit.web.backend.create_partner(&visit.actor, details, owner).await.map_err(at_its_field)
    };
    let CreatedPartner { organization, invitation } = match result.await {
        Ok(created) => created,
        Err(refused) => return visit.show_again(refused, sent, async || create_page(&visit)).await,
    };
    let name = organization.details.name.to_string();
    let notice = match invitation {
        Some((invitation, token)) => invited(&visit, &name, &invitation, token.reveal()).await,
        None => Notice::OrganizationCreated,
    };
    redirect(&Place::Hub { organization: organization.id, name }.manage(), notice)
}

async fn manage_page(visit: &Visit) -> Result<Page, BackendError> {
    let found = visit.web.backend.partner(&visit.actor, visit.organization()).await?;
    let PartnerRecord { organization, has_members, invitations } = found;
    Ok(Page::ManageOrganization { organization, has_members, invitations })
}

/// Shows the page on which an organization is managed.
pub async fn manage_form(visit: Visit) -> Response {
    visit.answer(manage_page(&visit).await).await
}

/// Changes the organization's name, contact and note.
pub async fn change(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        may_manage(&visit)?;
        let seen_version = sent.seen_version()?;
        let mut errors = Vec::new();
        let details = read_details(&sent, &mut errors).ok_or(Refused::Fields(errors))?;
        let backend = &visit.web.backend;
        backend.change_partner(&visit.actor, visit.organization(), seen_version, details).await.map_err(at_its_field)
    };
    match result.await {
        Ok(()) => redirect(&visit.place.manage(), Notice::OrganizationChanged),
        Err(refused) => visit.show_again(refused, sent, async || manage_page(&visit).await).await,
    }
}

/// Invites the organization's first owner.
pub async fn invite_owner(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        may_manage(&visit)?;
        sent.check()?;
        let mut errors = Vec::new();
        let owner = read_owner(&sent, &mut errors).ok_or(Refused::Fields(errors))?;
        let backend = &visit.web.backend;
        backend.invite_first_owner(&visit.actor, visit.organization(), owner).await.map_err(at_its_field)
    };
    match (result.await, &visit.place) {
        (Ok((invitation, token)), Place::Hub { name, .. }) => {
            redirect(&visit.place.manage(), invited(&visit, name, &invitation, token.reveal()).await)
        }
        (Ok(_), Place::Settings | Place::Nuvera) => visit.answer(Err(BackendError::NotFound)).await,
        (Err(refused), _) => visit.show_again(refused, sent, async || manage_page(&visit).await).await,
    }
}

/// Mails the link to an invited first owner, and returns the notice with the result.
async fn invited(visit: &Visit, organization: &str, invitation: &Invitation, token: &str) -> Notice {
    match mail_invitation(visit, Area::Partner, organization, invitation, token).await {
        true => Notice::OwnerInvited,
        false => Notice::OwnerNotMailed,
    }
}

async fn suspend_page(visit: &Visit) -> Result<Page, BackendError> {
    may_manage(visit)?;
    let (backend, organization) = (&visit.web.backend, visit.organization());
    let (applications, _) = backend.stop_preview(&visit.actor, StopScope::Organization(organization)).await?;
    let organization = backend.partner(&visit.actor, organization).await?.organization;
    Ok(Page::SuspendOrganization { organization, applications })
}

/// Shows the confirmation form for suspending the organization, with its applications.
pub async fn suspend_form(visit: Visit) -> Response {
    visit.answer(suspend_page(&visit).await).await
}

/// Suspends the organization.
pub async fn suspend(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let (seen_version, why) = (sent.seen_version()?, sent.why()?);
        let backend = &visit.web.backend;
        backend.suspend_partner(&visit.actor, visit.organization(), seen_version, why.as_ref()).await?;
        notify_owners(&visit, Notice::OrganizationSuspended, why.as_ref());
        Ok(())
    };
    match result.await {
        Ok(()) => redirect(&visit.place.manage(), Notice::OrganizationSuspended),
        Err(refused) => visit.show_again(refused, sent, async || suspend_page(&visit).await).await,
    }
}

async fn reinstate_page(visit: &Visit) -> Result<Page, BackendError> {
    may_manage(visit)?;
    let found = visit.web.backend.partner(&visit.actor, visit.organization()).await?;
    Ok(Page::ReinstateOrganization { organization: found.organization })
}

/// Shows the confirmation form for reinstating the organization.
pub async fn reinstate_form(visit: Visit) -> Response {
    visit.answer(reinstate_page(&visit).await).await
}

/// Reinstates the organization.
pub async fn reinstate(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let (seen_version, why) = (sent.seen_version()?, sent.why()?);
        let backend = &visit.web.backend;
        backend.reinstate_partner(&visit.actor, visit.organization(), seen_version, why.as_ref()).await?;
        notify_owners(&visit, Notice::OrganizationReinstated, why.as_ref());
        Ok(())
    };
    match result.await {
        Ok(()) => redirect(&visit.place.manage(), Notice::OrganizationReinstated),
        Err(refused) => visit.show_again(refused, sent, async || reinstate_page(&visit).await).await,
    }
}

/// Redirects a GET on a POST-only route to the management page.
pub async fn back(visit: Visit) -> Response {
    Redirect::to(&visit.place.manage()).into_response()
}

/// Rejects users who may not manage organizations before their form is validated.
fn may_manage(visit: &Visit) -> Result<(), BackendError> {
    let is_allowed = allows(visit.actor.role, Operation::ManageOrganizations);
    if is_allowed { Ok(()) } else { Err(BackendError::Forbidden) }
}

/// Mails the organization's owners that it was suspended or reinstated, in the background.
fn notify_owners(visit: &Visit, what: Notice, why: Option<&Why>) {
    let (subject, happened) = match what {
        Notice::OrganizationSuspended => (
            "Your organization at Nuvera was suspended",
            "was suspended. The gateway refuses every request of its API applications until it is reinstated",
        ),
        _ => (
            "Your organization at Nuvera was reinstated",
            "was reinstated. Its API applications work as before the suspension",
        ),
    };
    let name = match &visit.place {
        Place::Hub { name, .. } => quoted(name),
        Place::Settings | Place::Nuvera => "Your organization".to_owned(),
    };
    let at = visit.web.backend.clock().now();
    let body = format!(
        "Hello,\n\n{name} {happened}.\n\n  By:     {}, for Nuvera\n  When:   {at}\n  Reason: {}\n\n\
         If you have questions, contact Nuvera support. What was done is in the audit history:\n\n  {}{}\n",
        quoted(&visit.actor.name),
        why.map(|why| quoted(&why.to_string())).unwrap_or_default(),
        visit.web.origin(Area::Partner),
        Place::Settings.audit(),
    );
    let (backend, mailer, organization) = (visit.web.backend.clone(), visit.web.mailer.clone(), visit.organization());
    tokio::spawn(async move {
        let owners = match backend.managers(organization).await {
            Ok(owners) => owners,
            Err(error) => {
                tracing::warn!(%organization, %error, subject, "the owners could not be notified");
                return;
            }
        };
        for owner in owners {
            let mail = Mail { to: &owner.email, subject: subject.to_owned(), body: body.clone(), at };
            if let Err(error) = mailer.send(mail).await {
                tracing::warn!(%organization, user = %owner.id, %error, subject, "an owner could not be notified");
            }
        }
    });
}

/// Reads name, contact and note, and adds errors in them to `errors`.
fn read_details(sent: &Submitted, errors: &mut Vec<FieldError>) -> Option<OrganizationDetails> {
    let name = read(sent, "name", OrganizationName::new, errors);
    let contact = read_optional(sent, "contact", Contact::new, errors);
    let note = read_optional(sent, "note", SupportNote::new, errors);
    Some(OrganizationDetails { name: name?, contact: contact?, note: note? })
}

/// Reads the owner to invite, and adds errors in the fields to `errors`.
fn read_owner(sent: &Submitted, errors: &mut Vec<FieldError>) -> Option<FirstOwner> {
    let name = read(sent, "owner_name", PersonName::new, errors);
    let email = read(sent, "owner_email", EmailAddress::new, errors);
    Some(FirstOwner { name: name?, email: email? })
}

fn read<T, E: ToString>(
    sent: &Submitted,
    field: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    parse(sent.text(field)).map_err(|error| errors.push(FieldError { field, message: error.to_string() })).ok()
}

fn read_optional<T>(
    sent: &Submitted,
    field: &'static str,
    parse: impl Fn(&str) -> Result<T, TextError>,
    errors: &mut Vec<FieldError>,
) -> Option<Option<T>> {
    let optional = |text: &str| match parse(text) {
        Err(TextError::Missing(_)) => Ok(None),
        parsed => parsed.map(Some),
    };
    read(sent, field, optional, errors)
}

/// Attaches an error about the owner's address to its field, whose name differs from other forms.
fn at_its_field(error: BackendError) -> Refused {
    match error {
        BackendError::People(PeopleError::EmailTaken) => Refused::field("owner_email", error),
        error => error.into(),
    }
}
