//! Frame of every page: HTML document, header, breadcrumb and page-wide notices.

use super::{Callout, Inner, Notice, Surroundings, Time, error_summary::ErrorSummary, may, surroundings};
use crate::{
    islands,
    page::Viewer,
    paths::{self, Place},
};
use domain::access::{Operation, allows};
use leptos::{config::LeptosOptions, hydration::HydrationScripts, nonce::use_nonce, prelude::*};

/// A breadcrumb.
#[derive(Clone, Debug)]
pub struct Crumb {
    /// Visible label.
    pub label: String,
    /// Target of the link; `None` for a group of pages that has no page of its own.
    pub href: Option<String>,
}

/// Maximum width of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// For tables.
    Wide,
    /// For forms and short texts.
    Narrow,
    /// For forms with one or two fields, such as signing in.
    Slim,
}

impl Width {
    fn class(self) -> &'static str {
        match self {
            Self::Wide => "page",
            Self::Narrow => "page page--narrow",
            Self::Slim => "page page--slim",
        }
    }
}

/// The HTML document.
#[component]
pub fn Shell(
    /// Page title and main heading.
    title: String,
    /// Breadcrumb trail, without the page itself.
    crumbs: Vec<Crumb>,
    /// Whether the page has islands, and so needs the WebAssembly bundle.
    runs_wasm: bool,
    /// Maximum width of the content.
    width: Width,
    /// Content of `<main>`.
    children: Inner,
) -> impl IntoView {
    let page = surroundings();
    let failed = page.submission.form_error.is_some() || !page.submission.errors.is_empty();
    let about = crumbs.iter().rev().take(1).map(|crumb| format!(" · {}", crumb.label)).collect::<String>();
    let document_title = format!("{}{title}{about} · Nuvera", if failed { "Error: " } else { "" });
    let trail = (!crumbs.is_empty()).then(|| view! { <Breadcrumb crumbs title=title.clone() /> });
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="color-scheme" content="light dark" />
                <title>{document_title}</title>
                <link rel="stylesheet" href=format!("{}/{}", paths::ASSETS, page.assets.style) />
                <link rel="icon" href=ICON />
                {runs_wasm
                    .then(|| {
                        view! {
                            <script nonce=use_nonce() inner_html=MARKS_MISSING_WASM></script>
                            <HydrationScripts options=scripts(&page) islands=true />
                        }
                    })}
            </head>
            <body>
                <a class="skip-link" href="#content">"Skip to content"</a>
                <Header viewer=page.viewer.clone() />
                {trail}
                <main id="content" tabindex="-1" data-now=page.now.rfc3339() class=width.class()>
                    <ErrorSummary />
                    <Notice />
                    {new_browser(&page)}
                    {acting_for(&page.place)}
                    {suspended(&page)}
                    {children.view()}
                </main>
                {runs_wasm.then(islands)}
            </body>
        </html>
    }
}

/// Marks a browser without WebAssembly, such as one in Lockdown Mode, so that the style sheet treats it as one without
/// scripts. Runs in `<head>`, before the first paint.
const MARKS_MISSING_WASM: &str = "if(!self.WebAssembly)document.documentElement.classList.add('no-wasm')";

/// Favicon: the letter N on the brand's colour.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='8' fill='%231f3fae'/%3E%3Cpath d='M10 23V9l12 14V9' fill='none' stroke='%23fff' stroke-width='3.2' stroke-linecap='round' stroke-linejoin='round'/%3E%3C/svg%3E";

/// Warns the user that a new browser signed in to their account, until they have opened the list of sessions.
fn new_browser(page: &Surroundings) -> Option<impl IntoView + use<>> {
    let attempt = page.new_browser.as_ref()?;
    let from = attempt.address.map(|address| format!(" from {address}")).unwrap_or_default();
    let words = format!("{}{from}, ", attempt.browser);
    let (at, href) = (attempt.at, format!("{}#sessions", page.area().account()));
    Some(view! {
        <Callout heading="A new browser signed in as you">
            <p>{words} <Time at /> ". If it was not you, change your password: that ends its session. Remove second factors that you do not recognize with it."</p>
            <p><a href=href>"See where you are signed in"</a></p>
        </Callout>
    })
}

