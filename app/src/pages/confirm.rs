//! Step-up authentication before a sensitive action.

use super::{second_factor, single_sign_on};
use crate::{
    page::WaysToConfirm,
    ui::{Actions, Callout, Form, Input, Submit, TextField, Variant, surroundings},
};
use leptos::prelude::*;

pub(super) fn view(title: String, next: &str, unsent: Option<&str>, ways: &WaysToConfirm) -> impl IntoView + use<> {
    let area = surroundings().area();
    let has_providers = !ways.providers.is_empty();
    let has_form = ways.password || ways.app || ways.passkey;
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
            {ways.prompt.as_ref().map(|prompt| super::passkeys::confirm(prompt, next, unsent))}
            {has_form.then(|| with_form(ways, next, unsent))}
            {has_providers
                .then(|| {
                    view! {
                        <div class=if has_form { "aside aside--wide" } else { "form" }>
                            {single_sign_on::ways_to_confirm(&ways.providers, next, unsent)}
                            {(!has_form)
                                .then(|| view! { <a class="button button--plain" href=area.home()>"Cancel"</a> })}
                        </div>
                    }
                })}
        </div>
    }
}

fn with_form(ways: &WaysToConfirm, next: &str, unsent: Option<&str>) -> impl IntoView + use<> {
    let area = surroundings().area();
    let who = surroundings().viewer.as_ref().map(|viewer| viewer.email.clone()).unwrap_or_default();
    let unsent = unsent.map(ToOwned::to_owned);
    let next = next.to_owned();
    let field = match ways.app || ways.passkey {
        true => second_factor::code_field(ways.app).into_any(),
        false => password(who).into_any(),
    };
    view! {
        <Form action=area.confirm()>
            {unsent.map(|unsent| view! { <input type="hidden" name="unsent" value=unsent /> })}
            <input type="hidden" name="next" value=next />
            {field}
            <Actions>
                <Submit variant=Variant::Primary text="Confirm" />
                <a class="button button--plain" href=area.home()>"Cancel"</a>
            </Actions>
        </Form>
    }
}

fn password(who: String) -> impl IntoView {
    view! {
        // Password managers look up the password by this address.
        <input type="hidden" name="email" autocomplete="username" value=who />
        <TextField
            name="password"
            label="Password"
            input=Input::Password
            autocomplete="current-password"
            autofocus=true
        />
    }
}
