//! Sign in.

use crate::{
    paths,
    ui::{Callout, Form, Input, Submit, TextField, Variant},
};
use leptos::prelude::*;

pub(super) fn view(title: String, next: Option<&str>, unsent: Option<&str>) -> impl IntoView + use<> {
    view! {
        <div class="sign-in">
            {super::heading(title, "To manage your organization’s API applications.")}
            {unsent
                .map(|_| {
                    view! {
                        <Callout heading="You were signed out before this was sent">
                            <p>"Nothing was changed. Sign in, and you find the form as you left it."</p>
                        </Callout>
                    }
                })}
            <Form action=paths::SIGN_IN>
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
        </div>
    }
}
