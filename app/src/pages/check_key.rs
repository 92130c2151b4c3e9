//! Key doctor: identifies a key and the application it belongs to, to diagnose `invalid_signature` responses.
//!
//! The island `KeyDoctor` runs entirely in the browser. There is no form and no field has a name, so that a key cannot
//! be submitted. Without scripts, the page still lists the registered fingerprints and the OpenSSL commands that
//! compute a key's fingerprint.

use crate::{
    paths::{self, Place},
    ui::{
        Callout, Card, Cell, Code, CodeBlock, Column, DataTable, Fact, Facts, PrivateKeyActions, RowHeader,
        SigningKeyBadge, Time, place, surroundings,
    },
};
use domain::{
    application::ApiApplication,
    signing_key::{SigningKey, SigningKeyState},
    time::Timestamp,
};
use leptos::prelude::*;

const COLUMNS: &[Column] = &[
    Column { label: "Fingerprint", class: "column--wide" },
    Column { label: "Application", class: "column--state" },
    Column { label: "Status", class: "column--who" },
];

/// Commands for any shell. Without comments, because interactive zsh treats `#` as a command.
const FINGERPRINTS: &str = "\
openssl pkey -in private.pem -pubout -outform DER | openssl dgst -sha256 -binary | base64 | tr -d '='
openssl pkey -pubin -in public.pem -outform DER | openssl dgst -sha256 -binary | base64 | tr -d '='";

const KIND: &str = "openssl pkey -in private.pem -noout -text -check | head -1";

const FORMS: &str = "\
openssl pkcs8 -topk8 -nocrypt -in key.pem -out private.pem
openssl pkey -in key.pem -pubout -out public.pem";

pub(super) fn view(title: String, applications: &[ApiApplication]) -> impl IntoView + use<> {
    let page = surroundings();
    let worker = format!("{}/{}", paths::ASSETS, page.assets.keydoctor_worker);
    view! {
        {super::heading(
            title,
            "Requests are refused for their signature, or you hold a key and do not know which? See what it is and which application it belongs to.",
        )}
        <div class="without-script">
            <Callout heading="Checking a key here needs JavaScript and WebAssembly">
                <p>"The commands at the end of this page answer the same questions with OpenSSL."</p>
            </Callout>
        </div>
        <div class="key-doctor needs-script" data-key-doctor data-worker=worker>
            <Card
                id="key"
                heading="The key"
                lead="Private or public, in any form. It stays in this browser: it is not sent, stored or logged, and is gone when you leave."
            >
                {input()}
            </Card>
            <div class="key-doctor__results" data-results></div>
            <template data-finding>{finding()}</template>
            <template data-problem>
                <section class="key-doctor__finding">
                    <h2>"This key cannot be used as it is"</h2>
                    <p class="field__error" data-words></p>
                </section>
            </template>
        </div>
        {registered(applications, page.now)}
        <Card id="openssl" heading="The same with OpenSSL" lead="On your own machine, without this page. Fingerprints are listed above behind “SHA256:”.">
            <p>"The fingerprint of a private key, and of a public key:"</p>
            <CodeBlock id="openssl-commands" label="Commands for fingerprints" text=FINGERPRINTS />
            <p>"The type and size of a key, and whether it is consistent:"</p>
            <CodeBlock id="openssl-kind" label="Command for the type" text=KIND />
            <p>"The two forms that every library reads, PKCS#8 and SPKI:"</p>
            <CodeBlock id="openssl-forms" label="Commands for the forms" text=FORMS />
        </Card>
    }
}

fn input() -> impl IntoView {
    view! {
        <div class="field">
            <label class="field__label" for="key-file">"Choose its file, or drop it anywhere on this page"</label>
            <input class="file" type="file" id="key-file" autocomplete="off" data-key-file disabled />
        </div>
        <div class="field">
            <label class="field__label" for="key-text">"Or paste it"</label>
            <p class="field__hint" id="key-text-hint">
                "PEM (PKCS#8, PKCS#1, OpenSSH, a certificate), a JSON Web Key, bare base64, or as it stands in an environment variable."
            </p>
            <textarea
                class="input input--code"
                id="key-text"
                rows="7"
                spellcheck="false"
                autocomplete="off"
                autocapitalize="off"
                aria-describedby="key-text-hint"
                data-key-text
                disabled
            ></textarea>
        </div>
        <div class="key-doctor__passphrase" data-key-passphrase hidden>
            <div class="field">
                <label class="field__label" for="key-passphrase">"Passphrase of the key"</label>
                <input class="input" type="password" id="key-passphrase" autocomplete="off" data-key-passphrase-text />
            </div>
            <label class="choice">
                <input type="checkbox" autocomplete="off" data-key-passphrase-shown />
                <span>"Show the passphrase"</span>
            </label>
        </div>
        <div class="actions">
            <button type="button" class="button button--primary" data-check-key disabled>"Check key"</button>
            <button type="button" class="button" data-clear disabled>"Clear"</button>
        </div>
        <p class="key-doctor__status" role="status" data-doctor-status>"Loading…"</p>
    }
}

