//! Pages of an application's request log: the list, one request, and events that announce new entries.

use super::{
    submitted::{Refused, Submitted},
    visit::Visit,
};
use crate::backend::BackendError;
use app::page::Page;
use axum::{
    extract::RawQuery,
    response::{
        IntoResponse, Redirect, Response,
        sse::{Event, Sse},
    },
};
use domain::{
    access::Operation,
    id::{ApiKeyId, RequestId},
    request::{RequestFilter, RequestOutcome},
};
use futures::stream;
use std::{convert::Infallible, sync::atomic::Ordering, time::Duration};
use tokio::time::{Instant, sleep};

/// Number of requests on a page.
const PAGE: usize = 50;

/// Interval of the check for changes.
const LOOK: Duration = Duration::from_secs(1);

/// Interval at which an event is sent without changes, because what a page shows also depends on the time.
const QUIET: Duration = Duration::from_secs(10);

/// Duration of an event stream. The browser then reconnects, and is authorized again.
const STREAM: Duration = Duration::from_secs(60);

/// The query of the request log.
struct Wanted {
    filter: RequestFilter,
    before: Option<RequestId>,
    id: Result<Option<RequestId>, Refused>,
    sent: Submitted,
}

impl Wanted {
    /// Reads the query. Invalid filters are ignored; the page shows which are set.
    fn read(query: Option<&str>) -> Self {
        let sent = Submitted::parse(query.unwrap_or_default().as_bytes());
        let filter = RequestFilter {
            outcome: RequestOutcome::from_code(sent.text("outcome")),
            api_key: sent.text("key").parse::<ApiKeyId>().ok(),
        };
        let id = match sent.text("id").trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Refused::field(
                    "id",
                    "This is no request id. An error’s body has it as `requestId`, every answer in `x-request-id`.",
                )
            }),
        };
        Self { filter, before: sent.text("before").parse().ok(), id, sent }
    }
}

/// Shows the latest requests, or redirects to the one whose id was entered.
pub async fn list(visit: Visit, RawQuery(query): RawQuery) -> Response {
    let Wanted { filter, before, id, sent } = Wanted::read(query.as_deref());
    let page = async || page(&visit, filter, before).await;
    match id {
        Ok(None) => visit.answer(page().await).await,
        Ok(Some(id)) => match find(&visit, id).await {
            Ok(address) => Redirect::to(&address).into_response(),
            Err(refused) => visit.show_again(refused, sent, page).await,
        },
        Err(refused) => visit.show_again(refused, sent, page).await,
    }
}

async fn page(visit: &Visit, filter: RequestFilter, before: Option<RequestId>) -> Result<Page, BackendError> {
    let application = visit.application(Operation::ViewApplications).await?;
    // One more than is shown, to find out whether there are older requests.
    let limit = PAGE as i64 + 1;
    let mut requests = visit.web.backend.requests(visit.asked()?, filter, before, limit).await?;
    let has_older = requests.len() > PAGE;
    requests.truncate(PAGE);
    let older = requests.last().filter(|_| has_older).map(|request| request.id);
    Ok(Page::Requests { application, filter, requests, is_continued: before.is_some(), older })
}

async fn find(visit: &Visit, id: RequestId) -> Result<String, Refused> {
    let asked = visit.asked()?;
    match visit.web.backend.request(asked, id).await {
        Ok(request) => Ok(visit.place.request(asked.application, request.id)),
        Err(BackendError::NotFound) => {
            let words = "There is no such request among the latest of this application. It may be too old, or another application’s.";
            Err(Refused::field("id", words))
        }
        Err(error) => Err(error.into()),
    }
}

/// Shows one request.
pub async fn detail(visit: Visit) -> Response {
    let page = async {
        let application = visit.application(Operation::ViewApplications).await?;
        let request = visit.web.backend.request(visit.asked()?, visit.param("request")?).await?;
        Ok(Page::Request { application, request })
    };
    visit.answer(page.await).await
}

/// Sends an event whenever an application has new requests or changes (server-sent events; HTML, 9.2). The event
/// carries no details: the page loads them with the user's authority.
pub async fn events(mut visit: Visit) -> Response {
    visit.release_place();
    let activity = match visit.asked().and_then(|asked| visit.web.backend.activity(asked)) {
        Ok(activity) => activity,
        Err(error) => return visit.answer(Err(error)).await,
    };
    let end = Instant::now() + STREAM;
    let events = stream::unfold((visit, activity), move |(mut visit, known)| async move {
        let quiet = Instant::now() + QUIET;
        loop {
            sleep(LOOK).await;
            let now = Instant::now();
            // A server that is stopping does not wait for open streams.
            if now >= end || !visit.web.ready.load(Ordering::Acquire) {
                return None;
            }
            let activity = visit.web.backend.activity(visit.asked().ok()?).ok()?;
            if activity != known || now >= quiet {
                // Ends the stream when the session has ended or the user was removed.
                visit.reload().await.ok()?;
                return Some((Ok::<_, Infallible>(Event::default().data("new")), (visit, activity)));
            }
        }
    });
    // Proxies must not buffer the events.
    ([("x-accel-buffering", "no")], Sse::new(events)).into_response()
}
