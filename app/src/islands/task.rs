//! Web Workers, what is said to them, and one task for a worker of its own, which ends with it: what it knew goes away with
//! its memory.

use super::dom;
use js_sys::{Object, Reflect};
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, Worker, WorkerOptions, WorkerType};

/// What follows on a task: its answer, or why there is none.
pub type Done = Box<dyn FnOnce(Result<JsValue, String>)>;

/// Starts the worker at `address`; `None` where the browser has none.
pub fn worker(address: &str) -> Option<Worker> {
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    Worker::new_with_options(address, &options).ok()
}

/// Starts the worker at `address`, sends it `request` when it is ready, and calls `done` with its answer or with why
/// there is none. Until then, what comes back can be terminated; `done` is not called any more after that.
pub fn run(address: &str, request: Object, done: Done) -> Option<Worker> {
    const MISSING: &str = "What does this could not be loaded. Reload the page and try again.";
    let Some(worker) = worker(address) else {
        done(Err(MISSING.to_owned()));
        return None;
    };
    // The listeners stay as long as the page; what they hold of the task does not.
    let task = Rc::new(RefCell::new(Some((request, done))));
    let (listening, failing) = (task.clone(), worker.clone());
    let sender = worker.clone();
    dom::on(&worker, "message", move |event| {
        let Some(event) = event.dyn_ref::<MessageEvent>() else { return };
        let answer = event.data();
        let kind = text(&answer, "kind");
        if kind.as_deref() == Some("ready") {
            if let Some((request, _)) = &*listening.borrow() {
                let _ = sender.post_message(request);
            }
            return;
        }
        sender.terminate();
        // Taken out first: `done` may begin another task.
        let ended = listening.borrow_mut().take();
        if let Some((_, done)) = ended {
            let failed = kind.as_deref() == Some("failed");
            done(if failed { Err(text(&answer, "message").unwrap_or_default()) } else { Ok(answer) });
        }
    });
    dom::on(&worker, "error", move |_| {
        failing.terminate();
        let ended = task.borrow_mut().take();
        if let Some((_, done)) = ended {
            done(Err(MISSING.to_owned()));
        }
    });
    Some(worker)
}

/// A request of a kind, with its fields.
pub fn object(kind: &str, fields: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    set(&object, "kind", &kind.into());
    for (name, value) in fields {
        set(&object, name, value);
    }
    object
}

/// Gives an object a field.
pub fn set(object: &Object, name: &str, value: &JsValue) {
    // Setting a field of a plain object does not fail.
    let _ = Reflect::set(object, &name.into(), value);
}

/// A field of an answer.
pub fn field(answer: &JsValue, name: &str) -> JsValue {
    Reflect::get(answer, &name.into()).unwrap_or_default()
}

/// A field of an answer, where it is a text.
pub fn text(answer: &JsValue, name: &str) -> Option<String> {
    field(answer, name).as_string()
}
