//! Form fields for a public signing key: generate a key pair in the browser, or paste a public key.
//!
//! Without scripts only pasting is available, along with the commands that generate a pair. With scripts, the island
//! `KeyGenerator` enables generation, and `PublicKeyField` validates a pasted key before it is submitted.

use super::{
    CodeBlock, PrivateKeyActions,
    field::{describe, error_view},
    place, surroundings,
};
use crate::paths::{self, Place};
use domain::public_key::PublicKey;
use leptos::prelude::*;

/// Name of the form field.
const NAME: &str = "public_key";

/// Name of the field with the signature over the challenge.
const PROOF: &str = "proof";

/// Commands that generate a key pair with OpenSSL.
const COMMANDS: &str = "\
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out private.pem
openssl pkey -in private.pem -pubout -out public.pem
cat public.pem";

/// Public key field, with both ways to obtain a key.
#[component]
pub fn SigningKeyField(
    /// Stem of the private key's file name; `None` if the form itself asks for the application's name.
    #[prop(optional_no_strip, into)]
    file_stem: Option<String>,
    /// Text to sign as proof of possession of the private key.
    #[prop(into)]
    challenge: String,
) -> impl IntoView {
    let page = surroundings();
    let error = page.submission.error(NAME).map(ToOwned::to_owned);
    // Only a valid public key is rendered again, in canonical form: any other input might be a private key.
    let typed = page.submission.value(NAME).and_then(|text| PublicKey::from_pem(text).ok());
    let typed = typed.map(|key| key.pem()).unwrap_or_default();
    let pasting = error.is_some() || !typed.is_empty() || page.submission.has("key_source", "paste");
    let described = describe(NAME, true, error.is_some()).map(|ids| format!("{ids} public_key-check"));
    let worker = format!("{}/{}", paths::ASSETS, page.assets.keygen_worker);
    // The private key belongs to the partner. Nuvera's admins register the public key they were sent and must not
    // generate pairs.
    let generation = (place() == Place::Settings).then(|| generation(pasting));
    view! {
        <div class="signing-key" data-signing-key data-worker=worker data-file-stem=file_stem>
            <input type="hidden" name="challenge" value=challenge.clone() data-challenge />
            {generation}
            <div class="signing-key__paste" data-paste>
                <div class="field" class:field--wrong=error.is_some()>
                    <label class="field__label" for=NAME>"Public key (PEM)"</label>
                    <p class="field__hint" id="public_key-hint">
                        "RSA, 2048 to 4096 bits, from “-----BEGIN PUBLIC KEY-----” to “-----END PUBLIC KEY-----”. Keep the private key to yourself: it never belongs here."
                    </p>
                    {error_view(NAME, error.clone())}
                    <p class="field__error" id="public_key-check" role="alert" data-check-error hidden></p>
                    <textarea
                        class="input input--code"
                        id=NAME
                        name=NAME
                        rows="9"
                        spellcheck="false"
                        autocomplete="off"
                        autocapitalize="off"
                        aria-describedby=described
                        aria-invalid=error.is_some().then_some("true")
                    >
                        {typed}
                    </textarea>
                    <p class="signing-key__check" role="status" data-check></p>
                </div>
                <details class="details">
                    <summary>"How to make a key pair with OpenSSL"</summary>
                    <CodeBlock id="openssl-commands" label="OpenSSL commands" text=COMMANDS />
                    <p>
                        "Store " <code>"private.pem"</code>
                        " where your service reads its secrets, and paste what the last command prints."
                    </p>
                </details>
                {proof(&challenge)}
                <p class="field__hint">
                    "You have a key in another form, or do not know which it is? "
                    <a href=place().check_key() target="_blank" rel="noopener">"Check a key"</a>
                    " (opens in a new tab)."
                </p>
            </div>
        </div>
    }
}

