//! Key doctor: parses a key in a Web Worker and compares it with the registered keys.
//!
//! Neither the page nor the worker sends anything over the network. The key and the results are discarded when the user
//! clears the form or leaves the page.

use super::{dom, private_key::PrivateKeyActions, task};
use js_sys::{Array, Uint8Array};
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    DragEvent, Element, Event, EventTarget, File, HtmlButtonElement, HtmlElement, HtmlInputElement,
    HtmlTemplateElement, HtmlTextAreaElement, KeyboardEvent, Worker,
};
use zeroize::Zeroizing;

pub fn wake() {
    if let Some(doctor) = Doctor::find() {
        Rc::new(doctor).listen();
    }
}

struct Doctor {
    worker_address: String,
    text: HtmlTextAreaElement,
    file: HtmlInputElement,
    passphrase_field: HtmlElement,
    passphrase: HtmlInputElement,
    is_shown: HtmlInputElement,
    check: HtmlButtonElement,
    clear: HtmlButtonElement,
    status: HtmlElement,
    results: HtmlElement,
    finding: HtmlTemplateElement,
    problem: HtmlTemplateElement,
    /// Content of the chosen file; `None` if the key was pasted.
    content: RefCell<Option<Zeroizing<Vec<u8>>>>,
    handed_out: RefCell<Vec<Rc<PrivateKeyActions>>>,
    worker: RefCell<Option<Worker>>,
}

impl Doctor {
    fn find() -> Option<Self> {
        fn part<T: JsCast>(name: &str) -> Option<T> {
            dom::first(&format!("[data-key-doctor] {name}"))
        }
        Some(Self {
            worker_address: dom::first::<Element>("[data-key-doctor]")?.get_attribute("data-worker")?,
            text: part("[data-key-text]")?,
            file: part("[data-key-file]")?,
            passphrase_field: part("[data-key-passphrase]")?,
            passphrase: part("[data-key-passphrase-text]")?,
            is_shown: part("[data-key-passphrase-shown]")?,
            check: part("[data-check-key]")?,
            clear: part("[data-clear]")?,
            status: part("[data-doctor-status]")?,
            results: part("[data-results]")?,
            finding: part("[data-finding]")?,
            problem: part("[data-problem]")?,
            content: RefCell::default(),
            handed_out: RefCell::default(),
            worker: RefCell::default(),
        })
    }

    fn listen(self: Rc<Self>) {
        self.on(&self.check, "click", |doctor, _| doctor.examine());
        self.on(&self.clear, "click", |doctor, _| {
            doctor.forget();
            doctor.status.set_text_content(Some("Everything is cleared."));
            let _ = doctor.text.focus();
        });
        self.on(&self.text, "input", |doctor, _| {
            *doctor.content.borrow_mut() = None;
            doctor.file.set_value("");
            doctor.forget_results();
            doctor.forget_passphrase();
        });
        self.on(&self.file, "change", |doctor, _| {
            if let Some(file) = doctor.file.files().and_then(|files| files.get(0)) {
                doctor.read(&file);
            }
        });
        self.on(&self.is_shown, "change", |doctor, _| {
            doctor.passphrase.set_type(if doctor.is_shown.checked() { "text" } else { "password" });
        });
        self.on(&self.passphrase, "keydown", |doctor, event| {
            if event.dyn_ref::<KeyboardEvent>().is_some_and(|event| event.key() == "Enter") {
                event.prevent_default();
                doctor.examine();
            }
        });
        if let Some(window) = dom::window() {
            // On the whole window, because the browser would navigate to a file dropped outside the drop zone.
            self.on(&window, "dragover", |_, event| event.prevent_default());
            self.on(&window, "drop", |doctor, event| {
                event.prevent_default();
                let files =
                    event.dyn_ref::<DragEvent>().and_then(DragEvent::data_transfer).and_then(|data| data.files());
                if let Some(file) = files.and_then(|files| files.get(0)) {
                    doctor.file.set_value("");
                    doctor.read(&file);
                }
            });
            // The browser may keep the page in its back/forward cache, which must not contain the key.
            self.on(&window, "pagehide", |doctor, _| doctor.forget());
        }
        self.status.set_text_content(None);
        for control in [self.text.as_ref(), self.file.as_ref(), self.check.as_ref(), self.clear.as_ref()] {
            dom::enable(control);
        }
    }

    fn on(self: &Rc<Self>, target: &EventTarget, event: &str, handle: fn(&Rc<Self>, &Event)) {
        let doctor = self.clone();
        dom::on(target, event, move |event| handle(&doctor, &event));
    }

    /// Reads a file and examines it immediately.
    fn read(self: &Rc<Self>, file: &File) {
        self.text.set_value("");
        self.forget_results();
        self.forget_passphrase();
        let doctor = self.clone();
        dom::settle(&file.array_buffer(), move |buffer| match buffer {
            Some(buffer) => {
                let bytes = Uint8Array::new(&buffer);
                *doctor.content.borrow_mut() = Some(Zeroizing::new(bytes.to_vec()));
                bytes.fill(0, 0, bytes.length());
                doctor.examine();
            }
            None => doctor.status.set_text_content(Some("The file could not be read.")),
        });
    }

