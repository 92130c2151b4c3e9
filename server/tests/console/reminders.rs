//! E-mails to owners: when they are sent, only once each, what they contain, and what happens when sending fails.

use crate::support::{Console, Database, ORIGIN, PASSWORD, PEM_A, PEM_B, START};
use domain::{access::Role, application::Replacement, id::ApiKeyId, time::Timestamp};
use server::{
    backend::{Asked, Backend, Said, accounts::NewPerson},
    gateway::{Gateway, GatewaySettings, ReplayFence},
    mail::Mailer,
    pepper::Pepper,
    store::organizations::OrganizationKind,
    tls::Authorities,
};
use std::{collections::HashSet, fs, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::mpsc,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MILLISECOND: Duration = Duration::from_millis(1);

fn mailer_to(folder: &std::path::Path) -> Mailer {
    Mailer::folder(folder, "Nuvera <no-reply@nuvera.example>".parse().unwrap()).unwrap()
}

/// A mail folder and its mailer.
struct Post {
    mailer: Mailer,
    folder: PathBuf,
    read: HashSet<PathBuf>,
    _above: TempDir,
}

#[derive(Debug)]
struct Letter {
    /// The unfolded headers, one element each.
    headers: Vec<String>,
    body: String,
}

impl Letter {
    fn parse(message: &[u8]) -> Self {
        let message = String::from_utf8(message.to_vec()).unwrap();
        let (headers, body) = message.split_once("\r\n\r\n").unwrap();
        let headers: Vec<_> = headers.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect();
        let encoding = headers.iter().find_map(|line| line.strip_prefix("Content-Transfer-Encoding: ")).unwrap();
        let body = match encoding {
            "quoted-printable" => quoted_printable::decode(body, quoted_printable::ParseMode::Strict).unwrap(),
            "7bit" => body.as_bytes().to_vec(),
            encoding => panic!("{encoding}"),
        };
        Self { headers, body: String::from_utf8(body).unwrap().replace("\r\n", "\n") }
    }

    fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        let found: Vec<_> = self.headers.iter().filter_map(|line| line.strip_prefix(&start)).collect();
        assert_eq!(found.len(), 1, "{name}: {:?}", self.headers);
        found[0]
    }

    fn says(&self, words: &str) -> &Self {
        assert!(self.body.contains(words), "{words:?} is not in\n{}", self.body);
        self
    }
}

impl Post {
    fn new() -> Self {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("mail");
        Self { mailer: mailer_to(&folder), folder, read: HashSet::new(), _above: above }
    }

    /// Runs the reminder job once. Returns the e-mails that it sent.
    async fn after_a_run(&mut self, backend: &Backend) -> Vec<Letter> {
        let sent = backend.remind(&self.mailer, ORIGIN).await.unwrap();
        let paths: Vec<_> = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let new = paths.into_iter().filter(|path| self.read.insert(path.clone()));
        let letters: Vec<_> = new.map(|path| Letter::parse(&fs::read(path).unwrap())).collect();
        assert_eq!(letters.len(), sent, "what is said to be sent is there");
        letters
    }

    async fn only_letter(&mut self, backend: &Backend) -> Letter {
        let mut letters = self.after_a_run(backend).await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        letters.remove(0)
    }
}

async fn create(console: &Console, name: &str, pem: &str) -> (String, ApiKeyId) {
    let (id, _) = console.owner().await.create(name, pem).await;
    let key = console.application(&id).await.api_keys[0].id;
    (id, key)
}

/// Rotates the API key, so that the application's live keys get an expiry.
async fn rotate(console: &Console, id: &str, grace: Duration) {
    let actor = console.owner_actor().await;
    let asked = Asked { actor: &actor, organization: console.alpine, application: id.parse().unwrap() };
    console.backend.replace_api_key(asked, Said::default(), Replacement::WithGrace(grace)).await.unwrap();
}

