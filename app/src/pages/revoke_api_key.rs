//! Page that revokes an API key.

use super::cut_over::{Meter, explained, verdict_view};
use crate::{
    page::Usage,
    ui::{
        Actions, ApiKeyBadge, ButtonLink, Callout, Card, Code, Consequences, Fact, Facts, Form, LastUsed, ReasonField,
        Submit, TextField, Time, Variant, place, surroundings,
    },
};
use domain::{
    access::Operation,
    api_key::{ApiKey, ApiKeyStatus},
    application::ApiApplication,
    cut_over::Traffic,
    id::ApiKeyId,
    time::{Timestamp, in_words},
};
use leptos::prelude::*;
use std::{collections::HashMap, time::Duration};

/// A key last used within this period is presumed to be in use.
const RECENT: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn view(
    title: String,
    application: &ApiApplication,
    key: &ApiKey,
    usage: &HashMap<ApiKeyId, Usage>,
    traffic: &HashMap<ApiKeyId, Traffic>,
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
    let used = usage.get(&key.id);
    let others = application.live_keys(now).filter(|other| other.id != key.id).count();
    let is_last = others == 0;
    let left = match others {
        0 => "It is the last live key: every request will be refused until you create another.".to_owned(),
        1 => "One other key will keep working.".to_owned(),
        count => format!("{count} other keys will keep working."),
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
    // The old keys of a rotation are judged by the same verdict as on the application's page, any other key by its last
    // use only.
    let evidence = match Meter::of_api_keys(application, usage, traffic, now) {
        Some(meter) if meter.replaces(key.id) => {
            let verdict = meter.verdict(key.id);
            view! {
                <Card id="evidence" heading="Has traffic moved to the new key?">
                    {verdict_view(verdict, "revoke")}
                    {meter.chart()}
                    {explained()}
                </Card>
            }
            .into_any()
        }
        meter => {
            let used = used.filter(|used| now.since(used.last_used_at) < RECENT);
            let is_replacement = meter.is_some_and(|meter| meter.new == key.id);
            used.map(|used| recently_used(application, key, used, is_replacement, now)).into_any()
        }
    };
    view! {
        {super::heading(title, "")}
        <Facts>
            <Fact term="Key"><Code text=name.clone() /></Fact>
            <Fact term="Status"><ApiKeyBadge status /></Fact>
            <Fact term="Created"><Time at=key.created_at /> {format!(" by {}", key.created_by)}</Fact>
            <Fact term="Last used">
                <LastUsed usage=used />
            </Fact>
        </Facts>
        {evidence}
        <Consequences heading=format!("Revoking stops {name} for good") danger=is_last>
            <ul>
                <li>"Requests with it will be refused as soon as you confirm. This cannot be undone."</li>
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

/// Warning about revoking a recently used key that is not being replaced, with what to do first.
fn recently_used(
    application: &ApiApplication,
    key: &ApiKey,
    used: &Usage,
    is_replacement: bool,
    now: Timestamp,
) -> impl IntoView + use<> {
    let heading = match now.since(used.last_used_at) {
        ago if ago < Duration::from_secs(60) => "This key is in use".to_owned(),
        ago => format!("This key was last used {} ago", in_words(ago)),
    };
    let others: Vec<_> = application.live_keys(now).filter(|other| other.id != key.id).collect();
    let advice = match &*others {
        [] => view! {
            <p>"Requests with it will be refused. To avoid an outage, create a replacement key and deploy it first."</p>
            <ButtonLink
                href=place().action(application.id, "replace-api-key")
                text="Create replacement key"
                needs=Operation::RotateApiKeys
            />
        }
        .into_any(),
        [old, ..] if is_replacement => {
            let stops = match old.status(now) {
                ApiKeyStatus::Expiring { at } => Some(view! { " It stops at " <Time at /> "." }),
                _ => None,
            };
            let href = format!("{}#keep", place().api_key_action(application.id, old.id, "deadline"));
            view! {
                <p>
                    "Requests with it will be refused. If you go back to " <Code text=old.shown() />
                    ", keep that key and deploy it first." {stops}
                </p>
                <ButtonLink href text="Keep it" about=old.shown() needs=Operation::RotateApiKeys />
            }
            .into_any()
        }
        [other, ..] => view! {
            <p>
                "Requests with it will be refused. Make sure first that every caller uses another key, such as "
                <Code text=other.shown() /> "."
            </p>
        }
        .into_any(),
    };
    view! { <Callout heading=heading>{advice}</Callout> }
}

/// Checkbox that records the key as exposed in the audit history.
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
