//! What an operator's monitoring reads: log lines, metrics, and what a start says of settings that cannot be meant.

use crate::{
    process::{Console, LIST, Server, free_address, write_assets},
    secrets::Log,
    support::{Connection, Reply, World},
};
use serde_json::Value;
use std::{
    fs::File,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

/// The lines of the log with this target.
fn lines(log: &Log, target: &str) -> Vec<Value> {
    let text = log.text();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == target).map(|line| line["fields"].clone()).collect()
}

#[tokio::test]
async fn a_line_says_who_sent_a_request_and_from_where_and_accepted_ones_can_be_left_out() {
    let log = Log::start();
    let world = World::start().await;
    let received = "4bf92f3577b34da6a3ce929d0e0e4736";
    let accepted = world.send(world.get().add("X-Request-ID", received)).await;
    accepted.verified();
    world.refusal(world.get().claim("iss", "x").add("X-Request-ID", &"x".repeat(1_000))).await;
    world.refusal(world.get().without("x-api-key")).await;

    let of_accepted = lines(&log, "gateway::accepted");
    let [line] = &of_accepted[..] else { panic!("{}", log.text()) };
    for (field, value) in [
        ("client_address", "127.0.0.1"),
        ("organization_id", &world.application.organization_id.to_string()),
        ("application_id", &world.application.id.to_string()),
        ("key_id", &world.application.api_keys[0].id.to_string()),
        ("request_id", accepted.header("x-request-id").unwrap()),
        ("received_request_id", received),
        ("code", "ok"),
    ] {
        assert_eq!(line[field], value, "{field}");
    }
    let of_refused = lines(&log, "gateway::refused");
    let [known, unknown] = &of_refused[..] else { panic!("{}", log.text()) };
    assert_eq!((&known["code"], &known["client_address"]), (&"wrong_issuer".into(), &"127.0.0.1".into()));
    assert_eq!(known["organization_id"], world.application.organization_id.to_string());
    assert_eq!(known["received_request_id"].as_str().unwrap().chars().count(), 201, "cut");
    assert_eq!((&unknown["code"], &unknown["client_address"]), (&"missing_api_key".into(), &"127.0.0.1".into()));
    assert!(unknown.get("organization_id").is_none() && unknown.get("received_request_id").is_none());
}

/// The lines of a server's log with this message, and the fields that all lines of their request have.
fn with_spans(text: &str, message: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut lines: Vec<_> = lines.filter(|line| line["message"] == message).collect();
    for line in &mut lines {
        let spans = line["spans"].as_array().cloned().unwrap_or_default();
        for (name, value) in spans.iter().flat_map(|span| span.as_object().unwrap()).filter(|(name, _)| *name != "name")
        {
            line[name] = value.clone();
        }
    }
    lines
}

#[tokio::test]
async fn a_refused_sign_in_and_every_request_of_the_console_say_from_where_and_by_whom() {
    let folder = tempfile::tempdir().unwrap();
    write_assets(folder.path());
    let server = Server::start(folder.path(), &folder.path().join("data")).await;
    for email in ["owner@alpine.example", "nobody@alpine.example"] {
        let fields = [("email", email), ("password", "wrong")];
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut connection = Connection::open(server.console).await;
        let head = format!(
            "POST /sign-in HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {1}\r\n\r\n{body}",
            server.console,
            body.len()
        );
        connection.write(head.as_bytes()).await;
        assert_eq!(connection.read().await.unwrap().status, 422);
    }
    let mut console = Console::sign_in(server.console).await;
    console.get(LIST).await.unwrap();
    let text = server.log_with(&format!("\"path\":\"{LIST}\"")).await;
    let refused = with_spans(&text, "an attempt to sign in was refused");
    assert_eq!((refused.len(), &refused[0]["client_address"]), (1, &"127.0.0.1".into()), "{text}");
    let unknown = with_spans(&text, "an attempt to sign in to no account was refused");
    assert_eq!((unknown.len(), &unknown[0]["client_address"]), (1, &"127.0.0.1".into()), "{text}");
    let requests = with_spans(&text, "console");
    let list = requests.iter().find(|line| line["path"] == LIST).unwrap();
    assert_eq!((&list["client_address"], &list["user_id"]), (&"127.0.0.1".into(), &refused[0]["user_id"]));
    assert!(list["organization_id"].is_string() && list["user_id"].is_string(), "{list}");
    // The control: who has not signed in has an address and no name.
    let sign_in = requests.iter().find(|line| line["path"] == "/sign-in").unwrap();
    assert_eq!((&sign_in["client_address"], sign_in.get("user_id")), (&"127.0.0.1".into(), None));
    server.stop().await;
}

