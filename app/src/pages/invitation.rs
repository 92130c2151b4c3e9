//! Pages that accept an invitation to an organization.

use crate::ui::{Actions, ButtonLink, Fact, Facts, Form, Input, Submit, TextField, Variant, surroundings};
use domain::people::Invitation;
use leptos::prelude::*;

pub(super) fn view(title: String, invitation: &Invitation, organization: &str, token: &str) -> impl IntoView + use<> {
    let lead = format!("{} invites you. Choose a password, and you are in.", invitation.invited_by);
    view! {
        {super::heading(title, &lead)}
        <Facts>
            <Fact term="Organization">{organization.to_owned()}</Fact>
            <Fact term="Name">{invitation.name.to_string()}</Fact>
            <Fact term="Your role">{invitation.role.label()} <p class="quiet">{invitation.role.means()}</p></Fact>
        </Facts>
        <Form action=surroundings().area().invitation()>
            <input type="hidden" name="token" value=token.to_owned() />
            // Password managers store the password under this address.
            <input type="hidden" name="email" autocomplete="username" value=invitation.email.to_string() />
            <TextField
                name="password"
                label="Password"
                hint=format!("At least 15 characters. You sign in with it and {}.", invitation.email)
                input=Input::Password
                autocomplete="new-password"
                autofocus=true
            />
            <Actions>
                <Submit variant=Variant::Primary text="Join" />
            </Actions>
        </Form>
    }
}

pub(super) fn gone(title: String) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "It was used already, was withdrawn or replaced by a newer one, or is older than 72 hours.")}
        <div class="prose">
            <p>"If you joined with it, sign in. Otherwise ask whoever invited you for another one."</p>
        </div>
        <Actions>
            <ButtonLink href=surroundings().area().sign_in() text="Sign in" variant=Variant::Primary />
        </Actions>
    }
}
