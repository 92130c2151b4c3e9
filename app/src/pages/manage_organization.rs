//! Pages with which Nuvera manages partner organizations: details, invitation of the first owner, and suspension.

use crate::{
    paths,
    ui::{
        Actions, ButtonLink, Card, Consequences, Fact, Facts, Form, Input, ReasonField, Submit, TextAreaField,
        TextField, Time, Variant, Why, may, place, requests,
    },
};
use domain::{
    access::Operation,
    bulk_stop::Stoppable,
    organization::{Organization, OrganizationDetails, Suspension},
    people::Invitation,
    text::{Contact, OrganizationName, SupportNote},
};
use leptos::prelude::*;

pub(super) fn create(title: String) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "A partner organization owns API applications. Its first owner invites its other members.")}
        <Form action=paths::NEW_ORGANIZATION>
            {details_fields(None)}
            <fieldset class="form">
                <legend class="field__label">"First owner" <span class="field__optional">" (optional)"</span></legend>
                <p class="field__hint">"You can also invite the owner later, under Manage organization."</p>
                {owner_fields()}
            </fieldset>
            <Actions>
                <Submit variant=Variant::Primary text="Create organization" />
                <a class="button button--plain" href=paths::ORGANIZATION_HUB>"Cancel"</a>
            </Actions>
        </Form>
    }
}

fn details_fields(details: Option<&OrganizationDetails>) -> impl IntoView + use<> {
    let name = details.map(|details| details.name.to_string()).unwrap_or_default();
    let contact = details.and_then(|details| details.contact.as_ref()).map(Contact::to_string).unwrap_or_default();
    let note = details.and_then(|details| details.note.as_ref()).map(SupportNote::to_string).unwrap_or_default();
    view! {
        <TextField
            name="name"
            label="Name"
            hint=format!("The partner sees it too. At most {} characters.", OrganizationName::MAX_CHARACTERS)
            value=name
        />
        <TextField
            name="contact"
            label="Contact"
            hint="Whom Nuvera support contacts there: a name, an e-mail address, a phone number."
            value=contact
            optional=true
        />
        <TextAreaField
            name="note"
            label="Support note"
            hint="Only Nuvera’s users see it. Never put a key in it."
            value=note
        />
    }
}

fn owner_fields() -> impl IntoView + use<> {
    view! {
        <TextField name="owner_name" label="Owner’s name" autocomplete="off" />
        <TextField
            name="owner_email"
            label="Owner’s e-mail address"
            hint="They receive a link by mail, choose a password with it within 72 hours, and are the organization’s owner."
            input=Input::Email
        />
    }
}

pub(super) fn manage(
    title: String,
    organization: &Organization,
    has_members: bool,
    invitations: &[Invitation],
) -> impl IntoView + use<> {
    let details = &organization.details;
    let form = if may(Operation::ManageOrganizations) {
        view! {
            <Form action=place().manage() version=organization.version>
                {details_fields(Some(details))}
                <Actions>
                    <Submit variant=Variant::Primary text="Save" />
                    <a class="button button--plain" href=place().applications()>"Cancel"</a>
                </Actions>
            </Form>
        }
        .into_any()
    } else {
        let none = || "None".to_owned();
        view! {
            <Facts>
                <Fact term="Name">{details.name.to_string()}</Fact>
                <Fact term="Contact">{details.contact.as_ref().map_or_else(none, Contact::to_string)}</Fact>
                <Fact term="Support note">
                    <span class="pre-line">{details.note.as_ref().map_or_else(none, SupportNote::to_string)}</span>
                </Fact>
            </Facts>
        }
        .into_any()
    };
    view! {
        {super::heading(title, "")}
        {organization.suspension.as_ref().map(suspension)}
        {(!has_members).then(|| first_owner(invitations))}
        <Card id="details" heading="Details">{form}</Card>
        {organization.suspension.is_none().then(not_suspended)}
    }
}

