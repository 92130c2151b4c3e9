//! Pages. Each is a plain function of its data and renders the same markup whether or not the browser runs scripts.

mod account;
mod api_key_deadline;
mod application;
mod applications;
mod audit;
mod blocked_keys;
mod bulk_stop;
mod check_key;
mod confirm;
mod cut_over;
mod enabled;
mod finish_by_itself;
mod hub_search;
mod hygiene;
mod invitation;
mod manage_organization;
mod new_application;
mod one_time_key;
mod organization_hub;
mod passkeys;
mod passwords;
mod pending_resets;
mod people;
mod permissions;
mod prepared_replacement;
mod proposed_change;
mod refused;
mod rename;
mod replace_api_key;
mod replace_signing_key;
mod requests;
mod retire_signing_key;
mod revoke_api_key;
mod rotation_policy;
mod second_factor;
mod security_policy;
mod sign_in;
mod single_sign_on;
mod support;
mod test_request;

use crate::{
    page::{AuditSubject, Page, PageContext, StopScope},
    paths::{self, Place},
    ui::{Crumb, Shell, Width, place},
};
use domain::{application::ApiApplication, id::ApplicationId};
use leptos::prelude::*;
use std::sync::Arc;

/// Renders the HTML document of `page`.
pub fn document(context: PageContext, page: Page) -> impl IntoView {
    provide_context(Arc::new(context));
    let title = page.title();
    let crumbs = crumbs(&page);
    let runs_wasm = page.runs_wasm();
    let width = match page {
        Page::Applications { .. }
        | Page::Organization { .. }
        | Page::Application { .. }
        | Page::Requests { .. }
        | Page::Audit { .. }
        | Page::People { .. }
        | Page::Account { .. }
        | Page::OrganizationHub { .. }
        | Page::HubSearch { .. }
        | Page::BlockedKeys { .. } => Width::Wide,
        Page::SignIn { .. }
        | Page::PasskeySignIn { .. }
        | Page::SecondFactor { .. }
        | Page::Confirm { .. }
        | Page::ContinueWith { .. } => Width::Slim,
        _ => Width::Narrow,
    };
    view! { <Shell title crumbs runs_wasm width>{body(&page)}</Shell> }
}

