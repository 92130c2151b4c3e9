//! List of an organization's API applications.

use crate::{
    page::ApplicationSummary,
    paths,
    ui::{
        ApplicationBadge, ApplicationHygiene, Badge, ButtonLink, Callout, Cell, Column, DataTable, EmptyState,
        HealthBadges, RowHeader, Shape, Step, Steps, Time, Tone, Variant, may, outcomes, place, surroundings,
    },
};
use domain::{
    access::Operation,
    api_key::{ApiKey, ApiKeyStatus},
    application::ApiApplication,
    audit::RecordedEvent,
    health::Health,
    time::Timestamp,
};
use leptos::prelude::*;

const COLUMNS: &[Column] = &[
    Column { label: "Name", class: "column--wide" },
    Column { label: "State", class: "column--state" },
    Column { label: "Live keys", class: "column--few" },
    Column { label: "Next deadline", class: "column--instant" },
    Column { label: "Last used", class: "column--instant" },
    Column { label: "Actions", class: "column--action" },
];

pub(super) fn view(
    title: String,
    items: &[ApplicationSummary],
    leavers: &[String],
    unseen_support: &[RecordedEvent],
) -> impl IntoView + use<> {
    if items.is_empty() {
        return view! {
            {super::heading(title, "")}
            <EmptyState heading="No API application yet">
                <p class="empty-state__lead">
                    "Your servers call the Nuvera API with an API application: an API key, an RSA key that signs every request, and the permissions you choose."
                </p>
                <Steps>
                    <Step heading="Create it">
                        <p>"Name it, register a public key and choose what it may do. Five minutes."</p>
                    </Step>
                    <Step heading="Store its API key">
                        <p>"It is shown once. Have your secret manager at hand."</p>
                    </Step>
                    <Step heading="Send a signed test request">
                        <p>"A shell with openssl and curl is enough."</p>
                    </Step>
                </Steps>
                <div class="actions">
                    <ButtonLink
                        href=paths::NEW_APPLICATION
                        text="Create API application"
                        variant=Variant::Primary
                        needs=Operation::CreateApplication
                    />
                    <ButtonLink href=place().people() text="People" needs=Operation::ViewPeople />
                </div>
            </EmptyState>
        }
        .into_any();
    }
    view! {
        <div class="page-head">
            <div class="page-head__text">
                <h1>{title}</h1>
                <p class="page-head__lead">"The credentials with which your servers call the Nuvera API."</p>
            </div>
            <div class="actions">
                <ButtonLink href=place().people() text="People" needs=Operation::ViewPeople />
                <ButtonLink href=place().rotation_policy() text="Rotation policy" />
                <ButtonLink href=place().security_policy() text="Security policy" />
                <ButtonLink href=place().audit() text="Audit history" />
                {stop_everything(items)}
                <ButtonLink
                    href=paths::NEW_APPLICATION
                    text="Create API application"
                    variant=Variant::Primary
                    needs=Operation::CreateApplication
                />
            </div>
        </div>
        {(!leavers.is_empty()).then(|| left_with_keys(leavers))}
        {super::proposed_change::of_list(items)}
        {super::prepared_replacement::of_list(items)}
        {super::support::of_list(unseen_support)}
        {super::hygiene::of_list(items)}
        {table(items)}
    }
    .into_any()
}

fn left_with_keys(leavers: &[String]) -> impl IntoView + use<> {
    let heading = match leavers {
        [name] => format!("{name} left, and keys still work that they may have a copy of"),
        names => format!("{} people left, and keys still work that they may have copies of", names.len()),
    };
    view! {
        <Callout heading=heading danger=true>
            <p><a href=place().people()>"See which keys, and replace them"</a></p>
        </Callout>
    }
}

