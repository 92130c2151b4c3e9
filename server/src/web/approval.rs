//! Nuvera's proposals and actions, as the partner confirms, declines or acknowledges them.

use super::{
    submitted::{Refused, Submitted},
    visit::{Visit, redirect},
};
use crate::backend::{BackendError, Outcome};
use app::{
    page::{Notice, Page},
    paths::Place,
};
use axum::response::{IntoResponse, Redirect, Response};
use domain::{
    access::Operation,
    application::{ApiApplication, RequestedChange},
    id::ApplicationId,
};

/// Makes or proposes the change requested by a form, and returns the notice to show. `made` is the notice if it was
/// made.
pub async fn request(
    visit: &Visit,
    sent: &Submitted,
    change: RequestedChange,
    made: Notice,
) -> Result<Notice, Refused> {
    Ok(match visit.web.backend.request_change(visit.asked()?, sent.said()?, change).await?.0 {
        Outcome::Made => made,
        Outcome::Proposed => Notice::ChangeProposed,
    })
}

async fn confirm_page(visit: &Visit) -> Result<Page, BackendError> {
    visit.form(Operation::ConfirmProposedChange, |application| Page::ConfirmChange { application }).await
}

/// Shows the form that confirms a proposed change.
pub async fn confirm_form(visit: Visit) -> Response {
    visit.answer(confirm_page(&visit).await).await
}

/// Confirms a proposed change.
pub async fn confirm(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        match visit.web.backend.confirm_proposal(visit.asked()?, sent.said()?).await {
            Ok(_) => Ok(Notice::ChangeConfirmed),
            // The page has no field for the key to which the error could be attached.
            Err(error @ BackendError::KeyOfAnotherOrganization) => Err(Refused::Form(error.to_string())),
            Err(error) => Err(error.into()),
        }
    };
    visit.changed(result.await, sent, async || confirm_page(&visit).await).await
}

async fn withdraw_page(visit: &Visit) -> Result<Page, BackendError> {
    let page = |application| match visit.place {
        Place::Settings | Place::Nuvera => Page::DeclineChange { application },
        Place::Hub { .. } => Page::WithdrawChange { application },
    };
    visit.form(Operation::WithdrawProposedChange, page).await
}

/// Shows the form that withdraws or declines a proposed change.
pub async fn withdraw_form(visit: Visit) -> Response {
    visit.answer(withdraw_page(&visit).await).await
}

/// Withdraws or declines a proposed change.
pub async fn withdraw(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        visit.change(&sent, Operation::WithdrawProposedChange, ApiApplication::withdraw_proposal).await?;
        Ok(match visit.place {
            Place::Settings | Place::Nuvera => Notice::ChangeDeclined,
            Place::Hub { .. } => Notice::ChangeWithdrawn,
        })
    };
    visit.changed(result.await, sent, async || withdraw_page(&visit).await).await
}

/// Acknowledges Nuvera's actions on an application.
pub async fn seen(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let id: ApplicationId = visit.param("application")?;
        acknowledge(&visit, &sent, Some(id)).await?;
        Ok(visit.place.application(id))
    };
    answer_seen(&visit, result.await, sent).await
}

/// Acknowledges Nuvera's actions on all applications of the organization.
pub async fn seen_in_list(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        acknowledge(&visit, &sent, None).await?;
        Ok(visit.place.applications())
    };
    answer_seen(&visit, result.await, sent).await
}

/// Redirects a GET on a POST-only route to the list of applications.
pub async fn back_to_list(visit: Visit) -> Redirect {
    Redirect::to(&visit.place.applications())
}

async fn acknowledge(visit: &Visit, sent: &Submitted, application: Option<ApplicationId>) -> Result<(), Refused> {
    // The form's version is the sequence number of the latest event that it showed.
    let (backend, organization, sequence) = (&visit.web.backend, visit.organization(), sent.seen_version()?);
    Ok(backend.acknowledge_support(&visit.actor, organization, application, sequence).await?)
}

async fn answer_seen(visit: &Visit, result: Result<String, Refused>, sent: Submitted) -> Response {
    match result {
        Ok(path) => redirect(&path, Notice::SupportSeen),
        Err(refused) => visit.show_again(refused, sent, async || super::applications::list_page(visit).await).await,
    }
    .into_response()
}