/// Card for an organization without members: its open invitations, and the form that invites its first owner.
fn first_owner(invitations: &[Invitation]) -> impl IntoView + use<> {
    let open = invitations.iter().map(|invitation| {
        view! {
            <p>
                {format!("{} ({}), invited by {}, until ", invitation.name, invitation.email, invitation.invited_by)}
                <Time at=invitation.expires_at />
            </p>
        }
    });
    let (lead, button) = match invitations.is_empty() {
        true => ("No one can sign in for this organization yet.", "Invite owner"),
        false => (
            "The invitation below is open. Inviting again replaces it: the link before it stops working.",
            "Invite again",
        ),
    };
    let form = may(Operation::ManageOrganizations).then(|| {
        view! {
            <Form action=place().manage_action("invite-owner")>
                {owner_fields()}
                <Actions><Submit variant=Variant::Primary text=button /></Actions>
            </Form>
        }
    });
    view! { <Card id="owner" heading="First owner" lead=lead>{open.collect_view()} {form}</Card> }
}

fn suspension(suspension: &Suspension) -> impl IntoView + use<> {
    view! {
        <Card id="suspension" heading="Suspension">
            <p>{format!("Suspended by {} on ", suspension.by)} <Time at=suspension.at /> ":"</p>
            <Why why=&suspension.why />
            <p>"Its members can still sign in and read."</p>
            <div class="actions">
                <ButtonLink
                    href=place().manage_action("reinstate")
                    text="Reinstate organization"
                    needs=Operation::ManageOrganizations
                />
            </div>
        </Card>
    }
}

fn not_suspended() -> impl IntoView + use<> {
    may(Operation::ManageOrganizations).then(|| {
        view! {
            <Card
                id="suspension"
                heading="Suspend"
                lead="While an organization is suspended, the gateway refuses every request of its applications. It can be reinstated at any time."
            >
                <div class="actions">
                    <ButtonLink
                        href=place().manage_action("suspend")
                        text="Suspend organization"
                        variant=Variant::DangerQuiet
                    />
                </div>
            </Card>
        }
    })
}

pub(super) fn suspend(title: String, organization: &Organization, applications: &[Stoppable]) -> impl IntoView + use<> {
    let name = &organization.details.name;
    let enabled: Vec<_> = applications.iter().filter(|stoppable| stoppable.application.is_enabled()).collect();
    let accepted = requests(enabled.iter().map(|stoppable| stoppable.requests).sum());
    let count = match enabled.len() {
        1 => "1 enabled API application".to_owned(),
        count => format!("{count} enabled API applications"),
    };
    let heading = format!("The gateway will refuse every request of {name}");
    view! {
        {super::heading(title, "")}
        <Consequences heading=heading danger=true>
            <ul>
                <li>{format!("It has {count}. In the last hour, {accepted} of theirs {} accepted.", if accepted == "1 request" { "was" } else { "were" })}</li>
                <li>"Its members can still sign in, see why, and read. Applications and keys that they create work once it is reinstated."</li>
                <li>"Keys, permissions and history stay. Reinstating brings everything back as it was."</li>
                <li>"Its owners are notified by e-mail, with your name and reason."</li>
            </ul>
        </Consequences>
        <Form action=place().manage_action("suspend") version=organization.version>
            <ReasonField />
            <Actions>
                <Submit variant=Variant::Danger text="Suspend organization" />
                <a class="button button--plain" href=place().manage()>"Cancel"</a>
            </Actions>
        </Form>
    }
}

pub(super) fn reinstate(title: String, organization: &Organization) -> impl IntoView + use<> {
    let name = &organization.details.name;
    view! {
        {super::heading(title, "")}
        <Consequences heading=format!("The gateway will accept requests of {name} again")>
            <ul>
                <li>"Applications that were enabled before the suspension work at once. Those that were disabled stay disabled."</li>
                <li>"Its owners are notified by e-mail."</li>
            </ul>
        </Consequences>
        <Form action=place().manage_action("reinstate") version=organization.version>
            <ReasonField />
            <Actions>
                <Submit variant=Variant::Primary text="Reinstate organization" />
                <a class="button button--plain" href=place().manage()>"Cancel"</a>
            </Actions>
        </Form>
    }
}
