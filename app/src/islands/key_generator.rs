//! Generates a key pair in Web Workers.
//!
//! The private key exists in this page's memory only, until the user leaves the page: never in the form, a URL or
//! storage. The form cannot be submitted until the user confirms that the private key is stored.

use super::{dom, private_key::PrivateKeyActions, task};
use domain::public_key::PublicKey;
use js_sys::Uint8Array;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Event, HtmlElement, HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement, MessageEvent, Worker};
use zeroize::Zeroizing;

pub fn wake() {
    if let Some(generator) = Generator::find() {
        Rc::new(generator).listen();
    }
}

struct Generator {
    root: HtmlElement,
    field: HtmlTextAreaElement,
    challenge: HtmlInputElement,
    proof: HtmlTextAreaElement,
    by_generation: HtmlInputElement,
    bits: HtmlSelectElement,
    start: HtmlElement,
    cancel: HtmlElement,
    spinner: HtmlElement,
    progress: HtmlElement,
    result: HtmlElement,
    fingerprint: HtmlElement,
    private_key: Rc<PrivateKeyActions>,
    stored: HtmlInputElement,
    error: HtmlElement,
    workers: RefCell<Vec<Worker>>,
    /// First prime, while the workers search for the second.
    prime: RefCell<Option<Uint8Array>>,
    pair: RefCell<Option<Pair>>,
    is_sent: Cell<bool>,
}

/// Generated public key. The private key is held by `private_key`.
struct Pair {
    public: String,
    /// Signature over the challenge.
    proof: String,
}