/// List of a partner's applications, as Nuvera's users see it.
pub(super) fn organization(title: String, items: &[ApplicationSummary], health: &Health) -> impl IntoView + use<> {
    let list = if items.is_empty() {
        view! {
            <EmptyState heading="No API application yet">
                <p class="empty-state__lead">"Its members create the first one. Invite its first owner under Manage organization if no one can sign in yet."</p>
            </EmptyState>
        }
        .into_any()
    } else {
        view! { {super::hygiene::of_list(items)} {table(items)} }.into_any()
    };
    view! {
        <div class="page-head">
            <div class="page-head__text">
                <h1>{title}</h1>
                <p class="page-head__lead">"API applications of this partner organization."</p>
            </div>
            <div class="actions">
                <ButtonLink href=place().people() text="People" needs=Operation::ViewPeople />
                <ButtonLink href=place().rotation_policy() text="Rotation policy" />
                <ButtonLink href=place().security_policy() text="Security policy" />
                <ButtonLink href=place().audit() text="Audit history" />
                <ButtonLink href=place().manage() text="Manage organization" />
                {stop_everything(items)}
            </div>
        </div>
        <div class="organization-health">
            <HealthBadges health />
            <p class="quiet">{outcomes("Last hour", &health.last_hour)} " " {outcomes("Last day", &health.last_day)}</p>
        </div>
        {list}
    }
}

/// Links to the page that disables all applications; `None` if none is enabled.
fn stop_everything(items: &[ApplicationSummary]) -> Option<impl IntoView + use<>> {
    items.iter().any(|item| item.application.is_enabled()).then(|| {
        view! {
            <ButtonLink
                href=place().stop_everything()
                text="Disable all applications"
                variant=Variant::DangerQuiet
                needs=Operation::DisableApplication
            />
        }
    })
}

fn table(items: &[ApplicationSummary]) -> impl IntoView + use<> {
    view! {
        <div class="card card--table">
            <DataTable caption="API applications by name" columns=COLUMNS>
                {items.iter().map(row).collect_view()}
            </DataTable>
        </div>
    }
}

fn row(item: &ApplicationSummary) -> impl IntoView + use<> {
    let now = surroundings().now;
    let application = &item.application;
    let live = application.live_keys(now).count();
    let live_keys = if live == 0 {
        view! { <Badge tone=Tone::Stopped shape=Shape::Warning text="None" /> }.into_any()
    } else {
        live.to_string().into_any()
    };
    let deadline = application.live_keys(now).filter_map(|key| deadline(key, now)).min();
    view! {
        <tr role="row">
            <RowHeader>
                <a class="table__link" href=place().application(application.id)>{application.name.to_string()}</a>
                {item
                    .hygiene
                    .iter()
                    .any(|key| key.urgency().is_some())
                    .then(|| view! { <p class="hygiene"><ApplicationHygiene keys=&item.hygiene /></p> })}
            </RowHeader>
            <Cell label="State">
                <ApplicationBadge application />
                {application
                    .claimable_replacement(now)
                    .map(|_| view! { <Badge tone=Tone::Waning shape=Shape::Clock text="Key to claim" /> })}
                {application
                    .confirmable_proposal(now)
                    .map(|_| view! { <Badge tone=Tone::Waning shape=Shape::Clock text="To confirm" /> })}
            </Cell>
            <Cell label="Live keys">{live_keys}</Cell>
            <Cell label="Next deadline">{moment(deadline, false, "None")}</Cell>
            <Cell label="Last used">{moment(item.last_used_at, true, "Never")}</Cell>
            <Cell label="Actions">{switch(application)}</Cell>
        </tr>
    }
}

/// Links to the page that disables or enables the application. Disabling takes two clicks: this link, then the button
/// on that page.
fn switch(application: &ApiApplication) -> AnyView {
    let (operation, action, text, variant) = if application.is_enabled() {
        (Operation::DisableApplication, "disable", "Disable", Variant::DangerQuiet)
    } else {
        (Operation::EnableApplication, "enable", "Enable", Variant::Secondary)
    };
    if !may(operation) {
        return view! { <span class="quiet">"None"</span> }.into_any();
    }
    let (href, about) = (place().action(application.id, action), application.name.to_string());
    view! {
        <div class="actions actions--small"><ButtonLink href text about variant /></div>
    }
    .into_any()
}

fn deadline(key: &ApiKey, now: Timestamp) -> Option<Timestamp> {
    match key.status(now) {
        ApiKeyStatus::Expiring { at } => Some(at),
        ApiKeyStatus::Active | ApiKeyStatus::Expired { .. } | ApiKeyStatus::Revoked { .. } => None,
    }
}

fn moment(at: Option<Timestamp>, relative: bool, otherwise: &'static str) -> AnyView {
    match at {
        Some(at) => view! { <Time at relative /> }.into_any(),
        None => view! { <span class="quiet">{otherwise}</span> }.into_any(),
    }
}
