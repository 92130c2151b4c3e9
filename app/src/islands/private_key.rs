//! Saves a private key as a file or to the clipboard, optionally encrypted with a passphrase.

use super::{dom, task, words};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};
use web_sys::{Element, Event, EventTarget, HtmlElement, HtmlInputElement, Worker};
use zeroize::Zeroizing;

/// Minimum length of a passphrase. It must withstand offline guessing for years, as an attacker may obtain the file.
const LEAST_CHARACTERS: usize = 12;

/// Action the user requested.
#[derive(Clone, Copy)]
enum Wish {
    Download,
    Copy,
    CopyAsOneLine,
}

/// Buttons that save a private key. Does nothing until [`hold`](Self::hold) is called.
pub struct PrivateKeyActions {
    worker_address: String,
    encrypt: HtmlInputElement,
    passphrase_field: HtmlElement,
    passphrase: HtmlInputElement,
    is_shown: HtmlInputElement,
    state: HtmlElement,
    download: HtmlElement,
    copy: HtmlElement,
    copy_line: HtmlElement,
    progress: HtmlElement,
    error: HtmlElement,
    key: RefCell<Option<Key>>,
    worker: RefCell<Option<Worker>>,
    /// Number of the latest encryption request. The result of an earlier one, made with another passphrase, is
    /// discarded.
    asked: Cell<u32>,
}

struct Key {
    pem: Zeroizing<String>,
    fingerprint: String,
    /// Encrypted under the passphrase in the field; `None` until requested.
    encrypted_pem: Option<String>,
}

impl PrivateKeyActions {
    /// Hydrates the markup in `root`.
    pub fn wake(root: &Element) -> Option<Rc<Self>> {
        let actions = Rc::new(Self {
            worker_address: root.get_attribute("data-worker")?,
            encrypt: dom::within(root, "[data-encrypt]")?,
            passphrase_field: dom::within(root, "[data-passphrase]")?,
            passphrase: dom::within(root, "[data-passphrase-text]")?,
            is_shown: dom::within(root, "[data-passphrase-shown]")?,
            state: dom::within(root, "[data-state]")?,
            download: dom::within(root, "[data-download-private]")?,
            copy: dom::within(root, "[data-copy-private]")?,
            copy_line: dom::within(root, "[data-copy-line]")?,
            progress: dom::within(root, "[data-private-progress]")?,
            error: dom::within(root, "[data-private-error]")?,
            key: RefCell::default(),
            worker: RefCell::default(),
            asked: Cell::default(),
        });
        actions.on(&actions.encrypt, "change", |actions| {
            actions.tell_state();
            if actions.encrypt.checked() {
                let _ = actions.passphrase.focus();
            }
        });
        actions.on(&actions.passphrase, "input", |actions| actions.forget_encrypted());
        actions.on(&actions.is_shown, "change", |actions| {
            actions.passphrase.set_type(if actions.is_shown.checked() { "text" } else { "password" });
        });
        actions.on(&actions.download, "click", |actions| actions.fulfil(Wish::Download));
        actions.on(&actions.copy, "click", |actions| actions.fulfil(Wish::Copy));
        actions.on(&actions.copy_line, "click", |actions| actions.fulfil(Wish::CopyAsOneLine));
        actions.tell_state();
        Some(actions)
    }

    fn on(self: &Rc<Self>, target: &EventTarget, event: &str, handle: fn(&Rc<Self>)) {
        let actions = self.clone();
        dom::on(target, event, move |_: Event| handle(&actions));
    }

    /// Sets the key that the buttons save.
    pub fn hold(&self, pem: Zeroizing<String>, fingerprint: String) {
        self.forget();
        *self.key.borrow_mut() = Some(Key { pem, fingerprint, encrypted_pem: None });
    }

    /// Focuses the download button.
    pub fn focus(&self) {
        let _ = self.download.focus();
    }

    /// Discards the key and its passphrase.
    pub fn forget(&self) {
        *self.key.borrow_mut() = None;
        self.passphrase.set_value("");
        self.passphrase.set_type("password");
        self.is_shown.set_checked(false);
        self.encrypt.set_checked(false);
        self.forget_encrypted();
        self.tell_state();
    }

    /// Discards the encrypted key and cancels a running encryption, because the passphrase has changed.
    fn forget_encrypted(&self) {
        self.asked.set(self.asked.get() + 1);
        if let Some(worker) = self.worker.borrow_mut().take() {
            worker.terminate();
        }
        if let Some(key) = &mut *self.key.borrow_mut() {
            key.encrypted_pem = None;
        }
        self.progress.set_text_content(None);
        dom::set_error(&self.error, None);
    }

