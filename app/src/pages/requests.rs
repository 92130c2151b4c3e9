//! Log of an application's recent requests: list and details.

use crate::{
    paths,
    ui::{
        Badge, ButtonLink, Callout, Card, Cell, Code, Column, DataTable, EmptyState, Fact, Facts, Live, RowHeader,
        SelectField, Shape, Submit, TextField, Time, Tone, place, requests as counted,
    },
};
use domain::{
    access::Operation,
    application::ApiApplication,
    id::{ApiKeyId, RequestId},
    request::{KEPT_REQUESTS, RequestFilter, RequestOutcome, SeenRefusal, SeenRequest, first_difference},
};
use leptos::prelude::*;

const COLUMNS: &[Column] = &[
    Column { label: "Time", class: "column--time" },
    Column { label: "Outcome", class: "column--what" },
    Column { label: "Request", class: "column--wide" },
    Column { label: "API key", class: "column--key" },
];

pub(super) fn list(
    title: String,
    application: &ApiApplication,
    filter: &RequestFilter,
    requests: &[SeenRequest],
    is_continued: bool,
    older: Option<RequestId>,
) -> impl IntoView + use<> {
    let address = place().action(application.id, "requests");
    let query = paths::requests_query(filter);
    let is_filtered = !query.is_empty();
    let with = |query: &str| if query.is_empty() { address.clone() } else { format!("{address}?{query}") };
    let newest = is_continued.then(|| view! { <ButtonLink href=with(&query) text="Newest requests" /> });
    let older = older.map(|before| {
        let separator = if is_filtered { "&" } else { "" };
        view! { <ButtonLink href=with(&format!("{query}{separator}before={before}")) text="Older requests" /> }
    });
    let everything = is_filtered.then(|| view! { <ButtonLink href=address.clone() text="Show all" /> });
    let none = if is_filtered || is_continued {
        view! { <p class="table-empty">"No request fits. Choose less, or show all."</p> }.into_any()
    } else {
        let test = format!("{}#test-request", place().application(application.id));
        view! {
            <EmptyState heading="No request yet">
                <p>{NONE_YET}</p>
                <ButtonLink href=test text="Send a signed test request" />
            </EmptyState>
        }
        .into_any()
    };
    let rows = if requests.is_empty() { none } else { table(application, requests).into_any() };
    let events = place().action(application.id, "events");
    view! {
        <div class="page-head">
            <div class="page-head__text">
                <h1>{title}</h1>
                <p class="page-head__lead">
                    {format!(
                        "The last {KEPT_REQUESTS} of 7 days whose API key is or was this application’s, newest first. Keys, tokens \
                         and bodies are never kept.",
                    )}
                </p>
            </div>
        </div>
        <search>
            <form method="get" action=address.clone() class="filters">
                <SelectField
                    name="outcome"
                    label="Outcome"
                    options=outcomes()
                    chosen=filter.outcome.map(|outcome| outcome.code().to_owned())
                />
                <SelectField
                    name="key"
                    label="API key"
                    options=keys(application)
                    chosen=filter.api_key.map(|key| key.to_string())
                />
                <TextField name="id" label="Request id" optional=true />
                <div class="actions"><Submit text="Show" /> {everything}</div>
            </form>
        </search>
        // The list is live on its first page only: older requests must not move while they are read.
        {if is_continued {
            view! { <div class="card card--table">{rows}</div> }.into_any()
        } else {
            view! { <Live id="live-requests" events><div class="card card--table">{rows}</div></Live> }.into_any()
        }}
        <nav class="actions" aria-label="Pages of requests">{newest} {older}</nav>
    }
}

/// Shown instead of an empty list.
const NONE_YET: &str =
    "Requests show here as soon as they reach the gateway, refused ones with what was wrong and how to mend it.";

fn outcomes() -> Vec<(String, String)> {
    let option = |outcome: RequestOutcome| {
        let words = match outcome {
            RequestOutcome::Refused => "Refused, for any reason".to_owned(),
            RequestOutcome::Code(SeenRequest::ACCEPTED) => "Accepted".to_owned(),
            RequestOutcome::Code(code) => code.to_owned(),
        };
        (outcome.code().to_owned(), words)
    };
    std::iter::once((String::new(), "Any".to_owned())).chain(RequestOutcome::all().map(option)).collect()
}

fn keys(application: &ApiApplication) -> Vec<(String, String)> {
    let keys = application.api_keys.iter().map(|key| (key.id.to_string(), key.shown()));
    std::iter::once((String::new(), "Any".to_owned())).chain(keys).collect()
}

/// Table of requests, one row each.
pub(super) fn table(application: &ApiApplication, requests: &[SeenRequest]) -> impl IntoView + use<> {
    view! {
        <DataTable caption="Requests, newest first" columns=COLUMNS>
            {requests.iter().map(|request| row(application, request)).collect_view()}
        </DataTable>
    }
}

