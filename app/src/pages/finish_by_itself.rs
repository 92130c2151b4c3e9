//! Page that schedules the automatic revocation of a rotation's old keys, once the verdict shown on the application's
//! page has been safe for a while.

use crate::ui::{Actions, Callout, Code, Form, RadioGroup, RadioOption, Submit, Variant, place, surroundings};
use domain::application::ApiApplication;
use leptos::prelude::*;

/// Options of the form: the holding period in seconds, and its label.
const HOLDS: &[(&str, &str)] =
    &[("900", "15 minutes"), ("3600", "1 hour"), ("21600", "6 hours"), ("86400", "24 hours")];

pub(super) fn view(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    let now = surroundings().now;
    let old: Vec<_> = application.expiring_keys(now).map(|key| view! { <li><Code text=key.shown() /></li> }).collect();
    if old.is_empty() {
        return view! {
            {super::heading(title, "")}
            <Callout heading="No rotation is under way">
                <p>"There is no old key to revoke."</p>
                {super::cancel(application)}
            </Callout>
        }
        .into_any();
    }
    let options = HOLDS.iter().map(|&(value, label)| RadioOption {
        value,
        label: label.to_owned(),
        hint: format!("Revoke once it has been safe for {label} without a break."),
    });
    view! {
        {super::heading(title, "The old keys will be revoked for you, by the same verdict that the application’s page shows: the new key is in use, and the old ones are silent.")}
        <div class="prose">
            <p>"Keys that will be revoked:"</p>
            <ul>{old}</ul>
        </div>
        <Form action=place().action(application.id, "finish-by-itself") version=application.version>
            <RadioGroup
                name="hold"
                legend="Revoke after"
                hint="Any request with an old key restarts the timer. Each key stops at its deadline in any case."
                options=options.collect()
                default="3600"
            />
            <p>"It will be recorded in the audit history under your name. You or a colleague can cancel it until then."</p>
            <Actions>
                <Submit variant=Variant::Primary text="Revoke automatically" />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
    .into_any()
}
