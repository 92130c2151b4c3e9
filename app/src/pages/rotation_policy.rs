//! Rotation policy of an organization: a form for its owners, read-only for other members.

use crate::ui::{Actions, Fact, Facts, Form, Input, Submit, TextField, Variant, may, place};
use domain::{
    access::Operation,
    hygiene::{Days, RotationPolicy, Rule},
};
use leptos::prelude::*;

const LEAD: &str =
    "No key stops because of this policy. It decides what the console marks and whom it reminds in time.";

pub(super) fn view(title: String, policy: RotationPolicy) -> impl IntoView + use<> {
    let rules = if may(Operation::ChangePolicy) { form(policy).into_any() } else { facts(policy).into_any() };
    view! {
        {super::heading(title, LEAD)}
        {rules}
    }
}

fn form(policy: RotationPolicy) -> impl IntoView + use<> {
    let rules = policy.rules;
    let count = |days: Option<Days>| days.map(|days| days.count().to_string()).unwrap_or_default();
    let hint = |rule: Rule, means: &str| {
        let bounds = rule.bounds();
        format!("{} to {}, or empty: the rule is switched off. {means}", bounds.start(), bounds.end())
    };
    view! {
        <Form action=place().rotation_policy() version=policy.version>
            <TextField
                name="api_key_age"
                label="Replace API keys after (days)"
                hint=hint(Rule::ApiKeyAge, "Owners are reminded 14, 7 and 1 days before and on the day.")
                value=count(rules.api_key_age)
                input=Input::Number
            />
            <TextField
                name="signing_key_age"
                label="Replace signing keys after (days)"
                hint=hint(Rule::SigningKeyAge, "Owners are reminded in the same way.")
                value=count(rules.signing_key_age)
                input=Input::Number
            />
            <TextField
                name="idle"
                label="A key is safe to remove when it was not used for (days)"
                hint=hint(Rule::Idle, "The console says so beside the key.")
                value=count(rules.idle)
                input=Input::Number
            />
            <Actions>
                <Submit variant=Variant::Primary text="Change policy" />
                <a class="button button--plain" href=place().applications()>"Cancel"</a>
            </Actions>
        </Form>
    }
}

fn facts(policy: RotationPolicy) -> impl IntoView + use<> {
    let rules = policy.rules;
    let words = |days: Option<Days>| days.map_or_else(|| "Switched off".to_owned(), |days| days.to_string());
    view! {
        <Facts>
            <Fact term="API keys are replaced after">{words(rules.api_key_age)}</Fact>
            <Fact term="Signing keys are replaced after">{words(rules.signing_key_age)}</Fact>
            <Fact term="Safe to remove when not used for">{words(rules.idle)}</Fact>
        </Facts>
        <p class="quiet">"An owner of the organization can change the policy."</p>
    }
}
