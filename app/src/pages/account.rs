//! Sign-in and security: how somebody proves that it is they, on their own page. A card for each way.

use crate::{
    page::AccountView,
    ui::{Badge, Card, Fact, Facts, Shape, Time, Tone, surroundings},
};
use leptos::prelude::*;

pub(super) fn view(title: String, account: &AccountView) -> impl IntoView + use<> {
    let email = surroundings().viewer.as_ref().map(|viewer| viewer.email.clone()).unwrap_or_default();
    view! {
        {super::heading(title, &format!("How you prove that it is you, when you sign in as {email} and before you change something that matters."))}
        {second_factor(account)}
    }
}

fn second_factor(account: &AccountView) -> impl IntoView + use<> {
    let state = match account.second_factor {
        Some(factor) => view! {
            <Facts>
                <Fact term="Authenticator app"><Badge tone=Tone::Good shape=Shape::Check text="Set up" /></Fact>
                <Fact term="Since"><Time at=factor.set_up_at /></Fact>
                <Fact term="Recovery codes left">{factor.recovery_codes.to_string()}</Fact>
            </Facts>
        }
        .into_any(),
        None => view! {
            <Facts>
                <Fact term="Authenticator app"><Badge tone=Tone::Quiet shape=Shape::Dash text="Not set up" /></Fact>
            </Facts>
        }
        .into_any(),
    };
    view! {
        <Card
            id="second-factor"
            heading="Second factor"
            lead="A code from your phone, besides your password: who steals or guesses the password gets no further."
        >
            {state}
        </Card>
    }
}
