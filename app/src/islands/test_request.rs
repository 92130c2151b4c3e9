//! Sends a signed test request from the page that shows a new API key, while the key is still shown.
//!
//! A worker reads the private key, signs, returns the token and is terminated. The private key and its passphrase are
//! not sent anywhere else.

use super::{dom, task};
use js_sys::{Array, Uint8Array};
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    Element, Event, EventTarget, Headers, HtmlButtonElement, HtmlElement, HtmlInputElement, RequestInit, Response,
    Worker,
};

pub fn wake() {
    if let Some(sender) = Sender::find() {
        Rc::new(sender).listen();
    }
}

struct Sender {
    worker_address: String,
    gateway: String,
    uri: String,
    registered: Array,
    file: HtmlInputElement,
    passphrase_field: HtmlElement,
    passphrase: HtmlInputElement,
    send: HtmlButtonElement,
    status: HtmlElement,
    error: HtmlElement,
    worker: RefCell<Option<Worker>>,
}

impl Sender {
    fn find() -> Option<Self> {
        let root: Element = dom::first("[data-test-request]")?;
        let registered = root.get_attribute("data-registered")?;
        Some(Self {
            worker_address: root.get_attribute("data-worker")?,
            gateway: root.get_attribute("data-gateway")?,
            uri: root.get_attribute("data-uri")?,
            registered: registered.split(' ').map(JsValue::from).collect(),
            file: dom::within(&root, "[data-test-file]")?,
            passphrase_field: dom::within(&root, "[data-test-passphrase]")?,
            passphrase: dom::within(&root, "[data-test-passphrase] input")?,
            send: dom::within(&root, "[data-send]")?,
            status: dom::within(&root, "[data-test-status]")?,
            error: dom::within(&root, "[data-test-error]")?,
            worker: RefCell::default(),
        })
    }

    fn listen(self: Rc<Self>) {
        self.on(&self.send, "click", |sender| sender.read());
        self.on(&self.file, "change", |sender| {
            sender.passphrase.set_value("");
            dom::show(&sender.passphrase_field, false);
            sender.tell("");
        });
        if let Some(window) = dom::window() {
            // The browser may keep the page in its back/forward cache.
            self.on(&window, "pagehide", |sender| {
                sender.file.set_value("");
                sender.passphrase.set_value("");
                sender.end_worker();
            });
        }
        dom::enable(&self.file);
        dom::enable(&self.send);
    }

    fn on(self: &Rc<Self>, target: &EventTarget, event: &str, handle: fn(&Rc<Self>)) {
        let sender = self.clone();
        dom::on(target, event, move |_: Event| handle(&sender));
    }

    fn tell(&self, words: &str) {
        dom::set_error(&self.error, None);
        self.status.set_text_content(Some(words));
    }

    fn complain(&self, words: &str) {
        self.status.set_text_content(None);
        dom::set_error(&self.error, Some(words));
    }

    fn end_worker(&self) {
        if let Some(worker) = self.worker.borrow_mut().take() {
            worker.terminate();
        }
    }

    fn read(self: &Rc<Self>) {
        let Some(file) = self.file.files().and_then(|files| files.get(0)) else {
            self.complain("Choose the file of your private key.");
            let _ = self.file.focus();
            return;
        };
        self.tell("Signing…");
        let sender = self.clone();
        dom::settle(&file.array_buffer(), move |buffer| match buffer {
            Some(buffer) => sender.sign(&Uint8Array::new(&buffer)),
            None => sender.complain("The file could not be read. Choose it again."),
        });
    }

    fn sign(self: &Rc<Self>, bytes: &Uint8Array) {
        let shown = dom::first::<Element>("[data-one-time-secret] code").and_then(|code| code.text_content());
        let Some(api_key) = shown else { return };
        let passphrase = self.passphrase.value();
        let request = task::object(
            "sign",
            &[
                ("bytes", bytes.into()),
                ("passphrase", if passphrase.is_empty() { JsValue::UNDEFINED } else { passphrase.into() }),
                ("apiKey", api_key.as_str().into()),
                ("uri", self.uri.as_str().into()),
                ("registered", self.registered.clone().into()),
            ],
        );
        self.end_worker();
        let sender = self.clone();
        let worker = task::run(
            &self.worker_address,
            request,
            Box::new(move |answer| match answer {
                Ok(answer) => match task::text(&answer, "token") {
                    Some(token) => sender.ask(&api_key, &token),
                    None => sender.unsigned(&answer),
                },
                Err(why) => sender.complain(&format!("The request was not signed. {why}")),
            }),
        );
        *self.worker.borrow_mut() = worker;
    }

    fn unsigned(&self, answer: &JsValue) {
        self.complain(&task::text(answer, "problem").unwrap_or_default());
        if task::field(answer, "needsPassphrase").is_truthy() {
            dom::show(&self.passphrase_field, true);
            let _ = self.passphrase.focus();
        }
    }

    fn ask(self: &Rc<Self>, api_key: &str, token: &str) {
        let sent = || {
            let headers = Headers::new().ok()?;
            headers.set("x-api-key", api_key).ok()?;
            headers.set("authorization", &format!("Bearer {token}")).ok()?;
            let options = RequestInit::new();
            options.set_headers(&headers);
            Some(dom::window()?.fetch_with_str_and_init(&format!("{}{}", self.gateway, self.uri), &options))
        };
        let Some(sent) = sent() else { return };
        self.tell("Sent. Waiting for the gateway…");
        let sender = self.clone();
        dom::settle(&sent, move |response| {
            let json = response.and_then(|response| {
                let response: Response = response.dyn_into().ok()?;
                Some((response.status(), response.json().ok()?))
            });
            let Some((status, json)) = json else {
                return sender.complain(
                    "The gateway could not be reached from this browser. Send the test request from your server: the \
                     application’s page has it ready.",
                );
            };
            dom::settle(&json, move |answer| sender.show(status, &answer.unwrap_or_default()));
        });
    }

    fn show(&self, status: u16, answer: &JsValue) {
        if status == 200 {
            let prefix = task::text(answer, "keyPrefix").unwrap_or_default();
            let words = format!("Accepted (200): the gateway knows the key {prefix}, and the signature is right.");
            return self.tell(&words);
        }
        let part = |name| task::text(answer, name).unwrap_or_default();
        self.complain(&format!("Refused ({status}, {}). {}", part("code"), part("detail")));
    }
}
