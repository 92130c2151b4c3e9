//! A private key pasted into the console, in whatever form, is neither sent back in a response nor written to the
//! database or the log.

use crate::support::{Answer, Browser, Console, Database, LIST, Log, PASSWORD, PEM_A, PEM_B};
use axum::http::StatusCode;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use domain::public_key::PublicKey;
use std::{collections::HashSet, fmt::Write as _, fs, process::Command, time::Duration};

/// A canary: a private key in the form that some tool exports, and the traces that must not be found anywhere.
struct Canary {
    form: &'static str,
    text: String,
    /// Parts of the text that reveal something of the private half.
    traces: Vec<String>,
}

/// Length of a trace in characters. A line of PEM has several traces.
const TRACE: usize = 20;

impl Canary {
    fn new(form: &'static str, text: String, public: &HashSet<String>) -> Self {
        // Every twentieth is enough: anything that leaks has at least 40 consecutive characters of the key, and so a
        // whole trace.
        let mut all = traces(&text);
        all.retain(|trace| !public.contains(trace));
        let traces = all.into_iter().step_by(TRACE).collect::<Vec<_>>();
        assert!(!traces.is_empty(), "{form}");
        Self { form, text, traces }
    }

    fn is_in(&self, text: &str) -> Option<&String> {
        self.traces.iter().find(|trace| holds(text.as_bytes(), trace))
    }
}

/// Every substring of `text` that is [`TRACE`] characters of key material.
fn traces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let windows = characters.windows(TRACE).map(|window| window.iter().collect::<String>());
    let is_material = |window: &String| {
        let of_key = |c: char| c.is_ascii_alphanumeric() || "+/=_,:".contains(c);
        window.chars().all(of_key) && window.chars().any(|c| c.is_ascii_digit())
    };
    windows.filter(is_material).collect()
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut command = Command::new("openssl");
    let piped = std::process::Stdio::piped;
    let mut child = command.args(arguments).stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The INTEGERs of a PKCS#1 private key: version, n, e, d, p, q, dP, dQ, qInv.
fn integers(der: &[u8]) -> Vec<Vec<u8>> {
    fn length(der: &[u8]) -> (usize, usize) {
        match der[1] {
            short if short < 0x80 => (2, usize::from(short)),
            long => {
                let bytes = usize::from(long & 0x7F);
                (2 + bytes, der[2..2 + bytes].iter().fold(0, |length, &byte| length << 8 | usize::from(byte)))
            }
        }
    }
    let mut rest = &der[length(der).0..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (header, length) = length(rest);
        assert_eq!(rest[0], 2);
        found.push(rest[header..header + length].iter().copied().skip_while(|&byte| byte == 0).collect());
        rest = &rest[header + length..];
    }
    found
}

fn base64_lines(bytes: &[u8], width: usize) -> String {
    let text = STANDARD.encode(bytes);
    let lines: Vec<_> = text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join("\n")
}

