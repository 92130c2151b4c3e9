//! Pages that disable an application in an emergency, and enable it again.

use super::{blocked_keys, proposed_change};
use crate::ui::{
    Actions, Callout, Code, Consequences, EmergencyReason, Form, ReasonField, Submit, Variant, place, surroundings,
};
use domain::{
    api_key::ApiKeyStatus,
    application::{ApiApplication, BlockedKey},
};
use leptos::prelude::*;

pub(super) fn disable(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "")}
        <Consequences heading=format!("Disabling refuses every request from {}", application.name)>
            <ul>
                <li>"It takes effect at once, even for requests with a valid key and signature."</li>
                <li>"Keys, permissions and history will stay. Grace windows will keep running."</li>
                <li>"You can enable the application again at any time."</li>
            </ul>
        </Consequences>
        <Form action=place().action(application.id, "disable") version=application.version>
            <EmergencyReason />
            <Actions>
                <Submit variant=Variant::Danger text="Disable application" />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
}

pub(super) fn enable(
    title: String,
    application: &ApiApplication,
    blocked_keys: &[BlockedKey],
    waits: bool,
) -> impl IntoView + use<> {
    // An application cannot be enabled with a blocked key, so there is no form.
    if let Some(panel) = blocked_keys::panel(application, blocked_keys) {
        return view! { {super::heading(title, "")} {panel} <Actions>{super::cancel(application)}</Actions> }
            .into_any();
    }
    let now = surroundings().now;
    let live: Vec<_> = application
        .live_keys(now)
        .map(|key| {
            let until = match key.status(now) {
                ApiKeyStatus::Expiring { at } => format!(", until {at}"),
                _ => String::new(),
            };
            view! { <li><Code text=key.shown() /> {until}</li> }
        })
        .collect();
    let consequence = if live.is_empty() {
        view! {
            <p>"No API key works, so requests will stay refused until you create a replacement key."</p>
        }
        .into_any()
    } else {
        view! {
            <p>{format!("Requests with these keys will be accepted as soon as {}:", if waits { "they confirm" } else { "you confirm" })}</p>
            <ul>{live}</ul>
            <p>"If one of them may be exposed, revoke it first."</p>
        }
        .into_any()
    };
    view! {
        {super::heading(title, "")}
        {waits
            .then(|| {
                view! {
                    <Callout heading=proposed_change::enabling_waits()>
                        <p>"What you send is a proposal. Requests stay refused until a developer or owner there confirms it, within 72 hours."</p>
                    </Callout>
                }
            })}
        <Consequences heading=format!("{} will accept requests again", application.name)>{consequence}</Consequences>
        <Form action=place().action(application.id, "enable") version=application.version>
            <ReasonField autofocus=true />
            <Actions>
                <Submit variant=Variant::Primary text=proposed_change::verb(waits, "Enable application") />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
    .into_any()
}
