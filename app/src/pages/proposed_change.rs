//! Changes that Nuvera proposes and a member of the partner confirms or declines; see
//! `domain::application::RequestedChange`.

use super::audit::change;
use crate::{
    page::ApplicationSummary,
    paths::Place,
    ui::{
        Actions, ButtonLink, Callout, Consequences, Fact, Facts, Form, ReasonField, Submit, Time, Variant, Why, may,
        place, surroundings,
    },
};
use domain::{
    access::Operation,
    application::{ApiApplication, ProposedChange, RequestedChange},
    permission::Permission,
};
use leptos::prelude::*;

/// Notice on a form whose change would only be proposed to the partner.
pub(super) fn notice(waits: bool) -> impl IntoView + use<> {
    waits.then(|| {
        let name = match place() {
            Place::Hub { name, .. } => name,
            Place::Settings | Place::Nuvera => "The partner".to_owned(),
        };
        view! {
            <Callout heading=format!("{name} confirms this before it counts")>
                <p>"You send a proposal. Nothing changes until a member of this organization confirms it, within 72 hours. Only one proposal can be open at a time."</p>
            </Callout>
        }
    })
}

/// States that enabling needs the confirmation of the partner, who disabled the application.
pub(super) fn enabling_waits() -> String {
    let name = match place() {
        Place::Hub { name, .. } => name,
        Place::Settings | Place::Nuvera => "The partner".to_owned(),
    };
    format!("{name} disabled this application. Enabling waits for their confirmation.")
}