async fn revoke(console: &Console, id: &str, key: ApiKeyId) {
    let actor = console.owner_actor().await;
    let asked = Asked { actor: &actor, organization: console.alpine, application: id.parse().unwrap() };
    let operation = domain::access::Operation::RevokeApiKeys;
    console.backend.change(asked, operation, Said::default(), |a, by| a.revoke_api_key(key, by)).await.unwrap();
}

#[tokio::test]
async fn an_owner_gets_exactly_one_letter_at_each_of_the_four_times() {
    for database in Database::all().await {
        println!("on {}", database.engine);
        let console = Console::start_on(database).await;
        let (id, _) = create(&console, "Ledger", PEM_A).await;
        let due = START.plus(DAY * 180);
        let mut post = Post::new();
        for (moment, words) in [
            (due.minus(DAY * 14), "is to be replaced by 22 May 2027, 03:25:10 UTC (in 14 days)"),
            (due.minus(DAY * 7), "(in 7 days)"),
            (due.minus(DAY), "(in 24 hours)"),
            (due.start_of_day(), "(in 3 hours)"),
        ] {
            console.clock.set(moment.minus(MILLISECOND));
            assert!(post.after_a_run(&console.backend).await.is_empty(), "it is not time yet: {words}");
            console.clock.set(moment);
            let letter = post.only_letter(&console.backend).await;
            letter.says("API key nvk_").says("of “Ledger”").says(words).says("It does not stop by itself.");
            letter.says("Last used: never").says(&format!("{ORIGIN}/settings/platform/api-applications/{id}"));
            letter.says("revoke it, because nothing has used it since it was made on 23 Nov 2026.");
            assert_eq!(letter.header("To"), "owner@alpine.example", "owners alone, and of this organization alone");
            assert_eq!(letter.header("Subject"), "A key of Alpine Pay needs your attention");
            assert_eq!(letter.header("Auto-Submitted"), "auto-generated");
            for _ in 0..3 {
                assert!(post.after_a_run(&console.backend).await.is_empty(), "a second one: {words}");
            }
        }
        console.clock.set(due.plus(DAY * 100));
        assert!(post.after_a_run(&console.backend).await.is_empty(), "it is overdue, and that was told");
    }
}

#[tokio::test]
async fn who_was_not_reminded_in_time_gets_one_letter_and_not_four() {
    let console = Console::start().await;
    create(&console, "Ledger", PEM_A).await;
    console.advance(DAY * 400);
    let mut post = Post::new();
    let letter = post.only_letter(&console.backend).await;
    letter
        .says("was to be replaced by 22 May 2027")
        .says("Signing key SHA256:")
        .says("was to be replaced by 23 Nov 2027");
    assert_eq!(letter.header("Subject"), "2 keys of Alpine Pay need your attention");
    assert!(post.after_a_run(&console.backend).await.is_empty());
}

#[tokio::test]
async fn all_keys_of_an_organization_are_in_one_letter_and_no_others() {
    let console = Console::start().await;
    let (_, first) = create(&console, "Ledger", PEM_A).await;
    let (_, second) = create(&console, "Payouts", PEM_B).await;
    console.signed_in("owner@borealis.example").await.create("Theirs", crate::support::PEM_C).await;
    console.advance(DAY * 166);
    let mut post = Post::new();
    let letters = post.after_a_run(&console.backend).await;
    let mut to: Vec<_> = letters.iter().map(|letter| letter.header("To")).collect();
    to.sort_unstable();
    assert_eq!(to, ["owner@alpine.example", "owner@borealis.example"]);
    for letter in &letters {
        let is_alpine = letter.header("To") == "owner@alpine.example";
        assert_eq!(letter.body.contains("“Ledger”") && letter.body.contains("“Payouts”"), is_alpine, "{}", letter.body);
        assert_eq!(letter.body.contains("“Theirs”"), !is_alpine, "{}", letter.body);
    }
    assert_ne!(first, second);
}

