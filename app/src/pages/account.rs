//! Sign-in and security: how somebody proves that it is they, on their own page. A card for each way.

use crate::{
    page::AccountView,
    paths::Area,
    ui::{Badge, ButtonLink, Callout, Card, Fact, Facts, Shape, Time, Tone, Variant, surroundings},
};
use domain::second_factor::SecondFactor;
use leptos::prelude::*;

/// So many recovery codes, or fewer, are few.
const FEW_CODES: usize = 3;

pub(super) fn view(title: String, account: &AccountView) -> impl IntoView + use<> {
    let email = surroundings().viewer.as_ref().map(|viewer| viewer.email.clone()).unwrap_or_default();
    let lead = format!(
        "How you prove that it is you, when you sign in as {email} and before you change something that matters.",
    );
    view! {
        {super::heading(title, &lead)}
        {account.offers_passkeys.then(|| super::passkeys::card(account))}
        {second_factor(account)}
    }
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

/// Where one's own account is.
fn area() -> Area {
    surroundings().area()
}
