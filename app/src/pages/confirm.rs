//! Confirm that it is you.

use crate::ui::{Actions, Callout, Form, Input, Submit, TextField, Variant, surroundings};
use leptos::prelude::*;

pub(super) fn view(title: String, next: &str, unsent: Option<&str>) -> impl IntoView + use<> {
    let area = surroundings().area();
    let who = surroundings().viewer.as_ref().map(|viewer| viewer.email.clone()).unwrap_or_default();
    view! {
        <div class="sign-in">
            {super::heading(
                title,
                "What you are about to do needs a fresh proof. After it you are not asked again for ten minutes.",
            )}
            {unsent
                .map(|_| {
                    view! {
                        <Callout heading="Your form is kept">
                            <p>"Nothing was changed yet. Confirm, and you find the form as you left it."</p>
                        </Callout>
                    }
                })}
            <Form action=area.confirm()>
                {unsent.map(|unsent| view! { <input type="hidden" name="unsent" value=unsent /> })}
                <input type="hidden" name="next" value=next.to_owned() />
                // For whatever keeps passwords: it finds them by the address.
                <input type="hidden" name="email" autocomplete="username" value=who />
                <TextField
                    name="password"
                    label="Password"
                    input=Input::Password
                    autocomplete="current-password"
                    autofocus=true
                />
                <Actions>
                    <Submit variant=Variant::Primary text="Confirm" />
                    <a class="button button--plain" href=area.home()>"Cancel"</a>
                </Actions>
            </Form>
        </div>
    }
}
