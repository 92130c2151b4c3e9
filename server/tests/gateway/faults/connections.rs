//! Connections that are slow, idle, too many, or answered before they have been read.

use crate::{
    process::{Console, Server, free_address, signed_request, write_assets},
    support::{Connection, Reply, Setup, World, upstream},
};
use std::{
    collections::HashSet,
    fs,
    net::SocketAddr,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Much longer than anything here takes, on a machine that does other work as well.
const PATIENCE: Duration = Duration::from_secs(30);

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// A half head.
const HALF: &[u8] = b"GET /sign-in HTTP/1.1\r\nHost: x\r\n";

/// A server with a listener for metrics, and a folder that goes with it.
async fn started(files: Option<u32>, more: &[&str]) -> (Server, SocketAddr, tempfile::TempDir) {
    // The clients of all tests together need many files.
    server::open_files::raise_limit();
    let folder = tempfile::tempdir().unwrap();
    write_assets(folder.path());
    let metrics = free_address().await;
    let metrics_address = metrics.to_string();
    let more = [&["--metrics-address", &metrics_address], more].concat();
    let data = folder.path().join("data");
    let server = Server::start_limited(folder.path(), &data, files, &more).await;
    let begun = Instant::now();
    while readiness(metrics).await != Some(200) {
        assert!(begun.elapsed() < PATIENCE, "the server is never ready");
        sleep(Duration::from_millis(10)).await;
    }
    (server, metrics, folder)
}

/// The status with which a listener answers a readiness probe; `None` where it answers none.
async fn readiness(listener: SocketAddr) -> Option<u16> {
    let mut probe = Connection::over(TcpStream::connect(listener).await.ok()?);
    probe.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    Some(probe.read().await?.status)
}

/// Opens a connection from one of the machine's own addresses.
async fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Whether a listener answers a new client in time.
async fn answers(from: [u8; 4], to: SocketAddr) -> bool {
    let mut connection = Connection::over(connect_from(from, to).await);
    connection.write(HEALTH).await;
    timeout(PATIENCE, connection.read()).await.ok().flatten().is_some_and(|reply| reply.status == 200)
}

/// Waits until the other side closes a connection on which nothing is expected.
async fn closed_after(connection: &mut Connection) -> Duration {
    let begun = Instant::now();
    let mut rest = String::new();
    timeout(2 * PATIENCE, connection.read_to_end(&mut rest)).await.expect("the connection is never cut");
    begun.elapsed()
}

fn ask_to_stop(server: &Server) {
    let asked = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(asked.success());
}

async fn ended_after(server: &mut Server) -> Duration {
    let begun = Instant::now();
    while server.child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < 2 * PATIENCE, "the server does not end");
        sleep(Duration::from_millis(10)).await;
    }
    begun.elapsed()
}

