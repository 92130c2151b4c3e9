//! Islands: what makes a page more comfortable where WASM runs.
//!
//! Each wakes markup that the server has rendered and that works, or is of no use, without it. None has properties or a
//! view of its own: nothing that a page shows is serialized a second time, there is nothing to hydrate that could
//! differ, and the WASM stays small.

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

/// An island that wakes what it finds on the page. What is missing there is of no concern to it.
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
    /// Shows instants relative to now, with the instant itself on hover and focus.
    RelativeTimes,
    relative_times
);
island!(
    /// Lets texts be copied.
    CopyButtons,
    copy_buttons
);
island!(
    /// Guards the page that shows a new API key: download, a warning before it is left, and nothing of the key behind.
    OneTimeSecret,
    one_time_secret
);
island!(
    /// Keeps every write permission with its read.
    PermissionChooser,
    permission_chooser
);
island!(
    /// Generates a key pair in the browser; only the public key enters the form.
    KeyGenerator,
    key_generator
);
island!(
    /// Judges a pasted public key before it is sent, and throws a private key away at once.
    PublicKeyField,
    public_key_field
);
island!(
    /// Says what a key is and whose, in the browser alone.
    KeyDoctor,
    key_doctor
);
island!(
    /// Keeps what a page shows of traffic up to date.
    LiveRegions,
    live_regions
);
island!(
    /// Signs a test request with a file's private key and sends it to the gateway.
    TestRequest,
    test_request
);
island!(
    /// Asks the browser for a passkey.
    Passkeys,
    passkeys
);
