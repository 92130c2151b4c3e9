//! API keys of an application: live ones, and collapsed below them those that no longer work.

use crate::{
    page::ApplicationView,
    ui::{
        ApiKeyBadge, ButtonLink, Callout, Card, Cell, Code, Column, DataTable, Form, KeyHygieneBadges, LastUsed,
        RowHeader, Submit, Time, Variant, may, place,
    },
};
use domain::{
    access::Operation,
    api_key::{ApiKey, ApiKeyStatus},
    application::ApiApplication,
    hygiene::KeyId,
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
    let row = |key: &&ApiKey| row(view, key, now);
    let unconfirmed: Vec<_> = live
        .iter()
        .copied()
        .filter(|key| key.stored_at.is_none() && !view.api_key_usage.contains_key(&key.id))
        .collect();
    let unconfirmed = (!unconfirmed.is_empty()).then(|| unconfirmed_keys(application, &unconfirmed));
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
                "No API key works: every request is refused until you create a replacement key."
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
    let prepare = application.claimable_replacement(now).is_none().then(|| {
        let href = place().action(application.id, "prepare-replacement");
        view! { <ButtonLink href text="Prepare replacement key" needs=Operation::PrepareReplacement /> }
    });
    let replace = view! {
        <ButtonLink
            href=place().action(application.id, "replace-exposed-api-key")
            text="Replace exposed key"
            variant=Variant::DangerQuiet
            needs=Operation::RotateApiKeys
        />
        <ButtonLink
            href=place().action(application.id, "replace-api-key")
            text="Create replacement key"
            variant=Variant::Primary
            needs=Operation::RotateApiKeys
        />
    };
    view! {
        <Card
            id="api-keys"
            heading="API keys"
            lead="Sent as x-api-key with every request. A key is shown once; afterwards only its beginning and its end."
            actions=view! { {prepare} {replace} }.into_any()
        >
            {unconfirmed}
            {live_keys}
            {dead_keys}
        </Card>
    }
}

/// Notice for live keys that may have been lost: shown once, but neither confirmed as stored nor used.
fn unconfirmed_keys(application: &ApiApplication, keys: &[&ApiKey]) -> impl IntoView + use<> {
    let heading = match keys {
        [key] => format!("{} is not confirmed as stored", key.shown()),
        keys => format!("{} keys are not confirmed as stored", keys.len()),
    };
    let rows = keys.iter().map(|key| {
        let about = &key.shown();
        view! {
            <li>
                <p class="fates__text">
                    <Code text=about.clone() /> {format!(", created by {} on ", key.created_by)} <Time at=key.created_at />
                </p>
                <div class="actions actions--small">
                    {may(Operation::RotateApiKeys).then(|| view! {
                        <Form
                            action=place().api_key_action(application.id, key.id, "stored")
                            version=application.version
                            inline=true
                        >
                            <Submit text="I have stored this key" about=about.clone() />
                        </Form>
                        <Form
                            action=place().api_key_action(application.id, key.id, "replace-unseen")
                            version=application.version
                            inline=true
                        >
                            <Submit text="I never saw it: replace it" about=about.clone() />
                        </Form>
                    })}
                    <ButtonLink
                        href=place().api_key_action(application.id, key.id, "revoke")
                        text="Revoke"
                        about=about.clone()
                        variant=Variant::DangerQuiet
                        needs=Operation::RevokeApiKeys
                    />
                </div>
            </li>
        }
    });
    view! {
        <Callout heading=heading>
            <p>"Never saved it? Replace it: this key stops and you are shown another one. Your other keys are unaffected."</p>
            <ul class="fates">{rows.collect_view()}</ul>
        </Callout>
    }
}

fn row(view: &ApplicationView, key: &ApiKey, now: Timestamp) -> impl IntoView + use<> {
    let status = key.status(now);
    let since = match status {
        ApiKeyStatus::Active => None,
        ApiKeyStatus::Expiring { at } => Some(("Stops ", at)),
        ApiKeyStatus::Expired { at } | ApiKeyStatus::Revoked { at } => Some(("Since ", at)),
    };
    view! {
        <tr role="row">
            <RowHeader>
                <Code text=key.shown() />
                <p class="quiet">{format!("by {}", key.created_by)}</p>
                <p class="quiet"><Time at=key.created_at /></p>
            </RowHeader>
            <Cell label="Status">
                <ApiKeyBadge status />
                {since.map(|(words, at)| view! { <p class="quiet">{words} <Time at /></p> })}
                {key.exposed.as_ref().map(|exposure| view! {
                    <p class="quiet">"Reported as exposed " <Time at=exposure.at /> {format!(" by {}", exposure.by)}</p>
                })}
                <KeyHygieneBadges hygiene=view.hygiene_of(KeyId::Api(key.id)) />
            </Cell>
            <Cell label="Last used"><LastUsed usage=view.api_key_usage.get(&key.id) /></Cell>
            <Cell label="Actions">{actions(&view.application, key, status)}</Cell>
        </tr>
    }
}

fn actions(application: &ApiApplication, key: &ApiKey, status: ApiKeyStatus) -> AnyView {
    if !status.is_live() || !may(Operation::RevokeApiKeys) {
        return view! { <span class="quiet">"None"</span> }.into_any();
    }
    let about = key.shown();
    let deadline = matches!(status, ApiKeyStatus::Expiring { .. }).then(|| {
        let href = place().api_key_action(application.id, key.id, "deadline");
        view! { <ButtonLink href text="Change deadline" about=about.clone() needs=Operation::RotateApiKeys /> }
    });
    view! {
        <div class="actions actions--small">
            {deadline}
            <ButtonLink
                href=place().api_key_action(application.id, key.id, "revoke")
                text="Revoke"
                about=about.clone()
                variant=Variant::DangerQuiet
            />
        </div>
    }
    .into_any()
}
