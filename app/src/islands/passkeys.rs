//! Runs WebAuthn ceremonies: `data-passkey` selects registration or authentication, `data-options` holds the options as
//! JSON. The response is written into the form, which is then submitted as usual.
//!
//! Browsers before 2025 cannot parse the options from JSON, and password managers that replace the browser's
//! implementation return objects without a working `toJSON`. If either is missing or fails, this module converts
//! instead (Web Authentication Level 3, 5.1.8 to 5.1.10).

use super::dom;
use js_sys::{Array, ArrayBuffer, Function, JSON, JsString, Object, Promise, Reflect, Uint8Array};
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
    if credentials().is_none() {
        dom::set_error(&problem, Some("This browser cannot use passkeys. Use another browser, or another way."));
        return None;
    }
    dom::enable(&button);
    let target = form.clone();
    dom::on(&target, "submit", move |event| {
        event.prevent_default();
        let name: Option<HtmlInputElement> = dom::within(&form, "[name=name]");
        if let Some(name) = name.filter(|name| name.value().trim().is_empty()) {
            // Checked first: the server would reject the form after the device has created the passkey.
            dom::set_error(&problem, Some("Enter a name for the passkey."));
            let _ = name.focus();
            return;
        }
        dom::set_error(&problem, None);
        // Browsers reject a second ceremony while one is pending.
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

/// Returns the browser's `CredentialsContainer`; `None` if passkeys are not supported, or not in this context.
fn credentials() -> Option<JsValue> {
    let window = dom::window()?;
    get(window.as_ref(), "PublicKeyCredential")?;
    get(window.navigator().as_ref(), "credentials")
}

fn ask(options: &str, makes: bool) -> Option<Promise> {
    let options = JSON::parse(options).ok()?;
    let parsed = parse_natively(&options, makes).or_else(|| parse(&options))?;
    let asked = Object::new();
    Reflect::set(&asked, &"publicKey".into(), &parsed).ok()?;
    call(&credentials()?, if makes { "create" } else { "get" }, &asked)?.dyn_into().ok()
}

/// Parses the options with the browser's own parser; `None` if it has none or fails.
fn parse_natively(options: &JsValue, makes: bool) -> Option<JsValue> {
    let interface = get(dom::window()?.as_ref(), "PublicKeyCredential")?;
    let parser = if makes { "parseCreationOptionsFromJSON" } else { "parseRequestOptionsFromJSON" };
    call(&interface, parser, options)
}

/// Parses the options: decodes their binary members, which are base64url in JSON.
fn parse(options: &JsValue) -> Option<JsValue> {
    decode(options, "challenge")?;
    if let Some(user) = get(options, "user") {
        decode(&user, "id")?;
    }
    for list in ["excludeCredentials", "allowCredentials"] {
        let list = get(options, list).map(|list| Array::from(&list));
        for credential in list.iter().flat_map(Array::iter) {
            decode(&credential, "id")?;
        }
    }
    Some(options.clone())
}

/// Replaces the base64url text in `of[name]` with the decoded bytes.
fn decode(of: &JsValue, name: &str) -> Option<()> {
    let text = get(of, name)?.as_string()?.replace('-', "+").replace('_', "/");
    let binary: JsString = dom::window()?.atob(&text).ok()?.into();
    let bytes = Uint8Array::new_with_length(binary.length());
    for index in 0..binary.length() {
        // `atob` returns one character per byte.
        bytes.set_index(index, binary.char_code_at(index) as u8);
    }
    Reflect::set(of, &name.into(), &bytes).ok().map(drop)
}

fn send(form: &HtmlFormElement, credential: &JsValue) -> Option<()> {
    let answer = call(credential, "toJSON", &JsValue::UNDEFINED)
        // A password manager's credential may inherit `toJSON` without data for it to serialize.
        .filter(|answer| get(answer, "rawId").is_some_and(|id| id.is_string()))
        .or_else(|| encode(credential))?;
    let answer = JSON::stringify(&answer).ok()?;
    dom::within::<HtmlInputElement>(form, "[data-passkey-answer]")?.set_value(&String::from(answer));
    form.submit().ok()
}

/// Serializes a credential as its `toJSON` would.
fn encode(credential: &JsValue) -> Option<JsValue> {
    let (answer, response) = (Object::new(), Object::new());
    let set = |of: &Object, name: &str, value: &JsValue| Reflect::set(of, &name.into(), value).ok();
    let of_response = get(credential, "response")?;
    for name in ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"] {
        if let Some(value) = get(&of_response, name) {
            set(&response, name, &base64url(&value)?)?;
        }
    }
    if let Some(transports) = call(&of_response, "getTransports", &JsValue::UNDEFINED) {
        set(&response, "transports", &transports)?;
    }
    set(&answer, "id", &get(credential, "id")?)?;
    set(&answer, "rawId", &base64url(&get(credential, "rawId")?)?)?;
    set(&answer, "type", &get(credential, "type")?)?;
    set(&answer, "response", &response)?;
    if let Some(attachment) = get(credential, "authenticatorAttachment") {
        set(&answer, "authenticatorAttachment", &attachment)?;
    }
    let extensions = call(credential, "getClientExtensionResults", &JsValue::UNDEFINED);
    set(&answer, "clientExtensionResults", &extensions.unwrap_or_else(|| Object::new().into()))?;
    Some(answer.into())
}

/// Encodes a buffer or a view of one as base64url without padding (RFC 4648, 5).
fn base64url(value: &JsValue) -> Option<JsValue> {
    let buffer = get(value, "buffer").filter(|buffer| buffer.is_instance_of::<ArrayBuffer>());
    let bytes = match buffer {
        Some(buffer) => {
            let number = |name| get(value, name).and_then(|number| number.as_f64()).map(|number| number as u32);
            Uint8Array::new_with_byte_offset_and_length(&buffer, number("byteOffset")?, number("byteLength")?)
        }
        None => Uint8Array::new(value),
    };
    let binary: String = bytes.to_vec().into_iter().map(char::from).collect();
    let text = dom::window()?.btoa(&binary).ok()?;
    Some(text.replace('+', "-").replace('/', "_").trim_end_matches('=').into())
}

/// Calls the method `name` of `of`; `None` if it does not exist or throws.
fn call(of: &JsValue, name: &str, argument: &JsValue) -> Option<JsValue> {
    let method: Function = get(of, name)?.dyn_into().ok()?;
    method.call1(of, argument).ok()
}

fn get(of: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(of, &name.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
}

/// Returns the message for a ceremony error (Web Authentication, 5.1.3 and 5.1.4). Browsers do not distinguish a
/// cancelled request, a timeout and a missing passkey, so that a page cannot learn whether the user has one.
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