#[tokio::test]
async fn nobody_is_reminded_of_a_key_that_was_revoked_or_where_the_rule_is_off() {
    let console = Console::start().await;
    let (id, key) = create(&console, "Ledger", PEM_A).await;
    create(&console, "Payouts", PEM_B).await;
    console.advance(DAY * 165);
    revoke(&console, &id, key).await;
    console.advance(DAY);
    let mut post = Post::new();
    let letter = post.only_letter(&console.backend).await;
    letter.says("“Payouts”");
    assert!(!letter.body.contains("“Ledger”"), "{}", letter.body);

    console.advance(DAY * 7);
    let owner = console.owner_actor().await;
    let policy = console.backend.rotation_policy(&owner, console.alpine).await.unwrap();
    let off = domain::hygiene::RotationRules { api_key_age: None, ..policy.rules };
    console.backend.change_rotation_policy(&owner, console.alpine, 0, off).await.unwrap();
    assert!(post.after_a_run(&console.backend).await.is_empty());
    // The control: with the rule enabled again, an e-mail is sent at the same instant.
    console.backend.change_rotation_policy(&owner, console.alpine, 1, policy.rules).await.unwrap();
    post.only_letter(&console.backend).await.says("(in 7 days)");
}

#[tokio::test]
async fn a_key_that_stops_in_use_comes_first_with_where_its_requests_come_from() {
    let console = Console::start().await;
    create(&console, "Ledger", PEM_A).await;
    console.advance(DAY * 164);
    let (id, key) = create(&console, "Payouts", PEM_B).await;
    rotate(&console, &id, DAY * 3).await;
    let mut post = Post::new();
    assert!(post.after_a_run(&console.backend).await.is_empty(), "who has just chosen three days knows");
    console.advance(DAY * 2 - Duration::from_secs(60));
    console.uses(key).await;
    console.advance(Duration::from_secs(60));
    let letter = post.only_letter(&console.backend).await;
    assert_eq!(letter.header("Subject"), "A key of Alpine Pay stops soon and is still in use");
    letter.says("of “Payouts” STOPS on 9 May 2027, 03:25:10 UTC (in 24 hours), and requests still use it.");
    letter.says("Last used: 8 May 2027, 03:24:10 UTC from 10.1.2.3").says("deploy the new key");
    assert!(letter.body.find("“Payouts”") < letter.body.find("“Ledger”"), "the loudest first: {}", letter.body);
    assert!(post.after_a_run(&console.backend).await.is_empty());

    console.advance(DAY - Duration::from_secs(2 * 3600));
    post.only_letter(&console.backend).await.says("of “Payouts” STOPS").says("(in 2 hours)");
    console.advance(DAY);
    assert!(post.after_a_run(&console.backend).await.is_empty(), "there is nothing left to do about it");
}

#[tokio::test]
async fn a_key_that_stops_unused_is_told_calmly_and_again_when_its_deadline_is_moved() {
    let console = Console::start().await;
    let (id, key) = create(&console, "Payouts", PEM_B).await;
    rotate(&console, &id, DAY * 20).await;
    console.advance(DAY * 13);
    let mut post = Post::new();
    let letter = post.only_letter(&console.backend).await;
    assert_eq!(letter.header("Subject"), "A key of Alpine Pay needs your attention");
    letter.says("stops on 13 Dec 2026, 03:25:10 UTC (in 7 days). It was replaced.").says("nothing, where the new key");
    assert!(post.after_a_run(&console.backend).await.is_empty());
    let actor = console.owner_actor().await;
    let asked = Asked { actor: &actor, organization: console.alpine, application: id.parse().unwrap() };
    let operation = domain::access::Operation::RotateApiKeys;
    let later: Timestamp = START.plus(DAY * 27);
    let change = console.backend.change(asked, operation, Said::default(), |a, by| a.move_deadline(key, later, by));
    change.await.unwrap();
    post.only_letter(&console.backend).await.says("(in 14 days)");
    console.advance(DAY * 7);
    post.only_letter(&console.backend).await.says("(in 7 days)");
}

