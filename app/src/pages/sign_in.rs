//! Sign in.

use crate::{
    paths,
    ui::{Form, Input, Submit, TextField, Variant},
};
use leptos::prelude::*;

pub(super) fn view(title: String, next: Option<&str>) -> impl IntoView + use<> {
    view! {
        <div class="sign-in">
            {super::heading(title, "To manage your organization’s API applications.")}
            <Form action=paths::SIGN_IN>
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