fn row(application: &ApiApplication, request: &SeenRequest) -> impl IntoView + use<> {
    let why = request.refused.as_ref().map(|_| view! { <p class="quiet">{request.code.to_string()}</p> });
    view! {
        <tr role="row">
            <RowHeader>
                <a class="table__link" href=place().request(application.id, request.id)>
                    <Time at=request.at />
                </a>
            </RowHeader>
            <Cell label="Outcome">{outcome(request)} {why}</Cell>
            <Cell label="Request">
                <p class="request-line"><Code text=format!("{} {}", request.method, request.path) /></p>
                <p class="quiet">{format!("{}, from {}", latency(request), request.address)}</p>
            </Cell>
            <Cell label="API key"><Code text=shown_key(application, request.api_key_id) /></Cell>
        </tr>
    }
}

fn outcome(request: &SeenRequest) -> impl IntoView + use<> {
    if request.is_accepted() {
        view! { <Badge tone=Tone::Good shape=Shape::Check text=format!("Accepted, {}", request.status) /> }
    } else if request.refused.is_some() {
        view! { <Badge tone=Tone::Stopped shape=Shape::Barred text=format!("Refused, {}", request.status) /> }
    } else {
        view! { <Badge tone=Tone::Quiet shape=Shape::Dash text="Abandoned" /> }
    }
}

fn latency(request: &SeenRequest) -> String {
    match request.micros {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros @ 1_000..10_000 => format!("{}.{} ms", micros / 1_000, micros / 100 % 10),
        micros => format!("{} ms", micros / 1_000),
    }
}

fn shown_key(application: &ApiApplication, id: ApiKeyId) -> String {
    application.api_key(id).map_or_else(|_| id.to_string(), |key| key.shown())
}

pub(super) fn detail(title: String, application: &ApiApplication, request: &SeenRequest) -> impl IntoView + use<> {
    let signing_key = request.signing_key_id.and_then(|id| application.signing_key(id).ok());
    let signed = match signing_key {
        Some(key) => view! { <Code text=key.public_key.fingerprint() /> }.into_any(),
        None => view! { "Not verified" }.into_any(),
    };
    let age = request.token_age_seconds.map(|age| view! { <Fact term="Token">{token_age(age)}</Fact> });
    let body = request.body_bytes.map(|bytes| view! { <Fact term="Body">{format!("{bytes} bytes")}</Fact> });
    let refused = request.refused.as_ref().map(|refused| refusal(application, request, refused));
    view! {
        <div class="page-head">
            <div class="page-head__text">
                <h1>{title}</h1>
                <p class="page-head__lead request-line">
                    {outcome(request)} " " <Code text=format!("{} {}", request.method, request.path) />
                </p>
            </div>
        </div>
        {refused}
        <Card id="request" heading="What was seen of it">
            <Facts>
                <Fact term="Arrived"><Time at=request.at /></Fact>
                <Fact term="Request id"><Code text=request.id.to_string() /></Fact>
                <Fact term="Took">{latency(request)}</Fact>
                <Fact term="From">{request.address.to_string()}</Fact>
                <Fact term="API key"><Code text=shown_key(application, request.api_key_id) /></Fact>
                <Fact term="Signed with">{signed}</Fact>
                {age}
                {body}
            </Facts>
        </Card>
        <p><a href=place().action(application.id, "requests")>"All recent requests"</a></p>
    }
}

fn token_age(seconds: i64) -> String {
    let count = seconds.unsigned_abs();
    let plural = if count == 1 { "" } else { "s" };
    match seconds {
        0.. => format!("Issued {count} second{plural} before it arrived"),
        _ => format!("Issued {count} second{plural} after it arrived: the sender’s clock is ahead"),
    }
}

/// Explains a refusal: the error, the compared values and the way to fix it.
fn refusal(application: &ApiApplication, request: &SeenRequest, refused: &SeenRefusal) -> impl IntoView + use<> {
    let comparison = match (&refused.expected, &refused.received) {
        (Some(expected), Some(received)) => Some(comparison(&request.code, expected, received)),
        _ => None,
    };
    view! {
        <Callout heading=format!("Refused: {}", request.code) danger=true>
            <p>{refused.detail.clone()}</p>
            {clock(request)}
            <div class="actions">{fix(application, request, refused)}</div>
        </Callout>
        {comparison}
    }
}

/// Describes the token's age, for errors caused by clock skew.
fn clock(request: &SeenRequest) -> Option<impl IntoView + use<>> {
    let age = request.token_age_seconds?;
    let words = match &*request.code {
        "token_expired" => format!("The token was {age} seconds old when it arrived."),
        "token_not_yet_valid" => format!("The token is from {} seconds in the future.", age.unsigned_abs()),
        _ => return None,
    };
    Some(view! { <p>{words}</p> })
}