/// Shows Nuvera's users which organization they are acting in.
fn acting_for(place: &Place) -> Option<impl IntoView + use<>> {
    let Place::Hub { name, .. } = place else { return None };
    let words = if may(Operation::EnableApplication) {
        ". They see every change, your name and your reason."
    } else {
        ", and see without changing anything."
    };
    Some(view! {
        <p class="acting">"You act for Nuvera in " <strong>{name.clone()}</strong> {words}</p>
    })
}

/// Shows that the organization is suspended, to its members and to Nuvera's users.
fn suspended(page: &Surroundings) -> Option<impl IntoView + use<>> {
    let is_partners = page.place == Place::Settings;
    page.is_suspended.then(|| {
        let heading = if is_partners { "Nuvera suspended your organization" } else { "This organization is suspended" };
        let (href, link) = match is_partners {
            true => (page.place.audit(), "See who suspended it, when and why"),
            false => (page.place.manage(), "Manage organization"),
        };
        let contact = is_partners.then_some(" Contact Nuvera support to have it reinstated.");
        view! {
            <Callout heading=heading danger=true>
                <p>"The gateway refuses every request of its API applications." {contact}</p>
                <p><a href=href>{link}</a></p>
            </Callout>
        }
    })
}

fn scripts(page: &Surroundings) -> LeptosOptions {
    LeptosOptions::builder().output_name(page.assets.app.clone()).site_pkg_dir("assets").hash_files(false).build()
}

/// Islands of the page. Each looks up the markup it hydrates by attribute, so they come after all of the content.
fn islands() -> impl IntoView {
    view! {
        <p class="visually-hidden" id="announcer" role="status"></p>
        <islands::RelativeTimes />
        <islands::CopyButtons />
        <islands::OneTimeSecret />
        <islands::PermissionChooser />
        <islands::KeyGenerator />
        <islands::PublicKeyField />
        <islands::KeyDoctor />
        <islands::LiveRegions />
        <islands::TestRequest />
        <islands::Passkeys />
    }
}

#[component]
fn Header(viewer: Option<Viewer>) -> impl IntoView {
    let home = match &viewer {
        Some(viewer) if allows(viewer.role, Operation::ViewOrganizationHub) => paths::ORGANIZATION_HUB,
        Some(viewer) if allows(viewer.role, Operation::ViewApplications) => paths::APPLICATIONS,
        Some(_) => "/",
        None => surroundings().area().sign_in(),
    };
    view! {
        <header class="header">
            <div class="header__inner">
                <a class="header__brand" href=home>
                    <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false">
                        <rect class="header__tile" width="32" height="32" rx="8" />
                        <path class="header__letter" d="M10 23V9l12 14V9" />
                    </svg>
                    <span>"Nuvera"</span>
                </a>
                {viewer.map(|viewer| view! { <Account viewer /> })}
            </div>
        </header>
    }
}

#[component]
fn Account(viewer: Viewer) -> impl IntoView {
    view! {
        <div class="header__account">
            <p class="header__who">
                <span class="header__organization">{viewer.organization_name}</span>
                <a class="header__person" href=surroundings().area().account()>
                    {format!("{} · {}", viewer.name, viewer.role.label())}
                    <span class="visually-hidden">": sign-in and security"</span>
                </a>
            </p>
            <form method="post" action=surroundings().area().sign_out()>
                <button type="submit" class="button button--small">"Sign out"</button>
            </form>
        </div>
    }
}

#[component]
fn Breadcrumb(crumbs: Vec<Crumb>, title: String) -> impl IntoView {
    let steps = crumbs.into_iter().map(|crumb| match crumb.href {
        Some(href) => view! { <li><a href=href>{crumb.label}</a></li> }.into_any(),
        None => view! { <li>{crumb.label}</li> }.into_any(),
    });
    view! {
        <nav class="breadcrumb" aria-label="Breadcrumb">
            <ol>
                {steps.collect_view()}
                <li aria-current="page">{title}</li>
            </ol>
        </nav>
    }
}
