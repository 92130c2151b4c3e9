//! Passwords: changing one's own, sending a reset link to a member, and choosing a new password with such a link.

use super::people::{DELAYED, back};
use crate::ui::{
    Actions, ButtonLink, Callout, Consequences, Form, Input, Submit, TextField, Time, Variant, place, surroundings,
};
use domain::{
    pending_reset::is_delayed,
    people::Person,
    second_factor::{FactorList, is_recent},
    time::Timestamp,
};
use leptos::prelude::*;

const HINT: &str = "At least 15 characters, whichever you like: a few words that have nothing to do with each other.";

/// Field for a new password. The hidden address is the user name under which password managers store it.
fn new_password(email: String) -> impl IntoView {
    view! {
        <input type="hidden" name="email" autocomplete="username" value=email />
        <TextField
            name="password"
            label="New password"
            hint=HINT
            input=Input::Password
            autocomplete="new-password"
            autofocus=true
        />
    }
}

pub(super) fn change(title: String, factors: &FactorList, withdraws_invitations: bool) -> impl IntoView + use<> {
    let page = surroundings();
    let account = page.area().account();
    let email = page.viewer.as_ref().map(|viewer| viewer.email.clone()).unwrap_or_default();
    let lead = "You stay signed in here. All your other sessions end at once, and other browsers are no longer known.";
    view! {
        {super::heading(title, lead)}
        {withdraws_invitations
            .then(|| {
                view! {
                    <Callout heading="Open invitations will be withdrawn">
                        <p>"Invitations you sent that are still open are withdrawn. Send them again after you change your password."</p>
                    </Callout>
                }
            })}
        <Form action=format!("{account}/password")>
            {new_password(email)}
            {factor_choices(factors)}
            <Actions>
                <Submit variant=Variant::Primary text="Change password" />
                <a class="button button--plain" href=account>"Cancel"</a>
            </Actions>
        </Form>
    }
}

/// Checkboxes to remove second factors along with the password change. Recently added ones are checked, because an
/// attacker may have added them.
fn factor_choices(factors: &FactorList) -> impl IntoView + use<> {
    let page = surroundings();
    let (submission, now) = (&page.submission, page.now);
    let seen: Vec<_> = submission.value("seen").unwrap_or_default().split(' ').map(ToOwned::to_owned).collect();
    let choice = |entry: String, value: String, label: String, added: AnyView, at: Option<Timestamp>| {
        let was_shown = seen.contains(&entry);
        let checked = match was_shown {
            true => submission.has("remove", &value),
            false => at.is_some_and(|at| is_recent(at, now)),
        };
        let id = format!("remove-{value}");
        let hint_id = format!("{id}-added");
        view! {
            <div class="choice">
                <input type="checkbox" id=id.clone() name="remove" value=value checked=checked aria-describedby=hint_id.clone() />
                <label for=id>{label}</label>
                <p class="choice__hint" id=hint_id>{added}</p>
            </div>
        }
    };
    let app = factors.app.map(|app| {
        let added = view! { "Set up " <Time at=app.set_up_at relative=true /> }.into_any();
        choice(
            FactorList::app_entry(&app),
            "app".to_owned(),
            "Remove the authenticator app".to_owned(),
            added,
            Some(app.set_up_at),
        )
    });
    let passkeys = factors.passkeys.iter().map(|passkey| {
        let used = match passkey.used_at {
            Some(at) => view! { ", last used " <Time at relative=true /> }.into_any(),
            None => view! { ", not used yet" }.into_any(),
        };
        let added = view! { "Added " <Time at=passkey.added_at relative=true /> {used} }.into_any();
        let label = format!("Remove the passkey “{}”", passkey.name);
        choice(FactorList::passkey_entry(passkey), passkey.id.to_string(), label, added, Some(passkey.added_at))
    });
    let passkeys = passkeys.collect_view();
    let codes = factors.codes_entry().map(|entry| {
        let made = match factors.recovery_codes_made_at {
            Some(at) => view! { "Made " <Time at relative=true /> ". The new ones are shown to you once." }.into_any(),
            None => view! { "The new ones are shown to you once." }.into_any(),
        };
        let label = format!("Replace the recovery codes ({} unused)", factors.recovery_codes);
        choice(entry, "codes".to_owned(), label, made, factors.recovery_codes_made_at)
    });
    (*factors != FactorList::default()).then(|| {
        view! {
            <input type="hidden" name="seen" value=factors.fingerprint() />
            <fieldset class="field" aria-describedby="remove-hint">
                <legend class="field__label">"Second factors"</legend>
                <p class="field__hint" id="remove-hint">
                    "Remove what you do not recognize: who added it could still sign in with it. What was added in the last 30 days is selected; clear what you added yourself. If you remove all and must have one, you set up another one next."
                </p>
                <div class="choices">{app} {passkeys} {codes}</div>
            </fieldset>
        }
    })
}

