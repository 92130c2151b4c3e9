//! Blocked signing keys: notices on other pages, the list of blocked keys, and the page that releases one.

use crate::{
    page::BlockedKeyView,
    paths,
    ui::{
        Actions, Badge, ButtonLink, Callout, Cell, Code, Column, Consequences, DataTable, EmptyState, Fact, Facts,
        Form, ReasonField, RowHeader, Shape, Submit, Time, Tone, Variant, Why, may, place, surroundings,
    },
};
use domain::{
    access::Operation,
    application::{ApiApplication, BlockedKey},
    signing_key::{SigningKey, SigningKeyState},
};
use leptos::prelude::*;

const COLUMNS: &[Column] = &[
    Column { label: "Signing key", class: "column--key" },
    Column { label: "Status", class: "column--status" },
    Column { label: "Blocked", class: "column--wide" },
    Column { label: "Actions", class: "column--actions" },
];

/// Returns the active block of `key`, if any.
pub(super) fn block_of<'a>(blocked: &'a [BlockedKey], key: &SigningKey) -> Option<&'a BlockedKey> {
    let fingerprint = key.public_key.fingerprint();
    blocked.iter().find(|blocked| blocked.is_in_force() && blocked.fingerprint == fingerprint)
}

/// Warns that a signing key accepted for `application` is blocked, and links to the way to resolve it. `None` if no
/// such key is blocked.
pub(super) fn panel(application: &ApiApplication, blocked: &[BlockedKey]) -> Option<impl IntoView + use<>> {
    let now = surroundings().now;
    let (key, block) = application
        .signing_keys
        .iter()
        .filter(|key| key.verifies(now))
        .find_map(|key| block_of(blocked, key).map(|block| (key, block)))?;
    // The block retires retiring keys. The current key remains current until it is replaced.
    let (action, text) = match key.status(now) {
        SigningKeyState::Current => (place().action(application.id, "replace-signing-key"), "Replace signing key"),
        _ => (place().signing_key_action(application.id, key.id, "retire"), "Retire signing key"),
    };
    let way_out = match application.is_enabled() {
        true => "Requests signed with it are refused. Replace the signing key, and deploy the new private key.",
        false => {
            "Replace the signing key first. Then enable the application, and deploy the new private key. It cannot be enabled with the blocked key."
        }
    };
    Some(view! {
        <Callout heading="The signing key is blocked: its private key may have leaked" danger=true>
            <p>"Stopped by " {block.by.clone()} " (Nuvera) on " <Time at=block.at /> ":"</p>
            {block.why.as_ref().map(|why| view! { <Why why /> })}
            <p>"Signing key " <Code text=block.fingerprint.clone() /></p>
            <p>{way_out}</p>
            <ButtonLink href=action text variant=Variant::Primary needs=Operation::ReplaceSigningKeys />
        </Callout>
    })
}

/// Fingerprint, time, actor and reason of a block.
pub(super) fn facts(blocked: &BlockedKey) -> impl IntoView + use<> {
    view! {
        <Facts>
            <Fact term="Fingerprint"><Code text=blocked.fingerprint.clone() /></Fact>
            <Fact term="Blocked"><Time at=blocked.at /> {format!(" by {}", blocked.by)}</Fact>
            {blocked.why.as_ref().map(|why| view! { <Fact term="Reason"><Why why /></Fact> })}
        </Facts>
    }
}

/// Notice that a key is already blocked, for pages that could otherwise block it.
pub(super) fn is_blocked(blocked: &BlockedKey) -> impl IntoView + use<> {
    let release = paths::release_signing_key(&blocked.fingerprint);
    view! {
        <Callout heading="This key is blocked" danger=true>
            <p>"By " {blocked.by.clone()} " on " <Time at=blocked.at /></p>
            {blocked.why.as_ref().map(|why| view! { <Why why /> })}
            <p>"No application can register it or accept its signatures."</p>
            <div class="actions">
                <ButtonLink href=paths::HUB_SIGNING_KEYS text="Blocked keys" />
                <ButtonLink href=release text="Release" about=blocked.fingerprint.clone() needs=Operation::ReleaseSigningKey />
            </div>
        </Callout>
    }
}

