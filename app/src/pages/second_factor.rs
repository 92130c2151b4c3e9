//! Second factor: code entry at sign-in, enrolment, recovery codes, and removal.

use crate::{
    page::FactorEnrolment,
    paths::Area,
    ui::{Actions, Callout, Code, Consequences, Form, Input, Step, Steps, Submit, TextField, Variant, surroundings},
};
use domain::{passkey::Prompt, second_factor::RecoveryCode};
use leptos::prelude::*;

/// Field for a TOTP code or a recovery code.
pub(super) fn code_field(has_app: bool) -> impl IntoView {
    let (label, hint) = match has_app {
        true => (
            "Code",
            "The six digits that your authenticator app shows now. Without your phone: one of your recovery codes.",
        ),
        false => {
            ("Recovery code", "If none of your passkeys is at hand: one of the codes that you stored. It is good once.")
        }
    };
    view! {
        <TextField
            name="code"
            label
            hint
            autocomplete="one-time-code"
            autofocus=true
        />
    }
}

pub(super) fn ask(title: String, has_app: bool, prompt: Option<&Prompt>) -> impl IntoView + use<> {
    view! {
        <div class="sign-in">
            {super::heading(title, "Your password is right. Now show that you have your second factor, too.")}
            {prompt.map(super::passkeys::second_step)}
            <Form action=area().second_factor()>
                {code_field(has_app)}
                <Actions>
                    <Submit variant=Variant::Primary text="Sign in" />
                    <a class="button button--plain" href=area().sign_in()>"Cancel"</a>
                </Actions>
            </Form>
            <p class="quiet">
                "Lost both? Somebody who decides on people in your organization can reset your second factor."
            </p>
        </div>
    }
}

pub(super) fn set_up(
    title: String,
    enrolment: &FactorEnrolment,
    is_replacement: bool,
    is_demanded: bool,
    next: Option<&str>,
) -> impl IntoView + use<> {
    let email = surroundings().viewer.as_ref().map(|viewer| viewer.email.clone()).unwrap_or_default();
    let lead = if is_replacement {
        "The app that you have now stays good until the new one’s first code is right. Your recovery codes are made anew."
    } else {
        "An app on your phone shows a code that changes every 30 seconds. You enter it after your password."
    };
    let demanded = is_demanded.then(|| {
        view! {
            <Callout heading="You need a second factor here">
                <p>"It is required of you. Set it up, and you go on to where you were going: nothing else is open before."</p>
                {surroundings()
                    .uses_passkeys
                    .then(|| view! { <p>"Without such an app: " <a href=area().account_action("passkeys/new")>"add a passkey"</a> " instead."</p> })}
            </Callout>
        }
    });
    let secret = enrolment.secret.base32();
    let groups: Vec<_> = (0..secret.len()).step_by(4).map(|at| &secret[at..at + 4]).collect();
    let cancel = (!is_demanded).then(|| view! { <a class="button button--plain" href=area().account()>"Cancel"</a> });
    view! {
        {super::heading(title, lead)}
        {demanded}
        <Steps>
            <Step heading="Add Nuvera to your authenticator app">
                <p>"Scan this with the app. Any app for time-based codes (TOTP) will do, and most password managers."</p>
                <div class="factor">
                    <svg
                        class="factor__qr"
                        viewBox=format!("-4 -4 {0} {0}", enrolment.qr.side + 8)
                        role="img"
                        aria-label="QR code with the secret. Without it, type the secret below."
                        shape-rendering="crispEdges"
                    >
                        <path d=enrolment.qr.path.clone() />
                    </svg>
                    <div class="factor__typed">
                        <p>"Or type this secret, for the account " <Code text=email.clone() /> ":"</p>
                        <p><code class="factor__secret" id="factor-secret" translate="no">{groups.join(" ")}</code></p>
                        <div class="actions actions--small">
                            <button type="button" class="button button--small needs-script" data-copy="factor-secret" disabled>
                                <span data-label>"Copy secret"</span>
                            </button>
                            <a class="button button--small" href=enrolment.secret.uri(&email)>"Open in an app on this device"</a>
                        </div>
                    </div>
                </div>
            </Step>
            <Step heading="Enter the code that the app shows">
                <Form action=area().account_action("second-factor")>
                    <input type="hidden" name="enrolment" value=enrolment.sealed.clone() />
                    {next.map(|next| view! { <input type="hidden" name="next" value=next.to_owned() /> })}
                    <TextField
                        name="code"
                        label="Code"
                        hint="Six digits."
                        input=Input::Number
                        autocomplete="one-time-code"
                    />
                    <Actions>
                        <Submit
                            variant=Variant::Primary
                            text=if is_replacement { "Replace the second factor" } else { "Set up the second factor" }
                        />
                        {cancel}
                    </Actions>
                </Form>
            </Step>
            <Step heading="Store your recovery codes">
                <p>"You see them next, once. Each lets you in one time without your phone."</p>
            </Step>
        </Steps>
    }
}