/// Shows the expected and the received value below each other, marked from their first difference.
fn comparison(code: &str, expected: &str, received: &str) -> impl IntoView + use<> {
    let (expected_is, received_is) = match code {
        "invalid_signature" => ("The signing key that is current", "The signing key that signed"),
        "body_hash_mismatch" => ("SHA-256 of the body that arrived", "The token’s bodyHash"),
        "method_mismatch" | "uri_mismatch" => ("The request, as it arrived", "The token"),
        _ => ("What is accepted", "What came"),
    };
    let (same, expected, received) = first_difference(expected, received);
    let value = |rest: &str| view! { <code class="code">{same.to_owned()} <mark>{rest.to_owned()}</mark></code> };
    let (expected, received) = (value(expected), value(received));
    view! {
        <Card id="comparison" heading="Expected and received" lead="From where they differ, both are marked.">
            <dl class="comparison">
                <dt>{expected_is}</dt>
                <dd>{expected}</dd>
                <dt>{received_is}</dt>
                <dd>{received}</dd>
            </dl>
        </Card>
    }
}

/// Links to the console page that fixes the error, if there is one.
fn fix(application: &ApiApplication, request: &SeenRequest, refused: &SeenRefusal) -> Option<AnyView> {
    let action = |action| place().action(application.id, action);
    let link = |href: String, text, needs: Operation| Some(view! { <ButtonLink href text needs /> }.into_any());
    match &*request.code {
        "permission_missing" => link(action("permissions"), "Change permissions", Operation::ChangePermissions),
        "application_disabled" => link(action("enable"), "Enable application", Operation::EnableApplication),
        "signing_key_blocked" => {
            link(action("replace-signing-key"), "Replace signing key", Operation::ReplaceSigningKeys)
        }
        "revoked_api_key" | "expired_api_key" => {
            link(action("replace-api-key"), "Create replacement key", Operation::RotateApiKeys)
        }
        "invalid_signature" => {
            let signed_with = refused.received.as_deref();
            let mut earlier = application.signing_keys.iter();
            match earlier.find(|key| Some(&*key.public_key.fingerprint()) == signed_with) {
                Some(key) => {
                    let href = place().signing_key_action(application.id, key.id, "restore");
                    link(href, "Restore signing key", Operation::ReplaceSigningKeys)
                }
                None => {
                    link(place().check_key(), "Check the key that your service signs with", Operation::ViewApplications)
                }
            }
        }
        _ => None,
    }
}

/// Card with the latest requests, for the application's page.
pub(super) fn card(application: &ApiApplication, requests: &[SeenRequest]) -> impl IntoView + use<> {
    const SHOWN: usize = 5;
    let rows = if requests.is_empty() {
        view! { <p class="table-empty">{format!("No request yet. {NONE_YET}")}</p> }.into_any()
    } else {
        table(application, &requests[..requests.len().min(SHOWN)]).into_any()
    };
    view! {
        <Card
            id="requests"
            heading="Recent requests"
            actions=view! { <ButtonLink href=place().action(application.id, "requests") text="All recent requests" /> }
                .into_any()
        >
            {rows}
        </Card>
    }
}

/// Warnings derived from the latest requests: requests signed with an earlier signing key, and clock skew.
pub(super) fn warnings(application: &ApiApplication, requests: &[SeenRequest]) -> impl IntoView + use<> {
    (retired_signatures(application, requests), clock_skew(requests))
}

fn retired_signatures(application: &ApiApplication, requests: &[SeenRequest]) -> Option<impl IntoView + use<>> {
    let signed_with = |request: &SeenRequest| match &request.refused {
        Some(refused) if request.code == "invalid_signature" => refused.received.clone(),
        _ => None,
    };
    let fingerprint = requests.iter().find_map(signed_with)?;
    let key = application.signing_keys.iter().find(|key| key.public_key.fingerprint() == fingerprint)?;
    if *key == *application.current_signing_key() {
        return None;
    }
    let count = requests.iter().filter(|request| signed_with(request).as_ref() == Some(&fingerprint)).count();
    let were = if count == 1 { "was" } else { "were" };
    let href = place().signing_key_action(application.id, key.id, "restore");
    Some(view! {
        <Callout heading="Requests are refused that are signed with an earlier key" danger=true>
            <p>
                {format!("{} of the last {} {were} signed with ", counted(count as i64), requests.len())} <Code text=fingerprint />
                ". Either a service has not been given the new private key, or the replacement was a mistake."
            </p>
            <ButtonLink href text="Restore signing key" needs=Operation::ReplaceSigningKeys />
        </Callout>
    })
}

fn clock_skew(requests: &[SeenRequest]) -> Option<impl IntoView + use<>> {
    use domain::request::ClockSkew;
    let accepted = requests.iter().filter(|request| request.is_accepted());
    let (heading, words) = match ClockSkew::of(accepted.filter_map(|request| request.token_age_seconds)) {
        ClockSkew::None => return None,
        ClockSkew::Ahead(seconds) => (
            "Your servers’ clock seems to be ahead",
            format!(
                "Tokens come from about {seconds} seconds in the future. At more than a few they are refused. Set the clock by NTP."
            ),
        ),
        ClockSkew::Behind(seconds) => (
            "Tokens are old when they arrive",
            format!(
                "They were issued about {seconds} seconds before, and are refused when they are over. Set the clock by NTP, and sign each request right before it is sent."
            ),
        ),
    };
    Some(view! {
        <Callout heading>
            <p>{words}</p>
        </Callout>
    })
}
