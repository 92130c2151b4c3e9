//! The API keys of an application: those that work, and those that no longer do.

use crate::{
    page::{ApplicationView, Usage},
    paths,
    ui::{
        ApiKeyBadge, ButtonLink, Callout, Card, Cell, Code, Column, DataTable, Form, RowHeader, Submit, Time, Variant,
    },
};
use domain::{
    api_key::{ApiKey, ApiKeyStatus},
    application::ApiApplication,
    time::Timestamp,
};
use leptos::prelude::*;

const COLUMNS: &[Column] = &[
    Column { label: "Key", class: "column--key" },
    Column { label: "Status", class: "column--status" },
    Column { label: "Last used", class: "column--wide" },
    Column { label: "Actions", class: "column--actions" },
];

pub(super) fn view(view: &ApplicationView, now: Timestamp) -> impl IntoView + use<> {
    let application = &view.application;
    let (live, dead): (Vec<_>, Vec<_>) = application.api_keys.iter().partition(|key| key.status(now).is_live());
    let row = |key: &&ApiKey| row(application, key, view.api_key_usage.get(&key.id), now);
    let unconfirmed: Vec<_> = live
        .iter()
        .filter(|key| key.stored_at.is_none() && !view.api_key_usage.contains_key(&key.id))
        .map(|key| unconfirmed(application, key))
        .collect();
    let count = dead.len();
    let dead_keys = (count > 0).then(|| {
        let summary = if count == 1 {
            "1 key that no longer works".to_owned()
        } else {
            format!("{count} keys that no longer work")
        };
        view! {
            <details class="details details--table">
                <summary>{summary}</summary>
                <DataTable caption="API keys that no longer work" columns=COLUMNS>
                    {dead.iter().map(row).collect_view()}
                </DataTable>
            </details>
        }
    });
    let live_keys = if live.is_empty() {
        view! {
            <p class="table-empty">
                "No API key works: every request is refused. Create a replacement key to go on."
            </p>
        }
        .into_any()
    } else {
        view! {
            <DataTable caption="API keys that work" columns=COLUMNS>
                {live.iter().map(row).collect_view()}
            </DataTable>
        }
        .into_any()
    };
    let actions = view! {
        <ButtonLink
            href=paths::application_action(application.id, "replace-exposed-api-key")
            text="Replace exposed key"
            variant=Variant::DangerQuiet
        />
        <ButtonLink
            href=paths::application_action(application.id, "replace-api-key")
            text="Create replacement key"
            variant=Variant::Primary
        />
    };
    view! {
        <Card
            id="api-keys"
            heading="API keys"
            lead="Sent as x-api-key with every request. A key is shown once; afterwards only its beginning and its end."
            actions=actions.into_any()
        >
            {unconfirmed}
            {live_keys}
            {dead_keys}
        </Card>
    }
}

/// The beginning of a key and its last four characters.
pub(super) fn key_name(key: &ApiKey) -> String {
    format!("{}…{}", key.prefix, key.last_four)
}

fn unconfirmed(application: &ApiApplication, key: &ApiKey) -> impl IntoView + use<> {
    let about = &key_name(key);
    view! {
        <Callout heading=format!("{about} is not confirmed as stored")>
            <p>
                {format!("{} created it on ", key.created_by)} <Time at=key.created_at />
                ". If the page that showed it was lost, nobody has this key: revoke it and create a replacement."
            </p>
            <div class="actions">
                <Form action=paths::api_key_action(application.id, key.id, "stored") version=application.version inline=true>
                    <Submit text="I have stored this key" about=about.clone() />
                </Form>
                <ButtonLink
                    href=paths::api_key_action(application.id, key.id, "revoke")
                    text="Revoke"
                    about=about.clone()
                    variant=Variant::DangerQuiet
                />
            </div>
        </Callout>
    }
}

fn row(application: &ApiApplication, key: &ApiKey, usage: Option<&Usage>, now: Timestamp) -> impl IntoView + use<> {
    let status = key.status(now);
    let since = match status {
        ApiKeyStatus::Active => None,
        ApiKeyStatus::Expiring { at } => Some(("Stops ", at)),
        ApiKeyStatus::Expired { at } | ApiKeyStatus::Revoked { at } => Some(("Since ", at)),
    };
    view! {
        <tr role="row">
            <RowHeader>
                <Code text=key_name(key) />
                <p class="quiet">{format!("by {}", key.created_by)}</p>
                <p class="quiet"><Time at=key.created_at /></p>
            </RowHeader>
            <Cell label="Status">
                <ApiKeyBadge status />
                {since.map(|(words, at)| view! { <p class="quiet">{words} <Time at /></p> })}
            </Cell>
            <Cell label="Last used">{used(usage)}</Cell>
            <Cell label="Actions">{actions(application, key, status)}</Cell>
        </tr>
    }
}

/// When a key was last used, from where, by what, and how often.
pub(super) fn used(usage: Option<&Usage>) -> AnyView {
    let Some(usage) = usage else {
        return view! { <span class="quiet">"Never used"</span> }.into_any();
    };
    let count = if usage.count == 1 { "1 request".to_owned() } else { format!("{} requests", grouped(usage.count)) };
    view! {
        <p><Time at=usage.last_used_at relative=true /></p>
        <p class="quiet">{format!("{count}, last from {}", usage.address)}</p>
        <p class="quiet client">{usage.user_agent.clone()}</p>
    }
    .into_any()
}

/// A number with its thousands apart: `12 345`, the spaces narrow and unbreakable.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202F}');
        }
        text.push(digit);
    }
    text
}

fn actions(application: &ApiApplication, key: &ApiKey, status: ApiKeyStatus) -> AnyView {
    if !status.is_live() {
        return view! { <span class="quiet">"None"</span> }.into_any();
    }
    let about = key_name(key);
    let deadline = matches!(status, ApiKeyStatus::Expiring { .. }).then(|| {
        let href = paths::api_key_action(application.id, key.id, "deadline");
        view! { <ButtonLink href text="Change deadline" about=about.clone() /> }
    });
    view! {
        <div class="actions actions--small">
            {deadline}
            <ButtonLink
                href=paths::api_key_action(application.id, key.id, "revoke")
                text="Revoke"
                about=about.clone()
                variant=Variant::DangerQuiet
            />
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let spaced = |number| grouped(number).replace('\u{202F}', " ");
        assert_eq!([0, 999, 1_000, 12_345, 1_234_567].map(spaced), ["0", "999", "1 000", "12 345", "1 234 567"]);
    }
}
