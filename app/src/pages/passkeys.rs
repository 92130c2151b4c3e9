//! Passkeys: list on the account page, registration, removal, and signing in with one.

use crate::{
    page::AccountView,
    paths::{self, Area},
    ui::{
        Actions, Badge, ButtonLink, Callout, Card, Cell, Column, Consequences, DataTable, Form, PasskeyForm,
        PasskeyTask, RowHeader, Shape, Submit, TextField, Time, Tone, Variant, surroundings,
    },
};
use domain::passkey::{Passkey, Prompt};
use leptos::prelude::*;

const COLUMNS: &[Column] = &[
    Column { label: "Name", class: "column--wide" },
    Column { label: "Added", class: "column--time" },
    Column { label: "Last used", class: "column--time" },
    Column { label: "Actions", class: "column--actions" },
];

/// Card of the user's own passkeys on the account page.
pub(super) fn card(account: &AccountView) -> impl IntoView + use<> {
    let is_possible = surroundings().uses_passkeys;
    let add = is_possible
        .then(|| view! { <ButtonLink href=area().account_action("passkeys/new") text="Add a passkey" /> })
        .into_any();
    // With an authenticator app, the recovery codes are shown on its card.
    let recovery = (!account.passkeys.is_empty() && account.second_factor.is_none()).then(|| {
        let left = account.recovery_codes;
        view! {
            <div class="actions">
                <p>{format!("Recovery codes left, for the day on which no passkey is at hand: {left}")}</p>
                <ButtonLink href=area().account_action("recovery-codes") text="Make new recovery codes" />
            </div>
        }
    });
    let none = account.passkeys.is_empty().then(|| view! { <p class="quiet">"You have none yet."</p> });
    let some = (!account.passkeys.is_empty()).then(|| {
        let rows = account.passkeys.iter().map(row);
        view! { <DataTable caption="Your passkeys" columns=COLUMNS>{rows.collect_view()}</DataTable> }
    });
    view! {
        <Card
            id="passkeys"
            heading="Passkeys"
            lead="A fingerprint, a face or a PIN on your own device, instead of password and code. Nothing can be passed on to a false page."
            actions=add
        >
            {none}
            {some}
            {recovery}
            {(!is_possible).then(nowhere)}
        </Card>
    }
}

fn row(passkey: &Passkey) -> impl IntoView + use<> {
    let used = match passkey.used_at {
        Some(at) => view! { <Time at relative=true /> }.into_any(),
        None => view! { <span class="quiet">"Not yet"</span> }.into_any(),
    };
    let suspected = passkey.suspected_at.map(|at| {
        view! {
            <p><Badge tone=Tone::Stopped shape=Shape::Warning text="No longer accepted" /></p>
            <p class="quiet">"A copy of it may be in use since " <Time at /> ". Remove it."</p>
        }
    });
    view! {
        <tr role="row">
            <RowHeader>{passkey.name.to_string()} {suspected}</RowHeader>
            <Cell label="Added"><Time at=passkey.added_at relative=true /></Cell>
            <Cell label="Last used">{used}</Cell>
            <Cell label="Actions">
                <ButtonLink
                    href=area().remove_passkey(passkey.id)
                    text="Remove"
                    about=passkey.name.to_string()
                    variant=Variant::DangerQuiet
                />
            </Cell>
        </tr>
    }
}

/// Explains why passkeys are not available on this console.
fn nowhere() -> impl IntoView {
    view! {
        <Callout heading="Passkeys do not work at this address">
            <p>
                "Browsers use them on consoles that have a name and https, or on localhost. Whoever runs this console sets its address with "
                <code>"--console-url"</code> "."
            </p>
        </Callout>
    }
}

fn needs_script(instead: &'static str) -> impl IntoView {
    view! {
        <div class="without-script">
            <Callout heading="Passkeys need JavaScript and WebAssembly">
                <p>{format!("Only a script can ask your browser for a passkey. {instead}")}</p>
            </Callout>
        </div>
    }
}

fn back() -> impl IntoView {
    view! { <a class="button button--plain" href=area().account()>"Cancel"</a> }
}

pub(super) fn new(title: String, prompt: &Prompt) -> impl IntoView + use<> {
    view! {
        {super::heading(
            title,
            "Your browser asks where to keep it: on this device, on your phone, or on a security key.",
        )}
        {needs_script("Allow this page to run its own, or set up an authenticator app instead.")}
        <PasskeyForm
            action=area().account_action("passkeys/new")
            prompt=prompt.clone()
            task=PasskeyTask::Make
            variant=Variant::Primary
            text="Add passkey"
        >
            <TextField
                name="name"
                label="Name"
                hint="What tells it from your others, such as “Laptop” or “Security key in the safe”."
                autofocus=true
            />
        </PasskeyForm>
        <p>{back()}</p>
    }
}

