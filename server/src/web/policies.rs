//! An organization's rotation policy.

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
};

async fn policy_page(visit: &Visit) -> Result<Page, BackendError> {
    let policy = visit.web.backend.rotation_policy(&visit.actor, visit.organization()).await?;
    Ok(Page::RotationPolicy { policy })
}

/// Shows the policy: as a form to those who may change it.
pub async fn show(visit: Visit) -> Response {
    visit.answer(policy_page(&visit).await).await
}

/// Changes the policy.
pub async fn change(visit: Visit, sent: Submitted) -> Response {
    let result = async {
        // Who may not is told so, whatever they typed.
        authorise(&visit.actor, visit.organization(), Operation::ChangePolicy)?;
        let seen_version = sent.seen_version()?;
        let rules = read_rules(&sent)?;
        let organization = visit.organization();
        visit.web.backend.change_rotation_policy(&visit.actor, organization, seen_version, rules).await?;
        Ok(())
    };
    match result.await {
        Ok(()) => redirect(&visit.place.rotation_policy(), Notice::PolicyChanged),
        Err(refused) => visit.show_again(refused, sent, async || policy_page(&visit).await).await,
    }
}

/// Reads the whole form before it is refused, so that every mistake is told at once.
fn read_rules(sent: &Submitted) -> Result<RotationRules, Refused> {
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
