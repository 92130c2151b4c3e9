//! The module as a Web Worker, so that the page stays awake while a passphrase is hashed.
//!
//! It posts `{kind: "ready"}` when it has started. `{kind: "examine", bytes, passphrase?}` is answered with
//! `{kind: "examined", notes: [text…], keys: [key…]}`, where a key is `{form, publicKeyPem, fingerprint, bits,
//! privateKeyPem?}` or `{problem, needsPassphrase}`; `{kind: "encrypt", privateKeyPem, passphrase}` with
//! `{kind: "encrypted", privateKeyPem}`; either with `{kind: "failed", message}`. The page ends the worker after its
//! answer: that takes its memory along, and with it what it has read.

use crate::{Finding, Problem, encrypt, examine};
use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};
use zeroize::Zeroizing;

#[wasm_bindgen]
extern "C" {
    /// What the page asks for.
    type Request;

    #[wasm_bindgen(method, getter, structural)]
    fn kind(this: &Request) -> Option<String>;

    #[wasm_bindgen(method, getter, structural)]
    fn bytes(this: &Request) -> Option<Uint8Array>;

    #[wasm_bindgen(method, getter, structural)]
    fn passphrase(this: &Request) -> Option<String>;

    #[wasm_bindgen(method, getter, structural, js_name = privateKeyPem)]
    fn private_key_pem(this: &Request) -> Option<String>;
}

#[wasm_bindgen(start)]
fn start() -> Result<(), JsValue> {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().dyn_into()?;
    let listener = {
        let scope = scope.clone();
        Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            // A message that cannot be posted has no other way to the page: it can only be dropped.
            let _ = scope.post_message(&answer(event.data().unchecked_ref()));
        })
    };
    scope.set_onmessage(Some(listener.as_ref().unchecked_ref()));
    // The listener lives as long as the worker.
    listener.forget();
    scope.post_message(&object(&[("kind", "ready".into())]))
}

fn answer(request: &Request) -> JsValue {
    let passphrase = request.passphrase().map(Zeroizing::new);
    let passphrase = passphrase.as_ref().map(|text| text.as_str());
    if let (Some("examine"), Some(bytes)) = (request.kind().as_deref(), request.bytes()) {
        let copy = Zeroizing::new(bytes.to_vec());
        bytes.fill(0, 0, bytes.length());
        let examination = examine(&copy, passphrase);
        let notes: Array = examination.notes.iter().map(|note| JsValue::from(note.to_string())).collect();
        let keys: Array = examination.keys.into_iter().map(key).collect();
        return object(&[("kind", "examined".into()), ("notes", notes.into()), ("keys", keys.into())]);
    }
    let private_key_pem = Zeroizing::new(request.private_key_pem().unwrap_or_default());
    match encrypt_anew(&private_key_pem, passphrase.unwrap_or_default()) {
        Ok(pem) => object(&[("kind", "encrypted".into()), ("privateKeyPem", pem.into())]),
        Err(message) => object(&[("kind", "failed".into()), ("message", message.into())]),
    }
}

fn encrypt_anew(private_key_pem: &str, passphrase: &str) -> Result<String, String> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    getrandom::fill(&mut salt)
        .and_then(|()| getrandom::fill(&mut iv))
        .map_err(|_| "This browser gives no random numbers.")?;
    encrypt(private_key_pem, passphrase, &salt, &iv).map_err(|error| error.to_string())
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
            let needs_passphrase = matches!(problem, Problem::PassphraseNeeded | Problem::PassphraseWrong);
            object(&[("problem", problem.to_string().into()), ("needsPassphrase", needs_passphrase.into())])
        }
    }
}

fn object(fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // Setting a field of a new, plain object does not fail.
        let _ = Reflect::set(&object, &JsValue::from(*name), value);
    }
    object.into()
}