/// With 256 files, 400 clients at the console and 400 at the gateway would have taken all of them.
#[tokio::test]
async fn a_flood_at_one_listener_takes_no_files_from_another_and_is_cut() {
    let (server, metrics, _folder) = started(Some(256), &["--max-connections-per-address", "0"]).await;
    let mut held = Vec::new();
    for _ in 0..400 {
        let mut connection = Connection::open(server.console).await;
        connection.write(HALF).await;
        held.push(connection);
    }
    assert!(answers([127, 0, 0, 1], server.gateway).await);
    assert!(answers([127, 0, 0, 1], metrics).await);
    // Those that are served are cut when their time for a head is up, and then somebody else is served.
    let mut begun = Instant::now();
    while !answers([127, 0, 0, 1], server.console).await {
        assert!(begun.elapsed() < PATIENCE, "the console is never free again");
        sleep(Duration::from_millis(100)).await;
    }
    for connection in &mut held {
        closed_after(connection).await;
    }
    begun = Instant::now();
    let mut held = Vec::new();
    for _ in 0..400 {
        let mut connection = Connection::open(server.gateway).await;
        connection.write(HALF).await;
        held.push(connection);
    }
    assert!(answers([127, 0, 0, 1], server.console).await);
    assert!(answers([127, 0, 0, 1], metrics).await);
    // Files were not short at any time: the database, which needs some, works.
    Console::sign_in(server.console).await;
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn slow_heads_slow_bodies_and_idle_connections_are_cut_at_every_listener() {
    let (server, metrics, _folder) = started(None, &["--idle-timeout", "2"]).await;
    let listeners = [server.console, server.gateway, metrics];
    let mut waits = JoinSet::new();
    for listener in listeners {
        waits.spawn(async move {
            let mut idle = Connection::open(listener).await;
            idle.write(HEALTH).await;
            assert_eq!(idle.read().await.unwrap().status, 200);
            ("idle", listener, closed_after(&mut idle).await, 2)
        });
        if listener == server.gateway {
            // It gives a head 30 seconds: `malformed.rs` waits for that on a clock of its own.
            continue;
        }
        // A byte a second does not make a head quick.
        waits.spawn(async move {
            let stream = TcpStream::connect(listener).await.unwrap();
            let (mut reader, mut writer) = stream.into_split();
            let begun = Instant::now();
            tokio::spawn(async move {
                let _ = writer.write_all(HALF).await;
                while writer.write_all(b"x").await.is_ok() {
                    sleep(Duration::from_secs(1)).await;
                }
            });
            let _ = reader.read_to_end(&mut Vec::new()).await;
            ("head", listener, begun.elapsed(), 15)
        });
    }
    let console = server.console;
    waits.spawn(async move {
        let mut form = Connection::open(console).await;
        let head = format!(
            "POST /sign-in HTTP/1.1\r\nHost: {console}\r\nOrigin: http://{console}\r\nContent-Length: 100000\r\n\r\nemail="
        );
        form.write(head.as_bytes()).await;
        let begun = Instant::now();
        let reply = form.read().await.unwrap();
        assert_eq!((reply.status, reply.header("connection")), (408, Some("close")));
        ("body", console, begun.elapsed(), 15)
    });
    while let Some(wait) = waits.join_next().await {
        let (wait, listener, took, bound) = wait.unwrap();
        let bound = Duration::from_secs(bound);
        println!("{wait} at {listener}: cut after {took:?}");
        let early = Duration::from_millis(200);
        assert!(took + early >= bound && took < bound + PATIENCE / 2, "{wait} at {listener}: {took:?}");
    }
}

#[tokio::test]
async fn one_address_leaves_room_for_others_at_the_console_and_the_gateway() {
    let more = ["--max-connections", "40", "--max-connections-per-address", "15"];
    let (server, _, _folder) = started(None, &more).await;
    for listener in [server.console, server.gateway] {
        let mut served = Vec::new();
        for _ in 0..15 {
            let mut connection = Connection::open(listener).await;
            connection.write(HEALTH).await;
            assert_eq!(connection.read().await.unwrap().status, 200);
            served.push(connection);
        }
        for _ in 0..100 {
            let mut refused = Connection::open(listener).await;
            refused.write(HEALTH).await;
            assert!(refused.read().await.is_none(), "it is closed at once");
        }
        assert!(answers([127, 0, 0, 2], listener).await);
        // The first ones are served as before, and when one has ended the next one is.
        served[0].write(HEALTH).await;
        assert_eq!(served[0].read().await.unwrap().status, 200);
        drop(served.pop());
        let begun = Instant::now();
        loop {
            let mut next = Connection::open(listener).await;
            next.write(HEALTH).await;
            if next.read().await.is_some() {
                break;
            }
            assert!(begun.elapsed() < PATIENCE);
        }
    }
    // The control: behind a proxy that names its clients, the address is the proxy's.
    let (server, _, _folder) = started(None, &[&more[..], &["--trust-forwarded-for"]].concat()).await;
    let mut served = Vec::new();
    for _ in 0..30 {
        let mut connection = Connection::open(server.gateway).await;
        connection.write(HEALTH).await;
        assert_eq!(connection.read().await.unwrap().status, 200);
        served.push(connection);
    }
}

#[tokio::test]
async fn an_idle_connection_outlives_a_load_balancers_minute() {
    let world = World::start().await;
    let mut connection = world.connect().await;
    for _ in 0..2 {
        connection.write(&world.get().bytes()).await;
        connection.read().await.unwrap().verified();
        tokio::time::pause();
        // Longer than a head may take, and than AWS's load balancers keep an idle connection.
        tokio::time::advance(Duration::from_secs(70)).await;
        tokio::time::resume();
    }
    connection.write(&world.get().bytes()).await;
    connection.read().await.unwrap().verified();
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert!(connection.is_closed().await);
    let waited = begun.elapsed().as_secs_f64();
    assert!((74.0..=76.0).contains(&waited), "{waited}");
}

#[tokio::test]
async fn a_connection_waits_for_a_place_for_ten_seconds_at_most() {
    let world = Setup::with(|setup| setup.settings.connections.max = 1).start().await;
    let mut served = world.connect().await;
    served.write(HEALTH).await;
    assert_eq!(served.read().await.unwrap().status, 200);
    let mut waiting = world.connect().await;
    waiting.write(HEALTH).await;
    // Not even one may wait besides it: it is closed at once. That also shows that the first one waits by now.
    let mut refused = world.connect().await;
    refused.write(HEALTH).await;
    assert!(refused.read().await.is_none());
    assert!(world.gateway.metrics().unwrap().contains("nuvera_gateway_refused_connections_total 1\n"));
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert!(waiting.read().await.is_none());
    let waited = begun.elapsed().as_secs_f64();
    assert!((9.0..=11.0).contains(&waited), "{waited}");
}

#[tokio::test]
async fn an_application_that_announces_bodies_and_sends_nothing_takes_no_room_from_others() {
    const LARGEST: usize = 8 * 1024 * 1024;
    let world = Setup::with(|setup| setup.settings.max_body_bytes = LARGEST).start().await;
    let silent = |world: &World| {
        let call = world.post().without("content-length").add("content-length", &LARGEST.to_string());
        let bytes = call.add("Expect", "100-continue").bytes();
        bytes[..bytes.len() - br#"{"name":"Ada"}"#.len()].to_vec()
    };
    let (mut held, mut refused) = (Vec::new(), 0);
    let begun = tokio::time::Instant::now();
    for _ in 0..70 {
        let mut connection = world.connect().await;
        connection.write(&silent(&world)).await;
        match connection.read_head().await.unwrap().0 {
            100 => held.push(connection),
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!((held.len(), refused), (32, 38));
    // Small bodies always have room, and another application has some for a large one; the first one has not.
    let other = world.another_application();
    let large = vec![b'x'; 1024 * 1024];
    for _ in 0..60 {
        world.send(world.call_with(&other, "POST", "/api/v1/customers", b"{}")).await.verified();
    }
    world.send(world.post()).await.verified();
    world.send(world.call_with(&other, "POST", "/api/v1/customers", &large)).await.verified();
    // They are cut by their rate, in a third of the time that a body may take.
    tokio::time::pause();
    for connection in &mut held {
        assert_eq!(connection.read().await.unwrap().refusal(), ("body_timeout".to_owned(), 408));
    }
    let waited = begun.elapsed().as_secs_f64();
    tokio::time::resume();
    assert!((10.0..=20.0).contains(&waited), "{waited}");
    let mut again = world.connect().await;
    again.write(&silent(&world)).await;
    assert_eq!(again.read_head().await.unwrap().0, 100);
}

/// Connections to `port` that the kernel holds for their client, sockets that were closed with bytes unsent included.
fn connections_to(port: u16) -> usize {
    let remote = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let fields = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    // 06 is TIME_WAIT, which holds nothing.
    fields.filter(|fields| fields[2].ends_with(&remote) && fields[3] != "06").count()
}

/// Serves an upstream that answers each request's head and then does nothing, neither reading nor closing.
async fn early_upstream(listener: TcpListener) {
    let mut held = Vec::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        held.push(stream);
    }
}

#[tokio::test]
async fn an_early_answer_releases_the_upstreams_connection_and_the_bodys_room() {
    const BODY: usize = 6 * 1024 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(early_upstream(listener));
    let world = Setup::with(|setup| {
        setup.settings.max_body_bytes = BODY;
        setup.settings.upstream = Some(upstream(&format!("http://{address}")));
    });
    let world = world.start().await;
    let body = vec![b'x'; BODY];
    // More than there is room for at one time: each releases its own.
    for round in 0..40 {
        let begun = Instant::now();
        let reply = loop {
            let reply = world.send(world.call("POST", "/api/v1/customers", &body)).await;
            // Those before it may still hold room for the moment in which an upstream may read on.
            if reply.status != 503 {
                break reply;
            }
            assert_eq!(reply.refusal().0, "body_capacity");
            assert!(begun.elapsed() < PATIENCE, "no room in round {round}");
            sleep(Duration::from_millis(50)).await;
        };
        assert_eq!((reply.status, reply.text()), (413, "{}"), "the answer is passed on");
    }
    // The kernel takes all of this one, which nobody reads: the next request must not wait behind it.
    for _ in 0..3 {
        let reply = world.send(world.call("POST", "/api/v1/customers", &body[..1024 * 1024])).await;
        assert_eq!((reply.status, reply.text()), (413, "{}"));
    }
    let begun = Instant::now();
    while connections_to(address.port()) > 0 {
        assert!(begun.elapsed() < PATIENCE, "{} connections are left", connections_to(address.port()));
        sleep(Duration::from_millis(20)).await;
    }
    // All of the room is free: as many may be announced as one application may hold.
    let mut announced = Vec::new();
    for _ in 0..32 {
        let bytes = world.call("POST", "/api/v1/customers", &body).add("Expect", "100-continue").bytes();
        let mut connection = world.connect().await;
        connection.write(&bytes[..bytes.len() - BODY]).await;
        assert_eq!(connection.read_head().await.unwrap().0, 100);
        announced.push(connection);
    }
}

/// The control: an upstream that reads on after an early answer gets the rest, and its connection is kept.
#[tokio::test]
async fn an_upstream_that_answers_early_and_reads_on_keeps_its_connection() {
    const BODY: usize = 3 * 1024 * 1024;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let world = Setup::with(|setup| {
        setup.settings.max_body_bytes = BODY;
        setup.settings.upstream = Some(upstream(&origin));
    });
    let world = world.start().await;
    let (read, has_read) = tokio::sync::oneshot::channel();
    let served = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Some(read);
        for length in [BODY, 0] {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            stream.read_exact(&mut vec![0; length]).await.unwrap();
            read.take().map(|read| read.send(()));
        }
        stream
    };
    let asked = async {
        let reply = world.send(world.call("POST", "/api/v1/customers", &vec![b'x'; BODY])).await;
        assert_eq!(reply.status, 201);
        has_read.await.unwrap();
        // Until the connection is back, a request gets a new one, which nobody accepts.
        let begun = Instant::now();
        loop {
            let call = world.send(world.get());
            if let Ok(reply) = timeout(Duration::from_secs(3), call).await {
                break assert_eq!(reply.status, 201);
            }
            assert!(begun.elapsed() < PATIENCE, "the connection was not kept");
        }
    };
    tokio::join!(served, asked);
}

/// A sign-in from an address, and what is answered.
async fn sign_in(from: [u8; 4], to: SocketAddr, email: &str, password: &str, cookie: &str) -> Option<Reply> {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("email", email), ("password", password)])
        .finish();
    let request = format!(
        "POST /sign-in HTTP/1.1\r\nHost: {to}\r\nOrigin: http://{to}\r\nSec-Fetch-Site: same-origin\r\nCookie: {cookie}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = Connection::over(connect_from(from, to).await);
    connection.write(request.as_bytes()).await;
    connection.read().await
}

/// The median and the 99th percentile of how long requests to the gateway take, one after the other.
async fn quantiles(gateway: &mut Connection, key: &str, requests: usize) -> [Duration; 2] {
    let mut took = Vec::new();
    for _ in 0..requests {
        let request = signed_request(key);
        let begun = Instant::now();
        gateway.write(&request).await;
        gateway.read().await.unwrap().verified();
        took.push(begun.elapsed());
    }
    took.sort();
    [took[requests / 2], took[requests * 99 / 100]]
}

#[tokio::test]
async fn a_flood_of_sign_ins_keeps_neither_the_owner_out_nor_the_gateway_busy() {
    const OWNER: &str = "owner@alpine.example";
    let (server, _, _folder) = started(None, &[]).await;
    let (console, password) = (server.console, server::demo::PASSWORD);
    let mut session = Console::sign_in(console).await;
    let (_, key) = session.create("Flooded").await;
    let known = sign_in([127, 0, 0, 1], console, OWNER, password, "").await.unwrap();
    assert_eq!(known.status, 303);
    let cookies = known.headers.iter().filter(|(name, _)| name == "set-cookie");
    let cookies: Vec<_> = cookies.map(|(_, value)| value.split(';').next().unwrap()).collect();
    let browser = cookies.iter().find(|cookie| !cookie.starts_with("nuvera=")).expect("a browser is known by a cookie");

    let mut gateway = Connection::open(server.gateway).await;
    let idle = quantiles(&mut gateway, &key, 100).await;
    let mut flood = JoinSet::new();
    let statuses = Arc::<Mutex<HashSet<Option<u16>>>>::default();
    for client in 0..120_u8 {
        let statuses = statuses.clone();
        flood.spawn(async move {
            let from = [127, 0, 1, client % 8 + 1];
            for attempt in 0.. {
                let email = format!("{client}-{attempt}@nobody.example");
                let reply = sign_in(from, console, &email, "correct horse battery staple", "").await;
                statuses.lock().unwrap().insert(reply.map(|reply| reply.status));
            }
        });
    }
    for _ in 0..5 {
        let signed_in = sign_in([127, 0, 0, 1], console, OWNER, password, browser).await.unwrap();
        assert_eq!(signed_in.status, 303, "the owner gets in: {}", signed_in.text());
    }
    let flooded = quantiles(&mut gateway, &key, 100).await;
    println!("gateway, p50 and p99: idle {idle:?}, flooded {flooded:?}");
    assert!(flooded[1] < Duration::from_secs(2), "{flooded:?}");
    // Every attempt is answered, as wrong or as too many.
    flood.shutdown().await;
    let statuses = statuses.lock().unwrap();
    assert!(statuses.contains(&Some(429)) && statuses.is_subset(&[Some(422), Some(429)].into()), "{statuses:?}");
}

#[tokio::test]
async fn a_stop_is_announced_for_a_while_and_then_ends_in_time() {
    let more = ["--stop-delay", "2", "--drain-timeout", "4"];
    let (mut server, metrics, _folder) = started(None, &more).await;
    let mut session = Console::sign_in(server.console).await;
    let (_, key) = session.create("Stopped").await;
    let mut half = Connection::open(server.gateway).await;
    half.write(HALF).await;
    let mut kept = Connection::open(server.gateway).await;
    kept.write(&signed_request(&key)).await;
    let reply = kept.read().await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, None));

    ask_to_stop(&server);
    let asked = Instant::now();
    // Not ready, wherever a probe asks, and still at work for whoever comes.
    for listener in [server.gateway, metrics, server.console] {
        while readiness(listener).await.expect("the listener is open") != 503 {
            assert!(asked.elapsed() < Duration::from_secs(2), "it does not say that it stops");
        }
    }
    kept.write(&signed_request(&key)).await;
    let reply = kept.read().await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    let mut new = Connection::open(server.gateway).await;
    new.write(&signed_request(&key)).await;
    assert_eq!(new.read().await.unwrap().status, 200);

    // The half request would hold it for 30 seconds.
    ended_after(&mut server).await;
    let took = asked.elapsed();
    println!("it ended {took:?} after it was asked to");
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(2 + 4 + 5), "{took:?}");
}

#[tokio::test]
async fn whoever_asks_again_does_not_wait_for_the_delay() {
    let (mut server, _, _folder) = started(None, &["--stop-delay", "60"]).await;
    ask_to_stop(&server);
    let begun = Instant::now();
    while readiness(server.gateway).await != Some(503) {
        assert!(begun.elapsed() < PATIENCE);
    }
    ask_to_stop(&server);
    let took = ended_after(&mut server).await;
    assert!(took < Duration::from_secs(10), "{took:?}");
}
