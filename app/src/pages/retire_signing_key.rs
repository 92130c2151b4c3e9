//! Page that retires a signing key before its overlap ends.

use super::{
    cut_over::{Meter, explained, verdict_view},
    proposed_change,
};
use crate::{
    page::Usage,
    ui::{
        Actions, Card, Code, Consequences, Fact, Facts, Form, LastUsed, ReasonField, SigningKeyBadge, Submit, Variant,
        place, surroundings,
    },
};
use domain::{application::ApiApplication, cut_over::Traffic, id::SigningKeyId, signing_key::SigningKey};
use leptos::prelude::*;
use std::collections::HashMap;

pub(super) fn view(
    title: String,
    application: &ApiApplication,
    key: &SigningKey,
    (usage, traffic): (&HashMap<SigningKeyId, Usage>, &HashMap<SigningKeyId, Traffic>),
    waits: bool,
) -> impl IntoView + use<> {
    let now = surroundings().now;
    let status = key.status(now);
    let heading = if waits {
        "Its signatures will be refused once the partner confirms it"
    } else {
        "Its signatures will be refused as soon as you confirm"
    };
    let meter = Meter::of_signing_keys(application, usage, traffic, now).filter(|meter| meter.replaces(key.id));
    let evidence = meter.map(|meter| {
        view! {
            <Card id="evidence" heading="Has traffic moved to the new key?">
                {verdict_view(meter.verdict(key.id), "retire")}
                {meter.chart()}
                {explained()}
            </Card>
        }
    });
    view! {
        {super::heading(title, "")}
        {proposed_change::notice(waits)}
        <Facts>
            <Fact term="Fingerprint"><Code text=key.public_key.fingerprint() /></Fact>
            <Fact term="Status"><SigningKeyBadge status /></Fact>
            <Fact term="Last used">
                <LastUsed usage=usage.get(&key.id) />
            </Fact>
        </Facts>
        {evidence}
        <Consequences heading=heading>
            <ul>
                <li>"Requests that are still signed with its private key will be refused."</li>
                <li>"It will stay in the history, and can be restored."</li>
            </ul>
        </Consequences>
        <Form action=place().signing_key_action(application.id, key.id, "retire") version=application.version>
            <ReasonField optional=true />
            <Actions>
                <Submit variant=Variant::Danger text=proposed_change::verb(waits, "Retire signing key") />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
}
