//! Commands that the operator runs next to a serving console.

use crate::support::{Console, Database, LIST, PASSWORD};
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

/// A data folder with the pepper of [`Console`].
fn data_folder() -> TempDir {
    let folder = private_folder();
    write_pepper(&folder, [7; 32]);
    folder
}

/// A folder with mode 0700, whatever the umask.
fn private_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    set_mode(folder.path(), 0o700);
    folder
}

fn write_pepper(folder: &TempDir, secret: [u8; 32]) {
    let path = folder.path().join("pepper");
    fs::write(&path, format!("test {}\n", STANDARD_NO_PAD.encode(secret))).unwrap();
    set_mode(&path, 0o600);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs the program with these arguments until it exits.
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
        // The account has no second factor any more, so one must be set up before anything else.
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
async fn a_partner_is_created_and_gets_an_owner_beside_a_console_that_serves() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let folder = data_folder();
        let run = |arguments: &[&str]| program(folder.path(), console.database_url(), arguments, "");
        let create = |name| {
            let owner = ["--owner-email", "cleo@cedar.example", "--owner-name", "Cleo Cole"];
            run(&[&["create-partner", "--name", name][..], &owner].concat())
        };
        let made = printed(create("Cedar Bank"));
        assert!(made.starts_with("Cedar Bank is created, with the id "), "{made}");
        assert!(refused(&create("cedar bank")).contains("Another partner organization has this name"));
        assert!(refused(&create(" ")).contains("--name: Enter a name for the organization."));

        // Lost before the owner joined: a new link is issued, and the earlier one no longer works.
        let recover = |organization| {
            run(&["recover", "--organization", organization, "--email", "carl@cedar.example", "--name", "Carl Cole"])
        };
        let again = printed(recover("Cedar Bank"));
        assert!(again.starts_with("Carl Cole is invited as an owner of Cedar Bank."), "{again}");
        let (first, second) = (made.lines().last().unwrap(), again.lines().last().unwrap());
        assert_eq!(console.browser().get(first).await.status, StatusCode::GONE);
        let mut browser = console.browser();
        browser.get(second).await.says("Join Cedar Bank").says("Server operator");
        let (path, token) = second.split_once("?token=").unwrap();
        browser.post(path, &[("token", token), ("password", CHOSEN)]).await.leads_to(LIST, "joined");
        assert!(refused(&recover("Cedar Bank")).contains("Cedar Bank has an owner already"));
        assert!(refused(&recover("Cedar")).contains("no partner organization, or several, has the id or name Cedar"));
        let history = browser.get(&format!("{LIST}/audit.jsonl")).await.body;
        assert!(history.contains("organization.created") && history.contains("Server operator (uid "), "{history}");
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
    let folder = private_folder();
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

/// The names of the files in a folder, which a command that must not create anything leaves as they were.
fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_command_for_a_database_that_no_server_has_used_is_refused_and_creates_nothing() {
    let folder = private_folder();
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
        // A command that reads no input may have exited already.
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
    // The control: once `migrate` has run, both commands succeed, and a second `migrate` changes nothing.
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
    // The copy has the earlier changes: the account exists there.
    let url = format!("sqlite://{}", copy.display());
    assert!(refused(&program(folder.path(), &url, &create, &format!("{CHOSEN}\n"))).contains("has an account already"));
}

#[test]
fn what_is_created_is_for_the_servers_user_only_whatever_the_umask() {
    let place = private_folder();
    let data = place.path().join("parent/data");
    let run = |arguments: &str| {
        let command = format!("umask 0; exec {} {arguments} --data {}", env!("CARGO_BIN_EXE_server"), data.display());
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        printed(output);
    };
    run("migrate");
    run(&format!("backup {}", data.join("copy.db").display()));
    let mut names = names(&data);
    names.insert(String::new());
    assert!(names.len() > 4, "{names:?}");
    for name in names {
        let mode = fs::metadata(data.join(&name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
}

#[test]
fn every_command_refuses_files_that_others_can_use() {
    let folder = private_folder();
    let data = folder.path().join("data");
    let url = format!("sqlite://{}?mode=rwc", data.join("nuvera.db").display());
    let run = |arguments: &[&str]| program(&data, &url, arguments, &format!("{CHOSEN}\n"));
    printed(run(&["migrate"]));
    let copy = folder.path().join("copy.db");
    let assets = r#"{"app":"a","style":"s","keygenWorker":"k","keydoctorWorker":"d"}"#;
    fs::write(folder.path().join("assets.json"), assets).unwrap();
    let site = folder.path().to_str().unwrap();
    let commands: [&[&str]; 5] = [
        &["migrate"],
        &["serve", "--site", site, "--console-address", "127.0.0.1:0", "--gateway-address", "127.0.0.1:0"],
        &["create-admin", "--email", "nele@nuvera.example", "--name", "Nele New"],
        &["recover", "--email", "nele@nuvera.example"],
        &["backup", copy.to_str().unwrap()],
    ];
    for (name, loose, tight, setting) in [
        ("", 0o750, 0o700, "--data: the folder "),
        ("", 0o711, 0o700, "--data: the folder "),
        ("nuvera.db", 0o644, 0o600, "--database-url: the file "),
        ("pepper", 0o640, 0o600, "--pepper-file: the file "),
        ("pepper", 0o604, 0o600, "--pepper-file: the file "),
    ] {
        let path = data.join(name);
        set_mode(&path, loose);
        for arguments in commands {
            let said = refused(&run(arguments));
            let command = format!("chmod {tight:o} ");
            assert!(said.contains(setting) && said.contains(&command), "{arguments:?}: {said}");
            assert!(said.contains(&format!("has mode {loose:04o}")), "{arguments:?}: {said}");
        }
        set_mode(&path, tight);
    }
    assert!(!copy.exists());
    // The control: with the modes that the messages ask for, the commands succeed.
    printed(run(commands[2]));
    printed(run(commands[4]));
}

#[tokio::test]
async fn a_command_with_another_pepper_or_another_version_of_the_tables_is_refused() {
    for database in Database::all().await {
        let console = Console::start_on(database).await;
        let recover = |folder: &TempDir| {
            program(folder.path(), console.database_url(), &["recover", "--email", "admin@nuvera.example"], "")
        };
        let folder = private_folder();
        let said = refused(&recover(&folder));
        assert!(said.contains("--pepper-file: there is no pepper file "), "{said}");
        assert_eq!(names(folder.path()), BTreeSet::new(), "no pepper is made for it");
        write_pepper(&folder, [8; 32]);
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
        // The command had no effect: the password is unchanged.
        let answer = console.browser().sign_in_at(Area::Hub, "admin@nuvera.example", PASSWORD).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn no_command_but_migrate_and_serve_migrates_a_database_or_creates_one() {
    for database in Database::all().await {
        println!("on {}", database.engine);
        let console = Console::start_on(database).await;
        let folder = data_folder();
        let copy = folder.path().join("copy.db");
        let commands: [&[&str]; 4] = [
            &["create-admin", "--email", "nele@nuvera.example", "--name", "Nele New"],
            &["recover", "--email", "admin@nuvera.example"],
            &["recover", "--email", "developer@alpine.example", "--make-owner"],
            &["backup", copy.to_str().unwrap()],
        ];
        // The state during an upgrade: the server of the older version is still running.
        let mut conn = AnyConnection::connect(console.database_url()).await.unwrap();
        let newest = "SELECT MAX(version) FROM _sqlx_migrations";
        let (newest,): (i64,) = sqlx::query_as(newest).fetch_one(&mut conn).await.unwrap();
        let delete = sqlx::query("DELETE FROM _sqlx_migrations WHERE version = $1").bind(newest);
        delete.execute(&mut conn).await.unwrap();
        let before = names(folder.path());
        for arguments in commands {
            if arguments[0] == "backup" && !console.database_url().starts_with("sqlite:") {
                continue;
            }
            let said = refused(&program(folder.path(), console.database_url(), arguments, &format!("{CHOSEN}\n")));
            assert!(said.contains("the database is from an older version of this program"), "{arguments:?}: {said}");
            assert!(said.contains("run `server migrate` while none is running"), "{arguments:?}: {said}");
        }
        let applied = "SELECT COUNT(*) FROM _sqlx_migrations WHERE version = $1";
        let applied: (i64,) = sqlx::query_as(applied).bind(newest).fetch_one(&mut conn).await.unwrap();
        assert_eq!(applied, (0,), "nothing was migrated under the running server");
        assert_eq!(names(folder.path()), before, "and nothing was created");
        assert!(
            console.browser().sign_in_at(Area::Hub, "admin@nuvera.example", PASSWORD).await.status.is_redirection()
        );
    }
}

#[test]
fn a_stop_needs_no_database_and_creates_nothing() {
    let folder = private_folder();
    let missing = folder.path().join("data");
    for data in [folder.path(), &missing] {
        let stop = Command::new(env!("CARGO_BIN_EXE_server")).args(["stop", "--all", "--data"]).arg(data).output();
        assert!(refused(&stop.unwrap()).contains("no server answers at "));
        assert_eq!(names(folder.path()), BTreeSet::new());
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
            // A state that older versions could leave behind.
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