fn body(page: &Page) -> AnyView {
    let title = page.title();
    match page {
        Page::SignIn { next, unsent } => sign_in::view(title, next.as_deref(), unsent.as_deref()).into_any(),
        Page::Confirm { next, unsent, ways } => confirm::view(title, next, unsent.as_deref(), ways).into_any(),
        Page::ContinueWith { provider, address } => single_sign_on::go_on(title, provider, address).into_any(),
        Page::SingleSignOnRefused { provider, problem, next, is_proof, is_signed_in, unsent, request_id } => {
            let way_on = if *is_signed_in && !is_proof {
                single_sign_on::back(next)
            } else {
                single_sign_on::again(provider, *problem, next, *is_proof, unsent.as_deref())
            };
            single_sign_on::refused(title, provider, *problem, way_on, request_id).into_any()
        }
        Page::SecondFactor { has_app, prompt } => second_factor::ask(title, *has_app, prompt.as_ref()).into_any(),
        Page::SetUpFactor { enrolment, is_replacement, is_demanded, next } => {
            second_factor::set_up(title, enrolment, *is_replacement, *is_demanded, next.as_deref()).into_any()
        }
        Page::RecoveryCodes { codes, next } => second_factor::codes(title, codes, next).into_any(),
        Page::MakeRecoveryCodes { left } => second_factor::make_codes(title, *left).into_any(),
        Page::RemoveFactor { has_passkeys } => second_factor::remove(title, *has_passkeys).into_any(),
        Page::Account { account } => account::view(title, account).into_any(),
        Page::PasskeySignIn { next, unsent, prompt } => {
            passkeys::sign_in(title, next.as_deref(), unsent.as_deref(), prompt.as_ref()).into_any()
        }
        Page::NewPasskey { prompt } => passkeys::new(title, prompt).into_any(),
        Page::RemovePasskey { passkey } => passkeys::remove(title, passkey).into_any(),
        Page::ChangePassword { factors, withdraws_invitations } => {
            passwords::change(title, factors, *withdraws_invitations).into_any()
        }
        Page::ResetPassword { person } => passwords::reset(title, person).into_any(),
        Page::ResetSent { person, expires_at, is_mailed } => {
            passwords::sent(title, person, *expires_at, *is_mailed).into_any()
        }
        Page::ConfirmReset { reset } => pending_resets::confirm(title, reset).into_any(),
        Page::ChoosePassword { name, email, token } => passwords::choose(title, name, email, token).into_any(),
        Page::ResetGone => passwords::gone(title).into_any(),
        Page::CustomerRefused => refused::customer(title).into_any(),
        Page::OtherDoor { theirs, href } => refused::other_door(title, *theirs, href).into_any(),
        Page::Forbidden => refused::forbidden(title).into_any(),
        Page::CrossSite { home } => refused::cross_site(title, home).into_any(),
        Page::NotFound => refused::not_found(title).into_any(),
        Page::Unavailable { request_id } => refused::unavailable(title, request_id).into_any(),
        Page::Invitation { invitation, organization, token } => {
            invitation::view(title, invitation, organization, token).into_any()
        }
        Page::InvitationGone => invitation::gone(title).into_any(),
        Page::Applications { items, leavers, unseen_support } => {
            applications::view(title, items, leavers, unseen_support).into_any()
        }
        Page::Organization { items, health, .. } => applications::organization(title, items, health).into_any(),
        Page::BulkStop { scope, applications, blocked } => {
            bulk_stop::preview(title, scope, applications, blocked.as_ref()).into_any()
        }
        Page::BulkStopped { scope, applications, is_unrecorded } => {
            bulk_stop::stopped(title, scope, applications, *is_unrecorded).into_any()
        }
        Page::NewApplication { creation_token, challenge } => {
            new_application::view(title, creation_token, challenge).into_any()
        }
        Page::OneTimeKey { application, api_key_id, key } => {
            one_time_key::view(title, application, *api_key_id, key).into_any()
        }
        Page::KeyAlreadyCreated { application, key, is_used } => {
            one_time_key::already_created(title, application, key, *is_used).into_any()
        }
        Page::Application { view, recent, support } => application::view(title, view, recent, support).into_any(),
        Page::Requests { application, filter, requests, is_continued, older } => {
            requests::list(title, application, filter, requests, *is_continued, *older).into_any()
        }
        Page::Request { application, request } => requests::detail(title, application, request).into_any(),
        Page::Rename { application } => rename::view(title, application).into_any(),
        Page::Permissions { application, waits } => permissions::view(title, application, *waits).into_any(),
        Page::Disable { application } => enabled::disable(title, application).into_any(),
        Page::Enable { application, blocked_keys, waits } => {
            enabled::enable(title, application, blocked_keys, *waits).into_any()
        }
        Page::ReplaceApiKey { application } => replace_api_key::with_grace(title, application).into_any(),
        Page::ReplaceExposedApiKey { application } => replace_api_key::exposed(title, application).into_any(),
        Page::FinishByItself { application } => finish_by_itself::view(title, application).into_any(),
        Page::ApiKeyDeadline { application, key } => api_key_deadline::view(title, application, key).into_any(),
        Page::RevokeApiKey { application, key, usage, traffic } => {
            revoke_api_key::view(title, application, key, usage, traffic).into_any()
        }
        Page::ReplaceSigningKey { application, challenge, waits, is_blocked } => {
            replace_signing_key::replace(title, application, challenge, *waits, *is_blocked).into_any()
        }
        Page::CheckKey { applications } => check_key::view(title, applications).into_any(),
        Page::People { people, invitations, pending_resets, leavers, pending, you, is_managed } => {
            let waiting = (pending.as_slice(), pending_resets.as_slice());
            people::view(title, people, invitations, waiting, leavers, *you, *is_managed).into_any()
        }
        Page::Invite { side } => people::invite(title, *side).into_any(),
        Page::InvitationSent { invitation, is_mailed } => people::sent(title, invitation, *is_mailed).into_any(),
        Page::ChangeRole { person, waits_until } => people::change_role(title, person, *waits_until).into_any(),
        Page::ResetFactor { person } => people::reset_factor(title, person).into_any(),
        Page::RemovePerson { person, waits_until } => people::remove(title, person, *waits_until).into_any(),
        Page::ConfirmOwnerChange { pending } => people::confirm_change(title, pending).into_any(),
        Page::RotationPolicy { policy } => rotation_policy::view(title, *policy).into_any(),
        Page::SecurityPolicy { policy } => security_policy::view(title, *policy).into_any(),
        Page::RestoreSigningKey { application, key, waits, is_blocked } => {
            replace_signing_key::restore(title, application, key, *waits, *is_blocked).into_any()
        }
        Page::RetireSigningKey { application, key, usage, traffic, waits } => {
            retire_signing_key::view(title, application, key, (usage, traffic), *waits).into_any()
        }
        Page::PrepareReplacement { application } => prepared_replacement::prepare(title, application).into_any(),
        Page::WithdrawReplacement { application } => prepared_replacement::withdraw(title, application).into_any(),
        Page::ClaimReplacement { application } => prepared_replacement::claim(title, application).into_any(),
        Page::ConfirmChange { application } => proposed_change::confirm(title, application).into_any(),
        Page::DeclineChange { application } | Page::WithdrawChange { application } => {
            proposed_change::withdraw(title, application).into_any()
        }
        Page::Audit { subject, filter, actors, events, is_continued, older } => {
            audit::view(title, subject, filter, actors, events, *is_continued, *older).into_any()
        }
        Page::OrganizationHub { organizations, more, counts, is_filtered } => {
            organization_hub::view(title, organizations, *more, *counts, *is_filtered).into_any()
        }
        Page::NewOrganization => manage_organization::create(title).into_any(),
        Page::ManageOrganization { organization, has_members, invitations } => {
            manage_organization::manage(title, organization, *has_members, invitations).into_any()
        }
        Page::SuspendOrganization { organization, applications } => {
            manage_organization::suspend(title, organization, applications).into_any()
        }
        Page::ReinstateOrganization { organization } => manage_organization::reinstate(title, organization).into_any(),
        Page::HubSearch { search, findings, blocked } => {
            hub_search::view(title, search, findings, blocked.as_ref()).into_any()
        }
        Page::BlockedKeys { keys } => blocked_keys::list(title, keys).into_any(),
        Page::ReleaseSigningKey { blocked } => blocked_keys::release(title, blocked).into_any(),
    }
}

