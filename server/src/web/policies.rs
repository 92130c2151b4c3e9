//! Pages for an organization's rotation policy and security policy.

use super::{
    submitted::{Refused, Submitted},
    visit::{Visit, redirect},
};
use crate::backend::{BackendError, authorise};
use app::page::{FieldError, Notice, Page};
use axum::response::Response;
use domain::{
    access::Operation,
    hygiene::{RotationRules, Rule},
    security_policy::SecurityRules,
};

async fn rotation_page(visit: &Visit) -> Result<Page, BackendError> {
    let policy = visit.web.backend.rotation_policy(&visit.actor, visit.organization()).await?;
    Ok(Page::RotationPolicy { policy })
}

/// Shows the rotation policy, as a form if the user may change it.
pub async fn show_rotation(visit: Visit) -> Response {
    visit.answer(rotation_page(&visit).await).await
}

/// Changes the rotation policy.
pub async fn change_rotation(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let seen_version = seen_version(&visit, &sent)?;
        let (organization, rules) = (visit.organization(), read_rotation(&sent)?);
        Ok(visit.web.backend.change_rotation_policy(&visit.actor, organization, seen_version, rules).await?)
    };
    match result.await {
        Ok(()) => redirect(&visit.place.rotation_policy(), Notice::PolicyChanged),
        Err(refused) => visit.show_again(refused, sent, async || rotation_page(&visit).await).await,
    }
}

async fn security_page(visit: &Visit) -> Result<Page, BackendError> {
    let policy = visit.web.backend.security_policy(&visit.actor, visit.organization()).await?;
    Ok(Page::SecurityPolicy { policy })
}

/// Shows the security policy, as a form if the user may change it.
pub async fn show_security(visit: Visit) -> Response {
    visit.answer(security_page(&visit).await).await
}

/// Changes the security policy.
pub async fn change_security(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        let seen_version = seen_version(&visit, &sent)?;
        let (organization, rules) = (visit.organization(), read_security(&sent)?);
        Ok(visit.web.backend.change_security_policy(&visit.actor, organization, seen_version, rules).await?)
    };
    match result.await {
        Ok(()) => redirect(&visit.place.security_policy(), Notice::SecurityPolicyChanged),
        Err(refused) => visit.show_again(refused, sent, async || security_page(&visit).await).await,
    }
}

/// Returns the version on which the form is based. Users who may not change a policy are rejected before the form is
/// validated.
fn seen_version(visit: &Visit, sent: &Submitted) -> Result<i64, Refused> {
    authorise(&visit.actor, visit.organization(), Operation::ChangePolicy)?;
    sent.seen_version()
}

/// Reads the whole form before rejecting it, so that all mistakes are reported at once.
fn read_rotation(sent: &Submitted) -> Result<RotationRules, Refused> {
    let mut errors = Vec::new();
    let mut read = |rule: Rule, field: &'static str| {
        rule.read(sent.text(field)).unwrap_or_else(|error| {
            errors.push(FieldError { field, message: error.to_string() });
            None
        })
    };
    let rules = RotationRules {
        api_key_age: read(Rule::ApiKeyAge, "api_key_age"),
        signing_key_age: read(Rule::SigningKeyAge, "signing_key_age"),
        idle: read(Rule::Idle, "idle"),
    };
    if errors.is_empty() { Ok(rules) } else { Err(Refused::Fields(errors)) }
}

fn read_security(sent: &Submitted) -> Result<SecurityRules, Refused> {
    let mut errors = Vec::new();
    let mut read = |field: &'static str, on: &str, off: &str| {
        let chosen = sent.text(field);
        if chosen != on && chosen != off {
            errors.push(FieldError { field, message: "Choose one of the two.".to_owned() });
        }
        chosen == on
    };
    let rules = SecurityRules {
        second_factor_required: read("second_factor", "required", "optional"),
        nuvera_changes_need_confirmation: read("nuvera_changes", "confirmed", "at_once"),
    };
    if errors.is_empty() { Ok(rules) } else { Err(Refused::Fields(errors)) }
}
