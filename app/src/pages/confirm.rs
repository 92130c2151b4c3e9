//! Confirm that it is you.

use super::{second_factor, single_sign_on};
use crate::{
    page::WaysToConfirm,
    ui::{Actions, Callout, Form, Input, Submit, TextField, Variant, surroundings},
};
use leptos::prelude::*;

pub(super) fn view(title: String, next: &str, unsent: Option<&str>, ways: &WaysToConfirm) -> impl IntoView + use<> {
    let area = surroundings().area();
    let has_providers = !ways.providers.is_empty();
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
            {(ways.password || ways.code).then(|| with_form(ways, next, unsent))}
            {has_providers
                .then(|| {
                    view! {
                        <div class=if ways.password || ways.code { "aside aside--wide" } else { "form" }>
                            {single_sign_on::ways_to_confirm(&ways.providers, next, unsent)}
                            {(!ways.password && !ways.code)
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
    let field = if ways.code { second_factor::code_field().into_any() } else { password(who).into_any() };
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
        // For whatever keeps passwords: it finds them by the address.
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