pub(super) fn list(title: String, keys: &[BlockedKeyView]) -> impl IntoView + use<> {
    let lead = "Signing keys that no application can register or use, in any organization, until they are released.";
    let list = if keys.is_empty() {
        view! {
            <EmptyState heading="No blocked keys">
                <p class="empty-state__lead">
                    "To block a leaked key, search for its fingerprint and choose Stop this key everywhere."
                </p>
                <ButtonLink href=paths::ORGANIZATION_HUB text="Search" />
            </EmptyState>
        }
        .into_any()
    } else {
        view! {
            <div class="card card--table">
                <DataTable caption="Blocked signing keys, those in force first" columns=COLUMNS>
                    {keys.iter().map(row).collect_view()}
                </DataTable>
            </div>
        }
        .into_any()
    };
    view! { {super::heading(title, lead)} {list} }
}

fn row(view: &BlockedKeyView) -> impl IntoView + use<> {
    let BlockedKeyView { blocked, waiting } = view;
    let fingerprint = blocked.fingerprint.clone();
    let (state, actions) = match &blocked.release {
        None => {
            let waiting = (*waiting > 0).then(|| {
                let s = if *waiting == 1 { " needs" } else { "s need" };
                view! { <p class="quiet">{format!("{waiting} application{s} a new signing key")}</p> }
            });
            let release = may(Operation::ReleaseSigningKey).then(|| {
                let href = paths::release_signing_key(&fingerprint);
                view! {
                    <div class="actions actions--small">
                        <ButtonLink href text="Release" about=fingerprint.clone() variant=Variant::DangerQuiet />
                    </div>
                }
            });
            (
                view! { <Badge tone=Tone::Stopped shape=Shape::Barred text="Blocked" /> {waiting} }.into_any(),
                match release {
                    Some(release) => release.into_any(),
                    None => view! { <span class="quiet">"None"</span> }.into_any(),
                },
            )
        }
        Some(release) => (
            view! {
                <Badge tone=Tone::Quiet shape=Shape::Dash text="Released" />
                <p class="quiet"><Time at=release.at /> {format!(" by {}", release.by)}</p>
                <Why why=&release.why />
            }
            .into_any(),
            view! { <span class="quiet">"None"</span> }.into_any(),
        ),
    };
    let found = format!("{}?q={}", paths::ORGANIZATION_HUB, paths::escaped(&fingerprint));
    view! {
        <tr role="row">
            <RowHeader>
                <a class="table__link" href=found><Code text=fingerprint /></a>
            </RowHeader>
            <Cell label="Status">{state}</Cell>
            <Cell label="Blocked">
                <p><Time at=blocked.at /> {format!(" by {}", blocked.by)}</p>
                {blocked.why.as_ref().map(|why| view! { <Why why /> })}
            </Cell>
            <Cell label="Actions">{actions}</Cell>
        </tr>
    }
}

pub(super) fn release(title: String, blocked: &BlockedKey) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "")}
        {facts(blocked)}
        <Consequences heading="Releasing lets this key be used again" danger=true>
            <ul>
                <li>"Applications that still have it can be enabled with it, and others can register it."</li>
                <li>"Whoever has a copy of the private key can sign requests with it again."</li>
                <li>"Release a key only if it was blocked by mistake."</li>
            </ul>
        </Consequences>
        <Form action=paths::release_signing_key(&blocked.fingerprint) version=blocked.at.as_millis()>
            <ReasonField />
            <Actions>
                <Submit variant=Variant::Danger text="Release signing key" />
                <a class="button button--plain" href=paths::HUB_SIGNING_KEYS>"Cancel"</a>
            </Actions>
        </Form>
    }
}
