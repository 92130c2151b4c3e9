//! A signed test request, ready to run: in a shell, and in three languages.

/// A program that signs a request to this gateway as the protocol asks.
pub(super) struct Snippet {
    /// Names its block on the page.
    pub(super) id: &'static str,
    /// The language or tool.
    pub(super) name: &'static str,
    /// What it needs.
    pub(super) needs: &'static str,
    /// How what it needs is installed, and its block's name; nothing where it is there already.
    pub(super) install: Option<(&'static str, &'static str)>,
    /// How it is run.
    pub(super) run: &'static str,
    template: &'static str,
    escape: fn(&str) -> String,
}

impl Snippet {
    /// The program, for the gateway at `gateway_url`.
    pub(super) fn text(&self, gateway_url: &str) -> String {
        self.template.trim_end().replace("{gateway}", &(self.escape)(gateway_url))
    }
}

/// The snippets, the one that needs least first.
///
/// The shell's runs in a subshell, so that a missing variable stops it and nothing is left behind in the shell it was
/// pasted into. The key and the token go to curl through its standard input: arguments can be read by other users.
pub(super) const SNIPPETS: &[Snippet] = &[
    Snippet {
        id: "test-shell",
        name: "Shell",
        needs: "bash, openssl, and curl 7.76 or later.",
        install: None,
        run: "Paste it into bash.",
        template: include_str!("test_request/request.sh"),
        escape: in_shell,
    },
    Snippet {
        id: "test-node",
        name: "Node.js",
        needs: "Node.js 20 or later, with jose.",
        install: Some(("test-node-install", "npm install jose@6")),
        run: "Save it as request.mjs, and run it with node request.mjs.",
        template: include_str!("test_request/request.mjs"),
        escape: in_single_quotes,
    },
    Snippet {
        id: "test-python",
        name: "Python",
        needs: "Python 3.9 or later, with PyJWT.",
        install: Some(("test-python-install", "pip install 'pyjwt[crypto]'")),
        run: "Save it as request.py, and run it with python3 request.py.",
        template: include_str!("test_request/request.py"),
        escape: in_single_quotes,
    },
    Snippet {
        id: "test-rust",
        name: "Rust",
        needs: "In a new Cargo package, add:",
        install: Some((
            "test-rust-install",
            "cargo add jsonwebtoken@11.1 --features aws_lc_rs\n\
             cargo add uuid@1 --features serde,v4\n\
             cargo add serde_json@1 sha2@0.10 ureq@3",
        )),
        run: "Save it as src/main.rs, and run it with cargo run.",
        template: include_str!("test_request/request.rs"),
        escape: in_rust,
    },
];

fn in_shell(text: &str) -> String {
    text.replace('\'', r"'\''")
}

/// Inside single quotes of JavaScript and of Python, which escape alike.
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
            assert_eq!(snippet.template.matches("{gateway}").count(), 1, "{}", snippet.name);
        }
    }
}
