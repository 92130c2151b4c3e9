//! Signed test requests: code snippets for a shell, three languages and Postman, and a form that sends one from the
//! page that shows a new key.

use crate::{
    paths,
    ui::{Card, surroundings},
};
use domain::application::ApiApplication;
use leptos::prelude::*;

/// Endpoint that reports what the gateway verified.
const URI: &str = "/api/v1/signature-test";

/// Code that sends a request to this gateway, signed according to the protocol.
pub(super) struct Snippet {
    /// Id of its code block on the page.
    pub(super) id: &'static str,
    /// Language or tool.
    pub(super) name: &'static str,
    /// Prerequisites.
    pub(super) needs: &'static str,
    set_up: Option<SetUp>,
    /// Instructions for running it.
    pub(super) run: &'static str,
    template: &'static str,
    escape: fn(&str) -> String,
}

/// Code block to copy before the snippet itself, such as an installation command.
#[derive(Clone, Copy)]
struct SetUp {
    id: &'static str,
    label: &'static str,
    template: &'static str,
}

impl Snippet {
    /// Returns the code, for the gateway at `gateway_url`.
    pub(super) fn text(&self, gateway_url: &str) -> String {
        self.template.trim_end().replace("{gateway}", &(self.escape)(gateway_url))
    }

    /// Returns id, label and text of the preceding code block, if there is one.
    pub(super) fn set_up(&self, gateway_url: &str) -> Option<(&'static str, &'static str, String)> {
        self.set_up.map(|SetUp { id, label, template }| (id, label, template.replace("{gateway}", gateway_url)))
    }
}

/// Snippets, ordered by prerequisites: the shell first.
///
/// The shell snippet runs in a subshell, so that a missing variable aborts it and it leaves nothing behind in the
/// interactive shell. It passes the key and the token to curl on standard input, because other users can read
/// arguments.
pub(super) const SNIPPETS: &[Snippet] = &[
    Snippet {
        id: "test-shell",
        name: "Shell",
        needs: "bash, zsh or another POSIX shell, openssl, and curl 7.76 or later.",
        set_up: None,
        run: "Paste it into your shell.",
        template: include_str!("test_request/request.sh"),
        escape: in_shell,
    },
    Snippet {
        id: "test-node",
        name: "Node.js",
        needs: "Node.js 20 or later, with jose.",
        set_up: Some(SetUp { id: "test-node-install", label: "Installation", template: "npm install jose@6" }),
        run: "Save it as request.mjs, and run it with node request.mjs.",
        template: include_str!("test_request/request.mjs"),
        escape: in_single_quotes,
    },
    Snippet {
        id: "test-python",
        name: "Python",
        needs: "Python 3.9 or later, with PyJWT.",
        set_up: Some(SetUp {
            id: "test-python-install",
            label: "Installation",
            template: "pip install 'pyjwt[crypto]'",
        }),
        run: "Save it as request.py, and run it with python3 request.py.",
        template: include_str!("test_request/request.py"),
        escape: in_single_quotes,
    },
    Snippet {
        id: "test-rust",
        name: "Rust",
        needs: "In a new Cargo package, add:",
        set_up: Some(SetUp {
            id: "test-rust-install",
            label: "Installation",
            template: "cargo add jsonwebtoken@11.1 --features aws_lc_rs\n\
             cargo add uuid@1 --features serde,v4\n\
             cargo add serde_json@1 sha2@0.10 ureq@3",
        }),
        run: "Save it as src/main.rs, and run it with cargo run.",
        template: include_str!("test_request/request.rs"),
        escape: in_rust,
    },
    Snippet {
        id: "test-postman",
        name: "Postman",
        needs: "A Postman of May 2025 or later. Here the two variables are Postman’s own, of an environment: NUVERA_API_KEY, \
                and NUVERA_PRIVATE_KEY with the text of the private key. Give them current values only, which Postman does \
                not share, and the type “secret”. Then make a request with the method GET and this address:",
        set_up: Some(SetUp {
            id: "test-postman-address",
            label: "Address",
            template: "{gateway}/api/v1/signature-test",
        }),
        run: "Paste this into Scripts, Pre-request, and send. On a collection it signs every request of it: text bodies, and \
              addresses that are percent-encoded already.",
        template: include_str!("test_request/request.postman.js"),
        escape: str::to_owned,
    },
];

