//! Generates a key pair in a Web Worker.
//!
//! The private key is in this page's memory until the page is left: never in the form, an address or any storage. The
//! form is held back until somebody says that they have stored it.

use super::{dom, words};
use domain::public_key::PublicKey;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    Event, HtmlElement, HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement, MessageEvent, Worker, WorkerOptions,
    WorkerType,
};
use zeroize::Zeroizing;

pub fn wake() {
    if let Some(generator) = Generator::find() {
        Rc::new(generator).listen();
    }
}

struct Generator {
    root: HtmlElement,
    field: HtmlTextAreaElement,
    by_generation: HtmlInputElement,
    bits: HtmlSelectElement,
    start: HtmlElement,
    cancel: HtmlElement,
    spinner: HtmlElement,
    progress: HtmlElement,
    result: HtmlElement,
    fingerprint: HtmlElement,
    download: HtmlElement,
    copy: HtmlElement,
    stored: HtmlInputElement,
    error: HtmlElement,
    worker: RefCell<Option<Worker>>,
    pair: RefCell<Option<Pair>>,
    is_sent: Cell<bool>,
}

struct Pair {
    private: Zeroizing<String>,
    public: String,
    fingerprint: String,
}

impl Generator {
    fn find() -> Option<Self> {
        fn part<T: JsCast>(name: &str) -> Option<T> {
            dom::first(&format!("[data-signing-key] {name}"))
        }
        Some(Self {
            root: dom::first("[data-signing-key]")?,
            field: part("textarea")?,
            by_generation: part("#key-source-generate")?,
            bits: part("[data-bits]")?,
            start: part("[data-start]")?,
            cancel: part("[data-cancel]")?,
            spinner: part("[data-spinner]")?,
            progress: part("[data-progress]")?,
            result: part("[data-result]")?,
            fingerprint: part("[data-fingerprint]")?,
            download: part("[data-download-private]")?,
            copy: part("[data-copy-private]")?,
            stored: part("[data-private-stored]")?,
            error: part("[data-generate-error]")?,
            worker: RefCell::new(None),
            pair: RefCell::new(None),
            is_sent: Cell::new(false),
        })
    }

    fn listen(self: Rc<Self>) {
        self.on_click(&self.start, |generator, _| generator.generate());
        self.on_click(&self.cancel, |generator, _| {
            generator.stop("Cancelled.");
            let _ = generator.start.focus();
        });
        self.on_click(&self.download, |generator, _| generator.save());
        self.on_click(&self.copy, |generator, _| generator.copy());
        self.on(&self.stored, "change", |generator, _| dom::set_error(&generator.error, None));
        self.on(&self.root, "change", |generator, _| generator.follow_source());
        if let Some(form) = self.field.form() {
            self.on(&form, "submit", Self::check);
        }
        if let Some(window) = dom::window() {
            self.on(&window, "beforeunload", |generator, event| {
                let unsaved = generator.pair.borrow().is_some() && !generator.stored.checked();
                if unsaved && !generator.is_sent.get() {
                    event.prevent_default();
                }
            });
            // A browser may keep the page as it is, to go back to: the private key does not stay in it.
            self.on(&window, "pagehide", |generator, _| {
                generator.stop("");
                generator.forget();
            });
        }
        self.progress.set_text_content(None);
        dom::enable(&self.bits);
        dom::enable(&self.start);
    }

    fn on(self: &Rc<Self>, target: &web_sys::EventTarget, event: &str, handle: fn(&Rc<Self>, &Event)) {
        let generator = self.clone();
        dom::on(target, event, move |event| handle(&generator, &event));
    }

    fn on_click(self: &Rc<Self>, target: &HtmlElement, handle: fn(&Rc<Self>, &Event)) {
        self.on(target, "click", handle);
    }

    fn generate(self: &Rc<Self>) {
        self.stop("");
        self.forget();
        dom::set_error(&self.error, None);
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let address = self.root.get_attribute("data-worker").unwrap_or_default();
        let Ok(worker) = Worker::new_with_options(&address, &options) else {
            return self.fail("This browser cannot generate keys here.");
        };
        self.on(&worker, "message", |generator, event| {
            if let Some(event) = event.dyn_ref::<MessageEvent>() {
                generator.receive(&event.data());
            }
        });
        self.on(&worker, "error", |generator, _| generator.fail("The key generator could not be loaded."));
        *self.worker.borrow_mut() = Some(worker);
        self.set_busy(true);
        let words = format!("Generating a key pair of {} bits. This may take a few seconds.", self.bits.value());
        self.progress.set_text_content(Some(&words));
    }

