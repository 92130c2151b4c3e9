//! Sign-in and security page of the signed-in user: passkeys, second factor, password, sessions and recent sign-ins.

use crate::{
    page::AccountView,
    paths::Area,
    ui::{
        Badge, ButtonLink, Callout, Card, Cell, Column, DataTable, Fact, Facts, Form, RowHeader, Shape, Submit, Time,
        Tone, Variant, surroundings,
    },
};
use domain::{
    second_factor::SecondFactor,
    sign_in::{Attempt, Outcome},
};
use leptos::prelude::*;
use std::net::IpAddr;

const SESSIONS: &[Column] = &[
    Column { label: "Browser", class: "column--wide" },
    Column { label: "Signed in", class: "column--time" },
    Column { label: "Last used", class: "column--time" },
    Column { label: "Actions", class: "column--actions" },
];

const SIGN_INS: &[Column] = &[
    Column { label: "Time", class: "column--time" },
    Column { label: "What came of it", class: "column--what" },
    Column { label: "How", class: "column--who" },
    Column { label: "From", class: "column--wide" },
];

/// Number of remaining recovery codes at or below which the page suggests creating new ones.
const FEW_CODES: usize = 3;

pub(super) fn view(title: String, account: &AccountView) -> impl IntoView + use<> {
    let email = surroundings().viewer.as_ref().map(|viewer| viewer.email.clone()).unwrap_or_default();
    let lead = format!(
        "How you prove that it is you, when you sign in as {email} and before you change something that matters.",
    );
    view! {
        {super::heading(title, &lead)}
        {account.pending_resets.iter().map(super::pending_resets::for_member).collect_view()}
        {account.offers_passkeys.then(|| super::passkeys::card(account))}
        {second_factor(account)}
        {account.has_password.then(password)}
        {sessions(account)}
        {attempts(&account.attempts)}
    }
}

fn password() -> impl IntoView {
    let href = format!("{}/password", surroundings().area().account());
    view! {
        <Card id="password" heading="Password" lead="When you change it, all your other sessions end, and you can remove second factors that you do not recognize.">
            <div class="actions"><ButtonLink href text="Change password" /></div>
        </Card>
    }
}

/// Card with the user's sessions. Each can be ended, or all but the current one at once.
fn sessions(account: &AccountView) -> impl IntoView + use<> {
    let address = surroundings().area().account();
    let others = account.sessions.len() > 1;
    let end_others = others.then(|| {
        view! {
            <Form action=format!("{address}/sessions/end-others") inline=true>
                <Submit text="End all others" variant=Variant::DangerQuiet />
            </Form>
        }
    });
    let rows = account.sessions.iter().map(|session| {
        let action = if session.id == account.here {
            view! { <span class="quiet">"This is the one you look with"</span> }.into_any()
        } else {
            view! {
                <Form action=format!("{address}/sessions/{}/end", session.id) inline=true>
                    <Submit text="End" about=format!("the session of {}", session.browser) />
                </Form>
            }
            .into_any()
        };
        view! {
            <tr role="row">
                <RowHeader>
                    {session.browser.clone()}
                    <p class="quiet">{from(session.address)}</p>
                </RowHeader>
                <Cell label="Signed in"><Time at=session.signed_in_at /> <p class="quiet">{session.method.label()}</p></Cell>
                <Cell label="Last used"><Time at=session.used_at /></Cell>
                <Cell label="Actions">{action}</Cell>
            </tr>
        }
    });
    let rows = rows.collect_view();
    let lead = "If you do not recognize one of them, change your password: that ends all others. Remove second factors that you do not recognize with it.";
    view! {
        <Card id="sessions" heading="Where you are signed in" lead actions=end_others.into_any()>
            <DataTable caption="Sessions, the last used first" columns=SESSIONS>{rows}</DataTable>
        </Card>
    }
}

fn attempts(attempts: &[Attempt]) -> impl IntoView + use<> {
    let rows = attempts.iter().map(|attempt| {
        let (tone, shape) = match attempt.outcome {
            Outcome::Accepted => (Tone::Good, Shape::Check),
            Outcome::NewBrowser => (Tone::Waning, Shape::Warning),
            Outcome::Refused | Outcome::WrongCode | Outcome::ForeignAddress | Outcome::OtherDoor => {
                (Tone::Stopped, Shape::Barred)
            }
        };
        view! {
            <tr role="row">
                <RowHeader><Time at=attempt.at /></RowHeader>
                <Cell label="What came of it"><Badge tone shape text=attempt.outcome.label() /></Cell>
                <Cell label="How">{attempt.method.label()}</Cell>
                <Cell label="From">{attempt.browser.clone()} <p class="quiet">{from(attempt.address)}</p></Cell>
            </tr>
        }
    });
    let rows = rows.collect_view();
    view! {
        <Card id="sign-ins" heading="Latest sign-ins" lead="Attempts to sign in as you, the last twenty of the past 90 days.">
            <DataTable caption="Sign-ins, the newest first" columns=SIGN_INS>{rows}</DataTable>
        </Card>
    }
}

fn from(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "From an unknown address".to_owned(), |address| format!("From {address}"))
}

fn second_factor(account: &AccountView) -> impl IntoView + use<> {
    let lead = if account.must_have_factor {
        "A code from your phone, besides your password: who steals or guesses the password gets no further. It is required of you."
    } else {
        "A code from your phone, besides your password: who steals or guesses the password gets no further."
    };
    let state = match account.second_factor {
        Some(factor) => is_set_up(factor, account.must_have_factor && account.passkeys.is_empty()).into_any(),
        None => is_not_set_up().into_any(),
    };
    view! {
        <Card id="second-factor" heading="Authenticator app" lead>
            {state}
        </Card>
    }
}

fn is_set_up(factor: SecondFactor, is_required: bool) -> impl IntoView {
    let few = (factor.recovery_codes <= FEW_CODES).then(|| {
        view! {
            <Callout heading="Few recovery codes are left">
                <p>"Make new ones while you have your phone: without both you need somebody’s help to get in."</p>
            </Callout>
        }
    });
    view! {
        <Facts>
            <Fact term="Authenticator app"><Badge tone=Tone::Good shape=Shape::Check text="Set up" /></Fact>
            <Fact term="Since"><Time at=factor.set_up_at /></Fact>
            <Fact term="Recovery codes left">{factor.recovery_codes.to_string()}</Fact>
        </Facts>
        {few}
        <div class="actions">
            <ButtonLink href=area().account_action("recovery-codes") text="Make new recovery codes" />
            <ButtonLink href=area().account_action("second-factor") text="Replace" about="the second factor" />
            {(!is_required)
                .then(|| {
                    view! {
                        <ButtonLink
                            href=area().account_action("second-factor/remove")
                            text="Remove"
                            about="the second factor"
                            variant=Variant::DangerQuiet
                        />
                    }
                })}
        </div>
    }
}

fn is_not_set_up() -> impl IntoView {
    view! {
        <Facts>
            <Fact term="Authenticator app"><Badge tone=Tone::Quiet shape=Shape::Dash text="Not set up" /></Fact>
        </Facts>
        <div class="actions">
            <ButtonLink
                href=area().account_action("second-factor")
                text="Set up a second factor"
                variant=Variant::Primary
            />
        </div>
    }
}

/// Returns the area whose account pages the links point to.
fn area() -> Area {
    surroundings().area()
}
