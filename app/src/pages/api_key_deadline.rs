//! Page that changes the deadline of a replaced API key, or cancels its expiry.

use crate::ui::{
    Actions, ApiKeyBadge, Callout, Card, Code, Fact, Facts, Form, Input, Submit, TextField, Time, Variant, place,
    surroundings,
};
use domain::{
    api_key::{ApiKey, ApiKeyState, ApiKeyStatus, MAX_GRACE},
    application::ApiApplication,
};
use leptos::prelude::*;

pub(super) fn view(title: String, application: &ApiApplication, key: &ApiKey) -> impl IntoView + use<> {
    let now = surroundings().now;
    let status = key.status(now);
    let name = key.shown();
    let forms = match (status, key.state) {
        (ApiKeyStatus::Expiring { at }, ApiKeyState::Expiring { replaced_at, .. }) => {
            let is_exposed = key.exposed.is_some();
            let latest = if is_exposed { at } else { replaced_at.plus(MAX_GRACE) };
            let lead = match is_exposed {
                true => "Earlier only: this key was reported as exposed.",
                false => "Earlier, or later up to 30 days after the replacement.",
            };
            let keep = (!is_exposed).then(|| keep(application, key));
            view! {
                <Card id="move" heading="Move the deadline" lead=lead>
                    <Form action=place().api_key_action(application.id, key.id, "deadline") version=application.version>
                        <TextField
                            name="deadline"
                            label="The key stops at (UTC)"
                            hint=format!("After now ({now}), and at {latest} or earlier.")
                            input=Input::DateTime
                            value=at.input_value()
                            max=latest.input_value()
                        />
                        <Actions>
                            <Submit variant=Variant::Primary text="Change deadline" />
                            {super::cancel(application)}
                        </Actions>
                    </Form>
                </Card>
                {keep}
            }
            .into_any()
        }
        _ => view! {
            <Callout heading="This key has no deadline that could be moved">
                <p>{format!("It is {status}.")}</p>
                {super::cancel(application)}
            </Callout>
        }
        .into_any(),
    };
    let stops = match status {
        ApiKeyStatus::Expiring { at } => Some(view! { <Fact term="Stops at"><Time at /></Fact> }),
        _ => None,
    };
    view! {
        {super::heading(title, "")}
        <Facts>
            <Fact term="Key"><Code text=name /></Fact>
            <Fact term="Status"><ApiKeyBadge status /></Fact>
            {stops}
        </Facts>
        {forms}
    }
}

fn keep(application: &ApiApplication, key: &ApiKey) -> impl IntoView + use<> {
    view! {
        <Card
            id="keep"
            heading="Keep the key"
            lead="If the new key does not work out: this one is active again, without a deadline."
        >
            <Form action=place().api_key_action(application.id, key.id, "keep") version=application.version>
                <Actions>
                    <Submit text="Keep this key" />
                </Actions>
            </Form>
        </Card>
    }
}