fn percent_encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// One private key in the forms in which tools export it, and in the forms that users mangle it into.
fn canaries() -> (String, Vec<Canary>) {
    let pem =
        String::from_utf8(openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], b"")).unwrap();
    let public = String::from_utf8(openssl(&["pkey", "-pubout"], pem.as_bytes())).unwrap();
    let pkcs8 = openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], pem.as_bytes());
    let pkcs1 = openssl(&["rsa", "-traditional", "-outform", "DER"], pem.as_bytes());
    let traditional = String::from_utf8(openssl(&["rsa", "-traditional"], pem.as_bytes())).unwrap();
    let encrypted = openssl(&["pkcs8", "-topk8", "-passout", "pass:correct horse"], pem.as_bytes());
    let encrypted = String::from_utf8(encrypted).unwrap();
    let ec = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], b"");
    let ec = String::from_utf8(ec).unwrap();
    let text = String::from_utf8(openssl(&["rsa", "-text", "-noout"], pem.as_bytes())).unwrap();
    let numbers = integers(&pkcs1);
    let (url, plain): (Vec<_>, Vec<_>) =
        numbers.iter().map(|number| (URL_SAFE_NO_PAD.encode(number), STANDARD.encode(number))).unzip();
    let hex =
        |bytes: &[u8], between: &str| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between);
    let jwk = format!(
        r#"{{"kty":"RSA","n":"{}","e":"AQAB","d":"{}","p":"{}","q":"{}","dp":"{}","dq":"{}","qi":"{}"}}"#,
        url[1], url[3], url[4], url[5], url[6], url[7], url[8]
    );
    let xml = format!(
        "<RSAKeyValue><Modulus>{}</Modulus><Exponent>AQAB</Exponent><P>{}</P><Q>{}</Q><D>{}</D></RSAKeyValue>",
        plain[1], plain[4], plain[5], plain[3]
    );
    let mut ssh = b"openssh-key-v1\0".to_vec();
    for part in [&b"none"[..], b"none", b"", &numbers[3], &numbers[4], &numbers[5]] {
        ssh.extend((part.len() as u32).to_be_bytes());
        ssh.extend(part);
    }
    let ssh =
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----", base64_lines(&ssh, 70));
    let putty = format!(
        "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nComment: rsa\nPrivate-Lines: 14\n{}\nPrivate-MAC: {}",
        base64_lines(&[&numbers[3][..], &numbers[4], &numbers[5]].concat(), 64),
        hex(&numbers[8][..32], "")
    );
    let body = base64_lines(&pkcs8, 64);
    let mut bytes = String::new();
    for byte in &pkcs8 {
        write!(bytes, "{byte},").unwrap();
    }
    let known = traces(&public).into_iter().chain(traces(&url[1])).chain(traces(&plain[1]));
    // The public half inside the private forms, for every alignment of its base64.
    let known: HashSet<_> = known.chain(traces(PEM_A)).chain(traces(PEM_B)).collect();
    let forms = [
        ("PKCS#8 PEM", pem.clone()),
        ("PKCS#1 PEM", traditional.clone()),
        ("encrypted PEM", encrypted),
        ("elliptic-curve PEM", ec.clone()),
        ("base64 of a PEM", STANDARD.encode(&pem)),
        ("base64 of base64 of a PEM", STANDARD.encode(STANDARD.encode(&pem))),
        ("base64url of a PEM", URL_SAFE_NO_PAD.encode(&pem)),
        ("XML", xml.clone()),
        ("base64 of XML", STANDARD.encode(&xml)),
        ("JWK", jwk.clone()),
        ("JWK set", format!(r#"{{"keys":[{jwk}]}}"#)),
        ("JWK in single quotes", jwk.replace('"', "'")),
        ("OpenSSH", ssh.clone()),
        ("OpenSSH without its armour", ssh.lines().skip(1).take(20).collect::<Vec<_>>().join("\n")),
        ("PuTTY", putty),
        ("hex DER", hex(&pkcs8, "")),
        ("hex DER in upper case", hex(&pkcs8, "").to_uppercase()),
        ("hex DER with colons", hex(&pkcs8, ":")),
        ("hex DER as C writes it", hex(&pkcs8, ",0x")),
        ("bytes in decimal", bytes),
        ("OpenSSL's text", text),
        ("PKCS#8 DER in base64", STANDARD.encode(&pkcs8)),
        ("PKCS#1 DER in base64", STANDARD.encode(&pkcs1)),
        ("PEM without its armour", body.clone()),
        ("PEM without its first lines", pem.lines().skip(4).collect::<Vec<_>>().join("\n")),
        ("PEM without its last lines", pem.lines().take(12).collect::<Vec<_>>().join("\n")),
        ("PEM labelled as public", format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----")),
        ("PEM labelled otherwise", format!("-----BEGIN KEY-----\n{body}\n-----END KEY-----")),
        ("PEM with its body in the label", format!("-----BEGIN {}-----\n{body}\n-----END KEY-----", &body[200..240])),
        ("PEM twice", format!("{pem}{pem}")),
        ("PEM after text", format!("Hello, here is the key that you asked for:\n\n{pem}\nRegards")),
        ("PEM on one line", pem.replace('\n', " ")),
        ("PEM in a JSON string", pem.replace('\n', "\\n")),
        ("PEM, indented", pem.replace('\n', "\n    ")),
        (
            "PEM in lower-case armour",
            pem.replace("BEGIN PRIVATE KEY", "begin private key").replace("END PRIVATE", "end private"),
        ),
        ("PEM, percent-encoded", percent_encoded(&pem)),
        ("PEM, percent-encoded twice", percent_encoded(&percent_encoded(&pem))),
        ("public PEM, then private PEM", format!("{public}{pem}")),
        ("private PEM, then public PEM", format!("{pem}{public}")),
        ("public PEM, then private base64", format!("{public}{body}")),
        ("environment variable", format!("PRIVATE_KEY=\"{}\"", STANDARD.encode(&pkcs8))),
        ("the private exponent alone", plain[3].clone()),
    ];
    let canaries: Vec<_> = forms.into_iter().map(|(form, text)| Canary::new(form, text, &known)).collect();
    for canary in &canaries {
        // A form with only public traces would prove nothing.
        assert!(canary.traces.len() > 3, "{}: {}", canary.form, canary.traces.len());
    }
    (public, canaries)
}

/// Every way to read a response: as sent, with entities decoded, and with percent-encoding decoded.
fn readings(answer: &Answer) -> [String; 3] {
    let headers = format!("{:?}", answer.headers);
    let raw = format!("{headers}{}", answer.body);
    let read = raw.replace("&#x2F;", "/").replace("&#x27;", "'").replace("&quot;", "\"").replace("&amp;", "&");
    let decode = |text: &str| -> String {
        let pairs = form_urlencoded::parse(text.as_bytes());
        pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    };
    let decoded = decode(&read);
    [raw, decoded.clone(), decode(&decoded)]
}

fn assert_free(answer: &Answer, canary: &Canary, what: &str) {
    for reading in readings(answer) {
        if let Some(trace) = canary.is_in(&reading) {
            panic!("{what}: {} is sent back ({trace})", canary.form);
        }
    }
}

/// The bytes of the database file and of its write-ahead log.
fn database_bytes(console: &Console) -> Vec<u8> {
    let path = console.database_url().strip_prefix("sqlite://").unwrap().split('?').next().unwrap().to_owned();
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend(fs::read(format!("{path}-wal")).unwrap());
    bytes
}

fn holds(bytes: &[u8], trace: &str) -> bool {
    memchr::memmem::find(bytes, trace.as_bytes()).is_some()
}

/// The fields of the two forms with a public key, any of which a user may paste into.
const FIELDS: [&str; 7] = ["public_key", "proof", "name", "reason", "ticket", "challenge", "key_source"];

fn form<'a>(field: &'a str, text: &'a str) -> Vec<(&'a str, &'a str)> {
    let usual = [("name", "Ledger"), ("public_key", PEM_B), ("creation_token", "a token"), ("version", "0")];
    let usual = usual.into_iter().chain([
        ("overlap", "none"),
        ("reason", "a harmless reason"),
        ("permissions", "PAYMENTS_WRITE"),
    ]);
    usual.filter(|(name, _)| *name != field).chain([(field, text)]).collect()
}

#[tokio::test]
async fn a_private_key_in_a_form_is_not_sent_back_and_not_kept() {
    let log = Log::default();
    // For the whole process, because a handler may log on another thread.
    let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::DEBUG).with_writer(log.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    let console = Console::start_on(Database::sqlite()).await;
    let (public, canaries) = canaries();
    let mut owner = console.owner().await;
    let (id, _) = owner.create("Application", PEM_A).await;
    let paths = [format!("{LIST}/new"), format!("{LIST}/{id}/replace-signing-key")];
    for path in &paths {
        for canary in &canaries {
            // The fields other than the key are handled alike on both pages.
            let beside = if path == &paths[0] { &FIELDS[..] } else { &FIELDS[..1] };
            for &field in beside {
                let fields = form(field, &canary.text);
                let answer = owner.post(path, &fields).await;
                assert_free(&answer, canary, &format!("{path}, {field}"));
                // A key in a field that is read makes the form invalid.
                if matches!(field, "public_key" | "name" | "reason" | "ticket") {
                    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}, {field}: {}", canary.form);
                }
                // Without a session the form is kept on the sign-in page, without the key.
                let mut stranger = console.browser();
                let waiting = stranger.post(path, &fields).await;
                waiting.says("You were signed out before this was sent");
                assert_free(&waiting, canary, &format!("{path}, {field}, signed out"));
            }
        }
        // The messages that the user sees instead.
        let answer = owner.post(path, &form("public_key", &canaries[7].text)).await;
        answer.says("This is a private key.");
        let answer = owner.post(path, &form("public_key", "something else")).await;
        answer.says("Paste the public key in PEM form").says("What you pasted was dropped and is stored nowhere.");
    }
    assert_eq!(console.application(&id).await.version, 1, "nothing was changed");

    // A page of an older version may post the whole form to the sign-in page: the session does not keep the key either.
    for canary in &canaries {
        let unsent =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(form("public_key", &canary.text)).finish();
        let mut browser = console.browser();
        let fields =
            [("email", "owner@alpine.example"), ("password", "wrong"), ("next", &*paths[0]), ("unsent", &unsent)];
        let refused = browser.post("/sign-in", &fields[..1]).await;
        assert_free(&refused, canary, "no password");
        let fields = [fields[0], ("password", PASSWORD), fields[2], fields[3]];
        let entered = browser.post("/sign-in", &fields).await;
        assert_eq!(entered.location(), paths[0]);
        let shown = browser.get(&paths[0]).await;
        shown.says("You were signed out before this form was sent");
        assert!(shown.body.contains("value=\"Ledger\""), "the rest is kept: {}", shown.text());
        assert_free(&shown, canary, "after the sign-in");
        // The same where a fresh proof of identity is requested first.
        console.advance(Duration::from_secs(11 * 60));
        let confirm = browser.post(&paths[0], &form("public_key", &canary.text)).await;
        assert_free(&confirm, canary, "the proof");
    }

    // The controls: the places that are searched do contain harmless text, and a public key is shown again.
    let mut owner = console.owner().await;
    let renamed = owner.submit(&format!("{LIST}/{id}/rename"), &[("name", "Harmless canary 4711")]).await;
    assert_eq!(renamed.status, StatusCode::SEE_OTHER);
    let answer = owner.post(&paths[0], &[("name", ""), ("public_key", &public)]).await;
    assert!(
        answer.body.contains(&*PublicKey::from_pem(&public).unwrap().pem().replace('/', "&#x2F;"))
            || readings(&answer)[0].contains(public.lines().nth(2).unwrap()),
        "{}",
        answer.body
    );
    let waiting = console.browser().post(&paths[0], &[("name", "x"), ("public_key", &public)]).await;
    let line = public.lines().nth(2).unwrap();
    assert!(readings(&waiting)[1].contains(line) || readings(&waiting)[2].contains(line), "{}", waiting.body);
    let (bytes, logged) = (database_bytes(&console), String::from_utf8(log.0.lock().unwrap().clone()).unwrap());
    assert!(holds(&bytes, "Harmless canary 4711"), "the database is searched");
    assert!(logged.contains("signed in"), "the log is searched: {} bytes", logged.len());
    for canary in &canaries {
        if let Some(trace) = canary.traces.iter().find(|trace| holds(&bytes, trace)) {
            panic!("{}: {trace} is in the database", canary.form);
        }
        assert!(canary.is_in(&logged).is_none(), "{} is in the log", canary.form);
    }
}

