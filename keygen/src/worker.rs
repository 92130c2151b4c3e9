//! The module as a Web Worker, so that the page stays awake while primes are searched.
//!
//! It posts `{kind: "ready"}` when it has started. Each message `{bits: 2048 | 3072 | 4096}` is answered with
//! `{kind: "done", privateKeyPem, publicKeyPem, milliseconds}` or `{kind: "failed", message}`. Where the module cannot
//! even start, or traps, the page hears the worker's `error` event instead. To cancel is to terminate the worker: that
//! takes its memory along, and with it what it drew.

use crate::{KeySize, generate};
use getrandom::{SysRng, rand_core::UnwrapErr};
use js_sys::{Object, Reflect};
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

#[wasm_bindgen]
extern "C" {
    /// What the page asks for.
    type Request;

    #[wasm_bindgen(method, getter, structural)]
    fn bits(this: &Request) -> Option<f64>;
}

#[wasm_bindgen(start)]
fn start() -> Result<(), JsValue> {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().dyn_into()?;
    let listener = {
        let scope = scope.clone();
        Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            // A message that cannot be posted has no other way to the page: it can only be dropped.
            let _ = scope.post_message(&answer(&scope, event.data().unchecked_ref()));
        })
    };
    scope.set_onmessage(Some(listener.as_ref().unchecked_ref()));
    // The listener lives as long as the worker.
    listener.forget();
    scope.post_message(&message("ready", &[]))
}

fn answer(scope: &DedicatedWorkerGlobalScope, request: &Request) -> JsValue {
    let started = now(scope);
    match key_pair(request) {
        Ok(pair) => message(
            "done",
            &[
                ("privateKeyPem", pair.private_key_pem().into()),
                ("publicKeyPem", pair.public_key_pem().into()),
                ("milliseconds", (now(scope) - started).into()),
            ],
        ),
        Err(text) => message("failed", &[("message", text.into())]),
    }
}

fn key_pair(request: &Request) -> Result<crate::KeyPair, String> {
    let size =
        request.bits().and_then(|bits| KeySize::from_bits(bits as u32)).ok_or("A key has 2048, 3072 or 4096 bits.")?;
    // Asked once with room for an answer: from here on a browser without randomness could only trap.
    getrandom::fill(&mut [0; 1]).map_err(|_| "This browser gives no random numbers.")?;
    generate(size, &mut UnwrapErr(SysRng)).map_err(|error| error.to_string())
}

fn now(scope: &DedicatedWorkerGlobalScope) -> f64 {
    scope.performance().map_or(f64::NAN, |performance| performance.now())
}

fn message(kind: &str, fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in [("kind", JsValue::from(kind))].iter().chain(fields) {
        // Setting a field of a new, plain object does not fail.
        let _ = Reflect::set(&object, &JsValue::from(*name), value);
    }
    object.into()
}
