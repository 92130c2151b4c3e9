//! Security policy of an organization: a form for its owners, read-only for other members.

use crate::ui::{Actions, Fact, Facts, Form, RadioGroup, RadioOption, Submit, Variant, may, place};
use domain::{access::Operation, security_policy::SecurityPolicy};
use leptos::prelude::*;

const LEAD: &str = "What your organization asks of those who act in it. An emergency stop never waits for any of it.";

pub(super) fn view(title: String, policy: SecurityPolicy) -> impl IntoView + use<> {
    let rules = if may(Operation::ChangePolicy) { form(policy).into_any() } else { facts(policy).into_any() };
    view! {
        {super::heading(title, LEAD)}
        {rules}
    }
}

fn form(policy: SecurityPolicy) -> impl IntoView + use<> {
    let rules = policy.rules;
    let option = |value, label: &str, hint: &str| RadioOption { value, label: label.to_owned(), hint: hint.to_owned() };
    view! {
        <Form action=place().security_policy() version=policy.version>
            <RadioGroup
                name="second_factor"
                legend="A second factor when signing in"
                options=vec![
                    option("optional", "Everybody’s own choice", "Who has set one up is asked for it."),
                    option(
                        "required",
                        "Required of everybody",
                        "Who has none sets one up at the next sign-in, before anything else. Who signs in by single sign-on shows it there: ask Nuvera support first whether your provider says so.",
                    ),
                ]
                default=if rules.second_factor_required { "required" } else { "optional" }
            />
            <RadioGroup
                name="nuvera_changes"
                legend="When Nuvera changes permissions or signing keys"
                options=vec![
                    option("at_once", "It counts at once", "You are told who did it and why."),
                    option(
                        "confirmed",
                        "It waits for us",
                        "Somebody of yours confirms or declines it within 72 hours. Nuvera still disables and revokes at once, and enables what it disabled itself.",
                    ),
                ]
                default=if rules.nuvera_changes_need_confirmation { "confirmed" } else { "at_once" }
            />
            <Actions>
                <Submit variant=Variant::Primary text="Change policy" />
                <a class="button button--plain" href=place().applications()>"Cancel"</a>
            </Actions>
        </Form>
    }
}

fn facts(policy: SecurityPolicy) -> impl IntoView + use<> {
    let rules = policy.rules;
    let factor = if rules.second_factor_required { "Required of everybody" } else { "Everybody’s own choice" };
    let changes = if rules.nuvera_changes_need_confirmation { "Wait for confirmation" } else { "Count at once" };
    view! {
        <Facts>
            <Fact term="A second factor when signing in">{factor}</Fact>
            <Fact term="Nuvera’s changes of permissions and signing keys">{changes}</Fact>
        </Facts>
        <p class="quiet">"An owner of the organization can change the policy."</p>
    }
}