    fn examine(self: &Rc<Self>) {
        self.forget_results();
        let bytes = match &*self.content.borrow() {
            Some(content) => Uint8Array::from(content.as_slice()),
            None => Uint8Array::from(Zeroizing::new(self.text.value()).as_bytes()),
        };
        let request = task::object("examine", &[("bytes", bytes.into())]);
        let passphrase = self.passphrase.value();
        if !passphrase.is_empty() {
            task::set(&request, "passphrase", &passphrase.into());
        }
        self.status.set_text_content(Some("Examining…"));
        let doctor = self.clone();
        *self.worker.borrow_mut() = task::run(
            &self.worker_address,
            request,
            Box::new(move |answer| match answer {
                Ok(answer) => doctor.show(&answer),
                Err(why) => doctor.status.set_text_content(Some(&format!("The key was not examined. {why}"))),
            }),
        );
    }

    fn show(&self, answer: &JsValue) {
        let keys = Array::from(&task::field(answer, "keys"));
        let notes = Array::from(&task::field(answer, "notes"));
        if let Some(list) = notes_list(&notes) {
            let _ = self.results.append_child(&list);
        }
        let mut needs_passphrase = false;
        for key in keys.iter() {
            needs_passphrase |= task::field(&key, "needsPassphrase").is_truthy();
            // Both templates are rendered by the server: a missing part would be a bug in the page.
            let _ = self.show_key(&key);
        }
        let words = match keys.length() {
            1 => "Examined. What it is stands below.".to_owned(),
            count => format!("Examined. {count} keys stand below."),
        };
        self.status.set_text_content(Some(&words));
        dom::show(&self.passphrase_field, needs_passphrase);
        if needs_passphrase {
            let _ = self.passphrase.focus();
        }
    }

    fn show_key(&self, key: &JsValue) -> Option<()> {
        if let Some(problem) = task::text(key, "problem") {
            let view = copy_of(&self.problem)?;
            set_text(&view, "[data-words]", &problem)?;
            return self.results.append_child(&view).ok().map(|_| ());
        }
        let fingerprint = task::text(key, "fingerprint")?;
        let public_pem = task::text(key, "publicKeyPem")?;
        let view = copy_of(&self.finding)?;
        set_text(&view, "[data-form]", &task::text(key, "form")?)?;
        set_text(&view, "[data-bits]", &format!("RSA, {} bits", task::field(key, "bits").as_f64()? as u32))?;
        set_text(&view, "[data-fingerprint]", &fingerprint)?;
        set_text(&view, "[data-public]", &public_pem)?;
        show_match(&dom::within(&view, "[data-match]")?, &fingerprint);
        let (progress, pem): (Element, _) = (dom::within(&view, "[data-public-progress]")?, public_pem.clone());
        dom::on(&dom::within(&view, "[data-copy-public]")?, "click", move |_| {
            let progress = progress.clone();
            dom::copy(&pem, move |copied| {
                let words = if copied { "Public key copied." } else { "It could not be copied: download it instead." };
                progress.set_text_content(Some(words));
            });
        });
        dom::on(&dom::within(&view, "[data-download-public]")?, "click", move |_| {
            dom::download(&public_pem, "public.pem", "application/x-pem-file");
        });
        let private: Element = dom::within(&view, "[data-private]")?;
        if let Some(pem) = task::text(key, "privateKeyPem") {
            let actions = PrivateKeyActions::wake(&dom::within(&private, "[data-private-key]")?)?;
            actions.hold(Zeroizing::new(pem), fingerprint);
            self.handed_out.borrow_mut().push(actions);
        } else {
            private.remove();
        }
        self.results.append_child(&view).ok().map(|_| ())
    }

    fn forget(&self) {
        self.text.set_value("");
        self.file.set_value("");
        *self.content.borrow_mut() = None;
        self.forget_results();
        self.forget_passphrase();
    }

    fn forget_passphrase(&self) {
        self.passphrase.set_value("");
        self.passphrase.set_type("password");
        self.is_shown.set_checked(false);
        dom::show(&self.passphrase_field, false);
    }

    fn forget_results(&self) {
        if let Some(worker) = self.worker.borrow_mut().take() {
            worker.terminate();
        }
        for actions in self.handed_out.borrow_mut().drain(..) {
            actions.forget();
        }
        self.results.set_text_content(None);
        self.status.set_text_content(None);
    }
}

/// Shows which registered keys match. The texts are rendered by the server.
fn show_match(place: &Element, fingerprint: &str) {
    let registered: Vec<String> = dom::all("[data-registered]")
        .into_iter()
        .filter(|row| row.get_attribute("data-registered").as_deref() == Some(fingerprint))
        .filter_map(|row| row.get_attribute("data-words"))
        .collect();
    // Without a match, the text of the template remains.
    if !registered.is_empty() {
        place.set_text_content(Some(&registered.join(" ")));
    }
}

/// Clones the element inside a template.
fn copy_of(template: &HtmlTemplateElement) -> Option<Element> {
    template.content().first_element_child()?.clone_node_with_deep(true).ok()?.dyn_into().ok()
}

fn set_text(view: &Element, selector: &str, text: &str) -> Option<()> {
    dom::within::<Element>(view, selector)?.set_text_content(Some(text));
    Some(())
}

/// List of remarks about the input; `None` if there are none.
fn notes_list(notes: &Array) -> Option<Element> {
    if notes.length() == 0 {
        return None;
    }
    let document = dom::document()?;
    let list = document.create_element("ul").ok()?;
    list.set_class_name("key-doctor__notes");
    for note in notes.iter() {
        let item = document.create_element("li").ok()?;
        item.set_text_content(note.as_string().as_deref());
        let _ = list.append_child(&item);
    }
    Some(list)
}
