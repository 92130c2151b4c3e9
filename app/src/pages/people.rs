//! The people of an organization: who they are, who is invited, and what those who left may have taken along.

use crate::ui::{
    Actions, ButtonLink, Callout, Card, Cell, Code, Column, Consequences, DataTable, Form, Input, RadioGroup,
    RadioOption, RowHeader, Submit, TextField, Time, Variant, place,
};
use domain::{
    access::{Operation, Role},
    actor::ActorKind,
    application::ApiApplication,
    hygiene::KeyId,
    id::UserId,
    pending_reset::{PendingReset, is_delayed},
    people::{Invitation, Leaver, Person},
    time::Timestamp,
};
use leptos::prelude::*;

const PEOPLE: &[Column] = &[
    Column { label: "Name", class: "column--wide" },
    Column { label: "Role", class: "column--state" },
    Column { label: "Last signed in", class: "column--time" },
    Column { label: "Actions", class: "column--actions" },
];

const INVITED: &[Column] = &[
    Column { label: "Name", class: "column--wide" },
    Column { label: "Role", class: "column--state" },
    Column { label: "Can join until", class: "column--time" },
    Column { label: "Actions", class: "column--actions" },
];

pub(super) fn view(
    title: String,
    people: &[Person],
    invitations: &[Invitation],
    pending_resets: &[PendingReset],
    leavers: &[Leaver],
    you: UserId,
    is_managed: bool,
) -> impl IntoView + use<> {
    let invite = is_managed.then(|| {
        view! { <ButtonLink href=place().people_action("invite") text="Invite somebody" variant=Variant::Primary /> }
    });
    let invited = (!invitations.is_empty()).then(|| {
        let rows = invitations.iter().map(|invitation| invited_row(invitation, is_managed));
        view! {
            <Card
                id="invited"
                heading="Invited"
                lead="Whoever opens their link first joins. Inviting an address again makes a new link and ends the one before."
            >
                <DataTable caption="People who are invited" columns=INVITED>{rows.collect_view()}</DataTable>
            </Card>
        }
    });
    let rows = people.iter().map(|person| row(person, you, is_managed));
    view! {
        <div class="page-head">
            <div class="page-head__text">
                <h1>{title}</h1>
                <p class="page-head__lead">"Who signs in here for this organization, and what they may do."</p>
            </div>
            <div class="actions">{invite}</div>
        </div>
        {pending_resets.iter().map(|reset| super::pending_resets::for_admin(reset, you)).collect_view()}
        {leavers.iter().map(left_with_keys).collect_view()}
        <div class="card card--table">
            <DataTable caption="People by name" columns=PEOPLE>{rows.collect_view()}</DataTable>
        </div>
        {invited}
    }
}

fn row(person: &Person, you: UserId, is_managed: bool) -> impl IntoView + use<> {
    let action = |action: &str| place().people_action(format!("{}/{action}", person.id));
    let about = &person.name;
    let actions = if person.id == you {
        view! { <span class="quiet">"This is you"</span> }.into_any()
    } else if is_managed {
        view! {
            <div class="actions actions--small">
                <ButtonLink href=action("role") text="Change role" about=format!("of {about}") />
                {person
                    .has_password
                    .then(|| {
                        view! { <ButtonLink href=action("reset-password") text="Reset password" about=format!("of {about}") /> }
                    })}
                {person
                    .factors
                    .any()
                    .then(|| {
                        view! { <ButtonLink href=action("reset-factor") text="Reset second factor" about=format!("of {about}") /> }
                    })}
                <ButtonLink href=action("remove") text="Remove" about=about.clone() variant=Variant::DangerQuiet />
            </div>
        }
        .into_any()
    } else {
        view! { <span class="quiet">"None"</span> }.into_any()
    };
    let last = match person.signed_in_at {
        Some(at) => view! { <Time at relative=true /> }.into_any(),
        None => view! { <span class="quiet">"Not yet"</span> }.into_any(),
    };
    view! {
        <tr role="row">
            <RowHeader>
                {person.name.clone()}
                <p class="quiet">{person.email.clone()}</p>
            </RowHeader>
            <Cell label="Role">
                {person.role.label()}
                <p class="quiet">{proves(person)}</p>
            </Cell>
            <Cell label="Last signed in">{last}</Cell>
            <Cell label="Actions">{actions}</Cell>
        </tr>
    }
}

