//! Pages that create a replacement API key: with a grace window, or without one if a key may be exposed.

use crate::ui::{
    Actions, ApiKeyBadge, ButtonLink, Callout, Code, Consequences, Form, Input, RadioGroup, RadioOption, ReasonField,
    Submit, TextField, Time, Variant, place, surroundings,
};
use domain::{
    api_key::{ApiKeyStatus, MAX_GRACE, MAX_LIVE_KEYS},
    application::ApiApplication,
    time::Timestamp,
};
use leptos::prelude::*;
use std::time::Duration;

/// Grace windows: submitted value, label, and seconds.
pub(super) const GRACE: &[(&str, &str, u64)] = &[
    ("3600", "1 hour", 3_600),
    ("86400", "24 hours", 86_400),
    ("604800", "7 days", 604_800),
    ("2592000", "30 days", 2_592_000),
];

pub(super) fn with_grace(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    let now = surroundings().now;
    let is_full = application.live_keys(now).count() >= MAX_LIVE_KEYS;
    let form = if is_full {
        view! {
            <Callout heading=format!("{MAX_LIVE_KEYS} live keys are the most there can be")>
                <p>"Revoke a key that is no longer used, then create the replacement."</p>
                <ButtonLink href=place().application(application.id) text="Back to the API keys" />
            </Callout>
        }
        .into_any()
    } else {
        view! {
            <Form action=place().action(application.id, "replace-api-key") version=application.version>
                {grace(application, now)}
                <Actions>
                    <Submit variant=Variant::Primary text="Create replacement key" />
                    {super::cancel(application)}
                </Actions>
            </Form>
        }
        .into_any()
    };
    view! {
        {super::heading(title, "You get a new key, shown once. The old keys keep working for a grace period while you deploy it.")}
        {form}
        <aside class="aside aside--danger" aria-labelledby="exposed-heading">
            <h2 id="exposed-heading">"Could the key be exposed?"</h2>
            <p>"Skip the grace period and stop every live key now."</p>
            <ButtonLink
                href=place().action(application.id, "replace-exposed-api-key")
                text="Replace exposed key"
                variant=Variant::DangerQuiet
            />
        </aside>
    }
}

fn grace(application: &ApiApplication, now: Timestamp) -> AnyView {
    let keys: Vec<_> = application.live_keys(now).collect();
    if keys.is_empty() {
        return view! {
            <p>"No API key works at the moment, so creating one stops nothing."</p>
            <input type="hidden" name="grace" value="86400" />
        }
        .into_any();
    }
    let presets = GRACE.iter().map(|&(value, label, seconds)| RadioOption {
        value,
        label: label.to_owned(),
        hint: format!("Active keys will stop at {}.", now.plus(Duration::from_secs(seconds))),
    });
    let exact = RadioOption {
        value: "until",
        label: "Until an exact time".to_owned(),
        hint: "Active keys will stop at the time that you enter below.".to_owned(),
    };
    let options = presets.chain([exact]).collect();
    let latest = now.plus(MAX_GRACE);
    let fates = keys.into_iter().map(|key| {
        let status = key.status(now);
        let fate = match status {
            ApiKeyStatus::Expiring { at } => view! { "will keep its own deadline, " <Time at /> }.into_any(),
            _ => "will work until the time chosen above".into_any(),
        };
        view! {
            <li>
                <Code text=key.shown() />
                <ApiKeyBadge status />
                <span>{fate}</span>
            </li>
        }
    });
    view! {
        <RadioGroup
            name="grace"
            legend="Keep the old keys working for"
            hint="You can move the deadline, revoke an old key earlier, or keep it."
            options
            default="86400"
        />
        <TextField
            name="deadline"
            label="Exact time (UTC)"
            hint=format!("Used with “Until an exact time”. No later than {latest}.")
            input=Input::DateTime
            value=now.plus(Duration::from_secs(86_400)).input_value()
            max=latest.input_value()
        />
        <section aria-labelledby="fates-heading">
            <h2 class="small-heading" id="fates-heading">"What will happen to each live key"</h2>
            <ul class="fates">{fates.collect_view()}</ul>
        </section>
    }
    .into_any()
}

pub(super) fn exposed(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    let now = surroundings().now;
    let live: Vec<_> = application.live_keys(now).map(|key| view! { <li><Code text=key.shown() /></li> }).collect();
    let stops = if live.is_empty() {
        view! { <p>"No key works at the moment, so nothing will stop. You get a new key, shown once."</p> }.into_any()
    } else {
        view! {
            <p>"As soon as you confirm, requests with these keys will be refused, for good:"</p>
            <ul>{live}</ul>
            <p>
                "You get a new key, shown once. Requests will be refused until your service uses it."
            </p>
        }
        .into_any()
    };
    view! {
        {super::heading(title, "")}
        <Consequences heading="Replacing will stop every live key at once" danger=true>{stops}</Consequences>
        <Form action=place().action(application.id, "replace-exposed-api-key") version=application.version>
            <ReasonField
                optional=true
                autofocus=true
                suggestions=&["Key committed to a repository", "Key shown in a log", "Device lost", "Staff change"]
            />
            <Actions>
                <Submit variant=Variant::Danger text="Replace exposed key" />
                {super::cancel(application)}
            </Actions>
        </Form>
        <aside class="aside" aria-labelledby="private-heading">
            <h2 id="private-heading">"Was the private signing key exposed as well?"</h2>
            <p>"An API key is of no use without the private key, and the other way round. Replace both if you are not sure."</p>
            <ButtonLink
                href=place().action(application.id, "replace-signing-key")
                text="Replace signing key"
            />
        </aside>
    }
}
