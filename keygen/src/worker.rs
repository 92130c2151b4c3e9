//! Web Worker module, so that the page remains responsive during the search for primes.
//!
//! The worker posts `{kind: "ready"}` when it has started. Requests and their responses:
//!
//! - `{kind: "search", bits: 2048 | 3072 | 4096}`: `{kind: "prime", prime}`, a `Uint8Array`.
//! - `{kind: "assemble", bits, p, q, challenge}`: `{kind: "done", privateKeyPem, publicKeyPem, proof}`, where `proof`
//!   is the signature over the challenge, or `{kind: "unfit"}` if other primes are needed.
//!
//! Both can fail with `{kind: "failed", message}`. Several workers can search in parallel; the one that finds the
//! second prime assembles the key. If the module fails to start, or traps, the page receives the worker's `error` event
//! instead. The page cancels by terminating the worker, which releases its memory and the secrets in it.

use crate::{KeyPair, KeySize, Prime};
use getrandom::{SysRng, rand_core::UnwrapErr};
use js_sys::{Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

#[wasm_bindgen]
extern "C" {
    /// Request from the page.
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
            // If posting fails, there is no other way to report it to the page.
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
    // Checked here, where the error can be reported: later, a browser without a random number generator would trap.
    getrandom::fill(&mut [0; 1]).map_err(|_| "This browser gives no random numbers.")?;
    let prime = Prime::draw(size, &mut UnwrapErr(SysRng));
    let bytes = Uint8Array::from(prime.to_be_bytes().as_slice());
    Ok(message("prime", &[("prime", bytes.into())]))
}

/// Reads a prime from a message, and overwrites it there with zeros.
fn take(bytes: &Uint8Array) -> Prime {
    let prime = Prime::from_be_bytes(&zeroize::Zeroizing::new(bytes.to_vec()));
    bytes.fill(0, 0, bytes.length());
    prime
}

fn message(kind: &str, fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in [("kind", JsValue::from(kind))].iter().chain(fields) {
        // Cannot fail for a new, plain object.
        let _ = Reflect::set(&object, &JsValue::from(*name), value);
    }
    object.into()
}
