//! Web Workers: starting them, messages, and one-off tasks in a worker of their own. The worker is terminated after its
//! task, so that secrets are released with its memory.

use super::dom;
use js_sys::{Object, Reflect};
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, Worker, WorkerOptions, WorkerType};

/// Callback for the result of a task, or the reason it failed.
pub type Done = Box<dyn FnOnce(Result<JsValue, String>)>;

/// Starts the worker at `address`; `None` if the browser cannot start it.
pub fn worker(address: &str) -> Option<Worker> {
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    Worker::new_with_options(address, &options).ok()
}

/// Starts the worker at `address`, sends it `request` when it is ready, and calls `done` with its result or the reason
/// it failed. The returned worker can be terminated before that; `done` is then not called.
pub fn run(address: &str, request: Object, done: Done) -> Option<Worker> {
    const MISSING: &str = "What does this could not be loaded. Reload the page and try again.";
    let Some(worker) = worker(address) else {
        done(Err(MISSING.to_owned()));
        return None;
    };
    // The listeners live as long as the page, but release the task when it ends.
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
        // Taken first, because `done` may start another task.
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

/// Returns a request of `kind` with the given fields.
pub fn object(kind: &str, fields: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    set(&object, "kind", &kind.into());
    for (name, value) in fields {
        set(&object, name, value);
    }
    object
}

/// Sets a field of a request.
pub fn set(object: &Object, name: &str, value: &JsValue) {
    // Cannot fail for a plain object.
    let _ = Reflect::set(object, &name.into(), value);
}

/// Returns a field of a response; `undefined` if it is missing.
pub fn field(answer: &JsValue, name: &str) -> JsValue {
    Reflect::get(answer, &name.into()).unwrap_or_default()
}

/// Returns a field of a response if it is a string.
pub fn text(answer: &JsValue, name: &str) -> Option<String> {
    field(answer, name).as_string()
}
