//! Judges a pasted public key by the server's own rules, before it is sent. What is not a public key is not sent, and a private
//! key is thrown away at once.

use super::dom;
use domain::public_key::{PublicKey, PublicKeyError};
use std::cell::Cell;
use web_sys::{HtmlElement, HtmlTextAreaElement};

pub fn wake() {
    let _ = try_wake();
}

fn try_wake() -> Option<()> {
    let field: HtmlTextAreaElement = dom::first("#public_key")?;
    let check: HtmlElement = dom::first("[data-check]")?;
    let error: HtmlElement = dom::first("[data-check-error]")?;
    let target = field.clone();
    if !field.value().is_empty() && field.get_attribute("aria-invalid").is_none() {
        judge(&field, &check, &error);
    }
    if let Some(form) = field.form() {
        let (field, check, error) = (field.clone(), check.clone(), error.clone());
        dom::on(&form, "submit", move |event| {
            // Nothing at all is for the server to point out, with the other fields that are empty.
            if field.value().trim().is_empty() || PublicKey::from_pem(&field.value()).is_ok() {
                return;
            }
            event.prevent_default();
            judge(&field, &check, &error);
            // Fails for what cannot take the focus only.
            let _ = field.focus();
        });
    }
    let was_private = Cell::new(false);
    dom::on(&target, "input", move |_| {
        // What the server said was about another text.
        if let Some(old) = dom::first::<HtmlElement>("#public_key-error") {
            old.remove();
        }
        // That a private key was thrown away is said until something else is pasted.
        if field.value().is_empty() && was_private.get() {
            return;
        }
        was_private.set(judge(&field, &check, &error));
    });
    Some(())
}

/// Says what is in the field, and whether it was a private key.
fn judge(field: &HtmlTextAreaElement, check: &HtmlElement, error: &HtmlElement) -> bool {
    let mut was_private = false;
    let (found, wrong) = match PublicKey::from_pem(&field.value()) {
        Ok(key) => (Some(format!("RSA, {} bits, {}", key.bits(), key.fingerprint())), None),
        Err(PublicKeyError::Missing) if field.value().trim().is_empty() => (None, None),
        Err(refusal) => {
            if refusal == PublicKeyError::PrivateKey {
                field.set_value("");
                was_private = true;
            }
            (None, Some(refusal.to_string()))
        }
    };
    check.set_text_content(found.as_deref());
    dom::set_error(error, wrong.as_deref());
    let _ = match wrong {
        Some(_) => field.set_attribute("aria-invalid", "true"),
        None => field.remove_attribute("aria-invalid"),
    };
    was_private
}