/// Returns the breadcrumb trail of a page, without the page itself. Settings and Platform are groups without a page of
/// their own.
fn crumbs(page: &Page) -> Vec<Crumb> {
    let crumb = |label: &str, href: Option<String>| Crumb { label: label.to_owned(), href };
    let hub = || crumb("Organization hub", Some(paths::ORGANIZATION_HUB.to_owned()));
    let place = place();
    let above_applications = || match place {
        Place::Settings => vec![crumb("Settings", None), crumb("Platform", None)],
        Place::Nuvera => Vec::new(),
        Place::Hub { .. } => vec![hub()],
    };
    let applications = || {
        let label = match &place {
            Place::Settings => "API applications",
            Place::Nuvera => "Organization hub",
            Place::Hub { name, .. } => name,
        };
        above_applications().into_iter().chain([crumb(label, Some(place.applications()))])
    };
    let below = |id: ApplicationId, name: &str| {
        applications().chain([crumb(name, Some(place.application(id)))]).collect::<Vec<_>>()
    };
    match page {
        Page::SignIn { .. }
        | Page::SecondFactor { .. }
        | Page::PasskeySignIn { .. }
        | Page::Confirm { .. }
        | Page::ChoosePassword { .. }
        | Page::ResetGone
        | Page::ContinueWith { .. }
        | Page::SingleSignOnRefused { .. }
        // The user cannot open any other page before setting up a factor.
        | Page::SetUpFactor { is_demanded: true, .. }
        | Page::CustomerRefused
        | Page::OtherDoor { .. }
        | Page::Forbidden
        | Page::CrossSite { .. }
        | Page::NotFound
        | Page::Unavailable { .. }
        | Page::Invitation { .. }
        | Page::InvitationGone
        | Page::OrganizationHub { .. } => Vec::new(),
        // Every signed-in user has an account page, even if their role cannot see the applications.
        Page::Account { .. } => vec![crumb("Settings", None)],
        Page::ChangePassword { .. }
        | Page::NewPasskey { .. }
        | Page::RemovePasskey { .. }
        | Page::SetUpFactor { .. }
        | Page::RecoveryCodes { .. }
        | Page::MakeRecoveryCodes { .. }
        | Page::RemoveFactor { .. } => {
            let account = crumb("Sign-in and security", Some(place.area().account().to_owned()));
            vec![crumb("Settings", None), account]
        }
        Page::ResetPassword { .. }
        | Page::ResetSent { .. }
        | Page::ConfirmReset { .. }
        | Page::Invite { .. }
        | Page::InvitationSent { .. }
        | Page::ChangeRole { .. }
        | Page::ResetFactor { .. }
        | Page::RemovePerson { .. }
        | Page::ConfirmOwnerChange { .. } => {
            let people = crumb("People", Some(place.people()));
            applications().chain([people]).collect()
        }
        Page::Applications { .. } | Page::Organization { .. } => above_applications(),
        Page::HubSearch { .. } | Page::BlockedKeys { .. } | Page::NewOrganization => vec![hub()],
        Page::ManageOrganization { .. } => applications().collect(),
        Page::SuspendOrganization { .. } | Page::ReinstateOrganization { .. } => {
            applications().chain([crumb("Manage organization", Some(place.manage()))]).collect()
        }
        Page::ReleaseSigningKey { .. } => {
            vec![hub(), crumb("Blocked signing keys", Some(paths::HUB_SIGNING_KEYS.to_owned()))]
        }
        Page::BulkStop { scope, .. } | Page::BulkStopped { scope, .. } => match scope {
            StopScope::Organization { .. } => applications().collect(),
            StopScope::SigningKey { .. } => vec![hub()],
        },
        Page::NewApplication { .. }
        | Page::Application { .. }
        | Page::People { .. }
        | Page::CheckKey { .. }
        | Page::RotationPolicy { .. }
        | Page::SecurityPolicy { .. } => applications().collect(),
        Page::OneTimeKey { application, .. }
        | Page::KeyAlreadyCreated { application, .. }
        | Page::Requests { application, .. }
        | Page::Rename { application }
        | Page::Permissions { application, .. }
        | Page::Disable { application }
        | Page::Enable { application, .. }
        | Page::ReplaceApiKey { application }
        | Page::ReplaceExposedApiKey { application }
        | Page::FinishByItself { application }
        | Page::ApiKeyDeadline { application, .. }
        | Page::RevokeApiKey { application, .. }
        | Page::ReplaceSigningKey { application, .. }
        | Page::RestoreSigningKey { application, .. }
        | Page::RetireSigningKey { application, .. }
        | Page::PrepareReplacement { application }
        | Page::WithdrawReplacement { application }
        | Page::ClaimReplacement { application }
        | Page::ConfirmChange { application }
        | Page::DeclineChange { application }
        | Page::WithdrawChange { application } => below(application.id, application.name.as_str()),
        Page::Request { application, .. } => {
            let requests = crumb("Recent requests", Some(place.action(application.id, "requests")));
            below(application.id, application.name.as_str()).into_iter().chain([requests]).collect()
        }
        Page::Audit { subject, .. } => match subject {
            AuditSubject::Application { id, name } => below(*id, name),
            AuditSubject::Organization => applications().collect(),
            AuditSubject::Everyone => vec![hub()],
        },
    }
}

/// Main heading of a page, with an introductory sentence unless `lead` is empty.
fn heading(title: String, lead: &str) -> impl IntoView + use<> {
    let lead = (!lead.is_empty()).then(|| view! { <p class="page-head__lead">{lead.to_owned()}</p> });
    view! {
        <div class="page-head">
            <div class="page-head__text">
                <h1>{title}</h1>
                {lead}
            </div>
        </div>
    }
}

/// Link back to the application, next to a form's submit button.
fn cancel(application: &ApiApplication) -> impl IntoView + use<> {
    view! { <a class="button button--plain" href=place().application(application.id)>"Cancel"</a> }
}