    /// Updates the labels to state whether the key will be encrypted.
    fn tell_state(&self) {
        let encrypted = self.encrypt.checked();
        dom::show(&self.passphrase_field, encrypted);
        let (state, download, copy) = if encrypted {
            (
                "You get it encrypted (PKCS#8, AES-256): your service needs the passphrase to read it.",
                "Download encrypted private key",
                "Copy encrypted private key",
            )
        } else {
            ("You get it unencrypted: whoever has it can sign.", "Download private key", "Copy private key")
        };
        self.state.set_text_content(Some(state));
        self.download.set_text_content(Some(download));
        self.copy.set_text_content(Some(copy));
        dom::set_error(&self.error, None);
    }

    fn fulfil(self: &Rc<Self>, wish: Wish) {
        dom::set_error(&self.error, None);
        let text = {
            let key = self.key.borrow();
            let Some(key) = &*key else { return };
            if self.encrypt.checked() { key.encrypted_pem.clone().map(Zeroizing::new) } else { Some(key.pem.clone()) }
        };
        match text {
            Some(text) => self.hand_out(wish, &text),
            None if self.passphrase.value().chars().count() < LEAST_CHARACTERS => {
                let words = format!("Type a passphrase of at least {LEAST_CHARACTERS} characters.");
                dom::set_error(&self.error, Some(&words));
                let _ = self.passphrase.focus();
            }
            None => self.encrypt_for(wish),
        }
    }

    /// Encrypts the key in a worker, because the passphrase hash is deliberately slow.
    fn encrypt_for(self: &Rc<Self>, wish: Wish) {
        self.forget_encrypted();
        let request = task::object("encrypt", &[("passphrase", self.passphrase.value().into())]);
        if let Some(key) = &*self.key.borrow() {
            task::set(&request, "privateKeyPem", &key.pem.as_str().into());
        }
        self.progress.set_text_content(Some("Encrypting. This may take a few seconds."));
        let (actions, asked) = (self.clone(), self.asked.get());
        *self.worker.borrow_mut() = task::run(
            &self.worker_address,
            request,
            Box::new(move |answer| {
                if actions.asked.get() != asked {
                    return;
                }
                actions.progress.set_text_content(None);
                let pem = answer.and_then(|answer| task::text(&answer, "privateKeyPem").ok_or_else(String::new));
                match pem {
                    Ok(pem) => {
                        if let Some(key) = &mut *actions.key.borrow_mut() {
                            key.encrypted_pem = Some(pem.clone());
                        }
                        actions.hand_out(wish, &pem);
                    }
                    Err(why) => dom::set_error(&actions.error, Some(&format!("The key was not encrypted. {why}"))),
                }
            }),
        );
    }

    fn hand_out(self: &Rc<Self>, wish: Wish, pem: &str) {
        let encrypted = self.encrypt.checked();
        let kind = if encrypted { "Encrypted private key" } else { "Private key" };
        match wish {
            Wish::Download => {
                let name = self.file_name(encrypted);
                dom::download(pem, &name, "application/x-pem-file");
                self.progress.set_text_content(Some(&format!("{kind} downloaded as {name}.")));
            }
            Wish::Copy => self.copy(pem, format!("{kind} copied.")),
            Wish::CopyAsOneLine => {
                let line = Zeroizing::new(words::one_line(pem));
                self.copy(&line, format!("{kind} copied as one line."));
            }
        }
    }

    fn copy(&self, text: &str, words: String) {
        let progress = self.progress.clone();
        dom::copy(text, move |copied| {
            let words = if copied { &words } else { "It could not be copied: download it instead." };
            progress.set_text_content(Some(words));
        });
    }

    /// Returns the file name. It includes the application's name if the page contains it or asks for it.
    fn file_name(&self, encrypted: bool) -> String {
        let known = dom::first::<Element>("[data-file-stem]").and_then(|page| page.get_attribute("data-file-stem"));
        let typed = || dom::first::<HtmlInputElement>("#name").map(|field| field.value());
        let name = known.or_else(typed).unwrap_or_default();
        let key = self.key.borrow();
        let fingerprint = key.as_ref().map_or("", |key| &key.fingerprint);
        words::file_name(&name, fingerprint, encrypted)
    }
}
