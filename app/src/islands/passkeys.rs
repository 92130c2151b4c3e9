//! Asks the browser for a passkey: `data-passkey` says whether one is made or used, `data-options` tells the browser the
//! rest. Its answer goes into the form, which is then sent like any other.

use super::dom;
use js_sys::{Function, JSON, Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, HtmlElement, HtmlFormElement, HtmlInputElement};

pub fn wake() {
    for form in dom::all("form[data-passkey]") {
        let _ = try_wake(form);
    }
}

fn try_wake(form: Element) -> Option<()> {
    let form: HtmlFormElement = form.dyn_into().ok()?;
    let button: HtmlElement = dom::within(&form, "button")?;
    let problem: HtmlElement = dom::within(&form, "[data-passkey-error]")?;
    let options = form.get_attribute("data-options")?;
    let makes = form.get_attribute("data-passkey")? == "make";
    if parser(makes).is_none() {
        dom::set_error(&problem, Some("This browser cannot use passkeys. Use another browser, or another way."));
        return None;
    }
    dom::enable(&button);
    let target = form.clone();
    dom::on(&target, "submit", move |event| {
        event.prevent_default();
        let name: Option<HtmlInputElement> = dom::within(&form, "[name=name]");
        if let Some(name) = name.filter(|name| name.value().trim().is_empty()) {
            // Before there is a passkey on the device that the server does not take.
            dom::set_error(&problem, Some("Enter a name for the passkey."));
            let _ = name.focus();
            return;
        }
        dom::set_error(&problem, None);
        // Browsers refuse to ask for two at the same time.
        let _ = button.set_attribute("disabled", "");
        let (form, button, problem) = (form.clone(), button.clone(), problem.clone());
        let done = move |outcome: Result<JsValue, JsValue>| {
            if let Err(error) = outcome.and_then(|credential| send(&form, &credential).ok_or(JsValue::NULL)) {
                dom::enable(&button);
                dom::set_error(&problem, Some(words(&error)));
            }
        };
        match ask(&options, makes) {
            Some(promise) => dom::settle_with(&promise, done),
            None => done(Err(JsValue::NULL)),
        }
    });
    Some(())
}

/// What reads the options, and whose it is; `None` where the browser has no passkeys, or not in this form.
fn parser(makes: bool) -> Option<(JsValue, Function)> {
    let interface = get(dom::window()?.as_ref(), "PublicKeyCredential")?;
    let parser = if makes { "parseCreationOptionsFromJSON" } else { "parseRequestOptionsFromJSON" };
    let parser = get(&interface, parser)?.dyn_into().ok()?;
    Some((interface, parser))
}

fn ask(options: &str, makes: bool) -> Option<Promise> {
    let (interface, parser) = parser(makes)?;
    let options = parser.call1(&interface, &JSON::parse(options).ok()?).ok()?;
    let asked = Object::new();
    Reflect::set(&asked, &"publicKey".into(), &options).ok()?;
    let credentials = get(dom::window()?.navigator().as_ref(), "credentials")?;
    let method: Function = get(&credentials, if makes { "create" } else { "get" })?.dyn_into().ok()?;
    method.call1(&credentials, &asked).ok()?.dyn_into().ok()
}

fn send(form: &HtmlFormElement, credential: &JsValue) -> Option<()> {
    let method: Function = get(credential, "toJSON")?.dyn_into().ok()?;
    let answer = JSON::stringify(&method.call0(credential).ok()?).ok()?;
    dom::within::<HtmlInputElement>(form, "[data-passkey-answer]")?.set_value(&String::from(answer));
    form.submit().ok()
}

fn get(of: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(of, &name.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
}

/// Why there is no passkey (Web Authentication, 5.1.3 and 5.1.4), for people. A browser does not tell whether somebody
/// cancelled, was too slow, or has none: whoever has the page must not learn that either.
fn words(error: &JsValue) -> &'static str {
    match get(error, "name").and_then(|name| name.as_string()).as_deref() {
        Some("NotAllowedError" | "AbortError") => {
            "No passkey was used: it was cancelled, took too long, or there is none here. Try again, or use another way."
        }
        Some("InvalidStateError") => {
            "This device holds a passkey of yours for this console already. Choose another device."
        }
        Some("SecurityError") => "Passkeys do not work at this address. Use another way.",
        _ => "Your browser could not use a passkey. Try again, or use another way.",
    }
}