/// Returns the label of the submit button: `text`, or that of a proposal if the change waits for the partner.
pub(super) fn verb(waits: bool, text: &'static str) -> &'static str {
    if waits { "Propose change" } else { text }
}

/// Notice on the application's page while a proposal is open.
pub(super) fn waiting(application: &ApiApplication, proposed: &ProposedChange) -> impl IntoView + use<> {
    let is_outdated = proposed.is_outdated(application);
    let answers = may(Operation::AcknowledgeSupport);
    let heading = match (is_outdated, place()) {
        (true, _) => "What Nuvera proposed cannot be confirmed any more",
        (false, Place::Settings | Place::Nuvera) if answers => "Nuvera proposes a change and waits for you",
        (false, Place::Settings | Place::Nuvera) => "Nuvera proposes a change",
        (false, Place::Hub { .. }) => "A proposed change waits for the partner",
    };
    let action = |action| place().action(application.id, action);
    let fate = if is_outdated {
        view! { <p>"The application was changed after that. If it is still wanted, Nuvera proposes it again."</p> }
            .into_any()
    } else {
        view! { <p>"Nothing has changed yet. It can be confirmed until " <Time at=proposed.expires_at /></p> }
            .into_any()
    };
    let confirm = (!is_outdated).then(|| {
        view! {
            <ButtonLink
                href=action("confirm-change")
                text="Review and confirm"
                variant=Variant::Primary
                needs=Operation::ConfirmProposedChange
            />
        }
    });
    view! {
        <Callout heading=heading>
            <p>
                <strong>{proposed.change.label()}</strong>
                {format!(", proposed by {} on ", proposed.by)}
                <Time at=proposed.at />
            </p>
            {before_and_after(application, proposed)}
            <Why why=&proposed.why />
            {fate}
            <div class="actions">
                {confirm}
                <ButtonLink
                    href=action("withdraw-change")
                    text=take_back()
                    about="the proposed change"
                    needs=Operation::WithdrawProposedChange
                />
            </div>
        </Callout>
    }
}

/// Notice above a partner's list of applications that names the changes to confirm.
pub(super) fn of_list(items: &[ApplicationSummary]) -> impl IntoView + use<> {
    let now = surroundings().now;
    let open: Vec<_> = items
        .iter()
        .filter_map(|item| Some((&item.application, item.application.confirmable_proposal(now)?)))
        .map(|(application, proposed)| {
            let href = place().application(application.id);
            view! {
                <li>
                    <div class="fates__text">
                        <p>
                            <a href=href>{application.name.to_string()}</a>
                            {format!(": {}, proposed by {}. It can be confirmed until ", proposed.change.label(), proposed.by)}
                            <Time at=proposed.expires_at />
                        </p>
                        {before_and_after(application, proposed)}
                        <Why why=&proposed.why />
                    </div>
                </li>
            }
        })
        .collect();
    (!open.is_empty()).then(|| {
        let heading = match open.len() {
            1 => "Nuvera proposes a change, for you to confirm or decline".to_owned(),
            count => format!("Nuvera proposes {count} changes, for you to confirm or decline"),
        };
        view! { <Callout heading=heading><ul class="fates">{open}</ul></Callout> }
    })
}

pub(super) fn confirm(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    let Some(proposed) = application.open_proposal(surroundings().now) else {
        return nothing_left(title, application).into_any();
    };
    if proposed.is_outdated(application) {
        return view! {
            {super::heading(title, "")}
            {waiting(application, proposed)}
            <div class="actions">{super::cancel(application)}</div>
        }
        .into_any();
    }
    view! {
        {super::heading(title, "Confirm it only if you know why Nuvera wants it: ask them about the ticket if you do not.")}
        {facts(application, proposed)}
        <Consequences heading="The gateway will apply it as soon as you confirm">
            <p>"The history will name you as the author of the change, with Nuvera’s reason beside it. You can change it back at any time."</p>
        </Consequences>
        <Form action=place().action(application.id, "confirm-change") version=application.version>
            <Actions>
                <Submit variant=Variant::Primary text="Confirm proposed change" />
                <ButtonLink
                    href=place().action(application.id, "withdraw-change")
                    text="Decline"
                    about="the proposed change"
                    needs=Operation::WithdrawProposedChange
                />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
    .into_any()
}

pub(super) fn withdraw(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    let Some(proposed) = application.open_proposal(surroundings().now) else {
        return nothing_left(title, application).into_any();
    };
    let consequence = match place() {
        Place::Settings | Place::Nuvera => "Nuvera will see that you declined it.",
        Place::Hub { .. } => "The partner will see that you withdrew it.",
    };
    view! {
        {super::heading(title, "")}
        {facts(application, proposed)}
        <Consequences heading="The proposed change will no longer be confirmable">
            <p>{format!("Everything will stay as it is. {consequence}")}</p>
        </Consequences>
        <Form action=place().action(application.id, "withdraw-change") version=application.version>
            <ReasonField optional=true />
            <Actions>
                <Submit variant=Variant::Danger text=format!("{} proposed change", take_back()) />
                {super::cancel(application)}
            </Actions>
        </Form>
    }
    .into_any()
}

/// Returns the verb for ending a proposal: partners decline it, Nuvera withdraws it.
fn take_back() -> &'static str {
    match place() {
        Place::Settings | Place::Nuvera => "Decline",
        Place::Hub { .. } => "Withdraw",
    }
}

fn before_and_after(application: &ApiApplication, proposed: &ProposedChange) -> impl IntoView + use<> {
    change(Some(proposed.change.before(application)), Some(proposed.change.after(application)))
}

fn facts(application: &ApiApplication, proposed: &ProposedChange) -> impl IntoView + use<> {
    view! {
        <Facts>
            <Fact term="What">{proposed.change.label()}</Fact>
            <Fact term="Before and after">{before_and_after(application, proposed)}</Fact>
            {difference(application, proposed)}
            <Fact term="Proposed"><Time at=proposed.at /> {format!(" by {}, Nuvera", proposed.by)}</Fact>
            <Fact term="Why">{proposed.why.to_string()}</Fact>
            <Fact term="Can be confirmed until"><Time at=proposed.expires_at /></Fact>
        </Facts>
    }
}

/// Lists the permissions that a proposal adds and removes.
fn difference(application: &ApiApplication, proposed: &ProposedChange) -> impl IntoView + use<> {
    let RequestedChange::Permissions(wanted) = &proposed.change else { return None };
    let words = |permissions: Vec<Permission>| match &*permissions {
        [] => "Nothing".to_owned(),
        some => some.iter().map(|permission| permission.code()).collect::<Vec<_>>().join(", "),
    };
    let added = words(wanted.without(application.permissions).collect());
    let taken = words(application.permissions.without(*wanted).collect());
    Some(view! {
        <Fact term="Adds">{added}</Fact>
        <Fact term="Takes away">{taken}</Fact>
    })
}

fn nothing_left(title: String, application: &ApiApplication) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "")}
        <Callout heading="There is no proposed change any more">
            <p>"It was confirmed, declined or withdrawn, or its 72 hours are over. The audit history says which."</p>
            <ButtonLink href=place().application(application.id) text="Back to the application" />
        </Callout>
    }
}