pub(super) fn codes(title: String, codes: &[RecoveryCode], next: &str) -> impl IntoView + use<> {
    const ID: &str = "recovery-codes";
    let text = codes.iter().map(RecoveryCode::shown).collect::<Vec<_>>().join("\n");
    view! {
        {super::heading(
            title,
            "This is the only time they are shown. Each is good once, in place of a code of your app: for the day on which your phone is lost.",
        )}
        <div class="one-time-key" data-one-time-secret data-file="nuvera-recovery-codes.txt" data-leads-to=area().account()>
            <p class="one-time-key__label">"Your recovery codes"</p>
            <code class="one-time-key__text one-time-key__text--lines" id=ID translate="no">{text}</code>
            <div class="actions needs-script">
                <button type="button" class="button button--primary" data-copy=ID disabled>
                    <span data-label>"Copy codes"</span>
                </button>
                <button type="button" class="button" data-download disabled>
                    "Download codes"
                </button>
            </div>
            <p class="one-time-key__gone" data-gone hidden>
                "The codes are no longer shown. If you did not store them, make new ones."
            </p>
        </div>
        <p>"Keep them apart from your password: on paper, or in a safe place that needs no phone. Codes that you had before are good for nothing now."</p>
        <Form action=area().account_action("recovery-codes/stored")>
            <input type="hidden" name="next" value=next.to_owned() />
            <Actions>
                <Submit variant=Variant::Primary text="I have stored these codes" />
            </Actions>
        </Form>
    }
}

pub(super) fn make_codes(title: String, left: usize) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "You get ten, shown once.")}
        <Consequences heading="Your existing recovery codes will stop working">
            <p>{format!("{left} of them are unused. They will stop working once you have new ones.")}</p>
        </Consequences>
        <Form action=area().account_action("recovery-codes")>
            <Actions>
                <Submit variant=Variant::Primary text="Make new recovery codes" />
                <a class="button button--plain" href=area().account()>"Cancel"</a>
            </Actions>
        </Form>
    }
}

pub(super) fn remove(title: String, has_passkeys: bool) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "If you have another phone, replace it instead.")}
        {if has_passkeys { passkeys_stay().into_any() } else { password_only().into_any() }}
        <Form action=area().account_action("second-factor/remove")>
            <Actions>
                <Submit variant=Variant::Danger text="Remove the second factor" />
                <a class="button button--plain" href=area().account()>"Cancel"</a>
            </Actions>
        </Form>
    }
}

/// Returns the area whose account pages the links point to.
fn area() -> Area {
    surroundings().area()
}

fn password_only() -> impl IntoView {
    view! {
        <Consequences heading="Your password will be all that you sign in with" danger=true>
            <ul>
                <li>"A stolen or guessed password will then be enough to act as you."</li>
                <li>"Your recovery codes will stop working too."</li>
            </ul>
        </Consequences>
    }
}

fn passkeys_stay() -> impl IntoView {
    view! {
        <Consequences heading="Your passkeys will be your only second factor">
            <ul>
                <li>"The codes of your authenticator app will stop working."</li>
                <li>"Your recovery codes will keep working."</li>
            </ul>
        </Consequences>
    }
}