/// The negative control of the test above: it detects a key that a page sends back, and one that is stored.
#[tokio::test]
async fn a_key_that_were_sent_back_or_stored_would_be_found() {
    let console = Console::start_on(Database::sqlite()).await;
    let (_, canaries) = canaries();
    for canary in &canaries {
        let escaped = canary.text.replace('/', "&#x2F;").replace('"', "&quot;");
        for body in [canary.text.clone(), escaped, percent_encoded(&canary.text)] {
            let answer = Answer { status: StatusCode::OK, headers: Default::default(), body };
            let found = readings(&answer).iter().any(|reading| canary.is_in(reading).is_some());
            assert!(found, "{}", canary.form);
        }
        let mut transaction = console.store.write().await.unwrap();
        let name = format!("control {}", canary.form);
        server::store::settings::set(&mut transaction, &name, &canary.text).await.unwrap();
        transaction.commit().await.unwrap();
    }
    let bytes = database_bytes(&console);
    for canary in &canaries {
        assert!(canary.traces.iter().any(|trace| holds(&bytes, trace)), "{}", canary.form);
    }
}

/// Free-text fields: a key is rejected at its field, while an emergency stop goes ahead with the key removed.
#[tokio::test]
async fn a_key_in_free_text_is_dropped_and_holds_no_stop_up() {
    let console = Console::start_on(Database::sqlite()).await;
    let (_, canaries) = canaries();
    let mut owner = console.owner().await;
    let mut admin = console.admin().await;
    let (id, key) = owner.create("Ledger", PEM_A).await;
    for canary in &canaries {
        let text = &*canary.text;
        let renamed = owner.submit(&format!("{LIST}/{id}/rename"), &[("name", text)]).await;
        assert_eq!(renamed.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", canary.form);
        assert_free(&renamed, canary, "rename");
        let searched = admin.post("/organizations", &[("q", text)]).await;
        assert_free(&searched, canary, "search");
        let invite = [("name", text), ("email", "new@alpine.example"), ("role", "partner_viewer")];
        assert_free(&owner.post("/settings/platform/people/invite", &invite).await, canary, "invite");
        let invite = [("name", "New"), ("email", text), ("role", "partner_viewer")];
        assert_free(&owner.post("/settings/platform/people/invite", &invite).await, canary, "invite");
        let signed_in = console.browser().post("/sign-in", &[("email", text), ("password", "x")]).await;
        assert_free(&signed_in, canary, "sign-in");
    }
    assert_eq!(console.application(&id).await.version, 1);
    let stopped = owner.submit(&format!("{LIST}/{id}/disable"), &[("reason", &canaries[0].text)]).await;
    assert_eq!(stopped.status, StatusCode::SEE_OTHER, "{}", stopped.text());
    assert_eq!(console.gateway_says(&key).await, "application_disabled");
    assert_eq!(console.application(&id).await.disabled.unwrap().reason.as_str(), "[key removed]");
    // The reasons that the pages suggest are not mistaken for a key.
    owner.submit(&format!("{LIST}/{id}/enable"), &[("reason", "A private key leaked")]).await;
    assert_eq!(console.gateway_says(&key).await, "malformed_token");
    let bytes = database_bytes(&console);
    for canary in &canaries {
        assert!(canary.traces.iter().all(|trace| !holds(&bytes, trace)), "{}", canary.form);
    }
}

/// Other text pasted into the key's field is not sent back either.
#[tokio::test]
async fn what_is_no_public_key_is_not_sent_back() {
    let console = Console::start().await;
    let mut owner: Browser = console.owner().await;
    for pasted in ["hello canary", "-----BEGIN CANARY-----", "ssh-rsa AAAAcanary", "{\"kty\":\"canary\"}"] {
        let answer = owner.create_answer("Ledger", pasted, &[]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!answer.body.to_lowercase().contains("canary"), "{pasted}: {}", answer.body);
        assert!(answer.body.contains("value=\"Ledger\""), "the name is");
    }
}