/// Template for a key that was found. The island clones and fills it for each key.
fn finding() -> impl IntoView {
    let organization = match place() {
        Place::Settings | Place::Nuvera => "your organization".to_owned(),
        Place::Hub { name, .. } => name,
    };
    view! {
        <section class="key-doctor__finding">
            <h2 data-form></h2>
            <p class="key-doctor__match" data-match>
                {format!(
                    "No application of {organization} has registered this key: requests signed with it are refused. Sign with the private key of a fingerprint that is listed below as current, or register this one's public half with “Replace signing key”.",
                )}
            </p>
            <Facts>
                <Fact term="Size"><span data-bits></span></Fact>
                <Fact term="Fingerprint"><code data-fingerprint></code></Fact>
            </Facts>
            <h3 class="small-heading">"Public key (SPKI, PEM)"</h3>
            <pre class="code-block__text" tabindex="0" role="group" aria-label="Public key"><code data-public></code></pre>
            <div class="actions">
                <button type="button" class="button" data-copy-public>"Copy public key"</button>
                <button type="button" class="button" data-download-public>"Download public key"</button>
            </div>
            <p class="key-doctor__status" role="status" data-public-progress></p>
            <div class="key-doctor__private" data-private>
                <h3 class="small-heading">"Private key (PKCS#8, PEM)"</h3>
                <PrivateKeyActions />
            </div>
        </section>
    }
}

fn registered(applications: &[ApiApplication], now: Timestamp) -> impl IntoView + use<> {
    let keys =
        applications.iter().flat_map(|application| application.signing_keys.iter().map(move |key| (application, key)));
    let rows: Vec<_> = keys.map(|(application, key)| row(application, key, now)).collect();
    let table = if rows.is_empty() {
        view! { <p class="table-empty">"No key is registered: there is no API application yet."</p> }.into_any()
    } else {
        view! { <DataTable caption="Registered signing keys" columns=COLUMNS>{rows}</DataTable> }.into_any()
    };
    view! {
        <Card
            id="registered"
            heading="Registered signing keys"
            lead="A key is compared by its fingerprint: the SHA-256 of its public half."
        >
            {table}
        </Card>
    }
}

fn row(application: &ApiApplication, key: &SigningKey, now: Timestamp) -> impl IntoView + use<> {
    let status = key.status(now);
    let fingerprint = key.public_key.fingerprint();
    let registered = fingerprint.clone();
    view! {
        <tr role="row" data-registered=registered data-words=words(application, status)>
            <RowHeader><Code text=fingerprint /></RowHeader>
            <Cell label="Application">
                <a href=place().application(application.id)>{application.name.to_string()}</a>
            </Cell>
            <Cell label="Status">
                <SigningKeyBadge status />
                {match status {
                    SigningKeyState::Current => None,
                    SigningKeyState::Retiring { at } => Some(view! { <p class="quiet">"Stops " <Time at /></p> }),
                    SigningKeyState::Retired { at } => Some(view! { <p class="quiet">"Since " <Time at /></p> }),
                }}
            </Cell>
        </tr>
    }
}

/// Explains the status of a matching key and what to do about it.
fn words(application: &ApiApplication, status: SigningKeyState) -> String {
    let name = &application.name;
    let meaning = match status {
        SigningKeyState::Current => {
            format!("It is the current signing key of “{name}”: the gateway accepts what is signed with it.")
        }
        SigningKeyState::Retiring { at } => format!(
            "It is a retiring signing key of “{name}”: the gateway accepts what is signed with it until {at}. Deploy the current one before."
        ),
        SigningKeyState::Retired { at } => format!(
            "It is a retired signing key of “{name}”: the gateway refuses what is signed with it since {at}. Sign with the current one, or restore this one."
        ),
    };
    if application.is_enabled() { meaning } else { format!("{meaning} The application is disabled.") }
}
