//! What whoever runs the server does at its command line, beside a console that serves.

use crate::support::{Console, Database, PASSWORD};
use app::paths::Area;
use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use domain::{
    access::Role,
    audit::{AuditFilter, AuditScope},
};
use server::store::{audit, users};
use sqlx::{AnyConnection, Connection, Executor};
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

const CHOSEN: &str = "tulip gravel 84 harbour";

/// A data folder with the pepper of a [`Console`].
fn data_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("pepper"), format!("test {}\n", STANDARD_NO_PAD.encode([7; 32]))).unwrap();
    folder
}

/// Runs the program with these arguments to its end.
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
        let folder = data_folder();
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
    let folder = data_folder();
    let email = "nobody@alpine.example";
    let output = program(folder.path(), console.database_url(), &["recover", "--email", email], "");
    assert!(refused(&output).contains("nobody signs in with nobody@alpine.example and a password"));
}

#[test]
fn an_admin_is_made_with_a_good_password_only_and_once() {
    let folder = TempDir::new().unwrap();
    let database = Database::sqlite();
    let migrated = printed(program(folder.path(), &database.url, &["migrate"], ""));
    assert!(migrated.contains("up to date"), "{migrated}");
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

/// What a command that must not create anything may not change.
fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_command_for_a_database_that_no_server_has_used_is_refused_and_creates_nothing() {
    let folder = TempDir::new().unwrap();
    let mistyped = folder.path().join("dtaa");
    let create = ["create-admin", "--email", "nele@nuvera.example", "--name", "Nele New"];
    let run = |data: &Path, arguments: &[&str]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_server"))
            .args(arguments)
            .arg("--data")
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that asks for nothing may have ended.
        let _ = child.stdin.take().unwrap().write_all(format!("{CHOSEN}\n").as_bytes());
        child.wait_with_output().unwrap()
    };
    let recover = ["recover", "--email", "nele@nuvera.example"];
    for arguments in [&create[..], &recover] {
        let said = refused(&run(&mistyped, arguments));
        assert!(said.contains("--data: there is no folder ") && said.contains("server migrate --data "), "{said}");
        let said = refused(&run(folder.path(), arguments));
        assert!(said.contains("--data: there is no database ") && said.contains("nuvera.db"), "{said}");
        assert_eq!(names(folder.path()), BTreeSet::new());
    }
    // The control: once `migrate` has run, both do their work, and `migrate` changes nothing the second time.
    for _ in 0..2 {
        printed(run(folder.path(), &["migrate"]));
    }
    printed(run(folder.path(), &create));
    printed(run(folder.path(), &recover));

    let copy = folder.path().join("copy.db");
    let backup = ["backup", copy.to_str().unwrap()];
    printed(run(folder.path(), &backup));
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(refused(&run(folder.path(), &backup)).contains("copy.db cannot be written"), "it is not overwritten");
    // What was written before is in the copy: the account is known there.
    let url = format!("sqlite://{}", copy.display());
    assert!(refused(&program(folder.path(), &url, &create, &format!("{CHOSEN}\n"))).contains("has an account already"));
}

#[tokio::test]
async fn a_command_with_another_pepper_or_another_version_of_the_tables_is_refused() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let recover = |folder: &TempDir| {
            program(folder.path(), console.database_url(), &["recover", "--email", "admin@nuvera.example"], "")
        };
        let folder = TempDir::new().unwrap();
        let said = refused(&recover(&folder));
        assert!(said.contains("--pepper-file: there is no pepper file "), "{said}");
        assert_eq!(names(folder.path()), BTreeSet::new(), "no pepper is made for it");
        fs::write(folder.path().join("pepper"), format!("test {}\n", STANDARD_NO_PAD.encode([8; 32]))).unwrap();
        let said = refused(&recover(&folder));
        assert!(said.contains("--pepper-file: ") && said.contains("is not the pepper of this database"), "{said}");

        let folder = data_folder();
        let mut conn = AnyConnection::connect(console.database_url()).await.unwrap();
        for (sql, expected) in [
            ("UPDATE _sqlx_migrations SET version = 29991231000000 WHERE version = 20261127130000", "newer version"),
            ("DELETE FROM _sqlx_migrations WHERE version = 29991231000000", "older version"),
            ("DELETE FROM _sqlx_migrations", "has no tables of this program"),
        ] {
            conn.execute(sql).await.unwrap();
            let said = refused(&recover(&folder));
            assert!(said.contains("--database-url: ") && said.contains(expected), "{said}");
        }
        // Nothing of it was done: the password is what it was.
        let answer = console.browser().sign_in_at(Area::Hub, "admin@nuvera.example", PASSWORD).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn an_organization_without_an_owner_is_given_one_and_one_with_an_owner_is_not() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let folder = data_folder();
        let make_owner = |email: &str| {
            program(folder.path(), console.database_url(), &["recover", "--email", email, "--make-owner"], "")
        };
        let said = refused(&make_owner("developer@alpine.example"));
        assert!(said.contains("Alpine Pay has an owner already"), "{said}");
        assert!(refused(&make_owner("user@customer.example")).contains("belongs to a customer platform"));
        assert!(refused(&make_owner("nobody@alpine.example")).contains("no account has the address"));

        for (lost, new, organization, role) in [
            ("owner@alpine.example", "developer@alpine.example", console.alpine, Role::PartnerOwner),
            ("admin@nuvera.example", "auditor@nuvera.example", console.nuvera, Role::NuveraAdmin),
        ] {
            // As older versions could leave it behind.
            let id = console.user_id(lost).await;
            let mut transaction = console.store.write().await.unwrap();
            users::remove(&mut transaction, id, console.clock.now()).await.unwrap();
            transaction.commit().await.unwrap();

            let said = printed(make_owner(&new.to_uppercase()));
            assert!(said.contains(role.label()), "{said}");
            let actor = console.actor(new).await;
            assert_eq!(actor.role, role, "and signs in as before");
            let mut conn = console.store.read().await.unwrap();
            let scope = AuditScope::Organization(organization);
            let latest = audit::events(&mut conn, scope, AuditFilter::default(), i64::MAX, 1).await.unwrap();
            let event = &latest[0].event;
            assert_eq!((event.action.code(), event.target.as_str()), ("person.role_changed", new));
            assert_eq!(event.after.as_deref(), Some(role.label()));
            assert!(event.reason.as_ref().unwrap().as_str().contains("command line"));
            drop(conn);
            assert!(refused(&make_owner(new)).contains("has an owner already"));
        }
    }
}
