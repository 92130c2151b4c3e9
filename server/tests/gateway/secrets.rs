//! API keys and tokens never appear in a response or in the log.

use crate::support::{Call, World, pair, sign};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use serde_json::json;
use std::{
    io,
    sync::{Arc, Mutex, Once, OnceLock},
};
use tracing_subscriber::fmt::MakeWriter;

/// Everything that this process logs, at every level.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    pub fn start() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        static ONCE: Once = Once::new();
        let log = LOG.get_or_init(Self::default).clone();
        ONCE.call_once(|| {
            let subscriber =
                tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
            tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
        });
        log
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Parts that must not be disclosed: the key's secret half, and the token's segments.
fn canaries(world: &World, token: &str) -> Vec<String> {
    let mut canaries = vec![world.api_key.reveal()[13..].to_owned()];
    canaries.extend(token.split('.').map(|segment| segment[20..].to_owned()));
    canaries
}

/// Requests with a secret in the wrong place.
fn misplaced(world: &World) -> Vec<Call> {
    let key = world.api_key.reveal().to_owned();
    let jwt = world.get().token();
    let mut calls = vec![world.get(), world.get().claim("iss", "x"), world.get().claim("sub", format!("{key}x"))];
    for secret in [&key, &jwt] {
        calls.extend([
            world.call("GET", &format!("/api/v1/signature-test?key={secret}"), b""),
            world.call("GET", &format!("/api/v1/customers/{secret}"), b""),
            world.call("GET", &format!("/api/v1/nothing/{secret}"), b""),
            world.get().add("X-Request-ID", secret),
            world.call("GET", &format!("/api/v1/signature-test?key={secret}"), b"").claim("uri", "/"),
            world.call(secret, "/api/v1/customers", b"").claim("method", "GET"),
            world.get().claim("uri", secret.as_str()),
            world.get().claim("method", secret.as_str()),
            world.get().claim("iss", secret.as_str()),
            world.get().claim("aud", secret.as_str()),
            world.get().claim("bodyHash", secret.as_str()),
            world.get().claim(secret, 1),
            world.get().add(&format!("x-nuvera-{}", secret.replace('.', "-")), "x"),
            world.get().add("Connection", &format!("x-nuvera-{secret}")),
            world.get().add("User-Agent", secret),
        ]);
        let mut call = world.get();
        call.header["alg"] = json!(secret);
        calls.push(call);
    }
    calls
}

#[tokio::test]
async fn no_answer_and_no_log_holds_a_key_or_a_token() {
    let log = Log::start();
    let world = World::start().await;
    let twice = {
        let call = world.get();
        let name = world.api_key.reveal();
        let claims = format!(r#"{{"{name}":1,"{name}":2}}"#);
        let input =
            format!("{}.{}", crate::support::base64url(call.header.to_string()), crate::support::base64url(claims));
        (call.bytes_with(&sign(pair(0), &RSA_PKCS1_SHA256, &input)), String::new())
    };
    let calls = misplaced(&world).into_iter().map(|call| {
        let token = call.token();
        (call.bytes_with(&token), token)
    });
    let mut statuses = Vec::new();
    for (bytes, token) in calls.chain([twice]) {
        let reply = world.send_bytes(&bytes).await;
        statuses.push(reply.status);
        let answer = format!("{:?} {}", reply.headers, String::from_utf8_lossy(&reply.body));
        let logged = log.text();
        let kept = format!("{:?}", world.gateway.snapshot().take_recent_requests());
        assert!(kept.contains("SeenRequest") || reply.status == 400, "{kept}");
        let token = if token.is_empty() { world.get().token() } else { token };
        for canary in canaries(&world, &token) {
            assert!(!answer.to_lowercase().contains(&canary.to_lowercase()), "{canary} in {answer}");
            assert!(!logged.contains(&canary), "{canary} in the log");
            assert!(!kept.contains(&canary), "{canary} in {kept}");
        }
    }
    for status in [200, 400, 401, 404, 405] {
        assert!(statuses.contains(&status), "{status}");
    }
    // The control: the log is captured, and has what it may contain.
    let logged = log.text();
    assert!(logged.contains(world.api_key.prefix().as_str()) && logged.contains("wrong_issuer"));
    assert!(!logged.contains("signature-test?"), "a query string was logged");
}

#[tokio::test]
async fn a_stranger_does_not_choose_how_long_a_line_of_the_log_is() {
    let log = Log::start();
    let world = World::start().await;
    let (method, path) = ("M".repeat(10_000), format!("/{}", "p".repeat(10_000)));
    let reply = world.send_bytes(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
    let id = reply.header("x-request-id").unwrap();
    let text = log.text();
    let line = text.lines().find(|line| line.contains(id) && line.contains("\"gateway::refused\"")).unwrap();
    assert!(line.len() < 1_000 && line.contains(&path[..200]), "{line}");
}

#[tokio::test]
async fn each_request_is_one_event_that_names_what_happened() {
    let log = Log::start();
    let mut world = World::start().await;
    world.change(|application, by| application.change_permissions(Default::default(), by));
    let accepted = world.send(world.call("GET", "/api/v1/signature-test?secret=1", b"")).await;
    let refused = world.send(world.get()).await;
    let events: Vec<serde_json::Value> = log.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (reply, path, code) in
        [(&accepted, "/api/v1/signature-test", "ok"), (&refused, "/api/v1/customers", "permission_missing")]
    {
        let id = reply.header("x-request-id").unwrap();
        let mine: Vec<_> =
            events.iter().map(|event| &event["fields"]).filter(|event| event["request_id"] == id).collect();
        assert_eq!(mine.len(), 1);
        let event = mine[0];
        assert_eq!((&event["method"], &event["path"], &event["code"]), (&json!("GET"), &json!(path), &json!(code)));
        assert_eq!(event["status"], reply.status);
        assert_eq!(event["application_id"], json!(world.application.id));
        assert_eq!(event["key_id"], json!(world.application.api_keys[0].id));
        assert!(event["micros"].is_u64());
    }
}
