//! Members of an organization: list, invitations, changes of role, removal, and keys that former members may still
//! know.

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
    people::{Invitation, Leaver, OwnerChange, PendingOwnerChange, Person},
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
    (pending, pending_resets): (&[PendingOwnerChange], &[PendingReset]),
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
                lead="Each has a link by mail, which works once. Sending it again makes a new link; the one before no longer works."
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
        {pending.iter().map(|pending| pending_change(pending, you, is_managed)).collect_view()}
        {pending_resets.iter().map(|reset| super::pending_resets::for_admin(reset, you)).collect_view()}
        {leavers.iter().map(left_with_keys).collect_view()}
        <div class="card card--table">
            <DataTable caption="People by name" columns=PEOPLE>{rows.collect_view()}</DataTable>
        </div>
        {invited}
    }
}

/// Notice of a pending removal or demotion, with the actions available to the viewer.
fn pending_change(pending: &PendingOwnerChange, you: UserId, is_managed: bool) -> impl IntoView + use<> {
    let PendingOwnerChange { target, target_name, change, requester_name, .. } = pending;
    let heading = match change {
        OwnerChange::Remove => format!("{target_name} will be removed"),
        OwnerChange::Demote(role) => format!("{target_name} will be {}", role.label()),
    };
    let about = format!("of {target_name}");
    let action = |action: &str| place().people_action(format!("{target}/{action}"));
    let actions = is_managed.then(|| {
        let confirm = pending.is_confirmable_by(you).then(|| {
            view! { <ButtonLink href=action("confirm-change") text="Confirm now" about=about.clone() variant=Variant::DangerQuiet /> }
        });
        view! {
            <div class="actions">
                <Form action=action("cancel-change") inline=true>
                    <Submit text="Cancel" about=format!("the change {about}") />
                </Form>
                {confirm}
            </div>
        }
    });
    let how = is_managed.then_some(
        "Everyone who manages members can cancel it until then. Another owner than the one who requested it can confirm it, which applies it at once.",
    );
    view! {
        <Callout heading>
            <p>{change.to_string()} " on " <Time at=pending.applies_at /> {format!(", requested by {requester_name}.")}</p>
            {how.map(|how| view! { <p>{how}</p> })}
            {actions}
        </Callout>
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

/// Describes the credentials a member signs in with.
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
        let about = || format!("the invitation of {}", invitation.name);
        view! {
            <div class="actions actions--small">
                <Form action=send_again(invitation) inline=true>
                    <Submit text="Send again" about=about() />
                </Form>
                <Form action inline=true>
                    <Submit text="Withdraw" about=about() />
                </Form>
            </div>
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

/// Notice that lists the keys to replace after a member left.
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
        {super::heading(title, "They get a link by mail. It works once, within 72 hours: with it they choose a password and join.")}
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

/// Result of sending an invitation. The link itself is never shown on a page.
pub(super) fn sent(title: String, invitation: &Invitation, is_mailed: bool) -> impl IntoView + use<> {
    let (name, email) = (&invitation.name, &invitation.email);
    let lead = if is_mailed {
        format!("The link to join was mailed to {email}.")
    } else {
        format!("The message to {email} could not be sent, so {name} cannot join yet.")
    };
    let happened = if is_mailed {
        view! {
            <p>
                "It works once, until " <Time at=invitation.expires_at />
                ". If it does not arrive, check the address and the spam folder, then send it again."
            </p>
        }
        .into_any()
    } else {
        view! {
            <p>
                "The mail server did not accept the message. Send it again in a moment. If it keeps failing, tell whoever operates this console."
            </p>
        }
        .into_any()
    };
    let variant = if is_mailed { Variant::Secondary } else { Variant::Primary };
    view! {
        {super::heading(title, &lead)}
        <div class="prose">{happened}</div>
        <Form action=send_again(invitation)>
            <Actions>
                <Submit variant text="Send again" about=format!("the invitation of {name}") />
                <ButtonLink href=place().people() text="Back to people" />
            </Actions>
        </Form>
    }
}

fn send_again(invitation: &Invitation) -> String {
    place().people_action(format!("invitations/{}/send-again", invitation.id))
}

pub(super) fn change_role(title: String, person: &Person, waits_until: Option<Timestamp>) -> impl IntoView + use<> {
    let when = if waits_until.is_some() { "" } else { " It counts from their next request." };
    view! {
        {super::heading(title, &format!("{}, {}.{when}", person.name, person.email))}
        {waits_until.map(|at| waiting(&format!("{}’s role will change in 72 hours", person.name), at))}
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

/// States that a reset takes effect after a delay.
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

/// Notice that a removal or demotion takes effect after a delay and can be cancelled until then.
fn waiting(heading: &str, at: Timestamp) -> impl IntoView + use<> {
    view! {
        <Callout heading=heading.to_owned()>
            <p>
                "They manage members, so this is a request. It takes effect on " <Time at />
                ", or once another owner confirms it. Everyone who manages members is notified by e-mail, the person too, and can cancel it until then."
            </p>
        </Callout>
    }
}

pub(super) fn remove(title: String, person: &Person, waits_until: Option<Timestamp>) -> impl IntoView + use<> {
    let name = &person.name;
    let (heading, submit) = match waits_until {
        Some(_) => (format!("{name} will then be signed out everywhere"), format!("Request removal of {name}")),
        None => (format!("{name} will be signed out everywhere at once"), format!("Remove {name}")),
    };
    view! {
        {super::heading(title, &format!("{name}, {}", person.email))}
        {waits_until.map(|at| waiting(&format!("{name} will be removed in 72 hours"), at))}
        <Consequences heading danger=true>
            <ul>
                <li>"They will no longer be able to sign in. Their name will stay in the audit history."</li>
                <li>"Keys will keep working. You will be shown which ones they may have a copy of, to replace them."</li>
                <li>"To bring them back, invite them again."</li>
            </ul>
        </Consequences>
        <Form action=place().people_action(format!("{}/remove", person.id))>
            <Actions>
                <Submit variant=Variant::Danger text=submit />
                {back()}
            </Actions>
        </Form>
    }
}

pub(super) fn confirm_change(title: String, pending: &PendingOwnerChange) -> impl IntoView + use<> {
    let PendingOwnerChange { target_name, target_email, change, requester_name, .. } = pending;
    let consequence = match change {
        OwnerChange::Remove => {
            "They will be signed out everywhere and no longer be able to sign in. Their name will stay in the audit history."
                .to_owned()
        }
        OwnerChange::Demote(role) => {
            format!("They will be {}, from their next request. They will no longer manage members.", role.label())
        }
    };
    view! {
        {super::heading(title, &format!("{target_name}, {target_email}"))}
        <Consequences heading="It will take effect as soon as you confirm" danger=true>
            <ul>
                <li>{consequence}</li>
                <li>{change.to_string()} " was requested by " {requester_name.clone()} " on " <Time at=pending.requested_at /> "."</li>
                <li>"Confirm it only if you know why. Without you it takes effect on " <Time at=pending.applies_at /> ", unless it is cancelled."</li>
            </ul>
        </Consequences>
        <Form action=place().people_action(format!("{}/confirm-change", pending.target))>
            <Actions>
                <Submit variant=Variant::Danger text="Confirm now" />
                {back()}
            </Actions>
        </Form>
    }
}
