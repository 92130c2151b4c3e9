//! End a signing key's overlap now.

use super::proposed_change;
use crate::{
    page::Usage,
    ui::{
        Actions, Code, Consequences, Fact, Facts, Form, LastUsed, ReasonField, SigningKeyBadge, Submit, Variant, place,
        surroundings,
    },
};
use domain::{application::ApiApplication, signing_key::SigningKey};
use leptos::prelude::*;

pub(super) fn view(
    title: String,
    application: &ApiApplication,
    key: &SigningKey,
    usage: Option<&Usage>,
    waits: bool,
) -> impl IntoView + use<> {
    let status = key.status(surroundings().now);
    let heading = if waits {
        "Its signatures are refused once the partner confirms it"
    } else {
        "Its signatures are refused from the moment you confirm"
    };
    view! {
        {super::heading(title, "")}
        {proposed_change::notice(waits)}
        <Facts>
            <Fact term="Fingerprint"><Code text=key.public_key.fingerprint() /></Fact>
            <Fact term="Status"><SigningKeyBadge status /></Fact>
            <Fact term="Last used">
                <LastUsed usage />
            </Fact>
        </Facts>
        <Consequences heading=heading>
            <ul>
                <li>"Whatever still signs with its private key is refused then."</li>
                <li>"It stays in the history, and can be restored."</li>
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
