//! Pages that replace the signing key, and restore an earlier one.

use super::proposed_change;
use crate::ui::{
    Actions, Callout, Card, Code, CodeBlock, Fact, Facts, Form, RadioGroup, RadioOption, ReasonField, SigningKeyField,
    Step, Steps, Submit, Time, Variant, place, surroundings,
};
use domain::{application::ApiApplication, signing_key::SigningKey, time::Timestamp};
use leptos::prelude::*;
use std::time::Duration;

/// Overlap periods: submitted value, label, and seconds.
const OVERLAP: &[(&str, &str, u64)] =
    &[("3600", "1 hour", 3_600), ("86400", "24 hours", 86_400), ("604800", "7 days", 604_800)];

pub(super) fn replace(
    title: String,
    application: &ApiApplication,
    challenge: &str,
    waits: bool,
    is_blocked: bool,
) -> impl IntoView + use<> {
    let now = surroundings().now;
    let current = application.current_signing_key().public_key.fingerprint();
    let lead = if waits || is_blocked {
        ""
    } else {
        "Requests signed with the new private key are accepted at once; the old one overlaps for as long as you choose."
    };
    view! {
        {super::heading(title, lead)}
        {proposed_change::notice(waits)}
        {blocked(is_blocked, application)}
        <Form action=place().action(application.id, "replace-signing-key") version=application.version>
            <Card id="signing-key" heading="New signing key">
                <SigningKeyField file_stem=application.name.to_string() challenge=challenge />
            </Card>
            <Card id="old-key" heading="The key it replaces">
                <Facts>
                    <Fact term="Fingerprint"><Code text=current /></Fact>
                </Facts>
                {overlap("86400", now, is_blocked)}
                <ReasonField optional=true />
            </Card>
            <Actions>
                <Submit variant=Variant::Primary text=proposed_change::verb(waits, "Replace signing key") />
                {super::cancel(application)}
            </Actions>
        </Form>
        <section class="next-steps" aria-labelledby="next-heading">
            <h2 id="next-heading">"What happens next"</h2>
            <Steps>
                <Step heading="Deploy the new private key">
                    <p>"The API key stays the same."</p>
                </Step>
                <Step heading="Send a signed test request">
                    <p>"It must succeed before you go on."</p>
                </Step>
                <Step heading="Remove the old private key">
                    <p>"If the new one turns out wrong, restore the old one from the history instead."</p>
                </Step>
            </Steps>
        </section>
    }
}

pub(super) fn restore(
    title: String,
    application: &ApiApplication,
    key: &SigningKey,
    waits: bool,
    is_blocked: bool,
) -> impl IntoView + use<> {
    let now = surroundings().now;
    view! {
        {super::heading(title, "Makes an earlier key current again: for when the replacement does not match what your service signs with.")}
        {proposed_change::notice(waits)}
        <Facts>
            <Fact term="Becomes current"><Code text=key.public_key.fingerprint() /></Fact>
            <Fact term="Registered"><Time at=key.created_at /> {format!(" by {}", key.created_by)}</Fact>
            <Fact term="Current until now">
                <Code text=application.current_signing_key().public_key.fingerprint() />
            </Fact>
        </Facts>
        <details class="details">
            <summary>"Public key to restore (PEM)"</summary>
            <CodeBlock id="restored-pem" label="Public key" text=key.public_key.pem() />
        </details>
        <Form
            action=place().signing_key_action(application.id, key.id, "restore")
            version=application.version
        >
            {overlap("none", now, is_blocked)}
            <ReasonField optional=true />
            <Actions>
                <Submit variant=Variant::Primary text=proposed_change::verb(waits, "Restore signing key") />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
}

/// Notice that the current signing key is blocked.
fn blocked(is_blocked: bool, application: &ApiApplication) -> Option<impl IntoView + use<>> {
    let then = match application.is_enabled() {
        true => "The new key is accepted at once.",
        false => "Afterwards, enable the application.",
    };
    is_blocked.then(|| {
        view! {
            <Callout heading="The current signing key is blocked">
                <p>"It is retired at once, without an overlap, and cannot be restored. " {then}</p>
            </Callout>
        }
    })
}

/// Choice of how long the current key stays valid. A blocked key never overlaps, so there is no choice.
fn overlap(default: &'static str, now: Timestamp, is_blocked: bool) -> AnyView {
    if is_blocked {
        return view! { <input type="hidden" name="overlap" value="none" /> }.into_any();
    }
    let none = RadioOption {
        value: "none",
        label: "No overlap".to_owned(),
        hint: "It stops at once: for a private key that may be exposed, or a wrong replacement.".to_owned(),
    };
    let spans = OVERLAP.iter().map(|&(value, label, seconds)| RadioOption {
        value,
        label: label.to_owned(),
        hint: format!("It stops at {}.", now.plus(Duration::from_secs(seconds))),
    });
    view! {
        <RadioGroup
            name="overlap"
            legend="How long the present key verifies still"
            options=std::iter::once(none).chain(spans).collect()
            default
        />
    }
    .into_any()
}
