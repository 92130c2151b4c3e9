//! Revoke an API key.

use crate::{
    page::Usage,
    ui::{
        Actions, ApiKeyBadge, Callout, Code, Consequences, Fact, Facts, Form, LastUsed, ReasonField, Submit, TextField,
        Time, Variant, place, surroundings,
    },
};
use domain::{api_key::ApiKey, application::ApiApplication, time::Timestamp};
use leptos::prelude::*;
use std::time::Duration;

/// A key that was used within this time is most likely in use.
const RECENT: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn view(
    title: String,
    application: &ApiApplication,
    key: &ApiKey,
    usage: Option<&Usage>,
) -> impl IntoView + use<> {
    let now = surroundings().now;
    let status = key.status(now);
    let name = &key.shown();
    if !status.is_live() {
        return view! {
            {super::heading(title, "")}
            <Callout heading="This key no longer works">
                <p>{format!("{name} is {status}. There is nothing left to revoke.")}</p>
                {super::cancel(application)}
            </Callout>
        }
        .into_any();
    }
    let others = application.live_keys(now).filter(|other| other.id != key.id).count();
    let is_last = others == 0;
    let left = match others {
        0 => "It is the last live key: no request of this application is accepted until you create another.".to_owned(),
        1 => "One other key goes on working.".to_owned(),
        count => format!("{count} other keys go on working."),
    };
    let confirm = is_last.then(|| {
        view! {
            <TextField
                name="confirm_name"
                label="Type the application’s name to confirm"
                hint=application.name.to_string()
            />
        }
    });
    view! {
        {super::heading(title, "")}
        <Facts>
            <Fact term="Key"><Code text=name.clone() /></Fact>
            <Fact term="Status"><ApiKeyBadge status /></Fact>
            <Fact term="Created"><Time at=key.created_at /> {format!(" by {}", key.created_by)}</Fact>
            <Fact term="Last used">
                <LastUsed usage />
            </Fact>
        </Facts>
        {usage.filter(|usage| is_recent(usage, now)).map(|_| view! {
            <Callout heading="This key was used within the last 24 hours">
                <p>"Whatever uses it is refused as soon as you revoke it. To leave it time, create a replacement key, which gives this one a deadline."</p>
            </Callout>
        })}
        <Consequences heading=format!("{name} stops at once, for good") danger=is_last>
            <ul>
                <li>"Requests with it are refused from the moment you confirm. Nothing brings it back."</li>
                <li>{left}</li>
            </ul>
        </Consequences>
        <Form action=place().api_key_action(application.id, key.id, "revoke") version=application.version>
            {exposed()}
            <ReasonField optional=true />
            {confirm}
            <Actions>
                <Submit variant=Variant::Danger text="Revoke API key" />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
    .into_any()
}

/// Marks the key as exposed, for the history.
fn exposed() -> impl IntoView {
    let checked = surroundings().submission.has("exposed", "yes");
    view! {
        <div class="choice">
            <input type="checkbox" id="exposed" name="exposed" value="yes" checked=checked aria-describedby="exposed-hint" />
            <label for="exposed">"This key was exposed"</label>
            <p class="choice__hint" id="exposed-hint">"Records who reported it, and when."</p>
        </div>
    }
}

fn is_recent(usage: &Usage, now: Timestamp) -> bool {
    now.since(usage.last_used_at) < RECENT
}
