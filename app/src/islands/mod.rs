//! Islands: progressive enhancements of the pages for browsers that run WebAssembly.
//!
//! Each island hydrates markup that the server rendered and that works, or is hidden, without it. Islands have no
//! properties and no view of their own: no data is serialized a second time, there can be no hydration mismatch, and
//! the WASM stays small.

#[cfg(feature = "hydrate")]
mod copy_buttons;
#[cfg(feature = "hydrate")]
mod dom;
#[cfg(feature = "hydrate")]
mod key_doctor;
#[cfg(feature = "hydrate")]
mod key_generator;
#[cfg(feature = "hydrate")]
mod live_regions;
#[cfg(feature = "hydrate")]
mod one_time_secret;
#[cfg(feature = "hydrate")]
mod passkeys;
#[cfg(feature = "hydrate")]
mod permission_chooser;
#[cfg(feature = "hydrate")]
mod private_key;
#[cfg(feature = "hydrate")]
mod public_key_field;
#[cfg(feature = "hydrate")]
mod relative_times;
#[cfg(feature = "hydrate")]
mod task;
#[cfg(feature = "hydrate")]
mod test_request;
#[cfg(any(feature = "hydrate", test))]
mod words;

use leptos::prelude::*;

/// Declares an island that hydrates the markup it finds on the page, and does nothing if it finds none.
macro_rules! island {
    ($(#[$doc:meta])* $name:ident, $module:ident) => {
        $(#[$doc])*
        #[island]
        pub fn $name() -> impl IntoView {
            #[cfg(feature = "hydrate")]
            $module::wake();
        }
    };
}

island!(
    /// Shows times relative to now, with the absolute time on hover and focus.
    RelativeTimes,
    relative_times
);
island!(
    /// Enables the copy buttons.
    CopyButtons,
    copy_buttons
);
island!(
    /// Protects the page that shows a new API key: offers the download, warns before leaving, and removes the key on
    /// leaving.
    OneTimeSecret,
    one_time_secret
);
island!(
    /// Selects the read permission with a write permission, and deselects the write with the read.
    PermissionChooser,
    permission_chooser
);
island!(
    /// Generates a key pair in the browser. Only the public key is entered in the form.
    KeyGenerator,
    key_generator
);
island!(
    /// Validates a pasted public key before it is submitted, and erases a pasted private key immediately.
    PublicKeyField,
    public_key_field
);
island!(
    /// Identifies a key and its application, entirely in the browser.
    KeyDoctor,
    key_doctor
);
island!(
    /// Updates live regions, such as the traffic of a key rotation.
    LiveRegions,
    live_regions
);
island!(
    /// Signs a test request with a private key file and sends it to the gateway.
    TestRequest,
    test_request
);
island!(
    /// Runs WebAuthn ceremonies.
    Passkeys,
    passkeys
);
