//! What whoever runs the server does at its command line, beside a console that serves.

use crate::support::{Console, Database, PASSWORD};
use app::paths::Area;
use axum::http::StatusCode;
use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

const CHOSEN: &str = "tulip gravel 84 harbour";

/// The program, with its own pepper in `data`: what is written here needs none.
fn program(data: &Path, database: &str, arguments: &[&str], typed: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_server"))
        .args(arguments)
        .arg("--data")
        .arg(data)
        .args(["--database-url", database])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn printed(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_last_admin_who_has_lost_everything_is_let_in_again_and_nobody_with_what_was_lost() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let folder = TempDir::new().unwrap();
        let recover = |email| program(folder.path(), console.database_url(), &["recover", "--email", email], "");
        let mut before = console.admin().await;
        let printed = printed(recover("Admin@Nuvera.example"));
        assert!(printed.starts_with("Ada Admin, Nuvera admin: "), "{printed}");
        let link = printed.lines().last().unwrap();
        assert!(link.starts_with(Area::Hub.reset()), "{printed}");

        assert_eq!(before.get("/organizations").await.status, StatusCode::SEE_OTHER, "the session is ended");
        let old = console.browser().sign_in_at(Area::Hub, "admin@nuvera.example", PASSWORD).await;
        assert_eq!(old.status, StatusCode::UNPROCESSABLE_ENTITY, "and the password");
        let mut browser = console.browser();
        browser.get(link).await.says("Choose a new password").says("admin@nuvera.example");
        let (path, token) = link.split_once("?token=").unwrap();
        let fields = [("token", token), ("password", CHOSEN)];
        assert_eq!(browser.post(path, &fields).await.status, StatusCode::SEE_OTHER);
        assert_eq!(browser.post(path, &fields).await.status, StatusCode::GONE, "once");
        // Nothing before there is a second factor again.
        assert_eq!(browser.sign_in_at(Area::Hub, "admin@nuvera.example", CHOSEN).await.location(), Area::Hub.home());
        assert_eq!(
            browser.get("/organizations/people").await.location(),
            "/organizations/account/second-factor?next=%2Forganizations%2Fpeople"
        );

        let auditor = console.signed_in("auditor@nuvera.example").await;
        let history = { auditor }.get("/organizations/audit.jsonl").await;
        let by_operator = "On the server’s command line, by whoever runs it";
        let events: Vec<_> = history.body.lines().filter(|line| line.contains(by_operator)).collect();
        assert_eq!(events.len(), 2, "{events:?}");
        assert!(events.iter().any(|line| line.contains("second_factor.reset")), "{events:?}");
        assert!(events.iter().any(|line| line.contains("password.reset_begun")), "{events:?}");
    }
}

#[tokio::test]
async fn nobody_is_recovered_who_is_not_there_or_has_no_password() {
    let console = Console::start().await;
    let folder = TempDir::new().unwrap();
    let email = "nobody@alpine.example";
    let output = program(folder.path(), console.database_url(), &["recover", "--email", email], "");
    assert!(refused(&output).contains("nobody signs in with nobody@alpine.example and a password"));
}

#[test]
fn an_admin_is_made_with_a_good_password_only_and_once() {
    let folder = TempDir::new().unwrap();
    let database = Database::sqlite();
    let create = |email: &str, password: &str| {
        let arguments = ["create-admin", "--email", email, "--name", "Nele New"];
        program(folder.path(), &database.url, &arguments, &format!("{password}\n"))
    };
    for (email, password, why) in [
        ("nele@nuvera.example", "short", "at least 15 characters"),
        ("nele@nuvera.example", "f75gFAwwfYIJHEaz", "stolen elsewhere"),
        ("nele@nuvera.example", "nele@nuvera.example", "would be guessed"),
        ("nele", CHOSEN, "--email: "),
    ] {
        let told = refused(&create(email, password));
        assert!(told.contains(why), "{told}");
    }
    let made = printed(create("nele@nuvera.example", CHOSEN));
    assert!(made.contains("nele@nuvera.example can sign in now"), "{made}");
    assert!(refused(&create("Nele@Nuvera.example", CHOSEN)).contains("has an account already"));
}