#[tokio::test]
async fn a_letter_that_did_not_get_away_is_sent_later_and_once() {
    let console = Console::start().await;
    create(&console, "Ledger", PEM_A).await;
    console.advance(DAY * 166);
    let mut post = Post::new();
    fs::remove_dir(&post.folder).unwrap();
    for _ in 0..3 {
        assert_eq!(console.backend.remind(&post.mailer, ORIGIN).await.unwrap(), 0);
    }
    fs::create_dir(&post.folder).unwrap();
    post.only_letter(&console.backend).await.says("“Ledger”");
    assert!(post.after_a_run(&console.backend).await.is_empty());
}

#[tokio::test]
async fn a_letter_that_could_not_be_remembered_comes_twice_rather_than_never() {
    let console = Console::start().await;
    create(&console, "Ledger", PEM_A).await;
    console.advance(DAY * 166);
    let sql = async |sql: &'static str| {
        let mut transaction = console.store.write().await.unwrap();
        sqlx::query(sql).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    };
    let post = Post::new();
    let letters = || fs::read_dir(&post.folder).unwrap().count();
    sql("CREATE TRIGGER full BEFORE INSERT ON sent_reminders BEGIN SELECT RAISE(ABORT, 'full'); END").await;
    assert!(console.backend.remind(&post.mailer, ORIGIN).await.is_err());
    assert_eq!(letters(), 1);
    // When it is known in advance that sending cannot be recorded, nothing is sent.
    sql("CREATE TRIGGER settings_full BEFORE INSERT ON settings BEGIN SELECT RAISE(ABORT, 'full'); END").await;
    assert!(console.backend.remind(&post.mailer, ORIGIN).await.is_err());
    assert_eq!(letters(), 1);
    sql("DROP TRIGGER full").await;
    sql("DROP TRIGGER settings_full").await;
    assert_eq!(console.backend.remind(&post.mailer, ORIGIN).await.unwrap(), 1);
    assert_eq!(letters(), 2);
    assert_eq!(console.backend.remind(&post.mailer, ORIGIN).await.unwrap(), 0);
}

#[tokio::test]
async fn a_restart_forgets_no_letter() {
    let console = Console::start().await;
    create(&console, "Ledger", PEM_A).await;
    console.advance(DAY * 166);
    Post::new().only_letter(&console.backend).await;
    let pepper = Arc::new(Pepper::new("test", &[7; 32]));
    let gateway = Gateway::new(GatewaySettings::idle(), console.clock.clone(), pepper.clone(), ReplayFence::default());
    let started_again = Backend::new(console.store.clone(), gateway, pepper, console.clock.clone());
    let mut post = Post::new();
    assert!(post.after_a_run(&started_again).await.is_empty());
    console.advance(DAY * 7);
    post.only_letter(&started_again).await;
}

#[tokio::test]
async fn each_owner_has_a_letter_of_their_own_and_a_bad_address_keeps_nobody_elses_back() {
    let console = Console::start().await;
    create(&console, "Ledger", PEM_A).await;
    for (email, role) in [
        ("second@alpine.example", Role::PartnerOwner),
        ("no address\r\nBcc: evil@evil.example", Role::PartnerOwner),
        ("third@alpine.example", Role::PartnerDeveloper),
    ] {
        let person = NewPerson { organization_id: console.alpine, email, name: "Someone", role, password: PASSWORD };
        console.backend.add_person(person).await.unwrap();
    }
    console.advance(DAY * 166);
    let mut post = Post::new();
    let letters = post.after_a_run(&console.backend).await;
    let mut to: Vec<_> = letters.iter().map(|letter| letter.header("To")).collect();
    to.sort_unstable();
    assert_eq!(to, ["owner@alpine.example", "second@alpine.example"]);
    assert!(post.after_a_run(&console.backend).await.is_empty());
}