async fn get(address: SocketAddr, path: &str) -> Reply {
    let mut connection = Connection::open(address).await;
    connection.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
    connection.read().await.expect("an answer")
}

#[tokio::test]
async fn metrics_have_conventional_names_and_what_only_grows_is_a_counter() {
    let folder = tempfile::tempdir().unwrap();
    write_assets(folder.path());
    let metrics = free_address().await;
    let upstream = free_address().await;
    let more = ["--metrics-address", &metrics.to_string(), "--upstream", &format!("http://{upstream}")];
    let server = Server::start_with(folder.path(), &folder.path().join("data"), &more).await;
    Console::sign_in(server.console).await;
    let reply = get(metrics, "/metrics").await;
    let text = reply.text();
    for line in [
        "# TYPE nuvera_build info",
        "# TYPE process_cpu_seconds counter",
        "# TYPE process_resident_memory_bytes gauge",
        "# TYPE process_start_time_seconds gauge",
        "# TYPE process_open_fds gauge",
        "# TYPE nuvera_gateway_uncounted_uses counter",
        "# TYPE nuvera_gateway_upstream_requests counter",
        "# TYPE nuvera_gateway_upstream_answer_seconds histogram",
        "# TYPE nuvera_gateway_upstream_connections gauge",
        "# TYPE nuvera_log_lines_dropped counter",
        "# TYPE nuvera_mail_messages counter",
        "nuvera_log_lines_dropped_total 0",
        "nuvera_gateway_uncounted_uses_total 0",
        "nuvera_sign_ins_total{method=\"password\",outcome=\"accepted\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    for begin in ["nuvera_build_info{version=\"", "nuvera_database_connections{pool=\"writing\",state=\"idle\"} "] {
        assert!(text.lines().any(|line| line.starts_with(begin)), "{begin} is not in\n{text}");
    }
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse::<f64>().unwrap()
    };
    assert!(value("process_resident_memory_bytes") > 1e6 && value("process_max_fds") > value("process_open_fds"));
    // OpenMetrics ends once, and each name is described once.
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    let mut names: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    let post = {
        let mut connection = Connection::open(metrics).await;
        connection.write(b"POST /metrics HTTP/1.1\r\nHost: x\r\ncontent-length: 0\r\n\r\n").await;
        connection.read().await.unwrap()
    };
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
}

/// What a start with these arguments and this environment says, which fails.
fn refused(folder: &Path, arguments: &[&str], variable: Option<(&str, &str)>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.arg("serve").arg("--data").arg(folder.join("data")).arg("--site").arg(folder).args(arguments);
    command.envs(variable).stdin(Stdio::null()).stdout(Stdio::null());
    let log = folder.join("log");
    command.stderr(File::create(&log).unwrap());
    assert!(!command.status().unwrap().success(), "{arguments:?} {variable:?}");
    assert!(!folder.join("data").exists(), "nothing was created");
    std::fs::read_to_string(log).unwrap()
}

#[test]
fn a_setting_that_cannot_be_meant_is_refused_at_the_start_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    write_assets(folder.path());
    let own = ["--gateway-address", "127.0.0.1:24987", "--upstream", "http://localhost:24987"];
    for (arguments, variable, says) in [
        (
            &[][..],
            Some(("NUVERA_GATEWAY_ADRESS", "127.0.0.1:1")),
            "NUVERA_GATEWAY_ADRESS: there is no such setting; did you mean NUVERA_GATEWAY_ADDRESS?",
        ),
        (&[], Some(("NUVERA_MAX_BODY", "0")), "--max-body"),
        (&["--max-body", "0"], None, "--max-body"),
        (&own, None, "--upstream: \"http://localhost:24987\" is --gateway-address 127.0.0.1:24987 of this server"),
        (&["--trusted-proxies", "10.0.0.0/99"], None, "--trusted-proxies"),
        (&["--upstream", "ftp://api"], None, "--upstream: \"ftp://api\" cannot be used"),
    ] {
        let said = refused(folder.path(), arguments, variable);
        assert!(said.contains(says), "{said}");
    }
}
