//! Passwords: one's own is changed, and somebody who has lost theirs chooses another.

use super::people::back;
use crate::ui::{
    Actions, ButtonLink, Callout, Consequences, Form, Input, Submit, TextField, Variant, place, surroundings,
};
use domain::{people::Person, time::Timestamp};
use leptos::prelude::*;

const HINT: &str = "At least 15 characters, whichever you like: a few words that have nothing to do with each other.";

/// The field for a password that is chosen, and for whatever keeps passwords: it keeps them with the address.
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

pub(super) fn change(title: String, withdraws_invitations: bool) -> impl IntoView + use<> {
    let page = surroundings();
    let account = page.area().account();
    let email = page.viewer.as_ref().map(|viewer| viewer.email.clone()).unwrap_or_default();
    view! {
        {super::heading(title, "You stay signed in here. All your other sessions end at once.")}
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
            <Actions>
                <Submit variant=Variant::Primary text="Change password" />
                <a class="button button--plain" href=account>"Cancel"</a>
            </Actions>
        </Form>
    }
}

pub(super) fn reset(title: String, person: &Person) -> impl IntoView + use<> {
    let name = &person.name;
    view! {
        {super::heading(title, &format!("{name}, {}", person.email))}
        <Consequences heading=format!("{name} will get a link to choose a new password")>
            <ul>
                <li>"It will be mailed to them and shown to you once. It works once, within 24 hours."</li>
                <li>"When they have chosen, all their sessions will end. Until then their old password works."</li>
                <li>"Their second factor will stay as it is."</li>
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

pub(super) fn link(
    title: String,
    person: &Person,
    link: &str,
    expires_at: Timestamp,
    is_mailed: bool,
) -> impl IntoView + use<> {
    let words = "Whoever opens it chooses the password, so be sure whom you give it to. It works once, until ";
    let (name, email) = (&person.name, &person.email);
    super::people::one_time_link(title, "reset-link", name, email, link, is_mailed, words, expires_at)
}

pub(super) fn choose(title: String, name: &str, email: &str, token: &str) -> impl IntoView + use<> {
    let action = surroundings().area().reset();
    view! {
        {super::heading(title, &format!("For {name}, who signs in as {email}. You are then signed out everywhere, and sign in with it."))}
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
