//! Replacement API keys that Nuvera prepares and a member of the partner claims. The key is generated when it is
//! claimed, and shown only to the member who claims it.

use super::replace_api_key::GRACE;
use crate::{
    page::ApplicationSummary,
    paths::Place,
    ui::{
        Actions, ButtonLink, Callout, Consequences, Fact, Facts, Form, RadioGroup, RadioOption, ReasonField, Submit,
        Time, Variant, Why, may, place, surroundings,
    },
};
use domain::{
    access::Operation,
    api_key::MAX_LIVE_KEYS,
    application::{ApiApplication, PreparedReplacement},
};
use leptos::prelude::*;

/// Notice on the application's page while a prepared replacement can be claimed.
pub(super) fn waiting(application: &ApiApplication, prepared: &PreparedReplacement) -> impl IntoView + use<> {
    let is_partner = may(Operation::RotateApiKeys);
    let heading = if is_partner {
        "Nuvera prepared a replacement key for you"
    } else {
        "A replacement key is waiting to be claimed"
    };
    let action = |action| place().action(application.id, action);
    let withdraw = if is_partner { "Decline" } else { "Withdraw" };
    view! {
        <Callout heading=heading>
            <p>{format!("By {} on ", prepared.by)} <Time at=prepared.at /></p>
            <Why why=&prepared.reason />
            <p>
                {format!("When it is claimed, {}. It can be claimed until ", prepared.replacement)}
                <Time at=prepared.expires_at />
            </p>
            <div class="actions">
                <ButtonLink
                    href=action("claim-replacement")
                    text="Claim replacement key"
                    variant=Variant::Primary
                    needs=Operation::RotateApiKeys
                />
                <ButtonLink
                    href=action("withdraw-replacement")
                    text=withdraw
                    about="the replacement key"
                    needs=Operation::WithdrawReplacement
                />
            </div>
        </Callout>
    }
}

/// Notice above a partner's list of applications that names the replacements to claim.
pub(super) fn of_list(items: &[ApplicationSummary]) -> impl IntoView + use<> {
    let now = surroundings().now;
    let prepared: Vec<_> = items
        .iter()
        .filter_map(|item| Some((&item.application, item.application.claimable_replacement(now)?)))
        .map(|(application, prepared)| {
            let href = place().application(application.id);
            view! {
                <li>
                    <div class="fates__text">
                        <p>
                            <a href=href>{application.name.to_string()}</a>
                            {format!(": prepared by {}. It can be claimed until ", prepared.by)}
                            <Time at=prepared.expires_at />
                        </p>
                        <Why why=&prepared.reason />
                    </div>
                </li>
            }
        })
        .collect();
    (!prepared.is_empty()).then(|| {
        let heading = match prepared.len() {
            1 => "Nuvera prepared a replacement key for you to claim".to_owned(),
            count => format!("Nuvera prepared {count} replacement keys for you to claim"),
        };
        view! { <Callout heading=heading><ul class="fates">{prepared}</ul></Callout> }
    })
}

pub(super) fn prepare(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    let is_full = application.live_keys(surroundings().now).count() >= MAX_LIVE_KEYS;
    let at_once = RadioOption {
        value: "none",
        label: "No grace period".to_owned(),
        hint: "Every live key will stop when the new one is claimed: for a suspected exposure.".to_owned(),
    };
    let windows = GRACE.iter().filter(|_| !is_full).map(|&(value, label, _)| RadioOption {
        value,
        label: label.to_owned(),
        hint: format!("Active keys will stop {label} after the claim."),
    });
    let default = if is_full { "none" } else { "86400" };
    view! {
        {super::heading(
            title,
            "A developer or owner at the partner can claim the key within 72 hours. It is created then and shown to them only: you never see it.",
        )}
        <Form action=place().action(application.id, "prepare-replacement") version=application.version>
            <RadioGroup
                name="grace"
                legend="Keep the old keys working for"
                options=windows.chain([at_once]).collect()
                default
            />
            <ReasonField />
            <Actions>
                <Submit variant=Variant::Primary text="Prepare replacement key" />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
}

pub(super) fn withdraw(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    let Some(prepared) = application.claimable_replacement(surroundings().now) else {
        return nothing_left(title, application).into_any();
    };
    let consequence = match place() {
        Place::Settings => "Nuvera will see that you declined it.",
        Place::Nuvera | Place::Hub { .. } => "The partner will see that you withdrew it.",
    };
    view! {
        {super::heading(title, "")}
        {facts(prepared)}
        <Consequences heading="The replacement key will no longer be claimable">
            <p>{format!("No key was created, and none will stop. {consequence}")}</p>
        </Consequences>
        <Form action=place().action(application.id, "withdraw-replacement") version=application.version>
            <ReasonField optional=true />
            <Actions>
                <Submit variant=Variant::Danger text="Withdraw replacement key" />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
    .into_any()
}

pub(super) fn claim(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    let Some(prepared) = application.claimable_replacement(surroundings().now) else {
        return nothing_left(title, application).into_any();
    };
    view! {
        {super::heading(title, "The key will be created and shown to you once. Have your secret manager ready.")}
        {facts(prepared)}
        <Form action=place().action(application.id, "claim-replacement") version=application.version>
            <Actions>
                <Submit variant=Variant::Primary text="Claim replacement key" />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
    .into_any()
}

fn facts(prepared: &PreparedReplacement) -> impl IntoView + use<> {
    view! {
        <Facts>
            <Fact term="Prepared"><Time at=prepared.at /> {format!(" by {}, Nuvera", prepared.by)}</Fact>
            <Fact term="Why">{prepared.reason.to_string()}</Fact>
            <Fact term="When claimed">{prepared.replacement.to_string()}</Fact>
            <Fact term="Can be claimed until"><Time at=prepared.expires_at /></Fact>
        </Facts>
    }
}

fn nothing_left(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "")}
        <Callout heading="There is no prepared replacement key">
            <p>"It was claimed or withdrawn, or its 72 hours have passed. See the audit history."</p>
            <ButtonLink href=place().application(application.id) text="Back to the application" />
        </Callout>
    }
}