#[tokio::test]
async fn a_name_is_text_in_a_letter_and_adds_no_header_and_no_line() {
    let console = Console::start().await;
    let name = "Evil\r\nBcc: evil@evil.example\r\n\r\nDear owner,\u{2028}pay é";
    let organization_id = console.backend.add_organization(OrganizationKind::Partner, name).await.unwrap();
    let email = "owner@evil.example";
    let person = NewPerson { organization_id, email, name, role: Role::PartnerOwner, password: PASSWORD };
    console.backend.add_person(person).await.unwrap();
    let application = "=?utf-8?q?=0ABcc:_evil?= <b> \u{3042}";
    console.signed_in(email).await.create(application, PEM_A).await;
    console.advance(DAY * 166);
    let letter = Post::new().only_letter(&console.backend).await;
    let mut names: Vec<_> = letter.headers.iter().map(|line| line.split(':').next().unwrap()).collect();
    names.sort_unstable();
    let expected = [
        "Auto-Submitted",
        "Content-Transfer-Encoding",
        "Content-Type",
        "Date",
        "From",
        "MIME-Version",
        "Message-ID",
        "Subject",
        "To",
    ];
    assert_eq!(names, expected, "{:?}", letter.headers);
    assert_eq!(letter.header("To"), email);
    assert!(letter.header("Subject").is_ascii());
    letter.says(&format!("of “{application}” is to be replaced"));
    // The control: the name is included, but does not start a line.
    letter.says("Evil  Bcc: evil@evil[.]example    Dear owner, pay é");
    assert!(letter.body.lines().all(|line| !line.starts_with("Bcc") && !line.starts_with("Dear")), "{}", letter.body);
}

/// A server that implements just enough of SMTP (RFC 5321) to accept a message, or to reject it as busy.
async fn smtp_server(is_busy: bool) -> (String, mpsc::UnboundedReceiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let (taken, messages) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reading, mut writing) = stream.into_split();
            let mut lines = BufReader::new(reading).lines();
            let (mut message, mut is_data) = (Vec::new(), false);
            let greeting: &[u8] = if is_busy { b"421 too busy\r\n" } else { b"220 test\r\n" };
            writing.write_all(greeting).await.unwrap();
            while let Ok(Some(line)) = lines.next_line().await {
                let answer = match (is_data, &*line) {
                    (true, ".") => {
                        is_data = false;
                        taken.send(std::mem::take(&mut message)).unwrap();
                        "250 taken"
                    }
                    (true, _) => {
                        message.push(line);
                        continue;
                    }
                    (false, "DATA") => {
                        is_data = true;
                        "354 go on"
                    }
                    (false, "QUIT") => "221 bye",
                    (false, _) => {
                        message.push(line);
                        "250 fine"
                    }
                };
                if writing.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    (url, messages)
}

#[tokio::test]
async fn over_smtp_a_busy_server_is_asked_again_and_takes_one_letter() {
    let console = Console::start().await;
    create(&console, "Ledger", PEM_A).await;
    console.advance(DAY * 166);
    let from = || "Nuvera <no-reply@nuvera.example>".parse().unwrap();
    let (busy, _busy) = smtp_server(true).await;
    let busy = Mailer::smtp(&busy, from(), &Authorities::default()).unwrap();
    assert_eq!(console.backend.remind(&busy, ORIGIN).await.unwrap(), 0);
    let (url, mut messages) = smtp_server(false).await;
    let server = Mailer::smtp(&url, from(), &Authorities::default()).unwrap();
    assert_eq!(console.backend.remind(&server, ORIGIN).await.unwrap(), 1);
    let message = messages.recv().await.unwrap();
    let envelope: Vec<_> = message.iter().filter(|line| line.contains("FROM:") || line.contains("TO:")).collect();
    assert_eq!(envelope.len(), 2, "{message:?}");
    assert!(envelope[0].starts_with("MAIL FROM:<no-reply@nuvera.example>"), "{envelope:?}");
    assert!(envelope[1].starts_with("RCPT TO:<owner@alpine.example>"), "{envelope:?}");
    assert!(message.iter().any(|line| line.starts_with("Subject: A key of Alpine Pay")), "{message:?}");
    assert_eq!(console.backend.remind(&server, ORIGIN).await.unwrap(), 0);
    assert!(messages.try_recv().is_err());
}