/// Form that sends a test request while the page shows the new API key. The island `TestRequest` signs and sends it.
pub(super) fn sender(application: &ApiApplication) -> impl IntoView + use<> {
    let page = surroundings();
    let registered: Vec<_> = application
        .signing_keys
        .iter()
        .filter(|key| key.verifies(page.now))
        .map(|key| key.public_key.fingerprint())
        .collect();
    view! {
        <div
            class="needs-script"
            data-test-request
            data-worker=format!("{}/{}", paths::ASSETS, page.assets.keydoctor_worker)
            data-gateway=page.gateway_url.clone()
            data-uri=URI
            data-registered=registered.join(" ")
        >
            <Card
                id="test-now"
                heading="Send a signed test request now"
                lead="This browser signs it with your private key and sends it to the gateway with the new API key. The private key stays here."
            >
                <div class="field">
                    <label class="field__label" for="test-file">"Your private key’s file"</label>
                    <p class="field__hint" id="test-file-hint">
                        "A request that is accepted counts as the key’s first use, from this browser."
                    </p>
                    <input
                        class="file"
                        type="file"
                        id="test-file"
                        autocomplete="off"
                        aria-describedby="test-file-hint"
                        data-test-file
                        disabled
                    />
                </div>
                <div class="field" data-test-passphrase hidden>
                    <label class="field__label" for="test-passphrase">"Its passphrase"</label>
                    <input class="input" type="password" id="test-passphrase" autocomplete="off" />
                </div>
                <div class="actions">
                    <button type="button" class="button" data-send disabled>"Send test request"</button>
                </div>
                <p role="status" data-test-status></p>
                <p class="field__error" role="alert" data-test-error hidden></p>
            </Card>
        </div>
    }
}

fn in_shell(text: &str) -> String {
    text.replace('\'', r"'\''")
}

/// Escapes for single-quoted strings of JavaScript and Python, which follow the same rules.
fn in_single_quotes(text: &str) -> String {
    text.replace('\\', r"\\").replace('\'', r"\'")
}

fn in_rust(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', r#"\""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, gateway: &str) -> String {
        let snippet = SNIPPETS.iter().find(|snippet| snippet.id == id).expect("a snippet");
        let text = snippet.text(gateway);
        let line = text.lines().find(|line| line.to_lowercase().contains("gateway")).expect("the gateway's line");
        line.to_owned()
    }

    #[test]
    fn the_gateway_is_one_string_of_each_language_whatever_it_holds() {
        let plain = "https://gateway.example";
        assert_eq!(line("test-shell", plain), "gateway='https://gateway.example'");
        assert_eq!(line("test-shell", "https://x'; rm -rf /"), r"gateway='https://x'\''; rm -rf /'");
        assert_eq!(line("test-node", plain), "const gateway = 'https://gateway.example';");
        assert_eq!(line("test-node", r"https://x\'"), r"const gateway = 'https://x\\\'';");
        assert_eq!(line("test-python", r"https://x\'"), r"gateway = 'https://x\\\''");
        assert_eq!(line("test-rust", plain), r#"const GATEWAY: &str = "https://gateway.example";"#);
        assert_eq!(line("test-rust", r#"https://x\""#), r#"const GATEWAY: &str = "https://x\\\"";"#);
    }

    #[test]
    fn every_snippet_names_the_gateway_once() {
        for snippet in SNIPPETS {
            let set_up = snippet.set_up.map_or("", |set_up| set_up.template);
            assert_eq!(format!("{}{set_up}", snippet.template).matches("{gateway}").count(), 1, "{}", snippet.name);
        }
    }
}
