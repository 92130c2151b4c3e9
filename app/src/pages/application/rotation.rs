//! Key rotations in progress, as a list of steps that any member of the organization can continue. Each step shows its
//! progress and the available actions.

use crate::{
    page::{ApplicationView, Usage},
    pages::cut_over::{Meter, explained, old_key},
    ui::{ButtonLink, Card, Code, Form, Step, Steps, Submit, Time, Variant, may, place, requests},
};
use domain::{
    access::Operation,
    api_key::{ApiKey, ApiKeyStatus},
    application::ApiApplication,
    cut_over::api_key_rotation,
    signing_key::{SigningKey, SigningKeyState},
    time::{Timestamp, in_words},
};
use leptos::prelude::*;

/// Card for the rotation of API keys; `None` if no replaced key still works.
pub(super) fn of_api_keys(view: &ApplicationView, now: Timestamp) -> Option<impl IntoView + use<>> {
    let application = &view.application;
    let (new, old) = api_key_rotation(application, now)?;
    let meter = Meter::of_api_keys(application, &view.api_key_usage, &view.api_key_traffic, now)?;
    let fates = old.iter().map(|old| {
        let verdict = meter.verdict(old.id);
        let stops_at = match old.status(now) {
            ApiKeyStatus::Expiring { at } => Some(at),
            _ => None,
        };
        let actions = api_key_actions(application, old, verdict.is_safe());
        old_key(old.shown(), (verdict, "revoke"), meter.usage(old.id), stops_at, actions)
    });
    let usage_of_new = meter.usage(new.id);
    let is_used = usage_of_new.is_some();
    let (chart, all_safe) = (meter.chart(), meter.all_safe());
    Some(view! {
        <Card
            id="rotation"
            heading="Rotation under way"
            lead=format!("{} replaces the keys below. You can leave this page and come back.", new.shown())
        >
            <Steps>
                <Step heading="Create the new key" done=true>
                    <p>{format!("By {}, ", new.created_by)} <Time at=new.created_at /></p>
                </Step>
                <Step heading="Store it" done=new.stored_at.is_some() || is_used>
                    {match new.stored_at {
                        Some(at) => view! { <p>"Confirmed " <Time at /></p> }.into_any(),
                        None if is_used => view! { <p>"It is in use."</p> }.into_any(),
                        None => view! { <p>"Not confirmed yet."</p> }.into_any(),
                    }}
                </Step>
                <Step heading="Deploy it" done=is_used>{deployed(usage_of_new)}</Step>
                <Step heading="Verify that traffic moves" done=all_safe>{chart} {explained()}</Step>
                <Step heading="Revoke the old key">
                    <ul class="fates">{fates.collect_view()}</ul>
                    {finish(application)}
                </Step>
            </Steps>
        </Card>
    })
}

/// States whether the old keys will be revoked automatically, with the link or button to change that.
fn finish(application: &ApiApplication) -> Option<AnyView> {
    let action = |action| place().action(application.id, action);
    if !may(Operation::RotateApiKeys) {
        return None;
    }
    let Some(order) = &application.auto_finish else {
        return Some(
            view! { <p><a href=action("finish-by-itself")>"Revoke automatically"</a> " once it is safe"</p> }
                .into_any(),
        );
    };
    let words = format!(
        "The old keys will be revoked automatically once that has been safe for {}. Set by {}, ",
        in_words(order.hold),
        order.by
    );
    Some(
        view! {
            <p>{words} <Time at=order.at /></p>
            <Form action=action("cancel-finish") version=application.version inline=true>
                <Submit text="Cancel automatic revocation" />
            </Form>
        }
        .into_any(),
    )
}