/// Proof of possession for a pasted key. For a generated key, the island creates the proof.
fn proof(challenge: &str) -> impl IntoView + use<> {
    let page = surroundings();
    let error = page.submission.error(PROOF).map(ToOwned::to_owned);
    // A signature over an earlier challenge cannot be verified, so it is not rendered again.
    let is_same = page.submission.value("challenge") == Some(challenge);
    let typed = page.submission.value(PROOF).filter(|_| is_same).unwrap_or_default().to_owned();
    let is_open = error.is_some() || !typed.is_empty();
    let command =
        format!("printf '%s' '{challenge}' |\n  openssl dgst -sha256 -sign private.pem |\n  openssl base64 -A");
    view! {
        <details class="details" open=is_open>
            <summary>"Prove that you hold the private key (recommended)"</summary>
            <p>
                "Run this where the private key is, and paste what it prints: a mix-up shows now, and not in production. Without it the key works as well, and is shown as not yet proven until the first request signed with it."
            </p>
            <CodeBlock id="proof-command" label="Command that signs" text=command />
            <div class="field" class:field--wrong=error.is_some()>
                <label class="field__label" for=PROOF>
                    "Signature (base64)" <span class="field__optional">" (optional)"</span>
                </label>
                {error_view(PROOF, error.clone())}
                <textarea
                    class="input input--code"
                    id=PROOF
                    name=PROOF
                    rows="4"
                    spellcheck="false"
                    autocomplete="off"
                    autocapitalize="off"
                    aria-describedby=describe(PROOF, false, error.is_some())
                    aria-invalid=error.is_some().then_some("true")
                >
                    {typed}
                </textarea>
            </div>
        </details>
    }
}

/// Choice between generating and pasting, and the key generator. Both require scripts.
fn generation(pasting: bool) -> impl IntoView {
    view! {
            <fieldset class="field needs-script">
                <legend class="field__label">"Where the key pair comes from"</legend>
                <div class="choices choices--cards">
                    <div class="choice">
                        <input type="radio" id="key-source-generate" name="key_source" value="generate" checked=!pasting />
                        <label for="key-source-generate">"Generate it in this browser"</label>
                        <p class="choice__hint">"The private key is made here, saved by you, and never sent."</p>
                    </div>
                    <div class="choice">
                        <input type="radio" id="key-source-paste" name="key_source" value="paste" checked=pasting />
                        <label for="key-source-paste">"Paste a public key"</label>
                        <p class="choice__hint">"You have a pair, or make one with your own key management."</p>
                    </div>
                </div>
            </fieldset>
            <div class="signing-key__generate needs-script" data-generate>
                <div class="field field--inline">
                    <label class="field__label" for="key-bits">"Size"</label>
                    <select class="input" id="key-bits" data-bits disabled>
                        <option value="2048">"2048 bits, the least that is accepted"</option>
                        <option value="3072" selected>"3072 bits, recommended"</option>
                        <option value="4096">"4096 bits, slower to sign with"</option>
                    </select>
                </div>
                <div class="actions">
                    <button type="button" class="button" data-start disabled>"Generate key pair"</button>
                    <button type="button" class="button" data-cancel hidden>"Cancel"</button>
                </div>
                <progress data-spinner aria-label="Generating a key pair" hidden></progress>
                <p class="signing-key__progress" role="status" data-progress>
                    "Loading the key generator… Where it does not load, paste a public key instead."
                </p>
                <div class="signing-key__result" data-result hidden>
                    <dl class="facts">
                        <div class="facts__item">
                            <dt>"Fingerprint of the public key"</dt>
                            <dd><code data-fingerprint></code></dd>
                        </div>
                    </dl>
                    <p>
                        <strong>"Store the private key now."</strong>
                        " It exists in this page only, and is gone when you leave."
                    </p>
                    <PrivateKeyActions />
                    <div class="choice">
                        <input type="checkbox" id="private-key-stored" data-private-stored aria-describedby="private-key-stored-error" />
                        <label for="private-key-stored">"I have stored the private key"</label>
                    </div>
                </div>
                <p class="field__error" id="private-key-stored-error" role="alert" data-generate-error hidden></p>
            </div>
    }
}