impl Generator {
    fn find() -> Option<Self> {
        fn part<T: JsCast>(name: &str) -> Option<T> {
            dom::first(&format!("[data-signing-key] {name}"))
        }
        Some(Self {
            root: dom::first("[data-signing-key]")?,
            field: part("#public_key")?,
            challenge: part("[data-challenge]")?,
            proof: part("#proof")?,
            by_generation: part("#key-source-generate")?,
            bits: part("[data-bits]")?,
            start: part("[data-start]")?,
            cancel: part("[data-cancel]")?,
            spinner: part("[data-spinner]")?,
            progress: part("[data-progress]")?,
            result: part("[data-result]")?,
            fingerprint: part("[data-fingerprint]")?,
            private_key: PrivateKeyActions::wake(&part("[data-private-key]")?)?,
            stored: part("[data-private-stored]")?,
            error: part("[data-generate-error]")?,
            workers: RefCell::default(),
            prime: RefCell::default(),
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
            // The browser may keep the page in its back/forward cache, which must not contain the private key.
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
        let cores = dom::window().map_or(1.0, |window| window.navigator().hardware_concurrency());
        // Two workers search in parallel, and either may find either prime, which halves the time.
        for _ in 0..if cores >= 2.0 { 2 } else { 1 } {
            if self.start_worker().is_none() {
                return self.fail("This browser cannot generate keys here.");
            }
        }
        self.set_busy(true);
        let words = format!("Searching two primes for {} bits. This may take a few seconds.", self.bits.value());
        self.progress.set_text_content(Some(&words));
    }

    fn start_worker(self: &Rc<Self>) -> Option<()> {
        let worker = task::worker(&self.root.get_attribute("data-worker").unwrap_or_default())?;
        let generator = self.clone();
        let sender = worker.clone();
        dom::on(&worker, "message", move |event| {
            if let Some(event) = event.dyn_ref::<MessageEvent>() {
                generator.receive(&sender, &event.data());
            }
        });
        self.on(&worker, "error", |generator, _| generator.fail("The key generator could not be loaded."));
        self.workers.borrow_mut().push(worker);
        Some(())
    }

    fn receive(self: &Rc<Self>, worker: &Worker, message: &JsValue) {
        let text = |name: &str| task::text(message, name);
        match text("kind").as_deref() {
            Some("ready") => self.order(worker, "search", &[]),
            Some("prime") => match task::field(message, "prime").dyn_into() {
                Ok(prime) => self.take_prime(worker, prime),
                Err(_) => self.fail("The key generator answered something else than a prime."),
            },
            // Practically impossible: the two primes are too close to each other.
            Some("unfit") => self.order(worker, "search", &[]),
            Some("done") => match (text("privateKeyPem"), text("publicKeyPem"), text("proof")) {
                (Some(private), Some(public), Some(proof)) => self.finish(Zeroizing::new(private), &public, proof),
                _ => self.fail("The key generator answered something else than a key pair."),
            },
            Some("failed") => self.fail(&text("message").unwrap_or_default()),
            _ => {}
        }
    }

    /// After the first prime, the worker searches for the second. The worker that finds the second assembles the key;
    /// the others are terminated.
    fn take_prime(&self, worker: &Worker, prime: Uint8Array) {
        let first = self.prime.borrow_mut().take();
        match first {
            None => {
                *self.prime.borrow_mut() = Some(prime);
                self.progress.set_text_content(Some("One of two primes is found."));
                self.order(worker, "search", &[]);
            }
            Some(first) => {
                self.workers.borrow_mut().retain(|other| {
                    let is_needed = other == worker;
                    if !is_needed {
                        other.terminate();
                    }
                    is_needed
                });
                self.progress.set_text_content(Some("Both primes are found. Trying the key."));
                self.order(worker, "assemble", &[("p", &first), ("q", &prime)]);
                for prime in [first, prime] {
                    prime.fill(0, 0, prime.length());
                }
            }
        }
    }

    fn order(&self, worker: &Worker, kind: &str, primes: &[(&str, &Uint8Array)]) {
        let bits: f64 = self.bits.value().parse().unwrap_or(3072.0);
        let order = task::object(kind, &[("bits", bits.into()), ("challenge", self.challenge.value().into())]);
        for (name, prime) in primes {
            task::set(&order, name, prime);
        }
        // `postMessage` copies the primes synchronously, so the caller may zero its own buffers afterwards.
        let _ = worker.post_message(&order);
    }

    fn finish(&self, private: Zeroizing<String>, public: &str, proof: String) {
        let key = match PublicKey::from_pem(public) {
            Ok(key) => key,
            Err(refusal) => return self.fail(&refusal.to_string()),
        };
        self.stop("The key pair is ready. Store the private key now.");
        let pair = Pair { public: key.pem(), proof };
        self.fill_in(&pair);
        self.fingerprint.set_text_content(Some(&key.fingerprint()));
        self.private_key.hold(private, key.fingerprint());
        self.stored.set_checked(false);
        *self.pair.borrow_mut() = Some(pair);
        dom::show(&self.result, true);
        self.private_key.focus();
    }

    fn fail(&self, why: &str) {
        self.stop("");
        let words = format!("No key pair was generated. {why} You can paste a public key instead.");
        dom::set_error(&self.error, Some(&words));
    }

    /// Terminates the workers.
    fn stop(&self, words: &str) {
        for worker in self.workers.borrow_mut().drain(..) {
            worker.terminate();
        }
        if let Some(prime) = self.prime.borrow_mut().take() {
            prime.fill(0, 0, prime.length());
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

    /// Discards the key pair. The public key remains in the form only if the user confirmed that the private key is
    /// stored.
    fn forget(&self) {
        self.private_key.forget();
        if let Some(pair) = self.pair.borrow_mut().take()
            && !self.stored.checked()
            && self.field.value() == pair.public
        {
            self.clear();
        }
        dom::show(&self.result, false);
    }

    fn fill_in(&self, pair: &Pair) {
        self.field.set_value(&pair.public);
        self.proof.set_value(&pair.proof);
    }

    fn clear(&self) {
        self.field.set_value("");
        self.proof.set_value("");
    }

    /// Updates the public key field when the user switches between generating and pasting, so that a generated key is
    /// not submitted as a pasted one before its private key is stored.
    fn follow_source(&self) {
        let pair = self.pair.borrow();
        let Some(pair) = &*pair else { return };
        if self.by_generation.checked() {
            self.fill_in(pair);
        } else if !self.stored.checked() && self.field.value() == pair.public {
            self.clear();
        }
    }

    /// Prevents submitting the form until a key pair exists and its private key is stored.
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
