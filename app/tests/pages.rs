//! What holds for every page, in every state that the preview knows.

#[path = "../examples/preview/samples.rs"]
mod samples;

use app::{
    page::{Page, PageContext, Submission},
    paths::Area,
};
use hydration_context::SsrSharedContext;
use leptos::{
    nonce::provide_nonce,
    prelude::{Owner, RenderHtml},
};
use std::{collections::HashSet, sync::Arc};

fn html(context: PageContext, page: Page) -> String {
    Owner::new_root(Some(Arc::new(SsrSharedContext::new()))).with(|| {
        provide_nonce();
        app::pages::document(context, page).to_html()
    })
}

fn every_page() -> Vec<(&'static str, Page, String)> {
    let pages = samples::all().expect("the samples are valid");
    pages.into_iter().map(|(name, context, page)| (name, page.clone(), html(context, page))).collect()
}

/// The values of an attribute, wherever it stands.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    html.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn a_page_has_one_heading_one_main_and_unique_ids() {
    for (name, _, html) in every_page() {
        assert_eq!(html.matches("<h1").count(), 1, "{name}");
        assert_eq!(html.matches("<main").count(), 1, "{name}");
        let ids = values(&html, "id");
        let unique: HashSet<_> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "{name}: {ids:?}");
    }
}

#[test]
fn labels_descriptions_and_links_within_a_page_lead_somewhere() {
    for (name, _, html) in every_page() {
        let ids: HashSet<_> = values(&html, "id").into_iter().collect();
        let described = ["for", "aria-describedby", "aria-labelledby", "list", "data-copy", "data-requires"];
        for attribute in described {
            for id in values(&html, attribute).into_iter().flat_map(str::split_whitespace) {
                assert!(ids.contains(id), "{name}: {attribute}={id}");
            }
        }
        for target in values(&html, "href").into_iter().filter_map(|href| href.strip_prefix('#')) {
            assert!(ids.contains(target), "{name}: #{target}");
        }
    }
}

#[test]
fn nothing_needs_more_than_the_content_security_policy_allows() {
    for (name, page, html) in every_page() {
        assert!(!html.contains(" style=\"") && !html.contains("<style"), "{name}: inline style");
        assert!(values(&html, "onclick").is_empty() && !html.contains("javascript:"), "{name}: inline handler");
        assert_eq!(html.contains("<leptos-island"), page.runs_wasm(), "{name}: islands");
        assert_eq!(html.contains("<script"), page.runs_wasm(), "{name}: scripts");
        assert_eq!(html.matches("<script").count(), html.matches(" nonce=\"").count(), "{name}: nonce");
        assert!(!html.contains("data-props"), "{name}: an island with properties");
    }
}

#[test]
fn every_form_that_changes_an_application_tells_the_version_that_was_seen() {
    for (name, _, html) in every_page() {
        for form in html.split("<form").skip(1).filter_map(|rest| rest.split("</form>").next()) {
            if form.contains("method=\"get\"") {
                // A search changes nothing.
                continue;
            }
            assert!(form.contains("method=\"post\""), "{name}");
            let action = values(form, "action")[0];
            // People have no versions: what a form about them says is what they become, whatever they were.
            let area = Area::of(action);
            let is_about_people = action.contains("/people/") || [area.invitation(), area.reset()].contains(&action);
            // A stop of many is right whatever they are by now, and a search changes nothing.
            let none = [
                "/sign-in",
                "/sign-out",
                "/confirm",
                "/new",
                "/stop-everything",
                "/stop",
                "/organizations",
                "/invite-owner",
            ];
            let is_about_none = none.iter().any(|end| action.ends_with(end))
                || action.contains("/confirm/")
                || action.contains("/sign-in/");
            // Nor does one's own account: only its owner changes it.
            let is_own = action.starts_with(area.account());
            assert_eq!(
                form.contains("name=\"version\""),
                !is_about_people && !is_about_none && !is_own,
                "{name}: {form}"
            );
        }
    }
}

#[test]
fn a_one_time_key_stands_on_its_page_once_and_as_text() {
    for (name, page, html) in every_page() {
        if let Page::OneTimeKey { key, .. } = page {
            assert_eq!(html.matches(key.reveal()).count(), 1, "{name}");
            assert!(html.contains(&format!("{}</code>", key.reveal())), "{name}");
            assert!(!html.contains("<textarea"), "{name}");
        }
    }
}

#[test]
fn a_name_is_text_whatever_it_holds() {
    for (name, _, html) in every_page() {
        assert!(!html.contains("<b>"), "{name}");
    }
}

#[test]
fn a_private_key_that_was_pasted_never_comes_back() {
    let (_, context, page) = samples::all().unwrap().into_iter().find(|(name, ..)| *name == "create").unwrap();
    let canary = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----";
    let values = vec![("public_key".to_owned(), canary.to_owned()), ("name".to_owned(), "Ledger".to_owned())];
    let context = PageContext { submission: Submission { values, ..Submission::default() }, ..context };
    let html = html(context, page);
    assert!(!html.contains("Y2FuYXJ5") && html.contains("value=\"Ledger\""));
}
