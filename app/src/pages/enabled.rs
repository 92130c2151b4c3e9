//! Disable an application in an emergency, and enable it again.

use super::blocked_keys;
use crate::ui::{Actions, Code, Consequences, Form, ReasonField, Submit, Variant, place, surroundings};
use domain::{
    api_key::ApiKeyStatus,
    application::{ApiApplication, BlockedKey},
};
use leptos::prelude::*;

pub(super) fn disable(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "")}
        <Consequences heading=format!("Every request of {} is refused from now on", application.name)>
            <ul>
                <li>"However valid its key and signature, from the moment you confirm."</li>
                <li>"Keys, permissions and history stay. Grace windows keep running."</li>
                <li>"You can enable it again at any time."</li>
            </ul>
        </Consequences>
        <Form action=place().action(application.id, "disable") version=application.version>
            <ReasonField
                autofocus=true
                ticket_can_wait=true
                suggestions=&["Suspected exposure of a key", "Unexpected traffic", "Incident response", "No longer in use"]
            />
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
) -> impl IntoView + use<> {
    // With a blocked key it cannot be enabled: there is no form.
    if let Some(panel) = blocked_keys::panel(application, blocked_keys) {
        return view! { {super::heading(title, "")} {panel} {super::cancel(application)} }.into_any();
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
            <p>"No API key works any more, so requests stay refused until you create a replacement key."</p>
        }
        .into_any()
    } else {
        view! {
            <p>"Requests with these keys are accepted from the moment you confirm:"</p>
            <ul>{live}</ul>
            <p>"If one of them may be exposed, revoke it first."</p>
        }
        .into_any()
    };
    view! {
        {super::heading(title, "")}
        <Consequences heading=format!("{} works again", application.name)>{consequence}</Consequences>
        <Form action=place().action(application.id, "enable") version=application.version>
            <ReasonField autofocus=true />
            <Actions>
                <Submit variant=Variant::Primary text="Enable application" />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
    .into_any()
}
