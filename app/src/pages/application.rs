//! Details of an API application, with every action available on it.

mod api_keys;
mod rotation;
mod signing_keys;

use super::{
    audit, blocked_keys, hygiene, prepared_replacement, proposed_change, requests, support, test_request::SNIPPETS,
};
use crate::{
    page::{ApplicationView, SupportView},
    ui::{
        ApplicationBadge, ApplicationHygiene, ButtonLink, Callout, Card, Code, CodeBlock, Fact, Facts, Live,
        PermissionTable, SideBadge, Time, Variant, Why, may, place, surroundings,
    },
};
use domain::{
    access::Operation,
    api_key::ApiKeyStatus,
    application::{ApiApplication, Disabled},
    audit::RecordedEvent,
    time::Timestamp,
};
use leptos::prelude::*;

pub(super) fn view(
    title: String,
    view: &ApplicationView,
    recent: &[RecordedEvent],
    support: &SupportView,
) -> impl IntoView + use<> {
    let page = surroundings();
    let application = &view.application;
    let action = |action| place().action(application.id, action);
    let now = page.now;
    // The panel of a blocked signing key already states why the application was disabled.
    let stop = match blocked_keys::panel(application, &view.blocked_keys) {
        Some(panel) => Some(panel.into_any()),
        None => application.disabled.clone().map(|disabled| banner(disabled, application).into_any()),
    };
    view! {
        {head(title, view)}
        {hygiene::of_application(view)}
        {stop}
        {application.claimable_replacement(now).map(|prepared| prepared_replacement::waiting(application, prepared))}
        {application.open_proposal(now).map(|proposed| proposed_change::waiting(application, proposed))}
        {support::of_application(support)}
        <Live id="live-now" events=action("events")>
            {requests::warnings(application, &view.latest_requests)}
            {summary(view, now)}
            {rotation::of_api_keys(view, now)}
            {rotation::of_signing_keys(view, now)}
        </Live>
        {api_keys::view(view, now)}
        {signing_keys::view(view, now)}
        <Card
            id="permissions"
            heading="Permissions"
            actions=view! { <ButtonLink href=action("permissions") text="Change permissions" needs=Operation::ChangePermissions /> }.into_any()
        >
            <PermissionTable permissions=application.permissions />
        </Card>
        {may(Operation::RotateApiKeys).then(|| test_card(&page.gateway_url))}
        <Live id="live-requests" events=action("events")>{requests::card(application, &view.latest_requests)}</Live>
        <Card
            id="recent"
            heading="Recent changes"
            actions=view! { <ButtonLink href=action("audit") text="Audit history" /> }.into_any()
        >
            {support::seen(support)}
            {audit::table(recent, false)}
        </Card>
        {may(Operation::DisableApplication).then(|| danger_zone(application))}
    }
}

fn test_card(gateway_url: &str) -> impl IntoView + use<> {
    let snippets = SNIPPETS.iter().enumerate().map(|(index, snippet)| {
        let set_up = snippet.set_up(gateway_url).map(|(id, label, text)| view! { <CodeBlock id label text /> });
        // Browsers keep at most one `<details>` of the same name open, so no script is needed.
        view! {
            <details class="details snippets__item" name="snippet" open={index == 0}>
                <summary>{snippet.name}</summary>
                <p>{snippet.needs}</p>
                {set_up}
                <p>{snippet.run}</p>
                <CodeBlock id=snippet.id label=snippet.name text=snippet.text(gateway_url) />
            </details>
        }
    });
    view! {
        <Card
            id="test-request"
            heading="Send a signed test request"
            lead="It changes nothing, needs no permission, and says what was verified."
        >
            <p>"Set two variables first (bash or zsh). The key is read from a prompt, so that it stays out of your shell’s history:"</p>
            <CodeBlock id="test-variables" label="Variables" text=VARIABLES />
            <p>"Then send the request. An answer of 200 means that the key and the signature are right."</p>
            <div class="snippets">{snippets.collect_view()}</div>
            <p>
                "Refused for its signature? " <a href=place().check_key()>"Check the key"</a>
                " that your service signs with."
            </p>
        </Card>
    }
}

/// Commands for bash and zsh, the default shell of macOS. The prompt is a `printf`, because `read -p` reads from a
/// coprocess in zsh. It comes last, because terminals that paste line by line would take the following line as the
/// answer.
const VARIABLES: &str = "\
export NUVERA_PRIVATE_KEY_FILE=private.pem
printf 'API key: '; IFS= read -rs NUVERA_API_KEY; export NUVERA_API_KEY";

