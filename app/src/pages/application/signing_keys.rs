//! Signing keys of an application: the current key, retiring keys, and the history.

use super::blocked_keys;
use crate::{
    page::{ApplicationView, Usage},
    paths,
    ui::{
        Badge, ButtonLink, Card, Cell, Code, CodeBlock, Column, DataTable, Fact, Facts, KeyHygieneBadges, LastUsed,
        RowHeader, Shape, SigningKeyBadge, Time, Tone, Variant, place,
    },
};
use domain::{
    access::Operation,
    application::BlockedKey,
    hygiene::{KeyId, Rotation},
    signing_key::{SigningKey, SigningKeyState},
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
    let current = application.current_signing_key();
    let row = |key: &&SigningKey| row(view, key, now);
    let rotation = view.hygiene_of(KeyId::Signing(current.id));
    let rotation = rotation.filter(|hygiene| hygiene.rotation != Rotation::Current).map(|hygiene| {
        view! { <Fact term="Rotation"><KeyHygieneBadges hygiene=Some(hygiene) /></Fact> }
    });
    let of = |wanted: fn(SigningKeyState) -> bool| -> Vec<&SigningKey> {
        application.signing_keys.iter().filter(|key| wanted(key.status(now))).collect()
    };
    let retiring = of(|status| matches!(status, SigningKeyState::Retiring { .. }));
    let retired = of(|status| matches!(status, SigningKeyState::Retired { .. }));
    let overlap = (!retiring.is_empty()).then(|| {
        view! {
            <h3 class="small-heading">"Still accepted"</h3>
            <DataTable caption="Signing keys that retire" columns=COLUMNS>
                {retiring.iter().map(row).collect_view()}
            </DataTable>
        }
    });
    let history = (!retired.is_empty()).then(|| {
        view! {
            <details class="details details--table">
                <summary>{format!("History ({} retired)", retired.len())}</summary>
                <DataTable caption="Retired signing keys" columns=COLUMNS>
                    {retired.iter().map(row).collect_view()}
                </DataTable>
            </details>
        }
    });
    let actions = view! {
        <ButtonLink href=place().check_key() text="Check a key" />
        <ButtonLink
            href=paths::stop_signing_key(&current.public_key.fingerprint())
            text="Stop this key everywhere"
            variant=Variant::DangerQuiet
            needs=Operation::StopSigningKey
        />
        <ButtonLink href=place().action(application.id, "replace-signing-key") text="Replace signing key" needs=Operation::ReplaceSigningKeys />
    };
    view! {
        <Card
            id="signing-keys"
            heading="Signing key"
            lead="The public half of the RSA key that signs each request. Nuvera never has the private half."
            actions=actions.into_any()
        >
            <Facts>
                <Fact term="Fingerprint"><Code text=current.public_key.fingerprint() /></Fact>
                {blocked_keys::block_of(&view.blocked_keys, current).map(|block| view! {
                    <Fact term="Status">{blocked(block)}</Fact>
                })}
                <Fact term="Size">{format!("RSA, {} bits", current.public_key.bits())}</Fact>
                <Fact term="Registered"><Time at=current.created_at /> {format!(" by {}", current.created_by)}</Fact>
                {rotation}
                <Fact term="Private key">{possession(current, view.signing_key_usage.get(&current.id))}</Fact>
                <Fact term="Last used">
                    <LastUsed usage=view.signing_key_usage.get(&current.id) />
                </Fact>
            </Facts>
            <details class="details">
                <summary>"Public key (PEM)"</summary>
                <CodeBlock id="current-pem" label="Public key" text=current.public_key.pem() />
            </details>
            {overlap}
            {history}
        </Card>
    }
}

/// States whether possession of the private key was proven: by a signature at registration, or by a request.
fn possession(key: &SigningKey, usage: Option<&Usage>) -> AnyView {
    match (key.proven_at, usage) {
        (Some(at), _) => view! { "Possession proven " <Time at /> }.into_any(),
        (None, Some(usage)) => view! { "Possession proven by a request " <Time at=usage.first_used_at /> }.into_any(),
        (None, None) => view! {
            <Badge tone=Tone::Waning text="Not yet proven" />
            <p class="quiet">"Nobody has shown yet that they hold it. The first request signed with it does."</p>
        }
        .into_any(),
    }
}

/// Badge of a blocked key, which cannot be restored.
fn blocked(block: &BlockedKey) -> impl IntoView + use<> {
    view! {
        <Badge tone=Tone::Stopped shape=Shape::Barred text="Blocked" />
        <p class="quiet"><Time at=block.at /> {format!(" by {} (Nuvera)", block.by)}</p>
    }
}

fn row(view: &ApplicationView, key: &SigningKey, now: Timestamp) -> impl IntoView + use<> {
    let application = &view.application;
    let status = key.status(now);
    let (since, can_retire) = match status {
        SigningKeyState::Current => (None, false),
        SigningKeyState::Retiring { at } => (Some(("Stops ", at)), true),
        SigningKeyState::Retired { at } => (Some(("Since ", at)), false),
    };
    let fingerprint = key.public_key.fingerprint();
    let about = fingerprint.clone();
    let block = blocked_keys::block_of(&view.blocked_keys, key);
    let restore = block.is_none().then(|| {
        let href = place().signing_key_action(application.id, key.id, "restore");
        view! { <ButtonLink href text="Restore" about=about.clone() needs=Operation::ReplaceSigningKeys /> }
    });
    let blocked = block.map(blocked);
    let retire = can_retire.then(|| {
        let href = place().signing_key_action(application.id, key.id, "retire");
        view! { <ButtonLink href text="Retire" about=about.clone() variant=Variant::DangerQuiet needs=Operation::ReplaceSigningKeys /> }
    });
    view! {
        <tr role="row">
            <RowHeader>
                <Code text=fingerprint />
                <p class="quiet">{format!("by {}", key.created_by)}</p>
                <p class="quiet"><Time at=key.created_at /></p>
            </RowHeader>
            <Cell label="Status">
                <SigningKeyBadge status />
                {blocked}
                {since.map(|(words, at)| view! { <p class="quiet">{words} <Time at /></p> })}
                <KeyHygieneBadges hygiene=view.hygiene_of(KeyId::Signing(key.id)) />
            </Cell>
            <Cell label="Last used">
                <LastUsed usage=view.signing_key_usage.get(&key.id) />
            </Cell>
            <Cell label="Actions">
                <div class="actions actions--small">
                    {restore}
                    {retire}
                    {can_retire.then(|| view! {
                        <ButtonLink
                            href=paths::stop_signing_key(&about)
                            text="Stop everywhere"
                            about=about.clone()
                            variant=Variant::DangerQuiet
                            needs=Operation::StopSigningKey
                        />
                    })}
                </div>
            </Cell>
        </tr>
    }
}