pub(super) fn remove(title: String, passkey: &Passkey) -> impl IntoView + use<> {
    let name = &passkey.name;
    view! {
        {super::heading(title, &format!("“{name}”"))}
        <Consequences heading="It will no longer sign you in" danger=true>
            <ul>
                <li>"Existing sessions will stay active."</li>
                <li>"It will stay on your device until you delete it there as well."</li>
            </ul>
        </Consequences>
        <Form action=area().remove_passkey(passkey.id)>
            <Actions>
                <Submit variant=Variant::Danger text="Remove passkey" />
                {back()}
            </Actions>
        </Form>
    }
}

/// Sign-in page for passkeys.
pub(super) fn sign_in(
    title: String,
    next: Option<&str>,
    unsent: Option<&str>,
    prompt: Option<&Prompt>,
) -> impl IntoView + use<> {
    let form = prompt.map(|prompt| {
        let hidden = hidden(next, unsent);
        view! {
            {needs_script("Sign in with your password.")}
            <PasskeyForm
                action=area().passkey_sign_in()
                prompt=prompt.clone()
                task=PasskeyTask::Use
                variant=Variant::Primary
                text="Use a passkey"
            >
                {hidden}
            </PasskeyForm>
        }
    });
    let otherwise = match unsent {
        // The pending form is carried in this page's hidden field only: a link would lose it, going back does not.
        Some(_) => view! {
            <p class="quiet">"To sign in with your password, go back in your browser: your form waits there as well."</p>
        }
        .into_any(),
        None => {
            let href = with_next(area().sign_in(), next);
            view! { <p><a href=href>"Sign in with your password"</a></p> }.into_any()
        }
    };
    view! {
        <div class="sign-in">
            {super::heading(title, "Your device checks that it is you. No e-mail address, no password, no code.")}
            {prompt.is_none().then(nowhere)}
            {form}
            {otherwise}
        </div>
    }
}

/// Passkey as the second step of a password sign-in.
pub(super) fn second_step(prompt: &Prompt) -> impl IntoView + use<> {
    view! {
        <PasskeyForm
            action=area().second_factor()
            prompt=prompt.clone()
            task=PasskeyTask::Use
            variant=Variant::Primary
            text="Use a passkey"
        >
            {hidden(None, None)}
        </PasskeyForm>
    }
}

/// Passkey for step-up authentication.
pub(super) fn confirm(prompt: &Prompt, next: &str, unsent: Option<&str>) -> impl IntoView + use<> {
    let hidden = hidden(Some(next), unsent);
    view! {
        <PasskeyForm
            action=area().confirm()
            prompt=prompt.clone()
            task=PasskeyTask::Use
            variant=Variant::Primary
            text="Use a passkey"
        >
            {hidden}
        </PasskeyForm>
    }
}

/// Links from the sign-in page to the passkey sign-in. A form instead of a link if a pending form must be carried
/// along.
pub(super) fn instead_of_password(next: Option<&str>, unsent: Option<&str>) -> impl IntoView + use<> {
    surroundings().uses_passkeys.then(|| match unsent {
        Some(_) => {
            let hidden = hidden(next, unsent);
            view! {
                <Form action=area().passkey_sign_in()>
                    {hidden}
                    <Submit text="Sign in with a passkey" />
                </Form>
            }
            .into_any()
        }
        None => {
            let href = with_next(area().passkey_sign_in(), next);
            view! { <p><a href=href>"Sign in with a passkey"</a></p> }.into_any()
        }
    })
}

/// Returns the area whose account pages the links point to.
fn area() -> Area {
    surroundings().area()
}

fn hidden(next: Option<&str>, unsent: Option<&str>) -> impl IntoView + use<> {
    view! {
        {unsent.map(|unsent| view! { <input type="hidden" name="unsent" value=unsent.to_owned() /> })}
        {next.map(|next| view! { <input type="hidden" name="next" value=next.to_owned() /> })}
    }
}

fn with_next(path: &str, next: Option<&str>) -> String {
    match next {
        Some(next) => format!("{path}?next={}", paths::escaped(next)),
        None => path.to_owned(),
    }
}
