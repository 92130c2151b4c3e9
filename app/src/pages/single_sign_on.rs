//! Identity providers: the ways to them, and what is said where one leads nowhere.

use crate::{
    page::{Provider, SingleSignOnProblem},
    paths,
    ui::{Actions, ButtonLink, Form, Submit, Variant, surroundings},
};
use leptos::prelude::*;

/// The providers by which somebody can sign in instead, below the form with the password.
pub(super) fn ways_in(next: Option<&str>, form_waits: bool) -> impl IntoView + use<> {
    let area = surroundings().area();
    let providers = surroundings().providers.clone();
    let next = next.map(ToOwned::to_owned);
    (!providers.is_empty()).then(|| {
        view! {
            <div class="aside aside--wide">
                {form_waits
                    .then(|| view! { <p>"The form that waits is kept when you sign in with a password only."</p> })}
                {providers
                    .into_iter()
                    .map(|provider| {
                        let href = with_next(&area.sign_in_with(&provider.id), next.as_deref());
                        view! { <ButtonLink href text=format!("Sign in with {}", provider.label) /> }
                    })
                    .collect_view()}
            </div>
        }
    })
}

/// The providers by which somebody can prove that it is they. Where a form waits, it goes along in a form.
pub(super) fn ways_to_confirm(providers: &[Provider], next: &str, unsent: Option<&str>) -> impl IntoView + use<> {
    let area = surroundings().area();
    providers
        .iter()
        .map(|provider| {
            let (address, text) = (area.confirm_with(&provider.id), format!("Confirm with {}", provider.label));
            match unsent {
                None => view! { <ButtonLink href=with_next(&address, Some(next)) text /> }.into_any(),
                Some(unsent) => {
                    let (next, unsent) = (next.to_owned(), unsent.to_owned());
                    view! {
                        <Form action=address>
                            <input type="hidden" name="next" value=next />
                            <input type="hidden" name="unsent" value=unsent />
                            <Submit variant=Variant::Secondary text />
                        </Form>
                    }
                    .into_any()
                }
            }
        })
        .collect_view()
}

/// The way on to a provider, for somebody whose form waits.
pub(super) fn go_on(title: String, provider: &Provider, address: &str) -> impl IntoView + use<> {
    let lead = format!("Your form is kept. Confirm at {}, and you find it as you left it.", provider.label);
    view! {
        <div class="sign-in">
            {super::heading(title, &lead)}
            <Actions>
                <ButtonLink href=address text=format!("Go to {}", provider.label) variant=Variant::Primary />
                <a class="button button--plain" href=surroundings().area().home()>"Cancel"</a>
            </Actions>
        </div>
    }
}

/// Why a provider led nowhere, and what to do.
pub(super) fn refused(
    title: String,
    provider: &Provider,
    problem: SingleSignOnProblem,
    way_on: AnyView,
    request_id: &str,
) -> impl IntoView + use<> {
    use SingleSignOnProblem as Problem;
    let label = &provider.label;
    let (happened, to_do) = match problem {
        Problem::Unasked => (
            format!(
                "{label} sent you back, but this browser does not know of a question to it: it was answered already, or more than ten minutes ago, or the browser keeps no cookies for this console."
            ),
            "Begin again, and allow cookies for this address.".to_owned(),
        ),
        Problem::Declined => (
            format!("{label} did not confirm who you are: it was cancelled there, or you may not use this console."),
            format!("Try again. If you did not cancel it, ask whoever looks after {label}."),
        ),
        Problem::Down => (
            format!("{label} does not answer at the moment, or not as it should."),
            "Try again in a few minutes. The gateway goes on verifying requests meanwhile.".to_owned(),
        ),
        Problem::Untrusted => (
            format!("What {label} answered could not be verified, so nobody was signed in with it."),
            "Try again. If it stays like this, tell Nuvera support the request id.".to_owned(),
        ),
        Problem::NotFresh => (
            format!("{label} did not ask you anew who you are."),
            format!("Try again, and enter your password or use your device at {label}."),
        ),
        Problem::NoAuthTime => (
            format!(
                "{label} confirmed who you are, but does not say when you last signed in there, so this console cannot tell that you just did."
            ),
            format!(
                "Trying again does not help. Ask Nuvera support, with the request id, and whoever looks after {label}: it has to add “auth_time” to its ID tokens, or Nuvera has to change a setting."
            ),
        ),
        Problem::NoRole => (
            format!("{label} knows you, and gives you no role in this console."),
            format!("Ask whoever looks after {label} for one, then try again."),
        ),
        Problem::Removed => (
            "You were removed from your organization’s people here.".to_owned(),
            "If that was a mistake, ask somebody who decides on people there.".to_owned(),
        ),
        Problem::AccountHere => (
            format!(
                "Your organization has an account with your e-mail address that does not belong to {label}. It is not handed over: an address alone does not show that it is yours."
            ),
            format!(
                "Sign in to it with its password. To use {label} instead, have an owner remove it first; your next sign-in with {label} then makes a new one."
            ),
        ),
        Problem::ForeignAddress => (
            format!("{label} gave an e-mail address that is not in a domain of your organization."),
            format!(
                "Ask whoever looks after {label} to correct your address there, or Nuvera support to add its domain."
            ),
        ),
        Problem::OneFactor => (
            format!("A second factor is needed here, and {label} does not say that you showed one."),
            format!(
                "Set one up at {label}, or sign in there with it, and try again. If you did, ask whoever looks after {label} and Nuvera support."
            ),
        ),
        Problem::NotAdmitted => (
            format!("No account can be made for you with what {label} says of you."),
            "Ask somebody who decides on people in your organization, and give them the request id.".to_owned(),
        ),
        Problem::SomebodyElse => (
            format!("Somebody else is signed in at {label} than here."),
            "Sign in there as the person that you are here, or sign out here first.".to_owned(),
        ),
    };
    view! {
        {super::heading(title, "")}
        <div class="prose">
            <p>{happened}</p>
            <p>{to_do}</p>
            <p class="quiet">"Request id: " <code>{request_id.to_owned()}</code></p>
        </div>
        {way_on}
    }
}

/// The way back to a page of the console.
pub(super) fn back(page: &str) -> AnyView {
    view! { <Actions><ButtonLink href=page text="Back to the console" variant=Variant::Primary /></Actions> }.into_any()
}

/// The way to try it again, where that can help.
pub(super) fn again(
    provider: &Provider,
    problem: SingleSignOnProblem,
    next: &str,
    is_proof: bool,
    unsent: Option<&str>,
) -> AnyView {
    let area = surroundings().area();
    if problem == SingleSignOnProblem::NoAuthTime {
        return back(area.home());
    }
    if is_proof {
        return view! { <Actions>{ways_to_confirm(std::slice::from_ref(provider), next, unsent)}</Actions> }.into_any();
    }
    let href = with_next(&area.sign_in_with(&provider.id), Some(next));
    view! {
        <Actions>
            <ButtonLink href text=format!("Try {} again", provider.label) variant=Variant::Primary />
            <ButtonLink href=area.sign_in() text="Sign in another way" />
        </Actions>
    }
    .into_any()
}

fn with_next(address: &str, next: Option<&str>) -> String {
    match next {
        None => address.to_owned(),
        Some(next) => format!("{address}?next={}", paths::escaped(next)),
    }
}