fn deployed(new: Option<&Usage>) -> AnyView {
    match new {
        Some(usage) => {
            let count = requests(usage.count);
            view! { <p>{format!("{count} with the new key, the last ")} <Time at=usage.last_used_at relative=true /></p> }
                .into_any()
        }
        None => view! {
            <p>
                "Waiting for the first request with the new key. Keep signing with the same private key; "
                <a href="#test-request">"a signed test request"</a> " counts too."
            </p>
        }
        .into_any(),
    }
}

/// Buttons for an old API key: change its deadline, keep it, or revoke it.
fn api_key_actions(application: &ApiApplication, key: &ApiKey, is_safe: bool) -> AnyView {
    let action = |action| place().api_key_action(application.id, key.id, action);
    let about = key.shown();
    let (rotate, revoke) = (Operation::RotateApiKeys, Operation::RevokeApiKeys);
    let variant = if is_safe { Variant::Primary } else { Variant::DangerQuiet };
    view! {
        <ButtonLink href=action("deadline") text="Change deadline" about=about.clone() needs=rotate />
        <ButtonLink href=format!("{}#keep", action("deadline")) text="Keep it" about=about.clone() needs=rotate />
        <ButtonLink href=action("revoke") text="Revoke" about=about.clone() variant needs=revoke />
    }
    .into_any()
}

/// Card for the replacement of the signing key; `None` if no replaced key still verifies.
pub(super) fn of_signing_keys(view: &ApplicationView, now: Timestamp) -> Option<impl IntoView + use<>> {
    let application = &view.application;
    let new = application.current_signing_key();
    let retiring = |key: &SigningKey| match key.status(now) {
        SigningKeyState::Retiring { at } => Some(at),
        _ => None,
    };
    let old: Vec<_> = application.signing_keys.iter().filter_map(|key| Some((key, retiring(key)?))).collect();
    if old.is_empty() {
        return None;
    }
    let meter = Meter::of_signing_keys(application, &view.signing_key_usage, &view.signing_key_traffic, now)?;
    let fingerprint = |key: &SigningKey| key.public_key.fingerprint();
    let fates = old.iter().map(|&(old, at)| {
        let action = |action| place().signing_key_action(application.id, old.id, action);
        let verdict = meter.verdict(old.id);
        let variant = if verdict.is_safe() { Variant::Primary } else { Variant::DangerQuiet };
        let actions = view! {
            <ButtonLink href=action("restore") text="Restore it" about=fingerprint(old) needs=Operation::ReplaceSigningKeys />
            <ButtonLink href=action("retire") text="Retire" about=fingerprint(old) variant needs=Operation::ReplaceSigningKeys />
        };
        old_key(fingerprint(old), (verdict, "retire"), meter.usage(old.id), Some(at), actions.into_any())
    });
    let usage_of_new = meter.usage(new.id);
    let (chart, all_safe) = (meter.chart(), meter.all_safe());
    Some(view! {
        <Card
            id="signing-key-rotation"
            heading="Signing-key replacement under way"
            lead="Both keys verify for now. The old one retires at its deadline, or when you retire it."
        >
            <Steps>
                <Step heading="Register the new public key" done=true>
                    <p><Code text=fingerprint(new) /> {format!(", by {}, ", new.created_by)} <Time at=new.created_at /></p>
                </Step>
                <Step heading="Deploy the new private key" done=usage_of_new.is_some()>
                    {match usage_of_new {
                        Some(usage) => view! {
                            <p>
                                {format!("{} signed with it, the last ", requests(usage.count))}
                                <Time at=usage.last_used_at relative=true />
                            </p>
                        }
                        .into_any(),
                        None => view! {
                            <p>
                                "Waiting for the first request that it signs; "
                                <a href="#test-request">"a signed test request"</a> " counts too."
                            </p>
                        }
                        .into_any(),
                    }}
                </Step>
                <Step heading="Verify that traffic moves" done=all_safe>{chart} {explained()}</Step>
                <Step heading="Retire the old key, and remove its private half">
                    <ul class="fates">{fates.collect_view()}</ul>
                </Step>
            </Steps>
        </Card>
    })
}