/// What somebody signs in with.
fn proves(person: &Person) -> &'static str {
    match (person.has_password, person.factors.any()) {
        (false, _) => "By single sign-on",
        (true, true) => "With a second factor",
        (true, false) => "Password only",
    }
}

fn invited_row(invitation: &Invitation, is_managed: bool) -> impl IntoView + use<> {
    let withdraw = if is_managed {
        let action = place().people_action(format!("invitations/{}/withdraw", invitation.id));
        view! {
            <Form action inline=true>
                <Submit text="Withdraw" about=format!("the invitation of {}", invitation.name) />
            </Form>
        }
        .into_any()
    } else {
        view! { <span class="quiet">"None"</span> }.into_any()
    };
    view! {
        <tr role="row">
            <RowHeader>
                {invitation.name.to_string()}
                <p class="quiet">{format!("{}, by {}", invitation.email, invitation.invited_by)}</p>
            </RowHeader>
            <Cell label="Role">{invitation.role.label()}</Cell>
            <Cell label="Can join until"><Time at=invitation.expires_at /></Cell>
            <Cell label="Actions">{withdraw}</Cell>
        </tr>
    }
}

/// What is to be replaced after somebody left.
fn left_with_keys(leaver: &Leaver) -> impl IntoView + use<> {
    let name = &leaver.person.name;
    let keys = leaver.keys.iter().flat_map(|(application, keys)| keys.iter().map(move |&key| (application, key)));
    view! {
        <Callout heading=format!("{name} may have copies of keys that still work") danger=true>
            <p>
                {format!(
                    "{name} no longer belongs to this organization, and was shown these API keys or registered these signing keys. Replace them; this goes when none of them works any more.",
                )}
            </p>
            <ul class="fates">{keys.map(|(application, key)| key_to_replace(application, key)).collect_view()}</ul>
        </Callout>
    }
}

fn key_to_replace(application: &ApiApplication, key: KeyId) -> Option<impl IntoView + use<>> {
    let action = |action| place().action(application.id, action);
    let (shown, href, text, needs) = match key {
        KeyId::Api(id) => {
            let key = application.api_keys.iter().find(|key| key.id == id)?;
            (key.shown(), action("replace-api-key"), "Create replacement key", Operation::RotateApiKeys)
        }
        KeyId::Signing(id) => {
            let key = application.signing_keys.iter().find(|key| key.id == id)?;
            let fingerprint = key.public_key.fingerprint();
            (fingerprint, action("replace-signing-key"), "Replace signing key", Operation::ReplaceSigningKeys)
        }
    };
    let about = format!("of {}", application.name);
    Some(view! {
        <li>
            <p class="fates__text">
                {key.kind()} " " <Code text=shown /> " of "
                <a href=place().application(application.id)>{application.name.to_string()}</a>
            </p>
            <div class="actions actions--small"><ButtonLink href text about needs /></div>
        </li>
    })
}

fn roles(side: ActorKind) -> Vec<RadioOption> {
    let given = Role::ALL.into_iter().filter(|role| role.is_given_on(side));
    given
        .map(|role| RadioOption { value: role.code(), label: role.label().to_owned(), hint: role.means().to_owned() })
        .collect()
}

pub(super) fn back() -> impl IntoView {
    view! { <a class="button button--plain" href=place().people()>"Cancel"</a> }
}

pub(super) fn invite(title: String, side: ActorKind) -> impl IntoView + use<> {
    let default = match side {
        ActorKind::Partner => Role::PartnerDeveloper,
        ActorKind::Nuvera => Role::NuveraAuditor,
    };
    view! {
        {super::heading(title, "They get a link, good for 72 hours and once, with which they choose a password and join.")}
        <Form action=place().people_action("invite")>
            <TextField name="name" label="Name" hint="As your colleagues know them; it stands in the audit history." autofocus=true />
            <TextField name="email" label="Email" hint="They sign in with it." input=Input::Email />
            <RadioGroup name="role" legend="Role" options=roles(side) default=default.code() />
            <Actions>
                <Submit variant=Variant::Primary text="Invite" />
                {back()}
            </Actions>
        </Form>
    }
}

