//! Error pages: what is wrong and where to go instead.

use crate::{
    paths::{self, Area},
    ui::{Actions, ButtonLink, Variant, surroundings},
};
use domain::access::{Operation, allows};
use leptos::prelude::*;

pub(super) fn customer(title: String) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "")}
        <div class="prose">
            <p>
                "You are signed in as a user of a customer platform. API applications belong to partner organizations, whose systems call the Nuvera API; customer platforms cannot create or use them."
            </p>
            <p>
                "Nothing is wrong with your account. If your company builds an integration with Nuvera, ask your Nuvera contact for a partner account, and sign in with that one."
            </p>
        </div>
    }
}

pub(super) fn other_door(title: String, theirs: Area, href: &str) -> impl IntoView + use<> {
    let (words, text) = match theirs {
        Area::Partner => (
            "Your account is a partner organization’s. You are not signed in here, and nothing is wrong with your account: sign in where partners do.",
            "Sign in as a partner",
        ),
        Area::Hub => (
            "Your account is Nuvera’s. You are not signed in here, and nothing is wrong with your account: Nuvera’s people sign in to the organization hub.",
            "Sign in to the organization hub",
        ),
    };
    view! {
        {super::heading(title, "")}
        <div class="prose">
            <p>{words}</p>
        </div>
        <Actions>
            <ButtonLink href=href.to_owned() text variant=Variant::Primary />
        </Actions>
    }
}

pub(super) fn forbidden(title: String) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "")}
        <div class="prose">
            <p>"Your role does not include it. If you need it, ask an owner of your organization."</p>
        </div>
        {home()}
    }
}

pub(super) fn cross_site(title: String, home: &str) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "")}
        <div class="prose">
            <p>
                "It did not come from one of this console’s own pages, so nothing was changed. If you did this yourself, open the console at its own address and repeat it there: "
                <a href=home.to_owned()>{home.to_owned()}</a>
            </p>
        </div>
    }
}

pub(super) fn not_found(title: String) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "")}
        <div class="prose">
            <p>
                "There is no such page, or it is not your organization’s. Check the address, or start from the list."
            </p>
        </div>
        {home()}
    }
}

pub(super) fn unavailable(title: String, request_id: &str) -> impl IntoView + use<> {
    view! {
        {super::heading(title, "")}
        <div class="prose">
            <p>
                "Your request could not be carried out. A change is made completely or not at all: look at the page you came from before you try again."
            </p>
            <p>"The gateway goes on verifying requests meanwhile."</p>
            <p>"If it stays like this, tell Nuvera support this request id: " <code>{request_id.to_owned()}</code></p>
        </div>
        {home()}
    }
}

/// Link to the viewer's start page; `None` if their role has none.
fn home() -> impl IntoView + use<> {
    let (href, text) = match &surroundings().viewer {
        Some(viewer) if allows(viewer.role, Operation::ViewOrganizationHub) => {
            (paths::ORGANIZATION_HUB, "Go to the organization hub")
        }
        Some(viewer) if allows(viewer.role, Operation::ViewApplications) => {
            (paths::APPLICATIONS, "Go to API applications")
        }
        Some(_) => return None,
        None => (surroundings().area().sign_in(), "Sign in"),
    };
    Some(view! {
        <Actions>
            <ButtonLink href text variant=Variant::Primary />
        </Actions>
    })
}
