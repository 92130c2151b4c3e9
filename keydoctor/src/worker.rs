//! Web Worker module, so that the page remains responsive while a passphrase is hashed.
//!
//! The worker posts `{kind: "ready"}` when it has started. Requests and their responses:
//!
//! - `{kind: "examine", bytes, passphrase?}`: `{kind: "examined", notes: [text…], keys: [key…]}`, where a key is
//!   `{form, publicKeyPem, fingerprint, bits, privateKeyPem?}` or `{problem, needsPassphrase}`.
//! - `{kind: "encrypt", privateKeyPem, passphrase}`: `{kind: "encrypted", privateKeyPem}`.
//! - `{kind: "sign", bytes, passphrase?, apiKey, uri, registered: [fingerprint…]}`: `{kind: "signed", token}` or
//!   `{kind: "unsigned", problem, needsPassphrase}`.
//!
//! Any request can fail with `{kind: "failed", message}`. The page terminates the worker after its response, which
//! releases its memory and the secrets in it.

use crate::{Examination, Finding, Problem, TestRequest, encrypt, examine};
use js_sys::{Array, Date, Object, Reflect, Uint8Array};
use std::error::Error;
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};
use zeroize::Zeroizing;

#[wasm_bindgen]
extern "C" {
    /// Request from the page.
    type Request;

    #[wasm_bindgen(method, getter, structural)]
    fn kind(this: &Request) -> Option<String>;

    #[wasm_bindgen(method, getter, structural)]
    fn bytes(this: &Request) -> Option<Uint8Array>;

    #[wasm_bindgen(method, getter, structural)]
    fn passphrase(this: &Request) -> Option<String>;

    #[wasm_bindgen(method, getter, structural, js_name = privateKeyPem)]
    fn private_key_pem(this: &Request) -> Option<String>;

    #[wasm_bindgen(method, getter, structural, js_name = apiKey)]
    fn api_key(this: &Request) -> Option<String>;

    #[wasm_bindgen(method, getter, structural)]
    fn uri(this: &Request) -> Option<String>;

    #[wasm_bindgen(method, getter, structural)]
    fn registered(this: &Request) -> Option<Array>;
}

#[wasm_bindgen(start)]
fn start() -> Result<(), JsValue> {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().dyn_into()?;
    let listener = {
        let scope = scope.clone();
        Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            // If posting fails, there is no other way to report it to the page.
            let _ = scope.post_message(&answer(event.data().unchecked_ref()));
        })
    };
    scope.set_onmessage(Some(listener.as_ref().unchecked_ref()));
    // The listener lives as long as the worker.
    listener.forget();
    scope.post_message(&object(&[("kind", "ready".into())]))
}

fn answer(request: &Request) -> JsValue {
    carry_out(request)
        .unwrap_or_else(|message| object(&[("kind", "failed".into()), ("message", message.to_string().into())]))
}

fn carry_out(request: &Request) -> Result<JsValue, Box<dyn Error>> {
    let passphrase = request.passphrase().map(Zeroizing::new);
    let passphrase = passphrase.as_ref().map(|text| text.as_str());
    let examined = || {
        let bytes = request.bytes().ok_or("There is nothing to examine.")?;
        let copy = Zeroizing::new(bytes.to_vec());
        bytes.fill(0, 0, bytes.length());
        Ok::<_, Box<dyn Error>>(examine(&copy, passphrase))
    };
    match request.kind().as_deref() {
        Some("examine") => {
            let examination = examined()?;
            let notes: Array = examination.notes.iter().map(|note| JsValue::from(note.to_string())).collect();
            let keys: Array = examination.keys.into_iter().map(key).collect();
            Ok(object(&[("kind", "examined".into()), ("notes", notes.into()), ("keys", keys.into())]))
        }
        Some("sign") => match signing_key(examined()?, &request.registered().unwrap_or_default()) {
            Ok(private_key_pem) => {
                let test = TestRequest {
                    api_key: &Zeroizing::new(request.api_key().unwrap_or_default()),
                    uri: &request.uri().unwrap_or_default(),
                    issued_at: (Date::now() / 1_000.0) as i64,
                    id: random()?,
                };
                Ok(object(&[("kind", "signed".into()), ("token", test.sign(&private_key_pem)?.into())]))
            }
            Err(Unfit { problem, needs_passphrase }) => Ok(object(&[
                ("kind", "unsigned".into()),
                ("problem", problem.into()),
                ("needsPassphrase", needs_passphrase.into()),
            ])),
        },
        _ => {
            let private_key_pem = Zeroizing::new(request.private_key_pem().unwrap_or_default());
            let pem = encrypt(&private_key_pem, passphrase.unwrap_or_default(), &random()?, &random()?)?;
            Ok(object(&[("kind", "encrypted".into()), ("privateKeyPem", pem.into())]))
        }
    }
}

/// Reason why a file contains no key that can sign.
struct Unfit {
    problem: String,
    needs_passphrase: bool,
}

/// Returns the first private key whose public key is registered with the application.
fn signing_key(examination: Examination, registered: &Array) -> Result<Zeroizing<String>, Unfit> {
    let mut unfit = Unfit { problem: Problem::Empty.to_string(), needs_passphrase: false };
    for key in examination.keys {
        let problem = match key {
            Ok(Finding { public_key, private_key_pem, .. }) => {
                let fingerprint = public_key.fingerprint();
                match private_key_pem {
                    Some(pem) if registered.includes(&fingerprint.as_str().into(), 0) => return Ok(pem),
                    Some(_) => format!(
                        "This is another key: its fingerprint is {fingerprint}, and it is no signing key of this \
                         application. Nothing was sent."
                    ),
                    None => "This is a public key. Choose the file of the private key.".to_owned(),
                }
            }
            Err(problem) => {
                unfit.needs_passphrase |= needs_passphrase(&problem);
                problem.to_string()
            }
        };
        unfit.problem = problem;
    }
    Err(unfit)
}

fn random<const N: usize>() -> Result<[u8; N], &'static str> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| "This browser gives no random numbers.")?;
    Ok(bytes)
}

fn needs_passphrase(problem: &Problem) -> bool {
    matches!(problem, Problem::PassphraseNeeded | Problem::PassphraseWrong)
}

fn key(key: Result<Finding, Problem>) -> JsValue {
    match key {
        Ok(Finding { form, public_key, private_key_pem }) => object(&[
            ("form", form.to_string().into()),
            ("publicKeyPem", public_key.pem().into()),
            ("fingerprint", public_key.fingerprint().into()),
            ("bits", (public_key.bits() as f64).into()),
            ("privateKeyPem", private_key_pem.map_or(JsValue::UNDEFINED, |pem| pem.as_str().into())),
        ]),
        Err(problem) => {
            let needs_passphrase = needs_passphrase(&problem);
            object(&[("problem", problem.to_string().into()), ("needsPassphrase", needs_passphrase.into())])
        }
    }
}

fn object(fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // Cannot fail for a new, plain object.
        let _ = Reflect::set(&object, &JsValue::from(*name), value);
    }
    object.into()
}