pub(super) fn link(title: String, invitation: &Invitation, link: &str, is_mailed: bool) -> impl IntoView + use<> {
    let (name, email) = (invitation.name.to_string(), invitation.email.to_string());
    let words = "Whoever opens it first joins. It works once, until ";
    one_time_link(title, "invitation-link", &name, &email, link, is_mailed, words, invitation.expires_at)
}

/// The answer that shows a link of somebody's, once: to whoever has to pass it on if mail does not arrive.
#[allow(clippy::too_many_arguments)] // Each is a word of the page.
pub(super) fn one_time_link(
    title: String,
    id: &'static str,
    name: &str,
    email: &str,
    link: &str,
    is_mailed: bool,
    words: &'static str,
    expires_at: Timestamp,
) -> impl IntoView + use<> {
    let lead = if is_mailed {
        format!("It was mailed to {email}. If it does not arrive, pass it on yourself: it is shown this once.")
    } else {
        format!("It could not be mailed to {email}. Pass it on yourself: it is shown this once.")
    };
    view! {
        {super::heading(title, &lead)}
        <div class="one-time-key">
            <p class="one-time-key__label">{format!("{name}’s link")}</p>
            <code class="one-time-key__text" id=id translate="no">{link.to_owned()}</code>
            <div class="actions needs-script">
                <button type="button" class="button button--primary" data-copy=id disabled>
                    <span data-label>"Copy link"</span>
                </button>
            </div>
        </div>
        <p>{words} <Time at=expires_at /></p>
        <Actions>
            <ButtonLink href=place().people() text="Back to people" />
        </Actions>
    }
}

pub(super) fn change_role(title: String, person: &Person) -> impl IntoView + use<> {
    view! {
        {super::heading(title, &format!("{}, {}. It counts from their next request.", person.name, person.email))}
        {(!person.has_password)
            .then(|| {
                view! {
                    <Callout heading="Their identity provider decides on their role">
                        <p>"They sign in by single sign-on. What you choose here counts until their next sign-in; then the provider’s word counts again. To change it for good, change it there."</p>
                    </Callout>
                }
            })}
        <Form action=place().people_action(format!("{}/role", person.id))>
            <RadioGroup name="role" legend="Role" options=roles(person.role.side()) default=person.role.code() />
            <Actions>
                <Submit variant=Variant::Primary text="Change role" />
                {back()}
            </Actions>
        </Form>
    }
}

/// Shown before a reset that has to wait.
pub(super) const DELAYED: &str = "It takes effect in 24 hours, or when a second admin confirms it. They and all admins are notified by mail at once, and can cancel it.";

pub(super) fn reset_factor(title: String, person: &Person) -> impl IntoView + use<> {
    let name = &person.name;
    let delay = is_delayed(person).then(|| view! { <li>{DELAYED}</li> });
    view! {
        {super::heading(title, &format!("{name}, {}", person.email))}
        <Consequences heading="Make sure that it is they who ask" danger=true>
            <ul>
                {delay}
                <li>"Talk to them in person, or call them at a number that you knew before. Whoever has their password, and not their phone, asks for the same."</li>
                <li>{format!("{name} will be signed out everywhere. Their password alone will then let them in, until they set up another second factor.")}</li>
                <li>"Where one is required, they will set it up at their next sign-in, before anything else."</li>
            </ul>
        </Consequences>
        <Form action=place().people_action(format!("{}/reset-factor", person.id))>
            <Actions>
                <Submit variant=Variant::Danger text="Reset second factor" />
                {back()}
            </Actions>
        </Form>
    }
}

pub(super) fn remove(title: String, person: &Person) -> impl IntoView + use<> {
    let name = &person.name;
    view! {
        {super::heading(title, &format!("{name}, {}", person.email))}
        <Consequences heading=format!("{name} will be signed out everywhere at once") danger=true>
            <ul>
                <li>"They will no longer be able to sign in. Their name will stay in the audit history."</li>
                <li>"Keys will keep working. You will be shown which ones they may have a copy of, to replace them."</li>
                <li>"To bring them back, invite them again."</li>
            </ul>
        </Consequences>
        <Form action=place().people_action(format!("{}/remove", person.id))>
            <Actions>
                <Submit variant=Variant::Danger text=format!("Remove {name}") />
                {back()}
            </Actions>
        </Form>
    }
}