pub(super) fn reset(title: String, person: &Person) -> impl IntoView + use<> {
    let name = &person.name;
    let delay = is_delayed(person).then(|| view! { <li>{DELAYED}</li> });
    view! {
        {super::heading(title, &format!("{name}, {}", person.email))}
        <Consequences heading=format!("{name} will get a link to choose a new password")>
            <ul>
                {delay}
                <li>{format!("The link goes to {} by mail, and to nobody else. It works once, within 24 hours.", person.email)}</li>
                <li>"When they have chosen, their second factors, recovery codes, sessions and known browsers are removed: any of them may be an attacker’s. Until then their old password works."</li>
                <li>"They then set up a second factor again; where one is required, before anything else."</li>
            </ul>
        </Consequences>
        <Form action=place().people_action(format!("{}/reset-password", person.id))>
            <Actions>
                <Submit variant=Variant::Primary text="Reset password" about=format!("of {name}") />
                {back()}
            </Actions>
        </Form>
    }
}

pub(super) fn sent(title: String, person: &Person, expires_at: Timestamp, is_mailed: bool) -> impl IntoView + use<> {
    let email = &person.email;
    let lead = match is_mailed {
        true => format!("A link to choose a new password was mailed to {email}."),
        false => format!("The link could not be mailed to {email}. Try again in a moment."),
    };
    let details = is_mailed.then(|| {
        view! {
            <p>"The link works once, until " <Time at=expires_at /></p>
            <p>"If it does not arrive, check the address, then send another one. The link before then stops working."</p>
        }
    });
    let variant = if is_mailed { Variant::Secondary } else { Variant::Primary };
    view! {
        {super::heading(title, &lead)}
        <div class="prose">{details}</div>
        <Form action=place().people_action(format!("{}/reset-password", person.id))>
            <Actions>
                <Submit variant text="Send again" about=format!("to {email}") />
                <ButtonLink href=place().people() text="Back to people" />
            </Actions>
        </Form>
    }
}

pub(super) fn choose(title: String, name: &str, email: &str, token: &str) -> impl IntoView + use<> {
    let action = surroundings().area().reset();
    view! {
        {super::heading(title, &format!("For {name}, who signs in as {email}. You are then signed out everywhere, your second factors and recovery codes are removed, and you sign in with the new password."))}
        <Form action>
            <input type="hidden" name="token" value=token.to_owned() />
            {new_password(email.to_owned())}
            <Actions>
                <Submit variant=Variant::Primary text="Choose password" />
            </Actions>
        </Form>
    }
}

pub(super) fn gone(title: String) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "It was used already, was replaced by a newer one, or is older than 24 hours.")}
        <div class="prose">
            <p>"If you chose a password with it, sign in. Otherwise ask somebody who decides on people for another one."</p>
        </div>
        <Actions>
            <ButtonLink href=surroundings().area().sign_in() text="Sign in" variant=Variant::Primary />
        </Actions>
    }
}