    fn receive(self: &Rc<Self>, message: &JsValue) {
        let text = |name: &str| js_sys::Reflect::get(message, &name.into()).ok().and_then(|value| value.as_string());
        match text("kind").as_deref() {
            Some("ready") => {
                let bits: f64 = self.bits.value().parse().unwrap_or(3072.0);
                let order = js_sys::Object::new();
                let _ = js_sys::Reflect::set(&order, &"bits".into(), &bits.into());
                if let Some(worker) = &*self.worker.borrow() {
                    let _ = worker.post_message(&order);
                }
            }
            Some("done") => match (text("privateKeyPem"), text("publicKeyPem")) {
                (Some(private), Some(public)) => self.finish(Zeroizing::new(private), &public),
                _ => self.fail("The key generator answered something else than a key pair."),
            },
            Some("failed") => self.fail(&text("message").unwrap_or_default()),
            _ => {}
        }
    }

    fn finish(&self, private: Zeroizing<String>, public: &str) {
        let key = match PublicKey::from_pem(public) {
            Ok(key) => key,
            Err(refusal) => return self.fail(&refusal.to_string()),
        };
        self.stop("The key pair is ready. Store the private key now.");
        let pair = Pair { private, public: key.pem(), fingerprint: key.fingerprint() };
        self.field.set_value(&pair.public);
        self.fingerprint.set_text_content(Some(&pair.fingerprint));
        self.stored.set_checked(false);
        *self.pair.borrow_mut() = Some(pair);
        dom::show(&self.result, true);
        let _ = self.download.focus();
    }

    fn fail(&self, why: &str) {
        self.stop("");
        let words = format!("No key pair was generated. {why} You can paste a public key instead.");
        dom::set_error(&self.error, Some(&words));
    }

    /// Ends the worker, and whatever it is at.
    fn stop(&self, words: &str) {
        if let Some(worker) = self.worker.borrow_mut().take() {
            worker.terminate();
        }
        self.set_busy(false);
        self.progress.set_text_content(Some(words));
    }

    fn set_busy(&self, is_busy: bool) {
        dom::show(&self.start, !is_busy);
        dom::show(&self.cancel, is_busy);
        dom::show(&self.spinner, is_busy);
        self.bits.set_disabled(is_busy);
        if is_busy {
            let _ = self.cancel.focus();
        }
    }

    /// Forgets the pair. Its public key stays in the form only where somebody has the private one.
    fn forget(&self) {
        if let Some(pair) = self.pair.borrow_mut().take()
            && !self.stored.checked()
            && self.field.value() == pair.public
        {
            self.field.set_value("");
        }
        dom::show(&self.result, false);
    }

    fn save(&self) {
        let pair = self.pair.borrow();
        let Some(pair) = &*pair else { return };
        let name = self.root.get_attribute("data-file-stem");
        let typed = || dom::first::<HtmlInputElement>("#name").map(|field| field.value());
        let name = name.or_else(typed).unwrap_or_default();
        dom::download(&pair.private, &words::file_name(&name, &pair.fingerprint), "application/x-pem-file");
    }

    fn copy(&self) {
        let pair = self.pair.borrow();
        let Some(pair) = &*pair else { return };
        let progress = self.progress.clone();
        dom::copy(&pair.private, move |copied| {
            let words = if copied { "Private key copied." } else { "It could not be copied: download it instead." };
            progress.set_text_content(Some(words));
        });
    }

    /// Keeps the form's public key in step with where it comes from: a generated one is not sent as a pasted one while
    /// its private half is stored nowhere.
    fn follow_source(&self) {
        let pair = self.pair.borrow();
        let Some(pair) = &*pair else { return };
        if self.by_generation.checked() {
            self.field.set_value(&pair.public);
        } else if !self.stored.checked() && self.field.value() == pair.public {
            self.field.set_value("");
        }
    }

    /// Holds the form back until there is a key pair whose private half is stored.
    fn check(self: &Rc<Self>, event: &Event) {
        if !self.by_generation.checked() {
            return self.is_sent.set(true);
        }
        let (words, target): (_, &HtmlElement) = if self.pair.borrow().is_none() {
            ("Generate a key pair first, or choose to paste a public key.", &self.start)
        } else if !self.stored.checked() {
            ("Store the private key, then confirm it here.", &self.stored)
        } else {
            return self.is_sent.set(true);
        };
        event.prevent_default();
        dom::set_error(&self.error, Some(words));
        let _ = target.focus();
    }
}
