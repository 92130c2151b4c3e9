//! Validates a pasted public key with the server's own rules before it is submitted. Invalid input is not submitted,
//! and a private key is erased immediately.

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
            // An empty field is reported by the server, along with the other empty fields.
            if field.value().trim().is_empty() || PublicKey::from_pem(&field.value()).is_ok() {
                return;
            }
            event.prevent_default();
            judge(&field, &check, &error);
            // Fails only if the element cannot be focused.
            let _ = field.focus();
        });
    }
    let was_private = Cell::new(false);
    dom::on(&target, "input", move |_| {
        // The server's error refers to the previous text.
        if let Some(old) = dom::first::<HtmlElement>("#public_key-error") {
            old.remove();
        }
        // The message that a private key was erased remains until something else is entered.
        if field.value().is_empty() && was_private.get() {
            return;
        }
        was_private.set(judge(&field, &check, &error));
    });
    Some(())
}

/// Validates the field's content and shows the result. Returns whether it was a private key.
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