fn head(title: String, view: &ApplicationView) -> impl IntoView + use<> {
    let application = &view.application;
    let action = |action| place().action(application.id, action);
    let switch = if application.is_enabled() {
        view! { <ButtonLink href=action("disable") text="Disable" variant=Variant::DangerQuiet needs=Operation::DisableApplication /> }
    } else {
        // A blocked signing key must be replaced first, so that is the page's primary button.
        let variant = if view.blocked_keys.is_empty() { Variant::Primary } else { Variant::Secondary };
        view! { <ButtonLink href=action("enable") text="Enable" variant needs=Operation::EnableApplication /> }
    };
    view! {
        <div class="page-head">
            <div class="page-head__text">
                <h1>{title}</h1>
                <p class="page-head__lead">
                    <ApplicationBadge application />
                    <ApplicationHygiene keys=&view.hygiene />
                    <span class="quiet">"ID " <Code text=application.id.to_string() /></span>
                </p>
            </div>
            <div class="actions">
                <ButtonLink href=action("rename") text="Rename" needs=Operation::RenameApplication />
                {switch}
            </div>
        </div>
    }
}

/// Returns whether the viewer can only propose to enable the application, because the partner disabled it.
fn enabling_waits(application: &ApiApplication) -> bool {
    application.waits_for_partner(surroundings().area().side())
}

fn banner(disabled: Disabled, application: &ApiApplication) -> impl IntoView + use<> {
    let waits = enabling_waits(application);
    view! {
        <Callout heading="This application is disabled: every request is refused" danger=true>
            <p>
                "By " {disabled.by} " " <SideBadge kind=disabled.by_kind /> " on " <Time at=disabled.at />
            </p>
            <Why why=&disabled.reason />
            {may(Operation::EnableApplication).then(|| {
                let href = place().action(application.id, "enable");
                let text = if waits { "Propose to enable it" } else { "Enable application" };
                view! {
                    {waits.then(|| view! { <p>{proposed_change::enabling_waits()}</p> })}
                    <p><a href=href>{text}</a></p>
                }
            })}
        </Callout>
    }
}

fn summary(view: &ApplicationView, now: Timestamp) -> impl IntoView + use<> {
    let application = &view.application;
    let live = application.live_keys(now).count();
    let deadline = application
        .live_keys(now)
        .filter_map(|key| match key.status(now) {
            ApiKeyStatus::Expiring { at } => Some(at),
            _ => None,
        })
        .min();
    let last_used = view.api_key_usage.values().map(|usage| usage.last_used_at).max();
    let moment = |at: Option<Timestamp>, relative: bool, otherwise: &'static str| match at {
        Some(at) => view! { <Time at relative /> }.into_any(),
        None => otherwise.into_any(),
    };
    view! {
        <div class="summary">
            <Facts>
                <Fact term="Last used">{moment(last_used, true, "Never")}</Fact>
                <Fact term="Live API keys">{live}</Fact>
                <Fact term="Next deadline">{moment(deadline, false, "None")}</Fact>
                <Fact term="Created"><Time at=application.created_at /> {format!(" by {}", application.created_by)}</Fact>
            </Facts>
        </div>
    }
}

fn danger_zone(application: &ApiApplication) -> impl IntoView + use<> {
    let waits = enabling_waits(application);
    let (heading, lead, action, text, variant) = if application.is_enabled() {
        (
            "Emergency stop",
            "Disabling refuses every request at once, even with a valid key. You can enable the application again."
                .to_owned(),
            "disable",
            "Disable application",
            Variant::DangerQuiet,
        )
    } else {
        (
            "This application is disabled",
            if waits {
                proposed_change::enabling_waits()
            } else {
                "Once it is enabled, requests with its live keys are accepted again.".to_owned()
            },
            "enable",
            if waits { "Propose to enable it" } else { "Enable application" },
            Variant::Secondary,
        )
    };
    view! {
        <section id="danger" class="card card--danger" aria-labelledby="danger-heading">
            <div class="card__body card__body--split">
                <div>
                    <h2 id="danger-heading">{heading}</h2>
                    <p>{lead}</p>
                </div>
                <ButtonLink href=place().action(application.id, action) text variant />
            </div>
        </section>
    }
}
