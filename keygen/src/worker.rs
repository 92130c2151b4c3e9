//! The module as a Web Worker, so that the page stays awake while primes are searched.
//!
//! It posts `{kind: "ready"}` when it has started. `{kind: "search", bits: 2048 | 3072 | 4096}` is answered with
//! `{kind: "prime", prime}`, a `Uint8Array`; `{kind: "assemble", bits, p, q, challenge}`
//! with `{kind: "done", privateKeyPem, publicKeyPem, proof}`, `proof` being the signature over the challenge, or with `{kind: "unfit"}` where two other primes are needed; either with
//! `{kind: "failed", message}`. So several workers can search at once, and whichever finds the second prime makes the key.
//! Where the module cannot even start, or traps, the page hears the worker's `error` event instead. To cancel is to
//! terminate the worker: that takes its memory along, and with it what it drew.

use crate::{KeyPair, KeySize, Prime};
use getrandom::{SysRng, rand_core::UnwrapErr};
use js_sys::{Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

#[wasm_bindgen]
extern "C" {
    /// What the page asks for.
    type Request;

    #[wasm_bindgen(method, getter, structural)]
    fn kind(this: &Request) -> Option<String>;

    #[wasm_bindgen(method, getter, structural)]
    fn bits(this: &Request) -> Option<f64>;

    #[wasm_bindgen(method, getter, structural)]
    fn challenge(this: &Request) -> Option<String>;

    #[wasm_bindgen(method, getter, structural)]
    fn p(this: &Request) -> Option<Uint8Array>;

    #[wasm_bindgen(method, getter, structural)]
    fn q(this: &Request) -> Option<Uint8Array>;
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
    scope.post_message(&message("ready", &[]))
}

fn answer(request: &Request) -> JsValue {
    carry_out(request).unwrap_or_else(|text| message("failed", &[("message", text.into())]))
}

fn carry_out(request: &Request) -> Result<JsValue, String> {
    let size =
        request.bits().and_then(|bits| KeySize::from_bits(bits as u32)).ok_or("A key has 2048, 3072 or 4096 bits.")?;
    if let (Some("assemble"), Some(p), Some(q)) = (request.kind().as_deref(), request.p(), request.q()) {
        let challenge = request.challenge().ok_or("There is no challenge to sign.")?;
        let pair = KeyPair::assemble(size, take(&p), take(&q), &challenge).map_err(|error| error.to_string())?;
        return Ok(pair.map_or_else(
            || message("unfit", &[]),
            |pair| {
                let fields = [
                    ("privateKeyPem", pair.private_key_pem().into()),
                    ("publicKeyPem", pair.public_key_pem().into()),
                    ("proof", pair.proof().into()),
                ];
                message("done", &fields)
            },
        ));
    }
    // Asked once with room for an answer: from here on a browser without randomness could only trap.
    getrandom::fill(&mut [0; 1]).map_err(|_| "This browser gives no random numbers.")?;
    let prime = Prime::draw(size, &mut UnwrapErr(SysRng));
    let bytes = Uint8Array::from(prime.to_be_bytes().as_slice());
    Ok(message("prime", &[("prime", bytes.into())]))
}

/// Takes a prime out of a message, and leaves nothing of it there.
fn take(bytes: &Uint8Array) -> Prime {
    let prime = Prime::from_be_bytes(&zeroize::Zeroizing::new(bytes.to_vec()));
    bytes.fill(0, 0, bytes.length());
    prime
}

fn message(kind: &str, fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in [("kind", JsValue::from(kind))].iter().chain(fields) {
        // Setting a field of a new, plain object does not fail.
        let _ = Reflect::set(&object, &JsValue::from(*name), value);
    }
    object.into()
}
