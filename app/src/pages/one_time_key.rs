//! Page that shows a newly issued API key, once.

use super::test_request;
use crate::ui::{
    Actions, ButtonLink, Callout, Code, Form, OneTimeKey, Step, Steps, Submit, Time, Variant, place, surroundings,
};
use domain::{
    access::Operation,
    api_key::{ApiKey, ApiKeyStatus, PlainApiKey},
    application::ApiApplication,
    id::ApiKeyId,
};
use leptos::prelude::*;

pub(super) fn view(
    title: String,
    application: &ApiApplication,
    id: ApiKeyId,
    key: &PlainApiKey,
) -> impl IntoView + use<> {
    let is_replacement = application.api_keys.len() > 1;
    let next = if is_replacement { after_replacement(application, id).into_any() } else { after_creation().into_any() };
    view! {
        {super::heading(
            title,
            "This is the only time it is shown. Nuvera keeps only a keyed hash of it and cannot show it again.",
        )}
        <OneTimeKey key leads_to=place().application(application.id) />
        <section class="card" aria-labelledby="stored-heading">
            <div class="card__body card__body--split">
                <div>
                    <h2 id="stored-heading">"Stored it in your secret manager?"</h2>
                    <p>"Confirm it, so that your colleagues know that this key is stored."</p>
                </div>
                <Form action=place().api_key_action(application.id, id, "stored") version=application.version inline=true>
                    <Submit variant=Variant::Primary text="I have stored this key" />
                </Form>
            </div>
        </section>
        {test_request::sender(application)}
        <section class="next-steps" aria-labelledby="next-heading">
            <h2 id="next-heading">"What happens next"</h2>
            {next}
        </section>
    }
}

/// Response to a form that the same user submitted again, by reloading or with the browser's Back button. The key was
/// shown in the first response.
pub(super) fn already_created(
    title: String,
    application: &ApiApplication,
    key: &ApiKey,
    is_used: bool,
) -> impl IntoView + use<> {
    let status = key.status(surroundings().now);
    // A key that was confirmed as stored, has been used or no longer works needs no replacement.
    let may_be_lost = status.is_live() && key.stored_at.is_none() && !is_used;
    let what_to_do = if may_be_lost {
        view! {
            <p>"The key was shown then, once. If you did not store it, replace it: it stops, and you are shown another one."</p>
        }
        .into_any()
    } else if !status.is_live() {
        view! { <p>"The key no longer works. Create a replacement key if you need one."</p> }.into_any()
    } else {
        let since = if is_used { "It is in use." } else { "It is confirmed as stored." };
        view! { <p>{format!("The key was shown then, once. {since} Nothing is left to do.")}</p> }.into_any()
    };
    let replace = may_be_lost.then(|| {
        view! {
            <Form
                action=place().api_key_action(application.id, key.id, "replace-unseen")
                version=application.version
                inline=true
            >
                <Submit text="I did not store it: replace it" about=key.shown() />
            </Form>
        }
    });
    view! {
        {super::heading(title, "")}
        <Callout heading="This form was already submitted">
            <p>
                <Code text=key.shown() /> " of " {application.name.to_string()} " was created at "
                <Time at=key.created_at /> ". No second key was created."
            </p>
            {what_to_do}
            <Actions>
                <ButtonLink
                    href=place().application(application.id)
                    text="Go to the application"
                    variant=Variant::Primary
                    needs=Operation::ViewApplications
                />
                {replace}
            </Actions>
        </Callout>
    }
}

fn after_creation() -> impl IntoView + use<> {
    view! {
        <Steps>
            <Step heading="Store the key">
                <p>"In your secret manager, not in code, a ticket or a chat."</p>
            </Step>
            <Step heading="Give your service the key and the private signing key">
                <p>"It sends the key as " <Code text="x-api-key" /> " and signs each request with the private key."</p>
            </Step>
            <Step heading="Send a signed test request">
                <p>"From where your service runs: the application’s page has one ready, for a shell, Node.js, Python, Rust and Postman."</p>
            </Step>
        </Steps>
    }
}

fn after_replacement(application: &ApiApplication, id: ApiKeyId) -> impl IntoView + use<> {
    let now = surroundings().now;
    let old: Vec<_> = application
        .live_keys(now)
        .filter(|key| key.id != id)
        .map(|key| {
            let until = match key.status(now) {
                ApiKeyStatus::Expiring { at } => view! { "stops at " <Time at /> }.into_any(),
                _ => "has no deadline".into_any(),
            };
            view! { <li><Code text=key.shown() /> " " {until}</li> }
        })
        .collect();
    let stopped = old.is_empty();
    view! {
        <Steps>
            <Step heading="Store the key">
                <p>"In your secret manager, beside the key it replaces."</p>
            </Step>
            <Step heading="Deploy it">
                <p>"Your service goes on signing with the private key that it has now."</p>
            </Step>
            <Step heading="Verify">
                <p>"On the application’s page, the new key’s “last used” must show your service’s requests."</p>
            </Step>
            {if stopped {
                view! {
                    <Step heading="Nothing is left to revoke">
                        <p>"Every earlier key has stopped. Requests with them are refused."</p>
                    </Step>
                }
                    .into_any()
            } else {
                view! {
                    <Step heading="Revoke the old key, once nothing uses it">
                        <p>"Otherwise it stops by itself:"</p>
                        <ul>{old}</ul>
                    </Step>
                }
                    .into_any()
            }}
        </Steps>
    }
}
