//! Have a rotation finish by itself, on the evidence that its page shows.

use crate::ui::{Actions, Callout, Code, Form, RadioGroup, RadioOption, Submit, Variant, place, surroundings};
use domain::application::ApiApplication;
use leptos::prelude::*;

/// What the form sends, in seconds, and in words.
const HOLDS: &[(&str, &str)] =
    &[("900", "15 minutes"), ("3600", "1 hour"), ("21600", "6 hours"), ("86400", "24 hours")];

pub(super) fn view(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    let now = surroundings().now;
    let old: Vec<_> = application.expiring_keys(now).map(|key| view! { <li><Code text=key.shown() /></li> }).collect();
    if old.is_empty() {
        return view! {
            {super::heading(title, "")}
            <Callout heading="No rotation is under way">
                <p>"No old key is left that could be revoked."</p>
                {super::cancel(application)}
            </Callout>
        }
        .into_any();
    }
    let options = HOLDS.iter().map(|&(value, label)| RadioOption {
        value,
        label: label.to_owned(),
        hint: format!("Revoked once that has been safe for {label} without a break."),
    });
    view! {
        {super::heading(title, "The old keys are revoked without you, on the evidence that the application’s page shows: once the new key is used, and the old ones have been silent for long enough.")}
        <div class="prose">
            <p>"This concerns:"</p>
            <ul>{old}</ul>
        </div>
        <Form action=place().action(application.id, "finish-by-itself") version=application.version>
            <RadioGroup
                name="hold"
                legend="How long the evidence must hold"
                hint="A request with an old key begins it anew. Whatever happens, each key stops at its deadline."
                options=options.collect()
                default="3600"
            />
            <p>"It is done in your name, and stands in the audit history. You or a colleague can cancel it until then."</p>
            <Actions>
                <Submit variant=Variant::Primary text="Finish by itself" />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
    .into_any()
}
