//! Sign-in page.

use crate::{
    paths::Area,
    ui::{Callout, Form, Input, Submit, TextField, Variant, surroundings},
};
use leptos::prelude::*;

pub(super) fn view(title: String, next: Option<&str>, unsent: Option<&str>) -> impl IntoView + use<> {
    let area = surroundings().area();
    let lead = match area {
        Area::Partner => "To manage your organization’s API applications.",
        Area::Hub => "To the organization hub, for Nuvera’s people.",
    };
    view! {
        <div class="sign-in">
            {super::heading(title, lead)}
            {unsent
                .map(|_| {
                    view! {
                        <Callout heading="You were signed out before this was sent">
                            <p>"Nothing was changed. Sign in, and you find the form as you left it."</p>
                        </Callout>
                    }
                })}
            <Form action=area.sign_in()>
                {unsent.map(|unsent| view! { <input type="hidden" name="unsent" value=unsent /> })}
                {next.map(|next| view! { <input type="hidden" name="next" value=next /> })}
                <TextField name="email" label="Email" input=Input::Email autocomplete="username" autofocus=true />
                <TextField
                    name="password"
                    label="Password"
                    input=Input::Password
                    autocomplete="current-password"
                />
                <Submit variant=Variant::Primary text="Sign in" />
            </Form>
            {super::single_sign_on::ways_in(next, unsent.is_some())}
            {super::passkeys::instead_of_password(next, unsent)}
        </div>
    }
}
