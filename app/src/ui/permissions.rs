//! Permissions as form fields and as a list.

use super::{Icon, Shape, field::error_view, surroundings};
use domain::permission::{Area, Permission, PermissionSet};
use leptos::prelude::*;

/// Name of the form field.
const NAME: &str = "permissions";

/// Checkboxes for the permissions, grouped by area. With scripts, the island `PermissionChooser` checks the read
/// permission that a write permission requires; without, the server reports the missing permission.
#[component]
pub fn PermissionChooser(
    /// Permissions selected initially, unless the form was submitted.
    chosen: PermissionSet,
) -> impl IntoView {
    let page = surroundings();
    let was_sent = page.submission.was_sent();
    let error = page.submission.error(NAME).map(ToOwned::to_owned);
    let is_chosen = move |permission: Permission| {
        if was_sent { page.submission.has(NAME, permission.code()) } else { chosen.contains(permission) }
    };
    // The first checkbox has the field's name as its id, because the error summary links to it.
    let id = |permission: Permission| {
        if permission == Area::ALL[0].read() { NAME.to_owned() } else { permission.code().to_owned() }
    };
    let checkbox = move |permission: Permission, label: &'static str, requires: Option<String>| {
        view! {
            <div class="permissions__box">
                <input
                    type="checkbox"
                    id=id(permission)
                    name=NAME
                    value=permission.code()
                    checked=is_chosen(permission)
                    data-requires=requires
                />
                <label for=id(permission)>
                    <span class="visually-hidden">{format!("{}: ", permission.area().label())}</span>
                    {label}
                    <code>{permission.code()}</code>
                </label>
            </div>
        }
    };
    let rows = Area::ALL.into_iter().map(|area| {
        let write = area.write().map(|write| checkbox(write, "Write", Some(id(area.read()))));
        view! {
            <div class="permissions__row">
                <p class="permissions__area" aria-hidden="true">{area.label()}</p>
                {checkbox(area.read(), "Read", None)}
                {write}
            </div>
        }
    });
    let described = if error.is_some() { "permissions-error permissions-hint" } else { "permissions-hint" };
    view! {
        <fieldset class="field" class:field--wrong=error.is_some() aria-describedby=described data-permissions>
            <legend class="field__label">"What the application may do"</legend>
            <p class="field__hint" id="permissions-hint">
                "Choose the least that it needs; you can change it later. Writing to an area needs reading it."
            </p>
            {error_view(NAME, error.clone())}
            <div class="permissions">{rows.collect_view()}</div>
        </fieldset>
    }
}

/// Lists the permissions of an application by area.
#[component]
pub fn PermissionTable(
    /// Permissions that the application has.
    permissions: PermissionSet,
) -> impl IntoView {
    let rows = Area::ALL.into_iter().map(|area| {
        let write = area.write().is_some_and(|write| permissions.contains(write));
        let (shape, words) = match (permissions.contains(area.read()), write) {
            (_, true) => (Shape::Check, "Read and write"),
            (true, false) => (Shape::Check, "Read"),
            (false, false) => (Shape::Dash, "No access"),
        };
        let class = if shape == Shape::Check { "grants__item" } else { "grants__item grants__item--none" };
        view! {
            <li class=class>
                <Icon shape />
                <span class="grants__area">{area.label()}</span>
                <span class="grants__words">{words}</span>
            </li>
        }
    });
    view! { <ul class="grants">{rows.collect_view()}</ul> }
}
